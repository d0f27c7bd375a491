"""What is odd about ComfyUI: workflows with values put into them, servers of two ages, cancels, files of all keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from vidpoll_providers import comfycloud, comfyui

import vidpoll
from vidpoll import Asset, Response, State
from vidpoll.testing import FakeClock, FakeTransport, replay

RECORDED = Path(__file__).parent / "recorded"
JOB, HERS = "55534a0c-4296-4e30-9524-dd1d50cc9fc4", "64180b58-544c-41f1-92c9-cdcfa78dc79b"
REF = f"comfyui:{JOB}"
SECRET = "comfyui-hers-0123456789"
FLOW: dict[str, Any] = {
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a sea", "clip": ["4"]}, "_meta": {"title": "Positive"}},
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "", "clip": ["4", 1]}, "_meta": {"title": "Negative"}},
    "3": {"class_type": "KSampler", "inputs": {"seed": 7, "a.b": 1}},
}
OLD = Response(404, {"content-type": "application/octet-stream"})
UNKNOWN = Response(404, {}, b'{"error": "Job not found"}')
EMPTY = Response(200)


def answer(body: object, status: int = 200) -> Response:
    return Response(status, {"content-type": "application/json"}, json.dumps(body).encode())


def item(number: float, job_id: str) -> list[object]:
    """An item of the queue, with the keys of another user."""
    return [number, job_id, {"1": {"inputs": {"text": SECRET}}}, {"api_key_comfy_org": SECRET, "note": SECRET}, ["3"]]


def queue(running: list[object] | None = None, pending: list[object] | None = None) -> Response:
    return answer({"queue_running": running or [], "queue_pending": pending or []})


def count(total: int) -> Response:
    return answer({"jobs": [], "pagination": {"offset": 0, "limit": 1, "total": total, "has_more": total > 1}})


def client_of(script: list[Response], **options: Any) -> tuple[vidpoll.Client, FakeTransport]:
    wire = FakeTransport(script)
    client = vidpoll.Client(plugins=[comfyui], discover=False, clock=FakeClock(), transport=wire, **options)
    return client, wire


def asked(wire: FakeTransport) -> list[str]:
    sent = [f"{each.method} {each.url.removeprefix('http://127.0.0.1:8188')}" for each in wire.sent]
    return [f"{line} {each.body.decode()}" if each.body else line for line, each in zip(sent, wire.sent, strict=True)]


def sent(**fields: Any) -> dict[str, Any]:
    return dict(comfyui.submit_request(fields).json)


# -- submit -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "value", "node", "field"),
    [
        ("6.text", "a storm", "6", "text"),
        ("6.inputs.text", "a storm", "6", "text"),
        ("Negative.text", "blur", "7", "text"),
        ("KSampler.seed", 8, "3", "seed"),
        ("3.a.b", 2.5, "3", "a.b"),
        ("6.clip", ["9", 0], "6", "clip"),
    ],
)
def test_a_value_is_put_into_the_workflow(path: str, value: Any, node: str, field: str) -> None:
    """By the node's id, its title or its class; the caller's own workflow stays as it is."""
    due = {**FLOW, node: {**FLOW[node], "inputs": {**FLOW[node]["inputs"], field: value}}}
    before = json.dumps(FLOW)
    assert sent(workflow=FLOW, **{path: value}) == {"prompt": due}
    assert json.dumps(FLOW) == before


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"CLIPTextEncode.text": "x"}, r"several nodes are called 'CLIPTextEncode' \(6, 7\)"),
        ({"9.text": "x"}, "there is no node '9'; the workflow's nodes: 6"),
        ({"6.txt": "x"}, r"CLIPTextEncode \(node 6\) has no input 'txt'; its inputs: text, clip"),
        ({"6.text": 2024}, "6.text must be text, as in the workflow: 'a sea'"),
        ({"3.seed": float("nan")}, "3.seed must be"),
        ({"6.text": Path("a.png")}, "upload the file first"),
        ({"seed": 7}, "NODE.INPUT, like 6.seed"),
        ({"workflow": {"nodes": [], "links": []}}, "File > Export"),
        ({"workflow": {"6": {"inputs": {}}}}, "a class_type and inputs for each node"),
        ({"workflow": {}}, "workflow="),
        ({"workflow": "flow.json"}, "workflow=@flow.json"),
        ({"workflow": Path("/nowhere/flow.json")}, "workflow=@flow.json"),
        ({"prompt_id": ""}, "a UUID"),
    ],
)
def test_what_is_refused_before_it_is_sent(fields: dict[str, Any], told: str) -> None:
    """The server would ignore it, or answer HTTP 500."""
    with pytest.raises(vidpoll.InvalidField, match=told):
        sent(**{"workflow": FLOW, **fields})


def test_a_workflow_out_of_a_file_and_as_text(tmp_path: Path) -> None:
    """pathlib.Path, and what `workflow=@flow.json` gives."""
    path = tmp_path / "flow.json"
    path.write_text(json.dumps(FLOW), encoding="utf-8")
    assert sent(workflow=path, front=True) == {"prompt": FLOW, "front": True}
    assert sent(workflow=path.read_text(encoding="utf-8")) == {"prompt": FLOW}


def test_one_s_own_keys_are_sent_and_not_kept(tmp_path: Path) -> None:
    """`extra_data` reaches the server, and neither the store nor an error."""
    store = tmp_path / "jobs.sqlite3"
    client, wire = client_of([answer({"prompt_id": JOB, "number": 1, "node_errors": {}})], store=store)
    with client:
        client.submit("comfyui", "workflow", workflow=FLOW, extra_data={"api_key_comfy_org": SECRET})
    assert SECRET in asked(wire)[0]
    assert all(SECRET.encode() not in file.read_bytes() for file in tmp_path.iterdir())


def test_every_recorded_refusal_says_what_is_wrong() -> None:
    """With the node, and what is wrong in it."""
    said = json.loads((RECORDED / "comfyui" / "0.33.0-03-refused.json").read_text(encoding="utf-8"))
    problems = [comfyui.parse_error(answer(json.loads(each["response"]["body"]), 400)) for each in said["exchanges"]]
    assert [problem.code for problem in problems] == [
        "no_prompt",
        "missing_node_type",
        "prompt_no_outputs",
        "prompt_outputs_failed_validation",
        "prompt_outputs_failed_validation",
    ]
    assert problems[3].message == (
        "Prompt outputs failed validation; CreateVideo (node 2): Required input is missing images"
    )


# -- how a job stands -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("old", [True, False])
def test_the_place_in_the_queue(old: bool) -> None:
    """By the numbers: the queue is a heap, and its order is not that of running."""
    waits = [(-72, "a"), (68, JOB), (-5.5, "b"), (71, "c"), (69, "d")]
    rows = [{"id": job_id, "status": "pending", "priority": number} for number, job_id in waits]
    places = queue(pending=[item(*each) for each in waits])
    script = [OLD, places] if old else [answer(rows[1]), answer({"jobs": rows})]
    client, _ = client_of(script)
    with client:
        said = client.poll(REF)
    assert (said.state, said.queue_position) == (State.QUEUED, 2)


@pytest.mark.parametrize(
    ("script", "code", "told"),
    [
        ([UNKNOWN, count(0)], "lost", "the server was restarted, or cleared"),
        ([UNKNOWN, count(10_000)], "evicted", "The history is full"),
        ([UNKNOWN, count(4)], "unknown", "which contain 4 other jobs: cancelled while it was queued"),
        ([UNKNOWN, OLD], "unknown", "cancelled while it was queued"),
        ([OLD, queue(), answer({})], "unknown", "or dropped from a full history"),
    ],
)
def test_ways_to_be_unknown(script: list[Response], code: str, told: str) -> None:
    """As far as the server's other jobs tell them apart; a wait asks again, and gives up."""
    client, _ = client_of(script * 9)
    with client, pytest.raises(vidpoll.JobNotFound, match=told):
        client.wait(REF)
    said: Any = comfyui.parse_status(script[0], JOB)
    for each in script[1:-1]:
        said = said.parse(each, JOB)
    with pytest.raises(vidpoll.Refused) as caught:
        said.parse(script[-1], JOB)
    assert (caught.value.kind, caught.value.code) == ("not found", code)


