"""Many jobs at once: the trouble of an account stays its own, and its rate stays bounded whatever the number of jobs.

Time is virtual and one thread plays everything: `World` is clock, transport and servers in one, so a request may take
its time, or hang, and nothing sleeps.
"""

from __future__ import annotations

import heapq
import json
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import count, pairwise
from queue import Queue
from random import Random
from typing import Any

import pytest
from acme_provider import ACME, Ears, Plugin
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import vidpoll
from vidpoll.faults import NoAnswer
from vidpoll.net.workers import Ticket
from vidpoll.pacing.limiter import ROOM, SEVERAL
from vidpoll.testing import FakeClock

FLOOR = 5.0
BOUND = ROOM + SEVERAL + 2 * (60 / FLOOR + 1)
"""The promise of docs/decisions.md: no more requests in a minute without a good answer, whatever the number of jobs."""

HANG = "hang"
DRAWING = (200, {"status": "drawing"})
DONE = (200, {"status": "done", "video": "https://cdn.example/v.mp4"})
FAULTS: dict[str, Any] = {
    "503": (503, {}),
    "500": (500, {"error": "oops"}),
    "refused": ConnectionRefusedError(),
    "reset": ConnectionResetError(),
    "hang": HANG,
    "html": (200, "<html>"),
    "429": (429, {}),
    "429 with a hint": (429, {}, {"retry-after": "20"}),
    "503 with a hint": (503, {}, {"retry-after": "30"}),
}
Server = Callable[[float, str, int], Any]
"""Seconds since the start, job id, how often that job was asked before: the answer."""


@dataclass(frozen=True)
class Asked:
    """One request that was sent."""

    at: float
    account: str
    job: str
    good: bool


class World(FakeClock):
    """Servers by account, and the time they take; stands in for a client's clock and transport."""

    SIZE = 256

    def __init__(
        self,
        servers: Mapping[str, Server],
        latency: float = 0.05,
        *,
        seed: int = 1,
        rate: tuple[int, float] | None = None,
    ) -> None:
        super().__init__()
        self.start = self.now
        self.servers = servers
        self.latency = latency
        self.asked: list[Asked] = []
        self.under_way: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self._seen: Counter[str] = Counter()
        self._arriving: list[tuple[float, int, Ticket, str]] = []
        self._order = count()
        self._hanging: dict[Ticket, str] = {}
        self.ears = Ears()
        provider = replace(ACME, pacing=vidpoll.Pacing(floor=FLOOR, rate=rate))
        accounts = {
            name: vidpoll.Account("acme", base_url=f"https://{name}.example", key=f"key-0123456789-{name}")
            for name in servers
        }
        self.client = vidpoll.Client(
            plugins=[Plugin(provider), self.ears], discover=False, clock=self, transport=self, accounts=accounts
        )
        self.client._loop.context.random = Random(seed)

    @property
    def spare(self) -> int:
        return self.SIZE - sum(self.under_way.values())

    @property
    def passed(self) -> float:
        return self.now - self.start

    # -- the clock

    def get(self, inbox: Queue[Any], timeout: float, *, busy: bool) -> Any:
        until = self.now + max(timeout, 0.0)
        while inbox.empty() and self._arriving and self._arriving[0][0] <= until:
            at, _, ticket, account = heapq.heappop(self._arriving)
            self.now = max(self.now, at)
            if not ticket.aborted:
                self.under_way[account] -= 1
                ticket.done = True
                inbox.put(ticket)
        if inbox.empty():
            self.now = until
            return None
        return inbox.get()

    # -- the transport

    def begin(self, wire: Any, inbox: Any, start: Any = None) -> Ticket:
        del start
        ticket = Ticket(lambda ticket: None, inbox)
        try:
            ticket.outcome = self.send(wire, ticket)
        except Exception as error:  # noqa: BLE001 - as a worker would
            ticket.outcome = error
        account = self.asked[-1].account
        self.under_way[account] += 1
        self.most[account] = max(self.most[account], self.under_way[account])
        if getattr(ticket.outcome, "reason", "") == HANG:
            self._hanging[ticket] = account
        else:
            heapq.heappush(self._arriving, (self.now + self.latency, next(self._order), ticket, account))
        return ticket

    def abort(self, ticket: Ticket) -> None:
        if not ticket.done and not ticket.aborted:
            ticket.aborted = True
            hung = self._hanging.pop(ticket, None)
            self.under_way[hung or next(a for _, _, t, a in self._arriving if t is ticket)] -= 1

    def close(self) -> None:
        """Nothing is open."""

    # -- the servers

    def send(self, wire: Any, ticket: Ticket) -> vidpoll.Response:
        account, job = wire.url.split("//")[1].split(".")[0], wire.url.rpartition("/")[2]
        reply = self.servers[account](self.passed, job, self._seen[wire.url])
        self._seen[wire.url] += 1
        good = isinstance(reply, tuple) and reply[0] == 200 and isinstance(reply[1], dict)
        self.asked.append(Asked(self.passed, account, job, good))
        if reply == HANG:
            raise NoAnswer(HANG)
        if isinstance(reply, OSError):
            raise NoAnswer(type(reply).__name__, sent=not isinstance(reply, ConnectionRefusedError))
        status, body, *headers = reply
        return vidpoll.Response(status, headers[0] if headers else {}, json.dumps(body).encode())

    # -- what came of it

    def run(self, refs: Iterable[str], **options: Any) -> dict[str, tuple[str, float]]:
        """Wait for all: reference to the name of its outcome and the second in which it ended."""
        ends = {}

        def note(event: vidpoll.Event) -> None:
            if isinstance(event, (vidpoll.Completed, vidpoll.Failed, vidpoll.GaveUp)):
                assert event.ref not in ends
                ends[event.ref] = (outcome(event), self.passed)

        jobs = list(self.client.as_completed(refs, on_event=note, **options))
        assert {job.ref for job in jobs} == set(ends)
        return ends

    def times(self, account: str, job: str | None = None) -> list[float]:
        return [a.at for a in self.asked if a.account == account and job in (None, a.job)]

    def settled(self) -> None:
        """Nothing is left under way, and no gate believes otherwise."""
        assert sum(self.under_way.values()) == 0
        for account in self.client._states.values():
            assert not account.limiter._under_way
            assert not account.limiter._waiting
            assert account.limiter._probe is None


