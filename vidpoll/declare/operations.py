"""The operations of a provider, each made of a request line and a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .. import parsing, redact
from ..errors import ForeignAnswer, Malformed, PluginError
from ..model import Asset, Quota, Request, Response, Snapshot, Submitted, same_id
from ..provider import Operation
from .envelope import Envelope
from .fields import Needed, Rule, check_rules, described, take
from .files import read_files
from .lines import Line, request
from .paths import Where, check_where, find
from .reader import Reader

_BARE = Envelope()


def status(
    line: str,
    reader: Reader,
    *,
    json: Any = None,
    verdicts: tuple[int, ...] = (),
    headers: Mapping[str, str] | None = None,
) -> Operation[Snapshot]:
    """Ask how a job stands. `verdicts`: HTTP statuses beyond 2xx whose body is the job.

    >>> status("GET /v1/jobs/{id}", Reader({"ok": State.COMPLETED})).request("a/b").path
    '/v1/jobs/a%2Fb'
    """
    return Operation(request(line, reader.ids, json=json, headers=headers), reader.parse, verdicts)


def submit(
    line: str,
    reader: Reader,
    fields: Mapping[str, Rule],
    needed: Needed = (),
    *,
    kind: str = "",
    others: Rule | None = None,
    convert: Callable[[dict[str, Any]], Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Operation[Submitted]:
    """Start a job with the fields of the call as JSON.

    `needed` names the fields that must be given; a tuple of names in it means one of them. `others` is the rule of any
    field that the table does not name; without it such a field is refused. A hole in the line takes the field of that
    name out of the JSON; `{kind}` is `kind`, which errors name and, where they have kinds, the reader's ids. `convert`
    makes the body out of the checked fields, where it is not just these.

    >>> start = submit("POST /v1/videos", Reader({"ok": State.COMPLETED}), {"prompt": text()}, needed=("prompt",))
    >>> start.request({"prompt": "a lighthouse", "seed": None}).json
    {'prompt': 'a lighthouse'}
    """
    made = Line(line, headers=headers or {})
    check_rules(f"submit {line!r}", fields, needed, others)
    holes = made.names - {"kind"}
    made.allow("submit", {*(("kind",) if kind else ()), *(name for name in needed if isinstance(name, str))})
    if reader.ids.kinds and kind not in reader.ids.kinds:
        raise PluginError(f"submit {line!r}: kind {kind!r} is none of the reader's ids: {', '.join(reader.ids.kinds)}")

    def build(call: Mapping[str, Any]) -> Request:
        given = take(f"submit {kind}" if kind else line, call, fields, needed, others)
        values = {"kind": kind, **{name: str(given.pop(name)) for name in holes}}
        return made.request(values, json=given if convert is None else convert(given))

    told = described(fields, needed, others)
    return Operation(build, lambda response, job_id: reader.submitted(response, kind), fields=told)


def delete(line: str, reader: Reader, *, done: Where = "", json: Any = None) -> Operation[None]:
    """Delete a job and its files. The answer is HTTP 204 or a JSON object, in which `done` must be true if it is given.

    >>> delete("DELETE /v1/videos/{id}", Reader({"ok": State.COMPLETED}), done="deleted").request("7").method
    'DELETE'
    """
    check_where(f"{line!r} done", done)

    def parse(response: Response, job_id: str) -> None:
        if response.status == 204:
            return
        reader.envelope.check(response)
        body = parsing.json_object(response)
        if done and find(body, done, lambda value: value is True or None) is None:
            raise Malformed(f"the answer does not say {done}: {parsing.problem(response)}")

    return Operation(request(line, reader.ids, json=json), parse)


def cancel(line: str, reader: Reader, *, done: Where = "", json: Any = None) -> Operation[None]:
    """Cancel a job; the answer is read as that of `delete`.

    >>> cancel("POST /v1/tasks/{id}/cancel", Reader({"ok": State.COMPLETED}), json={"id": "{id}"}).request("7").json
    {'id': '7'}
    """
    return delete(line, reader, done=done, json=json)


def content(
    line: str, reader: Reader, *, url: Where = "", id: Where = "", verdicts: tuple[int, ...] = ()
) -> Operation[Asset]:
    """Fetch the video of a job. A file goes to the disk as it comes; of an answer in JSON `url` is the path of its URL.

    `id` is where such an answer names its job, if it does. An answer without a video is Malformed.

    >>> content("GET /v1/videos/{id}/content", Reader({"ok": State.COMPLETED})).request("7").path
    '/v1/videos/7/content'
    """
    check_where(f"{line!r} url", url)
    check_where(f"{line!r} id", id)

    def parse(response: Response, job_id: str) -> Asset:
        reader.envelope.check(response)
        body = parsing.json_object(response)
        named, asked = find(body, id, parsing.text), reader.ids.split(job_id)["id"]
        if named is not None and not same_id(named, asked):
            shown = redact.text(named, limit=80)
            raise ForeignAnswer(
                f"the answer is about another video: it names {shown!r}, and not {asked!r}", named=named
            )
        for asset in read_files(body, {"video": url}, {}):
            return asset
        raise Malformed(f"no video: {parsing.problem(response)}")

    return Operation(request(line, reader.ids), parse, verdicts)


_QUOTA: Mapping[str, Callable[[Any], Any]] = {
    "plan": parsing.text,
    "limit": parsing.count,
    "used": parsing.count,
    "remaining": parsing.count,
    "reset_at": parsing.timestamp,
    "balance": parsing.number,
    "unlimited": lambda value: value if isinstance(value, bool) else None,
}


def quota(
    line: str, envelope: Envelope = _BARE, *, prices: Mapping[str, float] | None = None, **paths: Where
) -> Operation[Quota]:
    """What the account may still do: each field of `vidpoll.Quota` by its path in the envelope's data.

    An answer that holds none of them is Malformed. Raises PluginError for a field that `Quota` has not.

    >>> ask = quota("GET /v1/user/info", Envelope("data"), balance="totalBalance")
    >>> ask.parse(Response(200, {}, b'{"data": {"totalBalance": "88.00"}}'), "").balance
    88.0
    """
    made = Line(line)
    made.allow("quota", ())
    for name, where in paths.items():
        if name not in _QUOTA:
            raise PluginError(f"quota {line!r}: {name!r} is no field of Quota; there are {', '.join(_QUOTA)}")
        check_where(f"quota {line!r} {name}", where)

    def parse(response: Response, job_id: str) -> Quota:
        data = envelope.open(response)
        found = {name: find(data, where, _QUOTA[name]) for name, where in paths.items()}
        told = {name: value for name, value in found.items() if value is not None}
        if not told:
            raise Malformed(f"the answer tells nothing of the quota: {parsing.problem(response)}")
        return Quota(**told, prices=prices or {})

    return Operation(lambda: made.request({}), parse)
