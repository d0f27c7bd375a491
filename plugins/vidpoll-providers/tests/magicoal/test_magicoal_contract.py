"""What every provider plugin must keep to, checked by vidpoll's contract kit."""

from __future__ import annotations

from pathlib import Path

import vidpoll_providers

from vidpoll.testing import ProviderContract


class TestContract(ProviderContract):
    provider = "magicoal"
    samples = Path(vidpoll_providers.__file__).parent / "samples/magicoal"
    submits = {"t2v": {"prompt": "a lighthouse at dusk"}, "i2v": {"image": "https://example.com/photo.jpg"}}
