"""The plugin under test: found, its samples read, its parsers called the way the loop calls them.

No rule lives here. `broken` is how every check says what it found.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NoReturn

from ... import redact
from ...errors import AnswerError, PluginError, Refused, UnknownProvider, UsageError
from ...model import Page, Request, Response, Snapshot, State, Submitted
from ...net.accounts import Account, OpenAccount
from ...plugins import PluginReport, Plugins
from ...provider import Follow, Operation, Provider
from . import mutations
from .samples import Index, Sample, read

ALLOWED = (AnswerError, Refused)
"""What a parser may raise. Everything else is a bug that the wait has to bear."""


def broken(rule: str, *, seen: str, why: str, do: str) -> NoReturn:
    """Fail the test with four lines: the rule, what was seen, what a user would suffer, what to do."""
    import pytest

    pytest.fail(f"{rule}\n  seen: {seen}\n  why:  {why}\n  do:   {do}", pytrace=False)


def bad_error(seen: str) -> NoReturn:
    broken(
        "a parser raises AnswerError or Refused, and nothing else",
        seen=seen,
        why="a strange field would look like a bug of the plugin in the user's log; it is a transient error",
        do="read fields with parsing.json_object, first_of, text, number, progress, timestamp, assets: they bear "
        "whatever comes",
    )


def skip(reason: str) -> NoReturn:
    import pytest

    pytest.skip(reason)


@dataclass(frozen=True)
class Outcome:
    """What a parser made of an answer: a value, or an error."""

    value: Any = None
    error: Exception | None = None

    @property
    def state(self) -> State | None:
        """The state that the answer gives the job; None where it gives none (an error, or a further request)."""
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
        self.submits = submits
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            self.problem = ""
            try:
                self.plugins = Plugins([] if plugin is None else [plugin], discover=plugin is None)
                with suppress(UnknownProvider):
                    self.plugins.provider(name)  # what is loaded by need is loaded here, and its warnings are heard
            except (PluginError, UsageError) as error:
                self.problem = str(error)
        self.warnings = [str(each.message) for each in caught]

    @property
    def provider(self) -> Provider:
        """The provider. Skips the test where there is none, because one failed test (`check_found`) tells of that."""
        if self.problem or self.name not in self.plugins.providers:
            skip(f"no provider {self.name!r}: see test_the_plugin_is_sound")
        return self.plugins.providers[self.name]

    def check_found(self) -> None:
        """Fail the test where no plugin brings the provider."""
        if not self.problem and self.name in self.plugins.providers:
            return
        reports = [] if self.problem else self.plugins.problems
        wrong = self.problem or "; ".join(f"{report.name}: {report.problem}" for report in reports)
        broken(
            f"a plugin brings the provider {self.name!r}",
            seen=wrong or f"the installed plugins bring {', '.join(self.plugins.providers) or 'none'}",
            why="without it `vidpoll wait` says that there is no such provider",
            do="run `pip install -e .` in the plugin's folder, and yield vidpoll.Provider("
            f"{self.name!r}, …) from vidpoll_providers; for a plugin without a distribution set `plugin = …`",
        )

    @property
    def report(self) -> PluginReport:
        """What vidpoll says of the plugin that brings the provider."""
        return next(report for report in self.plugins.reports if self.provider.name in report.providers)

    @cached_property
    def operations(self) -> Mapping[str, Operation[Any]]:
        return self.provider.operations()

    @cached_property
    def word_paths(self) -> Mapping[str, tuple[mutations.Path, ...]]:
        """For each status sample: where a word that nobody sends raises UnknownStatus, so where its word stands."""
        from ...errors import UnknownStatus

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

    def parse(self, operation: str, response: Response, job_id: str) -> Outcome:
        """What the parser makes of one answer; a Follow comes back as it is."""
        try:
            return Outcome(self.operations[operation].parse(response, job_id))
        except Exception as error:  # noqa: BLE001 - what a parser raises is what is looked at
            return Outcome(error=error)

    def read(self, sample: Sample, data: object = mutations.GONE) -> Outcome:
        """What the parser makes of a sample, or of the sample with another body; further answers come from `then`."""
        body = None if data is mutations.GONE else mutations.encode(data)
        outcome = self.parse(sample.operation, sample.response(body), sample.job_id)
        for name in sample.then:
            second = self.index.named(name)
            if isinstance(outcome.value, Follow) and second is not None:
                follow = outcome.value
                outcome = self.second(follow, second.response(), sample.job_id)
                if outcome.error is not None and outcome.allowed and follow.fallback is not None:
                    outcome = Outcome(follow.fallback)
        if isinstance(outcome.value, Follow) and outcome.value.fallback is not None:
            return Outcome(outcome.value.fallback)
        return outcome

    def second(self, follow: Follow[Any], response: Response, job_id: str) -> Outcome:
        """What the parser of a second answer makes of it, without the fallback."""
        try:
            return Outcome(follow.parse(response, job_id))
        except Exception as error:  # noqa: BLE001 - as above
            return Outcome(error=error)

    def follows(self, sample: Sample) -> Iterator[tuple[Follow[Any], Sample]]:
        """Each further request that the parser of a sample asks for, with the sample that answers it."""
        outcome = self.parse(sample.operation, sample.response(), sample.job_id)
        for name in sample.then:
            answer = self.index.named(name)
            if isinstance(outcome.value, Follow) and answer is not None:
                yield outcome.value, answer
                outcome = self.second(outcome.value, answer.response(), sample.job_id)

    def snapshots(self) -> Iterator[tuple[Sample, Snapshot]]:
        """Everything that the samples say about jobs: status answers, list rows, submit answers."""
        for sample in self.index.samples:
            if sample.operation in self.operations:
                value = self.read(sample).value
                for each in value.items if isinstance(value, Page) else (value,):
                    found = each.snapshot if isinstance(each, Submitted) else each
                    if isinstance(found, Snapshot):
                        yield sample, found

    def requests(self) -> Iterator[tuple[str, partial[Request]]]:
        """Every operation's builder, ready to be called with what the samples and `submits` give."""
        job_id = next((sample.job_id for sample in self.index.samples), "j1")
        for name, operation in self.operations.items():
            if name in ("status", "cancel", "delete", "content"):
                yield name, partial(operation.request, job_id)
            elif name == "list":
                yield name, partial(operation.request, {}, None)
            elif name == "quota":
                yield name, partial(operation.request)
            else:
                kind = name.removeprefix("submit ")
                if kind in self.submits:
                    yield name, partial(operation.request, dict(self.submits[kind]))

    def build(self, name: str, builder: partial[Request]) -> Request:
        """What a builder makes. Fails the test for anything but a Request."""
        try:
            request = builder()
        except Exception as error:  # noqa: BLE001 - whatever a builder raises is told
            broken(
                "a builder makes a Request out of what it is given",
                seen=f"{name}: {Outcome(error=error)}",
                why="the operation cannot be used at all",
                do="look at the builder; for a submit, at the fields that `submits` gives it",
            )
        if not isinstance(request, Request):
            broken(
                "a builder makes a Request out of what it is given",
                seen=f"{name}: {type(request).__name__}",
                why="the operation cannot be used at all",
                do="return vidpoll.Request(METHOD, PATH, …)",
            )
        return request

    @contextmanager
    def keys(self, value: str) -> Iterator[None]:
        """The environment with a key in each variable that the provider names."""
        before = {name: os.environ.get(name) for name in self.provider.auth.variables}
        os.environ.update({name: f"{value}-{name}" for name in before})
        try:
            yield
        finally:
            for name, was in before.items():
                os.environ.pop(name)
                if was is not None:
                    os.environ[name] = was

    def endpoint(self) -> OpenAccount:
        """The provider's default account, open."""
        return OpenAccount(self.name, Account(self.name), self.provider, os.environ)
