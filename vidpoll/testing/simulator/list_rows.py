"""The rows of a provider's list in its samples: where they are in a body, and one row for each state."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ... import model
from ..contract import mutations
from ..contract.samples import Sample
from .answers import own_part


def with_body(sample: Sample, data: object, **changes: Any) -> Sample:
    return replace(sample, body=mutations.encode(data), **changes)


def where_rows(data: object, items: Sequence[model.Snapshot]) -> mutations.Path:
    """The path of the list in a body that has an element for each of the rows."""
    lists = [(path, value) for path, value in mutations.nodes(data) if isinstance(value, list)]
    return next(path for path, value in lists if all(element_of(value, said) is not None for said in items))


def element_of(elements: Any, said: model.Snapshot) -> Any:
    return next((each for each in elements if own_part(said.job_id or "", json.dumps(each))), None)


def rows_by_state(sample: Sample, page: model.Page) -> dict[str, tuple[Sample, mutations.Path]]:
    """For each state a list with a single row, and the path of that list."""
    where = where_rows(sample.data, page.items)
    elements = mutations.get(sample.data, where)
    return {
        str(said.state): (
            with_body(sample, mutations.replaced(sample.data, where, [element_of(elements, said)]), job_id=said.job_id),
            where,
        )
        for said in reversed(page.items)
    }
