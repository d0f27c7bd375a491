"""The rules about what surrounds the data: refusals with HTTP 200, bodies that are not JSON, numbers sent as text.

Each function is one rule; it returns, or fails the test through `broken`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ...errors import AnswerError
from ...model import Asset, Page, Problem, Quota, Response, Snapshot, Submitted
from ...price import Price
from ...provider import Follow
from . import mutations
from .samples import Sample
from .subject import Outcome, Subject, broken
from .verdicts import JSON

_NO_JSON = (b"<html><h1>Bad gateway</h1></html>", b"{", b"\xff", b"", b"try later")
_HTML = {"content-type": "text/html"}


def refusals(subject: Subject) -> None:
    """A refusal sent with HTTP 200 ends no job, and is not read as a job, a page or a quota."""
    errors = {each.file: each.body for each in subject.index.of("error") if isinstance(each.data, dict)}
    for file, body in {**errors, **{raw.decode(): raw for raw in _REFUSALS}}.items():
        for name in subject.operations:
            outcome = _told(subject, name, body)
            taken = _taken(outcome)
            if taken:
                broken(
                    "a refusal sent with HTTP 200 must not be read as a result",
                    seen=f"{file} sent with HTTP 200 as the response of {name}: {taken}",
                    why="some providers, and proxies in front of them, send errors with HTTP 200: the user would read "
                    "that a job has ended, that there are no jobs, or a false quota",
                    do='raise vidpoll.Refused(kind, message, code) for a body that is an error ("success": false, a '
                    "code that is not 0), and vidpoll.Malformed for a body without the requested data",
                )


_REFUSALS = (
    b'{"code": 1001, "message": "Invalid token", "data": null}',
    b'{"success": false, "message": "Invalid token"}',
    b'{"error": {"message": "Invalid token", "type": "invalid_request_error", "code": "invalid_api_key"}}',
)
"""What gateways send with HTTP 200."""


def _told(subject: Subject, name: str, body: bytes) -> Outcome:
    job_id = next((each.job_id for each in subject.index.samples if each.operation == name), "j1")
    return subject.parse(name, Response(200, JSON, body), job_id)


def _taken(outcome: Outcome) -> str:
    value = outcome.value
    if isinstance(value, Snapshot) and value.state.final:
        return f"the job is {value.state}"
    if isinstance(value, (Submitted, Asset, Price)):
        return f"the parser returns {value!r}"
    if isinstance(value, Page):
        return f"the parser returns a list of {len(value.items)} jobs"
    if isinstance(value, Quota) and replace(value, prices={}, unit="credits") != Quota():
        return f"the parser returns {value!r}"
    return ""


# -- no JSON ----------------------------------------------------------------------------------------------------------


def no_json(subject: Subject) -> None:
    """A 2xx that is not JSON raises Malformed."""
    for name in subject.operations:
        samples = [each for each in subject.index.samples if each.operation == name and each.status < 300]
        # An empty body may be a valid response, if a sample says so.
        known = {(each.status, each.body) for each in samples}
        for status, body in [each for each in _tries(name) if each not in known and _reads_json(name, samples)]:
            job_id = samples[0].job_id if samples else "j1"
            outcome = subject.parse(name, Response(status, _HTML, body), job_id)
            if outcome.error is None and not isinstance(outcome.value, Follow):
                broken(
                    "a 2xx that is not JSON must raise Malformed",
                    seen=f"{name}, HTTP {status} with the body {body.decode('latin-1')!r}: {outcome}",
                    why="a login page or a proxy's error page would be read as the provider's response: a running job, "
                    "an empty list, a deleted job",
                    do="read the body with parsing.json_object(response), which raises vidpoll.Malformed; if the "
                    "vendor's page says that the body may be empty, add a sample of that",
                )


def _tries(name: str) -> list[tuple[int, bytes]]:
    """Responses that are not JSON. For a delete or cancel, a 204 without a body is a valid response."""
    empty = [] if name in ("delete", "cancel") else [(204, b"")]
    return [(status, body) for status in (200, 201, 202) for body in _NO_JSON] + empty


def _reads_json(name: str, samples: list[Sample]) -> bool:
    """Whether an operation's response is JSON: always, except for a content, or a delete or cancel without JSON."""
    if name.partition(" ")[0] in ("status", "submit", "estimate", "list", "batch", "quota"):
        return True
    return name != "content" and any(isinstance(each.data, (dict, list)) for each in samples)


# -- numbers as text --------------------------------------------------------------------------------------------------


def numbers(subject: Subject) -> None:
    """A number sent as text means the same: `"0"` is the code 0."""
    for sample in subject.index.samples:
        if sample.operation == "error" and not sample.refused:
            plain: Any = subject.problem_of(sample.response())
            for path, text in _texts(sample):
                body = mutations.encode(mutations.replaced(sample.data, path, text))
                found: Any = subject.problem_of(sample.response(body))
                alike = isinstance(found, Problem) and isinstance(plain, Problem) and found.message == plain.message
                if not alike or found.code != plain.code:
                    _unlike(sample, path, text, f"{found!r}, expected {plain!r}")
        elif sample.operation in subject.operations and not sample.refused:
            before = subject.read(sample)
            for path, text in _texts(sample):
                after = subject.read(sample, mutations.replaced(sample.data, path, text))
                if not _alike(before, after, word=path in subject.word_paths.get(sample.file, ())):
                    _unlike(sample, path, text, f"{after}, expected {before}")


def _texts(sample: Sample) -> Iterator[tuple[mutations.Path, str]]:
    for path, value in mutations.scalars(sample.data):
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            yield path, str(value)


def _alike(before: Outcome, after: Outcome, *, word: bool) -> bool:
    """Whether two results mean the same. A numeric status may be unknown as text, but may not get another meaning."""
    was, now = before.value, after.value
    if was is None or (isinstance(after.error, AnswerError) and word):
        return True
    if isinstance(was, Page) and isinstance(now, Page):
        known = {item.job_id: item.state for item in was.items}
        changed = [item for item in now.items if known.get(item.job_id, item.state) is not item.state]
        return not changed and len(now.items) >= len(was.items) - 1
    if isinstance(was, (Snapshot, Submitted)) and isinstance(now, type(was)):
        return bool(was.job_id == now.job_id) and before.state is after.state
    return type(now) is type(was)


def _unlike(sample: Sample, path: mutations.Path, text: str, what: str) -> None:
    broken(
        "a number sent as text must mean the same",
        seen=f"{sample.file} with {mutations.dotted(path)} {mutations.shown(text)}: {what}",
        why="a proxy or a new version of the server may write numbers as text: all jobs would be refused at once",
        do='compare parsing.text(value) with the code as text: `parsing.text(body.get("code")) not in (None, "0")`',
    )
