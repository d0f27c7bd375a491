"""What every provider plugin must keep to, checked by vidpoll's contract kit."""

from __future__ import annotations

from pathlib import Path

from vidpoll.testing import ProviderContract


class TestContract(ProviderContract):
    provider = "token360"
    samples = Path(__file__).parent / "samples"
    submits = {"video": {"model": "seedance-2.0", "prompt": "a lighthouse at dusk"}}
