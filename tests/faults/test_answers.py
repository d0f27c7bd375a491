"""Answers as real servers give them: what can be read is read, who speaks is told, and errors say what came.

By data: the clock and the network are fake. Each next step that a message names is taken here.
"""

from __future__ import annotations

import json
import logging
import pickle
import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from leaks import everything, leaks
from provider_cases import CASES, KEY, UUID, Case, Told, client_of, each_provider, raw, waiting

import vidpoll
from vidpoll import parsing

HTML = {"content-type": "text/html; charset=UTF-8"}
CLOUDFLARE = {**HTML, "server": "cloudflare", "cf-mitigated": "challenge"}
CHECK = b"<!DOCTYPE html><html><head><title>Just a moment...</title></head><body></body></html>"
TOKEN360 = CASES[1]


def page(status: int, body: bytes = CHECK, headers: Mapping[str, str] = HTML) -> vidpoll.Response:
    return vidpoll.Response(status, headers, body)


def taken(case: Case, line: str) -> str:
    """The reference that a printed line waits for: a command of the shell, or Python."""
    python = re.fullmatch(r'(?:client|vidpoll)\.wait\("(.+)"\)', line)
    return python[1] if python else shlex.split(line)[2]


# -- bodies -----------------------------------------------------------------------------------------------------------

PROMPT = "a lighthouse, 灯塔"


def written(case: Case, prompt: bytes) -> bytes:
    """The completed answer with these bytes in the echoed prompt."""
    return json.dumps(case.saying(case.completed, prompt="@@")).encode().replace(b"@@", prompt)


READABLE: dict[str, Callable[[Case], vidpoll.Response]] = {
    "a character that is cut": lambda case: raw(written(case, PROMPT.encode()[:-1])),
    "a byte that is no UTF-8": lambda case: raw(written(case, b"caf\xe9")),
    "a raw line end and a tab": lambda case: raw(written(case, b"a sea\r\n\tat dusk")),
    "a zero": lambda case: raw(written(case, b"a\x00sea")),
    "GBK, as its type says": lambda case: raw(
        written(case, PROMPT.encode("gbk")), headers={"content-type": 'application/json; charset="GBK"'}
    ),
    "windows-1252": lambda case: raw(
        written(case, b"\x93sea\x94"), headers={"content-type": "application/json;charset=windows-1252"}
    ),
    "UTF-8 that calls itself latin-1": lambda case: raw(
        written(case, PROMPT.encode()), headers={"content-type": "application/json; charset=iso-8859-1"}
    ),
    "a charset that is none": lambda case: raw(
        written(case, b"caf\xe9"), headers={"content-type": "application/json; charset=zip"}
    ),
    "UTF-16 with its mark": lambda case: raw(written(case, PROMPT.encode()).decode().encode("utf-16")),
    "UTF-16 without one": lambda case: raw(written(case, PROMPT.encode()).decode().encode("utf-16-be")),
    "UTF-8 with its mark": lambda case: raw(b"\xef\xbb\xbf" + written(case, PROMPT.encode())),
    "two marks, and zeros behind": lambda case: raw(b"\xef\xbb\xbf" * 2 + written(case, b"x") + bytes(512)),
    "a charset that Python has and nobody means": lambda case: raw(
        written(case, b"caf\xe9"), headers={"content-type": "application/json; charset=punycode"}
    ),
    "a number of 5,000 digits": lambda case: raw(written(case, b"x").replace(b'"x"', b"9" * 5000)),
}


@each_provider
@pytest.mark.parametrize("name", READABLE)
def test_one_bad_character_hides_no_verdict(name: str, case: Case) -> None:
    """Of a body three fields matter; the echoed prompt is none of them."""
    told = waiting(case, [READABLE[name](case)])
    assert told.job.ok
    assert told.job.video.url
    assert told.transient_errors == []


@each_provider
def test_an_id_that_cannot_be_read_is_none(case: Case) -> None:
    """It is not compared in a status answer, and a submit that brings one is of unknown outcome."""
    body = json.dumps(case.saying(case.completed, **{case.id_field: "@@"})).encode().replace(b"@@", b"ab\xff")
    assert waiting(case, [raw(body)]).job.ok
    kind, fields = case.submit
    with pytest.raises(vidpoll.SubmitUnknown):
        client_of(case, [raw(body)]).client.submit(case.name, kind, **fields)


