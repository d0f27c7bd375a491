"""The contract kit is right itself: planted bugs are caught by the check that is for them, good plugins pass all.

A bug is one function of `goodness.Good` replaced.
"""

from __future__ import annotations

import builtins
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from contract_cases import ID, SAMPLES, VIDEO, caught, contract, envelope, job, status, write
from good_plugin import WORDS, Good

import vidpoll
from vidpoll import State, parsing
from vidpoll.testing import ProviderContract
from vidpoll.testing.contract import package


def alarms(cls: type[ProviderContract]) -> dict[str, str]:
    """What fails of a plugin that stands in this file, which imports pytest."""
    found = caught(cls)
    assert "test_contract.py imports" in found.pop("the_plugin_imports_only_vidpoll")
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("kit") / "samples", SAMPLES)


def test_a_good_plugin_passes(folder: Path) -> None:
    """No false alarm, with every operation there is."""
    assert caught(contract(Good(), folder, clip={"prompt": "a sea"})) == {}


# -- planted bugs -----------------------------------------------------------------------------------------------------

PLANTED: list[tuple[str, type[Good]]] = []


def planted(check: str) -> Callable[[type[Good]], type[Good]]:
    """A plugin with one bug, and the check that has to catch it."""

    def note(cls: type[Good]) -> type[Good]:
        PLANTED.append((check, cls))
        return cls

    return note


@planted("an_unknown_word_is_not_guessed")
class UnknownIsRunning(Good):
    def state(self, job):
        return self.words.get(job.get("status"), State.RUNNING)


@planted("an_unknown_word_is_not_guessed")
class UnknownIsFailed(Good):
    def state(self, job):
        return self.words.get(str(job.get("status")), State.FAILED)


@planted("an_unknown_word_is_not_guessed")
class BeginsLikeDone(Good):
    """`startswith` takes "done_but_for_the_sound" for "done"."""

    def state(self, job):
        word = str(job.get("status"))
        return State.COMPLETED if word.startswith("done") else super().state(job)


@planted("an_unknown_word_is_not_guessed")
class HoldsBroken(Good):
    """`in` takes "unbroken" for "broken"."""

    def state(self, job):
        return State.FAILED if "broken" in str(job.get("status")) else super().state(job)


@planted("every_documented_word_is_known")
class CancelledForgotten(Good):
    words: Mapping[Any, State] = {word: state for word, state in WORDS.items() if word != "stopped"}


@planted("every_documented_word_is_known")
class ExpiredIsFailed(Good):
    words: Mapping[Any, State] = {**WORDS, "gone": State.FAILED}


@planted("only_the_status_decides")
class MissingWordIsRunning(Good):
    def state(self, job):
        return parsing.lookup(self.words, job.get("status") or "drawing")


@planted("only_the_status_decides")
class HundredIsDone(Good):
    def state(self, job):
        full = (parsing.number(job.get("progress")) or 0) >= 1
        return State.COMPLETED if full and job.get("status") == "drawing" else super().state(job)


@planted("a_job_under_way_is_not_ended_by_other_fields")
class UrlIsDone(Good):
    def state(self, job):
        state = super().state(job)
        return State.COMPLETED if job.get("url") and not state.final else state


@planted("a_job_under_way_is_not_ended_by_other_fields")
class ErrorOfRunningBelieved(Good):
    def state(self, job):
        state = super().state(job)
        return State.FAILED if job.get("error") and not state.final else state


@planted("a_sample_means_what_is_expected")
class EnvelopeStatus(Good):
    words: Mapping[Any, State] = {**WORDS, "success": State.COMPLETED}

    def parse_status(self, response, job_id):
        body = parsing.json_object(response)
        return replace(super().parse_status(response, job_id), state=parsing.lookup(self.words, body.get("status")))


@planted("an_answer_about_another_job_is_told_apart")
class IdOfTheQuestion(Good):
    def parse_status(self, response, job_id):
        return replace(super().parse_status(response, job_id), job_id=job_id)


@planted("an_answer_about_another_job_is_told_apart")
class IdHidden(Good):
    def parse_status(self, response, job_id):
        return replace(super().parse_status(response, job_id), job_id=None)


@planted("an_answer_about_another_job_is_told_apart")
class FollowsTheAnswersId(Good):
    """It adopts the id of the answer."""

    def parse_status(self, response, job_id):
        said = super().parse_status(response, job_id)
        if said.state is not State.COMPLETED:
            return said
        request = vidpoll.Request("GET", f"/files/{parsing.segment(said.job_id or job_id)}")
        return vidpoll.Follow(request, lambda response, job_id: said, fallback=said)


@planted("an_answer_about_another_job_is_told_apart")
class IdInAnotherForm(Good):
    """Every answer would be refused as one about another job."""

    def snapshot(self, job):
        said = super().snapshot(job)
        return replace(said, job_id=said.job_id and said.job_id.removeprefix("job-"))


