"""What is odd about Hugging Face's router: three providers by the ids of their jobs, and who pays."""

from __future__ import annotations

import json
from typing import Any

import pytest
from vidpoll_providers import huggingface

from vidpoll import Response, State

(PROVIDER,) = huggingface.vidpoll_providers()
OPERATIONS: dict[str, Any] = {**PROVIDER.operations()}


@pytest.mark.parametrize(
    ("job_id", "path", "query"),
    [
        ("fal-ai/wan/7", "/fal-ai/fal-ai/wan/requests/7/status", (("_subdomain", "queue"), ("logs", "1"))),
        (
            "workflows/me/mine/7",
            "/fal-ai/workflows/me/mine/requests/7/status",
            (("_subdomain", "queue"), ("logs", "1")),
        ),
        ("wavespeed/7", "/wavespeed/api/v3/predictions/7/result", ()),
        ("replicate/7", "/replicate/v1/predictions/7", ()),
    ],
)
def test_the_id_tells_the_provider(job_id: str, path: str, query: tuple[tuple[str, str], ...]) -> None:
    """fal's begin with the owner of an app, the others with their provider."""
    request = OPERATIONS["status"].request(job_id)
    assert (request.path, request.query) == (path, query)


def test_a_version_of_replicate_goes_into_the_body() -> None:
    """The owner bills; what the model takes is one level deeper."""
    fields = {"model": "me/mine:0a1b", "prompt": "a cat", "hf_bill_to": "acme"}
    request = OPERATIONS["submit replicate"].request(fields)
    assert (request.path, request.headers) == ("/replicate/v1/predictions", {"X-HF-Bill-To": "acme"})
    assert request.json == {"version": "0a1b", "input": {"prompt": "a cat"}}


def test_the_app_is_that_of_the_answer() -> None:
    """fal may run another app than the requested one; its URLs begin at its own host, not at the router's."""
    said = {"request_id": "7", "status_url": "https://queue.fal.run/fal-ai/wan-25/requests/7/status"}
    answer = Response(200, {"content-type": "application/json"}, json.dumps(said).encode())
    made = OPERATIONS["submit fal-ai"].parse(answer, "fal-ai/wan")
    assert made.job_id == "fal-ai/wan-25/7"


def test_a_failed_job_of_wavespeed_is_no_refusal() -> None:
    """The code around it is 200, or the job's own."""
    body = {"code": 5004, "message": "x", "data": {"id": "7", "status": "failed", "error": "flagged"}}
    said = OPERATIONS["status"].parse(Response(200, {}, json.dumps(body).encode()), "wavespeed/7")
    assert (said.state, str(said.problem), said.job_id) == (State.FAILED, "flagged", "wavespeed/7")


@pytest.mark.parametrize(
    ("job_id", "body", "state"),
    [
        ("wavespeed/7", {"data": {"id": "7", "status": "deleted"}}, State.EXPIRED),
        ("wavespeed/7", {"data": {"id": "7", "status": "timeout"}}, State.EXPIRED),
        ("replicate/7", {"id": "7", "status": "aborted"}, State.CANCELLED),
        (
            "replicate/7",
            {"id": "7", "status": "succeeded", "output": {"clip": "https://a.example/1.mp4"}},
            State.COMPLETED,
        ),
    ],
)
def test_a_job_is_read_as_by_its_own_provider(job_id: str, body: dict[str, Any], state: State) -> None:
    """Each of its words, and files wherever they stand in the output."""
    said = OPERATIONS["status"].parse(Response(200, {}, json.dumps(body).encode()), job_id)
    assert (said.state, len(said.assets)) == (state, state is State.COMPLETED)
