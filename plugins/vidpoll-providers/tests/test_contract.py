"""What every provider plugin must keep to, checked by vidpoll's contract kit: a class for each provider of the pack."""

from __future__ import annotations

from pathlib import Path

import vidpoll_providers

from vidpoll.testing import ProviderContract

FOLDER = Path(vidpoll_providers.__file__).parent
NAMES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")


def contract(name: str) -> type[ProviderContract]:
    """The contract of one provider; the fields of its submits stand in its index."""
    samples = {"provider": name, "samples": FOLDER / "samples" / name, "__module__": __name__}
    return type(f"Test_{name}", (ProviderContract,), samples)


globals().update({f"Test_{name}": contract(name) for name in NAMES})
