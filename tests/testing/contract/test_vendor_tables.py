"""The contract passes what vendors need of the tables, and finds what is wrong with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from contract_cases import alarms, caught, contract, write

import vidpoll
from vidpoll import State, declare

UUID = "7f3a2d1b-4c9e-4b7f-8d2a-1f3c5e7a9b0d"
OWN = f"acme-ai/veo3/{UUID}"
VIDEO = "https://cdn.queue.example/clip.mp4"
BUCKET = "gs://mine/clip.mp4"
BARE = {"request_id": UUID.replace("7f3a2d1b", "6f3a2d1b")}
"""An answer that holds nothing but the job's id: in it nothing could be a word."""
FLAGGED = {"message": "flagged", "code": "content_policy", "category": "moderated_output", "charged": False}
JOB = declare.Reader(
    {"IN_QUEUE": State.QUEUED, "IN_PROGRESS": State.RUNNING, "COMPLETED": State.COMPLETED},
    id="request_id",
    ids=declare.Ids("app/id", part=lambda app: "/".join(app.split("/")[:2])),
    files={},
    queue_position="queue_position",
    verdicts=(declare.Verdict(400, "not ready", State.RUNNING),),
    problem=declare.problems({"content_policy": "moderated_output"}, charged={"moderated_output": False}),
    decide=lambda state, data: State.RUNNING if data == BARE else None,
    second=declare.Second(
        "GET /{app:path}/requests/{id}",
        {"video": "video.url"},
        verdicts=(
            declare.Verdict(400, "still in progress", State.RUNNING),
            declare.Verdict(422, "", State.FAILED),
        ),
    ),
)
ROW = replace(
    JOB,
    second=None,
    refine=lambda said, data, job_id: replace(said, job_id=f"{data.get('app')}/{data.get('request_id')}"),
)
LOOK = declare.status("GET /{app:path}/requests/{id}/status", ROW)
PROVIDER = vidpoll.Provider(
    "queue",
    base_url="https://queue.acme.example",
    auth=vidpoll.KeyHeader("Authorization", "QUEUE_KEY", "Key "),
    pacing=vidpoll.Pacing(floor=5.0),
    status=declare.status("GET /{app:path}/requests/{id}/status", JOB),
    submit={
        "run": declare.submit(
            "POST /{app:path}?webhook={webhook}",
            JOB,
            {"app": declare.text(), "webhook": declare.text(), "priority": declare.one_of("low", "normal")},
            ("app",),
            others=declare.anything(),
            headers={"X-Priority": "{priority}"},
        ),
        "form": declare.submit(
            "POST /{app:path}/form", JOB, {"app": declare.text(), "prompt": declare.text()}, ("app",), form=True
        ),
    },
    list=declare.cursor_pages(
        "GET https://api.acme.example/v1/requests", ROW, rows="items", token="cursor", next="next"
    ),
    cancel=declare.cancel("PUT /{app:path}/requests/{id}/cancel", JOB),
    delete=declare.delete("DELETE /{app:path}/requests/{id}", ROW, first=LOOK),
    error=declare.refusals(texts={"balance": "money"}, statuses={403: "money"}),
    hosts=("api.acme.example",),
    list_polling=vidpoll.ListPollingSpec(
        rows=50, batch=declare.batch("GET https://api.acme.example/v1/many", ROW, name="ids", rows="items")
    ),
    stages=JOB.stages,
)
SUBMITTED = {"request_id": UUID, "status": "IN_QUEUE", "queue_position": 2}
EXPECTED = {"job_id": OWN, "state": "queued", "stage": "IN_QUEUE", "queue_position": 2}
STEP = "acme-ai/veo3/requests/{id}"
FILES = {"assets": [{"kind": "video", "url": VIDEO}]}


def status(file: str, body: object, **row: Any) -> tuple[str, object, dict[str, Any]]:
    own = UUID if row["expect"]["state"] == "running" else UUID.replace("7f3a2d1b", "8f3a2d1b")
    asked = f"acme-ai/veo3/{own}"
    expect = {"stage": "COMPLETED", "progress": None, "assets": [], "job_id": asked, **row.pop("expect")}
    return file, {"request_id": own, **body}, {"operation": "status", "id": asked, **row, "expect": expect}  # type: ignore[dict-item]


