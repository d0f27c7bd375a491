"""Samples of the good plugin, a folder of them on the disk, and what the contract kit says of a plugin."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from good_plugin import WORDS

import vidpoll
from vidpoll.testing import ProviderContract

ID = "job-7f3a"
VIDEO = f"https://media.goodness.example/{ID}.mp4"
CLIP = {"prompt": "a sea", "seed": 7, "loud": False}
HEADS = {
    "goodness": {
        "base_url": "https://api.goodness.example/v1",
        "auth": "Authorization: Bearer {GOODNESS_API_KEY}",
        "floor": 5,
    },
    "odd": {"base_url": "https://api.odd.example", "auth": "", "floor": 5},
}


def job(status: Any, **more: Any) -> dict[str, Any]:
    return {
        "id": ID,
        "status": status,
        "progress": 0.4,
        "url": None,
        "error": None,
        "created_ms": 1795001000000,
        **more,
    }


def envelope(data: object) -> dict[str, object]:
    return {"status": "success", "data": data}


def status(name: str, data: object, state: str, **more: Any) -> tuple[str, object, dict[str, Any]]:
    """A status sample; what can be seen in a job of the good plugin's need not be repeated in `expect`."""
    inner = data.get("data") if isinstance(data, dict) else None
    inner = inner if isinstance(inner, dict) else {}
    expect = {"state": state, "stage": inner.get("status", inner.get("task_status")), "progress": 40, "assets": []}
    expect |= {"created_at": 1795001000} if "created_ms" in inner else {}
    expect |= more.pop("expect", {})
    return name, data, {"operation": "status", "origin": "documented", "expect": expect, **more}


SAMPLES: list[tuple[str, object, dict[str, Any]]] = [
    status("queued.json", envelope(job("queued", progress=0)), "queued", expect={"progress": 0}),
    status("drawing.json", envelope(job("drawing")), "running", request="GET /v1/jobs/{id}"),
    status(
        "done.json",
        envelope(job("done", progress=1, url=VIDEO, seconds=5)),
        "completed",
        expect={"progress": 100, "assets": [{"kind": "video", "url": VIDEO}], "duration": 5},
    ),
    status(
        "broken.json",
        envelope(job("broken", error={"message": "out of paint"})),
        "failed",
        expect={"problem": "out of paint"},
    ),
    status("broken-silent.json", envelope(job("broken")), "failed", expect={"problem": "no reason was given"}),
    (
        "taken.json",
        envelope(job("queued", progress=0)),
        {
            "operation": "submit clip",
            "request": "POST /v1/jobs",
            "fields": CLIP,
            "sends": CLIP,
            "expect": {"job_id": ID, "state": "queued", "stage": "queued", "progress": 0, "created_at": 1795001000},
        },
    ),
    (
        "list.json",
        {"data": [job("done", progress=1, url="/srv/files/a.mp4"), {**job("drawing"), "id": "other"}], "next": "t2"},
        {
            "operation": "list",
            "request": "GET /v1/jobs?size=2",
            "fields": {"size": 2},
            "expect": {
                "rows": [
                    {"job_id": ID, "state": "completed", "stage": "done", "progress": 100, "created_at": 1795001000},
                    {"job_id": "other", "state": "running", "stage": "drawing", "progress": 40,
                     "created_at": 1795001000},
                ],
                "next": "t2",
            },
        },
    ),
    (
        "last.json",
        {"data": []},
        {
            "operation": "list",
            "request": "GET /v1/jobs?size=2&after=t2",
            "fields": {"size": 2},
            "token": "t2",
            "expect": {"rows": [], "next": None},
        },
    ),
    (
        "credits.json",
        {"credits": 12, "flat": False},
        {"operation": "quota", "request": "GET /v1/credits", "expect": {"balance": 12}},
    ),
    ("deleted.json", {"deleted": True}, {"operation": "delete", "request": "DELETE /v1/jobs/{id}"}),
    (
        "clip.mp4",
        b"\0\0\0\x18ftypisom",
        {
            "operation": "content",
            "request": "GET /v1/jobs/{id}/file",
            "expect": {"assets": [{"kind": "video", "url": None}]},
        },
    ),
    (
        "refused.json",
        {"error": {"message": "no credits", "code": "PAY"}},
        {"operation": "error", "status": 402, "expect": {"message": "no credits", "code": "PAY"}},
    ),
]  # fmt: skip


def write(folder: Path, samples: list[Any], name: str = "goodness", **head: Any) -> Path:
    """A folder of samples with its index."""
    folder.mkdir(exist_ok=True, parents=True)
    words = {word: str(state) for word, state in WORDS.items()}
    index = {**HEADS[name], "id": ID, "words": words, **head, "samples": []}
    for file, body, row in samples:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        (folder / file).write_bytes(raw)
        index["samples"].append({"origin": "inferred", **row, "file": file})
    (folder / "index.json").write_text(json.dumps(index), encoding="utf-8")
    return folder


def contract(plugin: object, folder: Path, name: str = "goodness", **submits: Any) -> type[ProviderContract]:
    fields = {"provider": name, "samples": folder, "plugin": plugin, "submits": submits}
    return type("TestContract", (ProviderContract,), fields)


def caught(cls: type[ProviderContract], only: str = "") -> dict[str, str]:
    """The checks that fail, without `test_`, with their message. A skipped check is none."""
    found: dict[str, str] = {}
    for name in [name for name in dir(cls) if name.startswith(f"test_{only}")]:
        takes_sample = "sample" in getattr(cls, name).__code__.co_varnames
        for sample in cls.subject().index.samples if takes_sample else (None,):
            try:
                getattr(cls(), name)(*([sample] if takes_sample else []))
            except pytest.fail.Exception as failure:
                found.setdefault(name.removeprefix("test_"), str(failure))
            except pytest.skip.Exception:
                pass
    return found


def alarms(cls: type[ProviderContract]) -> dict[str, str]:
    """What fails of a plugin that stands in a test module, which imports pytest."""
    found = caught(cls)
    assert " imports " in found.pop("the_plugin_does_nothing_else")
    return found


def lines(message: str) -> list[str]:
    """The names of the lines of a message."""
    return [line.split(":")[0].strip() for line in message.splitlines()[1:] if not line.startswith("     ")]


def planting(bugs: list[tuple[str, type[Any]]]) -> Callable[[str], Callable[[type[Any]], type[Any]]]:
    """A decorator that notes a plugin with one bug, and the check that has to catch it."""

    def planted(check: str) -> Callable[[type[Any]], type[Any]]:
        def note(cls: type[Any]) -> type[Any]:
            bugs.append((check, cls))
            return cls

        return note

    return planted


def provider(request: Any, parse: Any, **more: Any) -> Any:
    """A plugin that brings the provider "odd" with no more than a status question."""
    made = vidpoll.Provider(
        "odd",
        "https://api.odd.example",
        auth=more.pop("auth", vidpoll.NoAuth()),
        pacing=vidpoll.Pacing(5.0),
        status=vidpoll.Operation(request, parse, more.pop("verdicts", ())),
        **more,
    )
    return SimpleNamespace(name="odd-plugin", vidpoll_providers=vidpoll.hookimpl(lambda: [made]))
