"""Names of fields: a mistake for a listed one is refused before anything is sent; every other name goes through."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from acme_provider import ACME, Talk, talk

import vidpoll
from vidpoll.field_names import FieldNames

LISTED = {"prompt": "text", "duration": "seconds", "model": "text"}
OPEN = FieldNames("acme/clip", {**LISTED, "...": "any other field"})
CLOSED = FieldNames("acme/clip", LISTED)


@pytest.mark.parametrize("names", [OPEN, CLOSED, FieldNames("acme/clip", {})])
@pytest.mark.parametrize(
    "given",
    [{"prompt": "x", "duration": 5}, {"zzz": 1}, {"": 1}, {"durration": None}, {"fields.durration": 5}],
)
def test_names_that_go_through(names: FieldNames, given: dict[str, Any]) -> None:
    """Listed ones, those near to none, those not given, and those that are meant; the prefix is not sent."""
    assert names.checked(given) == {name.removeprefix("fields."): value for name, value in given.items()}


def test_a_mistake_is_refused() -> None:
    """The way out depends on whether the provider may accept other names."""
    refused = "acme/clip lists no field 'durration'; did you mean 'duration'?"
    with pytest.raises(vidpoll.InvalidField) as caught:
        OPEN.checked({"prompt": "x", "durration": 5})
    assert caught.value.message == f"{refused} (fields.durration sends it anyway)"
    with pytest.raises(vidpoll.InvalidField) as caught:
        CLOSED.checked({"prompt": "x", "durration": 5})
    assert caught.value.message == f"{refused} (it takes prompt, duration, model)"


def test_a_name_is_no_mistake_beside_the_similar_one() -> None:
    """If the provider accepts any field, both may be meant."""
    given = {"duration": 5, "durations": [5, 6]}
    assert OPEN.checked(given) == given
    with pytest.raises(vidpoll.InvalidField):
        CLOSED.checked(given)
    with pytest.raises(vidpoll.InvalidField):
        OPEN.checked({**given, "duration": None})


def test_a_field_is_given_once() -> None:
    with pytest.raises(vidpoll.UsageError, match="'prompt' is given twice: as prompt and as fields"):
        OPEN.checked({"prompt": "x", "fields.prompt": "y"})


def open_talk() -> Talk:
    def request(fields: Mapping[str, Any]) -> vidpoll.Request:
        return vidpoll.Request("POST", "/jobs", json=dict(fields))

    operation = replace(ACME.submit["clip"], request=request, fields={**LISTED, "...": "any"})
    return talk([{"id": "j1"}], provider=replace(ACME, submit={"clip": operation}))


@pytest.mark.parametrize("call", ["submit", "price"])
def test_a_submit_and_its_price_refuse_a_mistake(call: str) -> None:
    """As a batch does; nothing was sent."""
    t = open_talk()
    with pytest.raises(vidpoll.InvalidField, match="did you mean 'duration'"):
        getattr(t.client, call)("acme", "clip", prompt="x", durration=5)
    assert t.requests == []


def test_what_is_meant_is_sent() -> None:
    t = open_talk()
    t.client.submit("acme", "clip", prompt="x", **{"fields.durration": 5})
    assert json.loads(t.wire.sent[0].body or b"") == {"prompt": "x", "durration": 5}
