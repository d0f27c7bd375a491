"""What may not be shown: text of providers on its way to a terminal, a log or an error."""

from __future__ import annotations

import html
import json
import re
import sys
import urllib.parse
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidpoll import Problem, Snapshot, State, redact
from vidpoll.faults import Fault

few = settings(max_examples=30, deadline=None)  # enough to find what is wrong, few enough to run always

SECRET = "s3cr3t-0123456789"


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain words", "plain words"),
        ("two\nlines\r\nand\ttabs", "two lines and tabs"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;https://evil.example\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bcreset", "creset"),
        ("\x9b31mC1", "31mC1"),
        ("bell\x07 null\x00 back\x08", "bell null back"),
        ("right\u202eleft", "right left"),
        ("half \ud800 letter", "half letter"),
        ("zero\u200bwidth \u2060and\ufeff marks", "zero width and marks"),
        ("a\u061cletter\u200f mark", "a letter mark"),
        ("tags\U000e0041\U000e0042 end", "tags end"),
        ("private\ue000 use", "private use"),
        ("a joined \U0001f469\u200d\U0001f680 emoji", "a joined \U0001f469\u200d\U0001f680 emoji"),
        ("no\u200djoin \u200d\u200d\U0001f680\u200d", "no join \U0001f680"),
        ("line\u2028separator", "line separator"),
        ("  outer  spaces  ", "outer spaces"),
        ("", ""),
        (None, "None"),
        (7, "7"),
        (b"x", "b'x'"),
    ],
)
def test_one_line_without_controls(raw: object, shown: str) -> None:
    """Nothing that moves a cursor, colours, hides or breaks a line is left."""
    assert redact.text(raw) == shown


@pytest.mark.parametrize(
    "raw",
    [
        f"sk-{SECRET}",
        f"Incorrect API key provided: sk-{SECRET}.",
        f"hf_{SECRET}x",
        f"Bearer {SECRET}",
        f"authorization: Bearer {SECRET}",
        f"{{'Authorization': 'Bearer {SECRET}'}}",
        f"Authorization: Basic {SECRET}",
        f"api_key={SECRET}",
        f"api_key: {SECRET}, next",
        f'"apiKey": "{SECRET}"',
        f"'openai_api_key': '{SECRET}'",
        f"pexels_api_keys = ['{SECRET}', '{SECRET}']",
        f'pixabay_api_keys = [ "{SECRET}",\n "{SECRET}" ]',
        f'{{\\"api_key\\": \\"{SECRET}\\"}}',
        f'"api_key": "{SECRET}',
        f"'secrets_token': ['{SECRET}'",
        f"client_secret: {{'value': '{SECRET}'}}",
        f"secretKey={SECRET}",
        f"aws_secret_access_key = {SECRET}",
        f"password : {SECRET}",
        f"passwd={SECRET}",
        f"X-Amz-Signature={SECRET}",
        f"AIza{SECRET}{SECRET}",
        f"eyJhbGciOiJI.eyJ{SECRET}.{SECRET}",
        f"https://media.example/a.mp4?X-Amz-Signature={SECRET}",
        f"HTTPS://MEDIA.EXAMPLE/A.MP4?SIG={SECRET}",
        f"see https://user:{SECRET}@host.example/a, please",
        f"postgresql://user:{SECRET}@db.example/app",
        f"https://a.example/cb#access={SECRET}",
        f"cdn.example.com/x.mp4?sig={SECRET}&se=1",
        f"//cdn.example.com/x.mp4?sig={SECRET}",
        f"//user:{SECRET}@cdn.example.com/x.mp4",
        f"/x.mp4?anything={SECRET}",
        f"x.mp4#t=1&access={SECRET}",
        f"https://cdn.example/my video.mp4?sig={SECRET}",
        f"https:\\/\\/cdn.example\\/x.mp4?what={SECRET}",
        f"https:\\/\\/user:{SECRET}@cdn.example\\/x.mp4",
        f"https%3A%2F%2Fcdn.example%2Fx.mp4%3Fwhat%3D{SECRET}",
        f"https%253A%252F%252Fcdn.example%252Fx.mp4%253Fwhat%253D{SECRET}%2526b%253D",
        f"https://cdn.example/x.mp4\\u003fwhat\\u003d{SECRET}",
        f"https://cdn.example/x.mp4\\\\u003fwhat\\\\u003d{SECRET}",
        f"cdn.example/x.mp4&#63;what&#x3d;{SECRET}",
        f"cdn.example/x.mp4?a=&quot;&amp;what={SECRET}",
        f"sv=2024-11-04&sp=r&sig={SECRET}&se=2026",
        f"CloudFront-Policy={SECRET}",
        f"CloudFront-Key-Pair-Id={SECRET}",
        f"https://cdn.example/x.mp4?hdnts=exp=1~hmac={SECRET}",
        f"https://cdn.example/hdnts=exp=1~acl=/*~hmac={SECRET}/x.mp4",
        f"session={SECRET}",
        f"'session': '{SECRET}'",
        f"sid={SECRET}; otp={SECRET}",
        f"jwt: {SECRET}",
        f"passphrase: {SECRET}",
        f"hmac {{}} hmac = {SECRET}",
    ],
)
def test_keys_and_what_signs_a_url_are_not_shown(raw: str) -> None:
    """A key is hidden by its shape, its name or its place, quoted, escaped or cut off as it may be."""
    shown = redact.text(raw)
    assert "0123456789" not in shown
    assert redact.text(shown) == shown


