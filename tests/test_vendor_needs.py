"""What vendors need of the client: a cancel that is a verdict, kinds of refusals, fields of others, ids that carry."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from acme_provider import ACME, DONE, DRAWING, REF, UNAVAILABLE, job_request, talk

import vidpoll
from vidpoll import State, declare, parsing
from vidpoll.cli.output import error_object

TASK = declare.Reader({"drawing": State.RUNNING, "done": State.COMPLETED}, files={"video": "video"})
RUNWAY = replace(
    ACME,
    cancel=declare.cancel("DELETE /jobs/{id}", TASK, ends=True, first=declare.status("GET /jobs/{id}", TASK)),
)
GONE = (204, {}, b"")
MISSING = (404, {}, b'{"error": "not found"}')


def test_a_cancel_whose_answer_is_the_verdict() -> None:
    """[Runway] From then on the status is 404: the job is cancelled, hooks hear of it once, nothing more is asked."""
    t = talk([DRAWING, GONE, MISSING], provider=RUNWAY)
    job = t.client.feed(REF, DRAWING)
    t.client.cancel(job)
    assert (job.state, t.requests) == (State.CANCELLED, ["GET /v1/jobs/j1", "DELETE /v1/jobs/j1"])
    with pytest.raises(vidpoll.JobCancelled):
        t.client.wait(job)
    assert t.ears.told[-1:] == ["cancelled"]
    assert t.ears.told.count("cancelled") == 1


def test_the_verdict_of_a_cancel_is_kept(tmp_path: Path) -> None:
    """Another process, with the reference alone, finds it in the store and asks nothing."""
    path = tmp_path / "jobs.sqlite3"
    with talk([{"id": "j1"}, DRAWING, GONE], provider=RUNWAY, store=path).client as client:
        job = client.submit("acme", "clip", prompt="a sea")
        client.cancel(job.ref)
    t = talk([MISSING], provider=RUNWAY, store=path)
    with pytest.raises(vidpoll.JobCancelled):
        t.client.wait(REF)
    assert t.requests == []


def test_a_cancel_of_a_job_that_is_over_deletes_nothing() -> None:
    """[Runway, Ark] The same request would remove its files."""
    t = talk([{"status": "done"}], provider=RUNWAY)
    with pytest.raises(vidpoll.Conflict, match="the job has ended"):
        t.client.cancel(REF)
    assert t.requests == ["GET /v1/jobs/j1"]


def comfy_cancel(response: vidpoll.Response, job_id: str) -> Any:
    """Out of the queue where it waits, else interrupted with its id; nothing is sent for another's job."""
    body = parsing.json_object(response)
    for place, path, sent in (("pending", "/queue", {"delete": [job_id]}), ("running", "/stop", {"id": job_id})):
        if job_id in body.get(place, ()):
            return vidpoll.Follow(vidpoll.Request("POST", path, json=sent), lambda response, job_id: None)
    raise vidpoll.Refused("conflict", "it neither waits nor runs")


@pytest.mark.parametrize(
    ("queue", "sent"),
    [
        ({"pending": ["j1", "j2"]}, ["/v1/queue", {"delete": ["j1"]}]),
        ({"running": ["j1"], "pending": ["j2"]}, ["/v1/stop", {"id": "j1"}]),
    ],
)
def test_a_cancel_that_asks_first(queue: dict[str, Any], sent: list[Any]) -> None:
    """[ComfyUI] Its parser knows the id, and an empty 200 is good."""
    cancel = vidpoll.Operation(lambda job_id: vidpoll.Request("GET", "/queue"), comfy_cancel, empty_ok=True)
    t = talk([queue, (200, {}, b"")], provider=replace(ACME, cancel=cancel))
    t.client.cancel(REF)
    last = t.wire.sent[-1]
    assert [last.url.removeprefix("https://api.acme.example"), json.loads(last.body or b"")] == sent


PAY = replace(
    ACME,
    error=declare.refusals(
        {
            "1113": "money",
            "1201": "not found",
            "1303": "capacity",
            "1301": "moderated_input",
            "1103": "permission",
            "1002": "auth",
        },
        statuses={403: "money"},
        charged={"moderated_input": True, "1303": False},
    ),
    status=replace(ACME.status, request=job_request("GET")),
)


