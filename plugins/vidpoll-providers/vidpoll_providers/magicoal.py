"""MagiCoal (coals.ai) for vidpoll. Facts: https://coals.ai/docs/magicoal and its sub-pages, https://coals.ai/docs/errors.

Written from these pages, not tried with a key. Comments give the decisions where they are silent or disagree.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import vidpoll
from vidpoll import State, declare, parsing

STAGES = (
    vidpoll.Stage("queued", State.QUEUED),
    vidpoll.Stage("generating", State.RUNNING),  # the submit pages' one word for the next four
    vidpoll.Stage("generating_image", State.RUNNING, (5, 20)),  # t2v only
    vidpoll.Stage("uploading_image", State.RUNNING, (20, 25)),  # t2v only
    vidpoll.Stage("generating_video", State.RUNNING, (25, 90)),
    vidpoll.Stage("saving", State.RUNNING, (90, 100)),
    vidpoll.Stage("completed", State.COMPLETED, (100, 100)),
    vidpoll.Stage("failed", State.FAILED),
)


def decide(state: State | None, data: Mapping[str, Any]) -> State | None:
    """`done` is the documented end of polling: with a video it completes a job whose word lags (generating, saving).

    The page describes `done` for completed jobs only, so it never fails a job. Without a video it has no effect.
    """
    lags = state in (State.QUEUED, State.RUNNING) and data.get("done") is True
    return State.COMPLETED if lags and parsing.assets(data.get("video_url")) else state


# Codes of a refusal: the documented ones, then the usual words in the same spelling.
CODES = {
    "BAD_REQUEST": "input",
    "VALIDATION_ERROR": "input",
    "RATE_LIMIT_EXCEEDED": "rate",
    "UNAUTHORIZED": "auth",
    "FORBIDDEN": "auth",  # the key lacks a scope
    "NOT_FOUND": "not found",
    "INSUFFICIENT_CREDITS": "money",
}
ENVELOPE = declare.Envelope("data", code="success", ok=(True,), kinds=CODES)
JOB = declare.Reader(
    STAGES,
    stage="stage",
    id="uuid",
    files={"video": "video_url", "thumbnail": "thumbnail_url"},
    duration="duration_seconds",
    cost="credits_charged",
    refunds=True,
    envelope=ENVELOPE,
    problem=declare.problems({"GENERATION_FAILED": "internal"}, charged={"": False}),
    decide=decide,
)
FIELDS = {
    "prompt": declare.text(2000, empty=True),
    "num_frames": declare.whole(17, 161, step=2, note="81 is five seconds"),
    "guidance_scale": declare.number(1.0, 10.0, note="3.5 is the default"),
    "seed": declare.whole(note="leave it out for a random one"),
}
IMAGE = {"image": declare.image()}


@vidpoll.hookimpl
def vidpoll_providers() -> Iterator[vidpoll.Provider]:
    yield vidpoll.Provider(
        "magicoal",
        base_url="https://coals.ai/api/v1/magicoal",
        auth=vidpoll.Bearer("MAGICOAL_API_KEY"),
        pacing=vidpoll.Pacing(floor=3.0, typical=(60, 180)),
        status=declare.status("GET /status/{id}", JOB),
        submit={
            "t2v": declare.submit("POST /generate/{kind}", JOB, FIELDS, ("prompt",), kind="t2v"),
            "i2v": declare.submit("POST /generate/{kind}", JOB, {**IMAGE, **FIELDS}, ("image",), kind="i2v"),
        },
        # The list has completed jobs only, so it cannot serve as list_polling.
        list=declare.numbered_pages(
            "GET /videos", JOB, current="meta.current_page", last="meta.last_page", more="meta.has_more"
        ),
        quota=declare.quota(
            "GET /quota",
            ENVELOPE,
            plan="plan",
            limit="videos_limit",
            used="videos_used",
            remaining="videos_remaining",
            reset_at="reset_at",
            balance="credit_balance",
            unlimited="unlimited",
            prices={"i2v": 50, "t2v": 52},
        ),
        error=declare.refusals(CODES),
        stages=STAGES,
    )


@vidpoll.hookimpl
def vidpoll_simulators() -> Mapping[str, str]:
    return {"magicoal": "vidpoll_providers.simulators.magicoal:MagicoalFace"}
