"""The pytest fixture that vidpoll brings along; pytest finds it by itself where vidpoll is installed.

Only fixtures live here. Nothing but pytest is imported before a test asks for one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .simulated import Simulation

SPEED = 200.0
"""Simulated seconds per real second: a job of a minute takes a third of a second."""


@pytest.fixture
def vidpoll_simulator() -> Iterator[Simulation]:
    """All installed providers, simulated on loopback, 200 times as fast as real time; fresh for each test.

    Example::

        def test_my_script(vidpoll_simulator, tmp_path):
            client = vidpoll_simulator.client()                      # accounts, keys and clock are set
            job = client.submit("magicoal", "t2v", prompt="a lighthouse at dusk")
            assert client.wait(job).ok
            assert client.download(job, tmp_path)[0].exists()
            assert vidpoll_simulator.submissions("magicoal") == 1    # paid once

    Also there: `fail_next(name)`, `seed_job(name, kind, age=…)`, `requests(name)`, `accounts`, `base_urls`, `keys`.
    """
    from .simulated import simulate

    with simulate(speed=SPEED) as simulation:
        yield simulation
