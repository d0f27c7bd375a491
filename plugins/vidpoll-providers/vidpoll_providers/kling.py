"""Kling (Kuaishou) for vidpoll: both interfaces of one host. The form of an id shows which: `893605946402811985` is of
the new one ("model in the path"), `text2video/867283741759000202` of the legacy one, whose requests repeat the kind.
Facts: https://kling.ai/document-api (get-started, video, assets). No live call was made.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import vidpoll
from vidpoll import State, declare, parsing

CODES = {
    **dict.fromkeys(("1000", "1001", "1002", "1003", "1004"), "auth"),
    **dict.fromkeys(("1100", "1101", "1102"), "money"),  # under HTTP 429, but waiting does not help
    **dict.fromkeys(("1103", "1304"), "permission"),
    **dict.fromkeys(("1200", "1201"), "input"),
    **dict.fromkeys(("1300", "1301"), "moderated_input"),
    **dict.fromkeys(("1202", "1203"), "not found"),
    "1302": "rate",
    "1303": "capacity",
}
# There is no code. The risk control does not say whether it refused the input or the output. Gateways start more jobs
# than their pack allows, hence "capacity".
FAILED = declare.problems(
    texts={
        "risk control": "moderated_output",
        "parallel task over resource pack limit": "capacity",
        "input image is invalid": "input",
    }
)
WORDS = {
    "submitted": State.QUEUED,
    "processing": State.RUNNING,
    "succeeded": State.COMPLETED,
    "succeed": State.COMPLETED,
    "failed": State.FAILED,
}
KEPT = 30 * 86400.0
"""Seconds from a job's creation to the end of its files."""


def ends(said: vidpoll.Snapshot) -> vidpoll.Snapshot:
    """Add the end of the files: the page says that they are deleted 30 days after the job was created."""
    end = said.created_at and said.created_at + KEPT
    return replace(said, assets=tuple(replace(each, expires_at=each.expires_at or end) for each in said.assets))


def bill(data: Mapping[str, Any]) -> vidpoll.Cost | None:
    """The sum of `billing`, in money or in units of a package; None if several units occur."""
    rows = parsing.at(data, "billing[]")
    units = {parsing.text(parsing.at(row, "currency")) or "units" for row in rows}
    amounts = [amount for row in rows if (amount := parsing.number(parsing.at(row, "amount"))) is not None]
    return vidpoll.Cost(sum(amounts), unit=units.pop()) if amounts and len(units) == 1 else None


def refine(said: vidpoll.Snapshot, data: Mapping[str, Any], job_id: str) -> vidpoll.Snapshot:
    """Add the cost and the end of the files. A task that made only sound, an image or a voice has no video."""
    other = bool(data.get("outputs")) and not parsing.at(data, "outputs[type=video].type")
    return ends(replace(said, cost=bill(data), assets_due=not (said.state is State.COMPLETED and other)))


NEW = declare.Reader(
    WORDS,
    files={
        "video": "outputs[type=video].url",
        "watermarked": "outputs[type=video].watermark_url",
        "image": "outputs[type=image].url",
        "audio": ("outputs[type=audio].mp3_url", "outputs[type=audio].wav_url"),
    },
    reason="message",
    code="",
    progress="",
    created_at="create_time",
    updated_at="update_time",
    finished_at="",
    duration="outputs[0].duration",
    problem=FAILED,
    # an array in a status response, an object in a submit response, bare in a webhook
    envelope=declare.Envelope(("data[0]", "data", ""), code="code", message="message", kinds=CODES),
    refine=refine,
)
SETTINGS = {
    "resolution": declare.text(),
    "aspect_ratio": declare.matching("a ratio like 16:9", r"[1-9]\d?:[1-9]\d?"),
    "duration": declare.whole(1, note="seconds"),
    "audio": declare.anything(),
    "multi_shot": declare.anything(),
}
COMMON = {
    "callback_url": declare.matching("an https URL", r"(?i:https)://[^/\s]\S*"),
    "external_task_id": declare.text(),
    "watermark_info": declare.object(),
}
NEW_FIELDS = {
    "task": declare.matching(
        "the start of the path: text-to-video, image-to-video, motion-control, omni-video …", r"[a-z0-9][a-z0-9-]*"
    ),
    "model": declare.text(),
    "prompt": declare.text(),
    "contents": declare.list(declare.object()),
    "settings": declare.object(),
    "options": declare.object(),
    **SETTINGS,
    **COMMON,
}


