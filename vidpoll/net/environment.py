"""What the environment says of the way: proxies and certificates. Looked at before anything is sent.

What cannot work is told at once, with the variable that sets it: behind it the libraries would raise what looks like a
fault of the network.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import requests
import urllib3

from .. import redact
from ..faults import Misconfigured
from .hosts import LOOPBACK, nearness

BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
"""The variables that name a file of certificates, the first that counts first."""

_KINDS = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")
_ESCAPES = "percent-encode what is special in its user and password (# is %23, / is %2F, @ is %40, : is %3A)"


class Way(NamedTuple):
    """How a URL is asked for: what the libraries are told, and the host of the proxy, empty where there is none."""

    settings: dict[str, Any]
    proxy: str


def way(url: str) -> Way:
    """How a URL is asked for, by the environment. Raises Misconfigured."""
    known = settings(url)
    proxy = requests.utils.select_proxy(url, known["proxies"]) or ""
    return Way(known, proxy and str(urllib3.util.parse_url(_with_scheme(proxy)).host).strip("[]"))


def settings(url: str) -> dict[str, Any]:
    """The proxies, the CA bundle and the client certificate for a URL. Raises Misconfigured."""
    with requests.Session() as session:
        merged = session.merge_environment_settings(url, {}, None, None, None)
    parts = urlsplit(url)
    if nearness(parts.hostname or "") == LOOPBACK:  # a proxy cannot reach this machine's own servers
        merged["proxies"] = {}
    if proxy := requests.utils.select_proxy(url, merged["proxies"]):
        _check_proxy(proxy, proxy_variable(url))
    if parts.scheme == "https":
        merged["verify"] = _verified(merged["verify"])
    return {name: merged[name] for name in ("proxies", "verify", "cert")}


def proxy(url: str) -> str:
    """The proxy by which a URL is asked for, without its login; empty where there is none. Raises Misconfigured."""
    if nearness(urlsplit(url).hostname or "") == LOOPBACK:
        return ""
    chosen = requests.utils.select_proxy(url, requests.utils.get_environ_proxies(url)) or ""
    if chosen:
        _check_proxy(chosen, proxy_variable(url))
    return chosen and redact.url(_with_scheme(chosen))


def bundle() -> tuple[str, str]:
    """What names the trusted certificates, a variable or "certifi", and where they are. Raises Misconfigured."""
    name = _bundle_variable(os.environ)
    if name is not None:
        return name, str(_verified(os.environ[name]))
    path = requests.utils.DEFAULT_CA_BUNDLE_PATH
    if wrong := _wrong(Path(path)):
        raise Misconfigured(
            f"the CA certificates of certifi cannot be used ({wrong}): pip install --force-reinstall certifi"
        )
    return "certifi", path


def proxy_variable(url: str) -> str:
    """The name of the variable that sets the proxy for a URL."""
    scheme = urlsplit(url).scheme
    names = [f"{kind}_PROXY" for kind in (scheme.upper(), "ALL")]
    both = [each for name in names for each in (name.lower(), name)]
    return next((name for name in both if os.environ.get(name)), "the proxy settings of this system")


def bundle_step() -> str:
    """What helps where nobody who is trusted has signed a certificate."""
    name = _bundle_variable(os.environ)
    if name is None:
        return "where a company's own CA signs, set REQUESTS_CA_BUNDLE to a file with its certificate"
    return f"add the certificate of its issuer to the file that {name} names"


def _bundle_variable(environ: Mapping[str, str]) -> str | None:
    return next((name for name in BUNDLES if _counts(name, environ.get(name))), None)


def _counts(name: str, path: str | None) -> bool:
    """OpenSSL passes over an SSL_CERT_FILE that is not there, and so does everybody who reads it."""
    return bool(path) and (name != "SSL_CERT_FILE" or Path(str(path)).is_file())


def _verified(verify: Any) -> Any:
    """What certificates are verified by. Raises Misconfigured where the file that is named cannot be used."""
    name = _bundle_variable(os.environ)
    if verify is True and name == "SSL_CERT_FILE":
        verify = os.environ[name]
    wrong = _wrong(Path(verify)) if isinstance(verify, str) else ""
    if wrong:
        raise Misconfigured(
            f"the CA certificates that {name} names cannot be used ({wrong}): set it to a file of certificates that is "
            "there, or unset it"
        )
    return verify


def _wrong(bundle: Path) -> str:
    """What is wrong with a file or a folder of certificates; empty where nothing is."""
    try:
        good = bundle.is_dir() or b"-----BEGIN " in bundle.read_bytes()
    except OSError as error:
        return error.strerror or type(error).__name__
    return "" if good else "there is no certificate in it"


def _with_scheme(proxy: str) -> str:
    return proxy if "://" in proxy else f"http://{proxy}"


def _check_proxy(proxy: str, variable: str) -> None:
    written = _with_scheme(proxy)
    try:
        parsed = urllib3.util.parse_url(written)
    except (urllib3.exceptions.LocationParseError, ValueError):
        parsed = urllib3.util.Url()
    if not parsed.host or ("@" in written and parsed.auth is None):
        raise Misconfigured(
            f"the proxy that {variable} names is no URL: write it like http://USER:PASSWORD@HOST:PORT, and {_ESCAPES}"
        )
    if parsed.scheme not in _KINDS:
        raise Misconfigured(f"the proxy that {variable} names is of no known kind: it may be {', '.join(_KINDS)}")
    if str(parsed.scheme).startswith("socks") and find_spec("socks") is None:
        raise Misconfigured(
            f"{variable} names a SOCKS proxy, for which PySocks is missing: pip install 'requests[socks]'"
        )