@planted("the_key_stays_in_the_headers")
class KeyInQuery(Good):
    def status_request(self, job_id):
        key = __import__("os").environ.get("GOODNESS_API_KEY", "")
        return vidpoll.Request("GET", f"/jobs/{parsing.segment(job_id)}", (("key", key),))


@planted("the_key_stays_in_the_headers")
class KeyInBody(Good):
    def submit_request(self, fields):
        key = __import__("os").environ.get("GOODNESS_API_KEY", "")
        return vidpoll.Request("POST", "/jobs", json={**super().submit_request(fields).json, "key": key})


@planted("the_key_stays_in_the_headers")
class PlainHttp(Good):
    base_url = "http://api.goodness.example/v1"


@planted("progress_is_a_percentage")
class FractionAsPercent(Good):
    def progress(self, job):
        return parsing.progress(job.get("progress"))


@planted("progress_is_a_percentage")
class PercentTwice(Good):
    def progress(self, job):
        return parsing.progress(job.get("progress"), full=0.01)


@planted("times_are_unix_seconds")
class Milliseconds(Good):
    def snapshot(self, job):
        return replace(super().snapshot(job), created_at=parsing.number(job.get("created_ms")))


@planted("times_are_unix_seconds")
class DurationInMilliseconds(Good):
    def snapshot(self, job):
        seconds = parsing.number(job.get("seconds"))
        return replace(super().snapshot(job), duration=seconds and seconds * 10_000)


@planted("list_rows_agree_with_status")
class UrlFromAListRow(Good):
    def row(self, job):
        return self.snapshot(job)


@planted("list_rows_agree_with_status")
class StrangeRowCostsAll(Good):
    def parse_list(self, response, job_id):
        body = parsing.json_object(response)
        found = body.get("data")
        rows = [self.row(row if isinstance(row, dict) else {}) for row in found] if isinstance(found, list) else []
        return vidpoll.Page([row for row in rows if row.job_id], parsing.text(body.get("next")))


@planted("list_rows_agree_with_status")
class UnknownRowIsRunning(Good):
    def row(self, job):
        try:
            return super().row(job)
        except vidpoll.UnknownStatus:
            return vidpoll.Snapshot(State.RUNNING, job_id=parsing.text(job.get("id")))


@planted("a_flag_is_true_or_false")
class TruthyIsTrue(Good):
    def parse_quota(self, response, job_id):
        body = parsing.json_object(response)
        return vidpoll.Quota(balance=parsing.number(body.get("credits")), unlimited=bool(body.get("flat")))


@planted("the_next_page_is_another_request")
class TokenForgotten(Good):
    def list_request(self, fields, token):
        return vidpoll.Request("GET", "/jobs")


@planted("a_completed_job_has_its_video")
class NoVideo(Good):
    def assets(self, job):
        return parsing.assets(job.get("url"), "clip")


@planted("a_failed_job_says_why")
class NoReason(Good):
    def problem(self, job):
        return None


@planted("a_failed_job_says_why")
class ReasonIsNone(Good):
    def problem(self, job):
        return vidpoll.Problem(str(job.get("error")))


@planted("a_completed_job_has_its_video")
class NoneIsEverDue(Good):
    def snapshot(self, job):
        return replace(super().snapshot(job), assets_due=False)


@planted("a_job_under_way_is_not_ended_by_other_fields")
class VideoAsSoonAsThereIsAUrl(Good):
    """No sample of a running job has a URL; the kit puts one there."""

    def snapshot(self, job):
        return replace(super().snapshot(job), assets=self.assets(job))


@planted("a_job_under_way_has_no_video")
class HalfAFile(Good):
    def snapshot(self, job):
        return replace(super().snapshot(job), assets=parsing.assets("https://media.goodness.example/part.mp4"))


@planted("asset_urls_resolve")
class FilesOfTheServer(Good):
    def assets(self, job):
        return parsing.assets("file:///srv/clips/a.mp4")


@planted("asset_urls_resolve")
class NoScheme(Good):
    def assets(self, job):
        return parsing.assets("media.goodness.example/a.mp4")


@planted("submit_takes_the_id_first")
class SubmitReadsTheStatusFirst(Good):
    def parse_submit(self, response, job_id):
        said = self.snapshot(self.job(response))
        return vidpoll.Submitted(said.job_id or "", said)


@planted("a_submit_answer_without_an_id_is_no_job")
class IdIsNone(Good):
    def parse_submit(self, response, job_id):
        return vidpoll.Submitted(str(parsing.first_of(parsing.json_object(response), "data.id")))


@planted("junk_raises_only_what_is_allowed")
class KeyErrors(Good):
    def job(self, response):
        return response.json()["data"]


@planted("junk_raises_only_what_is_allowed")
class Overflows(Good):
    def parse_quota(self, response, job_id):
        value = parsing.json_object(response).get("credits")
        return vidpoll.Quota(balance=int(value) if isinstance(value, (int, float)) else None)


@planted("junk_raises_only_what_is_allowed")
class UsageErrorOutOfAParser(Good):
    def parse_status(self, response, job_id):
        parsing.segment(str(self.job(response).get("id") or ""))
        return super().parse_status(response, job_id)


