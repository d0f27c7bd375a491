"""How to install what is missing, in the same words in every message.

Only distributions of this repository are named. On a package index, a guessed name may be anybody's.
"""

from __future__ import annotations

PACK = "vidpoll-providers"
"""The distribution with the providers of this project."""

CORE_FIRST = "first install vidpoll, which is not on a package index yet (in a clone of vidpoll: pip install .)"
"""What a plugin of another author needs in a new environment."""

NEW_PLUGIN = "for a provider without a plugin: vidpoll new-plugin NAME"


def from_clone(distribution: str) -> str:
    """A distribution of this repository, with the command that installs it."""
    return f"{distribution} (in a clone of vidpoll: pip install ./plugins/{distribution})"
