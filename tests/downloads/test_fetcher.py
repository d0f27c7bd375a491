"""Asking for a file until it comes: conversations as data, time as arithmetic, nothing sleeps."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from acme_provider import ACME, DONE, FLOOR, KEY, MP4, REF, Talk, parse_content, talk

import vidpoll
from vidpoll.faults import NoAnswer
from vidpoll.net.explain import BodyCut, Hopeless, UnsafeHop
from vidpoll.testing import FakeTransport

FILE = MP4 + bytes(number % 251 for number in range(2000))
OTHER = MP4 + bytes(number % 241 for number in range(1500))
BOXED = b"\x00\x00\x00\x10ftypisom\x00\x00\x00\x00\x00\x00\x00\x08moov\x00\x00\x00\x0cmdat1234"
SIGNED = "https://cdn.example/v.mp4?sig=s3cr3t"
DATES = {"last-modified": "Sat, 21 Nov 2026 10:00:00 GMT", "date": "Sat, 21 Nov 2026 11:00:00 GMT"}
ACCOUNTS = {"acme": vidpoll.Account("acme", key=KEY)}
UNAVAILABLE = (503, {}, b"")
STALE = [202, 400, 401, 403, 404, 410, 425]
LONG_AGO = {"status": "done", "finished": 1_799_990_000}
"""A job that was over hours ago: its file is there, or will never be."""


def full(data: bytes = FILE, *, sent: int | None = None, etag: str | None = '"v1"', **headers: str) -> Any:
    """200; only `sent` bytes of it come."""
    named = {"etag": etag} if etag else {}
    return 200, {"content-length": str(len(data)), **named, **headers}, data[:sent]


def rest(first: int, end: int | None = None, data: bytes = FILE, *, etag: str | None = '"v1"', **other: Any) -> Any:
    """206 of the bytes from `first` to before `end`; `sent` of them come, `span` says otherwise in the head."""
    body = data[first:end]
    span = other.get("span", f"bytes {first}-{first + len(body) - 1}/{len(data)}")
    named = {"etag": etag} if etag else {}
    return 206, {"content-range": span, **named, **other.get("headers", {})}, body[: other.get("sent")]


def raw(body: bytes = FILE, status: int = 200, **headers: str) -> vidpoll.Response:
    """An answer with these headers and no others."""
    return vidpoll.Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


class Cutting(FakeTransport):
    """Breaks off after the body of an answer with the header `x-cut`."""

    def fetch(self, wire: Any, ticket: Any, start: Any) -> vidpoll.Response:
        response = super().fetch(wire, ticket, start)
        if "x-cut" in response.headers:
            raise BodyCut("the connection broke in the middle of the response")
        return response


def fetching(files: Any, status: Any = DONE, **options: Any) -> Talk:
    """A client whose job is `status` (one answer, or a list of them), and whose files are answered by `files`."""
    statuses = status if isinstance(status, list) else [status]
    transport = Cutting({"/content": files, "/jobs": statuses, "": files})
    return talk((), transport=transport, **options)


def got(t: Talk, folder: Path, **options: Any) -> bytes:
    """The bytes of the job's video; nothing else lies in the folder."""
    (path,) = t.client.download(REF, folder, **options)
    assert [path] == list(folder.iterdir())
    return path.read_bytes()


def asked(t: Talk) -> list[dict[str, str]]:
    """The headers of each request for a file."""
    return [dict(wire.headers) for wire in t.wire.sent if "/jobs/" not in wire.url or "/content" in wire.url]


def refused(t: Talk, folder: Path, error: type[Exception] = vidpoll.DownloadError, **options: Any) -> str:
    """The message of a download that fails; checked for what holds for every one."""
    with pytest.raises(error) as caught:
        t.client.download(REF, folder, **options)
    assert type(caught.value) is error
    message = str(caught.value)
    assert caught.value.job.ok  # type: ignore[attr-defined]
    assert message.startswith("acme:j1: ")
    assert "s3cr3t" not in message
    assert "\n" not in message
    assert not any(path.suffix == ".mp4" for path in folder.iterdir())
    return message


