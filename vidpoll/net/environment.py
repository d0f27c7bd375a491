"""Reads proxies and certificates from the environment, before anything is sent.

An unusable setting raises at once and names its variable. Otherwise the libraries would later raise an error that looks
like a fault of the network.
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
"""The variables that name a file of certificates; the first one that is set counts."""

_KINDS = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")
_ESCAPES = "percent-encode special characters in its user and password (# is %23, / is %2F, @ is %40, : is %3A)"


class Way(NamedTuple):
    """How a request to a URL travels: the settings for the libraries, and the host of the proxy, empty if none."""

    settings: dict[str, Any]
    proxy: str


def way(url: str) -> Way:
    """How a request to a URL travels, according to the environment. Raises Misconfigured."""
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
    """The proxy for a URL, without its login; empty if there is none. Raises Misconfigured."""
    if nearness(urlsplit(url).hostname or "") == LOOPBACK:
        return ""
    chosen = requests.utils.select_proxy(url, requests.utils.get_environ_proxies(url)) or ""
    if chosen:
        _check_proxy(chosen, proxy_variable(url))
    return chosen and redact.url(_with_scheme(chosen))


def bundle() -> tuple[str, str]:
    """(the variable that names the trusted certificates, or "certifi", and their path). Raises Misconfigured."""
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
    """The next step for a certificate that is not signed by a trusted authority."""
    name = _bundle_variable(os.environ)
    if name is None:
        return "if your company has its own CA, set REQUESTS_CA_BUNDLE to a file with the CA's certificate"
    return f"add the certificate of its issuer to the file that {name} names"


def _bundle_variable(environ: Mapping[str, str]) -> str | None:
    return next((name for name in BUNDLES if _counts(name, environ.get(name))), None)


def _counts(name: str, path: str | None) -> bool:
    """Whether a variable counts. OpenSSL and the libraries ignore an SSL_CERT_FILE that does not exist."""
    return bool(path) and (name != "SSL_CERT_FILE" or Path(str(path)).is_file())


def _verified(verify: Any) -> Any:
    """What verifies certificates. Raises Misconfigured if the named file cannot be used."""
    name = _bundle_variable(os.environ)
    if verify is True and name == "SSL_CERT_FILE":
        verify = os.environ[name]
    wrong = _wrong(Path(verify)) if isinstance(verify, str) else ""
    if wrong:
        raise Misconfigured(
            f"the CA certificates that {name} names cannot be used ({wrong}): set {name} to an existing file of "
            "certificates, or unset it"
        )
    return verify


def _wrong(bundle: Path) -> str:
    """What is wrong with a file or folder of certificates; empty if nothing is."""
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
            f"the proxy that {variable} names is not a URL: write http://USER:PASSWORD@HOST:PORT, and {_ESCAPES}"
        )
    if parsed.scheme not in _KINDS:
        raise Misconfigured(f"the proxy that {variable} names has an unknown scheme: use one of {', '.join(_KINDS)}")
    if str(parsed.scheme).startswith("socks") and find_spec("socks") is None:
        raise Misconfigured(f"{variable} names a SOCKS proxy, which needs PySocks: pip install 'requests[socks]'")
