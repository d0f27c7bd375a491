"""For tests: a clock that makes waits instant, a transport that plays a script, and the simulator.

Only re-exports live here; pytest is imported by `fixtures` alone. Of vidpoll only the command line uses this package.
"""

from __future__ import annotations

from .fakes import FakeClock, FakeTransport, ScaledClock
from .simulated import Simulation, simulate

__all__ = ["FakeClock", "FakeTransport", "ScaledClock", "Simulation", "simulate"]
