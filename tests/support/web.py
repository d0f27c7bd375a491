"""Drives the views of docs/cookbook.md: through Flask and Django if they are installed, else through stand-ins.

`.ci/run` installs both.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

FORM = {"token": "7", "prompt": "a lighthouse at dusk"}
Answer = tuple[int, Mapping[str, Any]]
View = Callable[..., Any]
Make = Callable[[Mapping[str, str]], Answer]
Look = Callable[[str], Answer]


class _Flask:
    """Routes that are the functions themselves."""

    def __init__(self, name: str) -> None:
        self.name = name

    def post(self, path: str) -> Callable[[View], View]:
        return lambda view: view

    get = post


def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the little that the views need in the place of what is not installed."""
    lacking = [name for name in ("flask", "django") if find_spec(name) is None]
    for name, found in {
        "flask": SimpleNamespace(Flask=_Flask, request=SimpleNamespace(form=FORM)),
        "django": ModuleType("django"),
        "django.http": SimpleNamespace(
            JsonResponse=lambda body, status=200: SimpleNamespace(body=body, status_code=status)
        ),
        "django.views.decorators.http": SimpleNamespace(require_POST=lambda view: view, require_GET=lambda view: view),
    }.items():
        if name.partition(".")[0] in lacking:
            monkeypatch.setitem(sys.modules, name, found)


def _flask(space: Mapping[str, Any], simulator: Any) -> None:
    def made(form: Mapping[str, str]) -> Answer:
        sys.modules["flask"].request.form = form
        return _of_view(space["make"]())

    make: Make = made
    look: Look = lambda ref: _of_view(space["look"](ref))  # noqa: E731
    if hasattr(space["app"], "test_client"):
        browser = space["app"].test_client()
        make = lambda form: _of_flask(browser.post("/clips", data=form))  # noqa: E731
        look = lambda ref: _of_flask(browser.get(f"/clips/{ref}"))  # noqa: E731
    _drive(space, simulator, make, look, polls=True)


def _of_flask(response: Any) -> Answer:
    return response.status_code, response.json


def _of_view(came: Any) -> Answer:
    return (came[1], came[0]) if isinstance(came, tuple) else (200, came)


def _django(space: Mapping[str, Any], simulator: Any) -> None:
    def request(method: str, form: Mapping[str, str] = FORM) -> Any:
        if not hasattr(sys.modules["django"], "VERSION"):
            return SimpleNamespace(method=method, POST=form)
        from django.conf import settings
        from django.test import RequestFactory

        if not settings.configured:
            settings.configure()
        return RequestFactory().post("/", form) if method == "POST" else RequestFactory().get("/")

    _drive(
        space,
        simulator,
        lambda form: _of_django(space["make"](request("POST", form))),
        lambda ref: _of_django(space["look"](request("GET"), ref)),
        polls=False,
    )


def _of_django(response: Any) -> Answer:
    return response.status_code, json.loads(response.content) if hasattr(response, "content") else response.body


def _drive(space: Mapping[str, Any], simulator: Any, make: Make, look: Look, *, polls: bool) -> None:
    """A form that is sent twice is one job; it is looked at before and after its verdict. Each mistake has its status.

    `polls`: the view polls the provider itself, so it also reports an outage.
    """
    status, body = make(FORM)
    assert (status, make(FORM)[1]) == (202, body)
    assert make({**FORM, "prompt": "another one"})[0] == 400
    assert [look(ref)[0] for ref in ("magicoal:another-one", "magicoal")] == [404, 404]
    simulator.trouble("magicoal", status=503, seconds=1.0)
    assert make({**FORM, "token": "8"})[0] == 503
    simulator.trouble("magicoal", status=503, seconds=1.0)
    status, said = look(body["ref"])
    assert (status, said["state"], said["ended"]) in {(200, state, False) for state in ("queued", "running", "None")}
    assert (said.get("error") or "").startswith("HTTP 503") is polls
    space["client"]().wait(body["ref"])
    status, said = look(body["ref"])
    assert (status, said["state"], said["ended"], said.get("error")) == (200, "completed", True, None)


DRIVERS = {"In a Flask view": _flask, "In a Django view": _django}
