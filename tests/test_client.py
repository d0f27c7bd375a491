"""The public face: what is checked before anything is sent, and every operation beside the wait."""

from __future__ import annotations

import pickle
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from acme_provider import ACME, BROKEN, DONE, DRAWING, FLOOR, HTML, KEY, QUEUED, REF, UNAVAILABLE, Plugin, brief, talk

import vidpoll
from vidpoll.faults import NoAnswer

NOT_FOUND = (404, {"error": "no such job"})
UNSENT = ConnectionRefusedError()
RESET = ConnectionResetError()


async def awaited(event: Any) -> None:
    """Nothing would await it."""


class Awaited:
    async def __call__(self, event: Any) -> None:
        """Nor this."""


# -- the call is wrong: nothing is sent -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda c: c.wait("j1"), vidpoll.BadReference, "write ACCOUNT:ID"),
        (lambda c: c.wait("acme:"), vidpoll.BadReference, "has no id"),
        (lambda c: c.wait("acme:.."), vidpoll.BadReference, "not a job id"),
        (lambda c: c.wait("acme:a\nb"), vidpoll.BadReference, "not a job id"),
        (lambda c: c.wait(7), vidpoll.BadReference, "got int"),
        (lambda c: c.wait(None), vidpoll.BadReference, "got NoneType"),
        (lambda c: c.wait([REF]), vidpoll.BadReference, r"one job, got list; for several: client.as_completed\(jobs\)"),
        (lambda c: c.wait_all([[REF]]), vidpoll.BadReference, "got list"),
        (lambda c: c.wait("akme:j1"), vidpoll.UnknownProvider, "did you mean 'acme'"),
        (lambda c: c.wait(REF, timeout=-1), vidpoll.UsageError, "timeout must be .*, got -1$"),
        (lambda c: c.wait(REF, timeout="900"), vidpoll.UsageError, r"got '900' \(text\): timeout=900$"),
        (lambda c: c.wait(REF, timeout=True), vidpoll.UsageError, "timeout must be .*, got True$"),
        (lambda c: c.wait(REF, timeout=float("nan")), vidpoll.UsageError, "timeout must be .*, got nan$"),
        (lambda c: c.wait(REF, pacing=5), vidpoll.UsageError, "vidpoll.Fixed"),
        (lambda c: c.wait(REF, stop=True), vidpoll.UsageError, "threading.Event"),
        (lambda c: c.wait(REF, on_event="print"), vidpoll.UsageError, "on_event='print'"),
        (
            lambda c: c.wait(REF, on_event=awaited),
            vidpoll.UsageError,
            "on_event=.*: it is async, .*: write a plain def;",
        ),
        (lambda c: c.watch(REF, on_event=partial(awaited)), vidpoll.UsageError, "on_event=.*: it is async"),
        (lambda c: c.as_completed([REF], on_event=Awaited()), vidpoll.UsageError, "on_event=.*: it is async"),
        (lambda c: c.download(REF, "x", on_progress=awaited), vidpoll.UsageError, "on_progress=.*: it is async"),
        (lambda c: c.batch([], on_event=awaited), vidpoll.UsageError, "on_event=.*: it is async"),
        (lambda c: c.watch("j1"), vidpoll.BadReference, "write ACCOUNT:ID"),
        (lambda c: c.as_completed([REF, "j2"]), vidpoll.BadReference, "write ACCOUNT:ID"),
        (lambda c: c.as_completed([REF, "nope:j2"]), vidpoll.UnknownProvider, "accounts of this client: acme"),
        (lambda c: c.poll("nope:j1"), vidpoll.UnknownProvider, "discover=False only these are known: acme"),
        (lambda c: c.submit("nope", "clip"), vidpoll.UnknownProvider, "known: acme"),
        (lambda c: c.submit("acme", "opera"), vidpoll.Unsupported, "it has: clip"),
        (lambda c: c.submit("acme", "clip", colour=1), vidpoll.InvalidField, "takes prompt"),
        (lambda c: c.submit("acme", kind="clip"), vidpoll.UsageError, r"submit\(account, kind, …\): .* without kind=,"),
        (lambda c: c.submit_once("acme", "clip", key="a"), vidpoll.UsageError, "by position, without key=, because"),
        (lambda c: c.price(account="acme", kind="clip"), vidpoll.UsageError, "without account= and kind=, because"),
        (lambda c: c.jobs(account="acme"), vidpoll.UsageError, r"jobs\(account, …\): .* without account="),
        (lambda c: c.submit("ac me", "clip"), vidpoll.BadReference, "not an account name"),
        (lambda c: c.jobs("nope"), vidpoll.UnknownProvider, "known: acme"),
        (lambda c: c.quota("nope"), vidpoll.UnknownProvider, "known: acme"),
        (lambda c: c.cancel("acme:"), vidpoll.BadReference, "has no id"),
        (lambda c: c.delete("nope:1"), vidpoll.UnknownProvider, "known: acme"),
        (lambda c: c.download("acme:", "x"), vidpoll.BadReference, "has no id"),
    ],
)
def test_a_wrong_call_is_told_before_anything_is_sent(call: Any, error: type[Exception], says: str) -> None:
    """A typed error that says what to write, at the call itself and not at the first event."""
    t = talk([DONE])
    with pytest.raises(error, match=says):
        call(t.client)
    assert t.requests == []