def test_a_url_that_cannot_be_read_is_none() -> None:
    """Half a URL leads nowhere."""
    body = json.dumps({**TOKEN360.completed, "url": "@@"}).encode().replace(b"@@", b"https://x.example/\xff.mp4")
    told = waiting(TOKEN360, {"/content": [raw(b"", status=404)], "": [raw(body)]})
    assert told.job.ok
    assert [asset.kind for asset in told.job.assets] == ["last_frame"]


@pytest.mark.parametrize("written", [str, float, lambda state: f" {state}.0 "])
def test_a_state_that_is_a_number_may_come_as_text(written: Callable[[int], Any]) -> None:
    """Redis, Lua and PHP in between turn 1 into "1" or 1.0; `true` is no number."""
    case = CASES[2]
    bodies = [case.saying(body, state=written(case.word_of(body))) for body in (case.running, case.completed)]
    told = waiting(case, [case.saying(case.running, state=True), *bodies])
    assert told.job.ok
    assert [moment.stage for moment in told.job.history] == ["processing", "complete"]


# -- keys that are ordinary words -------------------------------------------------------------------------------------

ORDINARY = [
    "123456",
    "videos",
    "progress",
    "status",
    "completed",
    "task_id",
    "data",
    "final-1.mp4",
    "moneyprinterturbo",
]


@each_provider
@pytest.mark.parametrize("key", ORDINARY)
def test_a_key_that_is_an_ordinary_word_changes_no_answer(key: str, case: Case) -> None:
    """Neither id, status word, URL nor any other field of what is parsed."""
    told, plain = waiting(case, [case.running, case.completed], key=key), waiting(case, [case.running, case.completed])
    assert told.job.assets == plain.job.assets
    assert [event for event in told.words if event != "polled"] == [event for event in plain.words if event != "polled"]
    assert [moment.stage for moment in told.job.history] == [moment.stage for moment in plain.job.history]


@pytest.mark.parametrize("key", ["123456", "videos"])
def test_a_job_whose_id_holds_the_key(key: str) -> None:
    """The id that came is the id."""
    case = CASES[1]
    answer = case.saying(case.completed, id=f"cgt-{key}-abcd")
    told = client_of(case, [answer], key=key)
    assert told.client.submit(case.name, case.submit[0], **case.submit[1]).id == f"cgt-{key}-abcd"
    assert told.client.wait(f"{case.name}:cgt-{key}-abcd").ok


@each_provider
@pytest.mark.parametrize("key", [KEY, "hunter22", "moneyprinterturbo"])
def test_a_key_in_a_text_is_hidden_all_the_same(key: str, case: Case, caplog: pytest.LogCaptureFixture) -> None:
    """Where it is shown, raised, told or logged, also an ordinary one, in every charset."""
    caplog.set_level(logging.DEBUG, logger="vidpoll")
    failed = json.dumps(case.failed).replace("out of paint", f"bad key {key}!").replace("E7", key)
    scripts: list[list[Any]] = [
        [raw({"error": {"message": f"bad key {key}!", "code": key, "details": {"k": key}}}, status=401)],
        [raw(failed.encode("utf-16"))],
        [raw(f"<html><title>bad key {key}!</title></html>".encode())],
        [raw({"error": f"bad key {key}!"})],
        [vidpoll.Response(500, {}, f"<Error><Code>No</Code><Message>bad key {key}!</Message></Error>".encode())],
    ]
    for script in scripts:
        told = waiting(case, script, timeout=30, key=key)
        shown = [*map(str, told.events), str(told.error), repr(told.error), caplog.text, repr(told.job.transcript)]
        shown += [pickle.dumps(told.error).decode("latin-1")] if key == KEY else []
        assert leaks("\n".join(shown).replace(case.name, ""), key) == []
        assert "bad key [redacted]" in "\n".join(shown)


