"""Bugs in requests, keys, ids and lists are caught by the check that is for them.

A bug is one function of `good_plugin.Good` replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from contract_cases import caught, contract, lines
from good_plugin import WORDS, Good

import vidpoll
from vidpoll import State, parsing

PLANTED: list[tuple[str, type[Good]]] = []


def planted(check: str) -> Callable[[type[Good]], type[Good]]:
    """A plugin with one bug, and the check that has to catch it."""

    def note(cls: type[Good]) -> type[Good]:
        PLANTED.append((check, cls))
        return cls

    return note


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


@pytest.mark.parametrize(("check", "plugin"), PLANTED, ids=[plugin.__name__ for _, plugin in PLANTED])
def test_a_planted_bug_is_caught(check: str, plugin: type[Good], samples: Path) -> None:
    """By the check that is for it, with a message that says the rule, why it matters and what to do."""
    found = caught(contract(plugin(), samples), only=check)
    assert check in found
    assert lines(found[check]) == ["seen", "why", "do"]
