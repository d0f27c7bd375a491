"""vLLM-Omni for vidpoll, on your own server. Facts: the wheel vllm-omni 0.30.0 and its recorded responses,
vllm-project/vllm-omni docs/serving/videos_api.md, vllm-project/vllm@029329a entrypoints/openai/server_utils.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import vidpoll
from vidpoll import declare

from .openai import FAILED


@vidpoll.hookimpl
def vidpoll_providers() -> Iterator[vidpoll.Provider]:
    yield declare.openai_videos(
        "vllm",
        "http://localhost:8000/v1",
        vidpoll.Bearer("VLLM_API_KEY", required=False),  # if the server was started with --api-key
        pacing=vidpoll.Pacing(floor=2.0),  # nothing is documented, and the server is the user's own
        files={"video": "./videos/{id}/content"},
        fields={"seconds": declare.matching("whole seconds as text, like '5'", r"[1-9]\d*")},
        others=declare.anything(),  # num_frames, fps, seed, extra_params …
        form=True,
        reader={"problem": FAILED},
        verdicts=(400, 422, 500, 503),  # any 4xx and 5xx: the engine's code is the HTTP status of a failed job
        list_polling=vidpoll.ListPollingSpec(rows=100, fields={"order": "desc"}),
    )


@vidpoll.hookimpl
def vidpoll_simulators() -> Mapping[str, str]:
    return {"vllm": "vidpoll_providers:samples/vllm/index.json"}
