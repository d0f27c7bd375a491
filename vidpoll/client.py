"""The public face: `Client`, and `wait`, `watch` and `download` for scripts that need no client of their own.

Everything here is thin: an account is opened, a task is made, the loop runs it, and what it brought is returned or
raised. All network calls raise UsageError before anything is sent where the call is wrong.
"""

from __future__ import annotations

import io
import logging
import math
import os
import shlex
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from random import Random
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from . import redact
from .clock import Clock, SystemClock
from .errors import (
    AnswerError,
    BadReference,
    PluginError,
    SubmitUnknown,
    UnknownProvider,
    UnknownStatus,
    Unsupported,
    UsageError,
)
from .events import Completed, DownloadProgress, Event, Failed, GaveUp, Polled
from .faults import Fault, Meaning
from .job import Job
from .model import Asset, Page, Quota, Request, Snapshot, Submitted, check_account_name, is_number
from .net.accounts import Account, OpenAccount
from .net.workers import Workers
from .pacing.schedules import Adaptive, Schedule
from .plugins import PluginReport, Plugins, guard, switched_off
from .polling.account_state import AccountState
from .polling.call import Call, build, provider_error, pushed
from .polling.loop import Loop
from .polling.task import OneShot
from .polling.watch import Watch
from .provider import Operation, Provider
from .storage import records
from .storage.keeper import Intent, Keeper, NoKeeper
from .storage.records import KeptJob, Submission, WantedFiles

if TYPE_CHECKING:
    from .downloads.fetcher import DownloadContext
    from .net.transport import Transport

log = logging.getLogger("vidpoll")

T = TypeVar("T")
OnEvent = Callable[[Event], object]

_NOT_BOUGHT = (307, 308, 400, 401, 402, 403, 404, 405, 413, 422, 429, 451)
"""Answers to a submit that say for certain that nothing was bought."""


