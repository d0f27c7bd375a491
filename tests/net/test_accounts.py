"""Accounts: where a request goes, with whose key, and to whom that key may travel."""

from __future__ import annotations

import copy
import json
import pickle
import re
import traceback
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidpoll import (
    Account,
    AnyOf,
    Basic,
    Bearer,
    InvalidField,
    Minted,
    MissingKey,
    NoAuth,
    Operation,
    Pacing,
    PluginError,
    PreparedRequest,
    Provider,
    Request,
    Response,
    Snapshot,
    State,
    UnsafeURL,
    Unsupported,
    UsageError,
    redact,
)
from vidpoll.net import hosts
from vidpoll.net.accounts import OpenAccount, check_url, scrub
from vidpoll.net.hosts import Peer

few = settings(max_examples=30, deadline=None)  # enough to find what is wrong, few enough to run always

KEY = "k3y-abcdef-0123456789"
ASK = Request("GET", "/v1/jobs/1")
TIMES = (10.0, 30.0)
STATUS: Operation[Snapshot] = Operation(lambda job_id: ASK, lambda response, job_id: Snapshot(State.QUEUED))


def acme(**changes: Any) -> Provider:
    good: dict[str, Any] = {
        "name": "acme",
        "base_url": "https://api.acme.example",
        "auth": Bearer("ACME_API_KEY"),
        "pacing": Pacing(floor=5.0),
        "status": STATUS,
    }
    return Provider(**{**good, **changes})


def opened_account(
    account: Account | None = None, environ: Mapping[str, str] | None = None, name: str = "acme", **changes: Any
) -> OpenAccount:
    """An account of acme, opened in an environment that holds its key unless told otherwise."""
    environ = {"ACME_API_KEY": KEY} if environ is None else environ
    return OpenAccount(name, account or Account("acme"), acme(**changes), environ)


def secret(opened: OpenAccount) -> dict[str, str]:
    return dict(opened.wire(ASK, timeout=TIMES).secret)


# -- where ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_url", "environ", "base_url"),
    [
        (None, {}, "https://api.acme.example"),
        (None, {"ACME_BASE_URL": "https://proxy.example/acme/"}, "https://proxy.example/acme"),
        (None, {"ACME_BASE_URL": " http://localhost:8080\n"}, "http://localhost:8080"),
        (None, {"ACME_BASE_URL": ""}, "https://api.acme.example"),
        ("http://10.0.0.7:8080", {"ACME_BASE_URL": "https://proxy.example"}, "http://10.0.0.7:8080"),
    ],
)
def test_the_base_url(given_url: str | None, environ: dict[str, str], base_url: str) -> None:
    """The account's own, else the environment's, else the provider's; a slash at its end does not matter."""
    opened = opened_account(Account("acme", base_url=given_url), environ)
    assert opened.base_url == base_url
    assert OpenAccount("acme", Account("acme", base_url=given_url, key=None), acme(), environ).wire(
        ASK, timeout=TIMES
    ).url == f"{base_url}/v1/jobs/1"  # fmt: skip


def test_the_variable_of_a_name_with_a_hyphen() -> None:
    """my-video reads MY_VIDEO_BASE_URL: a shell cannot set a name with a hyphen."""
    environ = {"MY_VIDEO_BASE_URL": "https://proxy.example"}
    assert opened_account(Account("my-video"), environ, name="my-video").base_url == "https://api.acme.example"
    assert OpenAccount("a", Account("my-video"), acme(name="my-video"), environ).base_url == "https://proxy.example"


BAD_BASES = [
    "api.acme.example", "ftp://api.acme.example", "https://", "https://ann@api.acme.example", "https://a@b:word@a.example",
    "https://:word@a.example", "https://a.example?token=word", "https://a.example/#word", "https://a.example:word",
    "https://[::1", "https://a b.example",
    "https://a.example/\nX: y", "https://evil.example\\@api.acme.example",
]  # fmt: skip


@pytest.mark.parametrize("base_url", BAD_BASES)
def test_a_base_url_that_is_none(base_url: str) -> None:
    """The error says where the bad URL came from and what a good one looks like, and shows no password."""
    for account, environ, where in [
        (Account("acme", base_url=base_url), {}, "set its base_url"),
        (Account("acme"), {"ACME_BASE_URL": base_url}, "set ACME_BASE_URL"),
    ]:
        with pytest.raises(UsageError, match=f"{where} to one like https://api.acme.example") as caught:
            opened_account(account, environ)
        if "@" in base_url or "?" in base_url or "#" in base_url:
            assert "word" not in caught.value.message


# -- with whose key ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("account", "environ", "header"),
    [
        (Account("acme"), {"ACME_API_KEY": KEY}, f"Bearer {KEY}"),
        (Account("acme", key="k-own"), {"ACME_API_KEY": KEY}, "Bearer k-own"),
        (Account("acme", key=lambda: "k-called"), {}, "Bearer k-called"),
        (Account("acme", key={"ACME_API_KEY": "k-mapped"}), {}, "Bearer k-mapped"),
        (Account("acme", key=lambda: {"ACME_API_KEY": "k-both"}), {}, "Bearer k-both"),
    ],
)
def test_where_a_key_comes_from(account: Account, environ: dict[str, str], header: str) -> None:
    """The account's own key comes before the environment: text, a mapping, or a function that gives either."""
    assert secret(opened_account(account, environ)) == {"Authorization": header}


def test_named_accounts_of_one_provider() -> None:
    """Two accounts share the provider's variables unless they bring a key, and each is named in its own errors."""
    first, second = opened_account(name="acme"), opened_account(Account("acme", key="k-2"), name="team")
    assert (secret(first), secret(second)) == ({"Authorization": f"Bearer {KEY}"}, {"Authorization": "Bearer k-2"})
    with pytest.raises(MissingKey, match=r"team: no key.*accounts=\{'team': vidpoll.Account\('acme', key="):
        opened_account(Account("acme"), {}, name="team").secrets()


