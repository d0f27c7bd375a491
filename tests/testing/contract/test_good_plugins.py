"""Sound plugins pass, however odd their providers are: the kit raises no false alarm."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from contract_cases import ID, SAMPLES, VIDEO, alarms, caught, contract, envelope, job, provider, status, write
from good_plugin import Good

import vidpoll
from vidpoll import State, parsing


def test_a_good_plugin_passes(samples: Path) -> None:
    """No false alarm, with every operation there is."""
    assert caught(contract(Good(), samples)) == {}


@pytest.mark.slow
def test_answers_that_are_no_good_news_pass(tmp_path: Path) -> None:
    """A refused submit (by HTTP status, and in a 200), a completed job whose file is late."""

    class Refusing(Good):
        def parse_submit(self, response, job_id):
            body = parsing.json_object(response)
            if body.get("success") is False:
                raise vidpoll.Refused("money", "no credits")
            return super().parse_submit(response, job_id)

    refusal = {"operation": "submit clip", "expect": {"raises": "Refused", "kind": "money"}}
    late = envelope(job("done", progress=1))
    rows = [
        *SAMPLES,
        ("broke-402.json", {"error": "no credits"}, {**refusal, "status": 402}),
        ("broke-200.json", {"success": False, "error": "no credits"}, refusal),
        status("late.json", late, "completed", expect={"progress": 100}),
    ]
    assert alarms(contract(Refusing(), write(tmp_path / "samples", rows))) == {}


@pytest.mark.slow
def test_what_decides_decides_in_lists_too(tmp_path: Path) -> None:
    """A rule of the page that the index names holds for rows, for what lies in the field, and for transplants."""

    class Done(Good):
        def state(self, job):
            state = super().state(job)
            stopped = parsing.first_of(job, "halt.by") is not None
            return State.CANCELLED if stopped else state

    rows = [
        (file, {**body, "data": [{**each, "halt": {"by": None}} for each in body["data"]]}, row)
        if file == "list.json"
        else (file, {**body, "data": {**body["data"], "halt": None}}, row)
        if row["operation"] == "status"
        else (file, body, row)
        for file, body, row in SAMPLES
    ]
    halted = {**job("drawing"), "halt": {"by": "you", "at": 1795001000}}
    rows.append(status("halted.json", envelope(halted), "cancelled"))
    assert alarms(contract(Done(), write(tmp_path / "samples", rows, decides=["data.halt"]))) == {}
    found = caught(contract(Done(), write(tmp_path / "samples", rows)))
    assert {"only_the_status_decides", "a_job_under_way_is_not_ended_by_other_fields"} <= set(found)


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
        status(
            "queue.json",
            {"status": "IN_QUEUE"},
            "queued",
            request="GET /{id}/status",
            expect={"progress": None, "stage": "IN_QUEUE"},
        ),
        status(
            "done.json", {"status": "COMPLETED"}, "completed", then=["video.json"], expect={"progress": None, **files}
        ),
        status(
            "nsfw.json",
            {"status": "COMPLETED"},
            "failed",
            then=["refused.json"],
            expect={"progress": None, "problem": "nsfw"},
        ),
        ("video.json", {"video": {"url": VIDEO}}, {"operation": "follow", "request": "GET /{id}"}),
        ("refused.json", {"detail": "nsfw"}, {"operation": "follow", "status": 422}),
    ]
    words = {"IN_QUEUE": "queued"}
    folder = write(tmp_path / "fal", samples, "odd", id="kling/requests/a1", words={**words, "COMPLETED": "completed"})
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
        named = parsing.first_of(body, "data.task_status") is not None
        if parsing.text(body.get("code")) not in ("0", None) and not named:
            kinds = {"1000": "auth", "1303": "rate"}
            code = parsing.text(body.get("code")) or ""
            raise vidpoll.Refused(kinds.get(code, "unknown"), str(body.get("message")), code)
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

    none = {"progress": None, "updated_at": 1795001000.123}
    samples = [
        status(
            "in.json",
            task("submitted"),
            "queued",
            request="GET /v1/videos/{kind}/{id}",
            expect={**none, "stage": "submitted"},
        ),
        status(
            "ok.json",
            task("succeed", task_result={"videos": [{"id": "v", "url": VIDEO}]}),
            "completed",
            expect={**none, "stage": "succeed", "assets": [{"kind": "video", "url": VIDEO}]},
        ),
        status(
            "no.json",
            task("failed", task_status_msg="nsfw"),
            "failed",
            expect={**none, "stage": "failed", "problem": "nsfw"},
        ),
        ("key.json", {"code": 1000, "message": "no"}, {"operation": "status", "expect": {"raises": "Refused"}}),
    ]
    folder = write(
        tmp_path / "kling",
        samples,
        "odd",
        auth="Authorization: Bearer {token}",
        id="text2video/831",
        words={k: str(v) for k, v in words.items()},
    )

    def signed(secrets: Mapping[str, str]) -> str:
        return hashlib.sha256(f"{secrets['ODD_ACCESS_KEY']}{secrets['ODD_SECRET_KEY']}".encode()).hexdigest()

    def mint(request: vidpoll.PreparedRequest, secrets: Mapping[str, str]) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {signed(secrets)}.{time.time_ns()}"}

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
        status(
            "queue.json",
            {"status": "InQueue"},
            "queued",
            request="POST /v1/video/status",
            sends={"requestId": "{id}"},
            expect={"progress": None, "stage": "InQueue"},
        ),
        status(
            "ok.json",
            {"status": "Succeed", "url": VIDEO},
            "completed",
            expect={"progress": None, "stage": "Succeed", "assets": [{"kind": "video", "url": VIDEO}]},
        ),
        status(
            "bad.json",
            {"status": "Failed", "reason": "no"},
            "failed",
            expect={"progress": None, "stage": "Failed", "problem": "no"},
        ),
    ]
    folder = write(tmp_path / "flow", samples, "odd", words={word: str(state) for word, state in words.items()})
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
        status("empty.txt", b"", "running", status=202, request="GET /v1/videos/{id}", expect={"progress": None}),
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
            expect={"progress": None, "stage": "failed", "problem": "CUDA out of memory"},
        ),
    ]
    folder = write(tmp_path / "omni", samples, "odd", words={word: str(state) for word, state in words.items()})
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
    folder = write(tmp_path / "fal", [taken], "odd", id="kling/requests/a1")
    found = caught(contract(plugin, folder, "odd", clip={}))
    assert "submit_takes_the_id_first" not in found
    assert "a_submit_answer_without_an_id_is_no_job" not in found


def test_an_id_with_its_kind_is_looked_at_in_its_form(tmp_path: Path) -> None:
    """[Kling] Odd and foreign ids are tried as text2video/…: one that is not encoded, or hidden, is caught."""

    def parse(response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot:
        task = parsing.json_object(response, "data")
        state = parsing.lookup({"queued": State.QUEUED}, task.get("task_status"))
        return vidpoll.Snapshot(state, stage=parsing.text(task.get("task_status")), job_id=job_id)

    def request(job_id: str) -> vidpoll.Request:
        if not job_id.startswith("text2video/"):
            raise vidpoll.BadReference("write text2video/ID")
        return vidpoll.Request("GET", f"/v1/{job_id}")

    row = status("in.json", {"data": {"task_id": "8317", "task_status": "queued"}}, "queued",
                 request="GET /v1/{kind}/{id}", expect={"progress": None})  # fmt: skip
    folder = write(tmp_path / "kling", [row], "odd", id="text2video/8317", words={"queued": "queued"})
    found = caught(contract(provider(request, parse), folder, "odd"))
    assert "'text2video/a b'" in found["the_id_reaches_the_request"]
    assert "job_id is 'text2video/8317'" in found["an_answer_about_another_job_is_told_apart"]


def queued(response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot:
    waits = parsing.json_object(response).get("waits")
    if not isinstance(waits, list) or job_id not in waits:
        raise vidpoll.Refused("not found", "not in the queue")
    return vidpoll.Snapshot(State.QUEUED)


def old_or_new(response: vidpoll.Response, job_id: str) -> Any:
    """A 404 says that the server has no such route: the queue is asked."""
    if response.status == 404:
        return vidpoll.Follow(vidpoll.Request("GET", "/queue"), queued)
    word = parsing.json_object(response).get("status")
    return vidpoll.Snapshot(parsing.lookup({"queued": State.QUEUED}, word), stage=parsing.text(word))


def looked(response: vidpoll.Response, job_id: str) -> Any:
    queued(response, job_id)
    return vidpoll.Follow(vidpoll.Request("POST", "/queue", json={"delete": job_id}), lambda response, job_id: None)


def one(job_id: str) -> vidpoll.Request:
    return vidpoll.Request("GET", f"/jobs/{parsing.segment(job_id)}")


def whose(job_id: str) -> vidpoll.Request:
    parsing.segment(job_id)
    return vidpoll.Request("GET", "/queue")


def test_a_question_about_all_jobs_passes(tmp_path: Path) -> None:
    """[ComfyUI] A server without the route, and a cancel that looks at the queue first; one about no job is caught."""
    rows: list[Any] = [
        status(
            "in.json",
            {"status": "queued"},
            "queued",
            request="GET /jobs/{id}",
            expect={"progress": None, "stage": "queued"},
        ),
        status("no-route.json", None, "queued", then=["queue.json"], expect={"progress": None, "stage": None}),
        ("queue.json", {"waits": ["j81c2"]}, {"operation": "follow", "request": "GET /queue"}),
        ("look.json", {"waits": ["j81c2"]}, {"operation": "cancel", "request": "GET /queue", "then": ["out.json"]}),
        ("out.json", {}, {"operation": "follow", "request": "POST /queue", "sends": {"delete": "{id}"}}),
    ]
    rows[1][2]["status"] = 404
    folder = write(tmp_path / "comfy", rows, "odd", id="j81c2", words={"queued": "queued"})

    def plugin(cancel: Any) -> Any:
        cancel = vidpoll.Operation(cancel, looked, empty_ok=True)
        return provider(one, old_or_new, verdicts=(404,), cancel=cancel)

    assert list(alarms(contract(plugin(whose), folder, "odd"))) == ["the_samples_show_every_end"]  # it shows none
    found = caught(contract(plugin(lambda job_id: vidpoll.Request("GET", "/queue")), folder, "odd"))
    assert "cancel with the id ''" in found["the_id_reaches_the_request"]
