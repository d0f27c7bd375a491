"""Rate limiter, concurrency limit and circuit breaker of one account.

*Closed*: `ROOM` requests at once, and more as long as good responses come. At most `ROOM` requests go between two good
responses, so that an outage meets few requests, however many jobs wait. *Held* (a 429, or no requests left): no request
until the time that the provider named. *Open* (`SEVERAL` faults in a row, about at least `CROWD` jobs): one half-open
probe at a time, spaced like the polls of a single job with faults. When the circuit closes, the waiting requests go one
by one, spread over one floor, or over the time that they waited. The account's `RateLimit` always holds; if it is
short, queued and single requests take turns.

Submits have their own hold, because a full queue says nothing about polls. A hold of polls also holds submits.

Fewer than `CROWD` jobs are no crowd: each keeps its own schedule, and a broken job slows no other. Arithmetic with the
time passed in; nothing here waits. The threads of a client share the limiter.
"""

from __future__ import annotations

from random import Random
from typing import Any

from ..faults import FailureStreak, Fault, Meaning
from ..fork_lock import ForkLock
from .rate_limit import RateLimit
from .shared import Block, Slowed

ROOM = 32
"""How many requests of one account may run at once, or go after its last good response."""

SEVERAL = 10
"""This many faults in a row open the circuit. If half of the responses are good, the chance is one in a thousand."""

CROWD = 3
"""Faults about fewer jobs than this concern only those jobs, however many faults there are."""

LONG = 60.0
"""Seconds: a hold that ends this long after a deadline, or longer, does not forbid the request on the deadline."""

LOOK = 0.5
"""Seconds until the next check when only a response can close the circuit."""


