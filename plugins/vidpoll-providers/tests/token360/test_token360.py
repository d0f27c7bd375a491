"""Token360's plugin: every sample means exactly what is written here, and wrong fields are refused before sending.

No network and no clock: builders and parsers are functions on values. What the samples stand on is in
samples/index.json.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
import vidpoll_providers
from vidpoll_providers import token360

import vidpoll
from vidpoll import Asset, Follow, Page, Problem, Request, Response, Snapshot, State, Submitted
from vidpoll.testing import FakeClock, FakeTransport

PROVIDER = next(iter(token360.vidpoll_providers()))
OPERATIONS: dict[str, Any] = {**PROVIDER.operations()}
SAMPLES = Path(vidpoll_providers.__file__).parent / "samples" / Path(__file__).parent.name
INDEX = {row["file"]: row for row in json.loads((SAMPLES / "index.json").read_text(encoding="utf-8"))["samples"]}

ID = "vt_5f2c0e9b7a41"
URL = "https://media.example-bucket.test/v/5f2c.mp4?X-Amz-Expires=3600&X-Amz-Signature=abc"
LAST = "https://media.example-bucket.test/v/5f2c-last.png?X-Amz-Expires=3600"
CREATED = 1795001000.0
NO_REASON = Problem("failed, and Token360 gave no reason")


def sample(name: str) -> Response:
    return Response(INDEX[name]["status"], INDEX[name]["headers"], (SAMPLES / name).read_bytes())


def answer(body: object, status: int = 200) -> Response:
    return Response(status, {"content-type": "application/json"}, json.dumps(body).encode())


def status(**fields: object) -> Snapshot:
    """What a status answer with these fields means; a running job where they say nothing else."""
    parsed = OPERATIONS["status"].parse(answer({"id": ID, "status": "in_progress", **fields}), ID)
    assert isinstance(parsed, Snapshot)
    return parsed


def follow(**fields: object) -> Follow[Snapshot]:
    """What a completed answer that names no video asks for."""
    parsed = OPERATIONS["status"].parse(answer({"id": ID, "status": "completed", **fields}), ID)
    assert isinstance(parsed, Follow)
    return parsed


def seen(state: State, stage: str, progress: float | None, updated: float | None, **fields: Any) -> Snapshot:
    return Snapshot(
        state,
        stage=stage,
        progress=progress,
        **{"job_id": ID, "created_at": CREATED, "updated_at": updated and CREATED + updated, **fields},
    )


def completed(*extra: Asset) -> Snapshot:
    return seen(State.COMPLETED, "completed", 100.0, 97.0, assets=(Asset(URL), *extra), duration=4.0)


QUEUED = Snapshot(State.QUEUED, "queued", job_id=ID, created_at=CREATED, updated_at=CREATED)
EXPECTED: dict[str, tuple[str, object]] = {
    "submit-queued.json": ("submit video", Submitted(ID, QUEUED)),
    "status-queued.json": (
        "status", Snapshot(State.QUEUED, "queued", 0.0, job_id=ID, created_at=CREATED, updated_at=CREATED),
    ),
    "status-in_progress.json": ("status", seen(State.RUNNING, "in_progress", 40.0, 31.0)),
    "status-in_progress-no-progress.json": ("status", seen(State.RUNNING, "in_progress", None, 31.0)),
    "status-completed.json": ("status", completed()),
    "status-completed-last-frame.json": ("status", completed(Asset(LAST, "last_frame"))),
    "status-completed-url-only.json": ("status", completed()),
    "status-completed-no-url.json": ("then", completed()),
    "status-failed.json": (
        "status",
        seen(
            State.FAILED, "failed", 0.0, 60.0,
            problem=Problem("The prompt was rejected by the provider.", "InputTextSensitiveContentDetected"),
        ),
    ),
    "list.json": (
        "list",
        Page(
            (
                seen(State.COMPLETED, "completed", None, None),
                seen(State.RUNNING, "in_progress", None, None, job_id="vt_0d11"),
            ),
            f"vt_0d11\n{ID}",
        ),
    ),
    "list-empty.json": ("list", Page(())),
    "delete.json": ("delete", True),
    "content-format-url.json": ("content", Asset(URL)),
    "content-not-ready.json": ("not ready", "no video yet: Video is not ready yet. Current status: in_progress"),
    "webhook-completed.json": ("status", completed()),
    "webhook-failed.json": (
        "status",
        Snapshot(
            State.FAILED, "failed", job_id=ID, created_at=CREATED, updated_at=CREATED,
            problem=Problem("generation failed", "upstream_error"),
        ),
    ),
    "error-400.json": ("error", Problem("prompt is required", "400")),
    "error-401.json": ("error", Problem("Invalid API key or token provided", "401")),
    "error-402.json": ("error", Problem("Insufficient account balance", "402")),
    "error-403-frozen.json": ("error", Problem("API key frozen", "403")),
    "error-403-model.json": ("error", Problem("No permission for this model", "403")),
    "error-404-model.json": ("error", Problem("The requested model does not exist", "404")),
    "error-404-video.json": ("error", Problem("Video not found", "404")),
    "error-429.json": ("error", Problem("Too many requests", "429")),
    "error-500.json": ("error", Problem("Internal server error", "500")),
    "error-502.json": ("error", Problem("Upstream provider unavailable", "502")),
    "error-503.json": ("error", Problem("Service temporarily overloaded", "503")),
}  # fmt: skip


class TestSamples:
    def test_every_sample_is_replayed(self) -> None:
        """No body lies in the folder, or stands in the index, that no test reads."""
        assert {path.name for path in SAMPLES.glob("*.json")} == {*INDEX, "index.json"}
        assert set(EXPECTED) == set(INDEX)

    @pytest.mark.parametrize("name", EXPECTED)
    def test_a_sample_means_exactly_this(self, name: str) -> None:
        """Every documented answer is read in full: state, stage, files, times, reasons, webhook bodies too."""
        role, expected = EXPECTED[name]
        response = sample(name)
        if role == "error":
            assert PROVIDER.error(response) == expected
        elif role == "not ready":
            with pytest.raises(vidpoll.Malformed) as caught:
                OPERATIONS["content"].parse(response, ID)
            assert str(caught.value) == expected
        elif role == "then":
            (second,) = INDEX[name]["then"]
            assert OPERATIONS["status"].parse(response, ID).parse(sample(second), ID) == expected
        else:
            assert OPERATIONS[role].parse(response, ID) == expected

    @pytest.mark.parametrize("name", [name for name, (role, _) in EXPECTED.items() if role == "status"])
    def test_the_whole_object_is_kept(self, name: str) -> None:
        """`raw` is the task as it came, with what a supplier adds to it."""
        body = json.loads(sample(name).body)
        task = body.get("data", body)
        task["response"] = {"seed": 7}
        assert OPERATIONS["status"].parse(answer(body), ID).raw == task


class TestRequests:
    def test_every_request_is_the_documented_one(self) -> None:
        """Method, path and query are those of the vendor's pages."""
        assert OPERATIONS["status"].request(ID) == Request("GET", f"/videos/{ID}")
        assert OPERATIONS["delete"].request(ID) == Request("DELETE", f"/videos/{ID}")
        assert OPERATIONS["list"].request({}, None) == Request("GET", "/videos", (("limit", "100"),))
        fields = {"model": "seedance-2.0", "prompt": "a kite"}
        assert OPERATIONS["submit video"].request(fields) == Request("POST", "/videos", json=fields)

    def test_content_has_three_formats(self) -> None:
        """A redirect to the file, JSON that names its URL, or the file itself, which is an asset for `client.open`."""
        path = f"/videos/{ID}/content"
        assert OPERATIONS["content"].request(ID) == Request("GET", path, (("format", "redirect"),))
        assert OPERATIONS["content"].request(ID, "url") == Request("GET", path, (("format", "url"),))
        assert token360.binary(ID) == Asset(f".{path}?format=binary")

    def test_only_the_documented_operations_are_there(self) -> None:
        """Token360 has no cancel and no quota: asking for one is an error before any request."""
        assert set(OPERATIONS) == {"status", "list", "delete", "content", "submit video"}

    def test_the_provider_is_the_documented_one(self) -> None:
        """Base URL, key variable, and a gentle pace where no rate is documented."""
        assert PROVIDER.base_url == "https://api.token360.ai/v1"
        assert PROVIDER.auth(Request("GET", "/videos"), {"TOKEN360_API_KEY": "k"}) == {"Authorization": "Bearer k"}
        assert PROVIDER.pacing == vidpoll.Pacing(floor=5.0)
        assert [stage.word for stage in PROVIDER.stages] == ["queued", "in_progress", "completed", "failed"]

    @pytest.mark.parametrize("role", ["status", "delete", "content"])
    @pytest.mark.parametrize(
        ("job_id", "encoded"),
        [("a/b", "a%2Fb"), ("a b?c#d%", "a%20b%3Fc%23d%25"), ("é", "%C3%A9"), ("bGl0==", "bGl0%3D%3D")],
    )
    def test_an_odd_id_stays_one_segment(self, role: str, job_id: str, encoded: str) -> None:
        """Whatever an id holds, it cannot reach another endpoint, least of all to delete there."""
        assert OPERATIONS[role].request(job_id).path.split("/")[:3] == ["", "videos", encoded]

    @pytest.mark.parametrize("role", ["status", "delete", "content"])
    @pytest.mark.parametrize("job_id", ["", ".", "..", "\ud800"])
    def test_an_id_that_is_none_is_refused(self, role: str, job_id: str) -> None:
        """An empty or dot id is an error, never a request for something else."""
        with pytest.raises(vidpoll.BadReference):
            OPERATIONS[role].request(job_id)