class Passed:
    """A `stop` that is set when so many seconds have passed."""

    def __init__(self, world: World, at: float) -> None:
        self.world, self.at = world, at

    def is_set(self) -> bool:
        return self.world.passed >= self.at


def outcome(event: vidpoll.Event) -> str:
    """The provider's word, or the name of the error."""
    if isinstance(event, vidpoll.GaveUp):
        return type(event.error).__name__
    return str(event.state) if isinstance(event, vidpoll.Failed) else "completed"


def refs(account: str, number: int) -> list[str]:
    return [f"{account}:{n}" for n in range(number)]


def busiest(times: list[float], seconds: float) -> int:
    """The largest number of requests in any window of so many seconds."""
    return max((bisect_right(times, at + seconds) - index for index, at in enumerate(times)), default=0)


def keeps_floors(world: World) -> bool:
    """No job was asked twice within its floor."""
    last: dict[tuple[str, str], float] = {}
    for asked in world.asked:
        if asked.at - last.get((asked.account, asked.job), -FLOOR) < FLOOR - 1e-6:
            return False
        last[asked.account, asked.job] = asked.at
    return True


def always(reply: Any) -> Server:
    return lambda at, job, seen: reply


def during(begin: float, end: float, reply: Any, *, done: int = 30) -> Server:
    """A job is done the `done`-th time that it is asked; between two moments there is nothing but `reply`."""
    return lambda at, job, seen: reply if begin <= at < end else (DONE if at >= end or seen >= done else DRAWING)


NUMBERS = (1, 20, 200, 2000)
many = pytest.mark.parametrize("number", NUMBERS)
each_fault = pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)


# -- an outage --------------------------------------------------------------------------------------------------------


