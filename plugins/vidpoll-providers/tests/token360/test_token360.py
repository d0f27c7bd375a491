"""What is odd about Token360: URLs in a second answer, webhooks, native fields, a list that goes both ways."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import vidpoll_providers
from vidpoll_providers import token360

import vidpoll
from vidpoll import Asset, Follow, Page, Problem, Request, Response, Snapshot, State, Submitted
from vidpoll.testing import FakeClock, FakeTransport

(PROVIDER,) = token360.vidpoll_providers()
OPERATIONS: dict[str, Any] = {**PROVIDER.operations()}
SAMPLES = Path(vidpoll_providers.__file__).parent / "samples/token360"
ID = "vt_5f2c0e9b7a41"
URL = "https://a.example/v.mp4"


def answer(body: object, status: int = 200) -> Response:
    return Response(status, {"content-type": "application/json"}, json.dumps(body).encode())


def status(**fields: object) -> Any:
    """What a status answer with these fields means; a running job where they say nothing else."""
    return OPERATIONS["status"].parse(answer({"id": ID, "status": "in_progress", **fields}), ID)


@pytest.mark.parametrize("other", ["https://b.example/v.mp4", None, 7, ""])
def test_two_urls_are_one_video(other: object) -> None:
    """`url` and `video_url` are one video, not fetched twice; what is no URL does not hide the other."""
    assert status(status="completed", url=URL, video_url=other).assets == (Asset(URL),)
    if not isinstance(other, str) or not other:
        assert status(status="completed", url=other, video_url=URL).assets == (Asset(URL),)


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        ({"code": "Blocked", "message": "the prompt"}, Problem("the prompt", "Blocked")),
        ({"message": "the prompt"}, Problem("the prompt")),
        ("the prompt", Problem("the prompt")),
    ],
)
def test_only_failed_believes_an_error(error: object, problem: Problem) -> None:
    """A failed job's `error` is an object or text; beside a running word it says nothing."""
    assert status(status="failed", error=error).problem == problem
    assert [status(status=word, error=error).problem for word in ("queued", "in_progress")] == [None, None]


def test_a_task_keeps_a_field_named_data() -> None:
    """A polled task with a supplier's own `data` is no envelope: its own status counts, and `raw` has it all."""
    body = {"id": ID, "status": "in_progress", "data": {"id": "vt_other", "status": "completed"}, "response": {"a": 1}}
    said = OPERATIONS["status"].parse(answer(body), ID)
    assert (said.state, said.job_id, said.raw) == (State.RUNNING, ID, body)


@pytest.mark.parametrize(("name", "ok"), [("completed", True), ("failed", False)])
def test_a_webhook_is_fed_to_a_client(name: str, ok: bool) -> None:
    """`client.feed` takes the body as it came; its verdict counts when one status request has said the same."""
    wire = FakeTransport([Response(200, {}, (SAMPLES / f"status-{name}.json").read_bytes())])
    accounts = {"token360": vidpoll.Account("token360", key="tk-0123456789")}
    with vidpoll.Client(accounts=accounts, plugins=[token360], discover=False, clock=FakeClock(), transport=wire) as it:
        body = (SAMPLES / f"webhook-{name}.json").read_bytes()
        job = it.feed(it.feed(f"token360:{ID}", body), body)
    assert (job.final, job.ok, len(wire.sent)) == (True, ok, 1)


@pytest.mark.parametrize("pushed", [False, True])
def test_content_is_asked_for_a_missing_url(pushed: bool) -> None:
    """The certain facts are the fallback; the second response adds the video, before the other files."""
    task = {"id": ID, "status": "completed", "duration": 4, "content": {"last_frame_url": "https://a.example/l.png"}}
    second = OPERATIONS["status"].parse(answer({"request_id": "o", "data": task} if pushed else task), ID)
    assert isinstance(second, Follow)
    assert second.request == Request("GET", f"/videos/{ID}/content", (("format", "url"),))
    frame = Asset("https://a.example/l.png", "last_frame")
    assert second.fallback == Snapshot(State.COMPLETED, "completed", job_id=ID, duration=4.0, assets=(frame,))
    said = second.parse(answer({"url": URL, "video_id": ID}), ID)
    assert said == Snapshot(State.COMPLETED, "completed", job_id=ID, duration=4.0, assets=(Asset(URL), frame))