class TestStatus:
    @pytest.mark.parametrize("word", ["succeeded", "processing", "cancelled", "expired", 1, 100])
    def test_an_unknown_word_raises(self, word: object) -> None:
        """A word that the pages do not name, a gateway's foreign one say, is never taken for anything."""
        with pytest.raises(vidpoll.UnknownStatus):
            status(status=word)

    @pytest.mark.parametrize("word", [None, "", True, False, 0.5, [], {}, ["completed"]])
    def test_a_status_that_is_no_word_raises(self, word: object) -> None:
        """Booleans, lists and nothing are no status words."""
        with pytest.raises(vidpoll.Malformed):
            status(status=word)

    @pytest.mark.parametrize("field", ["url", "video_url"])
    def test_either_url_is_the_video(self, field: str) -> None:
        """One of the two may be missing; the other one is enough."""
        assert status(status="completed", **{field: "https://a.example/v.mp4"}).assets == (
            Asset("https://a.example/v.mp4"),
        )

    @pytest.mark.parametrize("other", ["https://b.example/v.mp4", "https://a.example/v.mp4", None, 7, ""])
    def test_two_urls_are_one_video(self, other: object) -> None:
        """Two URLs name one video, which is not fetched twice; what is no URL does not hide the other."""
        video = (Asset("https://a.example/v.mp4"),)
        assert status(status="completed", url="https://a.example/v.mp4", video_url=other).assets == video
        if not isinstance(other, str) or not other:
            assert status(status="completed", url=other, video_url="https://a.example/v.mp4").assets == video

    @pytest.mark.parametrize("word", ["queued", "in_progress", "failed"])
    def test_files_belong_to_completed_jobs(self, word: str) -> None:
        """A URL beside any other word is not a result."""
        assert status(status=word, url="https://a.example/v.mp4").assets == ()

    def test_a_presigned_url_tells_its_end(self) -> None:
        """Where a URL carries the date of its signature and its life, the asset knows when it ends."""
        signed = (
            "https://a.example/v.mp4?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=20261102T091407Z&X-Amz-Expires=3600&b"
        )
        assert status(status="completed", url=signed).assets == (Asset(signed, expires_at=1793610847.0 + 3600),)

    @pytest.mark.parametrize(
        "query",
        ["X-Amz-Expires=3600", "X-Amz-Date=20261302T091407Z&X-Amz-Expires=3600", "X-Amz-Date=1&X-Amz-Expires=1"],
    )
    def test_half_a_signature_tells_nothing(self, query: str) -> None:
        """Without a clock nothing is guessed about a URL's end."""
        (asset,) = status(status="completed", url=f"https://a.example/v.mp4?{query}").assets
        assert asset.expires_at is None

    @pytest.mark.parametrize(
        ("error", "problem"),
        [
            ({"code": "Blocked", "message": "the prompt"}, Problem("the prompt", "Blocked")),
            ({"message": "the prompt"}, Problem("the prompt")),
            ({"code": 400}, Problem("failed, and Token360 gave no reason", "400")),
            ("the prompt", Problem("the prompt")),
            (["what"], NO_REASON),
            ({}, NO_REASON),
            (None, NO_REASON),
        ],
    )
    def test_a_reason_is_read_in_any_shape(self, error: object, problem: Problem) -> None:
        """A failed job's `error` may be an object or text; where there is none, that is said in words."""
        assert status(status="failed", error=error).problem == problem

    @pytest.mark.parametrize("word", ["queued", "in_progress"])
    def test_an_error_text_fails_nothing(self, word: str) -> None:
        """An error beside a running word is not believed: only the word ends a job."""
        said = status(status=word, error={"code": "x", "message": "retrying upstream"})
        assert (said.problem, said.state.final) == (None, False)

    def test_a_foreign_id_is_reported(self) -> None:
        """An answer about another job says so in its snapshot, so that the job can refuse it; none means none."""
        assert status(id="vt_other").job_id == "vt_other"
        assert status(id=None).job_id is None
        assert follow(id="vt_other").fallback == Snapshot(State.COMPLETED, "completed", job_id="vt_other")


