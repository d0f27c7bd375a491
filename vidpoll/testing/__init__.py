"""For tests: a clock that makes waits instant, a transport that plays a script, the simulator, the contracts to
inherit of a provider and of a store.

Only re-exports live here; pytest is imported by `fixtures`, and by `contract` when a test runs. Of vidpoll only the
command line uses this package.
"""

from __future__ import annotations

from .contract import ProviderContract
from .fakes import FakeClock, FakeTransport, ScaledClock
from .simulated import Simulation, replay, simulate
from .store import StoreContract

__all__ = [
    "FakeClock", "FakeTransport", "ProviderContract", "ScaledClock", "Simulation", "StoreContract",
    "replay", "simulate",
]  # fmt: skip
