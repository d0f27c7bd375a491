"""URLs exactly as they are written: a signature may cover each byte, so valid URLs are sent unchanged. All pure."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import quote, urljoin

_ROOT = re.compile(r"(?i)https?://[^/?#]*")
_PLAIN_ROOT = re.compile(r"(?i)https?://[a-z0-9.:\[\]-]+")
_UNWRITABLE = re.compile(r"%(?![0-9A-Fa-f]{2})|[^!$%&'()*+,/:;=?@\[\]~A-Za-z0-9._-]")
_HOST = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*:)?//[^/?#]*")
_DOTS = re.compile(r"/\.{1,2}(?:/|$)")
_UNSAFE = re.compile(rb"%(?![0-9A-Fa-f]{2})|[^!#$%&'()*+,/:;=?@\[\]~A-Za-z0-9._-]")


class Written(NamedTuple):
    """A URL that is sent as it is written: its scheme and host, and the target of the request line."""

    root: str
    target: str


def root(url: str) -> str:
    """An http or https URL up to its path, as it is written."""
    found = _ROOT.match(url)
    return url if found is None else found.group()


def written(url: str) -> Written | None:
    """The parts of a valid URL; None for a URL that must be encoded, or with `.` or `..` in its path."""
    start = root(url)
    rest = url[len(start) :].partition("#")[0]
    path, mark, query = rest.partition("?")
    if not _PLAIN_ROOT.fullmatch(start) or _UNWRITABLE.search(rest) or _DOTS.search(path):
        return None
    return Written(start, (path or "/") + mark + query)


def redirected(url: str, location: str) -> str:
    """The URL of a Location in the response to `url`. Raises ValueError if it is not a URL.

    http.client reads a header as Latin-1, so its bytes are those of the URL. Bytes that are invalid in a URL are
    percent-encoded; all others stay unchanged.
    """
    raw = location.encode("latin-1", "replace")
    host = _HOST.match(location)
    length = 0 if host is None else len(host[0])
    named = _text(raw[:length]) + _encoded(raw[length:])
    return named if _ROOT.match(named) else urljoin(url, named)


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _encoded(raw: bytes) -> str:
    if any(byte < 0x20 or byte == 0x7F for byte in raw):
        raise ValueError("control characters in a URL")
    return _UNSAFE.sub(lambda found: quote(found[0], safe="").encode(), raw).decode("ascii")


def base_url_fault(url: str) -> str:
    """What is wrong with a text that `is_base_url` refuses; the text is not shown, because it may be a key."""
    if not url.lower().startswith(("https://", "http://")):
        return "it must begin with https:// (or http://)"
    if not url.isprintable() or " " in url:
        return "it must not hold spaces or invisible characters"
    return "it must not hold '?' or '#'" if "?" in url or "#" in url else "its host or port cannot be read"
