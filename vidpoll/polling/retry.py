"""One question: asked again while what comes is trouble that passes, as a wait would."""

from __future__ import annotations

from collections.abc import Callable
from queue import Queue
from typing import TYPE_CHECKING

from ..errors import AnswerError, UnknownStatus
from ..faults import FailureStreak, Fault, Meaning

if TYPE_CHECKING:
    from .loop import Loop
    from .watch import Watch


def retried(loop: Loop, ask: Callable[[float | None], Watch], *, timeout: float | None) -> Watch:
    """The question of `ask` that had an answer: a Snapshot, or what does not pass.

    A transient error is borne until `timeout` seconds (None: no bound) or the loop's patience are over; then it is the
    answer. The account's floor and what a 429 asks for are kept to by the question itself, which is told how many
    seconds are left.
    """
    streak, start, nothing = FailureStreak(), loop.now(), Queue[None]()
    while True:
        asked = ask(None if timeout is None else max(0.0, start + timeout - loop.now()))
        fault, now = _passing(asked.answer), loop.now()
        if fault is None:
            return asked
        streak.bear(fault, now)
        pause = max(streak.gap(asked.account.provider.pacing.floor, loop.context.random), fault.hint or 0.0)
        late = timeout is not None and now + pause > start + timeout
        if late or streak.over(now, loop.context.patience):
            return asked
        loop.clock.get(nothing, pause, busy=False)


def _passing(answer: object) -> Fault | None:
    """The transient error that an answer is; an unknown word is a word about the job."""
    if isinstance(answer, AnswerError) and not isinstance(answer, UnknownStatus):
        answer = Fault(str(answer))
    return answer if isinstance(answer, Fault) and answer.meaning is Meaning.TRANSIENT else None