@pytest.mark.parametrize(
    "raw",
    [
        "the prompt is too long: 2000 characters at most",
        "magicoal:3f8a2d1b-4c9e-4b7f-8d2a-1f3c5e7a9b0d is generating_video",
        "fal:fal-ai/kling/requests/7c0d1f9a",
        "no such task: 6c85c8cc-a77a-42b9-bc30-947815aa0558",
        "risk-free keyboard tokens",
        "basic authentication failed",
        "HTTP 502 without JSON (text/html)",
        "https://media.example/a/b.mp4",
        "https://media.example/a%20b/100%25/%E4%B8%AD.mp4",
        "your prompt violates our content policy: violence",
        "the session is over; sign up, and pin it to the wall",
        "why? a = b, or 1 + 1 = 2",
        "design=flat, cosine=0.5, mapping=on, max_tokens: 5",
        "C:\\clips\\new.mp4 // not found",
        "\u5bc6\u7801\u9519\u8bef\uff1a\u8bf7\u91cd\u8bd5",
    ],
)
def test_ordinary_text_stays(raw: str) -> None:
    """What is no secret is what a user needs to read."""
    assert redact.text(raw) == raw


CONFIG = {
    "video_source": "pexels",
    "pexels_api_keys": ["PX" + "a1" * 27, "PY" + "b2" * 27],
    "pixabay_api_keys": [],
    "llm_provider": "openai",
    "openai_api_key": "sk-proj-" + "c3" * 20,
    "moonshot_api_key": "d4" * 16,
    "azure_api_key": "e5" * 16,
    "gemini_api_key": "AIzaSy" + "f6" * 16,
    "qwen_api_key": "sk-" + "a7" * 16,
    "cloudflare_api_key": "b8" * 20,
    "deepseek_api_key": "c9" * 16,
    "ernie_secret_key": "d0" * 16,
    "redis_password": "e1" * 8,
    "upload_post_api_key": "f2" * 20,
    "notes": "x" * 2000,
}
KEYS = re.findall(r"(?:[a-f]\d){8,}", str(CONFIG))


@pytest.mark.parametrize("width", [500, 3000])
@pytest.mark.parametrize("layout", [str, lambda config: "\n".join(f"{k} = {v!r}" for k, v in config.items())])
def test_a_config_dump_shows_no_key(layout: Any, width: int) -> None:
    """MoneyPrinterTurbo 1.3.3 sends its whole configuration, 3 kB with every key, as the error of a job."""
    dump = f"api_key is not set, please set it in the config.toml file.\n\n{layout(CONFIG)}"
    assert len(dump) > 2500
    shown = redact.text(dump, limit=width)
    assert len(shown) <= width
    assert [key for key in KEYS if key in shown] == []
    assert re.findall(r"(?:[a-f]\d){4,}", shown) == []


def test_known_secrets_are_hidden_whatever_they_look_like() -> None:
    """A key of the account is hidden wherever it stands, also with an escape sequence in the middle of it."""
    assert redact.text("you sent hunter22!", secrets=["hunter22!"]) == "you sent [redacted]"
    assert redact.text("you sent hunt\x1b[0mer22!", secrets=["hunter22!"]) == "you sent [redacted]"