def test_others_keys_and_workflows_are_nowhere(tmp_path: Path) -> None:
    """A queue of 0.3.64 shows them: neither raw nor a transcript nor the store has them."""
    history = {JOB: {"prompt": item(1, JOB), "outputs": {}, "status": {"status_str": "success", "messages": []}}}
    store = tmp_path / "jobs.sqlite3"
    waits = queue([item(0, HERS)], [item(1, JOB)])
    client, _ = client_of([OLD, waits] * 9, store=store)
    with client, pytest.raises(vidpoll.WaitTimeout) as caught:
        client.wait(REF, timeout=8.0)
    client, _ = client_of([OLD, queue(), answer(history)], store=store)
    with client:
        done = client.wait(REF)
    assert done.ok
    assert SECRET not in f"{done.snapshot and done.snapshot.raw}"
    bodies = [each.body for each in caught.value.transcript]
    assert any(JOB[:8] in body for body in bodies)
    assert all(SECRET not in body for body in bodies)
    assert all(SECRET.encode() not in file.read_bytes() for file in tmp_path.iterdir())


def test_an_entry_without_a_status() -> None:
    """Some old versions: its outputs tell. A word that is not known stays so."""
    files = {"3": {"images": [{"filename": "a.mp4", "subfolder": "", "type": "output"}]}}
    read = comfyui.parse_history
    assert read(answer({JOB: {"outputs": files, "status": None}}), JOB).state is State.COMPLETED
    assert read(answer({JOB: {"outputs": {}, "status": None}}), JOB).state is State.FAILED
    with pytest.raises(vidpoll.UnknownStatus):
        read(answer({JOB: {"outputs": files, "status": {"status_str": "completed"}}}), JOB)