@many
@each_fault
def test_in_an_outage_the_rate_of_an_account_is_bounded_whatever_the_number_of_jobs(number: int, fault: Any) -> None:
    """No minute has more requests than the promise says, and each job ends as unreachable, asked or not."""
    world = World({"one": always(fault)})
    ends = world.run(refs("one", number))
    assert busiest(world.times("one"), 60) <= BOUND
    assert {end for end, _ in ends.values()} == {"ProviderUnreachable"}
    assert all(600 <= at <= 600 + 60 + 40 + 60 + FLOOR for _, at in ends.values())
    assert keeps_floors(world)
    world.settled()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "fault"),
    [
        pytest.param(number, fault, id=f"{number}-{name}")
        for name, fault in FAULTS.items()
        for number in NUMBERS
        if number < 2000 or name in ("503", "hang", "429 with a hint")
    ],
)
def test_an_outage_in_the_middle_is_bounded_and_then_every_job_gets_its_verdict(number: int, fault: Any) -> None:
    """Once the trouble is known there is one question at a time, none sooner than a floor after the last one."""
    world = World({"one": during(12, 312, fault)})
    ends = world.run(refs("one", number))
    assert {end for end, _ in ends.values()} == {"completed"}
    out = [at for at in world.times("one") if 12 <= at < 312]
    assert busiest(out, 60) <= BOUND
    if number > 2:
        known = bisect_left(out, 12 + 40 + FLOOR)
        assert all(b - a >= FLOOR - 1e-6 for a, b in pairwise(out[known:]))
    assert max(at for _, at in ends.values()) <= 312 + 60 + 40 + 2 * FLOOR
    assert keeps_floors(world)
    world.settled()


@pytest.mark.parametrize("number", [20, 200, 2000])
def test_after_an_outage_the_jobs_are_let_through_spread_over_one_floor(number: int) -> None:
    """The first good answer opens the gate; three go at once, the others one by one, and not later than a floor."""
    world = World({"one": during(0, 100, FAULTS["503"])})
    world.run(refs("one", number))
    after = [at for at in world.times("one") if at >= 100]
    assert len(after) == number
    assert busiest(after, 0.04) <= 4 + number * 0.04 / FLOOR + 1
    assert after[-1] - after[0] <= FLOOR + 60  # those that were asked in the outage keep their own back-off
    late = [at for at in after if at > after[0] + FLOOR + 0.1]
    assert len(late) <= ROOM


def test_answers_that_hang_leave_room_for_a_few_requests_only() -> None:
    """An account has at most ROOM requests under way, so that one that hangs does not take all threads."""
    world = World({"one": always(HANG), "two": during(0, 0, None)})
    ends = world.run([*refs("one", 200), *refs("two", 200)])
    assert world.most["one"] == ROOM
    assert max(at for ref, (_, at) in ends.items() if ref.startswith("two")) < 1


def test_jobs_that_were_never_asked_end_with_their_accounts_patience() -> None:
    """They are told why, and have the way back; one question at a time was asked in their name."""
    world = World({"one": always(FAULTS["503"])})
    jobs = list(world.client.as_completed(refs("one", 200), timeout=None))
    silent = {job.id for job in jobs} - {asked.job for asked in world.asked}
    assert len(silent) > 100
    for job in jobs:
        assert isinstance(job.error, vidpoll.ProviderUnreachable)
        assert "no usable response from acme for" in str(job.error)
        assert "HTTP 503" in str(job.error)
        assert job.error.resume == f'client.wait("{job.ref}")'
    assert Counter(hook for hook, _, _ in world.ears.heard)["gave_up"] == 200


def test_the_patience_of_a_wait_begins_with_that_wait() -> None:
    """Who waits again at an account that has been dead for long gets the whole patience, not one question."""
    world = World({"one": always(FAULTS["503"])})
    world.run(refs("one", 20))
    begun = world.passed
    ends = world.run(refs("one", 20))
    assert all(at - begun >= 600 for _, at in ends.values())
    assert busiest(world.times("one"), 60) <= BOUND


def test_in_trouble_no_question_is_owed_on_the_deadline() -> None:
    """Two hundred jobs share one deadline: they end there, told why, and the account is not asked two hundred times."""
    world = World({"one": always(FAULTS["503"])})
    ends = world.run(refs("one", 200), timeout=90)
    assert {end for end, _ in ends.values()} == {"WaitTimeout"}
    assert {at for _, at in ends.values() if at > 90.05} == set()
    assert busiest(world.times("one"), 60) <= BOUND
    said = [str(event.error) for hook, _, event in world.ears.heard if hook == "gave_up"]  # type: ignore[attr-defined]
    assert all("HTTP 503" in text for text in said)


