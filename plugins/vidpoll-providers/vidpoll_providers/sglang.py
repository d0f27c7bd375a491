"""SGLang Diffusion for vidpoll, on your own server. Facts: the wheel sglang 0.5.23 and its recorded responses; older
versions by sgl-project/sglang@020befb multimodal_gen/runtime/entrypoints/openai/{video_api,protocol}.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import vidpoll
from vidpoll import State, declare, parsing


def refine(said: vidpoll.Snapshot, data: Mapping[str, Any], job_id: str) -> vidpoll.Snapshot:
    """If a job made several videos, each is a variant of the content, unless URLs name them (with S3)."""
    count = parsing.count(data.get("num_outputs")) or 1
    place = "./videos/{}/content"
    if said.state is not State.COMPLETED or not 1 < count <= 100 or not (said.job_id or job_id):
        return said
    if not all(str(each.url).startswith("./") for each in said.assets):
        return said
    base = place.format(parsing.segment(said.job_id or job_id))
    return replace(said, assets=tuple(vidpoll.Asset(f"{base}?variant={number}") for number in range(count)))


@vidpoll.hookimpl
def vidpoll_providers() -> Iterator[vidpoll.Provider]:
    yield declare.openai_videos(
        "sglang",
        "http://localhost:30000/v1",
        vidpoll.Bearer("SGLANG_API_KEY", required=False),  # the server needs none; a proxy in front of it may
        pacing=vidpoll.Pacing(floor=2.0),  # nothing is documented, and the server is the user's own
        files={"video": ("url", "urls", "./videos/{id}/content")},
        others=declare.anything(),  # fps, num_frames, seed, n, and fields of the model
        reader={"refine": refine},
        list_polling=vidpoll.ListPollingSpec(rows=100, fields={"order": "desc"}),
    )


@vidpoll.hookimpl
def vidpoll_simulators() -> Mapping[str, str]:
    return {"sglang": "vidpoll_providers:samples/sglang/index.json"}