def test_an_interrupted_job_before_0_9() -> None:
    """The jobs routes called it failed."""
    events = [["execution_start", {"timestamp": 1}], ["execution_interrupted", {"timestamp": 2}]]
    body = {"id": JOB, "status": "failed", "execution_status": {"status_str": "error", "messages": events}}
    said: Any = comfyui.parse_status(answer(body), JOB)
    assert (said.state, said.problem) == (State.CANCELLED, None)


# -- files ------------------------------------------------------------------------------------------------------------


def test_files_by_their_endings() -> None:
    """Whatever key they stand under; names are encoded, previews are last, text is no file."""
    name = "vidéo #1 100% & co+x_00001_.mp4"
    outputs = {
        "12": {"images": [{"filename": "p.png", "subfolder": "", "type": "temp"}], "text": ["a.mp4"]},
        "9": {"gifs": [{"filename": "x", "subfolder": "a/b", "type": "output", "format": "video/h264-mp4"}]},
        "3": {"videos": [{"filename": name, "type": "output"}], "animated": [True], "images": "odd"},
        "10": {"images": [{"filename": "a.webp"}, {"filename": "a.webp"}, {"filename": 7}, None], "animated": [True]},
    }
    assert comfyui.assets(outputs) == (
        Asset("./view?filename=vid%C3%A9o+%231+100%25+%26+co%2Bx_00001_.mp4&subfolder=&type=output"),
        Asset("./view?filename=x&subfolder=a%2Fb&type=output"),
        Asset("./view?filename=a.webp&subfolder=&type=output"),
        Asset("./view?filename=7&subfolder=&type=output", "file"),
        Asset("./view?filename=p.png&subfolder=&type=temp", "preview"),
    )


def test_a_video_that_is_a_preview_alone_is_the_job_s() -> None:
    """VHS_VideoCombine without save_output; beside a saved one it is a preview."""
    temp = {"gifs": [{"filename": "t.mp4", "subfolder": "", "type": "temp"}]}
    saved = {"images": [{"filename": "s.mp4", "subfolder": "", "type": "output"}]}
    assert [each.kind for each in comfyui.assets({"1": temp})] == ["video"]
    assert [each.kind for each in comfyui.assets({"1": temp, "2": saved})] == ["video", "preview"]


def test_a_file_is_not_fetched_before_the_verdict() -> None:
    """The server hands out a file while it is being written: a job that runs or failed has none."""
    files = {"3": {"images": [{"filename": "a.mp4", "subfolder": "", "type": "output"}]}}
    for status in ("in_progress", "failed", "cancelled"):
        said: Any = comfyui.parse_status(answer({"id": JOB, "status": status, "outputs": files}), JOB)
        assert said.assets == ()


# -- cancel, delete, upload -------------------------------------------------------------------------------------------

DELETE = f'POST /queue {{"delete": ["{JOB}"]}}'
INTERRUPT = f'POST /interrupt {{"prompt_id": "{JOB}"}}'
RUNS, WAITS = queue([item(1, JOB)]), queue([item(1, HERS)], [item(2, JOB)])


@pytest.mark.parametrize(
    ("script", "lines", "state"),
    [
        ([WAITS, EMPTY, queue([item(1, HERS)])], ["GET /queue", DELETE, "GET /queue"], State.CANCELLED),
        ([RUNS, EMPTY], ["GET /queue", INTERRUPT], None),
    ],
)
def test_a_cancel(script: list[Response], lines: list[str], state: State | None) -> None:
    """Out of the queue, and that is the verdict; else interrupted, with the id."""
    client, wire = client_of(script)
    job = vidpoll.Job(REF)
    with client:
        client.cancel(job)
    assert ([line.replace('":"', '": "').replace('":[', '": [') for line in asked(wire)], job.state) == (lines, state)


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ([queue([item(1, HERS)])], "nothing was cancelled"),
        ([WAITS, EMPTY, RUNS], "the job started running just then"),
    ],
)
def test_a_cancel_that_comes_too_late(script: list[Response], told: str) -> None:
    """Nothing is sent for a job that was not seen: an interrupt would hit another's."""
    client, wire = client_of(script)
    with client, pytest.raises(vidpoll.Conflict, match=told):
        client.cancel(REF)
    assert not [line for line in asked(wire) if "interrupt" in line]


