"""vidpoll-rich: what is drawn, where nothing may be drawn, and that a wait never waits for a terminal.

The wait is the real one (scripted, or against the simulator); the terminal a pseudo-terminal, read by a small emulator.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from acme_provider import BROKEN, DONE, DRAWING, QUEUED, REF, SAVING, UNAVAILABLE, talk
from rich.cells import cell_len
from vidpoll_rich import RichProgress, screen, vidpoll_display
from vidpoll_rich.board import Board, File, Row, View
from vidpoll_rich.paint import Size, lines

import vidpoll
from vidpoll.batch.options import Money
from vidpoll.testing import simulate

NOW = 1_800_000_000.0
HOSTILE = "[red]no[/red] \x1b[2J\x1b]0;mine\x07 \u202eevil\r\nnext"


class Tty(io.StringIO):
    """A terminal, for whoever asks."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def tty(monkeypatch: pytest.MonkeyPatch) -> Tty:
    """A terminal of 80 columns and 24 rows that takes everything."""
    for name, value in {"COLUMNS": "80", "LINES": "24", "TERM": "xterm-256color"}.items():
        monkeypatch.setenv(name, value)
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "JUPYTER_COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    return Tty()


def drawn(view: View, columns: int = 80, rows: int = 24, *, ascii: bool = False) -> list[str]:
    return [line.plain for line in lines(view, NOW, Size(columns, rows, ascii))]


def view(*rows: Row, files: tuple[File, ...] = (), ended: dict[str, int] | None = None) -> View:
    return View(rows, files, Counter(ended or {}), NOW - 125)


def squeezed(text: str) -> str:
    return " ".join(text.split())


# -- what is drawn ----------------------------------------------------------------------------------------------------


def test_a_row() -> None:
    """Reference, the provider's word, bar, percentage, how long it has been going, when it may end."""
    row = Row("acme:j1", NOW - 65, "running", "drawing", 50.0, ends=(NOW + 40, NOW + 70))
    assert [squeezed(line) for line in drawn(view(row), 80)] == ["acme:j1 drawing ━━━─── 50 % 1:05 0:40-1:10 left"]
    assert "━" * 15 + "─" * 15 in drawn(view(row), 200)[0]
    assert "###---" in drawn(view(row), 80, ascii=True)[0]


@pytest.mark.parametrize(
    ("change", "note"),
    [
        ({"fault": "HTTP 503", "again": NOW + 4}, "again in 4 s: HTTP 503"),
        ({"fault": "HTTP 503"}, "HTTP 503"),
        ({"stalled": NOW - 720}, "stalled 12:00"),
        ({"late": True}, "longer than usual"),
        ({"state": "queued", "stage": None, "queue": 3}, "queue 3"),
        ({"ends": (NOW - 20, NOW + 61)}, "0:00-1:01 left"),
        ({"ends": (NOW - 20, NOW - 1)}, ""),
        ({"fault": "reset", "stalled": NOW - 60, "late": True}, "reset, stalled 1:00, longer than usual"),
    ],
)
def test_notes(change: dict[str, Any], note: str) -> None:
    """Retrying, stalled, late, place in the queue, expected end: the worst first."""
    row = Row("acme:j1", NOW, **{"state": "running", "stage": "drawing", **change})
    assert drawn(view(row), 200)[0].rstrip().partition("0:00")[2].strip() == note


def test_what_is_not_known_is_left_out() -> None:
    """No progress, no bar; a row without a response says so, even after failed polls."""
    assert [squeezed(line) for line in drawn(view(Row("acme:j1", NOW)))] == ["acme:j1 not known 0:00"]


