"""The rules about what ends a job and what does not: words, other fields, empty responses, junk.

Each function is one rule; it returns, or fails the test through `broken`.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...errors import Refused
from ...model import Asset, Response, Snapshot, State
from ...provider import Follow
from . import mutations
from .samples import Sample
from .subject import TYPES, Outcome, Subject, bad_error, broken, difference

JSON = {"content-type": "application/json"}
EMPTY = (b"", b"null", b"[]", b"{}", b'""', b"0", b"true", b"{", b"\xff", b"<html><h1>Bad gateway</h1></html>")
_ENDS = (State.COMPLETED, State.FAILED, State.CANCELLED, State.EXPIRED)
OUTAGES = (b'{"error": "boom"}', b'{"error": {"message": "boom"}}', b'{"message": "Internal Server Error"}')


# -- words ------------------------------------------------------------------------------------------------------------


def words(subject: Subject) -> None:
    places = [(sample, path) for sample in subject.statuses for path in subject.word_paths[sample.file]]
    # In a response about a finished job, a field other than the word may decide.
    # If a sample has a second response, that response gives the state, and not the word.
    under_way = [(sample, path) for sample, path in places if not (sample.then or sample.state in _ENDS)]
    for word, state in subject.index.words or ():
        errors: list[str] = []
        found: list[State] = []
        for sample, path in under_way or places:
            outcome = subject.read(sample, mutations.replaced(sample.data, path, word))
            errors += [f"{sample.file}: {outcome}"] if outcome.error is not None else []
            if isinstance(outcome.value, Follow):  # the word is known; the second response gives the details
                found.append(state)
            found += [outcome.state] if outcome.state is not None else []
        if state not in found or set(found) != {state}:
            seen = f"state {next(each for each in found if each is not state)}" if found else (errors or ["nothing"])[0]
            broken(
                "each status word of the vendor's page must give its state",
                seen=f"the word {word!r} must give {state}, got {seen}",
                why="a forgotten word ends no job: the user waits until the deadline for a job that has ended",
                do='give the word this state in the plugin\'s table; or, if the page says otherwise, correct "words" '
                "in index.json",
            )


def unknown_word(subject: Subject) -> None:
    rule = "a status word that is not listed must raise UnknownStatus"
    if not subject.index.words:
        return
    for sample in subject.statuses:
        places = {path for path, _ in mutations.scalars(sample.data)} - {*subject.id_paths(sample)}
        if not places:
            continue  # no value in it could be a word
        if sample.status >= 300 and not subject.word_paths[sample.file]:
            continue  # its HTTP status and its text decide, as in a declare.Verdict
        decided = any(subject.index.decides_at(path) for path in places)
        if not subject.word_paths[sample.file] and not decided:
            broken(
                rule,
                seen=f"{sample.file}: with {mutations.NOBODY!r} in any of its fields, the parser never raises "
                "UnknownStatus",
                why="a new word of the provider would be read as a known one: the user would read that a job runs or "
                "has ended, when its state is unknown",
                do="look words up with parsing.lookup(WORDS, word), without a default; if a field decides that is not "
                'a status word, add its path to "decides" in index.json',
            )
        for path in subject.word_paths[sample.file]:
            _check_alike(subject, sample, path)
            outcome = subject.read(sample, mutations.replaced(sample.data, path[:-1], {}))
            if path[:-1] and outcome.state not in (None, sample.state):
                broken(
                    "a value that is not a status word must not be read as one",
                    seen=f"{sample.file} with {mutations.dotted(path[:-1])} set to {{}}: {outcome}",
                    why="a response without a status would be read as one that gives the job's state",
                    do="look words up with parsing.lookup(WORDS, word), without a default",
                )


def _check_alike(subject: Subject, sample: Sample, path: mutations.Path) -> None:
    """A word that begins or ends like a listed one is another word: "incomplete", "failed_over"."""
    for word in [word for word, _ in subject.index.words or () if isinstance(word, str)]:
        for new in (f"{word}_zxqv", f"un{word}", f"{word}s", word[:-1]):
            outcome = subject.read(sample, mutations.replaced(sample.data, path, new))
            if outcome.state is not None and subject.index.means(new) is None:
                broken(
                    "a status word that is not listed must raise UnknownStatus",
                    seen=f"{sample.file} with {mutations.dotted(path)} {mutations.shown(new)}: {outcome}",
                    why='"incomplete" would be read as "complete": the user would read that a running job has ended',
                    do="look up the whole word with parsing.lookup(WORDS, word), not with startswith or `in`",
                )


# -- one value replaced -----------------------------------------------------------------------------------------------


def scalars(subject: Subject, sample: Sample) -> None:
    if sample.operation != "status" or sample.state is None:
        return
    data = sample.data
    paths = subject.word_paths[sample.file]
    for path, old in mutations.scalars(data):
        for new in mutations.VALUES:
            if mutations.same(new, old):
                continue
            outcome = subject.read(sample, mutations.replaced(data, path, new))
            seen = f"{sample.file} with {mutations.dotted(path)} {mutations.shown(new)}: {outcome}"
            if not outcome.allowed:
                bad_error(seen)
            _check_refused(subject, sample, path, outcome, seen)
            if outcome.state is None:
                continue
            if path in paths:
                _check_word(subject, sample, new, outcome, seen)
            elif subject.index.decides_at(path):
                _check_decider(sample, old, new, outcome, seen)
            elif outcome.state is not sample.state:
                broken(
                    "only the status word may decide a job's state",
                    seen=f"{seen}; without the change it was {sample.state}",
                    why="a progress of 100, a URL or an error text that arrives early would end a job that still runs",
                    do=f"decide by the status word alone; if the vendor's page says that {mutations.dotted(path)} also "
                    f'decides, add "{mutations.dotted(path)}" to "decides" in index.json',
                )


def _check_word(subject: Subject, sample: Sample, new: object, outcome: Outcome, seen: str) -> None:
    listed = subject.index.means(new)
    missing = new is None or new is mutations.GONE or new == ""
    if listed is not None or (missing and outcome.state is sample.state):
        if listed not in (None, outcome.state):
            broken(
                "each status word of the vendor's page must give its state",
                seen=f"{seen}, expected {listed}",
                why="the user would read a state that the provider did not report",
                do="correct the plugin's table, or the words in index.json",
            )
        return
    broken(
        "a value that is not a status word must not be read as one",
        seen=f"{seen}, expected UnknownStatus or Malformed",
        why="True == 1 in Python, and a missing word means nothing: a job would be completed by accident",
        do="look words up with parsing.lookup(WORDS, word), without a default: it refuses booleans and missing words",
    )


def _check_decider(sample: Sample, old: object, new: object, outcome: Outcome, seen: str) -> None:
    plain = isinstance(new, bool) or new is None or new is mutations.GONE
    if isinstance(old, bool) and not plain and outcome.state is not sample.state:
        broken(
            "a boolean field may decide only by true or false",
            seen=f"{seen}; without the change it was {sample.state}",
            why="with a text or a number in its place, the response is not the one that the page describes",
            do="compare with `is True`, or raise vidpoll.Malformed for anything but a boolean",
        )


def transplants(subject: Subject) -> None:
    for sample in subject.statuses:
        if isinstance(sample.data, dict):
            for path, new, where in (*_from(subject, sample), *_injected(subject, sample)):
                _check_transplant(subject, sample, path, new, where)


def _check_transplant(subject: Subject, sample: Sample, path: mutations.Path, new: object, where: str) -> None:
    outcome = subject.read(sample, mutations.replaced(sample.data, path, new))
    seen = f"{sample.file} with {mutations.dotted(path)} {mutations.shown(new)}{where}: {outcome}"
    if not outcome.allowed:
        bad_error(seen)
    _check_refused(subject, sample, path, outcome, seen)
    if outcome.state not in (None, sample.state):
        under_way = sample.state is not None and not sample.state.final
        broken(
            "only its status word may end a job under way"
            if under_way
            else "only its status word may change the verdict of a job",
            seen=f"{seen}; without the change it was {sample.state}",
            why="providers set URLs, errors of a first try and 100 % while the job still runs, and leave them in "
            "responses about failed jobs: the user would get half a file, or pay for a second job",
            do=f"decide by the status word alone; if the vendor's page says that {mutations.dotted(path)} also "
            f'decides, add "{mutations.dotted(path)}" to "decides" in index.json',
        )
    early = isinstance(outcome.value, Snapshot) and any(each.kind == "video" for each in outcome.value.assets)
    if early and outcome.state is not State.COMPLETED:
        broken(
            "a job that is not completed must have no video",
            seen=f"{seen}, with a video",
            why="a file that exists before the end may be incomplete: the user would download half of it",
            do="return the assets only with State.COMPLETED",
        )


def _from(subject: Subject, sample: Sample) -> Iterator[tuple[mutations.Path, object, str]]:
    """Each value of responses about jobs that ended otherwise, and of refusals, at its path in this sample."""
    ends = [each for each in subject.statuses if each.state is not sample.state and each.state in _ENDS]
    for donor in (*ends, *subject.index.of("error")):
        keep = {*subject.word_paths[sample.file], *subject.word_paths.get(donor.file, ()), *subject.id_paths(sample)}
        for path, value in mutations.nodes(donor.data):
            plain = path and all(isinstance(key, str) for key in path)
            if not plain or not isinstance(mutations.get(sample.data, path[:-1]), dict):
                continue
            if mutations.same(mutations.get(sample.data, path), value):
                continue
            leads = any(mutations.start(path, of) for of in keep)
            if not leads and not _touches_decider(subject, path, value):
                yield path, value, f" as in {donor.file}"


def _touches_decider(subject: Subject, path: mutations.Path, value: object) -> bool:
    inside = any(subject.index.decides_at((*path, *inner)) for inner, _ in mutations.nodes(value))
    return inside or subject.index.decides_in(path)


_ASIDE: tuple[tuple[str, tuple[object, ...]], ...] = (
    *((name, ("the first try failed", {"message": "the first try failed", "code": "RETRY"}))
      for name in ("error", "error_message", "fail_reason", "failure_reason", "warning")),
    *((name, (1001, "RETRY")) for name in ("code", "error_code")),
)  # fmt: skip
"""Fields that may stand next to a status word and say nothing about the job."""


def _injected(subject: Subject, sample: Sample) -> Iterator[tuple[mutations.Path, object, str]]:
    """Error texts and codes, next to the status word and at the top."""
    holders = dict.fromkeys([(), *(path[:-1] for path in subject.word_paths[sample.file])])
    for path, values in [((*holder, name), values) for holder in holders for name, values in _ASIDE]:
        for new in values if mutations.get(sample.data, path) in (mutations.GONE, None) else ():
            if not _touches_decider(subject, path, new):
                yield path, new, ""


# -- never refused ----------------------------------------------------------------------------------------------------


def _check_refused(subject: Subject, sample: Sample, path: mutations.Path, outcome: Outcome, seen: str) -> None:
    """Fail if the parser raises Refused for a response that names its job and the job's status."""
    anchors = [*subject.word_paths.get(sample.file, ()), *subject.id_paths(sample)]
    touched = any(mutations.start(path, of) or mutations.start(of, path) for of in anchors)
    if isinstance(outcome.error, Refused) and sample.state is not None and anchors and not touched:
        broken(
            "a response that names its job must never be Refused",
            seen=seen,
            why='Refused("not found") or Refused("auth") ends the wait: the user would give up a job that is paid for, '
            "although the same response has its status",
            do="raise Refused only if the body has no status of the job: "
            '`if parsing.first_of(body, "data.status") is None`',
        )


