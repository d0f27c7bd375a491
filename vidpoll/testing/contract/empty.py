"""The rule about responses without a body: one function, which returns or fails the test through `broken`."""

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
                "a parser that ignores the body must declare empty_ok=True",
                seen=f"{name} with HTTP 200 and an empty body: {outcome}",
                why="if the server sends no body on success, vidpoll would treat that as a fault and send the request "
                "again",
                do=f"if the page says that the response has no body, write {name}=vidpoll.Operation(…, empty_ok=True); "
                "else read the body with parsing.json_object(response)",
            )
