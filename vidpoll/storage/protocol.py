"""What a store is: `Store`, the contract that `SqliteStore` fulfils and that a plugin's store must fulfil.

To write a store, import the rows from here, inherit `Store`, return the store from the hook `vidpoll_stores`, and
inherit `vidpoll.testing.StoreContract` for its tests. Rules for all methods:

- Many processes, and many threads of a process, may use a store at once. An *owner* is one client of one process. A
  forked child is another owner.
- A call is one transaction, all or nothing, and may take the rows of many jobs. Data of a call marked *durable* is on
  disk when the call returns; other data may be lost in a power failure.
- Every failure is a `StoreError` that says the way out, or a `BadRow` if another try would not help. A message must not
  contain a password.
- Times are the store's: Unix seconds of `now()`. The caller's clock decides nothing.
- A job whose facts a newer vidpoll wrote (`newer(facts)`) is left alone: its facts are never overwritten.
- An owner that is gone keeps nothing for ever. A dead process of this host that can be checked loses everything at
  once, any other owner when its lease ends, or after `AWAY` seconds without a lease.
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
"""Seconds after which a verdict for which a hook returned `LATER` may be reported again."""

TTL = 10.0
"""Seconds after its last heartbeat for which an owner keeps its shards; then any owner may take them."""

TRUSTED = 0.7
"""The share of TTL for which an owner relies on its last heartbeat, by its own monotonic clock."""


class BadRow(StoreError):
    """A row cannot be read, or its new content cannot be stored: another try would not help."""


class Store(Protocol):
    """Keeps jobs, submits, leases and shards over a crash. Every method may raise StoreError.

    Below, *we* and *ours* mean the owner that calls.
    """

    def now(self) -> float:
        """The store's time, in Unix seconds: that of its server, or of this host if it has no server."""
        ...

    def close(self) -> None:
        """Release all our leases and shards, and close the store. Raises nothing; may be called twice.

        Our submits under way become unknown, with a reason, so that every owner sees them at once.
        """
        ...

    @property
    def closed(self) -> bool:
        """Whether nothing can be stored here any more, because `close` was called."""
        ...

    @property
    def moved(self) -> bool:
        """Whether all writes would be lost, as with a file whose path now leads to another file."""
        return False

    def reopen(self, refs: Iterable[str]) -> None:
        """If the store has `moved`: open what is there now, and copy these jobs and everything with a key into it.

        From then on, `begin` and `begin_again` raise StoreError instead of returning a number, unless what is there
        now is what was opened first.
        """

    # -- jobs ---------------------------------------------------------------------------------------------------------

    def enter(self, jobs: Iterable[tuple[str, Origin, Mapping[str, Any]]]) -> dict[str, KeptJob]:
        """Keep the jobs (reference, origin, facts) that are not kept yet. Returns all of them as kept, by reference.

        Of a job that is already kept, only the `base_url` is updated. A row whose facts cannot be read is left out of
        the result.
        """
        ...

    def get(self, ref: str) -> KeptJob | None:
        """A kept job; None if it is not kept."""
        ...

    def jobs(self, *, unfinished: bool = False, last: int = -1) -> list[KeptJob]:
        """All jobs, or the `last` ones that were added, the oldest first.

        `unfinished`: only jobs without a verdict, or whose verdict was not reported; not those of a newer vidpoll.
        """
        ...

    def latest(self, account: str, number: int) -> list[KeptJob]:
        """At most `number` jobs of an account that have a verdict, the latest first."""
        ...

    def save(self, rows: Iterable[Saved]) -> None:
        """Store the facts of jobs. Each job's `version` rises by one; requests and transient errors are added.

        The stored facts are `merged(before, facts)`: fields that this version does not know stay. A job with a verdict,
        or one that is not kept, is not changed.
        """
        ...

    def end(self, rows: Iterable[Saved]) -> Mapping[str, bool | None]:
        """Store verdicts; the first one of each job counts. Durable.

        Returns for each reference whether we must report the verdict, as with `claim`; None if the job is not kept,
        False if a newer vidpoll keeps it. A job's lease ends with its verdict.
        """
        ...

    def claim(self, refs: Iterable[str]) -> set[str]:
        """The jobs whose stored verdict was not reported, and which we must report from now on. Durable.

        A verdict is not ours if another owner that is alive reports it, or while it waits after `later`.
        """
        ...

    def told(self, refs: Iterable[str]) -> None:
        """Record that the hooks have heard these verdicts. Durable. A job without a verdict is not changed."""
        ...

    def untold(self, refs: Iterable[str]) -> None:
        """Record that we will not report these verdicts: any owner may claim them."""
        ...

    def later(self, refs: Iterable[str]) -> None:
        """Record that hooks returned LATER for these: `told` follows, and `AGAIN` seconds later any owner may claim.

        Before that no owner may claim them, not even this one. A verdict that was reported is not changed.
        """
        ...

    def prune(self, before: float) -> int:
        """Drop jobs whose verdict was stored before `before` and reported; return how many.

        A job's keys and wanted files are dropped with it. What a batch has not settled stays. Each submit without a job
        stays, with or without a key: it may have been received, so only `adopt` and `refused` end it.
        """
        ...

    def drop(self, ref: str, *, strange: bool = False) -> None:
        """Drop a job, its keys and its wanted files. `strange`: only if no submit of this store made it.

        A key of a former job that had this id is only freed by `prune`.

        An unsettled attempt of a batch becomes "failed", with its whole price as charged.
        """
        ...

    # -- who polls ----------------------------------------------------------------------------------------------------

    def lease(self, refs: Iterable[str], seconds: float) -> Leases:
        """Take the leases of these jobs for `seconds` from now, as far as no other owner polls them.

        `mine`: jobs that are not kept, jobs whose lease is ours, and jobs in a shard of ours while we have the shard
        (they need no lease), unless another owner leases them. `elsewhere`: jobs that another living owner leases, and
        jobs in another owner's shard. `taken`: those of ours whose lease had not ended, but whose owner is gone.
        """
        ...

    def release(self, refs: Iterable[str]) -> None:
        """Release the leases of these jobs: other owners may poll them from now on."""
        ...

    def leased(self, ref: str) -> bool:
        """Whether another owner polls a job, by its lease or by its shard."""
        ...

    def beat(self) -> float:
        """Record that we are alive; return the monotonic second until which our shards are certainly ours.

        That is `TRUSTED * TTL` from before the call. A separate thread calls it, so it must not wait long for other
        calls. After that second the owner polls nothing until `beat` and then `held` have shown what is still ours.
        """
        ...

    def accounts(self) -> set[str]:
        """The accounts of unfinished jobs."""
        ...

    def take(self, accounts: Mapping[str, int], most: int) -> list[Shard]:
        """Take at most `most` free shards, drawn at random; return those taken by this call.

        `accounts`: by account, the number of parts, 1 to `PARTS`. A shard is free if its owner had no heartbeat within
        TTL, and no other division of its account has an owner with one. Taking a shard raises its fence by one. The
        call also counts as `beat`.
        """
        ...

    def held(self) -> set[Shard]:
        """The shards that are still ours."""
        ...

    def give(self, shards: Iterable[Shard]) -> None:
        """Release shards that are still ours: other owners may take them at once."""
        ...

    def news(self, shards: Sequence[Shard], mark: float) -> tuple[list[KeptJob], float]:
        """The new jobs of shards since `mark` (0.0: all unfinished jobs), and the current mark.

        New are jobs that were added or got their verdict since, and always jobs whose verdict was not reported; after
        `later` only once the `AGAIN` seconds are over, and until then such jobs must not slow down the call. A job may
        be returned twice, but none may be missed, even if another transaction commits it late. Jobs that a newer
        vidpoll keeps, and rows that cannot be read, are left out.
        """
        ...

    def spend(self, account: str, wanted: int, rate: float | None = None, told: Slowed = NOTHING) -> Block:
        """A block of an account's rate for us: at most `wanted` requests, spread over about the next second.

        `rate`: requests a second of all owners together; None for no limit. `told` is what we have learnt about the
        account since our last call; the block contains what all owners have learnt. `spent` is the arithmetic; the
        store keeps one state per account. It is not called for an account that one process serves alone.
        """
        ...

    def gauges(self) -> Gauges:
        """The figures for an operator."""
        ...

    # -- submits ------------------------------------------------------------------------------------------------------

    def begin(
        self, origin: Origin, operation: str, sent: Mapping[str, Any], *, key: str = "", order: Order | None = None
    ) -> int | KeptJob | Submission:
        """Record that a submit is about to be sent; return its number, which no other submit has or had. Durable.

        If the account already uses the key, nothing is written: returns the job with the key, or the submit, whose
        `reason` is empty while it is under way. An `order` gives the key, and is checked and reserved in the same
        transaction. Raises NoRoom; then nothing is written either.
        """
        ...

    def begin_again(self, earlier: Submission) -> int | Submission:
        """Record that we are about to send a submit of unknown outcome again; return its number. Durable.

        Returns `earlier` itself if it must not be sent: it is under way by now, or was adopted or dismissed.
        """
        ...

    def keyed(self, account: str, key: str) -> KeptJob | Submission | None:
        """The job or the submit that has the key; None if the key is free. A submit under way has an empty `reason`.

        A job may have several keys (see `submitted`): the one returned has this key, and the fields of its submit. If
        the job that is kept under its id now is of a submit with another operation or other fields, the one returned is
        `replaced`, and has no facts of that job.
        """
        ...

    def keys(self, ref: str | None = None) -> dict[tuple[str, str], str]:
        """All keys of jobs, as (account, key), with the reference of the job that each key belongs to now.

        The reference is "" for the key of a former job, whose id belongs to another job now (see `submitted`). With
        `ref`, only the keys of that job: those that `drop` frees.
        """
        ...

    def refused(self, number: int) -> None:
        """Record that nothing was bought: the submit is dropped, and its key is free."""
        ...

    def lost(self, number: int, reason: str) -> None:
        """Record that it is unknown whether the submit was received. Durable."""
        ...

    def submitted(self, number: int, job: KeptJob, before: float = ...) -> None:
        """Record that a submit has become a job. Durable. May be called twice if the submit has a key.

        The new job is kept even if the submit is no longer on record. No key of a job that is already kept under this
        reference is freed: `begin` and `keyed` find a job for each of them, with the fields of its own submit.

        - Without an operation and a key, and kept since the submit began, it is the same job: its webhook was faster
          than the response. The job gets the operation, the fields, the key, and what only the response said; its
          verdict, whether that was reported, and its files stay.
        - Without a verdict, and with another key but equal operation and fields, it is the same job: the provider has
          merged the submits. The job gets the new key as well.
        - Else, if it was kept up to Unix second `before` (infinity by default), it was another job: the server counts
          anew. The new job replaces it, with its files. The keys of one with a verdict stay those of that job as it
          was. For the keys of one without a verdict, `keyed` and `begin` return a `replaced` job, unless the new job
          has equal fields; its attempt in a batch has failed.
        """
        ...

    def adopt(self, number: int, ref: str, facts: Mapping[str, Any]) -> bool:
        """Record that a submit of unknown outcome is this job; the job gets the submit's key. Durable.

        A job with another key, but the same operation and equal fields, gets the key as well. Returns False, and stores
        nothing, if no such submit is on record, or the job has another key and is of another submit.
        """
        ...

    def move_submit(self, wrong: str, ref: str, facts: Mapping[str, Any]) -> bool:
        """Record that `wrong` was adopted by mistake: its submit, with the key, has become the job `ref`. Durable.

        `wrong` stays kept, without a key, fields and operation. Returns False, and stores nothing, if `wrong` was not
        adopted (an adopted job has an operation, but no `submitted_at`), or if `ref` has an operation.
        """
        ...

    def submits(self) -> list[Submission]:
        """The submits of unknown outcome, the oldest first: those that are `lost`, and those whose owner is gone."""
        ...

    # -- batches ------------------------------------------------------------------------------------------------------

    def batch_rows(self, batch: str) -> dict[str, KeptRow]:
        """The newest attempt of each begun row of a batch, by the row's name."""
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
        """Record how an attempt ended: "completed", "failed" or "waiting" (to be tried again), and what it has cost.

        May be called twice. Returns False, and stores nothing, if its submit has no outcome yet, or its job no verdict.
        """
        ...

    def ledger(self, batch: str) -> dict[str, Ledger]:
        """What a batch has cost, and what it may still cost, by unit."""
        ...

    def in_flight(self, account: str) -> int:
        """How many jobs of an account have no verdict, plus its submits under way or of unknown outcome."""
        ...

    # -- files --------------------------------------------------------------------------------------------------------

    def want(self, wanted: WantedFiles) -> None:
        """Record that files are wanted. May be called twice."""
        ...

    def unwant(self, wanted: WantedFiles) -> None:
        """Remove wanted files: they are saved, or never will be. A slash at the target's end makes no difference."""
        ...

    def wanted(self) -> list[WantedFiles]:
        """The wanted files that are not all saved yet, the oldest first."""
        ...