def test_at_an_account_that_is_well_each_job_has_its_question_on_the_deadline() -> None:
    """More jobs than may be under way at once are asked a little late, and not left out."""
    world = World({"one": lambda at, job, seen: DONE if at >= 17 else DRAWING}, latency=1.0)
    ends = world.run(refs("one", 200), timeout=17, pacing=vidpoll.Fixed(100))
    assert {end for end, _ in ends.values()} == {"completed"}
    assert max(at for _, at in ends.values()) <= 17 + 40


def test_a_wait_ends_by_its_deadline_and_one_request_also_where_it_stands_in_line() -> None:
    """A late question has no time of its own: the bound counts from the deadline."""
    world = World({"one": lambda at, job, seen: HANG if at >= 18 else DRAWING}, latency=1.0)
    ends = world.run(refs("one", 200), timeout=17, pacing=vidpoll.Fixed(100))
    assert {end for end, _ in ends.values()} == {"WaitTimeout"}
    assert max(at for _, at in ends.values()) <= 17 + 40


def test_an_outage_with_an_odd_good_answer_between_loses_no_job() -> None:
    """One answer in three is good: the gate opens and shuts, and every job comes through."""
    odds = Random(7)
    world = World({"one": lambda at, job, seen: DONE if odds.random() < 1 / 3 else FAULTS["503"]})
    ends = world.run(refs("one", 200))
    assert {end for end, _ in ends.values()} == {"completed"}
    assert keeps_floors(world)


def test_where_one_answer_in_five_is_good_hardly_a_job_is_given_up() -> None:
    """What a job stands in line is not counted against it: it could not ask."""
    odds = Random(7)
    world = World({"one": lambda at, job, seen: DONE if odds.random() < 1 / 5 else FAULTS["503"]})
    ends = world.run(refs("one", 200), timeout=None)
    assert Counter(end for end, _ in ends.values())["completed"] >= 195


def test_in_trouble_one_question_is_under_way_at_a_time() -> None:
    """The next one is not sent before the last one has been answered or given up."""
    world = World({"one": always(HANG)})
    world.run(refs("one", 200))
    probes = [at for at in world.times("one") if at > 40 + FLOOR]
    assert len(probes) > 5
    assert min(b - a for a, b in pairwise(probes)) >= 40 + FLOOR


def test_in_trouble_a_hint_holds_for_all() -> None:
    """A 503 that says "in 30 s" to one job has said it to the account."""
    world = World({"one": always(FAULTS["503 with a hint"])})
    world.run(refs("one", 200))
    probes = [at for at in world.times("one") if at > 1]
    assert min(b - a for a, b in pairwise(probes)) >= 30


def test_waits_that_are_left_again_and_again_ask_no_faster() -> None:
    """A script that gives up at once and starts anew, at an account in trouble, is held to the floor as well."""
    world = World({"one": always(HANG)})
    world.run(refs("one", 50), timeout=90)
    before, begun = len(world.asked), world.passed
    while world.passed < begun + 60:
        world.run(refs("one", 50), stop=Passed(world, world.passed + 1))
    assert len(world.asked) - before <= 60 / FLOOR + 1


# -- a 429 ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [20, 200, 2000])
def test_after_a_429_the_jobs_are_let_through_spread_over_one_floor(number: int) -> None:
    """Nothing is sent before the moment that the provider named, and then not all at once."""
    world = World({"one": during(0, 1, FAULTS["429 with a hint"])})
    world.run(refs("one", number))
    after = [at for at in world.times("one") if at >= 1]
    assert 20 <= after[0] <= 20.1
    assert len(after) == number
    assert busiest(after, 0.04) <= 4 + number * 0.04 / FLOOR + 1
    assert len([at for at in after if at > 20 + 2 * FLOOR]) == 0


