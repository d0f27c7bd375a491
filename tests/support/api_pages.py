"""Makes docs/api.md and a page for each wing from the docstrings. `python tests/test_docs.py` writes them."""

from __future__ import annotations

import enum
import inspect
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import vidpoll
import vidpoll.testing
from vidpoll import declare, errors, parsing
from vidpoll.testing import fixtures


class Page(NamedTuple):
    """One page: its title, what it says first, and the modules of vidpoll whose public names stand on it."""

    title: str
    about: str
    modules: tuple[str, ...]


PAGES = {
    "client": Page(
        "Waiting",
        "The client, and the functions that need no client. Times are seconds, moments are Unix seconds.",
        ("client", "shortcuts", "stepping", "serving", "storage.dumps", "webhooks"),
    ),
    "jobs": Page(
        "Jobs, events, responses",
        "The values of the core: a job, its events, and what a response says about it.",
        ("job", "job_state", "events", "model", "price"),
    ),
    "errors": Page("Errors", "", ("errors",)),
    "pacing": Page("Pacing", "Schedules: when a job is polled next. All are pure arithmetic.", ("pacing",)),
    "accounts": Page(
        "Accounts", "Where a provider is reached, with which key, and whether it responds.", ("net", "polling")
    ),
    "storage": Page(
        "Kept jobs", "What survives a crash. [keeping-jobs.md](../keeping-jobs.md) is the guide.", ("storage",)
    ),
    "batch": Page(
        "Batches", "What `Client.batch` returns and reports. [batch.md](../batch.md) is the guide.", ("batch",)
    ),
    "providers": Page(
        "Providers and plugins",
        "What a plugin is made of. [writing-a-provider.md](../writing-a-provider.md) leads through it, "
        "[hooks.md](../hooks.md) has every hook.",
        ("provider", "plugins", "hookspecs", "pluggy"),
    ),
    "parsing": Page("vidpoll.parsing", "", ()),
    "declare": Page("vidpoll.declare", "", ()),
    "testing": Page("vidpoll.testing", "", ()),
}
"""The names of vidpoll's own root by the modules in which they live; the last three pages are modules of their own."""

WRITTEN = "<!-- Written from the docstrings by `python tests/test_docs.py`. -->"
INTRO = """All of these are names of `vidpoll`; those of `parsing`, `declare` and `testing` come last. Times are in
seconds, moments in Unix seconds. The hooks have a page of their own: [hooks.md](hooks.md)."""
NOT_PUBLIC = {
    "Job": {
        "give_up", "listed", "receive", "receive_no_news", "receive_unknown", "recorded", "restore", "saved", "settle",
        "stepped", "submitted", "verdict",
    },
    "KeptJob": {"known"},
}  # fmt: skip
"""By class: the members that only vidpoll itself uses; no page has them."""
WIDTH = 100
PLAIN = (bool, int, float, str, tuple)


def page(name: str) -> str:
    """The whole text of one page."""
    this = PAGES[name]
    parts = [f"# {this.title}", WRITTEN]
    parts += {"errors": _errors, "parsing": _parsing, "declare": _declare, "testing": _testing}.get(
        name, lambda: [this.about]
    )()
    for each, thing, prefix in names(name):
        parts += entry(each, thing, prefix)
    return "\n\n".join([*parts, *(_fixture() if name == "testing" else [])]) + "\n"


def index() -> str:
    """The page that leads to all names."""
    parts = ["# The public names", WRITTEN, INTRO]
    for name, this in PAGES.items():
        rows = [f"| [`{each}`](api/{name}.md#{each.lower()}) | {first(thing)} |" for each, thing, _ in names(name)]
        parts += [f"## [{this.title}](api/{name}.md)", "\n".join(["| name | is |", "| --- | --- |", *rows])]
    return "\n\n".join(parts) + "\n"


def names(name: str) -> list[tuple[str, Any, str]]:
    """What stands on a page: the name, the thing, and what is written before the name."""
    if name == "parsing":
        own = [each for each in vars(parsing).values() if getattr(each, "__module__", "") == parsing.__name__]
        found = [each.__name__ for each in own if inspect.isfunction(each) and not each.__name__.startswith("_")]
        return [(each, getattr(parsing, each), "parsing.") for each in sorted(found)]
    if name in ("declare", "testing"):
        room = {"declare": declare, "testing": vidpoll.testing}[name]
        return [(each, getattr(room, each), f"{name}.") for each in sorted(room.__all__)]
    found = [each for each in vidpoll.__all__ if page_of(each) == name]
    return [(each, getattr(vidpoll, each), "vidpoll.") for each in (sorted(found) if name == "errors" else found)]


def page_of(name: str) -> str | None:
    """The page of a name of `vidpoll`; None for a module. Raises LookupError where no page has its module."""
    thing = getattr(vidpoll, name)
    if inspect.ismodule(thing):
        return None
    if name == "LATER":  # a value has no module
        return "providers"
    home = thing.__module__.removeprefix("vidpoll.")
    for each, this in PAGES.items():
        if any(f"{home}.".startswith(f"{module}.") for module in this.modules):
            return each
    raise LookupError(f"no page has the names of {home}: add it to PAGES")


