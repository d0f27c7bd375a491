"""Every hook of vidpoll, with its whole protocol. This module has only the specifications; `plugins` calls the hooks.

A plugin is a module or an object whose functions are marked with `@vidpoll.hookimpl`. vidpoll finds it by the
entry-point group `vidpoll`, or you pass it: `Client(plugins=[thing])`. All hooks run in the thread that called `wait`,
`watch`, `as_completed`, `step`, `poll` or `download`, one at a time, in pluggy's order (last registered first,
`tryfirst` and `trylast` honoured), so an implementation needs no lock. Parameters are matched by name; leave out those
that you do not need. A marked function with a wrong hook name is never called, and a UserWarning names the hook that
was probably meant. An installed plugin without a marked function is skipped with a UserWarning. PluginError is raised
(an installed plugin is skipped) for a parameter that the hook does not have, a parameter with a default (it would get
no value), a method without `self`, and an `async def`: to run a coroutine, a hook calls
`asyncio.run_coroutine_threadsafe(coroutine, loop)`.

A wait calls the hooks in this order, between one `vidpoll_began` and one `vidpoll_ended`:

1. `vidpoll_polled` after every response that was understood;
2. then, if that response changed something, `vidpoll_stage_changed` and `vidpoll_progress`;
3. `vidpoll_poll_failed` instead of 1 and 2 after a fault; the wait continues;
4. once, at the end: `vidpoll_completed`, or `vidpoll_failed` (failed, cancelled, expired), or, if vidpoll stopped
   polling and the outcome is unknown, `vidpoll_gave_up`, which is not a failure.

An implementation that raises is logged under its plugin's name and shown as a RuntimeWarning; the other
implementations are still called, and the wait continues. What is no Exception passes (SystemExit, KeyboardInterrupt).
One that hangs holds up the wait: hand slow work to a thread of your own.

To have your own hooks called in every program and every command, install them. Two files in a folder are enough:

<!-- file: night_hook.py -->
```python
import sys

import vidpoll


@vidpoll.hookimpl
def vidpoll_completed(job, event):
    print("done:", job.ref, file=sys.stderr)
```

<!-- file: pyproject.toml -->
```toml
[build-system]
requires = ["setuptools>=70"]
build-backend = "setuptools.build_meta"

[project]
name = "night-hook"
version = "1"

[project.entry-points.vidpoll]
night = "night_hook"

[tool.setuptools]
py-modules = ["night_hook"]
```

Run `pip install -e .` in that folder, with the pip of the environment that has vidpoll. `vidpoll plugins` then lists
`night` with its hooks, and `vidpoll doctor` reports a function that is never called. Hooks that are methods need an
object: write `chat = Chat()` below the class, and `night = "night_hook:chat"`.
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
    """The return value of a verdict's hook that only passed the verdict on, to a queue or a task.

    With a store, the verdict then counts as not delivered. Each wait for the job calls the hooks again, 60 s later at
    the earliest, until `Client.heard(job)` is called. Without a store it has no effect, like any other return value.
    """

    LATER = "later"

    def __repr__(self) -> str:
        return "vidpoll.LATER"


LATER = Later.LATER


@hookspec
def vidpoll_providers() -> Iterable[Provider]:  # type: ignore[empty-body]
    """Yield or return the providers of this plugin.

    When: once, when a Client is made. If the entry point names this function, like
    `acme = vidpoll_acme:vidpoll_providers`: once, when the provider `acme` is first used, and then it must give only
    that provider. Order: does not matter; two plugins with the same provider name are an error that names both.
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
    """Yield or return the notifiers that environment variables configure: objects with hooks, plugins of this client.

    When: once, when a Client is made, after `vidpoll_providers`. Yield nothing if no variable is set. A process may
    make many clients: return the same notifier for the same setting (`functools.cache`). Return: an iterable of objects
    with marked hooks. If it raises (a variable is wrong), vidpoll warns, and the plugin is reported and skipped.

    Example::

        @vidpoll.hookimpl
        def vidpoll_notifiers(environ):
            if environ.get("CHAT_URL"):
                yield chat(environ["CHAT_URL"])
    """


