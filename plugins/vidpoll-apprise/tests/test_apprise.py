"""vidpoll-apprise: the real Apprise against real sinks on loopback, for HTTP and for mail."""

from __future__ import annotations

import base64
import email
import email.policy
import gc
import json
import logging
import os
import re
import signal
import socketserver
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
import vidpoll_apprise
from acme_provider import BROKEN, DRAWING, QUEUED, REF, talk
from vidpoll_apprise import AppriseNotifier, message, service

import vidpoll

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
DONE = {"status": "done", "video": "https://cdn.example/j1.mp4?X-Signature=0123456789abcdef"}
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
SECRET = "tok3n-of-the-chat"
BOUND = 30.0
"""Seconds that a test waits for a message; it needs some tens of milliseconds."""


class Sink(ThreadingHTTPServer):
    """A service for json://: `heard` are the messages, `answers` the next statuses; without `go` it hangs."""

    daemon_threads = True

    def __init__(self) -> None:
        self.heard: list[dict[str, object]] = []
        self.paths: list[str] = []
        self.answers: list[int] = []
        self.go = threading.Event()
        self.go.set()
        super().__init__(("127.0.0.1", 0), Sunk)

    @property
    def url(self) -> str:
        return f"json://me:{SECRET}@127.0.0.1:{self.server_port}/{SECRET}/"

    @property
    def titles(self) -> list[object]:
        return [each["title"] for each in self.heard]


class Sunk(BaseHTTPRequestHandler):
    server: Sink

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.go.wait(BOUND)
        status = self.server.answers.pop(0) if self.server.answers else 200
        self.server.paths.append(self.path)
        if status == 200:
            self.server.heard.append(json.loads(body))
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        self.server.paths.append(self.path)

    def log_message(self, *_: object) -> None:
        return


class Mails(socketserver.ThreadingTCPServer):
    """A mail server without TLS: `heard` are the mails."""

    daemon_threads = True

    def __init__(self) -> None:
        self.heard: list[email.message.EmailMessage] = []
        super().__init__(("127.0.0.1", 0), Mailed)


class Mailed(socketserver.StreamRequestHandler):
    server: Mails

    def handle(self) -> None:
        self.wfile.write(b"220 sink\r\n")
        for line in self.rfile:
            word = line.split()[0].upper()
            if word == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                lines = list(iter(self.rfile.readline, b".\r\n"))
                mail = email.message_from_bytes(b"".join(lines), policy=email.policy.default)
                self.server.heard.append(mail)  # type: ignore[arg-type]
            self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 ok\r\n")
            if word == b"QUIT":
                return


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink() as server:
        yield from serving(server)


@pytest.fixture
def mails() -> Iterator[Mails]:
    with Mails() as server:
        yield from serving(server)


def serving(server):
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """No test waits for the next try, nor for what may belong to a first message."""
    vidpoll_apprise._shared.cache_clear()
    monkeypatch.setattr(service, "DELAYS", (0.05, 0.05))
    monkeypatch.setattr(vidpoll.notify, "GATHER", 0.2)
    yield
    vidpoll_apprise._shared.cache_clear()


def wait(notifier: AppriseNotifier, script, *refs: str, flush: bool = True) -> None:
    """Wait for jobs with this notifier, until what they gave has been sent."""
    list(talk(script, plugins=(notifier,)).client.as_completed(refs or (REF,)))
    if flush:
        notifier.flush(BOUND)


def test_completed_and_failed(sink):
    """The default: one message for each verdict, none for the steps before; the type separates good from bad."""
    notifier = AppriseNotifier(sink.url, every=0.0)
    wait(notifier, [QUEUED, DRAWING, DONE])
    wait(notifier, [DRAWING, {"status": "broken", "error": "out of paint"}], "acme:j2")
    said = [(each["title"], each["message"], each["type"], each["attachments"]) for each in sink.heard]
    assert said == [
        ("acme:j1 completed", "acme:j1 completed: video", "success", []),
        ("acme:j2 failed", "acme:j2 failed: out of paint", "failure", []),
    ]


def of_batch(states: dict[str, int]) -> vidpoll.BatchStatus:
    return vidpoll.BatchStatus("night", 2, states, {}, (), {}, {}, at=1_800_000_000.0)