class TestEnvelope:
    def test_a_task_keeps_a_field_named_data(self) -> None:
        """A polled task with a supplier's own `data` is no envelope: its own status counts."""
        said = status(data={"id": "vt_other", "status": "completed"})
        assert (said.state, said.job_id) == (State.RUNNING, ID)

    @pytest.mark.parametrize(
        "body", [{}, {"id": ID}, {"data": None}, {"data": [{"status": "completed"}]}, {"data": {}}]
    )
    def test_no_status_anywhere_is_malformed(self, body: object) -> None:
        """Neither a task nor an envelope around one."""
        with pytest.raises(vidpoll.Malformed):
            OPERATIONS["status"].parse(answer(body), ID)

    def test_a_pushed_body_without_a_url_asks_content(self) -> None:
        """A webhook's completed task is treated as a polled one."""
        pushed = OPERATIONS["status"].parse(answer({"request_id": "o", "data": {"id": ID, "status": "completed"}}), ID)
        assert isinstance(pushed, Follow)

    @pytest.mark.parametrize(("name", "ok"), [("completed", True), ("failed", False)])
    def test_a_webhook_is_fed_to_a_client(self, name: str, ok: bool) -> None:
        """`client.feed` takes the body as it came; its verdict counts when one status request has said the same."""
        wire = FakeTransport([sample(f"status-{name}.json")])
        accounts = {"token360": vidpoll.Account("token360", key="tk-0123456789")}
        with vidpoll.Client(
            accounts=accounts, plugins=[token360], discover=False, clock=FakeClock(), transport=wire
        ) as client:
            body = (SAMPLES / f"webhook-{name}.json").read_bytes()
            job = client.feed(client.feed(f"token360:{ID}", body), body)
        assert (job.final, job.ok, len(wire.sent)) == (True, ok, 1)


