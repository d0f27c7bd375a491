"""HeyGen's API v3 for vidpoll: videos of avatars, and sessions of its video agent. v1 and v2 ended on 2026-10-31.

Facts: developers.heygen.com (reference, docs/webhooks, docs/error-codes), heygen-com/heygen-cli@7699a8e (gen/*.go).
Comments give the decisions where these are silent or disagree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NoReturn

import vidpoll
from vidpoll import State, declare, parsing

DATA = declare.Envelope("data")
KINDS = {
    **dict.fromkeys(("invalid_parameter", "validation_error"), "input"),
    "insufficient_credit": "money",
    "rate_limit_exceeded": "rate",
}
# The codes of failed videos are not published, so code and text are searched for words of moderation.
FAILED = declare.problems(
    {"internal_error": "internal", "moderation_violation": "moderated_input"},
    texts={"moderat|policy|nsfw|violat": "moderated_input"},
)
VIDEO = declare.Reader(
    {
        "waiting": State.QUEUED,
        "pending": State.QUEUED,
        "queued": State.QUEUED,
        "processing": State.RUNNING,
        "completed": State.COMPLETED,
        "failed": State.FAILED,
    },
    id=("id", "video_id"),
    files={
        "video": "video_url",
        "captioned": "captioned_video_url",
        "thumbnail": "thumbnail_url",
        "gif": "gif_url",
        "subtitle": "subtitle_url",
    },
    reason="failure_message",
    code="failure_code",
    progress="",
    envelope=DATA,
    problem=FAILED,
)
STATUS = declare.status("GET /v3/videos/{id}", VIDEO)
ROW = replace(VIDEO, reason="error.message", code="error.code")  # `not_found` is not a state: the job is polled alone

# -- sessions of the agent, whose video has another id ----------------------------------------------------------------

SESSION = declare.Reader(
    {
        "thinking": State.RUNNING,
        "waiting_for_input": State.RUNNING,
        "reviewing": State.RUNNING,
        "generating": State.RUNNING,
        "completed": State.COMPLETED,
        "failed": State.FAILED,
    },
    id="session_id",
    ids=declare.Ids("kind/id", ("video-agents",)),
    files={},
    finished_at="",
    duration="",
    envelope=DATA,
)


def parse_session(response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot | vidpoll.Follow[vidpoll.Snapshot]:
    """A completed session names its video, and the video decides."""
    data = SESSION.open(response)
    said = SESSION.read(data, job_id)
    video = parsing.text(data.get("video_id"))
    if said.state is not State.COMPLETED or video is None:
        return said
    return vidpoll.Follow(STATUS.request(video), partial(parse_video, said, video))


def parse_video(said: vidpoll.Snapshot, video: str, response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot:
    data = VIDEO.open(response)
    told = VIDEO.read(data)
    if told.job_id not in (None, video):
        raise vidpoll.ForeignAnswer("the second response is about another video than the session's")
    return replace(told, job_id=said.job_id, created_at=said.created_at, raw={**said.raw, "video": told.raw})


def not_for(what: str) -> Callable[[str], NoReturn]:
    """The builder of a request that HeyGen does not have: it raises Unsupported."""

    def refuse(job_id: str) -> NoReturn:
        raise vidpoll.Unsupported(f"heygen: {what}")

    return refuse


STOP = declare.cancel("POST /v3/{kind}/{id}/stop", SESSION, json={})
DELETE = declare.delete("DELETE /v3/videos/{id}", VIDEO)
NO_STOP, NO_DELETE = not_for("a video cannot be cancelled, only deleted"), not_for("a session cannot be deleted")

# -- the fields of a submit -------------------------------------------------------------------------------------------

TEXT, OBJECT = declare.text(), declare.object()
COMMON = {
    "callback_url": declare.matching("an http or https URL", r"(?i:https?)://[^/\s]\S*"),
    "callback_id": TEXT,
    "idempotency_key": declare.matching("1 to 255 characters of A-Z a-z 0-9 _ : . -", r"[A-Za-z0-9_:.-]{1,255}"),
}
FIELDS = {
    "type": declare.matching("avatar, image, cinematic_avatar or studio", r"\w+"),
    "avatar_id": TEXT,
    "image": OBJECT,
    "script": TEXT,
    "voice_id": TEXT,
    "audio_url": TEXT,
    "audio_asset_id": TEXT,
    "title": TEXT,
    "resolution": TEXT,
    "aspect_ratio": TEXT,
    "engine": OBJECT,
    "output_format": declare.one_of("mp4", "webm"),
    **COMMON,
}
AGENT_FIELDS = {
    "prompt": declare.text(10000),
    "mode": declare.one_of("generate", "chat"),
    "avatar_id": TEXT,
    "voice_id": TEXT,
    "files": declare.list(OBJECT, most=20),
    **COMMON,
}
SENT: dict[str, Any] = {
    "others": declare.anything(),
    "headers": {"Idempotency-Key": "{idempotency_key}"},
    "key": "idempotency_key",
}


# -- account and pushes -----------------------------------------------------------------------------------------------


BALANCES = (
    "wallet.remaining_balance",
    "usage_based.remaining_credits",
    "subscription.credits.premium_credits.remaining",
    "subscription.credits.add_on_credits.remaining",
)


def parse_quota(response: vidpoll.Response, job_id: str) -> vidpoll.Quota:
    """The balance from the one of three blocks that is filled; a subscription has two pools of credits."""
    data = DATA.open(response)
    told = [each for path in BALANCES if (each := parsing.number(parsing.at(data, path))) is not None]
    if not told:
        raise vidpoll.Malformed("the response contains no balance")
    names = [parsing.text(parsing.at(data, path)) for path in ("billing_type", "subscription.plan")]
    unit = (parsing.text(parsing.at(data, "wallet.currency")) or "credits").replace("usd", "USD")
    reset = parsing.timestamp(parsing.at(data, "subscription.credits.premium_credits.resets_at"))
    return vidpoll.Quota(plan=", ".join(filter(None, names)) or None, balance=sum(told), reset_at=reset, unit=unit)


def verify(headers: Mapping[str, str], body: bytes, secret: str, now: float) -> str:
    """HMAC-SHA256 over the body; the header has had three names. The time in another header is not signed."""
    names = ("heygen-signature", "x-heygen-signature", "signature")
    name = next((each for each in names if headers.get(each)), names[0])
    return declare.hmac_sha256("{body}", signature=name)(headers, body, secret, now)


def pushed(event: dict[str, Any]) -> dict[str, Any]:
    """An event about a video or a session, in the form of a status response; any other event has no state."""
    about, _, word = str(event.get("event_type")).rpartition(".")
    data = event.get("event_data")
    state = {"success": "completed", "fail": "failed"}.get(word) if about in ("avatar_video", "video_agent") else None
    return {"data": {**(data if isinstance(data, dict) else {}), "status": state}}


@vidpoll.hookimpl
def vidpoll_providers() -> Iterator[vidpoll.Provider]:
    yield vidpoll.Provider(
        "heygen",
        base_url="https://api.heygen.com",
        auth=vidpoll.KeyHeader("X-Api-Key", "HEYGEN_API_KEY"),
        pacing=vidpoll.Pacing(floor=10.0, typical=(300.0, 900.0)),  # no rate is documented
        status=declare.by_kind(
            {
                "video-agents": vidpoll.Operation(declare.request("GET /v3/{kind}/{id}", SESSION.ids), parse_session),
                "": STATUS,
            }
        ),
        submit={
            "video": declare.submit("POST /v3/videos", VIDEO, FIELDS, ("type",), kind="video", **SENT),
            "agent": declare.submit("POST /v3/{kind}", SESSION, AGENT_FIELDS, ("prompt",), kind="video-agents", **SENT),
        },
        list=declare.cursor_pages(
            "GET /v3/videos",
            VIDEO,
            token="token",
            next="next_token",
            more="has_more",
            fields={"folder_id": TEXT, "title": TEXT},
        ),
        list_polling=vidpoll.ListPollingSpec(
            rows=100,
            batch=declare.batch("GET /v3/videos/statuses", ROW, name="video_ids"),
            takes=lambda job_id: "/" not in job_id and "," not in job_id,
        ),
        quota=vidpoll.Operation(lambda: vidpoll.Request("GET", "/v3/users/me"), parse_quota),
        cancel=declare.by_kind({"video-agents": STOP, "": replace(STOP, request=NO_STOP)}),
        delete=declare.by_kind({"video-agents": replace(DELETE, request=NO_DELETE), "": DELETE}),
        upload={
            "asset": declare.upload(
                "POST /v3/assets",
                (".png", ".jpg", ".jpeg", ".mp4", ".webm", ".mp3", ".wav", ".pdf", ".srt"),
                value="data.asset_id",
            )
        },
        error=declare.refusals(KINDS),
        drops=("email", "username", "first_name", "last_name"),
        webhook=declare.Webhook(verify, pushed),
        stages=VIDEO.stages + tuple(each for each in SESSION.stages if each.word not in VIDEO.table),
    )


@vidpoll.hookimpl
def vidpoll_simulators() -> Mapping[str, str]:
    return {"heygen": "vidpoll_providers:samples/heygen/index.json"}
