"""From the hooks to the broker: a verdict is handed over by a thread, so that a broker that hangs holds up no question.

Nothing is kept here. What does not reach the broker in time stands in the store as not heard, and is told again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import vidpoll

log = logging.getLogger("vidpoll")

AGAIN = 45.0
"""Seconds after which a verdict is one that is told again, and which one waits for its broker: the store tells it every
60 s until it was heard."""

PAUSE = 1.0
"""Seconds between two tries, while the broker does not answer."""

ENOUGH = 1000
"""Messages in the queue of verdicts from which on none is sent again: it is there, or comes a minute later."""


class Carrier:
    """Sends what is handed over, in order. `send(data)` puts it into the queue, in which `waiting()` messages are."""

    def __init__(self, send: Callable[[dict[str, Any]], object], waiting: Callable[[], int]) -> None:
        self._send, self._waiting = send, waiting
        self._lock = threading.Lock()
        self._left: deque[tuple[dict[str, Any], bool, float]] = deque()  # what waits, and until which monotonic second
        self._thread: threading.Thread | None = None

    def hand_over(self, data: dict[str, Any], *, again: bool) -> None:
        """Send it soon; `again`: only where the queue is not long."""
        with self._lock:
            self._left.append((data, again, time.monotonic() + AGAIN))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="vidpoll-carrier", daemon=True)
                self._thread.start()

    def flush(self, seconds: float) -> None:
        """Wait until all is sent, for so many seconds at most."""
        thread = self._thread
        if thread is not None:
            thread.join(seconds)

    def _first(self) -> tuple[dict[str, Any], bool, float] | None:
        with self._lock:
            if self._left:
                return self._left[0]
            self._thread = None
            return None

    def _run(self) -> None:
        while (each := self._first()) is not None:
            data, again, until = each
            try:
                if not again or self._waiting() < ENOUGH:
                    self._send(data)
            except Exception as error:  # noqa: BLE001 - whatever a broker's library raises
                if time.monotonic() < until:
                    time.sleep(PAUSE)
                    continue
                log.warning(
                    "%s: its verdict did not reach the broker (%s); it is told again", data["ref"], type(error).__name__
                )
            self._left.popleft()


class Hooks:
    """Hands every verdict over, and will say by `Client.heard` when it was heard."""

    def __init__(self, carrier: Carrier) -> None:
        self.carrier = carrier

    @vidpoll.hookimpl
    def vidpoll_completed(self, job: vidpoll.Job, event: vidpoll.Completed) -> object:
        """It is handed over."""
        return self._later(job, event.at)

    @vidpoll.hookimpl
    def vidpoll_failed(self, job: vidpoll.Job, event: vidpoll.Failed) -> object:
        """It is handed over."""
        return self._later(job, event.at)

    def _later(self, job: vidpoll.Job, at: float) -> object:
        try:
            self.carrier.hand_over(vidpoll.dump(job), again=time.time() - at > AGAIN)
        except Exception as error:  # noqa: BLE001 - a hook that raises would count as told
            log.error("%s: its verdict was not handed over: %s", job.ref, type(error).__name__)
        return vidpoll.LATER
