# needs: comfy-sdk == 0.5.0
"""Comfy's own Python SDK against the simulator: submit, poll, list, download, cancel, and a refused key.

Run by `.ci/run` in an environment of its own; without the SDK it says that it is skipped.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import version
from typing import Any

from vidpoll.testing import Simulation, simulate

try:
    import comfy_sdk
except ImportError:
    sys.stdout.write("skipped: the SDK comfy-sdk is not installed\n")
    sys.exit(0)

FLOW = {"3": {"class_type": "SaveVideo", "inputs": {"filename_prefix": "sea"}}}


def client_of(simulation: Simulation, key: str | None = None) -> Any:
    os.environ["COMFY_BASE_URL"] = simulation.base_urls["comfycloud"]
    return comfy_sdk.Comfy(api_key=key or simulation.keys["comfycloud"])


def whole_job(simulation: Simulation) -> str:
    """As a user of the SDK has it: submit, wait, look at the outputs, list."""
    client = client_of(simulation)
    flow = client.workflows.from_json(FLOW)
    flow.set_input("3", "filename_prefix", "storm")
    job = client.submit(flow, api_key="partner-key")
    job.wait(timeout=60.0)
    (output,) = job.outputs
    assert (job.status, output.content_type, output.node_id) == ("succeeded", "video/mp4", "3")
    listed = [each.id for each in client.list_jobs(limit=5)]
    assert listed == [job.id], listed
    return f"{job.id} {job.status} after {len(simulation.requests('comfycloud'))} requests: {output.name}"


def failed_job(simulation: Simulation) -> str:
    simulation.fail_next("comfycloud", message="cannot identify image file")
    job = client_of(simulation).submit(comfy_sdk.Workflow(FLOW))
    try:
        job.wait(timeout=60.0)
        job.result()
    except comfy_sdk.ComfyError as error:
        return f"failed: {type(error).__name__}: {job.error.message.strip()}"
    assert job.status == "failed"
    return f"failed: {job.error.message.strip()}"


def cancelled(simulation: Simulation) -> str:
    job = client_of(simulation).submit(comfy_sdk.Workflow(FLOW))
    job.cancel()
    return f"cancelled: {job.status}"


def refused(simulation: Simulation) -> str:
    try:
        client_of(simulation, "wrong").submit(comfy_sdk.Workflow(FLOW))
    except comfy_sdk.ComfyError as error:
        return f"a wrong key: {type(error).__name__}"
    raise AssertionError("a wrong key was taken")


if __name__ == "__main__":
    with simulate("comfycloud", speed=60) as simulation:
        lines = [each(simulation) for each in (whole_job, failed_job, cancelled, refused)]
    sys.stdout.write("\n".join([f"comfy-sdk {version('comfy-sdk')}", *lines, ""]))
