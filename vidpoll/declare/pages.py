"""Lists of jobs: pages by number, or by the token of the next page. A POST sends its parameters in the body."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from .. import parsing
from ..errors import PluginError
from ..model import Page, Request, Response
from ..provider import Operation
from .fields import Rule, as_query, check_rules, described, take, text, texts, whole
from .lines import Line
from .paths import Where, check_where, find
from .reader import Reader

FURTHER = 100
"""The most page numbers that a page lists beyond the next one."""


def cursor_pages(
    line: str,
    reader: Reader,
    *,
    rows: str = "data",
    token: str = "after",
    next: Where = "last_id",
    more: Where = "",
    size: str = "limit",
    most: int = 100,
    fields: Mapping[str, Rule] | None = None,
) -> Operation[Page]:
    """A list whose response names the next page, like OpenAI's.

    `rows`, `next` and `more` are paths in the response: the jobs, the token of the next page, and the flag that is
    false on the last page, if there is one (without the flag, the list continues while there is a next token). `token`
    and `size` are the query names of the page and of the number of rows (`size=""`: the vendor has none); that number
    is `most`, unless a call asks for less. `fields` has the rules of further parameters that a call may set.

    >>> ask = cursor_pages("GET /videos", Reader({"ok": State.COMPLETED}), more="has_more")
    >>> ask.request({}, "video_9").query
    (('limit', '100'), ('after', 'video_9'))
    """
    sizes = {size: whole(1, most)} if size else {}
    rules = {**sizes, token: text(), **(fields or {})}
    build = _builder(line, reader, rules, dict.fromkeys(sizes, most), token)
    for name, where in (("rows", rows), ("next", next), ("more", more)):
        check_where(f"cursor_pages {line!r} {name}", where)

    def parse(response: Response, job_id: str) -> Page:
        reader.envelope.check(response)
        body = parsing.json_object(response)
        told = find(body, next, parsing.text)
        flag = find(body, more, lambda value: value)
        goes_on = told is not None and told.isprintable() and (flag is None or flag is True)
        return Page(parsing.rows(parsing.at(body, rows), reader.read), told if goes_on else None)

    return Operation(build, parse, fields=described(rules), texts=texts(rules))


def numbered_pages(
    line: str,
    reader: Reader,
    *,
    rows: str = "data",
    page: str = "page",
    size: str = "per_page",
    most: int = 100,
    current: Where = "",
    more: Where = "",
    last: Where = "",
    total: Where = "",
    per_page: Where = "",
    fields: Mapping[str, Rule] | None = None,
) -> Operation[Page]:
    """A list with numbered pages; `page` and `size` are the query names of the page and of the number of rows.

    `rows`, `current` (the number of this page), `more` (a flag), `last` (the number of the last page), `total` and
    `per_page` (jobs in all, and in a page) are paths in the response. If none of them marks the end, the first empty
    page is the end. If the response does not number its page (no `current`), the list starts at page 1, and a call may
    not set the page.

    >>> ask = numbered_pages("GET /tasks", Reader({"ok": State.COMPLETED}), size="page_size", current="page")
    >>> ask.request({}, "2").query
    (('page_size', '100'), ('page', '2'))
    """
    named = {page: whole(1)} if current else {}
    rules = {size: whole(1, most), **named, **(fields or {})}
    build = _builder(line, reader, rules, {size: most, page: 1}, page)
    paths = {"rows": rows, "current": current, "more": more, "last": last, "total": total, "per_page": per_page}
    for name, where in paths.items():
        check_where(f"numbered_pages {line!r} {name}", where)

    def parse(response: Response, token: str) -> Page:
        reader.envelope.check(response)
        body = parsing.json_object(response)
        found = parsing.at(body, rows)
        items = parsing.rows(found, reader.read)
        here = find(body, current, parsing.count) or 0 if current else parsing.count(token) or 1
        end = find(body, last, parsing.count) or _pages(body, total, per_page)
        told = find(body, more, _flag)
        if not found or here < 1 or not (told if told is not None else end is None or here < end):
            return Page(items)
        further = range(here + 2, min(end or 0, here + FURTHER) + 1)
        return Page(items, str(here + 1), tuple(map(str, further)))

    return Operation(build, parse, fields=described(rules), texts=texts(rules))


def _pages(body: Any, total: Where, per_page: Where) -> int | None:
    """The number of pages, from the number of jobs in all and in a page."""
    jobs, rows = find(body, total, parsing.count) or 0, find(body, per_page, parsing.count) or 0
    return math.ceil(jobs / rows) if jobs > 0 and rows > 0 else None


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _builder(
    line: str, reader: Reader, rules: Mapping[str, Rule], fixed: Mapping[str, int], token: str
) -> Callable[..., Request]:
    """The builder of a page. A field of the call overrides the fixed value, and a token overrides both."""
    made = Line(line)
    made.allow("list", ())
    check_rules(f"list {line!r}", rules)
    if reader.ids.first and reader.refine is None:
        raise PluginError(
            f"list {line!r}: a row lacks the first part of its id; give the reader a `refine` that sets the job_id"
        )

    def build(call: Mapping[str, Any], next: str | None) -> Request:
        given = {**fixed, **take(f"the list ({line})", call, rules)}
        if next:
            given[token] = int(next) if token in fixed else next  # numbered pages need a number
        return made.request({}, json=given) if line.startswith("POST ") else made.request({}, as_query(given))

    return build
