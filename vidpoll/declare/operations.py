"""The operations of a provider, each made of a request line and a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from .. import parsing, redact
from ..errors import BadReference, ForeignAnswer, Malformed, PluginError, Refused
from ..model import Asset, Quota, Request, Response, Snapshot, State, Submitted, same_id
from ..price import PriceList
from ..provider import MAX_BODY, Follow, Operation
from .envelope import Envelope
from .fields import Needed, Rule, as_query, check_rules, described, take, texts
from .files import read_files
from .forms import form as as_form
from .lines import Line, request
from .paths import Where, check_where, find
from .reader import Reader

_BARE = Envelope()
T = TypeVar("T")


def status(
    line: str,
    reader: Reader,
    *,
    json: Any = None,
    verdicts: tuple[int, ...] = (),
    headers: Mapping[str, str] | None = None,
    max_body: int = MAX_BODY,
) -> Operation[Snapshot]:
    """Poll a job. `verdicts`: HTTP statuses other than 2xx whose body is the job, or a refusal by its code.

    `max_body` is the largest response, in bytes: more than the usual 4 MiB if the response contains the video.

    >>> status("GET /v1/jobs/{id}", Reader({"ok": State.COMPLETED})).request("a/b").path
    '/v1/jobs/a%2Fb'
    """
    seen = tuple(dict.fromkeys((*verdicts, *(each.status for each in reader.verdicts if each.status >= 300))))
    return Operation(request(line, reader.ids, json=json, headers=headers), reader.parse, seen, max_body)


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
    form: bool = False,
    price: PriceList | None = None,
    key: str = "",
    honours_key: bool = False,
    find: str = "",
) -> Operation[Submitted]:
    """Start a job with the fields of the call as JSON, or as a multipart form (`form=True`), where a Path is a file.

    `needed` names the required fields; a tuple of names in it means one of them. `others` is the rule of any field that
    the table does not name; without it, such a field is refused. A hole in the line or in a value of `headers` moves
    the field of that name out of the body; a query parameter or header is left out if its field is not given. `{kind}`
    is `kind`, which appears in errors and, if the reader's ids have kinds, in the id. If the ids carry a field
    (`Ids("app/id")`), it must be needed. `convert` makes the body from the checked fields, if the body is another
    value. `price` is the vendor's price list (`declare.prices`). `key` is the field for the caller's own id or an
    idempotency key, and `honours_key` says that the same key gives the same job, as in `vidpoll.Operation`. `find` is
    the line of the request that finds the job by its key, "GET /tasks?external_task_ids={key}"; its response must have
    the form of the submit's.

    >>> start = submit("POST /v1/videos", Reader({"ok": State.COMPLETED}), {"prompt": text()}, needed=("prompt",))
    >>> start.request({"prompt": "a lighthouse", "seed": None}).json
    {'prompt': 'a lighthouse'}
    """
    made = Line(line, headers=headers or {})
    check_rules(f"submit {line!r}", fields, needed, others)
    if key and key not in fields:
        raise PluginError(f"submit {line!r}: the key {key!r} must be one of its fields")
    holes, own = made.names - {"kind"}, ("kind",) if kind else ()
    sure = {name for name in needed if isinstance(name, str)}
    made.allow("submit", {*own, *fields})
    lacking = sorted(made.firm - {*own, *sure})
    if lacking:
        raise PluginError(f"submit {line!r}: {{{lacking[0]}}} is in the path: add it to needed")
    carried = "" if reader.ids.kinds else reader.ids.first
    if carried and carried not in sure:
        raise PluginError(f"submit {line!r}: the id of a job carries the field {carried!r}: add it to needed")
    if reader.ids.kinds and kind not in reader.ids.kinds:
        raise PluginError(f"submit {line!r}: kind must be one of {', '.join(reader.ids.kinds)}, got {kind!r}")

    def build(call: Mapping[str, Any]) -> Request:
        given = take(f"submit {kind}" if kind else line, call, fields, needed, others)
        about = reader.ids.carried(str(given[carried])) if carried else ""
        values = {
            "kind": kind,
            **dict.fromkeys(holes),
            **as_query({name: given.pop(name) for name in holes & given.keys()}),
        }
        body = given if convert is None else convert(given)
        if not form:
            return made.request(values, json=body, about=about)
        kind_of_form, data = as_form(body)
        bare = made.request(values, about=about)
        return replace(bare, headers={**bare.headers, "Content-Type": kind_of_form}, body=data)

    def parse(response: Response, about: str) -> Submitted | Follow[Submitted]:
        return reader.submitted(response, about if carried else kind)

    found = None
    if find:
        asks = Line(find)
        asks.allow("find", {"key", *own}, {"key"})
        found = Operation(
            lambda value: asks.request({"kind": kind, "key": value}),
            lambda response, _: reader.submitted(response, kind),
        )
    return Operation(
        build,
        parse,
        fields=described(fields, needed, others),
        texts=texts(fields),
        key=key,
        honours_key=honours_key,
        find=found,
        price=price,
    )


def delete(
    line: str,
    reader: Reader,
    *,
    done: Where = "",
    json: Any = None,
    headers: Mapping[str, str] | None = None,
    empty_ok: bool = False,
    first: Operation[Snapshot] | None = None,
) -> Operation[None]:
    """Delete a job and its files. The response is HTTP 204 or a JSON object, in which `done`, if set, must be true.

    With `empty_ok`, an empty 200 or 202 is also a success. `first` is the status operation, for a vendor whose same
    request cancels a job that has not ended: the job is polled first, and the request is sent only if it has ended.

    >>> delete("DELETE /v1/videos/{id}", Reader({"ok": State.COMPLETED}), done="deleted").request("7").method
    'DELETE'
    """
    check_where(f"{line!r} done", done)

    def parse(response: Response, job_id: str) -> None:
        if response.status == 204 or (empty_ok and not response.body.strip()):
            return
        reader.envelope.check(response)
        body = parsing.json_object(response)
        if done and find(body, done, lambda value: value is True or None) is None:
            raise Malformed(f"the response does not confirm {done!r}: {parsing.problem(response)}")

    bare = Operation(request(line, reader.ids, json=json, headers=headers), parse, empty_ok=empty_ok)
    return bare if first is None else _looked_at(first, bare, reader, over=True)


def _looked_at(first: Operation[Snapshot], then: Operation[T], reader: Reader, *, over: bool) -> Operation[T]:
    """Poll the job first, and send the request only if the job has ended (`over`), or only if it has not."""

    def look(response: Response, job_id: str) -> Follow[T]:
        told = reader.parse(response, job_id)
        said = told.fallback if isinstance(told, Follow) else told
        state = State.COMPLETED if said is None else said.state  # only a completed job has a second response
        if over and not state.final:
            raise Refused("conflict", f"the job is {state}, so it was not deleted: wait for its end, or cancel it")
        if state.final and not over:
            raise Refused("conflict", f"the job has ended ({state}), so it was not cancelled")
        return Follow(then.request(job_id), then.parse)

    return Operation(first.request, look, first.verdicts, first.max_body, then.empty_ok)


def cancel(
    line: str,
    reader: Reader,
    *,
    done: Where = "",
    json: Any = None,
    headers: Mapping[str, str] | None = None,
    empty_ok: bool = False,
    ends: bool = False,
    first: Operation[Snapshot] | None = None,
) -> Operation[Any]:
    """Cancel a job; the response is read like that of `delete`.

    `ends` says that a success means that the job is cancelled: this is then its state, without another poll (Runway
    responds with 404 from then on). `first` is the status operation, for a vendor whose same request deletes the files
    of a job that has ended: the job is polled first, and the request is sent only if it has not ended.

    >>> cancel("POST /v1/tasks/{id}/cancel", Reader({"ok": State.COMPLETED}), json={"id": "{id}"}).request("7").json
    {'id': '7'}
    """
    bare = delete(line, reader, done=done, json=json, headers=headers, empty_ok=empty_ok)

    def parse(response: Response, job_id: str) -> Snapshot | None:
        bare.parse(response, job_id)
        return Snapshot(State.CANCELLED) if ends else None

    made: Operation[Any] = Operation(bare.request, parse, empty_ok=empty_ok)
    return made if first is None else _looked_at(first, made, reader, over=False)


def by_kind(operations: Mapping[str, Operation[T]]) -> Operation[T]:
    """Choose one of several operations by the part of the id before the first "/": for a vendor with several APIs.

    The operation under "" is for all other ids. Each operation gets the whole id, in the form of its own reader.

    >>> old = status("GET /v1/{kind}/{id}", Reader({"ok": State.COMPLETED}, ids=Ids("kind/id", ("text2video",))))
    >>> both = by_kind({"text2video": old, "": status("GET /tasks/{id}", Reader({"done": State.COMPLETED}))})
    >>> both.request("text2video/7").path, both.request("7").path
    ('/v1/text2video/7', '/tasks/7')
    """
    if not operations or not all(isinstance(each, Operation) for each in operations.values()):
        raise PluginError("by_kind: operations must be a mapping of the first parts of ids to operations")

    def of(job_id: str) -> Operation[T]:
        found = operations.get(job_id.partition("/")[0] if "/" in job_id else "") or operations.get("")
        if found is None:
            raise BadReference(
                f"{redact.text(job_id, limit=80)!r}: write the id as KIND/ID; KIND is {' or '.join(operations)}"
            )
        return found

    each = operations.values()
    return Operation(
        lambda job_id: of(job_id).request(job_id),
        lambda response, job_id: of(job_id).parse(response, job_id),
        tuple(dict.fromkeys(status for one in each for status in one.verdicts)),
        max(one.max_body for one in each),
        any(one.empty_ok for one in each),
    )


def content(
    line: str, reader: Reader, *, url: Where = "", id: Where = "", verdicts: tuple[int, ...] = ()
) -> Operation[Asset]:
    """Fetch the video of a job. A file is saved as it arrives; in a JSON response `url` is the path of its URL.

    `id` is the path of the job's id in such a response, if it has one. A response without a video is Malformed.

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
                f"the response is about another video: it names {shown!r}, expected {asked!r}", named=named
            )
        for asset in read_files(body, {"video": url}, {}):
            return asset
        raise Malformed(f"the response has no video: {parsing.problem(response)}")

    return Operation(request(line, reader.ids), parse, verdicts)


