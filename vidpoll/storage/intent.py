"""One submit, from before it is sent until its outcome is stored."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..drops import without
from ..errors import StoreError, SubmitUnknown, VidpollError
from ..fork_lock import ForkLock
from ..job import Job
from ..net.accounts import OpenAccount
from ..polling.submit import Record
from . import records
from .records import KeptJob, Order, Submission, Taken

if TYPE_CHECKING:
    from .keeper import Keeper
    from .protocol import Store


def place(store: Store) -> str:
    """The store's file, for a message; "" if the store is not a file."""
    return str(getattr(store, "path", ""))


class Intent:
    """One submit: on disk before it is sent; its id is on disk before the response is used for anything else."""

    def __init__(
        self,
        keeper: Keeper,
        account: OpenAccount,
        operation: str,
        fields: Mapping[str, object],
        *,
        key: str = "",
        order: Order | None = None,
        earlier: Submission | None = None,
    ) -> None:
        self.key = key if order is None else order.key
        self._keeper = keeper
        self._account = account
        self._operation = operation
        self._fields = fields
        self._order = order
        self._earlier = earlier
        self._sent: dict[str, Any] = {}
        self._number: int | None = None

    def begin(self) -> None:
        """Record that the submit is about to be sent. Raises StoreError if that fails: then nothing is sent.

        Raises Taken if its key is in use, and NoRoom if its order is refused; then nothing is stored.
        """
        if self._number is not None:  # it is sent again, and the provider knows its key
            return
        try:
            own = without(self._fields, self._account.provider.drops)
            self._sent = records.sent(own, self._account.secrets().values())
            store = self._keeper.ready()
            origin = records.origin(self._account)
            if self._earlier is None:
                begun = store.begin(origin, self._operation, self._sent, key=self.key, order=self._order)
            else:
                begun = store.begin_again(self._earlier)
        except StoreError as error:
            who = f"{self._account.name} {self._operation}"
            raise StoreError(f"{who}: nothing was sent, because it could not be stored: {error}") from None
        if not isinstance(begun, int):
            raise Taken(begun)
        self._number = begun

    @property
    def record(self) -> Record:
        """What names the submit in the store, for a message."""
        return Record(self.key, str(self._number or ""), place(self._keeper.store))

    @property
    def again(self) -> bool:
        """Whether an earlier try may have been received: then a refusal does not prove that nothing was bought."""
        return self._earlier is not None

    def refused(self) -> None:
        """Record that this try bought nothing."""
        if self._earlier is not None:
            self.lost(self._earlier.reason)
            return
        self._close(lambda store, number: store.refused(number))

    def unsent(self) -> None:
        """Record that no byte of the last try was sent: nothing stays on record, and the next try begins anew."""
        self.refused()
        self._number = None

    def lost(self, reason: str) -> None:
        """Record that it is unknown whether the submit was received."""
        self._close(lambda store, number: store.lost(number, reason))

    def received(self, job: Job) -> None:
        """Store the job that the submit has become. If the store fails now, warn with the reference; raise nothing."""
        keeper, number = self._keeper, self._number
        assert number is not None
        origin, facts = records.origin(self._account), records.facts(job)
        job.key = self.key
        kept = KeptJob(job.ref, origin, self._operation, self._sent, facts, key=self.key)
        try:
            keeper.ask(lambda: keeper.store.submitted(number, kept), reopens=True)
        except BaseException as error:
            now, why = keeper.store.now(), error.message if isinstance(error, StoreError) else type(error).__name__
            said = f"{job.ref} was submitted, but is not in the store: write the reference down. {why}"
            keeper.owe(lambda: keeper.store.submitted(number, kept, now), said)
            if not isinstance(error, StoreError):  # Ctrl-C: it ends the submit, which is stored if possible
                raise
        keeper.heard.discard(job.ref)  # an earlier job with this id was another job

    def _close(self, call: Callable[[Store, int], None]) -> None:
        number = self._number
        if number is not None:
            self._keeper.attempt(lambda: call(self._keeper.store, number), owed=True)


class Submits:
    """The submits of a client that are under way. `close` is called once the client is closed and they have ended."""

    def __init__(self, close: Callable[[], None]) -> None:
        self._close = close
        self._lock = ForkLock(threading.RLock)  # reentrant: a signal handler may close the client
        self._under_way = 0
        self._closing = False

    @property
    def _alone(self) -> Any:
        """The lock of the count."""
        if self._lock.forked:  # the submits under way are those of the parent
            self._under_way = 0
        return self._lock.current

    def close(self) -> None:
        """Close now, or when the last submit ends: its id must still be stored."""
        with self._alone:
            self._closing = True
            busy = self._under_way > 0
        if not busy:
            self._close()

    @contextmanager
    def during(self, intent: Intent) -> Iterator[Intent]:
        """One submit: its outcome is stored, whatever it is."""
        with self._alone:
            self._under_way += 1
        try:
            with _ended(intent):
                yield intent
        finally:
            with self._alone:
                self._under_way -= 1
                last = self._closing and self._under_way <= 0
            if last:
                self._close()


@contextmanager
def _ended(intent: Intent) -> Iterator[None]:
    """Store how a submit ends that has not become a job."""
    try:
        yield
    except SubmitUnknown as error:
        intent.lost(error.reason)
        raise
    except VidpollError:
        intent.refused()
        raise
    except BaseException as error:
        intent.lost(f"interrupted ({type(error).__name__})")
        raise