@planted("errors_are_read")
class ErrorReaderRaises(Good):
    def error(self, response):
        return vidpoll.Problem(response.json()["error"]["message"], response.json()["error"].get("code"))


@planted("parsers_are_pure")
class Remembers(Good):
    def __init__(self) -> None:
        self.serial = count()

    def snapshot(self, job):
        return replace(super().snapshot(job), queue_position=next(self.serial))


@planted("requests_are_pure")
class NewEachTime(Good):
    def status_request(self, job_id):
        return vidpoll.Request("GET", f"/jobs/{parsing.segment(job_id)}", (("t", str(time.monotonic_ns())),))


@planted("requests_are_pure")
class TakesTheCallersFields(Good):
    def submit_request(self, fields):
        request = super().submit_request(fields)
        fields["seed"] = 1
        return request


@planted("questions_change_nothing")
class DeletesWhenAsked(Good):
    def status_request(self, job_id):
        return vidpoll.Request("DELETE", f"/jobs/{parsing.segment(job_id)}")


@planted("requests_are_the_documented_ones")
class WrongPath(Good):
    def status_request(self, job_id):
        return vidpoll.Request("GET", f"/job/{parsing.segment(job_id)}")


@planted("the_id_reaches_the_request")
class NotEncoded(Good):
    def delete_request(self, job_id):
        return vidpoll.Request("DELETE", f"/jobs/{job_id}")


@planted("the_id_reaches_the_request")
class IdLost(Good):
    def status_request(self, job_id):
        parsing.segment(job_id)
        return vidpoll.Request("GET", "/jobs/latest")


@planted("the_id_reaches_the_request")
class EncodedTwice(Good):
    def status_request(self, job_id):
        return vidpoll.Request("GET", f"/jobs/{parsing.segment(parsing.segment(job_id))}")


@planted("submits_refuse_what_they_cannot_send")
class FieldsBelieved(Good):
    def submit_request(self, fields):
        return vidpoll.Request("POST", "/jobs", json={"prompt": fields["prompt"]})


@planted("an_answer_that_says_nothing_ends_no_job")
class FiveHundredIsFailed(Good):
    verdicts = (500,)

    def parse_status(self, response, job_id):
        if response.status == 500:
            return vidpoll.Snapshot(State.FAILED, problem=parsing.problem(response))
        return super().parse_status(response, job_id)


@planted("an_answer_that_says_nothing_ends_no_job")
class EmptyIsDone(Good):
    def parse_status(self, response, job_id):
        if response.status == 204:
            return vidpoll.Snapshot(State.COMPLETED, assets_due=False)
        return super().parse_status(response, job_id)


@planted("an_answer_that_says_nothing_ends_no_job")
class HtmlIsAVideo(Good):
    def parse_content(self, response, job_id):
        return vidpoll.Asset(data=response.body)


@planted("the_plugin_is_sound")
class Misspelt(Good):
    @vidpoll.hookimpl
    def vidpoll_complete(self, job, event):
        """The hook is vidpoll_completed."""


@pytest.mark.parametrize(("check", "plugin"), PLANTED, ids=[plugin.__name__ for _, plugin in PLANTED])
def test_a_planted_bug_is_caught(check: str, plugin: type[Good], folder: Path) -> None:
    """By the check that is for it, with a message that says the rule, why it matters and what to do."""
    found = caught(contract(plugin(), folder, clip={"prompt": "a sea"}), only=check)
    assert check in found
    lines = found[check].splitlines()
    assert [line.split(":")[0].strip() for line in lines[1:] if not line.startswith("     ")] == ["seen", "why", "do"]


def test_there_are_enough_bugs() -> None:
    """At least 25 kinds, and nearly every check has its bug."""
    assert len(PLANTED) >= 25


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
    return write(tmp_path / "numbers", samples, words=[[code, str(state)] for code, state in Numbers.words.items()])


def test_numbers_as_words(tmp_path: Path) -> None:
    """They pass as pairs; and `True == 1` in Python is caught."""
    folder = numbered(tmp_path)
    assert caught(contract(Numbers(), folder, clip={"prompt": "a sea"})) == {}
    found = caught(contract(TrueIsOne(), folder, clip={"prompt": "a sea"}), "only")
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


def provider(request: Any, parse: Any, **more: Any) -> Any:
    """A plugin that brings the provider "odd" with no more than a status question."""
    made = vidpoll.Provider(
        "odd",
        "https://api.odd.example",
        auth=vidpoll.NoAuth(),
        pacing=vidpoll.Pacing(5.0),
        status=vidpoll.Operation(request, parse, more.pop("verdicts", ())),
        **more,
    )
    return SimpleNamespace(name="odd-plugin", vidpoll_providers=vidpoll.hookimpl(lambda: [made]))


