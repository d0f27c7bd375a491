"""Veo on Vertex AI (Google Cloud) for vidpoll. Facts: cloud.google.com/vertex-ai/generative-ai/docs (model-reference/
veo-video-generation, video/responsible-ai-and-usage-guidelines, error-code-429), googleapis/python-genai (models.py,
operations.py, _api_client.py of google-genai 3.6.1).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import vidpoll
from vidpoll import State, declare, parsing

from .gemini import FAULTS, filtered

HOME = "us-central1"
"""The region of the base URL; every other region has a host of its own."""


def decide(state: State | None, data: Mapping[str, Any]) -> State | None:
    """`done` is absent while a job is running. A done job has an error, or videos, or neither: it was filtered."""
    done = data.get("done")
    if done is not True:
        return State.RUNNING if (done is None or done is False) and parsing.text(data.get("name")) else None
    filtered = parsing.at(data, "response.raiMediaFilteredReasons") or parsing.at(
        data, "response.raiMediaFilteredCount"
    )
    refused = filtered and not parsing.at(data, "response.videos")
    return State.FAILED if data.get("error") or refused else State.COMPLETED


def refine(said: vidpoll.Snapshot, data: Mapping[str, Any], job_id: str) -> vidpoll.Snapshot:
    """Google names a project by its number or by its id: both mean the same operation."""
    same = (said.job_id or "").rpartition("/")[2] == job_id.rpartition("/")[2]
    return filtered(replace(said, job_id=job_id) if said.job_id and same else said, data)


JOB = declare.Reader(
    {},
    status="",
    id="name",
    files={"video": ("response.videos[].gcsUri", "base64:response.videos[].bytesBase64Encoded")},
    reason=("error.message", "response.raiMediaFilteredReasons[0]"),
    problem=declare.problems(FAULTS),
    decide=decide,
    refine=refine,
)


# -- requests ---------------------------------------------------------------------------------------------------------


def media(kind: str, suffixes: Mapping[str, str]) -> declare.Rule:
    """A file of the request: Google's own object, a gs:// URI, or an image as bytes or pathlib.Path."""
    plain = declare.image()

    def sent(name: str, value: Any) -> Any:
        if isinstance(value, dict):
            return value
        if isinstance(value, str) and value.startswith("gs://"):
            return {"gcsUri": value, "mimeType": suffixes.get(value.rpartition(".")[2].lower(), kind)}
        if isinstance(value, str) or kind.startswith("video/"):
            raise vidpoll.InvalidField(f"{name} must be {must}")
        head, _, data = plain.sent(name, value).partition(";base64,") if plain.sent else ("", "", "")
        return {"bytesBase64Encoded": data, "mimeType": head.removeprefix("data:")}

    own = "a mapping with mimeType and gcsUri or bytesBase64Encoded, or a gs:// URI"
    must = own if kind.startswith("video/") else f"{own}, or a PNG or JPEG image as bytes or pathlib.Path"
    return declare.Rule(must, lambda value: True, sent)


IMAGE = media("image/jpeg", {"png": "image/png"})
PLACE = {
    "project": declare.matching("the id or number of a Google Cloud project", r"[a-z0-9][a-z0-9:.-]*"),
    "location": declare.matching(f"a region like {HOME} (the default), or global", r"[a-z0-9-]+"),
    "model": declare.matching("a model like veo-3.1-generate-001", r"[\w.@-]+"),
}
INSTANCE = {
    "prompt": declare.text(),
    "image": IMAGE,
    "lastFrame": IMAGE,
    "video": media("video/mp4", {"mov": "video/mov"}),
    "referenceImages": declare.list(declare.object()),
    "mask": declare.object(),
}
PARAMETERS = {
    "aspectRatio": declare.text(),
    "durationSeconds": declare.whole(1),
    "resolution": declare.text(),
    "generateAudio": declare.flag(),
    "sampleCount": declare.whole(1, 4),
    "storageUri": declare.matching("a gs:// URI; without it the response contains the videos", r"gs://\S+"),
    "negativePrompt": declare.text(),
    "personGeneration": declare.text(),
    "seed": declare.whole(0),
    "enhancePrompt": declare.flag(),
}
FIELDS = {**PLACE, **INSTANCE, **PARAMETERS, "labels": declare.object()}
NEEDED = ("project", "model", ("prompt", "image", "video"))


