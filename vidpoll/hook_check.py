"""Checks a plugin's functions when it is registered: their marks and their signatures. It does not use pluggy."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from types import ModuleType

from .errors import PluginError
from .similar import similar

_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


PLAIN = "write a plain def; to run a coroutine from it, call asyncio.run_coroutine_threadsafe(coroutine, loop)"
"""The way out for a function that is async."""


def is_async(function: object) -> bool:
    """Whether a call of a function, or of an object, gives a coroutine or an async generator, which does nothing."""
    called = (function, getattr(function, "__call__", None))  # noqa: B004 - an object may have an async one
    return any(inspect.iscoroutinefunction(each) or inspect.isasyncgenfunction(each) for each in called)


def check_implementation(who: str, function: Callable[..., object], spec: Callable[..., object]) -> None:
    """Raise PluginError unless `function` can be called as the hook `spec`: `who` is its name, for the message.

    Refused are an `async def`, a method without `self`, a parameter that the hook does not have, and one with a
    default, because pluggy never gives it a value.
    """
    takes = inspect.signature(spec).parameters
    listed = ", ".join(takes)
    if is_async(function):
        raise PluginError(f"{who} is async, but a hook is called without await: {PLAIN}")
    if inspect.ismethod(function):
        first = next(iter(inspect.signature(function.__func__).parameters), None)
        if first is None or first in takes:
            own = ", ".join(filter(None, ("self", listed)))
            raise PluginError(f"{who} is a method without self: write def {function.__name__}({own})")
    for name, given in inspect.signature(function).parameters.items():
        if given.kind in _VARIADIC:
            continue
        if name not in takes:
            of_class = "; if it is a method, name an instance of its class" if name == "self" else ""
            raise PluginError(f"{who} takes {listed or 'no parameters'}; it has no {name!r}{of_class}")
        if given.default is not given.empty:
            raise PluginError(f"{who}: {name!r} must have no default, because a parameter with one gets no value")


def is_marked(thing: object, name: str) -> bool:
    """Whether the function of that name is marked with `@vidpoll.hookimpl`. Other objects are not looked into."""
    function = getattr(thing, name, None)
    return inspect.isroutine(function) and hasattr(function, "vidpoll_impl")


def has_marked(thing: object) -> bool:
    """Whether any function of a plugin is marked."""
    return any(is_marked(thing, name) for name in dir(thing))


def in_module(plugin: object) -> tuple[list[str], list[str]]:
    """The names of a module's objects with marked functions, and those of its own classes with marked functions."""
    if not isinstance(plugin, ModuleType):
        return [], []
    things = [(name, thing) for name, thing in vars(plugin).items() if not name.startswith("__")]
    marked = [(name, thing) for name, thing in things if has_marked(thing if inspect.isclass(thing) else type(thing))]
    objects = [name for name, thing in marked if not inspect.isclass(thing)]
    return objects, [name for name, thing in marked if getattr(thing, "__module__", "") == plugin.__name__]


def nothing_marked(plugin: object, entry: str, hooks: Collection[str]) -> str:
    """Why no function of an installed plugin is called, and the way out; empty if one is marked.

    `entry` is the name of its entry point, `hooks` are the names of all hooks.
    """
    if has_marked(plugin):
        return ""
    alike = [name for name in dir(plugin) if name.startswith("vidpoll_") and callable(getattr(plugin, name, None))]
    if alike:
        return "; ".join(
            f"{name} is not called: mark it with @vidpoll.hookimpl{_renamed(name, hooks)}" for name in alike
        )
    if not isinstance(plugin, ModuleType):
        return f"no function of its {type(plugin).__name__} is marked with @vidpoll.hookimpl"
    said = f"no function in the module {plugin.__name__} is marked with @vidpoll.hookimpl"
    objects, classes = in_module(plugin)
    if objects:
        return f'{said}; it has the object {objects[0]}: name that ({entry} = "{plugin.__name__}:{objects[0]}")'
    if classes:
        own = classes[0].lower()
        way = f'add {own} = {classes[0]}() to it, and name that object ({entry} = "{plugin.__name__}:{own}")'
        return f"{said}; it has the class {classes[0]}: {way}"
    return said


def _renamed(name: str, hooks: Collection[str]) -> str:
    """What a function whose name is not that of a hook should be called, if that is clear."""
    close = [] if name in hooks else similar(name, hooks)
    return f" and name it {close[0]}" if close else ""
