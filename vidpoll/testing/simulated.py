"""`simulate`: the simulator with the faces of the plugins, and clients that are ready for it.

    with vidpoll.testing.simulate("magicoal", speed=100) as simulator:
        client = simulator.client()
        job = client.wait(client.submit("magicoal", "t2v", prompt="a lighthouse at dusk"))

This module connects the simulator, which does not know vidpoll, with a Client. It has no server and no face; a face
is imported only when it is simulated.
"""

from __future__ import annotations

import importlib.resources
import os
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property, partial
from pathlib import Path
from queue import Empty, Queue
from typing import Any, TypeVar
from urllib.parse import urlsplit

from ..client import Client
from ..clock import Clock, SystemClock
from ..errors import PluginError, UsageError
from ..installing import PACK, from_clone
from ..net.accounts import Account
from ..plugins import Plugins, switched_off
from ..provider import ways
from ..similar import similar
from .fakes import ScaledClock
from .simulator import Face, RecordedFace, SampleFace, Simulator

T = TypeVar("T")


class InstantClock:
    """The simulator's own time, which jumps whenever a client waits: waits take no time, requests take real time.

    For one client at a time: while one client waits, the clock moves for all of them.
    """

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._real = SystemClock()
        self._unix = self._real.time() - simulator.now

    def monotonic(self) -> float:
        return self._simulator.now

    def time(self) -> float:
        return self._unix + self._simulator.now

    def get(self, inbox: Queue[T], timeout: float, *, busy: bool) -> T | None:
        if busy:  # real time: a request is under way
            return self._real.get(inbox, timeout, busy=True)
        try:
            return inbox.get_nowait()
        except Empty:
            self._simulator.advance(max(timeout, 0.0))
            return None


class Simulation(Simulator):
    """A `Simulator` that provides accounts for it, and clients that use them. Made by `simulate`."""

    def __init__(
        self,
        faces: Mapping[str, Face],
        *,
        speed: float = 1.0,
        seed: int = 0,
        ports: Mapping[str, int] | None = None,
        plugins: Iterable[object] = (),
        instant: bool = False,
    ) -> None:
        super().__init__(faces, speed=speed, seed=seed, ports=ports)
        self._instant = instant
        self.faces = dict(faces)
        """Name to face, for what only a face knows (its timelines, its files)."""
        self.speed = speed
        """Simulated seconds per real second."""
        self._plugins = tuple(plugins)
        self._clients: list[Client] = []

    def __enter__(self) -> Simulation:
        self.start()
        return self

    def close(self) -> None:
        """Close the clients that `client` made, then the servers. May be called twice."""
        while self._clients:
            self._clients.pop().close()
        super().close()

    @cached_property
    def _known(self) -> Plugins:
        return _installed(self._plugins)

    @property
    def accounts(self) -> dict[str, Account]:
        """Name to an account with base URL and key: `vidpoll.Client(accounts=simulator.accounts)`."""
        return {name: Account(name, base_url=url, key=self._key(name)) for name, url in self.base_urls.items()}

    def _key(self, name: str) -> str | Mapping[str, str] | None:
        """The key of an account; if its provider names several variables, a key for each of them."""
        key, provider = self.keys[name], self._known.providers.get(name)
        if key is None or provider is None or len(provider.auth.variables) < 2:
            return key
        return dict.fromkeys(provider.auth.variables, key)

    @property
    def environ(self) -> dict[str, str]:
        """The environment variables that make code under test use the simulator: base URLs and keys."""
        found: dict[str, str] = {}
        for name, provider in self._known.providers.items():
            if name in self.base_urls:
                variable = "".join(char if char.isalnum() else "_" for char in name).upper()
                found[f"{variable}_BASE_URL"] = self.base_urls[name]
                key = self.keys[name] or ("not-asked-for" if provider.auth.required else None)
                found |= dict.fromkeys(ways(provider.auth)[0].variables, key) if key else {}
        return found

    @property
    def clock(self) -> Clock:
        """A clock for a client of this simulator, with the same speed, or with instant waits."""
        return InstantClock(self) if self._instant else ScaledClock(self.speed)

    def client(self, **options: Any) -> Client:
        """A Client with these accounts and the simulator's clock; closed with the simulator.

        `options` are those of Client. Floors, gaps and deadlines are simulated seconds; the timeouts of a request are
        real ones, because its response takes real time.
        """
        scale = max(self.speed, 1.0)
        accounts = {**self.accounts, **options.pop("accounts", {})}
        plugins = (*self._plugins, *options.pop("plugins", ()))
        defaults = {"clock": self.clock, "http_timeout": (10.0 * scale, 30.0 * scale)}
        client = Client(accounts=accounts, plugins=plugins, **{**defaults, **options})
        self._clients.append(client)
        return client


