"""Families: one line for a provider that speaks what many speak, and options for what differs."""

from __future__ import annotations

from typing import Any

import pytest
from answers import answer

from vidpoll import (
    Asset,
    Bearer,
    Cost,
    Follow,
    InvalidField,
    Malformed,
    NoAuth,
    Pacing,
    Page,
    PluginError,
    Problem,
    Refused,
    Request,
    Snapshot,
    State,
    UnknownStatus,
    declare,
)

BASE = "https://api.acme.example/v1"
OPENAI = declare.openai_videos("acme", BASE, Bearer("ACME_API_KEY"), words={"warming": State.QUEUED})
ARK = declare.ark_tasks("ark", BASE, Bearer("ARK_API_KEY"))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            {"id": "v1", "status": "in_progress", "progress": 40, "seconds": "4", "created_at": 1795001000},
            Snapshot(State.RUNNING, "in_progress", 40.0, job_id="v1", created_at=1795001000.0, duration=4.0),
        ),
        ({"id": "v1", "status": "warming"}, Snapshot(State.QUEUED, "warming", job_id="v1")),
        (
            {"id": "v/1", "status": "completed"},
            Snapshot(State.COMPLETED, "completed", assets=(Asset("./videos/v%2F1/content"),), job_id="v/1"),
        ),
        (
            {"id": "v1", "status": "completed", "urls": [None, "/a.mp4"]},
            Snapshot(State.COMPLETED, "completed", assets=(Asset("/a.mp4"),), job_id="v1"),
        ),
        (
            {"id": "v1", "status": "failed", "metadata": {"url": "why"}, "error": {"code": 500, "message": "no"}},
            Snapshot(State.FAILED, "failed", problem=Problem("no", "500"), job_id="v1"),
        ),
    ],
)  # fmt: skip
def test_what_openai_s_servers_say(body: dict[str, Any], said: Snapshot) -> None:
    """Words and places of all that speak it; where no URL stands the file is below the base URL."""
    assert OPENAI.status.parse(answer(body), body["id"]) == said


def test_what_openai_s_servers_are_sent() -> None:
    """The key never goes along in a line, and an id with a slash is one segment."""
    start = OPENAI.submit["video"]
    assert start.request({"prompt": "a", "seconds": "4", "size": "1280x720"}) == Request(
        "POST", "/videos", json={"prompt": "a", "seconds": "4", "size": "1280x720"}
    )
    assert OPENAI.status.request("v/1=") == Request("GET", "/videos/v%2F1%3D")
    with pytest.raises(InvalidField, match="takes no field 'fps'"):
        start.request({"prompt": "a", "fps": 24})
    free = declare.openai_videos("free", BASE, NoAuth(), others=declare.anything(), fields={"n": declare.whole(1, 4)})
    assert free.submit["video"].request({"prompt": "a", "fps": 24, "n": 2}).json == {"prompt": "a", "n": 2, "fps": 24}
    with pytest.raises(InvalidField, match="n=5"):
        free.submit["video"].request({"prompt": "a", "n": 5})


@pytest.mark.parametrize(
    "field",
    [{"size": "720p"}, {"size": "832*480"}, {"size": "16:9"}, {"input_reference": "https://a.example/a.png"},
     {"input_reference": "data:image/png;base64,AAAA"}],
)  # fmt: skip
def test_a_gateway_s_own_way_to_say_a_field(field: dict[str, object]) -> None:
    """[new-api] A size by its name or with a star, and a reference as text, go to the server as they are."""
    assert OPENAI.submit["video"].request({"prompt": "a", **field}).json == {"prompt": "a", **field}


@pytest.mark.parametrize("size", ["480p", "4K", "4k", "1080P"])
def test_ark_s_sizes_whatever_their_case(size: str) -> None:
    """Pages and clients write them both ways."""
    assert ARK.submit["video"].request({"model": "m", "prompt": "a", "resolution": size}).json["resolution"] == size


