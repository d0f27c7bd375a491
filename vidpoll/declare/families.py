"""Families: shapes that many vendors and servers speak, each a whole Provider with what differs as options."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields as fields_of
from dataclasses import replace
from pathlib import Path
from typing import Any

from .. import parsing
from ..errors import Malformed, PluginError
from ..model import Request, Response, Snapshot, State, Submitted
from ..provider import Auth, Follow, ListPollingSpec, Operation, Pacing, Provider, Stage, Webhook
from .batches import batch
from .fields import Needed, Rule, flag, image, list, matching, object, one_of, text, whole
from .files import Files
from .operations import cancel, content, delete, status, submit
from .pages import cursor_pages, numbered_pages
from .reader import Reader

Words = Mapping[Any, State | Stage]

_EVERY_5_S = Pacing(floor=5.0)
_EVERY_10_S = Pacing(floor=10.0)

_OPENAI_WORDS: Words = {
    "queued": State.QUEUED,
    "pending": State.QUEUED,
    "in_progress": State.RUNNING,
    "processing": State.RUNNING,
    "completed": State.COMPLETED,
    "failed": State.FAILED,
    "cancelled": State.CANCELLED,
    "canceled": State.CANCELLED,
    "expired": State.EXPIRED,
}
_RELAYED_WORDS: Words = {  # those of upstreams, as gateways pass them on; unknown is a job that was just submitted
    **dict.fromkeys(("submitted", "not_start", "notstarted", "preparing", "created", "starting"), State.QUEUED),
    "unknown": State.QUEUED,
    **dict.fromkeys(("running", "generating", "post_processing"), State.RUNNING),
    **dict.fromkeys(("complete", "success", "succeeded", "finished"), State.COMPLETED),
    **dict.fromkeys(("failure", "fail", "error"), State.FAILED),
}
_OPENAI_URLS = (
    "url", "video_url", "urls", "unsigned_urls", "metadata.url", "output.video_url", "outputs.video_url",
    "output.videos[].url", "./videos/{id}/content",
)  # fmt: skip
_OPENAI_FIELDS = {
    "prompt": text(),
    "model": text(),
    "seconds": Rule(
        "seconds, as text or as a number, as the server takes them", lambda v: (parsing.number(v) or 0) > 0
    ),
    "size": matching(
        "a size like 1280x720, or as a gateway has it: 720p, 832*480", r"(?i:[1-9]\d{0,4}([x*:][1-9]\d{0,4}|[pk])?)"
    ),
    "input_reference": Rule(
        "an image or a video: a file as pathlib.Path, a mapping with image_url or file_id, or, where the server takes "
        "text, an http or https URL or a data URI",
        lambda v: isinstance(v, (Path, dict)) or (isinstance(v, str) and re.match(r"(?i)https?://\S|data:", v)),
    ),
}


def openai_videos(
    name: str,
    base_url: str,
    auth: Auth,
    *,
    pacing: Pacing = _EVERY_5_S,
    words: Words | None = None,
    files: Files | None = None,
    fields: Mapping[str, Rule] | None = None,
    needed: Needed = ("prompt",),
    others: Rule | None = None,
    form: bool = False,
    remix: bool = False,
    relay: bool = False,
    verdicts: tuple[int, ...] = (),
    reader: Mapping[str, Any] | None = None,
    **more: Any,
) -> Provider:
    """A provider that speaks OpenAI's `/videos` below its base URL: submit, status, content, list and delete.

    `words` and `files` add to the words and kinds of files that are known, `fields` to those of the submit; `others` is
    the rule of fields beyond. A submit is JSON, or a multipart form where a field is a file; `form` says that the
    server takes forms alone. `remix` adds the submit of that name, `relay` the words that gateways pass on from other
    vendors. `verdicts`: HTTP statuses whose body may be the job (500 at vLLM-Omni). `reader` are further options of a
    Reader. `more` goes to `vidpoll.Provider` and wins (`list=None` for a server without one). Raises PluginError for
    an option that is none.

    >>> acme = openai_videos("acme", "https://acme.example/v1", Bearer("ACME_API_KEY"), words={"warm": State.QUEUED})
    >>> sorted(acme.operations())
    ['content', 'delete', 'list', 'status', 'submit video']
    """
    job = Reader(
        {**_OPENAI_WORDS, **(_RELAYED_WORDS if relay else {}), **(words or {})},
        files={"video": _OPENAI_URLS, **(files or {})},
        **{"duration": ("duration_s", "seconds", "duration"), "expires_at": "expires_at", **(reader or {})},
    )
    rules = {**_OPENAI_FIELDS, **(fields or {})}
    kinds = {"video": _openai_submit(job, rules, needed, others, form)}
    if remix:
        one = {"video_id": text(), "prompt": text()}
        kinds["remix"] = submit("POST /videos/{video_id}/remix", job, one, ("video_id", "prompt"), kind="remix")
    made = {
        "pacing": pacing,
        "status": _named(status("GET /videos/{id}", job, verdicts=verdicts)),
        "submit": kinds,
        "list": cursor_pages("GET /videos", job, more="has_more", fields={"order": one_of("asc", "desc")}),
        "delete": Operation(delete("DELETE /videos/{id}", job).request, _deleted),
        "content": content("GET /videos/{id}/content", job),
        "stages": job.stages,
    }
    return _provider("openai_videos", name, {"base_url": base_url, "auth": auth, **made, **more})


def _named(asked: Operation[Snapshot]) -> Operation[Snapshot]:
    """A verdict by an error's body must name its job: a proxy that is overloaded says "failed", too."""

    def parse(response: Response, job_id: str) -> Snapshot | Follow[Snapshot]:
        said = asked.parse(response, job_id)
        if response.status >= 400 and (not isinstance(said, Snapshot) or said.job_id is None):
            raise Malformed(f"HTTP {response.status} with a body that names no job")
        return said

    return replace(asked, parse=parse)