def veo_folder(tmp_path: Path) -> Path:
    name = "models/veo-3/operations/a1"
    done = {"name": name, "done": True}
    samples = [
        status("running.json", {"name": name, "done": False}, "running", expect={"progress": None}),
        status("fresh.json", {"name": name}, "running", expect={"progress": None}),
        status(
            "done.json",
            {**done, "response": {"uri": VIDEO}},
            "completed",
            expect={"progress": None, "assets": [{"kind": "video", "url": VIDEO}]},
        ),
        status("filtered.json", {**done, "response": {}}, "failed", expect={"progress": None}),
        status("error.json", {**done, "error": {"message": "no"}}, "failed", expect={"progress": None}),
    ]
    return write(tmp_path / "veo", samples, id=name, words={}, decides=["done", "error.message", "response.uri"])


def test_done_without_a_word_passes(tmp_path: Path) -> None:
    """Fields that decide by the page are named in the index; an id may be a path."""
    assert alarms(contract(long_running(strictly), veo_folder(tmp_path), "odd")) == {}


def test_truthy_is_not_true(tmp_path: Path) -> None:
    """A boolean decides by true and false alone, not by "yes" or 100."""
    found = caught(contract(long_running(bool), veo_folder(tmp_path), "odd"), "only")
    assert "true or false alone" in found["only_the_status_decides"]


def test_what_decides_must_be_named(tmp_path: Path) -> None:
    """Without "decides" the kit asks for it, naming the field."""
    folder = veo_folder(tmp_path)
    index = json.loads((folder / "index.json").read_text())
    (folder / "index.json").write_text(json.dumps({**index, "decides": []}))
    found = caught(contract(long_running(strictly), folder, "odd"), "only")
    assert 'add "done" to "decides"' in found["only_the_status_decides"]


# -- second answers ---------------------------------------------------------------------------------------------------


class Second(Good):
    """The file of a completed job is named by a second answer, whose parser may be wrong."""

    follow: Mapping[str, Any] = {"verdicts": (422, 500)}

    def parse_status(self, response, job_id):
        said = super().parse_status(response, job_id)
        if said.state is not State.COMPLETED:
            return said
        request = vidpoll.Request("GET", f"/files/{parsing.segment(job_id)}")
        return vidpoll.Follow(
            request, lambda second, job_id: self.parse_file(said, second, job_id), **{**self.follow, "fallback": said}
        )

    def parse_file(self, said, second, job_id):
        body = parsing.json_object(second)
        if body.get("id") not in (None, job_id):
            raise vidpoll.ForeignAnswer("another job's file")
        if second.status == 422:
            return replace(said, state=State.FAILED, problem=parsing.problem(second))
        return replace(said, assets=parsing.assets(parsing.first_of(body, "file.href")))


class VerdictsForgotten(Second):
    follow: Mapping[str, Any] = {}


class SecondBelieved(Second):
    def parse_file(self, said, second, job_id):
        return replace(said, assets=(vidpoll.Asset(second.json()["file"]["href"]),))


class OutageOfTheSecondIsFailed(Second):
    def parse_file(self, said, second, job_id):
        if second.status == 500:
            return replace(said, state=State.FAILED, problem=parsing.problem(second))
        return super().parse_file(said, second, job_id)


class FileOfAnother(Second):
    def parse_file(self, said, second, job_id):
        return replace(said, assets=parsing.assets(parsing.first_of(parsing.json_object(second), "file.href")))


def seconds(tmp_path: Path) -> Path:
    done = envelope(job("done", progress=1))
    file = {"progress": 100, "assets": [{"kind": "video", "url": VIDEO}]}
    samples = [
        *[row for row in SAMPLES if row[0] in ("queued.json", "broken.json", "taken.json")],
        status("done.json", done, "completed", then=["file.json"], expect=file),
        status("late.json", done, "failed", then=["gone.json"], expect={"progress": 100}),
        ("file.json", {"id": ID, "file": {"href": VIDEO}}, {"operation": "follow"}),
        ("gone.json", {"detail": "refused after all"}, {"operation": "follow", "status": 422}),
    ]
    return write(tmp_path / "seconds", samples)


@pytest.mark.parametrize(
    ("plugin", "check", "said"),
    [
        (VerdictsForgotten, "a_second_answer_is_shown_to_its_parser", "verdicts=(422,)"),
        (SecondBelieved, "a_second_answer_breaks_nothing", "TypeError"),
        (OutageOfTheSecondIsFailed, "a_second_answer_breaks_nothing", "as HTTP 500 with the body"),
        (FileOfAnother, "a_second_answer_about_another_job_is_told_apart", "its files are taken"),
    ],
)
def test_a_bug_in_a_second_answer_is_caught(plugin: type[Good], check: str, said: str, tmp_path: Path) -> None:
    """The parser of a second answer is held to what holds for the first."""
    folder = seconds(tmp_path)
    submits = {"clip": {"prompt": "a sea"}}
    assert caught(contract(Second(), folder, **submits), "a_second") == {}
    found = caught(contract(plugin(), folder, **submits), "a_second")
    assert said in found[check]


