"""Reads a response for an error message: whose page it is, which error it reports, and which ids it holds.

All functions are pure and none raises. What they return is safe to show, except the ids, which are unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from . import markup, redact
from .errors import BadReference, Malformed
from .model import Problem, Response, check_job_id, same_id
from .parsing import first_of, problem, text

_FINE = {"", "success", "ok", "succeeded", "successful", "true", "none", "null", "0", "200", "201", "202"}
_ID = re.compile(
    r"(?:.*[_-])?(?i:id|uuid|guid)|\w*[a-z](?:Id|ID|Uuid|UUID)|(?i:(?:task|job|video|request|generation|prediction)id)"
)
_PERHAPS = re.compile(r"(?i)task|job|data|result")
_BETWEEN = re.compile(r"(?i)cloudflare|cloudfront|akamai|awselb|fastly|varnish|imperva|incapsula|sucuri|squid|zscaler")
_NOT_THE_JOBS = re.compile(r"(?i)trace|user|account|model|org|project|team|log|session|client|key")
_LIKE_AN_ID = re.compile(r"(?!.*://)[\w.:/@=+~-]{1,200}", re.ASCII)
_BARE = ("not found", "404 page not found", "404 not found")
_DEPTH = 6


def page(response: Response) -> str | None:
    """The page that came instead of an API response: "a page «Just a moment...» from cloudflare"; or None."""
    said = markup.read(response.text())
    server = response.header("server") or response.header("via") or ""
    title = said.title if said is not None else ""
    if said is None and _is_between(response, server):
        title = response.text()[:200]
    elif response.header("cf-mitigated") is None and (said is None or said.code or said.message):
        return None
    shown = f" «{redact.text(title, limit=80)}»" if title else ""
    return f"a page{shown}{f' from {redact.text(server, limit=40)}' if server else ''}"


def _is_between(response: Response, server: str) -> bool:
    """Whether a text without markup comes from a proxy ("error code: 1020" is Cloudflare's). JSON never does."""
    return bool(_BETWEEN.search(server) and response.body.strip() and _read(response) is None)


def is_bare_404(response: Response) -> bool:
    """Whether a response says only "Not Found": a web framework says so of a path that it does not serve."""
    data = _read(response)
    few = len(data) <= 2 if isinstance(data, dict) else len(response.body) <= 40
    return few and problem(response).message.strip(' ."').lower() in _BARE


def refusal(response: Response) -> Problem | None:
    """The error that a response reports in its body: an `error`, a false `success`, or a code that means failure."""
    data = _read(response)
    if not isinstance(data, dict):
        return None
    code = data.get("code", data.get("status_code"))
    bad = isinstance(code, (str, int)) and str(code).strip().lower() not in _FINE
    failed = first_of(data, "error", "errors", "error_msg") is not None or False in (
        data.get("success"),
        data.get("ok"),
    )
    said = problem(response)
    return said if failed or (bad and said.message.strip().lower() not in _FINE) else None


def ids(response: Response) -> tuple[str, ...]:
    """Values that look like the id of a job: each once, at most twenty, request ids last.

    They are found by field name (`id`, `task_id`, `taskId`, `uuid` …) at any depth. In a response that is an error, a
    request id is left out, because it cannot name a job.
    """
    bad = response.status >= 400 or refusal(response) is not None
    found = [(name, value) for name, value in _fields(_read(response), "", 0) if _is_id(name, value)]
    found = [field for field in found if not (bad and "request" in field[0].lower())]
    found.sort(key=lambda field: "request" in field[0].lower())
    return tuple(dict.fromkeys(value for _, value in found))[:20]


def names(response: Response, job_id: str) -> bool:
    """Whether a response names a job by its id, or by the last part of an id that is a path."""
    wanted = (job_id, job_id.rpartition("/")[2])
    return any(same_id(found, each) for found in ids(response) for each in wanted)


def what_came(response: Response) -> str:
    """What a response says, for the end of an error message: "it says: …" or "it is a page …"; empty if nothing.

    The text is that of the reported error, or the title of a page.
    """
    if not response.body.strip():
        return ""
    if (title := page(response)) is not None:
        return f"it is {title}"
    said = problem(response)
    if said.message.strip().lower() not in _FINE and not said.message.startswith(f"HTTP {response.status}"):
        return f"it says: {redact.text(said, limit=300)}"
    return ""


def _read(response: Response) -> Any:
    try:
        return response.json()
    except Malformed:
        return None


def _fields(value: Any, name: str, depth: int) -> Iterator[tuple[str, str]]:
    """The texts and whole numbers of a body, each with the name of its field."""
    if isinstance(value, dict) and depth < _DEPTH:
        for key, item in value.items():
            yield from _fields(item, key, depth + 1)
    elif isinstance(value, list) and depth < _DEPTH:
        for item in value[:100]:
            yield from _fields(item, name, depth + 1)
    elif (told := text(value)) is not None:
        yield name, told


def _is_id(name: str, value: str) -> bool:
    named = _ID.fullmatch(name) is not None or (_PERHAPS.fullmatch(name) is not None and any(map(str.isdigit, value)))
    named = named or (name == "name" and "/" in value)  # Google's operations
    if not named or _NOT_THE_JOBS.match(name) or not _LIKE_AN_ID.fullmatch(value):
        return False
    try:
        check_job_id(value)
    except BadReference:
        return False
    return True
