"""OpenAI's shape (`/v1/videos`) for vidpoll, at the user's base URL: gateways and servers with this API.

OpenAI's own Videos API ended on 2026-09-24, without a replacement. Facts: openai/openai-openapi@f85dbe2 openapi.yaml,
openai/openai-python@e43b4224 resources/videos.py. SGLang, vLLM-Omni, LiteLLM and new-api have modules of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

import vidpoll
from vidpoll import declare, parsing

ENDED = (
    "OpenAI's own Videos API ended on 2026-09-24, without a replacement: set OPENAI_BASE_URL to a server with this API"
)

MONEY = {"insufficient_quota": "money", "billing_hard_limit_reached": "money"}
"""OpenAI's codes for an account without credit, under HTTP 429 and 400; gateways pass them on."""
RATE = {"rate_limit_exceeded": "rate"}
FAILED = declare.problems(
    {
        "moderation_blocked": "moderated_input",
        **dict.fromkeys(("400", "422"), "input"),
        **dict.fromkeys(("500", "503"), "internal"),
    }
)
"""The reasons of failed jobs: OpenAI's word, and the HTTP statuses that vLLM-Omni uses as codes."""


def read_error(response: vidpoll.Response) -> vidpoll.Problem:
    """A refusal; a refusal by OpenAI itself (a path that is gone, a key) also says that its API ended."""
    problem = parsing.problem(response)
    own = response.header("openai-version") or re.search(r"platform\.openai\.com|Invalid URL \(", problem.message)
    return replace(problem, message=f"{problem.message} ({ENDED})") if own else problem


@vidpoll.hookimpl
def vidpoll_providers() -> Iterator[vidpoll.Provider]:
    yield declare.openai_videos(
        "openai",
        "https://api.openai.com/v1",
        vidpoll.Bearer("OPENAI_API_KEY", required=False),
        others=declare.anything(),  # servers add fields of their own
        remix=True,
        relay=True,
        verdicts=(400, 422, 500, 503),  # at vLLM-Omni, and through a proxy in front of it, the body may be the job
        reader={"problem": FAILED},
        error=declare.refusals({**MONEY, **RATE}, read=read_error),
    )


@vidpoll.hookimpl
def vidpoll_simulators() -> Mapping[str, str]:
    return {"openai": "vidpoll_providers:samples/openai/index.json"}