class TestMissingURL:
    def test_content_is_asked(self) -> None:
        """A completed job without a URL gets it from content; what is already certain is kept as fallback."""
        second = follow(duration=4)
        assert second.request == Request("GET", f"/videos/{ID}/content", (("format", "url"),))
        assert second.verdicts == (400, 404)
        assert second.fallback == Snapshot(State.COMPLETED, "completed", job_id=ID, duration=4.0)

    def test_its_url_joins_the_snapshot(self) -> None:
        """The second answer adds the video, before the other files, and changes nothing else."""
        second = follow(content={"last_frame_url": LAST})
        assert second.parse(sample("content-format-url.json"), ID) == Snapshot(
            State.COMPLETED, "completed", job_id=ID, assets=(Asset(URL), Asset(LAST, "last_frame"))
        )

    @pytest.mark.parametrize(
        "response",
        [
            sample("content-not-ready.json"),
            Response(404, {}, (SAMPLES / "content-not-ready.json").read_bytes()),
            Response(200, {}, (SAMPLES / "content-not-ready.json").read_bytes()),
            sample("error-404-video.json"),
            Response(200, {}, b"<html>"),
            answer({"url": None, "video_id": ID}),
            answer({"url": "https://a.example/v.mp4", "video_id": "vt_other"}),
        ],
    )
    def test_no_url_yet_is_completed_all_the_same(self, response: Response) -> None:
        """The verdict is in hand: a second answer that is not ready, broken or foreign does not take it back."""
        second = follow()
        assert second.parse(response, ID) == second.fallback