SAMPLES: list[Any] = [
    (
        "submit.json",
        SUBMITTED,
        {
            "operation": "submit run",
            "request": "POST /acme-ai/veo3/fast?webhook=https%3A%2F%2Fme.example%2Fhook",
            "fields": {"app": "acme-ai/veo3/fast", "webhook": "https://me.example/hook", "prompt": "a sea"},
            "sends": {"prompt": "a sea"},
            "expect": EXPECTED,
        },
    ),
    (
        "form.json",
        SUBMITTED,
        {
            "operation": "submit form",
            "request": "POST /acme-ai/veo3/form",
            "fields": {"app": "acme-ai/veo3", "prompt": "a sea"},
            "sends": {"prompt": "a sea"},
            "expect": EXPECTED,
        },
    ),
    status(
        "queued.json",
        {"status": "IN_QUEUE", "queue_position": 0},
        request=f"GET /{STEP}/status",
        status=202,
        expect={"state": "queued", "stage": "IN_QUEUE", "queue_position": 0},
    ),
    status("running.json", {"status": "IN_PROGRESS"}, expect={"state": "running", "stage": "IN_PROGRESS"}),
    (
        "not-ready.json",
        {"detail": "The request is not ready"},
        {
            "operation": "status",
            "id": f"acme-ai/veo3/{UUID.replace('7f3a2d1b', 'af3a2d1b')}",
            "status": 400,
            "expect": {"state": "running", "stage": None, "progress": None, "assets": []},
        },
    ),
    status("done.json", {"status": "COMPLETED"}, then=["video.json"], expect={"state": "completed", **FILES}),
    status(
        "failed.json",
        {"status": "COMPLETED", "metrics": {}},
        then=["flagged.json"],
        expect={"state": "failed", "problem": FLAGGED},
    ),
    status(
        "early.json",
        {"status": "COMPLETED", "logs": [], "request_id": UUID.replace("7f3a2d1b", "9f3a2d1b")},
        id=f"acme-ai/veo3/{UUID.replace('7f3a2d1b', '9f3a2d1b')}",
        then=["yet.json"],
        expect={"state": "running", "job_id": f"acme-ai/veo3/{UUID.replace('7f3a2d1b', '9f3a2d1b')}"},
    ),
    status(
        "bare.json",
        BARE,
        id=f"acme-ai/veo3/{BARE['request_id']}",
        expect={"state": "running", "stage": None, "job_id": f"acme-ai/veo3/{BARE['request_id']}"},
    ),
    status(
        "kept.json",
        {"status": "COMPLETED", "kept": True},
        then=["kept-video.json"],
        expect={"state": "completed", "assets": [{"kind": "video", "url": BUCKET}]},
    ),
    ("kept-video.json", {"video": {"url": BUCKET}}, {"operation": "follow"}),
    ("video.json", {"video": {"url": VIDEO}}, {"operation": "follow", "request": f"GET /{STEP}"}),
    (
        "flagged.json",
        {"detail": [{"msg": "flagged", "type": "content_policy"}], "type": "content_policy"},
        {"operation": "follow", "status": 422},
    ),
    ("yet.json", {"detail": "Request is still in progress"}, {"operation": "follow", "status": 400}),
    (
        "list.json",
        {"items": [{"request_id": UUID, "app": "acme-ai/veo3", "status": "IN_PROGRESS"}], "next": "c2"},
        {
            "operation": "list",
            "request": "GET https://api.acme.example/v1/requests?limit=100",
            "expect": {
                "rows": [{"job_id": OWN, "state": "running", "stage": "IN_PROGRESS", "progress": None}],
                "next": "c2",
            },
        },
    ),
    (
        "list-last.json",
        {"items": [], "next": None},
        {
            "operation": "list",
            "token": "c2",
            "request": "GET https://api.acme.example/v1/requests?limit=100&cursor=c2",
            "expect": {"rows": [], "next": None},
        },
    ),
    (
        "many.json",
        {"items": [{"request_id": UUID, "app": "acme-ai/veo3", "status": "IN_PROGRESS"}]},
        {
            "operation": "batch",
            "request": f"GET https://api.acme.example/v1/many?ids={UUID}",
            "expect": {
                "rows": [{"job_id": OWN, "state": "running", "stage": "IN_PROGRESS", "progress": None}],
                "next": None,
            },
        },
    ),
    ("cancel.json", {"status": "CANCELLATION_REQUESTED"}, {"operation": "cancel", "request": f"PUT /{STEP}/cancel"}),
    (
        "over.json",
        {"request_id": UUID, "app": "acme-ai/veo3", "status": "COMPLETED"},
        {"operation": "delete", "request": f"GET /{STEP}/status", "then": ["deleted.json"]},
    ),
    (
        "not-yet.json",
        {"detail": "The request is not ready"},
        {"operation": "delete", "status": 400, "expect": {"raises": "Refused", "kind": "conflict"}},
    ),
    ("deleted.json", {}, {"operation": "follow", "request": f"DELETE /{STEP}"}),
    (
        "locked.json",
        {"detail": "User is locked. Reason: Exhausted balance."},
        {
            "operation": "error",
            "status": 403,
            "expect": {"message": "User is locked. Reason: Exhausted balance.", "code": None, "kind": "money"},
        },
    ),
]
HEAD: dict[str, Any] = {
    "base_url": "https://queue.acme.example",
    "auth": "Authorization: Key {QUEUE_KEY}",
    "floor": 5,
    "id": OWN,
    "words": {"IN_QUEUE": "queued", "IN_PROGRESS": "running", "COMPLETED": "completed"},
}


