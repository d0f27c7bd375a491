"""The plugin under test: loaded, its samples read, its parsers called the way the loop calls them.

This module has no rule. Every check reports what it found through `broken`.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NoReturn

from ... import redact
from ...errors import AnswerError, PluginError, Refused, UnknownProvider, UnknownStatus, UsageError
from ...faults import Fault
from ...model import Asset, Page, Problem, Quota, Request, Response, Snapshot, State, Submitted
from ...net.accounts import Account, OpenAccount
from ...plugins import PluginReport, Plugins
from ...price import Price
from ...provider import Follow, Operation, Provider
from . import mutations
from .samples import Index, Sample, read

ALLOWED = (AnswerError, Refused)
"""What a parser may raise. Anything else is a bug that the wait has to survive."""

TYPES: Mapping[str, type] = {
    "status": Snapshot, "submit": Submitted, "list": Page, "batch": Page, "quota": Quota, "content": Asset,
    "estimate": Price,
}  # fmt: skip
"""What the parser of an operation returns, unless it returns a Follow."""

BY_ID = ("status", "cancel", "delete", "content")
"""The operations whose builder takes the job's id."""


def broken(rule: str, *, seen: str, why: str, do: str) -> NoReturn:
    """Fail the test with four lines: the rule, what was seen, what would happen to a user, what to do."""
    import pytest

    pytest.fail(f"{rule}\n  seen: {seen}\n  why:  {why}\n  do:   {do}", pytrace=False)


def bad_error(seen: str) -> NoReturn:
    broken(
        "a parser may raise only AnswerError or Refused",
        seen=seen,
        why="an unexpected field is a transient error, but the user's log would report a bug in the plugin",
        do="read fields with parsing.json_object, first_of, text, number, progress, timestamp, assets: they accept "
        "any value",
    )


def skip(reason: str) -> NoReturn:
    import pytest

    pytest.skip(reason)


