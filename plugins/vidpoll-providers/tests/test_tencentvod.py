"""What is odd about Tencent VOD: its signature, ends that stand beside files, and ids that carry the application."""

from __future__ import annotations

import json
from typing import Any

import pytest
from vidpoll_providers import tencentvod

import vidpoll
from vidpoll import PreparedRequest, Response

(PROVIDER,) = tencentvod.vidpoll_providers()
SECRETS = {"TENCENTCLOUD_SECRET_ID": "vidpoll-test-id", "TENCENTCLOUD_SECRET_KEY": "vidpoll-test-secret"}
ID = "1500000000-AigcVideoTask-00aa11bb22cc33dd44ee55ff66aa77bbt"
BOAT = (
    r'{"SubAppId": 1500000000, "ModelName": "Hailuo", "ModelVersion": "02", "Prompt": "\u6668\u96fe\u91cc\u7684\u8239"}'
)
# What tencentcloud-sdk-python-vod 3.1.194 sends: URL, Unix seconds, body, date, signature.
VECTORS = [
    (
        "https://vod.tencentcloudapi.com/",
        1795001000.9,
        f'{{"TaskId": "{ID}", "SubAppId": 1500000000}}',
        "2026-11-18",
        "d4594faffd9ba10c8440122fcac0bf1fad2429f718ce40cb31fb1062371d26c5",
    ),
    (
        "http://127.0.0.1:8700/",
        1795046399.0,  # the last second of that day, in UTC
        BOAT,
        "2026-11-18",
        "9a3d9ee10a009c612fbd16415d00179c04c9a49d3c889f5e79a2beb1cec9a9aa",
    ),
]


@pytest.mark.parametrize(("url", "at", "body", "date", "signature"), VECTORS)
def test_the_signature_is_that_of_the_sdk(url: str, at: float, body: str, date: str, signature: str) -> None:
    """Over host, content type and body, with the date in UTC."""
    request = PreparedRequest("POST", url, {"Content-Type": "application/json"}, body.encode(), at)
    told = (
        f"TC3-HMAC-SHA256 Credential=vidpoll-test-id/{date}/vod/tc3_request, SignedHeaders=content-type;host, "
        f"Signature={signature}"
    )
    assert PROVIDER.auth(request, SECRETS) == {"Authorization": told, "X-TC-Timestamp": str(int(at))}


@pytest.mark.parametrize("origin", ["https://vod.tencentcloudapi.com:443/", "https://VOD.tencentcloudapi.com"])
def test_the_host_is_signed_as_it_is_sent(origin: str) -> None:
    """In small letters, and without the port that the scheme has anyway."""
    _, at, body, _, signature = VECTORS[0]
    request = PreparedRequest("POST", origin, {"Content-Type": "application/json"}, body.encode(), at)
    assert PROVIDER.auth(request, SECRETS)["Authorization"].endswith(signature)


def read(**task: Any) -> vidpoll.Snapshot:
    body = {"Response": {"Status": "FINISH", "TaskId": ID, "AigcVideoTask": task}}
    said = PROVIDER.status.parse(Response(200, {}, json.dumps(body).encode()), ID)
    assert isinstance(said, vidpoll.Snapshot)
    return said


def test_each_file_ends_at_a_time_of_its_own() -> None:
    """And one that is kept for good has none."""
    files = [
        {"FileUrl": "http://a.example/1.mp4", "ExpireTime": "2026-08-12T02:49:33Z"},
        {"FileUrl": "http://a.example/2.mp4", "ExpireTime": "0000-00-00T00:00:00Z"},
        {"FileUrl": None, "ExpireTime": "2026-08-12T02:49:33Z"},
        "no file",
    ]
    found = read(ErrCode=0, Output={"FileInfos": files}).assets
    assert [(each.url, each.expires_at) for each in found] == [
        ("http://a.example/1.mp4", 1786502973.0),
        ("http://a.example/2.mp4", None),
    ]


@pytest.mark.parametrize("odd", [None, "x", [], {"FileInfos": {}}, {"FileInfos": None}])
def test_no_files_are_no_error(odd: object) -> None:
    assert (read(ErrCode=0, Output=odd).state, read(Output=odd).assets) == (vidpoll.State.COMPLETED, ())


@pytest.mark.parametrize("job_id", ["AigcVideoTask-1", "1500000000", "-AigcVideoTask-1", "٣-AigcVideoTask-1", ""])
def test_an_id_without_its_application(job_id: str) -> None:
    """The API requires the application as well as the id, and only the id contains it."""
    with pytest.raises(vidpoll.BadReference, match="APPLICATION-AigcVideoTask-"):
        PROVIDER.status.request(job_id)


def test_what_an_action_is_asked_by() -> None:
    """The body alone does not tell; the header does."""
    given = {"SubAppId": 1500000000, "ModelName": "Vidu", "ModelVersion": "q2"}
    assert PROVIDER.cancel is not None
    made = (PROVIDER.status.request(ID), PROVIDER.cancel.request(ID), PROVIDER.submit["video"].request(given))
    actions = [each.headers["X-TC-Action"] for each in made]
    assert actions == ["DescribeTaskDetail", "ManageTask", "CreateAigcVideoTask"]
