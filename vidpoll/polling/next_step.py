"""What a user can do next: the last lines of errors. Every command and every line of Python in them works as pasted."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

from .. import redact, shell
from ..faults import Fault, Meaning
from ..job import Job
from ..net.accounts import OpenAccount
from ..provider import is_base_url

_REMEDY = {
    400: "Check the id. ",
    402: "Check the balance. ",
    403: "Check what the key may do. ",
    451: "Ask the provider for its reason. ",
}


def remedy(status: int | None, account: OpenAccount) -> str:
    """The next step after a refusal in a wait; empty if there is none."""
    return f"{account.key_advice}. " if status == 401 else _REMEDY.get(status or 0, "")


def resume_call(account: OpenAccount, ref: str) -> str:
    """The line of Python that resumes a wait. An account that only this client knows needs `client`, not `vidpoll`."""
    known = account.standard and account.account.base_url is None
    return f"{'vidpoll' if known else 'client'}.wait({json.dumps(ref, ensure_ascii=False)})"


def resume_line(account: OpenAccount, ref: str) -> str:
    """The command that resumes a wait, or else the line of Python."""
    return _command(account, "wait", ref) if account.standard else resume_call(account, ref)


def quota_line(account: OpenAccount) -> str:
    """The command that shows the account's quota, or else the line of Python."""
    name = account.name
    return _command(account, "quota", name) if account.standard else f"client.quota({json.dumps(name)})"


def download_line(account: OpenAccount, ref: str, to: str) -> str:
    """The command that downloads a job's files, or else the line of Python."""
    python = f"client.download({json.dumps(ref, ensure_ascii=False)}, {json.dumps(to, ensure_ascii=False)})"
    return _command(account, "download", ref, "--to", to) if account.standard else python


def jobs_line(account: OpenAccount) -> str:
    """The command that lists the provider's jobs, or else the line of Python."""
    name = account.name
    return _command(account, "jobs", name) if account.standard else f"client.jobs({json.dumps(name)})"


def resume_submit_line(store: str, **options: str) -> str:
    """The command about submits of unknown outcome, with these options; an empty value leaves its option out.

    A key may look like an option, so each option and its value are one word.

    >>> resume_submit_line("", adopt="acme:j1", key="-k 1")
    "vidpoll resume --adopt=acme:j1 '--key=-k 1'"
    """
    given = {**options, "store": store}
    return shell.join(["vidpoll", "resume", *(f"--{name}={value}" for name, value in given.items() if value)])


def _command(account: OpenAccount, *words: str) -> str:
    """A command line that uses the base URL of this account."""
    elsewhere = [] if account.account.base_url is None else ["--base-url", account.base_url]
    return shell.join(["vidpoll", *words, *elsewhere])


def asked_at(account: OpenAccount) -> str:
    """The base URL of an account, and what sets it."""
    return f"The base URL was {redact.url(account.base_url)} (set {account.set_by} to change it)"


def advice(fault: Fault, account: OpenAccount, path: str = "", job: Job | None = None) -> str:
    """The next step after a refusal, as the end of a sentence; empty if there is none.

    `path` is the path of the request, below the base URL.
    """
    step = "" if fault.local else _step(fault, account, path, job)
    return f". {step}" if step else ""


def _step(fault: Fault, account: OpenAccount, path: str, job: Job | None) -> str:
    provider = account.provider
    if fault.target:
        base = moved_to(fault.target, account, path)
        return f"Set {account.set_by} to {base}" if base else asked_at(account)
    if fault.page and fault.status == 404:
        return wrong_address(account, path)
    if fault.status in (None, 404, 405) and fault.meaning is not Meaning.REFUSAL:
        return asked_at(account)
    return {
        401: account.key_advice if provider.auth.variables else "",
        402: f"See what is left: {quota_line(account)}" if provider.quota is not None else "",
        407: proxy(account),
        409: f"Wait for it first: {resume_line(account, job.ref)}" if job is not None else "",
    }.get(fault.status or 0, "")


def moved_to(target: str, account: OpenAccount, path: str) -> str:
    """The new base URL, if a redirect leads to the same path below another base URL; else empty."""
    base = target.rstrip("/").removesuffix(path.rstrip("/")) if path.strip("/") else ""
    moved = base != target.rstrip("/") and is_base_url(base) and base != account.base_url
    return base if moved else ""


def proxy(account: OpenAccount) -> str:
    """The next step if a proxy requires a password."""
    variable = f"{account.origin[0].upper()}_PROXY"
    return f"Set its user and password in {variable}, like http://USER:PASSWORD@HOST:PORT"


def wrong_address(account: OpenAccount, path: str) -> str:
    """The next step if a response did not come from the API: the base URL may be wrong."""
    above = urlsplit(account.base_url).path
    twice = next((head for head in _heads(path) if above.endswith(head)), "")
    said = f"That response is not from the API, so the base URL may be wrong: {redact.url(account.base_url + path)}"
    if twice:
        return f"{said} has {twice} twice. Set {account.set_by} to {account.base_url.removesuffix(twice)}"
    return f"{said}. Set {account.set_by} to a base URL like {account.provider.base_url}"


def _heads(path: str) -> list[str]:
    """The parent paths of a path, the longest first: /api/v1 and /api for /api/v1/tasks."""
    parts = path.split("/")[1:-1]
    return ["/" + "/".join(parts[:count]) for count in range(len(parts), 0, -1)]