class TestContent:
    @pytest.mark.parametrize(
        "response",
        [
            Response(200, {"content-type": "text/html"}, b"<html>"),
            answer({"url": ""}),
            answer({"url": 7}),
            answer([]),
        ],
    )
    def test_what_is_no_video_is_malformed(self, response: Response) -> None:
        """A page and JSON without a URL are not taken for a video."""
        with pytest.raises(vidpoll.Malformed):
            OPERATIONS["content"].parse(response, ID)

    def test_another_jobs_url_is_refused(self) -> None:
        """An answer that names another video is never adopted."""
        with pytest.raises(vidpoll.ForeignAnswer):
            OPERATIONS["content"].parse(answer({"url": "https://a.example/v.mp4", "video_id": "vt_other"}), ID)


class TestSubmitAnswers:
    @pytest.mark.parametrize("word", ["pending", None, True, 7])
    def test_the_id_is_never_lost(self, word: object) -> None:
        """Once the answer names an id, nothing else in it can raise: the job is paid for."""
        assert OPERATIONS["submit video"].parse(answer({"id": ID, "status": word}), "") == Submitted(ID)

    def test_a_job_done_at_once_is_no_second_request(self) -> None:
        """A submit answer that is already completed is a snapshot, whatever files it names."""
        parsed = OPERATIONS["submit video"].parse(answer({"id": ID, "status": "completed"}), "")
        assert parsed == Submitted(ID, Snapshot(State.COMPLETED, "completed", job_id=ID))

    @pytest.mark.parametrize("job_id", [None, "", True, "..", {}, ["a"]])
    def test_no_id_is_malformed(self, job_id: object) -> None:
        """An accepted submit without a usable id is no job."""
        with pytest.raises(vidpoll.Malformed):
            OPERATIONS["submit video"].parse(answer({"id": job_id, "status": "queued"}), "")


FULL: dict[str, object] = {
    "model": "seedance-2.0",
    "prompt": "a kite",
    "duration": 4,
    "resolution": "4K",
    "aspect_ratio": "9:21",
    "generate_audio": False,
    "seed": 0,
    "watermark": False,
    "return_last_frame": True,
    "execution_expires_after": 3600,
    "safety_identifier": "user-7",
    "callback_url": "https://shop.example/hook",
    "metadata": {"order": 1},
    "frame_images": [{"role": "first_frame", "url": "https://a.example/a.png"}],
    "input_references": [{"url": "https://a.example/b.png"}],
    "request_id": "order-1001",
}


