"""The category of a refusal or a failed job, by code, text or HTTP status, and whether the provider charges for it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple, TypeVar

from .. import parsing
from ..errors import KINDS, Malformed, PluginError
from ..model import Problem, Response
from .paths import Where, check_where, find

T = TypeVar("T")

Words = Mapping[str, "str | Mapping[str, str]"]
Patterns = tuple[tuple[re.Pattern[str], str], ...]


def refusals(
    codes: Words | None = None,
    *,
    texts: Mapping[str, str] | None = None,
    statuses: Mapping[int, str] | None = None,
    charged: Mapping[str, bool] | None = None,
    code: Where = "",
    message: Where = "",
    read: Callable[[Response], Problem] = parsing.problem,
) -> Callable[[Response], Problem]:
    """For `Provider(error=…)`: the kind of a refusal by its code, else by its text, else by its HTTP status.

    `codes` maps codes, as text, to keys of `errors.KINDS`: a category, "permission", "not found" or "conflict". The
    beginning of a code with dots is enough; a code with several meanings maps to a table of texts. `texts` maps
    patterns, which are searched for in the reason, in any case, but not in the reason of a 5xx: such a submit may have
    been received, whatever the words. A refusal that no table names has the kind of its HTTP status. `charged` maps
    codes, kinds, or "" (all others) to whether the provider keeps money for it. `code` and `message` are the paths of
    the code and the reason, if `parsing.problem` does not find them; `read`, a function in its place, makes the Problem
    from the response. Raises PluginError for an unknown kind, an invalid pattern or an invalid path.

    >>> codes = {"1113": "money", "3": {"policy": "moderated_input", "": "input"}}
    >>> told = refusals(codes, texts={"credits": "money"}, statuses={403: "money"})
    >>> told(Response(429, {}, b'{"error": {"code": "1113", "message": "no balance"}}')).category
    'money'
    >>> told = refusals({"E7": "money"}, code="fault.nr", message="fault.text")
    >>> problem = told(Response(402, {}, b'{"fault": {"nr": "E7", "text": "top up first"}}'))
    >>> problem.category, problem.message
    ('money', 'top up first')
    """
    check_where("refusals code", code)
    check_where("refusals message", message)
    table, statuses = _table("refusals", codes, texts, charged), statuses or {}
    _check("refusals", statuses.values())

    def problem(response: Response) -> Problem:
        said = _placed(read(response), response, code, message)
        return table.of(said, texts=response.status < 500, otherwise=statuses.get(response.status))

    return problem


def _placed(said: Problem, response: Response, code: Where, message: Where) -> Problem:
    """The problem with the code and the reason at these paths, if they are there."""
    if not (code or message):
        return said
    try:
        body = response.json()
    except Malformed:
        return said
    found, reason = find(body, code, parsing.text), find(body, message, parsing.text)
    return replace(said, code=found or said.code, message=reason or said.message)


def problems(
    codes: Words | None = None, *, texts: Mapping[str, str] | None = None, charged: Mapping[str, bool] | None = None
) -> Callable[[Problem], Problem]:
    """For `Reader(problem=…)`: the category of a failed job by its code, else by its text, as in `refusals`.

    The code and the reason are at the Reader's `code` and `reason`. A job that no row matches has no category: nothing
    is guessed. A Problem that already has a `kind` keeps it.

    >>> told = problems({"SAFETY": "moderated_output", "SAFETY.INPUT": "moderated_input"}, charged={"SAFETY": True})
    >>> told(Problem("not allowed", "SAFETY.INPUT.TEXT")).category
    'moderated_input'
    """
    return _table("problems", codes, texts, charged).of


class _Table(NamedTuple):
    codes: Mapping[str, Patterns]
    texts: Patterns
    charged: Mapping[str, bool]

    def of(self, said: Problem, *, texts: bool = True, otherwise: str | None = None) -> Problem:
        """The problem with its kind, and whether it is charged."""
        kind = said.kind or _first(by_code(self.codes, said.code) or (), said.message)
        if kind is None and texts:
            kind = _first(self.texts, said.message)
        kind = kind or otherwise
        charged = said.charged
        for paid in (by_code(self.charged, said.code), self.charged.get(kind or ""), self.charged.get("")):
            charged = paid if charged is None else charged
        return said if (kind, charged) == (said.kind, said.charged) else replace(said, kind=kind, charged=charged)


def _table(
    who: str, codes: Words | None, texts: Mapping[str, str] | None, charged: Mapping[str, bool] | None
) -> _Table:
    for name, paid in (charged or {}).items():
        if not isinstance(paid, bool):
            raise PluginError(f"{who} charged {name!r} must be True or False (no row if unknown), got {paid!r}")
    made = {code: _patterns(who, _texts(row)) for code, row in (codes or {}).items()}
    return _Table(made, _patterns(who, texts or {}), charged or {})


def _texts(row: str | Mapping[str, str]) -> Mapping[str, str]:
    """A code's row as a table of texts; a single kind matches any text."""
    return {"": row} if isinstance(row, str) else row


def _patterns(who: str, texts: Mapping[str, str]) -> Patterns:
    _check(who, texts.values())
    try:
        return tuple((re.compile(pattern, re.IGNORECASE), kind) for pattern, kind in texts.items())
    except re.error as error:
        raise PluginError(f"{who}: {error.pattern!r} is not a regular expression: {error}") from None


def _first(texts: Patterns, message: str) -> str | None:
    return next((kind for pattern, kind in texts if pattern.search(message)), None)


def _check(who: str, kinds: Iterable[str]) -> None:
    for kind in kinds:
        if kind not in KINDS:
            raise PluginError(f"{who}: {kind!r} is not a kind; the kinds are {', '.join(KINDS)}")


def by_code(table: Mapping[str, T], code: str | None) -> T | None:
    """The row of a code, or of its longest beginning (at a dot) that has a row."""
    code = (code or "")[:100]
    while code and code not in table:
        code = code.rpartition(".")[0]
    return table[code] if code else None
