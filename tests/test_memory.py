"""What a waiting job costs in memory."""

from __future__ import annotations

import tracemalloc

import pytest
from acme_provider import DRAWING, talk

FEW, MANY = 100, 1100


class Measured:
    """A `stop` that, when each job has been asked twice, notes how much memory has been taken, and is set."""

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self.asked = 0
        self.taken = 0

    def is_set(self) -> bool:
        if self.asked >= 2 * self.jobs and not self.taken:
            self.taken = tracemalloc.get_traced_memory()[0]
        return self.taken > 0


def taken(jobs: int) -> int:
    """What a wait for that many jobs has taken, in bytes, when each has been asked twice; transcripts apart."""
    t = talk([DRAWING])
    t.client._loop.recorder.limit = 0
    t.client._loop.tell = lambda job, event: None  # the tests' own ears remember everything
    measured, send = Measured(jobs), t.wire.send

    def counted(wire: object, ticket: object) -> object:
        measured.asked += 1
        answer = send(wire, ticket)  # type: ignore[arg-type]
        t.wire.sent.clear()
        return answer

    t.client._loop.transport.send = counted  # type: ignore[assignment]
    tracemalloc.start()
    try:
        t.client.wait_all([f"acme:{number}" for number in range(jobs)], stop=measured)  # type: ignore[arg-type]
    finally:
        tracemalloc.stop()
    return measured.taken


@pytest.mark.slow
def test_a_waiting_job_takes_less_than_three_kibibytes() -> None:
    """Job, watch, gate and last answer together: ten thousand jobs take less than 30 MiB."""
    taken(1)  # what a first wait loads stays loaded
    assert 500 < (taken(MANY) - taken(FEW)) / (MANY - FEW) < 3 * 1024
