"""What is fuzzed: each target is a function of bytes that raises nothing, but for what its readers may raise.

Whoever calls vidpoll meets typed errors alone. A target swallows those of its reader and asserts what must hold of
whatever came; every other exception that leaves it is a finding.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from queue import Queue
from typing import Any, NamedTuple

import urllib3.util.connection

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from acme_provider import ACME, DONE, MP4, QUEUED, REF, talk
from fuzz_inputs import WORDS, Seed

import vidpoll
from vidpoll import faults, model, parsing, redact
from vidpoll.clock import SystemClock
from vidpoll.downloads import ranges
from vidpoll.downloads.body_reader import BodyReader, RangeMismatch
from vidpoll.downloads.part_file import PartFile
from vidpoll.faults import NoAnswer
from vidpoll.net.accounts import Account, OpenAccount, WireRequest
from vidpoll.net.transport import RequestsTransport
from vidpoll.net.workers import Ticket
from vidpoll.plugins import Plugins
from vidpoll.polling.call import Call, pushed, receive_pushed
from vidpoll.polling.transcript import exchange
from vidpoll.storage import records

NOW = 1_800_000_000.0
STATUSES = (200, 200, 200, 202, 204, 302, 400, 401, 404, 410, 429, 500)
SECRET = "acme-sekret-0123456789"
FORBIDDEN = {chr(code) for code in range(32)} | {"\x7f", "\x85", "\x9b"}


class Target(NamedTuple):
    """A function of bytes, and what it is fed with at first."""

    call: Callable[[bytes], None]
    seeds: Sequence[Seed]


def _shown(text: str, most: int = redact.MAX_TEXT) -> None:
    """What must hold of whatever is shown."""
    assert not FORBIDDEN.intersection(text), f"not safe to print: {text!r}"
    assert len(text) <= most, f"{len(text)} characters are shown"


def _text(raw: bytes) -> str:
    return (
        raw.decode("utf-8", "surrogatepass" if b"\xed" in raw else "replace")
        if _is_text(raw)
        else raw.decode("latin-1")
    )


def _is_text(raw: bytes) -> bool:
    try:
        raw.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return False
    return True


def _headers(text: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in text.split("\n"))
    return {name: value.strip(" \t\r") for name, _, value in pairs if name}


# -- parsers ----------------------------------------------------------------------------------------------------------

PROVIDERS = [ACME, *Plugins().providers.values()]
ACCOUNTS = [OpenAccount(each.name, Account(each.name, key=None), each, {}) for each in PROVIDERS]


def _samples(provider: vidpoll.Provider) -> Path:
    """The folder of the samples of a provider of ours; one that is not there for any other."""
    module = sys.modules.get(f"vidpoll_providers.{provider.name}")
    return Path("-") if module is None else Path(module.__file__ or "").parent / "samples" / provider.name


def _job_id(provider: vidpoll.Provider) -> str:
    """An id that the builders take: with any other one no parser is ever called."""
    index = _samples(provider) / "index.json"
    told = str(json.loads(index.read_bytes()).get("id", "")) if index.is_file() else ""
    for job_id in ("j1", told):
        with contextlib.suppress(vidpoll.UsageError):
            provider.status.request(job_id)
            return job_id
    return "j1"


IDS = {each.name: _job_id(each) for each in PROVIDERS}


def parsers(data: bytes) -> None:
    """Each parser of each provider that is installed, through the question that the loop asks, and a pushed body."""
    account = ACCOUNTS[data[0] % len(ACCOUNTS)]
    job_id = IDS[account.name]
    operations = list(account.provider.operations().values())
    response = vidpoll.Response(STATUSES[data[2] % len(STATUSES)], {"content-type": "application/json"}, data[3:])
    call: Call[Any] = Call(
        account, operations[data[1] % len(operations)], vidpoll.Request("GET", "/x"), IDS[account.name]
    )
    value: object = None
    try:
        value = call.take(response, NOW)
        while call.pending:
            value = call.take(response, NOW)
    except vidpoll.AnswerError as error:
        _shown(str(error), 3000)
    if isinstance(value, faults.Fault):
        assert account.provider is ACME or "parser raised" not in value.reason, value.reason
        _shown(value.reason, 600)
    if isinstance(value, vidpoll.Snapshot):
        _received(value)
    problem = account.provider.error(response)
    _shown(problem.message)
    _shown(problem.code or "", 100)
    job = vidpoll.Job(f"{account.name}:{job_id}")
    with contextlib.suppress(vidpoll.VidpollError):
        said = pushed(account, job, data[3:], NOW)
        if said is not None:
            receive_pushed(job, said, NOW)


def _received(snapshot: vidpoll.Snapshot) -> None:
    """A job takes it in, and a store gives it back."""
    job = vidpoll.Job(REF)
    with contextlib.suppress(vidpoll.AnswerError):
        for event in job.receive(snapshot, NOW):
            _shown(str(event), 1500)
    kept = json.loads(json.dumps(records.facts(job)))
    _shown(repr(records.KeptJob(REF, records.Origin("acme"), facts=kept).job), 3000)
    assert records.read(REF, kept).phase is job.known.phase


def _parser_seeds() -> list[Seed]:
    bodies = [DONE, QUEUED, {"id": "j1", "rows": [{"id": "a", "status": "queued"}], "next": "2"}, {"credits": 5}]
    found = [Seed(bytes([0, n, 0]), json.dumps(body).encode()) for n in range(8) for body in bodies]
    for number, provider in enumerate(PROVIDERS):
        for path in sorted(_samples(provider).glob("*.json")):
            raw = path.read_bytes()
            operations = range(len(provider.operations())) if path.name != "index.json" and len(raw) < 8000 else ()
            found += [Seed(bytes([number, each, 0]), raw) for each in operations]
    return found


# -- heads and chunks -------------------------------------------------------------------------------------------------


class _Wire:
    """A connected socket in memory: what is sent to it is dropped, what it answers is there already."""

    answer = b""
    _null = os.open(os.devnull, os.O_RDONLY)

    def settimeout(self, seconds: float | None) -> None:
        pass

    def sendall(self, data: bytes) -> None:
        pass

    def shutdown(self, how: int) -> None:
        pass

    def close(self) -> None:
        pass

    def fileno(self) -> int:
        return self._null

    def getpeername(self) -> tuple[str, int]:
        return "127.0.0.1", 1

    getsockname = getpeername

    def makefile(self, *_: Any, **__: Any) -> io.BytesIO:
        return io.BytesIO(self.answer)


@contextlib.contextmanager
def _in_memory(answer: bytes) -> Any:
    """Connections of urllib3 lead nowhere, and are answered all the same."""
    wire, real = _Wire(), urllib3.util.connection.create_connection
    wire.answer = answer
    urllib3.util.connection.create_connection = lambda *_, **__: wire  # type: ignore[assignment]
    try:
        yield
    finally:
        urllib3.util.connection.create_connection = real


METHODS = ("GET", "GET", "GET", "HEAD", "POST", "DELETE")
TRANSPORT = RequestsTransport()


def heads(data: bytes) -> None:
    """An answer as bytes on the wire, through the whole transport, and read as an answer about a job."""
    method, account = METHODS[data[0] % len(METHODS)], ACCOUNTS[0]
    body = b"{}" if method == "POST" else None
    wire = WireRequest(method, "http://127.0.0.1:1/jobs/j1", lambda url: True, body=body, max_body=64 * 1024)
    ticket: Ticket = Ticket(lambda ticket: None, Queue())
    outcome: Any
    with _in_memory(data[1:]):
        try:
            outcome = TRANSPORT.send(wire, ticket)
            assert len(outcome.body) <= wire.max_body
        except NoAnswer as error:
            outcome = error
            _shown(error.reason)
        finally:
            TRANSPORT.close()
    assert method != "POST" or ticket.sent
    call: Call[Any] = Call(account, account.provider.status, vidpoll.Request("GET", "/x"), "j1")
    with contextlib.suppress(vidpoll.AnswerError):
        call.take(outcome, NOW)


HEADS = (
    b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 28\r\n\r\n{"id":"j1","status":"queued"}',
    b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n12;x\r\n{"status":"queued"\r\n1\r\n}\r\n0\r\n\r\n',
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 X\r\nLink: x\r\n\r\nHTTP/1.0 202 Accepted\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/other\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 307 X\r\nLocation: ../%7e?a=b#c\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 429 X\r\nRetry-After: 5\r\nX-RateLimit-Remaining: 0\r\nX-RateLimit-Reset: 1800000060\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 22\r\n\r\n" + gzip.compress(b"{}", mtime=0),
    b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    b"HTTP/1.1 404 X\r\nServer: cloudflare\r\nContent-Type: x;charset=x\r\nContent-Length: 5,5\r\n folded\r\n\r\n<html",
    b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
)


def bodies(data: bytes) -> None:
    """The answer to a request for bytes of a file: through the transport to the reader, piece by piece."""
    offset, lenient = data[0] % 8, bool(data[1] & 1)
    known = ranges.Validator(etag='"etag"', length=len(MP4)) if data[1] & 2 else None
    taken = bytearray()
    reader = BodyReader(
        SystemClock(),
        offset,
        known,
        lambda body, source: taken.extend,
        "http://127.0.0.1:1/f",
        most=4096,
        lenient=lenient,
    )
    wire = WireRequest("GET", "http://127.0.0.1:1/f", lambda url: True, max_body=64 * 1024)
    ticket: Ticket = Ticket(lambda ticket: None, Queue())
    with _in_memory(data[2:]):
        try:
            TRANSPORT.fetch(wire, ticket, reader.start)
        except (NoAnswer, RangeMismatch):
            pass
        finally:
            TRANSPORT.close()
    with contextlib.suppress(NoAnswer):
        reader.finish()
    if reader.body is not None:
        assert len(taken) == reader.position - reader.body.first
        assert reader.body.end is None or reader.position <= reader.body.end
    else:
        assert not taken


def _body_seeds() -> list[Seed]:
    size = len(MP4)
    whole = b'HTTP/1.1 200 OK\r\nETag: "etag"\r\nContent-Type: video/mp4\r\nContent-Length: %d\r\n\r\n' % size + MP4
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % size + MP4 + b"\r\n0\r\n\r\n"
    part = b'HTTP/1.1 206 X\r\nETag: "etag"\r\nContent-Range: bytes 4-%d/%d\r\n\r\n' % (size - 1, size) + MP4[4:]
    page = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>no</html>"
    return [Seed(bytes([offset, flags]), raw) for offset, raw in ((0, whole), (0, chunked), (4, part), (0, page))
            for flags in range(4)]  # fmt: skip


# -- headers ----------------------------------------------------------------------------------------------------------


def hints(data: bytes) -> None:
    """What headers say of the time to come: seconds between 0 and an hour, or nothing."""
    response = vidpoll.Response(STATUSES[data[0] % len(STATUSES)], _headers(_text(data[1:])), b'{"status": "queued"}')
    for seconds in (faults.hint(response, NOW), faults.exhausted(response, NOW)):
        assert seconds is None or 0 <= seconds <= faults.LONGEST_HINT
    left = faults.allowance(response, NOW)
    assert left is None or (left[0] > 0 and 0 < left[1] <= faults.LONGEST_HINT)
    call: Call[Any] = Call(ACCOUNTS[0], ACME.status, vidpoll.Request("GET", "/x"), "j1")
    with contextlib.suppress(vidpoll.AnswerError):
        call.take(response, NOW)


HINTS = (
    "Retry-After: 5", "Retry-After: Sat, 15 Jan 2028 08:00:30 GMT", "retry-after-ms: 1500\nRetry-After: 1m30s",
    "openai-poll-after-ms: 5000\nRetry-After: 2028-01-15T08:00:30Z, 7",
    "X-RateLimit-Remaining: 0\nX-RateLimit-Reset: 1800000060\nRetry-After: 5",
    "X-RateLimit-Remaining: 100, 5\nX-RateLimit-Reset: 60\nx-request-id: 7\nlocation: /x\nserver: cloudflare",
)  # fmt: skip


def ranges_and_notes(data: bytes) -> None:
    """The heads of ranges, and the note beside a part as another process left it."""
    head, _, note = data[2:].partition(b"\n\n")
    response = vidpoll.Response(206 if data[0] & 1 else 200, _headers(_text(head)))
    offset = data[1] % 8
    known = ranges.Validator(etag='"etag"', length=5) if data[0] & 2 else None
    body = ranges.read(response, offset, known)
    assert body is None or body.first in (0, offset)
    assert body is None or body.end is None or body.end >= body.first
    length = ranges.unsatisfied(response, known)
    assert length is None or length >= 0
    target = Path(_folder.name, "clip.mp4")
    target.with_name("clip.mp4.part.json").write_bytes(note)
    target.with_name("clip.mp4.part").write_bytes(MP4)
    with PartFile(target) as part:
        assert part.at("https://a.example/1.mp4") in (0, len(MP4))


_folder = tempfile.TemporaryDirectory(prefix="vidpoll-fuzz-")
NOTE = b'{"source": "https://a.example/1.mp4", "etag": "\\"etag\\"", "modified": null, "length": 500}'
RANGES = (
    b'content-range: bytes 0-4/5\ncontent-length: 5\netag: "etag"\n\n' + NOTE,
    b"content-range: bytes */5\ntransfer-encoding: chunked\nlast-modified: Sat, 01 Jan 2000 00:00:00 GMT\n"
    b"date: Sat, 01 Jan 2000 00:00:09 GMT\n\n" + NOTE,
    b"content-length: 5, 5\ncontent-encoding: gzip\n\n[]",
    NOTE,
)


# -- texts ------------------------------------------------------------------------------------------------------------


def references(data: bytes) -> None:
    """A reference as it is typed or kept; an id as it comes; and the small readers of a field of an answer."""
    said = _text(data)
    with contextlib.suppress(vidpoll.BadReference):
        account, job_id = model.parse_reference(said)
        assert (f"{account}:{job_id}", job_id.isprintable(), ".." in job_id.split("/")) == (said, True, False)
        _shown(repr(vidpoll.Job(said)), 5000)
    for safe in ("", "/:"):
        with contextlib.suppress(vidpoll.BadReference):
            part = parsing.segment(said, safe=safe)
            assert part.isascii()
            assert not set(part) & {" ", "?", "#", "\\"}
            vidpoll.Request("GET", f"/jobs/{part}")
    for read in (parsing.progress, parsing.number, parsing.count, parsing.timestamp, parsing.expiry, parsing.assets):
        read(said)
    with contextlib.suppress(vidpoll.AnswerError):
        parsing.lookup({"queued": 1, 5: 2}, said)


REFERENCES = ("magicoal:3f8a2d1b-4c9e-4b7f-8d2a-1f3c5e7a9b0d", "fal:fal-ai/kling/requests/UUID", "acme:j1", *WORDS)


def redaction(data: bytes) -> None:
    """No secret, no control character and not more than 500 characters, whatever stands around them."""
    said = _text(data[1:])
    place = data[0] % (len(said) + 1)
    secret = f"{said[:place]} {SECRET} {said[place:]}"
    for shown in (redact.text(said), redact.text(secret, secrets=(SECRET,)), redact.text(secret, limit=60)[:60]):
        _shown(shown)
    assert SECRET not in redact.text(secret, secrets=(SECRET,))
    assert SECRET not in redact.hide(json.dumps(secret), (SECRET,))
    redact.url(said)
    body = data[1:] if data[0] & 1 else json.dumps({"a": [secret], secret: "b"}).encode()
    response = vidpoll.Response(200, {"location": said, "retry-after": secret}, body)
    told = exchange(NOW, vidpoll.Request("GET", "/x"), response, (SECRET,))
    assert len(told.body) <= 2048
    assert SECRET not in f"{told.body}{told.headers}"
    assert "\x1b" not in f"{told.body}{''.join(told.headers.values())}"


REDACTED = (
    "the key sk-abcdefgh12345678 of https://a.example/1.mp4?sig=abc is wrong", '{"api_key": "abc", "token": ["x"]}',
    "Authorization: Bearer abcdefgh12345678\x1b[2J", "C:\\\\tmp\\u003f=%41%42" * 20, f"%61{SECRET[1:]}", *WORDS,
)  # fmt: skip


# -- what is kept -----------------------------------------------------------------------------------------------------


def kept(data: bytes) -> None:
    """The facts of a job as a store has them: they are read, or nothing is known; never anything else."""
    try:
        facts = json.loads(data)
    except (ValueError, RecursionError):
        return
    if not isinstance(facts, dict):
        return
    row = records.KeptJob(REF, records.Origin("acme"), facts=facts)
    job = row.job
    _ = (row.newer, job.took, job.error, records.merged(facts, records.facts(job)))
    _shown(repr(job), 3000)
    again = json.loads(json.dumps(records.facts(job)))
    assert records.read(REF, again).phase is job.known.phase
    for state in (vidpoll.State.RUNNING, vidpoll.State.COMPLETED):
        with contextlib.suppress(vidpoll.AnswerError):
            job.receive(vidpoll.Snapshot(state, stage="x", progress=5.0), NOW)
    job.settle(NOW)


def _kept_seeds() -> list[Seed]:
    found = []
    for script in (
        [QUEUED],
        [QUEUED, {"status": "drawing", "progress": 10}],
        [DONE],
        [{"status": "broken", "error": "x"}],
    ):
        job = vidpoll.Job(REF)
        for body in script:
            response = vidpoll.Response(200, {}, json.dumps(body).encode())
            job.receive(ACME.status.parse(response, "j1"), NOW)  # type: ignore[arg-type]
        found.append(Seed(b"", json.dumps(records.facts(job)).encode()))
    return found


# -- a whole wait -----------------------------------------------------------------------------------------------------


def waits(data: bytes) -> None:
    """Odd answers to one of two jobs: that one ends typed or decided, the other one completes. And a submit."""
    odd = [_answer(raw) for raw in data.split(b"\n\n\n") if raw][:4] or [_answer(b"\0")]
    t = talk({"/jobs/j1": odd, "/jobs/j2": [QUEUED, DONE], "/jobs": odd}, patience=60.0)
    with t.client as client:
        one, other = client.wait_all([REF, "acme:j2"], timeout=600.0)
        assert other.ok, other.error
        assert one.final or isinstance(one.error, vidpoll.OutcomeUnknown)
        with contextlib.suppress(vidpoll.VidpollError):
            client.submit("acme", "clip", prompt="x")


def _answer(raw: bytes) -> vidpoll.Response:
    head, _, body = raw[1:].partition(b"\n\n")
    return vidpoll.Response(STATUSES[raw[0] % len(STATUSES)], _headers(_text(head)), body)


WAITS = (
    b'\0retry-after: 5\n\n{"id": "j1", "status": "queued"}\n\n\n\0\n\n{"status": "done", "video": "/a.mp4"}',
    b'\x0ax-ratelimit-remaining: 0\nx-ratelimit-reset: 20\n\n{"error": "slow"}\n\n\n\0\n\n{"status": "melting"}',
    b'\x05location: /jobs/j1/x\n\n<html>\n\n\n\x08server: cloudflare\n\nno\n\n\n\0\n\n{"id": "j1", "status": "broken"}',
    b'\0\n\n{"id": "j9", "status": "drawing", "progress": 50, "finished": "2026-11-21T12:00:00Z"}\n\n\n\x0b\n\n{}',
)


def _seeds(raw: Sequence[bytes | str], prefix: int = 0) -> list[Seed]:
    return [
        Seed(bytes(prefix), each.encode("utf-8", "surrogatepass") if isinstance(each, str) else each) for each in raw
    ]


TARGETS: Mapping[str, Target] = {
    "parsers": Target(parsers, _parser_seeds()),
    "heads": Target(heads, _seeds(HEADS, 1)),
    "bodies": Target(bodies, _body_seeds()),
    "hints": Target(hints, _seeds(HINTS, 1)),
    "ranges": Target(ranges_and_notes, _seeds(RANGES, 2)),
    "references": Target(references, _seeds(REFERENCES)),
    "redaction": Target(redaction, _seeds(REDACTED, 1)),
    "records": Target(kept, _kept_seeds()),
    "waits": Target(waits, _seeds(WAITS)),
}
SHORTEST = 3
"""Bytes of an input: no target looks at a shorter one."""