@pytest.mark.parametrize("columns", [60, 61, 80, 120, 200, 400])
@pytest.mark.parametrize("ascii", [False, True])
def test_no_line_is_wider_than_the_terminal(columns: int, ascii: bool) -> None:
    """Whatever the length of references and words, wide characters included: a line that wraps ruins the next frame."""
    long = Row(
        "magicoal:" + "3f8a2d1b" * 20, NOW - 9e5, "running", "生成中" * 30, 99.6, fault="x" * 400, again=NOW + 1e6
    )
    file = File("acme:" + "j" * 300, "video" * 30, 10**12, 10**13, NOW, NOW - 3, 0)
    for line in drawn(view(long, Row("acme:j2", NOW), files=(file,), ended={"failed": 10**6}), columns, ascii=ascii):
        assert cell_len(line) <= columns - 1
        assert not ascii or line.replace("生成中", "").replace("生", "").replace("成", "").isascii()


def test_text_of_a_provider_is_text() -> None:
    """No markup, no escape sequence, no change of direction."""
    row = Row("acme:j1", NOW, "running", HOSTILE, fault=HOSTILE, again=None)
    line = drawn(view(row), 200)[0]
    assert "[red]no[/red]" in line
    assert line.isprintable()


def test_more_jobs_than_rows() -> None:
    """Those that run come first, the last line sums up, and nothing is taller than the screen."""
    rows = [Row(f"acme:q{n}", NOW, "queued", fault="reset" if n < 7 else None) for n in range(900)]
    rows += [Row(f"acme:r{n}", NOW, "running", ends=(NOW + 60, NOW + 90 + n)) for n in range(5)]
    shown = drawn(view(*rows, ended={"completed": 90, "failed": 5}), 120, 24)
    assert len(shown) == 23
    assert [line.split()[0] for line in shown[:6]] == [*(f"acme:r{n}" for n in range(5)), "acme:q0"]
    assert shown[-1] == (
        "95 of 1000 jobs ended: 90 completed, 5 failed; 5 running, 900 queued, 7 retrying, 883 not shown; 2:05"
    )
    saving = drawn(View((rows[-1],), (), Counter(completed=3), NOW - 125, saving=2))
    assert saving[-1].startswith("3 of 4 jobs ended: 3 completed; 1 running, 2 saving; 2:05")
    one = drawn(view(rows[-1], rows[-2], ended={"unknown": 1}))
    assert one[-1] == "1 of 3 jobs ended: 1 unknown; 2 running; 2:05, the last in 1:00-1:34"


def test_files() -> None:
    """A bar where the length is known, and how fast the bytes that came by now came."""
    known = File("acme:j1", "video", 30_000_000, 40_000_000, NOW, NOW - 4, 10_000_000)
    unknown = File("acme:j2", "thumbnail", 2_000, None, NOW, NOW, 2_000)
    assert [squeezed(line) for line in drawn(view(files=(known, unknown)))] == [
        "acme:j1 video ━━━━── 75 % 30.0/40.0 MB 5.0 MB/s 0:02 left",
        "acme:j2 thumbnail 0.0 MB",
    ]


def standing(**change: Any) -> vidpoll.BatchStatus:
    """A batch of 100 rows in mid-run."""
    account = vidpoll.AccountStatus("kling", {}, 3, 3)
    given: dict[str, Any] = {
        "states": {"completed": 61, "running": 3, "failed": 2, "waiting": 34},
        "waiting": {"slots": 32, "budget": 2},
        "accounts": (account,),
        "spent": {"USD": 24.1},
        "reserved": {"USD": 1.2},
        "budget": Money(40.0, "USD"),
        "finish": (NOW + 1200, NOW + 2100),
    }
    return vidpoll.BatchStatus("night", 100, **{**given, **change})


def of_batch(*rows: Row, columns: int = 80, **change: Any) -> list[str]:
    return drawn(View(rows, (), Counter(completed=61), NOW, batches=(standing(**change),)), columns)


def test_a_batch_stands_below_its_rows() -> None:
    """Two lines at 80 columns, one where it fits; a row has its key in the place of a reference."""
    low, high = (time.strftime("%H:%M", time.localtime(NOW + after)) for after in (1200, 2100))
    first = "night: 61 of 100 done, 3 running, 2 failed, 34 waiting (budget 2, slots 32)"
    second = f"24.1 of 40 USD, 1.2 reserved, done {low} to {high}, in 20 to 35 min"
    row, *foot = of_batch(Row("kling:" + "7" * 30, NOW, "running", "drawing", 50.0, row="shot 7"))
    assert squeezed(row) == "shot 7 drawing ━━━─── 50 % 0:00"
    assert foot == [first, second]
    assert of_batch(columns=200) == [f"{first}; {second}"]
    assert of_batch(waiting={}, spent={}, reserved={}, budget=None, finish=None) == [
        "night: 61 of 100 done, 3 running, 2 failed"
    ]