def test_a_second_answer_has_a_sample(folder: Path) -> None:
    """A Follow that no sample shows is asked for, also where only an answer that lacks something leads to it."""

    class WhereThereIsNoUrl(Second):
        def parse_status(self, response, job_id):
            return (
                Good.parse_status(self, response, job_id)
                if self.job(response).get("url")
                else super().parse_status(response, job_id)
            )

    found = caught(contract(WhereThereIsNoUrl(), folder, clip={"prompt": "a sea"}), "a_second")
    assert 'no status sample has "then"' in found["a_second_answer_is_shown_to_its_parser"]


# -- good plugins of odd shape ----------------------------------------------------------------------------------------


def test_a_result_in_a_second_answer_passes(tmp_path: Path) -> None:
    """[fal] A Follow, whose second answer the index names; a second answer may be the failure."""

    def result(response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot:
        if response.status >= 400:
            return vidpoll.Snapshot(State.FAILED, problem=parsing.problem(response))
        url = parsing.first_of(parsing.json_object(response), "video.url")
        if not url:
            raise vidpoll.Malformed("no video")
        return vidpoll.Snapshot(State.COMPLETED, assets=parsing.assets(url))

    def parse(response: vidpoll.Response, job_id: str) -> Any:
        body = parsing.json_object(response)
        words = {"IN_QUEUE": State.QUEUED, "COMPLETED": State.COMPLETED}
        state = parsing.lookup(words, body.get("status"))
        if state is State.QUEUED:
            return vidpoll.Snapshot(state, stage=parsing.text(body.get("status")))
        return vidpoll.Follow(vidpoll.Request("GET", f"/{parsing.segment(job_id, safe='/')}"), result, (422,))

    plugin = provider(lambda job_id: vidpoll.Request("GET", f"/{parsing.segment(job_id, safe='/')}/status"), parse)
    files = {"assets": [{"kind": "video", "url": VIDEO}]}
    samples = [
        status("queue.json", {"status": "IN_QUEUE"}, "queued", expect={"progress": None, "stage": "IN_QUEUE"}),
        status(
            "done.json", {"status": "COMPLETED"}, "completed", then=["video.json"], expect={"progress": None, **files}
        ),
        status("nsfw.json", {"status": "COMPLETED"}, "failed", then=["refused.json"], expect={"progress": None}),
        ("video.json", {"video": {"url": VIDEO}}, {"operation": "follow"}),
        ("refused.json", {"detail": "nsfw"}, {"operation": "follow", "status": 422}),
    ]
    words = {"IN_QUEUE": "queued"}
    folder = write(tmp_path / "fal", samples, id="kling/requests/a1", words={**words, "COMPLETED": "completed"})
    assert alarms(contract(plugin, folder, "odd")) == {}


def test_id_plus_kind_and_two_secrets_pass(tmp_path: Path) -> None:
    """[Kling] The id holds the kind, the answer names the job without it; auth is minted for each request."""
    words = {"submitted": State.QUEUED, "succeed": State.COMPLETED, "failed": State.FAILED}

    def request(job_id: str) -> vidpoll.Request:
        kind, _, task = job_id.partition("/")
        if kind not in ("text2video", "image2video") or not task:
            raise vidpoll.BadReference("write KIND/ID, for example text2video/123")
        return vidpoll.Request("GET", f"/v1/videos/{kind}/{parsing.segment(task)}")

    def parse(response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot:
        body = parsing.json_object(response)
        if parsing.text(body.get("code")) not in ("0", None):
            kinds = {"1000": "authentication", "1303": "rate limit"}
            code = parsing.text(body.get("code")) or ""
            raise vidpoll.Refused(kinds.get(code, "server"), str(body.get("message")), code)
        task = parsing.json_object(response, "data")
        state = parsing.lookup(words, task.get("task_status"))
        named = parsing.text(task.get("task_id"))
        found = parsing.column(parsing.first_of(task, "task_result.videos"), "url")
        reason = parsing.text(task.get("task_status_msg")) or "no reason"
        return vidpoll.Snapshot(
            state,
            stage=parsing.text(task.get("task_status")),
            job_id=named and f"{job_id.partition('/')[0]}/{named}",
            assets=parsing.assets(found) if state is State.COMPLETED else (),
            problem=vidpoll.Problem(reason) if state is State.FAILED else None,
            updated_at=parsing.timestamp(task.get("updated_at")),
        )

    def task(word: str, **more: Any) -> dict[str, Any]:
        return {"code": 0, "data": {"task_id": "831", "task_status": word, "updated_at": 1795001000123, **more}}

    none = {"progress": None}
    samples = [
        status("in.json", task("submitted"), "queued", expect={**none, "stage": "submitted"}),
        status(
            "ok.json",
            task("succeed", task_result={"videos": [{"id": "v", "url": VIDEO}]}),
            "completed",
            expect={**none, "stage": "succeed", "assets": [{"kind": "video", "url": VIDEO}]},
        ),
        status("no.json", task("failed", task_status_msg="nsfw"), "failed", expect={**none, "stage": "failed"}),
        ("key.json", {"code": 1000, "message": "no"}, {"operation": "status", "expect": {"raises": "Refused"}}),
    ]
    folder = write(tmp_path / "kling", samples, id="text2video/831", words={k: str(v) for k, v in words.items()})

    def mint(request: vidpoll.Request, secrets: Mapping[str, str]) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {len(secrets['ODD_SECRET_KEY'])}.{time.monotonic_ns()}"}

    plugin = provider(request, parse)
    made = replace(plugin.vidpoll_providers()[0], auth=vidpoll.Minted(("ODD_ACCESS_KEY", "ODD_SECRET_KEY"), mint))
    plugin.vidpoll_providers = vidpoll.hookimpl(lambda: [made])
    assert alarms(contract(plugin, folder, "odd")) == {}


def test_a_question_by_post_passes(tmp_path: Path) -> None:
    """[SiliconFlow] The id is in a JSON body, the answer names no id."""
    words = {"InQueue": State.QUEUED, "Succeed": State.COMPLETED, "Failed": State.FAILED}

    def parse(response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot:
        body = parsing.json_object(response)
        state = parsing.lookup(words, body.get("status"))
        return vidpoll.Snapshot(
            state,
            stage=parsing.text(body.get("status")),
            assets=parsing.assets(body.get("url")) if state is State.COMPLETED else (),
            problem=vidpoll.Problem(parsing.text(body.get("reason")) or "no reason") if state is State.FAILED else None,
        )

    def request(job_id: str) -> vidpoll.Request:
        if job_id in ("", ".", ".."):
            raise vidpoll.BadReference("no id")
        return vidpoll.Request("POST", "/v1/video/status", json={"requestId": job_id})

    samples = [
        status("queue.json", {"status": "InQueue"}, "queued", expect={"progress": None, "stage": "InQueue"}),
        status(
            "ok.json",
            {"status": "Succeed", "url": VIDEO},
            "completed",
            expect={"progress": None, "stage": "Succeed", "assets": [{"kind": "video", "url": VIDEO}]},
        ),
        status(
            "bad.json", {"status": "Failed", "reason": "no"}, "failed", expect={"progress": None, "stage": "Failed"}
        ),
    ]
    folder = write(tmp_path / "flow", samples, words={word: str(state) for word, state in words.items()})
    assert alarms(contract(provider(request, parse), folder, "odd")) == {}


def test_a_failed_job_in_a_500_passes(tmp_path: Path) -> None:
    """[vLLM-Omni] The body of a 500 is the job; an outage's 500 is not. [xAI] A 202 with an empty body is running."""
    words = {"in_progress": State.RUNNING, "completed": State.COMPLETED, "failed": State.FAILED}

    def parse(response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot:
        if response.status == 202 and not response.body:
            return vidpoll.Snapshot(State.RUNNING)
        body = parsing.json_object(response)
        state = parsing.lookup(words, body.get("status"))
        reason = parsing.text(parsing.first_of(body, "error.message"))
        return vidpoll.Snapshot(
            state,
            stage=parsing.text(body.get("status")),
            job_id=parsing.text(body.get("id")),
            problem=vidpoll.Problem(reason or "no reason") if state is State.FAILED else None,
            assets=(vidpoll.Asset(f"/v1/videos/{parsing.segment(job_id)}/content"),)
            if state is State.COMPLETED
            else (),
        )

    content = [{"kind": "video", "url": f"/v1/videos/{ID}/content"}]
    samples = [
        status("empty.txt", b"", "running", status=202, expect={"progress": None}),
        status(
            "run.json",
            {"id": ID, "status": "in_progress"},
            "running",
            expect={"progress": None, "stage": "in_progress"},
        ),
        status(
            "ok.json",
            {"id": ID, "status": "completed"},
            "completed",
            expect={"progress": None, "stage": "completed", "assets": content},
        ),
        status(
            "bad.json",
            {"id": ID, "status": "failed", "error": {"message": "CUDA out of memory", "code": 500}},
            "failed",
            status=500,
            expect={"progress": None, "stage": "failed"},
        ),
    ]
    folder = write(tmp_path / "omni", samples, words={word: str(state) for word, state in words.items()})
    plugin = provider(lambda job_id: vidpoll.Request("GET", f"/v1/videos/{parsing.segment(job_id)}"), parse)
    made = replace(plugin.vidpoll_providers()[0], status=vidpoll.Operation(
        lambda job_id: vidpoll.Request("GET", f"/v1/videos/{parsing.segment(job_id)}"), parse, (500,)))  # fmt: skip
    plugin.vidpoll_providers = vidpoll.hookimpl(lambda: [made])
    assert alarms(contract(plugin, folder, "odd")) == {}


def test_an_id_out_of_a_url_passes(tmp_path: Path) -> None:
    """[fal] A submit answer names the job by URLs only: the id is the path of one."""
    body = {"status": "IN_QUEUE", "request_id": "a1", "response_url": "https://api.odd.example/kling/requests/a1"}

    def parse_submit(response: vidpoll.Response, job_id: str) -> vidpoll.Submitted:
        url = parsing.text(parsing.json_object(response).get("response_url")) or ""
        return parsing.submitted(url.partition("odd.example/")[2])

    plugin = provider(
        lambda job_id: vidpoll.Request("GET", f"/{parsing.segment(job_id, safe='/')}/status"),
        lambda response, job_id: vidpoll.Snapshot(parsing.lookup({}, parsing.json_object(response).get("status"))),
        submit={"clip": vidpoll.Operation(lambda fields: vidpoll.Request("POST", "/kling"), parse_submit)},
    )
    taken = ("taken.json", body, {"operation": "submit clip", "expect": {"job_id": "kling/requests/a1"}})
    folder = write(tmp_path / "fal", [taken], id="kling/requests/a1")
    found = caught(contract(plugin, folder, "odd", clip={}))
    assert "submit_takes_the_id_first" not in found
    assert "a_submit_answer_without_an_id_is_no_job" not in found


def test_a_documented_query_is_compared(tmp_path: Path) -> None:
    """[MiniMax] The id may stand in the query: its parameter's name is the vendor's, its value the job's."""

    def found(query: str) -> dict[str, str]:
        row = status("in.json", envelope(job("queued")), "queued", request=query)
        plugin = provider(
            lambda job_id: vidpoll.Request("GET", "/q", (("task_id", job_id), ("v", "2"))), Good().parse_status
        )
        return caught(contract(plugin, write(tmp_path / "q", [row]), "odd"), "requests_are_the")

    assert found("GET /q?task_id={id}&v=2") == {}
    assert "sends GET /q?task_id=job-7f3a&v=2" in found("GET /q?taskId={id}")["requests_are_the_documented_ones"]
    assert found("GET /q?v=1") != {}


# -- the samples themselves -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda index: index.pop("words"), '"words" is missing'),
        (lambda index: index.update(words={"done": "finished"}), '"words" maps each status word'),
        (lambda index: index.update(decides="done"), '"decides" is not a list'),
        (lambda index: index["samples"].pop(), "refused.json lies in the folder"),
        (lambda index: index["samples"][0].pop("origin"), 'queued.json: "origin" is None: one of documented'),
        (lambda index: index["samples"][0].pop("operation"), 'queued.json: "operation" is missing'),
        (lambda index: index["samples"][0]["expect"].pop("progress"), 'queued.json: "expect" lacks "progress"'),
        (lambda index: index["samples"][0]["expect"].update(state="busy"), "\"state\" is 'busy': one of queued"),
        (lambda index: index["samples"][0]["expect"].update(colour=1), '"expect" holds "colour"'),
        (lambda index: index["samples"][0].update(expect={"raises": "KeyError"}), "\"raises\" is 'KeyError'"),
        (
            lambda index: index["samples"][0].update(file="none.json"),
            "none.json is in index.json and not in the folder",
        ),
        (lambda index: index["samples"][0].update(then=["x.json"]), '"then" names x.json, which is no sample'),
        (lambda index: index.pop("id"), "which job was asked about?"),
        (lambda index: index["samples"].append(index["samples"][0]), "queued.json is listed twice"),
    ],
)
def test_an_index_that_is_wrong_is_told(change: Callable[[Any], object], said: str, tmp_path: Path) -> None:
    """Every mistake is a line of its own, and names the sample and the way out."""
    folder = write(tmp_path / "samples", SAMPLES)
    index = json.loads((folder / "index.json").read_text())
    change(index)
    (folder / "index.json").write_text(json.dumps(index))
    assert (
        said in caught(contract(Good(), folder, clip={"prompt": "a sea"}), "the_samples")["the_samples_are_described"]
    )


@pytest.mark.parametrize("text", [None, "{", "[]", '{"samples": 1}'])
def test_an_index_that_cannot_be_read(text: str | None, tmp_path: Path) -> None:
    """It is one failed test, and no crash of the others."""
    if text is not None:
        (tmp_path / "index.json").write_text(text)
    found = caught(contract(Good(), tmp_path, clip={"prompt": "a sea"}))
    assert {"the_samples_are_described", "the_samples_show_every_end"} == set(found)


def test_samples_must_show_a_failure(tmp_path: Path) -> None:
    """Most bugs are in the answer about a failed job: one is asked for."""
    folder = write(tmp_path / "samples", SAMPLES[:3])
    found = caught(contract(Good(), folder, clip={"prompt": "a sea"}), "the_samples")
    assert "a failed job" in found["the_samples_show_every_end"]


def test_submits_must_be_tried(folder: Path) -> None:
    """An operation that spends money is not published untested."""
    found = caught(contract(Good(), folder))
    assert set(found) == {"requests_are_pure", "submits_refuse_what_they_cannot_send"}
    assert 'submits = {"clip":' in found["requests_are_pure"]


def test_a_contract_names_its_provider() -> None:
    """A class that names nothing says what to write."""
    with pytest.raises(pytest.fail.Exception, match='provider = "acme"'):
        ProviderContract().test_the_plugin_is_sound()


def test_a_provider_that_is_not_installed(folder: Path) -> None:
    """The message says how to install it."""
    cls = type("TestContract", (ProviderContract,), {"provider": "nobody", "samples": folder})
    found = caught(cls)
    assert list(found) == ["the_plugin_is_sound"]  # one failure, not forty
    assert "pip install -e ." in found["the_plugin_is_sound"]


def test_an_entry_point_of_another_name() -> None:
    """Users switch a plugin off, and look for it, by the name of its provider."""
    report = vidpoll.PluginReport("mg", "vidpoll-mg", providers=("magicoal",))
    package.entry_point(SimpleNamespace(plugin=None, name="magicoal", report=replace(report, name="magicoal")))
    with pytest.raises(pytest.fail.Exception, match="'mg' of vidpoll-mg brings the provider 'magicoal'"):
        package.entry_point(SimpleNamespace(plugin=None, name="magicoal", report=report))


def test_a_simulated_run_that_fails(tmp_path: Path) -> None:
    """What the face refuses is told in the provider's words."""
    fields = {"provider": "token360", "samples": tmp_path, "submits": {"video": {"model": "none", "prompt": "a sea"}}}
    found = caught(type("TestContract", (ProviderContract,), fields), "a_simulated")
    assert "The requested model does not exist" in found["a_simulated_job_from_submit_to_file"]


# -- the source -------------------------------------------------------------------------------------------------------

SOURCE = """
import {module}
import vidpoll
from vidpoll import parsing

def parse(response, job_id):
    {line}
    return vidpoll.Snapshot(parsing.lookup({{"run": "running"}}, parsing.json_object(response).get("s")))

@vidpoll.hookimpl
def vidpoll_providers():
    yield vidpoll.Provider("sourced", "https://api.sourced.example", vidpoll.NoAuth(), vidpoll.Pacing(),
        vidpoll.Operation(lambda job_id: vidpoll.Request("GET", f"/{{parsing.segment(job_id)}}"), parse))
"""


@pytest.mark.parametrize(
    ("module", "line", "said"),
    [
        ("json", "pass", None),
        ("urllib.parse", "pass", None),
        ("vidpoll.parsing", "pass", None),
        ("requests", "pass", "imports requests"),
        ("time", "pass", "imports time"),
        ("urllib.request", "pass", "imports urllib.request"),
        ("vidpoll.polling.loop", "pass", "imports vidpoll.polling.loop"),
        ("vidpoll.testing", "pass", "imports vidpoll.testing"),
        ("json", "while False: pass", "a while loop"),
        ("json", "pass  # DE" + "CIDE: which words?", "which words?"),
    ],
)
def test_the_source_is_read(module, line, said, tmp_path, monkeypatch) -> None:
    """No network, no waiting, no inner rooms of vidpoll; and nothing left to decide."""
    (tmp_path / "sourced.py").write_text(SOURCE.format(module=module, line=line))
    monkeypatch.syspath_prepend(tmp_path)
    plugin = builtins.__import__("sourced")
    try:
        cls = contract(plugin, write(tmp_path / "samples", []), "sourced")
        found = {**caught(cls, "the_plugin"), **caught(cls, "nothing")}
    finally:
        del sys.modules["sourced"]
    texts = " ".join(found.get(name, "") for name in ("the_plugin_imports_only_vidpoll", "nothing_is_left_to_decide"))
    assert texts == " " if said is None else said in texts


# -- under pytest -----------------------------------------------------------------------------------------------------


def test_it_runs_as_tests(tmp_path: Path, folder: Path) -> None:
    """Under pytest each sample is a test of its own, and a failure is its four lines without a traceback."""
    (tmp_path / "test_it.py").write_text(f"""
from test_contract import UnknownIsRunning
from good_plugin import Good
from vidpoll.testing import ProviderContract

class TestGood(ProviderContract):
    provider, plugin, samples, submits = "goodness", Good(), {str(folder)!r}, {{"clip": {{"prompt": "a"}}}}

class TestBad(TestGood):
    plugin = UnknownIsRunning()
""")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1] / "support")]),
    }
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "-W", "error", "test_it.py"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert "TestGood::test_a_sample_means_what_is_expected[broken-silent.json] PASSED" in done.stdout, done.stdout
    assert "a status word that is not listed raises UnknownStatus\n  seen: " in done.stdout
    assert "verdicts.py" not in done.stdout
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    assert failed
    assert not any("TestGood" in line for line in failed)


def test_without_hypothesis(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only pytest is needed: the junk then comes from a seeded generator, and finds the same bugs."""
    for name in [name for name in sys.modules if name.split(".")[0] == "hypothesis"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    assert caught(contract(Good(), folder, clip={"prompt": "a sea"})) == {}
    assert "junk_raises_only_what_is_allowed" in caught(contract(KeyErrors(), folder, clip={"prompt": "a sea"}), "junk")
