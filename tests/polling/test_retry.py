"""One question that is asked again while what comes is trouble that passes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from acme_provider import BROKEN, DONE, DRAWING, FLOOR, HTML, MP4, REF, SLOW_DOWN, UNAVAILABLE, talk

import vidpoll
from vidpoll.faults import NoAnswer

NO_SUCH_JOB = (404, {}, b"")
BOT_CHECK = (403, {"content-type": "text/html"}, b"<!doctype html><title>Just a moment</title>")
PASSING = [SLOW_DOWN, UNAVAILABLE, NoAnswer("nothing came for 30 s"), HTML, BOT_CHECK]


@pytest.mark.parametrize("trouble", PASSING, ids=["429", "503", "no answer", "a page", "a bot check"])
def test_a_download_bears_trouble_before_the_first_answer(tmp_path: Path, trouble: Any) -> None:
    """As `wait` does: the provider's floor and hint are kept to, and the file is saved."""
    t = talk({"/jobs": [trouble, trouble, DONE], "": [MP4]})
    (path,) = t.client.download(REF, tmp_path)
    assert (path.read_bytes(), t.requests) == (MP4, ["GET /v1/jobs/j1"] * 3 + ["GET /files/j1.mp4"])
    assert sum(t.clock.waits) == (40.0 if trouble is SLOW_DOWN else 2 * FLOOR)


def test_a_download_waits_for_no_hint_beyond_its_end(tmp_path: Path) -> None:
    """The account is held for longer than the download may take: that is said, once the job's floor is kept to."""
    t = talk({"/jobs": [SLOW_DOWN], "": [MP4]})
    t.client.wait(REF, timeout=0, check=False)
    t.clock.waits.clear()
    with pytest.raises(vidpoll.RateLimited, match="was not sent"):
        t.client.download(REF, tmp_path, timeout=1.0)
    assert (sum(t.clock.waits), len(t.requests)) == (FLOOR, 1)


def test_so_does_a_stream(tmp_path: Path) -> None:
    """`open` begins like a download."""
    t = talk({"/jobs": [SLOW_DOWN, DONE], "": [MP4]})
    assert t.client.open(REF).read() == MP4


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (NO_SUCH_JOB, vidpoll.NotFound),
        ((401, {}, b""), vidpoll.AuthenticationError),
        ({"status": "resting"}, vidpoll.UnknownStatus),
        (BROKEN, vidpoll.JobFailed),
        (DRAWING, vidpoll.UsageError),
    ],
)
def test_what_does_not_pass_is_raised_at_once(tmp_path: Path, answer: Any, error: type[Exception]) -> None:
    """A refusal, or a word about the job."""
    t = talk({"/jobs": [answer], "": [MP4]})
    with pytest.raises(error):
        t.client.download(REF, tmp_path)
    assert (t.requests, t.clock.waits) == (["GET /v1/jobs/j1"], [])


@pytest.mark.parametrize(("timeout", "lasts"), [(None, 600.0), (3600.0, 600.0), (60.0, 60.0), (0.0, 0.0)])
def test_it_ends_with_patience_or_in_time(tmp_path: Path, timeout: float | None, lasts: float) -> None:
    """With the last word of the provider."""
    t = talk({"/jobs": [UNAVAILABLE]})
    with pytest.raises(vidpoll.ServerError, match="HTTP 503"):
        t.client.download(REF, tmp_path, timeout=timeout)
    assert sum(t.clock.waits) == lasts


def test_the_first_answer_is_inside_the_timeout(tmp_path: Path) -> None:
    """What it took is taken off the time for the files."""
    t = talk({"/jobs": [SLOW_DOWN, DONE], "": [UNAVAILABLE]})
    start = t.clock.now
    with pytest.raises(vidpoll.DownloadError, match="not done in time"):
        t.client.download(REF, tmp_path, timeout=60.0)
    assert t.clock.now - start == 60.0