def row(notifier: AppriseNotifier) -> None:
    """A job of a batch fails."""
    job = vidpoll.Job(REF, key="batch:night/r1/1")
    notifier.hear(job, vidpoll.Failed(REF, 1_800_000_000.0, vidpoll.State.FAILED))


STOP = vidpoll.Stopped("acme", "money", "", "vidpoll batch night.csv")
STOPPED = "stopped: money at acme; 1 of 2 done; go on with: vidpoll batch night.csv"


def test_of_a_batch_the_stops_and_the_end_are_told(sink):
    """By default; no row is. All there is good news."""
    notifier = AppriseNotifier(sink.url, every=0.0)
    row(notifier)
    notifier.vidpoll_batch_stopped(of_batch({"completed": 1}), STOP, STOPPED)
    for done in (1, 2):
        assert notifier.flush(BOUND)
        notifier.vidpoll_batch_ended(of_batch({"completed": done}), f"night: {done} of 2 done")
    assert notifier.flush(BOUND)
    assert [(each["title"], each["message"], each["type"]) for each in sink.heard] == [
        ("batch:night stopped (1 of 2 done)", STOPPED, "warning"),
        ("batch:night ended (1 of 2 done)", "batch night: 1 of 2 done", "warning"),
        ("batch:night ended (2 of 2 done)", "batch night: 2 of 2 done", "success"),
    ]


def test_a_row_is_told_where_it_is_asked_for(sink):
    """And then nothing else."""
    notifier = AppriseNotifier(sink.url, on=["failed"], every=0.0)
    row(notifier)
    notifier.vidpoll_batch_ended(of_batch({"completed": 2}), "night: 2 of 2 done")
    assert notifier.flush(BOUND)
    assert sink.titles == [f"{REF} failed"]


def test_what_else_is_wanted(sink):
    """`on` chooses; giving up is no failure."""
    notifier = AppriseNotifier(sink.url, on=["stage_changed", "gave_up", "stalled"], every=0.0)
    wait(notifier, [(401, {}, b"")])
    wait(notifier, [DRAWING] * 8 + [DONE], "acme:j2")
    assert sink.titles[0] == "acme:j1 gave up"
    assert sink.heard[0]["type"] == "warning"
    lines = [line for heard in sink.heard[1:] for line in str(heard["message"]).split("\n")]  # of one message, or two
    assert [" ".join(line.split(":")[:2]) for line in lines] == ["acme j2 running drawing", "acme j2 stalled"]


def test_many_make_one_message(sink):
    """Jobs that end together are sent together: the tally as the title, one line each, at most 30 lines."""
    notifier = AppriseNotifier(sink.url, every=30.0)
    script = {f"/{number}": [DRAWING, BROKEN if number == 7 else DONE] for number in range(10, 50)}
    script["/17"] = [DRAWING, BROKEN]
    wait(notifier, script, *(f"acme:{number}" for number in range(10, 50)))
    (heard,) = sink.heard
    assert heard["title"] == "39 of 40 done, 1 failed"
    lines = str(heard["message"]).split("\n")
    assert {"acme:10 completed: video", "acme:11 completed: video"} & set(lines)
    assert "acme:17 failed: out of paint" in lines
    assert lines[29:] == ["… and 11 more"]
    assert heard["type"] == "failure"


def test_at_most_one_message_in_its_time(sink, monkeypatch):
    """A second one waits for its time, and takes along what comes until then; a flush waits for nothing."""
    notifier = AppriseNotifier(sink.url, every=600.0)
    wait(notifier, [DONE], "acme:1")
    wait(notifier, [DONE], "acme:2", flush=False)
    wait(notifier, [DONE], "acme:3", flush=False)
    time.sleep(0.5)
    assert sink.titles == ["acme:1 completed"]
    assert notifier.flush(BOUND)
    assert sink.titles == ["acme:1 completed", "2 events"]


