"""The views of docs/cookbook.md: driven through Flask and Django where these are there, else through stand-ins.

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


def _flask(space: Mapping[str, Any]) -> None:
    if hasattr(space["app"], "test_client"):
        browser = space["app"].test_client()
        _drive(
            space,
            lambda: _of_flask(browser.post("/clips", data=FORM)),
            lambda ref: _of_flask(browser.get(f"/clips/{ref}")),
        )
    else:
        _drive(space, lambda: _of_view(space["make"]()), lambda ref: _of_view(space["look"](ref)))


def _of_flask(response: Any) -> Answer:
    return response.status_code, response.json


def _of_view(came: Any) -> Answer:
    return (came[1], came[0]) if isinstance(came, tuple) else (200, came)


def _django(space: Mapping[str, Any]) -> None:
    def request(method: str) -> Any:
        if not hasattr(sys.modules["django"], "VERSION"):
            return SimpleNamespace(method=method, POST=FORM)
        from django.conf import settings
        from django.test import RequestFactory

        if not settings.configured:
            settings.configure()
        return RequestFactory().post("/", FORM) if method == "POST" else RequestFactory().get("/")

    _drive(
        space,
        lambda: _of_django(space["make"](request("POST"))),
        lambda ref: _of_django(space["look"](request("GET"), ref)),
    )


def _of_django(response: Any) -> Answer:
    return response.status_code, json.loads(response.content) if hasattr(response, "content") else response.body


def _drive(space: Mapping[str, Any], make: Callable[[], Answer], look: Callable[[str], Answer]) -> None:
    """A form that is sent twice is one job; it is looked at before and after its verdict."""
    status, body = make()
    assert (status, make()[1]) == (202, body)
    status, said = look(body["ref"])
    assert (status, said["state"], said["ended"]) in {(200, state, False) for state in ("queued", "running", "None")}
    space["client"].wait(body["ref"])
    status, said = look(body["ref"])
    assert (status, said["state"], said["ended"]) == (200, "completed", True)
    assert look("magicoal:another-one")[0] == 404


DRIVERS = {"In a Flask view": _flask, "In a Django view": _django}
