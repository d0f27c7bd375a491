"""The rules about what an answer holds beside the state: ids, files, reasons, times, refusals.

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
    rule = "an answer about another job is told apart"
    for sample, snapshot in _status_snapshots(subject):
        if snapshot.job_id not in (None, sample.job_id):
            broken(
                "an answer is about the job that was asked about",
                seen=f"{sample.file} was asked for with {sample.job_id!r}, and the snapshot's job_id is "
                f"{snapshot.job_id!r}",
                why="vidpoll takes it for an answer about another job and asks again, until the deadline",
                do="give job_id in the form that users write in the reference; where the answer names the job in "
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
                why="an answer that came to the wrong question would end the wait for a job that is paid for",
                do="give job_id as the answer names it: vidpoll sees that it is another, and asks again",
            )
        value = outcome.value
        if isinstance(value, Follow):
            said = f"{value.request.path}{value.request.query}{value.request.json}{value.request.body!r}"
            if named and (mutations.NOBODY in said or str(_NUMBER) in said):
                broken(
                    rule,
                    seen=f"{sample.file} with another id: the second request asks about that one: {said}",
                    why="the user would get the video of somebody else's job",
                    do="build the request of a Follow with the job_id that the parser is given",
                )
            value = value.fallback
        if named and isinstance(value, Snapshot) and not _told_apart(sample, named, value.job_id):
            broken(
                rule,
                seen=f"{sample.file} with another id in {', '.join(map(mutations.dotted, named))}: "
                f"the snapshot's job_id is {value.job_id!r}",
                why="vidpoll refuses an answer that names another job; one whose id is hidden from it is believed",
                do="pass Snapshot(job_id=parsing.text(…)) the id as the answer names it, never the one that was given",
            )


def nameless(subject: Subject) -> None:
    """An answer that names no job gives no id: "None" would be another job's."""
    for sample in subject.statuses:
        for path in subject.id_paths(sample):
            for new in (None, mutations.GONE, "", True, {}):
                outcome = subject.read(sample, mutations.replaced(sample.data, path, new))
                value = outcome.value
                if isinstance(value, Snapshot) and value.job_id not in (None, sample.job_id):
                    broken(
                        "an answer that names no job gives no id",
                        seen=f"{sample.file} with {mutations.dotted(path)} {mutations.shown(new)}: the snapshot's "
                        f"job_id is {value.job_id!r}",
                        why="vidpoll takes it for an answer about another job and asks again, until the deadline",
                        do="read it with parsing.text(value), which gives None for what is no id",
                    )


_NUMBER = 999999937


def _another(job_id: object) -> object:
    return _NUMBER if isinstance(job_id, int) else mutations.NOBODY


def _told_apart(sample: Sample, named: list[mutations.Path], job_id: str | None) -> bool:
    """Whether a snapshot names the other job; where an answer has the last part of an id only, none may be named."""
    whole = [path for path in named if str(mutations.get(sample.data, path)) == sample.job_id]
    if job_id is None:
        return not whole
    return job_id.endswith((mutations.NOBODY, str(_NUMBER)))


def submit_id(subject: Subject) -> None:
    rule = "whatever else is in a submit answer, its id is found"
    for sample in _taken(subject):
        due = sample.expect.get("job_id")
        places = _id_places(subject, sample)
        for path, _ in mutations.nodes(sample.data):
            if any(mutations.start(path, of) for of in places):
                continue
            for new in mutations.VALUES:
                outcome = subject.read(sample, mutations.replaced(sample.data, path, new))
                if isinstance(outcome.error, Refused):  # the provider's own word that nothing was bought
                    continue
                if not isinstance(outcome.value, Submitted) or outcome.value.job_id != due:
                    broken(
                        rule,
                        seen=f"{sample.file} with {mutations.dotted(path)} {mutations.shown(new)}: {outcome}",
                        why="the job is paid for: without its id the user can neither wait for it nor find it",
                        do="return parsing.submitted(id, lambda: the snapshot): it takes the id first, and nothing "
                        "after it can raise",
                    )


def _id_places(subject: Subject, sample: Sample) -> list[mutations.Path]:
    """Where a submit answer names the job; where nothing in it is the id itself (it may be part of a URL), what it is
    made of: the values without which it is another."""
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
                        "a submit answer without an id is no job",
                        seen=f"{sample.file} with {mutations.dotted(path)} {mutations.shown(new)}: the job "
                        f"{outcome.value.job_id!r}",
                        why="the user would wait for a job that does not exist, and not look for the one that was paid",
                        do="return parsing.submitted(id): it takes text and whole numbers, and raises for the rest",
                    )


# -- what is in a snapshot --------------------------------------------------------------------------------------------


def completed(subject: Subject) -> None:
    done = [(sample, each) for sample, each in _status_snapshots(subject) if each.state is State.COMPLETED]
    for sample, snapshot in done:
        if _has_video(snapshot) and not snapshot.assets_due:
            broken(
                "a completed job has its video, or says that none is due",
                seen=f"{sample.file}: completed, with a video, and assets_due=False",
                why="a job whose video is only late would be completed without it, and vidpoll would not ask again",
                do="say assets_due=False only of jobs that make no video (audio only)",
            )
    # A sample of a completed job whose file is late is possible; one that shows the file has to be there too.
    if done and not any(_has_video(each) or not each.assets_due for _, each in done):
        broken(
            "a completed job has its video, or says that none is due",
            seen=f"{', '.join(sample.file for sample, _ in done)}: completed, and no video among the assets",
            why="vidpoll asks three more times for the file, and then the user is told that there is none",
            do='give the video an Asset of kind "video", and add a sample that shows it; where a job of this kind '
            "makes none, assets_due=False",
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
            "a failed job says why, in words",
            seen=f"{sample.file}{where}: problem {message!r}",
            why="the user paid for it and has to know what to change",
            do="read the reason with parsing.first_of(body, 'error.message', 'error'); where the provider gives "
            "none, leave it empty: Problem() says that the provider gives no reason",
        )


