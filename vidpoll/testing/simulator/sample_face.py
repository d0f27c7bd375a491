"""A face without code: a provider's samples, played in the order of a job's states.

    SampleFace("samples/index.json", provider)

A request is known by what the provider's own builders make of a job's id, an answer is the sample of the job's state,
told of that job. Files are served with Range. The index is the contract kit's; what the samples do not show is not
played, and the answer (501) or the error names the sample to add. No rate limit and no floor is played.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urljoin, urlsplit

from ... import model
from ...errors import AnswerError, PluginError, Refused
from ...provider import Basic, Follow, KeyHeader, Provider
from ..contract import mutations
from ..contract.samples import ORIGINS, Index, Sample, read
from .answers import Swaps, file_of, handed_on, like, own_part, progress_writer
from .assets import Asset, serve
from .face import Clock, Face, Route
from .timeline import Fate, Job, Stage, Timeline
from .wire import Reply, Request, json_reply

Asked = tuple[str, str, tuple[tuple[str, str], ...], str]
"""Method, decoded path, sorted query and body: what tells one request from another."""

_FIELDS = {"prompt": "a lighthouse at dusk"}


@dataclass(frozen=True)
class _Scene:
    """What a job of one kind is played with: an answer for each state, while it runs one for each stage."""

    submit: Sample
    own: str
    """The part of the sample's id that its answer names, and that each job has another of."""
    fields: Mapping[str, object]
    request: model.Request
    running: Mapping[str, Sample]
    states: Mapping[str, Sample]


@dataclass(frozen=True)
class _Row:
    """A row of a list sample: as it stands in the body, and as the parser reads it."""

    element: Any
    said: model.Snapshot
    write: Callable[[Any, float], Any]