def test_a_function_is_asked_for_each_request() -> None:
    """A key that expires is fetched anew, once for every request."""
    keys = iter(["k-first", "k-second"])
    opened = opened_account(Account("acme", key=lambda: next(keys)))
    assert [secret(opened)["Authorization"] for _ in range(2)] == ["Bearer k-first", "Bearer k-second"]


def test_no_key_and_no_auth() -> None:
    """`key=None` sends none, whatever the environment holds; NoAuth never looks."""
    assert secret(opened_account(Account("acme", key=None))) == {}
    assert secret(opened_account(Account("acme", key="k-unused"), auth=NoAuth())) == {}


PAIR = Basic("ACME_USER", "ACME_WORD")


def test_several_secrets() -> None:
    """A provider with two secrets takes both from the environment or out of a mapping."""
    both = {"ACME_USER": "ann", "ACME_WORD": "pass word"}
    expected = {"Authorization": "Basic " + b64encode(b"ann:pass word").decode()}
    assert secret(opened_account(environ=both, auth=PAIR)) == expected
    assert secret(opened_account(Account("acme", key=both), {}, auth=PAIR)) == expected


@pytest.mark.parametrize(
    ("key", "environ", "auth", "missing"),
    [
        (..., {}, Bearer("ACME_API_KEY"), "ACME_API_KEY"),
        (..., {"ACME_API_KEY": ""}, Bearer("ACME_API_KEY"), "ACME_API_KEY"),
        ("", {}, Bearer("ACME_API_KEY"), "ACME_API_KEY"),
        ({"ACME_KEY": KEY}, {}, Bearer("ACME_API_KEY"), "ACME_API_KEY"),
        (..., {}, PAIR, "ACME_USER and ACME_WORD"),
        (..., {"ACME_USER": "ann"}, PAIR, "ACME_WORD"),
        ("ann", {}, PAIR, "ACME_WORD"),
        (..., {"ACME_USER": "ann"}, Basic("ACME_USER", "ACME_WORD", required=False), "ACME_WORD"),
    ],
)
def test_a_missing_key_names_the_variable(key: Any, environ: dict[str, str], auth: Any, missing: str) -> None:
    """Before any request: which variable to set, or what the key in Python lacks. Half a pair is no pair."""
    opened = opened_account(Account("acme") if key is ... else Account("acme", key=key), environ, auth=auth)
    for ask in (opened.check, lambda: opened.wire(ASK, timeout=TIMES)):
        said = (
            f"Set the environment variable {missing}," if key is ... else f"is empty or has no {missing}: pass it there"
        )
        with pytest.raises(MissingKey, match=said):
            ask()


@pytest.mark.parametrize("key", ["", ...])
def test_a_key_that_is_not_required(key: Any) -> None:
    """A provider that answers without a key is asked without one."""
    account = Account("acme") if key is ... else Account("acme", key=key)
    assert secret(opened_account(account, {}, auth=Bearer("ACME_API_KEY", required=False))) == {}


@pytest.mark.parametrize(
    "key", [f"{KEY}\n", f"{KEY}\r\nX-Evil: 1", f" {KEY}", "k\u00e9y-abcdef", "k\0y", "\ud800", 7, b"k"]
)
def test_a_key_that_no_header_can_carry(key: Any) -> None:
    """A line end from a file, an accent or a control character is refused before any request; the key is not shown."""
    given = re.escape("ACME_API_KEY of accounts={'acme': vidpoll.Account('acme', key=…)}")
    for account, environ, said in [
        (Account("acme", key=key), {}, given),
        (Account("acme"), {"ACME_API_KEY": key}, "ACME_API_KEY"),
    ]:
        with pytest.raises(MissingKey, match=f"^acme: {said} is not a key: it has") as caught:
            opened_account(account, environ).check()
        assert "abcdef" not in caught.value.message


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (..., "Check the key (ACME_API_KEY)"),
        ("wrong", "Check the key (accounts={'night': vidpoll.Account('acme', key=…)})"),
        (lambda: "wrong", "Check the key (accounts={'night': vidpoll.Account('acme', key=…)})"),
        (None, "No key was sent, because this account has key=None: omit key= to use ACME_API_KEY"),
    ],
)
def test_a_refused_key_is_named_by_where_it_came_from(key: Any, said: str) -> None:
    """A variable of the environment is named only if the key comes from there."""
    account = Account("acme") if key is ... else Account("acme", key=key)
    assert opened_account(account, name="night").key_advice == said


@pytest.mark.parametrize("key", ["", {}, {"OTHER": "x"}, lambda: ""])
def test_an_empty_key_of_python_does_not_blame_the_environment(key: Any) -> None:
    """To set the variable would change nothing."""
    said = r"^acme: no key\. The key in accounts=.* is empty or has no ACME_API_KEY: pass it there, or omit key= to use"
    with pytest.raises(MissingKey, match=said):
        opened_account(Account("acme", key=key)).check()


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("coals.ai/api", "it must begin with https:// (or http://)"),
        ("ftp://a.example", "it must begin with https:// (or http://)"),
        ("https://a b.example", "it must not hold spaces or invisible characters"),
        ("https://a.example?b=c", "it must not hold '?' or '#'"),
        ("https://a.example:x", "its host or port cannot be read"),
        ("https://:80", "its host or port cannot be read"),
    ],
)
def test_the_fault_of_a_base_url_is_named(url: str, fault: str) -> None:
    """The URL itself may be hidden."""
    with pytest.raises(UsageError, match=re.escape(f" is not a base URL: {fault}; set its base_url to one like ")):
        opened_account(Account("acme", base_url=url))


