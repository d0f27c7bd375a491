"""The rules about requests that need no vendor's page: they are pure and safe, and invalid fields are refused.

Each function is one rule; it returns, or fails the test through `broken`.
"""

from __future__ import annotations

import copy

from ...errors import UsageError
from . import pinned
from .subject import Subject, broken, difference, said


def pure(subject: Subject) -> None:
    pinned.given(subject)
    for name, builder in subject.requests():
        fields = copy.deepcopy(builder.args)
        first, second = subject.build(name, builder), subject.build(name, builder)
        if first != second:
            broken(
                "the same call must build the same request",
                seen=f"{name}: {difference(first, second)}",
                why="a request that differs each time cannot be sent again after a fault, or replayed from a report",
                do="use no clock, counter or random in a builder; a header that must be new each time belongs in the "
                "auth: vidpoll.Minted",
            )
        if fields != builder.args:
            broken(
                "a builder must not change the caller's fields",
                seen=f"{name}: {difference(fields, builder.args)}",
                why="a user who submits the same fields twice would send something else the second time",
                do="work on a copy: given = dict(fields)",
            )


def safe(subject: Subject) -> None:
    for name, builder in subject.requests():
        request = subject.build(name, builder)
        if name.partition(" ")[0] in ("status", "list", "batch", "quota", "estimate") and request.method not in (
            "GET",
            "POST",
            "HEAD",
        ):
            broken(
                "status, list, batch, quota and estimate requests must change nothing",
                seen=f"{name}: {request.method} {request.path}",
                why="vidpoll repeats these requests; each one would delete or change the user's job",
                do="use the method of the vendor's page: GET, or POST if the request has a body",
            )


def submits(subject: Subject) -> None:
    pinned.given(subject)
    for name, operation in subject.operations.items():
        if not name.startswith("submit "):
            continue
        good = dict(subject.submits[name.removeprefix("submit ")])
        strange: list[dict[str, object]] = [{}, {"no_such_field_of_anybody": 1}]
        strange += [{**good, field: value} for field in good for value in (None, "", 10**400, object(), [], {"a": 1})]
        for fields in strange:
            try:
                operation.request(fields)
            except UsageError:
                continue
            except Exception as error:  # noqa: BLE001 - the message shows whatever is raised
                broken(
                    "a submit must refuse invalid fields with a UsageError",
                    seen=f"{name} with {fields}: {said(error)}",
                    why="the user would read of a bug in the plugin, instead of which field is wrong",
                    do="check fields with parsing.checked(what, fields, rules), or raise vidpoll.InvalidField",
                )


def unknown_fields(subject: Subject) -> None:
    """An unknown field is refused or sent, and never dropped."""
    strange = {"no_such_field_of_anybody": 1}
    for name, builder in subject.requests():
        if name != "list" and not name.startswith("submit "):
            continue
        plain = subject.build(name, builder)
        fields, *rest = builder.args
        try:
            request = subject.operations[name].request({**fields, **strange}, *rest)
        except Exception:  # noqa: BLE001 - `submits` checks what is raised
            continue
        if request == plain:
            broken(
                "an unknown field must be refused or sent",
                seen=f"{name} with the field {next(iter(strange))!r}: the same request as without it",
                why="a misspelt field would be dropped in silence: the user would pay for another video than the one "
                "ordered, or read another list than the one meant",
                do="check fields with parsing.checked(what, fields, rules), or send all of them",
            )
