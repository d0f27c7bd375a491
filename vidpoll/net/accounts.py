"""Accounts: the provider, its base URL, the key, and where that key may go. Without network code.

A user writes an `Account`. An `OpenAccount` has resolved its base URL and secrets. It turns a plugin's Request into a
`WireRequest`, which is all that the transport needs.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, urlencode, urljoin, urlsplit, urlunsplit

from .. import redact
from ..clock import SystemClock
from ..errors import InvalidField, MissingKey, PluginError, UnsafeURL, Unsupported, UsageError
from ..model import Request, Response, origin
from ..provider import MAX_BODY, PreparedRequest, Provider, is_base_url, ways
from .hosts import PUBLIC, Peer, is_private, nearness
from .keys import FROM_ENVIRONMENT, FromEnvironment, Key, check_advice, given_secrets, in_python
from .urls import base_url_fault

_REMEMBERED = 64  # lasting secrets; those minted for one request are kept with that request
_PUBLIC_HEADERS = ("accept", "content-type", "date", "host", "user-agent")
_IN_A_VALUE = re.compile(r"[^\s,;:=&\"']+")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_ROOT = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*:)?//[^/?#]*")
_UNWRITABLE = re.compile(r"%(?![0-9A-Fa-f]{2})|[^!#$%&'()*+,/:;=?@\[\]~A-Za-z0-9._-]")
_UNSPEAKABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffd]")


@dataclass(frozen=True, slots=True, repr=False, kw_only=True)
class Account:
    """A named use of a provider: `Account("moneyprinterturbo", base_url="http://10.0.0.7:8080", key=None)`.

    `provider` is the provider's name. `base_url`: by default `<PROVIDER>_BASE_URL` if set, else the provider's own.
    `key`: text, a mapping of variable to text for a provider with several secrets, a callable that returns either
    (called for each request), or None for no key; by default the environment variable that the provider names.
    `insecure=True` allows sending a key over plain http to a host that is neither loopback nor private.

    `private_media=True` lets a server on the public net name files at addresses of this network or this machine; else
    vidpoll does not fetch such files. Use it for your own gateway with files behind it.

    `headers` are for a proxy in front of the server (Basic auth, Cloudflare Access). They are secrets: they go only to
    the origin of the base URL, and are never shown, pickled or stored. A user and password in `base_url` become such a
    header (`Authorization: Basic …`). `parts`: into how many parts `Client.serve` may divide the account, from 1 to
    1,024, one process for each. Keep 1 if the provider has list polling, because a list cannot be divided.
    """

    provider: str = field(kw_only=False)
    base_url: str | None = None
    key: Key = field(default=FROM_ENVIRONMENT, repr=False)
    insecure: bool = False
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    private_media: bool = False
    parts: int = 1

    def __repr__(self) -> str:
        where = "" if self.base_url is None else f", base_url={redact.base_url(str(self.base_url))!r}"
        flags = "".join(f", {name}=True" for name in ("insecure", "private_media") if getattr(self, name))
        flags += f", parts={self.parts}" if self.parts != 1 else ""
        return f"Account({self.provider!r}{where}{flags})"

    def __reduce__(self) -> Any:
        if self.key is not FROM_ENVIRONMENT and self.key is not None:
            raise TypeError("an Account with a key cannot be pickled; leave the key to the environment")
        if self.headers or "@" in str(self.base_url):
            raise TypeError("an Account with headers or a password in its base URL cannot be pickled: they are secrets")
        given = {name: getattr(self, name) for name in ("base_url", "key", "insecure", "private_media", "parts")}
        return (partial(Account, **given), (self.provider,))


def _anywhere(url: str) -> bool:
    del url
    return True


def _nothing(url: str, peer: Peer) -> str:
    del url, peer
    return ""


class WireRequest(NamedTuple):
    """One request, ready for the wire. `secret` headers go only to URLs that `trusted` allows.

    `own` returns the account's own headers for a URL.
    """

    method: str
    url: str
    trusted: Callable[[str], bool]
    headers: Mapping[str, str] = MappingProxyType({})
    secret: Mapping[str, str] = MappingProxyType({})
    body: bytes | None = None
    max_body: int = MAX_BODY
    timeout: tuple[float, float] = (10.0, 30.0)
    own: Callable[[str], Mapping[str, str]] = lambda url: MappingProxyType({})
    may_name: Callable[[str], bool] = _anywhere
    """Whether a redirect may lead to a URL."""
    secrets: tuple[str, ...] = ()
    """The secrets that its response must not show: the account's, and those minted for this request."""

    strays: Callable[[str, Peer], str] = _nothing
    """Why no request for a URL goes to the resolved address of its host; empty if it may go."""

    exposes: Callable[[str, Peer], str] = _nothing
    """Why a secret must not go to a URL through a peer (its host, or a proxy before it); empty if it may."""

    def __repr__(self) -> str:
        return f"WireRequest({self.method} {redact.url(self.url)})"


