"""Second answers, those that a parser asks for with a Follow, are held to what holds for the first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from contract_cases import ID, SAMPLES, VIDEO, alarms, caught, contract, envelope, job, status, write
from good_plugin import Good

import vidpoll
from vidpoll import State, parsing

# -- second answers ---------------------------------------------------------------------------------------------------


class Second(Good):
    """The file of a completed job is named by a second answer, whose parser may be wrong."""

    follow: Mapping[str, Any] = {"verdicts": (422, 500)}
    path = "/files"

    def parse_status(self, response, job_id):
        said = super().parse_status(response, job_id)
        if said.state is not State.COMPLETED:
            return said
        request = vidpoll.Request("GET", f"{self.path}/{parsing.segment(job_id)}")
        return vidpoll.Follow(
            request, lambda second, job_id: self.parse_file(said, second, job_id), **{**self.follow, "fallback": said}
        )

    def parse_file(self, said, second, job_id):
        body = parsing.json_object(second)
        if body.get("id") not in (None, job_id):
            raise vidpoll.ForeignAnswer("another job's file")
        if second.status == 422 or body.get("failed") is True:
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


class RefusalOfTheSecondIsFailed(Second):
    """A body that says an error under HTTP 200 says nothing about the job."""

    def parse_file(self, said, second, job_id):
        if parsing.first_of(parsing.json_object(second), "error.message"):
            return replace(said, state=State.FAILED, problem=parsing.problem(second))
        return super().parse_file(said, second, job_id)


class AsksAgain(Second):
    def parse_file(self, said, second, job_id):
        body = parsing.json_object(second)
        if not parsing.first_of(body, "file.href"):
            request = vidpoll.Request("GET", f"/files/{parsing.segment(job_id)}")
            return vidpoll.Follow(request, lambda again, job_id: self.parse_file(said, again, job_id), fallback=said)
        return super().parse_file(said, second, job_id)


class NotFoundIsItsVerdict(Second):
    follow: Mapping[str, Any] = {"verdicts": (404, 422, 500)}


class AnotherFile(Second):
    path = "/file"


def seconds(tmp_path: Path) -> Path:
    done = envelope(job("done", progress=1))
    file = {"progress": 100, "assets": [{"kind": "video", "url": VIDEO}]}
    samples = [
        *[row for row in SAMPLES if row[0] not in ("done.json", "list.json")],
        status("done.json", done, "completed", then=["file.json"], expect=file),
        status(
            "late.json", done, "failed", then=["gone.json"], expect={"progress": 100, "problem": "refused after all"}
        ),
        ("file.json", {"id": ID, "file": {"href": VIDEO}}, {"operation": "follow", "request": "GET /v1/files/{id}"}),
        status("refused-file.json", done, "completed", then=["kept.json"], expect={"progress": 100}),
        ("kept.json", {"detail": "not for you"}, {"operation": "follow", "status": 403}),
        status("failed-file.json", done, "failed", then=["out.json"], expect={"progress": 100, "problem": "disk full"}),
        ("out.json", {"detail": "disk full", "failed": True}, {"operation": "follow", "status": 500}),
        ("gone.json", {"detail": "refused after all"}, {"operation": "follow", "status": 422}),
    ]
    return write(tmp_path / "seconds", samples)


@pytest.mark.parametrize(
    ("plugin", "check", "said"),
    [
        (VerdictsForgotten, "a_second_answer_is_shown_to_its_parser", "verdicts=(422,)"),
        (SecondBelieved, "a_second_answer_breaks_nothing", "TypeError"),
        (OutageOfTheSecondIsFailed, "a_second_answer_breaks_nothing", "as HTTP 500 with the body"),
        (RefusalOfTheSecondIsFailed, "a_refused_second_answer_changes_nothing", "refused.json as HTTP 200"),
        (AsksAgain, "second_answers_lead_on", "requests GET /v1/files/job-7f3a again"),
        (NotFoundIsItsVerdict, "verdicts_have_samples", "remove 404 from verdicts"),
        (AnotherFile, "requests_are_the_documented_ones", "sends GET /v1/file/job-7f3a"),
        (FileOfAnother, "a_second_answer_about_another_job_is_told_apart", "the parser returns its files"),
    ],
)
def test_a_bug_in_a_second_answer_is_caught(plugin: type[Good], check: str, said: str, tmp_path: Path) -> None:
    """The parser of a second answer is held to what holds for the first."""
    folder = seconds(tmp_path)
    assert caught(contract(Second(), folder), check) == {}
    assert said in caught(contract(plugin(), folder), check)[check]


def test_a_refused_second_answer_can_be_a_sample(tmp_path: Path) -> None:
    """With HTTP 403, which no parser is shown: what the first answer said counts."""
    assert alarms(contract(Second(), seconds(tmp_path))) == {}


def test_a_second_answer_has_a_sample(samples: Path) -> None:
    """A Follow that no sample shows is asked for, also where only an answer that lacks something leads to it."""

    class WhereThereIsNoUrl(Second):
        def parse_status(self, response, job_id):
            return (
                Good.parse_status(self, response, job_id)
                if self.job(response).get("url")
                else super().parse_status(response, job_id)
            )

    found = caught(contract(WhereThereIsNoUrl(), samples), "a_second")
    assert 'no status sample has "then"' in found["a_second_answer_is_shown_to_its_parser"]