def test_a_key_is_in_no_repr_and_in_no_pickle() -> None:
    """Rule 6: what is printed, logged or pickled holds no key; an account with a key of its own is not pickled."""
    opened = opened_account(Account("acme", key=KEY))
    wire = opened.wire(ASK, timeout=TIMES)
    assert KEY not in f"{opened} {opened.account!r} {wire!r} {opened.media('/a.mp4', {}, timeout=TIMES)!r}"
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(opened.account)
    plain = Account("acme", base_url="https://a.example", insecure=True, private_media=True)
    assert repr(plain) == "Account('acme', base_url='https://a.example', insecure=True, private_media=True)"
    assert pickle.loads(pickle.dumps(plain)) == plain == copy.copy(plain)
    assert pickle.loads(pickle.dumps(Account("acme", key=None))) == Account("acme", key=None)


@pytest.mark.parametrize("misplaced", [{"base_url": KEY}, {}])
def test_a_key_in_the_place_of_a_base_url_is_not_shown(misplaced: dict[str, Any]) -> None:
    """Not in the repr, and not in the error, which says where the base URL must be."""
    account = Account("acme", **misplaced)
    assert KEY not in repr(account)
    with pytest.raises(
        UsageError, match=r"acme: '\[redacted\]' is not a base URL: it must .*; set .* to one like https://"
    ) as caught:
        opened_account(account, {"ACME_BASE_URL": KEY})
    assert KEY not in caught.value.message


def test_only_the_provider_of_an_account_is_positional() -> None:
    """So a key that is written second is refused, and not taken for the base URL."""
    with pytest.raises(TypeError, match="positional"):
        Account("acme", KEY)  # type: ignore[call-arg]


# -- the request ------------------------------------------------------------------------------------------------------


def test_a_request_on_the_wire() -> None:
    """Base URL, encoded query, headers of provider and request, JSON in UTF-8; the key apart from all that."""
    request = Request("POST", "/v1/t2v", (("a", "1 &"), ("a", "é")), {"x-one": "1"}, json={"prompt": "é"})
    wire = opened_account(Account("acme", base_url="http://10.0.0.7:8080/api"), headers={"x-all": "2"}).wire(
        request, timeout=TIMES
    )
    assert (wire.method, wire.url) == ("POST", "http://10.0.0.7:8080/api/v1/t2v?a=1+%26&a=%C3%A9")
    assert dict(wire.headers) == {"x-all": "2", "x-one": "1", "Content-Type": "application/json"}
    assert (wire.body, dict(wire.secret)) == ('{"prompt": "é"}'.encode(), {"Authorization": f"Bearer {KEY}"})


def test_a_content_type_of_the_plugin_is_kept() -> None:
    """Header names have no case: a plugin that names a type is not overruled."""
    wire = opened_account().wire(
        Request("POST", "/a", headers={"content-type": "application/x"}, json=[]), timeout=TIMES
    )
    assert dict(wire.headers) == {"content-type": "application/x"}


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), Path("a.png"), b"png", "\ud800", {1, 2}, object()], ids=repr
)
def test_a_field_that_json_cannot_say(value: object) -> None:
    """A bad field of a submit is an error of the call, before anything is sent."""
    with pytest.raises(InvalidField, match="acme: cannot be written as JSON"):
        opened_account().wire(Request("POST", "/a", json={"seed": value}), timeout=TIMES)


def test_a_circle_is_no_json() -> None:
    """Nor is a list that holds itself."""
    circle: list[object] = []
    circle.append(circle)
    with pytest.raises(InvalidField):
        opened_account().wire(Request("POST", "/a", json=circle), timeout=TIMES)


def test_auth_sees_the_request_and_its_secrets_only() -> None:
    """Minted auth gets what it declared, and nothing else of the environment."""
    seen: list[tuple[PreparedRequest, Mapping[str, str]]] = []

    def sign(request: PreparedRequest, secrets: Mapping[str, str]) -> Mapping[str, str]:
        seen.append((request, secrets))
        return {"X-Sign": "1"}

    environ = {"A": "aaa", "B": "bbb", "C": "ccc"}
    changes: dict[str, Any] = {"auth": Minted(("A", "B"), sign), "headers": {"X-Version": "2"}}
    opened = OpenAccount("acme", Account("acme"), acme(**changes), environ, lambda: 1500.0)
    asked = Request("POST", "/v1/jobs", (("a", "ä b"),), {"X-Action": "Make"}, {"prompt": "é"})
    assert dict(opened.wire(asked, timeout=TIMES).secret) == {"X-Sign": "1"}
    headers = {"X-Version": "2", "X-Action": "Make", "Content-Type": "application/json"}
    url = "https://api.acme.example/v1/jobs?a=%C3%A4+b"
    prepared = PreparedRequest("POST", url, headers, '{"prompt": "é"}'.encode(), 1500.0)
    assert seen == [(prepared, {"A": "aaa", "B": "bbb"})]
    opened.media("https://api.acme.example/a.mp4", {"Range": "bytes=0-"}, timeout=TIMES)
    file = PreparedRequest("GET", "https://api.acme.example/a.mp4", {"Range": "bytes=0-"}, b"", 1500.0)
    assert seen[1][0] == file


# -- other hosts of the vendor's --------------------------------------------------------------------------------------

REST = Request("GET", "/v1/list", host="rest.acme.example")
VENDORS = ("rest.acme.example", "*-eu.acme.example")


@pytest.mark.parametrize("base_url", [None, "https://api.acme.example/", "https://west-eu.acme.example/v1"])
def test_a_request_to_another_host_of_the_vendors(base_url: str | None) -> None:
    """It gets the key, which goes to that host and to no other; headers of the account's own stay at its origin."""
    account = Account("acme", base_url=base_url, headers={"X-Door": "opensesame"})
    wire = opened_account(account, hosts=VENDORS).wire(REST, timeout=TIMES)
    assert (wire.url, dict(wire.secret)) == (
        "https://rest.acme.example/v1/list",
        {"Authorization": f"Bearer {KEY}"},
    )
    others = ("https://api.acme.example/", "http://rest.acme.example/", "https://rest.acme.example:8443/", "https://x/")
    assert [wire.trusted(url) for url in (wire.url, *others)] == [True, False, False, False, False]
    assert dict(wire.own(wire.url)) == {}