def nested(given: dict[str, Any]) -> dict[str, Any]:
    """The body, with the fields of `settings` and `options` moved there."""
    parts = {"settings": SETTINGS, "options": COMMON}
    for part, names in parts.items():
        inner = {**given.pop(part, {}), **{name: given.pop(name) for name in names if name in given}}
        given |= {part: inner} if inner else {}
    return given


# Units per second, from without to with native audio; with a custom voice the page has other prices.
RATES = declare.prices(
    "units",
    "2026-09-28",
    "https://kling.ai/dev/pricing",
    by=("model", "resolution"),
    per_second={("kling-3.0", "720p"): (0.6, 0.9), ("kling-3.0", "1080p"): (0.8, 1.2), ("kling-3.0", "4k"): 3.0},
)


def price(fields: Mapping[str, Any]) -> Any:
    settings = fields.get("settings")
    given = {**(settings if isinstance(settings, dict) else {}), **fields}
    plain = given.get("task") in ("text-to-video", "image-to-video") and not any("voice" in name for name in given)
    return RATES.of(given) if plain else None


PRICES = replace(RATES, of=price)
TASKS = declare.status("GET /tasks?task_ids={id}", NEW)


def ask_task(job_id: str) -> vidpoll.Request:
    """The status request of the new interface. Raises BadReference for an id with an unknown kind before a "/"."""
    if "/" in job_id:
        LEGACY.ids.split(job_id)
    return TASKS.request(job_id)


def parse_task(response: vidpoll.Response, job_id: str) -> Any:
    """The status response of the new interface, which is an empty list for an unknown id. Raises Refused."""
    if parsing.json_object(response).get("data") == []:
        NEW.envelope.check(response)
        raise vidpoll.Refused("not found", "the account has no task with this id (Kling returned an empty list)")
    return NEW.parse(response, job_id)


# -- the legacy interface ---------------------------------------------------------------------------------------------

NEEDED: Mapping[str, tuple[str | tuple[str, ...], ...]] = {
    "text2video": ("prompt",),
    "image2video": (("image", "image_tail"),),
    "multi-image2video": ("image_list",),
    "omni-video": (),
    "motion-control": (),
    "video-extend": (),
    "effects": (),
    "avatar": ("image",),
    "multi-elements": (),
}
LEGACY = declare.Reader(
    WORDS,
    status="task_status",
    id="task_id",
    files={"video": "task_result.videos[].url", "watermarked": "task_result.videos[].watermark_url"},
    reason="task_status_msg",
    code="",
    progress="",
    updated_at="updated_at",
    finished_at="",
    duration="task_result.videos[0].duration",
    cost="final_unit_deduction",
    unit="units",
    problem=FAILED,
    envelope=declare.Envelope(("data", ""), code="code", message="message", kinds=CODES),
    ids=declare.Ids("kind/id", tuple(NEEDED)),
    refine=lambda said, data, job_id: ends(said),
)
# A status request has no parameters but kind and id: a bad parameter means that the task does not exist.
ASKED = replace(LEGACY, envelope=replace(LEGACY.envelope, kinds={**CODES, "1201": "not found"}))


def bare(name: str, value: Any) -> Any:
    """An image in Kling's form: a URL, or base64 without "data:" before it."""
    return re.sub(r"^data:[^,]*,", "", declare.image().sent(name, value))  # type: ignore[misc]  # it has one


IMAGE = replace(declare.image(), sent=bare)
LEGACY_FIELDS = {
    "model_name": declare.text(),
    "prompt": declare.text(),
    "negative_prompt": declare.text(),
    "image": IMAGE,
    "image_tail": IMAGE,
    "image_list": declare.list(),
    "mode": declare.matching("std, pro, or another mode of the model", r"\w+"),
    "duration": declare.Rule(
        "seconds, as text or a whole number", lambda v: re.fullmatch(r"[1-9]\d{0,3}", str(v)), lambda _, v: str(v)
    ),
    "aspect_ratio": SETTINGS["aspect_ratio"],
    **COMMON,
}


def path(kind: str) -> str:
    return "/v1/videos/{kind}/image2video" if kind == "avatar" else "/v1/videos/{kind}"


OLD_STATUS = {kind: declare.status(f"GET {path(kind)}/{{id}}", ASKED, verdicts=(400,)) for kind in NEEDED}
OLD_SUBMIT = {
    kind: declare.submit(
        f"POST {path(kind)}", LEGACY, LEGACY_FIELDS, needed, kind=kind, others=declare.anything(),
        key="external_task_id", find=f"GET {path(kind)}/{{key}}",
    )
    for kind, needed in NEEDED.items()
}  # fmt: skip

