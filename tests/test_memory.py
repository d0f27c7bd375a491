"""What a waiting job costs in memory."""

from __future__ import annotations

import tracemalloc

from acme_provider import DRAWING, talk

JOBS = 1000


class Measured:
    """A `stop` that, when each job has been asked twice, notes how much memory has been taken, and is set."""

    def __init__(self) -> None:
        self.asked = 0
        self.taken = 0

    def is_set(self) -> bool:
        if self.asked >= 2 * JOBS and not self.taken:
            self.taken = tracemalloc.get_traced_memory()[0]
        return self.taken > 0


def test_a_waiting_job_takes_less_than_three_kibibytes() -> None:
    """Job, watch, gate and last answer together, transcripts apart: ten thousand jobs take less than 30 MiB."""
    t = talk([DRAWING])
    t.client._loop.recorder.limit = 0
    t.client._loop.tell = lambda job, event: None  # the tests' own ears remember everything
    measured, send = Measured(), t.wire.send

    def counted(wire: object, ticket: object) -> object:
        measured.asked += 1
        answer = send(wire, ticket)  # type: ignore[arg-type]
        t.wire.sent.clear()
        return answer

    t.client._loop.send = counted  # type: ignore[assignment]
    tracemalloc.start()
    try:
        t.client.wait_all([f"acme:{number}" for number in range(JOBS)], stop=measured)  # type: ignore[arg-type]
    finally:
        tracemalloc.stop()
    assert 500 < measured.taken / JOBS < 3 * 1024
