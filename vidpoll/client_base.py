"""What all calls of a client share: its plugins, accounts, transport, store and loop, and how it closes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, NoReturn, TypeVar

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


_CLOSED = "this client is closed; make a new one"
_HANGS = 10.0
"""Seconds after which `close` takes a `serve` for one that does not end."""


class ClientBase:
    """The base of `Client`: set-up and close, without the calls about jobs."""

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
        self._serves = ForkLock(threading.RLock)  # reentrant: a signal handler may close the client
        self._serving = 0  # the process that serves
        self._server = 0  # its thread
        self._ending, self._served = threading.Event(), threading.Event()
        self._unserved: set[str] = set()  # what `serve` has logged about accounts and jobs that it skips
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

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Client cannot be pickled: make one in each process; vidpoll.dump(job) makes text of a job")

    def __enter__(self: S) -> S:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the threads of the transport and close the store. Jobs continue at their providers.

        If another thread is in `serve`, that ends first, as by its `stop`: within about a second, or when the hook that
        it is calling returns (after 10 s it is not waited for). In a hook of `serve`, the client closes when it ends.
        """
        with self._serves.current:
            self._ending.set()
            serving, in_serve = self._serving == os.getpid(), self._server == threading.get_ident()
        if serving and (in_serve or self._served.wait(_HANGS)):
            return
        self._close()

    def _close(self) -> None:
        self._closed = self._loop.closed = True
        self._transport.close()
        self._keeper.close()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """The only `serve` of this client; if the client is closed meanwhile, that takes effect at the end."""
        with self._serves.current:
            if self._closed or self._ending.is_set():
                raise UsageError(_CLOSED)
            if self._serving == os.getpid():  # a forked child may serve as well
                raise UsageError("this client is already serving; make another client to serve more")
            self._served.clear()
            self._serving, self._server = os.getpid(), threading.get_ident()
        try:
            yield
        finally:
            with self._serves.current:
                self._serving = 0
                ending = self._ending.is_set()
            try:
                if ending:
                    self._close()
            finally:
                self._served.set()

    @property
    def providers(self) -> Mapping[str, Provider]:
        """All providers by name. This loads every one of them; `plugins` has their names without loading any."""
        return self._plugins.providers

    def provider(self, name: str) -> Provider:
        """Load and return the provider of that name. Raises UnknownProvider, with the known names or the cause."""
        return self._plugins.provider(name)

    @property
    def plugins(self) -> tuple[PluginReport, ...]:
        """A report for each plugin, broken ones included. A plugin that is not `loaded` is imported when named."""
        return tuple(self._plugins.reports)

    def ready(self, account: str) -> str:
        """Check that an account can be used, and return its base URL, without a login. Nothing is sent.

        Raises what a wait raises before its first request: UnknownProvider, MissingKey, or UsageError for a base URL or
        a header that cannot be used, and for a key that would be sent unencrypted.
        """
        opened = self._state(account).opened
        opened.check()
        return opened.base_url

    def reach(self, account: str) -> Reach:
        """Send one request without a key to the base URL of an account: does a server respond, how fast, and its clock.

        Any HTTP status is a response. Raises ConfigurationError if this machine cannot send the request (a proxy, a CA
        file, a thread), ProviderError if no response comes, and UsageError before anything is sent.
        """
        return reach(self._loop, self._state(account).opened)

    def add_commands(self, register: Callable[..., None]) -> list[str]:
        """Let plugins add commands to a command line (`vidpoll_commands`); returns the problems, one line each."""
        return self._plugins.commands(register)

    def add_display(self) -> bool:
        """Let an installed plugin show the jobs on the terminal (`vidpoll_display`). Returns whether one does."""
        return self._plugins.display(self._clock.time)

    @property
    def store(self) -> JobStore:
        """The stored jobs, submits and wanted files. Raises UsageError for a client without a store."""
        return self._keeper.job_store(lambda name: self._state(name).opened)

    def _opened(self, given: str | Path | Store | None, bound: float) -> Keeper | NoKeeper:
        if given is None:
            return NoKeeper(self._plugins.tell)
        store = arguments.open_store(given, self._plugins, self._clock)
        return Keeper(store, self._clock, self._plugins.tell, bound)

    def _check_open(self) -> None:
        if self._closed:
            raise UsageError(_CLOSED)

    def _state(self, name: str) -> AccountState:
        self._check_open()
        if not isinstance(name, str) or name not in self._states:
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


ClientBase.__init__.__qualname__ = "Client.__init__"  # so Python names Client when it refuses an argument
