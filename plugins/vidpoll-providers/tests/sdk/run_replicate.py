# needs: replicate == 1.0.7
"""Replicate's own Python SDK against the simulator: three submits, wait, list, cancel, download, a refused key.

Run by `.ci/run` in an environment of its own; without the SDK it says that it is skipped.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Any

from vidpoll.testing import Simulation, simulate

try:
    import replicate
    from replicate.exceptions import ModelError, ReplicateError
    from replicate.helpers import FileOutput
except ImportError:
    sys.stdout.write("skipped: the SDK replicate is not installed\n")
    sys.exit(0)

VERSION = "39ed52f2a78e934b3ba6e2a89f5b1c712de7dfea535525255b1aa35c5565e08b"


def client_of(simulation: Simulation, key: str | None = None) -> Any:
    client = replicate.Client(api_token=key or simulation.keys["replicate"], base_url=simulation.base_urls["replicate"])
    client.poll_interval = 0.05
    return client


def whole_jobs(client: Any) -> list[str]:
    """By version, by model, by deployment."""
    given = {"prompt": "a lighthouse at dusk"}
    made = [
        client.predictions.create(version=VERSION, input=given),
        client.models.predictions.create("minimax/video-01", input=given),
        client.deployments.predictions.create("acme/video", input=given),
    ]
    for each in made:
        each.wait()
        assert (each.status, each.error) == ("succeeded", None)
    return [f"{each.id} {each.status} {each.output.rpartition('.')[2]}" for each in made]


def run(client: Any) -> str:
    """The SDK's shortest way: run, and the bytes of what came; it makes files of https URLs only."""
    output = client.run("minimax/video-01", input={"prompt": "a sea"}, wait=False)
    data = FileOutput(output, client).read()
    assert data[4:8] == b"ftyp"
    return f"run: {len(data)} bytes"


def failed(simulation: Simulation, client: Any) -> str:
    simulation.fail_next("replicate", message="ModelError: flagged as sensitive (E005)")
    try:
        client.run("minimax/video-01", input={"prompt": "x"}, wait=False)
    except ModelError as error:
        return f"failed: {error.prediction.error}"
    raise AssertionError("a job that fails was taken for a good one")


def cancelled(client: Any) -> str:
    job = client.predictions.create(version=VERSION, input={"prompt": "x"})
    job.cancel()
    again = client.predictions.get(job.id)
    assert (job.status, again.status) == ("canceled", "canceled")
    listed = [each.id for each in client.predictions.list()]
    return f"cancelled: {again.status}, {len(listed)} listed"


def refused(simulation: Simulation) -> str:
    try:
        client_of(simulation, "r8_wrong").predictions.create(version=VERSION, input={})
    except ReplicateError as error:
        return f"a wrong key: {error.status} {error.title}"
    raise AssertionError("a wrong key was taken")


if __name__ == "__main__":
    with simulate("replicate", speed=60) as simulation:
        client = client_of(simulation)
        lines = [*whole_jobs(client), run(client), failed(simulation, client), cancelled(client), refused(simulation)]
    sys.stdout.write("\n".join([f"replicate {version('replicate')}", *lines, ""]))
