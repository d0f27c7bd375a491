# needs: luma-agents == 0.5.0
"""Luma's own Python SDK against the simulator: submit, poll, download, a failed job, and a refused key.

Run by `.ci/run` in an environment of its own; without the SDK it says that it is skipped.
"""

from __future__ import annotations

import sys
import time
from importlib.metadata import version
from typing import Any

import requests

from vidpoll.testing import Simulation, simulate

try:
    import luma_agents
except ImportError:
    sys.stdout.write("skipped: the SDK luma-agents is not installed\n")
    sys.exit(0)


def client_of(simulation: Simulation, key: str | None = None) -> Any:
    return luma_agents.Luma(
        base_url=simulation.base_urls["luma"], auth_token=key or simulation.keys["luma"], max_retries=0
    )


def finished(client: Any, **fields: Any) -> Any:
    job = client.generations.create(prompt="a lighthouse at dusk", model="ray-3.2", **fields)
    while job.state not in ("completed", "failed"):
        time.sleep(0.05)
        job = client.generations.get(job.id)
    return job


def whole_jobs(client: Any) -> list[str]:
    """Each kind of video, from the submit to the file."""
    source = {"url": "https://me.example/clip.mp4", "media_type": "video/mp4"}
    made = [
        finished(client, type="video", video={"resolution": "720p", "duration": "5s"}),
        finished(client, type="video_edit", source=source),
        finished(client, type="video_reframe", source=source, aspect_ratio="9:16"),
    ]
    for job in made:
        data = requests.get(job.output[0].url, timeout=10).content
        assert (job.state, job.output[0].type, data[4:8]) == ("completed", "video", b"ftyp")
    return [f"{job.id} {job.state}, {job.output[0].type}" for job in made]


def failed(simulation: Simulation, client: Any) -> str:
    simulation.fail_next("luma", message="the prompt was refused")
    job = finished(client, type="video")
    assert (job.state, job.output) in (("failed", None), ("failed", []))
    return f"failed: {job.failure_reason} ({job.failure_code})"


def refused(simulation: Simulation) -> str:
    try:
        client_of(simulation, "luma-api-wrong").generations.create(prompt="x", type="video")
    except luma_agents.AuthenticationError as error:
        return f"a wrong key: {error.status_code}"
    raise AssertionError("a wrong key was taken")


if __name__ == "__main__":
    with simulate("luma", speed=60) as simulation:
        client = client_of(simulation)
        lines = [*whole_jobs(client), failed(simulation, client), refused(simulation)]
    sys.stdout.write("\n".join([f"luma-agents {version('luma-agents')}", *lines, ""]))