def test_a_parser_that_quotes_the_body_shows_no_key(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever it raises, with whatever hangs on it."""

    def parse(response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot:
        try:
            raise KeyError(response.body.decode())
        except KeyError as error:
            if response.status == 200:
                raise vidpoll.Malformed(f"no such thing: {response.body.decode()}") from error
            raise

    status = vidpoll.Operation(lambda job_id: vidpoll.Request("GET", "/x"), parse, verdicts=(201,))
    auth = vidpoll.Bearer("ACME_KEY")
    provider = vidpoll.Provider(TOKEN360.name, "https://acme.example", auth, vidpoll.Pacing(floor=5.0), status)
    for code in (200, 201, 299):
        told = waiting(TOKEN360, [raw(f"you sent {KEY}".encode(), status=code)], timeout=30, provider=provider)
        assert told.error is not None
        assert leaks(everything(told, caplog)) == []


# -- no status word, another id ---------------------------------------------------------------------------------------


@each_provider
def test_a_good_answer_without_a_status_word_is_no_outage(case: Case) -> None:
    """It names the job: no news, told once, to the deadline; then it counts."""
    bare = case.saying(case.running)
    del case.of(bare)[case.word]
    told = waiting(case, [*[bare] * 200, case.completed])
    assert told.job.ok
    assert len(told.transient_errors) == 1
    assert "no status word" in told.transient_errors[0].reason
    told = waiting(case, [bare], timeout=1800)
    assert type(told.error) is vidpoll.WaitTimeout
    assert "no status word" in str(told.error)


@each_provider
@pytest.mark.parametrize(
    "more", [{"error": {"message": "Invalid token"}}, {"id": "other", "uuid": "other", "task_id": "other"}]
)
def test_an_answer_without_a_word_that_is_an_error_or_anothers_is_an_outage(more: Any, case: Case) -> None:
    """Only a good answer about this job is no news."""
    bare = {
        **case.saying(case.running, **{name: value for name, value in more.items() if name in case.of(case.running)})
    }
    del case.of(bare)[case.word]
    told = waiting(case, [{**bare, **more} if "error" in more else bare], timeout=7200)
    assert type(told.error) is vidpoll.ProviderUnreachable


def test_a_uuid_in_capitals_is_the_same_id() -> None:
    """.NET and some databases write them so."""
    case = CASES[0]
    told = waiting(case, [case.saying(case.running, uuid=UUID.upper()), case.saying(case.completed, uuid=UUID.upper())])
    assert told.job.ok
    assert told.transient_errors == []
    assert not waiting(TOKEN360, [TOKEN360.saying(TOKEN360.completed, id="VT_5F2C0E9B7A41")], timeout=0).job.ok


@each_provider
def test_a_server_that_calls_the_job_by_another_id_is_told_of_soon(case: Case) -> None:
    """Three times in a row the same one: both ids, and the line that waits for the other, which works."""
    other = "video_69065c4ba980"
    told = waiting(case, [case.saying(case.completed, **{case.id_field: other})])
    assert type(told.error) is vidpoll.JobNotFound
    assert len(told.wire.sent) == 3
    assert f"the server calls the job {other}. Wait for {case.name}:{other}" in str(told.error)
    assert case.job_id in str(told.error)
    ref = taken(case, str(told.error).rpartition(": ")[2])
    assert ref == taken(case, str(told.error.resume)) == f"{case.name}:{other}"
    again = client_of(case, [case.saying(case.completed, **{case.id_field: other})])
    assert again.client.wait(ref).ok


# -- what an answer says ----------------------------------------------------------------------------------------------

ERRORS_IN_200 = [
    {"error": {"message": "Invalid token", "type": "new_api_error", "code": "invalid_api_key"}},
    {"success": False, "message": "Invalid token"},
    {"code": 401, "message": "Invalid token", "data": None},
    {"ok": False, "detail": "Invalid token"},
    {"errors": ["x"], "msg": "Invalid token"},
    {"errors": [{"message": "Invalid token"}]},
    {"status_code": 1004, "status_msg": "Invalid token"},
]


@each_provider
@pytest.mark.parametrize("body", ERRORS_IN_200, ids=str)
def test_an_error_in_a_200_is_told(body: Any, case: Case) -> None:
    """What the body says is the user's next step, and not that a word of ours is missing."""
    told = waiting(case, [body], timeout=7200)
    assert isinstance(told.error, vidpoll.OutcomeUnknown)
    assert "Invalid token" in str(told.error)
    kind, fields = case.submit
    with pytest.raises((vidpoll.SubmitUnknown, vidpoll.ProviderError), match="Invalid token"):
        client_of(case, [body]).client.submit(case.name, kind, **fields)


STORAGE = {
    "S3": b'<?xml version="1.0"?>\n<Error><Code>NoSuchKey</Code><Message>There is none.</Message></Error>',
    "Azure": b"\xef\xbb\xbf<?xml ?><Error><Code>NoSuchKey</Code>\n<Message>There is none.\nTime:1</Message></Error>",
    "a namespace": b"<e:Error xmlns:e='x'><e:Code>NoSuchKey</e:Code><e:Message><![CDATA[There is none.]]></e:Message>",
    "a response": b"<ErrorResponse><Error><Code>NoSuchKey</Code><Message>There is none.</Message></Error>",
    "cut": b"<Error><Code>NoSuchKey</Code><Message>There is none.",
}


@pytest.mark.parametrize("name", STORAGE)
def test_what_a_file_store_says_in_xml_is_told(name: str) -> None:
    """S3, OSS, GCS, R2 and Azure say why in two elements."""
    told = parsing.problem(vidpoll.Response(404, {"content-type": "application/xml"}, STORAGE[name]))
    assert told.code == "NoSuchKey"
    assert told.message.startswith("There is none.")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html><head><title>502 Bad\nGateway</title></head></html>", "HTTP 502: a page «502 Bad Gateway»"),
        (b"\n<!-- x --><!DOCTYPE html><body><h1>Down &amp; out</h1>", "HTTP 502: a page «Down & out»"),
        (b"<html><code>NoSuchKey</code></html>", "HTTP 502: a page"),
        (b"<note>hello</note>", "HTTP 502 without JSON (text/html)"),
    ],
)
def test_of_a_page_the_title_is_told(body: bytes, message: str) -> None:
    """And not three kilobytes of it."""
    assert parsing.problem(page(502, body)).message == message