def _openai_submit(
    job: Reader, rules: Mapping[str, Rule], needed: Needed, others: Rule | None, form: bool
) -> Operation[Submitted]:
    """As JSON where that can say it, else as a form."""
    as_form = submit("POST /videos", job, rules, needed, kind="video", others=others, form=True)
    as_json = submit("POST /videos", job, rules, needed, kind="video", others=others)

    def build(call: Mapping[str, Any]) -> Request:
        files = any(isinstance(value, Path) for value in call.values())
        return (as_form if files else as_json).request(call)

    return as_form if form else replace(as_json, request=build)


def _deleted(response: Response, job_id: str) -> None:
    """Three servers say it in three ways; SGLang answers the job with the word "deleted"."""
    body = parsing.json_object(response)
    if not (body.get("deleted") is True or body.get("status") == "deleted" or body.get("object") == "video.deleted"):
        raise Malformed(f"the answer does not say that the video is deleted: {parsing.problem(response)}")


_ARK_WORDS: Words = {
    "queued": State.QUEUED,
    "running": State.RUNNING,
    "succeeded": State.COMPLETED,
    "failed": State.FAILED,
    "cancelled": State.CANCELLED,
    "canceled": State.CANCELLED,
    "expired": State.EXPIRED,
}
_ARK_FIELDS = {
    "model": text(),
    "prompt": text(),
    "image": image(),
    "last_frame": image(),
    "content": list(object()),
    "resolution": matching("a size like 720p or 4K", r"(?i:[1-9]\d{0,4}[pk])"),
    "ratio": matching("adaptive, or a ratio like 16:9", r"adaptive|[1-9]\d?:[1-9]\d?"),
    "duration": whole(-1, note="seconds"),
    "frames": whole(1),
    "seed": whole(-1),
    "watermark": flag(),
    "camera_fixed": flag(),
    "generate_audio": flag(),
    "return_last_frame": flag(),
    "draft": flag(),
    "service_tier": one_of("default", "flex"),
    "execution_expires_after": whole(1, note="seconds"),
    "priority": whole(),
    "safety_identifier": text(),
    "callback_url": matching("an https URL", r"(?i:https)://[^/\s]\S*"),
    "tools": list(object()),
    "output_format": text(),
    "omni_reference_task_type": text(),
    "extra_body": Rule(
        "a mapping of further fields, which go into the request unchecked", lambda v: isinstance(v, dict)
    ),
}
_ARK_FILTERS = {
    "filter.status": one_of("queued", "running", "succeeded", "failed", "cancelled", "expired"),
    "filter.model": text(),
    "filter.service_tier": one_of("default", "flex"),
}


