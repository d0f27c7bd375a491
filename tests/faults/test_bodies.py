"""Bodies that are not what was promised: none ends a wait, changes a job wrongly, or costs memory.

By data: the clock and the network are fake, and each row runs against every provider. Only size is measured for real.
"""

from __future__ import annotations

import codecs
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from provider_cases import CASES, Case, client_of, each_provider, raw, waiting

import vidpoll

both = pytest.mark.usefixtures("transport")

SUPPORT = Path(__file__).resolve().parents[1] / "support"


@dataclass(frozen=True)
class Body:
    """A body that is no answer, by its name."""

    name: str
    response: vidpoll.Response

    def __str__(self) -> str:
        return self.name


HTML = b"<!DOCTYPE html><html><title>Just a moment...</title>\x1b[2J</html>"
NO_ANSWERS = [
    Body("HTML with 200", vidpoll.Response(200, {"content-type": "text/html"}, HTML)),
    Body("HTML that calls itself JSON", raw(HTML)),
    Body("empty", raw(b"")),
    Body("white space", raw(b" \r\n\t ")),
    Body("204", raw(b"", status=204)),
    Body("205", raw(b"", status=205)),
    Body("null", raw(b"null")),
    Body("a list", raw([])),
    Body("a list of objects", raw([{"status": "completed", "state": 1}])),
    Body("a number", raw(5)),
    Body("a boolean", raw(True)),
    Body("a text", raw("completed")),
    Body("an empty object", raw({})),
    Body("text that is no JSON", raw(b"completed")),
    Body("half an object", raw(b'{"status": "compl')),
    Body("an object and more", raw(b'{"status": "completed"} {"status": "completed"}')),
    Body("single quotes", raw(b"{'status': 'completed'}")),
    Body("NaN", raw(b"NaN")),
    Body("100,000 nested lists", raw(b"[" * 100_000)),
    Body("100,000 nested lists that are closed", raw(b"[" * 100_000 + b"]" * 100_000)),
    Body("100,000 nested objects", raw(b'{"data":' * 100_000)),
    Body("an integer of 5,000 digits", raw(b"9" * 5000)),
    Body("invalid UTF-8", raw(b'{"status": "\xff\xfe"}')),
    Body("zeros", raw(bytes(1000))),
]

JUNK: list[Any] = [
    None, True, False, 2, 10**40, 10**400, 0.5, 1e308, -5, "", " ", "x", "\x1b[31mred\r\n", "\ud800", "\u202e",
    [], {}, [None], [[[]]], {"a": {"b": 1}}, ["x", 1, None, {}], "9" * 5000, "javascript:alert(1)", "file:///etc/passwd",
]  # fmt: skip


def spelt(value: object) -> str:
    text = ascii(value)
    return text if len(text) < 24 else f"{text[:12]}... ({len(text)} characters)"


each_junk = pytest.mark.parametrize("junk", JUNK, ids=spelt)


# -- no answer at all -------------------------------------------------------------------------------------------------


@each_provider
@pytest.mark.parametrize("body", NO_ANSWERS, ids=str)
def test_what_is_no_answer_is_a_blip(body: Body, case: Case) -> None:
    """Told once, the state stays, the next answer counts."""
    told = waiting(case, [case.running, body.response, case.completed])
    assert told.job.ok
    assert told.words == ["stage_changed", "progress", "poll_failed", "completed"]
    assert all(str(event).isprintable() for event in told.events)
    assert all(len(str(event)) < 700 for event in told.events)


@each_provider
@pytest.mark.parametrize("body", NO_ANSWERS[::6], ids=str)
def test_what_is_no_answer_for_good_is_an_unknown_outcome(body: Body, case: Case) -> None:
    """ProviderUnreachable after `patience`; no failure hook, and the last known state."""
    told = waiting(case, [case.running, body.response])
    assert type(told.error) is vidpoll.ProviderUnreachable
    assert told.job.state == "running"
    assert "failed" not in told.words


@each_provider
@pytest.mark.parametrize("body", NO_ANSWERS, ids=str)
def test_other_operations_meet_it_with_an_error_of_vidpoll(body: Body, case: Case) -> None:
    """List, quota and delete raise AnswerError or ProviderError in the end; none takes it for success."""
    told = client_of(case, [body.response])
    operations: list[Any] = [lambda: list(told.client.jobs(case.name))]
    operations += [lambda: told.client.delete(told.job)] if case.deletes else []
    operations += [lambda: told.client.quota(case.name)] if case.provider.quota else []
    for operation in operations:
        deletes = case.deletes and operation is operations[1]
        promised = case.name == "moneyprinterturbo" and body.name in ("an empty object", "invalid UTF-8")
        if deletes and (body.name == "204" or promised):
            continue  # a delete is done with a 204 (RFC 9110, 9.3.5); MoneyPrinterTurbo promises an object, no more
        with pytest.raises((vidpoll.AnswerError, vidpoll.ProviderError)):
            operation()


