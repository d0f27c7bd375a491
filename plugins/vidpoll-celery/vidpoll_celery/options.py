"""The checked arguments of `install`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import vidpoll

EVERY = (1.0, 600.0)
"""Permitted seconds between two `serve` tasks that beat sends."""

SECONDS = (10.0, 86_400.0)
"""Permitted seconds for which one task serves."""


@dataclass(frozen=True, slots=True)
class Options:
    """`accounts`: name to Account, or None for an account with its provider's name."""

    store: str
    accounts: Mapping[str, vidpoll.Account | None]
    queue: str
    every: float
    seconds: float
    capacity: int
    timeout: float

    def client(self, hooks: object) -> vidpoll.Client:
        """A client with these options. Raises StoreError if its store cannot be opened, and UsageError."""
        given = {name: account for name, account in self.accounts.items() if account is not None}
        return vidpoll.Client(store=self.store, accounts=given, plugins=[hooks])


def checked(
    *, store: object, accounts: object, queue: object, every: object, seconds: object, capacity: int, timeout: float
) -> Options:
    """The options. Raises UsageError."""
    if not isinstance(store, (str, Path)) or not str(store):
        raise vidpoll.UsageError(
            f"install: store must be the URL or the path of a store, which each process opens itself, got {store!r:.80}"
        )
    if not isinstance(queue, str) or not queue:
        raise vidpoll.UsageError(f"install: queue must be the name of a queue, like 'vidpoll', got {queue!r:.80}")
    return Options(
        str(store), _accounts(accounts), queue, _number("every", every, EVERY), _number("seconds", seconds, SECONDS),
        capacity, timeout,
    )  # fmt: skip


def _accounts(given: object) -> Mapping[str, vidpoll.Account | None]:
    must = "install: accounts must be a list of names, like ['magicoal'], or a mapping of names to Account"
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise vidpoll.UsageError(f"{must}, got {given!r:.80}")
    accounts: dict[Any, Any] = dict(given) if isinstance(given, Mapping) else dict.fromkeys(given)
    if not accounts:
        raise vidpoll.UsageError(f"{must}; {given!r:.80} names no account, so nothing would be served")
    for name, account in accounts.items():
        if not isinstance(name, str) or not (account is None or isinstance(account, vidpoll.Account)):
            raise vidpoll.UsageError(f"{must}, got the item {name!r:.60}: {account!r:.60}")
    return accounts


def _number(name: str, value: object, limits: tuple[float, float]) -> float:
    low, high = limits
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise vidpoll.UsageError(f"install: {name} must be {low:g} to {high:g} seconds, got {value!r:.40}")
    return float(value)
