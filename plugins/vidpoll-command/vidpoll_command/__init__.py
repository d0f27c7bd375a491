"""Commands on events for vidpoll: a command runs for each event that you name, in order, without delaying the wait.

    vidpoll.Client(plugins=[Command({"completed": ["notify-send", "{text}"]})])     # or VIDPOLL_ON_COMPLETED='…'

The command receives the event on standard input as one JSON object, and in the environment. A provider's text never
becomes a part of a command: no shell runs unless you ask for one, and then the event arrives only by these two ways.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import IO, Any

import vidpoll
from vidpoll import notify

log = logging.getLogger("vidpoll.command")

_INSIDE = re.compile(r"\{(event|ref|text|path)\}")
"""The permitted arguments. None of them begins with a provider's text, so none can be mistaken for an option."""


_OUTSIDE = re.compile(r"\{(at|cost|problem|progress|reason|stage|state|video)\}")
"""Fields of vidpoll-apprise's messages that a user may expect here: as an argument they are refused."""


class Command(notify.Listener):
    """Runs a command when an event happens: `Command({"completed": "say done", "failed": ["./tell", "{ref}"]})`.

    The events are those of `vidpoll.notify.NAMES`. A command is a list of arguments, or a text that is split as a shell
    would split it; an argument `{ref}`, `{text}`, `{event}` or, for `downloaded`, `{path}` is replaced. `shell=True`
    (not on Windows) passes the text unchanged to /bin/sh. A command that takes more than `timeout` seconds is killed,
    together with the processes that it started. `keys=True` leaves the keys of the providers in its environment. At
    the end of the process the queued commands have `at_exit` seconds left.

    Raises UsageError for an unknown event, and for a command that cannot be found.
    """

    def __init__(
        self,
        commands: Mapping[str, str | Sequence[str]],
        *,
        timeout: float = 60.0,
        shell: bool = False,
        keys: bool = False,
        at_exit: float = 10.0,
    ) -> None:
        self._timeout = timeout
        self._keys = keys
        self._shell = shell
        self._commands = {name: _checked(name, command, shell) for name, command in commands.items()}
        self._outbox = notify.Outbox(self._run, name="vidpoll-command", at_exit=at_exit)

    def hear(self, job: vidpoll.Job, event: vidpoll.Event) -> None:
        """Queue the command of this event, if there is one."""
        if notify.name_of(event) in self._commands:
            self._outbox.put(notify.plain(event), keep=notify.is_kept(event))

    def hear_batch(self, said: Mapping[str, Any]) -> None:
        """Queue the command of a batch's stop or end, if there is one."""
        if said["event"] in self._commands:
            self._outbox.put(said, keep=True)

    def flush(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds for the queued commands; True if all have ended."""
        return self._outbox.flush(timeout)

    def _run(self, events: Sequence[Mapping[str, Any]]) -> None:
        for said in events:
            command = self._commands[said["event"]]
            arguments = command if self._shell else [_filled(argument, said) for argument in command]
            _run(arguments, said, _environment(said, keys=self._keys), shell=self._shell, timeout=self._timeout)


@vidpoll.hookimpl
def vidpoll_notifiers(environ: Mapping[str, str]) -> Iterable[Command]:
    """The commands of `VIDPOLL_ON_COMPLETED` and so on, one worker for all clients of a process."""
    prefix = "VIDPOLL_ON_"
    commands = {name[len(prefix) :].lower(): environ[name] for name in environ if name.startswith(prefix)}
    commands = {name: command for name, command in commands.items() if command.strip()}
    if commands:
        timeout = environ.get("VIDPOLL_COMMAND_TIMEOUT", "60")
        if not re.fullmatch(r"\d{1,6}(\.\d+)?", timeout):
            raise vidpoll.UsageError(f"VIDPOLL_COMMAND_TIMEOUT must be seconds, like 60, got {timeout!r}")
        shell, keys = (environ.get(f"VIDPOLL_COMMAND_{name}", "") not in ("", "0") for name in ("SHELL", "KEYS"))
        yield _shared(tuple(sorted(commands.items())), float(timeout), shell, keys)


@cache
def _shared(commands: tuple[tuple[str, str], ...], timeout: float, shell: bool, keys: bool) -> Command:
    return Command(dict(commands), timeout=timeout, shell=shell, keys=keys)


def _checked(name: str, command: str | Sequence[str], shell: bool) -> str | Sequence[str]:
    who = f"the command on {name}"
    if name not in notify.NAMES:
        raise vidpoll.UsageError(f"{who}: no such event; the events are {', '.join(notify.NAMES)}")
    if shell:
        if os.name == "nt":
            raise vidpoll.UsageError(
                f"{who}: a shell cannot be used on Windows, because cmd.exe would run text of the event as a command"
            )
        if not isinstance(command, str) or _INSIDE.search(command):
            raise vidpoll.UsageError(f'{who}: with a shell it must be one text, with "$VIDPOLL_REF" instead of {{ref}}')
        return command
    try:
        arguments = _split(command) if isinstance(command, str) else [os.fspath(each) for each in command]
    except (TypeError, ValueError) as error:
        raise vidpoll.UsageError(f"{who} cannot be split into arguments: {error}") from None
    program = shutil.which(arguments[0]) if arguments else None
    if program is None:
        shown = arguments[0] if arguments else ""
        raise vidpoll.UsageError(f"{who}: the program {shown!r} was not found: give its path, or add it to PATH")
    _check_places(who, name, arguments, program)
    return [program, *arguments[1:]]


def _check_places(who: str, name: str, arguments: Sequence[str], program: str) -> None:
    """Raise UsageError for a field in braces that would not be replaced, or must not be."""
    for argument in arguments:
        if _OUTSIDE.fullmatch(argument):
            raise vidpoll.UsageError(
                f"{who}: {argument} cannot be an argument: use {{event}}, {{ref}}, {{text}} or {{path}}, or read the "
                "event from standard input"
            )
    used = [found for argument in arguments for found in _INSIDE.findall(argument)]
    if any(_INSIDE.search(argument) and not _INSIDE.fullmatch(argument) for argument in arguments):
        raise vidpoll.UsageError(
            f"{who}: {{{used[0]}}} must be an argument of its own; inside a text use $VIDPOLL_{used[0].upper()}"
        )
    if used and program.lower().endswith((".bat", ".cmd")):
        raise vidpoll.UsageError(f"{who}: cmd.exe would run {{{used[0]}}} as a command: read standard input instead")
    if "path" in used and name != "downloaded":
        raise vidpoll.UsageError(f"{who}: only the event downloaded has {{path}}")


def _split(command: str) -> list[str]:
    if os.name != "nt":
        return shlex.split(command)
    parts = shlex.split(command, posix=False)  # keeps the backslashes of paths, but also the quotes: remove them here
    return [part[1:-1] if len(part) > 1 and part[0] == part[-1] and part[0] in "\"'" else part for part in parts]


def _filled(argument: str, said: Mapping[str, Any]) -> str:
    return str(said.get(argument[1:-1], "")) if _INSIDE.fullmatch(argument) else argument


def _environment(said: Mapping[str, Any], *, keys: bool) -> dict[str, str]:
    """This process's, without secrets and without commands: a command that runs vidpoll would start itself again."""
    secret = frozenset() if keys else notify.key_variables() | {"VIDPOLL_APPRISE_URLS"}
    kept = (name for name in os.environ if not name.startswith("VIDPOLL_ON_") and name not in secret)
    environment = {name: os.environ[name] for name in kept}
    for name, value in said.items():
        for inner, part in value.items() if isinstance(value, dict) else [("", value)]:
            if part is not None and not isinstance(part, (dict, list)):
                shown = str(part).lower() if isinstance(part, bool) else str(part)
                variable = re.sub(r"[^A-Z0-9]+", "_", f"VIDPOLL_{name}_{inner}".upper()).rstrip("_")
                environment[variable] = shown
    return environment


def _run(
    command: str | Sequence[str], said: Mapping[str, Any], environment: dict[str, str], *, shell: bool, timeout: float
) -> None:
    """Run one command to its end. Raises CommandFailed for an exit code other than 0, and for a timeout."""
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as errors:  # files, because a pipe can block
        given.write(json.dumps(said, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n")
        given.seek(0)
        process = subprocess.Popen(
            command,
            shell=shell,
            stdin=given,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env=environment,
            start_new_session=os.name != "nt",  # a process group of its own, so that it can be killed as a whole
        )
        what = f"{said['event']} of {said['ref']}: the command"
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            _kill(process)
            raise CommandFailed(f"{what} took more than {timeout:g} s and was killed{_last(errors)}") from None
        except BaseException:
            _kill(process)
            raise
        if code:
            raise CommandFailed(f"{what} ended with exit code {code}{_last(errors)}")
        log.info("%s ended with exit code 0", what)


def _kill(process: subprocess.Popen[bytes]) -> None:
    if os.name == "nt":
        process.kill()
    else:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # the process has just ended by itself
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _last(errors: IO[bytes]) -> str:
    """ ": " and the last line of the command's standard error; empty if there is none."""
    errors.seek(0, os.SEEK_END)
    errors.seek(max(errors.tell() - 2000, 0))
    lines = errors.read().decode("utf-8", "replace").split("\n")
    said = [line.strip() for line in lines if line.strip()]
    return f": {said[-1]}" if said else ""


class CommandFailed(Exception):
    """A command failed. vidpoll logs it and warns; a caller need not catch it."""
