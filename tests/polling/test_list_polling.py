"""List polling: a page answers for many jobs, and nobody is told anything that a status request has not confirmed."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from acme_provider import ACME, DONE, FLOOR, Ears, Plugin, talk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import vidpoll
from vidpoll import parsing
from vidpoll.pacing.limiter import ROOM
from vidpoll.polling.list_polling import PageWalk
from vidpoll.polling.loop import Run
from vidpoll.testing import FakeClock

SIZE = 20
Fail = Callable[[float, str], Any]


def parse_list(response: vidpoll.Response, job_id: str) -> vidpoll.Page:
    body = parsing.json_object(response)
    rows = parsing.rows(body["rows"], lambda row: ACME.status.parse(_response(row), ""))  # type: ignore[arg-type]
    return vidpoll.Page(rows, body.get("next"), body.get("further", ()))


def list_request(fields: Mapping[str, object], token: str | None) -> vidpoll.Request:
    return vidpoll.Request("GET", "/jobs", query=(("page", token or "0"),))


def _response(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> vidpoll.Response:
    return vidpoll.Response(status, headers or {}, json.dumps(value).encode())


LISTED = replace(
    ACME,
    list=vidpoll.Operation(list_request, parse_list),
    list_polling=vidpoll.ListPollingSpec(rows=SIZE),
    pacing=vidpoll.Pacing(floor=FLOOR),
)


class Studio:
    """A server with jobs that take their time, and a list of them all, oldest first; `old` ones were done before."""

    def __init__(
        self,
        took: list[float],
        *,
        old: int = 0,
        fail: Fail | None = None,
        hidden: set[str] | None = None,
        numbered: bool = False,
    ) -> None:
        self.clock = FakeClock()
        self.start = self.clock.now
        self.took = took
        self.old = old
        self.fail = fail or (lambda at, path: None)
        self.hidden = hidden or set()
        self.numbered = numbered
        """Whether a page tells all those after it."""
        self.asked: list[tuple[float, str]] = []
        self.ears = Ears()
        self._lock = threading.Lock()
        self.client = vidpoll.Client(
            plugins=[Plugin(LISTED), self.ears],
            discover=False,
            clock=self.clock,
            transport=self,
            accounts={"acme": vidpoll.Account("acme", key="acme-0123456789")},
        )
        self.client._loop.context.random = Random(3)

    def send(self, wire: Any, ticket: Any) -> vidpoll.Response:
        with self._lock:
            at = self.clock.now - self.start
            path = wire.url.split("/v1", 1)[1]
            self.asked.append((at, path))
        if (fault := self.fail(at, path)) is not None:
            return _response({}, *fault) if isinstance(fault, tuple) else _response(fault)
        if path.startswith("/jobs/"):
            return _response(self.record(int(path.rpartition("/")[2]), at, whole=True))
        page = int(path.rpartition("=")[2])
        names = [f"old{number}" for number in range(self.old)] + [str(number) for number in range(len(self.took))]
        rows = [
            self.record(int(name), at) if name.isdigit() else {"id": name, "status": "done"}
            for name in names[page * SIZE : (page + 1) * SIZE]
            if name not in self.hidden
        ]
        last = (len(names) - 1) // SIZE
        more: dict[str, object] = {"next": str(page + 1)} if page < last else {}
        if self.numbered:
            more["further"] = [str(number) for number in range(page + 2, last + 1)]
        return _response({"rows": rows, **more})

    def fetch(self, wire: Any, ticket: Any, start: Any) -> vidpoll.Response:
        return self.send(wire, ticket)

    def close(self) -> None:
        """Nothing is open."""

    def record(self, number: int, at: float, *, whole: bool = False) -> dict[str, object]:
        """A row names no file; a status answer does."""
        took = self.took[number]
        if at >= took:
            return {"id": str(number), "status": "done", **({"video": f"/{number}.mp4"} if whole else {})}
        return {"id": str(number), "status": "drawing", "progress": int(100 * at / took)}

    def run(self, **options: Any) -> list[vidpoll.Job]:
        return self.client.wait_all([f"acme:{number}" for number in range(len(self.took))], **options)

    @property
    def lists(self) -> list[float]:
        return [at for at, path in self.asked if path.startswith("/jobs?")]

    @property
    def singles(self) -> Counter[str]:
        return Counter(path.rpartition("/")[2] for _, path in self.asked if path.startswith("/jobs/"))


def test_a_page_serves_many_and_each_verdict_costs_one_request() -> None:
    """Two hundred jobs: ten pages each time, one status request a job at its end, and few more for the last jobs."""
    studio = Studio([60.0 + number / 10 for number in range(200)])
    ended = studio.run()
    assert all(job.ok and job.video.url == f"/{job.id}.mp4" for job in ended)
    assert sum(studio.singles.values()) <= 2 * 200
    assert Counter(studio.singles.values())[1] >= 80
    assert len(studio.lists) <= 10 * (80 / FLOOR + 2)


def test_rows_move_stage_and_progress_and_hooks_hear_of_it() -> None:
    """Who listens notices no difference: stage, progress, an answer each time, one verdict."""
    studio = Studio([30.0] * 40)
    studio.run()
    heard = Counter(hook for hook, _, _ in studio.ears.heard)
    assert heard["completed"] == heard["stage_changed"] == 40
    assert heard["progress"] >= 40 * 4
    assert heard["polled"] >= 40 * 6


def test_the_verdict_comes_as_soon_as_with_single_polls() -> None:
    """Rows are asked for at the schedule's gaps; the confirmation follows at once."""
    studio = Studio([17.0] * 100)
    studio.run()
    assert studio.clock.now - studio.start <= 17 + 5


