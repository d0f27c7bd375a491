"""Hugging Face's router to Inference Providers, for vidpoll: fal, WaveSpeed and Replicate behind another base and key.

Facts: huggingface/huggingface_hub@ee0a451 and 2.4.0, inference/_providers/{fal_ai,wavespeed,replicate}.py; the vendors'
own pages. The router passes the vendors' responses on unchanged; comments give the decisions beyond that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import vidpoll
from vidpoll import declare
from vidpoll_providers.fal import FIELDS, INPUT, JOB, PART, REFUSED, parse_submitted, read_error
from vidpoll_providers.fal import status as queue_status
from vidpoll_providers.replicate import JOB as OF_REPLICATE
from vidpoll_providers.wavespeed import CODES, TEXTS
from vidpoll_providers.wavespeed import JOB as OF_WAVESPEED

# WaveSpeed refunds failures to its own customers; the router may have charged them.
WAVESPEED = replace(
    OF_WAVESPEED, ids=declare.Ids("kind/id", ("wavespeed",)), problem=declare.problems(CODES, texts=TEXTS)
)
REPLICATE = replace(OF_REPLICATE, ids=declare.Ids("kind/id", ("replicate",)), cost="")
MODEL = {"model": declare.matching("the provider's own id of the model, like owner/name", rf"{PART}(?:/{PART})*")}
NAMED = {"model": declare.matching("owner/name, or owner/name:version", rf"{PART}/{PART}(?::\w+)?")}
BILL_TO = {"hf_bill_to": declare.text()}
BILLED = {"X-HF-Bill-To": "{hf_bill_to}"}


def submit(
    line: str, job: declare.Reader, fields: Mapping[str, declare.Rule], **more: Any
) -> vidpoll.Operation[vidpoll.Submitted]:
    """All fields except the router's are the model's own."""
    return declare.submit(line, job, {**fields, **BILL_TO}, tuple(fields), others=INPUT, headers=BILLED, **more)


def as_input(given: dict[str, Any]) -> dict[str, Any]:
    """Replicate takes the model's inputs one level deeper, in `input`, and next to it the version, if one is named."""
    own = {name: value for name, value in given.items() if name != "model"}
    version = str(given.get("model", "")).partition(":")[2]
    return {"input": own, **({"version": version} if version else {})}


OFFICIAL = submit(
    "POST /{kind}/v1/models/{model:path}/predictions", REPLICATE, NAMED, kind="replicate", convert=as_input
)
VERSION = submit("POST /{kind}/v1/predictions", REPLICATE, NAMED, kind="replicate", convert=as_input)


def replicate_request(fields: Mapping[str, Any]) -> vidpoll.Request:
    return (VERSION if ":" in str(fields.get("model")) else OFFICIAL).request(fields)


@vidpoll.hookimpl
def vidpoll_providers() -> Iterator[vidpoll.Provider]:
    base = "/fal-ai/{app:path}"
    queue = submit(f"POST {base}?_subdomain=queue", JOB, {"app": FIELDS["app"]}, kind="fal-ai")
    of_fal = queue_status(
        f"GET {base}/requests/{{id}}/status?_subdomain=queue&logs=1", f"GET {base}/requests/{{id}}?_subdomain=queue"
    )
    yield vidpoll.Provider(
        "huggingface",
        base_url="https://router.huggingface.co",
        auth=vidpoll.AnyOf(vidpoll.Bearer("HF_TOKEN"), vidpoll.Bearer("HUGGING_FACE_HUB_TOKEN")),
        pacing=vidpoll.Pacing(floor=5.0, typical=(30.0, 300.0)),  # no interval documented; the SDK polls every 0.5 s
        status=declare.by_kind(
            {
                "wavespeed": declare.status("GET /{kind}/api/v3/predictions/{id}/result", WAVESPEED),
                "replicate": declare.status("GET /{kind}/v1/predictions/{id}", REPLICATE),
                "": of_fal,
            }
        ),
        submit={
            "fal-ai": replace(queue, parse=parse_submitted),
            "wavespeed": submit("POST /{kind}/api/v3/{model:path}", WAVESPEED, MODEL, kind="wavespeed"),
            "replicate": replace(OFFICIAL, request=replicate_request),
        },
        error=declare.refusals(REFUSED, read=read_error),
        stages=(
            *JOB.stages,
            *WAVESPEED.stages,
            *(each for each in REPLICATE.stages if each.word not in WAVESPEED.table),
        ),
    )


@vidpoll.hookimpl
def vidpoll_simulators() -> Mapping[str, str]:
    return {"huggingface": "vidpoll_providers:samples/huggingface/index.json"}
