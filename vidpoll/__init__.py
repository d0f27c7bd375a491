"""vidpoll: the last polling loop for AI video jobs.

    job = vidpoll.wait("magicoal:3f8a2d1b-4c9e-4b7f-8d2a-1f3c5e7a9b0d", timeout=900)
    vidpoll.download(job, "clips/")

Read `help(vidpoll.wait)` and `help(vidpoll.Client)` first. Most modules that `help` lists below are internal: you may
use what `vidpoll.__all__` lists, `vidpoll.declare` (for providers), `vidpoll.notify` (for notifiers),
`vidpoll.net.protocol` (for transports), `vidpoll.storage.protocol` (for stores), `vidpoll.testing` and
`vidpoll.testing.simulator`.

Only re-exports live here, each imported when it is first used. Importing vidpoll loads no plugin, reads no environment
and opens nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from .__version__ import __version__ as __version__

if TYPE_CHECKING:
    from . import errors, parsing
    from .batch.batch import Batch
    from .batch.options import Money
    from .batch.plan import Plan
    from .batch.progress import AccountStatus, BatchStatus, RowResult, Stopped
    from .batch.rows import Row
    from .client import Client
    from .errors import (
        AnswerError,
        AuthenticationError,
        BadReference,
        BadSignature,
        BatchInvalid,
        ConfigurationError,
        Conflict,
        DownloadChanged,
        DownloadError,
        DownloadTooLarge,
        DownloadTruncated,
        ForeignAnswer,
        InvalidField,
        InvalidRequest,
        JobCancelled,
        JobError,
        JobExpired,
        JobFailed,
        JobNotFound,
        Malformed,
        MissingKey,
        NotAVideo,
        NotFound,
        OutcomeUnknown,
        PaymentRequired,
        PermissionDenied,
        PluginError,
        ProviderError,
        ProviderUnreachable,
        RateLimited,
        Refused,
        ResultMissing,
        ServerError,
        StoreError,
        SubmitUnknown,
        TransitionRefused,
        UnknownProvider,
        UnknownStatus,
        UnsafeURL,
        Unsupported,
        UsageError,
        VidpollError,
        WaitNotSent,
        WaitRefused,
        WaitStopped,
        WaitTimeout,
    )
    from .events import (
        Completed,
        Downloaded,
        DownloadProgress,
        Event,
        Failed,
        GaveUp,
        Polled,
        PollFailed,
        ProgressChanged,
        StageChanged,
        Stalled,
    )
    from .hookspecs import LATER, hookimpl
    from .job import Job
    from .job_state import Moment
    from .model import Asset, Cost, Exchange, Page, Problem, Quota, Request, Response, Snapshot, State, Submitted
    from .net.accounts import Account
    from .pacing.forecast import Law
    from .pacing.schedules import Adaptive, Exponential, Fixed, Schedule
    from .plugins import PluginReport
    from .polling.reach import Reach
    from .price import Price, PriceList
    from .provider import (
        AnyOf,
        Basic,
        Bearer,
        Follow,
        KeyHeader,
        ListPollingSpec,
        Minted,
        NoAuth,
        Operation,
        Pacing,
        PreparedRequest,
        Provider,
        Slots,
        Stage,
        Webhook,
    )
    from .serving import Metrics, Served
    from .shortcuts import download, wait, watch
    from .stepping import Step
    from .storage.dumps import dump, load
    from .storage.job_store import JobStore
    from .storage.protocol import Store
    from .storage.records import Gauges, KeptJob, Leases, Ledger, Origin, Saved, Shard, Submission, WantedFiles
    from .webhooks import webhook

__all__ = [
    # waiting
    "Client", "Account", "Job", "State", "wait", "watch", "download", "webhook", "Moment", "Reach",
    # for other engines
    "Step", "dump", "load", "LATER",
    # when to poll again
    "Adaptive", "Fixed", "Exponential", "Schedule", "Law",
    # events
    "Event", "StageChanged", "ProgressChanged", "Completed", "Failed", "PollFailed", "Stalled", "GaveUp", "Polled",
    "Downloaded", "DownloadProgress",
    # what a response said
    "Asset", "Cost", "Price", "Page", "Problem", "Quota", "Snapshot", "Submitted", "Exchange",
    # values of a store
    "JobStore", "KeptJob", "Origin", "Submission", "WantedFiles",
    # for authors of stores
    "Store", "Saved", "Leases", "Shard", "Gauges",
    # serving
    "Served", "Metrics",
    # batches
    "Batch", "Plan", "BatchStatus", "AccountStatus", "Row", "RowResult", "Stopped", "Money", "Ledger",
    # plugins
    "hookimpl", "parsing", "PluginReport", "Provider", "Operation", "Follow", "Request", "Response", "Pacing", "Slots",
    "Stage", "ListPollingSpec", "PriceList", "Bearer", "KeyHeader", "Basic", "Minted", "AnyOf", "NoAuth",
    "PreparedRequest", "Webhook",
    # errors
    "errors", "VidpollError", "UsageError", "BadReference", "UnknownProvider", "MissingKey", "InvalidField",
    "BatchInvalid", "Unsupported", "ConfigurationError", "StoreError", "PluginError", "AnswerError", "Malformed",
    "UnknownStatus", "ForeignAnswer", "BadSignature", "TransitionRefused",
    "ProviderError", "AuthenticationError", "PermissionDenied", "PaymentRequired", "InvalidRequest", "NotFound",
    "Conflict", "RateLimited", "ServerError", "Refused", "JobError", "JobFailed", "JobCancelled", "JobExpired",
    "OutcomeUnknown", "WaitTimeout", "ProviderUnreachable", "JobNotFound", "WaitStopped", "WaitRefused",
    "WaitNotSent", "SubmitUnknown", "ResultMissing", "DownloadError", "DownloadChanged", "DownloadTruncated",
    "DownloadTooLarge", "UnsafeURL", "NotAVideo",
]  # fmt: skip

_HOMES = {
    "batch.batch": "Batch",
    "batch.options": "Money",
    "batch.plan": "Plan",
    "batch.progress": "AccountStatus BatchStatus RowResult Stopped",
    "batch.rows": "Row",
    "client": "Client",
    "errors": (
        "AnswerError AuthenticationError BadReference BadSignature BatchInvalid ConfigurationError Conflict "
        "DownloadChanged DownloadError DownloadTooLarge DownloadTruncated ForeignAnswer InvalidField InvalidRequest "
        "JobCancelled JobError JobExpired JobFailed JobNotFound Malformed MissingKey NotAVideo NotFound OutcomeUnknown "
        "PaymentRequired PermissionDenied PluginError ProviderError ProviderUnreachable RateLimited Refused "
        "ResultMissing ServerError StoreError SubmitUnknown TransitionRefused UnknownProvider UnknownStatus UnsafeURL "
        "Unsupported UsageError VidpollError WaitNotSent WaitRefused WaitStopped WaitTimeout"
    ),
    "events": (
        "Completed DownloadProgress Downloaded Event Failed GaveUp PollFailed Polled ProgressChanged StageChanged "
        "Stalled"
    ),
    "hookspecs": "LATER hookimpl",
    "job": "Job",
    "job_state": "Moment",
    "model": "Asset Cost Exchange Page Problem Quota Request Response Snapshot State Submitted",
    "net.accounts": "Account",
    "pacing.forecast": "Law",
    "pacing.schedules": "Adaptive Exponential Fixed Schedule",
    "plugins": "PluginReport",
    "polling.reach": "Reach",
    "price": "Price PriceList",
    "provider": (
        "AnyOf Basic Bearer Follow KeyHeader ListPollingSpec Minted NoAuth Operation Pacing PreparedRequest Provider "
        "Slots Stage Webhook"
    ),
    "serving": "Metrics Served",
    "shortcuts": "download wait watch",
    "stepping": "Step",
    "storage.dumps": "dump load",
    "storage.job_store": "JobStore",
    "storage.protocol": "Store",
    "storage.records": "Gauges KeptJob Leases Ledger Origin Saved Shard Submission WantedFiles",
    "webhooks": "webhook",
}
"""The module in which each name lives, for `__getattr__`; type checkers read the imports above."""

_OF_A_CLIENT = (
    "as_completed", "batch", "cancel", "delete", "feed", "heard", "jobs", "open", "poll", "price", "quota", "reach",
    "ready", "serve", "step", "submit", "submit_once", "upload", "wait_all",
)  # fmt: skip
"""Methods that a script may look for in the package."""

_HOME = {name: module for module, names in _HOMES.items() for name in names.split()}


if not TYPE_CHECKING:  # a type checker reads the imports above, and so reports a misspelt name

    def __getattr__(name: str) -> object:
        """Import a public name when it is first used (PEP 562): most programs need only a part of vidpoll."""
        if name in ("errors", "parsing"):
            return import_module(f"{__name__}.{name}")
        if name not in _HOME:
            way = f": it is a method of a client, vidpoll.Client().{name}(…)" if name in _OF_A_CLIENT else ""
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}{way}")
        value = globals()[name] = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