@pytest.mark.parametrize(
    ("script", "last"),
    [
        ({"/1": [DRAWING, DONE], "/2": [DRAWING, BROKEN]}, "1 of 2 done, 1 failed"),
        ({"/1": [DRAWING, DONE]}, ""),
        ({"/1": [DRAWING, DRAWING, DONE], "/2": [(401, {}, b"")]}, "1 of 2 done, 1 unknown"),
    ],
)
def test_the_tally(script, last):
    """Counts the jobs that were heard of; one job alone needs none, and a new lot begins at nought."""
    tally = message.Tally()
    for _ in range(2):
        t = talk({part: list(answers) for part, answers in script.items()})
        list(t.client.as_completed([f"acme:{part[1:]}" for part in script]))
        said = [tally.count(event) for hook, _, event in t.ears.heard if hook != "polled"]
        assert said[-1] == last
    assert tally.count(vidpoll.Downloaded("acme:1", 0.0, "video", Path("a.mp4"), 7)) == ""
    assert tally.count(vidpoll.Completed("acme:9", 0.0)) == ""


def test_templates(sink):
    """`line` and `title` are the user's; a field that there is not is refused with those that there are."""
    notifier = AppriseNotifier(sink.url, line="{state}|{video}|{problem}|{ref}", title="Clips: {title}", every=0.0)
    wait(notifier, [DONE])
    wait(notifier, [{"status": "broken", "error": "{ref} {secret}"}], "acme:j2")
    assert [(each["title"], each["message"]) for each in sink.heard] == [
        ("Clips: acme:j1 completed", "|https://cdn.example/j1.mp4||acme:j1"),
        ("Clips: acme:j2 failed", "failed||{ref} {secret}|acme:j2"),
    ]
    for wrong in ("{prompt}", "{ref", "{ref.__class__.x}", "{0}"):
        with pytest.raises(
            vidpoll.UsageError, match=r"the template .* cannot be used .*: the fields are {at}, {cost}, {event}"
        ):
            AppriseNotifier(sink.url, line=wrong)


def seen(notifier: AppriseNotifier, cover: str, *answers: object):
    """What was sent, where the thumbnail's URL is answered so."""
    t = talk({"/jobs/": [{**DONE, "cover": cover}], "": [*answers] or [(404, {}, b"")]}, plugins=(notifier,))
    t.client.wait(REF)
    assert notifier.flush(BOUND)
    return t.wire.sent[1:]


@pytest.mark.parametrize("cover", ["https://cdn.example/cover.png?sig=0123", "/relative.png"])
def test_a_thumbnail_is_attached(cover, sink):
    """A message about one job has its thumbnail's bytes, fetched by the client's transport; Apprise sees no URL."""
    (wire,) = seen(AppriseNotifier(sink.url, every=0.0), cover, PNG)
    (attached,) = sink.heard[0]["attachments"]  # type: ignore[misc]
    assert (base64.b64decode(attached["base64"]), attached["mimetype"]) == (PNG, "image/png")  # type: ignore[index]
    assert (wire.max_body, dict(wire.headers)) == (5_000_000, {"Accept": "image/*"})
    assert wire.url == cover if "?" in cover else wire.url == "https://api.acme.example:443/relative.png"
    seen(AppriseNotifier(sink.url, every=0.0, attach=False), cover, PNG)
    assert sink.heard[1]["attachments"] == []


@pytest.mark.parametrize(
    ("cover", "answer", "asked"),
    [
        ("https://cdn.example/cover.png", (404, {}, b""), 1),
        ("https://cdn.example/cover.png", (200, {}, b"AWS_SECRET=abc"), 1),
        ("https://cdn.example/cover.png", (200, {"content-type": "image/png"}, b"<html>"), 1),
        ("https://cdn.example/cover.png", PNG + b"x" * 5_000_000, 1),
        ("https://cdn.example/cover.png", RuntimeError("broken"), 1),
        ("http://127.0.0.1:1/latest/meta-data?verify=no&+X-Forged=1", PNG, 0),
        ("http://169.254.169.254/latest/meta-data", PNG, 0),
        ("file:///etc/passwd", PNG, 0),
    ],
)
def test_a_thumbnail_that_is_not_sent(cover, answer, asked, sink):
    """One that cannot be had, is no image, or has an address of this network; it costs no message."""
    assert len(seen(AppriseNotifier(sink.url, every=0.0), cover, answer)) == asked
    assert [(each["title"], each["attachments"]) for each in sink.heard] == [("acme:j1 completed", [])]


