"""Commands on events for vidpoll: one is run for each event that you name, in order, beside the wait.

    vidpoll.Client(plugins=[Command({"completed": ["notify-send", "{text}"]})])     # or VIDPOLL_ON_COMPLETED='…'

The event comes on standard input as one JSON object, and in the environment. What a provider wrote is never a part of
a command: there is no shell unless it is asked for, and then the event comes by these two ways only.
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
"""What may stand as an argument. None of them begins with a provider's words, so none can be taken for an option."""


_OUTSIDE = re.compile(r"\{(at|cost|problem|progress|reason|stage|state|video)\}")
"""What somebody may expect to stand as an argument, too: a message of vidpoll-apprise has such fields."""


class Command(notify.Listener):
    """Runs a command when an event comes: `Command({"completed": "say done", "failed": ["./tell", "{ref}"]})`.

    The events are those of `vidpoll.notify.NAMES`. A command is a list of arguments, or a text that is split as a shell
    would split it; an argument `{ref}`, `{text}`, `{event}` or, for `downloaded`, `{path}` is replaced. `shell=True`
    (not on Windows) hands the text to /bin/sh as it is. One that takes more than `timeout` seconds is killed with what
    it started. `keys=True` leaves the keys of the providers in its environment. At the end of the process those that
    wait have `at_exit` seconds left.

    Raises UsageError for an event that there is not, and for a command that cannot be found.
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
        """Wait at most `timeout` seconds for the commands that are queued; True when all have ended."""
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
            raise vidpoll.UsageError(f"VIDPOLL_COMMAND_TIMEOUT={timeout!r}: seconds, like 60")
        shell, keys = (environ.get(f"VIDPOLL_COMMAND_{name}", "") not in ("", "0") for name in ("SHELL", "KEYS"))
        yield _shared(tuple(sorted(commands.items())), float(timeout), shell, keys)


@cache
def _shared(commands: tuple[tuple[str, str], ...], timeout: float, shell: bool, keys: bool) -> Command:
    return Command(dict(commands), timeout=timeout, shell=shell, keys=keys)


def _checked(name: str, command: str | Sequence[str], shell: bool) -> str | Sequence[str]:
    who = f"the command on {name}"
    if name not in notify.NAMES:
        raise vidpoll.UsageError(f"{who}: there is no such event; events: {', '.join(notify.NAMES)}")
    if shell:
        if os.name == "nt":
            raise vidpoll.UsageError(f"{who}: no shell on Windows, where cmd.exe would read the event as a command")
        if not isinstance(command, str) or _INSIDE.search(command):
            raise vidpoll.UsageError(f'{who}: for a shell write one text, with "$VIDPOLL_REF" in place of {{ref}}')
        return command
    try:
        arguments = _split(command) if isinstance(command, str) else [os.fspath(each) for each in command]
    except (TypeError, ValueError) as error:
        raise vidpoll.UsageError(f"{who} cannot be split: {error}") from None
    program = shutil.which(arguments[0]) if arguments else None
    if program is None:
        shown = arguments[0] if arguments else ""
        raise vidpoll.UsageError(f"{who}: {shown!r} is no program that can be run; is it on the PATH?")
    _check_places(who, name, arguments, program)
    return [program, *arguments[1:]]


def _check_places(who: str, name: str, arguments: Sequence[str], program: str) -> None:
    """Raise UsageError where something in braces would not be replaced, or should not be."""
    for argument in arguments:
        if _OUTSIDE.fullmatch(argument):
            raise vidpoll.UsageError(
                f"{who}: {argument} is no argument; {{event}}, {{ref}}, {{text}} and {{path}} are, "
                "and standard input has all"
            )
    used = [found for argument in arguments for found in _INSIDE.findall(argument)]
    if any(_INSIDE.search(argument) and not _INSIDE.fullmatch(argument) for argument in arguments):
        raise vidpoll.UsageError(f"{who}: {{{used[0]}}} is an argument of its own, or write $VIDPOLL_{used[0].upper()}")
    if used and program.lower().endswith((".bat", ".cmd")):
        raise vidpoll.UsageError(f"{who}: cmd.exe would read {{{used[0]}}} as a command; read standard input instead")
    if "path" in used and name != "downloaded":
        raise vidpoll.UsageError(f"{who}: {{path}} is there on downloaded only")


def _split(command: str) -> list[str]:
    if os.name != "nt":
        return shlex.split(command)
    parts = shlex.split(command, posix=False)  # backslashes are part of a path; quotes stay on and are taken off here
    return [part[1:-1] if len(part) > 1 and part[0] == part[-1] and part[0] in "\"'" else part for part in parts]


def _filled(argument: str, said: Mapping[str, Any]) -> str:
    return str(said.get(argument[1:-1], "")) if _INSIDE.fullmatch(argument) else argument


def _environment(said: Mapping[str, Any], *, keys: bool) -> dict[str, str]:
    """Ours, without the commands (one that runs vidpoll would start itself again, and again) and without secrets."""
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
    """Run one command to its end. Raises CommandFailed where that is no good one."""
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as errors:  # no pipe: nothing can block on one
        given.write(json.dumps(said, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n")
        given.seek(0)
        process = subprocess.Popen(
            command,
            shell=shell,
            stdin=given,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env=environment,
            start_new_session=os.name != "nt",  # a group of its own, which can be killed as a whole
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
        with contextlib.suppress(ProcessLookupError, PermissionError):  # it has just ended by itself
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _last(errors: IO[bytes]) -> str:
    """What the command said last on standard error."""
    errors.seek(0, os.SEEK_END)
    errors.seek(max(errors.tell() - 2000, 0))
    lines = errors.read().decode("utf-8", "replace").split("\n")
    said = [line.strip() for line in lines if line.strip()]
    return f": {said[-1]}" if said else ""


class CommandFailed(Exception):
    """A command could not do its work; it is logged and warned of, and nobody has to catch it."""
