"""Acme, a provider for tests, written as a plugin would be, and what makes a scripted conversation with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import vidpoll
from vidpoll import parsing
from vidpoll.plugins import HOOKS
from vidpoll.testing import FakeClock, FakeTransport

KEY = "acme-secret-0123456789"
STALLED = 18.0
FLOOR = 5.0
REF = "acme:j1"

WORDS = {
    "queued": vidpoll.State.QUEUED,
    "drawing": vidpoll.State.RUNNING,
    "saving": vidpoll.State.RUNNING,
    "done": vidpoll.State.COMPLETED,
    "broken": vidpoll.State.FAILED,
    "stopped": vidpoll.State.CANCELLED,
    "gone": vidpoll.State.EXPIRED,
}

# What the server says.
QUEUED = {"status": "queued"}
DRAWING = {"status": "drawing", "progress": 10}
SAVING = {"status": "saving", "progress": 90}
DONE = {"status": "done", "video": "https://api.acme.example/files/j1.mp4"}
BROKEN = {"status": "broken", "error": "out of paint"}
HTML = (200, {"content-type": "text/html"}, b"<html>try later</html>")
UNAVAILABLE = (503, {}, b"")
SLOW_DOWN = (429, {"retry-after": "20"}, b"")
MP4 = b"\x00\x00\x00\x18ftypisom" + b"\x00" * 100


def parse_status(response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot:
    body = parsing.json_object(response)
    problem = vidpoll.Problem(str(body["error"])) if "error" in body else None
    return vidpoll.Snapshot(
        parsing.lookup(WORDS, body.get("status")),
        stage=parsing.text(body.get("status")),
        progress=parsing.progress(body.get("progress")),
        assets=parsing.assets(body.get("video")) + parsing.assets(body.get("cover"), "thumbnail"),
        problem=problem,
        job_id=parsing.text(body.get("id")),
        finished_at=parsing.timestamp(body.get("finished")),
    )


def parse_submit(response: vidpoll.Response, job_id: str) -> vidpoll.Submitted:
    body = parsing.json_object(response)
    return parsing.submitted(body.get("id"), lambda: parse_status(response, job_id))


def parse_list(response: vidpoll.Response, job_id: str) -> vidpoll.Page:
    body = parsing.json_object(response)
    rows = tuple(
        vidpoll.Snapshot(parsing.lookup(WORDS, row["status"]), stage=row["status"], job_id=row["id"])
        for row in body["rows"]
    )
    return vidpoll.Page(rows, body.get("next"))


def parse_quota(response: vidpoll.Response, job_id: str) -> vidpoll.Quota:
    return vidpoll.Quota(balance=parsing.json_object(response)["credits"], prices={"clip": 50.0})


def parse_content(response: vidpoll.Response, job_id: str) -> vidpoll.Asset:
    if response.body[4:8] == b"ftyp":
        return vidpoll.Asset(data=response.body)
    return vidpoll.Asset(parsing.json_object(response)["url"])


def job_request(method: str, tail: str = "") -> Any:
    return lambda job_id: vidpoll.Request(method, f"/jobs/{parsing.segment(job_id)}{tail}")


def submit_request(fields: Mapping[str, object]) -> vidpoll.Request:
    if set(fields) - {"prompt", "image"}:
        raise vidpoll.InvalidField("acme takes prompt and image")
    return vidpoll.Request("POST", "/jobs", json={"prompt": fields["prompt"]})


def list_request(fields: Mapping[str, object], token: str | None) -> vidpoll.Request:
    return vidpoll.Request("GET", "/jobs", query=(("page", token),) if token else ())


ACME = vidpoll.Provider(
    "acme",
    base_url="https://api.acme.example/v1",
    auth=vidpoll.Bearer("ACME_API_KEY"),
    pacing=vidpoll.Pacing(floor=FLOOR, stalled_after=STALLED),
    status=vidpoll.Operation(job_request("GET"), parse_status),
    submit={"clip": vidpoll.Operation(submit_request, parse_submit)},
    list=vidpoll.Operation(list_request, parse_list),
    quota=vidpoll.Operation(lambda: vidpoll.Request("GET", "/quota"), parse_quota),
    cancel=vidpoll.Operation(job_request("POST", "/cancel"), lambda response, job_id: None),
    delete=vidpoll.Operation(job_request("DELETE"), lambda response, job_id: None),
)


class Plugin:
    """Brings providers."""

    def __init__(self, *providers: vidpoll.Provider, name: str = "acme-plugin") -> None:
        self.name = name
        self.providers = providers

    @vidpoll.hookimpl
    def vidpoll_providers(self) -> tuple[vidpoll.Provider, ...]:
        return self.providers


class Ears:
    """Hears every hook: `heard` holds (hook, job, event)."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, vidpoll.Job, vidpoll.Event]] = []

    @property
    def hooks(self) -> list[str]:
        return [hook for hook, _, _ in self.heard]

    @property
    def told(self) -> list[str]:
        """In brief, without `polled`."""
        return [brief(event) for hook, _, event in self.heard if hook != "polled"]


def _ear(hook: str) -> Any:
    def hear(self: Ears, job: vidpoll.Job, event: vidpoll.Event) -> None:
        self.heard.append((hook, job, event))

    return vidpoll.hookimpl(hear)


for _name in HOOKS.values():
    setattr(Ears, _name, _ear(_name.removeprefix("vidpoll_")))


class Calm(Random):
    """No jitter: a gap after a fault is the floor."""

    def uniform(self, a: float, b: float) -> float:
        return a


@dataclass
class Talk:
    """A client whose time and network are scripted."""

    client: vidpoll.Client
    clock: FakeClock
    wire: FakeTransport
    ears: Ears = field(default_factory=Ears)

    @property
    def requests(self) -> list[str]:
        """What was sent: method and path with query."""
        return [f"{wire.method} {wire.url.split('.example', 1)[-1]}" for wire in self.wire.sent]


def talk(script: Any, *, provider: vidpoll.Provider = ACME, plugins: tuple[object, ...] = (), **options: Any) -> Talk:
    """A client of `provider`, its key given, that plays `script` (or has its own `transport`)."""
    clock, wire, ears = FakeClock(), options.pop("transport", None) or FakeTransport(script), Ears()
    key = {name: f"{name.lower()}-{KEY}" for name in provider.auth.variables} if provider is not ACME else KEY
    options.setdefault("accounts", {provider.name: vidpoll.Account(provider.name, key=key)})
    client = vidpoll.Client(
        plugins=[Plugin(provider), ears, *plugins], discover=False, clock=clock, transport=wire, **options
    )
    client._loop.context.random = Calm()
    return Talk(client, clock, wire, ears)


def brief(event: vidpoll.Event) -> str:
    """An event in two words."""
    match event:
        case vidpoll.StageChanged():
            return f"stage {event.stage}"
        case vidpoll.ProgressChanged():
            return f"progress {event.progress:g}"
        case vidpoll.PollFailed():
            return f"fault {event.status or event.reason}"
        case vidpoll.GaveUp():
            return type(event.error).__name__
        case vidpoll.Failed():
            return str(event.state)
        case _:
            return type(event).__name__.lower()


def with_pacing(**changes: Any) -> vidpoll.Provider:
    return replace(ACME, pacing=vidpoll.Pacing(**{"floor": FLOOR, "stalled_after": STALLED, **changes}))


def with_floor(floor: float) -> vidpoll.Provider:
    return replace(ACME, pacing=vidpoll.Pacing(floor=floor))
