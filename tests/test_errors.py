"""The error tree: as drawn, picklable, and each with its way out."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
from typing import Any

import pytest

from vidpoll import errors
from vidpoll.job import Job
from vidpoll.model import Exchange

TREE = {
    name: value
    for name, value in vars(errors).items()
    if inspect.isclass(value) and issubclass(value, errors.VidpollError)
}
EXTRA_PARENTS = {
    "WaitTimeout": {TimeoutError},
    "WaitRefused": {errors.ProviderError},
    "WaitNotSent": {errors.ConfigurationError},
}


def drawn() -> dict[str, str]:
    """Child to parent, as the docstring of errors.py draws it. Several children of ProviderError share a line."""
    parents: dict[str, str] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        row = re.match(r"([│ ]*)[├└]── (.*)", line)
        if row is None:
            path = ["VidpollError"] if line == "VidpollError" else path
            continue
        depth = len(row.group(1)) // 4 + 1
        names = re.findall(r"(?:^|[├└]── )([A-Z]\w+)", row.group(2))
        path[depth:] = names[:1]
        parents.update(dict.fromkeys(names, path[depth - 1]))
    return parents


def test_the_drawing_is_the_tree() -> None:
    """What errors.py draws at its top is what `except` will catch."""
    assert drawn() == {name: cls.__bases__[0].__name__ for name, cls in TREE.items() if name != "VidpollError"}


def test_second_parents_are_few_and_said() -> None:
    """WaitTimeout is also a TimeoutError, two others are what a single call raises; nothing else has two parents."""
    assert {name: set(cls.__bases__[1:]) for name, cls in TREE.items() if cls.__bases__[1:]} == EXTRA_PARENTS


def build(cls: type[errors.VidpollError], job: Job) -> errors.VidpollError:
    """An error with everything that it can carry."""
    if cls is errors.Refused:
        return errors.Refused("money", "balance is 0", "E402")
    known: dict[str, Any] = {
        "job": job,
        "status": 402,
        "code": "E402",
        "details": {"balance": 0},
        "request_id": "req-1",
        "category": "money",
        "charged": False,
        "word": "shimmering",
        "account": "acme",
        "operation": "t2v",
        "sent": {"prompt": "a lighthouse"},
        "wordless": True,
        "named": "2",
        "answer": Exchange(1.0, "POST", "/v1/videos", 200, {}, "{}"),
        "ids": ("2",),
    }
    wanted = set(inspect.signature(cls.__init__).parameters)
    if issubclass(cls, errors.ProviderError):
        wanted |= {"job", "status", "code", "details", "request_id", "category", "charged"}
    return cls("no credits left", **{name: value for name, value in known.items() if name in wanted})


def carried(error: errors.VidpollError) -> dict[str, Any]:
    return {name: value for name, value in vars(error).items() if name != "job"}


@pytest.mark.parametrize("cls", TREE.values(), ids=TREE)
@pytest.mark.parametrize("how", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy])
def test_every_error_survives_pickling_and_copying(cls: type[errors.VidpollError], how: Any) -> None:
    """An error crosses a process (a worker pool's, say) with its text, its job and all that it carries."""
    error = build(cls, Job("acme:1"))
    other = how(error)
    assert (type(other), str(other), other.args) == (cls, str(error), error.args)
    assert (other.message, carried(other)) == (error.message, carried(error))
    if error.job is not None:
        assert other.job.ref == "acme:1"


def test_a_job_and_its_error_point_at_each_other_through_a_pickle() -> None:
    """The circle of a job that was given up and its error is kept, not doubled."""
    job = Job("acme:1")
    job.give_up(errors.WaitTimeout("no verdict", job=job))
    other = pickle.loads(pickle.dumps(job.error))
    assert other.job.error is other


@pytest.mark.parametrize("cls", TREE.values(), ids=TREE)
def test_every_error_can_be_made_of_nothing(cls: type[errors.VidpollError]) -> None:
    """A message is optional, and an error without one still prints."""
    error = errors.Refused("unknown") if cls is errors.Refused else cls()
    assert (str(error), error.message, error.job) == ("unknown" if cls is errors.Refused else "", "", None)


@pytest.mark.parametrize(("kind", "cls"), errors.KINDS.items(), ids=errors.KINDS)
def test_a_kind_is_one_class(kind: str, cls: type[errors.ProviderError]) -> None:
    """Each word for a refusal is a child of ProviderError, and each child has a word."""
    assert cls.__base__ is errors.ProviderError
    assert errors.Refused(kind, "because").kind == kind


def test_every_refusal_has_a_word() -> None:
    """What a plugin cannot say, no user can catch."""
    children = {child for child in TREE.values() if child.__base__ is errors.ProviderError}
    assert children == set(errors.KINDS.values())


def test_a_refusal_prints_its_message() -> None:
    """A parser's Refused reads like any other error when it reaches a log."""
    assert str(errors.Refused("money", "balance is 0", "E402")) == "balance is 0"


@pytest.mark.parametrize("kind", ["402", "Payment", "", "invalid_request", "timeout"])
def test_refused_takes_no_unknown_kind(kind: str) -> None:
    """A plugin's misspelt kind is the plugin's error, and the message lists the right ones."""
    with pytest.raises(errors.PluginError, match=r"Refused\(.*'capacity', 'rate', 'quota', 'money'"):
        errors.Refused(kind, "because")


UNKNOWN = [cls for cls in TREE.values() if issubclass(cls, errors.OutcomeUnknown)]


@pytest.mark.parametrize("cls", UNKNOWN, ids=lambda cls: cls.__name__)
def test_an_unknown_outcome_says_how_to_go_on(cls: type[errors.OutcomeUnknown]) -> None:
    """The line that resumes the wait is Python that runs as it stands."""
    assert cls("why", job=Job("acme:a/b:c")).resume == 'vidpoll.wait("acme:a/b:c")'
    assert cls("why").resume is None


def test_a_reference_with_a_quote_resumes_too() -> None:
    """An id is opaque: the resume line quotes whatever is in it."""
    reference = 'acme:a"b\\c'
    line = errors.WaitTimeout("why", job=Job(reference)).resume
    assert line is not None
    said: list[str] = []
    exec(line, {"vidpoll": type("vidpoll", (), {"wait": said.append})})
    assert said == [reference]


def test_a_wait_that_was_refused_is_both_unknown_and_a_refusal() -> None:
    """`except ProviderError` and `except OutcomeUnknown` both catch it; the category tells why."""
    error = errors.WaitRefused("key expired", category="auth", status=401, job=Job("acme:1"))
    assert isinstance(error, errors.OutcomeUnknown)
    assert isinstance(error, errors.ProviderError)
    assert (error.category, error.status, error.details) == ("auth", 401, {})


def test_no_error_of_the_job_is_an_unknown_outcome() -> None:
    """Rule 1: the provider's verdict and "nobody knows" are never caught by one `except`."""
    verdicts = {cls for cls in TREE.values() if issubclass(cls, errors.JobError)}
    assert verdicts & set(UNKNOWN) == set()


def test_what_was_sent_is_the_callers_copy() -> None:
    """An error keeps what was sent as it was, whatever becomes of the caller's mapping."""
    fields = {"prompt": "a lighthouse"}
    error = errors.SubmitUnknown("no answer", account="acme", operation="t2v", sent=fields)
    fields.clear()
    assert error.sent == {"prompt": "a lighthouse"}
