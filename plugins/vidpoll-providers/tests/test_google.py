"""What is odd about Google's video: operations that are paths, regions that are hosts, tokens, refusals in a 200."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from vidpoll_providers import gemini, vertex

import vidpoll
from vidpoll import Asset, BadReference, InvalidField, Problem, Response, Snapshot, State
from vidpoll.testing import FakeClock, FakeTransport

MODEL = "projects/example-project/locations/{}/publishers/google/models/veo-3.1-generate-001"
NAME = f"{MODEL.format('us-central1')}/operations/0000-1"
FILE = "https://generativelanguage.googleapis.com/v1beta/files/abc:download?alt=media"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)


def provider(module: ModuleType) -> vidpoll.Provider:
    (found,) = module.vidpoll_providers()
    assert isinstance(found, vidpoll.Provider)
    return found


def answer(body: object, status: int = 200) -> Response:
    return Response(status, {"content-type": "application/json"}, json.dumps(body).encode())


def read(module: ModuleType, body: object, job_id: str) -> Any:
    return provider(module).status.parse(answer(body), job_id)


def client_of(module: ModuleType, script: Any, key: Any = "k-0123456789") -> tuple[vidpoll.Client, FakeTransport]:
    name, wire = provider(module).name, FakeTransport(script)
    options: dict[str, Any] = {"plugins": [module], "discover": False, "clock": FakeClock(), "transport": wire}
    return vidpoll.Client(accounts={name: vidpoll.Account(name, key=key)}, **options), wire


# -- vertex: what is sent ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("us-central1", "us-central1-aiplatform.googleapis.com"),
        ("europe-west4", "europe-west4-aiplatform.googleapis.com"),
        ("global", "aiplatform.googleapis.com"),
        ("eu", "aiplatform.eu.rep.googleapis.com"),
    ],
)
def test_a_region_is_a_host_and_each_request_has_a_new_token(location: str, host: str) -> None:
    """From the submit to the end: the host of the job's region, and the token as it is at that moment."""
    name, made = f"{MODEL.format(location)}/operations/0000-1", count()
    done = {"name": name, "done": True, "response": {"videos": [{"bytesBase64Encoded": "AAAAGGZ0eXBpc29t"}]}}
    client, wire = client_of(
        vertex, [answer({"name": name}), answer({"name": name}), answer(done)], lambda: f"secret-token-{next(made)}"
    )
    fields = {"project": "example-project", "location": location, "model": "veo-3.1-generate-001", "prompt": "a sea"}
    with client:
        job = client.wait(client.submit("vertex", "video", **fields))
    assert job.ref == f"vertex:{name}"
    assert job.assets == (Asset(data=b"\0\0\0\x18ftypisom"),)
    model = f"https://{host}/v1/{MODEL.format(location)}"
    assert [each.url for each in wire.sent] == [
        f"{model}:{verb}" for verb in ("predictLongRunning", *["fetchPredictOperation"] * 2)
    ]
    tokens = [each.secret["Authorization"] for each in wire.sent if each.trusted(each.url)]
    assert tokens == sorted(set(tokens))
    assert len(tokens) == 3
    assert not any(each.trusted("https://storage.googleapis.com/a.mp4") for each in wire.sent)
    assert json.loads(wire.sent[2].body or b"") == {"operationName": name}


@pytest.mark.parametrize(
    "job_id",
    [
        "0000-1",
        "models/veo/operations/1",
        NAME.replace("us-central1", "evil.example/x"),
        NAME.replace("us-central1", "evil.example#"),
        NAME.replace("veo-3.1-generate-001", ".."),
        NAME.replace("example-project", ""),
    ],
)
def test_an_id_that_leads_elsewhere_is_refused(job_id: str) -> None:
    """The host of a region is made of the id: nothing but a region's name is taken for one."""
    with pytest.raises(BadReference):
        provider(vertex).status.request(job_id)


def test_fields_go_where_vertex_has_them(tmp_path: Path) -> None:
    """Into the instance, beside it, or into the parameters, including unknown fields; an image in three ways."""
    (tmp_path / "a.png").write_bytes(PNG)
    submit = provider(vertex).submit["video"].request
    packed = {"bytesBase64Encoded": "iVBORw0KGgoAAAAAAAAAAA==", "mimeType": "image/png"}
    given = {"project": "p", "model": "m", "image": tmp_path / "a.png", "lastFrame": "gs://b/z.jpg", "fps": 24}
    assert submit(
        {**given, "video": {"gcsUri": "gs://b/v.mp4", "mimeType": "video/mp4"}, "labels": {"a": "b"}}
    ).json == {
        "instances": [
            {
                "image": packed,
                "lastFrame": {"gcsUri": "gs://b/z.jpg", "mimeType": "image/jpeg"},
                "video": {"gcsUri": "gs://b/v.mp4", "mimeType": "video/mp4"},
            }
        ],
        "parameters": {"fps": 24},
        "labels": {"a": "b"},
    }
    for wrong in ({"image": "https://a.example/a.png"}, {"image": b"GIF8"}, {"video": PNG}, {"prompt": " "}):
        with pytest.raises(InvalidField):
            submit({"project": "p", "model": "m", **wrong})


# -- vertex: what comes back ------------------------------------------------------------------------------------------


HELD_BACK = Problem("", kind="moderated_output", charged=False)


