"""The rules about what an answer holds beside the state: ids, files, reasons, times, rows, refusals.

Each function is one rule; it returns, or fails the test through `broken`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ...errors import Refused, UnsafeURL, UsageError
from ...model import Asset, Page, Problem, Response, Snapshot, State, Submitted
from ...provider import Follow
from . import mutations
from .samples import Sample
from .subject import Subject, bad_error, broken
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
        named = [path for path, value in mutations.scalars(sample.data) if value == sample.job_id]
        if not named:
            continue
        data = sample.data
        for path in named:
            data = mutations.replaced(data, path, mutations.NOBODY)
        outcome = subject.parse("status", sample.response(mutations.encode(data)), sample.job_id)
        if not outcome.allowed:
            bad_error(f"{sample.file} with another id: {outcome}")
        value = outcome.value
        if isinstance(value, Follow):
            said = f"{value.request.path}{value.request.query}{value.request.json}{value.request.body!r}"
            if mutations.NOBODY in said:
                broken(
                    rule,
                    seen=f"{sample.file} with another id: the second request asks about {mutations.NOBODY!r}",
                    why="the user would get the video of somebody else's job",
                    do="build the request of a Follow with the job_id that the parser is given",
                )
            value = value.fallback
        if isinstance(value, Snapshot) and value.job_id != mutations.NOBODY:
            broken(
                rule,
                seen=f"{sample.file} with the id {mutations.NOBODY!r} in {', '.join(map(mutations.dotted, named))}: "
                f"the snapshot's job_id is {value.job_id!r}",
                why="vidpoll refuses an answer that names another job; one whose id is hidden from it is believed",
                do="pass Snapshot(job_id=parsing.text(…)) the id as the answer names it, never the one that was given",
            )


def submit_id(subject: Subject) -> None:
    rule = "whatever else is in a submit answer, its id is found"
    for sample in subject.index.of("submit"):
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


def submit_without_id(subject: Subject) -> None:
    for sample in subject.index.of("submit"):
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
    for sample, snapshot in _status_snapshots(subject):
        video = any(asset.kind == "video" for asset in snapshot.assets)
        if snapshot.state is State.COMPLETED and snapshot.assets_due and not video:
            broken(
                "a completed job has its video, or says that none is due",
                seen=f"{sample.file}: completed, with {len(snapshot.assets)} assets and no video among them",
                why="vidpoll asks three more times for the file, and then the user is told that there is none",
                do='give the video an Asset of kind "video"; where a job of this kind makes none, assets_due=False',
            )
        if snapshot.state is State.COMPLETED and video and not snapshot.assets_due:
            broken(
                "a completed job has its video, or says that none is due",
                seen=f"{sample.file}: completed, with a video, and assets_due=False",
                why="a job whose video is only late would be completed without it, and vidpoll would not ask again",
                do="say assets_due=False only of jobs that make no video (audio only)",
            )


def failed(subject: Subject) -> None:
    for sample, snapshot in _status_snapshots(subject):
        said = "" if snapshot.problem is None else snapshot.problem.message.strip()
        raw = said.startswith(("{", "[")) or said in ("", "None", "null", "True", "False")
        if snapshot.state is State.FAILED and raw:
            broken(
                "a failed job says why, in words",
                seen=f"{sample.file}: problem {said!r}",
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
            if asset.url is None:
                continue
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


def rows(subject: Subject) -> None:
    known = {(sample.job_id, each.state): each for sample, each in _status_snapshots(subject)}
    for sample in subject.index.of("list"):
        page = subject.read(sample).value
        if not isinstance(page, Page):
            continue
        before = {item.job_id: item.state for item in page.items}
        for item in page.items:
            told = known.get((item.job_id or "", item.state))
            strange = [asset.url for asset in item.assets if told is not None and asset not in told.assets]
            if told is not None and (item.stage != told.stage or strange):
                broken(
                    "a list row says of a job what its status answer says",
                    seen=f"{sample.file}, row {item.job_id}: stage {item.stage!r}, assets {item.assets}; "
                    f"its status answer: stage {told.stage!r}, assets {told.assets}",
                    why="the user would be shown one thing and then another, or offered a path of the server as a URL",
                    do="read rows and status answers with one function; leave out assets that rows name differently",
                )
        for path, _ in mutations.scalars(sample.data):
            if not any(isinstance(key, int) for key in path):
                continue
            for new in (mutations.NOBODY, None, 0, 100, True, {}, mutations.GONE):
                outcome = subject.read(sample, mutations.replaced(sample.data, path, new))
                after = outcome.value.items if isinstance(outcome.value, Page) else ()
                changed = [each for each in after if before.get(each.job_id, each.state) is not each.state]
                if changed and not _listed(subject, new):
                    broken(
                        "what is no status word is not taken for one, in list rows either",
                        seen=f"{sample.file} with {mutations.dotted(path)} {mutations.shown(new)}: "
                        f"{changed[0].job_id} is {changed[0].state}",
                        why="the user would be told that a job runs, or is over, when nobody knows",
                        do="read rows with the reader of status answers, and parsing.rows to skip the strange",
                    )
                if outcome.error is not None:
                    broken(
                        "one strange row costs no other",
                        seen=f"{sample.file} with {mutations.dotted(path)} {mutations.shown(new)}: {outcome}",
                        why="one job with a new word would make the whole list unreadable, and every job in it",
                        do="use parsing.rows(list, read_row): it leaves out the rows that cannot be read",
                    )


def flags(subject: Subject) -> None:
    for sample in (*subject.index.of("list"), *subject.index.of("quota")):
        for path, old in mutations.scalars(sample.data):
            if not isinstance(old, bool):
                continue
            yes, no, text, gone = (
                subject.read(sample, mutations.replaced(sample.data, path, new))
                for new in (True, False, "false", mutations.GONE)
            )
            # A text may count as little as a field that is not there.
            if text.error is None and text.value == yes.value and yes.value not in (no.value, gone.value):
                broken(
                    "a field that is true or false is true only where it is true",
                    seen=f'{sample.file} with {mutations.dotted(path)} "false": the same as with true',
                    why='every text is true in Python, "false" too: a list would never end, or an account that has a '
                    "limit would have none",
                    do="compare with `is True`",
                )


def _listed(subject: Subject, value: object) -> bool:
    return subject.index.means(value) is not None


def _status_snapshots(subject: Subject) -> Iterator[tuple[Sample, Snapshot]]:
    for sample in subject.statuses:
        value = subject.read(sample).value
        if isinstance(value, Snapshot):
            yield sample, value


# -- refusals ---------------------------------------------------------------------------------------------------------


def errors(subject: Subject) -> None:
    def check(value: object) -> None:
        raw = value if isinstance(value, bytes) else mutations.encode(value)
        try:
            problem: object = subject.provider.error(Response(400, JSON, raw))
        except Exception as error:  # noqa: BLE001 - what it raises is what is looked at
            problem = error
        if not isinstance(problem, Problem):
            broken(
                "the reader of refusals never raises",
                seen=f"HTTP 400 with {raw[:80]!r}: {type(problem).__name__}: {problem}",
                why='instead of the provider\'s reason the user reads "unreadable error"',
                do="leave Provider(error=…) out: parsing.problem knows most envelopes; or begin with it",
            )

    for body in (*EMPTY, *OUTAGES):
        check(body)
    for sample in subject.index.of("error"):
        for path, _ in mutations.nodes(sample.data):
            for new in mutations.VALUES:
                check(mutations.replaced(sample.data, path, new))
