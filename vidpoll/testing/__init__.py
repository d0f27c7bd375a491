"""For tests: a clock that makes waits instant, a transport that plays a script, and the simulator.

Only re-exports and `simulate` live here. Nothing of vidpoll imports this package.
"""

from __future__ import annotations

from .fakes import FakeClock, FakeTransport, ScaledClock

__all__ = ["FakeClock", "FakeTransport", "ScaledClock"]