CHARACTERS = st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=";")
SECRETS = st.text(CHARACTERS, min_size=10, max_size=40).filter(
    lambda text: sum(map(text.count, "\\%")) < 2 and not re.search(r"\\[xu]", text)
)
PLAIN = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=";\\%"), min_size=6, max_size=40)
SPELT = [
    lambda char: char,
    lambda char: f"\\u{ord(char):04x}",
    lambda char: f"\\\\u{ord(char):04X}",
    lambda char: f"%{ord(char):02x}",
    lambda char: f"%25{ord(char):02X}",
    lambda char: f"&#{ord(char)};",
    lambda char: f"&amp;#x{ord(char):x};",
]
BREAKS = ["", "", "", "\u200b", "\x1b[0m", "\x00", "\ufeff", "\U000e0041"]


def whole(secret: str, text: str) -> bool:
    """Whether anybody can read a secret out of a text."""
    read = [text, urllib.parse.unquote(text), html.unescape(text), text.replace("\\/", "/").replace('\\"', '"')]
    return any(secret in each for each in read)


@few
@given(PLAIN, st.data())
def test_no_spelling_of_a_secret_survives(secret: str, data: st.DataObject) -> None:
    """Each character may be escaped in its own way, once or twice, with something unseen behind it."""
    ways = [data.draw(st.sampled_from(SPELT)) for _ in secret]
    breaks = [data.draw(st.sampled_from(BREAKS)) for _ in secret]
    told = "".join(way(char) + gap for way, char, gap in zip(ways, secret, breaks, strict=True))
    assert redact.hide(f"you sent <{told}> !", [secret]) in (
        f"you sent <{redact.HIDDEN}> !",
        f"you sent <{redact.HIDDEN}{breaks[-1]}> !",
    )


@few
@given(SECRETS, st.text(), st.text())
def test_no_secret_survives_in_any_language(secret: str, before: str, after: str) -> None:
    """Plain, and as JSON, PHP's JSON, a URL, HTML and Python write it, whatever stands around it."""
    as_json = json.dumps(secret)[1:-1]
    for spelt in (
        secret,
        as_json,
        as_json.replace("/", "\\/"),
        json.dumps(as_json)[1:-1],
        urllib.parse.quote(secret, safe=""),
        urllib.parse.quote(urllib.parse.quote(secret, safe=""), safe=""),
        html.escape(secret),
        repr(secret)[1:-1],
    ):
        hidden = redact.hide(f"{before} {spelt} {after}", [secret])
        around = f"{before}  {after}"
        assert not whole(secret, hidden) or whole(secret, around) or whole(secret, redact.HIDDEN)
        assert redact.holds(f"{before} {spelt} {after}", [secret])


@few
@given(st.text("xyz", min_size=6), st.text(st.characters(exclude_characters="xyz\\%&")))
def test_what_holds_no_secret_stays(secret: str, text: str) -> None:
    """Byte for byte, escapes and all."""
    raw = text + "\\u0041 %41 &amp; \\\\" + text
    assert redact.hide(raw, [secret]) == raw
    assert not redact.holds(raw, [secret])


@pytest.mark.parametrize(
    ("raw", "secrets", "hidden"),
    [
        ("a-secret-1b", ["a-secret-1", "secret-1b"], "[redacted]"),
        ("key-01 key-012", ["key-01", "key-012"], "[redacted] [redacted]"),
        ("key-01key-01", ["key-01"], "[redacted][redacted]"),
        ('{"k": "ab\\/cd\\/ef", "\u4e2d": "\u6587"}', ["ab/cd/ef"], '{"k": "[redacted]", "\u4e2d": "\u6587"}'),
        ("\u4e2dab%2Fcd%2Fef\u6587", ["ab/cd/ef"], "\u4e2d[redacted]\u6587"),
        ("100%25 ab%2Fcd%2Fef \\n", ["ab/cd/ef"], "100%25 [redacted] \\n"),
        ("nothing", ["ab/cd/ef", "short"], "nothing"),
    ],
)
def test_what_stands_around_a_secret_stays(raw: str, secrets: list[str], hidden: str) -> None:
    """Secrets that overlap are hidden as one; what was not part of one is left as it came, escapes and all."""
    assert redact.hide(raw, secrets) == hidden


