"""Volcengine Ark (China) and BytePlus ModelArk (Singapore) for vidpoll: the models of the Seedance family.

Facts: docs.byteplus.com/en/docs/ModelArk/1520757 and 1521309, www.volcengine.com/docs/82379/1299023 (errors), and the
vendor's SDK, volcengine-python-sdk@b5be43b5. Facts marked "second hand" come from other clients.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import vidpoll
from vidpoll import State, declare, parsing

KINDS = {
    "AccountOverdueError": "money",
    "OperationDenied.ServiceOverdue": "money",
    "ModelNotOpen": "permission",  # these two are about the model, with HTTP 404
    "InvalidEndpointOrModel": "input",
    "InvalidAction": "conflict",  # a running task is neither cancelled nor deleted: HTTP 409, second hand also 400
    "task_not_found": "not found",  # second hand, as is the spelling
    **dict.fromkeys(("InvalidParameter", "MissingParameter"), "input"),
    **dict.fromkeys(("InputTextSensitiveContentDetected", "InputImageSensitiveContentDetected"), "moderated_input"),
    **dict.fromkeys(("OutputVideoSensitiveContentDetected", "OutputAudioSensitiveContentDetected"), "moderated_output"),
    **dict.fromkeys(("RateLimitExceeded", "ModelAccountRpmRateLimitExceeded"), "rate"),
    **dict.fromkeys(("QuotaExceeded", "ServerOverloaded"), "capacity"),  # the quota limits the queued tasks
    "InternalServiceError": "internal",
}
SITES = "a key works at its own site only: set ARK_BASE_URL to the URL of Volcengine or of BytePlus"


def read_error(response: vidpoll.Response) -> vidpoll.Problem:
    """A refusal of Ark, or of the gateway in front of it, whose refusals have a shape of their own."""
    said = parsing.problem(response)
    try:
        outer = parsing.at(response.json(), "ResponseMetadata.Error")
    except vidpoll.Malformed:
        outer = None
    if isinstance(outer, dict):
        code, message = (parsing.text(outer.get(name)) for name in ("Code", "Message"))
        said = vidpoll.Problem(message or code or said.message, code)
    return replace(said, message=f"{said.message} ({SITES})") if response.status == 401 else said


@vidpoll.hookimpl
def vidpoll_providers() -> Iterator[vidpoll.Provider]:
    yield declare.ark_tasks(
        "ark",
        "https://ark.cn-beijing.volces.com/api/v3",
        vidpoll.Bearer("ARK_API_KEY"),
        pacing=vidpoll.Pacing(floor=10.0, typical=(25.0, 360.0)),
        words={"pending": State.QUEUED, "processing": State.RUNNING},  # other sites that host the API; second hand
        reader={
            "verdicts": (declare.Verdict(400, "video_not_ready", State.RUNNING),),  # second hand
            "problem": declare.problems(KINDS),
        },
        error=declare.refusals(KINDS, read=read_error),
    )


@vidpoll.hookimpl
def vidpoll_simulators() -> Mapping[str, str]:
    return {"ark": "vidpoll_providers:samples/ark/index.json"}
