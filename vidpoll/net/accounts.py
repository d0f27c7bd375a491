"""Which provider, where, with whose key, and to whom that key may go. No network code lives here.

An `Account` is what a user writes. An `OpenAccount` has found its base URL and secrets; it turns a plugin's Request
into a `WireRequest`, which is all that the transport needs.
"""

from __future__ import annotations

import ipaddress
import json
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode, urljoin

from .. import redact
from ..errors import InvalidField, MissingKey, UnsafeURL, UsageError
from ..model import Request, Response, origin
from ..provider import MAX_BODY, AnyOf, Provider, is_base_url

_REMEMBERED = 64  # secrets: the lasting ones, and those that were minted for the requests under way
_PRIVATE_SUFFIXES = (".localhost", ".local", ".lan", ".internal", ".home.arpa")
_ROOT = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*:)?//[^/?#]*")
_UNWRITABLE = re.compile(r"%(?![0-9A-Fa-f]{2})|[^!#$%&'()*+,/:;=?@\[\]~A-Za-z0-9._-]")
_UNSPEAKABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffd]")


class FromEnvironment(Enum):
    """The default for a key: the variables that the provider names."""

    FROM_ENVIRONMENT = "from the environment"


FROM_ENVIRONMENT = FromEnvironment.FROM_ENVIRONMENT
Secrets = str | Mapping[str, str]
Key = Secrets | Callable[[], Secrets] | FromEnvironment | None


@dataclass(frozen=True, slots=True, repr=False)
class Account:
    """A named use of a provider: `Account("moneyprinterturbo", base_url="http://10.0.0.7:8080", key=None)`.

    `base_url`: the provider's own unless given here or in `<PROVIDER>_BASE_URL`. `key`: text, a mapping of variable to
    text for a provider with several secrets, a callable that returns either (called for each request), None for no key;
    by default it is taken from the environment variable that the provider names. `insecure=True` allows a key to
    travel over plain http to a host that is neither loopback nor private.
    """

    provider: str
    base_url: str | None = None
    key: Key = field(default=FROM_ENVIRONMENT, repr=False)
    insecure: bool = False

    def __repr__(self) -> str:
        where = "" if self.base_url is None else f", base_url={redact.url(str(self.base_url))!r}"
        return f"Account({self.provider!r}{where}{', insecure=True' if self.insecure else ''})"

    def __reduce__(self) -> Any:
        if self.key is not FROM_ENVIRONMENT and self.key is not None:
            raise TypeError("an Account with a key is not pickled; leave the key to the environment")
        return (Account, (self.provider, self.base_url, self.key, self.insecure))


def _anywhere(url: str) -> bool:
    del url
    return True


class WireRequest(NamedTuple):
    """One request, ready for the wire. `secret` headers go to URLs that `trusted` allows, and nowhere else."""

    method: str
    url: str
    trusted: Callable[[str], bool]
    headers: Mapping[str, str] = MappingProxyType({})
    secret: Mapping[str, str] = MappingProxyType({})
    body: bytes | None = None
    max_body: int = MAX_BODY
    timeout: tuple[float, float] = (10.0, 30.0)
    may_name: Callable[[str], bool] = _anywhere
    """Whether a redirect may lead to a URL."""

    def __repr__(self) -> str:
        return f"WireRequest({self.method} {redact.url(self.url)})"


