"""Whether the owner of a lease is still there. An owner is `host|process|client`; a process is `number@start`.

A process of this host can be checked, and outranks the clock, which may be set. Of one in another container of this
machine it is known when it is gone (see `presence`). On Windows, and for another machine, time decides.
"""

from __future__ import annotations

import contextlib
import os
import platform
from functools import cache
from pathlib import Path

PRESENT = "+"
"""What the name of an owner ends with that locks a byte while it is there (see `presence`)."""

AWAY = 600.0
"""An owner whose process cannot be checked is presumed dead after this many seconds."""

REUSED = 86400.0
"""After this many seconds a process of unknown start (no /proc) is presumed to be another one of that number."""

HUNG = 3600.0
"""Seconds for which a process that runs is believed beyond its lease: a clock was set, or it really hangs."""


def here() -> str:
    """This host, and on Linux the start of the system and the room of its process ids: a container is a host."""
    parts = [platform.node()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip())
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return "/".join(parts).replace("|", "-")


def me() -> str:
    """This process, as an owner names it."""
    return _named(os.getpid())


@cache
def _named(pid: int) -> str:
    _, start = _stat(pid)
    return f"{pid}@{start}" if start else str(pid)


def beside(owner: str, host: str) -> bool:
    """Whether an owner runs, or ran, on this machine, but in another room of process ids: in another container."""
    its_host = owner.rsplit("|", 2)[0]
    theirs, ours = its_host.split("/"), host.split("/")
    return its_host != host and len(theirs) == len(ours) == 3 and theirs[1] == ours[1]


def dead(owner: str, host: str) -> bool:
    """Whether the process of an owner is known not to be there any more, seen from `host`."""
    its_host, process, _ = owner.rsplit("|", 2)
    pid, _, start = process.partition("@")
    return its_host == host and alive(int(pid), start) is False


def gone(owner: str, host: str, silent: float) -> bool:
    """Whether an owner is dead, seen from `host`, when it has been silent for so many seconds."""
    its_host, process, _ = owner.rsplit("|", 2)
    pid, _, start = process.partition("@")
    is_alive = alive(int(pid), start) if its_host == host else None
    if is_alive and start and process != me():  # of the clients of this process nobody knows which is gone
        return False
    return is_alive is False or silent > (AWAY if is_alive is None else REUSED)


def busy(owner: str, host: str, late: float) -> bool:
    """Whether an owner may still be at it although its lease ended `late` seconds ago by our clock.

    That is another process of this host that runs; one that was stopped (Ctrl-Z) does not.
    """
    its_host, process, _ = owner.rsplit("|", 2)
    pid, _, start = process.partition("@")
    if its_host != host or not start or process == me() or late > HUNG:
        return False
    return bool(alive(int(pid), start)) and _stat(int(pid))[0] not in "Tt"


def alive(pid: int, start: str = "") -> bool | None:
    """Whether a process of this host is there, the one that began at `start` where that is known.

    None where nobody can tell (Windows): its lease ends by itself.
    """
    if os.name != "posix":
        return None
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        pass
    state, began = _stat(pid)
    return state not in ("Z", "X") and (not start or not began or start == began)


def _stat(pid: int) -> tuple[str, str]:
    """The state of a process (R, S, T, Z …) and its start, in ticks since the system's; empty where /proc is not."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        fields = text.rpartition(")")[2].split()  # its name, in parentheses, may hold anything
        return fields[0], fields[19]
    except (OSError, IndexError):
        return "", ""