def work(text: str, secrets: list[str]) -> int:
    """How many calls, of Python and of C, it takes to hide secrets in a text."""
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    redact.hide(text, secrets)  # what is made once
    sys.setprofile(count)
    try:
        redact.hide(text, secrets)
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize("piece", ["\\", "%41", "\\u0041", "&amp;", "%25", "key-01 ", "k%65y-01 ", "\u4e2d", "plain "])
def test_the_work_grows_with_the_text_alone(piece: str) -> None:
    """Linear in the text; 64 secrets cost a search each, and no pattern and no reading more."""
    secrets = [f"token-{number}-of-64" for number in range(63)] + ["key-01"]
    short, long = (work(piece * number, secrets) for number in (1000, 4000))
    assert long <= 4 * short
    assert work(piece * 4000, secrets) - work(piece * 4000, secrets[-1:]) < 64 * 12


def test_no_pattern_is_made_of_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that is minted for each request must not cost a compilation each."""
    with monkeypatch.context() as only:
        for name in ("compile", "match", "fullmatch", "search", "sub", "subn", "split", "findall", "finditer"):
            only.setattr(re, name, None)
        hidden = redact.hide("k%65y-01 \\u0041", ["key-01", "other-secret"])
    assert hidden == "[redacted] \\u0041"


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("api_key", True),
        ("X-Signature", True),
        ("sessionId", True),
        ("session", True),
        ("CloudFront-Policy", True),
        ("otp", True),
        ("pin", True),
        ("pexels_api_keys", True),
        ("set-cookie", True),
        ("total_tokens", False),
        ("keyframe", False),
        ("design", False),
        ("status", False),
        ("", False),
    ],
)
def test_a_name_that_says_secret(name: str, secret: bool) -> None:
    """Of a field of JSON or of a submit; counts of tokens are none."""
    assert redact.is_secret_name(name) is secret


def test_a_short_secret_does_not_eat_the_text() -> None:
    """A "secret" of five letters or fewer is left: it would hide ordinary words."""
    assert redact.text("none of it", secrets=["no", ""]) == "none of it"


@pytest.mark.parametrize(("limit", "length"), [(500, 500), (60, 60), (1, 1)])
def test_the_limit_holds(limit: int, length: int) -> None:
    """What is longer than the limit ends with an ellipsis, inside the limit."""
    shown = redact.text("é" * 10_000, limit=limit)
    assert (len(shown), shown[-1]) == (length, "…")


@few
@given(st.text(), st.integers(1, 600))
def test_any_text_is_one_safe_line(raw: str, limit: int) -> None:
    """Rule 7: never raises, never longer than asked, never a character that cannot be printed; U+200D may join."""
    shown = redact.text(raw, limit=limit)
    assert len(shown) <= limit
    assert shown.replace("\u200d", "").isprintable()


PIECES = st.sampled_from(["api_key", "=", ": ", '"', "'", "\\", *"[]{}#@ ,", "Bearer ", "https://a.example/b?", SECRET])


@few
@given(st.lists(PIECES, max_size=12).map("".join))
def test_twice_hides_no_less(raw: str) -> None:
    """Text that was made safe once may pass again: nothing hidden comes back."""
    once = redact.text(raw)
    assert redact.text(once).count(SECRET) <= once.count(SECRET) <= raw.count(SECRET)


@few
@given(st.lists(PIECES, max_size=12).map("".join))
def test_a_known_secret_is_never_shown(raw: str) -> None:
    """However quotes, braces and URLs stand around it."""
    assert SECRET not in redact.text(raw, secrets=[SECRET])


def test_only_the_start_of_a_long_text_is_looked_at() -> None:
    """A body of many megabytes costs no more than its first 20 limits: no pattern ever sees more."""

    class Counting(str):
        __slots__ = ()

        def __getitem__(self, key: Any) -> str:
            assert key == slice(None, 20 * 500)
            return str.__getitem__(self, key)

        def __str__(self) -> str:
            return self

    assert redact.text(Counting("x" * 2**20)) == "x" * 499 + "…"


@pytest.mark.parametrize(
    "piece", ["secret", "api_key ", "token\\", "a-", "https://", "\x1b]", "bearer ", "eyJ", "password=[", "sk-"]
)
def test_no_pattern_backtracks_for_ever(piece: str) -> None:
    """The worst texts that we can think of, at the largest size that is looked at, end within this test run."""
    assert len(redact.text(piece * (10_000 // len(piece)))) <= 500


class Mute(Exception):
    """An exception that cannot even be printed."""

    def __str__(self) -> str:
        raise ValueError("not that either")


def test_a_value_that_cannot_be_printed() -> None:
    """Rule 7: a plugin's exception may fail in its own __str__."""
    assert redact.text(Mute()) == "Mute"
    assert redact.trace(Mute()) == "Mute: Mute\n"
    assert redact.error(Mute()) == "Mute"


