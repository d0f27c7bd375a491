"""What a plugin declares: a provider is data and pure functions. No network, no loop and no sleep lives here.

A provider is a frozen value. Its operations each hold a builder (makes a Request) and a parser (reads a Response);
its auth turns secrets into headers, one request at a time.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, Protocol, TypeVar
from urllib.parse import urlsplit

from . import parsing
from .drops import is_drop
from .errors import PluginError
from .model import Page, Problem, Quota, Request, Response, Snapshot, State, Submitted, is_number, origin
from .price import Price, PriceList

T = TypeVar("T")

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
_HOSTS = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+|\*[a-z0-9-]*(\.[a-z0-9-]+){2,}")

MAX_BODY = 4 * 1024 * 1024
"""Bytes of an answer that are read, unless an operation says otherwise."""


@dataclass(frozen=True, slots=True)
class Follow(Generic[T]):
    """Returned by a parser that needs a second answer: send `request`, read the answer with `parse`. At most 2 deep.

    `verdicts` are HTTP statuses beyond 2xx that `parse` wants to see. `fallback` is what is already certain without the
    second answer: it counts when the second answer cannot be had, so that a verdict in hand is never lost.
    """

    request: Request
    parse: Callable[[Response, str], T | Follow[T]]
    verdicts: tuple[int, ...] = ()
    fallback: T | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.request, Request):
            raise PluginError(f"Follow request is {type(self.request).__name__}, not a Request")
        _check_parser("Follow", self.parse, self.verdicts)


@dataclass(frozen=True, slots=True)
class Operation(Generic[T]):
    """A request builder and a parser.

    The builder's arguments depend on the operation: status, cancel, delete and content take the job's id; a submit
    takes the call's fields; an upload takes the file's Path, and its parser gives what the submit's field takes;
    a list takes the call's fields and the token of the page (None for the first); an estimate takes the fields of the
    submit, and its parser gives a Price; quota takes nothing. A file
    that content brings goes to the disk as it comes; its parser sees what is none (JSON, say) and gives an Asset.
    The parser takes the Response and the job's id, that of a list the token of the page ("" where there is none), that
    of a submit what its Request has in `about`. That of a cancel may return a Snapshot: how the job stands by it. It
    sees 2xx and the statuses in `verdicts`, nothing else. `max_body` bounds the answer, in bytes.
    `empty_ok=True` says that a 2xx with no body is a good answer to this operation; without it only a 202 and a
    204 are, because a proxy that fails may bring any other, and a parser that ignores the body would believe it.
    `fields` tells people what each field of a submit or a list must be, in words: help and documents show it. `texts`
    names those that are text: on the command line their value is that text, also where it looks like JSON or a file.
    `price` is what a submit costs by the vendor's page.
    `key` names the field of a submit that takes the caller's own id of the job, or an idempotency key; `submit_once`
    fills it with a UUID. `honours_key=True` says that the provider documents a submit with the same key as the same
    job, for a day at least: it is then sent again where no answer came. An id that is only told again is no such thing,
    nor is a key of which one page says so and another does not. `find` asks for the job by what was sent as `key`,
    once, where the outcome of its submit is unknown: its parser gives a Submitted, or a Snapshot where the key is the
    job's id. Not found says nothing.
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
            raise PluginError(f"Operation request is {type(self.request).__name__}, not a function")
        _check_parser("Operation", self.parse, self.verdicts)
        if not is_number(self.max_body) or self.max_body <= 0:
            raise PluginError(f"Operation max_body {self.max_body!r}: bytes, above 0")
        if not isinstance(self.empty_ok, bool):
            raise PluginError(f"Operation empty_ok {self.empty_ok!r}: True or False")
        if not isinstance(self.fields, Mapping) or not all(isinstance(each, str) for each in self.fields.values()):
            raise PluginError("Operation fields: a mapping of names to what each must be, in words")
        if not isinstance(self.texts, frozenset) or not self.texts <= {*self.fields}:
            raise PluginError(f"Operation texts {self.texts!r}: a frozenset of names in fields")
        if not (self.price is None or isinstance(self.price, PriceList)):
            raise PluginError(f"Operation price is {type(self.price).__name__}, not a vidpoll.PriceList")
        if not isinstance(self.key, str) or not isinstance(self.honours_key, bool):
            raise PluginError(
                f"Operation key {self.key!r}, honours_key {self.honours_key!r}: a field's name, and a bool"
            )
        if not (self.find is None or isinstance(self.find, Operation)):
            raise PluginError(f"Operation find: {type(self.find).__name__}, not an Operation")
        if (self.honours_key or self.find) and not self.key:
            raise PluginError("Operation honours_key, find: name the field of the key, like key='idempotency_key'")


