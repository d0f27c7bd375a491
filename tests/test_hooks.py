"""Every hook: what its docstring promises, and that it fires in a conversation, in the order of the protocol."""

from __future__ import annotations

import contextlib
import inspect
import re
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest
from acme_provider import BROKEN, DONE, DRAWING, MP4, REF, SAVING, UNAVAILABLE, talk

import vidpoll
from vidpoll import hookspecs
from vidpoll.events import Downloaded
from vidpoll.job import Job
from vidpoll.plugins import HOOKS

DOWNLOADING = {"vidpoll_download_progress", "vidpoll_downloaded"}

SPECS = {name: spec for name, spec in vars(hookspecs).items() if name.startswith("vidpoll_")}


@pytest.mark.parametrize("name", SPECS)
def test_a_hooks_docstring_answers_every_question(name: str) -> None:
    """When, what a return means, what happens if it raises, and an example that compiles and is marked."""
    doc = inspect.getdoc(SPECS[name]) or ""
    assert re.search(r"^When: \S", doc, re.M), "when"
    assert re.search(r"\bReturn: ?\s*\S", doc), "what a return means"
    ignored = "Return: ignored." in " ".join(doc.split())  # then what the module's docstring says of all holds
    assert ignored or re.search(r"\bIf\s+it\s+raises\b", doc), "what happens if it raises"
    said = r"implementation that raises is logged .* the other implementations are still called"
    assert re.search(said, " ".join(hookspecs.__doc__.split()))
    _, marker, example = doc.partition("Example::\n")
    assert marker, "an example"
    code = textwrap.dedent(example)
    assert f"@vidpoll.hookimpl\ndef {name}(" in code
    compile(code, name, "exec")


@pytest.mark.parametrize("name", SPECS)
def test_an_example_is_an_implementation(name: str) -> None:
    """Its arguments are those of the spec, so that a copied example works."""
    code = textwrap.dedent((inspect.getdoc(SPECS[name]) or "").partition("Example::\n")[2])
    space: dict[str, Any] = {"vidpoll": vidpoll}
    exec(compile(code, name, "exec"), space)
    assert set(inspect.signature(space[name]).parameters) <= set(inspect.signature(SPECS[name]).parameters)


def test_every_notification_has_a_spec_of_job_and_event() -> None:
    """And every spec that takes an event is fired by one."""
    notifications = {
        name for name, spec in SPECS.items() if set(inspect.signature(spec).parameters) == {"job", "event"}
    }
    assert notifications == set(HOOKS.values())


def test_the_protocol_of_a_wait() -> None:
    """Each hook in its place, with the job and its event; `polled` on every answer that was understood."""
    t = talk([DRAWING, DRAWING, UNAVAILABLE, {"status": "steeping"}, {**SAVING, "progress": 91}, DONE])
    job = Job(REF)
    t.client.wait(job)
    assert t.ears.hooks == [
        *("polled", "stage_changed", "progress"),
        "polled",
        "poll_failed",
        *("polled", "stage_changed"),
        *("polled", "stage_changed", "progress"),
        *("polled", "completed"),
    ]
    assert {id(told) for _, told, _ in t.ears.heard} == {id(job)}
    assert [HOOKS[type(event)] for _, _, event in t.ears.heard] == [f"vidpoll_{hook}" for hook in t.ears.hooks]
    polled = [event for hook, _, event in t.ears.heard if hook == "polled"]
    assert [event.next_in for event in polled] == [5.0, 5.0, 5.0, 5.0, None]  # type: ignore[attr-defined]
    assert [str(event) for event in polled] == [
        "acme:j1 answered: drawing",
        "acme:j1 answered: drawing",
        "acme:j1 answered: nothing known",
        "acme:j1 answered: saving",
        "acme:j1 answered: done",
    ]


