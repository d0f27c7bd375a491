"""Goodness, a plugin as its author should write it, with every operation: the kit's tests plant their bugs in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import vidpoll
from vidpoll import State, parsing

WORDS = {
    "queued": State.QUEUED,
    "drawing": State.RUNNING,
    "done": State.COMPLETED,
    "broken": State.FAILED,
    "stopped": State.CANCELLED,
    "gone": State.EXPIRED,
}


class Good:
    """A provider with an envelope whose own `status` is about the request, progress from 0 to 1 and times in ms."""

    words: Mapping[Any, State] = WORDS
    base_url = "https://api.goodness.example/v1"
    auth: Any = vidpoll.Bearer("GOODNESS_API_KEY")
    verdicts: tuple[int, ...] = ()
    headers: Mapping[str, str] = {}
    hosts: tuple[str, ...] = ()
    floor = 5.0

    def snapshot(self, job: Mapping[str, Any]) -> vidpoll.Snapshot:
        state = self.state(job)
        return vidpoll.Snapshot(
            state,
            stage=parsing.text(job.get("status")),
            progress=self.progress(job),
            assets=self.assets(job) if state is State.COMPLETED else (),
            problem=self.problem(job) if state is State.FAILED else None,
            job_id=parsing.text(job.get("id")),
            created_at=parsing.timestamp(job.get("created_ms")),
            duration=parsing.number(job.get("seconds")),
        )

    def state(self, job: Mapping[str, Any]) -> State:
        return parsing.lookup(self.words, job.get("status"))

    def progress(self, job: Mapping[str, Any]) -> float | None:
        return parsing.progress(job.get("progress"), full=1.0)

    def assets(self, job: Mapping[str, Any]) -> tuple[vidpoll.Asset, ...]:
        return parsing.assets(job.get("url")) + parsing.assets(job.get("cover"), "thumbnail")

    def problem(self, job: Mapping[str, Any]) -> vidpoll.Problem:
        return vidpoll.Problem(parsing.text(parsing.first_of(job, "error.message", "error")) or "no reason was given")

    def job(self, response: vidpoll.Response) -> Mapping[str, Any]:
        return parsing.json_object(response, "data")

    def parse_status(self, response: vidpoll.Response, job_id: str) -> Any:
        return self.snapshot(self.job(response))

    def parse_submit(self, response: vidpoll.Response, job_id: str) -> vidpoll.Submitted:
        job_id = parsing.first_of(parsing.json_object(response), "data.id")
        return parsing.submitted(job_id, lambda: self.snapshot(self.job(response)))

    def parse_list(self, response: vidpoll.Response, job_id: str) -> vidpoll.Page:
        body = parsing.json_object(response)
        return vidpoll.Page(parsing.rows(body.get("data"), self.row), parsing.text(body.get("next")))

    def row(self, job: dict[str, Any]) -> vidpoll.Snapshot:
        return replace(self.snapshot(job), assets=())

    def parse_content(self, response: vidpoll.Response, job_id: str) -> vidpoll.Asset:
        if response.body[4:8] != b"ftyp":
            raise vidpoll.Malformed("no video yet")
        return vidpoll.Asset(data=response.body)

    def parse_delete(self, response: vidpoll.Response, job_id: str) -> None:
        parsing.json_object(response)

    def parse_quota(self, response: vidpoll.Response, job_id: str) -> vidpoll.Quota:
        body = parsing.json_object(response)
        return vidpoll.Quota(balance=parsing.number(body.get("credits")), unlimited=body.get("flat") is True)

    def status_request(self, job_id: str) -> vidpoll.Request:
        return vidpoll.Request("GET", f"/jobs/{parsing.segment(job_id)}")

    def delete_request(self, job_id: str) -> vidpoll.Request:
        return vidpoll.Request("DELETE", f"/jobs/{parsing.segment(job_id)}")

    def content_request(self, job_id: str) -> vidpoll.Request:
        return vidpoll.Request("GET", f"/jobs/{parsing.segment(job_id)}/file")

    def quota_request(self) -> vidpoll.Request:
        return vidpoll.Request("GET", "/credits")

    def submit_request(self, fields: Mapping[str, object]) -> vidpoll.Request:
        rules: parsing.Rules = {
            "prompt": ("text", lambda v: isinstance(v, str) and v),
            "seed": ("a whole number", lambda v: type(v) is int),
            "loud": ("True or False", lambda v: isinstance(v, bool)),
        }
        given = parsing.checked("submit clip", fields, rules)
        if "prompt" not in given:
            raise vidpoll.InvalidField("prompt is missing: give some text")
        return vidpoll.Request("POST", "/jobs", json=given)

    def list_request(self, fields: Mapping[str, object], token: str | None) -> vidpoll.Request:
        given = parsing.checked(
            "the list", fields, {"size": ("a whole number from 1", lambda v: type(v) is int and v > 0)}
        )
        query = (("size", str(given.get("size", 50))),)
        return vidpoll.Request("GET", "/jobs", (*query, ("after", token)) if token else query)

    def error(self, response: vidpoll.Response) -> vidpoll.Problem:
        return parsing.problem(response)

    @vidpoll.hookimpl
    def vidpoll_providers(self) -> Any:
        yield vidpoll.Provider(
            "goodness",
            base_url=self.base_url,
            auth=self.auth,
            pacing=vidpoll.Pacing(floor=self.floor),
            status=vidpoll.Operation(self.status_request, self.parse_status, self.verdicts),
            submit={"clip": vidpoll.Operation(self.submit_request, self.parse_submit)},
            list=vidpoll.Operation(self.list_request, self.parse_list),
            quota=vidpoll.Operation(self.quota_request, self.parse_quota),
            delete=vidpoll.Operation(self.delete_request, self.parse_delete),
            content=vidpoll.Operation(self.content_request, self.parse_content),
            error=self.error,
            headers=self.headers,
            media_hosts=self.hosts,
        )