@pytest.mark.parametrize("field", [{"size": "large"}, {"size": "0x10"}, {"input_reference": "a.png"}])
def test_what_no_server_takes_is_refused_here(field: dict[str, object]) -> None:
    """A path as text would be sent as text."""
    with pytest.raises(InvalidField, match="it must be"):
        OPENAI.submit["video"].request({"prompt": "a", **field})


@pytest.mark.parametrize("body", [{"deleted": True}, {"status": "deleted"}, {"object": "video.deleted"}])
def test_three_ways_to_say_deleted(body: dict[str, Any]) -> None:
    """OpenAI, SGLang and gateways; anything else is no answer to a delete."""
    assert OPENAI.delete is not None
    assert OPENAI.delete.parse(answer({"id": "v1", **body}), "v1") is None
    with pytest.raises(Malformed):
        OPENAI.delete.parse(answer({"id": "v1", "status": "completed"}), "v1")


def test_options_of_a_provider_win() -> None:
    """What a server does not have is None, and what it has more is given."""
    made = declare.openai_videos(
        "acme", BASE, NoAuth(), pacing=Pacing(floor=10.0), list=None, delete=None, verdicts=(500,), media_hosts=("a.b",)
    )
    assert sorted(made.operations()) == ["content", "status", "submit video"]
    assert (made.pacing.floor, made.status.verdicts, made.media_hosts) == (10.0, (500,), ("a.b",))


@pytest.mark.parametrize("family", [declare.openai_videos, declare.ark_tasks])
def test_an_option_that_is_none(family: Any) -> None:
    """A typo is refused when the provider is made, with all that there are."""
    with pytest.raises(PluginError, match=r"(openai_videos|ark_tasks) 'acme': there is no option 'flor'; .*pacing"):
        family("acme", BASE, NoAuth(), flor=5.0)
    with pytest.raises(PluginError, match="'x' must have a state"):
        family("acme", BASE, NoAuth(), words={"x": "running"})


def test_a_task_of_ark() -> None:
    """The film and the last frame, the tokens, and the end of the presigned URL."""
    signed = "https://tos.example/a.mp4?X-Tos-Date=20261128T120000Z&X-Tos-Expires=86400"
    body = {
        "id": "cgt-1", "status": "succeeded", "content": {"video_url": signed, "last_frame_url": "/l.png"},
        "usage": {"total_tokens": 246840}, "updated_at": 1795001097, "duration": 5,
    }  # fmt: skip
    assert ARK.status.parse(answer(body), "cgt-1") == Snapshot(
        State.COMPLETED,
        "succeeded",
        assets=(Asset(signed, expires_at=1795953600.0), Asset("/l.png", "last_frame")),
        job_id="cgt-1",
        updated_at=1795001097.0,
        finished_at=1795001097.0,
        duration=5.0,
        cost=Cost(246840, unit="tokens"),
    )
    assert ARK.status.request("cgt-1").path == "/contents/generations/tasks/cgt-1"


def test_a_submit_of_ark() -> None:
    """Prompt and frames become items of `content`, before those that the call gives itself."""
    item = {"type": "audio_url", "audio_url": {"url": "https://a.example/a.mp3"}}
    first, last = "https://a.example/1.png", "https://a.example/2.png"
    call = {"model": "m", "prompt": "a", "image": first, "last_frame": last, "content": [item], "duration": 5}
    assert ARK.submit["video"].request(call).json == {
        "model": "m",
        "duration": 5,
        "content": [
            {"type": "text", "text": "a"},
            {"type": "image_url", "image_url": {"url": first}, "role": "first_frame"},
            {"type": "image_url", "image_url": {"url": last}, "role": "last_frame"},
            item,
        ],
    }
    for bad, said in (({"model": "m"}, "needs 'prompt'"), ({**call, "watermrk": True}, "takes no field 'watermrk'")):
        with pytest.raises(InvalidField, match=said):
            ARK.submit["video"].request(bad)


