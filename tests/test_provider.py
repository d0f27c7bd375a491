"""What a plugin declares: a mistake is named when the provider is built, not when a user waits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest

from vidpoll import (
    Basic,
    Bearer,
    Follow,
    KeyHeader,
    Minted,
    NoAuth,
    Operation,
    Pacing,
    PluginError,
    PreparedRequest,
    Provider,
    Request,
    Response,
    Snapshot,
    Stage,
    State,
)

ASK = Request("GET", "/jobs/1")
STATUS: Operation[Snapshot] = Operation(lambda job_id: ASK, lambda response, job_id: Snapshot(State.QUEUED))


def provider(**changes: Any) -> Provider:
    """A good declaration, but for `changes`."""
    good: dict[str, Any] = {
        "name": "acme",
        "base_url": "https://api.acme.example",
        "auth": Bearer("ACME_API_KEY"),
        "pacing": Pacing(floor=5.0),
        "status": STATUS,
    }
    return Provider(**{**good, **changes})


def test_the_smallest_declaration() -> None:
    """Five things make a provider; everything else has a default."""
    assert provider().operations() == {"status": STATUS}


def test_operations_by_name() -> None:
    """Operations are listed by the names that users type; a provider has only those that it documents."""
    full = provider(submit={"t2v": STATUS, "i2v": STATUS}, list=STATUS, quota=STATUS, delete=STATUS)
    assert list(full.operations()) == ["status", "list", "quota", "delete", "submit t2v", "submit i2v"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "Acme"}, "name 'Acme'"),
        ({"name": ""}, "name ''"),
        ({"name": "a:b"}, "name 'a:b'"),
        ({"name": None}, "name None"),
        ({"base_url": "api.acme.example"}, "base_url"),
        ({"base_url": "ftp://api.acme.example"}, "base_url"),
        ({"base_url": "https://"}, "base_url"),
        ({"base_url": "https://user:word@api.acme.example"}, "base_url"),
        ({"base_url": "https://:word@api.acme.example"}, "base_url"),
        ({"base_url": "https://api.acme.example?key=1"}, "base_url"),
        ({"base_url": "https://api.acme.example#a"}, "base_url"),
        ({"base_url": "https://api.acme.example:port"}, "base_url"),
        ({"base_url": "https://[::1"}, "base_url"),
        ({"base_url": "https://api.acme.example\n"}, "base_url"),
        ({"base_url": None}, "base_url"),
        ({"status": None}, "status must be an Operation, got NoneType"),
        ({"status": lambda job_id: ASK}, "status must be an Operation, got function"),
        ({"quota": lambda: ASK}, "quota must be an Operation, got function"),
        ({"submit": STATUS}, "submit must be a Mapping, got Operation"),
        ({"submit": {"t2v": None}}, "submit t2v must be an Operation, got NoneType"),
        ({"pacing": 5.0}, "pacing must be a Pacing, got float"),
        ({"auth": "ACME_API_KEY"}, "auth must be Bearer"),
        ({"auth": lambda request, secrets: {}}, "auth must be Bearer"),
        ({"auth": Bearer("")}, "auth variables"),
        (
            {"auth": Minted("ACME_API_KEY", lambda request, secrets: {})},
            "auth variables 'ACME_API_KEY': must be a tuple",
        ),  # type: ignore[arg-type]
        ({"error": None}, "error must be a function, got NoneType"),
        ({"media_hosts": "cdn.acme.example"}, "media_hosts must be a tuple, got str"),
        ({"media_hosts": ("https://cdn.acme.example",)}, "a bare host name"),
        ({"media_hosts": ("CDN.acme.example",)}, "a bare host name in lower case"),
        ({"media_hosts": ("*.acme.example",)}, "a bare host name"),
        ({"media_hosts": ("",)}, "a bare host name"),
        ({"headers": [("a", "b")]}, "headers must be a Mapping, got list"),
        ({"stages": ("queued",)}, "stages must hold only Stage, got str"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_bad_declaration_names_the_mistake(changes: dict[str, Any], said: str) -> None:
    """The author reads what is wrong and where, in one line."""
    with pytest.raises(PluginError, match="Provider") as caught:
        provider(**changes)
    assert said in caught.value.message


def test_a_text_for_media_hosts_would_trust_its_parts() -> None:
    """Rule 6: a forgotten comma must not make every part of a host name a host that gets the key."""
    with pytest.raises(PluginError):
        provider(media_hosts=("cdn.acme.example"))
    assert provider(media_hosts=("cdn.acme.example",)).media_hosts == ("cdn.acme.example",)


@pytest.mark.parametrize(
    "arguments",
    [
        {"floor": 0},
        {"floor": -1},
        {"floor": 3601},
        {"floor": math.nan},
        {"floor": "5"},
        {"floor": True},
        {"typical": (200, 40)},
        {"typical": (0, 40)},
        {"typical": (40, 40)},
        {"typical": (40,)},
        {"typical": 40},
        {"typical": ("40", "200")},
        {"typical": (40, math.inf)},
    ],
    ids=str,
)
def test_pacing_that_makes_no_sense(arguments: dict[str, Any]) -> None:
    """A floor is above 0, and a typical range is two numbers of seconds."""
    with pytest.raises(PluginError, match="Pacing"):
        Pacing(**arguments)


@pytest.mark.parametrize("verdicts", [500, [500], ("500",), (True,)], ids=repr)
def test_verdicts_are_a_tuple_of_statuses(verdicts: Any) -> None:
    """A forgotten comma in `verdicts=(500)` is heard of at once, not when the loop looks into it."""
    with pytest.raises(PluginError, match="verdicts"):
        Operation(lambda job_id: ASK, lambda response, job_id: None, verdicts)
    with pytest.raises(PluginError, match="verdicts"):
        Follow(ASK, lambda response, job_id: None, verdicts)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Operation(ASK, lambda response, job_id: None),  # type: ignore[arg-type]
        lambda: Operation(lambda: ASK, None),  # type: ignore[arg-type]
        lambda: Operation(lambda: ASK, lambda response, job_id: None, max_body=0),
        lambda: Follow("/jobs/1", lambda response, job_id: None),  # type: ignore[arg-type]
        lambda: Follow(ASK, None),  # type: ignore[arg-type]
    ],
)
def test_an_operation_is_a_builder_and_a_parser(make: Any) -> None:
    """What is no function is refused where it is written."""
    with pytest.raises(PluginError):
        make()


PREPARED = PreparedRequest("GET", "https://a.example/1")
SECRETS = {"KEY": "k-1", "USER": "ann", "WORD": "p:w"}


def sign(request: PreparedRequest, secrets: Mapping[str, str]) -> Mapping[str, str]:
    return {"X-Signature": f"{request.method} {request.url} {secrets['KEY']} {secrets['WORD']}"}


@pytest.mark.parametrize(
    ("auth", "variables", "headers"),
    [
        (Bearer("KEY"), ("KEY",), {"Authorization": "Bearer k-1"}),
        (KeyHeader("x-api-key", "KEY"), ("KEY",), {"x-api-key": "k-1"}),
        (KeyHeader("Authorization", "KEY", "Key "), ("KEY",), {"Authorization": "Key k-1"}),
        (Basic("USER", "WORD"), ("USER", "WORD"), {"Authorization": "Basic YW5uOnA6dw=="}),
        (Minted(("KEY", "WORD"), sign), ("KEY", "WORD"), {"X-Signature": "GET https://a.example/1 k-1 p:w"}),
        (NoAuth(), (), {}),
    ],
)
def test_auth_kinds(auth: Any, variables: tuple[str, ...], headers: dict[str, str]) -> None:
    """Each kind names its variables and turns their values into headers, one request at a time."""
    assert (auth.variables, dict(auth(PREPARED, SECRETS))) == (variables, headers)
    assert provider(auth=auth).auth is auth


def test_a_key_that_is_not_required() -> None:
    """A provider that also answers without a key says so; NoAuth never asks for one."""
    kinds = [Bearer("KEY"), Bearer("KEY", required=False), NoAuth()]
    assert [kind.required for kind in kinds] == [True, False, False]


def test_declarations_are_values() -> None:
    """Two equal declarations are equal, so that a plugin can be tested by an equality."""
    assert provider(stages=(Stage("queued", State.QUEUED, (0, 10)),)) == provider(
        stages=(Stage("queued", State.QUEUED, (0, 10)),)
    )


@pytest.mark.parametrize("progress", [(90, 10), (0, 101), (-1, 5), (5,), 5, "50", (0, None), (0, float("nan"))])
def test_a_stage_covers_a_range_of_progress_or_says_nothing(progress: Any) -> None:
    """The pacing counts on it, so a mistake is told when the provider is built."""
    with pytest.raises(PluginError, match="stage 'run' covers the progress"):
        provider(stages=(Stage("run", State.RUNNING, progress),))
    assert provider(stages=(Stage("run", State.RUNNING, (5, 5)),)).stages[0].progress == (5, 5)


def test_the_default_error_reader_is_the_common_one() -> None:
    """A plugin whose errors look like everyone's writes nothing for them."""
    assert provider().error(Response(402, {}, b'{"message": "no credits"}')).message == "no credits"