def test_a_rate_that_is_too_low_for_all_serves_all_in_the_end() -> None:
    """A server that answers sixty a minute and else 429: no job starves, and what it refuses stays a part."""
    served: list[float] = []

    def limited(at: float, job: str, seen: int) -> Any:
        if len([s for s in served[-60:] if at - s < 60]) >= 60:
            return (429, {}, {"retry-after": "10"})
        served.append(at)
        return DONE

    world = World({"one": limited})
    ends = world.run(refs("one", 200))
    assert {end for end, _ in ends.values()} == {"completed"}
    assert len(world.asked) <= 3 * 200


def stray(share: float, seed: int, fault: Any) -> Server:
    """A server that can take whatever comes, and throws in a 429 now and then."""
    odds = Random(seed)

    def server(at: float, job: str, seen: int) -> Any:
        return fault if odds.random() < share else (DONE if at >= takes(job) else DRAWING)

    return server


def takes(job: str) -> float:
    """How many seconds a job of `stray` takes: 60 to 120."""
    return 60.0 + int(job) * 37 % 60


@settings(max_examples=5, deadline=None)
@given(share=st.floats(0.0, 0.1), number=st.sampled_from([3, 30, 100]), seed=st.integers(0, 99))
def test_stray_429s_starve_no_job(share: float, number: int, seed: int) -> None:
    """Each job is asked about once a minute and a floor, whatever the 429s have taught."""
    world = World({"one": stray(share, seed, FAULTS["429"])}, seed=seed)
    world.run(refs("one", number))
    for job in range(number):
        assert max(b - a for a, b in pairwise([0.0, *world.times("one", str(job))])) <= 60 + FLOOR


def test_a_few_429s_in_a_hundred_answers_delay_hardly_a_verdict() -> None:
    """0.75 % of the answers say "wait for 2 s": 95 % of 150 jobs have their verdict within two floors."""
    world = World({"one": stray(0.0075, 1, (429, {}, {"retry-after": "2"}))})
    ends = world.run(refs("one", 150))
    late = sorted(at - takes(ref.partition(":")[2]) for ref, (_, at) in ends.items())
    assert late[int(0.95 * 150)] <= 2 * FLOOR


@settings(max_examples=8, deadline=None)
@given(
    share=st.floats(0.01, 0.2), number=st.sampled_from([1, 3, 100]), hint=st.integers(1, 30), seed=st.integers(0, 99)
)
def test_a_retry_after_is_kept_by_the_whole_account(share: float, number: int, hint: int, seed: int) -> None:
    """Nothing is sent between the second in which the 429 is read and the moment that it names."""
    held: list[float] = []
    server = stray(share, seed, (429, {}, {"retry-after": str(hint)}))

    def noted(at: float, job: str, seen: int) -> Any:
        answer = server(at, job, seen)
        held.extend([at] if answer[0] == 429 else [])
        return answer

    world = World({"one": noted}, latency=0.05, seed=seed)
    world.run(refs("one", number), timeout=None)
    times = world.times("one")
    for at in held:
        assert bisect_left(times, at + hint + 0.05 - 1e-6) == bisect_right(times, at + 0.05)


def test_no_requests_left_lets_them_through_spread_as_well() -> None:
    """`X-RateLimit-Remaining: 0` with a good answer holds the account until its reset, and no crowd comes then."""
    spent = (200, {"status": "drawing"}, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "30"})
    world = World({"one": lambda at, job, seen: spent if at < 1 else DONE})
    world.run(refs("one", 200))
    after = [at for at in world.times("one") if at >= 1]
    assert 30 <= after[0] <= 30.1
    assert busiest(after, 0.04) <= 4 + 200 * 0.04 / FLOOR + 1


# -- keys and jobs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 402])
@many
def test_a_key_that_is_refused_costs_a_few_requests_and_ends_every_job(number: int, status: int) -> None:
    """Three jobs hear it and a later question hears it again: the account is refused, and all its jobs are told."""
    world = World({"one": always((status, {"error": "no"}))})
    ends = world.run(refs("one", number))
    assert {end for end, _ in ends.values()} == {"WaitRefused"}
    assert len(world.asked) <= ROOM + SEVERAL
    assert max(at for _, at in ends.values()) <= 2 * FLOOR + 1
    world.settled()