# -- going on ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "etag", "condition"),
    [({}, '"v1"', '"v1"'), (DATES, None, DATES["last-modified"]), (DATES, '"v1"', '"v1"'), (DATES, 'W/"v1"', "Sat")],
)
def test_a_cut_is_gone_on_with(tmp_path: Path, headers: dict[str, str], etag: str | None, condition: str) -> None:
    """By Range and If-Range, after a short pause; the bytes that came are not asked for again."""
    t = fetching([full(sent=50, etag=etag, **headers), rest(50, etag=etag, headers=headers)])
    assert got(t, tmp_path) == FILE
    first, second = asked(t)
    assert (first, second["Range"]) == ({}, "bytes=50-")
    assert second["If-Range"].startswith(condition)
    assert t.clock.waits == [0.5]


def test_several_cuts(tmp_path: Path) -> None:
    """Each one goes on where the last one stopped."""
    t = fetching([full(sent=50), rest(50, sent=100), rest(150, 200), rest(200, sent=1), rest(201)])
    assert got(t, tmp_path) == FILE
    assert [headers.get("Range") for headers in asked(t)] == [
        None,
        "bytes=50-",
        "bytes=150-",
        "bytes=200-",
        "bytes=201-",
    ]


def test_without_a_validator_it_begins_anew(tmp_path: Path) -> None:
    """Nobody could tell whether the rest belongs to the same file."""
    t = fetching([full(sent=50, etag=None), full(sent=60, etag='W/"x"'), full()])
    assert got(t, tmp_path) == FILE
    assert asked(t) == [{}, {}, {}]


def test_a_200_brings_the_new_version(tmp_path: Path) -> None:
    """If-Range did not hold: the whole file, and its validator from then on."""
    new = '"v2"'
    t = fetching([full(sent=500), full(OTHER, sent=70, etag=new), rest(70, data=OTHER, etag=new)])
    assert got(t, tmp_path) == OTHER
    assert asked(t)[2] == {"Range": "bytes=70-", "If-Range": new}


@pytest.mark.parametrize(
    "wrong",
    [
        rest(40),
        rest(0),
        rest(60),
        rest(50, data=OTHER),
        rest(50, etag='"v2"'),
        rest(50, etag='W/"v1"'),
        rest(50, etag=None),
        rest(50, span="bytes 50-49/2118"),
        rest(50, span="items 50-99/100"),
        raw(FILE[50:], 206),
        raw(FILE[50:], 206, content_type="multipart/byteranges; boundary=x"),
        raw(b"", 416, content_range=f"bytes */{len(OTHER)}"),
        raw(b"", 416),
    ],
    ids=[
        "before",
        "from 0",
        "behind",
        "total",
        "ETag",
        "weak",
        "unnamed",
        "reversed",
        "unit",
        "no span",
        "several",
        "416",
        "bare 416",
    ],
)
def test_other_ranges_than_asked_for_begin_anew(tmp_path: Path, wrong: Any) -> None:
    """Wrong bytes are never taken: a GET without Range follows, and what it brings counts."""
    t = fetching([full(sent=50), wrong, full(OTHER, etag='"v2"')])
    assert got(t, tmp_path) == OTHER
    assert [headers.get("Range") for headers in asked(t)] == [None, "bytes=50-", None]


def test_ranges_that_were_not_asked_for(tmp_path: Path) -> None:
    """A whole file was asked for, and its middle comes: that is hopeless, and told at once."""
    t = fetching([rest(50)], {"status": "done", "video": SIGNED})
    assert "the server sent a range that was not requested; the job is unchanged" in refused(t, tmp_path)
    assert len(asked(t)) == 1


def test_206_to_a_plain_get(tmp_path: Path) -> None:
    """Some servers answer so to everything; a range of the whole is the whole."""
    assert got(fetching([rest(0)]), tmp_path) == FILE


@pytest.mark.parametrize("total", [None, "*"])
def test_a_server_that_gives_little_at_a_time(tmp_path: Path, total: str | None) -> None:
    """It is asked for the rest, at once, until its total is there, or a 416 says that there is no more."""

    def piece(first: int) -> Any:
        end = min(first + 1000, len(FILE))
        return rest(first, end, span=f"bytes {first}-{end - 1}/{total or len(FILE)}")

    end = raw(b"", 416, content_range=f"bytes */{len(FILE)}", etag='"v1"')
    t = fetching([piece(0), piece(1000), piece(2000), end])
    assert got(t, tmp_path) == FILE
    assert t.clock.waits == []
    assert len(asked(t)) == (4 if total else 3)


def test_pieces_that_nothing_holds_together(tmp_path: Path) -> None:
    """Without an ETag or a date they may be of several files."""
    t = fetching([rest(0, 1000, etag=None)])
    assert "in pieces, and no ETag shows" in refused(t, tmp_path, vidpoll.DownloadTruncated)


