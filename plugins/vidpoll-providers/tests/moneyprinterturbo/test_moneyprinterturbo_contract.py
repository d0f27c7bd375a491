"""What every provider plugin must keep to, checked by vidpoll's contract kit."""

from __future__ import annotations

from pathlib import Path

import vidpoll_providers

from vidpoll.testing import ProviderContract


class TestContract(ProviderContract):
    provider = "moneyprinterturbo"
    samples = Path(vidpoll_providers.__file__).parent / "samples/moneyprinterturbo"
    submits = {
        "video": {"video_subject": "a lighthouse at dusk"},
        "audio": {"video_script": "One line."},
        "subtitle": {"video_script": "One line."},
    }