class TestSubmitFields:
    def test_what_is_documented_is_sent_as_it_is(self) -> None:
        """Every documented field goes out unchanged; None counts as not given, native=False as the default."""
        assert OPERATIONS["submit video"].request(FULL) == Request("POST", "/videos", json=FULL)
        assert OPERATIONS["submit video"].request({**FULL, "native": False}).json == FULL
        trimmed = {name: value for name, value in FULL.items() if name != "seed"}
        assert OPERATIONS["submit video"].request({**FULL, "seed": None, "native": None}).json == trimmed

    @pytest.mark.parametrize(
        ("fields", "text"),
        [
            ({"model": None}, "needs 'model'"),
            ({"prompt": None}, "needs 'prompt'"),
            ({"model": ""}, "model='': it must be text, not empty"),
            ({"prompt": " \n"}, "prompt="),
            ({"prompt": 7}, "prompt=7"),
            ({"duration": "4"}, "duration='4': it must be a whole number of seconds from 1"),
            ({"duration": 4.0}, "duration=4.0"),
            ({"duration": True}, "duration=True"),
            ({"duration": 0}, "duration=0"),
            ({"resolution": 720}, "resolution=720"),
            ({"resolution": "720"}, "resolution='720': it must be a size like 720p or 4K"),
            ({"resolution": "0p"}, "resolution='0p'"),
            ({"resolution": "4k p"}, "resolution='4k p'"),
            ({"resolution": "1280x720"}, "resolution='1280x720'"),
            ({"aspect_ratio": "16x9"}, "aspect_ratio='16x9': it must be adaptive, or a ratio like 16:9"),
            ({"aspect_ratio": "16:0"}, "aspect_ratio='16:0'"),
            ({"aspect_ratio": "16:9\n"}, "aspect_ratio="),
            ({"aspect_ratio": ["16:9"]}, "aspect_ratio="),
            ({"generate_audio": "true"}, "generate_audio='true': it must be True or False"),
            ({"watermark": 1}, "watermark=1"),
            ({"return_last_frame": 0}, "return_last_frame=0"),
            ({"seed": 1.5}, "seed=1.5: it must be a whole number"),
            ({"seed": True}, "seed=True"),
            ({"execution_expires_after": 0}, "execution_expires_after=0"),
            ({"safety_identifier": 7}, "safety_identifier=7"),
            ({"callback_url": "http://shop.example/hook"}, "it must be an https URL"),
            ({"callback_url": "https://"}, "callback_url="),
            ({"metadata": [1]}, "metadata=[1]: it must be a dict"),
            ({"frame_images": "https://a.example/a.png"}, "frame_images="),
            ({"frame_images": []}, "it must be a list that is not empty"),
            ({"input_references": {}}, "input_references={}"),
            ({"request_id": ""}, "request_id=''"),
            ({"native": "yes"}, "native='yes': it must be True"),
            ({"native": 1}, "native=1"),
            ({"seconds": 4}, "submit video takes no field 'seconds'; it takes model, prompt,"),
        ],
    )
    def test_what_is_not_documented_is_not_sent(self, fields: dict[str, object], text: str) -> None:
        """A wrong field is refused before anything is sent, with the field, the limit and the way out."""
        with pytest.raises(vidpoll.InvalidField) as caught:
            OPERATIONS["submit video"].request({**FULL, **fields})
        assert text in str(caught.value)

    @pytest.mark.parametrize(
        "fields",
        [{"resolution": size} for size in ("360p", "480p", "768p", "1440p", "1K", "4K")]
        + [{"aspect_ratio": ratio} for ratio in ("adaptive", "16:9", "9:21", "3:2", "4:5")],
    )
    def test_sizes_and_ratios_are_no_closed_list(self, fields: dict[str, str]) -> None:
        """No page lists them all, and models differ: whatever has the shape is for the service to judge."""
        assert OPERATIONS["submit video"].request({**FULL, **fields}).json == {**FULL, **fields}

    def test_every_documented_field_is_named(self) -> None:
        """Who misspells a field is told all that there are, native among them."""
        with pytest.raises(vidpoll.InvalidField) as caught:
            OPERATIONS["submit video"].request({"promt": "a kite"})
        assert all(name in str(caught.value) for name in (*FULL, "native"))

    def test_native_passes_every_field_through(self) -> None:
        """In the supplier's own words nothing is checked but the model, which Token360 itself reads."""
        fields = {"model": "seedance-2.0", "content": [{"type": "text"}], "duration": "4", "seed": None}
        assert OPERATIONS["submit video"].request({**fields, "native": True}) == Request(
            "POST", "/videos", headers={"Token360-Native-Params": "true"}, json=fields
        )
        with pytest.raises(vidpoll.InvalidField, match="needs 'model'"):
            OPERATIONS["submit video"].request({"native": True, "content": []})