def test_an_account_that_stopped_or_pauses_is_said() -> None:
    accounts = (
        vidpoll.AccountStatus("kling", {}, 3, 0, "money"),
        vidpoll.AccountStatus("luma", {}, 3, 0, "", NOW + 60),
        vidpoll.AccountStatus("vidu", {}, 3, 0, "", NOW - 60),
    )
    again = time.strftime("%H:%M", time.localtime(NOW + 60))
    assert of_batch(accounts=accounts, reserved={}, finish=None)[-1] == (
        f"24.1 of 40 USD, kling stopped: money, luma again at {again}"
    )


def test_ten_thousand_jobs_are_drawn_quickly() -> None:
    """A frame may not take the interpreter from the wait for long."""
    many = view(*(Row(f"acme:{n}", NOW, "running", "drawing", 5.0) for n in range(10_000)))
    began = time.perf_counter()
    drawn(many, 200, 60)
    assert time.perf_counter() - began < 0.5


# -- what is known ----------------------------------------------------------------------------------------------------


class Peek:
    """Notes what a board shows after each event, by the hooks that `RichProgress` has."""

    def __init__(self) -> None:
        self.board = Board()
        self.seen: list[View] = []

    @vidpoll.hookimpl
    def vidpoll_began(self, jobs: Any, action: str) -> None:
        self.board.began(jobs, NOW, waits=action == "wait")
        self.seen.append(self.board.view())

    @vidpoll.hookimpl
    def vidpoll_ended(self, jobs: Any, action: str) -> None:
        self.over = self.board.ended(jobs, waits=action == "wait")
        self.seen.append(self.board.view())


@vidpoll.hookimpl
def _hear(self: Peek, job: vidpoll.Job, event: vidpoll.Event) -> None:
    self.board.hear(job, event)
    self.seen.append(self.board.view())


for _name in vars(RichProgress):
    if _name.startswith("vidpoll_") and "batch" not in _name and _name not in vars(Peek):
        setattr(Peek, _name, _hear)


def test_the_board_of_a_batch() -> None:
    """It is there from its first word to its last, whether or not a job is; each change takes the place of the last."""
    board = Board()
    board.batch(standing(), NOW)
    board.began([vidpoll.Job("kling:1", key="batch:night/shot 1%2F2/1")], NOW, waits=True)
    assert [row.row for row in board.view().rows] == ["shot 1/2"]
    assert not board.ended([vidpoll.Job("kling:1")], waits=True)
    last = standing(states={"completed": 62})
    board.batch(last, NOW)
    assert board.view().batches == (last,)
    assert board.batch_ended("night")
    assert board.view().batches == ()


def test_the_board_of_a_wait() -> None:
    """From "not known" over faults and stages to nothing, counted by what became of each."""
    peek = Peek()
    script = {"/jobs/a": [QUEUED, UNAVAILABLE, DRAWING, DONE], "/jobs/b": [BROKEN], "/jobs/c": [SAVING]}
    t = talk(script, plugins=(peek,))
    list(t.client.as_completed(["acme:a", "acme:b", "acme:c"], timeout=60))
    assert [(row.ref, row.state) for row in peek.seen[0].rows] == [(f"acme:{name}", None) for name in "abc"]
    of_a = [row for seen in peek.seen for row in seen.rows if row.ref == "acme:a"]
    steps = [(row.state, row.stage, row.progress, row.fault) for row in of_a]
    assert list(dict.fromkeys(steps)) == [
        (None, None, None, None),
        ("queued", "queued", None, None),
        ("queued", "queued", None, "HTTP 503 without JSON (no content type)"),
        ("running", "drawing", 10.0, None),
        ("completed", "done", None, None),  # until its verdict is told, at once
    ]
    assert {row.again for row in of_a if row.fault} == {t.clock.time() - 60 + 10}
    assert any(row.stalled is not None for seen in peek.seen for row in seen.rows if row.ref == "acme:c")
    assert peek.seen[-2].rows == peek.seen[-1].rows == ()
    assert peek.seen[-1].ended == {"completed": 1, "failed": 1, "unknown": 1}
    assert peek.over