class Client:
    """Waits for jobs at any provider. Use it as a context manager, from one thread or several.

    `accounts`: name to `Account`; a provider's own name works without. `plugins`: modules or objects with hooks, beside
    the installed plugins (`discover=False`: instead of them; `VIDPOLL_DISABLE=name,name` in the environment switches
    single ones off, `VIDPOLL_TRACE=1` logs each call of a hook). `store`: the SQLite file that keeps jobs over a crash,
    made where there is none. `pacing`: a Schedule, by default `Adaptive()`; a provider's floor always holds.
    `http_timeout`: seconds to connect and seconds without a byte; together they bound one request. `patience`: seconds
    of nothing but faults that are borne. `clock` and `transport` are for tests.

    Raises UsageError for a wrong argument, PluginError where two plugins bring one provider or a passed one is broken,
    StoreError where the store cannot be used.
    """

    def __init__(
        self,
        *,
        accounts: Mapping[str, Account] | None = None,
        plugins: Iterable[object] = (),
        store: str | Path | None = None,
        pacing: Schedule | None = None,
        http_timeout: tuple[float, float] = (10.0, 30.0),
        patience: float = 600.0,
        discover: bool = True,
        clock: Clock | None = None,
        transport: Transport | None = None,
    ) -> None:
        self._accounts = _checked_accounts(accounts or {})
        self._pacing = _checked_pacing(pacing or Adaptive())
        if not (isinstance(http_timeout, Sequence) and len(http_timeout) == 2 and all(map(_positive, http_timeout))):
            raise UsageError(f"http_timeout={http_timeout!r}: two numbers of seconds, (connect, read), above 0")
        if not _positive(patience):
            raise UsageError(f"patience={patience!r}: seconds of faults that are borne, above 0")
        if isinstance(plugins, str) or not isinstance(plugins, Iterable):
            raise UsageError(f"plugins={plugins!r}: a list of modules or objects is due")
        self._plugins = Plugins(
            plugins,
            discover=discover,
            disabled=switched_off(os.environ),
            trace=os.environ.get("VIDPOLL_TRACE", "") not in ("", "0"),
            environ=os.environ,
        )
        self._states: dict[str, AccountState] = {}
        self._clock = clock or SystemClock()
        self._workers = Workers()
        self._transport = transport or _requests_transport()
        self._closed = False
        self._keeper = self._opened(store, sum(http_timeout))
        self._loop = Loop(
            clock=self._clock,
            workers=self._workers,
            send=self._transport.send,
            teller=self._keeper,
            http_timeout=(float(http_timeout[0]), float(http_timeout[1])),
            patience=patience,
            random=Random(),
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the worker threads and close the store. Jobs go on at their providers."""
        self._closed = self._loop.closed = True
        self._workers.close()
        self._keeper.close()

    @property
    def providers(self) -> Mapping[str, Provider]:
        """All providers by name. Those that are loaded by need are loaded for it; `plugins` has their names without."""
        return self._plugins.providers

    def provider(self, name: str) -> Provider:
        """The provider of that name, loaded. Raises UnknownProvider, naming the known ones or what is wrong with it."""
        return self._plugins.provider(name)

    @property
    def plugins(self) -> tuple[PluginReport, ...]:
        """What became of each plugin, the broken ones included; what is not `loaded` is imported when it is named."""
        return tuple(self._plugins.reports)

    def add_commands(self, register: Callable[..., None]) -> list[str]:
        """Let plugins add commands to a command line (`vidpoll_commands`); returns what went wrong, a line each."""
        return self._plugins.commands(register)

    def add_display(self) -> bool:
        """Let an installed plugin show on the terminal how the jobs are (`vidpoll_display`); whether one does."""
        return self._plugins.display(self._clock.time)

    # -- waiting ------------------------------------------------------------------------------------------------------

    def wait(
        self,
        job: Job | str,
        *,
        timeout: float | None = 3600.0,
        pacing: Schedule | None = None,
        stop: threading.Event | None = None,
        on_event: OnEvent | None = None,
        check: bool = True,
    ) -> Job:
        """Wait until the provider ends the job, and return it.

        `timeout` is in seconds; 0 looks once, None waits for as long as it takes. `on_event` gets every event as it
        happens. With `check=False` nothing is raised for what became of the job: look at `job.ok` and `job.error`.

        Raises JobFailed, JobCancelled or JobExpired when the provider says so; WaitTimeout, ProviderUnreachable,
        JobNotFound, WaitStopped or WaitRefused when the outcome is unknown; UsageError before anything is sent.
        """
        job = _job(job)
        for _ in self._follow([job], timeout, pacing, stop, on_event):
            pass
        return job.check() if check else job

    def watch(
        self,
        job: Job | str,
        *,
        timeout: float | None = 3600.0,
        pacing: Schedule | None = None,
        stop: threading.Event | None = None,
        on_event: OnEvent | None = None,
        check: bool = True,
    ) -> Iterator[Event]:
        """Wait like `wait`, yielding each event. A verdict, good or bad, is the last event; nothing is raised for it.

        Where the outcome is unknown, GaveUp is the last event and its error is raised (not with `check=False`).
        """
        job = _job(job)
        following = self._follow([job], timeout, pacing, stop, on_event)

        def events() -> Iterator[Event]:
            with closing(following):
                for _, event in following:
                    yield event
                    if isinstance(event, GaveUp) and check:
                        raise event.error

        return events()

    def as_completed(
        self,
        jobs: Iterable[Job | str],
        *,
        timeout: float | None = 3600.0,
        pacing: Schedule | None = None,
        stop: threading.Event | None = None,
        on_event: OnEvent | None = None,
        check: bool = False,
    ) -> Iterator[Job]:
        """Wait for many jobs, of any mix of providers, and yield each once: as it ends, undecided ones last.

        Look at `job.ok` and `job.error`; with `check=True` the first job that is not completed raises what `wait`
        would have raised. A job that is named twice is yielded once.
        """
        if isinstance(jobs, (str, Job)) or not isinstance(jobs, Iterable):
            raise UsageError(
                f"as_completed({jobs!r}): a list of references or jobs is due; for a single one there is wait"
            )
        unique: dict[str, Job] = {}
        for job in map(_job, jobs):
            unique.setdefault(job.ref, job)
        following = self._follow(list(unique.values()), timeout, pacing, stop, on_event)

        def ended() -> Iterator[Job]:
            with closing(following):
                for job, event in following:
                    if isinstance(event, (Completed, Failed)):
                        del unique[job.ref]
                        yield job.check() if check else job
            for job in unique.values():  # undecided, or ended by another wait for the same Job
                yield job.check() if check else job

        return ended()

    def wait_all(
        self,
        jobs: Iterable[Job | str],
        *,
        timeout: float | None = 3600.0,
        pacing: Schedule | None = None,
        stop: threading.Event | None = None,
        on_event: OnEvent | None = None,
        check: bool = False,
    ) -> list[Job]:
        """Wait until all jobs have ended, and return them in the order given, also one that is named twice.

        Look at `job.ok` and `job.error`; with `check=True` the first one (in the order given) that is not completed
        raises what `wait` would have raised, once all have ended: one job's end never touches another. The keywords are
        those of `as_completed`, which yields each job as it ends.
        """
        if isinstance(jobs, (str, Job)) or not isinstance(jobs, Iterable):
            raise UsageError(f"wait_all({jobs!r}): a list of references or jobs is due; for a single one there is wait")
        given = [_job(job) for job in jobs]
        same: dict[str, Job] = {}
        for job in given:
            same.setdefault(job.ref, job)
        for _ in self._follow(list(same.values()), timeout, pacing, stop, on_event):
            pass
        ended = [same[job.ref] for job in given]
        return [job.check() for job in ended] if check else ended

    def poll(self, job: Job | str) -> Snapshot:
        """Ask once and return what the answer said; a Job that is passed takes it in, and hooks are told.

        The provider's floor holds: a second poll within it waits. Raises ProviderError for a refusal or no answer,
        AnswerError for an answer that cannot be read, UsageError before anything is sent.
        """
        job = _job(job)
        state = self._state(job.account)
        with self._keeper.asking(job, state.opened):
            watch = Watch(job, state, self._pacing, now=self._loop.now(), once=True)
            for _ in self._loop.run([watch]):
                pass
        answer = watch.answer
        if isinstance(answer, Snapshot):
            return answer
        if isinstance(answer, AnswerError):
            answer.job = job
            raise answer
        assert isinstance(answer, Fault)
        advice = f". The job itself is not touched by that{_advice(answer, state)}"
        raise provider_error(job.ref, answer, job=job, advice=advice)

    def _follow(
        self,
        jobs: Sequence[Job],
        timeout: float | None,
        pacing: Schedule | None,
        stop: threading.Event | None,
        on_event: OnEvent | None,
    ) -> Generator[tuple[Job, Event]]:
        """One loop for all; everything that can be wrong about the call is raised here and now."""
        _check_waiting(timeout, stop, on_event)
        schedule = _checked_pacing(pacing or self._pacing)
        states = [self._state(job.account) for job in jobs]
        self._keeper.enter(jobs, [state.opened for state in states])
        for job, state in zip(jobs, states, strict=True):
            if not job.final:
                build(state.opened, state.provider.status, job.id)
                state.opened.check()

        def following() -> Generator[tuple[Job, Event]]:
            now = self._loop.now()
            watches: list[Watch] = []
            with self._keeper.waiting(jobs):
                for job, state in zip(jobs, states, strict=True):
                    self._keeper.deliver(job)
                    verdict = job.verdict(self._clock.time())
                    if verdict is not None:
                        yield job, verdict
                    else:
                        watches.append(self._keeper.watch(job, state, schedule, now=now, timeout=timeout))
                for job, event in self._loop.run(watches, stop):
                    if not isinstance(event, Polled):
                        if on_event is not None:
                            guard("on_event", on_event, event)
                        yield job, event

        def told() -> Generator[tuple[Job, Event]]:
            with self._plugins.during(jobs, "wait"):
                yield from following()

        return told()

    # -- other operations ---------------------------------------------------------------------------------------------

    def submit(self, account: str, kind: str, /, **fields: object) -> Job:
        """Start a job with the provider's own fields: `client.submit("magicoal", "t2v", prompt="a lighthouse")`.

        It is sent once: only what certainly was not received is sent again. Raises ProviderError where the provider
        refuses (nothing was bought), SubmitUnknown where it may have been received, UsageError before anything is sent.
        """
        state = self._state(account)
        provider = state.provider
        if kind not in provider.submit:
            known = ", ".join(provider.submit) or "nothing: this plugin only waits"
            raise Unsupported(f"{account}: no submit operation {redact.text(kind, limit=60)!r}; it has: {known}")
        with self._keeper.submitting(state.opened, kind, fields) as intent:
            return self._submit(state, kind, fields, intent)

    def _submit(self, state: AccountState, kind: str, fields: Mapping[str, object], intent: Intent | None) -> Job:
        provider, account, operation = state.provider, state.name, state.provider.submit[kind]

        def make() -> Request:
            request = build(state.opened, operation, fields)
            if intent is not None:
                intent.begin()
            return request

        one_shot = self._one_shot(state, operation, make, repeat=False)
        result = one_shot.result
        if isinstance(result, Submitted):
            return self._submitted(account, result, intent)
        reason = f"the plugin's parser gave {type(result).__name__}, not a Submitted"
        if isinstance(result, AnswerError):
            reason = str(result)
        elif isinstance(result, Fault):
            reason = result.reason
            if not result.sent:
                advice = f". Nothing was sent and nothing was bought{_advice(result, state)}"
                raise provider_error(f"{account} {kind}", result, advice=advice)
            if one_shot.refused or result.status in _NOT_BOUGHT:
                advice = f". Nothing was bought{_advice(result, state)}"
                raise provider_error(f"{account} {kind}", result, advice=advice)
        look = f"`vidpoll jobs {account}`" if provider.list else f"the dashboard of {provider.name}"
        raise SubmitUnknown(
            f"{account} {kind}: the submit may have been received ({reason}), so it is not sent again. Look for it "
            f"in {look} before you submit again; with its id, go on with `vidpoll wait {account}:ID`",
            account=account,
            operation=kind,
            sent={name: _shown(value) for name, value in fields.items()},
            reason=reason,
        )

    def _submitted(self, account: str, result: Submitted, intent: Intent | None) -> Job:
        at = self._clock.time()
        job = Job(f"{account}:{result.job_id}", submitted_at=at)
        if intent is not None:
            intent.received(job)
        if result.snapshot is not None:
            try:
                events = job.receive(result.snapshot, at)
            except AnswerError:  # the id counts, whatever else the answer says
                return job
            job.answers = 0  # no status answer yet: until there is one, a 404 may mean "not visible yet"
            for event in events:
                self._keeper.tell(job, event)
        return job

    def jobs(self, account: str, /, **fields: object) -> Iterator[Job]:
        """The provider's own list of jobs, page by page as they are asked for; `fields` as the plugin documents them.

        A row's verdict is shown, and counts only after a status answer confirms it (`wait` and `download` see to that).
        Raises Unsupported where the provider has no list, ProviderError, AnswerError.
        """
        state = self._state(account)
        operation = self._operation(state, "list")
        build(state.opened, operation, fields, None)
        state.opened.check()

        def rows() -> Iterator[Job]:
            seen: set[str | None] = set()
            token: str | None = None
            while token not in seen:
                seen.add(token)
                page: Page = self._call(state, operation, f"{account} list", fields, token)
                if not isinstance(page, Page):
                    raise PluginError(f"{account} list: the plugin's parser gave {type(page).__name__}, not a Page")
                for row in page.items:
                    try:
                        job = Job(f"{account}:{row.job_id}")
                    except BadReference as error:  # one odd row must not hide the others
                        log.warning("%s list: a row is left out: %s", account, error)
                        continue
                    job.listed(row, self._clock.time())
                    yield job
                token = page.next
                if token is None:
                    return

        return rows()

    def quota(self, account: str) -> Quota:
        """What the account may still do. Raises Unsupported, ProviderError, AnswerError."""
        state = self._state(account)
        operation = self._operation(state, "quota")
        quota: Quota = self._call(state, operation, f"{account} quota")
        return quota

    def cancel(self, job: Job | str) -> None:
        """Ask the provider to end the job; wait for it to see what came of that. Raises Unsupported, ProviderError."""
        self._end(_job(job), "cancel")

    def delete(self, job: Job | str) -> None:
        """Have the provider delete the job and its files. Raises Unsupported, Conflict while it runs, ProviderError."""
        self._end(_job(job), "delete")

    def _end(self, job: Job, role: str) -> None:
        state = self._state(job.account)
        operation = self._operation(state, role)
        one_shot = self._one_shot(state, operation, lambda: build(state.opened, operation, job.id), repeat=True)
        fault = one_shot.result
        gone = isinstance(fault, Fault) and fault.meaning in (Meaning.MISSING, Meaning.GONE)
        if not (gone and one_shot.lost):  # a 404 after a lost answer: the lost one did it
            _value(one_shot.result, state, f"{job.ref} {role}", job)

    def download(
        self,
        job: Job | str,
        target: str | Path,
        *,
        kinds: Sequence[str] = ("video",),
        overwrite: bool = False,
        timeout: float | None = 3600.0,
        max_bytes: int | None = None,
        on_progress: Callable[[DownloadProgress], object] | None = None,
    ) -> list[Path]:
        """Save the assets of a completed job in the folder `target` (or as the file `target`); return the paths.

        A job that is not known to be completed is asked about once. `kinds` chooses the assets; names are made from the
        reference. A file that is there already is kept unless `overwrite`. `timeout` is in seconds for all files,
        `max_bytes` bounds each; faults are borne for the client's `patience`, and a download goes on where it stopped,
        in another process too. `on_progress` gets DownloadProgress about ten times a second. Nothing but a whole file
        is ever under its name. Raises DownloadError, ResultMissing, the job's own error, UsageError.
        """
        from .downloads.save import fetch

        _check_download(target, timeout, max_bytes, on_progress)
        job = _job(job)
        self._finish(job)

        def tell(event: Event) -> None:
            self._keeper.tell(job, event)
            if on_progress is not None and isinstance(event, DownloadProgress):
                guard("on_progress", on_progress, event)

        context = self._desk(job, tell, timeout)
        with self._plugins.during([job], "download"):
            saved = fetch(context, target, kinds, overwrite=overwrite, max_bytes=max_bytes)
        self._keeper.saved(job, target, kinds)
        return saved

    def open(self, job: Job | str, *, asset: Asset | None = None) -> io.BufferedReader:
        """A completed job's video as a seekable, read-only binary stream, fetched as it is read.

        For what needs a part of it, or reads file objects: `shutil.copyfileobj`, `av.open`, an HTTP server. `asset` is
        another one of `job.assets`, or one that you make of a URL. Nothing is fetched ahead of the window (at most
        4 MiB) that is read. Use it in one thread, and within the client's block. What cannot be read raises as it does
        in `download`; DownloadChanged where the file at the provider became another.
        """
        from .downloads.save import stream

        if not (asset is None or isinstance(asset, Asset)):
            raise UsageError(f"asset={asset!r}: one of job.assets is due, or a vidpoll.Asset that you make")
        job = _job(job)
        self._finish(job)
        return stream(self._desk(job, lambda event: None, None), asset)

    def _finish(self, job: Job) -> None:
        """Make sure that a job is completed, with one question where that is not known. Raises why it is not."""
        state = self._state(job.account)
        if not job.final or not job.assets or job.stale:
            self.poll(job)
            with self._keeper.asking(job, state.opened):
                for settled in job.settle(self._clock.time()):  # completed, files late: `content` may have them
                    self._keeper.tell(job, settled)
        if not job.ok and job.error is None:
            raise UsageError(f"{job.ref} is not completed yet; wait for it first: vidpoll.wait({job.ref!r})", job=job)
        job.check()

    def _desk(self, job: Job, tell: Callable[[Event], None], timeout: float | None) -> DownloadContext:
        from .downloads.fetcher import DownloadContext

        deadline = None if timeout is None else self._loop.now() + timeout
        state = self._state(job.account)
        return DownloadContext(self._loop, self._transport, state.opened, job, lambda: self.poll(job), tell, deadline)

    # -- what is kept -------------------------------------------------------------------------------------------------

    def unfinished(self) -> list[Job]:
        """The jobs of the store without a verdict, and those whose verdict no hook has heard; the oldest first.

        They are where they were, with stage, history and cost: `client.as_completed(client.unfinished())` goes on.
        A verdict that was only not told is told then, without a request. Raises StoreError.
        """
        return [kept.job for kept in self.kept(unfinished=True)]

    def kept(self, *, unfinished: bool = False, last: int | None = None) -> list[KeptJob]:
        """The jobs of the store with all that is kept of them, the oldest first. Raises StoreError.

        `unfinished`: those of `unfinished()` alone. `last`: no more than so many, the latest.
        """
        if last is not None and (not isinstance(last, int) or isinstance(last, bool) or last < 0):
            raise UsageError(f"last={last!r}: a whole number from 0 is due")
        return self._keeper.store.jobs(unfinished=unfinished, last=-1 if last is None else last)

    def forget(self, before: float) -> int:
        """Drop what ended before Unix second `before` from the store, and what was submitted in vain; how many.

        A job without a verdict, or with one that was not told, stays. Raises StoreError.
        """
        if not is_number(before):
            raise UsageError(f"before={before!r}: Unix seconds are due")
        return self._keeper.store.forget(before)

    def drop(self, job: Job | str) -> None:
        """Drop one job from the store, whatever became of it; at its provider it is as it was. Raises StoreError."""
        self._keeper.store.drop(_job(job).ref)

    def unknown_submits(self) -> list[Submission]:
        """The submits of which nobody knows whether they were received; look for them in `jobs`. Raises StoreError."""
        return self._keeper.store.submits()

    def adopt(self, job: Job | str, submission: Submission) -> Job:
        """Say that a submit whose outcome was unknown has become this job; it is kept.

        Raises UsageError for another account, or a submission that is no longer on record; StoreError.
        """
        job = _job(job)
        if job.account != submission.account:
            raise UsageError(f"{job.ref} cannot be the submit at {submission.account}: it is of another account")
        if not self._keeper.store.received(submission.number, job.ref, records.facts(job)):
            raise UsageError(f"{job.ref}: that submit is no longer on record: it was adopted, dismissed or forgotten")
        return job

    def dismiss(self, submission: Submission) -> None:
        """Say that a submit whose outcome was unknown was never received; it is forgotten. Raises StoreError."""
        self._keeper.store.refused(submission.number)

    def want(self, job: Job | str, target: str | Path, *, kinds: Sequence[str] = ("video",)) -> None:
        """Keep that the files of a job are to be saved once it is completed: `wanted` lists them until they are.

        Nothing is fetched here; a `download` with the same target and kinds ends it. Raises StoreError.
        """
        job = _job(job)
        store = self._keeper.store
        store.enter([(job.ref, records.origin(self._state(job.account).opened), records.facts(job))])
        store.want(records.wanted(job.ref, target, kinds))

    def unwant(self, wanted: WantedFiles) -> None:
        """The files are there by other means, or will never be. Raises StoreError."""
        self._keeper.store.unwant(records.wanted(wanted.ref, wanted.target, wanted.kinds))

    def wanted(self) -> list[WantedFiles]:
        """The files that were asked for and are not all saved yet, the oldest first. Raises StoreError."""
        return self._keeper.store.wanted()

    def feed(self, job: Job | str, body: bytes | str | Mapping[str, Any]) -> Job:
        """Take in a body that the provider pushed (a webhook): the same parser, the same job, the same hooks.

        Anybody can push, so a verdict in it counts only when one status request has confirmed it. The same body twice
        changes nothing; with a store, in another process too. Raises AnswerError for a body that cannot be read or is
        about another job, and what `poll` raises where a verdict cannot be confirmed.
        """
        job = _job(job)
        state = self._state(job.account)
        at = self._clock.time()
        said = pushed(state.opened, job, body, at)
        self._keeper.enter([job], [state.opened])
        self._keeper.deliver(job)
        if job.final:
            return job
        if said is None or (isinstance(said, Snapshot) and said.state.final):
            self.poll(job)
            return job
        if isinstance(said, UnknownStatus):
            events = job.receive_unknown(said.word, at)
        else:
            events = () if _older(said, job.snapshot) else job.receive(said, at)
        for event in events:
            self._keeper.tell(job, event)
        return job

    # -- plumbing -----------------------------------------------------------------------------------------------------

    def _opened(self, path: str | Path | None, bound: float) -> Keeper | NoKeeper:
        if path is None:
            return NoKeeper(self._plugins.tell)
        if not isinstance(path, (str, Path)) or not str(path):
            raise UsageError(f"store={path!r}: the path of a file is due, like 'jobs.sqlite3'")
        from .storage.sqlite import Store  # a client without a store needs no SQLite

        return Keeper(Store(path, self._clock.time), self._clock, self._plugins.tell, bound)

    def _state(self, name: str) -> AccountState:
        if self._closed:
            raise UsageError("this client is closed; make a new one")
        if name not in self._states:
            check_account_name(name)
            account = self._accounts.get(name) or Account(name)
            try:
                provider = self._plugins.provider(account.provider)
            except UnknownProvider as error:
                if name in self._accounts or not self._accounts:
                    raise
                raise UnknownProvider(f"{error}; accounts of this client: {', '.join(self._accounts)}") from None
            state = AccountState(OpenAccount(name, account, provider, os.environ))
            state.learn(self._keeper.durations(name))
            self._states.setdefault(name, state)
        return self._states[name]

    @staticmethod
    def _operation(state: AccountState, role: str) -> Operation[Any]:
        operation: Operation[Any] | None = getattr(state.provider, role)
        if operation is None:
            has = ", ".join(state.provider.operations())
            raise Unsupported(f"{state.name}: {state.provider.name} has no {role}; it has: {has}")
        return operation

    def _call(self, state: AccountState, operation: Operation[T], who: str, *args: object) -> T:
        one_shot = self._one_shot(state, operation, lambda: build(state.opened, operation, *args), repeat=True)
        return _value(one_shot.result, state, who)

    def _one_shot(
        self, state: AccountState, operation: Operation[T], make: Callable[[], Request], *, repeat: bool
    ) -> OneShot[T]:
        one_shot = OneShot(state, lambda: Call(state.opened, operation, make()), repeat=repeat, now=self._loop.now())
        for _ in self._loop.run([one_shot]):
            pass
        return one_shot


def wait(
    job: Job | str,
    *,
    timeout: float | None = 3600.0,
    pacing: Schedule | None = None,
    stop: threading.Event | None = None,
    on_event: OnEvent | None = None,
    check: bool = True,
) -> Job:
    """Wait for one job with a client of its own: `vidpoll.wait("magicoal:3f8a…", timeout=900)`. See `Client.wait`."""
    with Client() as client:
        return client.wait(job, timeout=timeout, pacing=pacing, stop=stop, on_event=on_event, check=check)


def watch(
    job: Job | str,
    *,
    timeout: float | None = 3600.0,
    pacing: Schedule | None = None,
    stop: threading.Event | None = None,
    on_event: OnEvent | None = None,
    check: bool = True,
) -> Iterator[Event]:
    """The events of one job with a client of its own. See `Client.watch`."""
    client = Client()
    events = client.watch(job, timeout=timeout, pacing=pacing, stop=stop, on_event=on_event, check=check)

    def until_closed() -> Iterator[Event]:
        with client:
            yield from events

    return until_closed()


def download(
    job: Job | str,
    target: str | Path,
    *,
    kinds: Sequence[str] = ("video",),
    overwrite: bool = False,
    timeout: float | None = 3600.0,
    max_bytes: int | None = None,
    on_progress: Callable[[DownloadProgress], object] | None = None,
) -> list[Path]:
    """Save the assets of a completed job with a client of its own. See `Client.download`."""
    with Client() as client:
        return client.download(
            job, target, kinds=kinds, overwrite=overwrite, timeout=timeout, max_bytes=max_bytes, on_progress=on_progress
        )


def _older(said: Snapshot, known: Snapshot | None) -> bool:
    """Whether a pushed body was overtaken: it is about a time before what is known."""
    then = None if known is None else known.updated_at
    return said.updated_at is not None and then is not None and said.updated_at < then


def _requests_transport() -> Transport:
    """The transport of a client that is given none. requests is imported here: it takes longer than all of vidpoll."""
    from .net.transport import RequestsTransport

    return RequestsTransport()


def _job(job: Job | str) -> Job:
    return job if isinstance(job, Job) else Job(job)


def _value(result: T | Fault | AnswerError, state: AccountState, who: str, job: Job | None = None) -> T:
    if isinstance(result, Fault):
        raise provider_error(who, result, job=job, advice=_advice(result, state, job))
    if isinstance(result, AnswerError):
        result.job = job
        raise result
    return result


def _advice(fault: Fault, state: AccountState, job: Job | None = None) -> str:
    """The next step after a refusal."""
    provider, name = state.provider, state.name
    if fault.status == 401 and provider.auth.variables:
        return f". Check the key ({', '.join(provider.auth.variables)})"
    if fault.status == 402 and provider.quota is not None:
        return f". What is left: vidpoll quota {name}"
    if fault.status == 409 and job is not None:
        return f". Wait for it first: vidpoll wait {shlex.quote(job.ref)}"
    if fault.status in (None, 404, 405) and fault.meaning is not Meaning.REFUSAL:
        return f". It was asked at {redact.url(state.opened.base_url)}"
    return ""


def _positive(value: object) -> bool:
    return is_number(value) and value > 0 and math.isfinite(value)  # type: ignore[operator,arg-type]  # it is a number


def _checked_accounts(accounts: Mapping[str, Account]) -> dict[str, Account]:
    if not isinstance(accounts, Mapping):
        raise UsageError(f"accounts={accounts!r}: a dict is due, of a name to a vidpoll.Account")
    for name, account in accounts.items():
        check_account_name(name)
        if not isinstance(account, Account):
            raise UsageError(f"accounts[{name!r}]: a vidpoll.Account is due, not {type(account).__name__}")
    return dict(accounts)


def _check_timeout(timeout: object) -> None:
    if timeout is not None and not (is_number(timeout) and timeout >= 0):  # type: ignore[operator]  # it is a number
        raise UsageError(f"timeout={timeout!r}: seconds, 0 or more, or None to wait for as long as it takes")


def _check_waiting(timeout: object, stop: object, on_event: object) -> None:
    _check_timeout(timeout)
    if stop is not None and not callable(getattr(stop, "is_set", None)):
        raise UsageError(f"stop={stop!r}: a threading.Event is due")
    if on_event is not None and not callable(on_event):
        raise UsageError(f"on_event={on_event!r}: a function of one event is due")


def _check_download(target: object, timeout: object, max_bytes: object, on_progress: object) -> None:
    if not isinstance(target, (str, Path)) or not str(target):
        raise UsageError(f"target={target!r}: the folder (or the file) to save to is due, like 'clips/'")
    _check_timeout(timeout)
    if max_bytes is not None and not (_positive(max_bytes) and isinstance(max_bytes, int)):
        raise UsageError(f"max_bytes={max_bytes!r}: a whole number of bytes, above 0, or None for no bound")
    if on_progress is not None and not callable(on_progress):
        raise UsageError(f"on_progress={on_progress!r}: a function of one event is due")


def _checked_pacing(pacing: Schedule) -> Schedule:
    if not callable(getattr(pacing, "next_gap", None)):
        raise UsageError(f"pacing={pacing!r}: a Schedule is due, for example vidpoll.Fixed(5)")
    return pacing


def _shown(value: object) -> str:
    return f"<{len(value)} bytes>" if isinstance(value, (bytes, bytearray)) else redact.text(value)
