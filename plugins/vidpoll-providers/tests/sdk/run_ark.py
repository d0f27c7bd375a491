# needs: volcengine-ark-runtime == 5.0.54
"""Volcengine's own Python SDK against the simulator: submit, poll, list by ids, cancel, delete, a refused key.

Run by `.ci/run` in an environment of its own; without the SDK it says that it is skipped.
"""

from __future__ import annotations

import sys
import time
import urllib.request
from importlib import metadata
from typing import Any

from vidpoll.testing import Simulation, simulate

try:
    from volcenginesdkarkruntime import Ark
    from volcenginesdkarkruntime._exceptions import ArkAuthenticationError, ArkNotFoundError
except ImportError:
    sys.stdout.write("skipped: the SDK volcengine-ark-runtime is not installed\n")
    sys.exit(0)

FIELDS: dict[str, Any] = {
    "model": "doubao-seedance-2-0-260128",
    "content": [
        {"type": "text", "text": "a lighthouse at dusk"},
        {"type": "image_url", "image_url": {"url": "https://a.example/first.png"}, "role": "first_frame"},
    ],
    "resolution": "720p",
    "ratio": "16:9",
    "duration": 5,
    "watermark": False,
}


def tasks_of(simulation: Simulation, key: str = "") -> Any:
    client = Ark(base_url=simulation.base_urls["ark"], api_key=key or simulation.keys["ark"], max_retries=0)
    return client.content_generation.tasks


def waited(tasks: Any, task_id: str) -> Any:
    task = tasks.get(task_id=task_id)
    while task.status in ("queued", "running"):
        time.sleep(0.1)
        task = tasks.get(task_id=task_id)
    return task


def whole_task(simulation: Simulation) -> str:
    """As a user of the SDK has it: create, get, list by ids, fetch, delete."""
    tasks = tasks_of(simulation)
    made, other = (tasks.create(**FIELDS).id for _ in range(2))
    task = waited(tasks, made)
    with urllib.request.urlopen(task.content.video_url, timeout=10) as answer:
        data = answer.read()
    assert (task.status, data[4:8], task.usage.total_tokens) == ("succeeded", b"ftyp", 108900)
    listed = {each.id for each in tasks.list(page_num=1, page_size=100, task_ids=[made, other]).items}
    assert listed == {made, other}, listed
    tasks.delete(task_id=made)
    try:
        tasks.get(task_id=made)
    except ArkNotFoundError as error:
        return f"{made} {task.status}, {len(data)} bytes, two listed by ids, deleted, then {error.status_code}"
    raise AssertionError("the task is still there")


def failed_task(simulation: Simulation) -> str:
    simulation.fail_next("ark", message="the prompt was refused")
    tasks = tasks_of(simulation)
    task = waited(tasks, tasks.create(**FIELDS).id)
    assert (task.status, task.error.message) == ("failed", "the prompt was refused")
    return f"failed: {task.error.message}"


def cancelled_task(simulation: Simulation) -> str:
    """The same request as that of a delete, for a task that is not over."""
    tasks = tasks_of(simulation)
    made = tasks.create(**FIELDS).id
    tasks.delete(task_id=made)
    assert tasks.get(task_id=made).status == "cancelled"
    return "deleted while queued: cancelled"


def refused(simulation: Simulation) -> str:
    try:
        tasks_of(simulation, "wrong").create(**FIELDS)
    except ArkAuthenticationError as error:
        return f"a wrong key: {error.status_code}"
    raise AssertionError("a wrong key was taken")


if __name__ == "__main__":
    with simulate("ark", speed=60) as simulation:
        lines = [each(simulation) for each in (whole_task, failed_task, cancelled_task, refused)]
    sys.stdout.write("\n".join([f"volcengine-ark-runtime {metadata.version('volcengine-ark-runtime')}", *lines, ""]))