def test_a_key_that_is_refused_for_a_moment_ends_nothing() -> None:
    """A gateway's odd burst of 401 is borne: the question after it is good."""
    world = World({"one": during(10, 12, (401, {}))})
    assert {end for end, _ in world.run(refs("one", 200)).values()} == {"completed"}


@pytest.mark.parametrize(
    ("status", "outcome", "most"),
    [(404, "JobNotFound", 4), (403, "WaitRefused", 2), (400, "WaitRefused", 2), (410, "expired", 1)],
)
def test_a_word_about_a_job_is_no_outage(status: int, outcome: str, most: int) -> None:
    """Half of the jobs are unknown or forbidden: each ends by itself, and the other half does not notice."""

    def server(at: float, job: str, seen: int) -> Any:
        return (status, {}) if int(job) % 2 else (DONE if seen >= 5 else DRAWING)

    world = World({"one": server})
    ends = world.run(refs("one", 200))
    assert {end for ref, (end, _) in ends.items() if int(ref.partition(":")[2]) % 2} == {outcome}
    assert all(len(world.times("one", str(job))) == most for job in range(1, 200, 2))
    alone = World({"one": server})
    alone.run([f"one:{job}" for job in range(0, 200, 2)])
    for job in range(0, 200, 2):
        assert world.times("one", str(job)) == pytest.approx(alone.times("one", str(job)), abs=1.0)


@pytest.mark.parametrize("broken", [1, 2])
@pytest.mark.parametrize("fault", [*FAULTS.values()][:6], ids=[*FAULTS][:6])
@pytest.mark.parametrize("others", [1, 20])
def test_a_broken_job_slows_no_other(broken: int, fault: Any, others: int) -> None:
    """Its id gives 500 or its answer cannot be read, for ever: the others keep their schedule to the second."""

    def server(at: float, job: str, seen: int) -> Any:
        return fault if job.startswith("broken") else (DONE if seen >= 10 else DRAWING)

    well = refs("one", others)
    world, alone = World({"one": server}), World({"one": server})
    ends = world.run([*(f"one:broken{n}" for n in range(broken)), *well], pacing=vidpoll.Fixed(50))
    alone.run(well, pacing=vidpoll.Fixed(50))
    assert all(end == ("completed" if ref in well else "ProviderUnreachable") for ref, (end, _) in ends.items())
    for job in range(others):
        assert world.times("one", str(job)) == alone.times("one", str(job))


def test_a_few_broken_jobs_among_many_slow_them_hardly() -> None:
    """Ten broken ids among two hundred: good answers come between, and end what trouble there seems to be."""

    def server(at: float, job: str, seen: int) -> Any:
        return FAULTS["500"] if int(job) < 10 else (DONE if seen >= 20 else DRAWING)

    world = World({"one": server})
    ends = world.run(refs("one", 200))
    assert max(at for end, at in ends.values() if end == "completed") <= 20 * FLOOR + 4 * FLOOR


def test_fewer_than_three_jobs_are_no_crowd() -> None:
    """Two jobs in one outage keep the schedule that each would have alone."""

    class Most(Random):
        def uniform(self, a: float, b: float) -> float:
            return b

    def run(*jobs: str) -> World:
        world = World({"one": always(FAULTS["503"])})
        world.client._loop.context.random = Most()
        world.run(jobs)
        return world

    both, alone = run("one:a", "one:b"), run("one:a")
    assert both.times("one", "a") == both.times("one", "b") == alone.times("one", "a")
    gaps = [b - a for a, b in pairwise(alone.times("one"))]
    assert [round(gap) for gap in gaps[:6]] == [5, 10, 15, 15, 15, 15]


# -- other accounts ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
@each_fault
def test_other_accounts_do_not_notice_an_outage(fault: Any) -> None:
    """Their requests go out at the very same moments, with and without the neighbour's trouble."""
    server = during(0, 0, None)
    neighbour, healthy = during(7, 200, fault), during(7, 7, None, done=3)
    with_it = World({"ill": neighbour, "two": lambda a, j, s: DONE if s > 30 else DRAWING, "three": server})
    without = World({"ill": healthy, "two": lambda a, j, s: DONE if s > 30 else DRAWING, "three": server})
    mine = [*refs("two", 20), *refs("three", 20)]
    with_it.run([*refs("ill", 200), *mine])
    without.run([*refs("ill", 200), *mine])
    for account in ("two", "three"):
        assert with_it.times(account) == without.times(account)


