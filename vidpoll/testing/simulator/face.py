"""The base class of a provider's face: routes, keys, jobs, the floor, and the simulated time.

A face is a subclass that lists its routes and builds its provider's bodies. It belongs to its provider's plugin, and
imports only this package and the standard library. This module has no provider's word, header or status code, only
plain defaults that a face overrides.

Each face has one lock: its handlers run one at a time, so a face needs no lock of its own.
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
"""Real seconds by which a poll may be earlier than the floor: this allows for scheduling jitter."""


class Clock(Protocol):
    """The time that a face sees."""

    speed: float

    def now(self) -> float:
        """Simulated seconds since the simulator started."""
        ...

    def wall(self, at: float) -> float:
        """The Unix time, on the client's own clock, of a simulated second."""
        ...


@dataclass(frozen=True)
class Route:
    """The handler of a path: ``pattern`` must match the whole decoded path; its groups are the handler's arguments."""

    methods: str
    pattern: str
    handler: Callable[..., Reply]
    origin: str = "api"


class _Full(Exception):
    """A submit arrived while no slot was free."""


class Face:
    """One provider as the simulator plays it; one instance serves one simulator at a time.

    Subclasses set ``base_path`` (the path of an account's base URL), ``origins`` (one server each, "api" first),
    ``timelines`` (the job kinds), ``floor`` (simulated seconds between two polls of a job, or None), and write
    :meth:`routes`.
    """

    base_path = ""
    origins: tuple[str, ...] = ("api",)
    timelines: Mapping[str, Timeline] = {}
    floor: float | None = None
    max_body = 16 * 1024 * 1024

    def __init__(self, *, key: str | None, capacity: int, timelines: Mapping[str, Timeline] | None = None) -> None:
        """``key`` is the key that clients must send, None for no key; at most ``capacity`` jobs run at once.

        ``timelines`` replaces the timelines of the job kinds that it names.
        """
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, got {capacity}")
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
        """Start without jobs; ``urls`` maps each of ``origins`` to ``http://host:port``."""
        self.clock = clock
        self.urls = urls
        self.jobs = Jobs(seed=seed, capacity=self.capacity, new_id=self.new_id)
        self.slots: int | None = None
        self.in_flight = 0
        self._fates = []
        self._floor = None if self.floor is None else Floor(self.floor, JITTER * clock.speed)
        self._routes = [(route, re.compile(route.pattern)) for route in self.routes()]

    # What a subclass overrides

    def routes(self) -> Sequence[Route]:
        """The provider's routes; the first one that matches handles the request."""
        raise NotImplementedError

    def new_id(self, dice: random.Random) -> str:
        """A job id in the provider's form; here a UUID."""
        return str(uuid.UUID(int=dice.getrandbits(128), version=4))

    def tells_progress(self, kind: str) -> bool:
        """Whether responses about a job of this kind have its progress."""
        return True

    def defaults(self, kind: str) -> dict[str, Any]:
        """The ``data`` of a job of ``kind`` that no client submitted (:meth:`seed_job`)."""
        raise NotImplementedError

    def refuse(self, request: Request) -> Reply | None:
        """A refusal before any route (wrong key, rate limit), or None."""
        return None

    def dress(self, request: Request, reply: Reply) -> Reply:
        """The reply with the headers that every response of the provider has."""
        return reply

    def not_found(self, request: Request) -> Reply:
        """The reply if no route has the path."""
        return text_reply(404, "Not Found")

    def not_allowed(self, request: Request) -> Reply:
        """The reply if the path has no such method."""
        return text_reply(405, "Method Not Allowed")

    def full(self, request: Request) -> Reply:
        """The reply to a submit while no slot is free."""
        return text_reply(429, "Too Many Requests")

    def too_large(self, request: Request) -> Reply:
        """The reply to a body longer than ``max_body`` bytes."""
        return text_reply(413, "Payload Too Large")

    # What a subclass calls

    def submit(self, kind: str, request: Request, data: Mapping[str, Any]) -> Job:
        """Accept a job, or reply with :meth:`full`; :meth:`doom_next` may have set its outcome."""
        unfinished = sum(not job.moment(request.at).final for job in self.jobs)
        if self.slots is not None and unfinished >= self.slots:
            raise _Full
        self.in_flight = max(self.in_flight, unfinished + 1)
        return self.add_job(kind, request.at, data, self._fates.pop(0) if self._fates else Fate())

    def add_job(self, kind: str, at: float, data: Mapping[str, Any], fate: Fate) -> Job:
        """Add a submitted or seeded job."""
        return self.jobs.submit(kind, self.timeline(kind, data), at=at, data=data, fate=fate)

    def timeline(self, kind: str, data: Mapping[str, Any]) -> Timeline:
        """The timeline of a job; a face overrides this if the job's fields change it."""
        return self.timelines[kind]

    def too_soon(self, job: Job, at: float) -> int:
        """Whole real seconds that a client must wait before it may poll ``job``; 0 if it may poll now."""
        return self.real_seconds(self._floor.wait(job.id, at)) if self._floor else 0

    def real_seconds(self, simulated: float) -> int:
        """A simulated span in whole seconds of the client's clock, rounded up, as Retry-After counts them."""
        return math.ceil(simulated / self.clock.speed)

    # What the engine and tests call

    def answer(self, request: Request) -> Reply:
        """Reply to one request."""
        with self.lock:
            try:
                return self.dress(request, self.refuse(request) or self._dispatch(request))
            except _Full:
                return self.dress(request, self.full(request))

    def doom_next(self, fate: Fate) -> None:
        """Set the outcome of the next submitted job; if called twice, of the next two."""
        with self.lock:
            self._fates.append(fate)

    def seed_job(self, kind: str, *, age: float, failure: str | None, data: Mapping[str, Any]) -> str:
        """Add a job submitted ``age`` simulated seconds ago, with ``data`` over the defaults; returns its id."""
        if kind not in self.timelines:
            raise ValueError(f"kind must be one of {', '.join(sorted(self.timelines))}, got {kind!r}")
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