# -- responses that say nothing ---------------------------------------------------------------------------------------


def nothing(subject: Subject) -> None:
    rule = "a response that says nothing about the job must not end it"
    operation = subject.operations["status"]
    tries = [(status, body) for status in (200, 202, 204, *operation.verdicts) for body in EMPTY]
    tries += [(status, body) for status in operation.verdicts for body in OUTAGES]
    job_id = subject.index.samples[0].job_id if subject.index.samples else "j1"
    for status, body in tries:
        outcome = subject.parse("status", Response(status, JSON, body), job_id)
        seen = f"HTTP {status} with the body {body.decode('latin-1')!r}: {outcome}"
        if not outcome.allowed:
            bad_error(seen)
        if outcome.state is not None and outcome.state.final:
            broken(
                rule,
                seen=seen,
                why="a proxy's error page or an outage would end a paid job",
                do="return a final state only for a body that has the job's status; else raise vidpoll.Malformed",
            )
    for body in EMPTY if "content" in subject.operations else ():
        outcome = subject.parse("content", Response(200, {"content-type": "text/html"}, body), job_id)
        if isinstance(outcome.value, Asset) and outcome.value.data is not None:
            broken(
                "a body that is not a video must not be returned as one",
                seen=f"content, HTTP 200 with the body {body.decode('latin-1')!r}: {outcome}",
                why="the user would find an HTML page under the name of the video",
                do="check the content type or the first bytes, and raise vidpoll.Malformed",
            )