@pytest.mark.parametrize(
    "base_url",
    ["http://127.0.0.1:8188", "https://proxy.example", "http://api.acme.example", "http://west-eu.acme.example"],
)
def test_another_host_is_not_asked_for_an_account_elsewhere(base_url: str) -> None:
    """The key of a proxy or of a server of one's own is not the vendor's business."""
    account = Account("acme", base_url=base_url, insecure=True)
    with pytest.raises(
        Unsupported, match=r"^acme: this request goes to rest\.acme\.example, which needs an account at"
    ):
        opened_account(account, hosts=VENDORS).wire(REST, timeout=TIMES)
    environ = {"ACME_API_KEY": KEY, "ACME_BASE_URL": "https://proxy.example"}
    with pytest.raises(Unsupported, match=r"not at https://proxy\.example\. Unset ACME_BASE_URL$"):
        opened_account(environ=environ, hosts=VENDORS).wire(REST, timeout=TIMES)


@pytest.mark.parametrize("host", ["evil.example", "eu.acme.example", "a.b-eu.acme.example", "-eu.acme.example"])
def test_a_host_that_the_provider_does_not_name_is_never_asked(host: str) -> None:
    """Whatever an answer names: a star stands for one part of a name."""
    with pytest.raises(PluginError, match="which is not in Provider"):
        opened_account(hosts=VENDORS).wire(Request("GET", "/v1/list", host=host), timeout=TIMES)


@pytest.mark.parametrize("host", ["*", "*.example", "*acme.example", "https://a.example", "A.example", "a.*.b", ""])
def test_what_is_no_host(host: str) -> None:
    """A star alone, or before what anybody can register, would give the key away."""
    with pytest.raises(PluginError, match="hosts"):
        acme(hosts=(host,))


# -- to whom the key may go -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["api.acme.example", "8.8.8.8", "[2001:4860:4860::8888]", "134744072"])
def test_no_key_over_plain_http_to_a_public_host(host: str) -> None:
    """Refused before any request, unless the account says `insecure=True`, or there is no key."""
    url = f"http://{host}:8080"
    opened = opened_account(Account("acme", base_url=url))
    for ask in (opened.check, lambda: opened.wire(ASK, timeout=TIMES)):
        with pytest.raises(UsageError, match=r"unencrypted.*insecure=True"):
            ask()
    assert secret(opened_account(Account("acme", base_url=url, insecure=True))) == {"Authorization": f"Bearer {KEY}"}
    assert secret(opened_account(Account("acme", base_url=url, key=None))) == {}


@pytest.mark.parametrize("host", ["localhost:8080", "10.0.0.7", "[::1]:8080", "gpu2"])
def test_plain_http_at_home(host: str) -> None:
    """A server on the same machine or network gets its key over http."""
    assert secret(opened_account(Account("acme", base_url=f"http://{host}")))


@pytest.mark.parametrize(
    ("url", "may"),
    [
        ("https://api.acme.example/a", True),
        ("https://API.ACME.example:443/a", True),
        ("https://cdn.acme.example/a.mp4", True),
        ("https://cdn.acme.example:443/a.mp4", True),
        ("https://cdn.acme.example:8443/a.mp4", False),
        ("http://cdn.acme.example/a.mp4", False),
        ("http://cdn.acme.example:443/a.mp4", False),
        ("http://api.acme.example/a", False),
        ("http://api.acme.example:443/a", False),
        ("https://api.acme.example:8443/a", False),
        ("https://acme.example/a", False),
        ("https://x.api.acme.example/a", False),
        ("https://x.cdn.acme.example/a", False),
        ("https://api.acme.example.evil.example/a", False),
        ("https://api.acme.example@evil.example/a", False),
        ("https://evil.example\\@api.acme.example/a", False),
        ("https://evil.example#@api.acme.example/a", False),
        ("https://evil.example/https://api.acme.example/", False),
        ("//api.acme.example/a", False),
        ("/a", False),
        ("ftp://api.acme.example:443/a", False),
        ("https://[::1", False),
        ("", False),
    ],
)
def test_the_key_goes_to_its_own_origin_only(url: str, may: bool) -> None:
    """Rule 6: scheme, host and port of the base URL, and the https hosts that the plugin names; asked at every hop."""
    opened = opened_account(media_hosts=("cdn.acme.example",))
    assert opened.may_hold_key(url) is may
    assert opened.wire(ASK, timeout=TIMES).trusted(url) is may


@few
@given(st.text())
def test_no_text_is_trusted_by_accident(url: str) -> None:
    """Whatever a Location header holds: a yes or no, never an exception, and no to all but the origin."""
    assert opened_account().may_hold_key(url) is False


@pytest.mark.parametrize(
    ("base_url", "url", "full", "key"),
    [
        ("https://api.acme.example/v1", "/tasks/1/a.mp4?s=1", "https://api.acme.example:443/tasks/1/a.mp4?s=1", True),
        ("https://api.acme.example/v1", "tasks/1/a.mp4", "https://api.acme.example:443/tasks/1/a.mp4", True),
        ("http://[::1]:8080", "/a.mp4", "http://[::1]:8080/a.mp4", True),
        ("http://localhost:8080", "http://localhost:8080/a.mp4", "http://localhost:8080/a.mp4", True),
        ("http://localhost:8080", "http://localhost:8081/a.mp4", "http://localhost:8081/a.mp4", False),
        ("https://api.acme.example", "//evil.example/a.mp4", "https://evil.example/a.mp4", False),
        (
            "https://api.acme.example",
            "https://bucket.example/a.mp4?X-Sig=1",
            "https://bucket.example/a.mp4?X-Sig=1",
            False,
        ),
        ("https://api.acme.example", "https://cdn.acme.example/a.mp4", "https://cdn.acme.example/a.mp4", True),
        ("https://gateway.example", "https://cdn.acme.example/a.mp4", "https://cdn.acme.example/a.mp4", False),
        ("https://api.acme.example:8443", "https://cdn.acme.example/a.mp4", "https://cdn.acme.example/a.mp4", False),
        ("https://api.acme.example/v1", "./files/1?a=b", "https://api.acme.example/v1/files/1?a=b", True),
    ],
)
def test_media(base_url: str, url: str, full: str, key: bool) -> None:
    """A relative URL stands at the origin, with "./" below the base URL; the key goes where it may, to no bucket.

    A gateway's key is none of the hosts' that the provider's plugin names.
    """
    opened = opened_account(Account("acme", base_url=base_url), media_hosts=("cdn.acme.example",))
    wire = opened.media(url, {}, timeout=TIMES)
    assert (wire.method, wire.url, bool(wire.secret)) == ("GET", full, key)


