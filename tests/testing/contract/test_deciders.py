"""What decides beside the status word: numbers as words, and fields that the index names."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from contract_cases import SAMPLES, VIDEO, alarms, caught, contract, envelope, provider, status, write
from good_plugin import Good

import vidpoll
from vidpoll import State, parsing

# -- numbers as words -------------------------------------------------------------------------------------------------


class Numbers(Good):
    """States are numbers, as with MoneyPrinterTurbo and PixVerse."""

    words: Mapping[Any, State] = {0: State.QUEUED, 5: State.RUNNING, 1: State.COMPLETED, -1: State.FAILED}

    def snapshot(self, job):
        return replace(super().snapshot(job), stage=None)


class TrueIsOne(Numbers):
    def state(self, job):
        word = job.get("status")
        if not isinstance(word, (int, float)) or word not in self.words:
            raise vidpoll.UnknownStatus("unknown", word=str(word))
        return self.words[word]


def numbered(tmp_path: Path) -> Path:
    codes = {"queued": 0, "drawing": 5, "done": 1, "broken": -1}
    samples = []
    for name, body, row in SAMPLES:
        if row["operation"] == "status":
            data = {**body["data"], "status": codes[body["data"]["status"]]}
            samples.append((name, envelope(data), {**row, "expect": {**row["expect"], "stage": None}}))
        elif row["operation"] not in ("submit clip", "list"):
            samples.append((name, body, row))
        elif row["operation"] == "submit clip":
            expect = {**row["expect"], "stage": None}
            samples.append((name, envelope({**body["data"], "status": 0}), {**row, "expect": expect}))
        else:
            rows = [{**each, "status": codes[each["status"]]} for each in body["data"]]
            expect = {**row["expect"], "rows": [{**each, "stage": None} for each in row["expect"]["rows"]]}
            samples.append((name, {**body, "data": rows}, {**row, "expect": expect}))
    return write(tmp_path / "numbers", samples, words=[[code, str(state)] for code, state in Numbers.words.items()])


def test_numbers_as_words(tmp_path: Path) -> None:
    """They pass as pairs; and `True == 1` in Python is caught."""
    folder = numbered(tmp_path)
    assert alarms(contract(Numbers(), folder)) == {}
    found = caught(contract(TrueIsOne(), folder), "only")
    assert "True == 1" in found["only_the_status_decides"]


# -- a field beside the word ------------------------------------------------------------------------------------------


def long_running(done: Callable[[Any], bool]) -> Any:
    """[Veo] `done` without a word, an id that is a path."""

    def parse(response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot:
        body = parsing.json_object(response)
        if not done(body.get("done", False)):
            return vidpoll.Snapshot(State.RUNNING, job_id=parsing.text(body.get("name")))
        reason = parsing.text(parsing.first_of(body, "error.message"))
        videos = parsing.assets(parsing.first_of(body, "response.uri"))
        if reason or not videos:
            problem = vidpoll.Problem(reason or "filtered")
            return vidpoll.Snapshot(State.FAILED, problem=problem, job_id=parsing.text(body.get("name")))
        return vidpoll.Snapshot(State.COMPLETED, assets=videos, job_id=parsing.text(body.get("name")))

    return provider(lambda job_id: vidpoll.Request("GET", f"/{parsing.segment(job_id, safe='/')}"), parse)


def strictly(value: object) -> bool:
    if not isinstance(value, bool):
        raise vidpoll.Malformed("done is neither true nor false")
    return value


def veo_folder(tmp_path: Path) -> Path:
    name = "models/veo-3/operations/a1"
    done = {"name": name, "done": True}
    samples = [
        status(
            "running.json", {"name": name, "done": False}, "running", request="GET /{name}", expect={"progress": None}
        ),
        status("fresh.json", {"name": name}, "running", expect={"progress": None}),
        status(
            "done.json",
            {**done, "response": {"uri": VIDEO}},
            "completed",
            expect={"progress": None, "assets": [{"kind": "video", "url": VIDEO}]},
        ),
        status("filtered.json", {**done, "response": {}}, "failed", expect={"progress": None, "problem": "filtered"}),
        status(
            "error.json", {**done, "error": {"message": "no"}}, "failed", expect={"progress": None, "problem": "no"}
        ),
    ]
    return write(tmp_path / "veo", samples, "odd", id=name, words={}, decides=["done", "error.message", "response.uri"])


def test_done_without_a_word_passes(tmp_path: Path) -> None:
    """Fields that decide by the page are named in the index; an id may be a path."""
    assert alarms(contract(long_running(strictly), veo_folder(tmp_path), "odd")) == {}


def test_truthy_is_not_true(tmp_path: Path) -> None:
    """A boolean decides by true and false alone, not by "yes" or 100."""
    found = caught(contract(long_running(bool), veo_folder(tmp_path), "odd"), "only")
    assert "decide only by true or false" in found["only_the_status_decides"]


def test_what_decides_must_be_named(tmp_path: Path) -> None:
    """Without "decides" the kit asks for it, naming the field."""
    folder = veo_folder(tmp_path)
    index = json.loads((folder / "index.json").read_text())
    (folder / "index.json").write_text(json.dumps({**index, "decides": []}))
    found = caught(contract(long_running(strictly), folder, "odd"), "only")
    assert 'add "done" to "decides"' in found["only_the_status_decides"]
