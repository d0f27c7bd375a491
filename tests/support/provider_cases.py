"""The three providers of the issue, each as a small value: what it says while a job runs, and when it is done.

`waiting` plays answers to a wait by FakeClock and FakeTransport and tells what came of it.
"""

from __future__ import annotations

import copy
import importlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from acme_provider import Calm, Ears, Plugin

import vidpoll
from vidpoll.testing import FakeClock, FakeTransport

KEY = "vp/secret+0123456789abcdef"


@dataclass(frozen=True)
class Case:
    """One provider. `path` leads to the object of the job in an answer; `word` and `video` are its field names."""

    name: str
    job_id: str
    path: tuple[str, ...]
    word: str
    id_field: str
    video: str
    running: Any
    completed: Any
    failed: Any
    earlier: Any
    submit: tuple[str, Mapping[str, object]]
    accepted: Any
    deletes: bool

    @property
    def ref(self) -> str:
        return f"{self.name}:{self.job_id}"

    @property
    def provider(self) -> vidpoll.Provider:
        module = importlib.import_module(f"vidpoll_providers.{self.name}")
        (provider,) = module.vidpoll_providers()
        assert isinstance(provider, vidpoll.Provider)
        return provider

    def saying(self, body: Any, **fields: Any) -> Any:
        """`body` with other values in the object of the job."""
        other = copy.deepcopy(body)
        self.of(other).update(fields)
        return other

    def of(self, body: Any) -> Any:
        """The object of the job."""
        for step in self.path:
            body = body[step]
        return body

    def word_of(self, body: Any) -> Any:
        return self.of(body)[self.word]


UUID = "b72f41c9-0e8d-4a55-8b3f-19c6d0e7a222"
_MAGICOAL = {"uuid": UUID, "type": "t2v", "created_at": "2026-11-02T09:14:07Z", "credits_charged": 52.0}
_TOKEN360 = {"id": "vt_5f2c0e9b7a41", "object": "video", "created_at": 1795001000, "updated_at": 1795001097}
_MPT = {"task_id": "0b9d6a52-2f0e-4c3b-8f3e-6f1f2a9b7c10"}


def _magicoal(status: str, progress: int, **more: Any) -> dict[str, Any]:
    return {"success": True, "data": {**_MAGICOAL, "status": status, "stage": status, "progress": progress, **more}}


def _mpt(state: int, progress: int, **more: Any) -> dict[str, Any]:
    return {"status": 200, "message": "success", "data": {**_MPT, "state": state, "progress": progress, **more}}


CASES = (
    Case(
        "magicoal",
        UUID,
        ("data",),
        "status",
        "uuid",
        "video_url",
        running=_magicoal("generating_video", 54, done=False),
        completed=_magicoal(
            "completed",
            100,
            done=True,
            video_url="https://coals.ai/storage/videos/v.mp4",
            thumbnail_url="https://coals.ai/storage/thumbnails/v.jpg",
            duration_seconds=10.0625,
            completed_at="2026-11-02T09:18:02Z",
        ),
        failed=_magicoal("failed", 40, done=True, error={"message": "out of paint", "code": "E7"}),
        earlier=_magicoal("queued", 0, done=False),
        submit=("t2v", {"prompt": "a kite"}),
        accepted=_magicoal("queued", 0),
        deletes=False,
    ),
    Case(
        "token360",
        "vt_5f2c0e9b7a41",
        (),
        "status",
        "id",
        "url",
        running={**_TOKEN360, "status": "in_progress", "progress": 54},
        completed={
            **_TOKEN360,
            "status": "completed",
            "progress": 100,
            "duration": 4,
            "url": "https://media.example/v.mp4?X-Amz-Signature=5ignatur3",
            "content": {"last_frame_url": "https://media.example/v.png?X-Amz-Signature=5ignatur3"},
        },
        failed={**_TOKEN360, "status": "failed", "error": {"message": "out of paint", "code": "E7"}},
        earlier={**_TOKEN360, "status": "queued", "progress": 0},
        submit=("video", {"model": "seedance-2.0", "prompt": "a kite"}),
        accepted={**_TOKEN360, "status": "queued"},
        deletes=True,
    ),
    Case(
        "moneyprinterturbo",
        "0b9d6a52-2f0e-4c3b-8f3e-6f1f2a9b7c10",
        ("data",),
        "state",
        "task_id",
        "videos",
        running=_mpt(4, 54),
        completed=_mpt(
            1,
            100,
            videos=["/tasks/0b9d6a52-2f0e-4c3b-8f3e-6f1f2a9b7c10/final-1.mp4"],
            combined_videos=["/tasks/0b9d6a52-2f0e-4c3b-8f3e-6f1f2a9b7c10/combined-1.mp4"],
            script="One line.",
            warnings=None,
        ),
        failed=_mpt(-1, 40, error="out of paint", failed_stage="E7"),
        earlier=_mpt(0, 0),
        submit=("video", {"video_subject": "a kite"}),
        accepted={"status": 200, "message": "success", "data": {**_MPT}},
        deletes=True,
    ),
)