@pytest.mark.parametrize(("status", "code"), [(429, "1113"), (403, "0"), (400, "1113")])
def test_a_refusal_that_is_money(status: int, code: str) -> None:
    """[Zhipu, xAI, Higgsfield] Nothing was bought, it is said as what it is, and not sent again."""
    t = talk([(status, {}, json.dumps({"code": code, "message": "no balance"}).encode())] * 3, provider=PAY)
    with pytest.raises(vidpoll.PaymentRequired, match=rf"HTTP {status}: no balance .*Nothing was bought"):
        t.client.submit("acme", "clip", prompt="a sea")
    assert len(t.requests) == 1


@pytest.mark.parametrize(
    ("status", "code", "told"),
    [
        (429, "1113", (vidpoll.PaymentRequired, "money", None)),
        (429, "1303", (vidpoll.RateLimited, "capacity", False)),
        (429, "1", (vidpoll.RateLimited, "rate", None)),
        (400, "1301", (vidpoll.InvalidRequest, "moderated_input", True)),
        (403, "1103", (vidpoll.PermissionDenied, None, None)),
        (403, "1002", (vidpoll.PermissionDenied, "auth", None)),
        (400, "1002", (vidpoll.AuthenticationError, "auth", None)),
        (401, "1", (vidpoll.AuthenticationError, "auth", None)),
    ],
)
def test_a_refusal_has_its_class_and_says_who_pays(status: int, code: str, told: tuple[object, ...]) -> None:
    """[Kling] The code decides, then the HTTP status: a 429 is money, a full account, or too many requests."""
    t = talk([(status, {}, json.dumps({"code": code, "message": "no"}).encode())] * 9, provider=PAY)
    with pytest.raises(vidpoll.ProviderError) as caught:
        t.client.submit("acme", "clip", prompt="a sea")
    error = caught.value
    assert (type(error), error.category, error.charged) == told
    assert {name: error_object(error)[name] for name in ("code", "category", "charged")} == {
        "code": code, "category": error.category, "charged": error.charged,
    }  # fmt: skip


def test_a_refusal_that_is_an_unknown_id() -> None:
    """[Kling] A 400 of that code is asked again a few times, as a 404 is."""
    t = talk([(400, {}, b'{"code": "1201", "message": "task not found"}')] * 9, provider=PAY)
    with pytest.raises(vidpoll.JobNotFound):
        t.client.wait(REF)
    assert len(t.requests) > 1


OTHERS = "hers-0123456789"
LEAKY = {**DRAWING, "extra_data": {"api_key_comfy_org": OTHERS}, "more": [{"api_key_x": OTHERS, "kept": 1}]}
DISCREET = replace(
    ACME,
    drops=("extra_data", "api_key_*"),
    status=vidpoll.Operation(
        job_request("GET"),
        lambda r, i: replace(ACME.status.parse(r, i), raw=r.json()),  # type: ignore[type-var]
    ),
)


def test_fields_of_others_are_nowhere(tmp_path: Path) -> None:
    """[ComfyUI] Neither in raw nor in a transcript nor in the store, asked or pushed."""
    path = tmp_path / "jobs.sqlite3"
    with talk([LEAKY] * 9, provider=DISCREET, store=path).client as client:
        job = vidpoll.Job(REF)
        client.poll(job)
        with pytest.raises(vidpoll.WaitTimeout) as caught:
            client.wait(job, timeout=8)
        assert job.snapshot is not None
        assert job.snapshot.raw == {**DRAWING, "more": [{"kept": 1}]}
        bodies = [each.body for each in caught.value.transcript]
        assert all("kept" in body and OTHERS not in body for body in bodies)
        client.feed(job, LEAKY)
        assert OTHERS not in str(job.snapshot.raw)
    assert all(OTHERS.encode() not in file.read_bytes() for file in tmp_path.iterdir())


def test_fields_of_others_are_not_told_by_a_download(tmp_path: Path) -> None:
    """Nor does the parser of a content see them."""
    refusal = (403, {"content-type": "text/plain"}, f"extra_data={OTHERS}".encode())
    t = talk({"/jobs": [DONE] * 5, "": [refusal] * 5}, provider=DISCREET)
    with pytest.raises(vidpoll.DownloadError, match="HTTP 403") as caught:
        t.client.download(REF, tmp_path)
    assert OTHERS not in str(caught.value)


