"""Second ways to a file: without Range, by a fresh URL, below the base URL, by the content operation; and patience."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from acme_provider import ACME, FLOOR, KEY, MP4, REF, Talk, parse_content, talk

import vidpoll
from vidpoll.faults import NoAnswer
from vidpoll.net.transport import BodyTooLarge, Hopeless

FILE = MP4 + bytes(number % 251 for number in range(2000))
SIGNED = "https://cdn.example/v.mp4?sig=s3cr3t"
NOW = 1_800_000_000.0
OPERATION = vidpoll.Operation(
    lambda job_id: vidpoll.Request("GET", f"/jobs/{job_id}/content"), parse_content, verdicts=(400,)
)
WITH_CONTENT = replace(ACME, content=OPERATION)


def whole(data: bytes = FILE, *, sent: int | None = None) -> Any:
    return 200, {"content-length": str(len(data)), "etag": '"v1"'}, data[:sent]


def fetching(files: Any, status: Any = None, **options: Any) -> Talk:
    """A client whose job, over just now, names `SIGNED`; `files` maps parts of URLs to answers, or is those of all."""
    status = status or {"status": "done", "video": SIGNED}
    script = files if isinstance(files, dict) else {"": files}
    return talk(
        {**{part: script[part] for part in script if part == "/content"}, "/jobs": [status], **script}, **options
    )


def with_content(files: Any, **options: Any) -> Talk:
    return fetching(files, provider=WITH_CONTENT, accounts={"acme": vidpoll.Account("acme", key=KEY)}, **options)


def ranges(t: Talk) -> list[str | None]:
    """The Range of each request for a file."""
    return [wire.headers.get("Range") for wire in t.wire.sent if "/jobs" not in wire.url]


def asked(t: Talk) -> list[str]:
    """The URLs that were asked, without those of the job's status."""
    return [wire.url for wire in t.wire.sent if not wire.url.endswith("/jobs/j1")]


# -- without Range ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 406, 417, 422, 501])
def test_a_refused_range_is_asked_once_more_and_then_without(tmp_path: Path, status: int) -> None:
    """After one fresh URL: the part is begun anew, and the file is had in one call."""
    t = fetching([whole(sent=50), (status, {}, b""), (status, {}, b""), whole()])
    assert t.client.download(REF, tmp_path)[0].read_bytes() == FILE
    assert ranges(t) == [None, "bytes=50-", "bytes=50-", None]


def test_a_server_that_refuses_ranges_is_not_asked_for_one_again(tmp_path: Path) -> None:
    """A further cut begins the file anew."""
    no = (403, {}, b"")
    t = fetching([whole(sent=50), no, no, whole(sent=90), whole()])
    assert t.client.download(REF, tmp_path)[0].read_bytes() == FILE
    assert ranges(t) == [None, "bytes=50-", "bytes=50-", None, None]


def test_a_server_that_breaks_at_a_range_is_asked_without_in_the_end(tmp_path: Path) -> None:
    """When the patience is over, and not before: an outage costs no part."""
    t = fetching([whole(sent=50), *[(500, {}, b"")] * 40, whole()], patience=20.0)
    assert t.client.download(REF, tmp_path)[0].read_bytes() == FILE
    assert ranges(t)[0] is None
    assert set(ranges(t)[1:42]) == {"bytes=50-", None}
    assert sum(t.clock.waits) < 30.0


def test_a_stream_over_a_server_that_refuses_ranges() -> None:
    """The whole file comes once."""

    class Whole(vidpoll.testing.FakeTransport):
        def fetch(self, wire: Any, ticket: Any, start: Any) -> vidpoll.Response:
            self._scripts["cdn"] = [
                vidpoll.Response(403, {}) if "Range" in wire.headers else vidpoll.Response(*whole())
            ]
            return super().fetch(wire, ticket, start)

    t = talk((), transport=Whole({"/jobs": [{"status": "done", "video": SIGNED}], "cdn": []}))
    with t.client.open(REF) as stream:
        assert stream.read() == FILE


# -- 401 --------------------------------------------------------------------------------------------------------------


def test_401_without_a_key_is_an_expired_url(tmp_path: Path) -> None:
    """A fresh URL is asked for, and nothing is said of the key where none was sent."""
    t = fetching([(401, {}, b""), whole()])
    assert t.client.download(REF, tmp_path)[0].read_bytes() == FILE
    with pytest.raises(vidpoll.DownloadError) as caught:
        fetching([(401, {}, b"")]).client.download(REF, tmp_path / "b")
    assert "key" not in str(caught.value)


def test_401_with_the_key_names_its_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the account's own origin, when a fresh URL is refused as well."""
    monkeypatch.setenv("ACME_API_KEY", KEY)
    t = fetching([(401, {}, b"")], {"status": "done", "video": "/files/v.mp4"}, accounts={})
    with pytest.raises(vidpoll.DownloadError, match=r"check the key \(ACME_API_KEY\)$"):
        t.client.download(REF, tmp_path)


# -- not ready yet ----------------------------------------------------------------------------------------------------