def test_a_whole_part_costs_no_request(tmp_path: Path) -> None:
    """Killed between the last byte and the rename: what is there is checked and renamed."""
    t = fetching([full(sent=50), NoAnswer("lost")])
    with pytest.raises(vidpoll.DownloadError):
        t.client.download(REF, tmp_path, timeout=5)
    (part,) = tmp_path.glob("*.part")
    part.write_bytes(FILE)
    again = fetching([NoAnswer("not to be asked")])
    assert got(again, tmp_path) == FILE
    assert asked(again) == []


def test_another_run_goes_on(tmp_path: Path) -> None:
    """Another client, another query in the URL, the same file."""
    t = fetching([full(sent=50), NoAnswer("lost")], {"status": "done", "video": SIGNED})
    refused(t, tmp_path, timeout=5)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".part"]
    assert "s3cr3t" not in next(iter(tmp_path.glob("*.json"))).read_text()
    again = fetching([rest(50)], {"status": "done", "video": SIGNED.replace("s3cr3t", "fresh")})
    assert got(again, tmp_path) == FILE
    assert asked(again) == [{"Range": "bytes=50-", "If-Range": '"v1"'}]


def test_another_path_is_another_file(tmp_path: Path) -> None:
    """A part of one is never gone on with from the other."""
    refused(fetching([full(sent=50), NoAnswer("lost")]), tmp_path, timeout=5)
    again = fetching([full(OTHER)], {"status": "done", "video": SIGNED})
    assert got(again, tmp_path) == OTHER
    assert asked(again) == [{}]


# -- lengths ----------------------------------------------------------------------------------------------------------


def test_more_bytes_than_announced(tmp_path: Path) -> None:
    """The length is part of the answer: an answer that breaks it is none."""
    lie = (200, {"content-length": "100", "etag": '"v1"'}, FILE)
    assert "more bytes than announced" in refused(fetching([lie], patience=30), tmp_path, vidpoll.DownloadTruncated)
    assert got(fetching([lie, full()]), tmp_path) == FILE


def test_chunks_show_a_cut(tmp_path: Path) -> None:
    """So a body in chunks needs no length; one that was cut is gone on with."""
    assert got(fetching([raw(transfer_encoding="chunked")]), tmp_path / "a") == FILE
    cut = raw(FILE[:50], transfer_encoding="chunked", etag='"v1"', x_cut="1")
    t = fetching([cut, rest(50)])
    assert got(t, tmp_path / "b") == FILE
    assert asked(t)[1]["Range"] == "bytes=50-"


def test_a_file_that_proves_too_large_keeps_nothing(tmp_path: Path) -> None:
    """Its length is told only when it is gone on with: what came of it is not kept, ETag or not."""
    cut = raw(FILE[:50], transfer_encoding="chunked", etag='"v1"', x_cut="1")
    t = fetching([cut, rest(50)])
    assert "larger max_bytes" in refused(t, tmp_path, vidpoll.DownloadTooLarge, max_bytes=100)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("length", "named", "whole"),
    [
        (len(FILE), {"etag": '"v1"'}, True),
        (len(FILE), {}, False),
        (len(FILE), {"etag": '"v2"'}, False),
        (9, {"etag": '"v1"'}, False),
    ],
    ids=["same", "unnamed", "other", "other length"],
)
def test_416_tells_whether_it_is_whole(tmp_path: Path, length: int, named: dict[str, str], whole: bool) -> None:
    """Cut between the last byte and the last chunk: nothing is missing where the file is as long as the part."""
    cut = raw(transfer_encoding="chunked", etag='"v1"', x_cut="1")
    t = fetching([cut, raw(b"", 416, content_range=f"bytes */{length}", **named), full()])
    assert got(t, tmp_path) == FILE
    assert [headers.get("Range") for headers in asked(t)] == [None, "bytes=2112-", None][: 2 if whole else 3]


