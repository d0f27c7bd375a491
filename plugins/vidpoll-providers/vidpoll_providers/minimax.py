"""MiniMax (Hailuo) for vidpoll: v1, whose file is in a second response, and v2 (MiniMax-H3). Ids of both look alike,
so a reference names the version: `v1/427144058097900`, `v2/424010985738629`. Facts: https://platform.minimax.io
/docs/api-reference (video-generation-*, errorcode) and /docs/guides/rate-limits. No live call was made.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import vidpoll
from vidpoll import State, declare, parsing

CODES = {
    **dict.fromkeys(("1004", "2049"), "auth"),
    **dict.fromkeys(("1002", "1039"), "rate"),
    "1041": "capacity",  # connections at once
    "1008": "money",
    "2056": "quota",  # a plan's window is used up, for hours
    "1026": "moderated_input",
    "1027": "moderated_output",
    **dict.fromkeys(("1042", "2013"), "input"),
    **dict.fromkeys(("2037", "2038", "2039"), "permission"),
}
UNSURE = ("1000", "1001", "1013", "1024", "1033")
"""Faults inside MiniMax under HTTP 200: as after an HTTP 500, the job may have been made."""
FAILED = declare.problems({**CODES, **dict.fromkeys(UNSURE, "internal")})
HTTPS = declare.matching("an https URL", r"(?i:https)://[^/\s]\S*")

# -- v1 ---------------------------------------------------------------------------------------------------------------


def refine(said: vidpoll.Snapshot, data: Mapping[str, Any], job_id: str) -> vidpoll.Snapshot:
    """A failed job with the code 0: its "success" is about the request, and is not a reason."""
    fine = said.problem is not None and said.problem.code == "0"
    return replace(said, problem=vidpoll.Problem("")) if fine else said


V1 = declare.Reader(
    {
        "Preparing": State.QUEUED,
        "Queueing": State.QUEUED,
        "Processing": State.RUNNING,
        "Success": State.COMPLETED,
        "Fail": State.FAILED,
        "failed": State.FAILED,  # the word in a webhook
    },
    id="task_id",
    files={},
    reason="base_resp.status_msg",
    code="base_resp.status_code",
    progress="",
    envelope=declare.Envelope(code="base_resp.status_code", message="base_resp.status_msg", kinds=CODES),
    ids=declare.Ids("kind/id", ("v1",)),
    problem=FAILED,
    second=declare.Second("GET /v1/files/retrieve?file_id={file_id}", {"video": "file.download_url"}),
    refine=refine,
)
# A status request has no parameter but the id: a bad parameter means that the account has no such job.
ASKED = replace(V1, envelope=replace(V1.envelope, kinds={**CODES, "2013": "not found"}))
V1_FIELDS = {
    "model": declare.text(),
    "prompt": declare.text(2000),
    "first_frame_image": declare.image(),
    "last_frame_image": declare.image(),
    "subject_reference": declare.list(declare.object()),
    "duration": declare.one_of(6, 10),
    "resolution": declare.one_of("512P", "720P", "768P", "1080P"),
    "prompt_optimizer": declare.flag(),
    "fast_pretreatment": declare.flag(),
    "callback_url": HTTPS,
    "aigc_watermark": declare.flag(),
}


SUBMIT_V1 = declare.submit("POST /v1/video_generation", V1, V1_FIELDS, ("model",), kind="v1", others=declare.anything())


def parse_submitted(response: vidpoll.Response, about: str) -> vidpoll.Submitted:
    """After a refusal nothing was bought; after a timeout inside MiniMax that is unknown. Raises Malformed then."""
    try:
        return SUBMIT_V1.parse(response, about)  # type: ignore[return-value]  # no Follow: it has no second answer
    except vidpoll.Refused as refused:
        if refused.code in UNSURE:
            raise vidpoll.Malformed(f"{refused} ({refused.code})") from None
        raise


def parse_v1(response: vidpoll.Response, job_id: str) -> Any:
    """A code other than 0 is a refusal, unless there is also a status word: then the word decides."""
    if not parsing.json_object(response).get("status"):
        ASKED.envelope.check(response)
    return ASKED.parse(response, job_id)


def neither(job_id: str) -> vidpoll.Request:
    raise vidpoll.Unsupported("v1 of MiniMax neither cancels nor deletes: the job runs to its end")


NEITHER: vidpoll.Operation[Any] = vidpoll.Operation(neither, V1.parse)

# -- v2 ---------------------------------------------------------------------------------------------------------------


def with_text(said: vidpoll.Snapshot, data: Mapping[str, Any], job_id: str) -> vidpoll.Snapshot:
    """A job whose result is a prompt has no video. A row of the list does not name its interface, which is v2."""
    told = parsing.text(data.get("id"))
    text = data.get("modality") == "text" or data.get("task_type") == "h3_context_ir"
    return replace(said, job_id=said.job_id or (told and f"v2/{told}"), assets_due=not text)


V2 = declare.Reader(
    {
        "queued": State.QUEUED,
        "running": State.RUNNING,
        "succeeded": State.COMPLETED,
        "failed": State.FAILED,
        "cancelled": State.CANCELLED,
        "expired": State.EXPIRED,
    },
    id=("id", "task_id"),
    files={"video": "content.url"},
    progress="",
    updated_at="updated_at",
    finished_at="",
    envelope=declare.Envelope(("task", "")),
    ids=declare.Ids("kind/id", ("v2",)),
    problem=FAILED,
    refine=with_text,
)
COMMON = {"model": declare.text(), "callback_url": HTTPS, "aigc_watermark": declare.flag()}
CONTENT = {
    "prompt": declare.text(),
    "first_frame": declare.image(),
    "last_frame": declare.image(),
    "content": declare.list(declare.object()),
    "duration": declare.whole(4, 15, note="seconds"),
    "ratio": declare.matching("adaptive, or a ratio like 16:9", r"adaptive|[1-9]\d?:[1-9]\d?"),
}
CLIP = {**COMMON, **CONTENT, "resolution": declare.one_of("768P", "2K")}
AGAIN = {**COMMON, "source_task_id": declare.text(), "content": CONTENT["content"], "resolution": declare.one_of("2K")}


def packed(given: dict[str, Any]) -> dict[str, Any]:
    """The body: prompt and frames become items of `content`, before the caller's own items."""
    text = [{"type": "text", "text": given.pop("prompt")}] if "prompt" in given else []
    frames = [
        {"type": "image_url", "image_url": {"url": given.pop(role)}, "role": role}
        for role in ("first_frame", "last_frame")
        if role in given
    ]
    return {**given, "content": [*text, *frames, *given.get("content", ())]}