def said(error: BaseException) -> str:
    """An exception in one safe line, with the plugin's line of code that raised it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = "" if trace is None else f" (in {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno})"
    return redact.text(f"{type(error).__name__}: {error}", limit=160) + where


def difference(one: object, other: object) -> str:
    """What differs between two values: "progress: 3.0, then 4.0"; the values themselves if they have no fields."""
    if type(one) is type(other) and is_dataclass(one) and not isinstance(one, type):
        found = [(each.name, getattr(one, each.name), getattr(other, each.name)) for each in fields(one)]
        unlike = [f"{name}: {difference(was, now)}" for name, was, now in found if was != now and name != "raw"]
        return "; ".join(unlike)
    if isinstance(one, (tuple, list)) and isinstance(other, (tuple, list)) and len(one) == len(other):
        return "; ".join(difference(was, now) for was, now in zip(one, other, strict=True) if was != now)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        names = [name for name in {**one, **other} if one.get(name) != other.get(name)]
        return "; ".join(f"{name}: {difference(one.get(name), other.get(name))}" for name in names)
    return redact.text(f"{one!r}, then {other!r}", limit=200)


@dataclass(frozen=True)
class Outcome:
    """The result of a parser: a value, or an error."""

    value: Any = None
    error: Exception | None = None

    @property
    def state(self) -> State | None:
        """The state that the response gives the job; None if it gives none (an error, or a further request)."""
        return self.value.state if isinstance(self.value, Snapshot) else None

    @property
    def allowed(self) -> bool:
        return self.error is None or isinstance(self.error, ALLOWED)

    def __str__(self) -> str:
        if self.error is not None:
            return redact.text(f"{type(self.error).__name__}: {self.error}", limit=160)
        if isinstance(self.value, Snapshot):
            return f"state {self.value.state}"
        return redact.text(repr(self.value), limit=160)


class Subject:
    """One provider with its plugin and its samples."""

    def __init__(self, name: str, folder: Path, plugin: object | None, submits: Mapping[str, Mapping[str, object]]):
        self.name = name
        self.plugin = plugin
        self.index: Index = read(folder)
        self.given = submits
        self.submits = {**self._fields_of_samples(), **submits}
        """Valid fields for each submit kind: those of the contract class, else those of a sample."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            self.problem = ""
            self.plugins = Plugins(discover=False)
            try:
                self.plugins = Plugins([] if plugin is None else [plugin], discover=plugin is None)
                _ = self.found  # loads what is loaded on demand, so that its warnings are caught here
            except (PluginError, UsageError) as error:
                self.problem = str(error)
        self.warnings = [str(each.message) for each in caught]

    def _fields_of_samples(self) -> dict[str, Mapping[str, object]]:
        found = [sample for sample in self.index.of("submit") if sample.fields]
        return {each.operation.removeprefix("submit "): each.fields for each in reversed(found)}

    @cached_property
    def found(self) -> Provider | None:
        """The provider; None if no plugin has it."""
        try:
            return self.plugins.provider(self.name)
        except UnknownProvider:
            return None

    @property
    def provider(self) -> Provider:
        """The provider. Without one the test is skipped, because one failed test (`finding`) reports that."""
        if self.found is None:
            skip(f"there is no provider {self.name!r}: see the failure of test_the_plugin_is_sound")
        return self.found

    @property
    def report(self) -> PluginReport:
        """vidpoll's report on the provider's plugin."""
        return next(report for report in self.plugins.reports if self.provider.name in report.providers)

    @cached_property
    def operations(self) -> Mapping[str, Operation[Any]]:
        polling = self.provider.list_polling
        batch = polling.batch if polling is not None else None
        return {**self.provider.operations(), **({} if batch is None else {"batch": batch})}

    @cached_property
    def word_paths(self) -> Mapping[str, tuple[mutations.Path, ...]]:
        """For each status sample the paths of its status word: those at which an unknown word raises UnknownStatus."""
        found = {}
        for sample in self.index.of("status"):
            paths = []
            for path, _ in mutations.scalars(sample.data):
                outcome = self.read(sample, mutations.replaced(sample.data, path, mutations.NOBODY))
                if isinstance(outcome.error, UnknownStatus):
                    paths.append(path)
            found[sample.file] = tuple(paths)
        return found

    @property
    def statuses(self) -> Sequence[Sample]:
        """The status samples that give a state."""
        return [sample for sample in self.index.of("status") if sample.state is not None]

    def id_paths(self, sample: Sample) -> list[mutations.Path]:
        """Where a response names its job: by the whole id, or by the last part of an id like `text2video/831`."""
        tail = sample.job_id.replace(":", "/").rpartition("/")[2]
        forms = {sample.job_id, tail} if len(tail) >= 3 else {sample.job_id}
        plain = [(path, value) for path, value in mutations.scalars(sample.data) if not isinstance(value, bool)]
        return [path for path, value in plain if isinstance(value, (str, int)) and str(value) in forms]

    # -- what responses mean ------------------------------------------------------------------------------------------

    def parse(self, operation: str, response: Response, job_id: str) -> Outcome:
        """The parser's result for one response; a Follow is returned as it is."""
        try:
            return Outcome(self.operations[operation].parse(response, job_id))
        except Exception as error:  # noqa: BLE001 - the check examines whatever a parser raises
            return Outcome(error=error)

    def read(self, sample: Sample, data: object = mutations.GONE) -> Outcome:
        """vidpoll's result for a sample, or for it with another body; second responses are those of `then`."""
        response = sample.response(None if data is mutations.GONE else mutations.encode(data))
        if not is_shown(response, self.operations[sample.operation].verdicts):
            return self._refusal(response)
        outcome = self.parse(sample.operation, response, self.about(sample))
        for name in sample.then:
            second = self.index.named(name)
            if isinstance(outcome.value, Follow) and second is not None:
                follow = outcome.value
                outcome = self.answered(follow, second, sample.job_id)
                if outcome.error is not None and outcome.allowed and follow.fallback is not None:
                    outcome = Outcome(follow.fallback)
        if isinstance(outcome.value, Follow) and outcome.value.fallback is not None:
            return Outcome(outcome.value.fallback)
        return outcome

    def answered(self, follow: Follow[Any], answer: Sample, job_id: str) -> Outcome:
        """vidpoll's result for a second response, without the fallback. A refusal does not reach the parser."""
        if not is_shown(answer.response(), follow.verdicts):
            return self._refusal(answer.response())
        return self.second(follow, answer.response(), job_id)

    def second(self, follow: Follow[Any], response: Response, job_id: str) -> Outcome:
        """The result of the parser of a second response, without the fallback."""
        try:
            return Outcome(follow.parse(response, job_id))
        except Exception as error:  # noqa: BLE001 - as above
            return Outcome(error=error)

    def about(self, sample: Sample) -> str:
        """The second argument of a sample's parser: for a submit, `about` of its request."""
        if not sample.operation.startswith(("submit ", "estimate ")) or sample.operation not in self.operations:
            return sample.about
        try:
            return str(self.builder(sample.operation, sample)().about)
        except Exception:  # noqa: BLE001 - another check reports it
            return ""

    def _refusal(self, response: Response) -> Outcome:
        """A refusal by HTTP status, as if a parser had raised it."""
        problem = self.problem_of(response)
        fault = self.fault(problem, response.status)
        return Outcome(error=Refused(fault.kind, str(problem), fault.code))

    def fault(self, problem: object, status: int) -> Fault:
        """The Fault that vidpoll makes of a refusal that `Provider(error=…)` has read."""
        told = problem if isinstance(problem, Problem) else Problem()
        return Fault(told.message, status, told.code, declared=told.kind, charged=told.charged)

    def problem_of(self, response: Response) -> object:
        """What `Provider(error=…)` returns for a response, or the exception that it raises."""
        try:
            return self.provider.error(response)
        except Exception as error:  # noqa: BLE001 - the check examines whatever it raises
            return error

    def follows(self, sample: Sample) -> Iterator[tuple[Follow[Any], Sample]]:
        """Each Follow that the parser of a sample returns, with the sample of its response."""
        outcome = self.parse(sample.operation, sample.response(), sample.job_id)
        for name in sample.then:
            answer = self.index.named(name)
            if isinstance(outcome.value, Follow) and answer is not None:
                yield outcome.value, answer
                outcome = self.answered(outcome.value, answer, sample.job_id)

    def snapshots(self) -> Iterator[tuple[Sample, Snapshot]]:
        """Every snapshot of the samples: of status responses, list rows and submit responses."""
        for sample in self.index.samples:
            if sample.operation in self.operations:
                value = self.read(sample).value
                for each in value.items if isinstance(value, Page) else (value,):
                    found = each.snapshot if isinstance(each, Submitted) else each
                    if isinstance(found, Snapshot):
                        yield sample, found

    # -- requests -----------------------------------------------------------------------------------------------------

    def requests(self) -> Iterator[tuple[str, partial[Request]]]:
        """Every operation's builder, ready to be called, with the arguments of the samples and of `submits`.

        Uploads are left out: no sample has a file, and each form has a boundary of its own.
        """
        for name in self.operations:
            if name.startswith("upload "):
                continue
            if not name.startswith(("submit ", "estimate ")) or name.partition(" ")[2] in self.submits:
                yield name, self.builder(name)
        if self.provider.list_polling is not None and self.provider.list is not None:
            yield "list", partial(self.operations["list"].request, dict(self.provider.list_polling.fields), None)

    def builder(self, name: str, sample: Sample | None = None) -> partial[Request]:
        """An operation's builder with the arguments of a sample: its id, or its fields and token.

        Without a sample, the id is that of the operation's own samples: a vendor may cancel only jobs of one kind.
        """
        build = self.operations[name].request
        first = next(iter([*self.index.of(name), *self.index.samples]), None)
        if name in BY_ID:
            known = sample or first
            return partial(build, "j1" if known is None else known.job_id)
        own = {} if sample is None else dict(sample.fields)
        if name == "list":
            return partial(build, own, None if sample is None else sample.token)
        if name == "quota":
            return partial(build)
        if name == "batch":
            known = sample or first
            return partial(build, ("j1",) if known is None else (known.job_id,))
        return partial(build, own or dict(self.submits[name.partition(" ")[2]]))

    def build(self, name: str, builder: partial[Request]) -> Request:
        """Call a builder. Fails the test unless it returns a Request."""
        try:
            request = builder()
        except Exception as error:  # noqa: BLE001 - the message shows whatever is raised
            broken(
                "a builder must return a Request",
                seen=f"{name} with {redact.text(builder.args, limit=120)}: {said(error)}",
                why="the operation cannot be used at all",
                do="correct the builder; for a submit or a list, check also the fields that it was called with "
                '(`submits` of the contract class, "fields" in index.json)',
            )
        if not isinstance(request, Request):
            broken(
                "a builder must return a Request",
                seen=f"{name} returned {type(request).__name__}",
                why="the operation cannot be used at all",
                do="return vidpoll.Request(METHOD, PATH, …)",
            )
        return request

    @contextmanager
    def keys(self, value: str) -> Iterator[None]:
        """Set a key in each environment variable that the provider names."""
        before = {name: os.environ.get(name) for name in self.provider.auth.variables}
        os.environ.update({name: f"{value}-{name}" for name in before})
        try:
            yield
        finally:
            for name, was in before.items():
                os.environ.pop(name)
                if was is not None:
                    os.environ[name] = was

    def endpoint(self, environ: Mapping[str, str] | None = None) -> OpenAccount:
        """The provider's default account, open, with the keys of `environ` (by default, of this process)."""
        return OpenAccount(self.name, Account(self.name), self.provider, os.environ if environ is None else environ)


def is_shown(response: Response, verdicts: tuple[int, ...]) -> bool:
    """Whether such a response reaches the parser."""
    return 200 <= response.status < 300 or response.status in verdicts