def test_a_body_without_a_length_may_have_been_cut(tmp_path: Path) -> None:
    """Nothing tells; so it is no file, unless something else does."""
    t = fetching([raw()])
    assert "does not say how long the file is; it may be cut" in refused(t, tmp_path, vidpoll.DownloadTruncated)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (BOXED, {}),
        (FILE, {"size": len(FILE)}),
        (FILE, {"checksum": f"sha256:{hashlib.sha256(FILE).hexdigest()}"}),
    ],
    ids=["boxes", "size", "checksum"],
)
def test_what_tells_that_a_body_without_a_length_is_whole(tmp_path: Path, body: bytes, told: dict[str, Any]) -> None:
    """An MP4 that ends where its boxes do; the provider's size or checksum."""
    assert got(fetching([raw(body)], provider=promising(**told)), tmp_path) == body


@pytest.mark.parametrize(
    ("told", "error"),
    [
        ({"size": len(FILE) + 1}, vidpoll.DownloadTruncated),
        ({"checksum": f"sha256:{hashlib.sha256(OTHER).hexdigest()}"}, vidpoll.DownloadChanged),
    ],
)
def test_what_the_provider_told_does_not_hold(tmp_path: Path, told: dict[str, Any], error: type[Exception]) -> None:
    """Then it is not the file; what came is not kept."""
    refused(fetching([raw()], provider=promising(**told)), tmp_path, error)
    assert list(tmp_path.iterdir()) == []


def promising(**told: Any) -> vidpoll.Provider:
    """Acme, telling more of its videos."""

    def parse(response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot:
        return vidpoll.Snapshot(vidpoll.State.COMPLETED, assets=(vidpoll.Asset("/v.mp4", **told),))

    return replace(ACME, status=replace(ACME.status, parse=parse))


def test_a_checksum_that_does_not_hold_keeps_nothing(tmp_path: Path) -> None:
    """Also where the bytes could have been gone on with."""
    provider = promising(checksum=f"md5:{hashlib.md5(OTHER).hexdigest()}")
    message = refused(fetching([full()], provider=provider), tmp_path, vidpoll.DownloadChanged)
    assert "its bytes do not match the checksum md5:" in message
    assert list(tmp_path.iterdir()) == []


def test_a_video_in_the_answer_itself(tmp_path: Path) -> None:
    """`Asset.data`: nothing is fetched."""

    def parse(response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot:
        return vidpoll.Snapshot(vidpoll.State.COMPLETED, assets=(vidpoll.Asset(data=FILE),))

    t = fetching([NoAnswer("not to be asked")], provider=replace(ACME, status=replace(ACME.status, parse=parse)))
    assert got(t, tmp_path) == FILE
    assert asked(t) == []


# -- faults -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        *(UNAVAILABLE, (500, {}, b""), (502, {}, b"<html>"), (429, {}, b""), (408, {}, b""), (599, {}, b"")),
        *(NoAnswer("nothing came for 30 s"), ConnectionResetError(), full(sent=0), full(sent=10, etag=None)),
    ],
)
def test_blips_are_borne(tmp_path: Path, fault: Any) -> None:
    """Again and again, with jitter that grows from half a second; the file is there in the end."""
    t = fetching([fault] * 5 + [full()])
    assert got(t, tmp_path) == FILE
    assert t.clock.waits == [0.5] * 5


def test_gaps_grow(tmp_path: Path) -> None:
    """Full jitter up to twice as much with each fault, and never above a minute."""
    t = fetching([UNAVAILABLE], patience=1e9)
    random = t.client._loop.context.random
    random.uniform = lambda low, high: high  # type: ignore[method-assign]
    refused(t, tmp_path, timeout=300)
    assert t.clock.waits[:9] == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]


@pytest.mark.parametrize(("patience", "least"), [(60.0, 60.0), (0.0, 1.0)])
def test_faults_are_bounded_by_patience(tmp_path: Path, patience: float, least: float) -> None:
    """By time, and never fewer than three of them; the last reason is in the error."""
    t = fetching([UNAVAILABLE], {"status": "done", "video": SIGNED}, patience=patience or 1e-9)
    began = t.clock.now
    message = refused(t, tmp_path, timeout=None)
    assert "HTTP 503" in message
    assert f"again and again for {least:.0f} s" in message
    assert least <= t.clock.now - began < least + 61
    assert len(asked(t)) >= 3


def test_a_cut_again_and_again_is_truncated(tmp_path: Path) -> None:
    """The error's type says what it was; the part stays for another run."""
    t = fetching([full(sent=50), rest(50, sent=0)], patience=30)
    assert "fewer bytes than announced, again and again" in refused(t, tmp_path, vidpoll.DownloadTruncated)
    assert len(list(tmp_path.glob("*.part"))) == 1