@pytest.mark.slow
def test_an_account_with_more_jobs_than_can_be_asked_slows_no_other() -> None:
    """Answers take a second, and one account alone could use all workers three times over: the other has its own."""
    servers: dict[str, Server] = {
        "huge": lambda at, job, seen: DRAWING,
        "small": lambda at, job, seen: DONE if seen >= 6 else DRAWING,
    }
    world = World(servers, latency=1.0)
    ends = world.run([*refs("huge", 4000), *refs("small", 30)], timeout=60)
    assert max(at for ref, (_, at) in ends.items() if ref.startswith("small")) <= 6 * (FLOOR + 1) + 2
    assert world.most["huge"] <= world.SIZE - ROOM
    asked = Counter(each.job for each in world.asked if each.account == "huge")
    assert max(asked.values()) - min(asked.values()) <= 1  # nor is any of its own jobs left out
    world.settled()


@pytest.mark.slow
def test_an_account_that_is_well_has_the_room_that_it_needs() -> None:
    """Two thousand jobs, each due every 5 s, answers in half a second: two hundred under way, each job in its time."""
    world = World({"one": lambda at, job, seen: DONE if seen >= 2 else DRAWING}, latency=0.5)
    ends = world.run(refs("one", 2000))
    assert {end for end, _ in ends.values()} == {"completed"}
    assert max(at for _, at in ends.values()) <= 3 * FLOOR + 2 * 0.5 + 0.5
    assert world.most["one"] > 5 * ROOM


# -- a rate -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    requests=st.integers(1, 60),
    seconds=st.sampled_from([1.0, 10.0, 60.0]),
    accounts=st.integers(1, 3),
    number=st.sampled_from([1, 3, 40, 150]),
    latency=st.sampled_from([0.0, 0.05, 3.0]),
    bad=st.sampled_from([0.0, 0.1, 0.4]),
    done=st.integers(0, 3),
    seed=st.integers(0, 9),
)
def test_whatever_happens_no_rate_and_no_floor_is_broken_and_nobody_starves(
    *, requests: int, seconds: float, accounts: int, number: int, latency: float, bad: float, done: int, seed: int
) -> None:
    """Any rate, latency and share of faults: every job gets its verdict, and no window has more than is allowed."""
    odds = Random(seed)
    faults = [*FAULTS.values()]

    def server(at: float, job: str, seen: int) -> Any:
        return odds.choice(faults) if odds.random() < bad else (DONE if seen >= done else DRAWING)

    names = [f"a{n}" for n in range(accounts)]
    world = World(dict.fromkeys(names, server), latency, seed=seed, rate=(requests, seconds))
    world.client._loop.context.patience = 1e9
    ends = world.run([ref for name in names for ref in refs(name, number)], timeout=None)
    assert {end for end, _ in ends.values()} == {"completed"}
    assert keeps_floors(world)
    for name in names:
        assert busiest(world.times(name), seconds - 1e-6) <= requests
    world.settled()


# -- leaving ----------------------------------------------------------------------------------------------------------


def test_a_wait_that_is_left_frees_the_gate() -> None:
    """The probe of an abandoned wait does not keep the next one from asking."""
    world = World({"one": lambda at, job, seen: HANG if at < 300 else DONE})
    jobs = world.client.watch("one:a")
    for each in [world.client.as_completed(refs("one", 50), timeout=60 + n) for n in range(2)]:
        assert sum(1 for _ in each) == 50
        world.settled()
    jobs.close()  # type: ignore[attr-defined]
    world.now = world.start + 400
    assert {end for end, _ in world.run(refs("one", 50)).values()} == {"completed"}


