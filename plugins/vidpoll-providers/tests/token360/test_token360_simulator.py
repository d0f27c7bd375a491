"""Token360's face keeps to its pages, and its media origin to what S3 does with presigned URLs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from plain_http import Answer, call
from vidpoll_providers.simulators.token360 import Token360Face

from vidpoll.testing.simulator import Simulator

FIELDS = {"model": "seedance-2.0", "prompt": "a kite"}
PARAMETERS = {
    "duration": 4,
    "resolution": "720p",
    "aspect_ratio": "16:9",
    "seed": 1,
    "audio": False,
    "watermark": False,
}


@dataclass
class Api:
    simulator: Simulator
    key: str = "sim-token360-key"

    def __call__(self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> Answer:
        url = self.simulator.base_urls["token360"] + path
        return call(method, url, body, {"Authorization": f"Bearer {self.key}", **(headers or {})})

    def finished(self, **data: Any) -> Any:
        """A completed task."""
        job_id = self.simulator.seed_job("token360", "video", age=100.0, **data)
        return self("GET", f"/videos/{job_id}").json


def served(face: Token360Face) -> Simulator:
    return Simulator({"token360": face}, seed=7)


@pytest.fixture
def api() -> Iterator[Api]:
    with served(Token360Face()) as simulator:
        yield Api(simulator)


def test_a_job_goes_from_queued_to_completed(api: Api) -> None:
    """A job takes 30 to 45 s; polled every 5 s each word is seen, with progress that rises."""
    submitted = api("POST", "/videos", FIELDS)
    assert (submitted.status, submitted.json["status"], submitted.json["object"]) == (200, "queued", "video")
    seen = []
    for _ in range(10):
        task = api("GET", f"/videos/{submitted.json['id']}").json
        seen.append((task["status"], task["progress"]))
        api.simulator.advance(5.0)
    words, progress = zip(*seen, strict=True)
    assert list(dict.fromkeys(words)) == ["queued", "in_progress", "completed"]
    assert list(progress) == sorted(progress)
    assert (progress[0], progress[-1]) == (0, 100)
    assert words.index("completed") in range(7, 10)


def test_bodies_have_the_documented_keys(api: Api) -> None:
    """The submit answer echoes the parameters; a completed task has its URLs and the provider's extra fields."""
    submitted = api("POST", "/videos", FIELDS).json
    assert list(submitted) == [
        "id",
        "object",
        "status",
        "model",
        "prompt",
        "created_at",
        "updated_at",
        "parameters",
    ]
    assert submitted["parameters"] == PARAMETERS
    assert submitted["updated_at"] == submitted["created_at"]
    api.simulator.advance(60.0)
    done = api("GET", f"/videos/{submitted['id']}").json
    assert (done["duration"], done["resolution"], done["progress"], done["frames"]) == (4, "720p", 100, 97)
    assert done["parameters"] == {**PARAMETERS, "video_mode": "t2v"}
    assert done["url"] == done["video_url"]
    assert done["updated_at"] > done["created_at"]
    assert "content" not in done


def test_a_failed_job_gives_its_reason(api: Api) -> None:
    """A failed task is a 200 with an error of code and message."""
    api.simulator.fail_next("token360", message="The prompt was rejected.")
    job_id = api("POST", "/videos", FIELDS).json["id"]
    api.simulator.advance(60.0)
    answer = api("GET", f"/videos/{job_id}")
    assert (answer.status, answer.json["status"]) == (200, "failed")
    assert answer.json["error"] == {"code": "upstream_error", "message": "The prompt was rejected."}
    assert "url" not in answer.json


def test_the_last_frame_comes_when_asked_for(api: Api) -> None:
    """return_last_frame adds a signed picture."""
    picture = call("GET", api.finished(return_last_frame=True)["content"]["last_frame_url"])
    assert (picture.status, picture.headers["Content-Type"], picture.body[:2]) == (200, "image/jpeg", b"\xff\xd8")


