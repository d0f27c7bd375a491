"""What all calls of a client share: its plugins, accounts, transport, store and loop, and how it ends."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, TypeVar

from . import arguments
from .clock import Clock, SystemClock
from .errors import UnknownProvider, UsageError
from .following import Following
from .fork_lock import ForkLock
from .model import check_account_name
from .net.accounts import Account, OpenAccount
from .pacing.schedules import Adaptive, Schedule
from .plugins import PluginReport, Plugins, switched_off
from .polling.account_state import AccountState
from .polling.loop import Loop
from .polling.prices import Prices
from .polling.reach import Reach, reach
from .provider import Provider
from .storage.job_store import JobStore
from .storage.keeper import Keeper
from .storage.no_keeper import NoKeeper
from .storage.protocol import Store
from .storage.shared_rate import SharedRate

if TYPE_CHECKING:
    from .net.protocol import Sender, Transport

S = TypeVar("S", bound="ClientBase")


class ClientBase:
    """A client without its calls: see `Client`."""

    def __init__(
        self,
        *,
        accounts: Mapping[str, Account] | None = None,
        plugins: Iterable[object] = (),
        store: str | Path | Store | None = None,
        pacing: Schedule | None = None,
        http_timeout: tuple[float, float] = (10.0, 30.0),
        patience: float = 600.0,
        discover: bool = True,
        clock: Clock | None = None,
        transport: Transport | Sender | str | None = None,
    ) -> None:
        self._accounts = arguments.check_accounts(accounts or {})
        self._pacing = arguments.check_pacing(pacing or Adaptive())
        http_timeout = arguments.check_http_timeout(http_timeout)
        self._plugins = Plugins(
            arguments.check_plugins(plugins),
            discover=discover,
            disabled=switched_off(os.environ),
            trace=os.environ.get("VIDPOLL_TRACE", "") not in ("", "0"),
            environ=os.environ,
        )
        self._states: dict[str, AccountState] = {}
        self._clock = clock or SystemClock()
        self._transport = arguments.open_transport(transport, self._plugins)
        self._closed = False
        self._serves = ForkLock()
        self._serving = 0  # the process that serves
        self._unserved: set[str] = set()  # what `serve` has said of accounts and jobs that it leaves
        self._keeper = self._opened(store, sum(http_timeout))
        self._loop = Loop(
            clock=self._clock,
            transport=self._transport,
            teller=self._keeper,
            http_timeout=http_timeout,
            patience=arguments.check_patience(patience),
            random=Random(),
        )
        self._prices = Prices(self._loop, self._keeper.charges)
        self._following = Following(self._loop, self._keeper, self._plugins, self._state)

    def __enter__(self: S) -> S:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the threads of the transport and close the store. Jobs go on at their providers."""
        self._closed = self._loop.closed = True
        self._transport.close()
        self._keeper.close()

    @property
    def providers(self) -> Mapping[str, Provider]:
        """All providers by name. Those that are loaded by need are loaded for it; `plugins` has their names without."""
        return self._plugins.providers

    def provider(self, name: str) -> Provider:
        """The provider of that name, loaded. Raises UnknownProvider, naming the known ones or what is wrong with it."""
        return self._plugins.provider(name)

    @property
    def plugins(self) -> tuple[PluginReport, ...]:
        """What became of each plugin, the broken ones included; what is not `loaded` is imported when it is named."""
        return tuple(self._plugins.reports)

    def ready(self, account: str) -> str:
        """The base URL at which an account is asked, without a login; nothing is sent.

        Raises what a wait would raise before it asks: UnknownProvider, MissingKey, or UsageError for a base URL or a
        header that cannot be used, and for a key that would travel unencrypted.
        """
        opened = self._state(account).opened
        opened.check()
        return opened.base_url

    def reach(self, account: str) -> Reach:
        """Ask the base URL of an account once, without its key: whether a server answers, how fast, and its clock.

        Any HTTP status is an answer. Raises ConfigurationError where this machine cannot ask (a proxy, a CA file, a
        thread), ProviderError where no answer comes, and UsageError before anything is sent.
        """
        return reach(self._loop, self._state(account).opened)

    def add_commands(self, register: Callable[..., None]) -> list[str]:
        """Let plugins add commands to a command line (`vidpoll_commands`); returns what went wrong, a line each."""
        return self._plugins.commands(register)

    def add_display(self) -> bool:
        """Let an installed plugin show on the terminal how the jobs are (`vidpoll_display`); whether one does."""
        return self._plugins.display(self._clock.time)

    @property
    def store(self) -> JobStore:
        """The jobs that are kept, and what was asked for. Raises UsageError for a client without a store."""
        return self._keeper.job_store(lambda name: self._state(name).opened)

    def _opened(self, given: str | Path | Store | None, bound: float) -> Keeper | NoKeeper:
        if given is None:
            return NoKeeper(self._plugins.tell)
        store = arguments.open_store(given, self._plugins, self._clock)
        return Keeper(store, self._clock, self._plugins.tell, bound)

    def _state(self, name: str) -> AccountState:
        if self._closed:
            raise UsageError("this client is closed; make a new one")
        if name not in self._states:
            check_account_name(name)
            account = self._accounts.get(name) or Account(name)
            try:
                provider = self._plugins.provider(account.provider)
            except UnknownProvider as error:
                if name in self._accounts or not self._accounts:
                    raise
                raise UnknownProvider(f"{error}; accounts of this client: {', '.join(self._accounts)}") from None
            opened = OpenAccount(name, account, provider, os.environ, self._clock.time)
            keeper = self._keeper
            sharers = 1 if isinstance(keeper, NoKeeper) else account.parts
            state = AccountState(opened, self._transport.send, sharers)
            if sharers > 1 and isinstance(keeper, Keeper):
                state.share = SharedRate(keeper, name, state.limiter, self._loop.now)
            state.learn(self._keeper.durations(name))
            self._states.setdefault(name, state)
        return self._states[name]