AGAIN = r"download it again: vidpoll download acme:j1 --to \S+/b$|nothing of it was kept$"
NOT_YET = [(202, {}, b""), (400, {}, b""), (404, {}, b""), (425, {}, b""), b""]


@pytest.mark.parametrize("not_yet", NOT_YET, ids=["202", "400", "404", "425", "empty"])
def test_a_file_that_is_not_ready_is_waited_for(tmp_path: Path, not_yet: Any) -> None:
    """For five minutes after the verdict, with gaps that grow from the floor to half a minute."""
    t = fetching([not_yet] * 12 + [whole()])
    assert t.client.download(REF, tmp_path)[0].read_bytes() == FILE
    pauses = [gap for gap in t.clock.waits if gap > FLOOR]
    assert pauses == sorted(pauses)
    assert max(pauses) == 30.0
    t = fetching([not_yet])
    with pytest.raises(vidpoll.DownloadError, match=AGAIN):
        t.client.download(REF, tmp_path / "b", timeout=None)
    assert 300.0 <= sum(t.clock.waits) < 340.0


@pytest.mark.parametrize("not_yet", NOT_YET, ids=["202", "400", "404", "425", "empty"])
def test_a_file_of_an_old_job_is_looked_for_three_times(tmp_path: Path, not_yet: Any) -> None:
    """It will not come any more."""
    t = fetching([not_yet], {"status": "done", "video": SIGNED, "finished": NOW - 3600})
    with pytest.raises(vidpoll.DownloadError):
        t.client.download(REF, tmp_path)
    assert len(ranges(t)) == 4
    assert sum(t.clock.waits) == pytest.approx(3 * FLOOR)


def test_an_end_that_cannot_be_is_not_believed(tmp_path: Path) -> None:
    """Before the submit, or in the future (another time zone): the file is looked for as one of a young job."""
    for finished in (NOW + 8 * 3600, NOW - 8 * 3600):
        t = fetching([(404, {}, b"")] * 8 + [whole()], {"status": "done", "video": SIGNED, "finished": finished})
        job = vidpoll.Job(REF, submitted_at=NOW - 60)
        assert t.client.download(job, tmp_path / str(finished))[0].read_bytes() == FILE


def test_a_page_in_place_of_a_file_is_looked_past_three_times(tmp_path: Path) -> None:
    """Then it is told, with what it says, and that nothing was kept; never that it should be downloaded again."""
    page = (200, {"content-type": "text/html"}, b"<html><title>Sign in</title>")
    assert fetching([page] * 3 + [whole()]).client.download(REF, tmp_path)[0].read_bytes() == FILE
    with pytest.raises(vidpoll.NotAVideo) as caught:
        fetching([page]).client.download(REF, tmp_path / "b")
    assert str(caught.value).startswith(f"{REF}: https://cdn.example/v.mp4?…: the video is a page or an error message")
    assert str(caught.value).endswith("the job is unchanged, and nothing of it was kept")


# -- other ways -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dead",
    [(403, {}, b""), (404, {}, b""), (410, {}, b""), (451, {}, b""), Hopeless("a circle"), (200, {}, b"<html>")],
    ids=["403", "404", "410", "451", "hopeless", "page"],
)
def test_where_a_url_is_dead_the_content_operation_is_asked(tmp_path: Path, dead: Any) -> None:
    """After a fresh URL; what it brings is the file."""
    t = with_content({"/content": [whole()], "cdn": [dead]})
    assert t.client.download(REF, tmp_path)[0].read_bytes() == FILE
    assert asked(t)[-1] == "https://api.acme.example/v1/jobs/j1/content"
    assert len(asked(t)) <= 3


def test_where_nobody_answers_the_content_operation_is_asked(tmp_path: Path) -> None:
    """The URL names a host that only the provider's own network knows: three tries, a fresh URL, three tries."""
    t = with_content({"/content": [whole()], "cdn": [NoAnswer("the host name could not be looked up", sent=False)]})
    assert t.client.download(REF, tmp_path)[0].read_bytes() == FILE
    assert len(asked(t)) == 7


def test_the_error_names_what_each_way_said(tmp_path: Path) -> None:
    """The URL first."""
    t = with_content({"/content": [(404, {"error": "no such job"})], "cdn": [(403, {}, b"expired")]})
    with pytest.raises(vidpoll.DownloadError) as caught:
        t.client.download(REF, tmp_path, timeout=None)
    said = str(caught.value)
    assert said.index("https://cdn.example/v.mp4?…: HTTP 403") < said.index("its content: HTTP 404: no such job")


def test_a_thumbnail_has_no_content_operation(tmp_path: Path) -> None:
    """It brings the video."""
    t = with_content({"/content": [whole()], "cdn": [(410, {}, b"")]}, status={"status": "done", "cover": SIGNED})
    with pytest.raises(vidpoll.DownloadError):
        t.client.download(REF, tmp_path, kinds=("thumbnail",))
    assert not any(url.endswith("/content") for url in asked(t))