BAD_URLS = [
    "ftp://a.example/a", "file:///etc/passwd", "javascript:alert(1)", "data:video/mp4;base64,AAAA",
    "https://u:p@a.example/", "https://u@a.example/", "https://:p@a.example/", "https://[::1", "https://a:b/",
    "https://evil.example\\@a.example/", "http://[fe80::1%25\n]/",
]  # fmt: skip


@pytest.mark.parametrize("url", [*BAD_URLS, "https://a.example/a b", "https://", "https://a.example/\n", "/a.mp4", ""])
def test_a_url_that_is_not_fetched(url: str) -> None:
    """Plain http and https URLs only, and what is refused is shown without user data."""
    with pytest.raises(UnsafeURL, match="is not fetched") as caught:
        check_url(url)
    assert "u:p@" not in caught.value.message


@pytest.mark.parametrize("url", BAD_URLS)
def test_an_asset_that_is_not_fetched(url: str) -> None:
    """Nor is one of them fetched as an asset, joined to the account's origin or not."""
    with pytest.raises(UnsafeURL, match="is not fetched"):
        opened_account().media(url, {}, timeout=TIMES)


@few
@given(st.text())
def test_any_text_as_a_media_url(url: str) -> None:
    """A URL out of an answer is a request to somewhere, or UnsafeURL."""
    try:
        wire = opened_account().media(url, {}, timeout=TIMES)
    except UnsafeURL:
        return
    assert wire.url.startswith(("http://", "https://"))


# -- what came back ---------------------------------------------------------------------------------------------------


def test_a_key_that_is_echoed_is_scrubbed() -> None:
    """Some servers send back what they got; the rest of the answer stays as it is."""
    opened = opened_account()
    secrets = opened.wire(ASK, timeout=TIMES).secrets
    echo = scrub(Response(401, {"x": "1"}, json.dumps({"message": f"bad key {KEY}"}).encode()), secrets)
    assert (echo.status, echo.header("x"), echo.json()) == (401, "1", {"message": "bad key [redacted]"})
    clean = Response(200, {}, b"{}")
    assert scrub(clean, secrets) is clean


def test_what_was_sent_is_scrubbed_not_what_would_be_sent_now() -> None:
    """A key out of a function is another one the next time; the answer echoes the one that went with its request."""
    keys = iter(["k-first-0123", "k-second-0123"])
    opened = opened_account(Account("acme", key=lambda: next(keys)))
    first, second = (opened.wire(ASK, timeout=TIMES).secrets for _ in range(2))
    assert scrub(Response(401, {}, b"k-first-0123 k-second-0123"), first).body == b"[redacted] k-second-0123"
    assert scrub(Response(401, {}, b"k-first-0123 k-second-0123"), second).body == b"[redacted] [redacted]"


def test_what_auth_made_of_the_secrets_is_a_secret() -> None:
    """Basic sends its password in base64, and an echo of that gives it away."""
    opened = opened_account(environ={"ACME_USER": "ann", "ACME_WORD": "pass word"}, auth=PAIR)
    wire = opened.wire(ASK, timeout=TIMES)
    header = wire.secret["Authorization"]
    assert scrub(Response(401, {}, header.encode()), wire.secrets).body == b"Basic [redacted]"


def test_scrubbing_cannot_fail() -> None:
    """Rule 7: a key function that raises between request and answer does not lose the answer."""

    def key() -> str:
        if opened_once:
            raise OSError("vault is gone")
        opened_once.append(True)
        return KEY

    opened_once: list[bool] = []
    opened = opened_account(Account("acme", key=key))
    secrets = opened.wire(ASK, timeout=TIMES).secrets
    assert scrub(Response(200, {}, KEY.encode()), secrets).body == b"[redacted]"


# -- alternatives of keys ---------------------------------------------------------------------------------------------

SIGNED = Minted(("ACME_ACCESS", "ACME_SECRET"), lambda request, secrets: {"Authorization": f"Sign {len(secrets)}"})
EITHER = AnyOf(SIGNED, Bearer("ACME_API_KEY"))


@pytest.mark.parametrize(
    ("environ", "headers"),
    [
        ({"ACME_API_KEY": KEY}, {"Authorization": f"Bearer {KEY}"}),
        ({"ACME_ACCESS": "a", "ACME_SECRET": "s"}, {"Authorization": "Sign 2"}),
        ({"ACME_API_KEY": KEY, "ACME_ACCESS": "a", "ACME_SECRET": "s"}, {"Authorization": "Sign 2"}),
        ({"ACME_API_KEY": KEY, "ACME_ACCESS": "a", "ACME_SECRET": ""}, {"Authorization": f"Bearer {KEY}"}),
    ],
)
def test_the_first_alternative_that_is_set_counts(environ: dict[str, str], headers: dict[str, str]) -> None:
    """Their order is the plugin's, and a half of a pair is no key."""
    assert secret(opened_account(environ=environ, auth=EITHER)) == headers