each_provider = pytest.mark.parametrize(
    "case", [CASES[0], *(pytest.param(case, marks=pytest.mark.slow) for case in CASES[1:])], ids=lambda case: case.name
)
"""What befalls a wire and a body befalls it whatever the provider: the others are slow tests."""


@dataclass
class Told:
    """A wait that was played: the job, what the hooks heard, what was raised, and how long it took."""

    job: vidpoll.Job
    client: vidpoll.Client
    clock: FakeClock
    wire: FakeTransport
    ears: Ears
    error: vidpoll.VidpollError | None = None
    events: list[vidpoll.Event] = field(default_factory=list)

    @property
    def transient_errors(self) -> list[vidpoll.PollFailed]:
        return [event for event in self.events if isinstance(event, vidpoll.PollFailed)]

    @property
    def words(self) -> list[str]:
        """The hooks that were called, without `polled`."""
        return [hook for hook in self.ears.hooks if hook != "polled"]

    @property
    def waited(self) -> list[float]:
        return self.clock.waits


def client_of(case: Case, script: Any, **options: Any) -> Told:
    """A client of one of the three whose time and network are scripted; nothing has been asked yet."""
    clock, wire, ears = FakeClock(), FakeTransport(script), Ears()
    provider = options.pop("provider", case.provider)
    base = options.pop("base_url", None)
    client = vidpoll.Client(
        accounts={case.name: vidpoll.Account(case.name, base_url=base, key=options.pop("key", KEY))},
        plugins=[Plugin(provider), ears],
        discover=False,
        clock=clock,
        transport=wire,
        **options,
    )
    client._loop.context.random = Calm()
    return Told(vidpoll.Job(case.ref), client, clock, wire, ears)


def waiting(
    case: Case, script: Any, *, timeout: float | None = 3600.0, submitted: bool = False, **options: Any
) -> Told:
    """Wait for the job of `case` while the provider answers by `script`; never raises for what came of it."""
    told = client_of(case, script, **options)
    if submitted:
        told.job = vidpoll.Job(case.ref, submitted_at=told.clock.time())
    with told.client as client:
        try:
            client.wait(told.job, timeout=timeout, on_event=told.events.append)
        except vidpoll.VidpollError as error:
            told.error = error
    return told


def raw(body: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> vidpoll.Response:
    """An answer of exactly these bytes (anything else is made JSON)."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return vidpoll.Response(status, {"content-type": "application/json", **(headers or {})}, content)


def quick(provider: vidpoll.Provider, floor: float = 0.02) -> vidpoll.Provider:
    """The provider, asked as often as a test likes: for real sockets and real time."""
    return replace(provider, pacing=vidpoll.Pacing(floor=floor))


def real_client(case: Case, base_url: str, *, bound: float = 0.4, **options: Any) -> vidpoll.Client:
    """A client of one of the three with real time and real sockets; a request is bounded by `bound` seconds."""
    options.setdefault("plugins", [Plugin(quick(case.provider))])
    return vidpoll.Client(
        accounts={case.name: vidpoll.Account(case.name, base_url=base_url, key=options.pop("key", KEY))},
        discover=False,
        http_timeout=(bound / 2, bound / 2),
        pacing=vidpoll.Fixed(0.02),
        **options,
    )


def chain(error: BaseException) -> Sequence[BaseException]:
    """The error and everything that hangs on it by `__cause__` and `__context__`, suppressed or not."""
    found: list[BaseException] = []
    left: list[BaseException | None] = [error]
    while left:
        each = left.pop()
        if each is not None and each not in found:
            found.append(each)
            left += [each.__cause__, each.__context__]
    return found