def test_no_url_of_a_provider_comes_to_apprise(sink):
    """An event that belongs to no client of this process has no picture, whatever its URL says."""
    here = f"http://127.0.0.1:{sink.server_port}/cover.png?verify=no&+X-Forged=1"
    notifier = AppriseNotifier(sink.url, every=0.0)
    notifier.hear(vidpoll.Job(REF), vidpoll.Completed(REF, 0.0, (vidpoll.Asset(here, "thumbnail"),)))
    assert notifier.flush(BOUND)
    assert sink.paths == [f"/{SECRET}/"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("@everyone and x@here", "\uff20everyone and x\uff20here"),
        ("<!channel> <@123> <@&4> <#C1>", "\u2039!channel> \u2039\uff20123> \u2039\uff20&4> \u2039#C1>"),
        ("<http://evil.example|log in>", "\u2039http://evil.example|log in>"),
        ("[log in](http://evil.example)", "[log in] (http://evil.example)"),
        ("@somebody: ask me@example.com", "\uff20somebody: ask me@example.com"),
        ("a < b, <b>bold</b>, 1 @ 2", "a < b, <b>bold</b>, 1 @ 2"),
    ],
)
def test_a_provider_pings_nobody(text, told, sink):
    """Its text is text in a chat: no mention, no link that hides its address. A template may mention whom it likes."""
    notifier = AppriseNotifier(sink.url, line="@everyone {problem}", every=0.0)
    wait(notifier, [{"status": "broken", "error": text}])
    assert sink.heard[0]["message"] == f"@everyone {told}"


@pytest.mark.parametrize("url", ["discord://123456789012345678/" + "a" * 68, "slack://T1JJ3T3L2/A1BRTD4JD/" + "a" * 24])
def test_what_comes_to_a_chat(url, monkeypatch):
    """Apprise makes the body; nothing in it is a mention."""
    sent: list[str] = []

    def request(session, method, url, *, data=None, **_):
        sent.append(str(data))
        raise requests.ConnectionError

    monkeypatch.setattr(requests.Session, "request", request)
    notifier = AppriseNotifier(url, every=0.0)
    text = "@everyone <!channel> <@1234567890> [log in](http://evil.example/login)"
    with pytest.warns(RuntimeWarning, match="NotSent"):
        wait(notifier, [{"status": "broken", "error": text}])
    assert "evil.example" in sent[0]
    assert re.findall(r"@everyone|<!channel|<@|\]\(", "".join(sent)) == []


def test_a_mail(mails):
    """mailto:// to a server on loopback; the text is text, whatever a provider puts into it."""
    url = f"mailto://127.0.0.1:{mails.server_address[1]}?from=vidpoll@example.com&to=me@example.com&mode=insecure"
    wait(AppriseNotifier(url, every=0.0), [{"status": "broken", "error": "<b>out</b> of\r\nSubject: paint"}])
    (mail,) = mails.heard
    assert mail["subject"] == "acme:j1 failed"
    assert "me@example.com" in mail["to"]
    assert mail.get_content_type() == "text/plain"
    assert mail.get_content().strip() == "acme:j1 failed: <b>out</b> of Subject: paint"
    wait(AppriseNotifier(f"{url}&format=html", every=0.0), [{"status": "broken", "error": "<b>out</b>"}])
    assert "&lt;b&gt;out&lt;/b&gt;" in mails.heard[1].as_string()


def test_it_is_tried_again(sink):
    """A service that refuses a message gets it again; the others do not get it twice."""
    with Sink() as second:
        other = serving(second)
        next(other)
        sink.answers = [500, 503]
        wait(AppriseNotifier([sink.url, second.url], every=0.0), [DONE], flush=False)
        until(lambda: sink.heard and second.heard)
        assert (len(sink.paths), len(second.paths)) == (3, 1)
        next(other, None)


def until(true, bound: float = BOUND) -> None:
    end = time.monotonic() + bound
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_what_could_not_be_sent_goes_along_with_the_next(sink, caplog):
    """After the last try it is warned of, and kept."""
    notifier = AppriseNotifier(sink.url, every=0.0)
    sink.answers = [500] * 3
    with pytest.warns(
        RuntimeWarning, match=r"vidpoll-apprise 1 \(json\) raised NotSent: 1 event could not be sent:.*500"
    ):
        wait_and_settle(notifier, sink)
    assert sink.heard == []
    wait(notifier, [DONE], "acme:j2")
    assert str(sink.heard[0]["message"]).split("\n") == ["acme:j1 completed: video", "acme:j2 completed: video"]