class OpenAccount:
    """An account that is open: the provider, its base URL, its secrets, and when it may be asked."""

    def __init__(self, name: str, account: Account, provider: Provider, environ: Mapping[str, str]) -> None:
        self.name = name
        self.provider = provider
        self.account = account
        self._environ = environ
        variable = f"{_variable(provider.name)}_BASE_URL"
        self.base_url = str(account.base_url or environ.get(variable) or provider.base_url).strip().rstrip("/")
        if not is_base_url(self.base_url):
            where = "its base_url" if account.base_url else variable
            raise UsageError(
                f"{name}: {redact.url(self.base_url)!r} is no base URL; set {where} to one like {provider.base_url}"
            )
        self.origin = origin(self.base_url)
        self._known: tuple[str, ...] = ()

    @property
    def standard(self) -> bool:
        """Whether any client and the command line have this account: it bears its provider's name."""
        return self.name == self.provider.name

    def secrets(self) -> dict[str, str]:
        """The secrets by variable; empty where the account has none. Raises MissingKey naming what to set."""
        auth = self.provider.auth
        key = self.account.key
        if callable(key):
            key = key()
        if key is None or not auth.variables:
            return {}
        ways = auth.alternatives if isinstance(auth, AnyOf) else (auth,)
        one = next((way.variables[0] for way in ways if len(way.variables) == 1), auth.variables[0])
        named = self._environ if isinstance(key, FromEnvironment) else key if isinstance(key, Mapping) else {one: key}
        found = {name: named[name] for name in auth.variables if named.get(name)}
        for way in ways:
            if found.keys() >= set(way.variables):
                used = {name: self._checked(name, found[name]) for name in way.variables}
                for name in found.keys() - used.keys():  # not sent, and a secret all the same
                    self._remember(str(found[name]))
                return used
        if not auth.required and not found:
            return {}
        lacking = [[name for name in way.variables if name not in found] for way in ways]
        raise MissingKey(
            f"{self.name}: no key. Set the environment variable {', or '.join(map(' and '.join, lacking))}, "
            f"or pass Client(accounts={{{self.name!r}: vidpoll.Account({self.provider.name!r}, key=…)}})"
        )

    def check(self) -> None:
        """Raise, before anything is sent, what `wire` would raise: MissingKey, or UsageError for an open channel."""
        if self.secrets():
            self._check_channel()

    def _checked(self, name: str, value: str) -> str:
        if not isinstance(value, str) or not value.isprintable() or value != value.strip() or not value.isascii():
            raise MissingKey(f"{self.name}: {name} is no key: it holds spaces, line ends or non-ASCII characters")
        self._remember(value)
        return value

    def _remember(self, secret: str) -> None:
        """Note a secret that is sent. The latest stay known: what is minted for each request ousts no lasting key."""
        if self._known[-1:] != (secret,):
            self._known = (*(known for known in self._known if known != secret), secret)[-_REMEMBERED:]

    def wire(self, request: Request, *, timeout: tuple[float, float], max_body: int = MAX_BODY) -> WireRequest:
        """The request for the wire, with its auth.

        Raises MissingKey, UsageError where the key may not travel, and InvalidField for what JSON cannot say.
        """
        secret = self._auth(request)
        url = self.base_url + request.path + (f"?{urlencode(request.query)}" if request.query else "")
        headers = {**self.provider.headers, **request.headers}
        body = request.body
        if request.json is not None:
            try:
                body = json.dumps(request.json, ensure_ascii=False, allow_nan=False).encode()
            except (TypeError, ValueError, RecursionError) as error:
                raise InvalidField(f"{self.name}: not to be written as JSON: {redact.text(error, limit=120)}") from None
            if "content-type" not in map(str.lower, headers):
                headers["Content-Type"] = "application/json"
        return WireRequest(
            request.method, url, self.may_hold_key, headers, secret, body, max_body, timeout, self.may_name
        )

    def media(
        self, url: str, headers: Mapping[str, str], *, timeout: tuple[float, float], below: bool = False
    ) -> WireRequest:
        """A GET for an asset's URL, at its `place`. Raises UnsafeURL."""
        full = self.place(url, below=below)
        secret = self._auth(Request("GET", "/")) if self.may_hold_key(full) else {}
        return WireRequest("GET", full, self.may_hold_key, headers, secret, timeout=timeout, may_name=self.may_name)

    def place(self, url: str, *, below: bool = False) -> str:
        """Where an asset's URL is asked for.

        A relative one is joined to the account's origin, one that begins with "./" to its base URL. One at an address
        that is nearer to this machine than the account is what a server of one's own calls itself: its path is asked
        for at the account's origin. `below` asks for the path below the base URL, for a server that does not know the
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
                    f"{redact.url(full)!r} is not fetched: {self.origin[1]} names an address of this network for a file"
                )
            full = root + _ROOT.sub("", full, count=1)
        if not below:
            return full
        path, prefix = _ROOT.sub("", full, count=1), _ROOT.sub("", self.base_url, count=1)
        return (root if f"{prefix}/" != "/" and path.startswith(f"{prefix}/") else root + prefix) + path

    def has_below(self, url: str) -> bool:
        """Whether the path of a URL may be asked for below the base URL as well: at a server of one's own it may."""
        return not self._is_the_vendors and self.place(url, below=True) != self.place(url)

    def may_name(self, url: str) -> bool:
        """Whether a server at the account's origin may name a URL: one whose host is not nearer to this machine."""
        host = origin(url)[1]
        return nearness(host) >= nearness(self.origin[1]) or host in self.provider.media_hosts

    @property
    def _root(self) -> str:
        scheme, host, port = self.origin
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

    @property
    def _is_the_vendors(self) -> bool:
        """Whether the provider runs the server, on the public net. It has no files in this network."""
        return self.base_url == self.provider.base_url.rstrip("/") and nearness(self.origin[1]) == PUBLIC

    def _auth(self, request: Request) -> Mapping[str, str]:
        secrets = self.secrets()
        if not secrets:
            return {}
        self._check_channel()
        headers = self.provider.auth(request, secrets)
        for name, value in headers.items():
            if str(name).lower() == "authorization":  # what was made of the secrets is one itself
                self._remember(str(value).rpartition(" ")[2])
        return headers

    def _check_channel(self) -> None:
        scheme, host, _ = self.origin
        if scheme == "http" and not self.account.insecure and not is_private(host):
            raise UsageError(
                f"{self.name}: the key would travel unencrypted to {host}. Use https in its base URL, "
                f"or say vidpoll.Account({self.provider.name!r}, …, insecure=True)"
            )

    def may_hold_key(self, url: str) -> bool:
        """Whether a URL may get the key: the account's own origin, or an https host that the plugin names."""
        try:
            there = origin(url)
        except ValueError:
            return False
        media = there[0] == "https" and there[2] == 443 and there[1] in self.provider.media_hosts
        return media or there == self.origin

    def scrub(self, response: Response) -> Response:
        """The response without the secrets that were sent: some servers echo the key back."""
        if not self._known:
            return response
        known = sorted(self._known, key=len, reverse=True)  # one may be the start of another
        body = redact.body(response.body, known)
        headers = {name: redact.hide(value, known) for name, value in response.headers.items()}
        unchanged = body is response.body and headers == response.headers
        return response if unchanged else Response(response.status, headers, body)


