"""For tests: a clock that makes waits instant, a transport that plays a script, the simulator, and the contracts of a
provider and of a store, which a test class inherits.

This module only re-exports names. `fixtures` imports pytest; `contract` imports it when a test runs. In vidpoll, only
the command line uses this package.
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