def simulate(
    *names: str,
    speed: float = 1.0,
    seed: int = 0,
    ports: Mapping[str, int] | None = None,
    plugins: Iterable[object] = (),
    instant: bool = False,
    **options: Mapping[str, Any],
) -> Simulation:
    """The simulator of these providers (without names: of all installed ones); use it as a context manager.

    `speed`: simulated seconds per real second. `instant`: the waits of its clients take no time. `seed` fixes ids and
    stage lengths. `ports`: name to port, by default free ones. `plugins` are used in addition to the installed ones.
    `options`: a provider's name to the arguments of its face, like `simulate("magicoal", magicoal={"credits": 60})`.

    Raises UsageError for an unknown name (naming the known ones) or a wrong argument, PluginError for a face that
    cannot be imported.
    """
    plugins = tuple(plugins)
    installed = _installed(plugins)
    known = installed.simulators()
    if not known:
        raise UsageError(f"no simulator is installed: install a provider's plugin, like {from_clone(PACK)}")
    wanted = names or tuple(known)
    for name in (*wanted, *options):
        if name not in known:
            close = similar(name, known)
            meant = f"did you mean {close[0]!r}? " if close else ""
            raise UsageError(f"no simulator of {name!r} is installed; {meant}installed are: {', '.join(known)}")
        if name not in wanted:
            raise UsageError(f"options has {name!r}, which is not simulated: add it to the names, or remove it")
    faces = {name: _face(installed, name, known[name], options.get(name, {})) for name in wanted}
    try:
        return Simulation(faces, speed=speed, seed=seed, ports=ports, plugins=plugins, instant=instant)
    except ValueError as error:
        raise UsageError(f"the simulator: {error}") from None


def replay(name: str, recording: Path | str, *, origin: str = "", plugins: Iterable[object] = ()) -> Simulation:
    """A provider whose server plays a recording of a real one; use it as a context manager. Waits take no time.

    `recording` is a JSON file of exchanges, in the form that docs/simulator-faces.md shows ("A recording as a server")
    and `help(vidpoll.testing.simulator.recorded_face)` describes; `origin` is the address of the real server, if bodies
    name it. `simulation.requests(name)` returns the received requests. Raises UnknownProvider.

    Example::

        with vidpoll.testing.replay("acme", "recorded/success.json") as simulation:
            assert simulation.client().wait("acme:7").ok
    """
    plugins = tuple(plugins)
    provider = _installed(plugins).provider(name)
    key = f"sim-{name}-key" if provider.auth.variables else None
    face = RecordedFace(recording, base_path=urlsplit(provider.base_url).path.rstrip("/"), key=key, origin=origin)
    return Simulation({name: face}, plugins=plugins, instant=True)


def _installed(plugins: Iterable[object]) -> Plugins:
    """The plugins that a client also uses: a plugin that `VIDPOLL_DISABLE` switches off has no simulator."""
    return Plugins(plugins, disabled=switched_off(os.environ))


def _face(installed: Plugins, name: str, where: str, options: Mapping[str, Any]) -> Face:
    module, _, attribute = where.partition(":")
    make: Callable[..., Face]
    try:
        if attribute.endswith(".json"):
            path = Path(str(importlib.resources.files(module).joinpath(attribute)))
            make = partial(SampleFace, path, installed.providers[name])
        else:
            make = getattr(importlib.import_module(module), attribute)
    except Exception as error:
        raise PluginError(f"the simulator of {name} ({where}) cannot be imported: {type(error).__name__}") from error
    try:
        return make(**options)
    except (TypeError, ValueError) as error:
        raise UsageError(f"the simulator of {name}: {error}") from error