def _check_parser(what: str, parse: object, verdicts: object) -> None:
    if not callable(parse):
        raise PluginError(f"{what} parse is {type(parse).__name__}, not a function")
    if not isinstance(verdicts, tuple) or not all(is_number(status) for status in verdicts):
        raise PluginError(f"{what} verdicts {verdicts!r}: a tuple of HTTP statuses, like (500,)")


@dataclass(frozen=True, slots=True)
class Pacing:
    """How often a provider may be asked, in seconds. `floor`: no job is asked sooner again.

    `typical` is how long a job takes, from the 5 % that are done first to the 95 % that are done by then.
    `rate=(1000, 3600.0)`: an account may send a thousand requests in any 3,600 s, all its jobs together; None where no
    rate is documented (it is then learnt from 429 and from rate headers).
    `stalled_after`: a job of which nothing has changed for so long is called stalled.
    """

    floor: float = 5.0
    typical: tuple[float, float] | None = None
    stalled_after: float = 600.0
    rate: tuple[int, float] | None = None

    def __post_init__(self) -> None:
        if not is_number(self.floor) or not 0 < self.floor <= 3600:
            raise PluginError(f"Pacing floor {self.floor!r}: seconds, above 0 and at most 3600")
        if not is_number(self.stalled_after) or self.stalled_after <= 0:
            raise PluginError(f"Pacing stalled_after {self.stalled_after!r}: seconds, above 0")
        rate = self.rate
        if rate is not None:
            pair = isinstance(rate, (tuple, list)) and len(rate) == 2 and all(is_number(value) for value in rate)
            if not pair or not (rate[0] >= 1 and rate[1] > 0):
                raise PluginError(
                    f"Pacing rate {self.rate!r}: a number of requests and of seconds, like (1000, 3600.0)"
                )
        typical = self.typical
        if typical is None:
            return
        pair = isinstance(typical, (tuple, list)) and len(typical) == 2 and all(is_number(value) for value in typical)
        if not pair or not 0 < typical[0] < typical[1]:
            raise PluginError(f"Pacing typical {self.typical!r}: two numbers of seconds, the smaller one first")


@dataclass(frozen=True, slots=True)
class ListPollingSpec:
    """Says that the list names all jobs of the account, those that still run too: a page answers for many polls.

    `rows`: how many a page has at most, asked for with `fields` (the list operation's own). A row moves state, stage
    and progress; a verdict in it counts once a status request has confirmed it; a job that is in no row is asked about
    by itself. Leave it out where the list has finished jobs only: that a job is missing there says nothing.

    `batch` is an operation that asks for many jobs by their ids, `rows` at most, in the place of the list: its builder
    takes a tuple of ids. `takes` says of which ids it may be asked, where not of all. `whole` says that its rows are
    the records that the status operation gives: then a verdict in one counts as it stands, unless its files are late.
    """

    rows: int = 100
    fields: Mapping[str, object] = field(default_factory=dict)
    batch: Operation[Page] | None = None
    takes: Callable[[str], bool] | None = None
    whole: bool = False

    def __post_init__(self) -> None:
        if not is_number(self.rows) or not self.rows >= 1:
            raise PluginError(f"ListPollingSpec rows {self.rows!r}: how many a page has, 1 or more")
        if not isinstance(self.fields, Mapping):
            raise PluginError(
                f"ListPollingSpec fields: {type(self.fields).__name__}, not a mapping of the list's fields"
            )
        if not (self.batch is None or isinstance(self.batch, Operation)):
            raise PluginError(f"ListPollingSpec batch: {type(self.batch).__name__}, not an Operation")
        if not (self.takes is None or callable(self.takes)):
            raise PluginError(f"ListPollingSpec takes: {type(self.takes).__name__}, not a function")
        if not isinstance(self.whole, bool) or (self.whole and self.batch is None):
            raise PluginError(f"ListPollingSpec whole: {self.whole!r}: True or False, and True only with a batch")