def test_a_flush_makes_one_last_try(sink, monkeypatch):
    """It waits for no delay, and asks a service that is down once more, not four times."""
    monkeypatch.setattr(service, "DELAYS", (600.0,) * 4)
    notifier = AppriseNotifier(sink.url, every=0.0)
    sink.answers = [500] * 9
    wait(notifier, [DONE], flush=False)
    until(lambda: len(sink.paths) == 1)
    with pytest.warns(RuntimeWarning, match="NotSent"):
        assert notifier.flush(BOUND)
    assert len(sink.paths) == 2


def test_a_flush_is_for_all_services_at_once(sink):
    """One that hangs takes no time from the others."""
    with Sink() as hangs:
        other = serving(hangs)
        next(other)
        notifier = AppriseNotifier([hangs.url, sink.url], every=600.0)
        wait(notifier, [DONE])
        hangs.go.clear()
        wait(notifier, [DONE], "acme:j2", flush=False)
        assert not notifier.flush(0.2)
        until(lambda: sink.titles == ["acme:j1 completed", "acme:j2 completed"])
        hangs.go.set()
        assert notifier.flush(BOUND)
        next(other, None)


def wait_and_settle(notifier: AppriseNotifier, sink: Sink) -> None:
    wait(notifier, [DONE], flush=False)
    until(lambda: len(sink.paths) == 3 and not notifier._services[0].outbox._running)


def test_a_slow_service_holds_neither_the_wait_nor_the_others(sink):
    """Its messages wait for it alone; a flush keeps its bound."""
    with Sink() as slow:
        slow.go.clear()
        other = serving(slow)
        next(other)
        notifier = AppriseNotifier([slow.url, sink.url], every=0.0)
        wait(notifier, [DONE], flush=False)
        until(lambda: sink.heard)
        assert not notifier.flush(0.1)
        assert slow.heard == []
        slow.go.set()
        assert notifier.flush(BOUND)
        next(other, None)


@pytest.mark.parametrize("failing", [ConnectionError(f"no way to {SECRET}"), SystemExit(3), KeyboardInterrupt()])
def test_a_service_that_raises_is_reported_without_its_words(failing, sink, monkeypatch, recwarn):
    """Whatever it is: its message may hold the URL. The wait and the process go on."""
    notifier = AppriseNotifier(sink.url, every=0.0)

    def fail(**_: object) -> None:
        raise failing

    monkeypatch.setattr(notifier._services[0]._apprise, "notify", fail)
    job = talk([DONE], plugins=(notifier,)).client.wait(REF)
    assert notifier.flush(BOUND)
    assert job.ok
    said = [str(warning.message) for warning in recwarn]
    assert len(said) == 1
    assert type(failing).__name__ in said[0]
    assert SECRET not in said[0]


def test_no_secret_of_a_url_is_seen(sink, caplog, recwarn):
    """Not in a log at its most talkative, nor in a warning, a repr, a message, or the spool."""
    caplog.set_level(1)
    logging.getLogger("apprise").setLevel(1)
    gone = sink.url.replace(str(sink.server_port), "1")
    notifier = AppriseNotifier([sink.url, gone], every=0.0)
    cover = "https://cdn.example/cover.png?sig=0123456789abcdef"
    seen(notifier, cover, PNG)
    sink.answers = [403] * 5
    wait(notifier, [DONE], "acme:j2")
    logging.getLogger("apprise").warning("by somebody else: %s", sink.url)
    told = caplog.text + "".join(str(each.message) for each in recwarn) + repr(notifier) + str(vars(notifier))
    assert "by somebody else: json://…" in told
    assert "NotSent" in told
    assert re.findall(f"{SECRET}|0123456789abcdef", told + json.dumps(sink.heard)) == []


@pytest.mark.parametrize(
    ("urls", "said"),
    [
        (f"discrod://{SECRET}/x", r"Apprise refuses URL 1 \(discrod\)"),
        (f"json://localhost https://hooks.example/{SECRET}", r"Apprise refuses URL 2 \(https\)"),
        (f"json://localhost, {SECRET}", r"Apprise refuses URL 2 \(no URL\)|Apprise refuses"),
        ("", r"Apprise refuses URL 1 \(no URL\)"),
    ],
)
def test_a_wrong_url_is_refused_at_once_and_not_shown(urls, said, caplog):
    """When the notifier is made, by its place in the list."""
    with pytest.raises(vidpoll.UsageError, match=said) as refused:
        AppriseNotifier(urls)
    assert SECRET not in str(refused.value) + caplog.text


