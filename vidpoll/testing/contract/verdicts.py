"""The rules about what ends a job and what does not: words, other fields, answers that say nothing, junk.

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
    # Beside what an answer about a finished job holds, another field than the word may decide.
    # Where a sample has a second answer, its state stands in that one, and not in the word.
    under_way = [(sample, path) for sample, path in places if not (sample.then or sample.state in _ENDS)]
    for word, state in subject.index.words or ():
        errors: list[str] = []
        found: list[State] = []
        for sample, path in under_way or places:
            outcome = subject.read(sample, mutations.replaced(sample.data, path, word))
            errors += [f"{sample.file}: {outcome}"] if outcome.error is not None else []
            if isinstance(outcome.value, Follow):  # known; what comes of it is in the second answer
                found.append(state)
            found += [outcome.state] if outcome.state is not None else []
        if state not in found or set(found) != {state}:
            seen = f"state {next(each for each in found if each is not state)}" if found else (errors or ["nothing"])[0]
            broken(
                "each status word of the vendor's page leads to its state",
                seen=f"{word!r} should be {state}: {seen}",
                why="a word that is forgotten ends nothing: the user waits until the deadline for a job that is over",
                do="add the word to the plugin's table, with the state that the page gives it",
            )


def unknown_word(subject: Subject) -> None:
    rule = "a status word that is not listed raises UnknownStatus"
    if not subject.index.words:
        return
    for sample in subject.statuses:
        places = {path for path, _ in mutations.scalars(sample.data)} - {*subject.id_paths(sample)}
        if not places:
            continue  # nothing in it could be a word
        if sample.status >= 300 and not subject.word_paths[sample.file]:
            continue  # its HTTP status and its text say it, as a declare.Verdict has them
        decided = any(subject.index.decides_at(path) for path in places)
        if not subject.word_paths[sample.file] and not decided:
            broken(
                rule,
                seen=f"{sample.file}: no field of it, set to {mutations.NOBODY!r}, raises UnknownStatus",
                why="a new word of the provider's would be taken for a known one: the user is told that a job runs, or "
                "is over, when nobody knows",
                do="look words up with parsing.lookup(WORDS, word), without a default; where another field than a "
                'word decides, name it in "decides"',
            )
        for path in subject.word_paths[sample.file]:
            _check_alike(subject, sample, path)
            outcome = subject.read(sample, mutations.replaced(sample.data, path[:-1], {}))
            if path[:-1] and outcome.state not in (None, sample.state):
                broken(
                    "what is no status word is not taken for one",
                    seen=f"{sample.file} with {mutations.dotted(path[:-1])} {{}}: {outcome}",
                    why="an answer that says nothing would be taken for one that says how the job stands",
                    do="look words up with parsing.lookup(WORDS, word), without a default",
                )


def _check_alike(subject: Subject, sample: Sample, path: mutations.Path) -> None:
    """A word that begins or ends like a listed one is another word: "incomplete", "failed_over"."""
    for word in [word for word, _ in subject.index.words or () if isinstance(word, str)]:
        for new in (f"{word}_zxqv", f"un{word}", f"{word}s", word[:-1]):
            outcome = subject.read(sample, mutations.replaced(sample.data, path, new))
            if outcome.state is not None and subject.index.means(new) is None:
                broken(
                    "a status word that is not listed raises UnknownStatus",
                    seen=f"{sample.file} with {mutations.dotted(path)} {mutations.shown(new)}: {outcome}",
                    why='"incomplete" would be taken for "complete": the user is told that a job is over, when it runs',
                    do="look whole words up with parsing.lookup(WORDS, word): no startswith, no `in`",
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
                    "only the status word decides what becomes of a job",
                    seen=f"{seen}, and it was {sample.state}",
                    why="a progress of 100, a URL or an error text that comes early would end a job that still runs",
                    do=f"decide by the status word alone; where the vendor's page says that {mutations.dotted(path)} "
                    f'decides too, add "{mutations.dotted(path)}" to "decides" in index.json',
                )


def _check_word(subject: Subject, sample: Sample, new: object, outcome: Outcome, seen: str) -> None:
    listed = subject.index.means(new)
    missing = new is None or new is mutations.GONE or new == ""
    if listed is not None or (missing and outcome.state is sample.state):
        if listed not in (None, outcome.state):
            broken(
                "each status word of the vendor's page leads to its state",
                seen=f"{seen}, and {listed} is due",
                why="the user is told something else than the provider says",
                do="correct the plugin's table, or the words in index.json",
            )
        return
    broken(
        "what is no status word is not taken for one",
        seen=f"{seen}, where UnknownStatus or Malformed is due",
        why="True == 1 in Python, and a missing word means nothing: a job would be called done by accident",
        do="look words up with parsing.lookup(WORDS, word), without a default: it refuses booleans and what is missing",
    )


def _check_decider(sample: Sample, old: object, new: object, outcome: Outcome, seen: str) -> None:
    plain = isinstance(new, bool) or new is None or new is mutations.GONE
    if isinstance(old, bool) and not plain and outcome.state is not sample.state:
        broken(
            "a field that is true or false decides by true or false alone",
            seen=f"{seen}, and it was {sample.state}",
            why="a text or a number in its place means that the answer is not what the page describes",
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
            "a job under way is not ended by another field than its status word"
            if under_way
            else "a job that is over is not turned by another field than its status word",
            seen=f"{seen}, and it was {sample.state}",
            why="providers fill in URLs, errors of a first try and 100 % while the job still runs, and leave them in "
            "answers about failed jobs: the user would get half a file, or pay for a second job",
            do=f"decide by the status word alone; where the vendor's page says that {mutations.dotted(path)} decides "
            f'too, add "{mutations.dotted(path)}" to "decides" in index.json',
        )
    early = isinstance(outcome.value, Snapshot) and any(each.kind == "video" for each in outcome.value.assets)
    if early and outcome.state is not State.COMPLETED:
        broken(
            "a job that is not completed has no video",
            seen=f"{seen}, with a video",
            why="a file that is there before the end is not whole: the user would download half of it",
            do="give the assets only with State.COMPLETED",
        )


def _from(subject: Subject, sample: Sample) -> Iterator[tuple[mutations.Path, object, str]]:
    """Each value of answers about jobs that ended otherwise, and of refusals, where it would stand in this answer."""
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
"""What may stand beside a status word, and says nothing about the job."""


def _injected(subject: Subject, sample: Sample) -> Iterator[tuple[mutations.Path, object, str]]:
    """Error texts and codes, beside the status word and at the top."""
    holders = dict.fromkeys([(), *(path[:-1] for path in subject.word_paths[sample.file])])
    for path, values in [((*holder, name), values) for holder in holders for name, values in _ASIDE]:
        for new in values if mutations.get(sample.data, path) in (mutations.GONE, None) else ():
            if not _touches_decider(subject, path, new):
                yield path, new, ""


# -- never refused ----------------------------------------------------------------------------------------------------


def _check_refused(subject: Subject, sample: Sample, path: mutations.Path, outcome: Outcome, seen: str) -> None:
    """Fail where an answer that names its job, and its status, is Refused."""
    anchors = [*subject.word_paths.get(sample.file, ()), *subject.id_paths(sample)]
    touched = any(mutations.start(path, of) or mutations.start(of, path) for of in anchors)
    if isinstance(outcome.error, Refused) and sample.state is not None and anchors and not touched:
        broken(
            "an answer that names its job is never Refused",
            seen=seen,
            why='Refused("not found") or ("auth") ends the wait: the user gives up a job that is paid for, '
            "and whose status stands in the same answer",
            do="raise Refused only where the body names no status of the job: "
            '`if parsing.first_of(body, "data.status") is None`',
        )


# -- answers that say nothing -----------------------------------------------------------------------------------------


def nothing(subject: Subject) -> None:
    rule = "an answer that says nothing ends no job"
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
                do="take a verdict only from a body that names the job's status",
            )
    for body in EMPTY if "content" in subject.operations else ():
        outcome = subject.parse("content", Response(200, {"content-type": "text/html"}, body), job_id)
        if isinstance(outcome.value, Asset) and outcome.value.data is not None:
            broken(
                "what is no video is not taken for one",
                seen=f"content, HTTP 200 with the body {body.decode('latin-1')!r}: {outcome}",
                why="the user would find an HTML page under the name of the video",
                do="look at the content type or the first bytes, and raise vidpoll.Malformed",
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
                    "a parser returns what it is there for, or raises",
                    seen=f"{name} with the body {raw[:80]!r}: {outcome}",
                    why="vidpoll cannot use it: the user would read of a bug in the plugin",
                    do=f"return vidpoll.{due.__name__}(…), or raise vidpoll.Malformed for what is none",
                )

    for body in EMPTY:
        check(body)
    for sample in subject.index.samples:
        if sample.operation in subject.operations:
            _damaged(subject, sample)
    mutations.try_junk(check, 100, subject.name)


def _damaged(subject: Subject, sample: Sample) -> None:
    """Each part of a sample replaced by what nobody sends; the plain values of a status answer have their own test."""
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
                "one answer has one meaning, whatever was parsed before",
                seen=f"{sample.file}: {unlike or f'{errors[0]}, then {errors[1]}'}",
                why="one job's answers would colour what the user is told about another, and no bug could be replayed",
                do="let the parser depend on the response and the job's id alone: no globals, no clock, no random",
            )


def statuses(subject: Subject) -> None:
    """An HTTP status in `verdicts` is one whose body may be the job; a sample shows it."""
    for name, operation in subject.operations.items():
        of = [sample for sample in subject.index.samples if sample.operation == name]
        leads = bool(of) and all(sample.then or sample.refused for sample in of if sample.status == 404)
        check_statuses(name, operation.verdicts, {sample.status for sample in of}, leads=leads)


def check_statuses(who: str, verdicts: tuple[int, ...], shown: set[int], *, leads: bool = False) -> None:
    """Fail where a status is in `verdicts` that cannot be one, or that no sample shows.

    `leads` says that every sample of a 404 leads to a further question, or is a refusal: a server without the route.
    """
    never = [status for status in verdicts if status in (401, 403, 429) or (status == 404 and not leads)]
    if never:
        broken(
            "an HTTP status that tells of the request is no verdict about the job",
            seen=f"{who}: verdicts={verdicts}",
            why=f"a wrong key, a wrong id or too many requests ({never[0]}) would end the job, or hide why nobody "
            "answers",
            do=f"take {never[0]} out of verdicts: vidpoll knows what it means (a 404 may be one where each sample of "
            'it has "then", or "raises": a server without that route is asked otherwise)',
        )
    missing = [status for status in verdicts if status not in shown]
    if missing:
        broken(
            "an HTTP status in verdicts has a sample",
            seen=f"{who}: verdicts={verdicts}, and no sample has the status {missing[0]}",
            why="what is in no sample is not tested: an outage would be taken for a failed job",
            do=f'add a sample with "status": {missing[0]}, or take {missing[0]} out of verdicts',
        )
