"""When the next stage of a job begins, by its progress and the ranges that its provider declares. Pure arithmetic.

A stage is missed if no poll falls into it. All times are seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from ..job_state import Moment
from ..provider import Stage

Spans = Mapping[str, tuple[float, float]]
"""The range of progress (from, to in percent) of each stage, by its word."""

_LIKENESS, _ROUGH = 0.3, 0.4
"""The error of a predicted begin, as a share of the time until then: by the stage's own pace, or by the job's."""

_INTO = 0.15
"""The poll is aimed at this share of the next stage, because the stage may be shorter than its range says."""

_NEAR = 5.0
"""Seconds: if the predicted end is this near, the poll waits for it."""

_STILL = 3.0
"""Percent: progress that lags by this much has stopped, and predicts nothing."""

_LEAST, _SOON, _SHORTEST = 1e-6, 1e-3, 1.0  # per cent, seconds, seconds


class Ahead(NamedTuple):
    """What is predicted to begin in `begins` seconds: a stage of `lasts` seconds, or the end (`lasts` is None).

    `sure`: the prediction is by the pace of the current stage itself.
    """

    begins: float
    lasts: float | None
    sure: bool

    def aimed(self, gap: float) -> float:
        """The `gap` of a schedule, changed so that the poll falls into the next stage, or just after the end.

        If the prediction is too rough to hit the stage, the poll comes before it begins, and predicts it better.
        """
        if self.lasts is None:
            return max(gap, self.begins) if self.sure and self.begins <= _NEAR else gap
        error = self.begins * (_LIKENESS if self.sure else _ROUGH)
        aim = self.begins - error if error > self.lasts / 2.0 else self.begins + _INTO * self.lasts
        return min(gap, max(aim, _SHORTEST))


def spans(stages: Iterable[Stage]) -> Spans:
    """The ranges of progress that a provider declares for the stages before a verdict."""
    declared = {stage.word: stage.progress for stage in stages if stage.progress and not stage.state.final}
    return {word: (low, high) for word, (low, high) in declared.items() if low < high}


def foresee(ranges: Spans, history: Sequence[Moment], now: float) -> Ahead | None:
    """What comes next for a job with this history, at Unix second `now`; None if its progress does not show it."""
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
    """(time, progress) of each rise of the progress since it last fell."""
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
    """The rises that give the pace: those of the last stage (True), or if too few, those of the whole job (False)."""
    start = len(history) - 1
    while start > 0 and history[start - 1].stage == history[-1].stage:
        start -= 1
    own = rising(history[start:])
    return (own, True) if len(own) > 1 else (rising(history), False)


def _next(ranges: Spans, stage: str | None, shown: float) -> tuple[float, float | None] | None:
    """The range of the next stage; after the last stage its end and None. None if it is unclear."""
    ordered = sorted(ranges.values())
    within = (each for each in reversed(ordered) if each[0] <= shown <= each[1])
    here = ranges.get(stage or "") or next(within, (shown, shown))
    if not here[0] <= shown <= here[1]:  # the progress contradicts the stage
        return None
    following = next((each for each in ordered if each[0] >= here[1]), None)
    if following is None and here[1] == max(high for _, high in ordered):
        return here[1], None
    return following
