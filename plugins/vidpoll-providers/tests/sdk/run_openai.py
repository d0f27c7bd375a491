# needs: openai == 3.57.0
"""OpenAI's own Python SDK against the simulator: submit, poll, list, download, delete, and a refused key.

Run by `.ci/run` in an environment of its own; without the SDK it says that it is skipped.
"""

from __future__ import annotations

import sys
import warnings
from typing import Any

from vidpoll.testing import Simulation, simulate

try:
    import openai
except ImportError:
    sys.stdout.write("skipped: the SDK openai is not installed\n")
    sys.exit(0)


def client_of(simulation: Simulation, name: str, key: str | None = None) -> Any:
    return openai.OpenAI(base_url=simulation.base_urls[name], api_key=key or simulation.keys[name], max_retries=0)


def whole_job(simulation: Simulation, name: str) -> str:
    """As a user of the SDK has it: submit, wait, fetch."""
    client = client_of(simulation, name)
    video = client.videos.create_and_poll(
        model="sora-2", prompt="a lighthouse at dusk", seconds="8", size="1280x720", poll_interval_ms=50
    )
    while video.status not in ("completed", "failed"):  # its own poll ends at a word that it does not know: processing
        video = client.videos.poll(video.id, poll_interval_ms=50)
    data = client.videos.download_content(video.id).read()
    assert (video.status, video.object, data[4:8]) == ("completed", "video", b"ftyp")
    assert data == client.videos.download_content(video.id).read()
    listed = [each.id for each in client.videos.list(limit=10)] if name != "litellm" else [video.id]
    assert listed[:1] == [video.id], (listed, video.id)
    return f"{name}: {video.id} {video.status} after {len(simulation.requests(name))} requests, {len(data)} bytes"


def failed_job(simulation: Simulation) -> str:
    """A job that fails is an answer, with its reason."""
    simulation.fail_next("openai", message="the prompt was refused")
    video = client_of(simulation, "openai").videos.create_and_poll(prompt="x", poll_interval_ms=50)
    assert video.status == "failed"
    assert video.error is not None
    return f"failed: {video.error.message}"


def deleted(simulation: Simulation) -> str:
    """Deleted, and then unknown."""
    client = client_of(simulation, "openai")
    video = client.videos.create(prompt="x")
    said = client.videos.delete(video.id)
    try:
        client.videos.retrieve(video.id)
    except openai.NotFoundError as error:
        assert said.deleted
        return f"deleted: {said.object}, then {error.status_code}"
    raise AssertionError("the video is still there")


def refused(simulation: Simulation) -> str:
    try:
        client_of(simulation, "openai", "wrong").videos.create(prompt="x")
    except openai.AuthenticationError as error:
        return f"a wrong key: {error.status_code}"
    raise AssertionError("a wrong key was taken")


if __name__ == "__main__":
    warnings.simplefilter("ignore", DeprecationWarning)  # its methods say that OpenAI's own API ends
    with simulate("openai", "sglang", "vllm", "litellm", speed=60) as simulation:
        lines = [whole_job(simulation, name) for name in ("openai", "sglang", "vllm", "litellm")]
        lines += [failed_job(simulation), deleted(simulation), refused(simulation)]
    sys.stdout.write("\n".join([f"openai {openai.__version__}", *lines, ""]))