def test_a_trace_shows_where_and_no_key() -> None:
    """The log gets the lines of code, and the message made safe."""
    try:
        raise ValueError(f"bad\napi_key={SECRET}")
    except ValueError as error:
        shown = redact.trace(error)
    first, *rest = shown.splitlines()
    assert first == "ValueError: bad api_key=[redacted]"
    assert any("test_redact.py" in line for line in rest)


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("https://a.example/b.mp4", "https://a.example/b.mp4"),
        ("https://a.example/b.mp4?x=1&y=2#z", "https://a.example/b.mp4?…"),
        ("https://u:p@a.example:8443/b", "https://a.example:8443/b"),
        ("/tasks/1/final-1.mp4?sig=1", "/tasks/1/final-1.mp4?…"),
        ("https://[::1", "[redacted]"),
        ("https://a.example/a\u202eb.mp4", "https://a.example/a b.mp4"),
        ("https://a.example/hdnts=exp=1~hmac=0a1b/b.mp4", "https://a.example/hdnts=\u2026~hmac=\u2026/b.mp4"),
        ("", ""),
    ],
)
def test_a_url_without_what_signs_it(raw: str, shown: str) -> None:
    """Scheme, host and path are shown; user data, query and fragment are not."""
    assert redact.url(raw) == shown


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        ("https://me:pw@a.example:8/v.mp4?sig=1#t=2", "https://a.example:8/v.mp4"),
        ("/tasks/1/v.mp4?x", "/tasks/1/v.mp4"),
        ("", ""),
    ],
)
def test_a_bare_url(raw: str, kept: str) -> None:
    """What is written to a disk: nothing that signs it, and no sign that there was any."""
    assert redact.bare(raw) == kept


@few
@given(st.text())
def test_url_never_raises(raw: str) -> None:
    """What is no URL is shown as far as it is safe."""
    redact.url(raw)


@pytest.mark.parametrize(
    ("secret", "telling"),
    [
        ("videos", False),
        ("123456", False),
        ("moneyprinterturbo", False),
        ("1234567890123456", False),
        ("k3y", False),
        ("sk0123456789abcd", True),
        ("vp/secret+0123456789", True),
    ],
)
def test_a_secret_that_stands_nowhere_by_coincidence(secret: str, telling: bool) -> None:
    """A plain word or number may be part of an id; sixteen characters and more of both are not."""
    assert redact.is_telling(secret) is telling


def test_while_an_answer_is_read_its_secrets_are_in_no_text() -> None:
    """All texts that are made safe; a word that counts is changed by a telling secret alone."""
    with redact.hiding(["videos", "sk0123456789abcd"]):
        assert redact.is_hiding()
        assert redact.text("the videos of sk0123456789abcd") == "the [redacted] of [redacted]"
        assert redact.text("making_videos sk0123456789abcd", word=True) == "making_videos [redacted]"
    assert not redact.is_hiding()
    assert redact.text("videos") == "videos"


def test_a_secret_is_hidden_before_a_text_is_cut() -> None:
    """Half a key is a key."""
    with redact.hiding(["videos"]):
        assert "vid" not in redact.text("x" * 497 + "videos")
        assert "vid" not in redact.text(" " * 9_997 + "videos")


def test_within_a_value() -> None:
    """JSON, tuples, named ones too, and frozen values; an Enum and a number stay."""
    snapshot = Snapshot(State.RUNNING, problem=Problem("hunter22!"), raw={"hunter22!": ["hunter22!", 7, None]})
    clean = redact.within((snapshot, Fault("hunter22!")), lambda text: redact.hide(text, ["hunter22!"]))
    assert clean == (
        Snapshot(State.RUNNING, problem=Problem("[redacted]")),
        Fault("[redacted]"),
    )
    assert clean[0].raw == {"[redacted]": ["[redacted]", 7, None]}
