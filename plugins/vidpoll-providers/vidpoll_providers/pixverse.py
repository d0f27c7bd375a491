"""PixVerse for vidpoll. Facts: https://docs.platform.pixverse.ai (get-video-generation-status-13016632e0,
text-to-video-generation-13016634e0, get-user-credit-balance-13778989e0, error-codes-796041m0,
webhook-integration-1905378m0), and PixVerse's own client, pixverse-mcp 0.2.2. No live call was made.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import vidpoll
from vidpoll import Stage, State, declare, parsing

INVALID = (
    400011, 400013, 400017, 400018, 400019, 400032, *range(500030, 500043), 500070, 500071,
)  # fmt: skip
CODES = {
    **{str(code): "input" for code in INVALID},
    **dict.fromkeys(("500054", "500063"), "moderated_input"),
    "400012": "auth",
    "500008": "not found",
    "500020": "permission",
    "500043": "money",
    "500044": "capacity",  # too many jobs at once
    "500060": "quota",  # the effects of the month are used up
    "500064": "not found",  # deleted
    "500069": "capacity",  # of PixVerse's own
    "500090": "money",
    "500100": "internal",
    "99999": "internal",
}
GATE = declare.Envelope(("Resp", ""), code="ErrCode", message="ErrMsg", kinds=CODES)  # a pushed job has no envelope
MODERATED = vidpoll.Problem(
    "the content moderation refused the video; its credits are refunded",
    "7",
    kind="moderated_output",
    charged=False,
)


def refine(said: vidpoll.Snapshot, data: Mapping[str, Any], job_id: str) -> vidpoll.Snapshot:
    """A response has no reason: only the number distinguishes moderation from other failures."""
    return replace(said, problem=MODERATED) if said.stage == "moderated" else said


JOB = declare.Reader(
    {
        1: Stage("generated", State.COMPLETED),
        2: Stage("pending", State.QUEUED),  # 2 and 3 are in PixVerse's client, not on its pages
        3: Stage("in_progress", State.RUNNING),
        5: Stage("generating", State.RUNNING),
        6: Stage("deleted", State.EXPIRED),
        7: Stage("moderated", State.FAILED),
        8: Stage("failed", State.FAILED),
    },
    id=("video_id", "id"),
    reason="",
    code="",
    progress="",
    created_at="create_time",
    updated_at="modify_time",
    finished_at="",
    duration="",
    cost="credits",
    envelope=GATE,
    refine=refine,
)
ID = declare.whole(1, note="`vidpoll upload pixverse FILE` returns it")
VIDEO = declare.whole(1, note="the id of a video that PixVerse made")
FIELDS = {
    "model": declare.text(),
    "prompt": declare.text(),
    "negative_prompt": declare.text(),
    "duration": declare.whole(1, note="seconds"),
    "quality": declare.matching("a quality like 540p", r"\d{3,4}p"),
    "aspect_ratio": declare.matching("a ratio like 16:9", r"[1-9]\d?:[1-9]\d?"),
    "seed": declare.whole(0, 2**31 - 1),
    "water_mark": declare.flag(),
    "webhook_id": declare.anything(),
}
SOURCE = {"source_video_id": VIDEO, "video_media_id": ID}
EITHER = (("source_video_id", "video_media_id"),)
KINDS: Mapping[str, tuple[dict[str, declare.Rule], Any]] = {
    "text": ({}, ("model", "prompt")),
    "img": ({"img_id": ID, "img_ids": declare.list(ID)}, ("model", ("img_id", "img_ids"))),
    "transition": ({"first_frame_img": ID, "last_frame_img": ID}, ("model",)),
    "multi_transition": ({}, ("model",)),
    "fusion": ({"image_references": declare.list(declare.object())}, ("model", "prompt", "image_references")),
    "extend": (SOURCE, ("model", *EITHER)),
    "lip_sync": ({**SOURCE, "audio_media_id": ID}, EITHER),
    "sound_effect": ({**SOURCE, "sound_effect_content": declare.text()}, ("sound_effect_content", *EITHER)),
    **dict.fromkeys(("restyle", "swap", "mimic", "modify", "upscale"), (SOURCE, ())),
}


def start(kind: str) -> vidpoll.Operation[vidpoll.Submitted]:
    """Every kind takes the common fields and its own; further fields of a model are sent unchanged."""
    more, needed = KINDS[kind]
    return declare.submit(
        "POST /openapi/v2/video/{kind}/generate", JOB, {**FIELDS, **more}, needed, kind=kind, others=declare.anything()
    )


IMAGE = declare.upload(
    "POST /openapi/v2/image/upload",
    (".png", ".webp", ".jpeg", ".jpg"),
    value="Resp.img_id",
    field="image",
    envelope=GATE,
    convert=int,
)
VIDEOS, SOUNDS = (".mp4", ".mov"), (".mp3", ".wav")
MEDIA = declare.upload(
    "POST /openapi/v2/media/upload", (*VIDEOS, *SOUNDS), value="Resp.media_id", envelope=GATE, convert=int
)


def media_request(path: Path) -> vidpoll.Request:
    """Send the file with its media type."""
    made = MEDIA.request(path)
    kind, body = declare.form({"file": path, "media_type": "audio" if path.suffix.lower() in SOUNDS else "video"})
    return replace(made, headers={**made.headers, "Content-Type": kind}, body=body)


def parse_quota(response: vidpoll.Response, job_id: str) -> vidpoll.Quota:
    """The credits of the month and those of packages, together."""
    data = GATE.open(response)
    found = [parsing.number(data.get(name)) for name in ("credit_monthly", "credit_package")]
    told = [each for each in found if each is not None]
    if not told:
        raise vidpoll.Malformed(f"the response contains no credits: {parsing.problem(response)}")
    return vidpoll.Quota(balance=sum(told))


def read_error(response: vidpoll.Response) -> vidpoll.Problem:
    """A refusal with an HTTP error status."""
    try:
        body = parsing.json_object(response)
    except vidpoll.Malformed:
        return parsing.problem(response)
    code, message = parsing.text(body.get("ErrCode")), parsing.text(body.get("ErrMsg"))
    return vidpoll.Problem(message or f"HTTP {response.status}", code) if code else parsing.problem(response)


def mint(request: vidpoll.PreparedRequest, secrets: Mapping[str, str]) -> Mapping[str, str]:
    """A new trace id for each request: PixVerse answers a repeated one with the old response, and no job would end."""
    return {"API-KEY": secrets["PIXVERSE_API_KEY"], "Ai-trace-id": str(uuid.uuid4())}


def verify(headers: Mapping[str, str], body: bytes, secret: str, now: float) -> str:
    """ "" or the fault of the signature. The body is signed as a query string, its keys in either order."""
    given, nonce = headers.get("webhook-signature", ""), headers.get("webhook-nonce", "")
    sent = parsing.number(headers.get("webhook-timestamp"))
    if not given or not nonce or sent is None:
        return "the headers webhook-timestamp, webhook-nonce and webhook-signature must be present"
    if abs(now - sent) > 300:
        return f"its time differs from this machine's clock by {abs(now - sent):.0f} s; at most 300 s are allowed"
    try:
        pairs = json.loads(body, parse_int=str, parse_float=str, object_pairs_hook=list)
        told = [(name, value if isinstance(value, str) else json.dumps(value)) for name, value in pairs]
    except (ValueError, TypeError, RecursionError):
        return "the body is not a JSON object"
    head = f"{headers['webhook-timestamp']}\n{nonce}\n"
    for query in (urlencode(told, errors="replace"), urlencode(sorted(told), errors="replace")):
        mac = hmac.new(secret.encode(), (head + query).encode(errors="replace"), hashlib.sha256).digest()
        if hmac.compare_digest(base64.b64encode(mac), given.encode(errors="replace")):
            return ""
    return "the signature does not match the secret"


@vidpoll.hookimpl
def vidpoll_providers() -> Iterator[vidpoll.Provider]:
    yield vidpoll.Provider(
        "pixverse",
        base_url="https://app-api.pixverse.ai",
        auth=vidpoll.Minted(("PIXVERSE_API_KEY",), mint),
        pacing=vidpoll.Pacing(floor=5.0, typical=(20.0, 120.0)),
        slots=vidpoll.Slots("refuses"),  # HTTP 200 with ErrCode 500044
        status=declare.status("GET /openapi/v2/video/result/{id}", JOB),
        submit={kind: start(kind) for kind in KINDS},
        quota=vidpoll.Operation(lambda: vidpoll.Request("GET", "/openapi/v2/account/balance"), parse_quota),
        upload={"image": IMAGE, "media": replace(MEDIA, request=media_request)},
        error=declare.refusals(CODES, read=read_error),
        stages=JOB.stages,
        webhook=declare.Webhook(verify),
    )


@vidpoll.hookimpl
def vidpoll_simulators() -> Mapping[str, str]:
    return {"pixverse": "vidpoll_providers:samples/pixverse/index.json"}