@dataclass(frozen=True, slots=True)
class Slots:
    """What the provider does with a job beyond those that an account may have at once.

    `over`: it "refuses" it, free of charge, or "queues" it, and it is paid for. `limit` is how many there may be at
    once, where that is the same for every account; None: it is learnt from refusals. `by`: they are counted for the
    "account", or for each "model".
    """

    over: str = "refuses"
    limit: int | None = None
    by: str = "account"

    def __post_init__(self) -> None:
        if self.over not in ("refuses", "queues"):
            raise PluginError(f"Slots over {self.over!r}: 'refuses' or 'queues'")
        if self.by not in ("account", "model"):
            raise PluginError(f"Slots by {self.by!r}: 'account' or 'model'")
        if self.limit is not None and not (isinstance(self.limit, int) and self.limit >= 1):
            raise PluginError(f"Slots limit {self.limit!r}: a whole number of jobs from 1, or None")


class Stage(NamedTuple):
    """A status word that the provider documents, the state it means, and the progress (percent) it covers, if told."""

    word: str
    state: State
    progress: tuple[float, float] | None = None


class PreparedRequest(NamedTuple):
    """A request as it goes out, for the auth that signs it: the whole `url`, the bytes of the `body` (b"" for none).

    `headers` are all that the plugin and vidpoll set, those of the auth apart. `at` is the time in Unix seconds.
    """

    method: str
    url: str
    headers: Mapping[str, str] = {}
    body: bytes = b""
    at: float = 0.0


class Auth(Protocol):
    """Turns secrets into headers, for one request. `variables` are the environment variables that hold the secrets.

    `required` is False where the provider also answers without a key.
    """

    @property
    def variables(self) -> tuple[str, ...]: ...

    @property
    def required(self) -> bool: ...

    def __call__(self, request: PreparedRequest, secrets: Mapping[str, str]) -> Mapping[str, str]:
        """The headers that authenticate `request`; `secrets` maps each variable to its value."""
        ...


class KeyHeader(NamedTuple):
    """A key in a header of any name: `KeyHeader("x-api-key", "ACME_API_KEY")`, or with a prefix before the key."""

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
    """`Authorization: Bearer KEY` (RFC 6750), the key taken from an environment variable."""
    return KeyHeader("Authorization", variable, "Bearer ", required)


class Basic(NamedTuple):
    """`Authorization: Basic …` (RFC 7617) from two environment variables."""

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
    """Auth that a function makes anew for each request: `Minted(("ACCESS_KEY", "SECRET_KEY"), sign)`.

    `mint(request, secrets)` takes a PreparedRequest (method, url, headers, body, time) and returns the headers: those
    of a signature over the whole content, a token that ends soon, an id that must be new each time. It runs in the
    calling thread and must not use the network.
    """

    variables: tuple[str, ...]
    mint: Callable[[PreparedRequest, Mapping[str, str]], Mapping[str, str]]
    required: bool = True

    def __call__(self, request: PreparedRequest, secrets: Mapping[str, str]) -> Mapping[str, str]:
        return self.mint(request, secrets)