def test_what_moves_again_is_not_stalled() -> None:
    """The mark disappears with the first change; a response without a change leaves it."""
    job, board = vidpoll.Job(REF), Board()
    board.began([job], NOW, waits=True)
    same = vidpoll.Snapshot(vidpoll.State.RUNNING, "drawing", 5.0)
    for event, since in (
        (vidpoll.Stalled(REF, NOW + 700, 600.0), NOW + 100),
        (vidpoll.Polled(REF, NOW + 705, same), NOW + 100),
        (vidpoll.ProgressChanged(REF, NOW + 710, 6.0), None),
    ):
        board.hear(job, event)
        assert board.view().rows[0].stalled == since


def test_the_board_of_a_download(tmp_path: Path) -> None:
    """A file is there while it comes, and gone when it is saved or given up."""
    peek = Peek()
    talk({"/jobs": [DONE], "/files": [(200, {"content-length": "124"}, MP4)]}, plugins=(peek,)).client.download(
        REF, tmp_path
    )
    assert [[(file.received, file.total) for file in seen.files] for seen in peek.seen][-3:] == [[(124, 124)], [], []]
    peek = Peek()
    cut = talk({"/jobs": [DONE], "/files": [(200, {"content-length": "900"}, MP4), (404, {}, b"")]}, plugins=(peek,))
    with pytest.raises(vidpoll.VidpollError):
        cut.client.download(REF, tmp_path / "cut", timeout=30)
    assert (peek.seen[-1].files, peek.over) == ((), True)


MP4 = b"\x00\x00\x00\x18ftypisom" + b"\x00" * 112


# -- where, and where not ---------------------------------------------------------------------------------------------


def no_thread() -> bool:
    return not [thread for thread in threading.enumerate() if thread.name == "vidpoll-rich"]


def test_a_script_on_a_terminal(tty: Tty) -> None:
    """Rows while it waits, the verdict as a line, and then nothing of it is left: no row, thread or changed stream."""
    before = (sys.stdout, sys.stderr)
    t = talk([DRAWING, DONE], plugins=(RichProgress(tty),))
    t.client.wait(REF)
    assert no_thread()
    assert (sys.stdout, sys.stderr) == before
    assert emulated(tty.getvalue().encode(), 80, 24)[-2].endswith("acme:j1 completed: video")


@pytest.mark.parametrize(
    "wrong", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"COLUMNS": "59"}, {"FORCE_COLOR": "1", "file": "no terminal"}]
)
def test_plain_lines_elsewhere(tty: Tty, monkeypatch: pytest.MonkeyPatch, wrong: dict[str, str]) -> None:
    """Not a terminal, NO_COLOR, TERM=dumb, too narrow: one line per change, without the escape that moves a cursor."""
    for name, value in wrong.items():
        monkeypatch.setenv(name, value)
    file = io.StringIO() if "file" in wrong else tty
    talk([QUEUED, UNAVAILABLE, {**DRAWING, "status": "drawing"}, BROKEN], plugins=(RichProgress(file),)).client.wait(
        REF, check=False
    )
    text = re.sub(r"\x1b\[[\d;]*m", "", file.getvalue())
    assert [line[10:] for line in text.splitlines()] == [
        "acme:j1 queued",
        "acme:j1 no news: HTTP 503 without JSON (no content type); polling again in 5 s",
        "acme:j1 running drawing",
        "acme:j1 drawing 10 %",
        "acme:j1 failed: out of paint",
    ]
    monkeypatch.setattr(sys, "stdout", file)
    assert vidpoll_display(time.time) is None


