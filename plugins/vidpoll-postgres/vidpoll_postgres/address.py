"""The URL of a database: what of it may be shown, and what libpq is told. Nothing is connected here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from vidpoll import StoreError, redact

DEFAULTS = {
    "connect_timeout": 3,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "application_name": "vidpoll",
}
"""What libpq is told where the URL says nothing: a network that was cut is known after some 10 seconds."""

_SECRETS = ("password", "sslpassword", "passfile")


class Address:
    """Where a database is. Raises StoreError for a URL that cannot be one; that error quotes nothing of it."""

    def __init__(self, url: str) -> None:
        given = _read(url)
        self.secrets = tuple(str(given[name]) for name in _SECRETS if given.get(name))
        self.conninfo = make_conninfo(**{**DEFAULTS, **given, "client_encoding": "utf8"})
        self.role = _quoted(str(given["user"])) if given.get("user") else "…"
        self._shown = _shown(given)

    def __str__(self) -> str:
        """The URL without its password and parameters."""
        return self._shown

    def clean(self, text: str) -> str:
        """What the server or libpq said, on one line and without a password."""
        return redact.text(" ".join(text.split()), secrets=self.secrets)


def _quoted(name: str) -> str:
    """A name as SQL reads it."""
    return name if re.fullmatch("[a-z_][a-z0-9_]*", name) else '"' + name.replace('"', '""') + '"'


def _read(url: str) -> Mapping[str, Any]:
    """The parts of a URL. A password whose special characters were not encoded may be in any of them."""
    try:
        given = conninfo_to_dict(url)
    except (psycopg.Error, ValueError):
        raise _wrong() from None
    names = f"{given.get('host', '')}{given.get('user', '')}{given.get('dbname', '')}"
    ports = str(given.get("port", "1")).split(",")
    if any(mark in names for mark in "@?#") or "/" in str(given.get("dbname", "")):
        raise _wrong()
    if not all(port.isdigit() and int(port) < 65536 for port in ports if port):
        raise _wrong()
    return given


def _wrong() -> StoreError:
    return StoreError(
        "the store's URL cannot be read: it must be like postgresql://user:password@host:5432/database, with the "
        "parameters of libpq after a question mark, and any of : / ? # @ % in the password as %3A %2F %3F %23 %40 %25"
    )


def _shown(given: Mapping[str, Any]) -> str:
    hosts, ports = str(given.get("host") or "").split(","), str(given.get("port") or "").split(",")
    ports = ports * len(hosts) if len(ports) == 1 else ports
    places = [f"{host}:{port}" if port else host for host, port in zip(hosts, ports, strict=False)]
    user = f"{given['user']}@" if given.get("user") else ""
    return f"postgresql://{user}{','.join(places)}/{given.get('dbname') or ''}"
