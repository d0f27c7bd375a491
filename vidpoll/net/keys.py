"""The key of an account: where it comes from, in code and in words. Without network code; no key is shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum

from ..provider import Auth, key_names, ways
from ..redact import Secret


class FromEnvironment(Enum):
    """The default for a key: the environment variables that the provider names."""

    FROM_ENVIRONMENT = "from the environment"


FROM_ENVIRONMENT = FromEnvironment.FROM_ENVIRONMENT
Secrets = str | Mapping[str, str]
Key = Secrets | Callable[[], Secrets] | FromEnvironment | None


def given_secrets(auth: Auth, key: Key, environ: Mapping[str, str]) -> Mapping[str, Secret] | None:
    """The given secrets by variable; None if the account has no key."""
    if callable(key):
        key = key()
    if key is None or not auth.variables:
        return None
    one = next((way.variables[0] for way in ways(auth) if len(way.variables) == 1), auth.variables[0])
    named = environ if isinstance(key, FromEnvironment) else key if isinstance(key, Mapping) else {one: key}
    return {name: Secret.of(named[name]) for name in auth.variables if named.get(name)}


def in_python(name: str, provider: str) -> str:
    """The argument of Client that gives an account its key.

    >>> in_python("night", "acme")
    "accounts={'night': vidpoll.Account('acme', key=…)}"
    """
    return f"accounts={{{name!r}: vidpoll.Account({provider!r}, key=…)}}"


def check_advice(name: str, provider: str, key: Key, auth: Auth) -> str:
    """The next step after a refused key, as a sentence without its full stop: what holds the key."""
    if not auth.variables:
        return "Check the key"
    if key is None:
        return f"No key was sent, because this account has key=None: omit key= to use {key_names(auth)}"
    return f"Check the key ({key_names(auth) if isinstance(key, FromEnvironment) else in_python(name, provider)})"
