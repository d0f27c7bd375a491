"""Checks of the arguments of `Client`: each raises UsageError with a message that names the way out."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from . import named
from .errors import BadReference, UsageError
from .folder_check import check_folder
from .following import Saving
from .hook_check import PLAIN, is_async
from .job import OF_BATCHES, Job
from .model import check_account_name, is_number
from .net.accounts import Account
from .net.keys import FromEnvironment
from .net.threaded import Threaded
from .number_check import check_number, is_whole
from .pacing.schedules import Schedule
from .storage.records import PARTS, VIDEO, WantedFiles

if TYPE_CHECKING:
    from .clock import Clock
    from .net.protocol import Sender, Transport
    from .plugins import Plugins
    from .storage.protocol import Store

F = TypeVar("F", bound=Callable[..., Any])

MAX_KEY = 200
"""Characters of a submit's key."""


def by_position(method: F) -> F:
    """A method of `Client` whose keywords are the provider's fields: its own arguments are passed by position.

    A provider may have a field `key` or `kind`. A call with `key=…` and too few arguments raises UsageError.
    """
    code = method.__code__
    names = code.co_varnames[1 : code.co_posonlyargcount]

    @wraps(method)
    def call(*args: Any, **fields: Any) -> Any:
        named = [f"{name}=" for name in names[len(args) - 1 :] if name in fields]
        if named:
            raise UsageError(
                f"{method.__name__}({', '.join(names)}, …): pass these by position, without {' and '.join(named)}, "
                "because a keyword is a field of the provider"
            )
        return method(*args, **fields)

    return call  # type: ignore[return-value]  # it takes what the method takes


def as_job(job: Job | str) -> Job:
    """The job itself, or a new Job of a reference. Raises BadReference."""
    if isinstance(job, Iterable) and not isinstance(job, (str, bytes)):
        raise BadReference(f"expected one job, got {type(job).__name__}; for several: client.as_completed(jobs)")
    return job if isinstance(job, Job) else Job(job)


def as_jobs(jobs: Iterable[Job | str], what: str) -> list[Job]:
    """The jobs that `what` (the method's name) is called with."""
    if isinstance(jobs, (str, Job)) or not isinstance(jobs, Iterable):
        raise UsageError(f"{what}({jobs!r}): pass a list of references or jobs; for a single job use wait")
    return [job if isinstance(job, Job) else Job(job) for job in jobs]


def whole(value: object) -> bool:
    """Whether it is an int of 1 or more."""
    return is_whole(value, 1)


def positive(value: object) -> bool:
    """Whether it is a finite number above 0."""
    return is_number(value) and value > 0 and math.isfinite(value)  # type: ignore[operator,arg-type]  # it is a number


def check_accounts(accounts: Mapping[str, Account]) -> dict[str, Account]:
    """A copy of the accounts by name."""
    if not isinstance(accounts, Mapping):
        raise UsageError(f"accounts={accounts!r}: must be a dict from names to vidpoll.Account")
    for name, account in accounts.items():
        check_account_name(name)
        if not isinstance(account, Account):
            raise UsageError(f"accounts[{name!r}]: must be a vidpoll.Account, got {type(account).__name__}")
        _check_secret(f"accounts[{name!r}]: key", account.key)
        must = f"a whole number from 1 to {PARTS}"
        check_number(f"accounts[{name!r}]: parts", must, account.parts, lambda value: whole(value) and value <= PARTS)
    return dict(accounts)


def _check_secret(name: str, key: object) -> None:
    """The key of an account; it is not shown."""
    if is_async(key):
        raise UsageError(f"{name}: the function is async, but it is called without await: write a plain def")
    if not (key is None or callable(key) or isinstance(key, (str, Mapping, FromEnvironment))):
        must = "text, a dict from variable to text, a function that returns either, or None (no key)"
        raise UsageError(f"{name}: must be {must}, got {type(key).__name__}")


def check_http_timeout(http_timeout: Any) -> tuple[float, float]:
    """(connect, read) in seconds."""
    must = "two numbers of seconds, (connect, read), above 0, like (10, 30)"
    check_number("http_timeout", must, http_timeout, _is_pair)
    return float(http_timeout[0]), float(http_timeout[1])


def _is_pair(value: object) -> bool:
    return isinstance(value, Sequence) and len(value) == 2 and all(map(positive, value))


