"""One status request, repeated while it meets transient errors, as a wait would."""

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
    """Call `ask` until its watch has a result: a Snapshot, or an error that is not transient. Return that watch.

    Transient errors are retried until `timeout` seconds (None: no bound) or the loop's patience are over; then the
    last one is the result. The watch itself keeps to the account's floor and to the hint of a 429; `ask` gets the
    number of seconds that are left.
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
    """The transient error of a watch's answer, if it is one. An unknown status word is not: it is about the job."""
    if isinstance(answer, AnswerError) and not isinstance(answer, UnknownStatus):
        answer = Fault(str(answer))
    return answer if isinstance(answer, Fault) and answer.meaning is Meaning.TRANSIENT else None