@pytest.mark.parametrize(
    "second",
    [
        Response(400, {}, (SAMPLES / "content-not-ready.json").read_bytes()),
        Response(404, {}, (SAMPLES / "error-404-video.json").read_bytes()),
        Response(200, {}, b"<html>"),
        answer({"url": None, "video_id": ID}),
        answer({"url": URL, "video_id": "vt_other"}),
    ],
)
def test_no_url_yet_is_completed_all_the_same(second: Response) -> None:
    """A second response that is not ready, broken or about another video does not undo the final state."""
    wire = FakeTransport([answer({"id": ID, "status": "completed"}), second])
    accounts = {"token360": vidpoll.Account("token360", key="tk-0123456789")}
    with vidpoll.Client(accounts=accounts, plugins=[token360], discover=False, clock=FakeClock(), transport=wire) as it:
        said = it.poll(f"token360:{ID}")
    assert (said, len(wire.sent)) == (Snapshot(State.COMPLETED, "completed", job_id=ID), 2)


def test_content_is_a_video_of_this_job() -> None:
    """A page and JSON without a URL are not a video; a response that names another video is never adopted."""
    for body in (Response(200, {}, b"<html>"), answer({"url": ""}), answer({"url": 7}), answer([])):
        with pytest.raises(vidpoll.Malformed):
            OPERATIONS["content"].parse(body, ID)
    with pytest.raises(vidpoll.ForeignAnswer):
        OPERATIONS["content"].parse(answer({"url": URL, "video_id": "vt_other"}), ID)
    assert OPERATIONS["content"].request(ID) == Request("GET", f"/videos/{ID}/content", (("format", "redirect"),))
    assert token360.binary(ID) == Asset(f"./videos/{ID}/content?format=binary")


def test_a_job_done_at_once_is_no_second_request() -> None:
    """A submit answer that is already completed is a snapshot, whatever files it names."""
    parsed = OPERATIONS["submit video"].parse(answer({"id": ID, "status": "completed"}), "")
    assert parsed == Submitted(ID, Snapshot(State.COMPLETED, "completed", job_id=ID))


FULL: dict[str, object] = {
    "model": "seedance-2.0", "prompt": "a kite", "duration": 4, "resolution": "4K", "aspect_ratio": "9:21",
    "generate_audio": False, "seed": 0, "watermark": False, "return_last_frame": True, "execution_expires_after": 3600,
    "safety_identifier": "user-7", "callback_url": "https://shop.example/hook", "metadata": {"order": 1},
    "frame_images": [{"role": "first_frame", "url": "https://a.example/a.png"}], "request_id": "order-1001",
    "input_references": [{"url": "https://a.example/b.png"}],
}  # fmt: skip
WRONG: dict[str, tuple[object, ...]] = {
    "model": (None, ""), "prompt": (None, " \n", 7), "duration": ("4", 4.0, True, 0), "seed": (1.5, True),
    "resolution": (720, "720", "0p", "4k p", "1280x720"), "aspect_ratio": ("16x9", "16:0", "16:9\n", ["16:9"]),
    "generate_audio": ("true",), "watermark": (1,), "return_last_frame": (0,), "execution_expires_after": (0,),
    "safety_identifier": (7,), "callback_url": ("http://shop.example/hook", "https://"), "metadata": ([1],),
    "frame_images": ("https://a.example/a.png", []), "input_references": ({},), "request_id": ("",),
    "native": ("yes", 1), "seconds": (4,),
}  # fmt: skip