def test_bytes_restore_the_patience(tmp_path: Path) -> None:
    """A line that breaks all the time, but goes on, is not given up."""
    steps = [full(sent=1), *(rest(n, sent=1) for n in range(1, 300)), rest(300)]
    t = fetching(steps, patience=5)
    assert got(t, tmp_path) == FILE
    assert sum(t.clock.waits) == 150


def test_the_same_bytes_again_restore_nothing(tmp_path: Path) -> None:
    """A server without ranges that cuts at the same place gets nowhere, however much it sends."""
    t = fetching([full(sent=1000, etag=None)], patience=60)
    refused(t, tmp_path, vidpoll.DownloadTruncated, timeout=None)
    assert sum(t.clock.waits) < 70


@pytest.mark.parametrize("status", [503, 429])
def test_a_hint_is_kept_to(tmp_path: Path, status: int) -> None:
    """Retry-After, within the deadline."""
    slow = (status, {"retry-after": "20"}, b"")
    t = fetching([slow, full()])
    assert got(t, tmp_path) == FILE
    assert t.clock.waits == [20.0]
    message = refused(fetching([(status, {"retry-after": "200"}, b"")]), tmp_path / "b", timeout=100)
    assert f"not done in time (last: HTTP {status}" in message


@pytest.mark.parametrize("files", [[NoAnswer("lost")], [UNAVAILABLE], [full(sent=10, etag=None)]])
def test_a_download_ends_at_its_deadline(tmp_path: Path, files: Any) -> None:
    """Not a second later, whatever the patience; the error names the last fault."""
    t = fetching(files)
    began = t.clock.now
    assert "not done in time (last: " in refused(t, tmp_path, timeout=10)
    assert t.clock.now - began == 10.0


def test_a_fresh_url_is_polled_for_until_the_deadline(tmp_path: Path) -> None:
    """Not longer, whatever the provider asks for."""
    t = fetching([(403, {}, b"")], [done(SIGNED), (429, {"retry-after": "60"}, b"")])
    began = t.clock.now
    assert "not done in time (last: " in refused(t, tmp_path, timeout=10)
    assert t.clock.now - began == 10.0


def test_the_deadline_is_one_for_all_files(tmp_path: Path) -> None:
    """`timeout` is that of the call."""
    both = {"status": "done", "video": "/v.mp4", "cover": "/c.jpg"}
    t = talk({"/jobs": [both], "/v.mp4": [UNAVAILABLE] * 10 + [full()], "/c.jpg": [UNAVAILABLE]})
    with pytest.raises(vidpoll.DownloadError, match=r"c\.jpg: not done in time"):
        t.client.download(REF, tmp_path, kinds=("video", "thumbnail"), timeout=10)
    assert t.clock.now - 1_800_000_000 == 10.0


@pytest.mark.parametrize("status", [402, 405, 418, 422, 451])
def test_a_refusal_is_told_at_once(tmp_path: Path, status: int) -> None:
    """Asking again would change nothing."""
    t = fetching([(status, {"error": "no"})], {"status": "done", "video": SIGNED})
    assert refused(t, tmp_path).endswith(f"HTTP {status}: no; the job is unchanged")
    assert t.clock.waits == []


def test_a_refusal_that_the_plugin_cannot_read(tmp_path: Path) -> None:
    """Is told all the same: reading an error must not make a worse one."""

    def broken(response: vidpoll.Response) -> vidpoll.Problem:
        raise KeyError("error")

    t = fetching([(401, {}, b"{}")], provider=replace(ACME, error=broken), accounts=ACCOUNTS)
    assert "HTTP 401: unreadable error (KeyError); the job" in refused(t, tmp_path)


@pytest.mark.parametrize(("fault", "error"), [(Hopeless, vidpoll.DownloadError), (UnsafeHop, vidpoll.UnsafeURL)])
def test_what_is_hopeless_is_not_borne(tmp_path: Path, fault: type[NoAnswer], error: type[Exception]) -> None:
    """Redirects in a circle or to http, a file in a content coding."""
    t = fetching([fault("more than 5 redirects")])
    assert "more than 5 redirects; the job is unchanged" in refused(t, tmp_path, error)
    assert len(asked(t)) == 1


