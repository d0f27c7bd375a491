"""The values of a batch: a row, one video that is wanted. Frozen; nothing is read or sent here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """One video that is wanted; `count=4` in a sheet makes four rows.

    `key` is unique in the batch (`key#1` … where there is a count). `fields` are those of `Client.submit`, files as
    `pathlib.Path`. `digest` is the sha256 over account, kind, fields and the bytes of the files: the same key with
    another digest is a row that was changed. `place` says where it stands ("row 7"), for messages. `file` is the
    template of its file name, empty for the batch's. `cells` are the input's own columns as they came, for the report;
    `inputs` maps each field that is a file to the sha256 of its bytes.
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
