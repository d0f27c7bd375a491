"""A thumbnail for whoever is told of a job: by the account's own way, bounded, an image, and never in the way."""

from __future__ import annotations

import pickle
import threading

import pytest
from acme_provider import DONE, KEY, REF, talk

import vidpoll
from vidpoll.net.accounts import Account, OpenAccount
from vidpoll.polling import small_files

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 30
COVER = "https://cdn.example/cover.png?sig=1"


def completed(cover: object, answer: object) -> tuple[vidpoll.Job, list[object]]:
    """A completed job with a thumbnail whose URL is answered so, its client closed; and what is sent."""
    t = talk({"/jobs/": [{**DONE, "cover": cover}], "": [answer]})
    with t.client:
        job = t.client.wait(REF)
    return job, t.wire.sent


@pytest.mark.parametrize(
    "body",
    [PNG, b"\xff\xd8\xff\xe0", b"GIF89a", b"RIFF\0\0\0\0WEBPVP8 ", b"\0\0\0\x1cftypavif"],
    ids=["png", "jpeg", "gif", "webp", "avif"],
)
def test_an_image_is_fetched(body: bytes) -> None:
    """After the client was closed, too: a notifier sends in its own time. The key stays at its origin."""
    job, sent = completed(COVER, body)
    assert job.thumbnail() == body
    assert sent[1].secret == {}  # type: ignore[attr-defined]
    job, sent = completed("/cover.png", body)
    assert job.thumbnail() == body
    assert KEY in sent[1].secret["Authorization"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("cover", "answer", "requests"),
    [
        (None, PNG, 0),
        ("http://localhost:2375/x.png", PNG, 0),
        (COVER, b"", 1),
        (COVER, b"<svg>", 1),
        (COVER, (404, {}, PNG), 1),
        (COVER, PNG + b"\0" * 5_000_000, 1),
        (COVER, ConnectionResetError(), 1),
    ],
)
def test_what_is_no_image_is_none(cover: object, answer: object, requests: int) -> None:
    """No URL, one of this network, a page, a refusal, too many bytes, no answer: it is asked for once at most."""
    job, sent = completed(cover, answer)
    assert (job.thumbnail(), len(sent) - 1) == (None, requests)


def test_without_a_thread_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever tells of the job tells of it without the picture."""
    job, sent = completed(COVER, PNG)

    def none(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", none)
    assert (job.thumbnail(), len(sent)) == (None, 1)


def test_a_job_that_nobody_asked_about_has_none() -> None:
    """Nor one that comes out of a pickle: it has no client."""
    job, sent = completed(COVER, PNG)
    assert pickle.loads(pickle.dumps(job)).thumbnail() is None
    assert vidpoll.Job(REF).thumbnail() is None
    assert len(sent) == 1


def test_a_server_that_hangs_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connection is shut when the time is over."""
    shut = threading.Event()

    def hang(wire: object, ticket: object) -> vidpoll.Response:
        ticket.shut = shut.set  # type: ignore[attr-defined]
        shut.wait(10.0)
        return vidpoll.Response(200, {}, PNG)

    monkeypatch.setattr(small_files, "TIMEOUT", (0.01, 0.01))
    provider = talk([]).client.provider("acme")
    account = OpenAccount("acme", Account("acme", key=None), provider, {})
    assert small_files.fetch(account, hang, COVER, 100, "image/*") is None
    assert shut.is_set()
