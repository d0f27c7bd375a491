"""Zhipu (Z.ai, BigModel) for vidpoll: CogVideoX and the Vidu models that it sells.

Facts: https://docs.z.ai/api-reference (video/generate-video, video/get-video-status, api-code) and the same pages at
https://docs.bigmodel.cn. No live call was made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import vidpoll
from vidpoll import State, declare

CODES = {
    **dict.fromkeys(("1000", "1001", "1002", "1003", "1004"), "auth"),
    "1113": "money",  # under HTTP 429: no balance, so waiting does not help
    **dict.fromkeys(("1210", "1211", "1212", "1213"), "input"),
    **dict.fromkeys(("1300", "1301"), "moderated_input"),
    **dict.fromkeys(("1302", "1303", "1305"), "rate"),
}
JOB = declare.Reader(
    {"PROCESSING": State.RUNNING, "SUCCESS": State.COMPLETED, "FAIL": State.FAILED},
    status="task_status",
    files={
        "video": ("video_result[].url", "video_result.url"),
        "thumbnail": ("video_result[].cover_image_url", "video_result.cover_image_url"),
    },
    progress="",
    created_at="",
    updated_at="",
    finished_at="",
    duration="",
    problem=declare.problems({"1301": "moderated_output"}),  # the text does not say whether of the input or the output
)
FIELDS = {
    "model": declare.text(),
    "prompt": declare.text(),
    "image_url": declare.Rule(
        "the URL of an image, its base64, a list of these, or another value that the model takes",
        declare.anything().holds,
    ),
    "quality": declare.text(),
    "with_audio": declare.flag(),
    "size": declare.text(),
    "fps": declare.whole(1),
    "duration": declare.whole(1, note="seconds"),
    "request_id": declare.matching("6 to 64 characters, new for each request", r"(?s).{6,64}"),
    "user_id": declare.text(),
}


@vidpoll.hookimpl
def vidpoll_providers() -> Iterator[vidpoll.Provider]:
    yield vidpoll.Provider(
        "zhipu",
        base_url="https://api.z.ai/api",
        auth=vidpoll.AnyOf(
            vidpoll.Bearer("ZAI_API_KEY"), vidpoll.Bearer("ZHIPUAI_API_KEY"), vidpoll.Bearer("BIGMODEL_API_KEY")
        ),
        pacing=vidpoll.Pacing(floor=5.0, typical=(30.0, 180.0)),
        status=declare.status("GET /paas/v4/async-result/{id}", JOB),
        submit={
            "video": declare.submit(
                "POST /paas/v4/videos/generations",
                JOB,
                FIELDS,
                ("model", ("prompt", "image_url")),
                kind="video",
                others=declare.anything(),
            )
        },
        headers={"Accept-Language": "en-US,en"},  # the language of the messages
        error=declare.refusals(CODES, texts={"task (does not exist|not found)|任务不存在": "not found"}),
        stages=JOB.stages,
    )


@vidpoll.hookimpl
def vidpoll_simulators() -> Mapping[str, str]:
    return {"zhipu": "vidpoll_providers:samples/zhipu/index.json"}