def ark_tasks(
    name: str,
    base_url: str,
    auth: Auth,
    *,
    path: str = "/contents/generations/tasks",
    pacing: Pacing = _EVERY_10_S,
    words: Words | None = None,
    fields: Mapping[str, Rule] | None = None,
    reader: Mapping[str, Any] | None = None,
    **more: Any,
) -> Provider:
    """A provider that speaks the tasks of Volcengine Ark and BytePlus ModelArk: submit, status, list, cancel, delete.

    A submit takes `prompt`, `image` (the first frame) and `last_frame`, or `content` as Ark has it; fields that Ark
    does not know are refused here, because it drops them in silence and bills the job; new ones go into `extra_body`.
    One request cancels a queued job and deletes one that is over, so both look at the job first. Many jobs are asked
    about at once, by their ids. `path` is where the tasks stand, `words` and `fields` add to those that are known,
    `reader` are further options of a Reader, `more` goes to `vidpoll.Provider` and wins. Raises PluginError for an
    option that is none.

    >>> ark = ark_tasks("ark", "https://ark.example/api/v3", Bearer("ARK_API_KEY"))
    >>> ark.submit["video"].request({"model": "seedance", "prompt": "a lighthouse"}).json
    {'model': 'seedance', 'content': [{'type': 'text', 'text': 'a lighthouse'}]}
    """
    job = Reader(
        {**_ARK_WORDS, **(words or {})},
        files={"video": "content.video_url", "last_frame": "content.last_frame_url", "file": "content.file_url"},
        **{"cost": "usage.total_tokens", "unit": "tokens", "finished_at": "updated_at", **(reader or {})},
    )
    rules = {**_ARK_FIELDS, **(fields or {})}
    needed: Needed = ("model", ("prompt", "image", "content"))
    look = status(f"GET {path}/{{id}}", job)
    many = batch(f"GET {path}?page_num=1&page_size=100", job, name="filter.task_ids", rows="items", join=None)
    made = {
        "pacing": pacing,
        "status": look,
        "submit": {"video": submit(f"POST {path}", job, rules, needed, kind="video", convert=_ark_body)},
        "list": numbered_pages(
            f"GET {path}", job, rows="items", page="page_num", size="page_size", most=500, fields=_ARK_FILTERS
        ),
        "list_polling": ListPollingSpec(rows=100, batch=many, whole=True),  # the items are those of a status answer
        "cancel": cancel(f"DELETE {path}/{{id}}", job, first=look),
        "delete": delete(f"DELETE {path}/{{id}}", job, first=look),
        "webhook": Webhook(),  # the body is that of a status answer, and no signature is documented
        "stages": job.stages,
    }
    return _provider("ark_tasks", name, {"base_url": base_url, "auth": auth, **made, **more})


def _ark_body(given: dict[str, Any]) -> dict[str, Any]:
    """The prompt and the frames are items of `content`, beside those that the call gives itself."""
    said = [{"type": "text", "text": given.pop("prompt")}] if "prompt" in given else []
    frames = [
        {"type": "image_url", "image_url": {"url": given.pop(name)}, "role": role}
        for name, role in (("image", "first_frame"), ("last_frame", "last_frame"))
        if name in given
    ]
    further = given.pop("extra_body", {})
    return {**given, "content": [*said, *frames, *given.get("content", [])], **further}


def _provider(family: str, name: str, made: Mapping[str, Any]) -> Provider:
    known = {each.name for each in fields_of(Provider)}
    for option in made:
        if option not in known:
            raise PluginError(
                f"{family} {name!r}: there is no option {option!r}; of Provider it takes {', '.join(sorted(known))}"
            )
    return Provider(name, **made)
