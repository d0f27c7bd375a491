"""From the hooks to the broker: a thread sends the verdicts, so that a broker that hangs delays no poll.

Nothing is stored here. The store keeps a verdict that does not reach the broker in time as not heard, and reports it
again.
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
"""Seconds after which a verdict counts as repeated, and for which a verdict waits for the broker: the store reports it
every 60 s until it was heard."""

PAUSE = 1.0
"""Seconds between two attempts, while the broker does not respond."""

ENOUGH = 1000
"""With so many messages in the queue of verdicts none is repeated: it is there, or is repeated a minute later."""


class Carrier:
    """Sends verdicts in order. `send(data)` puts one into the queue; `waiting()` is the length of the queue."""

    def __init__(self, send: Callable[[dict[str, Any]], object], waiting: Callable[[], int]) -> None:
        self._send, self._waiting = send, waiting
        self._lock = threading.Lock()
        self._left: deque[tuple[dict[str, Any], bool, float]] = deque()  # each with the monotonic second of its end
        self._thread: threading.Thread | None = None

    def hand_over(self, data: dict[str, Any], *, again: bool) -> None:
        """Send it soon; with `again` only if the queue is short."""
        with self._lock:
            self._left.append((data, again, time.monotonic() + AGAIN))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="vidpoll-carrier", daemon=True)
                self._thread.start()

    def flush(self, seconds: float) -> None:
        """Wait until everything is sent, for at most `seconds`."""
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
                    "%s: the verdict did not reach the broker (%s); it will be sent again",
                    data["ref"],
                    type(error).__name__,
                )
            self._left.popleft()


class Hooks:
    """Hands every verdict over; `Client.heard` reports later that it was heard."""

    def __init__(self, carrier: Carrier) -> None:
        self.carrier = carrier

    @vidpoll.hookimpl
    def vidpoll_completed(self, job: vidpoll.Job, event: vidpoll.Completed) -> object:
        """Hand the verdict over."""
        return self._later(job, event.at)

    @vidpoll.hookimpl
    def vidpoll_failed(self, job: vidpoll.Job, event: vidpoll.Failed) -> object:
        """Hand the verdict over."""
        return self._later(job, event.at)

    def _later(self, job: vidpoll.Job, at: float) -> object:
        try:
            self.carrier.hand_over(vidpoll.dump(job), again=time.time() - at > AGAIN)
        except Exception as error:  # noqa: BLE001 - a hook that raises would count as notified
            log.error("%s: the verdict was not handed over: %s", job.ref, type(error).__name__)
        return vidpoll.LATER