class Plugin:
    def __init__(self, provider: vidpoll.Provider = PROVIDER) -> None:
        self.provider = provider

    @vidpoll.hookimpl
    def vidpoll_providers(self) -> Any:
        yield self.provider


def test_a_vendor_with_all_of_it_passes(tmp_path: Path) -> None:
    """Ids that carry the app, another host, fields as headers and queries, forms, second answers, files in a bucket."""
    folder = write(tmp_path / "samples", SAMPLES, **HEAD)
    assert alarms(contract(Plugin(), folder, "queue")) == {}


def test_a_list_at_the_wrong_host_is_found(tmp_path: Path) -> None:
    """The index says where the page has it."""
    folder = write(tmp_path / "samples", SAMPLES, **HEAD)
    here = declare.cursor_pages("GET /v1/requests", ROW, rows="items", token="cursor", next="next")
    found = caught(contract(Plugin(replace(PROVIDER, list=here)), folder, "queue"), only="requests_are")
    assert "index.json says GET https://api.acme.example/v1/requests?limit=100" in "".join(found.values())


def test_a_batch_that_asks_with_another_name_is_found(tmp_path: Path) -> None:
    """The vendor would answer for no job, or for all."""
    folder = write(tmp_path / "samples", SAMPLES, **HEAD)
    other = declare.batch("GET https://api.acme.example/v1/many", ROW, name="id", rows="items")
    polling = vidpoll.ListPollingSpec(rows=50, batch=other)
    found = caught(contract(Plugin(replace(PROVIDER, list_polling=polling)), folder, "queue"), only="requests_are")
    assert "many.json: batch sends GET https://api.acme.example/v1/many?id=" in "".join(found.values())


def test_a_host_that_the_provider_does_not_name_is_found(tmp_path: Path) -> None:
    """Nobody could use the operation."""
    folder = write(tmp_path / "samples", SAMPLES, **HEAD)
    found = caught(contract(Plugin(replace(PROVIDER, hosts=())), folder, "queue"), only="the_key_stays")
    assert "names api.acme.example, which is not in Provider(hosts=" in "".join(found.values())


def test_a_delete_that_looks_first_is_pinned(tmp_path: Path) -> None:
    """What is sent after the look is compared with the page, too."""
    folder = write(tmp_path / "samples", SAMPLES, **HEAD)
    other = declare.delete("DELETE /{app:path}/request/{id}", ROW, first=LOOK)
    found = caught(contract(Plugin(replace(PROVIDER, delete=other)), folder, "queue"), only="requests_are")
    assert "deleted.json: follow sends DELETE /acme-ai/veo3/request/" in "".join(found.values())


def test_an_operation_for_some_ids_alone_passes(tmp_path: Path) -> None:
    """It is asked with an id of its own samples, and not with that of the index."""
    own = OWN.replace("veo3", "draft")
    cancel = PROVIDER.cancel
    assert cancel is not None

    def build(job_id: str) -> vidpoll.Request:
        if "/draft/" not in job_id:
            raise vidpoll.Unsupported("queue: drafts alone can be cancelled")
        return cancel.request(job_id)  # type: ignore[no-any-return]

    row = {"operation": "cancel", "id": own, "request": f"PUT /{STEP.replace('veo3', 'draft')}/cancel"}
    samples = [each if each[0] != "cancel.json" else (each[0], each[1], row) for each in SAMPLES]
    folder = write(tmp_path / "samples", samples, **HEAD)
    assert alarms(contract(Plugin(replace(PROVIDER, cancel=replace(cancel, request=build))), folder, "queue")) == {}