def test_the_environment(sink, monkeypatch, tmp_path):
    """Silent until `VIDPOLL_APPRISE_URLS` is set; one notifier for all clients; apprise is not imported before."""
    code = "import sys, vidpoll; vidpoll.Client(); print('vidpoll_apprise' in sys.modules, 'apprise' in sys.modules)"
    bare = {name: value for name, value in os.environ.items() if not name.startswith("VIDPOLL_")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=bare, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "True False\n"
    monkeypatch.setenv("VIDPOLL_APPRISE_URLS", sink.url)
    monkeypatch.setenv("VIDPOLL_APPRISE_ON", "failed, gave_up")
    monkeypatch.setenv("VIDPOLL_APPRISE_LINE", "{ref}!")
    monkeypatch.setenv("VIDPOLL_APPRISE_SPOOL", str(tmp_path / "spool"))
    report = next(report for report in vidpoll.Client().plugins if report.name == "apprise")
    assert ("vidpoll_failed" in report.hooks, report.problem) == (True, None)
    for ref in ("acme:1", "acme:2"):
        talk([DONE if ref == "acme:1" else BROKEN], plugins=(vidpoll_apprise,)).client.wait(ref, check=False)
    (notifier,) = vidpoll_apprise.vidpoll_notifiers(os.environ)
    assert notifier.flush(BOUND)  # type: ignore[attr-defined]
    assert [each["message"] for each in sink.heard] == ["acme:2!"]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("URLS", f"discrod://{SECRET}", r"UsageError: Apprise refuses URL 1 \(discrod\)"),
        ("ON", "complete", "UsageError: on must be a list of events, of stage_changed, .* got 'complete'"),
        ("EVERY", "often", "UsageError: VIDPOLL_APPRISE_EVERY must be seconds, like 30, got 'often'"),
        ("LINE", "{prompt}", "UsageError: the template '{prompt}' cannot be used .'prompt'.: the fields are "),
        ("SPOOL", __file__, "UsageError: the spool .* cannot be made"),
    ],
)
def test_a_wrong_setting_is_heard_of_at_once(name, value, said, monkeypatch):
    """When the client is made; the client works without it."""
    monkeypatch.setenv("VIDPOLL_APPRISE_URLS", "json://localhost")
    monkeypatch.setenv(f"VIDPOLL_APPRISE_{name}", value)
    with pytest.warns(RuntimeWarning, match=f"plugin apprise sends no notifications: {said}"):
        client = vidpoll.Client()
    assert "magicoal" in client.providers


# -- the spool --------------------------------------------------------------------------------------------------------


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def rows(folder: Path) -> list[dict[str, object]]:
    """The messages in a spool, read as soon as no process holds it."""
    found: list[dict[str, object]] = []
    for path in folder.glob("*.sqlite3"):
        db = sqlite3.connect(path)
        found += [json.loads(body) for (body,) in db.execute("SELECT body FROM messages ORDER BY key")]
        db.close()
    return found


