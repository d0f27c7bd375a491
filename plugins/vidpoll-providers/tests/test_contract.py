"""What every provider plugin must keep to, checked by vidpoll's contract kit: a class for each provider of the pack."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import vidpoll_providers

from vidpoll.testing import ProviderContract

FOLDER = Path(vidpoll_providers.__file__).parent
NAMES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")

ALWAYS = ("magicoal", "moneyprinterturbo", "token360")
"""Providers of which the checks that take a second are run each time; those of the others are marked slow."""

SECONDS = ("no_answer_holds_a_parser_up", "junk_raises_only_what_is_allowed", "a_simulated_job_from_submit_to_file")


def slowly(check: Callable[[ProviderContract], None]) -> Callable[[ProviderContract], None]:
    """A check of the contract that runs with the slow ones."""

    @pytest.mark.slow
    def run(self: ProviderContract) -> None:
        check(self)

    return run


def contract(name: str) -> type[ProviderContract]:
    """The contract of one provider; the fields of its submits stand in its index."""
    samples = {"provider": name, "samples": FOLDER / "samples" / name, "__module__": __name__}
    names = () if name in ALWAYS else (f"test_{check}" for check in SECONDS)
    slow = {check: slowly(getattr(ProviderContract, check)) for check in names}
    return type(f"Test_{name}", (ProviderContract,), samples | slow)


globals().update({f"Test_{name}": contract(name) for name in NAMES})
