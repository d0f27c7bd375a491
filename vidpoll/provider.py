"""What a plugin declares: a provider is data and pure functions, without network, loop or sleep.

A provider is a frozen value. Each of its operations holds a builder (makes a Request) and a parser (reads a Response).
Its auth turns secrets into headers, one request at a time.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, Protocol, TypeGuard, TypeVar
from urllib.parse import urlsplit

from . import parsing
from .drops import is_drop
from .errors import PluginError
from .model import Page, Problem, Quota, Request, Response, Snapshot, State, Submitted, is_number, origin
from .number_check import is_whole
from .price import Price, PriceList

T = TypeVar("T")

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
_HOSTS = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+|\*[a-z0-9-]*(\.[a-z0-9-]+){2,}")

MAX_BODY = 4 * 1024 * 1024
"""Bytes: the largest response that is read, unless an operation says otherwise."""


@dataclass(frozen=True, slots=True)
class Follow(Generic[T]):
    """Returned by a parser that needs another response: vidpoll sends `request` and reads the response with `parse`.

    At most two may follow each other. `verdicts` are HTTP statuses besides 2xx that `parse` reads. `fallback` is the
    result that is already certain; it counts if the next response fails, so that a verdict is never lost. Raises
    PluginError.
    """

    request: Request
    parse: Callable[[Response, str], T | Follow[T]]
    verdicts: tuple[int, ...] = ()
    fallback: T | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.request, Request):
            raise PluginError(f"Follow request must be a Request, got {type(self.request).__name__}")
        _check_parser("Follow", self.parse, self.verdicts)


@dataclass(frozen=True, slots=True)
class Operation(Generic[T]):
    """A request builder and a parser.

    `request` is the builder. Its arguments depend on the operation: the job's id (status, cancel, delete, content), the
    call's fields (submit, estimate), the fields and the page's token, None for the first page (list), the file's Path
    (upload), none (quota). `parse` takes the Response and the job's id; for a list the page's token ("" for none), for
    a submit the `about` of its Request. It returns a Snapshot (status; optional for cancel), a Submitted, a Page, a
    Quota, a Price (estimate), or the value for the submit's field (upload). A file from content is saved directly; its
    parser reads only other responses (JSON, say) and returns an Asset.
    The parser sees 2xx and the statuses in `verdicts`, nothing else. `max_body` bounds the response, in bytes.
    `empty_ok=True` accepts any 2xx without a body. Otherwise only a 202 and a 204 may be empty: a failing proxy may
    send an empty 200, and a parser that ignores the body would believe it.
    `fields` says in words what each field of a submit or a list must be; help and documents show it. `texts` names the
    text fields: on the command line their value stays text, even if it looks like JSON or a file. `price` is what a
    submit costs by the vendor's page.
    `key` names the field of a submit for the caller's own id of the job, or for an idempotency key; `submit_once` fills
    it with a UUID. `honours_key=True`: the provider documents that a submit with the same key is the same job, for at
    least a day. The submit is then sent again if no response came. Do not set it for an id that is only echoed, or if
    the provider's pages contradict each other. `find` looks up the job by the sent `key`, once, if the outcome of the
    submit is unknown. Its parser returns a Submitted, or a Snapshot if the key is the job's id. Not found proves
    nothing. Raises PluginError.
    """

    request: Callable[..., Request]
    parse: Callable[[Response, str], T | Follow[T]]
    verdicts: tuple[int, ...] = ()
    max_body: int = MAX_BODY
    empty_ok: bool = False
    fields: Mapping[str, str] = field(default_factory=dict)
    texts: frozenset[str] = frozenset()
    price: PriceList | None = None
    key: str = ""
    honours_key: bool = False
    find: Operation[Any] | None = None

    def __post_init__(self) -> None:
        if not callable(self.request):
            raise PluginError(f"Operation request must be a function, got {type(self.request).__name__}")
        _check_parser("Operation", self.parse, self.verdicts)
        if not is_number(self.max_body) or self.max_body <= 0:
            raise PluginError(f"Operation max_body {self.max_body!r}: must be a number of bytes, above 0")
        if not isinstance(self.empty_ok, bool):
            raise PluginError(f"Operation empty_ok {self.empty_ok!r}: must be True or False")
        if not isinstance(self.fields, Mapping) or not all(isinstance(each, str) for each in self.fields.values()):
            raise PluginError("Operation fields: must map names to what each must be, in words")
        if not isinstance(self.texts, frozenset) or not self.texts <= {*self.fields}:
            raise PluginError(f"Operation texts {self.texts!r}: must be a frozenset of names in fields")
        if not (self.price is None or isinstance(self.price, PriceList)):
            raise PluginError(f"Operation price must be a vidpoll.PriceList, got {type(self.price).__name__}")
        if not isinstance(self.key, str) or not isinstance(self.honours_key, bool):
            said = f"{self.key!r}, honours_key {self.honours_key!r}: must be the name of a field, and a bool"
            raise PluginError(f"Operation key {said}")
        if not (self.find is None or isinstance(self.find, Operation)):
            raise PluginError(f"Operation find must be an Operation, got {type(self.find).__name__}")
        if (self.honours_key or self.find) and not self.key:
            raise PluginError("Operation honours_key, find: name the field of the key, like key='idempotency_key'")


def _check_parser(what: str, parse: object, verdicts: object) -> None:
    if not callable(parse):
        raise PluginError(f"{what} parse must be a function, got {type(parse).__name__}")
    if not isinstance(verdicts, tuple) or not all(is_number(status) for status in verdicts):
        raise PluginError(f"{what} verdicts {verdicts!r}: must be a tuple of HTTP statuses, like (500,)")


@dataclass(frozen=True, slots=True)
class Pacing:
    """How often a provider may be polled. All times are seconds.

    `floor` is the shortest time between two polls of a job, above 0 and at most 3600. `typical` is (p5, p95): the 5th
    and 95th percentile of job durations, or None. `rate=(1000, 3600.0)`: an account may send 1,000 requests in any
    3,600 s, for all its jobs together; None if no rate is documented (it is then learned from 429 and rate headers).
    `stalled_after`: a job without any change for this long counts as stalled. Raises PluginError.
    """

    floor: float = 5.0
    typical: tuple[float, float] | None = None
    stalled_after: float = 600.0
    rate: tuple[int, float] | None = None

    def __post_init__(self) -> None:
        if not is_number(self.floor) or not 0 < self.floor <= 3600:
            raise PluginError(f"Pacing floor {self.floor!r}: must be seconds, above 0 and at most 3600")
        if not is_number(self.stalled_after) or self.stalled_after <= 0:
            raise PluginError(f"Pacing stalled_after {self.stalled_after!r}: must be seconds, above 0")
        if self.rate is not None and not (_is_pair(self.rate) and self.rate[0] >= 1 and self.rate[1] > 0):
            raise PluginError(f"Pacing rate {self.rate!r}: must be (requests, seconds), like (1000, 3600.0)")
        if self.typical is not None and not (_is_pair(self.typical) and 0 < self.typical[0] < self.typical[1]):
            raise PluginError(f"Pacing typical {self.typical!r}: must be two numbers of seconds, the smaller one first")


def _is_pair(value: object) -> TypeGuard[tuple[float, float]]:
    return isinstance(value, (tuple, list)) and len(value) == 2 and all(map(is_number, value))


@dataclass(frozen=True, slots=True)
class ListPollingSpec:
    """Declares that the list names all jobs of the account, also running ones, so that one page replaces many polls.

    `rows` is the largest number of rows of a page, requested with `fields` (those of the list operation). A row changes
    state, stage and progress; a verdict in a row counts once a status request confirms it. A job without a row is
    polled by itself. Leave the spec out if the list has only finished jobs: a missing job then means nothing.

    `batch` is an operation that requests many jobs by id, at most `rows`, instead of the list; its builder takes a
    tuple of ids. `takes` says which ids it accepts, if not all. `whole`: its rows are the same records as those of the
    status operation, so a verdict in a row counts at once, unless its files are late. Raises PluginError.
    """

    rows: int = 100
    fields: Mapping[str, object] = field(default_factory=dict)
    batch: Operation[Page] | None = None
    takes: Callable[[str], bool] | None = None
    whole: bool = False

    def __post_init__(self) -> None:
        if not is_number(self.rows) or not self.rows >= 1:
            raise PluginError(f"ListPollingSpec rows {self.rows!r}: must be a number of rows, 1 or more")
        if not isinstance(self.fields, Mapping):
            raise PluginError(f"ListPollingSpec fields must be a mapping, got {type(self.fields).__name__}")
        if not (self.batch is None or isinstance(self.batch, Operation)):
            raise PluginError(f"ListPollingSpec batch must be an Operation, got {type(self.batch).__name__}")
        if not (self.takes is None or callable(self.takes)):
            raise PluginError(f"ListPollingSpec takes must be a function, got {type(self.takes).__name__}")
        if not isinstance(self.whole, bool) or (self.whole and self.batch is None):
            raise PluginError(f"ListPollingSpec whole {self.whole!r}: must be True or False, True only with a batch")


@dataclass(frozen=True, slots=True)
class Slots:
    """What the provider does with a job above the number that an account may have at once.

    `over`: the provider "refuses" the job, free of charge, or "queues" it, and the job is paid for. `limit` is that
    number if it is the same for every account; None: vidpoll learns it from refusals. `by`: the provider counts for the
    "account" or for each "model". Raises PluginError.
    """

    over: str = "refuses"
    limit: int | None = None
    by: str = "account"

    def __post_init__(self) -> None:
        if self.over not in ("refuses", "queues"):
            raise PluginError(f"Slots over {self.over!r}: must be 'refuses' or 'queues'")
        if self.by not in ("account", "model"):
            raise PluginError(f"Slots by {self.by!r}: must be 'account' or 'model'")
        if self.limit is not None and not is_whole(self.limit, 1):
            raise PluginError(f"Slots limit {self.limit!r}: must be a whole number of jobs, 1 or more, or None")


class Stage(NamedTuple):
    """A documented status word, the state that it means, and the progress (from, to in percent) that it covers."""

    word: str
    state: State
    progress: tuple[float, float] | None = None


class PreparedRequest(NamedTuple):
    """A request as it is sent, for the auth that signs it: the whole `url` and the bytes of the `body` (b"" for none).

    `headers` are all headers of the plugin and of vidpoll, except those of the auth. `at` is the time in Unix seconds.
    """

    method: str
    url: str
    headers: Mapping[str, str] = {}
    body: bytes = b""
    at: float = 0.0


class Auth(Protocol):
    """Turns secrets into headers, for one request. `variables` are the environment variables that hold the secrets.

    `required` is False if the provider also works without a key.
    """

    @property
    def variables(self) -> tuple[str, ...]: ...

    @property
    def required(self) -> bool: ...

    def __call__(self, request: PreparedRequest, secrets: Mapping[str, str]) -> Mapping[str, str]:
        """The headers that authenticate `request`; `secrets` maps each variable to its value."""
        ...


class KeyHeader(NamedTuple):
    """A key in a header of any name: `KeyHeader("x-api-key", "ACME_API_KEY")`, with an optional prefix.

    `variable` is the environment variable of the key. `required=False`: the provider also works without a key.
    """

    name: str
    variable: str
    prefix: str = ""
    required: bool = True

    @property
    def variables(self) -> tuple[str, ...]:
        return (self.variable,)

    def __call__(self, request: PreparedRequest, secrets: Mapping[str, str]) -> Mapping[str, str]:
        return {self.name: self.prefix + secrets[self.variable]}


def Bearer(variable: str, *, required: bool = True) -> KeyHeader:
    """`Authorization: Bearer KEY` (RFC 6750); the key comes from the environment variable `variable`."""
    return KeyHeader("Authorization", variable, "Bearer ", required)


class Basic(NamedTuple):
    """`Authorization: Basic …` (RFC 7617) from the environment variables that `user` and `password` name."""

    user: str
    password: str
    required: bool = True

    @property
    def variables(self) -> tuple[str, ...]:
        return (self.user, self.password)

    def __call__(self, request: PreparedRequest, secrets: Mapping[str, str]) -> Mapping[str, str]:
        pair = f"{secrets[self.user]}:{secrets[self.password]}".encode()
        return {"Authorization": "Basic " + b64encode(pair).decode("ascii")}


class Minted(NamedTuple):
    """Auth that a function computes for each request: `Minted(("ACCESS_KEY", "SECRET_KEY"), sign)`.

    `mint(request, secrets)` takes a PreparedRequest (method, url, headers, body, time) and the values of `variables`,
    and returns headers: a signature over the whole content, a short-lived token, or an id that must be new each time.
    It runs in the calling thread and must not use the network.
    """

    variables: tuple[str, ...]
    mint: Callable[[PreparedRequest, Mapping[str, str]], Mapping[str, str]]
    required: bool = True

    def __call__(self, request: PreparedRequest, secrets: Mapping[str, str]) -> Mapping[str, str]:
        return self.mint(request, secrets)


@dataclass(frozen=True, slots=True, init=False)
class AnyOf:
    """Alternative keys: the first alternative whose variables are all set counts.

    `AnyOf(Bearer("ACME_API_KEY"), Minted(("ACME_ACCESS_KEY", "ACME_SECRET_KEY"), sign))`. `Account(key="…")` is the key
    for the first alternative that needs one key. Raises PluginError for fewer than two alternatives, or for one without
    a key.
    """

    alternatives: tuple[Auth, ...]

    def __init__(self, *alternatives: Auth) -> None:
        if len(alternatives) < 2 or not all(callable(auth) and getattr(auth, "variables", ()) for auth in alternatives):
            raise PluginError('AnyOf: give two or more kinds of auth with a key: AnyOf(Bearer("A"), Basic("B", "C"))')
        object.__setattr__(self, "alternatives", alternatives)

    @property
    def variables(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for auth in self.alternatives for name in auth.variables))

    @property
    def required(self) -> bool:
        return all(auth.required for auth in self.alternatives)

    def __call__(self, request: PreparedRequest, secrets: Mapping[str, str]) -> Mapping[str, str]:
        return next(auth for auth in self.alternatives if secrets.keys() >= set(auth.variables))(request, secrets)


def ways(auth: Auth) -> tuple[Auth, ...]:
    """The alternatives of an auth; one of them is enough."""
    return auth.alternatives if isinstance(auth, AnyOf) else (auth,)


def key_names(auth: Auth) -> str:
    """The environment variables that hold the key, as text: "A, or B and C"."""
    return ", or ".join(" and ".join(way.variables) for way in ways(auth))


class NoAuth(NamedTuple):
    """The auth of a provider that needs no key."""

    variables: tuple[str, ...] = ()
    required: bool = False

    def __call__(self, request: PreparedRequest, secrets: Mapping[str, str]) -> Mapping[str, str]:
        return {}


Verify = Callable[[Mapping[str, str], bytes, str, float], str]
"""(headers with lower-case names, body, secret, Unix seconds) -> what is wrong, or "" for a good signature."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """How a pushed body is signed and read. `verify` checks the signature; None if the vendor does not sign.

    `read` turns the pushed object into the object that the status operation reads, for example by removing an event
    around it. Without `read` the pushed body is used unchanged.

    >>> Webhook(declare.standard_webhooks(), lambda pushed: pushed["data"]).read({"data": {"id": "7"}})
    {'id': '7'}
    """

    verify: Verify | None = None
    read: Callable[[dict[str, Any]], Mapping[str, Any]] | None = None


def is_base_url(url: object) -> bool:
    """Whether a URL can be a base URL: http or https, with a host, without user data, query, fragment or space."""
    if not isinstance(url, str) or not url.isprintable() or " " in url:
        return False
    try:
        origin(url)
    except ValueError:
        return False
    return not (urlsplit(url).query or urlsplit(url).fragment)


def _is_range(progress: object) -> bool:
    """Whether a value is a range of progress (0 to 100), or None."""
    return progress is None or (_is_pair(progress) and 0 <= progress[0] <= progress[1] <= 100)


def _fits(host: str, pattern: str) -> bool:
    star, end = pattern.startswith("*"), pattern.removeprefix("*")
    return host == pattern or (star and re.fullmatch(rf"[a-z0-9-]+{re.escape(end)}", host) is not None)


@dataclass(frozen=True)
class Provider:
    """A system that generates video. Checked when built: a mistake raises PluginError, which names the mistake.

    `name` is what users type, and the default name of the account. An account or the environment
    (`<NAME>_BASE_URL`) may override `base_url`. `media_hosts` are https hosts that also get the key, as long as the
    base URL is the provider's own. `hosts` are further https hosts of the vendor's API, which a Request may name in
    `host`. Such a request is sent, with the key, only if the account is at the vendor's own (`base_url`, or one of
    them). A name may begin with `*`, which stands for letters, digits and `-`: `*-aiplatform.googleapis.com`.
    `drops` are names of fields that belong to other users (a `*` at the end stands for anything: `api_key_*`). They are
    removed from every response before it is read, stored or shown, and from the stored fields of a submit. With a
    position, only items of a list are removed: `prompt[3:]` is the list `prompt` from its fourth item,
    `queue_*[][2:]` each list inside such a list from its third. `webhook` says how a pushed body is signed and read.
    `list_polling` lets the list replace status requests. `upload` has an operation for each kind of file that a job may
    need; the first one whose builder accepts the file is used (others raise InvalidField). `estimate` has operations
    for the cost of a submit, by its kind: they buy nothing and may be sent again. `headers` are sent with every request
    to the origin. `error` reads a refusal. `slots`: what happens to a job above the number allowed at once.
    """

    name: str
    base_url: str
    auth: Auth
    pacing: Pacing
    status: Operation[Snapshot]
    submit: Mapping[str, Operation[Submitted]] = field(default_factory=dict)
    list: Operation[Page] | None = None
    quota: Operation[Quota] | None = None
    cancel: Operation[Any] | None = None
    delete: Operation[Any] | None = None
    content: Operation[Any] | None = None
    error: Callable[[Response], Problem] = parsing.problem
    media_hosts: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    stages: tuple[Stage, ...] = ()
    list_polling: ListPollingSpec | None = None
    upload: Mapping[str, Operation[Any]] = field(default_factory=dict)
    hosts: tuple[str, ...] = ()
    drops: tuple[str, ...] = ()
    webhook: Webhook | None = None
    slots: Slots = Slots()
    estimate: Mapping[str, Operation[Price]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise PluginError(f"Provider name {self.name!r}: must be lower-case letters, digits, '_', '-'")
        if not is_base_url(self.base_url):
            raise PluginError(f"Provider {self.name}: base_url {self.base_url!r} must be a plain http or https URL")
        self._check_kinds()
        self._check_auth()
        for host in self.media_hosts:
            if not isinstance(host, str) or not _HOST.fullmatch(host):
                raise PluginError(f"Provider {self.name}: media_hosts {host!r}: must be a bare host name in lower case")
        for host in self.hosts:
            if not isinstance(host, str) or not _HOSTS.fullmatch(host):
                raise PluginError(
                    f"Provider {self.name}: hosts {host!r}: must be a host name in lower case; it may begin with '*', "
                    "like '*-aiplatform.googleapis.com'"
                )

    def is_vendors(self, host: str) -> bool:
        """Whether an https host is one of the vendor's API, according to `hosts`."""
        return any(_fits(host, each) for each in self.hosts)

    def _check_kinds(self) -> None:
        due: list[tuple[str, object, type]] = [
            ("pacing", self.pacing, Pacing),
            ("submit", self.submit, Mapping),
            ("upload", self.upload, Mapping),
            ("estimate", self.estimate, Mapping),
            ("headers", self.headers, Mapping),
            ("media_hosts", self.media_hosts, tuple),  # a text would trust every substring of itself
            ("hosts", self.hosts, tuple),
            ("drops", self.drops, tuple),
            ("stages", self.stages, tuple),
            ("slots", self.slots, Slots),
        ]
        for role, value, kind in due:
            if not isinstance(value, kind):
                raise PluginError(f"Provider {self.name}: {role} must be a {kind.__name__}, got {type(value).__name__}")
        for role, operation in {"status": self.status, **self.operations()}.items():
            if not isinstance(operation, Operation):
                raise PluginError(f"Provider {self.name}: {role} must be an Operation, got {type(operation).__name__}")
        self._check_estimates()
        self._check_list_polling()
        if not all(map(is_drop, self.drops)):
            raise PluginError(
                f"Provider {self.name}: drops {self.drops!r}: must be names of fields, like 'extra_data', 'prompt[3:]'"
            )
        if not (self.webhook is None or isinstance(self.webhook, Webhook)):
            raise PluginError(f"Provider {self.name}: webhook must be a Webhook, got {type(self.webhook).__name__}")
        if not callable(self.error):
            raise PluginError(f"Provider {self.name}: error must be a function, got {type(self.error).__name__}")
        self._check_stages()

    def _check_stages(self) -> None:
        for stage in self.stages:
            if not isinstance(stage, Stage):
                raise PluginError(f"Provider {self.name}: stages must hold only Stage, got {type(stage).__name__}")
            if not _is_range(stage.progress):
                raise PluginError(
                    f"Provider {self.name}: stage {stage.word!r} covers the progress {stage.progress!r}: must be two "
                    "numbers from 0 to 100, the smaller one first, or None"
                )

    def _check_estimates(self) -> None:
        for kind in self.estimate:
            if kind not in self.submit:
                raise PluginError(f"Provider {self.name}: estimate {kind!r}: there is no submit of that kind")

    def _check_list_polling(self) -> None:
        polling = self.list_polling
        if polling is not None and not (isinstance(polling, ListPollingSpec) and (self.list or polling.batch)):
            raise PluginError(
                f"Provider {self.name}: list_polling must be a vidpoll.ListPollingSpec, and needs a list or a batch"
            )

    def _check_auth(self) -> None:
        if not callable(self.auth) or not hasattr(self.auth, "variables") or not hasattr(self.auth, "required"):
            raise PluginError(
                f"Provider {self.name}: auth must be Bearer, KeyHeader, Basic, Minted, AnyOf, NoAuth or similar"
            )
        variables = self.auth.variables
        if not isinstance(variables, tuple) or not all(isinstance(name, str) and name for name in variables):
            raise PluginError(f"Provider {self.name}: auth variables {variables!r}: must be a tuple of their names")

    def operations(self) -> dict[str, Operation[Any]]:
        """The operations of this provider by name; those with kinds as `submit KIND`, `estimate KIND` …"""
        plain = {role: getattr(self, role) for role in ("status", "list", "quota", "cancel", "delete", "content")}
        of_kinds: list[tuple[str, Mapping[str, Operation[Any]]]] = [
            ("submit", self.submit),
            ("upload", self.upload),
            ("estimate", self.estimate),
        ]
        kinds = {f"{role} {kind}": each for role, found in of_kinds for kind, each in found.items()}
        return {**{role: operation for role, operation in plain.items() if operation is not None}, **kinds}
