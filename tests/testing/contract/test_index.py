"""What is wrong with an index is told, each mistake by a line of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from contract_cases import CLIP, SAMPLES, caught, contract, write
from good_plugin import Good


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda index: index.pop("words"), '"words" is missing'),
        (lambda index: index.update(words={"done": "finished"}), '"words" must map each status word'),
        (lambda index: index.update(decides="done"), '"decides" must be a list'),
        (lambda index: index.pop("base_url"), 'the plugin says: "base_url": "https://api.goodness.example/v1"'),
        (lambda index: index.pop("auth"), '"auth": "Authorization: Bearer {GOODNESS_API_KEY}"; compare'),
        (lambda index: index.update(floor="5"), '"floor" is missing: write the shortest pause'),
        (lambda index: index.update(word={}), '"word" is not a key of an index'),
        (lambda index: index["samples"][0].update(expects={}), 'queued.json: "expects" is not a key of a sample'),
        (lambda index: index["samples"][0].update(request="/v1/jobs"), 'like "GET /v1/jobs/{id}"'),
        (lambda index: index["samples"][0].update(request="POST <callback>"), "METHOD and path with the base path"),
        (lambda index: index["samples"][0].update(sends={}), '"sends" is the JSON body of a "request": add "request"'),
        (
            lambda index: index["samples"][0].update(token="2"),
            '"token" must be the token of a page, as text, and only list',
        ),
        (
            lambda index: index["samples"][0].update(fields={}),
            '"fields" must be an object with the fields of a submit, list',
        ),
        (
            lambda index: index["samples"][0].update(status="200"),
            "\"status\" must be the HTTP status of the response, like 200, got '200'",
        ),
        (lambda index: index["samples"][0].update(headers={"a": 1}), '"headers" must be an object of header names'),
        (lambda index: index["samples"][0].update(then=["list.json"]), 'list.json, whose operation is not "follow"'),
        (lambda index: index["samples"][0].update(operation="follow"), "no sample names the second response"),
        (
            lambda index: index["samples"][0].update(expect={"raises": "Refused", "kind": "billing"}),
            '"kind" must be one of capacity',
        ),
        (lambda index: index["samples"].pop(), "refused.json is in the folder but not in index.json"),
        (lambda index: index["samples"][0].pop("origin"), 'queued.json: "origin" must be one of documented'),
        (lambda index: index["samples"][0].pop("operation"), 'queued.json: "operation" is missing'),
        (lambda index: index["samples"][0]["expect"].pop("progress"), 'queued.json: "expect" lacks "progress"'),
        (lambda index: index["samples"][0]["expect"].update(state="busy"), '"state" must be one of queued'),
        (lambda index: index["samples"][0]["expect"].update(colour=1), '"expect" may not contain "colour"'),
        (lambda index: index["samples"][0].update(expect={"raises": "KeyError"}), "Refused, got 'KeyError'"),
        (
            lambda index: index["samples"][0].update(file="none.json"),
            "none.json is in index.json but not in the folder",
        ),
        (lambda index: index["samples"][0].update(then=["x.json"]), '"then" names x.json, which is not a sample'),
        (lambda index: index.update(id="job_7f3a"), '"id" is \'job_7f3a\', which no sample and no "request" shows'),
        (lambda index: index.pop("id"), '"id" is missing, the id of the job that was polled'),
        (lambda index: index["samples"].append(index["samples"][0]), "queued.json is listed twice"),
    ],
)
def test_an_index_that_is_wrong_is_told(change: Callable[[Any], object], said: str, tmp_path: Path) -> None:
    """Every mistake is a line of its own, and names the sample and the way out."""
    folder = write(tmp_path / "samples", SAMPLES)
    index = json.loads((folder / "index.json").read_text())
    change(index)
    (folder / "index.json").write_text(json.dumps(index))
    assert said in caught(contract(Good(), folder), "the_samples")["the_samples_are_described"]


@pytest.mark.parametrize("text", [None, "{", "[]", '{"samples": 1}'])
def test_an_index_that_cannot_be_read(text: str | None, tmp_path: Path) -> None:
    """It is one failed test, and no crash of the others."""
    if text is not None:
        (tmp_path / "index.json").write_text(text)
    found = caught(contract(Good(), tmp_path, clip=CLIP))
    assert {"the_samples_are_described", "the_samples_show_every_end"} == set(found)


def test_samples_must_show_a_failure(tmp_path: Path) -> None:
    """Most bugs are in the answer about a failed job: one is asked for."""
    folder = write(tmp_path / "samples", SAMPLES[:3])
    found = caught(contract(Good(), folder), "the_samples")
    assert "a failed job" in found["the_samples_show_every_end"]


def test_submits_must_be_tried(tmp_path: Path) -> None:
    """An operation that spends money is not published untested; a kind that there is not is told."""
    rows = [(file, body, {key: row[key] for key in row if key != "fields"}) for file, body, row in SAMPLES]
    found = caught(contract(Good(), write(tmp_path, rows), film={}), "submits")
    message = found["submits_refuse_what_they_cannot_send"]
    assert "lacks clip; `submits` names film; the provider has clip" in message
    assert 'submits = {"clip":' in message
