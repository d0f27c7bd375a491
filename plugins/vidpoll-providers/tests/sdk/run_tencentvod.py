# needs: tencentcloud-sdk-python-vod == 3.1.194
"""Tencent Cloud's own Python SDK against the simulator: submit, ask, fetch, a failed and an aborted task, a key.

Run by `.ci/run` in an environment of its own; without the SDK it says that it is skipped. What the SDK signs is signed
again by vidpoll, and must come out the same.
"""

from __future__ import annotations

import sys
import time
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

import requests
from vidpoll_providers import tencentvod

from vidpoll import PreparedRequest
from vidpoll.testing import Simulation, simulate

try:
    from tencentcloud.common import credential
    from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
    from tencentcloud.common.profile.client_profile import ClientProfile
    from tencentcloud.common.profile.http_profile import HttpProfile
    from tencentcloud.vod.v20180717 import models, vod_client
except ImportError:
    sys.stdout.write("skipped: the SDK tencentcloud-sdk-python-vod is not installed\n")
    sys.exit(0)

NAME = "tencentvod"


def client_of(simulation: Simulation, key: str | None = None) -> Any:
    key = key or simulation.keys[NAME]
    http = HttpProfile(protocol="http", endpoint=urlsplit(simulation.base_urls[NAME]).netloc, keepAlive=False)
    return vod_client.VodClient(credential.Credential(key, key), "", ClientProfile(httpProfile=http))


def submit(client: Any) -> str:
    asked = models.CreateAigcVideoTaskRequest()
    asked.SubAppId, asked.ModelName, asked.ModelVersion = 1500000000, "Hailuo", "02"
    asked.Prompt = "a boat in the morning mist"
    made: str = client.CreateAigcVideoTask(asked).TaskId
    return made


def of(kind: type, task: str) -> Any:
    asked = kind()
    asked.TaskId, asked.SubAppId = task, int(task.partition("-")[0])
    return asked


def finished(client: Any, task: str) -> Any:
    for _ in range(400):
        told = client.DescribeTaskDetail(of(models.DescribeTaskDetailRequest, task))
        if told.Status == "FINISH":
            return told.AigcVideoTask
        time.sleep(0.05)
    raise AssertionError(f"{task} does not end: {told.Status}")


def whole_job(client: Any) -> str:
    task = submit(client)
    told = finished(client, task)
    data = requests.get(told.Output.FileInfos[0].FileUrl, timeout=10).content
    assert (told.TaskId, told.ErrCode, data[4:8]) == (task, 0, b"ftyp")
    return f"{task} {told.Status}, {len(data)} bytes"


def failed(simulation: Simulation, client: Any) -> str:
    simulation.fail_next(NAME, message="the prompt was refused")
    told = finished(client, submit(client))
    assert (told.ErrCode, told.Message) == (70000, "the prompt was refused")
    return f"failed: {told.Status} {told.ErrCode} {told.Message}"


def aborted(client: Any) -> str:
    task = submit(client)
    asked = of(models.ManageTaskRequest, task)
    asked.OperationType = "Abort"
    client.ManageTask(asked)
    told = client.DescribeTaskDetail(of(models.DescribeTaskDetailRequest, task)).Status
    assert told == "ABORTED", told
    return f"cancelled: {told}"


def refused(simulation: Simulation) -> str:
    try:
        submit(client_of(simulation, "wrong-key-0123456"))
    except TencentCloudSDKException as error:
        return f"a wrong key: {error.get_code()}"
    raise AssertionError("a wrong key was taken")


def signatures(simulation: Simulation) -> str:
    """Each request of the SDK, signed again by the plugin."""
    key, base = simulation.keys[NAME], simulation.base_urls[NAME]
    secrets = dict.fromkeys(tencentvod.VARIABLES, str(key))
    checked = 0
    for each in simulation.requests(NAME):
        told = each.headers.get("authorization")
        if each.method == "POST" and told and str(key) in told:
            at = float(each.headers["x-tc-timestamp"])
            again = PreparedRequest("POST", f"{base}/", {"Content-Type": each.headers["content-type"]}, each.body, at)
            assert tencentvod.sign(again, secrets)["Authorization"] == told
            checked += 1
    assert checked > 5, checked
    return f"signatures: {checked}, all the same"


if __name__ == "__main__":
    with simulate(NAME, speed=60) as simulation:
        client = client_of(simulation)
        lines = [whole_job(client), failed(simulation, client), aborted(client), refused(simulation)]
        lines.append(signatures(simulation))
    sys.stdout.write("\n".join([f"tencentcloud-sdk-python-vod {version('tencentcloud-sdk-python-vod')}", *lines, ""]))