def test_a_completed_job_can_lack_its_urls() -> None:
    """With omit_urls only /content leads to the video."""
    with served(Token360Face(omit_urls=True)) as simulator:
        api = Api(simulator)
        task = api.finished()
        assert task["status"] == "completed"
        assert not {"url", "video_url"} & set(task)
        assert api("GET", f"/videos/{task['id']}/content").status == 302


def test_content_in_its_three_formats(api: Api) -> None:
    """302 to a signed URL by default, the URL as JSON, or the bytes with a file name."""
    task = api.finished()
    path = f"/videos/{task['id']}/content"
    default, redirect, url, binary = (
        api("GET", path + query) for query in ("", "?format=redirect", "?format=url", "?format=binary")
    )
    assert [each.status for each in (default, redirect, url, binary)] == [302, 302, 200, 200]
    assert (url.json["video_id"], url.json["expires_in"]) == (task["id"], 3600)
    assert (binary.headers["Content-Type"], binary.headers["Content-Disposition"]) == (
        "video/mp4",
        f'attachment; filename="{task["id"]}.mp4"',
    )
    for signed in (task["url"], default.headers["Location"], redirect.headers["Location"], url.json["url"]):
        assert call("GET", signed).body == binary.body


def test_content_before_the_end_is_400(api: Api) -> None:
    """Not ready is a 400 that names the status, without param and code; a wrong format and an unknown id are told."""
    job_id = api("POST", "/videos", FIELDS).json["id"]
    api.simulator.advance(15.0)
    answer = api("GET", f"/videos/{job_id}/content")
    message = "Video is not ready yet. Current status: in_progress"
    assert (answer.status, answer.json) == (400, {"error": {"message": message, "type": "invalid_request_error"}})
    assert api("GET", f"/videos/{job_id}/content?format=gif").json["error"]["param"] == "format"
    assert api("GET", "/videos/nope/content").status == 404


def test_media_live_on_another_origin(api: Api) -> None:
    """A signed URL has another port than the API and the query of a presigned one."""
    url = urlsplit(api.finished()["url"])
    assert url.netloc != urlsplit(api.simulator.base_urls["token360"]).netloc
    assert parse_qs(url.query)["X-Amz-Expires"] == ["3600"]


def test_signed_urls_are_checked(api: Api) -> None:
    """No signature, a wrong one, another file's or another time's are 403; the right one is good and takes ranges."""
    task, other = api.finished(), api.finished()
    url = task["url"]
    bare = url.partition("?")[0]
    wrong = url[:-1] + ("0" if url[-1] != "0" else "1")
    foreign = f"{bare}?{urlsplit(other['url']).query}"
    later = url.replace("X-Sim-Issued-At=", "X-Sim-Issued-At=9")
    assert [call("GET", each).status for each in (bare, wrong, foreign, later)] == [403, 403, 403, 403]
    assert call("GET", wrong[:-1] + "%C3%A9").status == 403
    part = call("GET", url, headers={"Range": "bytes=4-7"})
    assert (part.status, part.body) == (206, b"ftyp")


def test_signed_urls_expire_and_a_poll_brings_a_fresh_one(api: Api) -> None:
    """After 3600 simulated seconds a URL is 403 and the next poll has a good one."""
    task = api.finished()
    api.simulator.advance(3590.0)
    assert call("GET", task["url"]).status == 200
    api.simulator.advance(20.0)
    assert b"Request has expired" in call("GET", task["url"]).body
    assert call("GET", api("GET", f"/videos/{task['id']}").json["url"]).status == 200


def test_the_media_host_refuses_a_second_way_to_authenticate(api: Api) -> None:
    """An Authorization header beside the signature is 400, as at S3; HEAD is not what was signed."""
    url = api.finished()["url"]
    refused = call("GET", url, headers={"Authorization": "Bearer sim-token360-key"})
    assert (refused.status, refused.headers["Content-Type"]) == (400, "application/xml")
    assert b"InvalidArgument" in refused.body
    assert call("HEAD", url).status == 403
    assert call("PUT", url).status == 405