CRASH = """
import os, signal, sys
import acme_provider as acme, vidpoll_apprise
notifier = vidpoll_apprise.AppriseNotifier(sys.argv[1], spool=sys.argv[2])
class Killer:
    @__import__("vidpoll").hookimpl(trylast=True)
    def vidpoll_completed(self):
        os.kill(os.getpid(), signal.SIGKILL)
acme.talk([acme.DRAWING, acme.DONE], plugins=(Killer(), notifier)).client.wait("acme:crash")
"""


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A process of its own that finds what this one finds."""
    tests = str(Path(sys.modules["acme_provider"].__file__ or "").parent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([tests, *sys.path])}
    command = [sys.executable, "-c", textwrap.dedent(code), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.skipif(os.name == "nt", reason="kill -9")
def test_a_verdict_survives_kill_9(sink, tmp_path):
    """It is on disk when its hook returns; the next notifier sends it, once, and the folder is empty."""
    assert run(CRASH, sink.url, str(tmp_path)).returncode == -signal.SIGKILL
    assert sink.heard == []
    assert [each["said"]["ref"] for each in rows(tmp_path)] == ["acme:crash"]  # type: ignore[index]
    assert AppriseNotifier(sink.url, spool=tmp_path).flush(BOUND)
    assert AppriseNotifier(sink.url, spool=tmp_path).flush(BOUND)
    assert sink.titles == ["acme:crash completed"]
    assert files(tmp_path) == []


def test_two_services_that_end_together_leave_nothing(tmp_path):
    """The one that notes last that it was not the last one makes no new file."""
    spool = vidpoll_apprise.Spool(tmp_path)
    said = message.Message({"text": "x"})
    spool.add(said)
    spool.told(said, done=True)
    spool.told(said, done=False)
    assert files(tmp_path) == []


def test_what_was_taken_over_is_safe_too(sink, tmp_path):
    """It is in the new owner's file before the old file is deleted, until it has been sent."""
    for ref in ("acme:1", None):  # one that fails to tell, and one that takes over and fails as well
        notifier = AppriseNotifier("json://127.0.0.1:1/", spool=tmp_path, every=0.0)
        with pytest.warns(RuntimeWarning, match="NotSent"):
            wait(notifier, [DONE], ref) if ref else notifier.flush(BOUND)
        del notifier
        gc.collect()
    assert [each["said"]["ref"] for each in rows(tmp_path)] == ["acme:1"]  # type: ignore[index]
    assert AppriseNotifier(sink.url, spool=tmp_path).flush(BOUND)
    assert sink.titles == ["acme:1 completed"]


def test_what_is_sent_leaves_the_spool(sink, tmp_path):
    """And events that are no verdict never come into it."""
    notifier = AppriseNotifier(sink.url, on=["completed", "stage_changed"], spool=tmp_path, every=0.0)
    wait(notifier, [DRAWING, DONE])
    assert len(sink.heard) == 2
    assert files(tmp_path) == []


def test_what_a_process_owes_is_its_own(sink, tmp_path):
    """While its process lives, no other process sends the messages; the file contains no secret."""
    sink.answers = [500] * 3
    first = AppriseNotifier(sink.url, spool=tmp_path, every=0.0)
    cover = f"http://127.0.0.1:{sink.server_port}/cover.png?sig=0123456789abcdef"
    with pytest.warns(RuntimeWarning, match="NotSent"):
        wait(first, [{**DONE, "cover": cover}])
    assert AppriseNotifier(sink.url, spool=tmp_path).flush(BOUND)
    code = "import sys, vidpoll_apprise; vidpoll_apprise.AppriseNotifier(sys.argv[1], spool=sys.argv[2])"
    assert run(code, sink.url, str(tmp_path)).stderr == ""
    assert sink.heard == []
    assert len(files(tmp_path)) == 2  # a database and its log
    assert not re.search(f"{SECRET}|0123456789abcdef".encode(), b"".join(path.read_bytes() for path in files(tmp_path)))
    del first
    gc.collect()
    assert AppriseNotifier(sink.url, spool=tmp_path).flush(BOUND)
    assert sink.titles == ["acme:j1 completed"]


def test_who_has_been_told_is_not_told_again(sink, tmp_path):
    """After a crash between the first and the second service, the next start sends only to the second."""
    gone = "json://127.0.0.1:1/"
    first = AppriseNotifier([sink.url, gone], spool=tmp_path, every=0.0)
    with pytest.warns(RuntimeWarning, match="NotSent"):
        wait(first, [DONE])
    assert len(sink.heard) == 1
    del first
    gc.collect()
    with Sink() as second:
        other = serving(second)
        next(other)
        assert AppriseNotifier([sink.url, second.url], spool=tmp_path).flush(BOUND)
        assert (len(sink.heard), len(second.heard)) == (1, 1)
        next(other, None)
    assert files(tmp_path) == []


@pytest.mark.skipif(os.name == "nt", reason="modes of POSIX")
def test_a_spool_is_its_owners(tmp_path):
    """Only the user may read the messages."""
    AppriseNotifier("json://localhost", spool=tmp_path / "a" / "spool")
    assert (tmp_path / "a" / "spool").stat().st_mode & 0o077 == 0
    there = tmp_path / "there"
    there.mkdir(mode=0o755)
    vidpoll_apprise.Spool(there).add(message.Message({"text": "x"}))
    kept = vidpoll_apprise.Spool(there)
    kept.add(message.Message({"text": "x"}))
    assert {path.stat().st_mode & 0o777 for path in files(there)} == {0o600}
    assert len(files(there)) >= 2