class OpenAccount:
    """An opened account: the provider, its base URL, its secrets, and the rules for where they may go."""

    def __init__(
        self,
        name: str,
        account: Account,
        provider: Provider,
        environ: Mapping[str, str],
        now: Callable[[], float] = SystemClock.time,
    ) -> None:
        self.name = name
        self._now = now
        self.provider = provider
        self.account = account
        self._environ = environ
        del environ  # errors are raised here, and a shown traceback may include the local variables
        self.known: tuple[str, ...] = ()
        """The lasting secrets that were sent, latest last."""
        variable = f"{_variable(provider.name)}_BASE_URL"
        self.base_url, user = without_user(
            str(account.base_url or self._environ.get(variable) or provider.base_url).strip().rstrip("/")
        )
        self.set_by = "its base_url" if account.base_url else variable
        """What sets the base URL, in words for an error message."""
        if not is_base_url(self.base_url):
            shown, like = redact.base_url(self.base_url), provider.base_url
            half = "; a login needs a name and a secret: http://NAME:SECRET@HOST" if "@" in self.base_url else ""
            why = base_url_fault(self.base_url)
            raise UsageError(f"{name}: {shown!r} is not a base URL: {why}; set {self.set_by} to one like {like}{half}")
        self.origin = origin(self.base_url)
        self._told_of_clear = False
        self._own = self._checked_headers({**user, **account.headers})

    def _checked_headers(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """The account's own headers, recorded as secrets."""
        headers = {name: redact.Secret.of(value) for name, value in headers.items()}
        for name, value in headers.items():
            text = value.isascii() and value.isprintable() and value == value.strip()
            if not (isinstance(name, str) and _TOKEN.fullmatch(name) and text and value):
                raise UsageError(
                    f"{self.name}: the header {redact.text(name, limit=60)!r} cannot be sent: its name or its value "
                    "is empty, or holds outer spaces, line ends or non-ASCII characters"
                )
        for secret in _secrets_in(headers):
            self._remember(secret)
        return headers

    def own_headers(self, url: str) -> Mapping[str, str]:
        """The account's own headers for a URL: they go only to the origin of its base URL."""
        try:
            return self._own if self._own and origin(url) == self.origin else {}
        except ValueError:
            return {}

    @property
    def standard(self) -> bool:
        """Whether the command line also has this account: its name is that of its provider."""
        return self.name == self.provider.name

    def secrets(self) -> dict[str, str]:
        """The secrets by variable; empty if the account has none. Raises MissingKey, which says what to set."""
        auth, found = self.provider.auth, given_secrets(self.provider.auth, self.account.key, self._environ)
        if found is None:
            return {}
        for way in ways(auth):
            if found.keys() >= set(way.variables):
                used = {name: self._checked(name, found[name]) for name in way.variables}
                for name in found.keys() - used.keys():  # not sent, but still a secret
                    self._remember(found[name])
                return used
        if not auth.required and not found:
            return {}
        lacking = ", or ".join(" and ".join(name for name in way.variables if name not in found) for way in ways(auth))
        if isinstance(self.account.key, FromEnvironment):
            raise MissingKey(
                f"{self.name}: no key. Set the environment variable {lacking}, or pass Client({self._in_python})"
            )
        raise MissingKey(
            f"{self.name}: no key. The key in {self._in_python} is empty or has no {lacking}: pass it there, or omit "
            "key= to use the environment variable"
        )

    @property
    def key_advice(self) -> str:
        """The next step after a 401, as a sentence without its full stop: what holds the key."""
        return check_advice(self.name, self.provider.name, self.account.key, self.provider.auth)

    @property
    def _in_python(self) -> str:
        return in_python(self.name, self.provider.name)

    def check(self) -> None:
        """Raise what `wire` would raise, before anything is sent: MissingKey, or UsageError for an unencrypted key."""
        if self.secrets() or self._own:
            self._check_channel()

    def _checked(self, name: str, value: redact.Secret) -> str:
        if not value.isprintable() or value != value.strip() or not value.isascii():
            own = not isinstance(self.account.key, FromEnvironment)
            given = f"{name} of {self._in_python}" if own else name
            raise MissingKey(f"{self.name}: {given} is not a key: it has spaces, line ends or non-ASCII characters")
        self._remember(value)
        return value

    def _remember(self, secret: str) -> None:
        """Record a lasting secret that is sent. Several latest ones stay known, because keys may change."""
        if self.known[-1:] != (secret,):
            self.known = (*(known for known in self.known if known != secret), secret)[-_REMEMBERED:]

    def _secrets_with(self, headers: Mapping[str, str]) -> tuple[str, ...]:
        """The secrets that a response to a request with these headers must not show."""
        known = self.known
        minted = [value for value in _secrets_in(headers) if not any(secret in value for secret in known)]
        return (*known, *minted) if minted else known

    def wire(self, request: Request, *, timeout: tuple[float, float], max_body: int = MAX_BODY) -> WireRequest:
        """The request for the wire, with its auth.

        Raises MissingKey, UsageError if the key would be sent unencrypted, Unsupported for a host of the vendor if the
        account is not at the vendor, and InvalidField for a value that JSON cannot hold.
        """
        if request.host:
            self._check_host(request.host)
        above = "" if request.host else self.base_url
        url = above + request.place + (f"?{urlencode(request.query)}" if request.query else "")
        headers = {**self.provider.headers, **request.headers}
        body = request.body
        if request.json is not None:
            try:
                body = json.dumps(request.json, ensure_ascii=False, allow_nan=False).encode()
            except (TypeError, ValueError, RecursionError) as error:
                raise InvalidField(f"{self.name}: cannot be written as JSON: {redact.text(error, limit=120)}") from None
            if "content-type" not in map(str.lower, headers):
                headers["Content-Type"] = "application/json"
        prepared = PreparedRequest(request.method, url, headers, body or b"", self._now())
        secret = self._auth(prepared)  # last: the raises above then have no secret among their local variables
        return WireRequest(
            request.method,
            url,
            partial(_is_at, ("https", request.host, 443)) if request.host else self.may_hold_key,
            headers,
            secret,
            body,
            max_body,
            timeout,
            may_name=self.may_name,
            own=self.own_headers,
            secrets=self._secrets_with(secret),
            strays=self.strays,
            exposes=self.exposes,
        )

    def media(
        self, url: str, headers: Mapping[str, str], *, timeout: tuple[float, float], below: bool = False
    ) -> WireRequest:
        """A GET for an asset's URL, at its `place`. Raises UnsafeURL."""
        full = self.place(url, below=below)
        asked = PreparedRequest("GET", full, headers, b"", self._now())
        secret = self._auth(asked) if self.may_hold_key(full) else {}
        return WireRequest(
            "GET",
            full,
            self.may_hold_key,
            headers,
            secret,
            timeout=timeout,
            may_name=self.may_name,
            own=self.own_headers,
            secrets=self._secrets_with(secret),
            strays=self.strays,
            exposes=self.exposes,
        )

    def place(self, url: str, *, below: bool = False) -> str:
        """The full URL from which an asset is fetched.

        A relative URL is joined to the account's origin; if it begins with "./", to its base URL. A URL whose host is
        nearer to this machine than the account is the name that a server of your own gives itself: its path is fetched
        from the account's origin. `below` fetches the path below the base URL, for a server that does not know the
        prefix under which it is reached. Raises UnsafeURL.
        """
        root = self._root
        try:
            full = urljoin(f"{self.base_url}/" if url.startswith("./") else root, encoded(url))
        except ValueError:
            full = url
        check_url(full)
        if not self.may_name(full):
            if self._is_the_vendors:
                raise UnsafeURL(
                    f"{redact.url(full)!r} is not fetched: {self.origin[1]} names an address of this network for a "
                    f"file. {self._private_media}"
                )
            full = root + _ROOT.sub("", full, count=1)
        if not below:
            return full
        path, prefix = _ROOT.sub("", full, count=1), _ROOT.sub("", self.base_url, count=1)
        return (root if f"{prefix}/" != "/" and path.startswith(f"{prefix}/") else root + prefix) + path

    def has_below(self, url: str) -> bool:
        """Whether the path of a URL may also be fetched below the base URL, as at a server of your own."""
        return not self._is_the_vendors and self.place(url, below=True) != self.place(url)

    def may_name(self, url: str) -> bool:
        """Whether a server at the account's origin may name a URL: the host must not be nearer to this machine."""
        host = origin(url)[1]
        far_enough = nearness(host) >= nearness(self.origin[1])
        return far_enough or self.account.private_media or host in self._media_hosts

    def strays(self, url: str, peer: Peer) -> str:
        """Why no request for a URL goes to the resolved address of its host; empty if it may go.

        A server on the public net has no files in this network, whatever DNS says about their host. Exceptions are its
        own origin, and a host with a private name that it may name: they may be at any address. If a proxy resolves the
        host, the address is unknown here.
        """
        if peer.nearness == PUBLIC or peer.is_proxy:
            return ""
        if self.account.private_media or nearness(self.origin[1]) != PUBLIC:
            return ""
        there = origin(url)
        if there == self.origin or nearness(there[1]) != PUBLIC:
            return ""
        return (
            f"{there[1]} is at {peer.address}, an address of this network, but {self.origin[1]} is on the public net. "
            f"{self._private_media}"
        )

    def exposes(self, url: str, peer: Peer) -> str:
        """Why a secret must not go to a URL through a peer; empty if it may.

        Over plain http a secret stays in this network: both the host, by its name, and the connected peer must be here.
        """
        if peer.nearness != PUBLIC or self.account.insecure or not url.lower().startswith("http:"):
            return ""
        host = origin(url)[1]
        where = f" through the proxy {peer.address}" if peer.is_proxy else f", which is at {peer.address}"
        way = f"put {host} into NO_PROXY, " if peer.is_proxy else ""
        return (
            f"the key would travel unencrypted to {host}{where}, on the public net. Use https in its base URL, {way}"
            f"or allow it: {self._insecure}"
        )

    def first_in_the_clear(self, url: str) -> str:
        """A warning, once, about a file over plain http on the public net when the API uses https; else empty."""
        scheme, host, _ = origin(url)
        if self._told_of_clear or scheme == "https" or self.origin[0] != "https" or nearness(host) != PUBLIC:
            return ""
        self._told_of_clear = True
        return (
            f"{self.name}: its file at {host} comes over plain http: anyone on the network path can "
            "read it, change it, and use its URL"
        )

    @property
    def _insecure(self) -> str:
        return f"--insecure, in Python vidpoll.Account({self.provider.name!r}, …, insecure=True)"

    @property
    def _private_media(self) -> str:
        return f"To allow it: --private-media, in Python vidpoll.Account({self.provider.name!r}, …, private_media=True)"

    @property
    def _root(self) -> str:
        scheme, host, port = self.origin
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

    @property
    def _is_the_vendors(self) -> bool:
        """Whether the provider runs the server, on the public net. Such a server has no files in this network."""
        return self._is_the_providers and nearness(self.origin[1]) == PUBLIC

    @property
    def _is_the_providers(self) -> bool:
        """Whether the account's origin is the provider's own."""
        return self.origin == origin(self.provider.base_url)

    @property
    def _media_hosts(self) -> tuple[str, ...]:
        """The hosts that may also get the key; none for a server of your own."""
        return self.provider.media_hosts if self._is_the_providers else ()

    def _check_host(self, host: str) -> None:
        """Raise unless a request to another host of the vendor may be sent."""
        if not self.provider.is_vendors(host):
            raise PluginError(f"{self.provider.name}: the plugin names {host}, which is not in Provider(hosts=…)")
        scheme, mine, _ = self.origin
        if not self._is_the_providers and not (scheme == "https" and self.provider.is_vendors(mine)):
            way = "Use an account without its own base URL" if self.account.base_url else f"Unset {self.set_by}"
            raise Unsupported(
                f"{self.name}: this request goes to {host}, which needs an account at {self.provider.base_url}, not at "
                f"{redact.url(self.base_url)}. {way}"
            )

    def _auth(self, request: PreparedRequest) -> Mapping[str, str]:
        secrets = self.secrets()
        if secrets or self._own:
            self._check_channel()
        if not secrets:
            return {}
        return {name: redact.Secret(value) for name, value in self.provider.auth(request, secrets).items()}

    def _check_channel(self) -> None:
        scheme, host, _ = self.origin
        if scheme == "http" and not self.account.insecure and not is_private(host):
            raise UsageError(
                f"{self.name}: the key would travel unencrypted to {host}. Use https in its base URL, "
                f"or allow it: {self._insecure}"
            )

    def may_hold_key(self, url: str) -> bool:
        """Whether a URL may get the key: at the account's own origin, or at an https host of `media_hosts`."""
        try:
            there = origin(url)
        except ValueError:
            return False
        media = there[0] == "https" and there[2] == 443 and there[1] in self._media_hosts
        return media or there == self.origin


def scrub(response: Response, secrets: tuple[str, ...]) -> Response:
    """The response without these secrets, for showing; the same object if it holds none."""
    if not secrets:
        return response
    body = response.text()
    clean = redact.hide(body, secrets)
    headers = {name: redact.hide(value, secrets) for name, value in response.headers.items()}
    if body == clean and headers == response.headers:
        return response
    return Response(response.status, headers, clean.encode("utf-8", "replace"))


def _secrets_in(headers: Mapping[str, str]) -> tuple[str, ...]:
    """The secrets in these headers: each value after its scheme, its last word, and each long part of it."""
    found: dict[str, None] = {}
    for name, value in headers.items():
        if str(name).lower() not in _PUBLIC_HEADERS:
            telling = filter(redact.is_telling, _IN_A_VALUE.findall(value))
            found |= dict.fromkeys([value.partition(" ")[2] or value, value.rpartition(" ")[2], *telling])
    return tuple(found)


def _is_at(there: tuple[str, str, int], url: str) -> bool:
    """Whether a URL has this origin."""
    try:
        return origin(url) == there
    except ValueError:
        return False


def without_user(url: str) -> tuple[str, Mapping[str, str]]:
    """A URL without the user and password before its host, and the header that replaces them (RFC 7617)."""
    try:
        parts = urlsplit(url)
        user, at, host = parts.netloc.rpartition("@")
        name, _, password = user.partition(":")
        if not (at and name and password) or "@" in user or "\\" in url:
            return url, {}
        pair = f"{unquote(name)}:{unquote(password)}".encode()
        bare = urlunsplit((parts.scheme, host, parts.path, parts.query, parts.fragment))
    except ValueError:
        return url, {}
    return bare, {"Authorization": redact.Secret(f"Basic {b64encode(pair).decode('ascii')}")}


def encoded(url: str) -> str:
    """A URL that is valid in a request: without outer white space, and with invalid characters percent-encoded.

    Those are spaces, braces, "|", "\\" and similar, non-ASCII characters, and a "%" that begins no escape. Valid parts
    stay byte for byte, because a signature may cover them. Raises UnsafeURL for control characters inside.
    """
    url = url.strip()
    if _UNSPEAKABLE.search(url):
        raise UnsafeURL(f"{redact.url(url)!r} is not fetched: it holds control characters")
    found = _ROOT.match(url)
    root = found[0] if found else ""
    return root + _UNWRITABLE.sub(lambda char: quote(char[0], safe=""), url[len(root) :])


def check_url(url: str) -> None:
    """Raise UnsafeURL unless a URL is http or https, without user data and control characters."""
    try:
        plain = bool(origin(url))
    except ValueError:
        plain = False
    if not plain and url.lower().startswith(("gs://", "s3://")):
        tool = "gcloud storage cp" if url.lower().startswith("gs") else "aws s3 cp"
        raise UnsafeURL(
            f"{redact.url(url)!r} is not fetched: it lies in your own bucket. Fetch it with `{tool}`, or submit "
            "without a storage location: then the response holds the file"
        )
    if not plain or not url.isprintable() or " " in url:
        user = " It holds a user or a password." if "@" in url.partition("://")[2].partition("/")[0] else ""
        raise UnsafeURL(f"{redact.url(url)!r} is not fetched: only plain http and https URLs are fetched.{user}")


def _variable(name: str) -> str:
    return "".join(char if char.isalnum() else "_" for char in name).upper()
