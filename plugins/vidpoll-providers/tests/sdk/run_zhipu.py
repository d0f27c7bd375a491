# needs: zai-sdk == 0.2.3
"""Zhipu's own Python SDK against the simulator: submit, poll, fetch, a job that fails, an unknown id, a wrong key.

Run by `.ci/run` in an environment of its own; without the SDK it says that it is skipped.
"""

from __future__ import annotations

import sys
import time
from typing import Any
from urllib.request import urlopen

from vidpoll.testing import Simulation, simulate

try:
    import zai
    from zai.core import APIStatusError
except ImportError:
    sys.stdout.write("skipped: the SDK zai-sdk is not installed\n")
    sys.exit(0)


def client_of(simulation: Simulation, key: str | None = None) -> Any:
    url = simulation.base_urls["zhipu"]
    return zai.ZaiClient(api_key=key or simulation.keys["zhipu"], base_url=f"{url}/paas/v4", max_retries=0)


def finished(client: Any, job_id: str) -> Any:
    while (said := client.videos.retrieve_videos_result(id=job_id)).task_status == "PROCESSING":
        time.sleep(0.05)
    return said


def whole_job(simulation: Simulation) -> str:
    client = client_of(simulation)
    started = client.videos.generations(model="cogvideox-3", prompt="a lighthouse at dusk", quality="speed", fps=30)
    assert started.task_status == "PROCESSING"
    said = finished(client, started.id)
    (result,) = said.video_result
    with urlopen(result.url) as answer:
        data = answer.read()
    assert (said.task_status, data[4:8]) == ("SUCCESS", b"ftyp")
    return f"{started.id} {said.task_status} after {len(simulation.requests('zhipu'))} requests, {len(data)} bytes"


def failed_job(simulation: Simulation) -> str:
    simulation.fail_next("zhipu")
    client = client_of(simulation)
    said = finished(client, client.videos.generations(model="cogvideox-3", prompt="x").id)
    assert said.task_status == "FAIL"
    return f"failed: {said.task_status}"


def refused(simulation: Simulation) -> list[str]:
    """An unknown id, a wrong key."""
    told = []
    for name, client, job_id in (("unknown", client_of(simulation), "1"), ("key", client_of(simulation, "wrong"), "1")):
        try:
            client.videos.retrieve_videos_result(id=job_id)
        except APIStatusError as error:
            told.append(f"{name}: {type(error).__name__} {error.response.status_code}")
    assert len(told) == 2
    return told


if __name__ == "__main__":
    with simulate("zhipu", speed=60) as simulation:
        lines = [whole_job(simulation), failed_job(simulation), *refused(simulation)]
    sys.stdout.write("\n".join([f"zai-sdk {zai.__version__}", *lines, ""]))
