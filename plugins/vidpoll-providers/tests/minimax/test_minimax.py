"""What is odd about MiniMax: two interfaces, refusals in a 200, one request that cancels and deletes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from vidpoll_providers import minimax

import vidpoll
from vidpoll import Problem, Refused, Request, Response, State
from vidpoll.testing import FakeClock, FakeTransport

(PROVIDER,) = minimax.vidpoll_providers()
V1, V2 = "v1/427144058097900", "v2/424010985738629"
VIDEO = "https://video-product.cdn.minimax.io/a.mp4"


def answer(body: object, status: int = 200) -> Response:
    return Response(status, {"content-type": "application/json"}, json.dumps(body).encode())


def v1(status: str, code: int = 0, message: str = "success", **more: object) -> Response:
    return answer(
        {"task_id": V1[3:], "status": status, "base_resp": {"status_code": code, "status_msg": message}, **more}
    )


def client_of(script: list[Response]) -> tuple[vidpoll.Client, FakeTransport]:
    wire = FakeTransport(script)
    accounts = {"minimax": vidpoll.Account("minimax", base_url="http://127.0.0.1:9", key="k-0123456789")}
    options: dict[str, Any] = {"plugins": [minimax], "discover": False, "clock": FakeClock(), "transport": wire}
    return vidpoll.Client(accounts=accounts, **options), wire


def test_an_id_without_its_interface_is_refused() -> None:
    """Ids of both look alike: no question may go to the wrong one."""
    assert PROVIDER.status.request(V1) == Request("GET", "/v1/query/video_generation", (("task_id", V1[3:]),))
    assert PROVIDER.status.request(V2) == Request("GET", f"/v2/query/video_generation/{V2[3:]}")
    for job_id in (V1[3:], "v3/427144058097900", "v1/"):
        with pytest.raises(vidpoll.BadReference, match="write the id as KIND/ID; KIND is v1"):
            PROVIDER.status.request(job_id)


def test_v2_s_items() -> None:
    """Prompt and frames become items, before those of the call."""
    audio = {"type": "audio_url", "audio_url": {"url": "https://a.example/a.mp3"}, "role": "reference_audio"}
    fields = {"model": "MiniMax-H3", "prompt": "a sea", "last_frame": "https://a.example/a.png", "content": [audio]}
    frame = {"type": "image_url", "image_url": {"url": "https://a.example/a.png"}, "role": "last_frame"}
    sent = PROVIDER.submit["v2"].request(fields).json
    assert sent == {"model": "MiniMax-H3", "content": [{"type": "text", "text": "a sea"}, frame, audio]}


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (1002, "rate"),
        (1008, "money"),
        (1033, "unknown"),
        (1041, "capacity"),
        (2013, "not found"),
        (2038, "permission"),
    ],
)
def test_a_question_that_is_refused_in_a_200(code: int, kind: str) -> None:
    """Without a status word the code decides, whatever id is beside it."""
    with pytest.raises(Refused) as caught:
        PROVIDER.status.parse(v1("", code, "no"), V1)
    assert (caught.value.kind, caught.value.code) == (kind, str(code))


OUTPUT = Problem("output new_sensitive", "1027", kind="moderated_output")


@pytest.mark.parametrize(
    ("code", "message", "problem"),
    [(1027, "output new_sensitive", OUTPUT), (0, "success", Problem(""))],
)
def test_the_word_counts_whatever_the_code(code: int, message: str, problem: Problem) -> None:
    """A failed job may have any code beside it, and "success" is no reason."""
    said = PROVIDER.status.parse(v1("Fail", code, message), V1)
    assert isinstance(said, vidpoll.Snapshot)
    assert (said.state, said.problem) == (State.FAILED, problem)


def test_the_file_is_asked_for_again_where_it_was_not_there() -> None:
    """A refusal of the second request is tolerated: the job is completed, its file arrives with the next response."""
    done, busy = (
        v1("Success", file_id="427071051673900"),
        answer({"base_resp": {"status_code": 1002, "status_msg": "rate limit"}}),
    )
    file = answer({"file": {"file_id": 427071051673900, "download_url": VIDEO}, "base_resp": {"status_code": 0}})
    client, wire = client_of([done, busy, done, file])
    with client:
        assert client.wait(f"minimax:{V1}").video.url == VIDEO
    assert [request.url.partition(":9/")[2] for request in wire.sent] == 2 * [
        "v1/query/video_generation?task_id=427144058097900", "v1/files/retrieve?file_id=427071051673900"
    ]  # fmt: skip


@pytest.mark.parametrize("code", [1000, 1001, 1033])
def test_trouble_inside_a_200_may_have_made_the_job(code: int) -> None:
    """It is not said that nothing was bought, and nothing is sent twice."""
    client, wire = client_of([answer({"base_resp": {"status_code": code, "status_msg": "timeout"}})])
    with client, pytest.raises(vidpoll.SubmitUnknown, match=rf"timeout \({code}\)"):
        client.submit("minimax", "v1", model="MiniMax-Hailuo-02", prompt="a sea")
    assert len(wire.sent) == 1


@pytest.mark.parametrize(
    ("message", "status", "error", "category"),
    [
        ("usage limit exceeded (2056)", 429, vidpoll.RateLimited, "quota"),
        ("insufficient balance (1008)", 400, vidpoll.PaymentRequired, "money"),
        ("invalid api key (2049)", 400, vidpoll.AuthenticationError, "auth"),
        ("rate limit (1002)", 429, vidpoll.RateLimited, "rate"),
        ("invalid params (2013)", 400, vidpoll.InvalidRequest, "input"),
    ],
)
def test_v2_s_money_is_no_rate(message: str, status: int, error: type[vidpoll.ProviderError], category: str) -> None:
    """The number in brackets counts before the HTTP status."""
    body = {"type": "error", "error": {"type": "rate_limit_error", "message": message, "http_code": str(status)}}
    client, _ = client_of([answer(body, status)])
    with client, pytest.raises(error, match="Nothing was bought") as caught:
        client.submit("minimax", "v2", model="MiniMax-H3", prompt="a sea")
    assert caught.value.category == category


def test_only_a_job_that_still_waits_is_cancelled() -> None:
    """The request that cancels would delete a job that is over, so it is looked at first; v1 has neither."""
    queued, over = ({"task": {"id": V2[3:], "status": word}} for word in ("queued", "succeeded"))
    client, wire = client_of(
        [answer(queued), answer({"task_id": V2[3:], "action": "cancelled", "status": "cancelled"}), answer(over)]
    )
    with client:
        job = vidpoll.Job(f"minimax:{V2}")
        client.cancel(job)
        assert job.state is State.CANCELLED
        with pytest.raises(vidpoll.Conflict, match="the job has ended"):
            client.cancel(vidpoll.Job(f"minimax:{V2}"))
        with pytest.raises(vidpoll.Unsupported, match="v1 of MiniMax neither cancels nor deletes"):
            client.cancel(vidpoll.Job(f"minimax:{V1}"))
    assert [request.method for request in wire.sent] == ["GET", "DELETE", "GET"]


@pytest.mark.parametrize(
    ("status", "message", "code", "kind"),
    [
        (400, "invalid params, invalid task_id (2013)", "2013", "not found"),
        (400, "record not found (1000)", "1000", "not found"),
        (400, "invalid params, duration (2013)", "2013", "input"),
        (529, "overloaded", "overloaded_error", None),
    ],
)
def test_v2_s_errors(status: int, message: str, code: str, kind: str | None) -> None:
    """The number in brackets is the code; an id that is unknown, or older than 7 days, is a 400."""
    body = {"type": "error", "error": {"type": "overloaded_error", "message": message, "http_code": str(status)}}
    said = PROVIDER.error(answer(body, status))
    assert (said.code, said.kind) == (code, kind)


def test_many_jobs_of_v2_in_one_question() -> None:
    """The name is repeated; v1 has no such question."""
    polling = PROVIDER.list_polling
    assert polling is not None
    assert polling.batch is not None
    assert polling.takes is not None
    assert [polling.takes(each) for each in (V1, V2)] == [False, True]
    page = (("page_num", "1"), ("page_size", "20"))
    # the names of a query may be the same
    assert polling.batch.request((V2, "v2/7")).query == (*page, ("filter.task_ids", V2[3:]), ("filter.task_ids", "7"))


IMAGE = {"type": "image_url", "image_url": {"url": "https://a.example/a.png"}}


@pytest.mark.parametrize(
    ("more", "shown"),
    [
        ({"resolution": "768P"}, "0.80 USD"),
        ({"resolution": "2K", "content": [IMAGE] * 3}, "1.30 USD"),
        ({}, "0.80 to 1.30 USD"),
        ({"content": [IMAGE] * 4}, "None"),
        ({"content": [{"type": "video_url"}]}, "None"),
        ({"content": ["a sea"]}, "None"),
        ({"duration": None}, "None"),
    ],
)
def test_a_price_by_the_second(more: dict[str, object], shown: str) -> None:
    """The extra cost of videos and of more than five images is not given as a number."""
    listed = PROVIDER.submit["v2"].price
    assert listed is not None
    assert str(listed({"model": "MiniMax-H3", "prompt": "a sea", "duration": 10, **more})) == shown
