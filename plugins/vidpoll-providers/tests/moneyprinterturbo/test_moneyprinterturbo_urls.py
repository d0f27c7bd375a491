"""Where MoneyPrinterTurbo says that its videos are, and where they are had: doubled URLs, localhost, a prefix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import vidpoll
from vidpoll.testing import FakeClock, FakeTransport

ID = "7af134b8-0663-452c-ba20-7b5a2a3d89b2"
MP4 = b"\x00\x00\x00\x18ftypisom" + bytes(100)
MISSING = (404, {"status": 404, "message": "not found"})


def record(*urls: str, combined: str | None = None) -> dict[str, Any]:
    """A finished task, in the envelope of 1.3."""
    data = {"task_id": ID, "state": 1, "progress": 100, "videos": list(urls)}
    return {"status": 200, "message": "success", "data": {**data, "combined_videos": [combined] if combined else []}}


def asked(base: str, answer: dict[str, Any], there: str, folder: Path, **options: Any) -> list[str]:
    """The paths that were asked for until the file at `there` was saved."""
    wire = FakeTransport({f"/api/v1/tasks/{ID}": [answer], there: [MP4], "": [MISSING]})
    accounts = {"m": vidpoll.Account("moneyprinterturbo", base_url=base, key=None)}
    with vidpoll.Client(accounts=accounts, transport=wire, clock=FakeClock()) as client:
        for path in client.download(f"m:{ID}", folder, **options):
            assert path.read_bytes() == MP4
    return list(dict.fromkeys(each.url for each in wire.sent if "/api/v1/tasks" not in each.url))


A = "http://10.0.0.7:8080"


@pytest.mark.parametrize("name", ["final-1.mp4", "final-2.mp4"])
@pytest.mark.parametrize(
    "form", ["{a}/{a}/tasks\\{id}\\{name}", "{a}/{a}/tasks/{id}/{name}", "{a}/tasks\\{id}\\{name}"]
)
def test_a_doubled_url_leads_to_the_download(tmp_path: Path, form: str, name: str) -> None:
    """As 1.2 on Windows, and setups with an endpoint, write it: one request, to the route that has every file."""
    named = form.format(a=A, id=ID, name=name)
    assert asked(A, record(named), f"/download/{ID}/{name}", tmp_path) == [f"{A}/api/v1/download/{ID}/{name}"]


def test_a_doubled_url_of_a_combined_video(tmp_path: Path) -> None:
    """Which the content operation could not bring."""
    answer = record(f"{A}/tasks/{ID}/final-1.mp4", combined=f"{A}/{A}/tasks\\{ID}\\combined-1.mp4")
    found = asked(A, answer, f"/download/{ID}/combined-1.mp4", tmp_path, kinds=("combined",))
    assert found == [f"{A}/api/v1/download/{ID}/combined-1.mp4"]


def test_a_server_that_calls_itself_localhost(tmp_path: Path) -> None:
    """Its file is requested from the account's host; localhost is another machine here."""
    there = f"/tasks/{ID}/final-1.mp4"
    assert asked(A, record(f"http://127.0.0.1:8080{there}"), there, tmp_path) == [f"{A}{there}"]


@pytest.mark.parametrize("name", ["final-1.mp4", "final-2.mp4"])
def test_a_server_behind_a_prefix(tmp_path: Path, name: str) -> None:
    """It does not know the prefix: after a fresh URL its path is requested below the base URL."""
    path = f"/tasks/{ID}/{name}"
    assert asked(f"{A}/mpt", record(path), f"/mpt{path}", tmp_path) == [f"{A}{path}", f"{A}/mpt{path}"]


def test_a_prefix_that_only_the_api_has(tmp_path: Path) -> None:
    """Static files are not passed on: the download route brings the first video."""
    path, route = f"/tasks/{ID}/final-1.mp4", f"/mpt/api/v1/download/{ID}/final-1.mp4"
    assert asked(f"{A}/mpt", record(path), route, tmp_path) == [f"{A}{path}", f"{A}/mpt{path}", f"{A}{route}"]
