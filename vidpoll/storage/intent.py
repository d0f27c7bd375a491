"""One submit, from before it is sent until its outcome is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..drops import without
from ..errors import StoreError
from ..job import Job
from ..net.accounts import OpenAccount
from . import records
from .records import KeptJob, Order, Submission, Taken

if TYPE_CHECKING:
    from .keeper import Keeper
    from .protocol import Store


class Intent:
    """One submit: on disk before it is sent, its id on disk before anything else is done with the answer."""

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
        """It is about to be sent. Raises StoreError where that cannot be kept: then nothing is sent.

        Raises Taken where its key is in use, and NoRoom where its order is not taken; nothing is kept then.
        """
        if self._number is not None:  # sent again after it certainly was not received
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
            raise StoreError(f"{who}: nothing was sent, because it could not be kept: {error}") from None
        if not isinstance(begun, int):
            raise Taken(begun)
        self._number = begun

    @property
    def again(self) -> bool:
        """Whether an earlier try may have been received: then no refusal says that nothing was bought."""
        return self._earlier is not None

    def refused(self) -> None:
        """Nothing was bought, by this try."""
        if self._earlier is not None:
            self.lost(self._earlier.reason)
            return
        self._close(lambda store, number: store.refused(number))

    def lost(self, reason: str) -> None:
        """Nobody knows whether it was received."""
        self._close(lambda store, number: store.lost(number, reason))

    def received(self, job: Job) -> None:
        """It has become a job. A store that fails now costs a warning with the reference, and never the job."""
        keeper, number = self._keeper, self._number
        assert number is not None
        origin, facts = records.origin(self._account), records.facts(job)
        job.key = self.key
        kept = KeptJob(job.ref, origin, self._operation, self._sent, facts, key=self.key)
        try:
            keeper.ask(lambda: keeper.store.submitted(number, kept), reopens=True)
        except BaseException as error:
            now, why = keeper.store.now(), error.message if isinstance(error, StoreError) else type(error).__name__
            said = f"{job.ref} is submitted, and not in the store: write it down. {why}"
            keeper.owe(lambda: keeper.store.submitted(number, kept, now), said)
            if not isinstance(error, StoreError):  # Ctrl-C; what ends the submit keeps it, where that can be
                raise
        keeper.heard.discard(job.ref)  # a job of that id was another one

    def _close(self, call: Callable[[Store, int], None]) -> None:
        number = self._number
        if number is not None:
            self._keeper._try(lambda: call(self._keeper.store, number), owed=True)
