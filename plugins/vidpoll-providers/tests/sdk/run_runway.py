# needs: runwayml == 5.24.0
"""Runway's own Python SDK against the simulator: every submit, wait, organization, cancel, delete, a refused key.

Run by `.ci/run` in an environment of its own; without the SDK it says that it is skipped.
"""

from __future__ import annotations

import sys
from typing import Any
from urllib.request import urlopen

from vidpoll.testing import Simulation, simulate

try:
    import runwayml
    from runwayml.lib import polling
except ImportError:
    sys.stdout.write("skipped: the SDK runwayml is not installed\n")
    sys.exit(0)

polling.POLL_TIME, polling.POLL_JITTER = 0.1, 0.0  # of the SDK's own wait: 6 s and 3 s
IMAGE, VIDEO = "https://example.test/a.png", "https://example.test/a.mp4"


def client_of(simulation: Simulation, key: str | None = None) -> Any:
    return runwayml.RunwayML(
        api_key=key or simulation.keys["runway"], base_url=simulation.base_urls["runway"], max_retries=0
    )


def submits(client: Any) -> dict[str, Any]:
    """Each kind of the page."""
    return {
        "image_to_video": client.image_to_video.create(
            model="gen4_turbo", prompt_image=IMAGE, prompt_text="a sea", ratio="1280:720", duration=5
        ),
        "text_to_video": client.text_to_video.create(model="gen4.5", prompt_text="a sea", ratio="1280:720", duration=5),
        "video_to_video": client.video_to_video.create(model="aleph2", video_uri=VIDEO, prompt_text="at night"),
        "character_performance": client.character_performance.create(
            model="act_two",
            character={"type": "image", "uri": IMAGE},
            reference={"type": "video", "uri": VIDEO},
        ),
        "avatar_videos": client.avatar_videos.create(
            model="gwm1_avatars",
            avatar={"type": "runway-preset", "preset_id": "tennis-coach"},
            speech={"type": "text", "text": "Hello."},
        ),
        "video_upscale": client.video_upscale.create(model="magnific_video_upscaler_creative", video_uri=VIDEO),
        "video_to_hdr": client.video_to_hdr.create(model="ruby", video_uri=VIDEO),
        "router": client.generate.video.create(config_id="cfg_000", input={"prompt_text": "a sea"}),
        "recipe": client.recipes.product_ad(version="2026-07", product_images=[{"uri": IMAGE}]),
        "workflow": client.workflows.run("5b1c7e52-9d0e-4a3d-8e55-4c7c7f1d2a11"),
    }


def whole_jobs(client: Any) -> list[str]:
    told = []
    for kind, job in submits(client).items():
        task = client.workflow_invocations.retrieve(job.id) if kind == "workflow" else job
        done = task.wait_for_task_output(timeout=60)
        urls = done.output if isinstance(done.output, list) else [url for node in done.output.values() for url in node]
        with urlopen(urls[-1], timeout=10) as answer:
            assert (done.status, answer.read()[4:8]) == ("SUCCEEDED", b"ftyp")
        told.append(f"{kind}: {job.id} {done.status}")
    return told


def failed(simulation: Simulation, client: Any) -> str:
    simulation.fail_next("runway", message="flagged by content moderation")
    job = client.text_to_video.create(model="gen4.5", prompt_text="x", ratio="1280:720", duration=5)
    try:
        job.wait_for_task_output(timeout=60)
    except runwayml.TaskFailedError as error:
        return f"failed: {error.task_details.failure}"
    raise AssertionError("a task that fails was taken for a good one")


def ended(client: Any) -> str:
    """Its cancel is its delete; afterwards there is no such task."""
    job = client.text_to_video.create(model="gen4.5", prompt_text="x", ratio="1280:720", duration=5)
    client.tasks.delete(job.id)
    try:
        client.tasks.retrieve(job.id)
    except runwayml.NotFoundError as error:
        return f"deleted: then {error.status_code}"
    raise AssertionError("the task is still there")


def refused(simulation: Simulation) -> str:
    try:
        client_of(simulation, "key_wrong").organization.retrieve()
    except runwayml.AuthenticationError as error:
        return f"a wrong key: {error.status_code}"
    raise AssertionError("a wrong key was taken")


if __name__ == "__main__":
    with simulate("runway", speed=60) as simulation:
        client = client_of(simulation)
        lines = [*whole_jobs(client), failed(simulation, client), ended(client), refused(simulation)]
        lines.append(f"credits: {client.organization.retrieve().credit_balance}")
    sys.stdout.write("\n".join([f"runwayml {runwayml.__version__}", *lines, ""]))