class SampleFace(Face):
    """``provider`` as its samples show it; ``index`` is what `samples.read` gives, or the path of an index.json."""

    def __init__(
        self,
        index: Index | Path | str,
        provider: Provider,
        *,
        key: str | None = None,
        capacity: int = 4,
        fails_as: str = "failed",
        fields: Mapping[str, Mapping[str, object]] | None = None,
        timelines: Mapping[str, Timeline] | None = None,
    ) -> None:
        """``fails_as`` is the state in which a job that is to fail ends: failed, cancelled or expired.

        ``fields`` maps submit kinds to good fields, in place of those that the samples name. Raises PluginError for an
        index that cannot be played, naming what is missing.
        """
        self.index = index if isinstance(index, Index) else read(Path(index).parent)
        self.provider = provider
        self.operations = provider.operations()
        self.base_path = urlsplit(provider.base_url).path.rstrip("/")
        self.fails_as = fails_as
        self._check()
        given = fields or {}
        self._scenes = {kind: self._scene(kind, given.get(kind)) for kind in provider.submit if self._submit_of(kind)}
        played = {kind: self._timeline(scene) for kind, scene in self._scenes.items()}
        key = key or (f"sim-{provider.name}-key" if provider.auth.variables else None)
        super().__init__(key=key, capacity=capacity, timelines={**played, **(timelines or {})})

    def attach(self, clock: Clock, seed: str, urls: Mapping[str, str]) -> None:
        super().attach(clock, seed, urls)
        self._kind = ""
        self._owns: dict[str, str] = {}
        self._cancelled: dict[str, Job] = {}
        self._doors: dict[Asked, Callable[[Request], Reply]] = {}
        self._files: dict[str, Asset] = {}
        if self.provider.quota is not None:
            self._doors[_asked(self.provider.quota.request())] = self._quota

    def routes(self) -> Sequence[Route]:
        return (Route("GET HEAD POST PUT PATCH DELETE", "(?s:.*)", self._play),)

    def defaults(self, kind: str) -> dict[str, Any]:
        return dict(self._scenes[kind].fields)

    def new_id(self, dice: random.Random) -> str:
        scene = self._scenes[self._kind]
        while True:
            own = like(scene.own, dice)
            job_id = _renamed(scene.submit.expect["job_id"], scene.own, own)
            if job_id not in self._owns:
                self._owns[job_id] = own
                return job_id

    def take(self, kind: str, at: float, data: Mapping[str, Any], fate: Fate) -> Job:
        self._kind = kind
        job = super().take(kind, at, data, fate)
        for name, answer in (
            ("content", self._content), ("delete", self._delete), ("cancel", self._cancel), ("status", self._status),
        ):  # fmt: skip
            if name in self.operations:
                self._doors[_asked(self.operations[name].request(job.id))] = partial(answer, job)
        return job

    def refuse(self, request: Request) -> Reply | None:
        auth = self.provider.auth
        if self.key is None or _target(request) in self._files:
            return None
        headers = auth(model.Request("GET", "/"), dict.fromkeys(auth.variables, self.key))
        for name, value in headers.items():
            told = request.headers.get(name.lower())
            fixed = isinstance(auth, (KeyHeader, Basic)) or self.key in value  # else minted, and never the same twice
            if auth.required if told is None else fixed and told != value:
                return self._refusal(401, "authentication", "the key is wrong")
        return None

    def not_found(self, request: Request) -> Reply:
        return self._refusal(404, "not found", "there is no such job, or no such path")

    # Requests

    def _play(self, request: Request) -> Reply:
        if _target(request) in self._files and request.method in ("GET", "HEAD"):
            return serve(request, self._files[_target(request)])
        asked = self._came(request)
        if asked in self._doors:
            return self._doors[asked](request)
        if self.provider.list is not None:
            first = _asked(self.provider.list.request({}, None))
            if asked[:2] == first[:2]:
                return self._list(request)
        kinds = [kind for kind, scene in self._scenes.items() if _fits(asked, scene.request, scene.fields)]
        if not kinds:
            return self.not_found(request)
        fields = _object(request)
        kind = max(kinds, key=lambda kind: _likeness(fields, self._scenes[kind].request.json))
        job = self.submit(kind, request, fields)
        return self._tell(self._scenes[kind].submit, job)

    def _came(self, request: Request) -> Asked:
        try:
            body = _written(request.json())
        except ValueError:
            body = (request.body or b"").decode("latin-1")
        query = tuple(sorted(parse_qsl(request.raw_query, keep_blank_values=True)))
        return request.method, request.path.removeprefix(self.base_path), query, body

    def _status(self, job: Job, request: Request) -> Reply:
        scene, moment = self._scenes[job.kind], job.moment(request.at)
        if job.id in self._cancelled:
            return self._tell(scene.states["cancelled"], job)
        if self.jobs.get(job.id) is None:
            return self.not_found(request)
        if moment.state == "running" or (moment.state == "queued" and "queued" not in scene.states):
            shown = scene.running.get(str(moment.stage)) or next(iter(scene.running.values()))
            return self._tell(shown, job, moment.progress)
        return self._tell(scene.states[self.fails_as if moment.state == "failed" else moment.state], job)

    def _content(self, job: Job, request: Request) -> Reply:
        shown = next((each for each in self.index.of("content") if "raises" not in each.expect), None)
        if self.jobs.get(job.id) is None:
            return self.not_found(request)
        if job.moment(request.at).state != "completed":
            early = next((each for each in self.index.of("content") if "raises" in each.expect), None)
            return self._tell(early, job) if early else self._refusal(409, "conflict", "the job is not completed")
        if shown is None:
            return serve(request, file_of(model.Asset("/video.mp4"), job.id, self.clock.wall(job.ends_at)))
        return self._tell(shown, job)

    def _delete(self, job: Job, request: Request) -> Reply:
        if self.jobs.get(job.id) is None:
            return self.not_found(request)
        return self._ended(job, request, "delete")

    def _cancel(self, job: Job, request: Request) -> Reply:
        if self.jobs.get(job.id) is None:
            return self.not_found(request)
        if job.moment(request.at).final:
            return self._refusal(409, "conflict", "the job is over")
        if "cancelled" not in self._scenes[job.kind].states:
            return _lacking('status of a job that is cancelled ("state": "cancelled")')
        reply = self._ended(job, request, "cancel")
        if reply.status < 300:
            self._cancelled[job.id] = job
        return reply

    def _ended(self, job: Job, request: Request, name: str) -> Reply:
        shown = next((each for each in self.index.of(name) if "raises" not in each.expect), None)
        if shown is None:
            return _lacking(name)
        self.jobs.remove(job.id, at=request.at)
        return self._tell(shown, job)

    def _quota(self, request: Request) -> Reply:
        """The sample of a quota that affords something, where there is one."""
        shown = sorted(
            self.index.of("quota"), key=lambda each: ("raises" in each.expect, each.expect.get("remaining") == 0)
        )
        return _reply(shown[0].response()) if shown else _lacking("quota")

    def _list(self, request: Request) -> Reply:
        """All jobs that a row can show, the newest first, on one page; any further page is the sample of an empty one."""
        rows: dict[str, _Row] = {}
        pages = [(sample, self._page(sample)) for sample in self.index.of("list")]
        shown = sorted((pair for pair in pages if pair[1].items), key=lambda pair: pair[1].next is not None)
        if not shown:
            return _lacking("list with rows")
        sample, page = shown[0]
        if self._beyond(request, page.next):
            empty = next((each for each, page in pages if not page.items and page.next is None), None)
            return _reply(empty.response()) if empty else _lacking('list that is the last page ("next": null)')
        for each, page in shown:
            rows = {**self._rows(each, _where(each.data, page.items), page.items), **rows}
        pairs = [(job, rows.get(job.moment(request.at).state)) for job in self.jobs]
        elements = [self._element(row, job, request.at) for job, row in reversed(pairs) if row is not None]
        data = mutations.replaced(sample.data, _where(sample.data, shown[0][1].items), elements)
        for said in self._page(sample, data).items:
            self._serve(said, self.jobs.get(said.job_id or ""))
        return _reply(Swaps({}, {}).response(sample, data))

    def _beyond(self, request: Request, token: str | None) -> bool:
        """Whether a page is asked for that is not the first: what a token changes in the query is not as it was."""
        ask = self.operations["list"].request
        first, other = (dict(ask({}, each).query) for each in (None, token))
        changed = [name for name in other if other[name] != first.get(name)]
        return any(request.query.get(name, first.get(name)) != first.get(name) for name in changed)

    def _page(self, sample: Sample, data: object = mutations.GONE) -> model.Page:
        response = sample.response(None if data is mutations.GONE else mutations.encode(data))
        page = self._parse("list", response, "")
        return page if isinstance(page, model.Page) else model.Page(())

    def _rows(self, sample: Sample, where: mutations.Path, items: Sequence[model.Snapshot]) -> dict[str, _Row]:
        def progress(element: Any) -> float | None:
            page = self._page(sample, mutations.replaced(sample.data, where, [element]))
            return next((each.progress for each in page.items), None)

        elements = mutations.get(sample.data, where)
        pairs = [(said, _element(elements, said)) for said in reversed(items)]
        return {str(said.state): _Row(element, said, progress_writer(element, progress)) for said, element in pairs}

    def _element(self, row: _Row, job: Job, now: float) -> Any:
        swaps = self._swaps(job, {own_part(row.said.job_id or "", json.dumps(row.element))}, row.said.assets)
        moment = job.moment(now)
        element = row.write(row.element, moment.progress) if moment.state == "running" else row.element
        return swaps.data(element)

    # Answers

    def _tell(self, sample: Sample, job: Job, progress: float | None = None) -> Reply:
        """The sample told of the job. Second answers get a door of their own, files a place."""
        steps, said = self._read(sample)
        owns = {own_part(job_id, _text(part)) for part, _ in steps for job_id in _ids(part)}
        tokens = {
            token for part, value in steps if isinstance(value, Follow) for token in handed_on(part.data, value.request)
        }
        problem = said.problem if isinstance(said, model.Snapshot) else None
        reasons = {problem.message: job.failure} if problem is not None and job.failure else {}
        swaps = self._swaps(job, owns, _assets(said), tokens, reasons)
        data = sample.data
        if progress is not None:
            data = progress_writer(data, lambda body: self._progress(sample, body))(data, progress)
        answer = swaps.response(sample, data)
        value = self._parse(sample.operation, answer, job.id)
        for second, _ in steps[1:]:
            if isinstance(value, Follow):
                told = swaps.response(second)
                self._doors[_asked(value.request)] = lambda request, told=told: _reply(told)  # type: ignore[misc]
                value = _tried(value.parse, told, job.id)
        self._serve(value, job)
        return _reply(answer)

    def _swaps(
        self,
        job: Job,
        owns: set[str],
        assets: Sequence[model.Asset],
        tokens: Iterable[str] = (),
        whole: Mapping[str, str] | None = None,
    ) -> Swaps:
        own = self._owns[job.id]
        inside = {token: like(token, random.Random(f"{job.id}:{token}")) for token in tokens}
        inside |= dict.fromkeys(owns, own)
        for number, asset in enumerate(assets):
            if urlsplit(asset.url or "").scheme:
                end = file_of(asset, "", 0.0).media_type.partition("/")
                name = {"video": "mp4", "image": "jpg", "audio": "mp3"}.get(end[0], "srt")
                inside[str(asset.url)] = f"{self.urls['api']}/files/{quote(own, safe='')}-{number}.{name}"
        return Swaps(inside, whole or {})

    def _serve(self, said: object, job: Job | None) -> None:
        """Put the files of a job where its answer says they are."""
        for number, asset in enumerate(_assets(said) if job is not None else ()):
            base = self.urls["api"] + (self.base_path if (asset.url or "").startswith("./") else "") + "/"
            url = urljoin(base, asset.url or "")
            if job is not None and url.startswith(f"{self.urls['api']}/"):
                mark = job.id if number == 0 else f"{job.id}-{number}"
                target = url.removeprefix(self.urls["api"])
                self._files[target] = file_of(asset, mark, self.clock.wall(job.ends_at))

    def _refusal(self, status: int, kind: str, message: str) -> Reply:
        """The sample of a refusal: of this status, or a 200 of this kind; that of a status question comes first."""
        asked = {sample.request for sample in self.index.of("status")} | {""}
        found = [each for each in self.index.samples if each.operation == "error" and each.status == status]
        found += [each for each in self.index.samples if each.expect.get("kind") == kind]
        if not found:
            return json_reply(status, {"error": {"message": message}})
        return _reply(min(found, key=lambda each: each.request not in asked).response())

    # The index, read once

    def _check(self) -> None:
        wrong = list(self.index.wrong)
        if not any(self._submit_of(kind) for kind in self.provider.submit):
            wrong.append('no sample of a submit: add one, {"operation": "submit KIND", "expect": {"job_id": …}}')
        due = {("queued", "running"): "under way", ("completed",): "that is completed", (self.fails_as,): "that fails"}
        for states, what in due.items():
            if not any(self._samples(state) for state in states):
                wrong.append(f'no status sample of a job {what}: add one with "state": "{states[-1]}" in its "expect"')
        self._raise(wrong)

    def _raise(self, wrong: Sequence[str]) -> None:
        if wrong:
            raise PluginError(f"the samples of {self.provider.name} cannot be played: {'; '.join(wrong)}")

    def _submit_of(self, kind: str) -> Sample | None:
        return next((each for each in self.index.of(f"submit {kind}") if each.expect.get("job_id")), None)

    def _samples(self, state: str, like_id: str = "") -> list[Sample]:
        """The samples of a state, the best first: of the same job, with what is due, documented."""
        found = []
        for sample in self.index.of("status"):
            _, _, target = sample.request.partition(" ")
            if sample.state == state and "raises" not in sample.expect and (not target or target.startswith("/")):
                found.append(sample)  # a webhook's body has no path
        return sorted(found, key=lambda each: (each.job_id != like_id, self._poor(each), ORIGINS.index(each.origin)))

    def _poor(self, sample: Sample) -> bool:
        """Whether the sample lacks what a user looks for: the video of a completed job, the reason of a failed one."""
        _, said = self._read(sample)
        if not isinstance(said, model.Snapshot):
            return True
        if sample.state is model.State.COMPLETED:
            return not any(asset.kind == "video" for asset in said.assets)
        return said.problem is not None and said.problem.message not in _text(sample)

    def _scene(self, kind: str, fields: Mapping[str, object] | None) -> _Scene:
        submit = self._submit_of(kind)
        assert submit is not None
        job_id = submit.expect["job_id"]
        own = own_part(job_id, _text(submit))
        new = like(own, random.Random(0))
        said = self._parse(submit.operation, Swaps({own: new}, {}).response(submit), job_id)
        if not own or getattr(said, "job_id", None) != _renamed(job_id, own, new):
            self._raise([f"{submit.file}: its id {job_id!r} does not follow from what stands in it"])
        fields = fields or submit.fields or _FIELDS
        try:
            request = self.operations[submit.operation].request(dict(fields))
        except Exception as error:  # noqa: BLE001 - whatever a builder raises is told
            self._raise(
                [f'{submit.file}: add "fields" with good fields of a submit, like {json.dumps(_FIELDS)}: {error}']
            )
        running: dict[str, Sample] = {}
        for sample in self._samples("running", job_id) or self._samples("queued", job_id):
            running.setdefault(str(sample.expect.get("stage") or "running"), sample)
        same = {name: each for name, each in running.items() if each.job_id == job_id} or running
        running = dict(sorted(same.items(), key=lambda item: item[1].expect.get("progress") or 0.0))
        states = {str(state): self._samples(state, job_id) for state in model.State}
        scene = _Scene(
            submit, own, fields, request, running, {state: found[0] for state, found in states.items() if found}
        )
        self._check_files(scene.states["completed"])
        return scene

    def _check_files(self, sample: Sample) -> None:
        """A URL that stands in no body, and is not the account's own, cannot be played."""
        steps, said = self._read(sample)
        for asset in _assets(said):
            if urlsplit(asset.url or "").scheme and not any(str(asset.url) in _text(part) for part, _ in steps):
                self._raise([f"{sample.file}: the URL of its {asset.kind} does not stand in it"])

    def _timeline(self, scene: _Scene) -> Timeline:
        """Stages long enough to be seen by who asks as often as allowed; progress rises over all of them."""
        floor = max(3.0, self.provider.pacing.floor)
        length = max(2.0, 6.0 / len(scene.running)) * floor
        count = len(scene.running)
        shown = [sample.expect.get("progress") for sample in scene.running.values()]
        marks = [float(value) for value in shown if value is not None]
        if len(marks) < count:
            marks = [100.0 * (number + 0.5) / count for number in range(count)]
        bounds = [0.0, *((one + other) / 2 for one, other in pairwise(marks)), 100.0]
        stages = [
            Stage(name, (length, 1.2 * length), span)
            for name, span in zip(scene.running, pairwise(bounds), strict=True)
        ]
        queued = (2.0 * floor, 2.4 * floor) if "queued" in scene.states else (0.0, 0.0)
        return Timeline(queued, tuple(stages))

    def _read(self, sample: Sample) -> tuple[list[tuple[Sample, Any]], Any]:
        """The sample and the second answers that it asks for, each with what its parser gives; what comes of all."""
        value = self._parse(sample.operation, sample.response(), sample.job_id)
        steps = [(sample, value)]
        for second in filter(None, map(self.index.named, sample.then)):
            if isinstance(value, Follow):
                value = _tried(value.parse, second.response(), sample.job_id) or value.fallback
                steps.append((second, value))
        return steps, value.fallback if isinstance(value, Follow) else value

    def _progress(self, sample: Sample, body: Any) -> float | None:
        said = self._parse(sample.operation, sample.response(mutations.encode(body)), sample.job_id)
        said = said.fallback if isinstance(said, Follow) else said
        return said.progress if isinstance(said, model.Snapshot) else None

    def _parse(self, operation: str, response: model.Response, job_id: str) -> Any:
        known = self.operations.get(operation)
        return None if known is None else _tried(known.parse, response, job_id)


