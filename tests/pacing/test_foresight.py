"""When the next stage begins: by the ranges that a provider declares, and the pace of the progress."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from random import Random
from typing import Any
from urllib.parse import urlsplit

import pytest
from acme_provider import ACME, Plugin
from hypothesis import given, settings
from hypothesis import strategies as st

import vidpoll
from vidpoll import Adaptive, Law, Stage, State
from vidpoll.job_state import Moment
from vidpoll.pacing.forecast import forecast
from vidpoll.pacing.foresight import Ahead, foresee, spans
from vidpoll.testing import FakeClock

few = settings(max_examples=40, deadline=None)
STAGES = (
    Stage("queued", State.QUEUED),
    Stage("image", State.RUNNING, (5, 20)),
    Stage("upload", State.RUNNING, (20, 25)),
    Stage("video", State.RUNNING, (25, 90)),
    Stage("saving", State.RUNNING, (90, 100)),
    Stage("done", State.COMPLETED, (100, 100)),
)
RANGES = spans(STAGES)


def seen(*moments: tuple[float, str, float | None]) -> list[Moment]:
    """A job that was made at second 0, and what was seen of it."""
    return [Moment(0.0, None, None, None), *(Moment(at, State.RUNNING, stage, shown) for at, stage, shown in moments)]


def test_the_ranges_are_those_of_stages_that_a_job_goes_through() -> None:
    """A verdict has none, nor a stage at which the progress stands."""
    assert RANGES == {"image": (5, 20), "upload": (20, 25), "video": (25, 90), "saving": (90, 100)}
    assert spans((Stage("audio", State.RUNNING, (30, 30)), Stage("run", State.RUNNING))) == {}


AHEAD = {
    "by the pace of its own stage": (
        seen((2.0, "queued", 1.0), (10.0, "image", 6.0), (14.0, "image", 14.0)), 14.0, Ahead(3.0, 2.5, True)
    ),
    "by that of the job, while the stage shows none": (
        seen((0.0, "queued", 0.0), (10.0, "image", 10.0)), 10.0, Ahead(10.0, 5.0, False)
    ),
    "from before the first range": (
        seen((0.0, "queued", 0.0), (2.0, "queued", 1.0)), 2.0, Ahead(8.0, 30.0, True)
    ),
    "by the progress, where the word has no range": (
        seen((0.0, "working", 5.0), (10.0, "working", 10.0)), 10.0, Ahead(20.0, 10.0, True)
    ),
    "later, while the progress lags": (
        seen((0.0, "image", 5.0), (10.0, "image", 10.0)), 12.0, Ahead(24.0, 12.0, True)
    ),
    "since the progress fell": (
        seen((0.0, "image", 15.0), (5.0, "image", 5.0), (15.0, "image", 15.0)), 15.0, Ahead(5.0, 5.0, True)
    ),
    "the end after the last stage": (
        seen((0.0, "saving", 90.0), (4.0, "saving", 98.0)), 4.0, Ahead(1.0, None, True)
    ),
}  # fmt: skip


@pytest.mark.parametrize(("history", "now", "ahead"), AHEAD.values(), ids=AHEAD)
def test_what_is_foreseen(history: list[Moment], now: float, ahead: Ahead) -> None:
    """When the next stage begins, how long it lasts, and whether the present one has shown its pace."""
    assert foresee(RANGES, history, now) == ahead


UNCLEAR = {
    "no progress": (seen((0.0, "image", None), (9.0, "image", None)), 9.0),
    "one progress tells no pace": (seen((9.0, "image", 7.0)), 9.0),
    "progress that stands still": (seen((0.0, "image", 5.0), (10.0, "image", 10.0)), 16.0),
    "progress that contradicts the stage": (seen((0.0, "image", 30.0), (9.0, "image", 40.0)), 9.0),
    "nothing seen": ([], 0.0),
}


@pytest.mark.parametrize(("history", "now"), UNCLEAR.values(), ids=UNCLEAR)
def test_what_cannot_be_foreseen(history: list[Moment], now: float) -> None:
    """Then the next stage may begin at any time."""
    assert foresee(RANGES, history, now) is None


def test_overlapping_ranges_foretell_no_end() -> None:
    """A stage that is not the last one and has none after it says nothing."""
    ranges = spans((Stage("a", State.RUNNING, (0, 50)), Stage("b", State.RUNNING, (40, 100))))
    assert foresee(ranges, seen((0.0, "a", 10.0), (10.0, "a", 20.0)), 10.0) is None


@pytest.mark.parametrize(
    ("ahead", "gap"),
    [
        (Ahead(4.0, 4.0, True), 4.6),  # into the stage: it may be shorter than it seems
        (Ahead(10.0, 4.0, True), 7.0),  # the error might be longer than the stage: look before it begins
        (Ahead(10.0, 4.0, False), 6.0),  # still sooner where the pace is rough
        (Ahead(100.0, 90.0, True), 20.0),  # no sooner than the schedule wants
        (Ahead(0.0, 1e-3, True), 1.0),
        (Ahead(4.0, None, True), 20.0),
    ],
)
def test_the_question_is_aimed_at_the_next_stage(ahead: Ahead, gap: float) -> None:
    """Of a schedule that would wait 20 s."""
    assert ahead.aimed(20.0) == pytest.approx(gap)


def test_an_end_that_is_near_is_waited_for() -> None:
    """One question just after it, and not several before."""
    assert Ahead(4.0, None, True).aimed(1.0) == 4.0
    assert Ahead(4.0, None, False).aimed(1.0) == 1.0
    assert Ahead(9.0, None, True).aimed(1.0) == 1.0


def test_the_automatic_gap_is_longer_where_a_stage_is_foreseen() -> None:
    """20 s then, 5 s where it may begin at any time; a gap that is given holds in either case."""
    history, law = seen((30.0, "video", 25.0), (34.0, "video", 27.0)), Law(150, 0.2)
    known, unknown = forecast(law, history, 34.0, RANGES), forecast(law, history, 34.0)
    assert (Adaptive().gap(known), Adaptive().gap(unknown)) == (20.0, 5.0)
    assert (Adaptive(12.0).gap(known), Adaptive(12.0).gap(unknown)) == (12.0, 12.0)


MOMENTS = st.lists(
    st.builds(
        Moment,
        st.floats(0, 2e9),
        st.sampled_from(State),
        st.none() | st.sampled_from(["queued", "image", "upload", "video", "saving", "other"]),
        st.none() | st.floats(0, 100),
    )
)
WIDTHS = st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)).map(sorted), max_size=5)


@few
@given(MOMENTS, st.floats(0, 2e9), WIDTHS, st.just("auto") | st.floats(0.1, 3600), st.booleans())
def test_a_gap_is_finite_and_within_its_bounds(
    history: list[Moment], now: float, widths: list[list[float]], max_gap: Any, sorted_by_time: bool
) -> None:
    """Whatever was seen, and whatever ranges are declared; the loop keeps the floor."""
    words = ("image", "upload", "video", "saving", "other")
    ranges = spans(Stage(word, State.RUNNING, (low, high)) for word, (low, high) in zip(words, widths, strict=False))
    history = sorted(history, key=lambda moment: moment.at) if sorted_by_time else history
    gap = Adaptive(max_gap).gap(forecast(Law(), history, now, ranges))
    assert math.isfinite(gap)
    assert 0 < gap <= (20.0 if max_gap == "auto" else max_gap)


# -- a whole wait -----------------------------------------------------------------------------------------------------

LIFE = ((4.0, 0, 5, "queued"), (15.0, 5, 20, "image"), (18.0, 20, 25, "upload"), (100.0, 25, 90, "video"),
        (106.0, 90, 100, "saving"))  # fmt: skip
"""Until which second which stage goes, and over which progress."""


class Vendor:
    """A server with one job that lives LIFE; `stages` are those that its plugin declares."""

    def __init__(self, stages: tuple[Stage, ...]) -> None:
        self.clock = FakeClock()
        self.begun, self.asked, self.stages = self.clock.now, 0, set[str]()
        pacing = vidpoll.Pacing(floor=3.0, typical=(60, 180))
        plugin = Plugin(replace(ACME, pacing=pacing, stages=stages, status=STATUS))
        accounts = {"acme": vidpoll.Account("acme", key="acme-0123456789")}
        self.client = vidpoll.Client(
            plugins=[plugin], discover=False, clock=self.clock, transport=self, accounts=accounts
        )

    def send(self, wire: Any, ticket: Any) -> vidpoll.Response:
        name, age, begin = urlsplit(wire.url).path.rpartition("/")[2], self.clock.now - self.begun, 0.0
        self.asked += 1
        for end, low, high, word in LIFE:
            if age < end:
                self.stages.add(word)
                shown = int(low + (high - low) * (age - begin) / (end - begin))
                return self.answer({"id": name, "status": word, "progress": shown})
            begin = end
        return self.answer({"id": name, "status": "done", "progress": 100, "video": "/a.mp4"})

    def answer(self, body: object) -> vidpoll.Response:
        return vidpoll.Response(200, {}, json.dumps(body).encode())

    def fetch(self, wire: Any, ticket: Any, start: Any) -> vidpoll.Response:
        return self.send(wire, ticket)

    def close(self) -> None:
        """Nothing is open."""


STATUS = vidpoll.declare.status("GET /jobs/{id}", vidpoll.declare.Reader(STAGES, progress="progress",
                                                                        files={"video": "video"}))  # fmt: skip


def wait(stages: tuple[Stage, ...], pacing: vidpoll.Schedule | None = None) -> Vendor:
    vendor = Vendor(stages)
    vendor.client._loop.context.random = Random(1)
    assert vendor.client.wait("acme:j1", pacing=pacing).ok
    return vendor


def test_a_wait_sees_short_stages_with_half_of_the_questions() -> None:
    """What the plugin declares reaches the schedule, with a law of the caller's own too; floor and verdict as ever."""
    declared, bare = wait(STAGES), wait(())
    assert declared.stages == {word for *_, word in LIFE}
    assert declared.asked <= 0.6 * bare.asked
    assert min(declared.clock.waits) >= 3.0
    assert declared.clock.now - declared.begun < 106.0 + 3.0
    assert wait(STAGES, Adaptive(law=Law.of((60, 180)))).asked == declared.asked
