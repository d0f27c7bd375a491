"""What every provider plugin must keep to, checked by vidpoll's contract kit."""

from __future__ import annotations

from pathlib import Path

from vidpoll.testing import ProviderContract


class TestContract(ProviderContract):
    provider = "moneyprinterturbo"
    samples = Path(__file__).parent / "samples"
    submits = {
        "video": {"video_subject": "a lighthouse at dusk"},
        "audio": {"video_script": "One line."},
        "subtitle": {"video_script": "One line."},
    }