class TestList:
    ROWS = ("vt_3", "vt_2", "vt_1")

    def page(self, **fields: object) -> Page:
        rows = [{"id": job_id, "status": "queued"} for job_id in self.ROWS]
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
            ({"before": "vt_0"}, {"limit": "100", "before": "vt_3"}),
            ({"before": "vt_0", "order": "desc"}, {"limit": "100", "before": "vt_3", "order": "desc"}),
        ],
    )
    def test_pages_follow_one_another_both_ways(self, fields: dict[str, object], query: dict[str, str]) -> None:
        """Forward the next page begins after the last row; backward it ends before the first one."""
        assert dict(OPERATIONS["list"].request(fields, self.page().next).query) == query

    def test_the_first_page_is_asked_for_as_given(self) -> None:
        """The caller's own cursor counts until there is a page to go on from."""
        assert OPERATIONS["list"].request({"before": "vt_0", "limit": 1}, None).query == (
            ("limit", "1"),
            ("before", "vt_0"),
        )

    @pytest.mark.parametrize(
        "fields",
        [
            {"has_more": False},
            {"has_more": None},
            {"has_more": "true"},
            {"last_id": None},
            {"first_id": True},
            {"last_id": "a\nb"},
            {"last_id": "\ud800"},
            {"data": [], "first_id": None, "last_id": None},
        ],
    )
    def test_the_list_ends(self, fields: dict[str, object]) -> None:
        """Only has_more: true with cursors that can be sent leads on."""
        assert self.page(**fields).next is None

    @pytest.mark.parametrize(
        "fields",
        [
            {"limit": 0},
            {"limit": 101},
            {"limit": "5"},
            {"limit": True},
            {"order": "up"},
            {"after": ""},
            {"before": 7},
            {"after": "a", "before": "b"},
            {"page": 2},
        ],
    )
    def test_wrong_list_fields_are_refused(self, fields: dict[str, object]) -> None:
        """1 to 100 rows a page, one direction, and nothing that is not documented."""
        with pytest.raises(vidpoll.InvalidField, match=next(iter(fields))):
            OPERATIONS["list"].request(fields, None)

    def test_one_bad_row_does_not_cost_the_others(self) -> None:
        """Rows that cannot be read are left out."""
        rows = [7, {"id": "a", "status": "archived"}, {"status": "queued"}, {"id": "b", "status": "queued"}]
        assert self.page(data=rows).items == (Snapshot(State.QUEUED, "queued", job_id="b"),)

    @pytest.mark.parametrize("data", [None, {}, "x", 7])
    def test_a_list_that_is_none_is_malformed(self, data: object) -> None:
        """An answer without rows is not an empty list."""
        with pytest.raises(vidpoll.Malformed):
            self.page(data=data)


@pytest.mark.parametrize("body", [{}, {"deleted": False}, {"deleted": "true"}, {"deleted": 1}, {"id": ID}])
def test_only_deleted_is_deleted(body: object) -> None:
    """An answer that does not say deleted: true is not taken for it."""
    with pytest.raises(vidpoll.Malformed):
        OPERATIONS["delete"].parse(answer(body), ID)


SCALARS: list[object] = [
    None, True, False, 0, 1, -1, 100, 1e308, 10**400, 10**4000, "", " ", "nobody sends this", "\ud800", "\x1b[31m\n",
    "9" * 70, [], [None], ["a"], {}, {"message": {}}, {"code": [], "message": True},
]  # fmt: skip


def paths(value: object, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where the values of a body are, the body itself included."""
    yield at
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from paths(child, (*at, key))


def replaced(body: object, at: tuple[Any, ...], value: object) -> object:
    if not at:
        return value
    body = copy.deepcopy(body)
    place: Any = body
    for key in at[:-1]:
        place = place[key]
    place[at[-1]] = value
    return body


ANSWERS = {name: role for name, (role, _) in EXPECTED.items() if role in OPERATIONS}


class TestAnything:
    @pytest.mark.parametrize(("name", "role"), ANSWERS.items())
    def test_a_wrong_value_anywhere_raises_only_our_errors(self, name: str, role: str) -> None:
        """Whatever stands in any one field: a value or an error of vidpoll's, and no job changes its state by it."""
        original = sample(name)
        before = OPERATIONS[role].parse(original, ID)
        for at in paths(json.loads(original.body)):
            for value in SCALARS:
                body = answer(replaced(json.loads(original.body), at, value), original.status)
                try:
                    after = OPERATIONS[role].parse(body, ID)
                except vidpoll.VidpollError:
                    continue
                if role == "status":
                    known = after.fallback if isinstance(after, Follow) else after
                    assert known is not None
                    assert (known.state, at[-1:] == ("status",)) == (before.state, False)


@settings(max_examples=40, deadline=None)
@given(body=st.binary(max_size=4) | st.sampled_from([b"null", b"[]", b"NaN", b'{"data":' * 500, b"<html>"]))
def test_any_bytes_raise_only_our_errors(body: bytes) -> None:
    """A body that is not the documented JSON is an error of vidpoll's, for every operation."""
    for operation in OPERATIONS.values():
        with pytest.raises(vidpoll.VidpollError):
            operation.parse(Response(200, {}, body), ID)


def test_the_simulators_face_is_named() -> None:
    """The simulator finds this provider's face by name; nothing is imported before it is asked for."""
    assert token360.vidpoll_simulators() == {"token360": "vidpoll_providers.simulators.token360:Token360Face"}