RATES = declare.prices(
    "USD",
    "2026-09-28",
    "https://platform.minimax.io/docs/guides/pricing-paygo",
    by=("model", "resolution"),
    per_second={("MiniMax-H3", "768P"): 0.08, ("MiniMax-H3", "2K"): 0.13},
)


def price(fields: Mapping[str, Any]) -> Any:
    """The price range, or None with a video or more than five images: five are free, the rest costs extra."""
    content = fields.get("content", [])
    kinds = [parsing.at(item, "type") for item in content] if isinstance(content, list) else [None]
    free = all(kind in ("text", "image_url") for kind in kinds) and kinds.count("image_url") <= 3  # plus two frames
    return RATES.of(fields) if free else None


PRICES = replace(RATES, of=price)


def of_v2(
    line: str,
    fields: Mapping[str, declare.Rule],
    needed: Any,
    convert: Any = None,
    price: vidpoll.PriceList | None = None,
) -> vidpoll.Operation[Any]:
    others = declare.anything()
    return declare.submit(line, V2, fields, needed, kind="v2", others=others, convert=convert, price=price)


def read_error(response: vidpoll.Response) -> vidpoll.Problem:
    """A refusal. The number in brackets at the end of its text is a code of v1."""
    said = parsing.problem(response)
    found = re.search(r"\((\d{4})\)\s*$", said.message)
    return replace(said, code=found[1]) if found else said


STATUS = declare.status("GET /{kind}/query/video_generation/{id}", V2)
DELETE = "DELETE /{kind}/video_generation/{id}"
QUERY = "GET /v2/query/video_generation"


@vidpoll.hookimpl
def vidpoll_providers() -> Iterator[vidpoll.Provider]:
    yield vidpoll.Provider(
        "minimax",
        base_url="https://api.minimax.io",
        auth=vidpoll.Bearer("MINIMAX_API_KEY"),
        pacing=vidpoll.Pacing(floor=10.0, typical=(40, 420)),
        status=declare.by_kind(
            {
                "v1": replace(declare.status("GET /{kind}/query/video_generation?task_id={id}", ASKED), parse=parse_v1),
                "v2": STATUS,
            }
        ),
        submit={
            "v1": replace(SUBMIT_V1, parse=parse_submitted),
            "v2": of_v2("POST /v2/video_generation", CLIP, ("model", ("prompt", "content")), packed, PRICES),
            "v2-regeneration": of_v2("POST /v2/video_regeneration", AGAIN, ("model", ("source_task_id", "content"))),
            "v2-context": of_v2(
                "POST /v2/h3_context_ir", {**COMMON, **CONTENT}, ("model", ("prompt", "content")), packed
            ),
        },
        list=declare.numbered_pages(
            QUERY,
            V2,
            rows="items",
            page="page_num",
            size="page_size",
            most=20,
            fields={
                "filter.status": declare.text(),
                "filter.model": declare.text(),
                "filter.task_type": declare.one_of("generation", "h3_context_ir", "regeneration"),
            },
        ),
        list_polling=vidpoll.ListPollingSpec(
            rows=20,
            batch=declare.batch(
                f"{QUERY}?page_num=1&page_size=20", V2, name="filter.task_ids", rows="items", join=None
            ),
            takes=lambda job_id: job_id.startswith("v2/"),
        ),
        cancel=declare.by_kind({"v1": NEITHER, "v2": declare.cancel(DELETE, V2, first=STATUS, ends=True)}),
        delete=declare.by_kind({"v1": NEITHER, "v2": declare.delete(DELETE, V2)}),
        # v2: an unknown id, or one older than 7 days, is an HTTP 400
        error=declare.refusals(
            {**CODES, "2013": {"invalid task_id": "not found", "": "input"}},
            texts={"record not found": "not found"},
            read=read_error,
        ),
        webhook=declare.Webhook(),
        stages=(*V1.stages, *V2.stages),
    )


@vidpoll.hookimpl
def vidpoll_simulators() -> Mapping[str, str]:
    return {"minimax": "vidpoll_providers:samples/minimax/index.json"}
