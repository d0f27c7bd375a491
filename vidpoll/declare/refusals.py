"""What a refusal, or a failed job, is about: its class of failure by code, by text, by HTTP status, and who pays."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple, TypeVar

from .. import parsing
from ..errors import KINDS, PluginError
from ..model import Problem, Response

T = TypeVar("T")

Words = Mapping[str, str]


def refusals(
    codes: Words | None = None,
    *,
    texts: Words | None = None,
    statuses: Mapping[int, str] | None = None,
    charged: Mapping[str, bool] | None = None,
    read: Callable[[Response], Problem] = parsing.problem,
) -> Callable[[Response], Problem]:
    """For `Provider(error=…)`: the word for a refusal by its code, else by its text, else by its HTTP status.

    `codes` maps codes, as text, to keys of `errors.KINDS`: a class of failure, "permission", "not found", "conflict";
    of a code with dots its beginning will do. `texts` maps patterns, which are looked for in the reason whatever its
    case, but not in that of a 5xx: a submit may have been received then, whatever the words. What no table names is
    what its HTTP status says. `charged` maps codes, or classes, to whether the provider keeps money for it. `read`
    makes the Problem out of the answer. Raises PluginError for a word or a pattern that is none.

    >>> told = refusals({"1113": "money"}, texts={"credits": "money"}, statuses={403: "money"})
    >>> told(Response(429, {}, b'{"error": {"code": "1113", "message": "no balance"}}')).category
    'money'
    """
    table, statuses = _table("refusals", codes, texts, charged), statuses or {}
    _check("refusals", statuses.values())

    def problem(response: Response) -> Problem:
        return table.of(read(response), texts=response.status < 500, otherwise=statuses.get(response.status))

    return problem


def problems(
    codes: Words | None = None, *, texts: Words | None = None, charged: Mapping[str, bool] | None = None
) -> Callable[[Problem], Problem]:
    """For `Reader(problem=…)`: the class of failure of a job by its code, else by its text, as `refusals` has it.

    A job that no row is about has no class: nothing is guessed. A Problem that says its `kind` keeps it.

    >>> told = problems({"SAFETY": "moderated_output", "SAFETY.INPUT": "moderated_input"}, charged={"SAFETY": True})
    >>> told(Problem("not allowed", "SAFETY.INPUT.TEXT")).category
    'moderated_input'
    """
    return _table("problems", codes, texts, charged).of


class _Table(NamedTuple):
    codes: Words
    patterns: tuple[tuple[re.Pattern[str], str], ...]
    charged: Mapping[str, bool]

    def of(self, said: Problem, *, texts: bool = True, otherwise: str | None = None) -> Problem:
        """A problem with its word, and whether it is charged."""
        kind = said.kind or by_code(self.codes, said.code)
        if kind is None and texts:
            kind = next((kind for pattern, kind in self.patterns if pattern.search(said.message)), None)
        kind = kind or otherwise
        charged = said.charged
        for paid in (by_code(self.charged, said.code), self.charged.get(kind or "")):
            charged = paid if charged is None else charged
        return said if (kind, charged) == (said.kind, said.charged) else replace(said, kind=kind, charged=charged)


def _table(who: str, codes: Words | None, texts: Words | None, charged: Mapping[str, bool] | None) -> _Table:
    codes, texts, charged = codes or {}, texts or {}, charged or {}
    _check(who, (*codes.values(), *texts.values()))
    for name, paid in charged.items():
        if not isinstance(paid, bool):
            raise PluginError(f"{who} charged {name!r}: {paid!r}; True or False, and no row where it is not known")
    try:
        patterns = tuple((re.compile(pattern, re.IGNORECASE), kind) for pattern, kind in texts.items())
    except re.error as error:
        raise PluginError(f"{who}: {error.pattern!r} is no regular expression: {error}") from None
    return _Table(codes, patterns, charged)


def _check(who: str, kinds: object) -> None:
    for kind in kinds:  # type: ignore[attr-defined]
        if kind not in KINDS:
            raise PluginError(f"{who}: {kind!r}; the word is one of {', '.join(KINDS)}")


def by_code(table: Mapping[str, T], code: str | None) -> T | None:
    """The row of a code; of one with dots its longest beginning that has a row."""
    code = (code or "")[:100]
    while code and code not in table:
        code = code.rpartition(".")[0]
    return table.get(code)