def changing() -> Any:
    """206 to everything, 100 bytes at a time, each of another version."""
    number = 0

    class Changing(FakeTransport):
        def fetch(self, wire: Any, ticket: Any, start: Callable[..., Any]) -> vidpoll.Response:
            nonlocal number
            number += 1
            first = int(wire.headers.get("Range", "bytes=0-")[6:-1])
            status, headers, body = rest(first, first + 100, etag=f'"v{number}"')
            self._scripts[""] = [vidpoll.Response(status, headers, body)]
            return super().fetch(wire, ticket, start)

    return Changing({"/jobs": [DONE], "": [full()]})


def test_a_file_that_changes_at_each_request(tmp_path: Path) -> None:
    """Is borne with patience, with pauses, and then told; nothing of it is kept."""
    t = talk((), transport=changing(), patience=60)
    assert "the file changed" in refused(t, tmp_path, vidpoll.DownloadChanged, timeout=None)
    assert 60 <= sum(t.clock.waits) <= 125
    assert list(tmp_path.iterdir()) == []


def test_a_client_that_is_closed_in_the_middle(tmp_path: Path) -> None:
    """By a callback or another thread: a clear error, and the part stays."""
    t = fetching([full(sent=50), rest(50)])
    with pytest.raises(vidpoll.UsageError, match="this client is closed; make a new one"):
        t.client.download(REF, tmp_path, on_progress=lambda event: t.client.close())
    assert len(list(tmp_path.glob("*.part"))) == 1


def test_progress(tmp_path: Path) -> None:
    """Of the file, not of the answer; hooks hear it too, and a job hears of nothing."""
    heard: list[Any] = []
    t = fetching([full(sent=50), rest(50)])
    t.client.download(REF, tmp_path, on_progress=heard.append)
    cut, whole = (50, len(FILE)), (len(FILE), len(FILE))
    assert [(event.received, event.total) for event in heard] == [cut, cut, whole]
    assert [event.fault for event in heard] == [None, "fewer bytes than announced", None]
    assert {(event.ref, event.kind) for event in heard} == {(REF, "video")}
    hooks = [hook for hook in t.ears.hooks if hook.startswith("download")]
    assert hooks == ["download_progress", "download_progress", "download_progress", "downloaded"]


# -- URLs that are not good any more ----------------------------------------------------------------------------------


def done(url: str) -> dict[str, Any]:
    return {"status": "done", "video": url}


OLD, NEW = "https://cdn.example/v.mp4?sig=old", "https://cdn.example/v.mp4?sig=new"


@pytest.mark.parametrize("status", STALE)
def test_a_url_that_expired_is_replaced_by_one_poll(tmp_path: Path, status: int) -> None:
    """Also one that is not good yet. The job stays as it is, and no hook of a verdict fires again."""
    t = fetching([(status, {}, b"<Error>expired</Error>"), full()], [done(OLD), done(NEW)])
    job = t.client.wait(REF)
    told = list(t.ears.told)
    (path,) = t.client.download(job, tmp_path)
    assert path.read_bytes() == FILE
    assert [wire.url for wire in t.wire.sent if "cdn" in wire.url] == [OLD, NEW]
    assert [wire.url for wire in t.wire.sent if "/jobs" in wire.url] == ["https://api.acme.example/v1/jobs/j1"] * 2
    assert job.ok
    assert t.ears.told == [*told, "downloadprogress", "downloaded"]
    assert sum(t.clock.waits) == pytest.approx(FLOOR)  # the second question about the job keeps to the floor


def test_a_url_that_expires_in_the_middle(tmp_path: Path) -> None:
    """The fresh one is gone on with where the old one stopped."""
    t = fetching([full(sent=50), (403, {}, b""), rest(50)], [done(OLD), done(NEW)])
    assert got(t, tmp_path) == FILE
    assert asked(t)[2] == {"Range": "bytes=50-", "If-Range": '"v1"'}


def test_a_fresh_url_on_another_path_begins_anew(tmp_path: Path) -> None:
    """It may name another file."""
    fresh = "https://cdn.example/other.mp4?sig=new"
    t = fetching([full(sent=50), (403, {}, b""), full(OTHER)], [done(OLD), done(fresh)])
    assert got(t, tmp_path) == OTHER
    assert asked(t)[2] == {}


def test_a_fresh_url_is_looked_for_three_times(tmp_path: Path) -> None:
    """As often as a completed answer without its files is asked again; then the answer's own reason is told."""
    t = fetching([(403, {"error": "expired"})], done(OLD))
    assert "HTTP 403: expired; the job is unchanged" in refused(t, tmp_path)
    assert len(asked(t)) == 4
    assert len(t.wire.sent) == 8
    assert sum(t.clock.waits) == pytest.approx(3 * FLOOR)


