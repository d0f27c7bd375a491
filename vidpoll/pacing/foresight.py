"""When the next stage of a job begins, by its progress and the ranges that its provider declares. Pure arithmetic.

A stage is missed where no question falls into it. All times are seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from ..job_state import Moment
from ..provider import Stage

Spans = Mapping[str, tuple[float, float]]
"""From which progress to which (per cent) a stage goes, by its word."""

_LIKENESS, _ROUGH = 0.3, 0.4
"""The error of a foreseen beginning, as a share of the time until then: by the stage's own pace, or by the job's."""

_INTO = 0.15
"""The question is aimed at this share of the next stage: it may be shorter than its range says."""

_NEAR = 5.0
"""Seconds: an end that is foreseen so near is waited for."""

_STILL = 3.0
"""Progress that lags by so many per cent stands still, and foretells nothing."""

_LEAST, _SOON, _SHORTEST = 1e-6, 1e-3, 1.0  # per cent, seconds, seconds


class Ahead(NamedTuple):
    """What is foreseen to begin in `begins` seconds: a stage that `lasts` some seconds, or the end (None).

    `sure`: the stage that the job is in has shown its pace.
    """

    begins: float
    lasts: float | None
    sure: bool

    def aimed(self, gap: float) -> float:
        """The gap that a schedule wants, such that the question falls into the next stage, or just after the end.

        Where the next stage may be missed yet, the question comes before it begins, and foresees it better.
        """
        if self.lasts is None:
            return max(gap, self.begins) if self.sure and self.begins <= _NEAR else gap
        error = self.begins * (_LIKENESS if self.sure else _ROUGH)
        aim = self.begins - error if error > self.lasts / 2.0 else self.begins + _INTO * self.lasts
        return min(gap, max(aim, _SHORTEST))


def spans(stages: Iterable[Stage]) -> Spans:
    """The ranges of progress that a provider declares for the stages of a job that goes on."""
    declared = {stage.word: stage.progress for stage in stages if stage.progress and not stage.state.final}
    return {word: (low, high) for word, (low, high) in declared.items() if low < high}


def foresee(ranges: Spans, history: Sequence[Moment], now: float) -> Ahead | None:
    """What comes next for a job with this history at Unix second `now`; None where its progress does not tell."""
    shown = history[-1].progress if history and ranges else None
    if shown is None:
        return None
    found = _next(ranges, history[-1].stage, shown)
    moments, sure = _pace(history)
    if found is None or len(moments) < 2:
        return None
    (first, begun), (last, reached) = moments[0], moments[-1]
    risen, now = reached - begun, max(now, last)
    if risen < _LEAST or last - first < _SOON or (now - last) * risen >= _STILL * (last - first):
        return None
    low, high = found
    each = (now - first) / risen
    return Ahead(max(low - shown, 0.0) * each, None if high is None else (high - low) * each, sure)


def rising(history: Sequence[Moment]) -> list[tuple[float, float]]:
    """When the progress came to what, since it last fell."""
    found: list[tuple[float, float]] = []
    for moment in history:
        if moment.progress is None:
            continue
        if found and moment.progress < found[-1][1]:
            found.clear()
        if not found or moment.progress > found[-1][1]:
            found.append((moment.at, moment.progress))
    return found


def _pace(history: Sequence[Moment]) -> tuple[list[tuple[float, float]], bool]:
    """The progress by which the pace is told: that of the last stage, or of the whole job while that is not enough."""
    start = len(history) - 1
    while start > 0 and history[start - 1].stage == history[-1].stage:
        start -= 1
    own = rising(history[start:])
    return (own, True) if len(own) > 1 else (rising(history), False)


def _next(ranges: Spans, stage: str | None, shown: float) -> tuple[float, float | None] | None:
    """From where to where the next stage goes; the end of the last one, and None. None where that is unclear."""
    ordered = sorted(ranges.values())
    within = (each for each in reversed(ordered) if each[0] <= shown <= each[1])
    here = ranges.get(stage or "") or next(within, (shown, shown))
    if not here[0] <= shown <= here[1]:  # the progress contradicts the stage
        return None
    following = next((each for each in ordered if each[0] >= here[1]), None)
    if following is None and here[1] == max(high for _, high in ordered):
        return here[1], None
    return following
