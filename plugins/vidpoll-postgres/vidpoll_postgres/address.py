"""The URL of a database: the part that may be shown, and the parameters for libpq. This module does not connect."""

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
"""libpq's parameters unless the URL sets them: a cut network is detected after about 10 seconds."""

_SECRETS = ("password", "sslpassword", "passfile")


class Address:
    """Where a database is. Raises StoreError for an invalid URL; the error quotes no part of the URL."""

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
        """A message of the server or of libpq, on one line and without passwords."""
        return redact.text(" ".join(text.split()), secrets=self.secrets)


def _quoted(name: str) -> str:
    """A name quoted for SQL."""
    return name if re.fullmatch("[a-z_][a-z0-9_]*", name) else '"' + name.replace('"', '""') + '"'


def _read(url: str) -> Mapping[str, Any]:
    """The parts of a URL. If special characters of a password were not encoded, any part may contain the password."""
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
        "the store's URL must be like postgresql://user:password@host:5432/database, with the parameters of libpq "
        "after a question mark; write : / ? # @ % in the password as %3A %2F %3F %23 %40 %25"
    )


def _shown(given: Mapping[str, Any]) -> str:
    hosts, ports = str(given.get("host") or "").split(","), str(given.get("port") or "").split(",")
    ports = ports * len(hosts) if len(ports) == 1 else ports
    places = [f"{host}:{port}" if port else host for host, port in zip(hosts, ports, strict=False)]
    user = f"{given['user']}@" if given.get("user") else ""
    return f"postgresql://{user}{','.join(places)}/{given.get('dbname') or ''}"
