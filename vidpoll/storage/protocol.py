"""What a store is: `Store`, the promise that `SqliteStore` keeps and that the store of a plugin has to keep.

Whoever writes one imports the rows from here, inherits `Store`, returns it from the hook `vidpoll_stores`, and inherits
`vidpoll.testing.StoreContract` for its tests. Rules for all methods:

- A store may be used by many processes at once, and by the threads of one. Each of these is an *owner*: a client of a
  process. A forked child is another owner.
- A call is one transaction, all or nothing, and rows of many jobs go into one. What is marked *durable* is on disk when
  the call returns; the rest may be lost with the power.
- Whatever goes wrong is a `StoreError` that says the way out, `BadRow` where another try would not help. A message
  holds no password.
- Times are the store's: Unix seconds of `now()`. A clock of the caller decides nothing.
- A job whose facts a newer vidpoll wrote (`newer(facts)`) is left alone: its facts are never written over.
- No owner that is gone holds anything for ever: a process of this host that can be checked for no second, another one
  for as long as its lease, or `AWAY` where there is none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from ..errors import StoreError
from ..pacing.shared import NOTHING, Block, Slowed, spent
from .owners import AWAY
from .records import (
    FORMAT,
    PARTS,
    Gauges,
    KeptJob,
    KeptRow,
    Leases,
    Ledger,
    NoRoom,
    Order,
    Origin,
    Saved,
    Shard,
    Submission,
    WantedFiles,
    bucket,
    merged,
    newer,
)

__all__ = [
    "AGAIN", "AWAY", "FORMAT", "NOTHING", "PARTS", "TRUSTED", "TTL", "BadRow", "Block", "Gauges", "KeptJob",
    "KeptRow", "Leases", "Ledger", "NoRoom", "Order", "Origin", "Saved", "Shard", "Slowed", "Store", "StoreError",
    "Submission", "WantedFiles", "bucket", "merged", "newer", "spent",
]  # fmt: skip

AGAIN = 60.0
"""Seconds after which a verdict that a hook wants to hear `LATER` is there to be told again."""

TTL = 10.0
"""Seconds after its last heartbeat for which an owner keeps its shards; then they are anybody's."""

TRUSTED = 0.7
"""Of TTL: for so long an owner relies on its last heartbeat, by its own monotonic clock."""


class BadRow(StoreError):
    """What stands in a row cannot be read, or what is to stand there cannot be kept: another try would not help."""


