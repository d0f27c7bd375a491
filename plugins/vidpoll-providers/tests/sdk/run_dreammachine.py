# needs: lumaai == 1.21.0
"""Luma's Python SDK for Dream Machine against the simulator: submits, poll, list, credits, delete, a refused key.

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
    import lumaai
except ImportError:
    sys.stdout.write("skipped: the SDK lumaai is not installed\n")
    sys.exit(0)


def client_of(simulation: Simulation, key: str | None = None) -> Any:
    name = "dreammachine"
    return lumaai.LumaAI(base_url=simulation.base_urls[name], auth_token=key or simulation.keys[name], max_retries=0)


def finished(client: Any, job: Any) -> Any:
    while job.state not in ("completed", "failed"):
        time.sleep(0.05)
        job = client.generations.get(id=job.id)
    return job


def whole_jobs(client: Any) -> list[str]:
    """Every submit, from the call to the file."""
    video, media = client.generations.video, {"url": "https://me.example/clip.mp4"}
    first = finished(client, client.generations.create(model="ray-2", prompt="a lighthouse", duration="5s"))
    made = [
        video.modify(generation_type="modify_video", model="ray-2", media=media, mode="adhere_1"),
        video.reframe(generation_type="reframe_video", model="ray-2", media=media, aspect_ratio="9:16"),
        client.generations.upscale(id=first.id, generation_type="upscale_video", resolution="4k"),
        client.generations.audio(id=first.id, generation_type="add_audio", prompt="waves"),
    ]
    done = [first, *(finished(client, job) for job in made)]
    for job in done:
        assert (job.state, requests.get(job.assets.video, timeout=10).content[4:8]) == ("completed", b"ftyp")
    return [f"{job.id} {job.state}" for job in done]


def listed(client: Any) -> str:
    """The list, the balance, and a job that is deleted and then unknown."""
    page = client.generations.list(limit=100, offset=0)
    gone = page.generations[0].id
    client.generations.delete(id=gone)
    try:
        client.generations.get(id=gone)
    except lumaai.NotFoundError as error:
        balance = client.credits.get().credit_balance
        return f"{len(page.generations)} listed, deleted, then {error.status_code}; balance {balance}"
    raise AssertionError("the generation is still there")


def failed(simulation: Simulation, client: Any) -> str:
    simulation.fail_next("dreammachine", message="Contains blacklisted words")
    job = finished(client, client.generations.create(model="ray-2", prompt="x"))
    assert (job.state, job.failure_reason) == ("failed", "Contains blacklisted words")
    return f"failed: {job.failure_reason}"


def refused(simulation: Simulation) -> str:
    try:
        client_of(simulation, "luma-wrong").generations.create(model="ray-2", prompt="x")
    except lumaai.AuthenticationError as error:
        return f"a wrong key: {error.status_code}"
    raise AssertionError("a wrong key was taken")


if __name__ == "__main__":
    with simulate("dreammachine", speed=60) as simulation:
        client = client_of(simulation)
        lines = [*whole_jobs(client), failed(simulation, client), listed(client), refused(simulation)]
    sys.stdout.write("\n".join([f"lumaai {version('lumaai')}", *lines, ""]))