def test_plain_lines_in_jupyter(tty: Tty, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a notebook's output claims to be."""
    shell = type("ZMQInteractiveShell", (), {})
    monkeypatch.setattr("rich.console.get_ipython", shell, raising=False)
    talk([DONE], plugins=(RichProgress(tty),)).client.wait(REF)
    assert tty.getvalue().splitlines()[-1].endswith("acme:j1 completed: video")
    assert "\x1b[?7l" not in tty.getvalue()


def test_standard_error_is_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    """What a script prints stays clean; what is said of a hostile job is one line."""
    hostile = {"status": "broken", "error": HOSTILE}
    talk([hostile], plugins=(RichProgress(),)).client.wait(REF, check=False)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert said.err.strip().isprintable()
    assert "[red]no[/red]" in said.err


def test_verdicts_may_be_the_callers(tty: Tty) -> None:
    """The command line prints them itself."""
    talk([DRAWING, DONE], plugins=(RichProgress(tty, verdicts=False),)).client.wait(REF)
    assert "completed" not in tty.getvalue()


def test_what_others_print_stands_above(tty: Tty, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hook's `print`, on standard output or error, in whole lines; the rows follow below."""
    monkeypatch.setattr(sys, "stdout", tty)

    class Prints:
        @vidpoll.hookimpl
        def vidpoll_stage_changed(self, event: vidpoll.StageChanged) -> None:
            wait_until(lambda: event.stage in tty.getvalue())
            sys.stdout.write("a ")
            sys.stdout.write(f"line {event.stage}\n")

    t = talk([DRAWING, SAVING, DONE], plugins=(Prints(), RichProgress(tty)))
    t.client.wait(REF)
    assert [line for line in emulated(tty.getvalue().encode(), 80, 24) if line][:2] == [
        "a line drawing",
        "a line saving",
    ]
    assert re.search(r"\x1b\[Ja line saving\n\x1b\[\?7l[^\n]*acme:j1", tty.getvalue())


def wait_until(holds: Callable[[], bool], seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_two_clients_do_not_draw_over_each_other(tty: Tty, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one prints lines, above the rows of the first."""
    monkeypatch.setattr(sys, "stderr", tty)
    inner: list[str] = []

    class Nested:
        @vidpoll.hookimpl
        def vidpoll_stage_changed(self) -> None:
            talk([DRAWING, DONE], plugins=(RichProgress(),)).client.wait("acme:j2")
            inner.append(tty.getvalue())

    talk([SAVING, DONE], plugins=(Nested(), RichProgress())).client.wait(REF)
    assert re.search(r"\d\d  acme:j2 running drawing", inner[0])
    assert sys.stderr is tty


# -- a display never touches the wait ---------------------------------------------------------------------------------


def test_a_terminal_that_takes_nothing_holds_nobody(tty: Tty, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-S, a hung ssh: the wait continues, its end is late by no more than `LEAVE`."""
    monkeypatch.setattr(screen, "LEAVE", 0.3)
    opened = threading.Event()

    def stuck(text: str) -> int:
        opened.wait(20)
        return len(text)

    monkeypatch.setattr(tty, "write", stuck)
    script = {f"/jobs/{n}": [DRAWING, {**DRAWING, "progress": 50}, SAVING, DONE] for n in range(50)}
    t = talk(script, plugins=(RichProgress(tty),))
    began = time.monotonic()
    done = list(t.client.as_completed([f"acme:{n}" for n in range(50)]))
    took = time.monotonic() - began
    opened.set()
    assert [job.ok for job in done] == [True] * 50
    assert took < 5
    wait_until(no_thread)


@pytest.mark.filterwarnings("error")
def test_a_terminal_that_is_gone_harms_nobody(tty: Tty, monkeypatch: pytest.MonkeyPatch) -> None:
    """No warning, no traceback, and the job's own outcome."""

    def gone(text: str) -> int:
        raise BrokenPipeError

    monkeypatch.setattr(tty, "write", gone)
    assert talk([DRAWING, DONE], plugins=(RichProgress(tty),)).client.wait(REF).ok
    assert no_thread()


@pytest.mark.filterwarnings("error")
def test_a_painter_that_raises_harms_nobody(tty: Tty, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    """A bug in a row is in the log, and the wait continues."""
    monkeypatch.setattr("vidpoll_rich.paint._row", lambda *args: 1 / 0)

    class Slow:
        @vidpoll.hookimpl
        def vidpoll_stage_changed(self) -> None:
            wait_until(lambda: "cannot draw" in caplog.text)

    assert talk([DRAWING, DONE], plugins=(RichProgress(tty), Slow())).client.wait(REF).ok
    assert no_thread()
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("how", ["hook", "left"])
def test_whatever_ends_the_wait_ends_the_display(tty: Tty, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """Ctrl-C and a loop that is left: no thread, no row, the streams as they were."""
    monkeypatch.setattr(sys, "stdout", tty)

    class Interrupts:
        @vidpoll.hookimpl
        def vidpoll_progress(self) -> None:
            wait_until(lambda: "acme:j1" in tty.getvalue())
            if how == "hook":
                raise KeyboardInterrupt

    t = talk([DRAWING, SAVING, DONE], plugins=(RichProgress(tty), Interrupts()))
    following = t.client.watch(REF)
    if how == "hook":
        with pytest.raises(KeyboardInterrupt):
            list(following)
    else:
        next(following)
        next(following)
        del following
    assert no_thread()
    assert sys.stdout is tty
    assert [line for line in emulated(tty.getvalue().encode(), 80, 24) if line] == []


def test_a_frame_that_was_cut_leaves_the_terminal_as_it_was(tty: Tty) -> None:
    """With Ctrl-C a terminal drops what it has not shown: colours and wrapping are set back before anything is said."""
    t = talk([DRAWING, DONE], plugins=(RichProgress(tty), Waits(tty)))
    t.client.wait(REF)
    before, _, last = tty.getvalue().rpartition("\x1b[?7l")
    assert before
    cut = before + "\x1b[?7l" + last.partition("drawing")[0] + "\x1b[0m\x1b[?7h" + last.partition("\x1b[0m\x1b[?7h")[2]
    terminal = Emulator(80, 24).feed(cut.encode())
    assert terminal.wrap
    assert terminal.text()[-2].endswith("acme:j1 completed: video")


class Waits:
    """Until a row of the job stands on the terminal."""

    def __init__(self, tty: Tty) -> None:
        self.tty = tty

    @vidpoll.hookimpl
    def vidpoll_progress(self) -> None:
        wait_until(lambda: "drawing" in self.tty.getvalue())


def test_nothing_at_import() -> None:
    """No rich, no thread, no output: an unused plugin costs nothing."""
    code = (
        "import sys, threading, vidpoll, vidpoll_rich; c = vidpoll.Client(); "
        "print([m for m in sys.modules if m.split('.')[0] == 'rich'], threading.active_count(), "
        "[r.name for r in c.plugins if r.name == 'rich'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.stderr) == ("[] 1 ['rich']\n", "")


# -- a true terminal --------------------------------------------------------------------------------------------------


def emulated(data: bytes, columns: int, rows: int) -> list[str]:
    """The screen, and what has scrolled off it, after a terminal of this size has read `data`."""
    return Emulator(columns, rows).feed(data).text()


class Emulator:
    """As much of a terminal as is used here: lines, returns, up, erase below, erase line, autowrap, colours."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.lines: list[list[str]] = [[]]
        self.row = self.column = 0
        self.wrap = True

    def feed(self, data: bytes) -> Emulator:
        text = data.decode("utf-8", "replace")
        for token in re.findall(r"\x1b\[[?\d;]*[A-Za-z]|.|\n", text, re.DOTALL):
            if token == "\n":
                self.row, self.column = self.row + 1, 0
            elif token == "\r":
                self.column = 0
            elif token.startswith("\x1b["):
                self._control(token)
            else:
                assert token.isprintable(), f"{token!r} reached the terminal"
                if self.column >= self.columns:
                    if not self.wrap:
                        continue
                    self.row, self.column = self.row + 1, 0
                self._line()[self.column : self.column + 1] = [token]
                self.column += 1
            self._line()
        return self

    def _line(self) -> list[str]:
        while len(self.lines) <= self.row:
            self.lines.append([])
        line = self.lines[self.row]
        line.extend(" " * (self.column - len(line)))
        return line

    def _control(self, token: str) -> None:
        if match := re.fullmatch(r"\x1b\[(\d+)A", token):
            top = max(len(self.lines) - self.rows, 0)
            self.row = max(self.row - int(match.group(1)), top)
        elif token == "\x1b[J":
            del self.lines[self.row + 1 :]
            del self._line()[self.column :]
        elif token in ("\x1b[?7l", "\x1b[?7h"):
            self.wrap = token.endswith("h")
        else:
            assert re.fullmatch(r"\x1b\[[\d;]*m", token), f"{token!r} reached the terminal"

    def text(self) -> list[str]:
        return ["".join(line).rstrip() for line in self.lines]


CONTROLLING = """
import fcntl, os, signal, sys, termios
signal.signal(signal.SIGINT, signal.SIG_DFL)  # it is ignored in what a shell runs in the background
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that Ctrl-C reaches it
os.execv(sys.argv[1], sys.argv[1:])
"""


class Terminal:
    """A process on a pseudo-terminal."""

    def __init__(self, argv: list[str], columns: int, rows: int, cwd: Path, **environment: str) -> None:
        import pty

        self.size = (columns, rows)
        environ = {**os.environ, "TERM": "xterm-256color", "VIDPOLL_STORE": str(cwd / "jobs.sqlite3"), **environment}
        for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"):
            if name not in environment:
                environ.pop(name, None)
        self.master, slave = pty.openpty()
        self.resize(columns, rows)
        whole = [sys.executable, "-c", CONTROLLING, *argv]
        self.process = subprocess.Popen(
            whole, stdin=slave, stdout=slave, stderr=slave, cwd=cwd, env=environ, start_new_session=True
        )
        os.close(slave)
        self.data = b""

    def resize(self, columns: int, rows: int) -> None:
        import fcntl
        import struct
        import termios

        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read_until(self, pattern: str | None, seconds: float = 60.0, since: int = 0) -> None:
        """Read until something stands in what came after `since` bytes; None: until the process ends."""
        import select

        end = time.monotonic() + seconds
        while pattern is None or not re.search(pattern, self.data[since:].decode("utf-8", "replace")):
            assert time.monotonic() < end, self.data.decode("utf-8", "replace")[-2000:]
            if select.select([self.master], [], [], 0.1)[0]:
                try:
                    data = os.read(self.master, 65536)
                except OSError:  # Linux says so where the other side is closed
                    data = b""
                if not data:
                    break
                self.data += data

    def close(self) -> int:
        return self.process.wait(30)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)


needs_pty = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pty module")


@needs_pty
@pytest.mark.parametrize("columns", [80, pytest.param(200, marks=pytest.mark.slow)])
def test_the_demo_on_a_terminal(tmp_path: Path, columns: int) -> None:
    """`vidpoll demo` draws rows below its lines, whole references where there is room, and leaves only lines."""
    demo = [sys.executable, "-m", "vidpoll", "demo", "magicoal", "token360", "moneyprinterturbo", "--speed", "16"]
    with Terminal(demo, columns, 30, tmp_path) as terminal:
        terminal.read_until(r"generating_video *\x1b\[0m *\x1b\[32m━[^\x07]*?0 of 3 jobs ended[^\n]*\x1b\[\?7h")
        shown = [line for line in emulated(terminal.data, columns, 30) if "━" in line or "─" in line]
        terminal.read_until(None)
        assert terminal.close() == 0
    assert len(shown) == 3
    assert all(len(line) < columns for line in shown)
    whole = r"magicoal:[0-9a-f-]{36}  " if columns == 200 else r"magicoal:[0-9a-f-]+…  "
    assert any(re.match(whole, line) for line in shown)
    left = emulated(terminal.data, columns, 30)
    assert not [line for line in left if "━" in line or "jobs ended" in line]
    assert left[-2] == "Every job, stage, hook and file is as it should be."
    assert len([line for line in left if "vidpoll_completed" in line]) == 3


MANY = """
import vidpoll, vidpoll_rich, sys
from vidpoll.testing import simulate
with simulate("magicoal", speed=10, magicoal={"capacity": 40}) as simulator:
    client = simulator.client(plugins=[vidpoll_rich.RichProgress()])
    jobs = [simulator.seed_job("magicoal", "i2v", age=0.2 * n) for n in range(40)]
    print("begin", flush=True)
    done = list(client.as_completed([f"magicoal:{job}" for job in jobs], timeout=300))
print(sum(job.ok for job in done), "ok")
"""


@pytest.mark.slow
@needs_pty
def test_many_jobs_on_a_terminal_that_is_resized(tmp_path: Path) -> None:
    """More jobs than rows, and a window that becomes smaller, narrow and large: lines, then rows again."""
    with Terminal([sys.executable, "-c", MANY], 100, 20, tmp_path) as terminal:
        terminal.read_until("0 of 40 jobs ended[^\n]*; [^\n]*not shown")
        terminal.resize(70, 12)
        terminal.read_until(r"\x1b\[\?7l[^\n]*(\n[^\n]*){10}\x1b\[\?7h", since=len(terminal.data))
        terminal.resize(50, 12)
        terminal.read_until(r"\d\d:\d\d:\d\d[^\n]*magicoal:[^\n]* (running|\w+ \d+ %)", since=len(terminal.data))
        terminal.resize(120, 30)
        terminal.read_until(None)
        assert terminal.close() == 0
    text = terminal.data.decode()
    heights = [frame.split("\x1b[?7h")[0].count("\n") + 1 for frame in text.split("\x1b[?7l")[1:]]
    assert {19, 11} <= set(heights)
    assert max(heights) <= 29
    assert re.search(r"\d\d:\d\d:\d\d\S*  \S*magicoal:\S+ (running|\w+ \d+ %)", re.sub(r"\x1b\[[\d;]*m", "", text))
    assert text.rstrip().endswith("40 ok")
    assert "Traceback" not in text


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The reference of a job that is far from its end, at a server on loopback."""
    with simulate("magicoal", speed=1.0) as simulator:
        monkeypatch.setenv("MAGICOAL_BASE_URL", simulator.base_urls["magicoal"])
        monkeypatch.setenv("MAGICOAL_API_KEY", simulator.keys["magicoal"])
        yield f"magicoal:{simulator.seed_job('magicoal', 'i2v')}"


@needs_pty
def test_ctrl_c(tmp_path: Path, served: str) -> None:
    """The rows go, the line that resumes stays, and the exit code is 130."""
    with Terminal([sys.executable, "-m", "vidpoll", "wait", served], 100, 20, tmp_path) as terminal:
        terminal.read_until(f"{served[:25]}.*─")
        os.write(terminal.master, b"\x03")
        terminal.read_until(None)
        assert terminal.close() == 130
    left = [line.removeprefix("^C") for line in emulated(terminal.data, 100, 20) if line.strip("^C")]
    assert left[0].startswith("vidpoll: interrupted")
    assert f"vidpoll wait {served}" in "".join(left)
    assert "━" not in "".join(left)


@needs_pty
@pytest.mark.parametrize(("options", "environment"), [(["--quiet"], {}), ([], {"NO_COLOR": "1"}), (["--json"], {})])
def test_no_display_where_none_is_wanted(
    tmp_path: Path, served: str, options: list[str], environment: dict[str, str]
) -> None:
    """--quiet, --json, NO_COLOR: what the command itself says, and no more."""
    argv = [sys.executable, "-m", "vidpoll", "wait", served, "--timeout", "0", *options]
    with Terminal(argv, 100, 20, tmp_path, **environment) as terminal:
        terminal.read_until(None)
        assert terminal.close() == 3
    assert b"\x1b[?7l" not in terminal.data
