"""The versions that a bug report needs, read from the installed distributions without importing them."""

from __future__ import annotations

import platform
from importlib import metadata

import vidpoll
from vidpoll.installing import PACK


def versions() -> list[str]:
    """One line each for vidpoll, the providers, their dependencies, Python and the platform."""
    found = [f"{name} {version_of(name)}" for name in (PACK, "requests", "urllib3", "pluggy")]
    python = f"Python {platform.python_version()} ({platform.python_implementation()})"
    return [f"vidpoll {vidpoll.__version__}", *found, python, f"platform {platform.platform()}"]


def version_of(distribution: str) -> str:
    """The version of a distribution, or "not installed"."""
    try:
        return metadata.version(distribution) or "of no known version"
    except Exception:  # noqa: BLE001 - a broken installation must not hide the rest
        return "not installed"
