"""What a refusal is about, where the HTTP status says something else: a 429 that is money, a 400 for no such job."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from .. import parsing
from ..errors import KINDS, PluginError
from ..model import Problem, Response


def refusals(
    codes: Mapping[str, str] | None = None,
    *,
    texts: Mapping[str, str] | None = None,
    statuses: Mapping[int, str] | None = None,
    read: Callable[[Response], Problem] = parsing.problem,
) -> Callable[[Response], Problem]:
    """For `Provider(error=…)`: the kind of a refusal by its code, else by its text, else by its HTTP status.

    `codes` maps codes, as text, to kinds of `vidpoll.Refused`; of one with dots its beginning will do. `texts` maps
    patterns, which are looked for in the reason whatever its case, but not in that of a 5xx: a submit may have been
    received then, whatever the words. What no table names is what its HTTP status says. `read` makes the Problem out of
    the answer. Raises PluginError for a kind or a pattern that is none.

    >>> told = refusals({"1113": "payment"}, texts={"credits": "payment"}, statuses={403: "payment"})
    >>> told(Response(429, {}, b'{"error": {"code": "1113", "message": "no balance"}}')).kind
    'payment'
    """
    codes, statuses = codes or {}, statuses or {}
    for kind in (*codes.values(), *(texts or {}).values(), *statuses.values()):
        if kind not in KINDS:
            raise PluginError(f"refusals: {kind!r}; a kind is one of {', '.join(KINDS)}")
    try:
        patterns = [(re.compile(pattern, re.IGNORECASE), kind) for pattern, kind in (texts or {}).items()]
    except re.error as error:
        raise PluginError(f"refusals: {error.pattern!r} is no regular expression: {error}") from None

    def problem(response: Response) -> Problem:
        said = read(response)
        code = said.code or ""
        kind = codes.get(code) or codes.get(code.partition(".")[0])
        if kind is None and response.status < 500:
            kind = next((kind for pattern, kind in patterns if pattern.search(said.message)), None)
        kind = kind or statuses.get(response.status)
        return replace(said, kind=kind) if kind else said

    return problem
