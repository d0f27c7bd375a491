"""The rules about everything in a response except the state: ids, files, reasons, times, refusals.

Each function is one rule; it returns, or fails the test through `broken`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ...errors import Refused, UnsafeURL, UsageError
from ...model import Asset, Problem, Response, Snapshot, State, Submitted
from ...provider import Follow
from . import mutations
from .samples import Sample
from .subject import Subject, bad_error, broken, said
from .verdicts import EMPTY, JSON, OUTAGES

_EARLIEST, _LATEST = 1420070400.0, 4102444800.0  # 2015 and 2100


# -- ids --------------------------------------------------------------------------------------------------------------


def foreign(subject: Subject) -> None:
    rule = "a response about another job must be recognised"
    for sample, snapshot in _status_snapshots(subject):
        if snapshot.job_id not in (None, sample.job_id):
            broken(
                "a response must have the id of the job that was polled",
                seen=f"{sample.file} is the response for the id {sample.job_id!r}, and the snapshot's job_id is "
                f"{snapshot.job_id!r}",
                why="vidpoll would treat it as a response about another job and poll again, until the deadline",
                do="return job_id in the form that users write in the reference; if the response names the job in "
                'another form, leave job_id out; or correct the "id" in index.json',
            )
    for sample in subject.statuses:
        named = subject.id_paths(sample)
        data = sample.data
        for path in named:
            data = mutations.replaced(data, path, _another(mutations.get(data, path)))
        outcome = subject.parse("status", sample.response(mutations.encode(data)), sample.job_id)
        if not outcome.allowed:
            bad_error(f"{sample.file} with another id: {outcome}")
        if named and isinstance(outcome.error, Refused):
            broken(
                rule,
                seen=f"{sample.file} with another id: {outcome}",
                why="a response to another request would end the wait for a job that is paid for",
                do="return job_id as the response names it: vidpoll sees that it is another job, and polls again",
            )
        value = outcome.value
        if isinstance(value, Follow):
            said = f"{value.request.path}{value.request.query}{value.request.json}{value.request.body!r}"
            if named and (mutations.NOBODY in said or str(_NUMBER) in said):
                broken(
                    rule,
                    seen=f"{sample.file} with another id: the second request is about that id: {said}",
                    why="the user would get the video of another user's job",
                    do="build the request of a Follow with the job_id that the parser receives",
                )
            value = value.fallback
        if named and isinstance(value, Snapshot) and not _told_apart(sample, named, value.job_id):
            broken(
                rule,
                seen=f"{sample.file} with another id in {', '.join(map(mutations.dotted, named))}: "
                f"the snapshot's job_id is {value.job_id!r}",
                why="vidpoll refuses a response that names another job, but only if it sees that id",
                do="return Snapshot(job_id=parsing.text(…)) with the id of the response, never with the job_id that "
                "the parser receives",
            )


def nameless(subject: Subject) -> None:
    """A response without an id gives no job_id: "None" would be the id of another job."""
    for sample in subject.statuses:
        for path in subject.id_paths(sample):
            for new in (None, mutations.GONE, "", True, {}):
                outcome = subject.read(sample, mutations.replaced(sample.data, path, new))
                value = outcome.value
                if isinstance(value, Snapshot) and value.job_id not in (None, sample.job_id):
                    broken(
                        "a response without an id must give no job_id",
                        seen=f"{sample.file} with {mutations.dotted(path)} {mutations.shown(new)}: the snapshot's "
                        f"job_id is {value.job_id!r}",
                        why="vidpoll would treat it as a response about another job and poll again, until the deadline",
                        do="read it with parsing.text(value), which returns None for anything but text and numbers",
                    )


_NUMBER = 999999937


def _another(job_id: object) -> object:
    return _NUMBER if isinstance(job_id, int) else mutations.NOBODY


def _told_apart(sample: Sample, named: list[mutations.Path], job_id: str | None) -> bool:
    """Whether a snapshot names the other job. If a response has only the last part of an id, it may name none."""
    whole = [path for path in named if str(mutations.get(sample.data, path)) == sample.job_id]
    if job_id is None:
        return not whole
    return job_id.endswith((mutations.NOBODY, str(_NUMBER)))


def submit_id(subject: Subject) -> None:
    rule = "the id of a submit response must be found, whatever else the response contains"
    for sample in _taken(subject):
        due = sample.expect.get("job_id")
        places = _id_places(subject, sample)
        for path, _ in mutations.nodes(sample.data):
            if any(mutations.start(path, of) for of in places):
                continue
            for new in mutations.VALUES:
                outcome = subject.read(sample, mutations.replaced(sample.data, path, new))
                if isinstance(outcome.error, Refused):  # the provider says that nothing was bought
                    continue
                if not isinstance(outcome.value, Submitted) or outcome.value.job_id != due:
                    broken(
                        rule,
                        seen=f"{sample.file} with {mutations.dotted(path)} {mutations.shown(new)}: {outcome}",
                        why="the job is paid for: without its id the user can neither wait for it nor find it",
                        do="return parsing.submitted(id, lambda: the snapshot): it reads the id first, and an error in "
                        "the snapshot does not lose it",
                    )


def _id_places(subject: Subject, sample: Sample) -> list[mutations.Path]:
    """The paths at which a submit response has the id.

    If no value is the id itself (it may be part of a URL), these are the values without which the id is another.
    """
    due = sample.expect.get("job_id")
    plain = mutations.scalars(sample.data)

    def without(path: mutations.Path) -> object:
        value = subject.read(sample, mutations.replaced(sample.data, path, mutations.GONE)).value
        return value.job_id if isinstance(value, Submitted) else None

    return [path for path, value in plain if str(value) == due] or [path for path, _ in plain if without(path) != due]


def _taken(subject: Subject) -> list[Sample]:
    """The samples of submits that were not refused."""
    samples = [sample for sample in subject.index.of("submit") if sample.operation in subject.operations]
    return [sample for sample in samples if not sample.refused]


def submit_without_id(subject: Subject) -> None:
    for sample in _taken(subject):
        due = sample.expect.get("job_id")
        for path, value in mutations.scalars(sample.data):
            if str(value) != due:
                continue
            for new in (None, "", True, False, [], {}, mutations.GONE):
                outcome = subject.read(sample, mutations.replaced(sample.data, path, new))
                if not outcome.allowed:
                    bad_error(f"{sample.file} with {mutations.dotted(path)} {mutations.shown(new)}: {outcome}")
                if isinstance(outcome.value, Submitted):
                    broken(
                        "a submit response without an id must not give a job",
                        seen=f"{sample.file} with {mutations.dotted(path)} {mutations.shown(new)}: the job "
                        f"{outcome.value.job_id!r}",
                        why="the user would wait for a job that does not exist, and not look for the paid one",
                        do="return parsing.submitted(id): it accepts text and whole numbers, and raises otherwise",
                    )


# -- what is in a snapshot --------------------------------------------------------------------------------------------


def completed(subject: Subject) -> None:
    done = [(sample, each) for sample, each in _status_snapshots(subject) if each.state is State.COMPLETED]
    for sample, snapshot in done:
        if _has_video(snapshot) and not snapshot.assets_due:
            broken(
                "a completed job must have its video, or assets_due=False",
                seen=f"{sample.file}: completed, with a video, and assets_due=False",
                why="a job whose video arrives late would be completed without it, and vidpoll would not poll again",
                do="set assets_due=False only for jobs that make no video (audio only)",
            )
    # A sample of a completed job whose file is late is allowed; another one must show the file.
    if done and not any(_has_video(each) or not each.assets_due for _, each in done):
        broken(
            "a completed job must have its video, or assets_due=False",
            seen=f"{', '.join(sample.file for sample, _ in done)}: completed, without a video among the assets",
            why="vidpoll would poll three more times for the file, and then report that there is none",
            do='return the video as an Asset of kind "video", and add a sample that shows it; if such a job makes '
            "no video, set assets_due=False",
        )


def _has_video(snapshot: Snapshot) -> bool:
    return any(asset.kind == "video" for asset in snapshot.assets)


def failed(subject: Subject) -> None:
    for sample in subject.statuses:
        if sample.state is State.FAILED:
            _says_why(sample, subject.read(sample).value, "")
            for path, _ in mutations.nodes(sample.data):
                for new in (None, mutations.GONE, ""):
                    value = subject.read(sample, mutations.replaced(sample.data, path, new)).value
                    _says_why(sample, value, f" with {mutations.dotted(path)} {mutations.shown(new)}")


def _says_why(sample: Sample, value: object, where: str) -> None:
    if not isinstance(value, Snapshot) or value.state is not State.FAILED:
        return
    message = "" if value.problem is None else value.problem.message.strip()
    if message.startswith(("{", "[")) or message in ("", "None", "null", "True", "False"):
        broken(
            "a failed job must say why, in words",
            seen=f"{sample.file}{where}: the problem's message is {message!r}",
            why="the user paid for it and must know what to change",
            do="read the reason with parsing.first_of(body, 'error.message', 'error'); if the provider gives "
            "no reason, return Problem(): its message says that",
        )


def under_way(subject: Subject) -> None:
    for sample, snapshot in subject.snapshots():
        if not snapshot.state.final and any(asset.kind == "video" for asset in snapshot.assets):
            broken(
                "a job under way must have no video",
                seen=f"{sample.file}: the state is {snapshot.state}, and there is a video",
                why="a file that exists before the end may be incomplete: the user would download half of it",
                do="return the video only with State.COMPLETED; an earlier file must be of another kind (thumbnail)",
            )


def progress(subject: Subject) -> None:
    seen = [(sample, each.progress) for sample, each in subject.snapshots() if each.progress is not None]
    for sample, value in seen:
        if not 0 <= value <= 100:
            broken(
                "progress must be a percentage, 0 to 100",
                seen=f"{sample.file}: progress is {value:g}",
                why="the user's progress bar would be wrong from the start",
                do="use parsing.progress(value), with full=1.0 for a provider that counts from 0 to 1",
            )
    largest = max((value for _, value in seen), default=100.0)
    if 0 < largest <= 1:
        broken(
            "progress must be a percentage, 0 to 100",
            seen=f"the largest progress of all samples is {largest:g}",
            why="if the provider counts from 0 to 1, the user would see 1 % at the end",
            do="use parsing.progress(value, full=1.0); if these really are percentages, add a sample with a larger one",
        )


def times(subject: Subject) -> None:
    rule = "times must be Unix seconds"
    for sample, snapshot in subject.snapshots():
        for name in ("created_at", "updated_at", "finished_at"):
            value = getattr(snapshot, name)
            if value is not None and not _EARLIEST <= value <= _LATEST:
                broken(
                    rule,
                    seen=f"{sample.file}: {name} is {value:g}, which is not between 2015 and 2100",
                    why="the job's running time would be wrong by years, and vidpoll would poll at the wrong times",
                    do="use parsing.timestamp(value): it accepts ISO 8601, seconds and milliseconds",
                )
        if snapshot.duration is not None and not 0 <= snapshot.duration <= 6 * 3600:
            broken(
                "the video's duration must be in seconds",
                seen=f"{sample.file}: duration is {snapshot.duration:g}, which is not between 0 and 21600 (6 hours)",
                why="users read it as seconds",
                do="convert milliseconds or frames to seconds; leave out a value that is not the length of the video",
            )


def assets(subject: Subject) -> None:
    with subject.keys("contract-key"):
        endpoint = subject.endpoint()
        found = [(sample, asset) for sample, snapshot in subject.snapshots() for asset in snapshot.assets]
        for sample in subject.index.of("content"):
            value = subject.read(sample).value
            found += [(sample, value)] if isinstance(value, Asset) else []
        for sample, asset in found:
            if asset.url is None or asset.url.startswith(("gs://", "s3://")):
                continue  # it is in the response, or in a bucket of the user's: the download says how to fetch it
            try:
                endpoint.media(asset.url, {}, timeout=(10.0, 30.0))
                fits = re.match(r"(?i)https?://|\.?/", asset.url) is not None
            except (UnsafeURL, UsageError, ValueError):
                fits = False
            if not fits:
                broken(
                    "every asset must be downloadable",
                    seen=f"{sample.file}: {asset}",
                    why="the job would be completed, and its file could not be downloaded",
                    do="return an http or https URL, a path from the root of the account's origin (/files/a.mp4), or "
                    "one below its base URL (./files/a.mp4)",
                )


def verbatim(subject: Subject) -> None:
    """The parser returns the URL of a file unchanged."""
    for sample, snapshot in _status_snapshots(subject):
        _kinds(subject, sample, snapshot)
        urls = [asset.url for asset in snapshot.assets if asset.url is not None]
        places = [(path, url) for path, url in mutations.scalars(sample.data) if url in urls and not sample.then]
        for path, url in places:
            for new, needed in _odd_urls(url):
                value = subject.read(sample, mutations.replaced(sample.data, path, new)).value
                found = [asset.url for asset in value.assets] if isinstance(value, Snapshot) else []
                left_out = not needed and all(each in urls for each in found)
                if (
                    new not in found
                    and not left_out
                    and isinstance(value, Snapshot)
                    and not _elsewhere(places, path, found)
                ):
                    broken(
                        "the URL of a file must stay unchanged",
                        seen=f"{sample.file} with {mutations.dotted(path)} {mutations.shown(new)}: the assets are "
                        f"{found}",
                        why="a signed URL that is decoded, stripped or joined is refused (403), and the job's file is "
                        "lost",
                        do="pass the URL to parsing.assets as it is in the response; vidpoll joins a relative one",
                    )


def _kinds(subject: Subject, sample: Sample, snapshot: Snapshot) -> None:
    """A file keeps its kind, whatever happens to another one."""
    kinds = {asset.url: {each.kind for each in snapshot.assets if each.url == asset.url} for asset in snapshot.assets}
    for path, _ in mutations.scalars(sample.data):
        value = subject.read(sample, mutations.replaced(sample.data, path, None)).value
        for asset in value.assets if isinstance(value, Snapshot) else ():
            if asset.url is not None and asset.kind not in kinds.get(asset.url, {asset.kind}):
                broken(
                    "a file must keep its kind when another one is missing",
                    seen=f"{sample.file} with {mutations.dotted(path)} set to null: {asset}",
                    why="the user would find a thumbnail under the name of the video",
                    do="read each kind of file from its own path, and leave out a file that is missing",
                )


def _odd_urls(url: str) -> list[tuple[str, bool]]:
    """URLs to put in place of `url`, each with whether the parser must return it."""
    sign = "&" if "?" in url else "?"
    signed = (f"{url}{sign}sig=a%2Fb%2B%3D&t=x+y&e=%C3%A9#t=1", True)
    return [signed] if re.match("(?i)https?:", url) is None else [signed, ("/files/a%2Fb.mp4?sig=a%2Fb", False)]


def _elsewhere(places: list[tuple[mutations.Path, object]], path: mutations.Path, found: list[str | None]) -> bool:
    """Whether the response has the same URL at another path too, and the parser read it there."""
    url = dict(places)[path]
    return url in found and sum(each == url for _, each in places) > 1


def _status_snapshots(subject: Subject) -> Iterator[tuple[Sample, Snapshot]]:
    for sample in subject.statuses:
        value = subject.read(sample).value
        if isinstance(value, Snapshot):
            yield sample, value


# -- refusals ---------------------------------------------------------------------------------------------------------


def errors(subject: Subject) -> None:
    def check(value: object) -> None:
        raw = value if isinstance(value, bytes) else mutations.encode(value)
        problem = subject.problem_of(Response(400, JSON, raw))
        if not isinstance(problem, Problem):
            what = said(problem) if isinstance(problem, Exception) else type(problem).__name__
            broken(
                "Provider(error=…) must return a Problem and never raise",
                seen=f"HTTP 400 with {raw[:80]!r}: {what}",
                why='the user would read "unreadable error" instead of the provider\'s reason',
                do="leave error=… out: the default, parsing.problem, reads most envelopes; or call it in your function",
            )

    for body in (*EMPTY, *OUTAGES):
        check(body)
    for sample in subject.index.of("error"):
        for path, _ in mutations.nodes(sample.data):
            for new in mutations.VALUES:
                check(mutations.replaced(sample.data, path, new))