class Frame:
    """Hears what surrounds a wait or download, and what happens within."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    @vidpoll.hookimpl
    def vidpoll_began(self, jobs: Any, action: str) -> None:
        self.heard.append((action, "began", [job.ref for job in jobs]))

    @vidpoll.hookimpl
    def vidpoll_ended(self, jobs: Any, action: str) -> None:
        self.heard.append((action, "ended", [job.ref for job in jobs]))

    @vidpoll.hookimpl
    def vidpoll_polled(self, job: Job) -> None:
        self.heard.append(job.ref)


def test_began_and_ended_surround_a_wait() -> None:
    """Once a call, with all of its jobs; a poll is no wait."""
    frame = Frame()
    t = talk({"/jobs/a": [DONE], "/jobs/b": [BROKEN]}, plugins=(frame,))
    done = vidpoll.Job("acme:a")
    t.client.poll(done)
    list(t.client.as_completed([done, "acme:b"]))
    both = ["acme:a", "acme:b"]
    assert frame.heard == ["acme:a", ("wait", "began", both), "acme:b", ("wait", "ended", both)]


@pytest.mark.parametrize("how", ["raises", "interrupted", "left", "stopped"])
def test_ended_is_told_whatever_ends_the_wait(how: str) -> None:
    """An unknown outcome, Ctrl-C in the middle, a loop that is left, `stop`."""
    frame, stop = Frame(), threading.Event()

    class Ends:
        @vidpoll.hookimpl
        def vidpoll_stage_changed(self) -> None:
            if how == "interrupted":
                raise KeyboardInterrupt
            stop.set()

    t = talk([DRAWING, DRAWING, DONE], plugins=(frame, Ends()))
    following = t.client.watch(REF, timeout=0 if how == "raises" else 60, stop=stop if how == "stopped" else None)
    if how == "left":
        next(following)
        del following
    else:
        with pytest.raises((vidpoll.OutcomeUnknown, KeyboardInterrupt)):
            list(following)
    assert frame.heard == [("wait", "began", [REF]), REF, ("wait", "ended", [REF])]


def test_began_and_ended_surround_a_download(tmp_path: Path) -> None:
    """A failed one, too; the question that finds the job completed comes before."""
    for files in ([(200, {"content-length": str(len(MP4))}, MP4)], [(200, {}, b"<html>")]):
        frame = Frame()
        t = talk({"/jobs": [DONE], "/files": files}, plugins=(frame,))
        with contextlib.suppress(vidpoll.DownloadError):
            t.client.download(REF, tmp_path / str(len(files[0][2])))
        assert frame.heard[:2] == [REF, ("download", "began", [REF])]
        assert frame.heard[-1] == ("download", "ended", [REF])
        assert set(frame.heard[2:-1]) <= {REF}  # a page in the place of a file is looked past


def test_began_and_ended_that_raise_change_nothing() -> None:
    """Warned of under the plugin's name, and the wait is what it was."""

    class Grumpy:
        @vidpoll.hookimpl
        def vidpoll_began(self) -> None:
            raise ZeroDivisionError("mine")

        @vidpoll.hookimpl
        def vidpoll_ended(self) -> None:
            raise ZeroDivisionError("mine")

    with pytest.warns(RuntimeWarning) as warned:
        assert talk([DRAWING, DONE], plugins=(Grumpy(),)).client.wait(REF).ok
    assert [str(each.message) for each in warned] == [
        f"plugin Grumpy, vidpoll_{hook} raised ZeroDivisionError: mine" for hook in ("began", "ended")
    ]


def test_the_first_display_becomes_a_plugin() -> None:
    """One that has none, raises, or gives no plugin is passed over; the display hears with the client's clock."""
    frame, times = Frame(), []

    def showing(name: str, shows: Any) -> Any:
        return type(name, (), {"vidpoll_display": vidpoll.hookimpl(shows), "name": name})()

    def display(self: Any, now: Any) -> Frame:
        times.append(now())
        return frame

    def raises(self: Any) -> None:
        raise ZeroDivisionError("mine")

    plugins = (
        showing("never", lambda self: pytest.fail("the first one counts")),
        showing("shows", display),
        showing("none", lambda self: None),
        showing("odd", lambda self: 5),
        showing("raises", raises),
    )
    t = talk([DONE], plugins=plugins)
    with pytest.warns(RuntimeWarning) as warned:
        assert t.client.add_display()
    assert [str(each.message) for each in warned] == [
        "plugin raises, vidpoll_display raised ZeroDivisionError: mine",
        "plugin odd, vidpoll_display: plugins=[odd-display]: no function in it is marked with @vidpoll.hookimpl",
    ]
    assert times == [t.clock.now]
    t.client.wait(REF)
    assert REF in frame.heard
    assert "shows-display" in [report.name for report in t.client.plugins]
    assert not talk([DONE]).client.add_display()


def test_the_protocol_of_a_failure_and_of_giving_up() -> None:
    """`failed` is the provider's word; `gave_up` is ours, and carries the error with the way back."""
    t = talk([BROKEN])
    with pytest.raises(vidpoll.JobFailed):
        t.client.wait(REF)
    assert t.ears.hooks == ["polled", "failed"]
    t = talk([DRAWING])
    with pytest.raises(vidpoll.WaitTimeout) as caught:
        t.client.wait(REF, timeout=0)
    assert t.ears.hooks == ["polled", "stage_changed", "progress", "gave_up"]
    event = t.ears.heard[-1][2]
    assert isinstance(event, vidpoll.GaveUp)
    assert (event.error, event.error.resume) == (caught.value, 'vidpoll.wait("acme:j1")')


