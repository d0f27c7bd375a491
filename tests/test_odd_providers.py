"""The plugin contract is wide enough: odd providers, each as a plugin would write it, from first question to verdict.

Every oddity is a real provider's; the name in brackets says whose. Only the shape is theirs, no service is called.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from acme_provider import Talk, talk

import vidpoll
from vidpoll import parsing

QUEUED, RUNNING, COMPLETED, FAILED = (
    vidpoll.State.QUEUED,
    vidpoll.State.RUNNING,
    vidpoll.State.COMPLETED,
    vidpoll.State.FAILED,
)
MP4 = "https://media.example/v.mp4"


def odd(request: Any, parse: Any, **fields: Any) -> vidpoll.Provider:
    """A provider that has no more than a status question."""
    verdicts = fields.pop("verdicts", ())
    fields.setdefault("auth", vidpoll.NoAuth())
    status = vidpoll.Operation(request, parse, verdicts)
    return vidpoll.Provider("odd", "https://api.odd.example", pacing=vidpoll.Pacing(5.0), status=status, **fields)


def get(path: str, *, safe: str = "") -> Any:
    return lambda job_id: vidpoll.Request("GET", path.format(parsing.segment(job_id, safe=safe)))


def course(t: Talk, ref: str = "odd:j1") -> list[str]:
    """The words of a whole wait, and how it ended."""
    job = t.client.wait(ref, check=False)
    return [*t.ears.told, str(job.state)]


# -- a result that needs a second request -----------------------------------------------------------------------------


def fal_result(response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot:
    if response.status >= 400:
        return vidpoll.Snapshot(FAILED, problem=parsing.problem(response))
    return vidpoll.Snapshot(COMPLETED, assets=parsing.assets(parsing.json_object(response, "video")["url"]))


def fal_status(response: vidpoll.Response, job_id: str) -> Any:
    body = parsing.json_object(response)
    state = parsing.lookup({"IN_QUEUE": QUEUED, "IN_PROGRESS": RUNNING, "COMPLETED": COMPLETED}, body.get("status"))
    if state is not COMPLETED:
        return vidpoll.Snapshot(state, stage=body["status"], queue_position=body.get("queue_position"))
    result = vidpoll.Request("GET", f"/{parsing.segment(job_id, safe='/')}")
    return vidpoll.Follow(result, fal_result, verdicts=(422,))


FAL = odd(get("/{}/status", safe="/"), fal_status)


def test_a_result_that_needs_a_second_request() -> None:
    """[fal] COMPLETED without the result; a second GET brings it. No pause lies between the two."""
    script = {
        "/j1/status": [{"status": "IN_QUEUE", "queue_position": 2}, {"status": "COMPLETED"}],
        "/j1": [{"video": {"url": MP4}}],
    }
    t = talk(script, provider=FAL)
    assert course(t, "odd:kling/requests/j1") == ["stage IN_QUEUE", "completed", "completed"]
    assert t.requests == ["GET /kling/requests/j1/status"] * 2 + ["GET /kling/requests/j1"]
    assert t.clock.waits == [5.0]


def test_a_second_answer_may_be_the_failure() -> None:
    """[fal] COMPLETED, and the result answers 422: the plugin asked to see that status."""
    t = talk({"/status": [{"status": "COMPLETED"}], "": [(422, {"detail": "nsfw"})]}, provider=FAL)
    assert course(t) == ["failed", "failed"]
    assert "nsfw" in str(t.ears.heard[-1][2])


@pytest.mark.parametrize("second", [(503, {}, b""), (404, {}, b""), (410, {}, b""), ConnectionResetError(), b"<html>"])
def test_a_second_answer_that_fails_is_a_blip(second: Any) -> None:
    """A 404 or 410 for the result is no word about the job: the first answer has just known it."""
    script = {"/status": [{"status": "COMPLETED"}], "": [*[second] * 5, {"video": {"url": MP4}}]}
    t = talk(script, provider=FAL)
    assert course(t)[-2:] == ["completed", "completed"]
    assert [word.split()[0] for word in t.ears.told[:-1]] == ["fault"] * 5


def minimax(response: vidpoll.Response, job_id: str) -> Any:
    body = parsing.json_object(response)
    state = parsing.lookup({"Processing": RUNNING, "Success": COMPLETED}, body.get("status"))
    if state is RUNNING:
        return vidpoll.Snapshot(RUNNING, stage="Processing")
    certain = vidpoll.Snapshot(COMPLETED, stage="Success")
    file = vidpoll.Request("GET", "/v1/files/retrieve", query=(("file_id", body["file_id"]),))

    def url(response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot:
        return replace(certain, assets=parsing.assets(parsing.json_object(response, "file")["download_url"]))

    return vidpoll.Follow(file, url, fallback=certain)


MINIMAX = odd(lambda job_id: vidpoll.Request("GET", "/v1/query", query=(("task_id", job_id),)), minimax)


def test_what_is_certain_survives_a_second_answer_that_fails() -> None:
    """[MiniMax] Success with a file id: the fallback counts, and the files are asked for during the grace."""
    script = {
        "/v1/query": [{"status": "Processing"}, {"status": "Success", "file_id": "f9"}],
        "/v1/files": [(503, {}, b""), b"<html>", {"file": {"download_url": MP4}}],
    }
    t = talk(script, provider=MINIMAX)
    job = t.client.wait("odd:176844028768320")
    assert (job.video.url, t.requests[-1]) == (MP4, "GET /v1/files/retrieve?file_id=f9")
    script["/v1/files"] = [(500, {}, b"")]
    t = talk(script, provider=MINIMAX)
    assert course(t)[-1] == "completed"


def test_a_third_answer_may_be_had_and_no_fourth() -> None:
    """A chain of answers is at most 2 deep; what is certain by then counts."""

    def deeper(depth: int, fallback: Any = None) -> Any:
        def parse(response: vidpoll.Response, job_id: str) -> Any:
            if depth == 0:
                return vidpoll.Snapshot(COMPLETED, assets=parsing.assets(MP4))
            return vidpoll.Follow(vidpoll.Request("GET", f"/{depth}"), deeper(depth - 1, fallback), fallback=fallback)

        return parse

    t = talk([{}], provider=odd(get("/{}"), deeper(2)))
    assert course(t) == ["completed", "completed"]
    assert t.requests == ["GET /j1", "GET /2", "GET /1"]
    t = talk([{}], provider=odd(get("/{}"), deeper(3)))
    with pytest.raises(vidpoll.ServerError, match="more than 2 further requests"):
        t.client.poll("odd:j1")
    assert len(t.requests) == 3
    t = talk([{}], provider=odd(get("/{}"), deeper(3, vidpoll.Snapshot(FAILED))))
    assert course(t) == ["failed", "failed"]


# -- one status out of two answers ------------------------------------------------------------------------------------


def comfy_history(response: vidpoll.Response, job_id: str) -> Any:
    entry = parsing.json_object(response).get(job_id)
    if entry is None:
        return vidpoll.Follow(vidpoll.Request("GET", "/queue"), comfy_queue)
    if entry["status"]["status_str"] == "error":
        return vidpoll.Snapshot(FAILED, problem=vidpoll.Problem("execution_error"))
    files = [file for node in entry["outputs"].values() for file in node.get("gifs", [])]
    return vidpoll.Snapshot(
        COMPLETED, assets=parsing.assets([f"/view?filename={file['filename']}&type=output" for file in files])
    )


def comfy_queue(response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot:
    body = parsing.json_object(response)
    for name, state in (("queue_running", RUNNING), ("queue_pending", QUEUED)):
        if any(entry[1] == job_id for entry in body[name]):
            return vidpoll.Snapshot(state, stage=name)
    raise vidpoll.Refused("not found", f"{job_id} is in no queue")


COMFY = odd(get("/history/{}"), comfy_history)


def test_two_answers_for_one_status() -> None:
    """[ComfyUI] An empty history says "not finished, or unknown"; the queue tells which."""
    history = {"j1": {"status": {"status_str": "success"}, "outputs": {"9": {"gifs": [{"filename": "a.mp4"}]}}}}
    script = {
        "/history": [{}, {}, history],
        "/queue": [
            {"queue_running": [], "queue_pending": [[4, "j1"]]},
            {"queue_running": [[4, "j1"]], "queue_pending": []},
        ],
    }
    t = talk(script, provider=COMFY)
    assert course(t) == ["stage queue_pending", "stage queue_running", "completed", "completed"]
    assert t.ears.heard[-1][1].video.url == "/view?filename=a.mp4&type=output"


def test_a_job_that_neither_answer_knows() -> None:
    """The parser's own "not found" counts, unlike a 404 for the second request."""
    t = talk({"/history": [{}], "/queue": [{"queue_running": [], "queue_pending": []}]}, provider=COMFY)
    with pytest.raises(vidpoll.JobNotFound):
        t.client.wait("odd:j1")
    assert len(t.requests) == 8


