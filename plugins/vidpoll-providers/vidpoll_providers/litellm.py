"""LiteLLM's proxy for vidpoll. Facts: LiteLLM 1.108.7 and its recorded responses, docs.litellm.ai/docs/videos,
litellm/types/videos/{main,utils}.py. The proxy returns its upstream's responses, in an envelope of its own.
"""

from __future__ import annotations

import binascii
import json
import re
from base64 import b64decode
from collections.abc import Iterator, Mapping
from dataclasses import replace

import vidpoll
from vidpoll import declare, parsing

from .openai import FAILED, MONEY, RATE


def upstreams(job_id: str | None) -> str | None:
    """The upstream's id inside an id of LiteLLM's (base64 of `litellm:…;video_id:…`); None if there is none."""
    packed = (job_id or "").removeprefix("video_")[:4000]
    try:
        text = b64decode(packed + "=" * (-len(packed) % 4)).decode()
    except (ValueError, binascii.Error):
        return None
    found = re.search(r"(?:^|;)video_id:([^;]+)", text)
    return found[1] if found else None


def parse(response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot | vidpoll.Follow[vidpoll.Snapshot]:
    """A poll. 1.106 gives the job another id in the poll than in the submit; both ids contain the upstream's id.

    A failed job of vLLM-Omni is HTTP 500 or 400 every time, with the upstream's response as text in the error's
    message. That response must name the upstream's job, because an error may quote other text, for example a prompt.
    """
    said, inner = BASE.status.parse(passed_on(response), job_id), upstreams(job_id)
    if not isinstance(said, vidpoll.Snapshot):
        return said
    if response.status >= 400 and (inner is None or said.job_id != inner):
        raise vidpoll.Malformed("the error contains no response of the upstream about this job")
    if said.job_id in (None, job_id):
        return said
    return replace(said, job_id=job_id) if inner and inner in (said.job_id, upstreams(said.job_id)) else said


def passed_on(response: vidpoll.Response) -> vidpoll.Response:
    """The upstream's response, if an error contains it as text: `… OpenAIException - {…}`; else `response`."""
    if response.status < 400:
        return response
    text = parsing.text(parsing.at(parsing.json_object(response), "error.message")) or ""
    try:
        body, _ = json.JSONDecoder().raw_decode(text, text.index("{"))
    except (ValueError, RecursionError):
        return response
    return vidpoll.Response(response.status, response.headers, json.dumps(body).encode())


def read_error(response: vidpoll.Response) -> vidpoll.Problem:
    """The upstream's own reason, if there is one."""
    try:
        return parsing.problem(passed_on(response))
    except vidpoll.AnswerError:
        return parsing.problem(response)


BASE = declare.openai_videos(
    "litellm",
    "http://localhost:4000/v1",
    vidpoll.Bearer("LITELLM_API_KEY", required=False),  # the proxy's own key, if it has one
    needed=("model", "prompt"),
    others=declare.anything(),  # fields of the upstream
    remix=True,
    relay=True,
    reader={"problem": FAILED},
    verdicts=(400, 500),  # the upstream's status: for example 400 for a bad input
    list=None,  # 400, or 500
    delete=None,  # 405
    error=declare.refusals(
        {**MONEY, **RATE},
        # a wrong key is HTTP 400; a used-up budget of a key or team is 400 or 429
        texts={"no connected db": "auth", r"budget has been exceeded|\bover budget\b": "money"},
        read=read_error,
    ),
)


@vidpoll.hookimpl
def vidpoll_providers() -> Iterator[vidpoll.Provider]:
    yield replace(BASE, status=replace(BASE.status, parse=parse))


@vidpoll.hookimpl
def vidpoll_simulators() -> Mapping[str, str]:
    return {"litellm": "vidpoll_providers:samples/litellm/index.json"}