def test_list_pages_by_cursor_in_both_directions(api: Api) -> None:
    """Newest first by default, `after` walks on, `before` walks back, has_more tells of the way that is walked."""
    ids = [api.simulator.seed_job("token360", "video", age=200.0 - number) for number in range(5)][::-1]

    def page(query: str) -> tuple[list[str], bool]:
        body = api("GET", f"/videos?limit=2{query}").json
        rows = [row["id"] for row in body["data"]]
        assert (body["object"], body["first_id"], body["last_id"]) == ("list", rows[0], rows[-1])
        return rows, body["has_more"]

    assert page("") == (ids[:2], True)
    assert page(f"&after={ids[1]}") == (ids[2:4], True)
    assert page(f"&after={ids[3]}") == (ids[4:], False)
    assert page(f"&before={ids[4]}") == (ids[2:4], True)
    assert page(f"&before={ids[2]}") == (ids[:2], False)
    assert page("&order=asc") == (ids[::-1][:2], True)


def test_list_rows_have_no_url(api: Api) -> None:
    """Rows tell status and prompt only; an empty list has null cursors."""
    assert api("GET", "/videos").json == {
        "object": "list",
        "data": [],
        "has_more": False,
        "first_id": None,
        "last_id": None,
    }
    api.finished()
    row = api("GET", "/videos").json["data"][0]
    assert list(row) == ["id", "object", "status", "model", "prompt", "created_at"]


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "order=up", "after=nope", "before=nope"])
def test_list_refuses_a_bad_query(api: Api, query: str) -> None:
    """Each fault is a 400 that names the parameter."""
    answer = api("GET", f"/videos?{query}")
    assert (answer.status, answer.json["error"]["param"]) == (400, query.partition("=")[0])


def test_delete(api: Api) -> None:
    """A deleted job, running or not, is unknown afterwards, and so is its file."""
    done, running = api.finished(), api("POST", "/videos", FIELDS).json
    for job_id in (done["id"], running["id"]):
        assert api("DELETE", f"/videos/{job_id}").json == {"id": job_id, "object": "video", "deleted": True}
        again = api("DELETE", f"/videos/{job_id}"), api("GET", f"/videos/{job_id}")
        assert [answer.status for answer in again] == [404, 404]
    assert call("GET", done["url"]).status == 404


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": "p"}, "model"),
        ({"model": "seedance-2.0"}, "prompt"),
        ({**FIELDS, "duration": "4"}, "duration"),
        ({**FIELDS, "duration": True}, "duration"),
        ({**FIELDS, "duration": 0}, "duration"),
        ({**FIELDS, "watermark": 1}, "watermark"),
        ({**FIELDS, "frame_images": {}}, "frame_images"),
    ],
)
def test_submit_checks_its_fields(api: Api, fields: dict[str, object], param: str) -> None:
    """A missing or mistyped field is a 400 that names it, and no job."""
    answer = api("POST", "/videos", fields)
    error = answer.json["error"]
    assert (answer.status, error["type"], error["param"], error["code"]) == (400, "invalid_request_error", param, "400")
    assert api.simulator.submissions("token360") == 0


def test_errors_have_their_documented_types() -> None:
    """401, 402, 404 for a model and for a video, 400 for no JSON: each in the one envelope with its type."""
    with served(Token360Face(affordable_jobs=1)) as simulator:
        api = Api(simulator)
        api("POST", "/videos", FIELDS)
        answers = [
            Api(simulator, key="sk-wrong")("GET", "/videos"),
            api("POST", "/videos", FIELDS),
            api("POST", "/videos", {**FIELDS, "model": "nope"}),
            api("GET", "/videos/nope"),
            api("POST", "/videos", b"{"),
            api("GET", "/nope"),
        ]
    assert [(answer.status, answer.json["error"]["type"]) for answer in answers] == [
        (401, "invalid_api_key"),
        (402, "insufficient_balance"),
        (404, "model_not_found"),
        (404, "not_found_error"),
        (400, "invalid_request_error"),
        (404, "not_found_error"),
    ]
    assert "param" not in answers[0].json["error"]
