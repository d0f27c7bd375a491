"""Tells the store that this owner is alive, from a separate thread, so that a slow hook loses no shard."""

from __future__ import annotations

import logging
import math
import threading

from ..errors import StoreError
from .protocol import TRUSTED, TTL, Store

log = logging.getLogger("vidpoll")

EVERY = TTL / 5
"""Seconds between two heartbeats, also after one that failed."""


class Heartbeat:
    """The heartbeat of one owner, while it is entered. Seconds are monotonic."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._until = -math.inf  # by the last heartbeat, our shards are ours until then
        self._lapses = 0  # how often a heartbeat was too late, so that another owner may have our shards
        self._known = 0  # the number of lapses at the last check of what is still ours
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="vidpoll-heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:
        try:
            self._thread.start()
        except (RuntimeError, MemoryError):  # no thread: the loop sends the heartbeats
            log.warning("no thread for the heartbeat: a slow hook may lose its shards")
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(EVERY)

    @property
    def lapses(self) -> int:
        """How often a heartbeat was too late. Read it before you check which shards are still ours."""
        return self._lapses

    def sure(self, lapses: int) -> None:
        """Note that our shards were checked after this number of `lapses`."""
        self._known = lapses

    def trusted(self, now: float) -> bool:
        """Whether our shards are certainly still ours."""
        return self._known == self._lapses and now < self._until

    def late(self, now: float) -> bool:
        """Whether the thread should have sent a heartbeat by now."""
        return now > self._until - TRUSTED * TTL + 2 * EVERY

    def beat(self) -> None:
        """Send a heartbeat. Raises StoreError."""
        until = self._store.beat()
        with self._lock:
            if until - TRUSTED * TTL > self._until:
                self._lapses += 1
            self._until = max(self._until, until)

    def _run(self) -> None:
        while not self._over.wait(EVERY):
            try:
                self.beat()
            except StoreError as error:
                log.warning("no heartbeat: %s", error.message)
            except Exception as error:  # noqa: BLE001 - a thread that ends would lose all shards
                log.error("no heartbeat: %s", type(error).__name__)