@hookspec
def vidpoll_transports() -> Mapping[str, Callable[[], object]]:  # type: ignore[empty-body]
    """Return the transports of this plugin, by name: functions that make a transport for a client.

    When: when a Client is made with `transport="NAME"` (or VIDPOLL_TRANSPORT=NAME, or --transport NAME) that is not
    "requests". If the entry point names this function, like `curl = vidpoll_curl:vidpoll_transports`, the module is
    imported only when the transport `curl` is used. Return: a mapping of names to functions without arguments. The
    function is called once for each client, and the client closes the transport. It may raise a ConfigurationError that
    says what to install. A transport begins requests by itself (`Transport`) or blocks until the response is there
    (`Sender`); both are in vidpoll.net.protocol. If it raises, the caller that named the transport gets a PluginError.

    Example::

        @vidpoll.hookimpl
        def vidpoll_transports():
            return {"curl": CurlTransport}
    """


@hookspec(firstresult=True)
def vidpoll_stores(url: str) -> object | None:
    """Open the store at a URL, if this plugin supports the scheme.

    When: when a Client is made with `store="SCHEME://…"` (or VIDPOLL_STORE, or --store of the command line). If the
    entry point names this function and has the name of the scheme, `postgresql = vidpoll_postgres:vidpoll_stores`, the
    module is imported only for such a URL. Return: a `vidpoll.Store`, which the client closes; None for another scheme.
    The first store counts. If it raises a VidpollError, the caller of Client gets that error: StoreError if the
    database cannot be used, UsageError for a wrong URL. Neither message may hold the password. Any other exception
    becomes a PluginError.

    Example::

        @vidpoll.hookimpl
        def vidpoll_stores(url):
            return PostgresStore(url) if url.startswith("postgresql://") else None
    """


@hookspec
def vidpoll_began(jobs: Sequence[Job], action: str) -> None:
    """A wait for these jobs begins (`action` is "wait"), or a download of their files ("download").

    When: before the first poll of a wait, before the first byte of a download; a download may lie within a wait. Not
    for a `poll` or a `step`. `jobs` are all jobs of the call, including those with a verdict. Return: ignored.

    Example::

        @vidpoll.hookimpl
        def vidpoll_began(jobs, action):
            display.show(len(jobs))
    """


@hookspec
def vidpoll_ended(jobs: Sequence[Job], action: str) -> None:
    """The wait or download of a `vidpoll_began` is over.

    When: once for each `vidpoll_began`, whatever ended it: verdicts, giving up, an error, Ctrl-C, a loop that was left.
    A display clears the terminal here. Return: ignored. If it raises: logged and warned; the wait ends as it would have
    ended.

    Example::

        @vidpoll.hookimpl
        def vidpoll_ended(jobs, action):
            display.close()
    """


@hookspec
def vidpoll_stage_changed(job: Job, event: StageChanged) -> None:
    """The state or the stage of a job changed, but not to a verdict.

    When: after the response with the change, once per change. If a job returns to an earlier stage, two responses in a
    row must say so. An unknown status word becomes the stage; the hook is called once per word. Return: ignored.

    Example::

        @vidpoll.hookimpl
        def vidpoll_stage_changed(job, event):
            print(job.ref, event.stage)
    """


@hookspec
def vidpoll_progress(job: Job, event: ProgressChanged) -> None:
    """The shown progress of a job rose (or restarted in a new stage).

    When: after `vidpoll_stage_changed` of the same response. `event.progress` is 0 to 100. Return: ignored.

    Example::

        @vidpoll.hookimpl
        def vidpoll_progress(job, event):
            bar.update(job.ref, event.progress)
    """


@hookspec
def vidpoll_completed(job: Job, event: Completed) -> Later | None:
    """The provider says that the job is completed.

    When: once per job, before `wait` returns; `job.assets` are set. Not again for a Job that already has its verdict.
    With a store: once per job across all processes, and again only if a process died during the call. The hook is then
    called by the next wait for the job, and the URLs in `job.assets` have no queries.
    Return: `vidpoll.LATER` if the verdict was only passed on, to a queue or a task. With a store, the verdict then
    counts as not delivered until `Client.heard(job)` is called: each wait for the job calls all hooks again, 60 s (of
    the store's clock) later at the earliest. Without a store LATER has no effect. Any other return is ignored.
    If it raises: logged and warned; `wait` still returns the job.

    Example::

        @vidpoll.hookimpl
        def vidpoll_completed(job, event):
            chat.say(f"{job.ref} is done: {job.video.url}")
    """


