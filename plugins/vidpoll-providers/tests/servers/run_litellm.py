# needs: litellm[proxy] == 1.108.7
"""vidpoll at a real LiteLLM proxy on loopback: a video and its file, a failure, a wrong key. Its upstream is simulated.

Run by `.ci/run` in an environment of its own; without LiteLLM it says that it is skipped.
"""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import vidpoll
from vidpoll.testing import Simulation, simulate

if importlib.util.find_spec("litellm") is None or importlib.util.find_spec("fastapi") is None:
    sys.stdout.write("skipped: litellm[proxy] is not installed\n")
    sys.exit(0)

KEY = "sk-vidpoll-8d1f0c52a9"
START = 120.0
"""Seconds within which the proxy must respond."""


@contextmanager
def proxy(upstream: Simulation, folder: Path) -> Iterator[str]:
    """The base URL of a proxy that serves until the block ends."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    led = {"model": "openai/sora-2", "api_base": upstream.base_urls["openai"], "api_key": upstream.keys["openai"]}
    config = {"model_list": [{"model_name": "sora-2", "litellm_params": led}]}
    (folder / "config.yaml").write_text(json.dumps(config), encoding="utf-8")  # JSON is YAML
    command = [sys.executable, "-c", "from litellm import run_server; run_server()"]
    command += ["--config", "config.yaml", "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    told = {"LITELLM_MASTER_KEY": KEY, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "NO_PROXY": "*"}
    with (folder / "log").open("w+b") as log:
        server = subprocess.Popen(command, cwd=folder, env={**os.environ, **told}, stdout=log, stderr=log)
        try:
            wait_for(f"http://127.0.0.1:{port}/health/liveliness", server, folder / "log")
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.terminate()
            server.wait(30)


def wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START
    while True:
        try:
            with urlopen(url, timeout=5):
                return
        except (URLError, OSError):
            if server.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"the proxy does not answer: {log.read_text(errors='replace')[-2000:]}") from None
            time.sleep(0.2)


def client_of(base: str, key: str = KEY) -> vidpoll.Client:
    account = vidpoll.Account("litellm", base_url=base, key=key)
    return vidpoll.Client(accounts={"litellm": account}, store=None, pacing=vidpoll.Fixed(5.0))


def whole(upstream: Simulation, base: str, folder: Path) -> str:
    with client_of(base) as client:
        job = client.submit(
            "litellm", "video", model="sora-2", prompt="a lighthouse at dusk", seconds="8", size="1280x720"
        )
        done = client.wait(job, timeout=120)
        (file,) = client.download(done, folder / "clips")
    assert (done.ok, file.read_bytes()[4:8]) == (True, b"ftyp")
    assert upstream.submissions("openai") == 1
    return f"{done.ref[:24]}… {done.state}, {file.stat().st_size} bytes"


def failed(upstream: Simulation, base: str) -> str:
    upstream.fail_next("openai", message="the prompt was refused")
    with client_of(base) as client:
        try:
            client.wait(client.submit("litellm", "video", model="sora-2", prompt="x"), timeout=120)
        except vidpoll.JobFailed as error:
            if "the prompt was refused" in str(error):
                return f"failed: {error}"
            raise
    raise AssertionError("a job that fails was taken for a good one")


def refused(base: str) -> str:
    with client_of(base, "sk-wrong-1234567890") as client:
        try:
            client.submit("litellm", "video", model="sora-2", prompt="x")
        except vidpoll.AuthenticationError as error:
            return f"a wrong key: HTTP {error.status}"
    raise AssertionError("a wrong key was taken")


if __name__ == "__main__":
    with simulate("openai", speed=10) as simulation, tempfile.TemporaryDirectory() as temporary:
        with proxy(simulation, Path(temporary)) as url:
            lines = [whole(simulation, url, Path(temporary)), failed(simulation, url), refused(url)]
    sys.stdout.write("\n".join(["LiteLLM's proxy", *lines, ""]))