# -- who speaks -------------------------------------------------------------------------------------------------------


@each_provider
@pytest.mark.parametrize("status", [401, 403, 451])
def test_a_page_from_in_between_is_borne_for_some_minutes(status: int, case: Case) -> None:
    """A bot check, a portal: no word of the provider's. Then it is told, with what it was."""
    told = waiting(case, [case.running, *[page(status, headers=CLOUDFLARE)] * 5, case.completed])
    assert told.job.ok
    assert told.transient_errors[0].reason == f"HTTP {status}: a page «Just a moment...» from cloudflare"
    told = waiting(case, [case.running, page(status, headers={**HTML, "server": "cloudflare"})], timeout=7200)
    assert type(told.error) is vidpoll.WaitRefused
    assert 300 <= sum(told.waited) < 500
    assert "a page «Just a moment...» from cloudflare" in str(told.error)
    assert told.job.state == "running"


@each_provider
def test_a_bot_check_without_a_page_is_one_by_its_header(case: Case) -> None:
    """cf-mitigated says so."""
    challenge = vidpoll.Response(403, {"cf-mitigated": "challenge", "server": "cloudflare"}, b"")
    assert waiting(case, [*[challenge] * 5, case.completed]).job.ok


@each_provider
def test_a_cdns_bare_text_is_no_word_of_the_provider(case: Case) -> None:
    """Cloudflare refuses some clients in one line of plain text."""
    text = vidpoll.Response(403, {"content-type": "text/plain", "server": "cloudflare"}, b"error code: 1010\n")
    told = waiting(case, [*[text] * 5, case.completed])
    assert told.job.ok
    assert told.transient_errors[0].reason == "HTTP 403: a page «error code: 1010» from cloudflare"


@each_provider
def test_the_providers_own_refusal_through_a_cdn_is_told_at_once(case: Case) -> None:
    """JSON is its own word, whoever passed it on."""
    own = raw({"message": "not for you"}, status=403, headers={"server": "cloudflare", "via": "1.1 varnish"})
    told = waiting(case, [own])
    assert type(told.error) is vidpoll.WaitRefused
    assert len(told.wire.sent) == 2


@each_provider
def test_what_a_proxy_refuses_was_not_sent(case: Case) -> None:
    """407 is the proxy's: nothing was bought, the variable is named, and a wait does not take ten minutes."""
    refusal = page(407, b"<html><title>Access denied</title></html>", {**HTML, "server": "squid"})
    kind, fields = case.submit
    told = client_of(case, [refusal])
    with pytest.raises(vidpoll.ProviderError, match="Nothing was sent and nothing was bought") as caught:
        told.client.submit(case.name, kind, **fields)
    assert len(told.wire.sent) == 1
    scheme = case.provider.base_url.partition(":")[0].upper()
    for error in (caught.value, waiting(case, [refusal]).error):
        assert "proxy" in str(error)
        assert f"{scheme}_PROXY" in str(error)
    assert type(waiting(case, [refusal]).error) is vidpoll.WaitRefused


# -- the address ------------------------------------------------------------------------------------------------------

