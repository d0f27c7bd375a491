"""A face of a vendor whose one request cancels a job that runs and deletes one that is over (Ark, Runway)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from contract_cases import write

import vidpoll
from vidpoll import State, declare
from vidpoll.testing import Simulation
from vidpoll.testing.simulator import SampleFace

PROVIDER = declare.ark_tasks("tasks", "https://tasks.acme.example/v1", vidpoll.NoAuth(), path="/tasks")
ID, VIDEO = "cgt-20260717171624-xk7q2", "https://cdn.tasks.example/1.mp4"
LOOK = "GET /v1/tasks/{id}"


def row(operation: str, expect: Any, **more: Any) -> dict[str, Any]:
    shown = {"progress": None, "assets": [], **expect} if operation == "status" else expect
    return {"operation": operation, **more, "expect": shown}


SAMPLES: list[Any] = [
    ("submit.json", {"id": ID}, row("submit video", {"job_id": ID}, fields={"model": "m", "prompt": "a sea"})),
    ("running.json", {"id": ID, "status": "running"}, row("status", {"state": "running", "stage": "running"})),
    (
        "done.json",
        {"id": ID, "status": "succeeded", "content": {"video_url": VIDEO}},
        row("status", {"state": "completed", "stage": "succeeded", "assets": [{"kind": "video", "url": VIDEO}]}),
    ),
    (
        "failed.json",
        {"id": ID, "status": "failed", "error": {"message": "no"}},
        row("status", {"state": "failed", "stage": "failed", "problem": "no"}),
    ),
    ("gone.json", {"id": ID, "status": "cancelled"}, row("status", {"state": "cancelled", "stage": "cancelled"})),
    ("to-cancel.json", {"id": ID, "status": "running"}, row("cancel", {}, request=LOOK, then=["ended.json"])),
    ("to-delete.json", {"id": ID, "status": "succeeded"}, row("delete", {}, request=LOOK, then=["ended.json"])),
    ("ended.json", {}, row("follow", {}, request="DELETE /v1/tasks/{id}")),
]
HEAD = {
    "base_url": PROVIDER.base_url,
    "auth": "",
    "floor": 10,
    "id": ID,
    "words": {"running": "running", "succeeded": "completed", "failed": "failed", "cancelled": "cancelled"},
}


class Plugin:
    @vidpoll.hookimpl
    def vidpoll_providers(self) -> Any:
        yield PROVIDER


def test_it_cancels_what_runs_and_deletes_what_is_over(tmp_path: Path) -> None:
    """A cancelled job says so, a deleted one is unknown, and neither request does the work of the other."""
    face = SampleFace(write(tmp_path / "samples", SAMPLES, **HEAD) / "index.json", PROVIDER)
    with Simulation({"tasks": face}, instant=True, plugins=(Plugin(),)) as simulation:
        client = simulation.client()
        stopped, done = (client.submit("tasks", "video", model="m", prompt="a sea") for _ in range(2))
        with pytest.raises(vidpoll.Conflict, match="wait for its end, or cancel it"):
            client.delete(stopped)
        client.cancel(stopped)
        assert client.wait(stopped, check=False).state is State.CANCELLED
        assert client.wait(done).ok
        with pytest.raises(vidpoll.Conflict, match="so it was not cancelled"):
            client.cancel(done)
        client.delete(done)
        with pytest.raises(vidpoll.NotFound):
            client.poll(done.ref)
        sent = [each.method for each in simulation.requests("tasks") if each.method == "DELETE"]
        assert len(sent) == 2
