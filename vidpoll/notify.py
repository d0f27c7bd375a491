"""For notifiers: all events through one method, events as plain values, and an outbox.

This module holds what several notifiers share, and no code for a particular service. Its threads only deliver; they do
not wait for jobs.

    class Chat(notify.Listener):
        def __init__(self):
            self.outbox = notify.Outbox(self.say, name="chat")

        def hear(self, job, event):                                # in the thread that waits: must return at once
            self.outbox.put(event, keep=notify.is_kept(event))

        def say(self, events):                                     # in the outbox's own thread: may be slow
            ...
"""

from __future__ import annotations

import atexit
import dataclasses
import functools
import logging
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timezone
from typing import Any, Generic, TypeVar

from . import caller_warnings, redact
from .clock import SystemClock
from .errors import VidpollError
from .events import Completed, Downloaded, DownloadProgress, Event, Failed, GaveUp, Polled
from .fork_lock import ForkLock
from .hookspecs import hookimpl
from .job import Job
from .model import Asset, Cost, Problem, Snapshot
from .plugins import HOOKS, Plugins, guard, switched_off

log = logging.getLogger("vidpoll")

T = TypeVar("T")


def name_of(event: Event) -> str:
    """The name of an event: that of its hook without `vidpoll_`, like "stage_changed" or "completed"."""
    return HOOKS[type(event)].removeprefix("vidpoll_")


def is_kept(event: Event) -> bool:
    """True for events that come once per job or file and must not get lost: verdicts, giving up, a saved file."""
    return isinstance(event, (Completed, Failed, GaveUp, Downloaded))


class Listener:
    """A plugin that gets every event through one method, `hear`, except `polled` and `download_progress`, which come
    many times a minute and are for displays. It gets a batch's stops and its end through `hear_batch`."""

    def hear(self, job: Job, event: Event) -> None:
        """Override this. It runs in the thread that waits: hand slow work to an `Outbox`."""
        raise NotImplementedError

    def hear_batch(self, said: Mapping[str, Any]) -> None:
        """Override this to learn that an account of a batch stopped, or that a batch ended.

        `said` holds plain values, safe to show: `event` is "batch_stopped" or "batch_ended", `ref` "batch:NAME", `at`
        an ISO 8601 time, `text` one line for people. `rows` and `done` are counts, `states` and `waiting` counts by
        word, `spent` and `reserved` amounts by unit, `budget` is {"amount", "unit"} or None. A stop also has `account`,
        `reason`, `said` and `go_on`.
        """

    @hookimpl
    def vidpoll_batch_stopped(self, batch: Any, stop: Any, text: str) -> None:
        """Pass it to `hear_batch`."""
        names = ("account", "reason", "said", "go_on")
        stopped = {name: _plain(getattr(stop, name)) for name in names}
        self.hear_batch(_of_batch("batch_stopped", batch, text) | stopped)

    @hookimpl
    def vidpoll_batch_ended(self, batch: Any, text: str) -> None:
        """Pass it to `hear_batch`."""
        self.hear_batch(_of_batch("batch_ended", batch, f"batch {text}"))

    @hookimpl
    def vidpoll_stage_changed(self, job: Job, event: Event) -> None:
        """Pass the event to `hear`. The other hooks are this same method."""
        self.hear(job, event)

    vidpoll_progress = vidpoll_poll_failed = vidpoll_stalled = vidpoll_stage_changed
    vidpoll_completed = vidpoll_failed = vidpoll_gave_up = vidpoll_downloaded = vidpoll_stage_changed


NAMES = (
    *(name.removeprefix("vidpoll_") for kind, name in HOOKS.items() if kind not in (Polled, DownloadProgress)),
    "batch_stopped",
    "batch_ended",
)
"""The names of the events that a Listener gets: "stage_changed", "completed" …"""


@functools.cache
def key_variables() -> frozenset[str]:
    """The environment variables that hold keys of the installed providers. This loads the providers."""
    providers = Plugins(disabled=switched_off(os.environ)).providers.values()
    return frozenset(variable for provider in providers for variable in provider.auth.variables)


