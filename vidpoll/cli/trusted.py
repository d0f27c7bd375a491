"""What `resume` does not do only because a store says so: send a key to a base URL, save files in a folder.

A store may come from another person. A base URL in it is trusted if it is the provider's own or is configured here; a
folder, if it lies under the current one or is named on the command line.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable
from pathlib import Path

import vidpoll
from vidpoll import redact, shell

from .again import again
from .context import Arguments, Context, own_account, reads


def base_url_variable(provider: str) -> str:
    """The base URL of a provider in the environment; empty if none is set."""
    return os.environ.get(f"{re.sub('[^A-Za-z0-9]', '_', provider).upper()}_BASE_URL", "")


def stored_account(name: str, provider: str, url: str) -> vidpoll.Account:
    """The account at the address that the store names. A variable that names it, too, may hold more (a password)."""
    named = base_url_variable(provider or name)
    same = named and redact.url(named).rstrip("/") == url
    return own_account(name, provider or name, None if same else url or None)


def with_account(error: vidpoll.VidpollError, args: Arguments, context: Context) -> vidpoll.VidpollError:
    """The error, or for an unknown account that the store knows at an installed provider one that names the option."""
    if not isinstance(error, vidpoll.UnknownProvider) or not (hasattr(args, "account") and reads(args)):
        return error
    with contextlib.suppress(vidpoll.VidpollError), context.client(args=args, must_keep=True) as client:
        for kept in reversed(client.store.jobs()):
            name, provider = kept.origin.account, kept.origin.provider
            if f"no provider {name!r}" in error.message and any(provider in each.providers for each in client.plugins):
                return vidpoll.UnknownProvider(
                    f"no provider {name!r}; the store has jobs of {name}, an account at {provider}: add --account "
                    f"{name}={provider}{_at(kept.origin.base_url, client.provider(provider))}"
                )
    return error


def _at(url: str, provider: vidpoll.Provider) -> str:
    """What to add for jobs at a base URL that only the store names: no key goes there before you say so."""
    usual = redact.url(base_url_variable(provider.name) or provider.base_url).rstrip("/")
    line = shell.quote(redact.text(url, limit=200))
    return (
        ""
        if url in ("", usual)
        else f". The store names {line} as its base URL; if that is right, add --base-url {line}"
    )


class Trusted:
    """The base URLs and folders that this call of `resume` may use; each skipped one is printed with the way out."""

    def __init__(self, args: Arguments, context: Context) -> None:
        self.args = args
        self.context = context
        self.left: list[str] = []
        """The references of jobs, and the accounts of submits, that are skipped."""
        self._told: set[str] = set()
        self._own: dict[str, str | None] = {}

    def address(self, who: str, provider: str, url: str) -> bool:
        """Whether requests about `who`, a job or a submit at `provider`, may go to `url`."""
        own = self._usual(provider)
        if own is None or url in (own, *(each.rstrip("/") for each in self.args.addresses)):
            return True
        self.left.append(who)
        shown = redact.text(url, limit=200)
        line = again(self.args, "resume", addresses=[*self.args.addresses, url])
        self._say(
            url, f"{who} is skipped: your key would go to {shown}, which the store names. If that is right: {line}"
        )
        return False

    def _usual(self, provider: str) -> str | None:
        """The provider's own base URL, or the one in the environment; None if the provider is not installed."""
        if provider not in self._own:
            self._own[provider] = None
            with self.context.client() as client, contextlib.suppress(vidpoll.VidpollError):
                usual = base_url_variable(provider) or client.provider(provider).base_url
                self._own[provider] = redact.url(usual).rstrip("/")
        return self._own[provider]

    def targets(self, wanted: Iterable[vidpoll.WantedFiles]) -> list[vidpoll.WantedFiles]:
        """The files that may be saved in the folders that the store names."""
        return [each for each in wanted if self._target(each)]

    def _target(self, wanted: vidpoll.WantedFiles) -> bool:
        folders = [Path(os.path.expanduser(self.args.download))] if self.args.download else []  # noqa: PTH111
        with contextlib.suppress(OSError):  # the current folder may be gone
            folders.append(Path.cwd())
        target = Path(os.path.realpath(wanted.target))
        if any(target.is_relative_to(os.path.realpath(folder)) for folder in folders):
            return True
        self.left.append(wanted.ref)
        line = again(self.args, "resume", download=wanted.target)
        self._say(
            wanted.target,
            f"the files of {wanted.ref} are not saved: the store names {redact.text(wanted.target, limit=200)}, which "
            f"is not under this folder. If that is right: {line}",
        )
        return False

    def _say(self, about: str, text: str) -> None:
        if about not in self._told:
            self._told.add(about)
            self.context.out.error(text)
