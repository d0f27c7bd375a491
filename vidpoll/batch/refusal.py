"""What a refusal or a failed job means: its class, whether it was charged, and its message. Pure."""

from __future__ import annotations

from typing import NamedTuple

from ..errors import ConfigurationError, MissingKey, RateLimited, StoreError, UsageError, VidpollError
from ..faults import Fault
from ..job import Job
from ..model import State
from .retries import Follows


class Told(NamedTuple):
    """The class of a failure (empty if unknown); `follows` is set if the next step does not depend on the class."""

    category: str
    said: str
    charged: bool | None = None
    hint: float = 0.0
    follows: Follows | None = None


def read(error: VidpollError, result: object) -> Told:
    """Why a submit was refused. `result` is the result of its task."""
    fault = result if isinstance(result, Fault) else None
    said, hint = error.message, (fault.hint if fault else None) or 0.0
    if isinstance(error, StoreError):
        return Told("store", said, False, follows=Follows.STOP)
    if isinstance(error, ConfigurationError):
        return Told("configuration", said, False, follows=Follows.STOP)
    if isinstance(error, MissingKey):
        return Told("auth", said, False)
    if isinstance(error, UsageError):
        return Told("input", said, False)
    category = getattr(error, "category", None) or ""
    if fault is not None and not fault.sent:  # not sent, or no connection
        return Told("rate" if fault.status == 429 else "unreachable", said, False, hint, Follows.PAUSE)
    declared = getattr(fault, "declared", None)
    if isinstance(error, RateLimited) and declared is None:  # for a submit, a 429 usually means too many jobs
        category = "capacity"
    return Told(category, fault.reason if fault else said, False, hint)


def of_job(job: Job) -> Told:
    """Why a job failed, and whether it was charged."""
    problem, cost = job.problem, job.cost
    said = str(problem or job.state)
    charged = None if problem is None else getattr(problem, "charged", None)
    if cost is not None:
        charged = cost.charged - cost.refunded > 0
    category = (None if problem is None else getattr(problem, "category", None)) or ""
    if job.state is State.CANCELLED:
        return Told("cancelled", said, charged)
    if job.state is State.EXPIRED and not category:
        category = "expired"
    return Told(category, said, charged)