# -- wrong fields -----------------------------------------------------------------------------------------------------


def fields_of(case: Case) -> list[str]:
    return [name for name in case.of(case.completed) if name != case.word]


@each_provider
@each_junk
def test_a_wrong_type_in_any_field_of_a_running_job(junk: object, case: Case) -> None:
    """Field after field, also those at the top: the wait goes on and completes once."""
    script = [case.saying(case.running, **{name: junk}) for name in fields_of(case)]
    script += [{**case.running, name: junk} for name in case.running if case.path]
    told = waiting(case, [*script, case.completed])
    assert told.job.ok
    assert len(told.wire.sent) == len(script) + 1
    assert told.words.count("completed") == 1
    assert "failed" not in told.words


@each_provider
@each_junk
def test_a_wrong_type_in_any_field_of_a_completed_job(junk: object, case: Case) -> None:
    """The verdict stands: what a side field holds decides nothing; one that is about another job is no answer."""
    for name in fields_of(case):
        told = waiting(case, [case.saying(case.completed, **{name: junk}), case.completed])
        assert told.job.ok, name
        assert told.words.count("completed") == 1, name
        assert told.job.video.url, name
        assert repr(told.job).isprintable(), name


@each_provider
@each_junk
def test_a_wrong_type_in_any_field_of_a_failed_job(junk: object, case: Case) -> None:
    """Failed is failed; the reason is text that can be printed."""
    for name in case.of(case.failed):
        if name in (case.word, case.id_field):
            continue
        told = waiting(case, [case.saying(case.failed, **{name: junk})])
        assert type(told.error) is vidpoll.JobFailed, name
        assert str(told.error).isprintable(), name


@each_provider
@each_junk
def test_a_status_of_a_wrong_type_never_ends_a_job(junk: object, case: Case) -> None:
    """Booleans are no numbers (True == 1), a text is no list: a blip, or a word that is not known."""
    told = waiting(case, [case.running, case.saying(case.completed, **{case.word: junk}), case.running, case.completed])
    assert told.job.ok
    assert told.words.count("completed") == 1
    assert "failed" not in told.words
    assert len(told.wire.sent) == 4


@each_provider
def test_a_missing_status_is_a_blip(case: Case) -> None:
    """An answer without the one field that counts says nothing."""
    without = case.saying(case.completed)
    del case.of(without)[case.word]
    told = waiting(case, [case.running, without, case.completed])
    assert told.job.ok
    assert len(told.transient_errors) == 1


@pytest.mark.parametrize("case", CASES[:2], ids=lambda case: case.name)
@pytest.mark.parametrize(
    "write", [str.upper, str.title, str.swapcase, " {} ".format], ids=["UPPER", "Title", "sWAP", " spaces "]
)
def test_a_word_in_another_case_is_the_same_word(write: Any, case: Case) -> None:
    """Gateways re-case."""
    for body in (case.running, case.completed):
        told = waiting(case, [case.saying(body, **{case.word: write(case.word_of(body))}), case.completed])
        assert told.job.ok
        assert told.transient_errors == []


@each_provider
def test_an_unknown_word_is_told_once_and_waited_through(case: Case) -> None:
    """It becomes the stage; the state stays; the deadline bounds it."""
    word = 7 if case.name == "moneyprinterturbo" else "steeping"
    odd = case.saying(case.running, **{case.word: word})
    told = waiting(case, [case.running, odd, odd, odd, case.completed])
    assert told.job.ok
    assert [event.stage for event in told.events if isinstance(event, vidpoll.StageChanged)][1:] == [str(word)]
    told = waiting(case, [case.running, odd], timeout=100)
    assert type(told.error) is vidpoll.WaitTimeout
    assert told.job.state == "running"


PROGRESS = {
    '"54%"': 54.0,
    '"54"': 54.0,
    '" 54.5 % "': 54.5,
    "54": 54.0,
    "0.54": 0.54,
    "null": None,
    "NaN": None,
    "Infinity": None,
    "-Infinity": None,
    "1e400": None,
    "-1e400": None,
    "-5": 0.0,
    "250": 100.0,
    '"250%"': 100.0,
    "1e300": 100.0,
    "true": None,
    '"soon"': None,
    "[54]": None,
    '{"value": 54}': None,
    "9" * 400: None,
}


