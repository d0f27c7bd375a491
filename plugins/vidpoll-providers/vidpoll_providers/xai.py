"""xAI's Grok Imagine for vidpoll. Facts: docs.x.ai (api-reference, guides/video-generations), its OpenAPI by
tryAGI/Xai@19ee5158, xai-org/xai-sdk-python@4dab6a44, vercel/ai@ed857f50 packages/xai, and bodies quoted by users.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import vidpoll
from vidpoll import State, declare, parsing

BAD = {"incorrect API key": "auth", "": "input"}
NO_MONEY = "credits|spending limit|licenses"
TICKS = 1e10
"""Ticks per US dollar."""


def decide(state: State | None, data: Mapping[str, Any]) -> State | None:
    """A video without a status word means done; a video that moderation holds back is a failure."""
    respected = parsing.at(data, "video.respect_moderation")
    if not (respected is None or isinstance(respected, bool)):
        raise vidpoll.Malformed("respect_moderation must be true or false")
    if data.get("status") is None and parsing.text(parsing.at(data, "video.url")):
        state = State.COMPLETED
    return State.FAILED if state is State.COMPLETED and respected is False else state


def refine(said: vidpoll.Snapshot, data: Mapping[str, Any], job_id: str) -> vidpoll.Snapshot:
    """Add a reason for a video that moderation holds back: xAI gives none."""
    if said.state is State.FAILED and parsing.at(data, "video.respect_moderation") is False:
        return replace(said, problem=vidpoll.Problem("the video did not pass moderation (respect_moderation is false)"))
    return said


ARGUMENT = "Client specified an invalid argument"
"""xAI's code for an invalid argument until 2026."""
FAILED = declare.problems(
    {
        ARGUMENT: {"moderat": "moderated_output", "": "input"},
        "invalid_argument": {"moderat": "moderated_output", "": "input"},
        "imagine:content-moderated": "moderated_output",
        **dict.fromkeys(("service_unavailable", "internal_error"), "internal"),
    },
    texts={"moderat|content policy": "moderated_output"},
    charged={"moderated_output": True},  # recorded: 0.25 USD for a rejected video
)
JOB = declare.Reader(
    {"pending": State.RUNNING, "done": State.COMPLETED, "failed": State.FAILED, "expired": State.EXPIRED},
    id="request_id",
    files={"video": "video.url"},
    duration="video.duration",
    cost="usage.cost_in_usd_ticks",
    pending=202,
    verdicts=(declare.Verdict(400, r"content.?moderat", State.FAILED),),
    problem=FAILED,
    decide=decide,
    refine=refine,
)


def parse(response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot | vidpoll.Follow[vidpoll.Snapshot]:
    """Convert the cost, also of a refused video, from ticks to USD."""
    said = JOB.parse(response, job_id)
    if isinstance(said, vidpoll.Follow) or said.cost is None:
        return said
    return replace(said, cost=vidpoll.Cost(said.cost.charged / TICKS, unit="USD"))


def media(kind: str) -> declare.Rule:
    """An object with a url, xAI's own form, or the URL alone; an image may also be bytes or a file."""
    files = ", bytes or a file as pathlib.Path" if kind == "image" else ""
    image = declare.image()

    def sent(name: str, value: Any) -> Any:
        if isinstance(value, dict):
            return value
        return {"url": image.sent(name, value) if image.sent and not isinstance(value, str) else value}

    def holds(value: Any) -> bool:
        if isinstance(value, str):
            return value.startswith(("https://", f"data:{kind}/"))
        return isinstance(value, dict) or kind == "image"

    return declare.Rule(f"an https URL or data URI{files}, or a mapping with url", holds, sent)


FIELDS = {
    "model": declare.text(),
    "prompt": declare.text(),
    "duration": declare.whole(1, 15, note="seconds"),
    "aspect_ratio": declare.text(),
    "resolution": declare.text(),
    "image": media("image"),
    "video": media("video"),
    "image_url": declare.Rule("left out, because xAI ignores it: give image", lambda v: False),
    "video_url": declare.Rule("left out: give video", lambda v: False),
}
RATES = declare.prices(
    "USD",
    "2026-09-28",
    "https://docs.x.ai/developers/pricing",
    by=("model", "resolution"),
    per_second={
        ("grok-imagine-video", "480p"): 0.05,
        ("grok-imagine-video", "720p"): 0.07,
        ("grok-imagine-video-1.5", "480p"): 0.08,
        ("grok-imagine-video-1.5", "720p"): 0.14,
        ("grok-imagine-video-1.5", "1080p"): 0.25,
    },
)
IMAGE_PRICE = 0.01
"""The highest price of an input image, in USD."""


def price(fields: Mapping[str, Any]) -> tuple[float, float] | None:
    """The price of the video plus at most its images'; None for a video made from a video (the page lacks prices)."""
    told = RATES.of(fields)
    more = fields.get("reference_images")
    images = ("image" in fields) + ("last_frame" in fields) + (len(more) if isinstance(more, list) else 0)
    if not isinstance(told, tuple) or "video" in fields:
        return None
    return told[0], told[1] + images * IMAGE_PRICE


PRICES = {"generations": replace(RATES, of=price)}
NEEDED: dict[str, tuple[str | tuple[str, ...], ...]] = {
    "generations": (("prompt", "image"),),  # an image needs no prompt
    "edits": ("prompt", "video"),
    "extensions": ("prompt", "video"),
}


@vidpoll.hookimpl
def vidpoll_providers() -> Iterator[vidpoll.Provider]:
    yield vidpoll.Provider(
        "xai",
        base_url="https://api.x.ai/v1",
        auth=vidpoll.Bearer("XAI_API_KEY"),
        pacing=vidpoll.Pacing(floor=5.0, typical=(20.0, 90.0)),  # the pages contradict each other about rates
        status=replace(declare.status("GET /videos/{id}", JOB), parse=parse),
        submit={
            kind: declare.submit(
                "POST /videos/{kind}",
                JOB,
                FIELDS,
                ("model", *needed),
                kind=kind,
                others=declare.anything(),
                price=PRICES.get(kind),
            )
            for kind, needed in NEEDED.items()
        },
        error=declare.refusals(
            {
                "invalid-argument": BAD,
                ARGUMENT: BAD,
                "imagine:content-moderated": "moderated_input",
                "rate_limit_exceeded": "rate",
                "resource-exhausted": {NO_MONEY: "money", "": "rate"},
            },
            texts={NO_MONEY: "money", "incorrect API key": "auth"},
        ),
        stages=JOB.stages,
    )


@vidpoll.hookimpl
def vidpoll_simulators() -> Mapping[str, str]:
    return {"xai": "vidpoll_providers:samples/xai/index.json"}
