"""What sample answers tell about a provider: where the status word stands, what its words may mean, where files are.

Guesses, every one of them, for `new-plugin`: its template marks them for the author. Pure functions on plain data.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vidpoll import State, parsing

Path = tuple[str | int, ...]

MEANINGS: Mapping[State, str] = {
    State.QUEUED: "queued pending waiting created submitted in_queue inqueue queueing queuing starting throttled "
    "preparing not_start accepted scheduled wait",
    State.RUNNING: "running processing in_progress inprogress generating rendering started dreaming active working",
    State.COMPLETED: "completed complete succeeded succeed success done finished ready ok",
    State.FAILED: "failed failure fail error rejected nsfw broken",
    State.CANCELLED: "cancelled canceled aborted terminated stopped",
    State.EXPIRED: "expired timed_out",
}
"""Words that providers are known to use. A word that is not here is taken for one of a job that runs."""

_STATUS = ("status", "state", "task_status", "taskstatus", "job_status", "jobstatus", "phase")
_IDS = ("id", "uuid", "task_id", "taskid", "job_id", "jobid", "video_id", "request_id", "requestid", "prediction_id")
_PROGRESS = ("progress", "percent", "percentage", "progress_percent")
_REASONS = ("error.message", "error", "failure_reason", "fail_reason", "failure", "error_message", "task_status_msg",
            "message", "reason")  # fmt: skip
_TIMES = {
    "created_at": ("created_at", "createdat", "created", "create_time", "submit_time"),
    "updated_at": ("updated_at", "updatedat", "update_time"),
    "finished_at": ("finished_at", "completed_at", "completedat", "end_time", "finish_time"),
}
REASONS = ("error.message", "error")
"""Where a reason is looked for if no answer shows one."""
_FILE = re.compile(r"(?i)\.(mp4|webm|mov|m4v|mkv)$")


@dataclass(frozen=True)
class Guess:
    """Dotted paths; None where nothing was found. A file's path is that of a value, or of a list and inside it."""

    status: str | None = None
    words: Mapping[str | int, State] = field(default_factory=dict)
    sure: frozenset[str | int] = frozenset()
    """The words that are known to be used so elsewhere."""
    id: str | None = None
    progress: str | None = None
    full: float = 100.0
    video: tuple[str, str | None] | None = None
    thumbnail: tuple[str, str | None] | None = None
    reasons: tuple[str, ...] = ()
    times: Mapping[str, str] = field(default_factory=dict)

    def word(self, body: object) -> str | int | None:
        """The status word of an answer; None for one that is no status."""
        found = parsing.first_of(body, self.status) if self.status and isinstance(body, dict) else None
        return found if isinstance(found, (str, int)) and not isinstance(found, bool) else None

    def expect(self, body: Mapping[str, Any], silent: str) -> dict[str, Any]:
        """What the parser that is made from this guess reads in a status answer; `silent` is told for no reason."""
        word = self.word(body)
        state = self.words[word] if word is not None else State.RUNNING
        shown = parsing.progress(parsing.first_of(body, self.progress), full=self.full) if self.progress else None
        assets = []
        if state is State.COMPLETED:
            for kind, where in (("video", self.video), ("thumbnail", self.thumbnail)):
                assets += [{"kind": kind, "url": asset.url} for asset in parsing.assets(_found(body, where), kind)]
        found = {"state": str(state), "stage": parsing.text(word), "progress": shown, "assets": assets}
        if state is State.FAILED:
            reasons = self.reasons or REASONS
            found["problem"] = parsing.text(parsing.first_of(body, *reasons)) or silent
        times = {name: parsing.timestamp(parsing.first_of(body, path)) for name, path in self.times.items()}
        return {**found, **{name: at for name, at in times.items() if at is not None}}


def _found(body: Mapping[str, Any], where: tuple[str, str | None] | None) -> Any:
    if where is None:
        return None
    value = parsing.first_of(body, where[0])
    return value if where[1] is None else parsing.column(value, where[1])


