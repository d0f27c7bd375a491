"""The rule about answers without a body. It is one function; it returns, or fails the test through `broken`."""

from __future__ import annotations

from ...model import Response
from .subject import Subject, bad_error, broken


def believed(subject: Subject) -> None:
    job_id = next((sample.job_id for sample in subject.index.samples), "j1")
    for name in ("cancel", "delete", "content"):
        if name not in subject.operations or subject.operations[name].empty_ok:
            continue
        outcome = subject.parse(name, Response(200, {}, b""), job_id)
        if not outcome.allowed:
            bad_error(f"{name} with an empty body: {outcome}")
        if outcome.error is None:
            broken(
                "a parser that ignores the body says so",
                seen=f"{name} with HTTP 200 and an empty body: {outcome}",
                why="the server's good answer may have no body, and vidpoll would not believe it and send the request "
                "again",
                do=f"where the page says that the answer has no body: {name}=vidpoll.Operation(…, empty_ok=True); "
                "else look at the body: parsing.json_object(response)",
            )