def test_further_fields_of_ark() -> None:
    """What Ark has added since goes along unchecked, beside the fields that are known."""
    call = {"model": "m", "prompt": "a", "extra_body": {"new_field": [1]}}
    assert ARK.submit["video"].request(call).json == {
        "model": "m",
        "content": [{"type": "text", "text": "a"}],
        "new_field": [1],
    }


def test_many_tasks_of_ark_in_one_question() -> None:
    """Each id has a query of its own, and all of them fit on the page."""
    assert ARK.list_polling is not None
    assert ARK.list_polling.batch is not None
    assert ARK.list_polling.batch.request(("cgt-1", "cgt-2")) == Request(
        "GET",
        "/contents/generations/tasks",
        (("page_num", "1"), ("page_size", "100"), ("filter.task_ids", "cgt-1"), ("filter.task_ids", "cgt-2")),
    )
    page = ARK.list_polling.batch.parse(answer({"items": [{"id": "cgt-1", "status": "running"}], "total": 1}), "")
    assert isinstance(page, Page)
    assert [(each.job_id, each.state) for each in page.items] == [("cgt-1", State.RUNNING)]


@pytest.mark.parametrize(
    ("name", "goes_on", "refused"),
    [
        ("cancel", ["queued", "running"], ["succeeded", "failed", "cancelled", "expired"]),
        ("delete", ["succeeded", "failed", "cancelled", "expired"], ["queued", "running"]),
    ],
)
def test_one_request_of_ark_cancels_and_deletes(name: str, goes_on: list[str], refused: list[str]) -> None:
    """A cancel deletes no film, a delete cancels no job: both look first."""
    operation = ARK.operations()[name]
    assert operation.request("cgt-1") == Request("GET", "/contents/generations/tasks/cgt-1")
    for word in goes_on:
        step = operation.parse(answer({"id": "cgt-1", "status": word}), "cgt-1")
        assert isinstance(step, Follow)
        assert step.request == Request("DELETE", "/contents/generations/tasks/cgt-1")
        assert step.parse(answer({}), "cgt-1") is None
    for word in refused:
        with pytest.raises(Refused, match=r"it was not (cancelled|deleted)") as caught:
            operation.parse(answer({"id": "cgt-1", "status": word}), "cgt-1")
        assert caught.value.kind == "conflict"


def test_what_gateways_pass_on() -> None:
    """With `relay` the words of other vendors are known; a word that nobody lists is none all the same."""
    relay = declare.openai_videos("acme", BASE, NoAuth(), relay=True)
    words = {
        "unknown": "queued",
        "not_start": "queued",
        "generating": "running",
        "success": "completed",
        "fail": "failed",
    }
    assert {word: str(relay.status.parse(answer({"id": "v1", "status": word}), "v1").state) for word in words} == words
    for acme, word in ((relay, "melting"), (OPENAI, "success")):
        with pytest.raises(UnknownStatus):
            acme.status.parse(answer({"id": "v1", "status": word}), "v1")


def test_a_server_that_takes_forms_alone() -> None:
    """`form` sends every submit as one; `remix` is a submit of its own."""
    acme = declare.openai_videos("acme", BASE, NoAuth(), form=True, remix=True)
    sent = acme.submit["video"].request({"prompt": "a"})
    assert (sent.json, sent.headers["Content-Type"].partition(";")[0]) == (None, "multipart/form-data")
    assert acme.submit["remix"].request({"video_id": "v/1", "prompt": "b"}).path == "/videos/v%2F1/remix"
    assert sorted(OPENAI.submit) == ["video"]


def test_further_options_of_the_reader() -> None:
    """What the family's table cannot say goes to its Reader."""
    acme = declare.openai_videos("acme", BASE, NoAuth(), reader={"cost": "usage.cost", "unit": "USD"})
    body = {"id": "v1", "status": "queued", "usage": {"cost": 0.5}}
    assert acme.status.parse(answer(body), "v1").cost == Cost(0.5, 0.0, "USD")
    with pytest.raises(TypeError):
        declare.openai_videos("acme", BASE, NoAuth(), reader={"price": "usage.cost"})
