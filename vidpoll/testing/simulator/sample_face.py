"""A face without code: a provider's samples, played in the order of a job's states.

    SampleFace("samples/index.json", provider)

The provider's own builders show which request belongs to which job; the response is the sample of the job's state,
rewritten for that job. Files are served with Range. The index is that of the contract kit: a response without a sample
is not played, and the error, or the response (501), names the sample to add. Floors and rate limits are not played.
"""

from __future__ import annotations

import json
import random
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import pairwise, product
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urljoin, urlsplit

from ... import model
from ...errors import AnswerError, PluginError, Refused, UsageError
from ...provider import Follow, Provider, ways
from ..contract import mutations
from ..contract.checks import ORIGINS
from ..contract.samples import Index, Sample, read
from .answers import Swaps, file_of, handed_on, like, own_part, progress_writer, renamed, text_of
from .asked import Asked, asked, fits, likeness, opens, same_question, written
from .assets import Asset, serve
from .face import Clock, Face, Route
from .list_rows import rows_by_state, where_rows, with_body
from .timeline import Fate, Job, Stage, Timeline
from .wire import Reply, Request, json_reply

_FIELDS = {"prompt": "a lighthouse at dusk"}
_ENDINGS = ("cancel", "delete")


@dataclass(frozen=True)
class _Scene:
    """The samples of one kind of job. ``own`` is the part of the submit sample's id that is in its response."""

    submit: Sample
    own: str
    fields: Mapping[str, object]
    request: model.Request
    running: Mapping[str, Sample]
    states: Mapping[str, Sample]


