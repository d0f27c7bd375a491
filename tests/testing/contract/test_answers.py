"""Bugs in what ends a job and what does not are caught by the check that is for them.

A bug is one function of `good_plugin.Good` replaced.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from contract_cases import SAMPLES, caught, contract, lines, planting, write
from good_plugin import WORDS, Good

import vidpoll
from vidpoll import State, parsing

PLANTED: list[tuple[str, type[Good]]] = []
planted = planting(PLANTED)


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


@planted("a_job_under_way_is_not_ended_by_other_fields")
class VideoAsSoonAsThereIsAUrl(Good):
    """No sample of a running job has a URL; the kit puts one there."""

    def snapshot(self, job):
        return replace(super().snapshot(job), assets=self.assets(job))


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


@planted("parsers_are_pure")
class Remembers(Good):
    def __init__(self) -> None:
        self.serial = count()

    def snapshot(self, job):
        return replace(super().snapshot(job), queue_position=next(self.serial))


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


@planted("a_job_under_way_is_not_ended_by_other_fields")
class UrlOfAFailedJobIsDone(Good):
    def state(self, job):
        state = super().state(job)
        return State.COMPLETED if state is State.FAILED and job.get("url") else state


@planted("a_job_under_way_is_not_ended_by_other_fields")
class ErrorOfACompletedJobBelieved(Good):
    def state(self, job):
        state = super().state(job)
        return State.FAILED if state is State.COMPLETED and job.get("error") else state


@planted("a_job_under_way_is_not_ended_by_other_fields")
class AnyCodeIsFailed(Good):
    def state(self, job):
        return State.FAILED if job.get("code") else super().state(job)


@planted("a_job_under_way_is_not_ended_by_other_fields")
class RefusedBesideItsStatus(Good):
    """Refused("not found") would end the wait for a job whose status stands in the same answer."""

    def parse_status(self, response, job_id):
        if parsing.json_object(response).get("error"):
            raise vidpoll.Refused("not found", "no such job")
        return super().parse_status(response, job_id)


@planted("only_the_status_decides")
class EnvelopeIsRefused(Good):
    def parse_status(self, response, job_id):
        if parsing.json_object(response).get("status") != "success":
            raise vidpoll.Refused("auth", "no")
        return super().parse_status(response, job_id)


@planted("a_refusal_under_200_is_no_answer")
class ARefusalIsAnEmptyList(Good):
    def parse_list(self, response, job_id):
        return vidpoll.Page(parsing.rows(parsing.json_object(response).get("data") or [], self.row))


@planted("a_refusal_under_200_is_no_answer")
class ARefusalFillsTheQuota(Good):
    def parse_quota(self, response, job_id):
        body = parsing.json_object(response)
        return replace(super().parse_quota(response, job_id), plan=parsing.text(parsing.first_of(body, "error.code")))


@planted("a_refusal_under_200_is_no_answer")
class ARefusalIsFailed(Good):
    def parse_status(self, response, job_id):
        if parsing.first_of(parsing.json_object(response), "error.code"):
            return vidpoll.Snapshot(State.FAILED, problem=parsing.problem(response))
        return super().parse_status(response, job_id)


@planted("what_is_no_json_is_no_answer")
class WhatCannotBeReadRuns(Good):
    def parse_status(self, response, job_id):
        try:
            return super().parse_status(response, job_id)
        except vidpoll.Malformed:
            return vidpoll.Snapshot(State.RUNNING)


@planted("junk_raises_only_what_is_allowed")
class NothingIsReturned(Good):
    def parse_content(self, response, job_id):
        return vidpoll.Asset(data=response.body) if response.body[4:8] == b"ftyp" else None


@planted("what_is_no_json_is_no_answer")
class DeletedByALoginPage(Good):
    def parse_delete(self, response, job_id):
        return None


@planted("an_empty_answer_is_believed_only_where_it_may_be")
class IgnoresTheBody(Good):
    def parse_delete(self, response, job_id):
        return None


@planted("what_is_no_json_is_no_answer")
class ALoginPageIsAnEmptyList(Good):
    def parse_list(self, response, job_id):
        try:
            return super().parse_list(response, job_id)
        except vidpoll.Malformed:
            return vidpoll.Page(())


@planted("verdicts_have_samples")
class NotFoundIsAVerdict(Good):
    verdicts = (404,)


@planted("verdicts_have_samples")
class AVerdictWithoutASample(Good):
    verdicts = (500,)


@planted("no_answer_holds_a_parser_up")
class Chokes(Good):
    """A repeat inside a repeat takes a second for 26 letters, and twice as long for each more."""

    def problem(self, job):
        text = parsing.text(parsing.first_of(job, "error.message")) or ""
        return vidpoll.Problem(text if re.match(r"([a-z]+ ?)+$", text) else "no reason was given")


@planted("no_answer_holds_a_parser_up")
class Squares(Good):
    def snapshot(self, job):
        re.search(r"(0+)x", str(job.get("id")))
        return super().snapshot(job)


@planted("an_unknown_word_is_not_guessed")
class PluralsAreWords(Good):
    def state(self, job):
        return parsing.lookup(self.words, str(job.get("status")).removesuffix("s"))


@planted("an_unknown_word_is_not_guessed")
class AnEmptyJobIsQueued(Good):
    def state(self, job):
        return super().state(job) if job else State.QUEUED


@planted("a_refusal_under_200_is_no_answer")
class ACodeIsAnEmptyAccount(Good):
    def parse_quota(self, response, job_id):
        refused = parsing.json_object(response).get("code") is not None
        return vidpoll.Quota(balance=0.0) if refused else super().parse_quota(response, job_id)


@pytest.mark.parametrize(("check", "plugin"), PLANTED, ids=[plugin.__name__ for _, plugin in PLANTED])
def test_a_planted_bug_is_caught(check: str, plugin: type[Good], samples: Path) -> None:
    """By the check that is for it, with a message that says the rule, why it matters and what to do."""
    found = caught(contract(plugin(), samples), only=check)
    assert check in found
    assert lines(found[check]) == ["seen", "why", "do"]


def test_what_differs_is_shown(samples: Path) -> None:
    """Of a parser that remembers, the field and both values."""
    message = caught(contract(Remembers(), samples), "parsers")["parsers_are_pure"]
    assert "queue_position: " in message


def test_a_number_as_text(tmp_path: Path) -> None:
    """A code 0 that comes as "0" is no refusal, in no operation; a code of an error stays that code."""

    class CodeAsItCame(Good):
        def parse_quota(self, response, job_id):
            if parsing.json_object(response).get("code") != 0:
                raise vidpoll.Refused("unknown", "no")
            return super().parse_quota(response, job_id)

    class CodeAsText(CodeAsItCame):
        def parse_quota(self, response, job_id):
            if parsing.text(parsing.json_object(response).get("code")) != "0":
                raise vidpoll.Refused("unknown", "no")
            return Good.parse_quota(self, response, job_id)

    rows = [(file, {**body, "code": 0} if file == "credits.json" else body, row) for file, body, row in SAMPLES]
    check = "a_number_as_text_means_the_same"
    folder = write(tmp_path / "samples", rows)
    assert caught(contract(CodeAsText(), folder), check) == {}
    assert 'credits.json with code set to "0"' in caught(contract(CodeAsItCame(), folder), check)[check]