class Store(Protocol):
    """Keeps jobs, submits, leases and shards over a crash. Every method raises StoreError."""

    def now(self) -> float:
        """The store's time, in Unix seconds: that of its server, or of this host where it has none."""
        ...

    def close(self) -> None:
        """Let go of all leases and shards of ours, and of the store. Raises nothing; twice is as once."""
        ...

    @property
    def closed(self) -> bool:
        """Whether nothing can be kept here any more, because `close` was called."""
        ...

    @property
    def moved(self) -> bool:
        """Whether what is written goes where nobody will look, as with a file whose path leads to another one."""
        return False

    def reopen(self, refs: Iterable[str]) -> None:
        """Where the store has `moved`: open what is there now, and take along these jobs and all that has a key."""

    # -- jobs ---------------------------------------------------------------------------------------------------------

    def enter(self, jobs: Iterable[tuple[str, Origin, Mapping[str, Any]]]) -> dict[str, KeptJob]:
        """Keep jobs (reference, origin, facts) that are not kept yet. All of them as they are kept, by reference.

        Of a job that is kept, the `base_url` is taken over, and nothing else. A row whose facts cannot be read is left
        out of what is returned.
        """
        ...

    def get(self, ref: str) -> KeptJob | None:
        """A job as it is kept; None where it is not."""
        ...

    def jobs(self, *, unfinished: bool = False, last: int = -1) -> list[KeptJob]:
        """All jobs, or the `last` ones that were added, the oldest first.

        `unfinished`: those without a verdict, and those whose verdict was not told; not those of a newer vidpoll.
        """
        ...

    def latest(self, account: str, number: int) -> list[KeptJob]:
        """At most so many jobs of an account that have a verdict, the latest first."""
        ...

    def save(self, rows: Iterable[Saved]) -> None:
        """Keep the facts of jobs; of each `version` counts one more, requests and transient errors are added.

        Kept are `merged(before, facts)`: fields that this version does not know stay. Nothing is written over a
        verdict, and nothing of a job that is not kept.
        """
        ...

    def end(self, rows: Iterable[Saved]) -> Mapping[str, bool | None]:
        """Keep verdicts: of each job the first one. Durable.

        For each reference: whether telling the verdict is up to us, as with `claim`; None where the job is not kept,
        False where a newer vidpoll keeps it. The lease of a job ends with its verdict.
        """
        ...

    def claim(self, refs: Iterable[str]) -> set[str]:
        """The jobs whose verdict is kept and was not told, and is ours to tell from now on. Durable.

        Not ours is what another owner tells that is not gone, nor what is to be heard `later`.
        """
        ...

    def told(self, refs: Iterable[str]) -> None:
        """The hooks have heard these verdicts. Durable. A job without a verdict is left as it is."""
        ...

    def untold(self, refs: Iterable[str]) -> None:
        """We do not tell these after all: they are anybody's to claim."""
        ...

    def later(self, refs: Iterable[str]) -> None:
        """The hooks will say by `told` when they have heard these; anybody may claim them again `AGAIN` seconds later.

        Before that nobody may, not even we. A verdict that was told is left as it is.
        """
        ...

    def prune(self, before: float) -> int:
        """Drop the jobs whose verdict was kept before a moment and told, and lost submits of before; how many.

        With a job its wanted files go. What a batch has not settled stays, and so do the submits of batches.
        """
        ...

    def drop(self, ref: str, *, strange: bool = False) -> None:
        """Drop a job and its wanted files; `strange`: only where no submit of this store made it.

        An attempt of a batch that is not settled has "failed" by that, with its whole price as charged.
        """
        ...

    # -- who asks -----------------------------------------------------------------------------------------------------

    def lease(self, refs: Iterable[str], seconds: float) -> Leases:
        """Become the one who asks about these jobs, for so many seconds from now, where nobody else is.

        Ours is a job that is not kept, one whose lease is ours and lasts, and one that lies in a shard of ours, for as
        long as that is (no lease need be written), unless another one leases it. Elsewhere is what another owner
        leases that is not gone, and what lies in another one's shard. `taken` are those of ours whose lease would have
        lasted still, but whose owner is gone.
        """
        ...

    def release(self, refs: Iterable[str]) -> None:
        """Others may ask about these jobs from now on."""
        ...

    def leased(self, ref: str) -> bool:
        """Whether another one asks about a job: by its lease, or by its shard."""
        ...

    def beat(self) -> float:
        """Say that we are alive; the monotonic second until which our shards are ours without a doubt.

        That is `TRUSTED * TTL` from before the call. It comes from a thread of its own, and must wait for no other
        call for long. After that second nothing is asked before `beat` and then `held` have said what is still ours.
        """
        ...

    def accounts(self) -> set[str]:
        """The accounts of unfinished jobs."""
        ...

    def take(self, accounts: Mapping[str, int], most: int) -> list[Shard]:
        """Become the owner of at most so many shards that are free, drawn at random; all that were taken now.

        `accounts`: in how many parts each is divided, 1 to `PARTS`. A shard is free where no owner of it has said
        within TTL that it is alive, and where no other division of its account has an owner that has. Each taking
        counts its fence one up. We are alive by it, as if `beat` was called.
        """
        ...

    def held(self) -> set[Shard]:
        """The shards that are ours still."""
        ...

    def give(self, shards: Iterable[Shard]) -> None:
        """Let go of shards, where they are still ours: others may take them at once."""
        ...

    def news(self, shards: Sequence[Shard], mark: float) -> tuple[list[KeptJob], float]:
        """What is new in shards since `mark` (0.0: since ever), and the mark of now.

        Those are jobs that were added or got their verdict since, and always those whose verdict was not told, once the
        `AGAIN` seconds of one that is to be heard `later` are over; with the mark 0.0 all that are unfinished.
        However many are to be heard later, a call costs no more by them. A job may come twice, and none may be
        missed: neither one that another transaction commits late. Jobs that a newer vidpoll keeps are left out,
        and rows that cannot be read.
        """
        ...

    def spend(self, account: str, wanted: int, rate: float | None = None, told: Slowed = NOTHING) -> Block:
        """A block of an account's rate for us: at most `wanted` requests, spread over about the next second.

        `rate`: requests a second of all owners together; None for no limit. `told` is what we have heard of the account
        since we told last; the block has what all have told. `spent` is the arithmetic: a store keeps its state, one an
        account, and is asked by no account that one process serves alone.
        """
        ...

    def gauges(self) -> Gauges:
        """What an operator wants to see."""
        ...

    # -- submits ------------------------------------------------------------------------------------------------------

    def begin(
        self, origin: Origin, operation: str, sent: Mapping[str, Any], *, key: str = "", order: Order | None = None
    ) -> int | KeptJob | Submission:
        """Keep that a submit is about to be sent; its number, which no other submit has or had. Durable.

        Where its key is in use at the account: the job that has it, or the submit, whose `reason` is empty while it is
        under way; nothing is written then. With an `order` the key is that of the order, which is taken in the same
        transaction. Raises NoRoom, then nothing is written either.
        """
        ...

    def begin_again(self, earlier: Submission) -> int | Submission:
        """A submit of unknown outcome is about to be sent again, by us; its number. Durable.

        `earlier` itself where it cannot: it is under way by now, or was adopted or dismissed.
        """
        ...

    def keyed(self, account: str, key: str) -> KeptJob | Submission | None:
        """What has the key: a job, or a submit, whose `reason` is empty while it is under way; None: it is free."""
        ...

    def refused(self, number: int) -> None:
        """Nothing was bought: the submit is forgotten, its key is free."""
        ...

    def lost(self, number: int, reason: str) -> None:
        """Nobody knows whether the submit was received. Durable."""
        ...

    def submitted(self, number: int, job: KeptJob, before: float = ...) -> None:
        """A submit has become a job. Durable. Twice is as once where the submit has a key.

        What was kept under that reference up to the second `before` (infinity by default) was another job's, and is
        dropped, unless it has the same key. The job is kept also where the submit is no longer on record.
        """
        ...

    def adopt(self, number: int, ref: str, facts: Mapping[str, Any]) -> bool:
        """A submit of unknown outcome is this job, which has its key from then on. Durable.

        False, and nothing is kept: there is no such submit on record, or the job has another key.
        """
        ...

    def submits(self) -> list[Submission]:
        """The submits of unknown outcome, the oldest first: those that are `lost`, and those whose owner is gone."""
        ...

    # -- batches ------------------------------------------------------------------------------------------------------

    def batch_rows(self, batch: str) -> dict[str, KeptRow]:
        """The newest attempt of each row of a batch that was begun, by the row's name."""
        ...

    def settle(
        self,
        batch: str,
        row: str,
        attempt: int,
        *,
        state: str,
        charged: float,
        category: str = "",
        problem: str = "",
        paths: Iterable[str] = (),
    ) -> bool:
        """Keep how an attempt ended: "completed", "failed" or "waiting" (to be tried again), and what it has cost.

        Twice is as once. False, and nothing is kept: its submit has no outcome yet, or its job no verdict.
        """
        ...

    def ledger(self, batch: str) -> dict[str, Ledger]:
        """What a batch has cost, and what it may cost yet, by unit."""
        ...

    def in_flight(self, account: str) -> int:
        """The jobs of an account without a verdict, and its submits under way or of unknown outcome."""
        ...

    # -- files --------------------------------------------------------------------------------------------------------

    def want(self, wanted: WantedFiles) -> None:
        """Keep that files were asked for; twice is as once."""
        ...

    def unwant(self, wanted: WantedFiles) -> None:
        """They are there, or will never be. A slash at the end of the target makes no difference."""
        ...

    def wanted(self) -> list[WantedFiles]:
        """The files that were asked for and are not all there yet, the oldest first."""
        ...