@each_provider
@pytest.mark.parametrize(("text", "shown"), PROGRESS.items(), ids=[text[:20] for text in PROGRESS])
def test_progress_is_clamped_or_absent_and_decides_nothing(text: str, shown: float | None, case: Case) -> None:
    """Whatever stands there."""
    body = json.dumps(case.saying(case.running, progress="@")).replace('"@"', text).encode()
    told = waiting(case, [raw(body), case.completed])
    assert told.job.ok
    assert told.job.history[0].progress == shown
    assert told.transient_errors == []


@each_provider
def test_a_number_too_long_to_read_costs_itself_alone(case: Case) -> None:
    """Python refuses to read 5,000 digits; the verdict beside them counts."""
    body = json.dumps(case.saying(case.completed, progress="@")).replace('"@"', "9" * 5000).encode()
    told = waiting(case, [raw(body)])
    assert told.job.ok
    assert told.job.progress is None


@each_provider
def test_nested_brackets_in_a_field_that_nobody_reads(case: Case) -> None:
    """The whole body is no answer, and the next one is."""
    body = json.dumps(case.saying(case.completed, extra="@")).replace('"@"', "[" * 100_000 + "]" * 100_000).encode()
    told = waiting(case, [raw(body), case.completed])
    assert told.job.ok
    assert len(told.transient_errors) == 1


@each_provider
def test_of_duplicate_keys_the_last_counts(case: Case) -> None:
    """As nearly every JSON reader has it."""
    body = json.dumps(case.running)
    pair = f'"{case.word}": {json.dumps(case.word_of(case.running))}'
    assert pair in body
    doubled = body.replace(pair, f'"{case.word}": {json.dumps(case.word_of(case.completed))}, {pair}')
    told = waiting(case, [raw(doubled.encode()), case.completed])
    assert [moment.state for moment in told.job.history] == ["running", "completed"]


@each_provider
@pytest.mark.parametrize(
    "kind", ["text/html", "application/octet-stream", "", "application/json; charset=latin-1", "\x00"]
)
def test_the_content_type_decides_nothing(kind: str, case: Case) -> None:
    """A good body is a good body."""
    told = waiting(case, [vidpoll.Response(200, {"content-type": kind}, json.dumps(case.completed).encode())])
    assert told.job.ok


@each_provider
def test_a_byte_order_mark_is_borne(case: Case) -> None:
    """Some servers write one."""
    assert waiting(case, [raw(codecs.BOM_UTF8 + json.dumps(case.completed).encode())]).job.ok