@pytest.mark.parametrize(
    ("more", "state", "problem"),
    [
        ({}, State.RUNNING, None),
        ({"done": False}, State.RUNNING, None),
        ({"response": {"videos": [{"gcsUri": "gs://b/a.mp4"}]}}, State.RUNNING, None),
        ({"done": True, "response": {"raiMediaFilteredCount": 1}}, State.FAILED, HELD_BACK),
        ({"done": True, "response": {"raiMediaFilteredReasons": ["a face"]}}, State.FAILED,
         replace(HELD_BACK, message="a face")),
        ({"done": True, "response": {"raiMediaFilteredCount": 0}}, State.COMPLETED, None),
        ({"done": True, "error": {"code": 8, "message": "high load"}}, State.FAILED,
         Problem("high load", "8", kind="capacity")),
    ],
)  # fmt: skip
def test_done_without_samples_is_a_refusal(more: dict[str, Any], state: State, problem: Problem | None) -> None:
    """With a count or a reason it is; without either the cause is unknown, and vidpoll polls again."""
    said = read(vertex, {"name": NAME, **more}, NAME)
    assert (said.state, said.problem, said.assets) == (state, problem, ())


def test_the_number_of_a_project_for_its_id() -> None:
    """The operation is the same one; another operation is another job."""
    assert read(vertex, {"name": NAME.replace("example-project", "12345")}, NAME).job_id == NAME
    other = NAME.replace("0000-1", "0000-2")
    assert read(vertex, {"name": other}, NAME).job_id == other


# -- gemini -----------------------------------------------------------------------------------------------------------


def interaction(*content: dict[str, Any], **more: Any) -> dict[str, Any]:
    steps = [{"type": "user_input", "content": [{"type": "video", "uri": "https://a.example/in.mp4"}]}]
    return {
        "id": "v1_a",
        "status": "completed",
        "steps": [*steps, {"type": "model_output", "content": [*content]}],
        **more,
    }


def test_the_key_goes_to_google_alone(tmp_path: Path) -> None:
    """With status requests, for the file and its state; not to another host that a response names or redirects to."""
    clip = Response(200, {"content-type": "video/mp4", "content-length": "108"}, b"\0\0\0\x18ftypisom" + bytes(96))
    elsewhere = "https://storage.example/clip.mp4"
    script = {
        "/interactions/v1_a": [answer(interaction({"type": "video", "uri": FILE}))],
        "/interactions/v1_b": [answer({**interaction({"type": "video", "uri": elsewhere}), "id": "v1_b"})],
        "/files/abc:download": [clip],
        "/files/abc": [answer({"state": "ACTIVE", "expirationTime": "2026-11-30T10:01:00Z", "sizeBytes": "108"})],
        "storage.example": [clip],
    }
    client, wire = client_of(gemini, script)
    with client:
        job = client.wait("gemini:v1_a")
        assert (job.video.expires_at, job.video.size) == (1796032860.0, 108)
        for each in (job, client.wait("gemini:v1_b")):
            client.download(each, tmp_path)
    told = {
        each.url.partition("/v1beta")[2] or each.url: bool(each.secret) and each.trusted(each.url) for each in wire.sent
    }
    google = ("/interactions/v1_a", "/files/abc", "/files/abc:download?alt=media", "/interactions/v1_b")
    assert told == {**dict.fromkeys(google, True), elsewhere: False}
    assert not any(each.trusted(elsewhere) for each in wire.sent)


@pytest.mark.parametrize(
    ("file", "state", "assets"),
    [
        (answer({"state": "PROCESSING"}), State.COMPLETED, 0),
        (answer({"state": "FAILED", "error": {"message": "no"}}), State.FAILED, 0),
        (answer({"state": "SOMETHING_NEW"}), State.COMPLETED, 1),
        (answer({"error": {"message": "no such file"}}, 404), State.COMPLETED, 1),
    ],
)
def test_the_state_of_the_file(file: Response, state: State, assets: int) -> None:
    """vidpoll waits for a file that is not active yet; if the file cannot be polled, the interaction's word decides."""
    script = {"/interactions/": [answer(interaction({"type": "video", "uri": FILE}))], "/files/": [file]}
    client, _ = client_of(gemini, script)
    with client:
        said = client.poll("gemini:v1_a")
    assert (said.state, len(said.assets)) == (state, assets)


def test_words_without_a_video_are_a_refusal() -> None:
    """What the model wrote is the reason; the video of the input is no result; without anything it is not over yet."""
    said = read(gemini, interaction({"type": "text", "text": "I cannot"}, {"type": "text", "text": "do that."}), "v1_a")
    assert (said.state, said.problem) == (State.FAILED, Problem("I cannot do that."))
    assert read(gemini, interaction(), "v1_a") == Snapshot(
        State.COMPLETED, "completed", job_id="v1_a", raw=interaction()
    )
    both = interaction({"type": "text", "text": "Here."}, {"type": "video", "data": "AAAAGGZ0eXBpc29t"})
    assert read(gemini, both, "v1_a").assets == (Asset(data=b"\0\0\0\x18ftypisom"),)


@pytest.mark.parametrize("field", [{"background": False}, {"store": False}, {"stream": True}, {"input": []}])
def test_what_could_not_be_waited_for_is_not_sent(field: dict[str, Any]) -> None:
    with pytest.raises(InvalidField):
        provider(gemini).submit["video"].request({"model": "m", "input": "a sea", **field})


def test_a_model_that_ended_says_what_there_is() -> None:
    """Veo ended on the Gemini API on 2026-10-22; another ended model is reported in Google's words."""
    text = "This model models/{} is no longer available."
    problems = [
        provider(gemini).error(
            answer({"error": {"code": 404, "message": text.format(model), "status": "NOT_FOUND"}}, 404)
        )
        for model in ("veo-3.1-generate-preview", "gemini-omni-1.0")
    ]
    assert ["ended on the Gemini API on 2026-10-22" in each.message for each in problems] == [True, False]