# -- statuses that are not what they seem -----------------------------------------------------------------------------


def test_a_202_with_an_empty_body_means_running() -> None:
    """[xAI] Nothing at all is an answer too."""

    def parse(response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot:
        if response.status == 202:
            return vidpoll.Snapshot(RUNNING)
        body = parsing.json_object(response)
        return vidpoll.Snapshot(
            parsing.lookup({"done": COMPLETED}, body.get("status")), assets=parsing.assets(body["video"]["url"])
        )

    t = talk(
        [(202, {}, b""), (202, {}, b""), {"status": "done", "video": {"url": MP4}}], provider=odd(get("/{}"), parse)
    )
    assert course(t) == ["stage None", "completed", "completed"]


def vllm(response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot:
    body = parsing.json_object(response)
    state = parsing.lookup({"in_progress": RUNNING, "completed": COMPLETED, "failed": FAILED}, body.get("status"))
    error = body.get("error") or {}
    problem = vidpoll.Problem(str(error.get("message")), parsing.text(error.get("code"))) if error else None
    return vidpoll.Snapshot(state, stage=body["status"], problem=problem, assets_due=False)


VLLM = odd(get("/v1/videos/{}"), vllm, verdicts=(500,))


def test_a_500_may_be_the_failed_job_or_an_outage() -> None:
    """[vLLM-Omni] The body decides: one that is no verdict leaves the 500 a plain 500."""
    failed = (500, {"id": "j1", "status": "failed", "error": {"message": "CUDA out of memory", "code": 500}})
    outages: list[Any] = [
        (500, {}, b""),
        (500, {}, b"<html>Internal Server Error"),
        (500, {"error": "boom"}),
        (500, {"status": "rebooting"}),
    ]
    t = talk([{"status": "in_progress"}, *outages, failed], provider=VLLM)
    assert course(t) == ["stage in_progress", *["fault 500"] * 4, "failed", "failed"]
    assert str(t.ears.heard[-1][1].problem) == "CUDA out of memory (500)"


def body_error(response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot:
    body = parsing.json_object(response)
    code = body.get("base_resp", {}).get("status_code", 0)
    kinds = {1002: "rate", 1004: "auth", 1008: "balance", 2013: "not found"}
    if code:
        kind = kinds[code].replace("balance", "money")
        raise vidpoll.Refused(kind, body["base_resp"]["status_msg"], code=str(code))
    return vidpoll.Snapshot(parsing.lookup({"run": RUNNING, "ok": COMPLETED}, body.get("status")), assets_due=False)


@pytest.mark.parametrize(
    ("code", "error", "asked"),
    [
        (1004, vidpoll.WaitRefused, 2),
        (1008, vidpoll.WaitRefused, 2),
        (2013, vidpoll.JobNotFound, 4),
        (1002, vidpoll.ProviderUnreachable, 4),
    ],
)
def test_a_200_whose_body_is_an_error(code: int, error: type[vidpoll.VidpollError], asked: int) -> None:
    """[MiniMax] It is treated as the 401, 402, 404 or 429 that it means."""
    refusal = {"base_resp": {"status_code": code, "status_msg": "no"}}
    t = talk([refusal], provider=odd(get("/{}"), body_error), patience=15)
    with pytest.raises(error) as caught:
        t.client.wait("odd:j1")
    assert (len(t.requests), caught.value.job.state) == (asked, None)
    t = talk([{"status": "run"}, refusal, {"status": "ok"}], provider=odd(get("/{}"), body_error))
    assert course(t)[-1] == "completed"


# -- ids --------------------------------------------------------------------------------------------------------------


def simple(response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot:
    body = parsing.json_object(response)
    state = parsing.lookup({"run": RUNNING, "ok": COMPLETED, "no": FAILED}, body.get("s"))
    return vidpoll.Snapshot(state, stage=body["s"], assets=parsing.assets(body.get("url")), job_id=body.get("id"))


@pytest.mark.parametrize(
    ("job_id", "safe", "path"),
    [
        ("models/veo-3/operations/a1b2", "/", "/models/veo-3/operations/a1b2"),  # [Veo] a path, not to be encoded
        (
            "arn:aws:bedrock:us-east-1:123456789012:async-invoke/ab12",  # [Bedrock] to be encoded
            "",
            "/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aasync-invoke%2Fab12",
        ),
        ("video_bGl0ZWxsbTo/Y3+1=", "", "/video_bGl0ZWxsbTo%2FY3%2B1%3D"),  # [LiteLLM] standard base64
        ("176844028768320", "", "/176844028768320"),  # [MiniMax] digits stay text
    ],
)
def test_an_id_reaches_the_path_as_its_provider_wants_it(job_id: str, safe: str, path: str) -> None:
    """The id is opaque; the plugin says what of it is encoded, and a wait from a cold start needs nothing else."""
    t = talk([{"s": "run"}, {"s": "ok", "url": MP4}], provider=odd(get("/{}", safe=safe), simple))
    assert course(t, f"odd:{job_id}") == ["stage run", "completed", "completed"]
    assert t.requests == [f"GET {path}"] * 2


@pytest.mark.parametrize("job_id", ["a/../b", "a//b", "/a", "a/"])
def test_an_id_that_is_a_path_cannot_climb(job_id: str) -> None:
    """No segment made from an id is empty, "." or "..": told before anything is sent."""
    t = talk([{}], provider=odd(get("/{}", safe="/"), simple))
    with pytest.raises(vidpoll.BadReference):
        t.client.wait(f"odd:{job_id}")
    assert t.requests == []


def test_id_plus_kind() -> None:
    """[Kling] The status path repeats the kind: the plugin puts it into the id."""

    def request(job_id: str) -> vidpoll.Request:
        kind, _, task = job_id.partition("/")
        if kind not in ("text2video", "image2video") or not task:
            raise vidpoll.BadReference(f"{job_id!r}: write KIND/ID, for example text2video/123")
        return vidpoll.Request("GET", f"/v1/videos/{kind}/{parsing.segment(task)}")

    t = talk([{"s": "ok", "url": MP4}], provider=odd(request, simple))
    assert course(t, "odd:text2video/831") == ["completed", "completed"]
    assert t.requests == ["GET /v1/videos/text2video/831"]
    with pytest.raises(vidpoll.BadReference, match="write KIND/ID"):
        t.client.wait("odd:831")


def test_an_answer_with_a_foreign_id_is_not_adopted() -> None:
    """[LiteLLM] Whatever it says is about another job: a blip, and the id that was asked with stays."""
    foreign = {"s": "no", "id": "video_other"}
    t = talk([{"s": "run"}, foreign, {"s": "ok", "id": "j1", "url": MP4}], provider=odd(get("/{}"), simple))
    assert course(t) == [
        "stage run",
        "fault the response is about another job: it names 'video_other', not 'j1'",
        "completed",
        "completed",
    ]
    assert t.requests == ["GET /j1"] * 3


# -- requests ---------------------------------------------------------------------------------------------------------


def test_a_poll_that_is_a_post_with_a_body() -> None:
    """[Vertex] The question is asked again and again all the same: asking buys nothing."""

    def request(job_id: str) -> vidpoll.Request:
        return vidpoll.Request("POST", "/v1/models/veo:fetchPredictOperation", json={"operationName": job_id})

    t = talk([{"s": "run"}, ConnectionResetError(), {"s": "ok", "url": MP4}], provider=odd(request, simple))
    assert course(t)[-1] == "completed"
    assert [json.loads(wire.body or b"") for wire in t.wire.sent] == [{"operationName": "j1"}] * 3
    assert t.wire.sent[0].headers == {"Content-Type": "application/json"}


def test_auth_minted_per_request_from_two_secrets() -> None:
    """[Kling] A token made anew each time, since it expires in a long wait; no secret is in a URL or a repr."""
    serial = count(1)

    def mint(request: vidpoll.PreparedRequest, secrets: Mapping[str, str]) -> dict[str, str]:
        claim = f"{secrets['ODD_ACCESS_KEY']}.{next(serial)}.{request.url}"
        return {
            "Authorization": "Bearer "
            + hmac.new(secrets["ODD_SECRET_KEY"].encode(), claim.encode(), hashlib.sha256).hexdigest()
        }

    provider = odd(get("/{}"), simple, auth=vidpoll.Minted(("ODD_ACCESS_KEY", "ODD_SECRET_KEY"), mint))
    t = talk([{"s": "run"}, {"s": "run"}, {"s": "ok", "url": MP4}], provider=provider)
    assert course(t)[-1] == "completed"
    tokens = [wire.secret["Authorization"] for wire in t.wire.sent]
    assert len(set(tokens)) == 3
    for wire in t.wire.sent:
        assert "odd_secret_key" not in f"{wire.url}{wire!r}{wire.headers}"
        assert wire.secret["Authorization"] not in f"{wire.url}{wire!r}{wire.headers}"
    t = talk([{}], provider=provider, accounts={})
    with pytest.raises(vidpoll.MissingKey, match="ODD_ACCESS_KEY and ODD_SECRET_KEY"):
        t.client.wait("odd:j1")


# -- words ------------------------------------------------------------------------------------------------------------


def veo(response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot:
    body = parsing.json_object(response)
    done = body.get("done", False)
    if not isinstance(done, bool):
        raise vidpoll.Malformed(f"done is {done!r}, not true or false")
    if not done:
        return vidpoll.Snapshot(RUNNING)
    if "error" in body:
        return vidpoll.Snapshot(FAILED, problem=vidpoll.Problem(str(body["error"].get("message"))))
    videos = parsing.assets([sample.get("uri") for sample in body.get("response", {}).get("samples", [])])
    if not videos:
        return vidpoll.Snapshot(FAILED, problem=vidpoll.Problem("done with no video: filtered"))
    return vidpoll.Snapshot(COMPLETED, assets=videos)


@pytest.mark.parametrize(
    ("last", "end"),
    [
        ({"done": True, "response": {"samples": [{"uri": MP4}]}}, "completed"),
        ({"done": True, "response": {}}, "failed"),
        ({"done": True}, "failed"),
        ({"done": True, "error": {"message": "no"}}, "failed"),
    ],
)
def test_done_without_a_word(last: dict[str, Any], end: str) -> None:
    """[Veo] `done` is absent, false or true; done with none of what was promised is a failure."""
    t = talk([{"name": "x"}, {"done": False}, {"done": "yes"}, last], provider=odd(get("/{}"), veo))
    assert course(t) == ["stage None", "fault done is 'yes', not true or false", end, end]


def test_numbers_as_states() -> None:
    """[MoneyPrinterTurbo, kie.ai] `True == 1` in Python: a boolean is no number. "4" and 4.0 are 4: Redis, Lua, PHP."""
    table = {4: RUNNING, 1: COMPLETED, -1: FAILED, 0: QUEUED}

    def parse(response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot:
        return vidpoll.Snapshot(parsing.lookup(table, parsing.json_object(response).get("state")), assets_due=False)

    script = [{"state": state} for state in (0, 4, True, False, "4", 4.0, "7", 7, 1)]
    t = talk(script, provider=odd(get("/{}"), parse))
    words = course(t)
    assert words[:2] == ["stage None", "stage None"]
    assert [word.split()[0] for word in words[2:]] == [
        "fault",
        "fault",
        "stage",
        "completed",
        "completed",
    ]
    assert words[4] == "stage 7"


def test_relative_asset_urls(tmp_path: Any) -> None:
    """[MoneyPrinterTurbo 1.2] A URL without a host belongs to the account's own origin, wherever that is."""
    script = {"/jobs": [{"s": "ok", "url": "/tasks/j1/final-1.mp4"}], "/tasks": [b"\x00\x00\x00\x18ftypisom"]}
    account = vidpoll.Account("odd", base_url="http://127.0.0.1:8080/api/v1")
    t = talk(script, provider=odd(get("/jobs/{}"), simple), accounts={"gpu": account})
    job = t.client.wait("gpu:j1")
    assert job.video.url == "/tasks/j1/final-1.mp4"
    t.client.download(job, tmp_path / "v.mp4")
    assert t.wire.sent[-1].url == "http://127.0.0.1:8080/tasks/j1/final-1.mp4"


def test_an_audio_only_task_is_not_waited_for() -> None:
    """[MoneyPrinterTurbo] Where no video is due nothing is asked again, and `video` says what there is."""

    def parse(response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot:
        return vidpoll.Snapshot(COMPLETED, assets=(vidpoll.Asset("/a.mp3", "audio"),), assets_due=False)

    t = talk([{}], provider=odd(get("/{}"), parse))
    job = t.client.wait("odd:j1")
    assert len(t.requests) == 1
    with pytest.raises(vidpoll.ResultMissing, match="with audio"):
        _ = job.video
