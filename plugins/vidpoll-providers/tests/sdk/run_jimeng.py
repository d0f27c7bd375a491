# needs: volcengine == 1.0.229
"""Volcengine's own Python SDK against the simulator of Jimeng: submit, ask, fetch, a failed task, a refused key.

Run by `.ci/run` in an environment of its own; without the SDK it says that it is skipped. What the SDK signs is signed
again by vidpoll, and must come out the same.
"""

from __future__ import annotations

import sys
import time
from datetime import datetime, timezone
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

import requests
from vidpoll_providers import jimeng

from vidpoll import PreparedRequest
from vidpoll.testing import Simulation, simulate

try:
    from volcengine.visual.VisualService import VisualService
except ImportError:
    sys.stdout.write("skipped: the SDK volcengine is not installed\n")
    sys.exit(0)

NAME, MODEL = "jimeng", "jimeng_t2v_v30"


def client_of(simulation: Simulation, key: str | None = None) -> Any:
    client = VisualService()  # one for the whole process
    client.set_host(urlsplit(simulation.base_urls[NAME]).netloc)
    client.set_scheme("http")
    client.set_ak(key or simulation.keys[NAME])
    client.set_sk(key or simulation.keys[NAME])
    return client


def submit(client: Any) -> dict[str, Any]:
    made: dict[str, Any] = client.cv_sync2async_submit_task({"req_key": MODEL, "prompt": "a boat", "frames": 121})
    return made


def ended(client: Any, task: str) -> dict[str, Any]:
    for _ in range(400):
        told: dict[str, Any] = client.cv_sync2async_get_result({"req_key": MODEL, "task_id": task})
        if told["code"] != 10000 or told["data"]["status"] == "done":
            return told
        time.sleep(0.05)
    raise AssertionError(f"{task} does not end: {told}")


def whole_job(client: Any) -> str:
    task = submit(client)["data"]["task_id"]
    told = ended(client, task)
    data = requests.get(told["data"]["video_url"], timeout=10).content
    assert (told["code"], data[4:8]) == (10000, b"ftyp")
    return f"{task} {told['data']['status']}, {len(data)} bytes"


def failed(simulation: Simulation, client: Any) -> str:
    simulation.fail_next(NAME, message="Post Img Risk Not Pass")
    told = ended(client, submit(client)["data"]["task_id"])
    assert told["code"] in (50500, 50511), told
    return f"failed: {told['code']} {told['message']}"


def refused(simulation: Simulation) -> str:
    try:
        submit(client_of(simulation, "wrong-key-0123456"))
    except Exception as error:  # the SDK raises no other, with the answer as its text
        if "SignatureDoesNotMatch" not in str(error):
            raise
        return "a wrong key: SignatureDoesNotMatch"
    raise AssertionError("a wrong key was taken")


def signatures(simulation: Simulation) -> str:
    """Each request of the SDK, signed again by the plugin."""
    key, base = str(simulation.keys[NAME]), simulation.base_urls[NAME]
    auth, checked = jimeng.signed("A", "B"), 0
    for each in simulation.requests(NAME):
        told = each.headers.get("authorization", "")
        if each.method == "POST" and key in told:
            moment = datetime.strptime(each.headers["x-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
            again = PreparedRequest(
                "POST",
                f"{base}{each.path}?{each.query}",
                {"Content-Type": each.headers["content-type"]},
                each.body,
                moment.timestamp(),
            )
            assert auth(again, {"A": key, "B": key})["Authorization"] == told
            checked += 1
    assert checked > 5, checked
    return f"signatures: {checked}, all the same"


if __name__ == "__main__":
    with simulate(NAME, speed=60) as simulation:
        client = client_of(simulation)
        lines = [whole_job(client), failed(simulation, client), refused(simulation), signatures(simulation)]
    sys.stdout.write("\n".join([f"volcengine {version('volcengine')}", *lines, ""]))
