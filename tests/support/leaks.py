"""Whether a secret can be seen anywhere: in what a wait told, raised, logged, and in the pickles of all of these."""

from __future__ import annotations

import contextlib
import json
import pickle
import traceback
import urllib.parse

import pytest
from provider_cases import KEY, Told, chain

import vidpoll


def shown(value: object) -> str:
    """Everything that can be seen of a value: text, repr, attributes, and its pickle."""
    parts = [str(value), repr(value), repr(getattr(value, "__dict__", "")), repr(getattr(value, "args", ""))]
    if isinstance(value, vidpoll.Job):
        parts += [repr(getattr(value, name, None)) for name in vidpoll.Job.__slots__]
    with contextlib.suppress(TypeError, AttributeError, pickle.PicklingError):  # then it brings nothing out
        parts.append(pickle.dumps(value).decode("latin-1"))
    return "\n".join(parts)


def everything(told: Told, log: pytest.LogCaptureFixture) -> str:
    """All that a wait showed to anyone."""
    parts = [shown(event) for event in told.events]
    parts += [shown(event) for _, _, event in told.ears.heard]
    parts += [shown(told.job), repr(told.client), log.text]
    parts += [shown(record.args) + str(record.exc_info) for record in log.records]
    if told.error is not None:
        parts += [shown(each) for each in chain(told.error)]
        parts.append("".join(traceback.format_exception(told.error)))
    return "\n".join(parts)


def leaks(text: str, secret: str = KEY) -> list[str]:
    """Every spelling of a secret that stands in a text."""
    spellings = [secret, json.dumps(secret)[1:-1].replace("/", "\\/"), urllib.parse.quote(secret, safe="")]
    return [spelling for spelling in spellings if spelling in text]
