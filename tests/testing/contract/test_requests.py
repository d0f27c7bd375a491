"""Bugs in requests, keys, ids and lists are caught by the check that is for them.

A bug is one function of `good_plugin.Good` replaced.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from contract_cases import SAMPLES, caught, contract, envelope, job, lines, planting, provider, status, write
from good_plugin import Good

import vidpoll
from vidpoll import State, parsing

PLANTED: list[tuple[str, type[Good]]] = []
planted = planting(PLANTED)


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


@planted("requests_are_the_documented_ones")
class WrongMethod(Good):
    def delete_request(self, job_id):
        return vidpoll.Request("POST", f"/jobs/{parsing.segment(job_id)}")


@planted("requests_are_the_documented_ones")
class BasePathTwice(Good):
    def status_request(self, job_id):
        return vidpoll.Request("GET", f"/v1/jobs/{parsing.segment(job_id)}")


@planted("requests_are_the_documented_ones")
class AnotherParameter(Good):
    def status_request(self, job_id):
        return vidpoll.Request("GET", f"/jobs/{parsing.segment(job_id)}", (("verbose", "1"),))


@planted("requests_are_the_documented_ones")
class ABodyNobodyNamed(Good):
    def status_request(self, job_id):
        return vidpoll.Request("GET", f"/jobs/{parsing.segment(job_id)}", json={})


@planted("requests_are_the_documented_ones")
class FieldRenamed(Good):
    def submit_request(self, fields):
        body = super().submit_request(fields).json
        return vidpoll.Request("POST", "/jobs", json={**body, "text": body.pop("prompt")})


@planted("requests_are_the_documented_ones")
class NumberAsText(Good):
    def submit_request(self, fields):
        body = super().submit_request(fields).json
        return vidpoll.Request("POST", "/jobs", json={**body, "seed": str(body.get("seed"))})


@planted("requests_are_the_documented_ones")
class WrongTokenParameter(Good):
    def list_request(self, fields, token):
        request = super().list_request(fields, None)
        return replace(request, query=(*request.query, ("before", token))) if token else request


@planted("values_of_fields_arrive")
class ZeroIsDropped(Good):
    def submit_request(self, fields):
        body = super().submit_request(fields).json
        return vidpoll.Request("POST", "/jobs", json={**body, "seed": body.get("seed") or 1})


@planted("values_of_fields_arrive")
class FalseIsDropped(Good):
    def submit_request(self, fields):
        body = super().submit_request(fields).json
        kept = {name: value for name, value in body.items() if value is not True}
        return vidpoll.Request("POST", "/jobs", json=kept)


@planted("values_of_fields_arrive")
class AsciiOnly(Good):
    def submit_request(self, fields):
        body = super().submit_request(fields).json
        prompt = body["prompt"].encode("ascii", "ignore").decode()
        return vidpoll.Request("POST", "/jobs", json={**body, "prompt": prompt})


@planted("values_of_fields_arrive")
class NoneIsNull(Good):
    def submit_request(self, fields):
        body = super().submit_request(fields).json
        return vidpoll.Request("POST", "/jobs", json={**body, "seed": body.get("seed")})


@planted("submits_refuse_what_they_cannot_send")
class UnknownFieldsDropped(Good):
    """A misspelt field is paid for and not sent."""

    def submit_request(self, fields):
        known = {name: value for name, value in fields.items() if name in ("prompt", "seed", "loud")}
        return super().submit_request(known)


@planted("the_next_page_is_another_request")
class SizeForgotten(Good):
    def list_request(self, fields, token):
        request = super().list_request(fields, token)
        return replace(request, query=(("after", token),)) if token else request


@planted("the_next_page_is_another_request")
class AnotherSize(Good):
    def list_request(self, fields, token):
        return super().list_request({} if token else fields, token)


@planted("the_next_page_is_another_request")
class TokenEncodedTwice(Good):
    def list_request(self, fields, token):
        return super().list_request(fields, token and parsing.segment(token))


@planted("the_next_page_is_another_request")
class NeverEnds(Good):
    def parse_list(self, response, job_id):
        page = super().parse_list(response, job_id)
        return replace(page, next=page.next or "t3")


@planted("the_id_reaches_the_request")
class InLowerCase(Good):
    def status_request(self, job_id):
        return super().status_request(job_id.lower())


@planted("the_id_reaches_the_request")
class CutShort(Good):
    def status_request(self, job_id):
        return super().status_request(job_id[:40])


@planted("the_key_travels_as_documented")
class WrongPrefix(Good):
    auth = vidpoll.KeyHeader("Authorization", "GOODNESS_API_KEY", "Key ")


@planted("the_key_travels_as_documented")
class WrongHeader(Good):
    auth = vidpoll.KeyHeader("X-Api-Key", "GOODNESS_API_KEY", "Bearer ")


@planted("the_key_travels_as_documented")
class WrongVariable(Good):
    auth = vidpoll.Bearer("GOODNESS_KEY")


@planted("the_key_travels_as_documented")
class KeyNotAskedFor(Good):
    auth = vidpoll.Bearer("GOODNESS_API_KEY", required=False)


@planted("the_key_travels_as_documented")
class FirstKeyForAll(Good):
    auth = vidpoll.Minted(("GOODNESS_API_KEY",), lambda request, secrets: {"Authorization": "Bearer of the author"})


@planted("the_key_stays_in_the_headers")
class HeaderWithALineEnd(Good):
    headers: Mapping[str, str] = {"X-Version": "1\n"}


@planted("the_key_stays_in_the_headers")
class KeyOfTheAuthor(Good):
    headers: Mapping[str, str] = {"X-Api-Key": "abc"}


@planted("values_are_the_documented_ones")
class WrongHost(Good):
    base_url = "https://goodness.example/v1"


@planted("values_are_the_documented_ones")
class TooFast(Good):
    floor = 0.5


@planted("values_are_the_documented_ones")
class KeyForAWholeDomain(Good):
    hosts = ("example",)


@pytest.mark.parametrize(("check", "plugin"), PLANTED, ids=[plugin.__name__ for _, plugin in PLANTED])
def test_a_planted_bug_is_caught(check: str, plugin: type[Good], samples: Path) -> None:
    """By the check that is for it, with a message that says the rule, why it matters and what to do."""
    found = caught(contract(plugin(), samples), only=check)
    assert check in found
    assert lines(found[check]) == ["seen", "why", "do"]


@pytest.mark.parametrize(
    ("auth", "ways"),
    [
        (vidpoll.NoAuth(), ""),
        (vidpoll.Bearer("GOODNESS_API_KEY", required=False), ["Authorization: Bearer {GOODNESS_API_KEY}", ""]),
        (vidpoll.Basic("GOODNESS_USER", "GOODNESS_PASSWORD"), "Authorization: Basic {user and password}"),
        (
            vidpoll.Minted(
                ("GOODNESS_A", "GOODNESS_B"),
                lambda request, keys: {"X-A": keys["GOODNESS_A"], "X-B": f"b{keys['GOODNESS_B']}"},
            ),
            "X-A: {GOODNESS_A}\nX-B: b{GOODNESS_B}",
        ),
    ],
)  # fmt: skip
def test_ways_to_authenticate(auth: Any, ways: object, tmp_path: Path) -> None:
    """No key, a key or none, two keys in one header, two headers."""

    class Authenticated(Good):
        pass

    Authenticated.auth = auth
    folder = write(tmp_path / "samples", SAMPLES, auth=ways)
    assert caught(contract(Authenticated(), folder), "the_key") == {}


def test_what_differs_between_requests_is_shown(samples: Path) -> None:
    """A random field is named, with both values."""

    class Dice(Good):
        def submit_request(self, fields):
            request = super().submit_request(fields)
            return replace(request, json={**request.json, "nonce": time.monotonic_ns()})

    assert "submit clip: json: nonce: " in caught(contract(Dice(), samples), "requests_are_pure")["requests_are_pure"]


def test_requests_must_be_pinned(tmp_path: Path) -> None:
    """An operation without a "request" in any sample is told, with the lines to paste."""
    rows = [(file, body, {key: row[key] for key in row if key not in ("request", "sends", "token")})
            for file, body, row in SAMPLES]  # fmt: skip
    found = caught(contract(Good(), write(tmp_path / "samples", rows)))
    assert set(found) == {"requests_are_the_documented_ones", "the_next_page_is_another_request"}
    assert 'status: "request": "GET /v1/jobs/{id}"' in found["requests_are_the_documented_ones"]
    assert 'submit clip: "request": "POST /v1/jobs", "sends": {"prompt":' in found["requests_are_the_documented_ones"]
    assert '"token": "t2", "request": "GET /v1/jobs?size=2&after=t2"' in found["the_next_page_is_another_request"]


def test_a_documented_query_is_compared(tmp_path: Path) -> None:
    """[MiniMax] The id may stand in the query: its parameter's name is the vendor's, its value the job's."""

    def found(query: str) -> dict[str, str]:
        row = status("in.json", envelope(job("queued")), "queued", request=query)
        plugin = provider(
            lambda job_id: vidpoll.Request("GET", "/q", (("task_id", job_id), ("v", "2"))), Good().parse_status
        )
        return caught(contract(plugin, write(tmp_path / "q", [row], "odd"), "odd"), "requests_are_the")

    assert found("GET /q?task_id={id}&v=2") == {}
    assert "sends GET /q?task_id=job-7f3a&v=2" in found("GET /q?taskId={id}")["requests_are_the_documented_ones"]
    assert found("GET /q?v=1") != {}
