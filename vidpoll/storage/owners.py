"""Whether the owner of a lease is still alive. An owner is `host|process|client`; a process is `number@start`.

A process of this host can be checked, which overrides the clock, because clocks may be set. A process in another
container of this machine is noticed when it ends (see `presence`). On Windows, and for other machines, time decides.
"""

from __future__ import annotations

import contextlib
import os
import platform
from functools import cache
from pathlib import Path

PRESENT = "+"
"""The end of the name of an owner that locks a byte while it is alive (see `presence`)."""

AWAY = 600.0
"""An owner whose process cannot be checked is presumed dead after this many seconds."""

REUSED = 86400.0
"""After this many seconds, a process of unknown start time (no /proc) is presumed to be another with that number."""

HUNG = 3600.0
"""Seconds after the end of its lease for which a running process still counts as the owner: a clock may be wrong."""


def here() -> str:
    """This host; on Linux with the boot id and the pid namespace, so that each container is a host."""
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
    """Whether an owner runs, or ran, on this machine but in another pid namespace: in another container."""
    its_host = owner.rsplit("|", 2)[0]
    theirs, ours = its_host.split("/"), host.split("/")
    return its_host != host and len(theirs) == len(ours) == 3 and theirs[1] == ours[1]


def dead(owner: str, host: str) -> bool:
    """Whether the process of an owner is known to be gone, seen from `host`."""
    its_host, process, _ = owner.rsplit("|", 2)
    pid, _, start = process.partition("@")
    return its_host == host and alive(int(pid), start) is False


def gone(owner: str, host: str, silent: float) -> bool:
    """Whether an owner is dead, seen from `host`, after `silent` seconds without a sign of life."""
    its_host, process, _ = owner.rsplit("|", 2)
    pid, _, start = process.partition("@")
    is_alive = alive(int(pid), start) if its_host == host else None
    if is_alive and start and process != me():  # among the clients of this process, it is unknown which is gone
        return False
    return is_alive is False or silent > (AWAY if is_alive is None else REUSED)


def busy(owner: str, host: str, late: float) -> bool:
    """Whether an owner may still be working although its lease ended `late` seconds ago by our clock.

    That is so for another running process of this host, but not for a stopped one (Ctrl-Z).
    """
    its_host, process, _ = owner.rsplit("|", 2)
    pid, _, start = process.partition("@")
    if its_host != host or not start or process == me() or late > HUNG:
        return False
    return bool(alive(int(pid), start)) and _stat(int(pid))[0] not in "Tt"


def alive(pid: int, start: str = "") -> bool | None:
    """Whether a process of this host is alive; if `start` is given, the process that began then.

    None if that cannot be checked (Windows): then the lease expires.
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
    """The state of a process (R, S, T, Z …) and its start, in ticks since boot; empty without /proc."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        fields = text.rpartition(")")[2].split()  # its name, in parentheses, may hold anything
        return fields[0], fields[19]
    except (OSError, IndexError):
        return "", ""