@pytest.mark.parametrize("fault", [FAULTS["503"], HANG], ids=["503", "hang"])
def test_leaving_in_the_middle_of_trouble_leaves_nothing(fault: Any) -> None:
    """An exception out of a hook, with two hundred in line: nothing is under way and nobody is in line."""
    world = World({"one": always(fault)})

    def leave(event: vidpoll.Event) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(world.client.as_completed(refs("one", 200), on_event=leave))
    world.settled()


def test_stop_ends_those_in_line_too() -> None:
    """Each job is told that its wait was stopped."""

    world = World({"one": always(FAULTS["503"])})
    ends = world.run(refs("one", 200), stop=Passed(world, 30))
    assert {end for end, _ in ends.values()} == {"WaitStopped"}
    world.settled()


def test_single_questions_are_held_by_a_429_alone() -> None:
    """In trouble a poll, a submit and a quota are one call and one question still: they are sent at once."""
    world = World({"one": always(FAULTS["503"])})
    world.run(refs("one", 50), timeout=30)
    before, at = len(world.asked), world.passed
    with pytest.raises(vidpoll.ProviderError):
        world.client.poll("one:another")
    assert (len(world.asked) - before, world.passed - at) == (1, pytest.approx(0.05))


# -- whatever happens -------------------------------------------------------------------------------------------------


@st.composite
def outages(draw: st.DrawFn) -> list[tuple[float, float, Any]]:
    """Up to three outages, in order, all over after 400 s, so that no patience ends."""
    found, at = [], 0.0
    for _ in range(draw(st.integers(0, 3))):
        begin = at + draw(st.sampled_from([0.0, 0.01, 3.0, 20.0]))
        at = begin + draw(st.sampled_from([0.02, 1.0, 5.0, 30.0, 110.0]))
        found.append((begin, at, draw(st.sampled_from([*FAULTS.values()]))))
    return found


def played(plan: list[tuple[float, float, Any]], done: int) -> Server:
    def server(at: float, job: str, seen: int) -> Any:
        for begin, end, fault in plan:
            if begin <= at < end:
                return fault
        return DONE if seen >= done else DRAWING

    return server


@pytest.mark.slow
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example(  # a rate that was learnt in the first moment of an outage, and kept after it, would stretch each later round
    plans=[[(0.01, 30.01, FAULTS["429"]), (30.02, 31.02, FAULTS["429"]), (51.02, 81.02, FAULTS["503"])]],
    number=100,
    latency=0.0,
    done=3,
    seed=2,
)
@given(
    plans=st.lists(outages(), min_size=1, max_size=3),
    number=st.sampled_from([1, 2, 3, 20, 100]),
    latency=st.sampled_from([0.0, 0.05, 2.0]),
    done=st.integers(0, 8),
    seed=st.integers(0, 9),
)
def test_whatever_fails_no_job_starves_and_every_bound_holds(
    plans: list[Any], number: int, latency: float, done: int, seed: int
) -> None:
    """Random outages of one to three accounts: verdicts for all, soon after the last one; floors, room and rate."""
    servers = {f"a{n}": played(plan, done) for n, plan in enumerate(plans)}
    world = World(servers, latency, seed=seed)
    ends = world.run([ref for name in servers for ref in refs(name, number)])
    assert {end for end, _ in ends.values()} == {"completed"}
    assert keeps_floors(world)
    world.settled()
    for account, plan in zip(servers, plans, strict=True):
        assert world.most[account] <= world.SIZE - ROOM
        for begin, end, _ in plan:
            known = begin + latency  # until then the good answers come of what was asked before
            assert busiest([at for at in world.times(account) if known < at < end], 60) <= BOUND
        over = max([end for _, end, _ in plan], default=0.0)
        rounds = (done + 1) * (2 * FLOOR + number * latency / ROOM + 2 * latency)
        assert max(at for ref, (_, at) in ends.items() if ref.startswith(account)) <= over + 60 + 40 + rounds
    if len(plans) > 1 and not plans[0]:
        alone = World({"a0": servers["a0"]}, latency, seed=seed)
        quiet = World({**servers, **{name: played([], done) for name in list(servers)[1:]}}, latency, seed=seed)
        quiet.run([ref for name in servers for ref in refs(name, number)])
        alone.run(refs("a0", number))
        assert world.times("a0") == quiet.times("a0") == alone.times("a0")