def junk(subject: Subject) -> None:
    job_id = subject.index.samples[0].job_id if subject.index.samples else "j1"

    def check(value: object) -> None:
        raw = value if isinstance(value, bytes) else mutations.encode(value)
        for name in subject.operations:
            outcome = subject.parse(name, Response(200, JSON, raw), job_id)
            if not outcome.allowed:
                bad_error(f"{name} with the body {raw[:80]!r}: {outcome}")
            due = TYPES.get(name.partition(" ")[0])
            if outcome.error is None and due is not None and not isinstance(outcome.value, (due, Follow)):
                broken(
                    "a parser must return its own type, or raise",
                    seen=f"{name} with the body {raw[:80]!r}: {outcome}",
                    why="vidpoll cannot use it, and the user's log would report a bug in the plugin",
                    do=f"return vidpoll.{due.__name__}(…), or raise vidpoll.Malformed",
                )

    for body in EMPTY:
        check(body)
    for sample in subject.index.samples:
        if sample.operation in subject.operations:
            _damaged(subject, sample)
    mutations.try_junk(check, 100, subject.name)


def _damaged(subject: Subject, sample: Sample) -> None:
    """Replace each part of a sample by odd values; the plain values of a status response have their own test."""
    for path, old in mutations.nodes(sample.data):
        if sample.operation == "status" and sample.state is not None and not isinstance(old, (dict, list)):
            continue
        for new in mutations.VALUES:
            outcome = subject.read(sample, mutations.replaced(sample.data, path, new))
            if not outcome.allowed:
                bad_error(f"{sample.file} with {mutations.dotted(path)} {mutations.shown(new)}: {outcome}")


