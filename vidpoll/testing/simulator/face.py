"""What the face of a provider inherits: routes, keys, jobs, the floor, and the simulated time it lives in.

A face is a subclass that lists its routes and builds its provider's bodies. It lives in its provider's plugin and
imports nothing but this package and the standard library. Here may be no provider's word, header or status code
beyond the plain defaults that a face overrides.

One lock holds for each face: its handlers run one at a time, so a face needs none of its own.
"""

from __future__ import annotations

import math
import random
import re
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from .limits import Floor
from .timeline import Fate, Job, Jobs, Timeline
from .wire import Reply, Request, text_reply

JITTER = 0.05
"""Real seconds by which a question may come before the floor: scheduling jitter is not impatience."""


class Clock(Protocol):
    """The time that a face sees."""

    speed: float

    def now(self) -> float:
        """Simulated seconds since the simulator started."""
        ...

    def wall(self, at: float) -> float:
        """The unix time, on the client's own clock, of a simulated second."""
        ...


@dataclass(frozen=True)
class Route:
    """What answers a path: ``pattern`` must match all of the decoded path, its groups are the handler's arguments."""

    methods: str
    pattern: str
    handler: Callable[..., Reply]
    origin: str = "api"


class _Full(Exception):
    """A submit came while as many jobs were unfinished as there are slots."""


class Face:
    """One provider as the simulator plays it; one instance serves one simulator at a time.

    Subclasses set ``base_path`` (what follows the origin in an account's base URL), ``origins`` (one server each, "api"
    first), ``timelines`` (the job kinds), ``floor`` (simulated seconds between two questions about a job, or None),
    and write :meth:`routes`.
    """

    base_path = ""
    origins: tuple[str, ...] = ("api",)
    timelines: Mapping[str, Timeline] = {}
    floor: float | None = None
    max_body = 16 * 1024 * 1024

    def __init__(self, *, key: str | None, capacity: int, timelines: Mapping[str, Timeline] | None = None) -> None:
        """``key`` is the one that clients must send, None for no key; at most ``capacity`` jobs run at once.

        ``timelines`` replaces the timelines of the job kinds that it names.
        """
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, not {capacity}")
        self.key = key
        self.capacity = capacity
        self.timelines = {**self.timelines, **(timelines or {})}
        self.lock = threading.RLock()
        self.clock: Clock
        self.jobs: Jobs
        self.urls: Mapping[str, str] = {}
        self._fates: list[Fate] = []
        self._floor: Floor | None = None
        self._routes: list[tuple[Route, re.Pattern[str]]] = []

    def attach(self, clock: Clock, seed: str, urls: Mapping[str, str]) -> None:
        """Begin a life: no jobs yet; ``urls`` maps each of ``origins`` to ``http://host:port``."""
        self.clock = clock
        self.urls = urls
        self.jobs = Jobs(seed=seed, capacity=self.capacity, new_id=self.new_id)
        self.slots: int | None = None
        self.in_flight = 0
        self._fates = []
        self._floor = None if self.floor is None else Floor(self.floor, JITTER * clock.speed)
        self._routes = [(route, re.compile(route.pattern)) for route in self.routes()]

    # What a face says

    def routes(self) -> Sequence[Route]:
        """What the provider serves; the first route that matches answers."""
        raise NotImplementedError

    def new_id(self, dice: random.Random) -> str:
        """A job id in the provider's form; here a UUID."""
        return str(uuid.UUID(int=dice.getrandbits(128), version=4))

    def tells_progress(self, kind: str) -> bool:
        """Whether the answers about a job of this kind tell its progress."""
        return True

    def defaults(self, kind: str) -> dict[str, Any]:
        """The ``data`` of a job of ``kind`` that nobody submitted (:meth:`seed_job`)."""
        raise NotImplementedError

    def refuse(self, request: Request) -> Reply | None:
        """An answer before any route is asked (key, rate limit), or None."""
        return None

    def dress(self, request: Request, reply: Reply) -> Reply:
        """The reply with the headers that every answer of the provider has."""
        return reply

    def not_found(self, request: Request) -> Reply:
        """The answer where no route has the path."""
        return text_reply(404, "Not Found")

    def not_allowed(self, request: Request) -> Reply:
        """The answer where the path has no such method."""
        return text_reply(405, "Method Not Allowed")

    def full(self, request: Request) -> Reply:
        """The answer to a submit while no slot is free."""
        return text_reply(429, "Too Many Requests")

    def too_large(self, request: Request) -> Reply:
        """The answer to a body longer than ``max_body`` bytes."""
        return text_reply(413, "Payload Too Large")

    # What a face uses

    def submit(self, kind: str, request: Request, data: Mapping[str, Any]) -> Job:
        """Take a job, or answer as :meth:`full` does; :meth:`doom_next` may have said what becomes of it."""
        unfinished = sum(not job.moment(request.at).final for job in self.jobs)
        if self.slots is not None and unfinished >= self.slots:
            raise _Full
        self.in_flight = max(self.in_flight, unfinished + 1)
        return self.add_job(kind, request.at, data, self._fates.pop(0) if self._fates else Fate())

    def add_job(self, kind: str, at: float, data: Mapping[str, Any], fate: Fate) -> Job:
        """Add a job, a submitted or a seeded one."""
        return self.jobs.submit(kind, self.timeline(kind, data), at=at, data=data, fate=fate)

    def timeline(self, kind: str, data: Mapping[str, Any]) -> Timeline:
        """The timeline of a job; a face overrides it where the job's fields change it."""
        return self.timelines[kind]

    def too_soon(self, job: Job, at: float) -> int:
        """Whole real seconds that a client has to wait before it may ask about ``job``; 0 when it may now."""
        return self.real_seconds(self._floor.wait(job.id, at)) if self._floor else 0

    def real_seconds(self, simulated: float) -> int:
        """A simulated span in whole seconds of the client's clock, rounded up, as Retry-After counts them."""
        return math.ceil(simulated / self.clock.speed)

    # What the engine and tests use

    def answer(self, request: Request) -> Reply:
        """Answer one request."""
        with self.lock:
            try:
                return self.dress(request, self.refuse(request) or self._dispatch(request))
            except _Full:
                return self.dress(request, self.full(request))

    def doom_next(self, fate: Fate) -> None:
        """Say what becomes of the next submitted job; called twice, of the next two."""
        with self.lock:
            self._fates.append(fate)

    def seed_job(self, kind: str, *, age: float, failure: str | None, data: Mapping[str, Any]) -> str:
        """Add a job submitted ``age`` simulated seconds ago, with ``data`` over the defaults; returns its id."""
        if kind not in self.timelines:
            raise ValueError(f"no job kind {kind!r}; there are {', '.join(sorted(self.timelines))}")
        with self.lock:
            return self.add_job(kind, self.clock.now() - age, {**self.defaults(kind), **data}, Fate(failure)).id

    def _dispatch(self, request: Request) -> Reply:
        if request.body is None:
            return self.too_large(request)
        known_path = False
        for route, pattern in self._routes:
            match = pattern.fullmatch(request.path) if route.origin == request.origin else None
            if match and request.method in route.methods.split():
                return route.handler(request, *match.groups())
            known_path = known_path or match is not None
        return self.not_allowed(request) if known_path else self.not_found(request)
