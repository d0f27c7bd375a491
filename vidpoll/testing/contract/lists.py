"""The rules about lists and quotas: rows, pages and flags. Each function is one rule."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any
from urllib.parse import unquote

from ...errors import UsageError
from ...model import Page, Quota, Request, Snapshot, is_number
from . import mutations
from .pinned import line
from .samples import Sample
from .subject import Subject, broken, said, skip

_ODD = "a/b c&d=é+%41"


def rows(subject: Subject) -> None:
    for sample, page in _pages(subject):
        _agree(subject, sample, page)
        before = {item.job_id: item.state for item in page.items}
        for path, _ in mutations.scalars(sample.data):
            if not any(isinstance(key, int) for key in path) or subject.index.decides_at(path):
                continue
            for new in (mutations.NOBODY, None, 0, 100, True, {}, mutations.GONE):
                outcome = subject.read(sample, mutations.replaced(sample.data, path, new))
                after = outcome.value.items if isinstance(outcome.value, Page) else ()
                changed = [each for each in after if before.get(each.job_id, each.state) is not each.state]
                if changed and subject.index.means(new) is None:
                    broken(
                        "a value in a list row that is not a status word must not be read as one",
                        seen=f"{sample.file} with {mutations.dotted(path)} {mutations.shown(new)}: "
                        f"{changed[0].job_id} is {changed[0].state}",
                        why="the user would read that a job runs or has ended, when its state is unknown",
                        do="read each row like a status response, with parsing.rows, which skips unreadable rows",
                    )
                if outcome.error is not None:
                    broken(
                        "one unreadable row must not hide the others",
                        seen=f"{sample.file} with {mutations.dotted(path)} {mutations.shown(new)}: {outcome}",
                        why="one job with a new word would make the whole list unreadable",
                        do="use parsing.rows(list, read_row): it skips the rows that cannot be read",
                    )


def _agree(subject: Subject, sample: Sample, page: Page) -> None:
    """A row agrees with the job's status response. A row may say less, and progress may differ."""
    values = [(each, subject.read(each).value) for each in subject.statuses]
    known = {(each.job_id, value.state): value for each, value in values if isinstance(value, Snapshot)}
    for item in page.items:
        told = known.get((item.job_id or "", item.state))
        strange = [asset.url for asset in item.assets if told is not None and asset not in told.assets]
        if told is not None and (item.stage != told.stage or strange):
            broken(
                "a list row must agree with the job's status response",
                seen=f"{sample.file}, row {item.job_id}: stage {item.stage!r}, assets {item.assets}; "
                f"its status response: stage {told.stage!r}, assets {told.assets}",
                why="the user would see alternating stages, or get a path of the server as a URL",
                do="read rows and status responses with one function; leave out assets that rows name differently",
            )


def flags(subject: Subject) -> None:
    for sample in (*subject.index.of("list"), *subject.index.of("quota")):
        for path, old in mutations.scalars(sample.data):
            if not isinstance(old, bool):
                continue
            yes, no, text, gone = (
                subject.read(sample, mutations.replaced(sample.data, path, new))
                for new in (True, False, "false", mutations.GONE)
            )
            # A text may count the same as a missing field.
            if text.error is None and text.value == yes.value and yes.value not in (no.value, gone.value):
                broken(
                    "a boolean field must count as true only if it is the boolean true",
                    seen=f'{sample.file} with {mutations.dotted(path)} set to "false" gives the same as with true',
                    why='every non-empty text is true in Python, even "false": a list would never end, or an account '
                    "with a limit would have none",
                    do="compare with `is True`",
                )


def amounts(subject: Subject) -> None:
    """The amounts of a quota are numbers, whatever the body is."""
    for sample in subject.index.of("quota"):
        for path, _ in mutations.scalars(sample.data):
            for new in mutations.VALUES:
                value = subject.read(sample, mutations.replaced(sample.data, path, new)).value
                names = ("limit", "used", "remaining", "reset_at", "balance") if isinstance(value, Quota) else ()
                found = {name: getattr(value, name) for name in names}
                strange = [name for name, each in found.items() if not (each is None or is_number(each))]
                if isinstance(value, Quota) and value.plan in ("", "None", "null", "True", "False"):
                    broken(
                        "a quota's plan must be a name or None",
                        seen=f"{sample.file} with {mutations.dotted(path)} {mutations.shown(new)}: plan is "
                        f"{value.plan!r}",
                        why="`vidpoll quota` would show this text to the user",
                        do="read it with parsing.text(value)",
                    )
                if strange:
                    broken(
                        "a quota's amounts must be numbers or None",
                        seen=f"{sample.file} with {mutations.dotted(path)} {mutations.shown(new)}: {strange[0]} is "
                        f"{found[strange[0]]!r}",
                        why="`quota.affords(…)` would raise in the middle of a batch of jobs",
                        do="read amounts with parsing.number(value), and times with parsing.timestamp(value)",
                    )