@pytest.mark.parametrize(
    ("base", "named", "ways"),
    [
        ("http://10.0.0.7:8080", "http://127.0.0.1:8080/tasks/a/1.mp4", ["http://10.0.0.7:8080/tasks/a/1.mp4"]),
        (
            "https://gpu.example.org/mpt",
            "https://gpu.example.org/tasks/a/1.mp4?x=%2f",
            ["https://gpu.example.org/tasks/a/1.mp4?x=%2f", "https://gpu.example.org:443/mpt/tasks/a/1.mp4?x=%2f"],
        ),
        (
            "http://10.0.0.7/mpt",
            "/tasks/a/1.mp4",
            ["http://10.0.0.7:80/tasks/a/1.mp4", "http://10.0.0.7:80/mpt/tasks/a/1.mp4"],
        ),
        (
            "http://localhost:8080",
            "http://minio:9000/1.mp4",
            ["http://minio:9000/1.mp4", "http://localhost:8080/1.mp4"],
        ),
    ],
)
def test_a_server_of_ones_own_is_asked_below_its_base_url(
    tmp_path: Path, base: str, named: str, ways: list[str]
) -> None:
    """It calls itself localhost, knows nothing of the prefix in front of it, or names a host of its own network."""
    accounts = {"acme": vidpoll.Account("acme", base_url=base, key=None)}
    files: dict[str, Any] = {"/jobs": [{"status": "done", "video": named}], ways[-1]: [whole()], "": [(404, {}, b"")]}
    t = talk(files, accounts=accounts)
    assert t.client.download(REF, tmp_path)[0].read_bytes() == FILE
    assert list(dict.fromkeys(asked(t))) == ways


# -- documents --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["text/plain", "text/html", "application/json", "application/xml", "nonsense"])
def test_a_video_by_its_bytes_is_one_whatever_its_type(tmp_path: Path, kind: str) -> None:
    """From the content operation as from a URL."""
    answer = (200, {"content-type": kind, "content-length": str(len(FILE))}, FILE)
    t = with_content({"/content": [answer]}, status={"status": "done"})
    assert t.client.download(REF, tmp_path / "content")[0].read_bytes() == FILE
    assert fetching([answer]).client.download(REF, tmp_path / "url")[0].read_bytes() == FILE


def test_json_by_its_bytes_is_a_document_whatever_its_type(tmp_path: Path) -> None:
    """The content operation's parser reads it, and the URL in it is fetched."""
    named = (200, {"content-type": "video/mp4"}, b'{"url": "https://cdn.example/v.mp4"}')
    t = with_content({"/content": [named], "cdn": [whole()]}, status={"status": "done"})
    assert t.client.download(REF, tmp_path)[0].read_bytes() == FILE


def test_a_document_that_is_too_large_is_hopeless(tmp_path: Path) -> None:
    """The next one would be as large: it is asked for once."""
    t = with_content({"/content": [BodyTooLarge("a body of more than 4,194,304 bytes")]}, status={"status": "done"})
    with pytest.raises(vidpoll.DownloadError, match=r"more than 4,194,304 bytes; the job is unchanged$"):
        t.client.download(REF, tmp_path)
    assert len(asked(t)) == 1


LABELS = ["aws-chunked", "utf-8", "base64", "binary", "none", "aws-chunked, utf-8", "identity", "gzip", "br"]


@pytest.mark.parametrize("coding", LABELS)
def test_a_label_on_plain_bytes_is_ignored(tmp_path: Path, coding: str) -> None:
    """Also that of a real coding, where the bytes are those of a video."""
    t = fetching([(200, {"content-encoding": coding, "content-length": str(len(FILE))}, FILE)])
    assert t.client.download(REF, tmp_path)[0].read_bytes() == FILE


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "deflate", "br", "zstd", "aws-chunked, gzip"])
def test_a_file_in_a_real_coding_is_told_with_its_name(tmp_path: Path, coding: str) -> None:
    """Once: the next one would be the same."""
    t = fetching([(200, {"content-encoding": coding}, b"\x1f\x8b\x08" + bytes(99))])
    with pytest.raises(
        vidpoll.DownloadError, match=f"content coding {coding.rpartition(' ')[2]}, which was not requested"
    ):
        t.client.download(REF, tmp_path)
    assert len(asked(t)) == 1


def test_what_a_file_host_says_is_read_in_nobodys_envelope(tmp_path: Path) -> None:
    """The provider's own reader of errors is for the provider's own origin."""
    provider = replace(ACME, error=lambda response: vidpoll.Problem("acme has no such thing"))
    answer = (410, {"content-type": "text/plain"}, b"SignatureDoesNotMatch: check the secret of your bucket")
    for url, says in ((SIGNED, "SignatureDoesNotMatch"), ("/files/v.mp4", "acme has no such thing")):
        accounts = {"acme": vidpoll.Account("acme", key=KEY)}
        t = fetching([answer], {"status": "done", "video": url}, provider=provider, accounts=accounts)
        with pytest.raises(vidpoll.DownloadError, match=f"HTTP 410: {says}"):
            t.client.download(REF, tmp_path)