def test_a_key_of_the_account_goes_to_the_alternative_that_takes_one() -> None:
    """A pair cannot be made of one text; a mapping is read as the environment is."""
    assert secret(opened_account(Account("acme", key=KEY), auth=EITHER)) == {"Authorization": f"Bearer {KEY}"}
    pair = {"ACME_ACCESS": "a", "ACME_SECRET": "s"}
    assert secret(opened_account(Account("acme", key=lambda: pair), auth=EITHER)) == {"Authorization": "Sign 2"}
    assert secret(opened_account(Account("acme", key=None), auth=EITHER)) == {}


@pytest.mark.parametrize(
    ("environ", "said"),
    [({}, "ACME_ACCESS and ACME_SECRET, or ACME_API_KEY,"), ({"ACME_ACCESS": "a"}, "ACME_SECRET, or ACME_API_KEY,")],
)
def test_a_missing_key_names_all_alternatives(environ: dict[str, str], said: str) -> None:
    """The user chooses which of them to set."""
    with pytest.raises(MissingKey, match=f"acme: no key. Set the environment variable {said}"):
        opened_account(environ=environ, auth=EITHER).secrets()


def test_alternatives_of_which_one_is_optional() -> None:
    """Where the provider also answers without a key, none has to be set."""
    assert opened_account(environ={}, auth=AnyOf(SIGNED, Bearer("ACME_API_KEY", required=False))).secrets() == {}


def test_no_secret_of_any_alternative_is_shown() -> None:
    """Rule 6: a server may echo what was never sent to it today, and was yesterday."""
    known = {"ACME_ACCESS": "access-0123456789", "ACME_SECRET": "secret-0123456789", "ACME_API_KEY": KEY}
    opened = opened_account(environ=known, auth=EITHER)
    assert opened.secrets().keys() == {"ACME_ACCESS", "ACME_SECRET"}
    assert not any(
        value in scrub(Response(200, {}, str(known).encode()), opened.known).body.decode() for value in known.values()
    )


MADE = "5f2a9c0d7e41b836"


@pytest.mark.parametrize(
    ("name", "value", "hidden"),
    [
        ("X-Access-Token", MADE, MADE),
        ("x-signature", f"t=1764369495,v1={MADE}", MADE),
        ("Authorization", f"AWS4-HMAC-SHA256 Credential=AK/2026, SignedHeaders=host, Signature={MADE}", MADE),
        ("Authorization", f'Digest username="a", response="{MADE}"', MADE),
        ("Cookie", f"lang=en; session={MADE}", MADE),
        ("X-Word", "letters", "letters"),
    ],
)
def test_whatever_auth_adds_is_a_secret(name: str, value: str, hidden: str) -> None:
    """Rule 6: in a header of whatever name, as a whole and in parts."""
    opened = opened_account(
        environ={"A": "key-0123456789"}, auth=Minted(("A",), lambda request, secrets: {name: value})
    )
    wire = opened.wire(ASK, timeout=TIMES)
    for echo in (value, f"got {hidden}!", f"x={hidden}&y"):
        assert hidden not in scrub(Response(401, {"x": echo}, echo.encode()), wire.secrets).text()
    assert opened.known == ("key-0123456789",)


def test_what_says_nothing_secret_is_shown() -> None:
    """A type and a date are no secrets, or no error could name them."""
    told = {"Content-Type": "application/json", "Date": "Sat, 28 Nov 2026 22:38:15 GMT", "Accept": "*/*"}
    opened = opened_account(environ={"A": "key-0123456789"}, auth=Minted(("A",), lambda request, secrets: told))
    assert opened.wire(ASK, timeout=TIMES).secrets == ("key-0123456789",)


def test_a_minted_token_goes_with_its_request() -> None:
    """However many are under way, each answer hides its own; the account keeps none of them."""
    count = iter(range(300))
    auth = Minted(("A",), lambda request, secrets: {"X-Token": f"token-{next(count)}-of-300"})
    opened = opened_account(environ={"A": "key-0123456789"}, auth=auth)
    wires = [opened.wire(ASK, timeout=TIMES) for _ in range(300)]
    bodies = [scrub(Response(401, {}, f"token-{n}-of-300".encode()), wires[n].secrets).body for n in range(300)]
    assert (set(bodies), opened.known) == ({b"[redacted]"}, ("key-0123456789",))


# -- what a traceback shows of its locals -----------------------------------------------------------------------------

BAD = f"{KEY} "
CHANNEL = Account("acme", base_url="http://far.example", key=KEY, headers={"X-Front": f"{KEY}2"})
NO_JSON = Request("POST", "/a", json={"seed": object()})


@pytest.mark.parametrize(
    ("kind", "make"),
    [
        (MissingKey, lambda: opened_account(Account("acme", key=BAD)).secrets()),
        (MissingKey, lambda: opened_account(Account("acme", key=BAD.encode())).secrets()),  # type: ignore[arg-type]
        (MissingKey, lambda: opened_account(environ={"ACME_API_KEY": "", "OTHER_API_KEY": KEY}).secrets()),
        (MissingKey, lambda: opened_account(environ={"ACME_ACCESS": KEY}, auth=SIGNED).secrets()),
        (UsageError, lambda: opened_account(CHANNEL).check()),
        (UsageError, lambda: opened_account(CHANNEL).wire(ASK, timeout=TIMES)),
        (UsageError, lambda: opened_account(Account("acme", base_url=f"http://me:{KEY}@@far.example", key=None))),
        (
            UsageError,
            lambda: opened_account(Account("acme", base_url=f"http://me:{KEY}@far.example", key=None)).check(),
        ),
        (UsageError, lambda: opened_account(Account("acme", key=None, headers={"X-Front": BAD}))),
        (InvalidField, lambda: opened_account(Account("acme", key=KEY)).wire(NO_JSON, timeout=TIMES)),
    ],
)
def test_no_local_of_a_traceback_shows_a_key(kind: type[Exception], make: Callable[[], object]) -> None:
    """Crash reports and rich's tracebacks show the locals of each frame."""
    with pytest.raises(kind) as caught:
        make()
    frames = [frame for frame, _ in traceback.walk_tb(caught.tb) if frame.f_globals["__name__"].startswith("vidpoll.")]
    shown = [repr(value) for frame in frames for value in frame.f_locals.values()]
    assert frames
    assert [each for each in shown if KEY[:8] in each] == []