class SampleFace(Face):
    """``provider`` as in its samples; ``index`` is the path of an index.json, or the result of ``samples.read``."""

    def __init__(
        self,
        index: Index | Path | str,
        provider: Provider,
        *,
        key: str | None = None,
        capacity: int = 4,
        fails_as: str = "failed",
        fields: Mapping[str, Mapping[str, object]] | None = None,
    ) -> None:
        """``fails_as`` is the final state of a job that must fail: failed, cancelled or expired.

        ``fields`` maps submit kinds to valid fields, instead of those in the index. Raises PluginError, which names
        what is missing, for an index that cannot be played.
        """
        self.index = index if isinstance(index, Index) else read(Path(index).parent)
        self.provider = provider
        self.operations = provider.operations()
        self.base_path = urlsplit(provider.base_url).path.rstrip("/")
        self.fails_as = fails_as
        self._check()
        self._scenes = {
            kind: self._scene(self._good(f"submit {kind}")[0], (fields or {}).get(kind))
            for kind in provider.submit
            if self._good(f"submit {kind}")
        }
        key = key or (f"sim-{provider.name}-key" if provider.auth.variables else None)
        timelines = {kind: self._timeline(scene) for kind, scene in self._scenes.items()}
        super().__init__(key=key, capacity=capacity, timelines=timelines)

    def attach(self, clock: Clock, seed: str, urls: Mapping[str, str]) -> None:
        super().attach(clock, seed, urls)
        self._kind = ""
        self._owns: dict[str, str] = {}
        self._cancelled: set[str] = set()
        self._doors: dict[Asked, Callable[[Request], Reply]] = {}
        self._files: dict[str, Asset] = {}

    def routes(self) -> Sequence[Route]:
        return (Route("GET HEAD POST PUT PATCH DELETE", "(?s:.*)", self._play),)

    def defaults(self, kind: str) -> dict[str, Any]:
        return dict(self._scenes[kind].fields)

    def tells_progress(self, kind: str) -> bool:
        return any(sample.expect.get("progress") is not None for sample in self._scenes[kind].running.values())

    def new_id(self, dice: random.Random) -> str:
        scene = self._scenes[self._kind]
        while True:
            own = like(scene.own, dice)
            job_id = renamed(scene.submit.expect["job_id"], scene.own, own)
            if job_id not in (scene.submit.expect["job_id"], *self._owns):
                self._owns[job_id] = own
                return job_id

    def add_job(self, kind: str, at: float, data: Mapping[str, Any], fate: Fate) -> Job:
        self._kind = kind
        job = super().add_job(kind, at, data, fate)
        delete = partial(self._removed, name="delete")
        answers: Mapping[str, Callable[[Job, Request], Reply]]
        answers = {"content": self._content, "delete": delete, "cancel": self._cancel, "status": self._status}
        for name, answer in answers.items():
            if name in self.operations:
                with suppress(UsageError):  # the vendor has no such request for this kind of job
                    self._doors[asked(self._sent(name, job.id))] = partial(answer, job)
        return job

    def _sent(self, name: str, job_id: str) -> model.Request:
        """The request of an operation; for a cancel or delete that polls the job first, its second request."""
        known, looks = self.operations[name], [each for each in self._good(name) if each.then and name in _ENDINGS]
        value = _tried(known.parse, looks[0].response(), job_id) if looks else None
        return value.request if isinstance(value, Follow) else known.request(job_id)

    def refuse(self, request: Request) -> Reply | None:
        first, *_ = known = ways(self.provider.auth)
        if self.key is None or request.target in self._files:
            return None
        if any(opens(way, request.raw_path, request.headers, self.key, first=way is first) for way in known):
            return None
        return self._refusal(401, "auth", "the key is wrong")

    def not_found(self, request: Request) -> Reply:
        return self._refusal(404, "not found", "there is no such job, or no such path")

    def full(self, request: Request) -> Reply:
        return self._refusal(429, "capacity", "no slot is free")

    # Requests

    def _play(self, request: Request) -> Reply:
        if request.target in self._files:
            return serve(request, self._files[request.target])
        came = self._came(request)
        if door := self._door(came):
            return door(request)
        if self._is(came, "list", {}, None):
            return self._list(request)
        if found := self._of_money(came):
            return found
        fields = _object(request)
        kinds = [kind for kind, scene in self._scenes.items() if fits(came, scene.request, scene.fields)]
        if not kinds or self._asks_about_a_job(came):
            return self.not_found(request)
        kind = max(kinds, key=lambda kind: self._likeness(kind, came, fields))
        return self._tell(self._scenes[kind].submit, self.submit(kind, request, fields))

    def _likeness(self, kind: str, came: Asked, fields: Mapping[str, object]) -> tuple[bool, float]:
        """How similar a request is to a kind's submit: an equal path counts first, then the number of equal fields."""
        request = self._scenes[kind].request
        return asked(request)[1] == came[1], likeness(fields, request.json)

    def _asks_about_a_job(self, came: Asked) -> bool:
        """Whether the request is about one job, for a vendor that uses one path for these and for submits."""
        for name, scene in product(("status", *_ENDINGS), self._scenes.values()):
            with suppress(KeyError, UsageError):  # there is no such operation, or not for such ids
                if same_question(came, self.operations[name].request(scene.submit.expect["job_id"])):
                    return True
        return False

    def _door(self, came: Asked) -> Callable[[Request], Reply] | None:
        """The handler of a request, which may have more query values: a vendor's SDK adds defaults (`stream=false`)."""
        found = [own for own in self._doors if own[:2] == came[:2] and own[3] == came[3] and {*own[2]} <= {*came[2]}]
        return self._doors[max(found, key=lambda own: len(own[2]))] if found else None

    def _is(self, came: Asked, name: str, *arguments: object) -> bool:
        known = self.operations.get(name)
        return known is not None and came[:2] == asked(known.request(*arguments))[:2]

    def _came(self, request: Request) -> Asked:
        try:
            body = written(request.json())
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
        if self.jobs.get(job.id) is None or job.moment(request.at).state != "completed":
            return self.not_found(request)
        shown = next((each for each in self._good("content") if each.data is not None), None)
        video = file_of(model.Asset("/video.mp4"), job.id, self.clock.wall(job.ends_at))
        return self._tell(shown, job) if shown else serve(request, video)  # not JSON: the file itself

    def _cancel(self, job: Job, request: Request) -> Reply:
        if "cancelled" not in self._scenes[job.kind].states:
            return _lacking('status of a cancelled job ("state": "cancelled")')
        both = "delete" in self.operations and self._sent("delete", job.id) == self._sent("cancel", job.id)
        if self.jobs.get(job.id) and job.moment(request.at).final:
            return (
                self._removed(job, request, "delete") if both else self._refusal(409, "conflict", "the job has ended")
            )
        reply = self._removed(job, request, "cancel")
        gone = both and any(
            each.state for each in self._good("cancel")
        )  # the response is the verdict, and the last one
        self._cancelled |= {job.id} if reply.status < 300 and not gone else set()
        return reply

    def _removed(self, job: Job, request: Request, name: str) -> Reply:
        good = self._good(name)
        if self.jobs.get(job.id) is None:
            return self.not_found(request)
        if not good:
            return _lacking(name)
        self.jobs.remove(job.id, at=request.at)
        return self._tell(next(filter(None, map(self.index.named, good[0].then)), good[0]), job)

    def _of_money(self, came: Asked) -> Reply | None:
        """The reply to a quota request (preferably with something left) or an estimate; None for other requests."""
        if self._is(came, "quota"):
            good = sorted(self._good("quota"), key=lambda each: each.expect.get("remaining") == 0)
            return _reply(good[0].response()) if good else _lacking("quota")
        for kind in filter(self.provider.estimate.get, self._scenes):
            for each in self._good(f"estimate {kind}"):
                own = dict(each.fields) or self.defaults(kind)
                if fits(came, self.provider.estimate[kind].request(own), own):
                    return _reply(each.response())
        return None

    def _list(self, request: Request) -> Reply:
        """All jobs that have a row, the newest first, on one page; a further page is the sample of an empty page."""
        pages = [(each, self._page(each)) for each in self._good("list")]
        shown = sorted((pair for pair in pages if pair[1].items), key=lambda pair: pair[1].next is not None)
        if not shown:
            return _lacking("list with rows")
        if self._beyond(request, shown[0][1].next):
            empty = next((each for each, page in pages if not page.items and page.next is None), None)
            return _reply(empty.response()) if empty else _lacking('list that is the last page ("next": null)')
        rows = {state: row for pair in reversed(shown) for state, row in rows_by_state(*pair).items()}
        elements = [each for job in self.jobs for each in self._element(job, request.at, rows)][::-1]
        sample, page = shown[0]
        data = mutations.replaced(sample.data, where_rows(sample.data, page.items), elements)
        return _reply(sample.response(mutations.encode(data)))

    def _element(self, job: Job, now: float, rows: Mapping[str, tuple[Sample, mutations.Path]]) -> list[Any]:
        """A list with the job's row; an empty one if no sample has a row of its state."""
        moment = job.moment(now)
        state = self.fails_as if moment.state == "failed" else moment.state
        if state not in rows:
            return []
        row, where = rows[state]
        told = self._told(row, job, moment.progress if state == "running" else None)
        found: list[Any] = mutations.get(told.json(), where)
        return found

    def _page(self, sample: Sample) -> model.Page:
        page = self._parse(sample, sample.response(), sample.about)
        return page if isinstance(page, model.Page) else model.Page(())

    def _beyond(self, request: Request, token: str | None) -> bool:
        """Whether the request is for a later page: the parameters that a token changes differ from the first page's."""
        ask = self.operations["list"].request
        first, other = (
            {**dict(made.query), **(made.json if isinstance(made.json, dict) else {})}
            for made in (ask({}, None), ask({}, token))
        )
        given = {**request.query, **_object(request)}
        changed = [name for name in other if other[name] != first.get(name)]
        return any(given.get(name, first.get(name)) != first.get(name) for name in changed)

    # Responses

    def _tell(self, sample: Sample, job: Job, progress: float | None = None) -> Reply:
        return _reply(self._told(sample, job, progress))

    def _told(self, sample: Sample, job: Job, progress: float | None = None) -> model.Response:
        """The sample, rewritten for the job. Also registers its second responses and its files."""
        steps, said = self._read(sample)
        swaps = self._swaps(steps, said, job)
        data = sample.data
        if progress is not None:
            data = progress_writer(
                data, lambda body: getattr(self._read(with_body(sample, body))[1], "progress", None)
            )(data, progress)
        answer = swaps.response(sample, data)
        value = self._parse(sample, answer, job.id)
        for second, _ in steps[1:]:
            if isinstance(value, Follow):
                told = swaps.response(second)
                self._doors[asked(value.request)] = partial(lambda told, request: _reply(told), told)
                value = _tried(value.parse, told, job.id)
        self._serve(_said(value), job)
        return answer

    def _swaps(self, steps: Sequence[tuple[Sample, Any]], said: Any, job: Job) -> Swaps:
        own, inside = self._owns[job.id], {}
        problem = getattr(said, "problem", None)
        whole = {problem.message: job.failure} if problem and job.failure else {}
        for part, value in steps:
            for token in handed_on(part.data, value.request) if isinstance(value, Follow) else ():
                inside[token] = like(token, random.Random(f"{job.id}:{token}"))
        for number, asset in enumerate(_assets(said)):
            if urlsplit(asset.url or "").scheme:
                end = file_of(asset, "", 0.0).suffix
                inside[str(asset.url)] = f"{self.urls['api']}/files/{quote(own, safe='')}-{number}{end}"
            if asset.data is not None:  # it is in the response
                clip = file_of(asset, f"{job.id}-{number}", self.clock.wall(job.ends_at))
                whole[b64encode(asset.data).decode()] = b64encode(clip.data).decode()
        for part, _ in steps:
            inside |= {own_part(job_id, text_of(part)): own for job_id in _ids(part)}
        return Swaps(inside, whole)

    def _serve(self, said: object, job: Job) -> None:
        """Serve the files of a job at the URLs in its response."""
        for number, asset in enumerate(_assets(said)):
            base = self.base_path if (asset.url or "").startswith("./") else ""
            url = urljoin(f"{self.urls['api']}{base}/", asset.url or "")
            if url.startswith(f"{self.urls['api']}/"):
                mark = f"{job.id}-{number}" if number else job.id
                self._files[url.removeprefix(self.urls["api"])] = file_of(asset, mark, self.clock.wall(job.ends_at))

    def _refusal(self, status: int, kind: str, message: str) -> Reply:
        """The sample of a refusal of this kind or HTTP status, preferably one to a status request."""
        asked = {sample.request for sample in self.index.of("status")} | {""}
        found = [each for each in self.index.of("error") if each.status == status]
        found += [each for each in self.index.samples if each.expect.get("kind") == kind and not _about_money(each)]
        if not found:
            return json_reply(status, {"error": {"message": message}})
        said = min(found, key=lambda each: (each.expect.get("kind") != kind, each.request not in asked))
        return _reply(said.response())

    # The index

    def _check(self) -> None:
        wrong = list(self.index.wrong)
        if not any(self._good(f"submit {kind}") for kind in self.provider.submit):
            wrong.append(
                'there is no sample of a submit: add one, {"operation": "submit KIND", "expect": {"job_id": …}}'
            )
        due = {("queued", "running"): "under way", ("completed",): "that is completed", (self.fails_as,): "that fails"}
        for states, what in due.items():
            if not any(self._of(state) for state in states):
                wrong.append(
                    f'there is no status sample of a job {what}: add one with "state": "{states[-1]}" in its "expect"'
                )
        if wrong:
            raise self._unplayable(*wrong)

    def _unplayable(self, *wrong: str) -> PluginError:
        return PluginError(f"the samples of {self.provider.name} cannot be played: {'; '.join(wrong)}")

    def _good(self, operation: str) -> list[Sample]:
        return [each for each in self.index.of(operation) if "raises" not in each.expect]

    def _of(self, state: str, job_id: str = "") -> list[Sample]:
        """The samples of a state that fit the job's kind of id. First those of the same job, complete and documented.

        If none fits: all of them for a state that every job needs, else none.
        """
        told = (each for each in self._good("status") if each.state == state)
        found = [
            each for each in told if each.request.partition(" ")[2][:1] in ("", "/")
        ]  # a webhook sample has no path
        own = [each for each in found if getattr(self._read(each, job_id)[1], "state", None) is each.state]
        shown = own or (found if not job_id or state in ("running", "completed", "failed") else [])
        return sorted(shown, key=lambda each: (each.job_id != job_id, self._poor(each), ORIGINS.index(each.origin)))

    def _poor(self, sample: Sample) -> bool:
        """Whether the sample is incomplete: without the video of a completed job, or the reason of a failed one."""
        said = self._read(sample)[1]
        if sample.state is model.State.COMPLETED:
            return not any(asset.kind == "video" for asset in _assets(said))
        problem = getattr(said, "problem", None)
        return problem is not None and problem.message not in text_of(sample)

    def _scene(self, submit: Sample, fields: Mapping[str, object] | None) -> _Scene:
        job_id = submit.expect["job_id"]
        own = own_part(job_id, text_of(submit))
        new = like(own, random.Random(0))
        said = self._parse(submit, Swaps({own: new}, {}).response(submit), job_id)
        if not own or getattr(said, "job_id", None) != renamed(job_id, own, new):
            raise self._unplayable(f"{submit.file}: the job_id {job_id!r} must be part of the response")
        sent = submit.sends if isinstance(submit.sends, Mapping) else None
        fields, request = self._first_request(submit, fields or submit.fields or sent or _FIELDS, _FIELDS)
        ordered = {str(state): self._of(str(state), job_id) for state in model.State}
        # another API of the vendor may have a word for a queue when the API of this job has none
        ordered["queued"] = [each for each in ordered["queued"] if self._parse(each, each.response(), job_id)]
        states = {state: found[0] for state, found in ordered.items() if found}
        self._check_files(states["completed"])
        running = _stages(ordered["running"] or ordered["queued"], job_id)
        return _Scene(submit, own, fields, request, running, states)

    def _first_request(
        self, submit: Sample, *tries: Mapping[str, object]
    ) -> tuple[Mapping[str, object], model.Request]:
        """The first fields that the builder accepts, with its request."""
        wrong = ""
        for fields in tries:
            try:
                return fields, self.operations[submit.operation].request(dict(fields))
            except Exception as error:  # noqa: BLE001 - the message shows whatever a builder raises
                wrong = wrong or str(error)
        raise self._unplayable(
            f'{submit.file}: add "fields" that the submit accepts, like {json.dumps(_FIELDS)} ({wrong})'
        )

    def _check_files(self, sample: Sample) -> None:
        """Raise PluginError for a file URL that is in no body and not of the account's own origin."""
        steps, said = self._read(sample)
        if isinstance(steps[-1][1], Follow):
            raise self._unplayable(
                f'{sample.file}: its parser requests a second response: add the sample of it to "then"'
            )
        for asset in _assets(said):
            if urlsplit(asset.url or "").scheme and not any(str(asset.url) in text_of(part) for part, _ in steps):
                raise self._unplayable(f"{sample.file}: the URL of its {asset.kind} must be in the response")

    def _timeline(self, scene: _Scene) -> Timeline:
        """Stages that are long enough to be seen when polled at the floor; progress rises over all of them."""
        floor, count = max(3.0, self.provider.pacing.floor), len(scene.running)
        length = max(2.0, 4.0 / count) * floor
        shown = [sample.expect.get("progress") for sample in scene.running.values()]
        marks = [float(value) for value in shown if value is not None]
        if len(marks) < count:
            marks = [100.0 * (number + 0.5) / count for number in range(count)]
        bounds = [0.0, *((one + other) / 2 for one, other in pairwise(marks)), 100.0]
        spans = zip(scene.running, pairwise(bounds), strict=True)
        stages = tuple(Stage(name, (length, 1.2 * length), span) for name, span in spans)
        return Timeline((2.0 * floor, 2.4 * floor) if "queued" in scene.states else (0.0, 0.0), stages)

    def _read(self, sample: Sample, job_id: str = "") -> tuple[list[tuple[Sample, Any]], Any]:
        """The sample and its second responses, each with its parser's result; and the result of all of them."""
        job_id = job_id or sample.job_id
        value = self._parse(sample, sample.response(), job_id)
        steps = [(sample, value)]
        for second in filter(None, map(self.index.named, sample.then)):
            if isinstance(value, Follow):
                value = _tried(value.parse, second.response(), job_id) or value.fallback
                steps.append((second, value))
        return steps, _said(value)

    def _parse(self, sample: Sample, response: model.Response, job_id: str) -> Any:
        known = self.operations.get(sample.operation)
        about = self._about(sample) if sample.operation.startswith("submit ") else job_id
        return None if known is None else _tried(known.parse, response, about)

    def _about(self, sample: Sample) -> str:
        """The second argument of a submit's parser: the part of the call that the id carries."""
        sent = sample.sends if isinstance(sample.sends, Mapping) else None
        return self._first_request(sample, sample.fields or sent or _FIELDS, _FIELDS)[1].about


