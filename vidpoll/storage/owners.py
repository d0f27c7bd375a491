"""Whether the owner of a lease is still there. An owner is `host|process|client`.

A process of this host can be checked. On Windows, and for another host (a restarted container is one), time decides.
"""

from __future__ import annotations

import contextlib
import os
import platform
from pathlib import Path

AWAY = 600.0
"""An owner whose process cannot be checked is presumed dead after this many seconds."""

REUSED = 86400.0
"""After this many seconds a process that is there is presumed to be another one: its number was given anew."""


def here() -> str:
    """This host, and on Linux the start of the system and the room of its process ids: a container is a host."""
    parts = [platform.node()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip())
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return "/".join(parts).replace("|", "-")


def gone(owner: str, host: str, silent: float) -> bool:
    """Whether an owner is dead, seen from `host`, when it has been silent for so many seconds."""
    its_host, pid, _ = owner.rsplit("|", 2)
    is_alive = alive(int(pid)) if its_host == host else None
    return is_alive is False or silent > (AWAY if is_alive is None else REUSED)


def alive(pid: int) -> bool | None:
    """Whether a process of this host is there; None where nobody can tell (Windows): its lease ends by itself."""
    if os.name != "posix":
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