class AccountLimiter:
    """The limiter of one account. Times are monotonic seconds; `floor` and `rate` are the provider's.

    `sharers`: how many processes share the rate.
    """

    def __init__(self, floor: float, rate: tuple[int, float] | None = None, sharers: int = 1) -> None:
        self.floor = floor
        self.rate = RateLimit(rate, sharers)
        self.not_before = 0.0
        """No request goes before this time (a 429, or no requests left)."""
        self._no_submit_before = 0.0
        self._known = (0.0, 0.0)  # the values of these two that all sharers know
        self._single_last = False  # whether the last request was a single one
        self.fault: Fault | None = None
        """The last fault."""
        self._asked: dict[str, float] = {}
        self._faults = 0  # in a row, without a good response between
        self._failing: set[str] = set()  # the first few jobs with faults
        self._streak = FailureStreak()  # counts rounds: only a fault of a request sent after the last counted fault
        self._last = 0.0  # when the last round was counted
        self._next = 0.0  # with an open circuit, and while a crowd is let through: when the next request may go
        self._crowd, self._pace = 0, 0.0  # requests to let through one by one, and the seconds between them
        self._shut_at: float | None = None  # since when no request has gone, because of a hold or an open circuit
        self._unanswered = 0  # requests since the last good response
        self._reset()

    def _reset(self) -> None:
        self._lock = ForkLock()
        self._jobs: set[object] = set()
        self._waiting: set[object] = set()
        self._under_way: set[object] = set()
        self._singles: set[object] = set()  # the single requests that wait for the rate
        self._probe: object = None

    @property
    def _alone(self) -> Any:
        if self._lock.forked:  # a forked child does not own its parent's running requests
            self._reset()
        return self._lock.current

    # -- passing ------------------------------------------------------------------------------------------------------

    @property
    def circuit_open(self) -> bool:
        """Whether the account itself seems to be down."""
        return self._faults >= SEVERAL and len(self._failing) >= CROWD

    @property
    def few(self) -> bool:
        """Whether the account's jobs are too few for a crowd."""
        return len(self._jobs) < CROWD

    @property
    def rounds(self) -> int:
        """How many rounds of faults came in a row; faults of polls that ran at the same time count as one."""
        return self._streak.in_a_row

    def well(self, now: float) -> bool:
        """Whether the account is neither held nor has an open circuit."""
        return not self.circuit_open and now >= self.not_before

    def opens(self, now: float, spare: int) -> float:
        """When to try again: `now` if a request may go. `spare` is the number of free workers."""
        turn = self.rate.turn(now, before=int(bool(self._singles) and not self._single_last))
        at = max(self.not_before, self._next if self.circuit_open or self._crowd else 0.0, turn)
        more = spare > ROOM and self._unanswered < ROOM  # keep the last free workers for other accounts
        full = (
            spare <= 0 or (len(self._under_way) >= ROOM and not more) or (self.circuit_open and self._probe is not None)
        )
        return max(at, now + LOOK if full else now)

    def watch(self, who: object) -> None:
        """Count `who` among the account's jobs that are waited for, until it leaves for good."""
        with self._alone:
            self._jobs.add(who)
            self.rate.jobs = len(self._jobs)

    def stretched(self, gap: float, now: float) -> float:
        """The gap of a job's schedule, longer if the account's rate is the limit."""
        with self._alone:
            return self.rate.stretched(gap, now)

    def spend(self, now: float, *, submit: bool) -> None:
        """Count a further request of a call that is sent now."""
        with self._alone:
            self.rate.spend(now, submit=submit)

    def admit_single(self, who: object, now: float, *, submit: bool) -> float:
        """When a request that does not queue may go. Returning `now` lets it through."""
        with self._alone:
            held = max(self.not_before, self._no_submit_before if submit else 0.0)
            turn = self.rate.turn(now, submit=submit, before=int(bool(self._waiting) and self._single_last))
            self._singles.discard(who)
            if max(held, turn) <= now:
                self.rate.spend(now, submit=submit)
                self._single_last = True
            elif turn > held:
                self._singles.add(who)
            return max(held, turn)

    # -- sharers ------------------------------------------------------------------------------------------------------

    def draws(self, now: float, *, wants: bool) -> bool:
        """Whether to ask the store for a block: a request `wants` to go, or the other sharers need news."""
        wants = wants and now >= self.not_before and self.rate.blocked(now)
        return wants or self.rate.refusals > 0 or any(self._untold(now))

    def _untold(self, now: float) -> tuple[float, float]:
        """The seconds for which no request, and no submit, may go, as far as the other sharers do not know them."""
        untold = zip((self.not_before, self._no_submit_before), self._known, strict=True)
        held, submits_held = (until - now if until > max(known + LOOK, now) else 0.0 for until, known in untold)
        return held, submits_held

    def asks(self, now: float, *, wants: bool) -> tuple[int, float | None, Slowed]:
        """The arguments for a block: how many requests, the rate per second of all sharers, and news for the others."""
        with self._alone:
            wanted = self.rate.wanted(len(self._waiting) + len(self._singles) or 1, now) if wants else 0
            return wanted, self.rate.stated(now), self.rate.tells(*self._untold(now), now)

    def drawn(self, block: Block | None, told: Slowed, now: float, *, wants: bool) -> None:
        """Take the block that came at `now`; None: the store gives no blocks now."""
        with self._alone:
            if wants:
                self.rate.take(block, now)
            if block is None:
                return
            slowed = block.slowed
            self.rate.heard(slowed, told.refusals, now)
            self._known = (now + max(told.held, slowed.held), now + max(told.submits_held, slowed.submits_held))
            self._no_submit_before = max(self._no_submit_before, now + slowed.submits_held)
            if slowed.held > LOOK and now + slowed.held > self.not_before:
                self.not_before = now + slowed.held
                self.rate.held(self.not_before, now)
                self._shut(now)

    def queue(self, who: object) -> None:
        """Put `who` into the queue."""
        with self._alone:
            self._waiting.add(who)

    def admit(self, who: object, now: float, spare: int) -> bool:
        """Let `who` through if the limiter allows it. Its request then counts as running until it leaves."""
        with self._alone:
            if self.opens(now, spare) > now:
                return False
            self._unanswered += 1
            self.rate.spend(now)
            self._single_last = False
            if self.circuit_open:
                self._probe, self._next = who, now + self.floor
            else:
                self._let_through(now)
            self._waiting.discard(who)
            self._under_way.add(who)
            return True

    def admit_last(self, who: object, deadline: float, now: float) -> bool:
        """Let `who` through on its deadline, although the account is held until long after the deadline.

        Such a hint may be a mistake, and a single request does no harm. The requests of a crowd would.
        """
        with self._alone:
            long = self.not_before - deadline >= LONG
            if now < deadline or not long or self.circuit_open or not self.few:
                return False
            self.rate.spend(now)
            self._waiting.discard(who)
            self._under_way.add(who)
            return True

    def _let_through(self, now: float) -> None:
        if self._shut_at is not None:
            self._crowd = len(self._waiting)
            self._pace = min(self.floor, now - self._shut_at) / max(self._crowd, 1)
            self._shut_at = None
            self._next = now - CROWD * self._pace  # the first few are no crowd
        if self._crowd:
            self._crowd -= 1
            self._next = max(self._next, now - CROWD * self._pace) + self._pace

    def leave(self, who: object, *, ended: bool = False) -> None:
        """`who` has its response, or gives up. With `ended` it does not come back."""
        with self._alone:
            if ended:
                self._jobs.discard(who)
                self._singles.discard(who)
                self.rate.jobs = len(self._jobs)
            self._waiting.discard(who)
            self._under_way.discard(who)
            if self._probe is who:
                self._probe = None

    def earliest_poll(self, job_id: str, now: float) -> float:
        """The earliest time at which the floor allows polling a job: `now` or later."""
        asked = self._asked.get(job_id)
        return now if asked is None else max(now, asked + self.floor)

    def reserve_slot(self, job_id: str, now: float) -> float:
        """Like `earliest_poll`. Returning `now` reserves the slot: the job counts as polled now."""
        with self._alone:
            due = self.earliest_poll(job_id, now)
            if due <= now:
                self._asked.pop(job_id, None)
                self._asked[job_id] = now
                oldest = next(iter(self._asked))
                if now - self._asked[oldest] > self.floor:
                    del self._asked[oldest]
            return due

    # -- what responses say -------------------------------------------------------------------------------------------

    def retry_after(self, until: float, now: float, *, submit: bool = False) -> None:
        """The provider wants no request before `until`; with `submit`, only no further submit."""
        with self._alone:
            if submit:
                self._no_submit_before = max(self._no_submit_before, until)
                return
            self.not_before = max(self.not_before, until)
            self.rate.held(self.not_before, now)
            self._shut(now)

    def _shut(self, now: float) -> None:
        self._shut_at = now if self._shut_at is None else self._shut_at

    def good(self) -> None:
        """A good response came: close the circuit."""
        with self._alone:
            self._well()

    def _well(self) -> None:
        self._faults = self._unanswered = 0
        self.rate.good()
        self._failing.clear()
        self._streak.good()

    def bear(self, job_id: str, fault: Fault, asked_at: float, now: float, random: Random) -> None:
        """Count a fault of a request about a job, which was sent at `asked_at`."""
        with self._alone:
            if fault.meaning is not Meaning.TRANSIENT and fault.status not in (401, 402):
                self._well()  # about one job, from a working server; 401 and 402 concern the account
                return
            troubled = self.circuit_open
            self.fault = fault
            if fault.status == 429 and not self._faults and len(self._jobs) >= CROWD:  # right after a good response
                self.rate.refused(asked_at, now)
            self._faults += 1
            if len(self._failing) < CROWD:
                self._failing.add(job_id)
            fresh = not self.rounds or asked_at > self._last
            if fresh:
                self._streak.bear(fault, now)
                self._last = now
            if self.circuit_open and (fresh or not troubled):
                self._shut(now)
                self._next = now + max(self._streak.gap(self.floor, random), fault.hint or 0.0)

    def earliest(self, due: float) -> float:
        """The earliest time at which a request planned for `due` can go, as far as known."""
        return max(due, self.not_before, self._next if self.circuit_open else 0.0)

    def over(self, since: float, patience: float) -> float | None:
        """Seconds for which the circuit has been open; None if below `patience` for a wait that began at `since`."""
        if not (self.circuit_open and self._streak.over(self._last, patience) and self._last - since >= patience):
            return None
        return self._last - self._streak.first_at

    def refused(self, since: float) -> bool:
        """Whether the provider refuses the account (its key, its balance), and refused it again after `since`."""
        return self.circuit_open and self._streak.refusals > 1 and self._last > since
