"""The command line `vidpoll`: finds the command, runs it, and turns every outcome into one line and an exit code.

`COMMANDS` names the module of each command. All commands use `output` (lines, JSON, exit codes), `context` (options,
the client) and `again` (the commands that messages print as the next step). No command is defined in this file, and no
command calls sys.exit.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import vidpoll
from vidpoll import redact, shell
from vidpoll.clock import Clock, SystemClock
from vidpoll.similar import similar

from . import (
    batch,
    cancel_delete,
    demo,
    doctor,
    downloading,
    new_plugin,
    queries,
    serving,
    simulating,
    status,
    store_commands,
    submitting,
    transcripts,
    waiting,
)
from .again import advised
from .context import Command, Context, Parser
from .output import INTERRUPTED, NOT_COMPLETED, USAGE, Output, code_of
from .trusted import with_account
from .versions import versions

__all__ = ["main"]

COMMANDS = {
    command.name: command
    for command in (
        demo.COMMAND,
        waiting.WAIT,
        status.STATUS,
        submitting.SUBMIT,
        submitting.PRICE,
        submitting.UPLOAD,
        batch.COMMAND,
        downloading.DOWNLOAD,
        store_commands.RESUME,
        serving.COMMAND,
        *cancel_delete.COMMANDS,
        *queries.COMMANDS,
        transcripts.COMMAND,
        simulating.COMMAND,
        new_plugin.COMMAND,
        doctor.COMMAND,
    )
}
"""The commands by name, in the order of the help."""

ABOUT = "Submit AI video jobs to any provider, wait for them, and save the videos. A job's reference is ACCOUNT:ID."
CODES = """\
exit codes: 0 completed; 1 not completed, refused, or a file could not be saved; 2 wrong usage;
            3 outcome unknown (the job continues at the provider); 4 rows of a batch still wait;
            130 interrupted; 143 ended by SIGTERM. For several jobs, the highest of their codes
keys:       read only from environment variables, like MAGICOAL_API_KEY, because a key on a command line stays in
            the shell's history; `vidpoll providers NAME` lists the variables
debugging:  VIDPOLL_DEBUG=1 shows tracebacks, VIDPOLL_TRACE=1 shows every hook call, VIDPOLL_DISABLE=name,name
            switches plugins off; `vidpoll doctor` checks this setup; put `vidpoll --version` into a bug report

example:    vidpoll wait magicoal:3f8a2d1b-4c9e-4b7f-8d2a-1f3c5e7a9b0d --download clips"""


def main(
    argv: Sequence[str] | None = None,
    *,
    client_factory: Callable[..., vidpoll.Client] = vidpoll.Client,
    clock: Clock | None = None,
) -> int:
    """Run the command line and return its exit code; nothing is raised. The keyword arguments are for tests."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    out = Output()
    context = Context(out, clock or SystemClock(), client_factory)
    with _warnings_as_lines(out) as show, _hooks_as_lines(out), _tries_as_lines(out):
        code = out.finish(_guarded(arguments, context))
    if argv is None:  # the process ends now; notifiers must still be able to warn of what they could not deliver
        warnings.showwarning = show
    return code


def _guarded(arguments: list[str], context: Context) -> int:
    """Run the command and return its exit code; an error becomes one line."""
    out = context.out
    try:
        return _run(arguments, context)
    except SystemExit as leave:  # argparse, after --help
        return leave.code if isinstance(leave.code, int) else 0
    except KeyboardInterrupt:
        out.error("interrupted")
        return INTERRUPTED
    except vidpoll.VidpollError as error:
        _debug()
        out.error(advised(error, argparse.Namespace()))
        return code_of(error)
    except Exception as error:  # noqa: BLE001 - even a bug must not print a traceback by default
        _debug()
        said = redact.text(f"{type(error).__name__}: {error}")
        out.error(f"a bug in vidpoll or in a plugin: {said}; VIDPOLL_DEBUG=1 shows where")
        return NOT_COMPLETED


def _run(arguments: list[str], context: Context) -> int:
    name = arguments[0] if arguments else ""
    if name in COMMANDS:
        return _command(COMMANDS[name], arguments[1:], context)
    if name == "--version":
        context.out.text("\n".join(versions()))
        return 0
    with context.client() as client:
        commands = {**COMMANDS, **_added(client, context.out)}
        if name in commands:
            return _command(commands[name], arguments[1:], context)
        if name in ("-h", "--help", ""):
            context.out.text(_help(commands))
            return 0 if name else USAGE
    close = similar(name, commands)
    meant = f" did you mean {close[0]!r}?" if close else ""
    raise vidpoll.UsageError(f"no command {redact.quoted(name, 60)}:{meant} see vidpoll --help")