def encoded(url: str) -> str:
    """A URL as it may stand in a request: outer white space goes, what may not stand there is percent-encoded.

    That are spaces, braces, "|", "\\" and the like, what is not ASCII, and a "%" that begins no escape. What is written
    validly stays byte for byte: signatures may count it. Raises UnsafeURL for control characters inside.
    """
    url = url.strip()
    if _UNSPEAKABLE.search(url):
        raise UnsafeURL(f"{redact.url(url)!r} is not fetched: there are control characters in it")
    found = _ROOT.match(url)
    root = found[0] if found else ""
    return root + _UNWRITABLE.sub(lambda char: quote(char[0], safe=""), url[len(root) :])


def check_url(url: str) -> None:
    """Raise UnsafeURL unless it is an http or https URL without user data and control characters."""
    try:
        plain = bool(origin(url))
    except ValueError:
        plain = False
    if not plain or not url.isprintable() or " " in url:
        raise UnsafeURL(f"{redact.url(url)!r} is not fetched: only plain http and https URLs are")


@cache
def is_private(host: str) -> bool:
    """Whether a host is loopback, private or link-local by its name or number; nothing is looked up."""
    host = host.rstrip(".")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        number = host[:1].isdigit()  # 134744072 and 0x08080808 are ways to write 8.8.8.8
        return host.endswith(_PRIVATE_SUFFIXES) or ("." not in host and not number)
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_private or address.is_loopback or address.is_link_local


LOOPBACK, LINK_LOCAL, PRIVATE, PUBLIC = range(4)


@cache
def nearness(host: str) -> int:
    """How near a host is by its name or number, from LOOPBACK (this machine) to PUBLIC; nothing is looked up."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return LOOPBACK
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        try:  # 2130706433, 0x7f.1 and 127.1 are ways to write 127.0.0.1
            address = ipaddress.ip_address(socket.inet_aton(name) if name[:1].isdigit() else name)
        except (OSError, ValueError):
            return PRIVATE if is_private(name) else PUBLIC
    address = getattr(address, "ipv4_mapped", None) or address
    if address.is_loopback or address.is_unspecified:
        return LOOPBACK
    if address.is_link_local:
        return LINK_LOCAL
    return PRIVATE if is_private(str(address)) else PUBLIC


def _variable(name: str) -> str:
    return "".join(char if char.isalnum() else "_" for char in name).upper()