def test_what_is_documented_is_sent_as_it_is() -> None:
    """Every documented field goes out unchanged; sizes and ratios are no closed list; native=False is the default."""
    for more in ({}, {"native": False}, {"native": None}):
        assert OPERATIONS["submit video"].request({**FULL, **more}).json == FULL
    for size, ratio in (("360p", "adaptive"), ("1440p", "3:2"), ("1K", "16:9")):
        given = {**FULL, "resolution": size, "aspect_ratio": ratio}
        assert OPERATIONS["submit video"].request(given).json == given


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_what_is_not_documented_is_not_sent(name: str, value: object) -> None:
    """A wrong field is refused before anything is sent, and named; for a misspelt one all fields are listed."""
    with pytest.raises(vidpoll.InvalidField, match=name) as caught:
        OPERATIONS["submit video"].request({**FULL, name: value})
    assert name != "seconds" or all(each in str(caught.value) for each in (*FULL, "native"))


def test_native_passes_every_field_through() -> None:
    """In the supplier's own words nothing is checked but the model, which Token360 itself reads."""
    fields = {"model": "seedance-2.0", "content": [{"type": "text"}], "duration": "4"}
    assert OPERATIONS["submit video"].request({**fields, "native": True}) == Request(
        "POST", "/videos", headers={"Token360-Native-Params": "true"}, json=fields
    )
    with pytest.raises(vidpoll.InvalidField, match="needs 'model'"):
        OPERATIONS["submit video"].request({"native": True, "content": []})


def page(**fields: object) -> Page:
    rows = [{"id": job_id, "status": "queued"} for job_id in ("vt_3", "vt_2", "vt_1")]
    body = {"data": rows, "has_more": True, "first_id": "vt_3", "last_id": "vt_1", **fields}
    parsed = OPERATIONS["list"].parse(answer(body), "")
    assert isinstance(parsed, Page)
    return parsed


@pytest.mark.parametrize(
    ("fields", "query"),
    [
        ({}, {"limit": "100", "after": "vt_1"}),
        ({"limit": 3, "order": "asc"}, {"limit": "3", "order": "asc", "after": "vt_1"}),
        ({"after": "vt_9"}, {"limit": "100", "after": "vt_1"}),
        ({"before": "vt_0", "order": "desc"}, {"limit": "100", "before": "vt_3", "order": "desc"}),
    ],
)
def test_pages_follow_one_another_both_ways(fields: dict[str, object], query: dict[str, str]) -> None:
    """Forward the next page begins after the last row; backward it ends before the first one."""
    assert dict(OPERATIONS["list"].request(fields, page().next).query) == query
    first = {name: str(value) for name, value in {"limit": 100, **fields}.items()}
    assert dict(OPERATIONS["list"].request(fields, None).query) == first


@pytest.mark.parametrize(
    "fields",
    [{"has_more": more} for more in (False, None, "true")]
    + [{"last_id": last} for last in (None, "a\nb", "\ud800")]
    + [{"first_id": True}, {"data": [], "first_id": None, "last_id": None}],
)
def test_the_list_ends(fields: dict[str, object]) -> None:
    """Only has_more: true with cursors that can be sent leads on."""
    assert page(**fields).next is None


@pytest.mark.parametrize(
    "fields",
    [{"limit": limit} for limit in (0, 101, True, "5")]
    + [{"order": "up"}, {"after": ""}, {"before": 7}, {"page": 2}, {"after": "a", "before": "b"}],
)
def test_wrong_list_fields_are_refused(fields: dict[str, object]) -> None:
    """1 to 100 rows a page, one direction, and nothing that is not documented."""
    with pytest.raises(vidpoll.InvalidField, match=next(iter(fields))):
        OPERATIONS["list"].request(fields, None)


@pytest.mark.parametrize("body", [{}, {"deleted": False}, {"deleted": "true"}, {"deleted": 1}, {"id": ID}])
def test_only_deleted_is_deleted(body: object) -> None:
    """A response without deleted: true does not count as deleted."""
    with pytest.raises(vidpoll.Malformed):
        OPERATIONS["delete"].parse(answer(body), ID)