NOT_THE_API = {
    "a page": page(404, b"<html><head><title>404 Not Found</title></head></html>", {**HTML, "server": "nginx"}),
    "a framework's JSON": raw({"detail": "Not Found"}, status=404),
    "a framework's text": vidpoll.Response(404, {"content-type": "text/plain"}, b"404 page not found\n"),
}


@each_provider
@pytest.mark.parametrize("name", NOT_THE_API)
def test_a_404_that_is_not_the_apis_own_names_the_address(
    name: str, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the id alone is to be checked: the URL, and the variable that sets it, which does."""
    variable = f"{case.name.upper()}_BASE_URL"
    monkeypatch.setenv(variable, "https://wrong.example/x")
    told = waiting(case, [NOT_THE_API[name]])
    assert type(told.error) is vidpoll.JobNotFound
    assert "the base URL may be wrong: https://wrong.example/x/" in str(told.error)
    assert f"Set {variable} to a base URL like {case.provider.base_url}" in str(told.error)
    with pytest.raises(vidpoll.NotFound, match="the base URL may be wrong"):
        client_of(case, [NOT_THE_API[name]]).client.poll(case.ref)
    monkeypatch.setenv(variable, case.provider.base_url)
    told = waiting(case, [case.completed])
    assert told.wire.sent[0].url.startswith(f"{case.provider.base_url}/")


def test_a_prefix_that_is_given_twice_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is to be set instead is said, and works."""
    case = CASES[2]
    monkeypatch.setenv("MONEYPRINTERTURBO_BASE_URL", "http://10.0.0.7:8080/api/v1")
    told = waiting(case, [NOT_THE_API["a framework's JSON"]])
    said = re.search(r"has /api/v1 twice\. Set MONEYPRINTERTURBO_BASE_URL to (\S+?)\. ", str(told.error))
    assert said is not None
    monkeypatch.setenv("MONEYPRINTERTURBO_BASE_URL", said[1])
    told = waiting(case, [case.completed])
    assert told.wire.sent[0].url == f"http://10.0.0.7:8080/api/v1/tasks/{case.job_id}"


@each_provider
@pytest.mark.parametrize("lost", [ConnectionRefusedError(), raw(b"", status=503)], ids=["refused", "503"])
def test_no_answer_names_the_address_and_what_sets_it(lost: Any, case: Case) -> None:
    """The commonest mistake of a newcomer is a server that is elsewhere."""
    told = waiting(case, [lost], timeout=7200)
    assert type(told.error) is vidpoll.ProviderUnreachable
    asked = f"The base URL was {case.provider.base_url} (set {case.name.upper()}_BASE_URL to change it)"
    assert asked in str(told.error)
    if not isinstance(lost, vidpoll.Response):
        with pytest.raises(vidpoll.ProviderError, match=re.escape(asked)):
            client_of(case, [lost]).client.poll(case.ref)
        assert asked in str(waiting(case, [lost], timeout=60).error)
        told = waiting(case, [lost], timeout=7200, base_url="https://a.example")
        assert "The base URL was https://a.example (set its base_url to change it)" in str(told.error)


# -- submits ----------------------------------------------------------------------------------------------------------

WITH_AN_ID: list[tuple[Any, str]] = [
    ({"task_id": "video-task-77", "status": "queued"}, "video-task-77"),
    ({"code": "success", "message": "", "data": {"task_id": "video-task-77"}}, "video-task-77"),
    ({"data": {"taskId": "video-task-77", "requestId": "r-1"}}, "video-task-77"),
    ({"result": [{"generation_id": 77}], "user_id": "u-1"}, "77"),
    ({"request_id": "r-1", "output": {"task": "77-a"}}, "77-a"),
    ({"data": "video-task-77"}, "video-task-77"),
    ({"name": "operations/77"}, "operations/77"),
]


@pytest.mark.parametrize(("body", "found"), WITH_AN_ID, ids=[str(body) for body, _ in WITH_AN_ID])
def test_an_id_that_came_under_another_name_is_not_thrown_away(body: Any, found: str, tmp_path: Path) -> None:
    """It is on the error, in its message with the line that waits for it or adopts it, and in the store."""
    case = TOKEN360
    with pytest.raises(vidpoll.SubmitUnknown) as caught:
        client_of(case, [body]).client.submit(case.name, case.submit[0], **case.submit[1])
    line = re.search(r"Check whether that is the job with `(.+?)`", str(caught.value))
    assert line is not None
    assert client_of(case, [case.saying(case.completed, id=found)]).client.wait(taken(case, line[1])).ok
    told = client_of(case, [body], store=tmp_path / "s")
    with told.client as client, pytest.raises(vidpoll.SubmitUnknown) as caught:
        client.submit(case.name, case.submit[0], **case.submit[1])
    error = caught.value
    assert error.ids[0] == found
    assert json.loads(error.answer.body) == body
    assert error.transcript == (error.answer,)
    line = re.search(r"check whether that is the job: `vidpoll resume (.+?)`", str(error))
    assert line is not None
    options = dict(word.split("=", 1) for word in shlex.split(line[1]))
    assert options["--store"] == str(tmp_path / "s")
    with client_of(case, [case.saying(case.completed, id=found)], store=tmp_path / "s").client as client:
        (kept,) = client.store.unknown_submits()
        assert (found in kept.reason, options["--number"]) == (True, str(kept.number))
        assert client.wait(client.store.adopt(options["--adopt"], kept)).ok
        assert client.store.unknown_submits() == []


@each_provider
@pytest.mark.parametrize(
    "body", [b"", b"<html>ok</html>", b"null", b"{}", b'{"x": "y"}', b"\xff" * 5000], ids=lambda b: repr(b[:12])
)
def test_what_came_to_a_submit_is_on_its_error(body: bytes, case: Case) -> None:
    """At most 2,048 characters, printable, and none of them a key."""
    told = client_of(case, [raw(body + KEY.encode() if len(body) > 1000 else body)])
    with pytest.raises(vidpoll.SubmitUnknown) as caught:
        told.client.submit(case.name, case.submit[0], **case.submit[1])
    answer = caught.value.answer
    assert (answer.status, answer.method) == (200, "POST")
    assert len(answer.body) <= 2048
    assert leaks(str(caught.value) + repr(answer) + answer.body) == []
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "busy", "request_id": "r-1"}},
        {"user_id": "u-1", "model": {"name": "seedance-2"}, "trace_id": "t-1"},
        {"id": "..", "url": "https://x.example/1", "video": "1.mp4"},
    ],
    ids=str,
)
def test_what_is_no_jobs_id_is_not_offered_as_one(body: Any) -> None:
    """A line that does not help is worse than none."""
    with pytest.raises(vidpoll.SubmitUnknown, match="Look for it in `vidpoll jobs token360`") as caught:
        client_of(TOKEN360, [body]).client.submit("token360", TOKEN360.submit[0], **TOKEN360.submit[1])
    assert caught.value.ids == ()