def plain(event: Event) -> dict[str, Any]:
    """An event as JSON values, safe to show: `event` is its name, `at` an ISO 8601 time, `text` the line that `str`
    gives; the others are its fields. URLs have no user data and no query, texts no control characters and no keys."""
    fields = {field.name: _plain(getattr(event, field.name)) for field in dataclasses.fields(event)}
    return {**fields, "event": name_of(event), "at": _iso(event.at), "text": redact.text(str(event))}


def _of_batch(event: str, batch: Any, text: str) -> dict[str, Any]:
    """The arguments of a batch's hook, as JSON values."""
    counts = {name: _amounts(getattr(batch, name)) for name in ("states", "waiting", "spent", "reserved")}
    budget = batch.budget
    return {
        "event": event,
        "ref": _plain(f"batch:{batch.name}"),
        "at": _iso(batch.at),
        "rows": batch.total,
        "done": batch.done,
        **counts,
        "budget": None if budget is None else {"amount": budget.amount, "unit": _plain(budget.unit)},
        "text": _plain(text),
    }


def _amounts(found: Mapping[str, float]) -> dict[str, float]:
    return {_plain(name): number for name, number in found.items() if number}


def _plain(value: object) -> Any:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, (tuple, list)):
        return [_plain(each) for each in value]
    for kind, show in _SHOWN.items():
        if isinstance(value, kind):
            return show(value)
    return redact.text(value, limit=4000)  # references and paths may be long; other texts are already cut


def _asset(asset: Asset) -> dict[str, Any]:
    url = None if asset.url is None else redact.text(redact.url(asset.url), limit=2000).removesuffix("?…")
    return {"kind": _plain(asset.kind), "url": url, "media_type": _plain(asset.media_type), "size": asset.size}


_SHOWN: Mapping[type, Callable[[Any], dict[str, Any]]] = {
    Asset: _asset,
    Problem: lambda problem: {name: getattr(problem, name) for name in ("message", "code", "category", "charged")},
    Cost: lambda cost: {"charged": cost.charged, "refunded": cost.refunded, "unit": _plain(cost.unit)},
    Snapshot: lambda said: {name: _plain(getattr(said, name)) for name in ("state", "stage", "progress")},
    VidpollError: lambda error: {"type": type(error).__name__, "message": redact.text(error)},
}


