# needs: pixverse-mcp == 0.2.2; python_version >= "3.12"
"""PixVerse's own Python client (of its MCP server) against the simulator: submits, polls, and what is refused.

Run by `.ci/run` in an environment of its own; without the client it says that it is skipped.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any
from urllib.request import urlopen

from vidpoll.testing import Simulation, simulate

try:
    from loguru import logger
    from pixverse_mcp.client.base import BaseClient
    from pixverse_mcp.client.pixverse import PixverseClient
    from pixverse_mcp.exceptions import PixverseAPIError
    from pixverse_mcp.models import requests as asks
    from pixverse_mcp.models.responses import VideoStatus
    from tenacity import stop_after_attempt
except ImportError:
    sys.stdout.write("skipped: the client pixverse-mcp is not installed\n")
    sys.exit(0)

BaseClient._make_request.retry.stop = stop_after_attempt(1)  # it tries refusals again, for seconds
SAME: dict[str, Any] = {"prompt": "a lighthouse at dusk", "model": "v5", "duration": 5, "quality": "540p"}


def client_of(simulation: Simulation, key: str | None = None) -> Any:
    client = PixverseClient(key or simulation.keys["pixverse"], base_url=simulation.base_urls["pixverse"])
    client._last_request_time = -10.0
    return client


async def submits(client: Any) -> dict[str, int]:
    """Every kind that the client has, but for text."""
    dog = {"type": "subject", "img_id": 1, "ref_name": "dog"}
    fusion = {**SAME, "prompt": "@dog runs", "model": "v4.5", "aspect_ratio": "16:9", "image_references": [dog]}
    made = {
        "img": await client.image_to_video(asks.ImageToVideoRequest(img_id=1, **SAME)),
        "transition": await client.transition_video(
            asks.TransitionVideoRequest(first_frame_img=1, last_frame_img=2, **SAME)
        ),
        "extend": await client.extend_video(asks.ExtendVideoRequest(source_video_id=7, **SAME)),
        "lip_sync": await client.lip_sync_video(asks.LipSyncVideoRequest(source_video_id=7, audio_media_id=8)),
        "sound_effect": await client.sound_effect_video(
            asks.SoundEffectVideoRequest(source_video_id=7, sound_effect_content="waves")
        ),
        "fusion": await client.fusion_video(asks.FusionVideoRequest(**fusion)),
    }
    return {kind: said.video_id for kind, said in made.items()}


async def finished(client: Any, video_id: int) -> Any:
    while (said := await client.get_video_result(video_id)).status in (VideoStatus.PENDING, VideoStatus.IN_PROGRESS):
        pass  # it sends one request a second
    return said


async def main(simulation: Simulation) -> list[str]:
    client = client_of(simulation)
    started = await client.text_to_video(asks.TextToVideoRequest(**SAME))
    said = await finished(client, started.video_id)
    with urlopen(said.url) as answer:
        data = answer.read()
    assert (said.status, said.id, data[4:8]) == (VideoStatus.COMPLETED, started.video_id, b"ftyp")
    lines = [f"text: {said.id} {said.status.value}, {len(data)} bytes"]
    simulation.fail_next("pixverse")
    failed = await finished(client, (await client.text_to_video(asks.TextToVideoRequest(**SAME))).video_id)
    assert failed.status is VideoStatus.FAILED
    lines.append(f"failed: {failed.status.value}")
    kinds = await submits(client)
    lines.append(f"submits: {', '.join(kinds)}")
    paths = [each.path for each in simulation.requests("pixverse")]
    assert [f"/openapi/v2/video/{kind}/generate" in paths for kind in kinds] == [True] * 6
    for name, other in (("unknown", client), ("key", client_of(simulation, "wrong"))):
        try:
            await other.get_video_result(1)
        except PixverseAPIError as error:
            lines.append(f"{name}: {type(error).__name__} {error.error_code}")
    assert len(lines) == 5, lines
    return lines


if __name__ == "__main__":
    logger.remove()
    with simulate("pixverse", speed=60, pixverse={"capacity": 8}) as simulation:
        lines = asyncio.run(main(simulation))
    sys.stdout.write("\n".join(["pixverse-mcp 0.2.2", *lines, ""]))
