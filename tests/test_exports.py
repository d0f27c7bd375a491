"""The public face: what `vidpoll` promises to keep."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

import vidpoll
from vidpoll import errors, forecast, machine, model, pacing, provider

PUBLIC = [
    "Account", "Adaptive", "Client", "Exponential", "Fixed", "Job", "Law", "Moment", "Schedule", "State",
    "download", "wait", "watch",
    "Completed", "DownloadProgress", "Downloaded", "Event", "Failed", "GaveUp", "PollFailed", "Polled",
    "ProgressChanged", "StageChanged", "Stalled",
    "Asset", "Cost", "Page", "Problem", "Quota", "Snapshot", "Submitted", "Exchange",
    "Basic", "Bearer", "Follow", "KeyHeader", "ListPolling", "Minted", "NoAuth", "Operation", "Pacing", "PluginReport",
    "Provider", "Request", "Response", "Stage",
    "KeptJob", "Origin", "Submission", "WantedFiles",
    "hookimpl", "parsing", "errors",
    "AnswerError", "AuthenticationError", "BadReference", "Conflict", "DownloadChanged", "DownloadError",
    "DownloadTooLarge", "DownloadTruncated", "ForeignAnswer",
    "InvalidField", "InvalidRequest", "JobCancelled", "JobError", "JobExpired", "JobFailed", "JobNotFound",
    "Malformed", "MissingKey", "NotAVideo",
    "NotFound", "OutcomeUnknown", "PaymentRequired", "PermissionDenied", "PluginError", "ProviderError",
    "ProviderUnreachable", "RateLimited",
    "Refused", "ResultMissing", "ServerError", "StoreError", "SubmitUnknown", "TransitionRefused", "UnknownProvider",
    "UnknownStatus", "UnsafeURL",
    "Unsupported", "UsageError", "VidpollError", "WaitRefused", "WaitStopped", "WaitTimeout",
]  # fmt: skip

INTERNAL = {
    "as_stage", "check_account_name", "check_job_id", "forecast", "is_base_url", "is_number", "origin",
    "parse_reference",
}  # fmt: skip
"""Functions that modules of the core share, and nobody types."""


def test_the_list_is_pinned() -> None:
    """A name enters or leaves `vidpoll` on purpose, and is listed once."""
    assert sorted(vidpoll.__all__) == sorted(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_name_is_there_and_says_what_it_is(name: str) -> None:
    """What is listed can be imported, and `help` answers with words of its own, not those of a parent."""
    value = getattr(vidpoll, name)
    if name != "hookimpl":  # an instance that pluggy made
        assert (value.__doc__ if inspect.isclass(value) else inspect.getdoc(value) or "").strip()


MODULES = [errors, forecast, machine, model, pacing, provider]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_nothing_that_users_meet_is_missing(module: object) -> None:
    """Every error, event, value and auth kind can be named as `vidpoll.NAME`."""
    here = {
        name
        for name, value in vars(module).items()
        if (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == getattr(module, "__name__", "")
        and not name.startswith("_")
    }
    assert here - INTERNAL - {"Auth", "Forecast"} <= set(vidpoll.__all__)


def test_typed() -> None:
    """Type checkers read vidpoll's own annotations (PEP 561)."""
    assert (Path(vidpoll.__file__).parent / "py.typed").exists()