def pure(subject: Subject) -> None:
    first = [
        (sample, subject.read(sample)) for sample in subject.index.samples if sample.operation in subject.operations
    ]
    for sample, before in reversed(first):
        again = subject.read(sample)
        unlike = difference(before.value, again.value) if before.value != again.value else ""
        errors = str(before.error), str(again.error)
        if errors[0] != errors[1] or (unlike and not isinstance(again.value, Follow)):
            broken(
                "the same response must give the same result, whatever was parsed before",
                seen=f"{sample.file}: {unlike or f'{errors[0]}, then {errors[1]}'}",
                why="one job's responses would change the result of another job, and no bug could be reproduced",
                do="compute the result only from the response and the job's id: no globals, no clock, no random",
            )


def statuses(subject: Subject) -> None:
    """Each HTTP status in `verdicts` may have the job as its body, and a sample shows it."""
    for name, operation in subject.operations.items():
        of = [sample for sample in subject.index.samples if sample.operation == name]
        leads = bool(of) and all(sample.then or sample.refused for sample in of if sample.status == 404)
        check_statuses(name, operation.verdicts, {sample.status for sample in of}, leads=leads)


def check_statuses(who: str, verdicts: tuple[int, ...], shown: set[int], *, leads: bool = False) -> None:
    """Fail if `verdicts` has an HTTP status that cannot be a verdict, or that no sample shows.

    `leads` says that every sample of a 404 leads to a further request, or is a refusal: a server without the route.
    """
    never = [status for status in verdicts if status in (401, 403, 429) or (status == 404 and not leads)]
    if never:
        broken(
            "an HTTP status about the request must not be a verdict about the job",
            seen=f"{who}: verdicts={verdicts}",
            why=f"a wrong key, a wrong id or too many requests ({never[0]}) would end the job, or hide why the "
            "requests fail",
            do=f"remove {never[0]} from verdicts: vidpoll handles it (a 404 may stay only if each of its samples has "
            '"then" or "raises": a server without that route, which gets another request)',
        )
    missing = [status for status in verdicts if status not in shown]
    if missing:
        broken(
            "each HTTP status in verdicts must have a sample",
            seen=f"{who}: verdicts={verdicts}, and no sample has the status {missing[0]}",
            why="a response without a sample is not tested: an outage would be read as a failed job",
            do=f'add a sample with "status": {missing[0]}, or remove {missing[0]} from verdicts',
        )
