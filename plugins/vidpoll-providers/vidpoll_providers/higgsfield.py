"""Higgsfield's API for vidpoll: any model by its path. Facts: docs.higgsfield.ai/docs (quickstart, authentication,
concepts, errors, webhooks, enterprise/data-retention, api-reference/requests), higgsfield-client 0.2.0 (Python),
higgsfield-ai/higgsfield-js. Comments give the decisions where these are silent or disagree.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import vidpoll
from vidpoll import State, declare, parsing


def key_of(*names: str) -> vidpoll.Minted:
    """`Key ID:SECRET` from variables of the SDKs. Hugging Face uses similar names; its token is never sent here."""

    def mint(request: vidpoll.PreparedRequest, secrets: Mapping[str, str]) -> Mapping[str, str]:
        key = ":".join(secrets[name] for name in names)
        if key.startswith("hf_"):
            raise vidpoll.ConfigurationError(
                f"higgsfield: {names[0]} is a Hugging Face token, so it was not sent: set HIGGSFIELD_API_KEY to the "
                "Higgsfield key, ID:SECRET"
            )
        return {"Authorization": f"Key {key}"}

    return vidpoll.Minted(names, mint)


def refine(said: vidpoll.Snapshot, data: Mapping[str, Any], job_id: str) -> vidpoll.Snapshot:
    """A model that makes images has no video; `nsfw` means that the moderation refused, without a reason."""
    due = not said.assets or any(each.kind == "video" for each in said.assets)
    flagged = said.stage == "nsfw" and said.problem is not None and not parsing.text(data.get("error"))
    told = vidpoll.Problem("the input or the output did not pass moderation", "nsfw") if flagged else said.problem
    return replace(said, assets_due=due, problem=told)


JOB = declare.Reader(
    {
        "queued": State.QUEUED,
        "in_progress": State.RUNNING,
        "completed": State.COMPLETED,
        "failed": State.FAILED,
        "nsfw": State.FAILED,
        "canceled": State.CANCELLED,
    },
    id="request_id",
    files={"video": "video.url", "image": "images[].url", "audio": "audio.url"},
    reason="error",
    code="",
    progress="",
    created_at="",
    updated_at="",
    finished_at="",
    duration="",
    expires_at="expires_at",
    # the word does not say whether of the input or the output; failed and nsfw are refunded
    problem=declare.problems({"nsfw": "moderated_output"}, charged={"": False}),
    refine=refine,
)
FIELDS = {
    "model": declare.matching("the path of a model, like higgsfield-ai/dop/standard", r"[\w.~-]+(/[\w.~-]+)+"),
    "hf_webhook": declare.matching("an http or https URL", r"(?i:https?)://[^/\s]\S*"),
    "hf_expires_after": declare.whole(3600, 604800, note="seconds for which the data are kept after the end"),
    "idempotency_key": declare.text(255),
}
HEADERS = {"Hf-Expires-After": "{hf_expires_after}", "Idempotency-Key": "{idempotency_key}"}


def priced(given: dict[str, Any]) -> dict[str, Any]:
    """The body of the request for a price, which is the same for any prompt and seed."""
    own = {name: value for name, value in given.items() if name not in ("seed", *FIELDS)}
    return {**own, **({"prompt": "a prompt"} if "prompt" in own else {})}


CANCEL = declare.cancel("POST /requests/{id}/cancel", JOB, empty_ok=True)


def parse_cancelled(response: vidpoll.Response, job_id: str) -> None:
    """The response is an empty 202; 400 means that the request has already started or ended."""
    if response.status == 400:
        raise vidpoll.Refused("conflict", parsing.problem(response).message)
    CANCEL.parse(response, job_id)


def read_error(response: vidpoll.Response) -> vidpoll.Problem:
    """A refusal; a refusal of a field (422) names the field."""
    said = parsing.problem(response)
    first = next(iter(parsing.at(dict(said.details), "details[]")), None)
    where = ".".join(str(each) for each in parsing.at(first, "loc[]") if each != "body")
    return replace(said, message=f"{where}: {said.message}") if where else said


@vidpoll.hookimpl
def vidpoll_providers() -> Iterator[vidpoll.Provider]:
    yield vidpoll.Provider(
        "higgsfield",
        base_url="https://api.higgsfield.ai",  # older pages and responses: platform.higgsfield.ai
        auth=vidpoll.AnyOf(
            vidpoll.KeyHeader("Authorization", "HIGGSFIELD_API_KEY", "Key "),
            key_of("HF_KEY"),
            key_of("HF_CREDENTIALS"),
            key_of("HF_API_KEY", "HF_API_SECRET"),
        ),
        pacing=vidpoll.Pacing(floor=5.0, typical=(60.0, 300.0)),  # no rate is documented; the SDK polls every 0.5 s
        slots=vidpoll.Slots("refuses"),  # HTTP 400
        status=declare.status("GET /requests/{id}/status", JOB),
        submit={
            "video": declare.submit(
                "POST /{model:path}?hf_webhook={hf_webhook}",
                JOB,
                FIELDS,
                ("model",),
                kind="video",
                others=declare.anything(),
                headers=HEADERS,
                key="idempotency_key",
                honours_key=True,
            )
        },
        estimate={"video": declare.estimate("POST /estimate/{model:path}", priced, amount="usd")},
        cancel=replace(CANCEL, parse=parse_cancelled, verdicts=(400,)),
        delete=declare.delete("DELETE /requests/{id}", JOB),
        error=declare.refusals(
            # these come as HTTP 400; "too many images" is not one of them
            texts={r"concurren|too many (\w+ )?(jobs|generations|tasks)": "capacity", "too many requests": "rate"},
            statuses={403: "money", 423: "permission"},
            read=read_error,
        ),
        webhook=declare.Webhook(declare.standard_webhooks()),
        stages=JOB.stages,
    )


@vidpoll.hookimpl
def vidpoll_simulators() -> Mapping[str, str]:
    return {"higgsfield": "vidpoll_providers:samples/higgsfield/index.json"}