def test_a_hidden_text_is_sent_and_not_shown() -> None:
    """It is a text in every way but its repr; a part of it, which rich shows of a long one, is hidden as well."""
    hidden = redact.Secret("secret-0123456789")
    assert (f"{hidden}", hidden, {hidden: 1}) == ("secret-0123456789", "secret-0123456789", {"secret-0123456789": 1})
    assert [repr(hidden), repr(hidden[:8]), repr([hidden])] == ["'[redacted]'", "'[redacted]'", "['[redacted]']"]


@pytest.mark.parametrize("alternatives", [(), (Bearer("A"),), (Bearer("A"), NoAuth()), (Bearer("A"), "B")], ids=str)
def test_alternatives_that_are_none(alternatives: Any) -> None:
    """One alternative is no choice, and one without a key would always be taken."""
    with pytest.raises(PluginError, match="AnyOf: give two or more kinds of auth with a key"):
        AnyOf(*alternatives)


# -- headers of the account's own -------------------------------------------------------------------------------------

FRONT = {"CF-Access-Client-Id": "front-id-1", "CF-Access-Client-Secret": "front-secret-1"}


def test_own_headers_go_to_the_origin_of_the_base_url_alone() -> None:
    """Not to a media host, which may have the key, and to no other port or scheme."""
    opened = opened_account(Account("acme", key="k-1", headers=FRONT))
    wire = opened.wire(Request("GET", "/jobs/1"), timeout=(1, 1))
    assert wire.own(wire.url) == FRONT
    for url in ("https://cdn.acme.example/v.mp4", "http://api.acme.example/v", "https://api.acme.example:8/", "//["):
        assert wire.own(url) == {}
    media = opened.media("/v.mp4", {}, timeout=(1, 1))
    assert media.own(media.url) == FRONT


def test_own_headers_are_secrets() -> None:
    """They are not shown and not pickled, and what a server echoes of them is cut out."""
    account = Account("acme", key=None, headers=FRONT)
    assert "front" not in repr(account)
    with pytest.raises(TypeError, match="headers"):
        pickle.dumps(account)
    opened = opened_account(account)
    echoed = scrub(Response(403, {"x-echo": "front-secret-1"}, b'{"you sent": "front-secret-1"}'), opened.known)
    assert "front-secret-1" not in echoed.headers["x-echo"] + echoed.body.decode()


def test_own_headers_do_not_travel_unencrypted() -> None:
    """As the key: plain http to a public host is refused before anything is sent, unless it is allowed."""
    account = Account("acme", base_url="http://api.example", key=None, headers=FRONT)
    with pytest.raises(UsageError, match="--insecure"):
        opened_account(account).check()
    with pytest.raises(UsageError, match="--insecure"):
        opened_account(account).wire(Request("GET", "/"), timeout=(1, 1))
    opened_account(replace(account, insecure=True)).check()


@pytest.mark.parametrize("headers", [{"X Y": "v"}, {"X": ""}, {"X": "a\r\nY: b"}, {"X": " v"}, {"": "v"}, {"X": "ä"}])
def test_a_header_that_cannot_be_sent(headers: dict[str, str]) -> None:
    """It is refused by its name; its value is not shown."""
    with pytest.raises(UsageError, match="cannot be sent") as caught:
        opened_account(Account("acme", headers=headers))
    assert "Y: b" not in caught.value.message


def test_a_user_in_the_base_url_is_basic_auth() -> None:
    """As a browser and curl take it; nothing of it stays in the base URL, which is shown and kept."""
    url = "https://ann:p%40ss%3Aword@api.acme.example/v1"
    for account, environ in (
        (Account("acme", base_url=url, key=None), {}),
        (Account("acme", key=None), {"ACME_BASE_URL": url}),
    ):
        opened = opened_account(account, environ)
        assert opened.base_url == "https://api.acme.example/v1"
        assert opened.own_headers(opened.base_url) == {"Authorization": "Basic YW5uOnBAc3M6d29yZA=="}
        assert "word" not in repr(account)
    with pytest.raises(TypeError, match="password"):
        pickle.dumps(Account("acme", base_url=url))


def test_user_data_in_the_url_of_a_file_is_named_as_the_reason() -> None:
    """The refusal says what is wrong with the URL, without showing it."""
    with pytest.raises(UnsafeURL, match="user or a password") as caught:
        check_url("https://me:word@cdn.example/v.mp4")
    assert "word@" not in caught.value.message


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("https://a.example/my video 1.mp4", "https://a.example/my%20video%201.mp4"),
        (" \r\n\thttps://a.example/a.mp4\n ", "https://a.example/a.mp4"),
        ("https://a.example/视频.mp4?t=é", "https://a.example/%E8%A7%86%E9%A2%91.mp4?t=%C3%A9"),
        ('https://a.example/a|{b}^`<c>"\\d', "https://a.example/a%7C%7Bb%7D%5E%60%3Cc%3E%22%5Cd"),
        ("https://a.example/a%2fb%7Ec.mp4?sig=x%2by%3d&n=%41", "https://a.example/a%2fb%7Ec.mp4?sig=x%2by%3d&n=%41"),
        ("https://a.example/100%.mp4?p=5%z", "https://a.example/100%25.mp4?p=5%25z"),
        ("https://a.example/a(1)[2]!*';:@&=+$,/?x=~._-#y", "https://a.example/a(1)[2]!*';:@&=+$,/?x=~._-#y"),
        ("/my video.mp4", "https://api.acme.example:443/my%20video.mp4"),
        ("./my video.mp4", "https://api.acme.example/my%20video.mp4"),
        ("//cdn.example/a b", "https://cdn.example/a%20b"),
    ],
)
def test_a_url_as_the_web_has_it_is_asked_as_browsers_ask_it(written: str, sent: str) -> None:
    """What may not stand there is percent-encoded, what is valid stays byte for byte."""
    assert opened_account().media(written, {}, timeout=TIMES).url == sent