def under_way(subject: Subject) -> None:
    for sample, snapshot in subject.snapshots():
        if not snapshot.state.final and any(asset.kind == "video" for asset in snapshot.assets):
            broken(
                "a job under way has no video yet",
                seen=f"{sample.file}: {snapshot.state}, with a video",
                why="a file that is there before the end is not whole: the user would download half of it",
                do="give the assets only with State.COMPLETED; what is shown earlier is of another kind (thumbnail)",
            )


def progress(subject: Subject) -> None:
    seen = [(sample, each.progress) for sample, each in subject.snapshots() if each.progress is not None]
    for sample, value in seen:
        if not 0 <= value <= 100:
            broken(
                "progress is a percentage",
                seen=f"{sample.file}: {value:g}",
                why="the user's bar stands at its end from the beginning",
                do="use parsing.progress(value), with full=1.0 for a provider that counts from 0 to 1",
            )
    largest = max((value for _, value in seen), default=100.0)
    if 0 < largest <= 1:
        broken(
            "progress is a percentage",
            seen=f"the largest progress of all samples is {largest:g}",
            why="a provider that counts from 0 to 1 would be shown as 1 % at the end",
            do="use parsing.progress(value, full=1.0); where these really are percentages, add a later sample",
        )


def times(subject: Subject) -> None:
    rule = "times are Unix seconds"
    for sample, snapshot in subject.snapshots():
        for name in ("created_at", "updated_at", "finished_at"):
            value = getattr(snapshot, name)
            if value is not None and not _EARLIEST <= value <= _LATEST:
                broken(
                    rule,
                    seen=f"{sample.file}: {name} is {value:g}, which is not between 2015 and 2100",
                    why="how long a job has run would be wrong by years, and with it when vidpoll asks again",
                    do="use parsing.timestamp(value): it takes ISO 8601, seconds and milliseconds",
                )
        if snapshot.duration is not None and not 0 <= snapshot.duration <= 6 * 3600:
            broken(
                "the video's duration is in seconds",
                seen=f"{sample.file}: duration is {snapshot.duration:g}",
                why="the user reads it as seconds",
                do="divide what comes in milliseconds or frames; leave out what is no length of a video",
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
                continue  # it stands in the answer, or in a bucket of the user's: a download says how to fetch it
            try:
                endpoint.media(asset.url, {}, timeout=(10.0, 30.0))
                fits = re.match(r"(?i)https?://|\.?/", asset.url) is not None
            except (UnsafeURL, UsageError, ValueError):
                fits = False
            if not fits:
                broken(
                    "every asset can be fetched",
                    seen=f"{sample.file}: {asset}",
                    why="the job is completed and its file cannot be downloaded",
                    do="give an http or https URL, a path from the root of the account's origin (/files/a.mp4), or one "
                    "below its base URL (./files/a.mp4)",
                )


def verbatim(subject: Subject) -> None:
    """The URL of a file comes out as it went in."""
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
                        "the URL of a file comes out as it went in",
                        seen=f"{sample.file} with {mutations.dotted(path)} {mutations.shown(new)}: the assets are "
                        f"{found}",
                        why="a signed URL is signed as it stands: decoded, stripped or joined it is refused (403), and "
                        "the job's file is lost",
                        do="pass it to parsing.assets as it came; a relative one too, vidpoll joins it",
                    )


def _kinds(subject: Subject, sample: Sample, snapshot: Snapshot) -> None:
    """A file stays of its kind, whatever another one is."""
    kinds = {asset.url: {each.kind for each in snapshot.assets if each.url == asset.url} for asset in snapshot.assets}
    for path, _ in mutations.scalars(sample.data):
        value = subject.read(sample, mutations.replaced(sample.data, path, None)).value
        for asset in value.assets if isinstance(value, Snapshot) else ():
            if asset.url is not None and asset.kind not in kinds.get(asset.url, {asset.kind}):
                broken(
                    "a file stays of its kind",
                    seen=f"{sample.file} with {mutations.dotted(path)} null: {asset}",
                    why="the user would find a thumbnail under the name of the video",
                    do="read each kind of file at its own place, and leave out what is not there",
                )


def _odd_urls(url: str) -> list[tuple[str, bool]]:
    """URLs to put in the place of one, each with whether it has to come out."""
    sign = "&" if "?" in url else "?"
    signed = (f"{url}{sign}sig=a%2Fb%2B%3D&t=x+y&e=%C3%A9#t=1", True)
    return [signed] if re.match("(?i)https?:", url) is None else [signed, ("/files/a%2Fb.mp4?sig=a%2Fb", False)]


def _elsewhere(places: list[tuple[mutations.Path, object]], path: mutations.Path, found: list[str | None]) -> bool:
    """Whether the same URL stands in another place of the answer too, and is taken from there."""
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
                "the reader of refusals never raises",
                seen=f"HTTP 400 with {raw[:80]!r}: {what}",
                why='instead of the provider\'s reason the user reads "unreadable error"',
                do="leave Provider(error=…) out: parsing.problem knows most envelopes; or begin with it",
            )

    for body in (*EMPTY, *OUTAGES):
        check(body)
    for sample in subject.index.of("error"):
        for path, _ in mutations.nodes(sample.data):
            for new in mutations.VALUES:
                check(mutations.replaced(sample.data, path, new))
