"""A good plugin's samples, and its contract run without pytest around it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from good_plugin import WORDS

from vidpoll.testing import ProviderContract

ID = "job-7f3a"
VIDEO = f"https://media.goodness.example/{ID}.mp4"


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
    stage = (
        data["data"].get("status", data["data"].get("task_status"))
        if isinstance(data, dict) and isinstance(data.get("data"), dict)
        else None
    )
    expect = {"state": state, "stage": stage, "progress": 40, "assets": [], **more.pop("expect", {})}
    return name, data, {"operation": "status", "origin": "documented", "expect": expect, **more}


SAMPLES = [
    status("queued.json", envelope(job("queued", progress=0)), "queued", expect={"progress": 0}),
    status("drawing.json", envelope(job("drawing")), "running", request="GET /v1/jobs/{id}"),
    status(
        "done.json",
        envelope(job("done", progress=1, url=VIDEO, seconds=5)),
        "completed",
        expect={"progress": 100, "assets": [{"kind": "video", "url": VIDEO}], "created_at": 1795001000, "duration": 5},
    ),
    status("broken.json", envelope(job("broken", error={"message": "out of paint"})), "failed"),
    status("broken-silent.json", envelope(job("broken")), "failed"),
    ("taken.json", envelope(job("queued", progress=0)), {"operation": "submit clip", "expect": {"job_id": ID}}),
    (
        "list.json",
        {"data": [job("done", progress=1, url="/srv/files/a.mp4"), {**job("drawing"), "id": "other"}], "next": "t2"},
        {
            "operation": "list",
            "expect": {"rows": [{"job_id": ID, "state": "completed"}, {"job_id": "other"}], "next": "t2"},
        },
    ),
    ("credits.json", {"credits": 12, "flat": False}, {"operation": "quota", "expect": {"balance": 12}}),
    (
        "refused.json",
        {"error": {"message": "no credits", "code": "PAY"}},
        {"operation": "error", "status": 402, "expect": {"message": "no credits", "code": "PAY"}},
    ),
]


def write(folder: Path, samples: list[Any], **head: Any) -> Path:
    """A folder of samples with its index."""
    folder.mkdir(exist_ok=True)
    index = {"id": ID, "words": {word: str(state) for word, state in WORDS.items()}, **head, "samples": []}
    for name, body, row in samples:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        (folder / name).write_bytes(raw)
        index["samples"].append({"origin": "inferred", **row, "file": name})
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