_QUOTA: Mapping[str, Callable[[Any], Any]] = {
    "plan": parsing.text,
    "limit": parsing.count,
    "used": parsing.count,
    "remaining": parsing.count,
    "reset_at": parsing.timestamp,
    "balance": parsing.number,
    "unlimited": lambda value: value if isinstance(value, bool) else None,
    "concurrency": parsing.count,
}


def quota(
    line: str,
    envelope: Envelope = _BARE,
    *,
    prices: Mapping[str, float] | None = None,
    unit: str = "credits",
    currency: Where = "",
    **paths: Where,
) -> Operation[Quota]:
    """The quota of the account: the path of each field of `vidpoll.Quota` in the envelope's data.

    `unit` is the unit of the balance and of `prices`; `currency` is its path in the response, if the response names it.
    A response without any of the fields is Malformed. Raises PluginError for a name that is not a field of `Quota`.

    >>> ask = quota("GET /v1/user/info", Envelope("data"), balance="totalBalance")
    >>> ask.parse(Response(200, {}, b'{"data": {"totalBalance": "88.00"}}'), "").balance
    88.0
    """
    made = Line(line)
    made.allow("quota", ())
    for name, where in paths.items():
        if name not in _QUOTA:
            raise PluginError(f"quota {line!r}: {name!r} is not a field of Quota; the fields are {', '.join(_QUOTA)}")
        check_where(f"quota {line!r} {name}", where)
    check_where(f"quota {line!r} currency", currency)

    def parse(response: Response, job_id: str) -> Quota:
        data = envelope.open(response)
        found = {name: find(data, where, _QUOTA[name]) for name, where in paths.items()}
        told = {name: value for name, value in found.items() if value is not None}
        if not told:
            raise Malformed(f"the response has no field of the quota: {parsing.problem(response)}")
        return Quota(**told, prices=prices or {}, unit=find(data, currency, parsing.text) or unit)

    return Operation(lambda: made.request({}), parse)
