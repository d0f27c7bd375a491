"""SiliconFlow for vidpoll. Facts: docs.siliconflow.com/en/api-reference/videos (videos_submit, get_videos_status) and
userinfo.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import vidpoll
from vidpoll import State, declare

JOB = declare.Reader(
    {
        "InQueue": State.QUEUED,
        "InProgress": State.RUNNING,
        "Succeed": State.COMPLETED,
        "Failed": State.FAILED,
    },
    id="requestId",
    files={"video": "results.videos[].url"},
    reason="reason",
    code="",
    queue_position="position",
)
FIELDS = {
    "model": declare.text(),
    "prompt": declare.text(),
    "image_size": declare.one_of("1280x720", "720x1280", "960x960"),
    "negative_prompt": declare.text(),
    "image": declare.image(),
    "seed": declare.whole(),
}


@vidpoll.hookimpl
def vidpoll_providers() -> Iterator[vidpoll.Provider]:
    yield vidpoll.Provider(
        "siliconflow",
        base_url="https://api.siliconflow.com/v1",
        auth=vidpoll.Bearer("SILICONFLOW_API_KEY"),
        pacing=vidpoll.Pacing(floor=10.0, typical=(120.0, 600.0)),
        status=declare.status("POST /video/status", JOB, json={"requestId": "{id}"}),
        submit={
            "video": declare.submit(
                "POST /video/submit", JOB, FIELDS, ("model", "prompt"), kind="video", others=declare.anything()
            )
        },
        quota=declare.quota(
            "GET /user/info", declare.Envelope("data"), balance="totalBalance", unit="money of the site"
        ),
        error=declare.refusals(
            {"20012": "input", "20015": "input", "30001": "money", "50505": "capacity"}  # HTTP 400, or 403, or 503
        ),
        drops=("name", "email", "image", "introduction"),  # personal data of the account's owner
        stages=JOB.stages,
    )


@vidpoll.hookimpl
def vidpoll_simulators() -> Mapping[str, str]:
    return {"siliconflow": "vidpoll_providers:samples/siliconflow/index.json"}