@pytest.mark.slow
@each_provider
def test_fields_of_megabytes_cost_no_time(case: Case) -> None:
    """Texts as long as a body may be, of the kinds that make patterns slow, are read and shown in a moment."""
    for piece in (
        "a",
        "\\",
        "%",
        " ",
        "-eyJ",
        "key",
        "https://",
        "\x1b]",
        "sk-",
        "basic ",
        "[",
        '"',
        ".",
        "1",
        "api_key=",
    ):
        huge = piece * (100_000 // len(piece))
        names = [name for name in fields_of(case) if name != case.id_field]
        begun = time.process_time()
        for body in (case.saying(case.failed, error={"message": huge}), case.saying(case.failed, error=huge)):
            assert type(waiting(case, [body]).error) is vidpoll.JobFailed
        for name in names[:4]:
            assert waiting(case, [case.saying(case.running, **{name: huge}), case.completed]).job.ok
        assert waiting(case, [raw({"message": huge}, status=500), raw(huge.encode()), case.completed]).job.ok
        assert time.process_time() - begun < 1, piece


# -- answers about other jobs and other times -------------------------------------------------------------------------


@each_provider
def test_an_answer_about_another_job_is_never_adopted(case: Case) -> None:
    """Not its verdict, good or bad, nor its files."""
    foreign = ["someone-elses", "someone-elses", "a-third-one's"]
    others = [
        case.saying(body, **{case.id_field: other})
        for body, other in zip((case.completed, case.failed, case.running), foreign, strict=True)
    ]
    told = waiting(case, [case.running, *others, case.completed])
    assert told.job.ok
    assert [blip.reason for blip in told.transient_errors] == [
        f"the response is about another job: it names {other!r}, not {case.job_id!r}" for other in foreign
    ]
    assert {moment.stage for moment in told.job.history[:-1]} == {told.job.history[0].stage}


@each_provider
def test_a_stale_replica_fires_no_hook_twice(case: Case) -> None:
    """An earlier answer between later ones is not believed until a second one says so."""
    told = waiting(
        case, [case.earlier, case.running, case.earlier, case.running, case.earlier, case.running, case.completed]
    )
    assert told.job.ok
    assert told.words.count("stage_changed") == 2


@each_provider
def test_a_job_that_is_put_back_in_the_queue_is_believed(case: Case) -> None:
    """Providers do re-queue; two answers in a row say so."""
    told = waiting(
        case, [case.earlier, case.running, case.earlier, case.earlier, case.running, case.running, case.completed]
    )
    assert [str(moment.state) for moment in told.job.history if moment.progress != 54.0][:2]
    assert told.words.count("stage_changed") == 4


@each_provider
def test_progress_that_goes_backwards_is_not_shown(case: Case) -> None:
    """Within a stage what is shown never goes down."""
    told = waiting(case, [case.saying(case.running, progress=p) for p in (54, 30, 60, 10)] + [case.completed])
    shown = [event.progress for event in told.events if isinstance(event, vidpoll.ProgressChanged)]
    assert shown == [54.0, 60.0]


@each_provider
@pytest.mark.parametrize(
    ("first", "then"),
    [("completed", "failed"), ("failed", "completed"), ("completed", "running"), ("failed", "earlier")],
)
def test_a_final_state_that_changes_is_not_followed(first: str, then: str, case: Case) -> None:
    """The first verdict stands, its hook fires once, and the answer that contradicts it is refused."""
    told = client_of(case, [getattr(case, first), getattr(case, then)])
    told.client.wait(told.job, check=False)
    state = told.job.state
    told.clock.now += 60
    with pytest.raises(vidpoll.TransitionRefused):
        told.client.poll(told.job)
    assert told.job.state is state
    assert (told.ears.hooks.count("completed"), told.ears.hooks.count("failed")) == (
        (1, 0) if first == "completed" else (0, 1)
    )


@each_provider
def test_completed_without_the_video_is_asked_again_and_then_believed(case: Case) -> None:
    """Providers publish late, and some never do: completed all the same, and `video` says that there is none."""
    bare = case.saying(case.completed)
    del case.of(bare)[case.video]
    told = waiting(case, [bare, bare, case.completed])
    assert told.job.video.url
    told = waiting(case, {"/content": [raw(b"", status=500)], "": [bare]})
    assert told.job.ok
    with pytest.raises(vidpoll.ResultMissing):
        _ = told.job.video


# -- size -------------------------------------------------------------------------------------------------------------

MEASURE = """
import gzip, json, resource, sys
sys.path[:0] = {paths!r}
import vidpoll
from raw_server import answers, chaos, floods, says
from provider_cases import CASES, real_client

HEAD = b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\n"
MB = 1 << 20

def bomb(piece):
    import zlib
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts = [packer.compress(piece * (MB // len(piece))) for _ in range(200)]
    packed = b"".join(parts) + packer.flush()
    return says(HEAD + b"Content-Encoding: gzip\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(packed) + packed)

LONG = HEAD + b"Content-Length: %d\\r\\n\\r\\n" % (200 * MB)
CHUNKED = HEAD + b"Transfer-Encoding: chunked\\r\\n\\r\\n"
acts = {{
    "200 MB with their length": lambda: floods(LONG, b" " * 65536, 3200),
    "200 MB without a length": lambda: floods(HEAD + b"\\r\\n", b" " * 65536, 3200),
    "200 MB in chunks of four bytes": lambda: floods(CHUNKED, b"4\\r\\n    \\r\\n" * 8192, 6400),
    "a gzip bomb of brackets": lambda: bomb(b"[" * 1024),
    "a status of 200 MB that is an error": lambda: floods(b"HTTP/1.1 500 X\\r\\n\\r\\n", b" " * 65536, 3200),
}}
case, act = CASES[{case}], acts[{name!r}]()
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (MB if sys.platform == "darwin" else 1024)
events = []
with chaos(answers(case.completed), act, answers(case.completed)) as server:
    with real_client(case, server.url, bound=20.0) as client:
        client.wait(case.ref)
        before = peak()
        job = client.wait(case.ref, timeout=60, on_event=events.append)
print(json.dumps([job.ok, [str(event) for event in events][:1], peak() - before]))
"""
SIZES = [
    "200 MB with their length",
    "200 MB without a length",
    "200 MB in chunks of four bytes",
    "a gzip bomb of brackets",
    "a status of 200 MB that is an error",
]


@both
@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="getrusage")
@pytest.mark.parametrize("name", SIZES)
def test_memory_grows_by_less_than_32_mb(name: str) -> None:
    """A body is read up to its bound and not further, packed or not; it costs one try."""
    paths = [str(SUPPORT)]
    code = MEASURE.format(paths=paths, name=name, case=SIZES.index(name) % 3)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    ok, (first,), grown = json.loads(done.stdout)
    assert ok
    assert "a body of more than 4,194,304 bytes" in first
    assert grown < 32