# -- the account ------------------------------------------------------------------------------------------------------

EVER = (("start_time", "1577836800000"), ("end_time", "4102444800000"))
"""The years 2020 to 2099 in Unix milliseconds: the page requires a span, and a plugin has no clock."""


def parse_costs(response: vidpoll.Response, job_id: str) -> vidpoll.Quota:
    """The remaining units of the packs in use, without those for images. `data` has a code of its own."""
    NEW.envelope.check(response)
    declare.Envelope(code="data.code", message="data.msg", kinds=CODES).check(response)
    packs = parsing.json_object(response, "data").get("resource_pack_subscribe_infos")
    if not isinstance(packs, list):
        raise vidpoll.Malformed(f"the response contains no list of resource packs: {parsing.problem(response)}")
    online = [pack for pack in packs if parsing.at(pack, "status") == "online"]
    named = [(parsing.text(pack.get("resource_pack_name")) or "", pack.get("remaining_quantity")) for pack in online]
    mine = [(name, parsing.number(left) or 0.0) for name, left in named if not re.search("image", name, re.IGNORECASE)]
    return vidpoll.Quota(
        plan=", ".join(name for name, _ in mine) or None, balance=sum(left for _, left in mine), unit="units"
    )


def b64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def minted(access: str, secret: str) -> vidpoll.Minted:
    """A new JWT for each request, from two keys: a JWT is valid for 30 minutes, and a wait may be longer."""

    def mint(request: vidpoll.PreparedRequest, secrets: Mapping[str, str]) -> dict[str, str]:
        now = int(request.at)
        claims = {"iss": secrets[access], "exp": now + 1800, "nbf": now - 5}
        parts = (json.dumps(each, separators=(",", ":")).encode() for each in ({"alg": "HS256", "typ": "JWT"}, claims))
        signed = ".".join(map(b64url, parts))
        mac = hmac.new(secrets[secret].encode(), signed.encode(), hashlib.sha256).digest()
        return {"Authorization": f"Bearer {signed}.{b64url(mac)}"}

    return vidpoll.Minted((access, secret), mint)


@vidpoll.hookimpl
def vidpoll_providers() -> Iterator[vidpoll.Provider]:
    yield vidpoll.Provider(
        "kling",
        base_url="https://api-singapore.klingai.com",
        auth=vidpoll.AnyOf(
            vidpoll.Bearer("KLING_API_KEY"),
            vidpoll.Bearer("KLINGAI_API_KEY"),
            minted("KLING_ACCESS_KEY", "KLING_SECRET_KEY"),
            minted("KLINGAI_ACCESS_KEY", "KLINGAI_SECRET_KEY"),
        ),
        pacing=vidpoll.Pacing(floor=5.0, typical=(60, 300)),
        slots=vidpoll.Slots("refuses"),  # 1303 beyond the pack; all keys of the account share it
        status=declare.by_kind({**OLD_STATUS, "": replace(TASKS, request=ask_task, parse=parse_task)}),
        submit={
            "video": declare.submit(
                "POST /{task}/{model}", NEW, NEW_FIELDS, ("task", "model", ("prompt", "contents")), kind="video",
                others=declare.anything(), convert=nested, key="external_task_id",
                find="GET /tasks?external_task_ids={key}", price=PRICES,
            ),
            **OLD_SUBMIT,
        },
        list=declare.cursor_pages(
            "POST /tasks", NEW, rows="data.result", token="cursor", next="data.next_cursor", more="data.has_more",
            most=500,
            fields={
                "start_time": declare.whole(0, note="Unix milliseconds"),
                "end_time": declare.whole(0, note="Unix milliseconds"),
                "filters": declare.list(declare.object()),
            },
        ),
        list_polling=vidpoll.ListPollingSpec(
            rows=50,
            batch=declare.batch("GET /tasks", NEW, name="task_ids"),
            takes=lambda job_id: "/" not in job_id,
            whole=True,  # the status operation sends the same request, with one id
        ),
        quota=vidpoll.Operation(lambda: vidpoll.Request("GET", "/account/costs", EVER), parse_costs),
        error=declare.refusals(CODES),
        webhook=declare.Webhook(declare.standard_webhooks()),
        stages=NEW.stages,
    )  # fmt: skip


@vidpoll.hookimpl
def vidpoll_simulators() -> Mapping[str, str]:
    return {"kling": "vidpoll_providers:samples/kling/index.json"}
