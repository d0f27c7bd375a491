"""A simulated provider that has no queue: it refuses a submit while no slot is free."""

from __future__ import annotations

import pytest

import vidpoll
from vidpoll.testing import simulate

FIELDS = {
    "fal": ("video", {"app": "fal-ai/veo3", "prompt": "a lighthouse"}),
    "magicoal": ("t2v", {"prompt": "a lighthouse"}),
    "moneyprinterturbo": ("video", {"video_subject": "a lighthouse"}),
    "token360": ("video", {"model": "seedance-2.0", "prompt": "a lighthouse"}),
}


@pytest.mark.parametrize("name", FIELDS)
def test_a_submit_is_refused_while_no_slot_is_free(name: str) -> None:
    """And taken again when a job has ended."""
    kind, fields = FIELDS[name]
    with simulate(name, instant=True) as simulator:
        client = simulator.client()
        simulator.limit_slots(name, 2)
        jobs = [client.submit(name, kind, **fields) for _ in range(2)]
        with pytest.raises(vidpoll.RateLimited):
            client.submit(name, kind, **fields)
        client.wait_all(jobs)
        client.submit(name, kind, **fields)
        assert (simulator.submissions(name), simulator.most_in_flight(name)) == (3, 2)


def test_none_is_no_limit_and_a_wrong_one_is_told() -> None:
    with simulate("magicoal", instant=True) as simulator:
        with pytest.raises(ValueError, match="got -1"):
            simulator.limit_slots("magicoal", -1)
        simulator.limit_slots("magicoal", 0)
        client = simulator.client()
        with pytest.raises(vidpoll.RateLimited):
            client.submit("magicoal", "t2v", prompt="x")
        simulator.limit_slots("magicoal", None)
        assert client.submit("magicoal", "t2v", prompt="x").account == "magicoal"