@hookspec
def vidpoll_failed(job: Job, event: Failed) -> Later | None:
    """The provider says that the job failed, was cancelled or has expired (`event.state` says which).

    When: once per job, before `wait` raises; not again for a Job that already has its verdict; with a store, once
    across all processes, as for `vidpoll_completed`. Never for a timeout, a dead network or a wrong key: those call
    `vidpoll_gave_up`. Return: `vidpoll.LATER`, as in `vidpoll_completed`; any other return is ignored. If it raises:
    logged and warned; `wait` still raises its own error.

    Example::

        @vidpoll.hookimpl
        def vidpoll_failed(job, event):
            chat.say(f"{job.ref} {event.state}: {event.problem}")
            if event.problem and event.problem.category == "money":  # or "capacity", "moderated_output" …
                chat.say("top up, and submit it again")
    """


@hookspec
def vidpoll_poll_failed(job: Job, event: PollFailed) -> None:
    """A poll brought no news of the job (a 503, a reset, HTML …); vidpoll polls again.

    When: after each such poll. `event.reason` says what came; `event.retry_in` is the seconds until the next poll.
    Return: ignored.

    Example::

        @vidpoll.hookimpl
        def vidpoll_poll_failed(job, event):
            log.info("%s: %s, again in %.0f s", job.ref, event.reason, event.retry_in)
    """


@hookspec
def vidpoll_stalled(job: Job, event: Stalled) -> None:
    """State, stage, progress, queue position and update time of a job have not changed for long.

    When: after a good response, once nothing has changed for `Pacing.stalled_after` of the provider (10 minutes by
    default); again only after a change. Never an error: the wait continues. `event.seconds` is how long nothing has
    changed. Return: ignored.

    Example::

        @vidpoll.hookimpl
        def vidpoll_stalled(job, event):
            chat.say(f"{job.ref} has not moved for {event.seconds / 60:.0f} minutes")
    """


@hookspec
def vidpoll_gave_up(job: Job, event: GaveUp) -> None:
    """vidpoll stopped polling and the outcome is unknown; the job continues at the provider.

    When: once per job and wait, before the error (`event.error`) is raised; `event.error.resume` is the line of Python
    that resumes the wait. Return: ignored. If it raises: logged and warned; `event.error` is still raised.

    Example::

        @vidpoll.hookimpl
        def vidpoll_gave_up(job, event):
            todo.append(job.ref)
    """


@hookspec
def vidpoll_polled(job: Job, event: Polled) -> None:
    """A response about the job was understood. For displays: it fires even if nothing changed.

    When: after every such response, before the hooks for its changes. `event.next_in` is the number of seconds until
    the next poll (None after a verdict). `event.snapshot` is what the response said (None for a status word that the
    plugin does not list). Return: ignored.

    Example::

        @vidpoll.hookimpl
        def vidpoll_polled(job, event):
            display.heartbeat(job.ref, event.at)
    """


@hookspec
def vidpoll_download_progress(job: Job, event: DownloadProgress) -> None:
    """Some bytes of an asset arrived, or a fault interrupted them.

    When: at most about ten times a second while a file is fetched, once at its end, and at each pause after a fault
    (`event.fault` says which). `event.received` and `event.total` are bytes; total is None if the server does not say.
    Return: ignored. If it raises: logged and warned; the download continues.

    Example::

        @vidpoll.hookimpl
        def vidpoll_download_progress(job, event):
            bar.set(event.received, event.total)
    """


@hookspec
def vidpoll_downloaded(job: Job, event: Downloaded) -> None:
    """An asset of a job was saved as a file.

    When: once per fetched file, after the last `vidpoll_download_progress`, when the complete file has its final name
    (`event.path`; `event.size` is bytes). Not for a file that already existed. Return: ignored. If it raises: logged
    and warned; the file stays and the next one is fetched.

    Example::

        @vidpoll.hookimpl
        def vidpoll_downloaded(job, event):
            gallery.add(event.path)
    """


@hookspec
def vidpoll_admit(row: Any) -> str | None:
    """Return a reason why a batch may not buy a row (a missing approval, a limit of your own), or None.

    When: once per row and run, before its first submit; nothing was sent. `row` (`vidpoll.Row`) has its key, account,
    kind and fields. Return: the reason, which vetoes the row, or None. The first reason counts; the row then waits for
    the next run. If it raises: logged and warned, and the row also waits.

    Example::

        @vidpoll.hookimpl
        def vidpoll_admit(row):
            return None if row.key in approved else "not approved yet"
    """