def test_bytes_restore_the_three_times(tmp_path: Path) -> None:
    """A long download may see many URLs expire."""
    files = [step for n in range(8) for step in (full(sent=1) if n == 0 else rest(n, sent=1), (403, {}, b""))]
    assert got(fetching([*files, rest(8)], done(OLD)), tmp_path) == FILE


@pytest.mark.parametrize("later", [{"status": "done"}, (404, {}, b""), (200, {}, b"<html>"), {"status": "drawing"}])
def test_a_url_that_is_named_no_more(tmp_path: Path, later: Any) -> None:
    """Three answers without it: ResultMissing, which names why one was looked for."""
    t = fetching([(410, {"error": "cleaned up"})], [done(OLD), later])
    message = refused(t, tmp_path, vidpoll.ResultMissing)
    assert message == ("acme:j1: the video is gone (HTTP 410: cleaned up), and the provider no longer lists it")
    assert len(t.wire.sent) == 1 + 1 + 3


def test_a_job_that_is_gone(tmp_path: Path) -> None:
    """410 of the job's own record: the same, and the job stays completed."""
    refused(fetching([(403, {}, b"")], [done(OLD), (410, {}, b"")]), tmp_path, vidpoll.ResultMissing)


@pytest.mark.parametrize("blip", [UNAVAILABLE, NoAnswer("lost"), (429, {}, b"")])
def test_a_blip_of_the_poll_is_borne(tmp_path: Path, blip: Any) -> None:
    """It says nothing about the URL: asked again, within the patience."""
    t = fetching([(403, {}, b""), full()], [done(OLD), blip, blip, blip, blip, done(NEW)])
    assert got(t, tmp_path) == FILE
    t = fetching([(403, {}, b"")], [done(OLD), blip], patience=40)
    message = refused(t, tmp_path / "b", timeout=None)
    assert "no fresh URL could be fetched: acme:j1: " in message
    assert "again and again" in message


@pytest.mark.parametrize("status", [400, 401, 402, 403, 451])
def test_a_poll_that_is_refused(tmp_path: Path, status: int) -> None:
    """Told at once, with both reasons."""
    t = fetching([(403, {"error": "expired"})], [done(OLD), (status, {"error": "no"})])
    message = refused(t, tmp_path)
    assert len(t.wire.sent) <= 4  # a refusal is asked about once more, as ever
    assert "HTTP 403: expired; no fresh URL could be fetched: acme:j1: " in message
    assert "no" in message


