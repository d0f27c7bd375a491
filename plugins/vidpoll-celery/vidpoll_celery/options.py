"""What `install` was asked for, checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import vidpoll

EVERY = (1.0, 600.0)
"""Seconds between two times that beat asks for somebody who serves."""

SECONDS = (10.0, 86_400.0)
"""Seconds that one task serves."""


@dataclass(frozen=True, slots=True)
class Options:
    """`accounts`: name to Account, None for one that goes by its provider's name."""

    store: str
    accounts: Mapping[str, vidpoll.Account | None]
    queue: str
    every: float
    seconds: float
    capacity: int
    timeout: float

    def client(self, hooks: object) -> vidpoll.Client:
        """A client with these. Raises StoreError where its store cannot be opened, and UsageError."""
        given = {name: account for name, account in self.accounts.items() if account is not None}
        return vidpoll.Client(store=self.store, accounts=given, plugins=[hooks])


def checked(
    *, store: object, accounts: object, queue: object, every: object, seconds: object, capacity: int, timeout: float
) -> Options:
    """The options. Raises UsageError."""
    if not isinstance(store, (str, Path)) or not str(store):
        raise vidpoll.UsageError(
            f"install(store={store!r:.80}): must be the URL or the path of a store; each process opens its own"
        )
    if not isinstance(queue, str) or not queue:
        raise vidpoll.UsageError(f"install(queue={queue!r:.80}): must be the name of a queue, like 'vidpoll'")
    return Options(
        str(store), _accounts(accounts), queue, _number("every", every, EVERY), _number("seconds", seconds, SECONDS),
        capacity, timeout,
    )  # fmt: skip


def _accounts(given: object) -> Mapping[str, vidpoll.Account | None]:
    said = f"install(accounts={given!r:.80}): "
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise vidpoll.UsageError(f"{said}must be a list of names, like ['magicoal'], or a mapping of names to Account")
    accounts: dict[Any, Any] = dict(given) if isinstance(given, Mapping) else dict.fromkeys(given)
    if not accounts:
        raise vidpoll.UsageError(f"{said}names no account; nothing would be served")
    for name, account in accounts.items():
        if not isinstance(name, str) or not (account is None or isinstance(account, vidpoll.Account)):
            raise vidpoll.UsageError(f"{said}{name!r:.60} must be a name, its value an Account")
    return accounts


def _number(name: str, value: object, limits: tuple[float, float]) -> float:
    low, high = limits
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise vidpoll.UsageError(f"install({name}={value!r:.40}): must be {low:g} to {high:g} seconds")
    return float(value)