def guess(bodies: Sequence[object]) -> Guess:
    """What the answers have in common."""
    objects = [body for body in bodies if isinstance(body, dict)]
    status = _status(objects)
    if status is None:
        return Guess()
    first = Guess(status=status)
    answers = [body for body in objects if first.word(body) is not None]
    words = {word: _meaning(word) for body in answers if (word := first.word(body)) is not None}
    done = [body for body in answers if words[first.word(body) or ""] is State.COMPLETED] if words else []
    home = status.rpartition(".")[0]
    progress = _named(answers, _PROGRESS, home, (int, float, str))
    values = [parsing.first_of(body, progress) for body in answers] if progress else []
    numbers = [value for value in values if isinstance(value, (int, float)) and not isinstance(value, bool)]
    fraction = bool(numbers) and max(numbers) <= 1 and any(isinstance(value, float) for value in numbers)
    known = {word for word in words if _known(word) is not None}
    return Guess(
        status=status,
        words=words,
        sure=frozenset(known),
        id=_named(answers, _IDS, home, (str, int)),
        progress=progress,
        full=1.0 if fraction else 100.0,
        video=_file(done or answers, thumbnail=False),
        thumbnail=_file(done or answers, thumbnail=True),
        reasons=_reasons(answers, home),
        times={name: path for name, keys in _TIMES.items() if (path := _named(answers, keys, home, (str, int, float)))},
    )


def paths(value: object, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every plain value of a body with its path."""
    items: Iterable[tuple[str | int, Any]] = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, inner in items:
        if isinstance(inner, (dict, list)):
            yield from paths(inner, (*path, key))
        else:
            yield (*path, key), inner


def _keyed(body: object) -> Iterator[tuple[str, Any]]:
    """The plain values that lie in objects only, by dotted path."""
    for path, value in paths(body):
        if all(isinstance(key, str) and "." not in key for key in path):
            yield ".".join(map(str, path)), value


def _status(bodies: Sequence[object]) -> str | None:
    """The path whose values look most like status words: many different ones, in many answers, deep inside."""
    seen: dict[str, list[str | int]] = {}
    for body in bodies:
        for path, value in _keyed(body):
            named = path.rpartition(".")[2].lower() in _STATUS
            plain = isinstance(value, (str, int)) and not isinstance(value, bool)
            if plain and named and value != "":
                seen.setdefault(path, []).append(value)
    ranked = [
        (len(set(values)), sum(isinstance(value, str) for value in values), len(values), path.count("."), path)
        for path, values in seen.items()
    ]
    return max(ranked)[-1] if ranked else None


def _known(word: object) -> State | None:
    plain = re.sub(r"[\s-]+", "_", str(word).strip().casefold())
    return next((state for state, words in MEANINGS.items() if plain in words.split()), None)


def _meaning(word: object) -> State:
    return _known(word) or State.RUNNING


def _named(bodies: Sequence[object], names: Sequence[str], home: str, kinds: tuple[type, ...]) -> str | None:
    """The path of a field of one of these names: beside the status word first, then at the top."""
    found = [path for body in bodies for path, value in _keyed(body) if isinstance(value, kinds) and value != ""]
    for place in dict.fromkeys([home, ""]):
        for name in names:
            for path in found:
                parent, _, key = path.rpartition(".")
                if parent == place and key.lower() == name:
                    return path
    return None


def _reasons(bodies: Sequence[object], home: str) -> tuple[str, ...]:
    """The paths of error texts that are there in an answer, and the usual ones where none is."""
    there = {path for body in bodies for path, value in _keyed(body) if isinstance(value, str) and value}
    wanted = [f"{home}.{name}" if home else name for name in _REASONS]
    found = [path for path in wanted if path in there and path != "message"]
    return tuple(found) or tuple(wanted[:2])


def _file(bodies: Sequence[object], *, thumbnail: bool) -> tuple[str, str | None] | None:
    """Where completed answers name a video, or a picture of it."""
    ranked = []
    for body in bodies:
        for number, (path, value) in enumerate(paths(body)):
            score = _score(path, value, thumbnail)
            if score:
                ranked.append((score, -number, path))
    if not ranked:
        return None
    path = max(ranked, key=lambda each: each[:2])[2]
    place = next((place for place, key in enumerate(path) if isinstance(key, int)), len(path))
    inside = [str(key) for key in path[place + 1 :]]
    return ".".join(map(str, path[:place])), ".".join(inside) or None


def _score(path: Path, value: object, thumbnail: bool) -> int:
    if not isinstance(value, str) or not re.match(r"(?i)https?://|/", value) or not isinstance(path[0], str):
        return 0
    name = ".".join(map(str, path)).lower()
    picture = re.search("thumb|cover|poster|preview", name) is not None
    if re.search("last_frame|webhook|callback|status_url|cancel|polling|response_url|watermark", name):
        return 0
    if thumbnail or picture:
        return int(thumbnail and picture)
    return 4 * bool(_FILE.search(value.partition("?")[0])) + 2 * ("video" in name) + ("url" in name or "output" in name)