def test_pages_by_number_are_asked_for_at_once() -> None:
    """The first page tells of nine others: they are under way together, and no page is asked for twice in a walk."""
    together = threading.Barrier(9, timeout=10.0)

    def meet(at: float, path: str) -> None:
        if path.startswith("/jobs?") and not path.endswith("=0"):
            together.wait()

    studio = Studio([60.0] * 200, numbered=True, fail=meet)
    assert all(job.ok for job in studio.run())
    pages = Counter((at, path) for at, path in studio.asked if path.startswith("/jobs?"))
    assert set(pages.values()) == {1}
    assert len(pages) == 10 * len({at for at, _ in pages})


def test_no_more_pages_at_once_than_the_walk_needs() -> None:
    """Ours are in the first five pages of a hundred: the others are left alone."""
    studio = Studio([30.0] * 100 + [900.0] * 2000, numbered=True)
    ended = studio.client.wait_all([f"acme:{number}" for number in range(100)])
    assert all(job.ok for job in ended)
    assert {path.rpartition("=")[2] for _, path in studio.asked if path.startswith("/jobs?")} == set("01234")


def test_a_page_that_fails_costs_its_own_rows_alone() -> None:
    """What the other pages said counts; the jobs of the lost one are asked about one by one."""
    studio = Studio([40.0] * 60, numbered=True, fail=lambda at, path: (500,) if path.endswith("page=1") else None)
    assert all(job.ok for job in studio.run())
    assert len(studio.lists) == 3
    first = {path.rpartition("/")[2] for at, path in studio.asked if at == studio.lists[-1] and "/jobs/" in path}
    assert first == {str(number) for number in range(20, 40)}


def walk(most: int = 9, at_once: int = 3) -> PageWalk:
    """A walk that has asked for the first page, which tells of four others, and for three in all."""
    found = PageWalk(vidpoll.Client(plugins=[Plugin(LISTED)], discover=False)._state("acme"), {"1", "2"}, most, at_once)
    (first,) = found.further()
    found.take(vidpoll.Page((), "b", ("c", "d", "e")), first.number, 0.0)
    assert [listing.token for listing in found.further()] == ["b", "c"]
    return found


def row(job_id: str) -> vidpoll.Snapshot:
    return vidpoll.Snapshot(vidpoll.State.RUNNING, job_id=job_id)