@dataclass(frozen=True, slots=True, init=False)
class AnyOf:
    """Alternative keys: the first alternative counts whose variables are all set.

    `AnyOf(Bearer("ACME_API_KEY"), Minted(("ACME_ACCESS_KEY", "ACME_SECRET_KEY"), sign))`. `Account(key="…")` is the key
    of the first alternative that takes one. Raises PluginError for fewer than two, or one that takes no key.
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
    """The kinds of auth of which one is enough: its alternatives, or the only one."""
    return auth.alternatives if isinstance(auth, AnyOf) else (auth,)


def key_names(auth: Auth) -> str:
    """The variables that hold the key, in words: those of one alternative are needed together."""
    return ", or ".join(" and ".join(way.variables) for way in ways(auth))


class NoAuth(NamedTuple):
    """A provider that asks for no key."""

    variables: tuple[str, ...] = ()
    required: bool = False

    def __call__(self, request: PreparedRequest, secrets: Mapping[str, str]) -> Mapping[str, str]:
        return {}


Verify = Callable[[Mapping[str, str], bytes, str, float], str]
"""Takes headers (names in lower case), the body, the secret and Unix seconds; what is wrong, "" where nothing is."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """How a pushed body is signed, and what it says. `verify` checks the signature; None where the vendor signs none.

    `read` makes of the pushed object what the status operation reads (`{"data": {…}}` of a body with an event around
    it); without it that is the pushed body itself.

    >>> Webhook(declare.standard_webhooks(), lambda pushed: pushed["data"]).read({"data": {"id": "7"}})
    {'id': '7'}
    """

    verify: Verify | None = None
    read: Callable[[dict[str, Any]], Mapping[str, Any]] | None = None


def is_base_url(url: object) -> bool:
    """Whether a URL can be a base URL: http or https, a host, no user data, query, fragment or space."""
    if not isinstance(url, str) or not url.isprintable() or " " in url:
        return False
    try:
        origin(url)
    except ValueError:
        return False
    return not (urlsplit(url).query or urlsplit(url).fragment)


def _is_range(progress: object) -> bool:
    """Whether it is a range of progress, or None."""
    if progress is None:
        return True
    pair = isinstance(progress, (tuple, list)) and len(progress) == 2 and all(map(is_number, progress))
    return pair and 0 <= progress[0] <= progress[1] <= 100  # type: ignore[index]  # it is a pair


def _fits(host: str, pattern: str) -> bool:
    star, end = pattern.startswith("*"), pattern.removeprefix("*")
    return host == pattern or (star and re.fullmatch(rf"[a-z0-9-]+{re.escape(end)}", host) is not None)


@dataclass(frozen=True)
class Provider:
    """A system that generates video. Checked when built: a mistake raises PluginError that names it.

    `name` is what users type and the account's default name; `base_url` may be overridden by an account or by the
    environment (`<NAME>_BASE_URL`). `media_hosts` are https hosts that may get the key besides the base URL's origin,
    while that is the provider's own.
    `hosts` are further https hosts of the vendor's API, to which a Request may name one: it is sent, with the key,
    only while the account is at the vendor's own (`base_url`, or one of them). A name may begin with `*`, which stands
    for letters, digits and `-`: `*-aiplatform.googleapis.com`.
    `drops` are names of fields of others (a further `*` at the end stands for anything: `api_key_*`): they are taken
    out of every answer before anything reads, keeps or shows it, and out of what the store keeps of a submit. With a
    place after the name only items of a list go: `prompt[3:]` is the list `prompt` from its fourth item on,
    `queue_*[][2:]` each list in such a list from its third. `webhook` says how a pushed body is signed and read.
    `list_polling` says that the list may stand in for status requests. `upload` has an operation for each kind of file
    that a job may need; the first one whose builder takes a file gets it (it raises InvalidField for others).
    `estimate` has, for kinds of submit, the question what a job would cost: it buys nothing, and may be sent again.
    `headers` go with every request to the origin. `error` reads a refusal. `slots` says what becomes of a job beyond
    those that an account may have at once.
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
            raise PluginError(f"Provider name {self.name!r}: lower-case letters, digits, '_', '-'")
        if not is_base_url(self.base_url):
            raise PluginError(f"Provider {self.name}: base_url {self.base_url!r} is no plain http or https URL")
        self._check_kinds()
        self._check_auth()
        for host in self.media_hosts:
            if not isinstance(host, str) or not _HOST.fullmatch(host):
                raise PluginError(f"Provider {self.name}: media_hosts {host!r}: a bare host name in lower case")
        for host in self.hosts:
            if not isinstance(host, str) or not _HOSTS.fullmatch(host):
                raise PluginError(
                    f"Provider {self.name}: hosts {host!r}: a host name in lower case, or '*' and its end: "
                    "'*-aiplatform.googleapis.com'"
                )

    def is_vendors(self, host: str) -> bool:
        """Whether an https host is the vendor's API by `hosts`."""
        return any(_fits(host, each) for each in self.hosts)

    def _check_kinds(self) -> None:
        due: list[tuple[str, object, type]] = [
            ("pacing", self.pacing, Pacing),
            ("submit", self.submit, Mapping),
            ("upload", self.upload, Mapping),
            ("estimate", self.estimate, Mapping),
            ("headers", self.headers, Mapping),
            ("media_hosts", self.media_hosts, tuple),  # a text here would trust every part of itself
            ("hosts", self.hosts, tuple),
            ("drops", self.drops, tuple),
            ("stages", self.stages, tuple),
            ("slots", self.slots, Slots),
        ]
        for role, value, kind in due:
            if not isinstance(value, kind):
                raise PluginError(f"Provider {self.name}: {role} is {type(value).__name__}, not a {kind.__name__}")
        for role, operation in {"status": self.status, **self.operations()}.items():
            if not isinstance(operation, Operation):
                raise PluginError(f"Provider {self.name}: {role} is {type(operation).__name__}, not an Operation")
        self._check_estimates()
        self._check_list_polling()
        if not all(map(is_drop, self.drops)):
            raise PluginError(
                f"Provider {self.name}: drops {self.drops!r}: names of fields, like 'extra_data' or 'prompt[3:]'"
            )
        if not (self.webhook is None or isinstance(self.webhook, Webhook)):
            raise PluginError(f"Provider {self.name}: webhook is {type(self.webhook).__name__}, not a declare.Webhook")
        if not callable(self.error):
            raise PluginError(f"Provider {self.name}: error is {type(self.error).__name__}, not a function")
        self._check_stages()

    def _check_stages(self) -> None:
        for stage in self.stages:
            if not isinstance(stage, Stage):
                raise PluginError(f"Provider {self.name}: stages hold {type(stage).__name__}, not only Stage")
            if not _is_range(stage.progress):
                raise PluginError(
                    f"Provider {self.name}: stage {stage.word!r} covers the progress {stage.progress!r}: two numbers "
                    "from 0 to 100, the smaller one first, or None"
                )

    def _check_estimates(self) -> None:
        for kind in self.estimate:
            if kind not in self.submit:
                raise PluginError(f"Provider {self.name}: estimate {kind!r}: there is no submit of that name")

    def _check_list_polling(self) -> None:
        polling = self.list_polling
        if polling is not None and not (isinstance(polling, ListPollingSpec) and (self.list or polling.batch)):
            raise PluginError(
                f"Provider {self.name}: list_polling is a vidpoll.ListPollingSpec, and needs a list or a batch"
            )

    def _check_auth(self) -> None:
        if not callable(self.auth) or not hasattr(self.auth, "variables") or not hasattr(self.auth, "required"):
            raise PluginError(
                f"Provider {self.name}: auth is no Bearer, KeyHeader, Basic, Minted, AnyOf, NoAuth or the like"
            )
        variables = self.auth.variables
        if not isinstance(variables, tuple) or not all(isinstance(name, str) and name for name in variables):
            raise PluginError(f"Provider {self.name}: auth variables {variables!r}: a tuple of environment variables")

    def operations(self) -> dict[str, Operation[Any]]:
        """The operations that this provider has, by name; those with kinds as `submit KIND`, `estimate KIND` …"""
        plain = {role: getattr(self, role) for role in ("status", "list", "quota", "cancel", "delete", "content")}
        of_kinds: list[tuple[str, Mapping[str, Operation[Any]]]] = [
            ("submit", self.submit),
            ("upload", self.upload),
            ("estimate", self.estimate),
        ]
        kinds = {f"{role} {kind}": each for role, found in of_kinds for kind, each in found.items()}
        return {**{role: operation for role, operation in plain.items() if operation is not None}, **kinds}