@pytest.mark.parametrize("job_id", ["", " "])
@pytest.mark.parametrize("role", ["cancel", "delete"])
def test_an_empty_id_is_never_sent(role: str, job_id: str) -> None:
    """POST /interrupt without an id stops whatever runs."""
    (provider,) = comfyui.vidpoll_providers()
    client, wire = client_of([])
    with client, pytest.raises(vidpoll.BadReference):
        getattr(client, role)(f"comfyui:{job_id}")
    if not job_id:
        with pytest.raises(vidpoll.BadReference):
            getattr(provider, role).request(job_id)
    assert wire.sent == []


def test_a_delete_takes_the_record_of_a_job_that_is_over() -> None:
    """Of one that runs it would do nothing, and say so with HTTP 200."""
    client, wire = client_of([RUNS, queue(), EMPTY])
    with client:
        with pytest.raises(vidpoll.Conflict, match="the job is queued or running"):
            client.delete(REF)
        client.delete(REF)
    assert asked(wire)[-1].startswith("POST /history ")


@pytest.mark.parametrize("name", ["in.png", "in.mp4", "in.wav"])
def test_an_upload_gives_the_name_that_a_loader_takes(tmp_path: Path, name: str) -> None:
    """One route for images, videos and sound; the name in the response decides."""
    (tmp_path / name).write_bytes(b"\x89PNG\0")
    client, wire = client_of([answer({"name": f"{name} (1)", "subfolder": "", "type": "input"})])
    with client:
        assert client.upload("comfyui", tmp_path / name) == f"{name} (1)"
    body = wire.sent[0].body or b""
    assert (wire.sent[0].url, b'name="image"; filename="' in body) == ("http://127.0.0.1:8188/upload/image", True)


def test_many_jobs_are_asked_for_by_the_list_of_those_that_are_not_over() -> None:
    """If it is the whole list, each queued job has its position."""
    rows = [{"id": JOB, "status": "pending", "priority": 9}, {"id": HERS, "status": "pending", "priority": -1}]
    page = comfyui.parse_list(answer({"jobs": rows, "pagination": {"has_more": False}}), "")
    assert [(row.job_id, row.queue_position) for row in page.items] == [(JOB, 1), (HERS, 0)]
    page = comfyui.parse_list(answer({"jobs": rows, "pagination": {"has_more": True}}), "5")
    assert ([row.queue_position for row in page.items], page.next) == ([None, None], "7")


def test_a_recorded_queue_tells_the_place() -> None:
    """0.3.64, the third of three."""
    with replay("comfyui", RECORDED / "comfyui" / "0.3.64-02-queue-of-three.json") as simulation:
        client = simulation.client()
        said = [client.poll("comfyui:a1c33e63-ac38-4e1e-b87e-a0c0d8442927") for _ in range(3)]
    assert [(each.state, each.queue_position) for each in said] == [
        (State.QUEUED, 1),
        (State.QUEUED, 0),
        (State.RUNNING, None),
    ]


# -- Comfy API v2 -----------------------------------------------------------------------------------------------------


def test_v2_kinds_by_content_type() -> None:
    """The proxy calls an mp4 an image."""
    url = "https://cloud.comfy.org/api/v2/assets/a/content"
    rows = [
        {"name": "a.png", "type": "image", "content_type": "image/png", "url": url},
        {"name": "b.mp4", "type": "image", "content_type": "video/mp4", "size_bytes": 0, "url": url},
        {"name": "c.flac", "type": "audio", "content_type": "audio/flac", "url": url},
        {"name": "d.gif", "content_type": "image/gif", "url": url},
        {"name": "e.bin", "content_type": "application/octet-stream", "url": url},
        {"name": "f.mp4", "content_type": "video/mp4", "url": None},
    ]
    found = comfycloud.assets(rows)
    assert [(each.kind, each.size) for each in found] == [
        ("video", None), ("video", None), ("image", None), ("audio", None), ("file", None),
    ]  # fmt: skip


def test_v2_upload_gives_what_stands_in_a_workflow(tmp_path: Path) -> None:
    path = tmp_path / "in.png"
    path.write_bytes(b"\x89PNG\0")
    request = comfycloud.upload_request(path)
    assert b'name="file_path"' in (request.body or b"")
    value = comfycloud.parse_uploaded(answer({"id": "as1"}), "")
    assert value == {"__type": "core/ASSET", "info": {"id": "as1"}}
    flow = {"1": {"class_type": "LoadImage", "inputs": {"image": "in.png"}}}
    body: Any = comfycloud.submit_request({"workflow": flow, "1.image": value, "idempotency_key": "k1"})
    assert body.json == {"workflow": {"1": {"class_type": "LoadImage", "inputs": {"image": value}}}}
    assert body.headers["Idempotency-Key"] == "k1"
    with pytest.raises(vidpoll.InvalidField, match="the file name must end in"):
        comfycloud.upload_request(tmp_path / "in.exe")
