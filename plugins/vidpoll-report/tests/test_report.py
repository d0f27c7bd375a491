"""vidpoll-report: what the page tells, that nobody's text becomes markup, and that a whole page is always there.

The waits are real ones, scripted or against the simulator; the page is read with html.parser, its SVG with ElementTree.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest
import vidpoll_report
from acme_provider import BROKEN, DONE, DRAWING, MP4, QUEUED, REF, SAVING, UNAVAILABLE, talk
from vidpoll_report import Report, writer
from vidpoll_report.entry import Entry, Span
from vidpoll_report.html import raw, tag, web
from vidpoll_report.page import page
from vidpoll_report.timeline import Axis, bar, duration

import vidpoll
from vidpoll.batch.options import Money
from vidpoll.cli import main
from vidpoll.testing import simulate

JPEG = b"\xff\xd8\xff\xe0" + b"\0" * 200
HOSTILE = (
    """</script></style></title><img src=x onerror="alert(1)"> ' " onload='x' javascript:alert(1) &lt;"""
    "\x1b[2J\u202e<svg/onload=x>"
)
NOW = 1_800_000_000.0
VOID = {"meta", "img", "br", "hr"}


class Page(HTMLParser):
    """The elements of a page, each closed where it has to be, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        assert len(attrs) == len(dict(attrs)), f"an attribute is given twice: {attrs}"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag == name]


def svgs(text: str) -> list[ElementTree.Element]:
    return [ElementTree.fromstring(found) for found in re.findall(r"<svg .*?</svg>", text, re.DOTALL)]


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


# -- what the page tells ----------------------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of four jobs: completed with files, failed, unknown, completed after a fault."""
    script = {
        "/jobs/a": [QUEUED, DRAWING, SAVING, {**DONE, "cover": "https://api.acme.example/files/a.jpg"}],
        "/jobs/b": [DRAWING, BROKEN],
        "/jobs/c": [DRAWING],
        "/jobs/d": [UNAVAILABLE, UNAVAILABLE, DRAWING, DONE],
        "a.jpg": [(200, {"content-type": "image/jpeg"}, JPEG)],
        "/files/": [MP4],
    }
    report = Report(tmp_path / "night.html", title="A <night>")
    t = talk(script, plugins=(report,))
    report.describe("acme:a", "a lighthouse at dusk")
    for job in t.client.as_completed([f"acme:{name}" for name in "abcd"], timeout=40):
        if job.ref == "acme:a":
            t.client.download(job, tmp_path / "clips #1", kinds=("video", "thumbnail"))
    return tmp_path / "night.html"


def test_the_sums(run: Path) -> None:
    """How many jobs, what became of them, requests, faults by their reason."""
    found = Page(read(run))
    tiles = re.findall(r"<dt>([^<]*)</dt><dd>([^<]*)</dd></div>", read(run))
    told = dict(tiles)
    assert {name: told[name] for name in ("jobs", "completed", "failed", "unknown", "requests", "files")} == {
        "jobs": "4", "completed": "2", "failed": "1", "unknown": "1", "requests": "19", "files": "2",
    }  # fmt: skip
    assert told["faults survived"] == "2"
    assert "2 times: HTTP 503 without JSON (no content type)" in found.text
    assert found.all("title") == [{}] + [{}] * (len(found.all("title")) - 1)
    assert "<title>A &lt;night&gt;</title>" in read(run)


def test_the_cards(run: Path) -> None:
    """Prompt, picture, file, reason of a failure, and the way back to a job whose outcome is unknown."""
    found = Page(read(run))
    assert len(found.all("article")) == 4
    assert "a lighthouse at dusk" in found.text
    assert "out of paint" in found.text
    assert "vidpoll wait acme:c" in found.text
    (picture,) = found.all("img")
    assert (picture["src"] or "").startswith("data:image/jpeg;base64,")
    links = {unquote(link["href"] or "") for link in found.all("a") if (link["href"] or "").startswith("./")}
    assert {(run.parent / link).suffix for link in links} == {".mp4", ".jpg"}
    assert all((run.parent / link).is_file() for link in links)
    assert 'href="./clips%20%231/' in read(run)
    anchors = [link["href"] for link in found.all("a") if link.get("class") == "ref"]
    assert [f"#{card['id']}" for card in found.all("article")] == anchors