def _stages(samples: Iterable[Sample], job_id: str) -> dict[str, Sample]:
    """A sample for each stage, in the order of progress; only samples of the same job, if there are any."""
    found: dict[str, Sample] = {}
    for sample in samples:
        found.setdefault(str(sample.expect.get("stage") or "running"), sample)
    same = {stage: each for stage, each in found.items() if each.job_id == job_id} or found
    return dict(sorted(same.items(), key=lambda item: item[1].expect.get("progress") or 0.0))


def _tried(parse: Callable[[model.Response, str], Any], response: model.Response, job_id: str) -> Any:
    try:
        return parse(response, job_id)
    except (AnswerError, Refused):
        return None


def _said(value: Any) -> Any:
    """The snapshot of a parser's result: the fallback of a Follow, or the first row of a page."""
    value = value.fallback if isinstance(value, Follow) else value
    return value.items[0] if isinstance(value, model.Page) and value.items else value


def _assets(said: object) -> tuple[model.Asset, ...]:
    return (said,) if isinstance(said, model.Asset) else getattr(said, "assets", ())


def _ids(sample: Sample) -> set[str]:
    """The id of the request and the id in the response; a submit's response has another one."""
    return {sample.job_id, sample.expect.get("job_id") or sample.job_id}


def _object(request: Request) -> dict[str, Any]:
    try:
        said = request.json()
    except ValueError:
        said = None
    return said if isinstance(said, dict) else {}


def _about_money(sample: Sample) -> bool:
    """Whether the sample is only about the quota or about prices."""
    return sample.operation.split()[0] in ("quota", "history", "estimate")


def _reply(response: model.Response) -> Reply:
    return Reply(response.status, tuple(response.headers.items()), response.body)


def _lacking(what: str) -> Reply:
    return json_reply(501, {"error": {"message": f"not in the samples: add a sample of a {what} to index.json"}})