def test_an_answer_that_cannot_be_looked_through_is_not_kept() -> None:
    """What is no JSON and holds such a name goes as a whole."""
    t = talk([(500, {"content-type": "text/plain"}, f"extra_data={OTHERS}".encode())] * 3, provider=DISCREET)
    with pytest.raises(vidpoll.ProviderError) as caught:
        t.client.poll(REF)
    assert OTHERS not in f"{caught.value}{[each.body for each in caught.value.transcript]}"


def test_fields_of_others_by_their_place(tmp_path: Path) -> None:
    """[ComfyUI] An item of its queue is a list: its place tells which part is another's. The store keeps none of it."""
    submit = replace(ACME.submit["clip"], request=lambda fields: vidpoll.Request("POST", "/jobs", json=dict(fields)))
    drops = ("extra_data", "queue_*[][2:]", "prompt[1:]")
    provider = replace(DISCREET, drops=drops, submit={"clip": submit})
    body = {**DRAWING, "queue_running": [[7, "j1", OTHERS], "odd"], "queue_pending": [], "prompt": ["j1", OTHERS]}
    path = tmp_path / "jobs.sqlite3"
    with talk([{"id": "j1"}, body], provider=provider, store=path).client as client:
        raw = client.poll(client.submit("acme", "clip", prompt="a sea", extra_data={"note": OTHERS})).raw
    assert raw == {**DRAWING, "queue_running": [[7, "j1"], "odd"], "queue_pending": [], "prompt": ["j1"]}
    assert all(OTHERS.encode() not in file.read_bytes() for file in tmp_path.iterdir())


@pytest.mark.parametrize("drops", [("",), ("*",), (7,), "extra_data", ("[2:]",), ("*[2:]",), ("a[2]",), ("a[x:]",)])
def test_what_is_no_name_of_a_field(drops: Any) -> None:
    """It is refused when the provider is made."""
    with pytest.raises(vidpoll.PluginError, match="drops"):
        replace(ACME, drops=drops)


JOB = declare.Reader(
    {"run": State.RUNNING, "ok": State.COMPLETED}, ids=declare.Ids("app/id"), files={"video": "base64:bytes"}
)
CARRIED = replace(
    ACME,
    status=declare.status("POST /{app}/status", JOB, json={"id": "{id}"}),
    submit={"run": declare.submit("POST /{app}", JOB, {"app": declare.text()}, ("app",))},
)


def test_an_id_that_carries_a_field_of_its_submit(tmp_path: Path) -> None:
    """[fal, Jimeng, Vertex] From the submit to the file in the answer, and by the reference alone."""
    t = talk([{"id": "7"}, {"status": "run"}, {"status": "ok", "bytes": "AAAAGGZ0eXBpc29t"}], provider=CARRIED)
    job = t.client.wait(t.client.submit("acme", "run", app="veo"))
    assert job.ref == "acme:veo/7"
    assert t.requests == ["POST /v1/veo", "POST /v1/veo/status", "POST /v1/veo/status"]
    assert [path.read_bytes()[4:8] for path in t.client.download(job, tmp_path)] == [b"ftyp"]


def test_a_file_in_a_bucket(tmp_path: Path) -> None:
    """[Vertex] It is not fetched, and the error says how to get it."""
    t = talk([{"status": "done", "video": "gs://mine/a.mp4"}] * 9)
    job = t.client.wait(REF)
    with pytest.raises(vidpoll.UnsafeURL, match="gcloud storage cp"):
        t.client.download(job, tmp_path)


def test_a_large_submit_has_the_time_that_it_takes() -> None:
    """A form with a file, or base64 in JSON: the bound of a request grows with its body."""
    t = talk([{"id": "j1"}, UNAVAILABLE])
    t.client.submit("acme", "clip", prompt="a" * 1_000_000)
    assert t.wire.sent[0].timeout[1] > 30.0 + 1_000_000 / 50_000.0
    with pytest.raises(vidpoll.ProviderError):
        t.client.poll("acme:j9")
    assert t.wire.sent[1].timeout == (10.0, 30.0)
