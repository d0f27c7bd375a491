"""The versions that a bug report needs. Read from the installed distributions; nothing of theirs is imported."""

from __future__ import annotations

import platform
from importlib import metadata

import vidpoll

PACK = "vidpoll-providers"


def versions() -> list[str]:
    """A line for each: vidpoll, the providers, what both stand on, Python, and the platform."""
    found = [f"{name} {version_of(name)}" for name in (PACK, "requests", "urllib3", "pluggy")]
    python = f"Python {platform.python_version()} ({platform.python_implementation()})"
    return [f"vidpoll {vidpoll.__version__}", *found, python, f"platform {platform.platform()}"]


def version_of(distribution: str) -> str:
    """Its version, or that it is not installed."""
    try:
        return metadata.version(distribution) or "of no known version"
    except Exception:  # noqa: BLE001 - what is broken about an installation must not hide the rest
        return "not installed"
