# needs: fal-client == 1.0.3
"""fal's own Python SDK against the simulator: submit, poll, logs, result, cancel, a failure, and a refused key.

Run by `.ci/run` in an environment of its own; without the SDK it says that it is skipped. The SDK follows the URLs of
the answers (https://queue.fal.run): its transport leads them to the face, with its `logs=true` as the page has it.
"""

from __future__ import annotations

import sys
from importlib import metadata
from typing import Any

from vidpoll.testing import Simulation, simulate

try:
    import fal_client
    import httpx
except ImportError:
    sys.stdout.write("skipped: the SDK fal-client is not installed\n")
    sys.exit(0)

APP = "fal-ai/veo3.1/image-to-video"
INPUT = {"prompt": "a lighthouse at dusk", "image_url": "https://example.test/a.png"}
HOOK = "https://me.example/hook"


def client_of(simulation: Simulation, key: str = "") -> Any:
    """A client whose queue is the face; all else is the SDK's own."""
    face = httpx.URL(simulation.base_urls["fal"])

    class ToFace(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            assert request.url.host == "queue.fal.run", request.url
            request.url = request.url.copy_with(scheme=face.scheme, host=face.host, port=face.port)
            if "logs" in request.url.params:
                asked = request.url.params["logs"]
                assert asked in ("true", "false"), asked
                request.url = request.url.copy_set_param("logs", "1")
            return super().handle_request(request)

    fal_client.client.BackupDomainTransport = ToFace
    return fal_client.SyncClient(key=key or simulation.keys["fal"])


def whole_job(simulation: Simulation) -> str:
    """As a user of the SDK has it: submit, follow the events, fetch the result, its file."""
    handle = client_of(simulation).submit(APP, INPUT, webhook_url=HOOK, priority="low", start_timeout=60, hint="a")
    told = [type(each).__name__ for each in handle.iter_events(with_logs=True, interval=0.05)]
    result = handle.get(interval=0.05)
    video = httpx.get(result["video"]["url"]).content
    assert (told[0], told[-1], video[4:8]) == ("Queued", "Completed", b"ftyp"), told
    return f"{handle.request_id}: {' '.join(dict.fromkeys(told))}, {len(video)} bytes"


def again(simulation: Simulation) -> str:
    """A request by its id: the SDK makes the same URLs out of the path of the app as the answer had."""
    client = client_of(simulation)
    handle = client.submit(APP, INPUT, webhook_url=HOOK)
    assert client.get_handle(APP, handle.request_id) == handle
    return f"{handle.response_url}: as made of {APP}"


def failed_job(simulation: Simulation) -> str:
    """COMPLETED, and then the result that is an error."""
    simulation.fail_next("fal", message="the prompt was refused")
    handle = client_of(simulation).submit(APP, INPUT, webhook_url=HOOK)
    try:
        handle.get(interval=0.05)
    except fal_client.client.FalClientHTTPError as error:
        return f"failed: {error.status_code} {error.message[0]['msg']}"
    raise AssertionError("the failure was not told")


def cancelled(simulation: Simulation) -> str:
    handle = client_of(simulation).submit(APP, INPUT, webhook_url=HOOK)
    handle.cancel()
    return f"cancelled: {simulation.requests('fal')[-1].method} taken"


def refused(simulation: Simulation) -> str:
    try:
        client_of(simulation, "wrong:key").submit(APP, INPUT, webhook_url=HOOK)
    except fal_client.client.FalClientHTTPError as error:
        return f"a wrong key: {error.status_code} {error.message}"
    raise AssertionError("a wrong key was taken")


if __name__ == "__main__":
    with simulate("fal", speed=60) as simulation:
        lines = [step(simulation) for step in (whole_job, again, failed_job, cancelled, refused)]
    sys.stdout.write("\n".join([f"fal-client {metadata.version('fal-client')}", *lines, ""]))
