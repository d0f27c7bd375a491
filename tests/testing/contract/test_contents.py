"""Bugs in what an answer holds beside the state are caught by the check that is for them.

A bug is one function of `good_plugin.Good` replaced.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urljoin

import pytest
from contract_cases import SAMPLES, VIDEO, caught, contract, envelope, job, lines, planting, status, write
from good_plugin import Good

import vidpoll
from vidpoll import State, declare, parsing

PLANTED: list[tuple[str, type[Good]]] = []
planted = planting(PLANTED)


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


@planted("a_failed_job_says_why")
class NoReasonWhereNoneCame(Good):
    def problem(self, job):
        reason = parsing.text(parsing.first_of(job, "error.message", "error"))
        return reason and vidpoll.Problem(reason)


@planted("a_completed_job_has_its_video")
class NoneIsEverDue(Good):
    def snapshot(self, job):
        return replace(super().snapshot(job), assets_due=False)


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


@planted("errors_are_read")
class ErrorReaderRaises(Good):
    def error(self, response):
        return vidpoll.Problem(response.json()["error"]["message"], response.json()["error"].get("code"))


@planted("asset_urls_come_out_as_they_went_in")
class Unquoted(Good):
    def assets(self, job):
        return parsing.assets(job.get("url") and unquote(str(job["url"])))


@planted("asset_urls_come_out_as_they_went_in")
class QueryCut(Good):
    def assets(self, job):
        return parsing.assets(job.get("url") and str(job["url"]).partition("?")[0])


@planted("asset_urls_come_out_as_they_went_in")
class Joined(Good):
    """vidpoll joins a relative URL to the account's own origin, which need not be the vendor's."""

    def assets(self, job):
        return parsing.assets(job.get("url") and urljoin("https://api.goodness.example", str(job["url"])))


@planted("amounts_are_numbers")
class BalanceAsItCame(Good):
    def parse_quota(self, response, job_id):
        return vidpoll.Quota(balance=parsing.json_object(response).get("credits"))


@planted("the_samples_leave_nothing_out")
class SaysMore(Good):
    def snapshot(self, job):
        return replace(super().snapshot(job), queue_position=3)


@planted("an_answer_about_another_job_is_told_apart")
class AnotherJobIsRefused(Good):
    def parse_status(self, response, job_id):
        if self.job(response).get("id") != job_id:
            raise vidpoll.Refused("not found", "another job")
        return super().parse_status(response, job_id)


@planted("an_answer_about_another_job_is_told_apart")
class NoneIsAnId(Good):
    def snapshot(self, job):
        return replace(super().snapshot(job), job_id=str(job.get("id")))


@planted("amounts_are_numbers")
class PlanIsNone(Good):
    def parse_quota(self, response, job_id):
        body = parsing.json_object(response)
        return replace(super().parse_quota(response, job_id), plan=str(body.get("plan")))


@pytest.mark.parametrize(("check", "plugin"), PLANTED, ids=[plugin.__name__ for _, plugin in PLANTED])
def test_a_planted_bug_is_caught(check: str, plugin: type[Good], samples: Path) -> None:
    """By the check that is for it, with a message that says the rule, why it matters and what to do."""
    found = caught(contract(plugin(), samples), only=check)
    assert check in found
    assert lines(found[check]) == ["seen", "why", "do"]


def test_a_line_to_paste(samples: Path) -> None:
    """What the index leaves out is told with the line that it lacks."""
    message = caught(contract(SaysMore(), samples), "the_samples_leave")["the_samples_leave_nothing_out"]
    assert '"progress": 0, "assets": [], "created_at": 1795001000, "queue_position": 3}' in message
    assert "list.json lacks rows; paste" in message


def test_a_thumbnail_is_no_video(tmp_path: Path) -> None:
    """A file of another kind does not take the place of one that is not there."""

    class AnyFile(Good):
        def assets(self, job):
            return parsing.assets(job.get("url") or job.get("cover")) + parsing.assets(job.get("cover"), "thumbnail")

    cover = "https://media.goodness.example/cover.jpg"
    files = [{"kind": "video", "url": VIDEO}, {"kind": "thumbnail", "url": cover}]
    done = envelope(job("done", progress=1, url=VIDEO, cover=cover))
    row = status("covered.json", done, "completed", expect={"progress": 100, "assets": files})
    folder = write(tmp_path / "samples", [*SAMPLES, row])
    check = "asset_urls_come_out_as_they_went_in"
    assert caught(contract(Good(), folder), check) == {}
    assert "a file must keep its kind" in caught(contract(AnyFile(), folder), check)[check]


class Coded(Good):
    """A plugin whose failed jobs and refusals have codes, and which declares what they are."""

    word: str | None = "internal"

    def problem(self, job):
        return vidpoll.Problem("out of paint", "PAINT", kind=self.word)

    def error(self, response):
        return declare.refusals({"FULL": "capacity"} if self.word else {})(response)


class CodesWithoutAClass(Coded):
    word = None


REFUSED = {"message": "busy", "code": "FULL"}
FAILED = {"message": "out of paint", "code": "PAINT"}


@pytest.mark.parametrize(
    ("plugin", "refused", "failed", "told"),
    [
        (CodesWithoutAClass, {}, {}, ["broken.json: 'PAINT' of a failed job", "full.json: 'FULL' with HTTP 429"]),
        (CodesWithoutAClass, {"category": "rate"}, {"category": None}, []),
        (Coded, {"kind": "capacity"}, {"category": "internal"}, []),
    ],
)
def test_a_code_has_a_class_of_failure(
    plugin: type[Good], refused: dict[str, object], failed: dict[str, object], told: list[str], tmp_path: Path
) -> None:
    """One that no table names is found, unless the index says that it has none; a 404 says enough by itself."""
    rows = [
        status("broken.json", envelope(job("broken")), "failed", expect={"problem": {**FAILED, **failed}}),
        ("full.json", {"error": REFUSED}, {"operation": "error", "status": 429, "expect": {**REFUSED, **refused}}),
        ("lost.json", {"error": REFUSED}, {"operation": "error", "status": 404, "expect": {"message": "busy"}}),
    ]
    cls = contract(plugin(), write(tmp_path / "samples", [*rows[:2], *(rows[2:] if plugin is not Coded else [])]))
    found = caught(cls, "a_code_has").get("a_code_has_a_class_of_failure", "")
    assert [line.strip() for line in found.splitlines()[2:-2]] == told
    assert caught(cls, "a_sample_means") == {}
