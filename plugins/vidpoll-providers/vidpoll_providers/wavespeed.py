"""WaveSpeed (wavespeed.ai) for vidpoll. Facts: https://wavespeed.ai/docs (docs-submit-task, docs-get-result,
docs-list-predictions, docs-webhooks, docs-errors, upload-files-api); wavespeed 2.0.5.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import vidpoll
from vidpoll import State, declare, parsing

KEPT = 7 * 86400.0
"""Seconds for which a prediction and its outputs are kept."""


def refine(said: vidpoll.Snapshot, data: Mapping[str, Any], job_id: str) -> vidpoll.Snapshot:
    """Add the files. Outputs are URLs, for some models objects; a model may make images instead of a video."""
    end = said.created_at + KEPT if said.created_at else None
    files = parsing.media(data.get("outputs"), expires_at=end) if said.state is State.COMPLETED else ()
    return replace(said, assets=files, assets_due=not files or any(each.kind == "video" for each in files))


# The code around a job stays 200 for a failed job, and may be another for a running one: only the job's word decides.
GATE = declare.Envelope(
    ("data", ""),  # a pushed job has no envelope
    code="code",
    ok=(200,),
    kinds={
        "400": "input",
        "401": "auth",
        "402": "money",
        "403": "permission",
        "404": "not found",
        "429": "rate",
        "500": "internal",
    },
)
# The text does not say whether the input or the output was flagged.
CODES, TEXTS = {"1200": "moderated_output"}, {"flagged as potentially sensitive": "moderated_output"}
JOB = declare.Reader(
    {
        "created": State.QUEUED,
        "processing": State.RUNNING,
        "completed": State.COMPLETED,
        "failed": State.FAILED,
        "cancelled": State.CANCELLED,
        "timeout": State.EXPIRED,
        "deleted": State.EXPIRED,
    },
    files={},
    reason="error",
    code="code",
    progress="",
    updated_at="",
    finished_at="",
    duration="",
    envelope=GATE,
    problem=declare.problems(CODES, texts=TEXTS, charged={"": False}),  # refunded within three hours
    refine=refine,
)
FIELDS = {
    "model": declare.matching("a model like OWNER/NAME/VARIANT", r"[\w.-]+(/[\w.-]+)+"),
    "webhook": declare.matching("an http or https URL", r"(?i:https?)://[^/\s]\S*"),
    "enable_sync_mode": declare.Rule("False, or left out: vidpoll does the waiting", lambda v: v is False),
    "enable_base64_output": declare.Rule("False, or left out: vidpoll downloads files by URL", lambda v: v is False),
}
OTHERS = declare.Rule(
    "a field of the model: text, a finite number, True or False, or a list or mapping of these; for a file its URL, "
    "which `vidpoll upload wavespeed FILE` or client.upload returns",
    declare.anything().holds,
)
LIST = {
    "model": declare.text(),
    "status": declare.one_of("completed", "failed", "processing"),
    "created_after": declare.text(),
    "created_before": declare.text(),
}


def priced(given: dict[str, Any]) -> dict[str, Any]:
    """The body of the request for a price, which is the same for any prompt and seed."""
    own = {name: value for name, value in given.items() if name not in ("seed", *FIELDS)}
    texts = {name: "a prompt" for name in ("prompt", "negative_prompt") if name in own}
    return {"model_id": given["model"], "inputs": {**own, **texts}}


MEDIA = (
    ".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tiff", ".mp4", ".avi", ".mov", ".wmv", ".flv", ".webm", ".mkv",
    ".3gp", ".ogv", ".mp3", ".wav", ".ogg", ".aac", ".flac", ".m4a", ".opus",
)  # fmt: skip


@vidpoll.hookimpl
def vidpoll_providers() -> Iterator[vidpoll.Provider]:
    yield vidpoll.Provider(
        "wavespeed",
        base_url="https://api.wavespeed.ai",
        auth=vidpoll.Bearer("WAVESPEED_API_KEY"),
        pacing=vidpoll.Pacing(floor=5.0, typical=(10.0, 180.0)),
        status=declare.status("GET /api/v3/predictions/{id}/result", JOB),
        submit={
            "prediction": declare.submit(
                "POST /api/v3/{model:path}?webhook={webhook}", JOB, FIELDS, ("model",), kind="prediction", others=OTHERS
            )
        },
        list=declare.numbered_pages(
            "POST /api/v3/predictions",
            JOB,
            rows="data.items",
            size="page_size",
            current="data.page",
            fields=LIST,
        ),
        list_polling=vidpoll.ListPollingSpec(rows=100),
        quota=declare.quota("GET /api/v3/balance", GATE, balance="balance", unit="USD"),
        estimate={
            "prediction": declare.estimate(
                "POST /api/v3/model/price",
                priced,
                GATE,
                amount=("discounted_price", "price", "unit_price"),
                currency="currency",
            )
        },
        upload={
            "file": declare.upload(
                "POST /api/v3/media/upload/binary", MEDIA, value=("data.download_url", "data.url"), envelope=GATE
            )
        },
        error=declare.refusals(
            {"402": "money"},
            # a top-up also raises the account's rates: a refusal that mentions a rate is not about money
            texts={r"insufficient (credit|balance)|^(?!.*(too many|limit|concurren)).*top.?up": "money"},
        ),
        webhook=declare.Webhook(declare.standard_webhooks("v3", encoding="hex", key="whsec text")),
        stages=JOB.stages,
    )


@vidpoll.hookimpl
def vidpoll_simulators() -> Mapping[str, str]:
    return {"wavespeed": "vidpoll_providers:samples/wavespeed/index.json"}
