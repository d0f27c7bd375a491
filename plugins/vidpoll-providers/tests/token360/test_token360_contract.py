"""What every provider plugin must keep to, checked by vidpoll's contract kit."""

from __future__ import annotations

from pathlib import Path

import vidpoll_providers

from vidpoll.testing import ProviderContract


class TestContract(ProviderContract):
    provider = "token360"
    samples = Path(vidpoll_providers.__file__).parent / "samples/token360"
    submits = {"video": {"model": "seedance-2.0", "prompt": "a lighthouse at dusk"}}
