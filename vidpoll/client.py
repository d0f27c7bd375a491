"""The public face. Everything is thin: a task is made, the loop runs it, and what it brought is returned or raised.

All network calls raise UsageError before anything is sent where the call is wrong.
"""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import arguments
from .client_base import ClientBase
from .errors import UsageError
from .events import Completed, DownloadProgress, Event, Failed, GaveUp
from .following import Followed, OnEvent, Saving, check_question, checked
from .job import Job
from .model import Asset, Quota, Snapshot
from .pacing.schedules import Schedule
from .plugins import guard
from .polling.call import pushed, receive_pushed
from .polling.retry import retried
from .polling.submit import check_kind, end_job, list_jobs, value_of
from .polling.upload import run_upload, upload_request
from .polling.watch import Watch
from .price import Price
from .stepping import Step, of_step, step
from .storage.no_keeper import NoKeeper
from .storage.once import Submit, send, send_once
from .storage.records import VIDEO, WantedFiles

if TYPE_CHECKING:
    from datetime import datetime

    from .batch.batch import Batch
    from .batch.rows import Row
    from .downloads.fetcher import DownloadContext
    from .serving import Metrics, Served

Download = str | Path | Iterable[WantedFiles]


class Client(ClientBase):
    """Waits for jobs at any provider. Use it as a context manager, from one thread or several.

    `accounts`: name to `Account`; a provider's own name works without. `plugins`: modules or objects with hooks, beside
    the installed plugins (`discover=False`: instead of them; `VIDPOLL_DISABLE=name,name` in the environment switches
    single ones off, `VIDPOLL_TRACE=1` logs each call of a hook). `store` keeps jobs over a crash: the path of an SQLite
    file, made where there is none, the URL of a database (a plugin knows it), or a Store, which this client closes.
    `pacing`: a Schedule, by default `Adaptive()`; a provider's floor always holds.
    `http_timeout`: seconds to connect and seconds without a byte; together they bound one request. `patience`: seconds
    of nothing but faults that are borne. `transport`: who asks, "requests" (by default, or as VIDPOLL_TRANSPORT names
    it), "curl" (of vidpoll-curl) or another name that a plugin brings, or an object. `clock` is for tests.

    Raises UsageError for a wrong argument, PluginError where two plugins bring one provider or a passed one is broken,
    StoreError where the store cannot be used.
    """

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
        download: Download | None = None,
        kinds: Sequence[str] | None = None,
    ) -> Job:
        """Wait until the provider ends the job, and return it; `download`: once its files are saved there.

        `timeout` is in seconds, for asking and files together; 0 looks once, None waits for as long as it takes.
        `on_event` gets every event as it happens. With `check=False` nothing is raised for what became of the job: look
        at `job.ok` and `job.error`, and at `job.paths` and `job.download_error`. `download` and `kinds` are as in
        `as_completed`; a single job may go to a file.

        Raises JobFailed, JobCancelled or JobExpired when the provider says so; WaitTimeout, ProviderUnreachable,
        JobNotFound, WaitStopped or WaitRefused when the outcome is unknown; UsageError before anything is sent.
        """
        job = arguments.as_job(job)
        saving = arguments.saving([job], download, kinds, 1)
        for _ in self._follow([job], saving, timeout=timeout, pacing=pacing, stop=stop, on_event=on_event):
            pass
        return checked(job) if check else job

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
        job = arguments.as_job(job)
        following = self._follow([job], timeout=timeout, pacing=pacing, stop=stop, on_event=on_event)

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
        download: Download | None = None,
        kinds: Sequence[str] | None = None,
        parallel: int = 4,
    ) -> Iterator[Job]:
        """Wait for many jobs, of any mix of providers, and yield each once: as it ends, undecided ones last.

        Look at `job.ok` and `job.error`; with `check=True` the first job that is not completed raises what `wait`
        would have raised. A job that is named twice is yielded once.

        `download` is a folder, or the WantedFiles of `client.store.wanted()`: the files of completed jobs are saved as
        `Client.download` saves them, those of `parallel` jobs at once, while the others are asked about on time. A job
        is then yielded when its files are there, as `job.paths`, or with `job.download_error`, which `check=True`
        raises. `timeout` bounds asking and files together. Whatever ends the loop ends them within a second, and a
        later download goes on where they stopped.
        """
        unique: dict[str, Job] = {}
        for job in arguments.as_jobs(jobs, "as_completed"):
            unique.setdefault(job.ref, job)
        saving = arguments.saving(list(unique.values()), download, kinds, parallel)
        following = self._follow(
            list(unique.values()), saving, timeout=timeout, pacing=pacing, stop=stop, on_event=on_event
        )

        def ended() -> Iterator[Job]:
            with closing(following):
                for job, event in following:
                    if isinstance(event, (Completed, Failed)):
                        del unique[job.ref]
                        yield checked(job) if check else job
            for job in unique.values():  # undecided, or ended by another wait for the same Job
                yield checked(job) if check else job

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
        download: Download | None = None,
        kinds: Sequence[str] | None = None,
        parallel: int = 4,
    ) -> list[Job]:
        """Wait until all jobs have ended, and return them in the order given, also one that is named twice.

        Look at `job.ok` and `job.error`; with `check=True` the first one (in the order given) that is not completed
        raises, once all have ended, what `wait` would have raised. `download`, `kinds` and `parallel` are as in
        `as_completed`.
        """
        given = arguments.as_jobs(jobs, "wait_all")
        same: dict[str, Job] = {}
        for job in given:
            same.setdefault(job.ref, job)
        saving = arguments.saving(list(same.values()), download, kinds, parallel)
        for _ in self._follow(
            list(same.values()), saving, timeout=timeout, pacing=pacing, stop=stop, on_event=on_event
        ):
            pass
        return [checked(same[job.ref]) if check else same[job.ref] for job in given]

    def step(self, job: Job | str, *, pacing: Schedule | None = None) -> Step:
        """One step of a wait, for an engine with its own clock: at most one question to the provider, and no sleep.

        `next_in` says in how many seconds to call it again, None that no further step is needed. Where it is too early
        (the floor, a hint, the account's rate, a lease of another process) nothing is sent. Faults, patience and
        confirmations count over the steps as in one wait: what they need is in the job, so that each may be in another
        process, by `vidpoll.dump(job)` and `vidpoll.load(data)`, or by a store. `job.give_up_at` is a deadline. Hooks
        are told as in a wait; the events are those that `watch` yields. Raises UsageError before anything is sent.
        """
        job = of_step(self._keeper, job)
        state, schedule = self._state(job.account), arguments.check_pacing(pacing or self._pacing)
        check_question(self._keeper, job, state)
        return step(self._loop, self._keeper, job, state, schedule)

    def heard(self, job: Job | str) -> None:
        """Say that a verdict was heard, of which a hook had returned `vidpoll.LATER`; twice is as once.

        Until then the store has it as not told, and whoever waits for the job tells it again, 60 s later at the
        earliest. A client without a store keeps no verdicts: it does nothing. Raises StoreError where that cannot be
        kept, BadReference.
        """
        self._keeper.hear(arguments.as_job(job).ref)

    def serve(
        self,
        accounts: Iterable[str] | None = None,
        *,
        capacity: int = 20_000,
        seconds: float | None = None,
        stop: threading.Event | None = None,
        on_event: OnEvent | None = None,
        on_metrics: Callable[[Metrics], object] | None = None,
        timeout: float = 86_400.0,
    ) -> Served:
        """Wait for all jobs of these accounts in the store, and for those that come, whoever submits them.

        `accounts`: by default all that the store has unfinished jobs of and that can be asked here. One process serves
        an account, or a part of one (`Account.parts`); this one takes what is free while it has fewer than `capacity`
        jobs, and hooks are told as in a wait. Another one takes over what a process that is gone has served, within
        seconds. A job is given up `timeout` seconds after its submit; that is kept, and nothing else ends one before
        its verdict, but a provider that does not know it.

        Returns when the `seconds` are over, `stop` is set, or nothing is free. `on_metrics` is told once a minute how
        it goes. Raises UsageError for a client without a store, StoreError where the store cannot be used at first.
        """
        from .serving import Host, Options, serve

        keeper = self._keeper
        if isinstance(keeper, NoKeeper):
            raise UsageError("serve needs a store, from which the jobs come: make the client with Client(store=…)")
        arguments.check_waiting(None, stop, on_event)
        names = arguments.serving(accounts, capacity, seconds, timeout)
        options = Options(names, capacity, seconds, stop, on_event, on_metrics, timeout)
        with self._serves:
            if self._serving == os.getpid():  # a child that was forked meanwhile serves by itself
                raise UsageError("this client serves already; make another client to serve beside it")
            self._serving = os.getpid()
        try:
            host = Host(self._loop, keeper, self._state, self._parts, self._pacing, self._unserved)
            return serve(host, options)
        finally:
            self._serving = 0

    def _parts(self, account: str) -> int:
        return self._accounts[account].parts if account in self._accounts else 1

    def poll(self, job: Job | str) -> Snapshot:
        """Ask once and return what the answer said; a Job that is passed takes it in, and hooks are told.

        The provider's floor holds: a second poll within it waits. Raises ProviderError for a refusal or no answer,
        AnswerError for an answer that cannot be read, UsageError before anything is sent.
        """
        return self._ask(arguments.as_job(job)).said()

    def _ask(self, job: Job, timeout: float | None = None) -> Watch:
        state = self._state(job.account)
        with self._keeper.asking(job, state.opened):
            watch = Watch(job, state, self._pacing, now=self._loop.now(), timeout=timeout, once=True)
            for _ in self._loop.run([watch]):
                pass
        return watch

    def _follow(
        self,
        jobs: Sequence[Job],
        saving: Saving | None = None,
        *,
        timeout: float | None,
        pacing: Schedule | None,
        stop: threading.Event | None,
        on_event: OnEvent | None,
    ) -> Followed:
        """One loop for all; everything that can be wrong about the call is raised here and now."""
        arguments.check_waiting(timeout, stop, on_event)
        schedule = arguments.check_pacing(pacing or self._pacing)
        return self._following.follow(jobs, schedule, saving, timeout=timeout, stop=stop, on_event=on_event)

    # -- other operations ---------------------------------------------------------------------------------------------

    def submit(self, account: str, kind: str, /, **fields: object) -> Job:
        """Start a job with the provider's own fields: `client.submit("magicoal", "t2v", prompt="a lighthouse")`.

        It is sent once. Only a submit that certainly was not received (the connection was refused) is sent again, for
        up to 60 s, or for the client's `patience` if that is shorter. The logger `vidpoll.again` warns of each try.
        Then ServerError is raised: nothing was sent, nothing was bought.

        Raises ProviderError if the provider refuses (nothing was bought), SubmitUnknown if the submit may have been
        received, UsageError before anything is sent.
        """
        state = self._state(account)
        check_kind(state, kind)
        return send(self._keeper, self._loop, Submit(state, kind, fields))

    def submit_once(self, account: str, kind: str, key: str, /, **fields: object) -> Job:
        """The job of this key: started now, or the one that was started with it before, by any process of the store.

        `client.submit_once("magicoal", "t2v", "order-42", prompt="a lighthouse")`. A key is 1 to 200 characters, the
        caller's own, one for each job of an account; it is free again after a refusal. Where another process is at it,
        its answer is waited for, as long as one request may take. Raises SubmitUnknown where an earlier submit may have
        been received, until that is adopted or dismissed (`client.store`); UsageError for a key that was used with
        another kind or other fields, and for a client without a store; and what `submit` raises.
        """
        key = arguments.check_key(key)
        state = self._state(account)
        check_kind(state, kind)
        return send_once(self._keeper, self._loop, Submit(state, kind, fields, key))

    def jobs(self, account: str, /, **fields: object) -> Iterator[Job]:
        """The provider's own list of jobs, page by page as they are asked for; `fields` as the plugin documents them.

        A row's verdict is shown, and counts only after a status answer confirms it (`wait` and `download` see to that).
        Raises Unsupported where the provider has no list, ProviderError, AnswerError.
        """
        state = self._state(account)
        return list_jobs(self._loop, state, fields)

    def quota(self, account: str) -> Quota:
        """What the account may still do. Raises Unsupported, ProviderError, AnswerError."""
        return self._prices.quota(self._state(account))

    def price(self, account: str, kind: str, /, **fields: object) -> Price | None:
        """What one job with these fields will cost, before it is submitted; None where nobody knows. Nothing is bought.

        The first that knows: the provider's estimate, its quota, the plugin's price list, former jobs in the store. An
        answer counts for a minute. Raises UsageError for wrong fields; ProviderError where nothing answers.
        """
        state = self._state(account)
        check_kind(state, kind)
        return self._prices.price(state, kind, fields)

    def batch(
        self,
        source: str | Path | Iterable[Mapping[str, Any]],
        *,
        account: str | None = None,
        kind: str | None = None,
        fields: Mapping[str, Any] | None = None,
        name: str | None = None,
        into: str | Path | None = None,
        file: str = "{key}",
        budget: str | None = None,
        limit: int | None = None,
        price: Mapping[str, str] | Callable[[Row], Price | None] | None = None,
        slots: Mapping[str, int] | int | None = None,
        until: str | datetime | None = None,
        retries: int = 1,
        retries_paid: int = 0,
        only: str | Iterable[str] | None = None,
        retry_failed: bool = False,
        changed: str | None = None,
        report: str | Path | None = None,
        picture: str = "",
        stop: threading.Event | None = None,
        on_event: OnEvent | None = None,
    ) -> Batch:
        """Rows of prompts become videos, each bought once, within a budget: a Batch to look at, and to iterate.

        `source`: a CSV, JSON or JSONL file, a folder of .txt files or pictures (`picture` is their field), "-", or
        dicts. A row is a video: its columns are the provider's fields, and `key`, `account`, `kind`, `count`, `file`.
        `account`, `kind` and `fields` are for rows that name none. `name` is the batch's in the store, by default the
        file's; `into` the folder of the files, by default of that name, `file` the template of theirs.

        `budget` ("40 USD") bounds the money, `limit` the jobs, `until` ("07:00") when the last one is submitted.
        `price` tells what nobody else knows ({"kling/t2v": "0.35USD"}). `slots`: unfinished jobs at once, by account;
        by default what the provider says, or what its refusals teach. `retries`: tries after a fault, `retries_paid`
        where the failed one is charged. `only`: these keys. `retry_failed`: what failed for good, too. `changed`:
        "keep" or "again", for a bought row that has other fields by now. `report`: a .csv or .jsonl of all rows.

        Nothing is submitted before the Batch is iterated; run again, it goes on. Needs a client with a store. Raises
        BatchInvalid with all that is wrong with the rows, UsageError for wrong arguments.
        """
        from .batch.opening import Options, host, open_batch

        mine = host(self._loop, self._keeper, self._plugins, self._pacing, self._state)
        options = Options(
            account=account, kind=kind, fields=fields, name=name, into=into, file=file, budget=budget, limit=limit,
            price=price, slots=slots, until=until, retries=retries, retries_paid=retries_paid, only=only,
            retry_failed=retry_failed, changed=changed, report=report, picture=picture, stop=stop, on_event=on_event,
        )  # fmt: skip
        return open_batch(mine, self._prices, source, options)

    def upload(self, account: str, path: str | Path, *, kind: str | None = None) -> Any:
        """Send a file that a job needs to the provider, and return what the submit's field takes.

        `client.submit("moneyprinterturbo", "video", video_materials=[client.upload("moneyprinterturbo", "a.mp4")], …)`.
        `kind` is a key of the provider's `upload` operations; by default the first one that takes such a file. Nothing
        is bought by it: it is sent again after an answer that was lost. Raises Unsupported, InvalidField for a file
        that cannot be read or is of no kind that is taken, ProviderError, AnswerError.
        """
        state = self._state(account)
        operation, request = upload_request(state, arguments.check_file(path), kind)
        return value_of(run_upload(self._loop, state, operation, request), state, f"{account} upload")

    def cancel(self, job: Job | str) -> None:
        """Ask the provider to end the job; wait for it to see what came of that. Raises Unsupported, ProviderError.

        Where the answer itself says how the job stands now, the job takes it in and hooks are told.
        """
        job = arguments.as_job(job)
        state = self._state(job.account)
        with self._keeper.asking(job, state.opened):
            said = end_job(self._loop, state, job, "cancel")
            if said is not None and not job.final:
                at = self._clock.time()
                for event in job.receive(said, at):
                    self._keeper.tell(job, event)

    def delete(self, job: Job | str) -> None:
        """Have the provider delete the job and its files. Raises Unsupported, Conflict while it runs, ProviderError."""
        job = arguments.as_job(job)
        end_job(self._loop, self._state(job.account), job, "delete")

    def download(
        self,
        job: Job | str,
        target: str | Path,
        *,
        kinds: Sequence[str] | None = None,
        overwrite: bool = False,
        timeout: float | None = 3600.0,
        max_bytes: int | None = None,
        on_progress: Callable[[DownloadProgress], object] | None = None,
    ) -> list[Path]:
        """Save the assets of a completed job in the folder `target` (or as the file `target`); return the paths.

        A job that is not known to be completed is asked about, until an answer says something. `kinds`: by default the
        videos, and of a job that makes none all that it makes. Names are made from the reference, with the suffix of
        what the file is. A file that is there is kept where it is known to be this job's. Another one is replaced with
        `overwrite`, else DownloadError; in a folder the new file gets a name of its own (`…~2`). `timeout` is seconds
        for the answer and all files, `max_bytes` bounds each. Faults are borne for the client's `patience`; a download
        goes on where it stopped. `on_progress` gets DownloadProgress about ten times a second. Raises DownloadError,
        ResultMissing, the job's own error, UsageError, and what `poll` raises where no answer comes.
        """
        from .downloads.save import fetch

        target = arguments.check_download(target, kinds, timeout, max_bytes, on_progress)
        job = arguments.as_job(job)
        start = self._loop.now()
        self._finish(job, timeout)
        left = None if timeout is None else max(0.0, timeout - (self._loop.now() - start))

        def tell(event: Event) -> None:
            self._keeper.tell(job, event)
            if on_progress is not None and isinstance(event, DownloadProgress):
                guard("on_progress", on_progress, event)

        with self._plugins.during([job], "download"):
            saved = fetch(self._context(job, tell, left), target, kinds, overwrite=overwrite, max_bytes=max_bytes)
        self._keeper.unwant(WantedFiles(job.ref, target, tuple(kinds or VIDEO)))
        job.saved(saved)
        return saved

    def open(self, job: Job | str, *, asset: Asset | None = None) -> io.BufferedReader:
        """A completed job's video as a seekable, read-only binary stream, fetched as it is read.

        `asset` is another one of `job.assets`, or one that you make of a URL. Nothing is fetched ahead of the window
        (at most 4 MiB) that is read. Use it in one thread, and within the client's block. It raises what `download`
        raises, and DownloadChanged where the file at the provider became another.
        """
        from .downloads.save import stream

        if not (asset is None or isinstance(asset, Asset)):
            raise UsageError(f"asset={asset!r}: must be one of job.assets, or a vidpoll.Asset that you make")
        job = arguments.as_job(job)
        self._finish(job, None)
        return stream(self._context(job, lambda event: None, None), asset)

    def _finish(self, job: Job, timeout: float | None) -> None:
        """Make sure that a job is completed, with a question where that is not known. Raises why it is not."""
        state = self._state(job.account)
        if not job.final or not job.assets or job.stale:
            retried(self._loop, partial(self._ask, job), timeout=timeout).said()
            with self._keeper.asking(job, state.opened):
                for settled in job.settle(self._clock.time()):  # completed, files late: `content` may have them
                    self._keeper.tell(job, settled)
        if not job.ok and job.error is None:
            raise UsageError(f"{job.ref} is not completed yet; wait for it first: vidpoll.wait({job.ref!r})", job=job)
        job.check()

    def _context(self, job: Job, tell: Callable[[Event], None], timeout: float | None) -> DownloadContext:
        from .downloads.fetcher import DownloadContext

        deadline = None if timeout is None else self._loop.now() + timeout
        opened = self._state(job.account).opened
        return DownloadContext(self._loop, opened, job, lambda: self.poll(job), tell, deadline)

    def feed(self, job: Job | str, body: bytes | str | Mapping[str, Any]) -> Job:
        """Take in a body that the provider pushed (a webhook): the same parser, the same job, the same hooks.

        Anybody can push, so a verdict in it counts only when one status request has confirmed it. The same body twice
        changes nothing; with a store, in another process too. Raises AnswerError for a body that cannot be read or is
        about another job, and what `poll` raises where a verdict cannot be confirmed.
        """
        job = arguments.as_job(job)
        state = self._state(job.account)
        at = self._clock.time()
        said = pushed(state.opened, job, body, at)
        self._keeper.enter([job], [state.opened])
        self._keeper.deliver(job)
        if job.final:
            return job
        if said is None or (isinstance(said, Snapshot) and said.state.final):
            self.poll(job)
        else:
            for event in receive_pushed(job, said, at):
                self._keeper.tell(job, event)
        return job