@pytest.mark.parametrize("char", ["\0", "\n", "\r", "\t", "\x7f", "\x85", "\u2028", "\ufffd"])
def test_a_control_character_inside_a_url_is_refused(char: str) -> None:
    """A line end in it may be an attack, a replaced character is none that the server has."""
    with pytest.raises(UnsafeURL, match="is not fetched"):
        opened_account().media(f"https://a.example/a{char}b.mp4", {}, timeout=TIMES)


HOSTS = {
    hosts.LOOPBACK: "127.0.0.1",
    hosts.LINK_LOCAL: "169.254.169.254",
    hosts.PRIVATE: "10.0.0.5",
    hosts.PUBLIC: "cdn.example",
}


@pytest.mark.parametrize("own", [hosts.LOOPBACK, hosts.PRIVATE, hosts.PUBLIC])
@pytest.mark.parametrize("named", list(HOSTS))
def test_a_server_names_no_host_that_is_nearer_than_itself(own: int, named: int) -> None:
    """One of one's own calls itself so, and is asked at its own origin; a redirect there is not followed."""
    account = opened_account(Account("acme", base_url=f"http://{HOSTS[own]}:8080/v1", key=None))
    url = f"http://{HOSTS[named]}:9000/a/b.mp4?x=1"
    wire = account.media(url, {}, timeout=TIMES)
    assert wire.url == (url if named >= own else f"http://{HOSTS[own]}:8080/a/b.mp4?x=1")
    assert wire.may_name(url) is (named >= own)


@pytest.mark.parametrize("named", [hosts.LOOPBACK, hosts.LINK_LOCAL, hosts.PRIVATE])
def test_a_vendor_names_no_host_of_this_network(named: int) -> None:
    """It has no files there: nothing is asked, anywhere."""
    with pytest.raises(
        UnsafeURL, match=r"is not fetched: api\.acme\.example names an address of this .*private_media=True"
    ):
        opened_account().media(f"http://{HOSTS[named]}/latest/meta-data", {}, timeout=TIMES)


@pytest.mark.parametrize("named", list(HOSTS))
@pytest.mark.parametrize("own", ["https://api.acme.example", "https://gateway.example/v1", "http://10.0.0.7"])
def test_private_media_lets_a_server_name_any_host(own: str, named: int) -> None:
    """Its files are asked for where it says that they are, and wherever these are found. Never with the key."""
    url = f"http://{HOSTS[named]}:9000/a.mp4"
    wire = opened_account(Account("acme", base_url=own, private_media=True)).media(url, {}, timeout=TIMES)
    assert (wire.url, wire.may_name(url), wire.strays(url, Peer("127.0.0.1", hosts.LOOPBACK))) == (url, True, "")
    assert not wire.secret


FILE, HOME = "https://cdn.example/a.mp4", "https://api.acme.example/a.mp4"


@pytest.mark.parametrize(
    ("own", "url", "near", "is_proxy", "asked"),
    [
        ("https://api.acme.example", FILE, hosts.PUBLIC, False, True),
        ("https://api.acme.example", FILE, hosts.PRIVATE, False, False),
        ("https://api.acme.example", FILE, hosts.LINK_LOCAL, False, False),
        ("https://api.acme.example", FILE, hosts.LOOPBACK, False, False),
        ("https://api.acme.example", FILE, hosts.LOOPBACK, True, True),
        ("https://api.acme.example", HOME, hosts.LOOPBACK, False, True),
        ("https://api.acme.example", HOME.replace("https", "http"), hosts.LOOPBACK, False, False),
        ("https://api.acme.example:8443", HOME, hosts.PRIVATE, False, False),
        ("https://gateway.example", FILE, hosts.PRIVATE, False, False),
        ("http://10.0.0.7", FILE, hosts.LOOPBACK, False, True),
        ("http://gpu.lan", FILE, hosts.LOOPBACK, False, True),
        ("http://127.0.0.1", FILE, hosts.PRIVATE, False, True),
    ],
)
def test_where_a_file_may_be_found(own: str, url: str, near: int, is_proxy: bool, asked: bool) -> None:
    """A server on the public net has no files in this network; one in it may have them anywhere."""
    words = opened_account(Account("acme", base_url=own)).strays(url, Peer("an address", near, is_proxy))
    assert (words == "") is asked
    assert asked or "an address, an address of this network" in words


@pytest.mark.parametrize(
    ("url", "near", "insecure", "may"),
    [
        ("http://nas/v1", hosts.PRIVATE, False, True),
        ("http://nas/v1", hosts.PUBLIC, False, False),
        ("HTTP://nas/v1", hosts.PUBLIC, False, False),
        ("http://nas/v1", hosts.PUBLIC, True, True),
        ("https://nas/v1", hosts.PUBLIC, False, True),
    ],
)
def test_to_whom_a_key_goes_in_the_clear(url: str, near: int, insecure: bool, may: bool) -> None:
    """To this network, unless the account says `insecure=True`."""
    opened = opened_account(Account("acme", base_url="http://nas/v1", insecure=insecure))
    assert (opened.exposes(url, Peer("an address", near)) == "") is may


def test_a_file_in_the_clear_is_told_once() -> None:
    """Where the API is asked over https, and the file is on the public net."""
    opened = opened_account(Account("acme", base_url="https://api.acme.example"))
    assert opened.first_in_the_clear("https://cdn.example/a.mp4") == ""
    assert opened.first_in_the_clear("http://10.0.0.7/a.mp4") == ""
    assert opened.first_in_the_clear("http://cdn.example/a.mp4?sig=1").startswith("acme: its file at cdn.example comes")
    assert opened.first_in_the_clear("http://cdn.example/b.mp4") == ""
    assert (
        opened_account(Account("acme", base_url="http://10.0.0.7")).first_in_the_clear("http://cdn.example/a.mp4") == ""
    )