def test_a_submit_that_no_answer_came_to_says_where_it_was_sent() -> None:
    """And what came instead of an answer."""
    told = client_of(TOKEN360, [ConnectionResetError()])
    with pytest.raises(vidpoll.SubmitUnknown, match=r"\(set TOKEN360_BASE_URL to change it\)") as caught:
        told.client.submit("token360", TOKEN360.submit[0], **TOKEN360.submit[1])
    assert (caught.value.answer.status, caught.value.ids) == (None, ())
    assert caught.value.answer.reason


# -- webhooks ---------------------------------------------------------------------------------------------------------

NAMING = [
    {"id": "evt_1", "object": "event", "type": "video.completed", "data": {"id": "@"}},
    {"type": "video.completed", "data": {"object": {"id": "@"}}},
    {"event": "done", "task_id": "@"},
    {"id": "evt_1", "status": "completed", "data": {"id": "@"}},
]


def fed(case: Case, body: Any) -> Told:
    told = client_of(case, [case.completed])
    told.job = told.client.feed(told.job, json.loads(json.dumps(body).replace("@", case.job_id)))
    return told


@pytest.mark.parametrize("body", NAMING, ids=str)
def test_a_webhook_that_only_names_the_job_is_asked_about(body: Any) -> None:
    """One status request, whose answer counts."""
    told = fed(TOKEN360, body)
    assert told.job.ok
    assert len(told.wire.sent) == 1


@each_provider
def test_a_webhook_that_names_another_job_asks_nothing(case: Case) -> None:
    """Anybody can push."""
    told = client_of(case, [case.completed])
    for body in (
        {"task_id": "other", "id": "other", "uuid": "other"},
        case.saying(case.completed, **{case.id_field: "other"}),
    ):
        with pytest.raises(vidpoll.AnswerError):
            told.client.feed(told.job, body)
    assert told.wire.sent == []
