# needs: dashscope == 2.0.2
"""Alibaba's own Python SDK against the simulator: submit, wait, list, cancel, an unknown id, a refused key.

Run by `.ci/run` in an environment of its own; without the SDK it says that it is skipped.
"""

from __future__ import annotations

import sys
import urllib.request
from importlib import metadata
from typing import Any

from vidpoll.testing import Simulation, simulate

try:
    import dashscope
    from dashscope import VideoSynthesis
except ImportError:
    sys.stdout.write("skipped: the SDK dashscope is not installed\n")
    sys.exit(0)

FIELDS: dict[str, Any] = {"prompt": "a cat runs", "size": "1280*720", "duration": 5, "prompt_extend": True}
FRAMES: dict[str, Any] = {"first_frame_url": "https://a.example/1.png", "last_frame_url": "https://a.example/2.png"}


def whole_task(simulation: Simulation, model: str, fields: dict[str, Any]) -> str:
    """As a user of the SDK has it: start, wait, fetch."""
    made = VideoSynthesis.async_call(model=model, **fields)
    assert (made.status_code, made.output.task_status) == (200, "PENDING"), made
    done = VideoSynthesis.wait(made)
    with urllib.request.urlopen(done.output.video_url, timeout=10) as answer:
        data = answer.read()
    assert (done.output.task_status, data[4:8], done.output.task_id) == ("SUCCEEDED", b"ftyp", made.output.task_id)
    return f"{model}: {done.output.task_id} SUCCEEDED, {len(data)} bytes"


def listed(simulation: Simulation) -> str:
    found = VideoSynthesis.list(page_size=10).output
    assert {row["status"] for row in found["data"]} <= {"RUNNING", "SUCCEEDED"}
    return f"list: {len(found['data'])} tasks, page {found['page_no']}"


def failed_task(simulation: Simulation) -> str:
    simulation.fail_next("dashscope", message="the prompt was refused")
    done = VideoSynthesis.call(model="wan2.6-t2v", **FIELDS)
    assert (done.output.task_status, done.output.message) == ("FAILED", "the prompt was refused")
    return f"failed: {done.output.message}"


def cancelled_task(simulation: Simulation) -> str:
    made = VideoSynthesis.async_call(model="wan2.6-t2v", **FIELDS)
    assert VideoSynthesis.cancel(made).status_code == 200
    assert VideoSynthesis.fetch(made).output.task_status == "CANCELED"
    return "cancelled: CANCELED"


def unknown(simulation: Simulation) -> str:
    """HTTP 200, and a word of its own."""
    answer = VideoSynthesis.fetch("1111")
    assert (answer.status_code, answer.output.task_status) == (200, "UNKNOWN")
    return "an unknown id: UNKNOWN with HTTP 200"


def refused(simulation: Simulation) -> str:
    answer = VideoSynthesis.async_call(model="wan2.6-t2v", api_key="wrong", **FIELDS)
    assert (answer.status_code, answer.code) == (401, "InvalidApiKey")
    return f"a wrong key: {answer.status_code} {answer.code}"


if __name__ == "__main__":
    with simulate("dashscope", speed=60) as simulation:
        dashscope.base_http_api_url = simulation.base_urls["dashscope"]
        dashscope.api_key = simulation.keys["dashscope"]
        lines = [
            whole_task(simulation, "wan2.6-t2v", FIELDS),
            whole_task(simulation, "wanx2.1-kf2v-plus", {"prompt": "a cat runs", **FRAMES}),
            *(each(simulation) for each in (listed, failed_task, cancelled_task, unknown, refused)),
        ]
        submits = [
            each for each in simulation.requests("dashscope") if each.method == "POST" and "services" in each.path
        ]
        assert all(each.headers.get("x-dashscope-async") == "enable" for each in submits)
        paths = sorted({each.path for each in submits})
    sys.stdout.write("\n".join([f"dashscope {metadata.version('dashscope')}", *lines, *paths, ""]))