def first(thing: object) -> str:
    """The first sentence or two: the first paragraph of the docstring, as one line."""
    if thing is vidpoll.hookimpl:
        return HOOKIMPL
    return " ".join(lines(thing).partition("\n\n")[0].split()).replace("|", "\\|")


HOOKIMPL = "Marks a function as the implementation of a hook: `@vidpoll.hookimpl`."


def call(thing: Any) -> str:
    """The parameters of a call, with those defaults that a person can read."""
    return f"({', '.join(_parameters(thing))})" if _called(thing) else ""


def _called(thing: Any) -> bool:
    return callable(thing) and not (isinstance(thing, type) and issubclass(thing, enum.Enum))


def _parameters(thing: Any) -> list[str]:
    parameters = [each for each in inspect.signature(thing).parameters.values() if each.name not in ("self", "cls")]
    shown, before = [], None
    for each in parameters:
        if before is not None and before.kind is each.POSITIONAL_ONLY is not each.kind:
            shown.append("/")
        if each.kind is each.KEYWORD_ONLY and (before is None or before.kind < each.VAR_POSITIONAL):
            shown.append("*")
        shown.append(_parameter(each))
        before = each
    return shown + (["/"] if before is not None and before.kind is before.POSITIONAL_ONLY else [])


def _parameter(each: inspect.Parameter) -> str:
    name = {each.VAR_POSITIONAL: "*", each.VAR_KEYWORD: "**"}.get(each.kind, "") + each.name
    if each.default is each.empty:
        return name
    plain = each.default is None or isinstance(each.default, PLAIN)
    return f"{name}={each.default!r}" if plain else f"{name}=…"


def signature(name: str, thing: Any) -> str:
    """A call as a block: one line, or a line each parameter."""
    line = f"{name}{call(thing)}"
    if len(line) <= WIDTH:
        return line
    return "\n".join([f"{name}(", *(f"    {each}," for each in _parameters(thing)), ")"])


def lines(thing: object) -> str:
    """The whole docstring, without examples that stand apart; those at a prompt as code."""
    said = (inspect.getdoc(thing) or "").partition("\n\nExample::")[0].strip().split("\n\n")
    return "\n\n".join(f"```pycon\n{part}\n```" if part.startswith(">>>") else part for part in said)


def entry(name: str, thing: Any, prefix: str) -> Iterator[str]:
    """The heading of a name, how it is called, its docstring and its members."""
    yield f"## {name}"
    if thing is vidpoll.hookimpl:
        yield HOOKIMPL
        return
    if _called(thing):
        yield f"```text\n{signature(prefix + name, thing)}\n```"
    yield lines(thing)
    if isinstance(thing, type) and issubclass(thing, enum.Enum):
        yield " ".join(f"`{each.name}`" for each in thing)
    elif isinstance(thing, type) and not issubclass(thing, BaseException) and (rows := list(_members(thing))):
        yield "\n".join(rows)
        for member, inner in _public(thing):
            if "\n\n" in lines(inner):  # it has more to say than its line above
                yield f"### {name}.{member}"
                yield from [f"```text\n{signature(member, inner)}\n```"] if inspect.isfunction(inner) else ()
                yield lines(inner)


def _public(thing: type) -> Iterator[tuple[str, Any]]:
    """The methods and properties of a class that have a docstring."""
    members = {name: value for room in reversed(thing.__mro__) for name, value in vars(room).items()}
    for member, value in sorted(members.items()):
        inner = value.__func__ if isinstance(value, (classmethod, staticmethod)) else value
        hidden = member.startswith(("_", "test_")) or member in NOT_PUBLIC.get(thing.__name__, ())
        public = not hidden and (inspect.isfunction(inner) or isinstance(value, property))
        if public and inspect.getdoc(inner):
            yield member, inner


def _members(thing: type) -> Iterator[str]:
    for member, inner in _public(thing):
        shown = f"{member}{call(inner)}" if inspect.isfunction(inner) else member
        yield f"- `{shown}`: {first(inner)}"


def _errors() -> list[str]:
    return [f"```text\n{(inspect.getdoc(errors) or '').partition(chr(10) * 2)[2]}\n```"]


def _parsing() -> list[str]:
    return [lines(parsing)]


def _declare() -> list[str]:
    return [lines(declare)]


def _testing() -> list[str]:
    return [lines(vidpoll.testing).partition("\n\n")[0]]


def _fixture() -> list[str]:
    """The pytest fixture, which is no name but a plugin of pytest's; its example stands four spaces deep."""
    fixture = fixtures.vidpoll_simulator
    text = inspect.getdoc(getattr(fixture, "__wrapped__", None) or fixture._get_wrapped_function()) or ""
    text = text.replace("Example::\n\n", "```python\n").replace("\n\nTo simulate", "\n```\n\nTo simulate")
    block = re.compile(r"```python\n(.*?)```", re.DOTALL)
    said = block.sub(lambda found: f"```python\n{inspect.cleandoc(found[1])}\n```", text)
    return ["## The pytest fixture `vidpoll_simulator`", said]
