"""Warnings at the line that calls vidpoll, where a reader can do something about them."""

from __future__ import annotations

import inspect
import warnings


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the first line outside of vidpoll, or at one of its command line. It never raises."""
    frame, level = inspect.currentframe(), 1
    while frame is not None and _is_inside(frame.f_globals.get("__name__", "")):
        frame, level = frame.f_back, level + 1
    try:
        warnings.warn(message, category, stacklevel=level)
    except Warning:  # warnings are errors in this process; a wait continues
        return


def _is_inside(module: str) -> bool:
    """Whether it is a module of vidpoll; contextlib enters vidpoll's own contexts."""
    package, _, rest = module.partition(".")
    return package in ("vidpoll", "contextlib") and rest.partition(".")[0] != "cli"
