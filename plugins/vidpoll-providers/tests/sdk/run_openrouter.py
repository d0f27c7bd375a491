# needs: openrouter == 1.3.84
"""OpenRouter's own Python SDK against the simulator: submit, poll, download, quota, a failed job, a refused key.

Run by `.ci/run` in an environment of its own; without the SDK it says that it is skipped.
"""

from __future__ import annotations

import sys
import time
from importlib.metadata import version
from typing import Any

from vidpoll.testing import Simulation, simulate

try:
    import openrouter
    from openrouter.errors import OpenRouterError
except ImportError:
    sys.stdout.write("skipped: the SDK openrouter is not installed\n")
    sys.exit(0)


def client_of(simulation: Simulation, key: str | None = None) -> Any:
    name = "openrouter"
    return openrouter.OpenRouter(api_key=key or simulation.keys[name], server_url=simulation.base_urls[name])


def finished(client: Any) -> Any:
    job = client.video_generation.generate(model="google/veo-3.1", prompt="a lighthouse at dusk", duration=8)
    while job.status in ("pending", "in_progress"):
        time.sleep(0.05)
        job = client.video_generation.get_generation(job_id=job.id)
    return job


def whole_job(client: Any) -> str:
    """As a user of the SDK has it: submit, ask, and the bytes of the content."""
    job = finished(client)
    data = client.video_generation.get_video_content(job_id=job.id, index=0).read()
    assert (job.status, data[4:8], len(job.unsigned_urls)) == ("completed", b"ftyp", 1)
    return f"{job.id} {job.status}, {len(data)} bytes, {job.usage.cost} USD"


def failed(simulation: Simulation, client: Any) -> str:
    simulation.fail_next("openrouter", message="Content policy violation")
    job = finished(client)
    assert (job.status, job.error) == ("failed", "Content policy violation")
    return f"failed: {job.error}"


def refused(simulation: Simulation) -> str:
    try:
        finished(client_of(simulation, "sk-or-v1-wrong"))
    except OpenRouterError as error:
        return f"a wrong key: {error.status_code} {error.message}"
    raise AssertionError("a wrong key was taken")


if __name__ == "__main__":
    with simulate("openrouter", speed=60) as simulation:
        client = client_of(simulation)
        left = client.api_keys.get_current_key_metadata().data.limit_remaining
        lines = [whole_job(client), failed(simulation, client), f"left of the key's limit: {left}", refused(simulation)]
    sys.stdout.write("\n".join([f"openrouter {version('openrouter')}", *lines, ""]))
