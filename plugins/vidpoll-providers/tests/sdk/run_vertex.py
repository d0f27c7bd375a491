# needs: google-genai == 3.6.1
"""Google's own Python SDK on Vertex AI against the simulator: submit, poll to the end, a failed job, a refusal.

Run by `.ci/run` in an environment of its own; without the SDK it says that it is skipped.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from vidpoll.testing import Simulation, simulate

try:
    from google import genai
    from google.genai import errors, types
    from google.oauth2.credentials import Credentials
except ImportError:
    sys.stdout.write("skipped: the SDK google-genai is not installed\n")
    sys.exit(0)


def client_of(simulation: Simulation, token: str | None = None) -> Any:
    base = simulation.base_urls["vertex"].removesuffix("/v1")
    return genai.Client(
        vertexai=True,
        project="example-project",
        location="us-central1",
        credentials=Credentials(token=token or simulation.keys["vertex"]),  # type: ignore[no-untyped-call]
        http_options=types.HttpOptions(base_url=base, api_version="v1"),
    )


def whole_job(simulation: Simulation) -> Any:
    """As a user of the SDK has it: submit, and ask until it is done."""
    client = client_of(simulation)
    operation = client.models.generate_videos(
        model="veo-3.1-generate-001",
        source=types.GenerateVideosSource(prompt="A lighthouse at dusk"),
        config=types.GenerateVideosConfig(duration_seconds=8, number_of_videos=1),
    )
    while not operation.done:
        time.sleep(0.05)
        operation = client.operations.get(operation)
    return operation


def completed(simulation: Simulation) -> str:
    operation = whole_job(simulation)
    (video,) = operation.response.generated_videos
    assert video.video.video_bytes[4:8] == b"ftyp"
    asked = len(simulation.requests("vertex"))
    return f"{operation.name.rpartition('/')[2]}: done after {asked} requests, {video.video.mime_type}"


def failed(simulation: Simulation) -> str:
    """A job that fails is done, without a video, and with its reason."""
    simulation.fail_next("vertex", message="the prompt was refused")
    operation = whole_job(simulation)
    assert (operation.response, operation.error["message"]) == (None, "the prompt was refused")
    return f"failed: {operation.error}"


def refused(simulation: Simulation) -> str:
    client = client_of(simulation, "wrong")  # kept: it closes when nobody holds it
    try:
        client.models.generate_videos(model="veo-3.1-generate-001", source=types.GenerateVideosSource(prompt="x"))
    except errors.ClientError as error:
        return f"a wrong token: {error.code} {error.status}"
    raise AssertionError("a wrong token was taken")


if __name__ == "__main__":
    with simulate("vertex", speed=60) as simulation:
        lines = [completed(simulation), failed(simulation), refused(simulation)]
    sys.stdout.write("\n".join([f"google-genai {genai.__version__}", *lines, ""]))