def test_a_page_that_fails_ends_the_walk() -> None:
    """Whichever comes first: what the others bring counts, and no further page is asked for."""
    late = walk()
    late.fail()
    late.take(vidpoll.Page((row("1"),), "f", ("g",)), 3, 0.0)
    early = walk()
    early.take(vidpoll.Page((row("1"),), "f", ("g",)), 3, 0.0)
    early.fail()
    for each in (late, early):
        assert (each.further(), each.over, each.whole, each.done, set(each.rows)) == ([], True, False, True, {"1"})


def test_a_walk_that_has_seen_all_is_whole() -> None:
    """A page that fails after that is missed by nobody."""
    seen = walk()
    seen.take(vidpoll.Page((row("1"), row("2")), "f"), 2, 0.0)
    seen.fail()
    assert (seen.further(), seen.over, seen.whole, seen.needed) == ([], True, True, 2)


@pytest.mark.slow
def test_pages_that_stand_in_line_leave_it_when_one_fails() -> None:
    """An outage after the first page: of 99 pages those go that the gate has let through, until the next walk."""
    begun: list[float] = []

    def fail(at: float, path: str) -> Any:
        if path.startswith("/jobs?") and not path.endswith("=0"):
            begun.append(at)
            return (500,)
        return None

    studio = Studio([60.0] * 2000, numbered=True, fail=fail)
    assert all(job.ok for job in studio.run())
    assert max(Counter(begun).values()) <= ROOM
    assert set(begun) <= {0.0, 60.0}


@pytest.mark.parametrize("token", [{"a": 1}, [1], 7], ids=str)
@pytest.mark.parametrize("field", ["next", "further"])
def test_a_token_that_is_no_text_falls_back(field: str, token: object) -> None:
    """A server's whim, passed on by the plugin: the list is left alone, and no job is lost."""
    extra = {field: token if field == "next" else [token]}
    studio = Studio([40.0] * 60, fail=lambda at, path: {"rows": [], **extra} if path.startswith("/jobs?") else None)
    assert all(job.ok for job in studio.run())
    assert len(studio.lists) == 1


@pytest.mark.parametrize("further", ["bc", None, 7, {"b": 1}], ids=str)
def test_further_tokens_are_a_tuple(further: Any) -> None:
    """One text would be taken for the tokens b and c."""
    with pytest.raises(vidpoll.PluginError, match=r"Page further .*: must be a tuple of tokens"):
        vidpoll.Page((), "a", further)


def test_few_jobs_are_asked_about_one_by_one() -> None:
    """A page is longer than an answer: it has to serve some jobs to be worth it."""
    studio = Studio([30.0] * 5)
    studio.run()
    assert studio.lists == []


def test_a_long_list_for_few_jobs_is_left_alone() -> None:
    """The server holds hundreds of old jobs before ours: the walk stops early, and single questions do it."""
    studio = Studio([30.0] * 30, old=2000)
    assert all(job.ok for job in studio.run())
    assert len(studio.lists) <= 6


def test_a_job_that_is_in_no_row_is_asked_about_by_itself() -> None:
    """A list that leaves jobs out is no word about them."""
    studio = Studio([40.0] * 60, hidden={"7", "33"})
    assert all(job.ok for job in studio.run())
    assert studio.singles["7"] > 4
    assert studio.singles["8"] == 1


@pytest.mark.parametrize("fault", [(500,), (404,), (403,), "no rows", []], ids=str)
def test_a_list_that_fails_falls_back_to_single_polls(fault: Any) -> None:
    """Whatever the list answers, each job gets its verdict, and the list is left alone for a minute."""
    studio = Studio([40.0] * 60, fail=lambda at, path: fault if path.startswith("/jobs?") else None)
    assert all(job.ok for job in studio.run())
    assert len(studio.lists) == 1


def test_a_builder_that_raises_falls_back_too() -> None:
    """A plugin's mistake in its list costs the list, not the jobs."""

    def broken(fields: object, token: object) -> vidpoll.Request:
        raise KeyError("oops")

    studio = Studio([20.0] * 30)
    account = studio.client._state("acme")
    account.provider = replace(LISTED, list=vidpoll.Operation(broken, parse_list))
    assert all(job.ok for job in studio.run())


