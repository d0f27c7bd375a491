"""OpenRouter's videos for vidpoll. Facts: https://openrouter.ai/openapi.yaml, https://openrouter.ai/docs (video guide,
webhooks, errors, limits); openrouter 1.3.84. Comments give the decisions where these disagree.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import vidpoll
from vidpoll import State, declare, parsing


def refine(said: vidpoll.Snapshot, data: Mapping[str, Any], job_id: str) -> vidpoll.Snapshot:
    """Add the end of signed URLs, which is the reported one; unsigned URLs are valid as long as the output exists."""
    signed = not data.get("unsigned_urls") and data.get("urls")
    end = parsing.timestamp(data.get("expires_at")) if signed else None
    return replace(said, assets=tuple(replace(each, expires_at=end) for each in said.assets)) if end else said


# `unsigned_urls` need the key, which goes to the account's own origin and nowhere else: an example of the specification
# has such URLs at another host.
JOB = declare.Reader(
    {
        "pending": State.QUEUED,
        "in_progress": State.RUNNING,
        "completed": State.COMPLETED,
        "failed": State.FAILED,
        "cancelled": State.CANCELLED,
        "expired": State.EXPIRED,
    },
    files={"video": ("unsigned_urls", "urls", "./videos/{id}/content?index=0")},
    progress="",
    created_at="",
    updated_at="",
    finished_at="",
    duration="",
    cost="usage.cost",
    unit="USD",
    problem=declare.problems(
        texts={
            "content policy": "moderated_output",  # the text does not say whether of the input or the output
            "parallel task over resource pack limit": "capacity",  # of OpenRouter's account at Kling
        }
    ),
    envelope=declare.Envelope(("", "data")),  # a pushed job is under "data"
    refine=refine,
)
IMAGES = declare.list(declare.object())
FIELDS = {
    "model": declare.text(),
    "prompt": declare.text(),
    "duration": declare.whole(1, note="seconds"),
    "resolution": declare.text(),
    "aspect_ratio": declare.text(),
    "size": declare.matching("a size like 1280x720", r"[1-9]\d{0,4}x[1-9]\d{0,4}"),
    "frame_images": IMAGES,
    "input_references": IMAGES,
    "generate_audio": declare.flag(),
    "seed": declare.whole(),
    "previous_job_id": declare.text(),
    "creativity": declare.whole(),
    "upscale_factor": declare.number(),
    "provider": declare.object(),
    "callback_url": declare.matching("an https URL", r"(?i:https)://[^/\s]\S*"),
    "session_id": declare.text(256),
    "user": declare.text(),
    "trace": declare.object(),
}


def parse_quota(response: vidpoll.Response, job_id: str) -> vidpoll.Quota:
    """The remaining USD of the budget that ends first, else of the key's own limit; a key may have neither."""
    data = parsing.json_object(response, "data")
    budget = parsing.at(data, "effective_budget")
    told = [parsing.at(budget, "remaining_usd"), data.get("limit_remaining")]
    left = next(filter(lambda each: each is not None, map(parsing.number, told)), None)
    if left is None and "limit_remaining" not in data:
        raise vidpoll.Malformed("the response contains neither a budget nor a limit of the key")
    return vidpoll.Quota(
        balance=left, unlimited=left is None, reset_at=parsing.timestamp(parsing.at(budget, "resets_at")), unit="USD"
    )


SKU = re.compile(r"duration_seconds(_with_audio|_without_audio)?(?:_(\d+[pk]))?")
ASKED = ("model", "duration", "resolution", "generate_audio")


def ask_price(fields: Mapping[str, Any]) -> vidpoll.Request:
    """Request the models with their prices; `about` passes the fields that decide the price to the parser."""
    about = json.dumps({name: fields.get(name) for name in ASKED}, default=str)
    return vidpoll.Request("GET", "/videos/models", about=about)


def parse_price(response: vidpoll.Response, about: str) -> vidpoll.Price:
    """The seconds times the lowest and highest rate that may apply. A rate for the resolution beats a general one."""
    try:
        asked = json.loads(about)
    except ValueError:
        asked = dict.fromkeys(ASKED)
    rows = parsing.at(parsing.json_object(response), "data[]")
    skus = next((parsing.at(row, "pricing_skus") for row in rows if parsing.at(row, "id") == asked["model"]), None)
    seconds, rates = parsing.number(asked["duration"]), list(_rates(skus if isinstance(skus, dict) else {}, asked))
    if not rates or seconds is None or min(rates) < 0 or seconds <= 0:
        raise vidpoll.Refused("not found", "the models' prices do not give the price of this job")
    return vidpoll.Price(min(rates) * seconds, max(rates) * seconds, "USD", "estimate")


def _rates(skus: Mapping[str, Any], asked: dict[str, Any]) -> Iterator[float]:
    """The rates per second that may apply; none if any price of the model is not per second."""
    found = [(SKU.fullmatch(name), parsing.number(rate)) for name, rate in skus.items()]
    sound = {True: "_with_audio", False: "_without_audio"}.get(asked["generate_audio"])
    known = [(name[1], name[2], rate) for name, rate in found if name is not None and rate is not None]
    heard = [row for row in known if sound is None or row[0] in (None, sound)]
    size = asked["resolution"]
    meant = heard if size is None else [row for row in heard if row[1] == size] or [row for row in heard if not row[1]]
    yield from (rate for _, _, rate in meant if len(known) == len(found))


def read_error(response: vidpoll.Response) -> vidpoll.Problem:
    """A refusal, with the upstream's text, or the reasons for which the input was flagged."""
    said = parsing.problem(response)
    try:
        about = parsing.at(response.json(), "error.metadata")
    except vidpoll.Malformed:
        return said
    reasons = parsing.at(about, "reasons")
    told = [parsing.at(about, "raw"), *(reasons if isinstance(reasons, list) else [])]
    more = ", ".join(filter(None, map(parsing.text, told)))
    return replace(said, message=f"{said.message}: {more}") if more else said


@vidpoll.hookimpl
def vidpoll_providers() -> Iterator[vidpoll.Provider]:
    yield vidpoll.Provider(
        "openrouter",
        base_url="https://openrouter.ai/api/v1",
        auth=vidpoll.Bearer("OPENROUTER_API_KEY"),
        pacing=vidpoll.Pacing(floor=10.0, typical=(30.0, 300.0)),
        status=declare.status("GET /videos/{id}", JOB),
        submit={
            "video": declare.submit("POST /videos", JOB, FIELDS, ("model",), kind="video", others=declare.anything())
        },
        quota=vidpoll.Operation(lambda: vidpoll.Request("GET", "/key"), parse_quota),
        estimate={"video": vidpoll.Operation(ask_price, parse_price)},
        content=declare.content("GET /videos/{id}/content?index=0", JOB),
        error=declare.refusals(
            texts={
                r"\bflagged\b": "moderated_input",
                r"^(?!provider returned error).*\b(key limit|budget)\b": "money",  # the account's, not a supplier's
            },
            read=read_error,
        ),
        webhook=declare.Webhook(
            declare.hmac_sha256("{t},{body}", signature="x-openrouter-signature", timestamp="t", prefix="v1=")
        ),
        stages=JOB.stages,
    )


@vidpoll.hookimpl
def vidpoll_simulators() -> Mapping[str, str]:
    return {"openrouter": "vidpoll_providers:samples/openrouter/index.json"}
