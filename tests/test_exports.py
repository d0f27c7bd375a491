"""The public face: what `vidpoll` promises to keep."""

from __future__ import annotations

import ast
import importlib
import inspect
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest

import vidpoll
from vidpoll import errors, events, job, model, price, provider
from vidpoll.pacing import forecast, schedules

PUBLIC = [
    "Account", "Adaptive", "Client", "Exponential", "Fixed", "Job", "Law", "Moment", "Reach", "Schedule", "State",
    "download", "wait", "watch", "webhook", "Step", "dump", "load", "LATER",
    "Completed", "DownloadProgress", "Downloaded", "Event", "Failed", "GaveUp", "PollFailed", "Polled",
    "ProgressChanged", "StageChanged", "Stalled",
    "Asset", "Cost", "Price", "Page", "Problem", "Quota", "Snapshot", "Submitted", "Exchange",
    "AnyOf", "Basic", "Bearer", "Follow", "KeyHeader", "ListPollingSpec", "Minted", "NoAuth", "Operation", "Pacing",
    "PriceList",
    "PluginReport", "PreparedRequest", "Provider", "Request", "Response", "Slots", "Stage", "Webhook",
    "Batch", "Plan", "BatchStatus", "AccountStatus", "Row", "RowResult", "Stopped", "Money", "Ledger",
    "JobStore", "KeptJob", "Origin", "Submission", "WantedFiles",
    "Store", "Saved", "Leases", "Shard", "Gauges", "Served", "Metrics",
    "hookimpl", "parsing", "errors",
    "AnswerError", "AuthenticationError", "BadReference", "BadSignature", "BatchInvalid", "ConfigurationError",
    "Conflict", "DownloadChanged", "DownloadError",
    "DownloadTooLarge", "DownloadTruncated", "ForeignAnswer",
    "InvalidField", "InvalidRequest", "JobCancelled", "JobError", "JobExpired", "JobFailed", "JobNotFound",
    "Malformed", "MissingKey", "NotAVideo",
    "NotFound", "OutcomeUnknown", "PaymentRequired", "PermissionDenied", "PluginError", "ProviderError",
    "ProviderUnreachable", "RateLimited",
    "Refused", "ResultMissing", "ServerError", "StoreError", "SubmitUnknown", "TransitionRefused", "UnknownProvider",
    "UnknownStatus", "UnsafeURL",
    "Unsupported", "UsageError", "VidpollError", "WaitNotSent", "WaitRefused", "WaitStopped", "WaitTimeout",
]  # fmt: skip

INTERNAL = {
    "amount", "as_stage", "check_account_name", "check_job_id", "forecast", "is_base_url", "is_number", "money",
    "key_names", "origin", "parse_reference", "percent", "same_id", "span", "ways",
}  # fmt: skip
"""Functions that modules of the core share, and nobody types."""


def test_the_list_is_pinned() -> None:
    """A name enters or leaves `vidpoll` on purpose, and is listed once."""
    assert sorted(vidpoll.__all__) == sorted(PUBLIC)


def test_a_method_of_a_client_is_not_in_the_package() -> None:
    """Whoever looks for one there reads where it is; the list has all that a script may call."""
    methods = {name for name, each in inspect.getmembers(vidpoll.Client, callable) if not name.startswith("_")}
    assert set(vidpoll._OF_A_CLIENT) == methods - {*PUBLIC, "add_commands", "add_display", "close", "provider"}
    with pytest.raises(AttributeError, match=r"no attribute 'submit': it is a method of a client, vidpoll\.Client"):
        vidpoll.submit  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(AttributeError, match=r"has no attribute 'submitt'$"):
        vidpoll.submitt  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize("name", PUBLIC)
def test_every_name_is_there_and_says_what_it_is(name: str) -> None:
    """What is listed can be imported, and `help` answers with words of its own, not those of a parent."""
    value = getattr(vidpoll, name)
    if name != "hookimpl":  # an instance that pluggy made
        assert (value.__doc__ if inspect.isclass(value) else inspect.getdoc(value) or "").strip()


MODULES = [errors, events, forecast, job, model, price, schedules, provider]


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


CORE = Path(vidpoll.__file__).parent


