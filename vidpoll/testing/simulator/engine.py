"""The simulator: servers for the faces, one simulated clock, a record of the requests.

This is the only file of the simulator that reads a clock. It may not know a provider: it gets faces, and returns base
URLs and keys. Servers listen on loopback only.

Simulated time runs ``speed`` times as fast as real time: job stages, floors, rate windows and the life of signed URLs
are in simulated seconds. Times that a client reads (Retry-After, reset times, when something happened) are in the
client's own, real time.
"""

from __future__ import annotations

import ipaddress
import math
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from .face import Face
from .timeline import Fate
from .wire import Reply, Request, Server, json_reply


@dataclass(frozen=True)
class Exchange:
    """One request and the HTTP status of its response; ``at`` is in simulated seconds, header names are lower case.

    ``path`` and ``query`` are as sent. ``origin`` is "api", or the name that the face gives another server.
    """

    at: float
    method: str
    path: str
    status: int
    query: str = ""
    origin: str = "api"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)


class Simulator:
    """Serve ``faces`` (name to face) on loopback until closed.

    ``speed`` is simulated seconds per real second. ``seed`` fixes job ids and stage lengths. ``ports`` maps a name to
    the port of its API; other names, and further origins of a face, get a free port.
    """

    def __init__(
        self,
        faces: Mapping[str, Face],
        *,
        speed: float = 1.0,
        seed: int = 0,
        host: str = "127.0.0.1",
        ports: Mapping[str, int] | None = None,
    ) -> None:
        if not (math.isfinite(speed) and speed > 0):
            raise ValueError(f"speed must be a positive number, got {speed!r}")
        if host != "localhost" and not ipaddress.IPv4Address(host).is_loopback:
            raise ValueError(f"host must be a loopback address, got {host!r}")
        unknown = set(ports or ()) - set(faces)
        if unknown:
            raise ValueError(f"ports has names that are not simulated: {', '.join(sorted(unknown))}")
        self._faces = dict(faces)
        self._speed = speed
        self._seed = seed
        self._host = host
        self._ports = dict(ports or {})
        self._clock: _Clock | None = None
        self._servers: dict[str, dict[str, Server]] = {}
        self._exchanges: dict[str, list[Exchange]] = {}
        self._troubles: dict[str, _Trouble] = {}
        self._guard = threading.Lock()

    def start(self) -> Simulator:
        """Open the servers and start the clock at 0; faces start without jobs. Raises OSError for a port in use."""
        if self._servers:
            raise RuntimeError("the simulator is already running")
        self._clock = _Clock(self._speed)
        try:
            for name, face in self._faces.items():
                self._open(name, face)
        except BaseException:
            self.close()
            raise
        for server in self._all_servers():
            server.start()
        return self

    def close(self) -> None:
        """Close every server and connection; all threads have ended when this returns. May be called twice."""
        for server in self._all_servers():
            server.close()
        self._servers = {}

    def __enter__(self) -> Simulator:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def base_urls(self) -> dict[str, str]:
        """Name to base URL, for the ``base_url`` of a vidpoll account. Empty while the simulator is not running."""
        return {name: servers["api"].origin + self._faces[name].base_path for name, servers in self._servers.items()}

    @property
    def keys(self) -> dict[str, str | None]:
        """Name to the accepted API key; None if the provider needs none."""
        return {name: face.key for name, face in self._faces.items()}

    @property
    def now(self) -> float:
        """Simulated seconds since the start."""
        return self._running().now()

    def advance(self, seconds: float) -> None:
        """Jump ahead by ``seconds`` of simulated time."""
        clock = self._running()
        with self._guard:
            clock.advance(seconds)

    def requests(self, name: str) -> tuple[Exchange, ...]:
        """All requests to that face since the start, in the order of their responses; also after closing."""
        self._face(name)
        with self._guard:
            return tuple(self._exchanges.get(name, ()))

    def submissions(self, name: str) -> int:
        """How many jobs that face has accepted since the start, including those of `seed_job`."""
        self._running()
        return self._face(name).jobs.submitted

    def limit_slots(self, name: str, slots: int | None) -> None:
        """Refuse each submit to that face while ``slots`` of its jobs are unfinished; None refuses none.

        Providers without a queue do so. Raises ValueError for a number below 0.
        """
        self._running()
        if slots is not None and slots < 0:
            raise ValueError(f"slots must be a number of jobs, from 0, or None, got {slots!r}")
        self._face(name).slots = slots

    def most_in_flight(self, name: str) -> int:
        """The largest number of submitted jobs of that face that were unfinished at once, since the start."""
        self._running()
        return self._face(name).in_flight

    def fail_next(self, name: str, *, message: str = "The generation failed.", at: float | None = None) -> None:
        """Let the next job submitted to that face fail with ``message``; if called twice, the next two.

        It fails when its progress reaches ``at`` percent, by default halfway through its running time.
        """
        self._running()
        if at is not None and not 0 <= at <= 100:
            raise ValueError(f"at must be a percentage, 0 to 100, got {at!r}")
        self._face(name).doom_next(Fate(message, at))

    def hang_next(self, name: str) -> None:
        """Let the next job submitted to that face never end: it keeps running, at half of its progress."""
        self._running()
        self._face(name).doom_next(Fate(endless=True))

    def trouble(self, name: str, *, status: int = 503, seconds: float = 10.0, retry_after: int | None = None) -> None:
        """Respond to every request to that face's API with ``status``, for the next ``seconds`` simulated seconds.

        ``retry_after`` is the value of the Retry-After header, in seconds of the client's clock; None for no header.
        """
        clock = self._running()
        self._face(name)
        if not 400 <= status <= 599:
            raise ValueError(f"status must be 400 to 599, got {status!r}")
        with self._guard:
            self._troubles[name] = _Trouble(clock.now() + seconds, status, retry_after)

    def seed_job(self, name: str, kind: str, *, age: float = 0.0, failure: str | None = None, **data: Any) -> str:
        """Add a job that was submitted ``age`` simulated seconds ago and cost nothing. Returns its id.

        With ``failure`` it fails halfway, with this message. ``data`` has fields that a client could have submitted.
        Raises ValueError for a kind that the face does not have.
        """
        self._running()
        return self._face(name).seed_job(kind, age=age, failure=failure, data=data)

    def _open(self, name: str, face: Face) -> None:
        servers = self._servers[name] = {}
        self._exchanges[name] = []
        self._troubles.pop(name, None)
        for origin in face.origins:
            port = self._ports.get(name, 0) if origin == "api" else 0
            try:
                servers[origin] = Server(self._host, port, self._door(name, face, origin), max_body=face.max_body)
            except OSError as error:
                raise self._taken(error, name, port) if port else error from None
        urls = {origin: server.origin for origin, server in servers.items()}
        face.attach(self._running(), f"{self._seed}:{name}", urls)

    def _taken(self, error: OSError, name: str, port: int) -> OSError:
        why = f"{error.strerror} (give {name!r} another port in ports, or leave it out for a free one)"
        return OSError(error.errno, why, f"{self._host}:{port}")

    def _door(self, name: str, face: Face, origin: str) -> _Door:
        return _Door(name, face, origin, self._running(), self._exchanges[name], self._troubles, self._guard)

    def _all_servers(self) -> list[Server]:
        return [server for servers in self._servers.values() for server in servers.values()]

    def _running(self) -> _Clock:
        if self._clock is None:
            raise RuntimeError("the simulator has not been started")
        return self._clock

    def _face(self, name: str) -> Face:
        if name not in self._faces:
            raise ValueError(f"{name!r} is not simulated; simulated are {', '.join(sorted(self._faces))}")
        return self._faces[name]