def _iso(at: float) -> str | None:
    try:
        return datetime.fromtimestamp(at, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (OverflowError, ValueError, OSError):
        return None


class Outbox(Generic[T]):
    """A bounded queue with a thread of its own that delivers: `put` never waits, however slow `deliver` is.

    `deliver` gets a list: one item, or, with `every` (seconds), all waiting items, at most once in that time. If it
    raises, that is logged and warned under `name`. When `size` items wait, the oldest one without `keep` is dropped;
    items with `keep` are never dropped. At the end of the process, waiting items have `at_exit` seconds to be
    delivered, for all outboxes together. The thread lives while there is work.
    """

    def __init__(
        self,
        deliver: Callable[[list[T]], object],
        *,
        name: str,
        size: int = 1000,
        every: float | None = None,
        at_exit: float = 10.0,
    ) -> None:
        self.name = name
        self._deliver = deliver
        self._size = size
        self._every = every
        self._at_exit = at_exit
        self._clock = SystemClock()
        self._reset()

    def _reset(self) -> None:
        self._lock = ForkLock(threading.RLock)
        self._changed = threading.Condition(self._lock.current)
        self._queue: deque[tuple[T, bool]] = deque()
        self._droppable = 0
        self._lost = 0
        self._running = False
        self._in_hand = 0
        self._hurry = False
        self._next = float("-inf")

    def put(self, item: T, *, keep: bool = False) -> None:
        """Queue an item for delivery and return at once. An item with `keep` is never dropped."""
        if self._lock.forked:  # a forked child lacks its parent's threads; the parent delivers its own items
            self._reset()
        with self._lock.current:
            if len(self._queue) >= self._size and not self._make_room() and not keep:
                self._lost += 1
                return
            self._queue.append((item, keep))
            self._droppable += not keep
            self._staff()

    def _make_room(self) -> bool:
        """Drop the oldest item without `keep`; False if there is none."""
        if not self._droppable:
            return False
        index = next(index for index, (_, keep) in enumerate(self._queue) if not keep)
        del self._queue[index]
        self._droppable -= 1
        self._lost += 1
        return True

    def _staff(self) -> None:
        _alive().add(self)
        if self._running:
            return
        try:
            threading.Thread(target=self._work, name=self.name, daemon=True).start()
        except (RuntimeError, MemoryError):  # no more threads: try again with the next item or flush
            return
        self._running = True

    def flush(self, timeout: float) -> bool:
        """Deliver the waiting items now, for at most `timeout` seconds. Returns True when nothing is left.

        Until the outbox is empty, `pause` does not wait. To flush several outboxes, first flush each with 0 seconds.
        """
        if self._lock.forked:
            return True
        with self._lock.current:
            if self._queue:
                self._staff()
            self._hurry = self._running
            self._changed.notify_all()
            return bool(self._changed.wait_for(lambda: not self._running, timeout)) and not self._queue

    def pause(self, seconds: float) -> bool:
        """For `deliver`: wait `seconds` before another try. Returns False at once during a `flush`."""
        with self._lock.current:
            return not self._changed.wait_for(lambda: self._hurry, seconds)

    def _work(self) -> None:
        while self._serve():
            pass

    def _serve(self) -> bool:
        """Deliver the next items; False if nothing is left, and then the thread ends."""
        if self._queue and self._every is not None:  # related items are delivered together
            self.pause(max(min(GATHER, self._every), self._next - self._clock.monotonic()))
        with self._lock.current:
            most = 1 if self._every is None else len(self._queue)
            batch = [self._queue.popleft() for _ in range(min(most, len(self._queue)))]
            self._droppable -= sum(not keep for _, keep in batch)
            self._in_hand = len(batch)
            lost = 0 if batch else self._lost
            self._lost -= lost
            if not batch and not lost:
                self._running = self._hurry = False
                self._changed.notify_all()
                return False
        if batch:
            guard(self.name, self._deliver_safely, [item for item, _ in batch])
            self._next = self._clock.monotonic() + (self._every or 0.0)
        if lost:
            events = "1 event was" if lost == 1 else f"{lost} events were"
            _say(f"{self.name}: {events} dropped: more than {self._size} were waiting")
        return True

    def _deliver_safely(self, batch: list[T]) -> None:
        try:
            self._deliver(batch)
        except Exception:
            raise
        except BaseException as error:  # noqa: BLE001 - sys.exit in a delivery ends neither the thread nor the process
            raise RuntimeError(f"{type(error).__name__} in a delivery") from None

    def _end(self, began: float) -> None:
        """Deliver the waiting items at the end of the process, which `began` at that monotonic second."""
        try:
            done = self.flush(max(began + self._at_exit - self._clock.monotonic(), 0.0))
        except KeyboardInterrupt:
            done = False
        if not done:
            left = len(self._queue) + self._in_hand
            events = "1 event has" if left == 1 else f"{left} events have"
            _say(f"{self.name}: the process ends, and {events} not been delivered")


GATHER = 1.0
"""Seconds for which an outbox with `every` collects more items after the first one."""


@functools.cache
def _alive() -> weakref.WeakSet[Outbox[Any]]:
    """The outboxes of this process. Once there is one, the end of the process waits for them."""
    outboxes: weakref.WeakSet[Outbox[Any]] = weakref.WeakSet()
    atexit.register(_leave, outboxes)
    return outboxes


def _leave(outboxes: Iterable[Outbox[Any]]) -> None:
    began = SystemClock().monotonic()
    leaving = list(outboxes)
    for outbox in leaving:
        outbox.flush(0.0)
    for outbox in leaving:
        outbox._end(began)


def _say(text: str) -> None:
    log.warning("%s", text)
    caller_warnings.warn(text, RuntimeWarning)