def test_type_checkers_see_what_is_there() -> None:
    """The names that a type checker reads off the imports are those that are given, from the same modules."""
    tree = ast.parse((CORE / "__init__.py").read_text(encoding="utf-8"))
    guarded = next(node for node in tree.body if isinstance(node, ast.If) and isinstance(node.test, ast.Name))
    imports = [node for node in guarded.body if isinstance(node, ast.ImportFrom)]
    assert len(imports) == len(guarded.body)
    read = {alias.name: node.module for node in imports for alias in node.names}
    assert set(read) == set(vidpoll.__all__)
    for name, module in read.items():
        home = importlib.import_module(f"vidpoll.{module or name}")
        assert getattr(vidpoll, name) is (getattr(home, name) if module else home)


def test_the_modules_of_the_docs_are_named_in_the_help() -> None:
    """What a page names may be used, and `help(vidpoll)` says it; an example's SqliteStore stands for the reader's."""
    docs = "".join(page.read_text(encoding="utf-8") for page in Path(__file__).parents[1].glob("docs/*.md"))
    named = re.findall(r"\bvidpoll(?:\.| import )([a-z_]+(?:\.[a-z_]+)*)", docs)
    paths = {name: CORE.joinpath(*name.split(".")) for name in named}
    modules = {name for name, path in paths.items() if path.is_dir() or path.with_suffix(".py").exists()}
    said = set(re.findall(r"`vidpoll\.([a-z.]+)`", vidpoll.__doc__ or ""))
    assert said == modules - {*vidpoll.__all__, "storage.sqlite"}


def test_no_module_takes_the_place_of_a_name() -> None:
    """An imported module becomes an attribute of its package: `vidpoll.download` stays a function."""
    modules = {path.stem for path in CORE.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert modules & set(PUBLIC) == {"errors", "parsing"}


def test_a_name_that_is_not_there() -> None:
    """It is an AttributeError as for any module, also for a name that a module of vidpoll has."""
    for name in ("Wait", "json", "record_", "Loop"):
        with pytest.raises(AttributeError, match=f"module 'vidpoll' has no attribute '{name}'"):
            getattr(vidpoll, name)
    assert not hasattr(vidpoll, "__wrapped__")
    with pytest.raises(ImportError, match="cannot import name 'Wait'"):
        from vidpoll import Wait  # type: ignore[attr-defined] # noqa: F401


def test_names_are_listed_before_they_are_used() -> None:
    """`dir` and `import *` name everything from the start; what is used once is the same object ever after."""
    code = (
        "import vidpoll; before = set(dir(vidpoll)); from vidpoll import *; import pickle\n"
        "print(set(vidpoll.__all__) <= before, all(name in globals() for name in vidpoll.__all__))\n"
        "print(vidpoll.wait is wait, pickle.loads(pickle.dumps(Stage)) is vidpoll.Stage, errors is vidpoll.errors)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=CORE.parent, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("True True\nTrue True True\n", "")


def test_a_pickled_value_brings_vidpoll_along() -> None:
    """A process that has imported nothing can read what another one has pickled."""
    told = pickle.dumps([vidpoll.Job("acme:1"), vidpoll.Asset("/a.mp4"), vidpoll.Stage("run", vidpoll.State.RUNNING)])
    code = f"import pickle; print(*pickle.loads({told!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=CORE.parent, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("<Job acme:1 not polled yet> Asset(video /a.mp4) Stage("), done.stderr


def test_many_threads_use_their_first_name_at_once() -> None:
    """Names that are imported late may be asked for by any number of threads: each gets the one object."""
    code = """
import threading, vidpoll
names, got, begin = list(vidpoll.__all__), [], threading.Barrier(8)
def use(number):
    begin.wait()
    got.append({name: id(getattr(vidpoll, name)) for name in names[number * 9:] + names[: number * 9]})
threads = [threading.Thread(target=use, args=(number,)) for number in range(8)]
[thread.start() for thread in threads]
[thread.join(60) for thread in threads]
print(len(got), all(each == got[0] for each in got))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=CORE.parent, capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.stdout, done.stderr) == ("8 True\n", "")


def test_typed() -> None:
    """Type checkers read vidpoll's own annotations (PEP 561)."""
    assert (Path(vidpoll.__file__).parent / "py.typed").exists()
