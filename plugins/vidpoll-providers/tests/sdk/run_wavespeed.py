# needs: wavespeed == 2.0.5
"""WaveSpeed's own Python SDK against the simulator: run a model, fetch its file, a failed job, a refused key.

Run by `.ci/run` in an environment of its own; without the SDK it says that it is skipped.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Any

import requests

from vidpoll.testing import Simulation, simulate

try:
    import wavespeed
except ImportError:
    sys.stdout.write("skipped: the SDK wavespeed is not installed\n")
    sys.exit(0)

MODEL = "bytedance/seedance-2.5/image-to-video-turbo"


def client_of(simulation: Simulation, key: str | None = None) -> Any:
    name = "wavespeed"
    return wavespeed.Client(
        api_key=key or simulation.keys[name], base_url=simulation.base_urls[name], max_connection_retries=0
    )


def run(client: Any, **options: Any) -> dict[str, Any]:
    found: dict[str, Any] = client.run_no_throw(MODEL, {"prompt": "a lighthouse"}, poll_interval=0.05, **options)
    return found


def whole_job(client: Any) -> str:
    made = run(client)
    data = requests.get(made["outputs"][0], timeout=10).content
    asked = client.get_result(made["task_id"])["data"]
    assert (made["status"], asked["status"], data[4:8]) == ("completed", "completed", b"ftyp")
    return f"{made['task_id']} {made['status']}, {len(data)} bytes"


def failed(simulation: Simulation, client: Any) -> str:
    simulation.fail_next("wavespeed", message="Content flagged as potentially sensitive.")
    made = run(client)
    assert (made["status"], "Content flagged" in made["error"]) == ("failed", True)
    return f"failed: {made['error']}"


def refused(simulation: Simulation) -> str:
    made = run(client_of(simulation, "wsk_wrong"))
    assert "HTTP 401" in made["error"], made
    return f"a wrong key: {made['error']}"


if __name__ == "__main__":
    with simulate("wavespeed", speed=60) as simulation:
        client = client_of(simulation)
        lines = [whole_job(client), failed(simulation, client), refused(simulation)]
    sys.stdout.write("\n".join([f"wavespeed {version('wavespeed')}", *lines, ""]))
