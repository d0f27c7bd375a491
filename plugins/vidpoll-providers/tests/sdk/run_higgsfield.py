# needs: higgsfield-client == 0.2.0
"""Higgsfield's own Python SDK against the simulator: submit, poll, result, cancel, failures, and a refused key.

Run by `.ci/run` in an environment of its own; without the SDK it says that it is skipped. The SDK takes a base URL for
submits, and then follows the URLs of the answers: a hook of its HTTP client leads these to the face.
"""

from __future__ import annotations

import sys
from importlib import metadata
from typing import Any

from vidpoll.testing import Simulation, simulate

try:
    import higgsfield_client
    import httpx
    from higgsfield_client.http.client import SyncClient
except ImportError:
    sys.stdout.write("skipped: the SDK higgsfield-client is not installed\n")
    sys.exit(0)

MODEL = "higgsfield-ai/dop/standard"
INPUT = {"prompt": "a lighthouse at dusk", "image_url": "https://example.test/a.png"}
HOOK = "https://me.example/hook"


def client_of(simulation: Simulation, key: str = "") -> Any:
    """A client whose requests all go to the face; all else is the SDK's own."""
    face = httpx.URL(simulation.base_urls["higgsfield"])

    def to_face(request: httpx.Request) -> None:
        if request.url.host != face.host:
            assert request.url.host in ("api.higgsfield.ai", "platform.higgsfield.ai"), request.url
            request.url = request.url.copy_with(scheme=face.scheme, host=face.host, port=face.port)

    client = SyncClient(base_url=str(face), api_key=key or simulation.keys["higgsfield"])
    client._client.event_hooks["request"].append(to_face)
    return client


def whole_job(simulation: Simulation) -> str:
    """As a user of the SDK has it: submit, follow the states, fetch the result, its file."""
    asked = client_of(simulation).submit(MODEL, INPUT, webhook_url=HOOK)
    told = [type(each).__name__ for each in asked.poll_request_status(delay=0.05)]
    video = httpx.get(asked.get()["video"]["url"]).content
    assert (told[0], told[-1], video[4:8]) == ("Queued", "Completed", b"ftyp"), told
    return f"{asked.request_id}: {' '.join(dict.fromkeys(told))}, {len(video)} bytes"


def by_id(simulation: Simulation) -> str:
    """A request by its id, at the URLs that the SDK makes of it."""
    client = client_of(simulation)
    asked = client.submit(MODEL, INPUT, webhook_url=HOOK)
    status = type(client.status(asked.request_id)).__name__
    assert status == "Queued"
    return f"by its id: {status}"


def failed_job(simulation: Simulation) -> str:
    simulation.fail_next("higgsfield", message="the prompt was refused")
    asked = client_of(simulation).submit(MODEL, INPUT, webhook_url=HOOK)
    last = [type(each).__name__ for each in asked.poll_request_status(delay=0.05)][-1]
    said = asked.get()["error"]
    assert (last, said) == ("Failed", "the prompt was refused")
    return f"failed: {said}"


def cancelled(simulation: Simulation) -> str:
    asked = client_of(simulation).submit(MODEL, INPUT, webhook_url=HOOK)
    asked.cancel()
    word = type(asked.status()).__name__
    assert word == "Cancelled"
    return f"cancelled: {word}"


def refused(simulation: Simulation) -> str:
    try:
        client_of(simulation, "wrong:key").submit(MODEL, INPUT, webhook_url=HOOK)
    except higgsfield_client.HiggsfieldClientError as error:
        return f"a wrong key: {error}"
    raise AssertionError("a wrong key was taken")


if __name__ == "__main__":
    with simulate("higgsfield", speed=60) as simulation:
        lines = [step(simulation) for step in (whole_job, by_id, failed_job, cancelled, refused)]
    sys.stdout.write("\n".join([f"higgsfield-client {metadata.version('higgsfield-client')}", *lines, ""]))