# -- pages ------------------------------------------------------------------------------------------------------------


def walk(subject: Subject) -> None:
    """The token of a page gives the next page, and nothing else of the request changes."""
    if "list" not in subject.operations:
        skip("the provider has no list operation")
    pages = list(_pages(subject))
    goes_on = [(sample, page) for sample, page in pages if page.next is not None]
    if goes_on and not any(page.next is None for _, page in pages):
        broken(
            "a list must end",
            seen=f"each page of the samples has a next page: {', '.join(sample.file for sample, _ in pages)}",
            why="a list that never ends would show the user the same jobs again and again",
            do='add a sample of the last page, with "next": null, and return Page(…, None) for it',
        )
    if goes_on and not any(sample.token and sample.request for sample, _ in pages):
        sample, page = goes_on[0]
        sends = line(subject, _asked(subject, sample, page.next))
        broken(
            "a sample must show the request for the next page",
            seen=f'{sample.file} gives the token {page.next!r}, and no list sample has "token" and "request"; the '
            f"builder sends {sends}",
            why="with a wrong token, or a parameter that the provider does not know, the list would show the same jobs "
            "again",
            do="compare it with the vendor's page, and add a sample of the next page with "
            f'"token": {json.dumps(page.next)}, "request": {json.dumps(sends)}',
        )
    for sample, page in goes_on:
        first = _asked(subject, sample, None)
        asked = [first] if sample.token is None else [first, _asked(subject, sample, sample.token)]
        for token in (page.next, *page.further):
            request = _asked(subject, sample, token)
            if request in asked:
                broken(
                    "the token of a page must give another page",
                    seen=f"{sample.file}: the request for the token {token!r} was already sent: "
                    f"{line(subject, request)}",
                    why="the list would never end: the user would see the same jobs again and again",
                    do="put the token, the builder's second argument, into the request; Page.further may repeat none",
                )
            _unchanged(subject, sample, token, first, request)
            asked.append(request)
        _cursor(subject, sample, page.next)


def _pages(subject: Subject) -> Iterator[tuple[Sample, Page]]:
    for sample in subject.index.of("list"):
        value = subject.read(sample).value if sample.operation in subject.operations else None
        if isinstance(value, Page):
            yield sample, value


def _asked(subject: Subject, sample: Sample, token: str | None) -> Request:
    return subject.build("list", partial(subject.operations["list"].request, dict(sample.fields), token))


def _unchanged(subject: Subject, sample: Sample, token: str | None, first: Request, request: Request) -> None:
    """Fail if anything but the token's parameter differs from the request for the first page."""
    was, now = _parameters(first), _parameters(request)
    changed = [name for name in now if now[name] != was.get(name) and str(now[name]) not in str(token)]
    lost = [name for name in was if name not in now]
    if changed or lost or request.method != first.method:
        broken(
            "the request for the next page may differ from the first one only by its token",
            seen=f"{sample.file}: first {line(subject, first)}, then, with the token {token!r}, "
            f"{line(subject, request)}: {', '.join([*changed, *lost])} differs",
            why="with another size, order or filter the pages do not fit together: jobs are shown twice, or never",
            do="add the token to the parameters of the first request, and keep those",
        )


def _parameters(request: Request) -> dict[str, Any]:
    """Each parameter of a request (query, body, path) with its value."""
    body = {mutations.dotted(path): value for path, value in mutations.scalars(request.json)}
    parts = {f"part {at} of the path": unquote(part) for at, part in enumerate(request.path.split("/"))}
    return {**dict(request.query), **body, **parts}


def _cursor(subject: Subject, sample: Sample, token: str | None) -> None:
    """A token that is text in the response is sent back unchanged."""
    for path, value in mutations.scalars(sample.data):
        if value != token:
            continue
        page = subject.read(sample, mutations.replaced(sample.data, path, _ODD)).value
        if not isinstance(page, Page) or page.next != _ODD:
            continue
        try:
            request = subject.operations["list"].request(dict(sample.fields), page.next)
        except UsageError:
            continue
        except Exception as error:  # noqa: BLE001 - the message shows whatever is raised
            broken(
                "the token of a page must give another page",
                seen=f"{sample.file} with the token {_ODD!r}: {said(error)}",
                why="the list would end with an error after its first page",
                do="put the token into the query as it is: vidpoll encodes it",
            )
        if _ODD not in map(str, _parameters(request).values()):
            broken(
                "the token of a page must be sent back unchanged",
                seen=f"{sample.file} with the token {_ODD!r}: {line(subject, request)}",
                why="the provider would not know it: the list would end after its first page",
                do="put the token into the query as it is: vidpoll encodes it, once",
            )