def _tried(parse: Callable[[model.Response, str], Any], response: model.Response, job_id: str) -> Any:
    try:
        return parse(response, job_id)
    except (AnswerError, Refused):
        return None


def _asked(request: model.Request) -> Asked:
    body = (request.body or b"").decode("latin-1") if request.json is None else _written(request.json)
    return request.method, unquote(request.path), tuple(sorted(request.query)), body


def _written(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def _target(request: Request) -> str:
    return request.raw_path + (f"?{request.raw_query}" if request.raw_query else "")


def _fits(asked: Asked, request: model.Request, fields: Mapping[str, object]) -> bool:
    """Whether a request is this submit: the same path, but for what comes out of a field (a model's name)."""
    pattern = re.escape(unquote(request.path))
    for value in fields.values():
        if isinstance(value, str) and value:
            pattern = re.sub(rf"(?<=/){re.escape(re.escape(value))}(?=/|$)", ".+", pattern)
    return asked[0] == request.method and re.fullmatch(pattern, asked[1]) is not None


def _likeness(fields: Mapping[str, object], sent: object) -> int:
    """How many fields a body shares with the one that a submit sends, less those that it lacks."""
    known = sent.keys() if isinstance(sent, dict) else set()
    return len(known & fields.keys()) - len(known - fields.keys())


def _object(request: Request) -> dict[str, Any]:
    try:
        said = request.json()
    except ValueError:
        said = None
    return said if isinstance(said, dict) else {}


def _reply(response: model.Response) -> Reply:
    return Reply(response.status, tuple(response.headers.items()), response.body)


def _lacking(what: str) -> Reply:
    message = f"the samples do not show it: add a sample of a {what} to index.json"
    return json_reply(501, {"error": {"message": message}})


def _renamed(job_id: str, own: str, new: str) -> str:
    start, _, end = job_id.rpartition(own)
    return start + new + end


def _text(sample: Sample) -> str:
    """All that an answer says, its headers too."""
    body = (
        sample.body.decode("utf-8", "replace") if sample.data is None else json.dumps(sample.data, ensure_ascii=False)
    )
    return "\n".join([*sample.headers.values(), body])


def _ids(sample: Sample) -> set[str]:
    """The job that was asked about, and the one that the answer names; a submit's answer names another."""
    return {sample.job_id, sample.expect.get("job_id") or sample.job_id}


def _assets(said: object) -> tuple[model.Asset, ...]:
    if isinstance(said, model.Asset):
        return (said,)
    return said.assets if isinstance(said, model.Snapshot) else ()


def _where(data: object, items: Sequence[model.Snapshot]) -> mutations.Path:
    """Where in a body the list stands that has an element for each of the rows."""
    lists = [(path, value) for path, value in mutations.nodes(data) if isinstance(value, list)]
    return next(path for path, value in lists if all(_element(value, said) is not None for said in items))


def _element(elements: Any, said: model.Snapshot) -> Any:
    return next((each for each in elements if own_part(said.job_id or "", json.dumps(each))), None)
