"""The pytest fixture of vidpoll; pytest finds it if vidpoll is installed.

This module only has fixtures. It imports nothing but pytest until a test uses one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .simulated import Simulation


@pytest.fixture
def vidpoll_simulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulation]:
    """All installed providers, simulated on loopback; waits take no time. Fresh for each test.

    Code under test needs no change: base URLs and keys are in the environment, and every client that it makes has a
    clock that jumps.

    Example::

        import vidpoll

        def fetch(prompt, folder):                                   # the code under test
            with vidpoll.Client() as client:
                job = client.wait(client.submit("magicoal", "t2v", prompt=prompt))
                return client.download(job, folder)

        def test_fetch(vidpoll_simulator, tmp_path):
            assert fetch("a lighthouse at dusk", tmp_path)[0].exists()
            assert vidpoll_simulator.submissions("magicoal") == 1    # paid once

    To simulate faults: `fail_next(name, at=60)`, `hang_next(name)`, `trouble(name, status=429, seconds=10)`. It also
    has `client()`, `seed_job(name, kind, age=…)`, `requests(name)`, `accounts`, `environ`, `base_urls` and `keys`.
    """
    from .simulated import simulate

    with simulate(instant=True) as simulation:
        for name, value in simulation.environ.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("vidpoll.client_base.SystemClock", lambda: simulation.clock)
        yield simulation