def test_old_news_and_broken_files(sink, tmp_path, caplog, monkeypatch):
    """A message older than a week is not sent; a file that is not a spool is named in the log and left alone."""
    (tmp_path / "broken.sqlite3").write_bytes(b"no database" * 1000)
    (tmp_path / "empty.sqlite3").touch()
    now, gone = time.time(), "json://127.0.0.1:1/"
    with pytest.warns(RuntimeWarning, match="NotSent"):
        wait(AppriseNotifier(gone, spool=tmp_path, every=0.0), [DONE])
    gc.collect()
    monkeypatch.setattr(vidpoll_apprise.spool.time, "time", lambda: now + 6 * 86400)
    with pytest.warns(RuntimeWarning, match="NotSent"):  # taken over, it is as old as it was
        AppriseNotifier(gone, spool=tmp_path, every=0.0).flush(BOUND)
    gc.collect()
    monkeypatch.setattr(vidpoll_apprise.spool.time, "time", lambda: now + 8 * 86400)
    assert AppriseNotifier(sink.url, spool=tmp_path).flush(BOUND)
    assert sink.heard == []
    assert "too old to be sent: acme:j1 completed" in caplog.text
    assert "broken.sqlite3 cannot be read" in caplog.text
    assert [path.name for path in files(tmp_path)] == ["broken.sqlite3"]


def test_a_spool_on_a_full_disk_costs_no_message(sink, tmp_path, monkeypatch):
    """It is reported, and the message goes out all the same."""
    notifier = AppriseNotifier(sink.url, spool=tmp_path, every=0.0)

    def full(message: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(notifier._spool, "add", full)
    with pytest.warns(RuntimeWarning, match="vidpoll_completed raised OperationalError: database or disk is full"):
        wait(notifier, [DONE])
    assert sink.titles == ["acme:j1 completed"]


END = """
import sys
import acme_provider as acme, vidpoll_apprise
notifier = vidpoll_apprise.AppriseNotifier(sys.argv[1], spool=sys.argv[2], every=600.0, at_exit=float(sys.argv[3]))
for ref in ("acme:1", "acme:2"):
    acme.talk([acme.DONE], plugins=(notifier,)).client.wait(ref)
"""


def test_the_end_of_the_process(sink, tmp_path):
    """What waits is sent at once, and leaves the spool; nothing is printed."""
    done = run(END, f"{sink.url} {sink.url}2", str(tmp_path), "10")
    assert (done.returncode, done.stderr) == (0, "")
    assert sink.titles == ["2 events"] * 2
    assert files(tmp_path) == []


def test_the_end_of_the_process_is_bounded(sink, tmp_path):
    """A service that hangs holds it for `at_exit` seconds, all services together; what is left is said, and spooled."""
    sink.go.clear()
    begun = time.monotonic()
    done = run(END, f"{sink.url} {sink.url}2", str(tmp_path), "0.3")
    assert time.monotonic() - begun < BOUND / 2
    assert done.returncode == 0
    assert done.stderr.count("the process ends, and 2 events have not been delivered") == 2
    assert SECRET not in done.stderr
    sink.go.set()
    assert AppriseNotifier(sink.url, spool=tmp_path).flush(BOUND)
    assert "2 events" in sink.titles


def test_readme(sink, monkeypatch, tmp_path, vidpoll_simulator):
    """Its script runs, against the simulator and the sink; its tables name every variable and every field."""
    (block,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    job_id = vidpoll_simulator.seed_job("magicoal", "i2v", age=3600.0)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(vidpoll, "Client", vidpoll_simulator.client)
    block = block.replace("3f8a2d1b-4c9e-4b7f-8d2a-1f3c5e7a9b0d", job_id).replace("discord://ID/TOKEN", sink.url)
    space: dict[str, AppriseNotifier] = {}
    exec(compile(block, "README.md", "exec"), space)
    assert space["chat"].flush(BOUND)
    assert sink.titles == [f"magicoal:{job_id} completed"]
    for name in ("URLS", "ON", "SPOOL", "EVERY", "LINE", "TITLE"):
        assert f"| `VIDPOLL_APPRISE_{name}` |" in README
    assert re.findall(r"`{(\w+)}`", README.split("VIDPOLL_APPRISE_LINE` |")[1].split("\n")[0]) == [*message.LINE_FIELDS]
