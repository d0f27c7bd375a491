"""The values of a batch: a row (one wanted video), and a problem of a row. Nothing is read or sent here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .. import redact
from ..errors import BatchInvalid

TOLD = 50
"""Most problems in the message of a BatchInvalid; its `problems` holds all of them."""


@dataclass(frozen=True, slots=True)
class Row:
    """One wanted video; `count=4` in a sheet makes four rows.

    `key` is unique in the batch (`key#1` … if the row has a count). `fields` are those of `Client.submit`, with files
    as `pathlib.Path`. `digest` is the sha256 of account, kind, fields and the bytes of the files, followed by one for
    each field (`keys.digest`): the same key with another digest means that the row has changed. `place` is the row's
    position in the input ("row 7"), for messages. `file` is the template of its file name, empty to use the batch's.
    `cells` are the input's own columns as text, for the report; `inputs` maps each field that is a file to the sha256
    of its bytes.
    """

    key: str
    account: str
    kind: str
    fields: Mapping[str, Any]
    digest: str
    place: str
    file: str = ""
    cells: Mapping[str, str] = field(default_factory=dict, repr=False)
    inputs: Mapping[str, str] = field(default_factory=dict, repr=False)


class RowProblem(NamedTuple):
    """A problem of a row: `place` ("row 7"), `column` (empty if it concerns the whole row), and the message."""

    place: str
    column: str
    message: str

    def __str__(self) -> str:
        where = ", ".join(filter(None, (self.place, self.column and f"column {redact.text(self.column, limit=60)}")))
        return f"{where}: {self.message}" if where else self.message


def invalid(name: str, problems: Sequence[RowProblem]) -> BatchInvalid:
    """The error that lists all problems of a batch, one a line."""
    shown = [f"  {each}" for each in problems[:TOLD]]
    more = [f"  and {len(problems) - TOLD:,} more"] if len(problems) > TOLD else []
    count = f"{len(problems):,} problem{'s' if len(problems) > 1 else ''}"
    lines = [f"{redact.text(name, limit=80)}: {count}, nothing was sent", *shown, *more]
    return BatchInvalid("\n".join(lines), problems=tuple(problems))