def test_an_async_function_for_metrics_is_refused(tmp_path: Path) -> None:
    """Before `serve` takes a shard."""
    with pytest.raises(vidpoll.UsageError, match=r"on_metrics=.*: it is async"):
        talk([], store=tmp_path / "s.sqlite3").client.serve(on_metrics=awaited)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "call",
    [
        lambda c: c.wait(REF),
        lambda c: c.watch(REF),
        lambda c: c.as_completed([REF]),
        lambda c: c.poll(REF),
        lambda c: c.submit("acme", "clip", prompt="x"),
        lambda c: c.jobs("acme"),
        lambda c: c.quota("acme"),
        lambda c: c.cancel(REF),
        lambda c: c.delete(REF),
    ],
)
def test_a_missing_key_names_its_variable(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before any request, for every operation; the environment is read when the client is used."""
    monkeypatch.delenv("ACME_API_KEY", raising=False)
    t = talk([DONE], accounts={})
    with pytest.raises(vidpoll.MissingKey, match="Set the environment variable ACME_API_KEY"):
        call(t.client)
    assert t.requests == []


def test_the_key_and_the_base_url_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """`ACME_API_KEY` and `ACME_BASE_URL` are enough."""
    monkeypatch.setenv("ACME_API_KEY", KEY)
    monkeypatch.setenv("ACME_BASE_URL", "https://eu.acme.example/v9/")
    t = talk([DONE], accounts={})
    t.client.wait(REF)
    assert t.wire.sent[0].url == "https://eu.acme.example/v9/jobs/j1"
    assert t.wire.sent[0].secret == {"Authorization": f"Bearer {KEY}"}


@pytest.mark.parametrize(
    "options",
    [
        {"http_timeout": 5},
        {"http_timeout": (0, 5)},
        {"http_timeout": (5, None)},
        {"http_timeout": (1, 2, 3)},
        {"patience": 0},
        {"patience": True},
        {"pacing": "slow"},
        {"store": ":memory:"},
        {"accounts": {"acme": "sk-1"}},
        {"accounts": {"acme": vidpoll.Account("acme", key=5)}},
        {"accounts": {"acme": vidpoll.Account("acme", key=b"sk-1")}},
        {"accounts": {"acme": vidpoll.Account("acme", key=awaited)}},
        {"accounts": {"a b": vidpoll.Account("acme")}},
    ],
)
def test_wrong_options_of_a_client(options: dict[str, Any]) -> None:
    """A client that is made is a client that works."""
    with pytest.raises(vidpoll.UsageError):
        vidpoll.Client(discover=False, **options)


@pytest.mark.parametrize("role", ["list", "quota", "cancel", "delete"])
def test_what_a_provider_does_not_have_is_unsupported(role: str) -> None:
    """The error names what it has."""
    t = talk([DONE], provider=replace(ACME, **{role: None}), accounts={"acme": vidpoll.Account("acme", key=None)})
    calls: dict[str, Any] = {"list": lambda: t.client.jobs("acme"), "quota": lambda: t.client.quota("acme")}
    call = calls.get(role, lambda: getattr(t.client, role)(REF))
    with pytest.raises(vidpoll.Unsupported, match=f"acme has no {role} operation; it has: status, "):
        call()
    assert t.requests == []


def test_a_client_is_not_pickled() -> None:
    """The error names what can be sent to another process."""
    with pytest.raises(TypeError, match=r"a Client cannot be pickled: make one in each process; vidpoll\.dump\(job\)"):
        pickle.dumps(talk([]).client)


def test_a_closed_client_sends_nothing() -> None:
    """Every call says so, also an iterator that was begun before; a wait ends with the reference of its job."""
    t = talk([DRAWING])
    with t.client as client:
        unread, begun, rows = client.watch(REF), client.watch("acme:j2"), client.jobs("acme")
        next(begun)
    calls: list[Any] = [
        lambda: client.wait(REF),
        lambda: client.poll(REF),
        lambda: client.submit("acme", "clip", prompt="x"),
        lambda: client.jobs("acme"),
        lambda: client.batch([{"key": "a", "prompt": "x"}], account="acme", kind="clip", name="night"),
        lambda: list(rows),
    ]
    for call in calls:
        with pytest.raises(vidpoll.UsageError, match="this client is closed"):
            call()
    for waits, ref in ((unread, REF), (begun, "acme:j2")):
        with pytest.raises(vidpoll.WaitStopped, match="the wait was stopped, because its client was closed") as caught:
            list(waits)
        assert (caught.value.job.ref, caught.value.resume) == (ref, f'vidpoll.wait("{ref}")')
    assert len(t.requests) == 1
    client.close()


@pytest.mark.parametrize("kept", [False, True])
def test_a_wait_whose_client_another_thread_closes(tmp_path: Path, kept: bool) -> None:
    """The job continues: the errors of `wait` have its reference, as with `stop`; nothing more is sent."""
    t = talk([DRAWING], store=tmp_path / "jobs.sqlite3" if kept else None)
    closes = lambda event: t.client.close() if isinstance(event, vidpoll.StageChanged) else None  # noqa: E731
    with pytest.raises(vidpoll.WaitStopped) as caught:
        t.client.wait(REF, on_event=closes)
    assert (caught.value.job.ref, len(t.requests)) == (REF, 1)  # type: ignore[union-attr]
    t = talk([DRAWING])
    done = t.client.wait_all([REF, "acme:j2"], on_event=closes)
    assert [type(job.error) for job in done] == [vidpoll.WaitStopped] * 2


# -- wait, watch, as_completed ----------------------------------------------------------------------------------------


def test_on_event_gets_every_event_as_it_happens() -> None:
    """In the thread that waits, in order; `watch` yields the same ones."""
    here: list[Any] = []
    t = talk([QUEUED, UNAVAILABLE, DRAWING, DONE])
    t.client.wait(REF, on_event=lambda event: here.append((brief(event), threading.current_thread())))
    said = ["stage queued", "fault 503", "stage drawing", "progress 10", "completed"]
    assert here == [(words, threading.main_thread()) for words in said]
    t = talk([QUEUED, UNAVAILABLE, DRAWING, DONE])
    assert [brief(event) for event in t.client.watch(REF)] == said


def test_an_on_event_that_raises_does_not_end_the_wait() -> None:
    """It is warned of and logged; what it was told stands."""

    def broken(event: vidpoll.Event) -> None:
        raise ValueError("no paper")

    t = talk([DONE])
    with pytest.warns(RuntimeWarning, match="on_event raised ValueError: no paper"):
        assert t.client.wait(REF, on_event=broken).ok


def test_check_false_raises_nothing_for_what_became_of_the_job() -> None:
    """Look at `job.ok` and `job.error`."""
    t = talk({"/jobs/a": [BROKEN], "/jobs/b": [DRAWING]})
    failed = t.client.wait("acme:a", check=False)
    late = t.client.wait("acme:b", check=False, timeout=0)
    assert (failed.ok, type(failed.error)) == (False, vidpoll.JobFailed)
    assert (late.ok, type(late.error)) == (False, vidpoll.WaitTimeout)
    with pytest.raises(vidpoll.WaitTimeout):
        late.check()


def test_watch_raises_only_for_an_unknown_outcome() -> None:
    """A verdict, good or bad, is the last event; GaveUp is the last event, and then its error."""
    t = talk({"/jobs/a": [BROKEN], "/jobs/b": [DRAWING]})
    assert [brief(event) for event in t.client.watch("acme:a")] == ["failed"]
    events = t.client.watch("acme:b", timeout=0)
    assert [brief(next(events)) for _ in range(3)] == ["stage drawing", "progress 10", "WaitTimeout"]
    with pytest.raises(vidpoll.WaitTimeout):
        next(events)
    events = t.client.watch("acme:b", timeout=0, check=False)
    assert [brief(event) for event in events] == ["stage drawing", "progress 10", "WaitTimeout"]


def test_as_completed_yields_each_job_once_undecided_last() -> None:
    """Over several accounts, as they end; a job that is named twice is one job."""
    accounts = {name: vidpoll.Account("acme", key=KEY) for name in ("one", "two")}
    script = {"/jobs/slow": [DRAWING, DRAWING, DONE], "/jobs/fast": [DONE], "/jobs/never": [DRAWING]}
    t = talk(script, accounts=accounts)
    fast = vidpoll.Job("two:fast")
    refs: list[Any] = ["one:never", "one:slow", fast, "two:fast", "one:slow"]
    jobs = list(t.client.as_completed(refs, timeout=30))
    assert [job.ref for job in jobs] == ["two:fast", "one:slow", "one:never"]
    assert jobs[0] is fast
    assert [type(job.error) for job in jobs] == [type(None), type(None), vidpoll.WaitTimeout]


def test_as_completed_may_raise_for_the_first_bad_one() -> None:
    """With `check=True` it raises what `wait` would have raised."""
    t = talk([BROKEN])
    with pytest.raises(vidpoll.JobFailed):
        list(t.client.as_completed([REF], check=True))


def test_as_completed_of_nothing() -> None:
    """No job, no request, no wait."""
    t = talk([DONE])
    assert (list(t.client.as_completed([])), t.requests, t.clock.waits) == ([], [], [])


# -- poll -------------------------------------------------------------------------------------------------------------


def test_poll_is_one_request_and_one_snapshot() -> None:
    """A Job that is passed takes the answer in, and the hooks are told."""
    t = talk([DRAWING])
    job = vidpoll.Job(REF)
    snapshot = t.client.poll(job)
    assert (snapshot.state, snapshot.stage, job.stage) == ("running", "drawing", "drawing")
    assert (t.requests, t.ears.hooks) == (["GET /v1/jobs/j1"], ["polled", "stage_changed", "progress"])


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((401, {"error": "no"}), vidpoll.AuthenticationError),
        ((402, {"error": "no"}), vidpoll.PaymentRequired),
        ((403, {"error": "no"}), vidpoll.PermissionDenied),
        ((404, {"error": "no"}), vidpoll.NotFound),
        ((409, {"error": "no"}), vidpoll.Conflict),
        ((422, {"error": "no"}), vidpoll.InvalidRequest),
        ((429, {"error": "no"}), vidpoll.RateLimited),
        ((503, {"error": "no"}), vidpoll.ServerError),
        (RESET, vidpoll.ServerError),
        (HTML, vidpoll.Malformed),
        ({"status": "steeping"}, vidpoll.UnknownStatus),
        ({"status": "done", "id": "other"}, vidpoll.ForeignAnswer),
        ({}, vidpoll.Malformed),
    ],
)
def test_poll_raises_what_came_instead(answer: Any, error: type[vidpoll.VidpollError]) -> None:
    """A refusal, no answer, or one that cannot be read; the job is on the error, and its state untouched."""
    t = talk([answer])
    with pytest.raises(error) as caught:
        t.client.poll(REF)
    assert (caught.value.job.ref, caught.value.job.state) == (REF, None)
    assert len(t.requests) == 1


def test_a_refusal_carries_what_the_provider_said() -> None:
    """Status, code, message, details and request id."""
    body = b'{"error": {"message": "bad key", "code": "E1", "details": {"hint": "rotate"}}}'
    t = talk([(401, {"x-request-id": "r-77"}, body)])
    with pytest.raises(vidpoll.AuthenticationError, match=r"acme:j1: HTTP 401: bad key.*\[request r-77\]") as caught:
        t.client.poll(REF)
    error = caught.value
    assert (error.status, error.code, error.details, error.request_id) == (401, "E1", {"hint": "rotate"}, "r-77")


def test_polling_a_finished_job_refreshes_it() -> None:
    """URLs expire: a later answer brings fresh ones. One that contradicts the verdict is refused."""
    fresh = {**DONE, "video": "https://api.acme.example/files/fresh.mp4"}
    t = talk([DONE, fresh, BROKEN])
    job = t.client.wait(REF)
    t.client.poll(job)
    assert job.video.url == fresh["video"]
    with pytest.raises(vidpoll.TransitionRefused):
        t.client.poll(job)
    assert job.ok


# -- submit -----------------------------------------------------------------------------------------------------------


def test_submit_takes_the_id_first() -> None:
    """A job with its reference; what else the answer tells is told on."""
    t = talk([(202, {"id": "j7", "status": "queued"})])
    job = t.client.submit("acme", "clip", prompt="a lighthouse at dusk")
    assert (job.ref, job.state, job.submitted_at) == ("acme:j7", "queued", t.clock.now)
    assert (t.requests, t.wire.sent[0].body) == (["POST /v1/jobs"], b'{"prompt": "a lighthouse at dusk"}')
    assert t.ears.told == ["stage queued"]


@pytest.mark.parametrize("rest", [{}, {"status": "steeping"}, {"status": ["?"]}, {"status": "done", "video": 5}])
def test_nothing_else_in_a_submit_answer_can_raise(rest: dict[str, Any]) -> None:
    """The job is bought: its id counts, whatever else the answer says."""
    t = talk([{**rest, "id": "j7"}])
    assert t.client.submit("acme", "clip", prompt="x").ref == "acme:j7"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, vidpoll.InvalidRequest),
        (401, vidpoll.AuthenticationError),
        (402, vidpoll.PaymentRequired),
        (403, vidpoll.PermissionDenied),
        (404, vidpoll.NotFound),
        (413, vidpoll.InvalidRequest),
        (422, vidpoll.InvalidRequest),
        (429, vidpoll.RateLimited),
        (307, vidpoll.ServerError),
        (405, vidpoll.InvalidRequest),
    ],
)
def test_a_refused_submit_bought_nothing(status: int, error: type[vidpoll.ProviderError]) -> None:
    """The error says so, and it is asked once."""
    t = talk([(status, {"error": "no"})])
    with pytest.raises(error, match=r"acme clip: HTTP \d+: no. Nothing was bought") as caught:
        t.client.submit("acme", "clip", prompt="x")
    assert (caught.value.status, len(t.requests), t.clock.waits) == (status, 1, [])


@pytest.mark.parametrize("kind", sorted(vidpoll.errors.KINDS))
def test_a_refusal_in_a_200_bought_nothing(kind: str) -> None:
    """`Refused` is the provider's own word, whatever its kind."""

    def parse(response: vidpoll.Response, job_id: str) -> vidpoll.Submitted:
        raise vidpoll.Refused(kind, "not today")

    submit = {"clip": replace(ACME.submit["clip"], parse=parse)}
    t = talk([{}], provider=replace(ACME, submit=submit), accounts={"acme": vidpoll.Account("acme", key=KEY)})
    with pytest.raises(vidpoll.errors.KINDS[kind], match=r"not today\. Nothing was bought"):
        t.client.submit("acme", "clip", prompt="x")
    assert len(t.requests) == 1


def test_what_certainly_was_not_sent_is_sent_again() -> None:
    """A refused connection costs a few seconds, not the submit."""
    t = talk([UNSENT, NoAnswer("the host name could not be looked up", sent=False), {"id": "j7"}])
    assert t.client.submit("acme", "clip", prompt="x").ref == "acme:j7"
    assert (len(t.requests), t.clock.waits) == (3, [5.0, 5.0])


def test_a_provider_that_cannot_be_reached_at_all() -> None:
    """After a minute of refused connections the error says that nothing was sent."""
    t = talk([UNSENT])
    with pytest.raises(vidpoll.ServerError, match="Nothing was sent and nothing was bought"):
        t.client.submit("acme", "clip", prompt="x")
    assert sum(t.clock.waits) == 60.0


@pytest.mark.parametrize(
    "answer",
    [
        RESET,
        NoAnswer("nothing came for 30 s"),
        *[(status, {}, b"") for status in (408, 409, 500, 502, 503, 504)],
        HTML,
        b"",
        {"ok": True},
        {"id": ""},
        {"id": None},
        {"id": ".."},
        [],
    ],
)
def test_a_submit_that_may_have_been_received_is_never_sent_again(answer: Any) -> None:
    """SubmitUnknown carries the account, the operation and what was sent; there is one POST."""
    t = talk([(200, answer) if isinstance(answer, list) else answer])
    said = r"so it is not sent again\. (The base URL was .+ to change it\)\. )?Look for it in `vidpoll jobs acme`"
    with pytest.raises(vidpoll.SubmitUnknown, match=said) as e:
        t.client.submit("acme", "clip", prompt="a lighthouse", image=b"\xff" * 2048)
    error = e.value
    assert (error.account, error.operation) == ("acme", "clip")
    assert error.sent == {"prompt": "a lighthouse", "image": "<2048 bytes>"}
    assert (t.requests, t.clock.waits) == (["POST /v1/jobs"], [])


@pytest.mark.parametrize("second", [UNSENT, RESET, (401, {"error": "no"}), (404, {"error": "no"}), HTML])
def test_a_submit_that_needs_a_second_answer_is_not_undone_by_it(second: Any) -> None:
    """The first answer was good, so something was bought: no second POST, and never "nothing was bought"."""

    def parse(response: vidpoll.Response, job_id: str) -> Any:
        return vidpoll.Follow(vidpoll.Request("GET", "/ticket"), ACME.submit["clip"].parse)

    provider = replace(ACME, submit={"clip": replace(ACME.submit["clip"], parse=parse)})
    accounts = {"acme": vidpoll.Account("acme", key=KEY)}
    t = talk({"/ticket": [second], "/jobs": [{}]}, provider=provider, accounts=accounts)
    with pytest.raises(vidpoll.SubmitUnknown):
        t.client.submit("acme", "clip", prompt="x")
    assert t.requests == ["POST /v1/jobs", "GET /v1/ticket"]
    t = talk({"/ticket": [{"id": "j9"}], "/jobs": [{}]}, provider=provider, accounts=accounts)
    assert t.client.submit("acme", "clip", prompt="x").ref == "acme:j9"


def test_a_parser_that_gives_no_submitted_is_unknown_too() -> None:
    """A plugin's mistake after the money was spent is no reason to spend it twice."""
    submit = {"clip": replace(ACME.submit["clip"], parse=lambda response, job_id: None)}
    t = talk([{"id": "j7"}], provider=replace(ACME, submit=submit, list=None, auth=vidpoll.NoAuth()))
    with pytest.raises(vidpoll.SubmitUnknown, match=r"gave NoneType, not a Submitted.*the dashboard of acme"):
        t.client.submit("acme", "clip", prompt="x")


def test_a_list_that_this_account_cannot_ask_for_is_not_where_to_look() -> None:
    """It is at a host of the vendor's, where the key of a server of one's own is not sent."""

    def at_the_vendor(fields: Any, token: str | None) -> vidpoll.Request:
        return vidpoll.Request("GET", "/jobs", host="lists.acme.example")

    listed = replace(ACME, hosts=("lists.acme.example",), list=replace(ACME.list, request=at_the_vendor))
    own = {"gpu": vidpoll.Account("acme", base_url="https://gpu.example/v1", key=KEY)}
    t = talk([ConnectionResetError()], provider=listed, accounts=own)
    look = r"Look for it in the dashboard of acme, or in the log of the server at https://gpu\.example/v1 before you"
    with pytest.raises(vidpoll.SubmitUnknown, match=look):
        t.client.submit("gpu", "clip", prompt="x")
    with pytest.raises(vidpoll.Unsupported, match="which needs an account at"):
        t.client.jobs("gpu")
    t = talk([ConnectionResetError()], provider=listed, accounts={"acme": vidpoll.Account("acme", key=KEY)})
    with pytest.raises(vidpoll.SubmitUnknown, match="Look for it in `vidpoll jobs acme`"):
        t.client.submit("acme", "clip", prompt="x")


@pytest.mark.parametrize(("patience", "most"), [(600.0, 60.0), (20.0, 20.0)])
def test_a_submit_that_nobody_receives_is_tried_for_a_minute(
    patience: float, most: float, caplog: pytest.LogCaptureFixture
) -> None:
    """Each fault is told with the time of the last try at the latest; then the error says that nothing was sent."""
    t = talk([ConnectionRefusedError()], patience=patience)
    begun = t.clock.now
    with pytest.raises(vidpoll.ServerError, match="Nothing was sent and nothing was bought"):
        t.client.submit("acme", "clip", prompt="x")
    assert most - 2 * FLOOR <= t.clock.now - begun <= most
    said = [record.getMessage() for record in caplog.records if record.name == "vidpoll.again"]
    assert len(said) == len(t.requests) - 1
    assert said[0].endswith(f"last try within {most:.0f} s")


# -- list, quota, cancel, delete --------------------------------------------------------------------------------------


def page(*ids: str, next: str | None = None) -> dict[str, Any]:
    return {"rows": [{"id": job_id, "status": "drawing"} for job_id in ids], "next": next}


def test_jobs_come_page_by_page_as_they_are_asked_for() -> None:
    """Nothing is asked before the first row is, and no page before it is needed."""
    t = talk([page("a", "b", next="p2"), page("c")])
    rows = t.client.jobs("acme")
    assert t.requests == []
    assert next(rows).ref == "acme:a"
    assert t.requests == ["GET /v1/jobs"]
    assert [job.ref for job in rows] == ["acme:b", "acme:c"]
    assert t.requests == ["GET /v1/jobs", "GET /v1/jobs?page=p2"]


def test_a_token_that_repeats_ends_the_list() -> None:
    """A server whose pages go in a circle does not hold the caller for ever."""
    t = talk([page("a", next="p2"), page("b", next="p3"), page("c", next="p2")])
    assert [job.ref for job in t.client.jobs("acme")] == ["acme:a", "acme:b", "acme:c"]


def test_a_row_that_can_be_no_job_hides_no_other() -> None:
    """One odd row is left out."""
    t = talk([page("a", "..", "", "b")])
    assert [job.ref for job in t.client.jobs("acme")] == ["acme:a", "acme:b"]


def test_a_verdict_in_a_row_is_shown_and_not_believed() -> None:
    """Rows lack files: `final` is the word of a status answer alone."""
    t = talk({"/jobs/a": [DONE], "/jobs": [{"rows": [{"id": "a", "status": "done"}]}]})
    (job,) = t.client.jobs("acme")
    assert (job.state, job.final, job.ok) == ("completed", False, False)
    assert t.client.wait(job).video.url == DONE["video"]


def test_a_list_survives_a_blip() -> None:
    """A question that costs nothing is asked again, for a minute."""
    t = talk([UNAVAILABLE, page("a", next="p2"), RESET, page("b")])
    assert [job.ref for job in t.client.jobs("acme")] == ["acme:a", "acme:b"]
    assert t.clock.waits == [5.0, 5.0]


def test_quota_and_its_errors() -> None:
    """Blips are borne for a minute, refusals told at once."""
    t = talk([UNAVAILABLE, {"credits": 120}])
    quota = t.client.quota("acme")
    assert (quota.balance, quota.affords(clip=2), quota.affords(clip=3)) == (120, True, False)
    t = talk([(403, {"error": "no"})])
    with pytest.raises(vidpoll.PermissionDenied, match="acme quota: HTTP 403: no"):
        t.client.quota("acme")
    assert len(t.requests) == 1
    t = talk([UNAVAILABLE])
    with pytest.raises(vidpoll.ServerError):
        t.client.quota("acme")
    assert sum(t.clock.waits) == 60.0
    t = talk([HTML])
    with pytest.raises(vidpoll.Malformed):
        t.client.quota("acme")


def test_a_hint_beyond_a_minute_is_not_waited_for() -> None:
    """An operation that cannot be done within its minute says so at once."""
    t = talk([(429, {"retry-after": "300"}, b"")])
    with pytest.raises(vidpoll.RateLimited):
        t.client.quota("acme")
    assert t.clock.waits == []


@pytest.mark.parametrize(
    ("role", "request_line"), [("cancel", "POST /v1/jobs/j1/cancel"), ("delete", "DELETE /v1/jobs/j1")]
)
def test_cancel_and_delete(role: str, request_line: str) -> None:
    """One request each; the job itself is not touched by it."""
    t = talk([(204, {}, b"")])
    job = vidpoll.Job(REF)
    getattr(t.client, role)(job)
    assert (t.requests, job.state) == ([request_line], None)
    t = talk([(409, {"error": "still running"})])
    with pytest.raises(vidpoll.Conflict, match=f"acme:j1 {role}: HTTP 409: still running") as caught:
        getattr(t.client, role)(REF)
    assert (caught.value.job.ref, len(t.requests)) == (REF, 1)


@pytest.mark.parametrize("lost", [RESET, UNAVAILABLE, NoAnswer("nothing came for 30 s")])
@pytest.mark.parametrize("gone", [404, 410])
def test_a_404_after_a_lost_answer_is_a_success(lost: Any, gone: int) -> None:
    """The request whose answer was lost did it."""
    t = talk([lost, (gone, {"error": "no such job"})])
    t.client.delete(REF)
    assert len(t.requests) == 2


@pytest.mark.parametrize("before", [[], [UNSENT], [(429, {}, b"")]])
def test_a_404_without_a_lost_answer_is_a_404(before: list[Any]) -> None:
    """What was never sent, or refused, deleted nothing: the id is wrong."""
    t = talk([*before, NOT_FOUND])
    with pytest.raises(vidpoll.NotFound):
        t.client.delete(REF)


# -- the module-level functions ---------------------------------------------------------------------------------------


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes every Client of `vidpoll.wait`, `watch` and `download` one that plays the script."""
    made: list[Any] = []

    def play(script: Any) -> list[Any]:
        def client() -> vidpoll.Client:
            made.append(talk(script))
            return made[-1].client  # type: ignore[no-any-return]

        monkeypatch.setattr("vidpoll.shortcuts.Client", client)
        return made

    return play


def test_wait_and_watch_make_and_close_a_client_of_their_own(scripted: Any) -> None:
    """`vidpoll.wait(ref)` is all that a script needs."""
    made = scripted([DRAWING, DONE])
    assert vidpoll.wait(REF, timeout=60).ok
    assert [brief(event) for event in vidpoll.watch(REF)] == ["stage drawing", "progress 10", "completed"]
    events = vidpoll.watch(REF)
    next(events)
    events.close()  # type: ignore[attr-defined]
    assert [t.client._closed for t in made] == [True, True, True]


def test_a_wrong_watch_is_told_at_the_call(scripted: Any) -> None:
    """Not at the first event."""
    scripted([DONE])
    with pytest.raises(vidpoll.BadReference):
        vidpoll.watch("j1")


def test_accounts_of_one_provider_are_kept_apart() -> None:
    """Each account has its own base URL and key; the reference names the account."""
    accounts = {
        "gpu1": vidpoll.Account("acme", base_url="http://10.0.0.7:8080", key="key-of-gpu1"),
        "gpu2": vidpoll.Account("acme", base_url="http://10.0.0.8:8080", key=None),
    }
    t = talk([DONE], accounts=accounts)
    jobs = list(t.client.as_completed(["gpu1:a", "gpu2:a"]))
    assert sorted(job.ref for job in jobs) == ["gpu1:a", "gpu2:a"]
    assert {wire.url: dict(wire.secret) for wire in t.wire.sent} == {
        "http://10.0.0.7:8080/jobs/a": {"Authorization": "Bearer key-of-gpu1"},
        "http://10.0.0.8:8080/jobs/a": {},
    }


def test_the_providers_and_plugins_of_a_client_can_be_looked_at() -> None:
    """Sorted by name; a copy, so that nobody changes it by accident."""
    t = talk([DONE], plugins=(Plugin(replace(ACME, name="aaa"), name="other"),))
    assert list(t.client.providers) == ["aaa", "acme"]
    assert [(report.name, report.providers) for report in t.client.plugins] == [
        ("acme-plugin", ("acme",)),
        ("Ears", ()),
        ("other", ("aaa",)),
    ]


# -- the next step, and calls that are wrong --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "step"),
    [
        ((401, {"error": "bad key"}), "Check the key (accounts={'acme': vidpoll.Account('acme', key=…)})"),
        ((402, {"error": "no credits"}), "See what is left: vidpoll quota acme"),
        ((404, {"error": "no route"}), "The base URL was https://api.acme.example/v1 (set ACME_BASE_URL to change it)"),
    ],
)
def test_a_refusal_names_the_next_step(answer: Any, step: str) -> None:
    """Whoever reads the message knows what to look at."""
    for call in (
        lambda client: client.quota("acme"),
        lambda client: client.submit("acme", "clip", prompt="x"),
        lambda client: client.poll(REF),
    ):
        with pytest.raises(vidpoll.ProviderError) as caught:
            call(talk([answer]).client)
        assert str(caught.value).endswith(step)


def test_alternative_keys_are_named_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody goes looking for three variables where one is enough."""
    monkeypatch.setenv("DUO_KEY", KEY)
    auth = vidpoll.AnyOf(vidpoll.Bearer("DUO_KEY"), vidpoll.Basic("DUO_ID", "DUO_SECRET"))
    t = talk([(401, {"error": "bad key"})], provider=replace(ACME, auth=auth), accounts={})
    with pytest.raises(vidpoll.ProviderError, match=r"Check the key \(DUO_KEY, or DUO_ID and DUO_SECRET\)$"):
        t.client.quota("acme")


@pytest.mark.parametrize("said", ["No such path", "No such path."])
def test_a_sentence_has_one_full_stop(said: str) -> None:
    """Whether a provider's reason is a sentence or not, what follows begins after one stop."""
    with pytest.raises(vidpoll.ProviderError, match=r"No such path\. The base URL was "):
        talk([(404, {"error": said})]).client.quota("acme")


def test_a_conflict_names_the_next_step() -> None:
    """What cannot be deleted while it runs can be waited for."""
    with pytest.raises(vidpoll.Conflict, match=r"Wait for it first: vidpoll wait acme:j1$"):
        talk([(409, {"error": "still running"})]).client.delete(REF)


def test_a_wrong_keyword_of_a_client_names_client() -> None:
    """And not the class in which its `__init__` is written."""
    with pytest.raises(TypeError, match=r"^Client.__init__\(\) got an unexpected keyword argument 'timeout'"):
        vidpoll.Client(timeout=5)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"patience": "60"}, "patience must be a number of seconds, above 0, got '60' (text): patience=60"),
        ({"http_timeout": ("10", 30)}, "like (10, 30), got ('10', 30) (text): http_timeout=(10, 30)"),
        ({"patience": "6e1"}, "got '6e1' (text): patience=60.0"),
        ({"patience": "-5"}, "above 0, got '-5'"),
        ({"patience": "nan"}, "above 0, got 'nan'"),
        ({"patience": "inf"}, "above 0, got 'inf'"),
        ({"http_timeout": ("10", "-3")}, "like (10, 30), got ('10', '-3')"),
        ({"http_timeout": "30"}, "like (10, 30), got '30'"),
        ({"http_timeout": 30}, "like (10, 30), got 30"),
        (
            {"accounts": {"a": vidpoll.Account("a", parts=True)}},
            "parts must be a whole number from 1 to 1024, got True",
        ),
        ({"accounts": {"a": vidpoll.Account("a", parts="2")}}, "1024, got '2' (text): parts=2"),  # type: ignore[arg-type]
        ({"accounts": {"a": vidpoll.Account("a", parts="010")}}, "got '010' (text): parts=10"),  # type: ignore[arg-type]
        *(
            ({"accounts": {"a": vidpoll.Account("a", parts=text)}}, f"1024, got {text!r}")  # type: ignore[arg-type]
            for text in ("2.5", "1e2", "0", "2000", "many", "9" * 39)
        ),
    ],
)
def test_a_number_as_text_is_shown_as_a_number(options: Any, said: str) -> None:
    """The end of the message is what to write; nothing that would be refused again is suggested."""
    with pytest.raises(vidpoll.UsageError) as caught:
        vidpoll.Client(discover=False, **options)
    assert str(caught.value).endswith(said)


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.download(REF, 5),
        lambda client: client.download(REF, ""),
        lambda client: client.download(REF, "x", timeout="x"),
        lambda client: client.download(REF, "x", timeout=-1),
        lambda client: client.download(REF, "x", max_bytes=0),
        lambda client: client.download(REF, "x", max_bytes="1k"),
        lambda client: client.download(REF, "x", on_progress=5),
        lambda client: client.as_completed(5),
        lambda client: client.as_completed(REF),
        lambda client: vidpoll.Client(accounts=[1]),
        lambda client: vidpoll.Client(plugins=5),
        lambda client: vidpoll.Client(plugins="acme"),
    ],
)
def test_a_wrong_argument_is_a_usage_error(call: Any) -> None:
    """Typed, named, and before anything is sent."""
    t = talk([DONE])
    with pytest.raises(vidpoll.UsageError, match=r"must be|pass a list"):
        call(t.client)
    assert t.requests == []


