"""The files of a job: URLs or bytes at paths of the response, or places below the base URL made from its id."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlencode

from .. import parsing
from ..errors import BadReference, PluginError
from ..model import Asset
from .lines import Line
from .paths import Where, alternatives, check_where

Files = Mapping[str, Where]
"""Each kind of file with its path. A path "./videos/{id}/content" is a place below the base URL.

The value at a path that begins with "base64:" is the file itself, in base64.
"""

_DATA = "base64:"


def check_files(place: str, files: Any, names: Collection[str]) -> None:
    """Raise PluginError unless each kind has a path, or a place whose holes are among `names`."""
    if not isinstance(files, Mapping):
        raise PluginError(f"{place} must be a mapping like {{'video': 'url'}}, got {type(files).__name__}")
    for kind, where in files.items():
        plain = tuple(path for path in alternatives(where) if not _is_place(path))
        check_where(f"{place} {kind!r}", tuple(p.removeprefix(_DATA) if isinstance(p, str) else p for p in plain))
        for path in filter(_is_place, alternatives(where)):
            Line(f"GET {path[1:]}").allow(f"{place} {kind!r}", names)


def read_files(data: Any, files: Files, parts: Mapping[str, str]) -> tuple[Asset, ...]:
    """The assets of each kind, from the first of its paths that has any. `parts` fill the holes of places."""
    found: tuple[Asset, ...] = ()
    for kind, where in files.items():
        tries = (_files(data, path, kind, parts) for path in alternatives(where))
        found += next(filter(None, tries), ())
    return found


def _files(data: Any, path: str, kind: str, parts: Mapping[str, str]) -> tuple[Asset, ...]:
    if _is_place(path):
        return _place(path, kind, parts)
    if path.startswith(_DATA):
        return _bytes(parsing.at(data, path.removeprefix(_DATA)), kind)
    return _urls(parsing.at(data, path), kind)


def _bytes(found: Any, kind: str) -> tuple[Asset, ...]:
    """The files in the response itself; a value that is not base64 is ignored."""
    texts = [each for each in (found if isinstance(found, list) else [found]) if isinstance(each, str) and each]
    try:
        return tuple(Asset(data=b64decode(each.rpartition(";base64,")[2], validate=True), kind=kind) for each in texts)
    except ValueError:  # for text that is not ASCII, a plain ValueError
        return ()


def _urls(found: Any, kind: str) -> tuple[Asset, ...]:
    """A URL, or a list of URLs, each with its expiry if its query gives one."""
    urls = found if isinstance(found, list) else [found]
    return tuple(each for url in urls for each in parsing.assets([url], kind, expires_at=parsing.expiry(url)))


def _place(path: str, kind: str, parts: Mapping[str, str]) -> tuple[Asset, ...]:
    """The file at a place below the base URL; none if the job's id is unknown or invalid."""
    try:
        made = Line(f"GET {path[1:]}").request(parts)
    except (BadReference, KeyError):
        return ()
    return (Asset(f".{made.path}{'?' if made.query else ''}{urlencode(made.query)}", kind),)


def _is_place(path: Any) -> bool:
    return isinstance(path, str) and path.startswith("./")
