"""new-api (QuantumNous) for vidpoll: your own gateway, or one of the many services that run it. Facts: its source,
dto/openai_video.go@705748d, relay/relay_task.go@00fca48, controller/video_proxy.go@05393ff and
router/video-router.go@01f6839, relay/common/relay_info.go@0067bd9 (TaskSubmitReq).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import vidpoll
from vidpoll import declare, parsing

from .openai import FAILED, RATE
from .openai import MONEY as OPENAI_S

MONEY = {
    **OPENAI_S,
    "insufficient_user_quota": "money",  # HTTP 403, like the next one
    "pre_consume_token_quota_failed": "money",
}
SECONDS = declare.Rule(  # text in JSON: the gateway cannot read a number there, whatever the upstream takes
    "seconds, as a whole number or a text of one",
    lambda value: (parsing.count(value) or 0) > 0,
    lambda name, value: str(parsing.count(value)),
)


def refine(said: vidpoll.Snapshot, data: Mapping[str, Any], job_id: str) -> vidpoll.Snapshot:
    """For a failed job the URL field may contain the upstream's reason, which says more than "task failed"."""
    reason = parsing.text(parsing.at(data, "metadata.url"))
    if said.problem is None or not reason or "://" in reason:
        return said
    return replace(said, problem=replace(said.problem, message=reason))


@vidpoll.hookimpl
def vidpoll_providers() -> Iterator[vidpoll.Provider]:
    yield declare.openai_videos(
        "newapi",
        "http://localhost:3000/v1",
        vidpoll.Bearer("NEWAPI_API_KEY"),
        needed=("model", "prompt"),
        fields={"seconds": SECONDS},
        others=declare.anything(),  # fields of the upstream
        relay=True,
        reader={"cost": "usage.total_tokens", "unit": "tokens", "refine": refine, "problem": FAILED},
        list=None,
        delete=None,
        error=declare.refusals({**MONEY, **RATE, "task_not_exist": "not found"}),  # an unknown id is HTTP 400
    )


@vidpoll.hookimpl
def vidpoll_simulators() -> Mapping[str, str]:
    return {"newapi": "vidpoll_providers:samples/newapi/index.json"}
