"""The public class `Client`. Each method makes a task, lets the loop run it, and returns or raises its outcome.

If a call is wrong, it raises UsageError before anything is sent.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
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
from .polling.submit import checked_fields, end_job, list_jobs, value_of
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

    `accounts` maps names to `Account`; a provider's own name needs no entry. `plugins`: modules or objects with hooks,
    as well as the installed plugins (with `discover=False`: instead of them). In the environment,
    `VIDPOLL_DISABLE=name,name` switches single plugins off, and `VIDPOLL_TRACE=1` logs each call of a hook.
    `store` keeps jobs over a crash: the path of an SQLite file (created if missing), the URL of a database (for which a
    plugin is needed), or a Store. The client closes it. `pacing`: a Schedule, by default `Adaptive()`; a provider's
    floor always holds. `http_timeout`: (seconds to connect, seconds without a byte); their sum bounds a request.
    `patience`: a wait gives up after this many seconds of nothing but faults. `transport` sends the requests:
    "requests", "curl" (of vidpoll-curl), another name that a plugin provides, or an object; by default the name in
    VIDPOLL_TRANSPORT, else "requests". `clock` is for tests.

    Raises UsageError for a wrong argument, PluginError if two plugins provide the same provider or if a passed plugin
    is broken, and StoreError if the store cannot be used.
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
        """Wait until the provider ends the job, and return the job; with `download`, once its files are saved there.

        `job` is a Job or a reference. `timeout`: seconds for the job and its files together; 0 polls once, None waits
        without limit. `pacing`: a Schedule instead of the client's. `stop`: when set, the wait ends within a second.
        `on_event` gets every event as it happens. `download` and `kinds` are as in `as_completed`; `download` may also
        name a file. With `check=False` the outcome raises nothing: read `job.ok`, `job.error`, `job.paths` and
        `job.download_error`.

        Raises JobFailed, JobCancelled or JobExpired when the provider says so; WaitTimeout, ProviderUnreachable,
        JobNotFound, WaitStopped, WaitRefused or WaitNotSent when the outcome is unknown; DownloadError or ResultMissing
        for the files; UsageError before anything is sent.
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
    ) -> Generator[Event, None, None]:
        """Wait as `wait` does, and yield each event. A verdict, good or bad, is the last event and raises nothing.

        If the outcome is unknown, GaveUp is the last event, and then its error is raised (not with `check=False`).
        Closing the generator (`contextlib.closing`) ends the wait early; the job continues at the provider.
        """
        job = arguments.as_job(job)
        following = self._follow([job], timeout=timeout, pacing=pacing, stop=stop, on_event=on_event)

        def events() -> Generator[Event, None, None]:
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
    ) -> Generator[Job, None, None]:
        """Wait for many jobs, of any mix of providers, and yield each once: as it ends, undecided ones last.

        Read `job.ok` and `job.error`; with `check=True` the first job that is not completed raises what `wait` would
        have raised. A job that is named twice is yielded once.

        `download` is a folder, or the WantedFiles of `client.store.wanted()`. Files of completed jobs are saved as
        `Client.download` saves them, for `parallel` jobs at once, while the other jobs are polled on time. A job is
        then yielded with its saved files in `job.paths`, or with `job.download_error`, which `check=True` raises.
        `timeout` (seconds) bounds polling and files together. When the loop ends, running downloads stop within a
        second; a later download resumes them.
        """
        unique: dict[str, Job] = {}
        for job in arguments.as_jobs(jobs, "as_completed"):
            unique.setdefault(job.ref, job)
        saving = arguments.saving(list(unique.values()), download, kinds, parallel)
        following = self._follow(
            list(unique.values()), saving, timeout=timeout, pacing=pacing, stop=stop, on_event=on_event
        )

        def ended() -> Generator[Job, None, None]:
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
        """Wait until all jobs have ended, and return them in the order given; a job named twice is returned twice.

        Read `job.ok` and `job.error`. With `check=True`, once all have ended, the first job (in the order given) that
        is not completed raises what `wait` would have raised. The other arguments are as in `as_completed`.
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
        """One step of a wait, for an engine with its own clock: it polls at most once and never sleeps.

        `next_in` of the Step: seconds until the next step, None if no step is needed. If it is too early (the floor, a
        hint, the account's rate, a lease of another process), nothing is sent. Faults, patience and confirmations count
        over the steps as in one wait: the job holds the counts, so each step may run in another process, by
        `vidpoll.dump(job)` and `vidpoll.load(data)` or by a store. `job.give_up_at` is the deadline. Hooks are called
        as in a wait; the events are those of `watch`. Raises UsageError before anything is sent.
        """
        job = of_step(self._keeper, job)
        state, schedule = self._state(job.account), arguments.check_pacing(pacing or self._pacing)
        check_question(self._keeper, job, state)
        return step(self._loop, self._keeper, job, state, schedule)

    def heard(self, job: Job | str) -> None:
        """Confirm a verdict for which a hook returned `vidpoll.LATER`. Calling it twice does no harm.

        Until this call the store counts the verdict as not delivered. Each wait for the job calls the hooks again, 60 s
        later at the earliest. Without a store the call does nothing. Raises StoreError if the store cannot keep it, and
        BadReference.
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
        """Wait for all jobs of these accounts in the store, and for jobs that any process adds meanwhile.

        `accounts`: by default those with unfinished jobs in the store that this process can poll. One process serves an
        account, or a part of one (`Account.parts`). This process takes free parts while it has fewer than `capacity`
        jobs, and calls hooks as a wait does. If a serving process dies, another one takes over within seconds. A job is
        given up `timeout` seconds after its submit, and the store keeps that. Otherwise only its verdict ends it, or a
        provider that does not know it.

        Returns when `seconds` are over, `stop` is set, the client is closed, or nothing is free. `on_metrics` gets
        Metrics once a minute. Raises UsageError without a store, and StoreError if the store cannot be used at first.
        """
        from .serving import Host, Options, serve

        keeper = self._keeper
        if isinstance(keeper, NoKeeper):
            raise UsageError("serve needs a store, which holds the jobs: make the client with Client(store=…)")
        arguments.check_waiting(None, stop, on_event)
        arguments.check_callback("on_metrics", on_metrics, "Metrics")
        names = arguments.serving(accounts, capacity, seconds, timeout)
        options = Options(names, capacity, seconds, stop, on_event, on_metrics, timeout)
        with self._alone():
            said, ending = self._unserved, self._ending
            return serve(Host(self._loop, keeper, self._state, self._parts, self._pacing, said, ending), options)

    def _parts(self, account: str) -> int:
        return self._accounts[account].parts if account in self._accounts else 1

    def poll(self, job: Job | str) -> Snapshot:
        """Poll the job once and return what the response said. A passed Job is updated, and hooks are called.

        The provider's floor holds: a second poll within it waits. Raises ProviderError for a refusal or no response,
        AnswerError for a response that cannot be read, UsageError before anything is sent.
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
        """Wait for all the jobs in one loop. A wrong call raises here, not at the first event."""
        arguments.check_waiting(timeout, stop, on_event)
        schedule = arguments.check_pacing(pacing or self._pacing)
        return self._following.follow(jobs, schedule, saving, timeout=timeout, stop=stop, on_event=on_event)

    # -- other operations ---------------------------------------------------------------------------------------------

    @arguments.by_position
    def submit(self, account: str, kind: str, /, **fields: object) -> Job:
        """Start a job with the provider's own fields: `client.submit("magicoal", "t2v", prompt="a lighthouse")`.

        `account` is the name of an account or provider, `kind` one of its submit operations. The request is sent once.
        It is sent again only if it certainly was not received (the connection was refused), for up to 60 s, or for the
        client's `patience` if that is shorter. The logger `vidpoll.again` warns of each try. Then ServerError is
        raised: nothing was sent, nothing was bought.

        Raises ProviderError if the provider refuses (nothing was bought), SubmitUnknown if the request may have been
        received, UsageError before anything is sent: also for a field that the provider does not list if its name is
        similar to a listed one (`**{"fields.NAME": value}` sends it anyway).
        """
        state = self._state(account)
        return send(self._keeper, self._loop, Submit(state, kind, checked_fields(state, kind, fields)))

    @arguments.by_position
    def submit_once(self, account: str, kind: str, key: str, /, **fields: object) -> Job:
        """The job of this key: submitted now, or earlier with the same key by any process that shares the store.

        `client.submit_once("magicoal", "t2v", "order-42", prompt="a lighthouse")`. `key` is yours: 1 to 200 characters,
        one key for each job of an account. It is free again after a refusal. If another process is submitting with the
        key, this call waits for the outcome, for as long as one request may take. Raises SubmitUnknown if an earlier
        submit may have been received, until you adopt or dismiss that submit (`client.store`), and if the server has
        given the id of the key's unfinished job to a job with other fields; UsageError for a key that was used with
        another kind or other fields, and without a store; and what `submit` raises.
        """
        key = arguments.check_key(key)
        state = self._state(account)
        return send_once(self._keeper, self._loop, Submit(state, kind, checked_fields(state, kind, fields), key))

    @arguments.by_position
    def jobs(self, account: str, /, **fields: object) -> Iterator[Job]:
        """Iterate over the provider's list of jobs; each page is requested when needed. The plugin documents `fields`.

        A verdict in a row is shown, but counts only when a status response confirms it (`wait` and `download` do that).
        Raises Unsupported if the provider has no list, ProviderError, AnswerError.
        """
        state = self._state(account)
        return list_jobs(self._loop, state, fields)

    def quota(self, account: str) -> Quota:
        """What the account may still spend or make. Raises Unsupported, ProviderError, AnswerError."""
        return self._prices.quota(self._state(account))

    @arguments.by_position
    def price(self, account: str, kind: str, /, **fields: object) -> Price | None:
        """What one job with these fields will cost, before it is submitted; None if no source knows. Nothing is bought.

        The first source that knows counts: the provider's estimate, its quota, the plugin's price list, earlier jobs in
        the store. A response counts for a minute. Raises UsageError for wrong fields, ProviderError if none comes.
        """
        state = self._state(account)
        return self._prices.price(state, kind, checked_fields(state, kind, fields))

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
        price: Mapping[str, str] | Callable[[Row], Price | str | None] | None = None,
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
        """Turn rows of prompts into videos, each bought once, within a budget. Returns a Batch to inspect and iterate.

        `source`: a CSV, JSON or JSONL file, a folder of .txt files or pictures (`picture` is the field for them), "-"
        (standard input), or dicts. A row is a video: its columns are the provider's fields, `key`, `account`, `kind`,
        `count` and `file`. `account`, `kind` and `fields` are defaults for the rows. `name`: of the batch in the store,
        by default that of the source file. `into`: the folder for the files, by default `name`; `file`: their template.

        `budget` ("40 USD") bounds the money, `limit` the number of jobs, `until` ("07:00") the time of the last submit.
        `price` overrides every other source: {"kling/text2video": "0.35USD"}, or a function that takes a row and
        returns "0.35USD", a Price, or None (the other sources). `slots`: unfinished jobs at once, by account; by
        default what the provider says or its refusals show. `retries`: tries after a failure that was not charged. A
        fault of the provider (internal, expired) is tried again also if the charge is unknown, so the row may be paid
        twice. `retries_paid`: tries after a failure that was charged, or a moderated video whose charge is unknown.
        `only`: only these keys. `retry_failed`: also rows that failed for good. `changed`: "keep" or "again", if fields
        of a bought row changed. `report`: a .csv or .jsonl of all rows.

        Nothing is submitted before the Batch is iterated; a second run resumes the batch. Needs a store. Raises
        BatchInvalid with every problem of the rows, UsageError for wrong arguments.
        """
        arguments.check_waiting(None, stop, on_event)
        from .batch.opening import Options, host, open_batch

        self._check_open()
        mine = host(self._loop, self._keeper, self._plugins, self._pacing, self._state)
        options = Options(
            account=account, kind=kind, fields=fields, name=name, into=into, file=file, budget=budget, limit=limit,
            price=price, slots=slots, until=until, retries=retries, retries_paid=retries_paid, only=only,
            retry_failed=retry_failed, changed=changed, report=report, picture=picture, stop=stop, on_event=on_event,
        )  # fmt: skip
        return open_batch(mine, self._prices, source, options)

    def upload(self, account: str, path: str | Path, *, kind: str | None = None) -> Any:
        """Send a file that a job needs to the provider, and return the value for the field of the submit.

        `client.submit("moneyprinterturbo", "video", video_materials=[client.upload("moneyprinterturbo", "a.mp4")], …)`.
        `kind` is a key of the provider's `upload` operations; by default the first one that takes such a file. An
        upload buys nothing, so it is sent again if the response is lost. Raises Unsupported, InvalidField for a file
        that cannot be read or has an unsupported type, ProviderError, AnswerError.
        """
        state = self._state(account)
        operation, request = upload_request(state, arguments.check_file(path), kind)
        return value_of(run_upload(self._loop, state, operation, request), state, f"{account} upload")

    def cancel(self, job: Job | str) -> None:
        """Ask the provider to end the job; wait for the job to see the outcome. Raises Unsupported, ProviderError.

        If the response holds the job's state, the job is updated and hooks are called.
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
        """Delete the job and its files at the provider. Raises Unsupported, Conflict while it runs, ProviderError."""
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

        A job that is not known to be completed is polled first, until a response says something. `kinds`: by default
        ("video",), or all files of a job that makes no video. Names are made from the reference, with the suffix of the
        file's type. An existing file is kept if it is known to be this job's. Another file is replaced with
        `overwrite`, else DownloadError; in a folder the new file gets another name (`…~2`). `timeout`: seconds for
        polling and all files; `max_bytes` bounds each file. Faults are retried for the client's `patience`; a download
        resumes where it stopped. `on_progress` gets DownloadProgress about ten times a second. Raises DownloadError,
        ResultMissing, the job's own error, UsageError, and what `poll` raises if no response comes.
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

        `asset`: another one of `job.assets`, or an Asset that you make from a URL. At most 4 MiB are fetched ahead. Use
        the stream in one thread, and while the client is open. Raises what `download` raises, and DownloadChanged if
        the file changes at the provider.
        """
        from .downloads.save import stream

        if not (asset is None or isinstance(asset, Asset)):
            raise UsageError(f"asset={asset!r}: must be one of job.assets, or a vidpoll.Asset that you make")
        job = arguments.as_job(job)
        self._finish(job, None)
        return stream(self._context(job, lambda event: None, None), asset)

    def _finish(self, job: Job, timeout: float | None) -> None:
        """Make sure that a job is completed; poll it if that is not known. Raises why the job is not completed."""
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
        return DownloadContext(self._loop, opened, job, lambda timeout: self._ask(job, timeout).said(), tell, deadline)

    def feed(self, job: Job | str, body: bytes | str | Mapping[str, Any]) -> Job:
        """Process a body that the provider pushed (a webhook), with the same parser and hooks as a response.

        Anyone can push, so a verdict in the body counts only when one status request confirms it. The same body twice
        changes nothing; with a store, also in another process. Returns the job. Raises AnswerError for a body that
        cannot be read or is about another job, and what `poll` raises if a verdict cannot be confirmed.
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