def check_patience(patience: float) -> float:
    """Seconds above 0."""
    check_number("patience", "a number of seconds, above 0", patience, positive)
    return patience


def check_plugins(plugins: Iterable[object]) -> Iterable[object]:
    """Modules or objects with hooks."""
    if isinstance(plugins, str) or not isinstance(plugins, Iterable):
        raise UsageError(f"plugins must be a list of modules or objects, got {plugins!r}")
    return plugins


_NO_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:(?!//)(/|[^/]*@)|(\w+\s*=.*\s)?dbname\s*=")


def store_url(store: object) -> str | None:
    """The URL of a store; None for a path or a store object.

    Raises UsageError for a database address that is not a URL. Taken as a path, it would create a file whose name holds
    a password.
    """
    if isinstance(store, (str, Path)) and _NO_URL.match(str(store)):
        raise UsageError(
            "store: this looks like a database address but is not a URL: write postgresql://user@host/database "
            "(for a file of that name write ./…)"
        )
    return store if isinstance(store, str) and re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", store) else None


def open_store(given: str | Path | Store, plugins: Plugins, clock: Clock) -> Store:
    """The store that was passed, or the one at a path or URL. Raises UsageError, StoreError."""
    url = store_url(given)
    if url is not None:
        given = named.store(plugins, url)
    if callable(getattr(given, "news", None)):
        return given  # type: ignore[return-value]  # not a path
    if not isinstance(given, (str, Path)) or not str(given):
        raise UsageError(f"store={given!r}: must be the path of a file, like 'jobs.sqlite3', a URL, or a vidpoll.Store")
    if str(given) == ":memory:":
        raise UsageError("store=':memory:': a store is a file; to keep no jobs, omit store (command line: --no-store)")
    from .storage.sqlite import SqliteStore  # a client without such a store needs no SQLite

    return SqliteStore(given, clock.time, clock.monotonic)


def serving(
    accounts: Iterable[str] | None, capacity: int, seconds: float | None, timeout: float
) -> tuple[str, ...] | None:
    """The accounts that `Client.serve` is called with, each once; None for all. Checks its other arguments."""
    if isinstance(accounts, str):
        raise UsageError(f"serve({accounts!r}): pass a list of accounts: serve([{accounts!r}])")
    check_number("capacity", "a whole number of jobs, 1 or more", capacity, whole)
    _check_seconds("seconds", seconds)
    check_number("timeout", "a number of seconds, above 0", timeout, positive)
    if accounts is None:
        return None
    names = tuple(dict.fromkeys(accounts))
    for name in names:
        check_account_name(name)
    return names


def check_key(key: object) -> str:
    """The key of a submit."""
    if not isinstance(key, str) or not 0 < len(key) <= MAX_KEY or not key.isprintable() or not key.strip():
        raise UsageError(
            f"submit_once key {key!r:.80}: must be a text of 1 to {MAX_KEY} printable characters, not only spaces"
        )
    if key.startswith(OF_BATCHES):
        raise UsageError(f"submit_once key {key!r:.80}: must not begin with {OF_BATCHES!r} (the key of a batch's row)")
    return key


def open_transport(given: Transport | Sender | str | None, plugins: Plugins) -> Transport:
    """The transport that was passed, or the one that a name or VIDPOLL_TRANSPORT selects; by default "requests".

    Raises UsageError for an unknown name, and any error of the transport's constructor.
    """
    if given is None or isinstance(given, str):
        name = given if given is not None else os.environ.get("VIDPOLL_TRANSPORT") or "requests"
        given = _requests() if name == "requests" else named.transport(plugins, name)()
    if callable(getattr(given, "begin", None)):
        return given  # type: ignore[return-value]  # a whole transport begins requests by itself
    if callable(getattr(given, "send", None)):
        return Threaded(given)  # type: ignore[arg-type]
    raise UsageError(f"transport={given!r}: must be a name, like 'requests' or 'curl', or an object with a send method")


def _requests() -> Sender:
    from .net.transport import RequestsTransport  # importing requests takes longer than all of vidpoll

    return RequestsTransport()


def check_pacing(pacing: Schedule) -> Schedule:
    """A schedule."""
    if not callable(getattr(pacing, "next_gap", None)):
        raise UsageError(f"pacing={pacing!r}: must be a Schedule, for example vidpoll.Fixed(5)")
    return pacing


def check_timeout(timeout: object) -> None:
    """Seconds, or None."""
    _check_seconds("timeout", timeout)


def _check_seconds(name: str, value: object) -> None:
    if value is not None:
        must = "a number of seconds (0 or more) or None (no limit)"
        check_number(name, must, value, lambda seconds: is_number(seconds) and seconds >= 0)


def check_waiting(timeout: object, stop: object, on_event: object) -> None:
    """Check the arguments that `wait`, `watch` and `as_completed` share."""
    check_timeout(timeout)
    if stop is not None and not callable(getattr(stop, "is_set", None)):
        raise UsageError(f"stop={stop!r}: must be a threading.Event")
    check_callback("on_event", on_event)


def check_callback(name: str, function: object, takes: str = "one event") -> None:
    """A function, or None."""
    if function is not None and not callable(function):
        raise UsageError(f"{name}={function!r}: must be a function that takes {takes}")
    if is_async(function):
        raise UsageError(f"{name}={function!r}: it is async, but it is called without await: {PLAIN}")


def check_file(path: object) -> Path:
    """The path of a file to upload; `~` is the user's home."""
    if not isinstance(path, (str, Path)) or not str(path):
        raise UsageError(f"path={path!r}: must be the path of a file to upload, like 'clip.mp4'")
    return Path(os.path.expanduser(path))  # noqa: PTH111 - it never raises


def saving(
    jobs: Sequence[Job], download: str | Path | Iterable[WantedFiles] | None, kinds: Any, parallel: int
) -> Saving | None:
    """The files that a wait for these jobs saves, or None if it saves no files."""
    check_number("parallel", "a whole number of jobs to download at once, 1 or more", parallel, whole)
    check_kinds(kinds)
    if download is None:
        if kinds is not None:
            raise UsageError(f"kinds={kinds!r}: kinds says which files to save; add download='clips/'")
        return None
    if isinstance(download, (str, Path)):
        target = _check_target(download, "download", len(jobs))
        check_folder((os.path.dirname(target) or ".") if _names_file(target) else target, "download")  # noqa: PTH120
        files = [WantedFiles(job.ref, target, tuple(kinds or VIDEO)) for job in jobs]
    else:
        refs = {job.ref for job in jobs}
        files = [each for each in _wanted(download) if each.ref in refs]
    return Saving(tuple(files), kinds, parallel) if files else None


def _wanted(download: object) -> list[WantedFiles]:
    found: list[Any] = list(download) if isinstance(download, Iterable) else [download]
    if not all(isinstance(each, WantedFiles) for each in found):
        said = "must be the folder to save to, like 'clips/', or the WantedFiles of client.store.wanted()"
        raise UsageError(f"download={download!r}: {said}")
    return found


def _check_target(target: str | Path, what: str, jobs: int = 1) -> str:
    """Where to save to; `~` is the user's home. A file is for a single job."""
    if not isinstance(target, (str, Path)) or not str(target):
        raise UsageError(f"{what}={target!r}: must be the folder (or the file) to save to, like 'clips/'")
    place = os.path.expanduser(target)  # noqa: PTH111 - it keeps a separator at the end, and never raises
    if jobs > 1 and _names_file(place):
        raise UsageError(f"{what}={str(target)!r} names one file, but there are {jobs} jobs; name a folder")
    return place


def _names_file(place: str) -> bool:
    return bool(Path(place).suffix) and not place.endswith(("/", os.sep)) and not os.path.isdir(place)  # noqa: PTH112


def check_kinds(kinds: object) -> None:
    """Kinds of assets, or None."""
    texts = not isinstance(kinds, str) and isinstance(kinds, Iterable) and all(isinstance(each, str) for each in kinds)
    if kinds is not None and not (texts and kinds):
        raise UsageError(f"kinds={kinds!r}: must be a list of kinds, like ['video', 'thumbnail']")


def check_download(target: str | Path, kinds: object, timeout: object, max_bytes: object, on_progress: object) -> str:
    """Check the arguments of `download` and return the target; `~` is the user's home."""
    check_kinds(kinds)
    place = _check_target(target, "target")
    check_timeout(timeout)
    if max_bytes is not None:
        check_number("max_bytes", "a whole number of bytes (1 or more) or None (no limit)", max_bytes, whole)
    check_callback("on_progress", on_progress)
    return place
