"""Families: APIs that many vendors and servers share, each a whole Provider; its options are the differences."""

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
_RELAYED_WORDS: Words = {  # words of other vendors that gateways pass on; unknown is a job that was just submitted
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
        "seconds, as text or as a number, whichever the server accepts", lambda v: (parsing.number(v) or 0) > 0
    ),
    "size": matching(
        "a size like 1280x720, or in a gateway's form: 720p, 832*480", r"(?i:[1-9]\d{0,4}([x*:][1-9]\d{0,4}|[pk])?)"
    ),
    "input_reference": Rule(
        "an image or a video: a file as pathlib.Path, a mapping with image_url or file_id, or, if the server accepts "
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

    `words` and `files` add to the known words and kinds of files, `fields` to the fields of the submit; `others` is the
    rule of any other field. A submit is sent as JSON, or as a multipart form if a field is a file; with `form` always
    as a form. `remix` adds the submit of that name, `relay` the words that gateways pass on from other vendors.
    `verdicts` are HTTP statuses whose body may be the job (500 of vLLM-Omni). `reader` has further options of a Reader.
    `more` goes to `vidpoll.Provider` and has precedence (`list=None` for a server without a list). Raises PluginError
    for an unknown option.

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
    """Accept a job in the body of an HTTP error only if it has an id: an overloaded proxy also says "failed"."""

    def parse(response: Response, job_id: str) -> Snapshot | Follow[Snapshot]:
        said = asked.parse(response, job_id)
        if response.status >= 400 and (not isinstance(said, Snapshot) or said.job_id is None):
            raise Malformed(f"HTTP {response.status} with a body that names no job")
        return said

    return replace(asked, parse=parse)


def _openai_submit(
    job: Reader, rules: Mapping[str, Rule], needed: Needed, others: Rule | None, form: bool
) -> Operation[Submitted]:
    """A submit as JSON, or as a form if a field is a file."""
    as_form = submit("POST /videos", job, rules, needed, kind="video", others=others, form=True)
    as_json = submit("POST /videos", job, rules, needed, kind="video", others=others)

    def build(call: Mapping[str, Any]) -> Request:
        files = any(isinstance(value, Path) for value in call.values())
        return (as_form if files else as_json).request(call)

    return as_form if form else replace(as_json, request=build)


def _deleted(response: Response, job_id: str) -> None:
    """Three servers report a deletion in three ways; SGLang returns the job with the word "deleted"."""
    body = parsing.json_object(response)
    if not (body.get("deleted") is True or body.get("status") == "deleted" or body.get("object") == "video.deleted"):
        raise Malformed(f"the response does not say that the video is deleted: {parsing.problem(response)}")


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
    "extra_body": Rule("a mapping of further fields, which are sent unchecked", lambda v: isinstance(v, dict)),
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

    A submit accepts `prompt`, `image` (the first frame) and `last_frame`, or `content` in Ark's form. Fields that Ark
    does not know are refused here, because Ark drops them in silence and bills the job; new ones go into `extra_body`.
    The same request cancels a queued job and deletes one that has ended, so both operations poll the job first. One
    request polls many jobs, by their ids. `path` is the path of the tasks, `words` and `fields` add to the known ones,
    `reader` has further options of a Reader, `more` goes to `vidpoll.Provider` and has precedence. Raises PluginError
    for an unknown option.

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
        "list_polling": ListPollingSpec(rows=100, batch=many, whole=True),  # an item equals a status response
        "cancel": cancel(f"DELETE {path}/{{id}}", job, first=look),
        "delete": delete(f"DELETE {path}/{{id}}", job, first=look),
        "webhook": Webhook(),  # the body equals a status response, and no signature is documented
        "stages": job.stages,
    }
    return _provider("ark_tasks", name, {"base_url": base_url, "auth": auth, **made, **more})


def _ark_body(given: dict[str, Any]) -> dict[str, Any]:
    """Put the prompt and the frames into `content`, before the items that the call gives itself."""
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
                f"{family} {name!r}: there is no option {option!r}; Provider has {', '.join(sorted(known))}"
            )
    return Provider(name, **made)
