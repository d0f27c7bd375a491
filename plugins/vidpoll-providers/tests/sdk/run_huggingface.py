# needs: huggingface_hub == 2.4.0
"""Hugging Face's own Python SDK against the simulator: a video by fal and one by WaveSpeed, through the router.

Run by `.ci/run` in an environment of its own; without the SDK it says that it is skipped. The SDK knows one address of
the router: its HTTP client leads what goes there to the face. What models the Hub maps to which is said here.
"""

from __future__ import annotations

import sys
from typing import Any
from urllib.parse import urlsplit

from vidpoll.testing import Simulation, simulate

try:
    import huggingface_hub
    import huggingface_hub.utils._http as hub_http
    from huggingface_hub.hf_api import InferenceProviderMapping
    from huggingface_hub.inference._providers._common import HARDCODED_MODEL_INFERENCE_MAPPING
except ImportError:
    sys.stdout.write("skipped: the SDK huggingface_hub is not installed\n")
    sys.exit(0)

HTTPX: Any = hub_http.httpx2
MODELS = {
    "fal-ai": "fal-ai/wan/v2.2-5b/text-to-video",
    "wavespeed": "wavespeed-ai/wan-2.2/t2v-480p-ultra-fast",
}


def to_face(simulation: Simulation) -> None:
    """The SDK's session, with another way to the router; the question of fal's status asks for no logs there."""
    face = urlsplit(simulation.base_urls["huggingface"])

    class ToFace(HTTPX.HTTPTransport):  # type: ignore[misc]
        def handle_request(self, request: Any) -> Any:
            if request.url.host == "router.huggingface.co":
                request.url = request.url.copy_with(scheme=face.scheme, host=face.hostname, port=face.port)
                if request.url.path.endswith("/status"):
                    request.url = request.url.copy_add_param("logs", "1")
            return super().handle_request(request)

    huggingface_hub.set_client_factory(lambda: HTTPX.Client(transport=ToFace()))


def video(simulation: Simulation, provider: Any) -> str:
    """As a user of the SDK has it: one call, which submits, waits and fetches."""
    model = MODELS[provider]
    HARDCODED_MODEL_INFERENCE_MAPPING[provider]["a/b"] = InferenceProviderMapping(
        provider=provider, hf_model_id="a/b", providerId=model, status="live", task="text-to-video"
    )
    client = huggingface_hub.InferenceClient(provider=provider, api_key="hf_simulated")
    found = client.text_to_video("a cat", model="a/b")
    assert found[4:8] == b"ftyp", found[:20]
    return f"{provider}: {len(found)} bytes after {len(simulation.requests('huggingface'))} requests"


if __name__ == "__main__":
    with simulate("huggingface", speed=60, huggingface={"key": "hf_simulated"}) as simulation:
        to_face(simulation)
        lines = [video(simulation, provider) for provider in MODELS]
    sys.stdout.write("\n".join([f"huggingface_hub {huggingface_hub.__version__}", *lines, ""]))
