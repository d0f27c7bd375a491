"""One request that polls many jobs, by their ids."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .. import parsing
from ..errors import PluginError
from ..model import Page, Request, Response
from ..provider import Operation
from .lines import Line
from .paths import check_where
from .reader import Reader


def batch(line: str, reader: Reader, *, name: str, rows: str = "data", join: str | None = ",") -> Operation[Page]:
    """Poll many jobs with one request, for `vidpoll.ListPollingSpec(batch=…)`.

    `name` is the query parameter with the ids, joined by `join`; with `join=None` each id has a parameter of its own.
    `rows` is the path of the jobs in the response. A status request confirms each row that has a verdict, so a row need
    not have the files; a job without a row is polled by itself.

    >>> ask = batch("GET /videos/statuses", Reader({"ok": State.COMPLETED}), name="video_ids")
    >>> ask.request(("a", "b")).query
    (('video_ids', 'a,b'),)
    """
    made = Line(line)
    made.allow("batch", ())
    check_where(f"batch {line!r} rows", rows)
    if not line.startswith("GET ") or not name:
        raise PluginError(f"batch {line!r}: it must be a GET, and name the query parameter of the ids")

    def build(ids: tuple[str, ...]) -> Request:
        bare, own = made.request({}), [reader.ids.split(each)["id"] for each in ids]
        values = own if join is None else [join.join(own)]
        return replace(bare, query=(*bare.query, *((name, each) for each in values)))

    def parse(response: Response, job_id: str) -> Page:
        reader.envelope.check(response)
        found: Any = parsing.at(parsing.json_object(response), rows)
        return Page(parsing.rows(found, reader.read))

    return Operation(build, parse)