def test_hooks_fire_in_every_kind_of_wait() -> None:
    """`wait`, `watch`, `as_completed` and `poll` tell the same."""
    told = []
    for call in ("wait", "watch", "as_completed", "poll"):
        t = talk([DONE])
        got = getattr(t.client, call)([REF] if call == "as_completed" else REF)
        if call in ("watch", "as_completed"):
            list(got)
        told.append(t.ears.hooks)
    assert told == [["polled", "completed"]] * 4


def test_the_job_is_up_to_date_when_its_hook_fires() -> None:
    """State, stage, progress and assets are those of the answer that is told."""
    seen: list[Any] = []

    class Looks:
        @vidpoll.hookimpl
        def vidpoll_stage_changed(self, job: Job) -> None:
            seen.append((job.state, job.stage, job.progress))

        @vidpoll.hookimpl
        def vidpoll_completed(self, job: Job) -> None:
            seen.append((job.ok, job.video.url))

    talk([DRAWING, DONE], plugins=(Looks(),)).client.wait(REF)
    assert seen == [("running", "drawing", 10.0), (True, DONE["video"])]


@pytest.mark.parametrize("hook", sorted(set(HOOKS.values()) - DOWNLOADING))
def test_a_hook_that_raises_changes_nothing(hook: str, caplog: pytest.LogCaptureFixture) -> None:
    """Logged, warned of, and the wait ends as it would have ended; the others still hear."""

    def raises(self: Any) -> None:
        raise ZeroDivisionError("mine")

    plugin = type("Grumpy", (), {hook: vidpoll.hookimpl(raises)})()
    script = {"/jobs/a": [DRAWING, UNAVAILABLE, DONE], "/jobs/b": [BROKEN], "/jobs/c": [DRAWING]}
    t = talk(script, plugins=(plugin,))
    with pytest.warns(RuntimeWarning, match=f"plugin Grumpy, {hook} raised ZeroDivisionError: mine"):
        ends = {job.ref: type(job.error) for job in t.client.as_completed(["acme:a", "acme:b", "acme:c"], timeout=20)}
    assert ends == {"acme:a": type(None), "acme:b": vidpoll.JobFailed, "acme:c": vidpoll.WaitTimeout}
    assert {f"vidpoll_{heard}" for heard in t.ears.hooks} == set(HOOKS.values()) - DOWNLOADING
    assert f"plugin Grumpy, {hook} raised" in caplog.text


def test_download_progress(tmp_path: Path) -> None:
    """While a file is fetched, and at its end; the hook and `on_progress` hear the same."""
    script = {"/jobs": [DONE], "/files": [(200, {"content-length": str(len(MP4))}, MP4)]}
    t = talk(script)
    heard: list[Any] = []
    t.client.download(REF, tmp_path, on_progress=heard.append)
    assert [(e.kind, e.received, e.total) for e in heard] == [("video", len(MP4), len(MP4))]
    assert [event for hook, _, event in t.ears.heard if hook == "download_progress"] == heard


def test_downloaded(tmp_path: Path) -> None:
    """Once per file that was fetched, after its progress; nothing for one that is there already."""
    t = talk({"/jobs": [DONE], "/files": [(200, {"content-length": str(len(MP4))}, MP4)]})
    job = t.client.wait(REF)
    (path,) = t.client.download(job, tmp_path)
    assert t.ears.hooks[-2:] == ["download_progress", "downloaded"]
    assert t.ears.heard[-1][1:] == (job, Downloaded(REF, t.clock.now, "video", path, len(MP4)))
    t.client.download(job, tmp_path)
    assert t.ears.hooks.count("downloaded") == 1


def test_a_hook_may_use_the_client() -> None:
    """Everything runs in the calling thread, so a hook may ask about another job in the middle of a wait."""
    seen: list[Any] = []

    class Asks:
        @vidpoll.hookimpl
        def vidpoll_stage_changed(self, job: Job) -> None:
            if job.ref == "acme:a":
                seen.append(t.client.poll("acme:b").stage)

    t = talk({"/jobs/a": [DRAWING, DONE], "/jobs/b": [SAVING]}, plugins=(Asks(),))
    assert t.client.wait("acme:a").ok
    assert seen == ["saving"]
