"""The contract under pytest, as its authors run it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from contract_cases import caught, contract
from good_plugin import Good


class KeyErrors(Good):
    def job(self, response):
        return response.json()["data"]


@pytest.mark.slow
def test_it_runs_as_tests(tmp_path: Path, samples: Path) -> None:
    """Under pytest each sample is a test of its own, and a failure is its four lines without a traceback."""
    (tmp_path / "test_it.py").write_text(f"""
from good_plugin import Good
from vidpoll.testing import ProviderContract

class UnknownIsRunning(Good):
    def state(self, job):
        return self.words.get(job.get("status"), State.RUNNING)

class TestGood(ProviderContract):
    provider, plugin, samples = "goodness", Good(), {str(samples)!r}

class TestBad(TestGood):
    plugin = UnknownIsRunning()
""")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "support")}
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "-W", "error", "test_it.py"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert "TestGood::test_a_sample_means_what_is_expected[broken-silent.json] PASSED" in done.stdout, done.stdout
    assert "a status word that is not listed must raise UnknownStatus\n  seen: " in done.stdout
    assert "verdicts.py" not in done.stdout
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    assert failed
    assert not any("TestGood" in line for line in failed)


def test_without_hypothesis(samples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only pytest is needed: the junk then comes from a seeded generator, and finds the same bugs."""
    for name in [name for name in sys.modules if name.split(".")[0] == "hypothesis"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    assert caught(contract(Good(), samples)) == {}
    assert "junk_raises_only_what_is_allowed" in caught(contract(KeyErrors(), samples), "junk")