def test_a_wait_ends_by_its_deadline_though_a_list_is_under_way() -> None:
    """Those who wait for a page end as undecided, each told once."""
    studio = Studio([1000.0] * 50)
    ended = studio.run(timeout=33)
    assert {type(job.error) for job in ended} == {vidpoll.WaitTimeout}
    assert studio.clock.now - studio.start <= 33 + 40
    assert Counter(hook for hook, _, _ in studio.ears.heard)["gave_up"] == 50


def test_a_plan_does_not_grow_by_what_was_planned_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each walk plans a job twice, once for its deadline, which may be a day off."""
    studio, push, sizes = Studio([1000.0] * 50), Run._push, []

    def noted(run: Run, *args: Any, **options: Any) -> None:
        push(run, *args, **options)
        sizes.append(len(run.heap))

    monkeypatch.setattr(Run, "_push", noted)
    studio.run(timeout=200)
    assert 100 < max(sizes) <= ROOM + 2 * 50


def test_stop_ends_those_who_wait_for_a_page() -> None:
    """No job is forgotten, none is told twice."""
    studio = Studio([1000.0] * 50)

    class Stop:
        def is_set(self) -> bool:
            return studio.clock.now - studio.start > 20

    ended = studio.run(stop=Stop())
    assert {type(job.error) for job in ended} == {vidpoll.WaitStopped}
    assert Counter(hook for hook, _, _ in studio.ears.heard)["gave_up"] == 50


def test_list_polling_needs_a_list() -> None:
    """Checked when the provider is built."""
    with pytest.raises(vidpoll.PluginError, match="needs a list"):
        replace(LISTED, list=None)
    with pytest.raises(vidpoll.PluginError, match="rows"):
        vidpoll.ListPollingSpec(rows=0)
    with pytest.raises(vidpoll.PluginError, match="fields"):
        vidpoll.ListPollingSpec(fields="order=desc")  # type: ignore[arg-type]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    took=st.lists(st.floats(0, 90), min_size=1, max_size=80),
    hidden=st.sets(st.integers(0, 79).map(str), max_size=5),
    outage=st.sampled_from([None, (500,), (429, {"retry-after": "7"}), "junk"]),
    only_lists=st.booleans(),
    until=st.floats(0, 60),
    numbered=st.booleans(),
)
def test_whatever_the_list_does_each_job_gets_its_verdict_once(
    took: list[float], hidden: set[str], *, outage: Any, only_lists: bool, until: float, numbered: bool
) -> None:
    """Any durations, rows left out, lists or all requests failing for a while: verdicts for all, floors kept."""

    def fail(at: float, path: str) -> Any:
        return outage if at < until and (path.startswith("/jobs?") or not only_lists) else None

    studio = Studio(took, hidden=hidden, fail=fail, numbered=numbered)
    assert all(job.ok for job in studio.run())
    assert Counter(hook for hook, _, _ in studio.ears.heard)["completed"] == len(took)
    last: dict[str, float] = {}
    for at, path in studio.asked:
        if path.startswith("/jobs/"):
            assert at - last.get(path, -FLOOR) >= FLOOR - 1e-6
            last[path] = at


def test_a_row_about_a_job_that_ended_elsewhere_ends_no_wait() -> None:
    """The program polls one of the jobs itself, and a page that lags says that it still runs."""
    provider = replace(ACME, list_polling=vidpoll.ListPollingSpec(rows=100))
    ids = [f"k{number:02}" for number in range(20)]
    jobs = [vidpoll.Job(f"acme:{name}") for name in ids]

    class Nested:
        done = False

        @vidpoll.hookimpl
        def vidpoll_stage_changed(self, job: vidpoll.Job) -> None:
            if job.id == "k00" and not self.done:
                self.done = True
                t.client.poll(jobs[5])

    rows = [[{"id": name, "status": word} for name in ids] for word in ("drawing", "drawing", "done")]
    script: dict[str, Any] = {f"/jobs/{name}": [DONE] for name in ids}
    t = talk({**script, "/jobs": [{"rows": each} for each in rows]}, provider=provider, plugins=(Nested(),))
    assert all(job.ok for job in t.client.wait_all(jobs))
    assert not t.client._states["acme"].limiter._under_way
