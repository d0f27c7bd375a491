"""Every hook of vidpoll, with its whole protocol. Specifications only; calling them is the work of `plugins`.

A plugin is a module or an object whose functions are marked with `@vidpoll.hookimpl`. It is found by the entry-point
group `vidpoll`, or passed: `Client(plugins=[thing])`. All hooks run in the thread that called `wait`, `watch`,
`as_completed`, `step`, `poll` or `download`, one at a time, in pluggy's order (last registered first, `tryfirst` and
`trylast` honoured), so an implementation needs no lock. Parameters are taken by name; leave out what you do not need.

While jobs are waited for, this is the protocol, between one `vidpoll_began` and one `vidpoll_ended`:

1. `vidpoll_polled` after every answer that was understood;
2. then, where that answer changed something, `vidpoll_stage_changed` and `vidpoll_progress`;
3. `vidpoll_poll_failed` instead of 1 and 2 when the answer was a fault; the wait goes on;
4. once, at the end: `vidpoll_completed`, or `vidpoll_failed` (failed, cancelled, expired), or, where vidpoll stopped
   asking and nobody knows, `vidpoll_gave_up`, which is not a failure.

An implementation that raises is logged under its plugin's name and shown as a RuntimeWarning; the others still hear,
and the wait goes on. SystemExit and KeyboardInterrupt pass. An implementation that hangs holds the wait: hand slow
work to a thread of your own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from pathlib import Path

    from .events import (
        Completed,
        Downloaded,
        DownloadProgress,
        Failed,
        GaveUp,
        Polled,
        PollFailed,
        ProgressChanged,
        StageChanged,
        Stalled,
    )
    from .job import Job
    from .provider import Provider

hookspec = pluggy.HookspecMarker("vidpoll")
hookimpl = pluggy.HookimplMarker("vidpoll")


class Later(Enum):
    """What the hook of a verdict returns that only hands it over, to a queue or a task: it is not heard yet.

    With a store the verdict is told again by whoever waits for the job, 60 s later at the earliest, until
    `Client.heard(job)` is called. Without a store nothing is kept, and it counts as heard, like any other return.
    """

    LATER = "later"

    def __repr__(self) -> str:
        return "vidpoll.LATER"


LATER = Later.LATER


@hookspec
def vidpoll_providers() -> Iterable[Provider]:  # type: ignore[empty-body]
    """Yield or return the providers that this plugin brings.

    When: once, when a Client is made. Where the entry point names this function, like
    `acme = vidpoll_acme:vidpoll_providers`: once, when the provider `acme` is first asked for, and then it gives that
    provider and no other. Order: none that matters; two plugins with one provider name are an error that names both.
    Return: an iterable of `vidpoll.Provider`. If it raises, or returns anything else, the plugin is reported (`vidpoll
    plugins`), unregistered and skipped.

    Example::

        @vidpoll.hookimpl
        def vidpoll_providers():
            yield vidpoll.Provider("acme", base_url="https://api.acme.example", auth=vidpoll.Bearer("ACME_API_KEY"),
                                   pacing=vidpoll.Pacing(floor=5.0),
                                   status=vidpoll.Operation(status_request, parse_status))
    """


@hookspec
def vidpoll_notifiers(environ: Mapping[str, str]) -> Iterable[object]:  # type: ignore[empty-body]
    """Yield or return the notifiers that the environment asks for: objects with hooks, plugins of this client.

    When: once, when a Client is made, after `vidpoll_providers`; nothing where nothing is set. A process may make many
    clients: hand out one notifier for one setting (`functools.cache`). Return: an iterable of objects with marked
    hooks. If it raises (a variable is wrong), that is warned of, and the plugin is reported and skipped.

    Example::

        @vidpoll.hookimpl
        def vidpoll_notifiers(environ):
            if environ.get("CHAT_URL"):
                yield chat(environ["CHAT_URL"])
    """


@hookspec
def vidpoll_transports() -> Mapping[str, Callable[[], object]]:  # type: ignore[empty-body]
    """The transports that this plugin brings: a name, and what makes one for a client.

    When: when a Client is made with `transport="NAME"` (or VIDPOLL_TRANSPORT=NAME, or --transport NAME) that is not
    "requests". Where the entry point names this function, like `curl = vidpoll_curl:vidpoll_transports`: the module is
    imported only when the transport `curl` is asked for. Return: a mapping of name to a function without arguments. It
    is called once for each client, which closes what it made, and may raise ConfigurationError that says what to
    install. What it returns begins requests by itself (`Transport`) or blocks until the answer is there (`Sender`);
    vidpoll.net.protocol has both. If it raises, whoever named a transport gets a PluginError.

    Example::

        @vidpoll.hookimpl
        def vidpoll_transports():
            return {"curl": CurlTransport}
    """


@hookspec(firstresult=True)
def vidpoll_stores(url: str) -> object | None:
    """Open the store at a URL, where this plugin knows its scheme.

    When: when a Client is made with `store="SCHEME://…"` (or VIDPOLL_STORE, or --store of the command line). Where the
    entry point names this function and is named like the scheme, `postgresql = vidpoll_postgres:vidpoll_stores`, the
    module is imported only when such a URL is named. Return: a `vidpoll.Store`, which the client closes; None for
    another scheme. The first one counts. If it raises a VidpollError, whoever made the client gets that: StoreError
    where the database cannot be used, UsageError for a wrong URL, neither with the password in its message. Anything
    else becomes a PluginError.

    Example::

        @vidpoll.hookimpl
        def vidpoll_stores(url):
            return PostgresStore(url) if url.startswith("postgresql://") else None
    """


@hookspec
def vidpoll_began(jobs: Sequence[Job], action: str) -> None:
    """These jobs are waited for from now on (`action` is "wait"), or their files are fetched ("download").

    When: before the first question of a wait, before the first byte of a download; a download may lie within a wait.
    Not for a `poll` or a `step`. `jobs` are all of the call, those with a verdict included. Return: ignored.

    Example::

        @vidpoll.hookimpl
        def vidpoll_began(jobs, action):
            display.show(len(jobs))
    """


@hookspec
def vidpoll_ended(jobs: Sequence[Job], action: str) -> None:
    """The wait or download that `vidpoll_began` told of is over.

    When: once for each `vidpoll_began`, whatever ended it: verdicts, giving up, an error, Ctrl-C, a loop that was left.
    What is drawn on a terminal is put away here. Return: ignored. If it raises: logged and warned; what ended the wait
    ends it.

    Example::

        @vidpoll.hookimpl
        def vidpoll_ended(jobs, action):
            display.close()
    """


@hookspec
def vidpoll_stage_changed(job: Job, event: StageChanged) -> None:
    """The state or the stage of a job changed, and it is not a verdict.

    When: after the answer that said so; once per change. A stage that was left and comes back is told only when two
    answers in a row say so. An unknown status word becomes the stage and is told once per word. Return: ignored.

    Example::

        @vidpoll.hookimpl
        def vidpoll_stage_changed(job, event):
            print(job.ref, event.stage)
    """


@hookspec
def vidpoll_progress(job: Job, event: ProgressChanged) -> None:
    """The shown progress of a job rose (or started anew in a new stage).

    When: after `vidpoll_stage_changed` of the same answer. `event.progress` is 0 to 100. Return: ignored.

    Example::

        @vidpoll.hookimpl
        def vidpoll_progress(job, event):
            bar.update(job.ref, event.progress)
    """


@hookspec
def vidpoll_completed(job: Job, event: Completed) -> Later | None:
    """The provider says that the job is completed.

    When: once per job, before `wait` returns; `job.assets` are there. Not again for a Job that has its verdict already.
    With a store: once per job whatever the process, and again only where a process died while the hook was called; it
    is then called when somebody waits for the job again, and the URLs of `job.assets` are without their queries.
    Return: `vidpoll.LATER` where the verdict was only handed over, to a queue or a task. With a store it then counts as
    not told until `Client.heard(job)` is called, and whoever waits for the job tells all hooks again, 60 s (of the
    store's clock) later at the earliest. Without a store LATER changes nothing. Any other return is ignored.
    If it raises: logged and warned, `wait` returns the job all the same.

    Example::

        @vidpoll.hookimpl
        def vidpoll_completed(job, event):
            chat.say(f"{job.ref} is done: {job.video.url}")
    """


@hookspec
def vidpoll_failed(job: Job, event: Failed) -> Later | None:
    """The provider says that the job failed, was cancelled or has expired (`event.state` tells which).

    When: once per job, before `wait` raises; not again for a Job that has its verdict already; with a store, as in
    `vidpoll_completed`, once whatever the process. Never for a timeout, a
    dead network or a wrong key: those are `vidpoll_gave_up`. Return: `vidpoll.LATER`, as in `vidpoll_completed`; any
    other return is ignored. If it raises: logged and warned; `wait` raises what it would have raised.

    Example::

        @vidpoll.hookimpl
        def vidpoll_failed(job, event):
            chat.say(f"{job.ref} {event.state}: {event.problem}")
            if event.problem and event.problem.category == "money":  # or "capacity", "moderated_output" …
                chat.say("top up, and submit it again")
    """


@hookspec
def vidpoll_poll_failed(job: Job, event: PollFailed) -> None:
    """One answer said nothing about the job (a 503, a reset, HTML …); vidpoll will ask again.

    When: after each such answer. `event.reason` says what came, `event.retry_in` when it is asked again (seconds).
    Return: ignored.

    Example::

        @vidpoll.hookimpl
        def vidpoll_poll_failed(job, event):
            log.info("%s: %s, again in %.0f s", job.ref, event.reason, event.retry_in)
    """


@hookspec
def vidpoll_stalled(job: Job, event: Stalled) -> None:
    """State, stage, progress, queue position and update time of a job have not changed for long.

    When: after a good answer, once the provider's window (`Pacing.stalled_after`, 10 minutes by default) is over; again
    only after something has changed. Never an error: the wait goes on. `event.seconds` is how long nothing has changed.
    Return: ignored.

    Example::

        @vidpoll.hookimpl
        def vidpoll_stalled(job, event):
            chat.say(f"{job.ref} has not moved for {event.seconds / 60:.0f} minutes")
    """


@hookspec
def vidpoll_gave_up(job: Job, event: GaveUp) -> None:
    """vidpoll stopped asking and the outcome is unknown; the job goes on at the provider.

    When: once per job and wait, before the error (`event.error`) is raised; `event.error.resume` is the line that
    goes on waiting. Return: ignored. If it raises: logged and warned; the error is raised all the same.

    Example::

        @vidpoll.hookimpl
        def vidpoll_gave_up(job, event):
            todo.append(job.ref)
    """


@hookspec
def vidpoll_polled(job: Job, event: Polled) -> None:
    """An answer about the job was understood. For displays: it fires even where nothing changed.

    When: after every such answer, before the hooks of what it changed. `event.next_in` is the number of seconds until
    the next question (None after a verdict), `event.snapshot` what the answer said (None for a status word that the
    plugin does not list). Return: ignored.

    Example::

        @vidpoll.hookimpl
        def vidpoll_polled(job, event):
            display.heartbeat(job.ref, event.at)
    """


@hookspec
def vidpoll_download_progress(job: Job, event: DownloadProgress) -> None:
    """Some bytes of an asset arrived, or none do for a while.

    When: at most about ten times a second while a file is fetched, once at its end, and at each pause after a fault
    (`event.fault` says which). `event.received` and `event.total` are bytes; total is None where the server does not
    tell. Return: ignored. If it raises: logged and
    warned, the download goes on.

    Example::

        @vidpoll.hookimpl
        def vidpoll_download_progress(job, event):
            bar.set(event.received, event.total)
    """


@hookspec
def vidpoll_downloaded(job: Job, event: Downloaded) -> None:
    """An asset of a job was saved as a file.

    When: once per file that was fetched, after the last `vidpoll_download_progress`, when it lies whole under its final
    name (`event.path`; `event.size` is bytes). Not for a file that was there already. Return: ignored. If it raises:
    logged and warned, the file stays and the next one is fetched.

    Example::

        @vidpoll.hookimpl
        def vidpoll_downloaded(job, event):
            gallery.add(event.path)
    """


@hookspec
def vidpoll_admit(row: Any) -> str | None:
    """Say why a batch may not buy a row: an approval that is missing, a cap of your own.

    When: once per row and run, before its first submit; nothing was sent. `row` (`vidpoll.Row`) has its key, account,
    kind and fields. Return: the reason, which vetoes it, or None. The first reason counts; the row then waits for the
    next run. If it raises: logged and warned, and the row waits, too.

    Example::

        @vidpoll.hookimpl
        def vidpoll_admit(row):
            return None if row.key in approved else "not approved yet"
    """


@hookspec
def vidpoll_accept(row: Any, paths: Sequence[Path]) -> str | None:
    """Say why the files of a batch's row are no good: black frames, no sound. They were paid for.

    When: once the files of a completed job are there, before the row counts as done. `row` is a `vidpoll.Row`, `paths`
    are the files. Return: the reason, or None. A refused take is bought again where the batch allows that
    (`retries_paid`), else the row has failed; the files stay. If it raises: logged and warned, and the take counts.

    Example::

        @vidpoll.hookimpl
        def vidpoll_accept(row, paths):
            return "black" if is_black(paths[0]) else None
    """


@hookspec
def vidpoll_batch_changed(batch: Any, rows: Mapping[str, Any]) -> None:
    """A batch has begun, its rows have moved on, or it is at its end. For displays.

    When: before the first row is sent, then at most once a second and only where a row is in another state than before,
    and before `vidpoll_batch_ended`. `batch` is a `vidpoll.BatchStatus`; `rows` has a `vidpoll.RowResult` for each key,
    as it stands when it is read: read it within this call. Return: ignored.

    Example::

        @vidpoll.hookimpl
        def vidpoll_batch_changed(batch):
            window.title(str(batch))
    """


@hookspec
def vidpoll_batch_stopped(batch: Any, stop: Any, text: str) -> None:
    """An account of a batch sends nothing more: the money is out, the key is wrong, the budget is reached …

    When: once per account and run, as it happens; for what only the end shows (budget, limit, clock), once at the end.
    The other accounts go on. `batch` is a `vidpoll.BatchStatus`; `stop` has `account`, `reason` and what was `said`,
    `text` tells it in a line, with how to go on. Return: ignored.

    Example::

        @vidpoll.hookimpl
        def vidpoll_batch_stopped(batch, stop, text):
            chat.say(text)
    """


@hookspec
def vidpoll_batch_ended(batch: Any, text: str) -> None:
    """A batch's run is over, whatever ended it.

    When: once per run, after the last row; the report is written. `batch` (`vidpoll.BatchStatus`) is how it stands,
    `text` says it in a line.
    Return: ignored.

    Example::

        @vidpoll.hookimpl
        def vidpoll_batch_ended(batch, text):
            chat.say(text)
    """


@hookspec
def vidpoll_display(now: Callable[[], float]) -> object | None:
    """Return a display that shows on standard output, a terminal, how the jobs of a command are.

    When: once per command that waits for jobs or fetches files (`Client.add_display`), not with --quiet or --json.
    `now` gives the Unix second on the clock of the client. Return: an object with hooks, which is a plugin of that
    client from then on, or None where this terminal is not fit for it. The first display counts; the command then
    prints verdicts and files, and leaves all that passes to the display. What is written to standard output meanwhile
    has to stay readable. If it raises: logged and warned, and the command prints lines.

    Example::

        @vidpoll.hookimpl
        def vidpoll_display(now):
            return Bars(now) if sys.stdout.isatty() else None
    """


@hookspec
def vidpoll_simulators() -> Mapping[str, str]:  # type: ignore[empty-body]
    """The faces that this plugin brings for the simulator: a provider's name and its samples, or its Face class.

    When: only when a simulator is asked for (`vidpoll demo`, `vidpoll simulate`, `vidpoll.testing.simulate`). Return:
    a mapping of provider name to "package:samples/index.json", the samples of the contract as data of a package, or to
    "module:Class", a face written by hand; nothing is imported before it is needed. If it raises: the error is reported
    by the command that asked.

    Example::

        @vidpoll.hookimpl
        def vidpoll_simulators():
            return {"acme": "vidpoll_acme:samples/index.json"}
    """


@hookspec
def vidpoll_commands(register: Callable[[str, str, Callable[[Any], None], Callable[[Any], int]], None]) -> None:
    """Add commands to the command line.

    When: once, when the command line starts. Call `register(name, help, add_arguments, run)`: `add_arguments` gets the
    command's `argparse.ArgumentParser`, `run` the parsed namespace, and returns the exit code. Return: ignored. If it
    raises: the plugin is named on stderr and the other commands still work.

    Example::

        @vidpoll.hookimpl
        def vidpoll_commands(register):
            register("report", "write a report", lambda parser: parser.add_argument("file"), run_report)
    """
