# needs: google-genai == 3.6.1
"""Google's own Python SDK for the Gemini API against the simulator: submit, poll, fetch, cancel, delete, refusals.

Run by `.ci/run` in an environment of its own; without the SDK it says that it is skipped.
"""

from __future__ import annotations

import sys
import time
import warnings
from typing import Any
from urllib.request import urlopen

from vidpoll.testing import Simulation, simulate

try:
    from google import genai
    from google.genai import types
except ImportError:
    sys.stdout.write("skipped: the SDK google-genai is not installed\n")
    sys.exit(0)


def client_of(simulation: Simulation, key: str | None = None) -> Any:
    base = simulation.base_urls["gemini"].removesuffix("/v1beta")
    options = types.HttpOptions(base_url=base, api_version="v1beta")
    return genai.Client(api_key=key or simulation.keys["gemini"], http_options=options)


def submitted(client: Any) -> Any:
    return client.interactions.create(
        model="gemini-omni-1.1-flash",
        input="A lighthouse at dusk",
        response_modalities=["video"],
        response_format={"type": "video", "duration": "8s", "delivery": "uri"},
        background=True,
    )


def ended(client: Any, job: Any) -> Any:
    while job.status in ("queued", "in_progress"):
        time.sleep(0.05)
        job = client.interactions.get(job.id)
    return job


def completed(simulation: Simulation) -> str:
    """As a user of the SDK has it: submit, ask until it is over, fetch."""
    client = client_of(simulation)
    job = ended(client, submitted(client))
    (video,) = [each for step in job.steps if step.type == "model_output" for each in step.content]
    with urlopen(video.uri) as answer:
        data = answer.read()
    assert (job.status, video.type, data[4:8]) == ("completed", "video", b"ftyp")
    return f"{job.id}: {job.status} after {len(simulation.requests('gemini'))} requests, {len(data)} bytes"


def failed(simulation: Simulation) -> str:
    """A job that fails is an answer, with its reason."""
    simulation.fail_next("gemini", message="the prompt was refused")
    client = client_of(simulation)
    job = ended(client, submitted(client))
    assert job.status == "failed"
    assert "the prompt was refused" in job.model_dump_json()
    return f"{job.status}: the prompt was refused"


def cancelled(simulation: Simulation) -> str:
    """Cancelled, and then deleted."""
    client = client_of(simulation)
    job = submitted(client)
    said = client.interactions.cancel(job.id)
    assert (said.id, said.status) == (job.id, "cancelled")
    other = submitted(client)
    client.interactions.delete(other.id)
    return f"cancelled, then {refusal(lambda: client.interactions.get(other.id))} of a deleted one"


def refusal(call: Any) -> str:
    try:
        call()
    except Exception as error:  # noqa: BLE001 - the classes of these errors are not public
        return f"{type(error).__name__} {getattr(error, 'status_code', '') or getattr(error, 'code', '')}"
    raise AssertionError("nothing was refused")


def refused(simulation: Simulation) -> str:
    client = client_of(simulation, "wrong")
    return f"a wrong key: {refusal(lambda: submitted(client))}"


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # interactions are called experimental
    with simulate("gemini", speed=60) as simulation:
        lines = [completed(simulation), failed(simulation), cancelled(simulation), refused(simulation)]
    sys.stdout.write("\n".join([f"google-genai {genai.__version__}", *lines, ""]))
