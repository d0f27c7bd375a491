"""What the tests of the contract kit share."""

from __future__ import annotations

from pathlib import Path

import pytest
from contract_cases import SAMPLES, write


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the good plugin's samples."""
    return write(tmp_path_factory.mktemp("kit") / "samples", SAMPLES)
