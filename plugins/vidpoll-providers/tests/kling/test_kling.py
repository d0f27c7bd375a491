"""What is odd about Kling: two interfaces, a token made of two keys, refusals on two levels, and pushed bodies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from vidpoll_providers import kling

import vidpoll
from vidpoll import BadSignature, Cost, InvalidField, PreparedRequest, Refused, Request, Response
from vidpoll.testing import FakeClock, FakeTransport

(PROVIDER,) = kling.vidpoll_providers()
OLD, NEW = "text2video/867283741759000202", "893605946402811985"


def answer(data: object, code: object = 0, status: int = 200, **more: object) -> Response:
    body = {"code": code, "message": "SUCCEED", "request_id": "r", "data": data, **more}
    return Response(status, {"content-type": "application/json"}, json.dumps(body).encode())


def read(job_id: str, response: Response) -> Any:
    return PROVIDER.status.parse(response, job_id)


def task(**more: object) -> dict[str, object]:
    return {"id": NEW, "status": "succeeded", "create_time": 1781080778802, "outputs": [], **more}


# -- which interface --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("job_id", "path", "query"),
    [
        (NEW, "/tasks", (("task_ids", NEW),)),
        (OLD, "/v1/videos/text2video/867283741759000202", ()),
        ("avatar/86", "/v1/videos/avatar/image2video/86", ()),
        ("omni-video/CjI17Wev_-", "/v1/videos/omni-video/CjI17Wev_-", ()),
    ],
)
def test_the_id_tells_the_interface(job_id: str, path: str, query: tuple[tuple[str, str], ...]) -> None:
    """A kind before the id is the legacy one, in which the avatar has a longer path."""
    assert PROVIDER.status.request(job_id) == Request("GET", path, query)


def test_a_kind_that_there_is_not_is_refused() -> None:
    """A slip in the kind is no task of the new interface."""
    with pytest.raises(vidpoll.BadReference, match="write the id as KIND/ID; KIND is text2video or image2video"):
        PROVIDER.status.request("text2vidoe/867283741759000202")


def test_the_new_body_is_nested() -> None:
    """Flat fields go where the page has them, beside what the call puts there itself."""
    sent = PROVIDER.submit["video"].request(
        {"task": "omni-video", "model": "kling-3.0", "contents": [{"type": "prompt", "text": "a sea"}],
         "audio": True, "settings": {"new": 1}, "external_task_id": "clip-17"}
    )  # fmt: skip
    assert (sent.path, sent.json) == (
        "/omni-video/kling-3.0",
        {
            "contents": [{"type": "prompt", "text": "a sea"}],
            "settings": {"new": 1, "audio": True},
            "options": {"external_task_id": "clip-17"},
        },
    )


def test_an_image_goes_without_data_before_it(tmp_path: Path) -> None:
    """Kling takes a URL or bare base64."""
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    for image in (tmp_path / "a.png", b"\x89PNG\r\n\x1a\n", "data:image/png;base64,iVBORw0KGgo="):
        assert PROVIDER.submit["image2video"].request({"image": image}).json == {"image": "iVBORw0KGgo="}


def test_seconds_are_text() -> None:
    """The legacy interface wants "5"; a 5 is sent as that."""
    build = PROVIDER.submit["text2video"].request
    assert [build({"prompt": "a", "duration": each}).json["duration"] for each in (5, "10")] == ["5", "10"]
    for wrong in (True, "5.0", 0, 5.0):
        with pytest.raises(InvalidField, match=r"duration=.*: it must be seconds, as text or a whole number"):
            build({"prompt": "a", "duration": wrong})


# -- what it cost, and what is refused --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("billing", "cost"),
    [
        ([{"charge_type": "unit", "amount": "5"}, {"charge_type": "unit", "amount": "2.5"}], Cost(7.5, unit="units")),
        ([{"charge_type": "cash", "amount": "0.42", "currency": "USD"}], Cost(0.42, unit="USD")),
        ([{"charge_type": "cash", "amount": "0.42", "currency": "USD"}, {"charge_type": "unit", "amount": "5"}], None),
        ([], None),
    ],
)
def test_a_bill_is_of_one_unit(billing: list[object], cost: Cost | None) -> None:
    """Money and units of a package are never added up."""
    assert read(NEW, answer([task(billing=billing)])).cost == cost


@pytest.mark.parametrize(
    ("job_id", "response", "kind"),
    [
        (NEW, answer([]), "not found"),
        (NEW, answer([], 1302), "rate"),
        (NEW, answer(None, "1004"), "auth"),
        (OLD, answer(None, 1201, 400), "not found"),
        (OLD, answer(None, 1201), "not found"),
        (OLD, answer(None, 1300, 400), "moderated_input"),
    ],
)
def test_what_a_question_is_refused_with(job_id: str, response: Response, kind: str) -> None:
    """A new id that is unknown is an empty list, a legacy one a bad parameter; a code counts under any HTTP status."""
    with pytest.raises(Refused) as caught:
        read(job_id, response)
    assert caught.value.kind == kind


@pytest.mark.parametrize(
    ("code", "kind"), [(1100, "money"), (1102, "money"), (1303, "capacity"), (1302, "rate"), (1304, "permission")]
)
def test_a_429_is_five_things(code: int, kind: str) -> None:
    assert PROVIDER.error(answer(None, code, 429)).kind == kind


def test_packs_of_images_and_old_packs_do_not_count() -> None:
    assert PROVIDER.quota is not None
    packs = [
        ("Video A", 20.0, "online"),
        ("Trial-Image", 7.0, "online"),
        ("Video A", 5.5, "online"),
        ("Video C", 1.0, "runOut"),
    ]
    keys = ("resource_pack_name", "remaining_quantity", "status")
    data = {"code": 0, "resource_pack_subscribe_infos": [dict(zip(keys, pack, strict=True)) for pack in packs]}
    said = PROVIDER.quota.parse(answer(data), "")
    assert isinstance(said, vidpoll.Quota)
    assert (said.plan, said.balance) == ("Video A, Video A", 25.5)


# -- keys and pushes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["KLING", "KLINGAI"])
def test_two_keys_make_a_token_for_each_request(name: str) -> None:
    """HS256, good for 30 minutes from the time of the request; PyJWT makes the same of these claims."""
    secrets = {f"{name}_ACCESS_KEY": "ak", f"{name}_SECRET_KEY": "sk"}
    told = PROVIDER.auth(PreparedRequest("GET", "https://a.example", at=1700000000.9), secrets)
    claims = "eyJpc3MiOiJhayIsImV4cCI6MTcwMDAwMTgwMCwibmJmIjoxNjk5OTk5OTk1fQ"  # ak, exp 1700001800, nbf 1699999995
    signature = "mgn0T3D3XT4hbNxAtEsJsDH8-Kpgvs6l8t89iZ9EkEg"
    assert told == {"Authorization": f"Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.{claims}.{signature}"}


BODY = b'{"id":"1234567890","status":"succeeded","message":"","create_time":1781080778802,"update_time":1781080794151}'
SECRET = "whsec_dGVzdHNlY3JldHRlc3RzZWNyZXR0ZXN0c2VjcmV0MTI="  # of the vendor's page
HEADERS = {
    "Webhook-Id": "9876543210",
    "Webhook-Timestamp": "1781080794",
    "Webhook-Signature": "v1,AAAA v1,UsKlJP00XoQyOn410NM9xv34sP+Gl0jnOO9Lcpr7NJ4=",
}


def test_the_signature_of_the_vendors_page() -> None:
    """Its example is taken, one of two signatures being enough; another body and a late one are not."""
    assert vidpoll.webhook(PROVIDER, HEADERS, BODY, SECRET, now=1781080800.0) == BODY
    for body, now in ((BODY + b" ", 1781080800.0), (BODY, 1781081800.0)):
        with pytest.raises(BadSignature):
            vidpoll.webhook(PROVIDER, HEADERS, body, SECRET, now=now)


def test_a_push_is_confirmed_by_a_question() -> None:
    """The bare task of a push, and the enveloped one of the answer, are one job."""
    url = "https://v16-kling.klingai.com/out.mp4"
    wire = FakeTransport([answer([task(id="1234567890", outputs=[{"type": "video", "url": url}])])])
    accounts = {"kling": vidpoll.Account("kling", base_url="http://127.0.0.1:9", key="k-0123456789")}
    with vidpoll.Client(
        accounts=accounts, plugins=[kling], discover=False, clock=FakeClock(), transport=wire
    ) as client:
        job = client.feed("kling:1234567890", BODY)
        assert (job.ok, job.video.url) == (True, url)


@pytest.mark.parametrize(
    ("more", "shown"),
    [
        ({"resolution": "720p"}, "3 to 4.5 units"),
        ({"settings": {"resolution": "4K"}}, "15 units"),
        ({}, "3 to 15 units"),
        ({"model": "kling-3.0-turbo"}, "None"),
        ({"task": "motion-control"}, "None"),
        ({"voice_list": [{"voice_id": "v"}]}, "None"),
    ],
)
def test_a_price_in_units(more: dict[str, object], shown: str) -> None:
    """From without to with native audio; the page has other prices for voices and for other tasks."""
    listed = PROVIDER.submit["video"].price
    assert listed is not None
    given = {"task": "text-to-video", "model": "kling-3.0", "prompt": "a voice at sea", "duration": 5, **more}
    assert str(listed(given)) == shown


# -- the caller's own id ----------------------------------------------------------------------------------------------


def test_a_task_is_found_by_the_id_that_was_sent_with_it() -> None:
    """Both interfaces answer as for the task's own id; an unknown one finds nothing, by an error or an empty list."""
    new, old = PROVIDER.submit["video"], PROVIDER.submit["avatar"]
    assert (new.key, old.key, new.honours_key, old.honours_key) == (
        "external_task_id",
        "external_task_id",
        False,
        False,
    )
    assert new.find is not None
    assert old.find is not None
    assert new.find.request("u-1") == Request("GET", "/tasks", (("external_task_ids", "u-1"),))
    assert old.find.request("u-1") == Request("GET", "/v1/videos/avatar/image2video/u-1")
    assert new.find.parse(answer([task()]), "u-1").job_id == NEW
    assert old.find.parse(answer({"task_id": "86", "task_status": "submitted"}), "u-1").job_id == "avatar/86"
    with pytest.raises(vidpoll.Malformed):
        new.find.parse(answer([]), "u-1")
    with pytest.raises(Refused):
        old.find.parse(answer(None, code=1203), "u-1")