def test_the_timeline(run: Path) -> None:
    """A bar a job on one axis: its stages in order, where they were, a line for each fault, its end by its state."""
    drawn = svgs(read(run))
    assert len(drawn) == 4
    bars = {svg.get("aria-label", "").partition(": ")[0]: svg for svg in drawn}
    titles = [element.text for element in bars["acme:a"].iter() if element.tag.endswith("title")]
    assert titles == ["queued: 5.0 s", "drawing: 5.0 s", "saving: 5.0 s"]
    rects = [element for element in bars["acme:a"] if element.tag.endswith("rect")]
    places = [(float(rect.get("x", 0)), float(rect.get("width", 0))) for rect in rects[:3]]
    assert places == [(0.0, 125.0), (125.0, 125.0), (250.0, 125.0)]  # of 40 s
    assert [rect.get("class") for rect in bars["acme:d"]].count("fault") == 2
    assert [list(svg)[-1].get("class") for svg in bars.values()] == [
        "end completed", "end failed", "end unknown", "end completed",
    ]  # fmt: skip


def test_it_opens_without_a_network(run: Path) -> None:
    """No script, nothing loaded from anywhere, and a policy that forbids both."""
    found = Page(read(run))
    assert found.all("script") == found.all("link") == found.all("iframe") == []
    assert "@import" not in read(run)
    assert "url(" not in read(run)
    sources = [value for _, attributes in found.elements for name, value in attributes.items() if name == "src"]
    assert all((source or "").startswith(("data:image/", "./")) for source in sources)
    policy = next(meta["content"] for meta in found.all("meta") if meta.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    assert "script" not in policy


def test_money_by_unit() -> None:
    """Charged less refunded, and units are never mixed."""
    entries = [
        Entry("acme:a", cost=vidpoll.Cost(50, 0, "credits")),
        Entry("acme:b", cost=vidpoll.Cost(52, 52, "credits")),
        Entry("acme:c", cost=vidpoll.Cost(0.25, 0, "USD")),
    ]
    text = Page(page(entries, "t", Path(), NOW)).text
    assert "credits spent 50" in text
    assert "credits refunded 52 of 102" in text
    assert "USD spent 0.25" in text


def row(key: str, state: str, prompt: str, **change: Any) -> vidpoll.RowResult:
    return vidpoll.RowResult(key, state, vidpoll.Row(key, "acme", "draw", {"prompt": prompt}, "", "row 1"), **change)


def told(report: Report, *rows: vidpoll.RowResult, waiting: dict[str, int] | None = None) -> vidpoll.BatchStatus:
    """The batch of these rows, in the form of a hook's argument."""
    accounts = (vidpoll.AccountStatus("acme", {}, 3, 0), vidpoll.AccountStatus("other", {}, 3, 0))
    states = Counter(each.state for each in rows)
    spent, budget = {"USD": 0.75, "credits": 5.0}, Money(2.0, "USD")
    status = vidpoll.BatchStatus("night", len(rows), states, waiting or {}, accounts, spent, {}, budget, None, NOW)
    report.vidpoll_batch_changed(status, {each.key: each for each in rows})
    return status


def cells(text: str) -> list[list[str]]:
    """The tables of a page, a list of cells for each row."""
    lines = re.findall(r"<tr>(.*?)</tr>", text, re.DOTALL)
    return [[Page(cell).text for cell in re.findall(r"<td[^>]*>(.*?)</td>", line, re.DOTALL)] for line in lines]


def test_a_batch_by_row(tmp_path: Path) -> None:
    """Its money by account and unit; then prompt, state, cost, attempts and files of each row, and why it waits."""
    clip = tmp_path / "r1.mp4"
    clip.write_bytes(MP4)
    report = Report(tmp_path / "night.html")
    done = vidpoll.Job("acme:j1", key="batch:night/r1/1")
    rows = (
        row("r1", "completed", "a fox", job=done, cost=vidpoll.Cost(0.75, 0.25, "USD"), paths=(clip,), attempts=1),
        row("r2", "failed", "a cow", cost=vidpoll.Cost(5.0, how="estimated"), problem="no cows", attempts=2),
        row("r3", "waiting", HOSTILE, why="budget"),
    )
    status = told(report, *rows, waiting={"budget": 1})
    for account, reason, said in (("acme", "budget", ""), ("other", "money", "top up")):
        stop = vidpoll.Stopped(account, reason, said, "vidpoll batch night.csv")
        report.vidpoll_batch_stopped(status, stop, f"stopped: {reason}; go on with: {stop.go_on}")
    report.vidpoll_batch_ended(status)
    found = Page(read(tmp_path / "night.html"))
    told_of = [line for line in cells(read(tmp_path / "night.html")) if line]
    assert told_of[:5] == [
        ["acme", "1 completed, 1 failed, 1 waiting", "0.75 USD", "0.25 USD", ""],
        ["acme", "1 completed, 1 failed, 1 waiting", "5 credits", "", "5 credits"],
        ["other", "", "", "", ""],
        ["r1", "a fox", "completed", "0.75 USD, 0.25 refunded", "1", f"video, {len(MP4) / 1000:.1f} kB"],
        ["r2", "a cow", "failed no cows", "5 credits (estimated)", "2", ""],
    ]
    assert (told_of[5][0], told_of[5][2:]) == ("r3", ["waiting budget", "", "", ""])
    assert "stopped: budget; go on with: vidpoll batch night.csv" in found.text
    assert "other: top up; stopped: money; go on with: vidpoll batch night.csv" in found.text
    assert "1 of 3 done, 0.75 of 2 USD, 5 credits" in found.text
    assert [found for found in found.all("a") if found["href"] == "#job-1"]
    assert found.all("script") == found.all("img") == []
    assert [each["src"] for each in found.all("video")] == ["./r1.mp4"]


def test_within_a_batch_no_row_waits_for_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of a job is no end of the run: the page is written to its end once."""
    report = Report(tmp_path / "night.html")
    flushes: list[float] = []
    monkeypatch.setattr(report._outbox, "flush", lambda timeout: flushes.append(timeout) or True)
    job = vidpoll.Job("acme:j1", key="batch:night/r1/1")
    status = told(report, row("r1", "running", "a fox", job=job))
    for _ in range(3):
        report.vidpoll_began([job], "wait")
        report.vidpoll_ended()
    assert flushes == []
    report.vidpoll_batch_ended(status)
    assert len(flushes) == 1


def test_spans() -> None:
    """The time before the first response is a stage; equal neighbours merge; a clock that goes back does no harm."""
    moment = vidpoll.Moment
    entry = Entry("acme:a", created=90.0, state="completed", ended=130.0)
    entry.moments = (
        moment(100.0, vidpoll.State.QUEUED, "queued", None),
        moment(110.0, vidpoll.State.RUNNING, "drawing", 1.0),
        moment(108.0, vidpoll.State.RUNNING, "drawing", 2.0),
        moment(120.0, vidpoll.State.RUNNING, None, 3.0),
        moment(130.0, vidpoll.State.COMPLETED, "done", None),
    )
    assert entry.spans == [
        Span("waiting", 90.0, 100.0), Span("queued", 100.0, 110.0), Span("drawing", 110.0, 120.0),
        Span("running", 120.0, 130.0),
    ]  # fmt: skip
    assert Entry("acme:b").spans == []


@pytest.mark.parametrize("seconds", [0.0, 0.4, 5.0, 59.0, 600.0, 8 * 3600.0, 400 * 86400.0])
def test_the_axis_has_a_few_marks(seconds: float) -> None:
    """Whether a run took a second or a year."""
    axis = Axis([Entry("acme:a", began=NOW, ended=NOW + seconds)])
    marks = axis.marks()
    assert 1 <= len(marks) <= 8
    assert all(0 <= percent <= 100 for _, percent in marks)


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.04, "0.0 s"), (9.9, "9.9 s"), (59.4, "59 s"), (61, "1 min 1 s"), (7260, "2 h 1 min")]
)
def test_durations(seconds: float, said: str) -> None:
    """As people say them."""
    assert duration(seconds) == said


# -- nobody's text becomes markup -------------------------------------------------------------------------------------


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    """Wherever it occurs: reference, stage, reason, prompt, fields, kinds, units, names of files, the title."""
    path = tmp_path / "a' onerror=alert(1) \"<b>.mp4"
    path.write_bytes(MP4)
    entry = Entry(f"acme:{HOSTILE}", state="failed", stage=HOSTILE, prompt=HOSTILE, operation=HOSTILE)
    entry.fields = {HOSTILE: [HOSTILE], "image": HOSTILE}
    entry.problem = vidpoll.Problem(HOSTILE, HOSTILE)
    entry.cost = vidpoll.Cost(1, 1, HOSTILE)
    entry.why = HOSTILE
    entry.moments = (vidpoll.Moment(NOW, vidpoll.State.RUNNING, HOSTILE, 1.0), vidpoll.Moment(NOW + 9, None, "x", 1.0))
    entry.last, entry.faults, entry.faults_at = NOW + 20, Counter({HOSTILE: 3}), [NOW + 1]
    entry.files = {path: HOSTILE}
    entry.links = ((HOSTILE, "javascript:alert(1)"), ("video", "https://x.example/'\"><script>"))
    harmless = Entry("acme:b", moments=(vidpoll.Moment(NOW, vidpoll.State.RUNNING, "busy", 1.0),), last=NOW + 30)
    text = page([entry, harmless], HOSTILE, tmp_path, NOW)
    found = Page(text)
    known = {name for name, _ in Page(page([harmless], "t", tmp_path, NOW)).elements} | {
        "a", "video", "details", "summary"
    }  # fmt: skip
    assert {name for name, _ in found.elements} <= known
    attributes = {name for _, given in found.elements for name in given}
    assert not [name for name in attributes if name.startswith("on")]
    urls = [value or "" for _, given in found.elements for name, value in given.items() if name in ("href", "src")]
    assert all(url.startswith(("#job-", "./")) for url in urls)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "<img src=x onerror=" not in text
    assert text.count("<style>") == text.count("</style>") == 1
    assert len(svgs(text)) == 2


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", "JavaScript:alert(1)", "data:text/html,x", "//evil.example/x", "/relative", "file:///etc/passwd",
     "https://u:p@x.example/", "https://x.example/a?sig=1", "https://x.example/a b", "https://x.example\\@evil/", "http://[",
     "https:///x", " https://x.example/"],
)  # fmt: skip
def test_what_is_no_link(url: str) -> None:
    """Other schemes, user data, signatures: a kind is named, and nothing is linked to."""
    assert web(url) is None
    entry = Entry("acme:a", links=(("video", url),))
    assert "video (not saved)" in Page(page([entry], "t", Path(), NOW)).text


def test_a_plain_url_is_a_link() -> None:
    """If a file was not saved, and its URL is not a secret."""
    found = Page(page([Entry("acme:a", links=(("video", "https://x.example/a.mp4"),))], "t", Path(), NOW))
    assert {"href": "https://x.example/a.mp4", "rel": "noreferrer"} in found.all("a")


def test_elements() -> None:
    """Text is text until it is said to be an element; an attribute's name may be one of Python's words."""
    assert tag(
        "p", "<b>", tag("b", "x"), None, ["&", raw("<i></i>")], 5, class_='a"b', aria_label="'", hidden=True
    ) == ('<p class="a&quot;b" aria-label="&#x27;" hidden>&lt;b&gt;<b>x</b>&amp;<i></i>5</p>')
    assert tag("img", alt="a\x00b") == '<img alt="a b">'


def test_a_bar_of_nothing_is_a_bar() -> None:
    """A job that ended at once."""
    entry = Entry("acme:a", began=NOW, ended=NOW, state="completed")
    ElementTree.fromstring(bar(entry, Axis([entry])))


# -- a whole page is always there -------------------------------------------------------------------------------------


def test_the_page_is_there_from_the_beginning_and_after_each_verdict(tmp_path: Path) -> None:
    """Not only at the end: a process that dies in the middle of the night has written what it knew."""
    path = tmp_path / "night.html"
    seen: list[str] = []

    class Looks:
        @vidpoll.hookimpl
        def vidpoll_polled(self, job: vidpoll.Job) -> None:
            wanted = "out of paint" if job.answers > 2 else "acme:a"
            end = time.monotonic() + 5
            while not (path.exists() and wanted in read(path)) and time.monotonic() < end:
                time.sleep(0.01)
            seen.append(read(path) if path.exists() else "")

    t = talk({"/jobs/a": [BROKEN], "/jobs/b": [DRAWING, DRAWING, DONE]}, plugins=(Looks(), Report(path)))
    list(t.client.as_completed(["acme:a", "acme:b"]))
    assert "acme:b" in seen[0]
    assert "out of paint" in seen[-1]
    assert "going on" in seen[-1]
    assert "going on" not in Page(read(path)).text
    assert list(tmp_path.iterdir()) == [path]
    assert not [thread for thread in threading.enumerate() if thread.name == "vidpoll-report"]


def test_a_page_that_cannot_be_written_harms_nobody(tmp_path: Path) -> None:
    """The folder goes away, the disk is full: a warning at the end, and the job's own outcome."""
    folder = tmp_path / "gone"
    folder.mkdir()
    report = Report(folder / "night.html")
    folder.rmdir()
    with pytest.warns(RuntimeWarning, match="report raised FileNotFoundError"):
        assert talk([DRAWING, DONE], plugins=(report,)).client.wait(REF).ok


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with a name here")
def test_what_is_no_file_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    """`-o /dev/stdout` writes there: as root, a file in its place would be the end of the device."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        writer.whole(pipe, "<p>")
        assert os.read(reader, 100) == b"<p>"
    finally:
        os.close(reader)
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]


def test_a_slow_page_holds_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait continues while a page is made; only its end is delayed, and not for long."""
    monkeypatch.setattr("vidpoll_report.FLUSH", 0.2)
    opened = threading.Event()
    report = Report(tmp_path / "night.html")
    monkeypatch.setattr(report, "html", lambda: str(opened.wait(20)))
    t = talk({f"/jobs/{n}": [DRAWING, SAVING, DONE] for n in range(50)}, plugins=(report,))
    began = time.monotonic()
    with pytest.warns(RuntimeWarning, match="was not written within 0.2 s"):
        done = list(t.client.as_completed([f"acme:{n}" for n in range(50)]))
    assert [job.ok for job in done] == [True] * 50
    assert time.monotonic() - began < 5
    opened.set()
    assert report._outbox.flush(5)


def test_many_events_are_few_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand verdicts in a moment are no thousand pages."""
    made: list[int] = []
    report = Report(tmp_path / "x.html")
    monkeypatch.setattr(report, "html", lambda: str(made.append(1)))
    t = talk({"/jobs": [DRAWING, DONE]}, plugins=(report,))
    assert len(list(t.client.as_completed([f"acme:{n}" for n in range(1000)]))) == 1000
    assert 1 <= len(made) <= 5


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_a_kill_leaves_a_whole_page(tmp_path: Path) -> None:
    """At whatever moment: under its name there is a page with an end, or none."""
    code = (
        "import sys\nfrom pathlib import Path\nfrom vidpoll_report.writer import whole\n"
        "n = 0\nwhile True:\n    n += 1\n"
        "    whole(Path('night.html'), '<html>' + str(n) * 200_000 + '</html>\\n')\n    print('on', flush=True)"
    )
    for delay in (0.02, 0.05, 0.09):
        process = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        assert read(tmp_path / "night.html").endswith("</html>\n")


@pytest.mark.skipif(sys.platform == "win32", reason="permissions")
def test_the_page_keeps_its_permissions(tmp_path: Path) -> None:
    """A new one has those of any new file."""
    (tmp_path / "other").write_text("x")
    writer.whole(tmp_path / "new", "x")
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "other").stat().st_mode
    (tmp_path / "new").chmod(0o600)
    writer.whole(tmp_path / "new", "y")
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o600


def test_the_umask_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the whole process's: what another thread writes meanwhile would be anybody's to write."""
    monkeypatch.delattr(os, "umask")
    writer.whole(tmp_path / "new", "x")
    writer.whole(tmp_path / "new", "y")
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_the_environment_asks_for_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One for all clients of a process; a path that cannot be is heard of when a client is made."""
    monkeypatch.setenv("VIDPOLL_REPORT", str(tmp_path / "night.html"))
    reports = []
    for ref in ("acme:a", "acme:b"):
        t = talk([BROKEN], plugins=(vidpoll_report,))
        t.client.wait(ref, check=False)
        reports += [report for report in t.client.plugins if "vidpoll_ended" in report.hooks]
    assert len(reports) == 2
    assert len(Page(read(tmp_path / "night.html")).all("article")) == 2
    monkeypatch.setenv("VIDPOLL_REPORT", str(tmp_path / "no" / "night.html"))
    with (
        pytest.warns(RuntimeWarning, match="sends no notifications: UsageError: the page"),
        pytest.raises(vidpoll.PluginError),
    ):
        talk([DONE], plugins=(vidpoll_report,))


@pytest.mark.parametrize("path", ["", "no/such/folder/night.html"])
def test_a_page_that_cannot_be_there_is_refused_at_once(tmp_path: Path, path: str) -> None:
    """Before the night, not after it."""
    with pytest.raises(vidpoll.UsageError, match="cannot be written"):
        Report(tmp_path / path)


# -- out of a store ---------------------------------------------------------------------------------------------------


def test_the_report_of_a_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`vidpoll report`: what was submitted and came of it, with its files; the store is as it was."""
    monkeypatch.chdir(tmp_path)
    with simulate("magicoal", speed=100) as simulator:
        client = simulator.client(store="jobs.sqlite3")
        job = client.submit("magicoal", "t2v", prompt="a lighthouse at dusk", seed=7)
        other = client.submit("magicoal", "t2v", prompt="never waited for")
        client.download(client.wait(job), "clips", kinds=("video", "thumbnail"))
    assert main(["report", "jobs.sqlite3", "-o", "night.html", "--files", "clips", "--title", "A night"]) == 0
    assert capsys.readouterr().out == "night.html: 2 jobs\n"
    found = Page(read(tmp_path / "night.html"))
    for words in (
        "A night",
        "a lighthouse at dusk",
        "never waited for",
        "52 credits charged",
        "seed=7",
        "saving",
        "t2v",
    ):
        assert words in found.text
    assert [image["src"][:23] for image in found.all("img") if image["src"]] == ["data:image/jpeg;base64,"]
    links = [link["href"] for link in found.all("a") if (link["href"] or "").startswith("./clips/")]
    assert sorted({Path(link or "").suffix for link in links}) == [".jpg", ".mp4"]
    with vidpoll.Client(store="jobs.sqlite3", discover=False) as client:
        assert [kept.ref for kept in client.store.jobs()] == [job.ref, other.ref]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["none.sqlite3"], "STORE must be the store's file, got 'none.sqlite3'"),
        (["text"], "is not an SQLite file"),
        (["text", "-o", "no/such/x.html"], "cannot be written: its folder does not exist"),
        (["text", "--files", "nowhere"], "--files must be an existing folder, got 'nowhere'"),
        ([], "the following arguments are required: STORE"),
    ],
)
def test_wrong_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], argv: list[str], said: str
) -> None:
    """One line that says what is wrong, and nothing is made: no store, no page."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").write_text("x" * 5000)
    assert main(["report", *argv]) in (1, 2)
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert said in err
    assert [path.name for path in tmp_path.iterdir()] == ["text"]


def test_it_took_what_the_job_took() -> None:
    """One duration for one job: the provider's own if it is reported, not the times of vidpoll's polls."""
    job = vidpoll.Job("acme:1")
    job.receive(vidpoll.Snapshot(vidpoll.State.RUNNING, created_at=100.0), 101.0)
    done = vidpoll.Snapshot(vidpoll.State.COMPLETED, created_at=100.0, finished_at=104.0, assets_due=False)
    job.receive(done, 106.0)
    entry = Entry("acme:1")
    entry.take(job)
    assert (entry.took, job.took) == (4.0, 4.0)


def test_nothing_at_import() -> None:
    """No thread, no file: an installed report writes nothing until it is used."""
    code = (
        "import threading, vidpoll, vidpoll_report; c = vidpoll.Client(); "
        "print(threading.active_count(), [r.hooks for r in c.plugins if r.name == 'report'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.stderr) == ("1 [('vidpoll_commands', 'vidpoll_notifiers')]\n", "")
