# needs: minimax-mcp == 0.0.19
"""MiniMax's own MCP server, whose client is in Python and takes a host, against the simulator of v1.

Run by `.ci/run` in an environment of its own; without the server it says that it is skipped. MiniMax has no other
Python SDK for videos, and the server does not speak v2.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import time
from importlib.metadata import version
from typing import Any
from urllib.request import urlopen

from vidpoll.testing import Simulation, simulate

if importlib.util.find_spec("minimax_mcp") is None:
    sys.stdout.write("skipped: minimax-mcp is not installed\n")
    sys.exit(0)


def tools_of(simulation: Simulation) -> Any:
    """The module with its tools; it reads key and host when it is imported."""
    os.environ.update(simulation.environ, MINIMAX_API_HOST=simulation.base_urls["minimax"])
    return importlib.import_module("minimax_mcp.server")


def ended(tools: Any) -> tuple[str, str]:
    """Submit and ask until it is over, as an agent does: the task's id, and the last text."""
    said = tools.generate_video(prompt="a lighthouse at dusk", duration=6, resolution="768P", async_mode=True).text
    task_id = said.partition("Task ID: ")[2].partition(".")[0]
    while "still processing" in (told := tools.query_video_generation(task_id).text):
        time.sleep(0.05)
    return task_id, told


def whole_job(tools: Any) -> str:
    task_id, told = ended(tools)
    url = told.partition("Video URL: ")[2]
    with urlopen(url, timeout=10) as answer:
        data = answer.read()
    assert (told.partition(".")[0], data[4:8]) == ("Success", b"ftyp"), told
    return f"{task_id}: success, {len(data)} bytes"


def failed_job(simulation: Simulation, tools: Any) -> str:
    simulation.fail_next("minimax")
    told: str = ended(tools)[1]
    assert "1026" in told or "FAILED" in told, told
    return f"failed: {told}"


def refused(tools: Any) -> str:
    tools.api_client.session.headers["Authorization"] = "Bearer wrong"
    told: str = tools.generate_video(prompt="a sea", async_mode=True).text
    assert "Failed to generate video" in told, told
    return f"a wrong key: {told}"


if __name__ == "__main__":
    with simulate("minimax", speed=60) as simulation:
        tools = tools_of(simulation)
        lines = [whole_job(tools), failed_job(simulation, tools), refused(tools)]
    sys.stdout.write("\n".join([f"minimax-mcp {version('minimax-mcp')}", *lines, ""]))