def _command(command: Command, arguments: list[str], context: Context) -> int:
    parser = Parser(
        prog=f"vidpoll {command.name}",
        description=command.about,
        epilog=f"example:\n  {command.example}" if command.example else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.arguments(parser)
    _tell_details(command, parser, arguments, context)
    args = parser.parse(arguments)
    try:
        return command.run(args, context)
    except vidpoll.VidpollError as error:
        _debug()
        context.out.error(advised(with_account(error, args, context), args))
        return code_of(error)


def _tell_details(command: Command, parser: Parser, arguments: Sequence[str], context: Context) -> None:
    """Add the named account's details to the help: `vidpoll submit acme clip --help` lists the fields of `clip`."""
    rest = [each for each in arguments if each not in ("-h", "--help")]
    if command.details is None or len(rest) in (0, len(arguments)):
        return
    args = parser.parse(rest)
    kind = args.kind if args.kind and "=" not in args.kind else "KIND"
    example = f"example:\n  vidpoll {command.name} {shell.join([args.name, kind])} NAME=VALUE"
    parser.epilog = f"{command.details(args, context)}\n\n{example}"


def _added(client: vidpoll.Client, out: Output) -> dict[str, Command]:
    """The commands of plugins. A plugin that fails costs an error line, and the other plugins still register."""
    added: dict[str, Command] = {}

    def register(
        name: str,
        help: str,
        add_arguments: Callable[[argparse.ArgumentParser], object],
        run: Callable[[argparse.Namespace], int | None],
    ) -> None:
        if name in COMMANDS or name in added:
            raise vidpoll.PluginError(f"a command {name!r} already exists: choose another name")
        if not name or name.startswith("-") or not callable(add_arguments) or not callable(run):
            raise vidpoll.PluginError(
                "register(name, help, add_arguments, run): name must not be empty or begin with '-', "
                "and add_arguments and run must be functions"
            )
        added[name] = Command(name, help, add_arguments, lambda args, context: run(args) or 0)

    for wrong in client.add_commands(register):
        out.error(wrong)
    return added


def _help(commands: dict[str, Command]) -> str:
    wide = max(map(len, commands))
    lines = [f"  {command.name:<{wide}}  {command.help}" for command in commands.values()]
    title = "commands (vidpoll COMMAND --help explains one):"
    return "\n".join(["usage: vidpoll COMMAND [options]", "", ABOUT, "", title, *lines, "", CODES])


@contextmanager
def _warnings_as_lines(out: Output) -> Iterator[Any]:
    """Show each different warning of vidpoll (for example that a hook raised) once, on one line."""
    told: set[str] = set()

    def show(message: Warning | str, *where: object) -> None:
        del where
        if str(message) not in told:
            told.add(str(message))
            out.error(f"warning: {redact.text(message)}")

    with warnings.catch_warnings():
        for category in (UserWarning, RuntimeWarning):
            warnings.filterwarnings("always", category=category, module=r"vidpoll\b")
        put: Any = show
        warnings.showwarning = put
        yield put


@contextmanager
def _hooks_as_lines(out: Output) -> Iterator[None]:
    """With VIDPOLL_TRACE=1, print each hook call that vidpoll logs as a line on standard error."""
    if os.environ.get("VIDPOLL_TRACE", "") in ("", "0"):
        yield
        return
    log = logging.getLogger("vidpoll")
    handler, level = logging.Handler(), log.level
    handler.emit = lambda record: out.error(record.getMessage())  # type: ignore[method-assign]
    handler.addFilter(lambda record: record.levelno == logging.INFO)
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)


@contextmanager
def _tries_as_lines(out: Output) -> Iterator[None]:
    """Report retries of requests that are not polls (a list, a submit that was not sent) at once, with the reason."""
    log = logging.getLogger("vidpoll.again")
    handler, level = logging.Handler(), log.level
    handler.emit = lambda record: out.error(record.getMessage())  # type: ignore[method-assign]
    log.addHandler(handler)
    log.setLevel(logging.WARNING)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)


def _debug() -> None:
    if os.environ.get("VIDPOLL_DEBUG"):
        traceback.print_exc()