@dataclass(frozen=True)
class _Trouble:
    """The error that every request gets, and until when."""

    until: float
    status: int
    retry_after: int | None

    def reply(self) -> Reply:
        hint = () if self.retry_after is None else (("Retry-After", str(self.retry_after)),)
        return json_reply(self.status, {"error": {"message": "an error that the test requested"}}, hint)


@dataclass(frozen=True)
class _Door:
    """What a server calls: it adds the time to the request, calls the face, and records the exchange."""

    name: str
    face: Face
    origin: str
    clock: _Clock
    exchanges: list[Exchange]
    troubles: Mapping[str, _Trouble]
    guard: threading.Lock

    def __call__(self, method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> Reply:
        path, _, query = target.partition("?")
        request = Request(self.origin, method, path, query, headers, body, self.clock.now())
        status = 500
        try:
            trouble = self.troubles.get(self.name) if self.origin == "api" else None
            reply = trouble.reply() if trouble and request.at < trouble.until else self.face.answer(request)
            status = reply.status
        finally:
            exchange = Exchange(request.at, method, path, status, query, self.origin, headers, body or b"")
            with self.guard:
                self.exchanges.append(exchange)
        return reply


class _Clock:
    def __init__(self, speed: float) -> None:
        self.speed = speed
        self._zero = time.monotonic()
        self._unix = time.time()
        self._skipped = 0.0

    def now(self) -> float:
        return (time.monotonic() - self._zero) * self.speed + self._skipped

    def wall(self, at: float) -> float:
        return self._unix + at / self.speed

    def advance(self, seconds: float) -> None:
        if seconds < 0:
            raise ValueError("seconds must be at least 0: time does not run backwards")
        self._skipped += seconds
