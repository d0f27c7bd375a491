"""Checks that the providers and accounts that options name exist; without it, such an option would have no effect."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

import vidpoll
from vidpoll.similar import similar


def check_named(client: vidpoll.Client, args: argparse.Namespace | None, names: Iterable[str]) -> None:
    """Check the names in options; `names` are the accounts that the call uses.

    Raises UnknownProvider for an `--account` whose provider does not exist, UsageError for a `--header` whose account
    does not exist.
    """
    own = dict(getattr(args, "account", None) or ())
    providers = {name for report in client.plugins for name in report.providers}
    for account in own.values():
        if account.provider not in providers:
            client.provider(account.provider)
    known = {*providers, *own, *names}
    for header in getattr(args, "header", None) or ():
        if header.account is not None and header.account not in known:
            close = similar(header.account, known)
            or_own = " or of an --account" if hasattr(args, "account") else ""
            way = f"did you mean {close[0]!r}?" if close else f"write the name of a provider{or_own}"
            raise vidpoll.UsageError(f"--header {header}: there is no account {header.account!r}; {way}")