@hookspec
def vidpoll_accept(row: Any, paths: Sequence[Path]) -> str | None:
    """Return a reason why the files of a batch's row are unusable (black frames, no sound), or None. They are paid for.

    When: once the files of a completed job are saved, before the row counts as done. `row` is a `vidpoll.Row`, `paths`
    are the files. Return: the reason, or None. A refused video is bought again if the batch allows it (`retries_paid`),
    else the row fails; the files stay. If it raises: logged and warned, and the video counts as accepted.

    Example::

        @vidpoll.hookimpl
        def vidpoll_accept(row, paths):
            return "black" if is_black(paths[0]) else None
    """


@hookspec
def vidpoll_batch_changed(batch: Any, rows: Mapping[str, Any]) -> None:
    """A batch has begun, some of its rows have changed, or it is about to end. For displays.

    When: before the first row is sent, then at most once a second and only if a row changed its state, and before
    `vidpoll_batch_ended`. `batch` is a `vidpoll.BatchStatus`. `rows` maps each key to a `vidpoll.RowResult`, which
    shows the row at the time of reading: read it within this call. Return: ignored.

    Example::

        @vidpoll.hookimpl
        def vidpoll_batch_changed(batch):
            window.title(str(batch))
    """


@hookspec
def vidpoll_batch_stopped(batch: Any, stop: Any, text: str) -> None:
    """An account of a batch sends nothing more: the money is used up, the key is wrong, the budget is reached …

    When: once per account and run, as it happens; for a reason that only the end shows (budget, limit, clock), once at
    the end. The other accounts continue. `batch` is a `vidpoll.BatchStatus`. `stop` (`vidpoll.Stopped`) has `account`,
    `reason` and what was `said`. `text` is one line that also says how to continue. Return: ignored.

    Example::

        @vidpoll.hookimpl
        def vidpoll_batch_stopped(batch, stop, text):
            chat.say(text)
    """


@hookspec
def vidpoll_batch_ended(batch: Any, text: str) -> None:
    """A batch's run is over, whatever ended it.

    When: once per run, after the last row and the report. `batch` (`vidpoll.BatchStatus`) is the final status, `text`
    the same as one line. Return: ignored.

    Example::

        @vidpoll.hookimpl
        def vidpoll_batch_ended(batch, text):
            chat.say(text)
    """


@hookspec
def vidpoll_display(now: Callable[[], float]) -> object | None:
    """Return a display that shows the jobs of a command on standard output, which is a terminal.

    When: once per command that waits for jobs or fetches files (`Client.add_display`), not with --quiet or --json.
    `now` returns Unix seconds on the client's clock. Return: an object with hooks, which becomes a plugin of that
    client, or None if this terminal is unsuitable. The first display counts. The command then prints only verdicts and
    files, and the display shows everything in between. It must keep other output to standard output readable. If it
    raises: logged and warned, and the command prints lines.

    Example::

        @vidpoll.hookimpl
        def vidpoll_display(now):
            return Bars(now) if sys.stdout.isatty() else None
    """


@hookspec
def vidpoll_simulators() -> Mapping[str, str]:  # type: ignore[empty-body]
    """Return the faces of this plugin for the simulator, by provider name: samples, or a Face class.

    When: only when a simulator is started (`vidpoll demo`, `vidpoll simulate`, `vidpoll.testing.simulate`). Return:
    a mapping of provider names to "package:samples/index.json", the contract's samples as package data, or to
    "module:Class", a face written by hand; each is imported only when needed. If it raises: the command that started
    the simulator reports the error.

    Example::

        @vidpoll.hookimpl
        def vidpoll_simulators():
            return {"acme": "vidpoll_acme:samples/index.json"}
    """


@hookspec
def vidpoll_commands(register: Callable[[str, str, Callable[[Any], None], Callable[[Any], int]], None]) -> None:
    """Add commands to the command line.

    When: once, when the command line starts. Call `register(name, help, add_arguments, run)`: `add_arguments` gets the
    command's `argparse.ArgumentParser`; `run` gets the parsed namespace and returns the exit code. Return: ignored. If
    it raises: stderr names the plugin, and the other commands still work.

    Example::

        @vidpoll.hookimpl
        def vidpoll_commands(register):
            register("report", "write a report", lambda parser: parser.add_argument("file"), run_report)
    """
