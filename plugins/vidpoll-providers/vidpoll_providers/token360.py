"""Token360 (token360.ai) for vidpoll. Facts: https://www.token360.ai/en-US/docs (api-reference, models/webhook and
models/native-params-passthrough). Comments give the decisions where these pages are silent or disagree.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import vidpoll
from vidpoll import State, declare, parsing

JOB = declare.Reader(
    {"queued": State.QUEUED, "in_progress": State.RUNNING, "completed": State.COMPLETED, "failed": State.FAILED},
    files={"video": ("url", "video_url"), "last_frame": "content.last_frame_url"},
    envelope=declare.Envelope(("", "data")),  # the webhook page says "envelope" without naming its keys
    problem=declare.problems(  # the suppliers' own codes
        {
            "InputTextSensitiveContentDetected": "moderated_input",
            "OutputVideoSensitiveContentDetected": "moderated_output",
            "upstream_error": "internal",
        }
    ),
    second=declare.Second("GET /videos/{id}/content?format=url", {"video": "url"}, id="video_id"),
)
# The pages give only the ends of the range of resolutions and the start of the list of ratios, so only the shape of
# both is checked. frame_images and input_references are named, not described; only the webhook page names request_id.
FIELDS = {
    "model": declare.text(),
    "prompt": declare.text(),
    "duration": declare.whole(1, note="seconds"),
    "resolution": declare.matching("a size like 720p or 4K", r"[1-9]\d{0,4}(p|K)"),
    "aspect_ratio": declare.matching("adaptive, or a ratio like 16:9", r"adaptive|[1-9]\d{0,3}:[1-9]\d{0,3}"),
    "generate_audio": declare.flag(),
    "seed": declare.whole(note="leave it out for a random one"),
    "watermark": declare.flag(),
    "return_last_frame": declare.flag(),
    "execution_expires_after": declare.whole(1, note="seconds"),
    "safety_identifier": declare.text(),
    "callback_url": declare.matching("an https URL", r"(?i:https)://[^/\s]\S*"),
    "metadata": declare.object(),
    "frame_images": declare.list(),
    "input_references": declare.list(),
    "request_id": declare.text(),
    "native": declare.Rule("True (all other fields are the supplier's own), or left out", lambda v: v is False),
}


def plain(given: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in given.items() if name != "native"}


SUBMIT = declare.submit("POST /videos", JOB, FIELDS, ("model", "prompt"), kind="video", convert=plain)
MODEL, PASSED = {"model": FIELDS["model"]}, {"Token360-Native-Params": "true"}
NATIVE = declare.submit(
    "POST /videos", JOB, MODEL, ("model",), kind="video", others=declare.anything(), convert=plain, headers=PASSED
)


def submit_request(fields: Mapping[str, object]) -> vidpoll.Request:
    """With `native=True` the fields are the supplier's own, and only `model` is checked."""
    return (NATIVE if fields.get("native") is True else SUBMIT).request(fields)


ID = declare.Rule("the id of a video", lambda v: isinstance(v, str) and v)
LIST = {"limit": declare.whole(1, 100), "after": ID, "before": ID, "order": declare.one_of("asc", "desc")}


def list_request(fields: Mapping[str, object], next: str | None) -> vidpoll.Request:
    given = {"limit": 100, **declare.take("the list of videos", fields, LIST)}
    if "after" in given and "before" in given:
        raise vidpoll.InvalidField("after and before cannot be combined (opposite directions): give one of them")
    if next:
        last, _, first = next.partition("\n")
        given.update({"before": first} if "before" in given else {"after": last})
    return vidpoll.Request("GET", "/videos", tuple((name, str(value)) for name, value in given.items()))


def parse_list(response: vidpoll.Response, job_id: str) -> vidpoll.Page:
    """One page. The response does not contain the direction of the list, so `next` names both ends of the page."""
    body = parsing.json_object(response)
    ends = [parsing.text(body.get("last_id")) or "", parsing.text(body.get("first_id")) or ""]
    more = body.get("has_more") is True and all(end and end.isprintable() for end in ends)
    return vidpoll.Page(parsing.rows(body.get("data"), JOB.read), "\n".join(ends) if more else None)


def binary(job_id: str) -> vidpoll.Asset:
    """The video through the API's own host, if no other host is reachable: `client.open(job, asset=binary(job.id))`."""
    return vidpoll.Asset(f"./videos/{parsing.segment(job_id)}/content?format=binary")


@vidpoll.hookimpl
def vidpoll_providers() -> Iterator[vidpoll.Provider]:
    yield vidpoll.Provider(
        "token360",
        base_url="https://api.token360.ai/v1",
        auth=vidpoll.Bearer("TOKEN360_API_KEY"),
        pacing=vidpoll.Pacing(floor=5.0),  # no rate is documented
        status=declare.status("GET /videos/{id}", JOB),
        submit={"video": replace(SUBMIT, request=submit_request)},
        list=vidpoll.Operation(list_request, parse_list, fields=declare.described(LIST)),
        list_polling=vidpoll.ListPollingSpec(rows=100, fields={"order": "desc"}),  # the newest first: these are running
        delete=declare.delete("DELETE /videos/{id}", JOB, done="deleted"),
        content=declare.content(
            "GET /videos/{id}/content?format=redirect", JOB, url="url", id="video_id", verdicts=(400,)
        ),
        stages=JOB.stages,
    )


@vidpoll.hookimpl
def vidpoll_simulators() -> Mapping[str, str]:
    return {"token360": "vidpoll_providers.simulators.token360:Token360Face"}