# Per second of video, without and with sound (the default); 720p and 1080p had the same prices on 2026-10-03.
PRICES = declare.prices(
    "USD",
    "2026-08-01",
    "https://cloud.google.com/vertex-ai/generative-ai/pricing",
    by=("model", "generateAudio", "resolution"),
    per_second={
        ("veo-3.1-generate-001", False, "720p"): 0.20,
        ("veo-3.1-generate-001", False, "1080p"): 0.20,
        ("veo-3.1-generate-001", False, "4k"): 0.40,
        ("veo-3.1-generate-001", True, "720p"): 0.40,
        ("veo-3.1-generate-001", True, "1080p"): 0.40,
        ("veo-3.1-generate-001", True, "4k"): 0.60,
        ("veo-3.1-fast-generate-001", False, "720p"): 0.08,
        ("veo-3.1-fast-generate-001", False, "1080p"): 0.10,
        ("veo-3.1-fast-generate-001", False, "4k"): 0.25,
        ("veo-3.1-fast-generate-001", True, "720p"): 0.10,
        ("veo-3.1-fast-generate-001", True, "1080p"): 0.12,
        ("veo-3.1-fast-generate-001", True, "4k"): 0.30,
        ("veo-3.1-lite-generate-001", False, "720p"): 0.03,
        ("veo-3.1-lite-generate-001", False, "1080p"): 0.05,
        ("veo-3.1-lite-generate-001", True, "720p"): 0.05,
        ("veo-3.1-lite-generate-001", True, "1080p"): 0.08,
    },
    seconds="durationSeconds",
    jobs="sampleCount",
    defaults={"durationSeconds": (4, 8), "sampleCount": (1, 4)},  # Google's own defaults are not documented
)


def host(location: str) -> str:
    """The host of a region; "" for the region of the base URL."""
    if location in ("us", "eu"):
        return f"aiplatform.{location}.rep.googleapis.com"
    known = {HOME: "", "global": "aiplatform.googleapis.com"}
    return known.get(location, f"{location}-aiplatform.googleapis.com")


def ask(model: str, verb: str, body: dict[str, Any]) -> vidpoll.Request:
    """A request about a model at the host of its region. `model` is the path that Google calls its name."""
    found = re.fullmatch(r"projects/[^/]+/locations/([a-z0-9-]+)/[^?#]+", model)
    if found is None:
        way = "projects/PROJECT/locations/REGION/publishers/google/models/MODEL/operations/ID"
        raise vidpoll.BadReference(f"the id of a job must be {way}, got {model[:80]!r}")
    there = host(found[1])
    path = f"{'/v1' if there else ''}/{parsing.segment(model, safe='/:')}:{verb}"
    return vidpoll.Request("POST", path, json=body, host=there)


def submit_request(fields: Mapping[str, object]) -> vidpoll.Request:
    given = declare.take("submit video", fields, FIELDS, NEEDED, declare.anything())
    place = {"location": HOME, **{name: given.pop(name) for name in PLACE if name in given}}
    model = "projects/{project}/locations/{location}/publishers/google/models/{model}".format(**place)
    instance = {name: given.pop(name) for name in INSTANCE if name in given}
    labels = {name: given.pop(name) for name in ("labels",) if name in given}
    parameters = {"parameters": given} if given else {}
    return ask(model, "predictLongRunning", {"instances": [instance], **parameters, **labels})


def status_request(job_id: str) -> vidpoll.Request:
    model = job_id.rpartition("/operations/")[0]
    return ask(model or job_id, "fetchPredictOperation", {"operationName": job_id})


@vidpoll.hookimpl
def vidpoll_providers() -> Iterator[vidpoll.Provider]:
    yield vidpoll.Provider(
        "vertex",
        base_url=f"https://{HOME}-aiplatform.googleapis.com/v1",
        auth=vidpoll.Bearer("VERTEX_ACCESS_TOKEN"),
        pacing=vidpoll.Pacing(floor=10.0, typical=(60.0, 180.0)),  # the page's examples poll every 10 to 20 s
        status=vidpoll.Operation(status_request, JOB.parse, max_body=256 * 1024 * 1024),  # up to four videos in base64
        submit={
            "video": vidpoll.Operation(
                submit_request,
                JOB.submitted,
                fields=declare.described(FIELDS, NEEDED, declare.anything()),
                price=PRICES,
                texts=declare.texts(FIELDS),
            )
        },
        hosts=(
            "aiplatform.googleapis.com",
            "*-aiplatform.googleapis.com",
            "aiplatform.us.rep.googleapis.com",
            "aiplatform.eu.rep.googleapis.com",
        ),
    )


@vidpoll.hookimpl
def vidpoll_simulators() -> Mapping[str, str]:
    return {"vertex": "vidpoll_providers:samples/vertex/index.json"}
