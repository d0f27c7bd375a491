"""Programs of users as a type checker reads them. Nothing runs here: `mypy` in the root checks this file, strictly.

A line that must be refused has an ignore with its code: an ignore that is not needed is an error, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import TYPE_CHECKING

import vidpoll

if TYPE_CHECKING:
    from typing_extensions import assert_type


def end_of_a_wait(ref: str) -> None:
    """Errors of a job have a Job, not Any; other errors may have none."""
    try:
        vidpoll.wait(ref)
    except vidpoll.JobFailed as error:
        assert_type(error.job, vidpoll.Job)
        assert_type(error.transcript, tuple[vidpoll.Exchange, ...])
        wrong: int = error.job  # type: ignore[assignment]
        print(error.job.problem, wrong)
    except vidpoll.WaitRefused as error:
        assert_type(error.job, vidpoll.Job)
        assert_type(error.resume, str)
        assert_type(error.status, int | None)
    except vidpoll.OutcomeUnknown as error:
        assert_type(error.job, vidpoll.Job)
    except vidpoll.VidpollError as error:
        assert_type(error.job, vidpoll.Job | None)
        print(error.job.ref)  # type: ignore[union-attr]


def submit_of_unknown_outcome(client: vidpoll.Client) -> None:
    """What is known of it has types."""
    try:
        client.submit("acme", "video", prompt="a sea")
    except vidpoll.SubmitUnknown as error:
        assert_type(error.answer, vidpoll.Exchange | None)
        assert_type(error.transcript, tuple[vidpoll.Exchange, ...])


def night(batch: vidpoll.Batch) -> None:
    """The values of a batch have public types."""
    assert_type(batch.plan, vidpoll.Plan)
    assert_type(batch.ledger, Mapping[str, vidpoll.Ledger])
    assert_type(batch.status().budget, vidpoll.Money | None)
    for result in batch:
        assert_type(result.cost, vidpoll.Cost | None)


def early_end(client: vidpoll.Client, ref: str) -> None:
    """A wait that is left early is closed."""
    with closing(client.watch(ref)) as events, closing(client.as_completed([ref])) as jobs:
        for event in events:
            assert_type(event, vidpoll.Event)
        for job in jobs:
            assert_type(job, vidpoll.Job)
    vidpoll.watch(ref).close()
