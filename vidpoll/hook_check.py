"""Checks the signature of a hook's implementation, when its plugin is registered. It does not use pluggy."""

from __future__ import annotations

import inspect
from collections.abc import Callable

from .errors import PluginError

_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def check_implementation(who: str, function: Callable[..., object], spec: Callable[..., object]) -> None:
    """Raise PluginError unless `function` can be called as the hook `spec`: `who` is its name, for the message.

    Refused are an `async def`, a method without `self`, a parameter that the hook does not have, and one with a
    default, because pluggy never gives it a value.
    """
    takes = inspect.signature(spec).parameters
    listed = ", ".join(takes)
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise PluginError(
            f"{who} is async, but a hook is called without await: write a plain def; to run a coroutine from it, call "
            "asyncio.run_coroutine_threadsafe(coroutine, loop)"
        )
    if inspect.ismethod(function):
        first = next(iter(inspect.signature(function.__func__).parameters), None)
        if first is None or first in takes:
            own = ", ".join(filter(None, ("self", listed)))
            raise PluginError(f"{who} is a method without self: write def {function.__name__}({own})")
    for name, given in inspect.signature(function).parameters.items():
        if given.kind in _VARIADIC:
            continue
        if name not in takes:
            raise PluginError(f"{who} takes {listed or 'no parameters'}; it has no {name!r}")
        if given.default is not given.empty:
            raise PluginError(f"{who}: {name!r} must have no default, because a parameter with one gets no value")