def test_a_job_that_another_wait_has_ended_is_yielded_too() -> None:
    """Two waits may share a Job: whoever hears of the verdict second still gets the job."""

    class OtherWait:
        @vidpoll.hookimpl
        def vidpoll_stage_changed(self, job: vidpoll.Job) -> None:
            job.receive(vidpoll.Snapshot(vidpoll.State.COMPLETED, assets_due=False), 0.0)

    t = talk([DRAWING, DONE], plugins=(OtherWait(),))
    (job,) = t.client.as_completed([REF])
    assert job.ok
    assert "completed" not in t.ears.hooks


# -- wait_all ---------------------------------------------------------------------------------------------------------


def test_wait_all_returns_the_jobs_in_the_order_given() -> None:
    """Whatever the order in which they end; a job that is named twice is there twice, and asked about once."""
    t = talk({"/jobs/a": [DRAWING, DRAWING, DONE], "/jobs/b": [BROKEN]})
    ended = t.client.wait_all(["acme:a", "acme:b", "acme:a"])
    assert [(job.ref, job.ok) for job in ended] == [("acme:a", True), ("acme:b", False), ("acme:a", True)]
    assert ended[0] is ended[2]
    assert len(t.wire.sent) == 4


def test_wait_all_with_check_raises_after_all_have_ended() -> None:
    """One job's end never touches another: the one that is not completed is told of when all verdicts are in."""
    t = talk({"/jobs/a": [BROKEN], "/jobs/b": [DRAWING, DRAWING, DONE]})
    with pytest.raises(vidpoll.JobFailed, match="acme:a"):
        t.client.wait_all(["acme:a", "acme:b"], check=True)
    assert len(t.wire.sent) == 4
    assert [job.ok for job in t.client.wait_all([vidpoll.Job("acme:b")], check=True)] == [True]


def test_wait_all_of_nothing_and_of_no_list() -> None:
    """No jobs are no jobs; a single reference is a mistake that is named."""
    t = talk([DONE])
    assert t.client.wait_all([]) == []
    with pytest.raises(vidpoll.UsageError, match="pass a list of references or jobs"):
        t.client.wait_all("acme:a")