def test_the_second_of_a_kind_gets_the_second_fresh_url(tmp_path: Path) -> None:
    """Files are told apart by their place among those of their kind."""

    def parse(response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot:
        urls = vidpoll.parsing.json_object(response)["urls"]
        return vidpoll.Snapshot(vidpoll.State.COMPLETED, assets=tuple(map(vidpoll.Asset, urls)))

    provider = replace(ACME, status=replace(ACME.status, parse=parse))
    script = {
        "/jobs": [{"urls": ["/a?1", "/b?1"]}, {"urls": ["/a?2", "/b?2"]}],
        "/a?1": [full()],
        "/b?1": [(403, {}, b"")],
        "/b?2": [full(OTHER)],
    }
    t = talk(script, provider=provider, accounts=ACCOUNTS)
    one, two = t.client.download(REF, tmp_path)
    assert (one.read_bytes(), two.read_bytes()) == (FILE, OTHER)


def test_an_unsafe_fresh_url(tmp_path: Path) -> None:
    """It is checked like the first one."""
    t = fetching([(403, {}, b"")], [done(OLD), done("ftp://cdn.example/v.mp4")])
    assert "ftp://cdn.example/v.mp4" in refused(t, tmp_path, vidpoll.UnsafeURL)


def test_the_key_stays_home_on_every_request(tmp_path: Path) -> None:
    """A resumed request, and one to a fresh URL, get it exactly where the first one would."""
    secret = {"Authorization": f"Bearer {KEY}"}
    own = [full(sent=50), UNAVAILABLE, rest(50)]
    t = fetching(own, done("/v.mp4"))
    got(t, tmp_path / "own")
    assert [dict(wire.secret) for wire in t.wire.sent] == [secret] * 4
    t = fetching([full(sent=50), (403, {}, b""), rest(50)], done(OLD))
    got(t, tmp_path / "other")
    assert [dict(wire.secret) for wire in t.wire.sent if "cdn" in wire.url] == [{}] * 3
    provider = replace(ACME, media_hosts=("cdn.example",))
    t = fetching(own, done(OLD), provider=provider, accounts=ACCOUNTS)
    got(t, tmp_path / "media")
    assert [dict(wire.secret) for wire in t.wire.sent if "cdn" in wire.url] == [secret] * 3
    t = fetching([(403, {}, b""), full()], [done("/v.mp4"), done(NEW)])
    got(t, tmp_path / "moved")
    assert [dict(wire.secret) for wire in t.wire.sent if "v.mp4" in wire.url] == [secret, {}]


# -- content ----------------------------------------------------------------------------------------------------------

WITH_CONTENT = replace(
    ACME,
    content=vidpoll.Operation(
        lambda job_id: vidpoll.Request("GET", f"/jobs/{job_id}/content"), parse_content, verdicts=(400,)
    ),
)
JSON = {"content-type": "application/json"}


def content(files: Any, **options: Any) -> Talk:
    """A job, over long ago, that names no URL; `files` answer the content operation and what it names."""
    return fetching(files, LONG_AGO, provider=WITH_CONTENT, accounts=ACCOUNTS, **options)


def test_content_as_a_file_is_gone_on_with(tmp_path: Path) -> None:
    """It is streamed like any file, with Range and the key."""
    t = content([full(sent=50), rest(50)])
    assert got(t, tmp_path) == FILE
    assert asked(t)[-1] == {"Range": "bytes=50-", "If-Range": '"v1"'}
    assert t.wire.sent[-1].secret == {"Authorization": f"Bearer {KEY}"}


@pytest.mark.parametrize(
    "not_yet",
    [
        (202, JSON, b"{}"),
        (400, JSON, b'{"error": "not ready"}'),
        (404, {}, b""),
        (425, {}, b""),
        (200, JSON, b'{"status": "saving"}'),
        (200, {"content-type": "text/html"}, b"<html>"),
        (200, {"content-type": "application/xml"}, b"<wait/>"),
    ],
)
def test_content_that_is_not_ready(tmp_path: Path, not_yet: Any) -> None:
    """Is asked again, at the provider's floor, three times."""
    t = content([not_yet] * 3 + [full()])
    assert got(t, tmp_path) == FILE
    t = content([not_yet])
    refused(t, tmp_path / "b")
    contents = [wire for wire in t.wire.sent if wire.url.endswith("/content")]
    assert len(contents) == 4
    assert sum(t.clock.waits[-3:]) == pytest.approx(3 * FLOOR)


def test_content_that_names_a_url(tmp_path: Path) -> None:
    """Which is fetched without the key, and named anew by the content when it expires."""
    named = [(200, JSON, b'{"url": "https://cdn.example/v.mp4?sig=%d"}' % n) for n in (1, 2)]
    files = {"/content": named, "/jobs": [{"status": "done"}], "sig=1": [full(sent=50), (403, {}, b"")]}
    t = talk({**files, "sig=2": [rest(50)]}, provider=WITH_CONTENT, accounts=ACCOUNTS)
    assert got(t, tmp_path) == FILE
    assert [dict(wire.secret) for wire in t.wire.sent if "cdn" in wire.url] == [{}, {}, {}]
    assert [wire.url.rpartition("=")[2] for wire in t.wire.sent if "cdn" in wire.url] == ["1", "1", "2"]


@pytest.mark.parametrize("given", [lambda r, j: None, lambda r, j: 1 / 0, lambda r, j: "https://x.example/"])
def test_a_content_parser_that_breaks_its_contract(tmp_path: Path, given: Any) -> None:
    """Told as such, and bounded."""
    operation = replace(WITH_CONTENT.content, parse=given)  # type: ignore[type-var]
    provider = replace(WITH_CONTENT, content=operation)
    t = fetching([(200, JSON, b"{}")], {"status": "done"}, provider=provider, accounts=ACCOUNTS)
    assert "its content: no video in the content: " in refused(t, tmp_path)


def test_content_blips_are_borne(tmp_path: Path) -> None:
    """Like those of any file; a refusal is told at once."""
    assert got(content([UNAVAILABLE, NoAnswer("lost"), full()]), tmp_path) == FILE
    assert "HTTP 401" in refused(content([(401, {}, b"")]), tmp_path / "b")
