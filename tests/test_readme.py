"""README.md: its Python blocks run against the simulator, and its set-up commands are two lines."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import vidpoll
import vidpoll.client_base
from vidpoll.testing import ScaledClock, simulate

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
KEEPING = (Path(__file__).parents[1] / "docs" / "keeping-jobs.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README + KEEPING, re.DOTALL)
SPEED = 40.0  # a request may take 40 s on the clock of the wait, which is one second here


@pytest.fixture
def providers(monkeypatch, tmp_path):
    """All providers, simulated so fast that a job takes about a second, and found through the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(vidpoll.client_base, "SystemClock", lambda: ScaledClock(SPEED))
    monkeypatch.setenv("ACME_API_KEY", "not-used")
    with simulate(speed=SPEED) as simulator:
        for name, url in simulator.base_urls.items():
            monkeypatch.setenv(f"{name.upper()}_BASE_URL", url)
            if simulator.keys[name]:
                monkeypatch.setenv(f"{name.upper()}_API_KEY", simulator.keys[name])
        yield simulator


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_python_blocks_run(number, providers, tmp_path, capsys):
    """Every Python block of the README runs as it stands, but for ids and addresses, which only exist there."""
    block = BLOCKS[number]
    for reference in re.findall(r'"(\w+):([\w-]{8,})"', block):
        name, job_id = reference
        kind = {"magicoal": "i2v", "token360": "video"}[name]
        block = block.replace(job_id, providers.seed_job(name, kind, age=3600.0))
    block = block.replace("http://10.0.0.7:8080", providers.base_urls["moneyprinterturbo"])
    providers.seed_job("moneyprinterturbo", "video", age=3600.0)
    exec(compile(block, f"README.md block {number}", "exec"), {"__name__": "readme"})
    printed = capsys.readouterr().out
    if "download(" in block:
        assert list(tmp_path.glob("clips/*.mp4"))
    if "print(" in block:
        assert printed.strip()
    assert "no video" not in printed
    assert "ask again later" not in printed


def test_two_set_up_commands():
    """There are exactly two set-up commands, one line each, and the tests' one never calls the CI script."""
    commands = re.findall(r"<!-- command: (\w+) -->\n```sh\n(.*?)```", README, re.DOTALL)
    assert [name for name, _ in commands] == ["demo", "tests"]
    assert all(command.count("\n") == 1 for _, command in commands)
    assert not any(".ci" in command for _, command in commands)


def test_links_lead_somewhere():
    """Every relative link of the README names a file of the repository, where the repository is there."""
    root = Path(__file__).parents[1]
    links = [link for link in re.findall(r"\]\(([^)#:]+)\)", README) if (root / "vidpoll").exists()]
    assert [link for link in links if not (root / link).exists()] == []
