"""What sample responses reveal about a provider: the path of the status, what its words may mean, where the files are.

Everything here is a guess for `new-plugin`, whose template marks each one for the author. Pure functions on plain data.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
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
"""Words that providers are known to use. Any other word is taken to mean that the job runs."""

_STATUS = ("status", "state", "task_status", "taskstatus", "job_status", "jobstatus", "phase")
_OWN_IDS = ("id", "uuid", "task_id", "taskid", "job_id", "jobid", "video_id", "prediction_id")
_IDS = (*_OWN_IDS, "request_id", "requestid")
_PROGRESS = ("progress", "percent", "percentage", "progress_percent")
_REASONS = (
    "error.message", "error", "failure_reason", "fail_reason", "failure", "failure_message", "fail_message",
    "error_message", "error_msg", "err_msg", "task_status_msg", "message", "reason",
)  # fmt: skip
_FAILURES = ("failure_code", "failurecode", "fail_code", "error_code", "err_code")
_TIMES = {
    "created_at": ("created_at", "createdat", "created", "create_time", "submit_time"),
    "updated_at": ("updated_at", "updatedat", "update_time"),
    "finished_at": ("finished_at", "completed_at", "completedat", "end_time", "finish_time"),
}
_NEXT = (
    "next_cursor", "nextcursor", "next_token", "nexttoken", "next_page_token", "nextpagetoken", "cursor", "last_id",
    "next",
)  # fmt: skip
_PAGES = {
    "current": ("page", "current_page", "currentpage", "page_num", "pagenum", "page_no", "pageno"),
    "last": ("last_page", "total_pages", "totalpages", "page_count", "pages"),
    "total": ("total", "total_count", "totalcount"),
    "per_page": ("per_page", "page_size", "pagesize"),
}
_MORE = ("has_more", "hasmore", "has_next", "hasnext")
_CODES = ("code", "errcode", "err_code", "error_code", "status_code", "ret", "success")
_MESSAGES = ("message", "msg", "errmsg", "err_msg", "error_msg", "status_msg")
_GOOD: tuple[Any, ...] = (True, 0, 200, "0", "200")
_TYPES = ("video", "image", "thumbnail", "cover")
_FILE = re.compile(r"(?i)\.(mp4|webm|mov|m4v|mkv)$")
_KEY = re.compile(r"[^.\[\]{}=\s]+")
_SUBMIT = re.compile(r"submit|create|accepted")
_REFUSAL = re.compile(r"error|refus|denied|4\d\d")
_ENDED = re.compile(r"cancel|delete")
_NO_KIND = re.compile(r"submit\w*|created?|accepted|answer|response|job|task|2\d\d|\d+")


@dataclass(frozen=True)
class Guess:
    """What the samples have in common, as keywords for the tables that parse them.

    `operations` gives the request that each sample responds to: "status", "submit KIND", "list", "cancel", "delete" or
    "error". `done` is the path of the flag in a response to a delete.
    """

    words: Mapping[str | int, State] = field(default_factory=dict)
    sure: frozenset[str | int] = frozenset()
    """The words that other providers use with this meaning."""
    reader: Mapping[str, Any] = field(default_factory=dict)
    envelope: Mapping[str, Any] = field(default_factory=dict)
    pages: Mapping[str, Any] = field(default_factory=dict)
    done: str | None = None
    operations: Mapping[str, str] = field(default_factory=dict)
    missing: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """What was not found ("id", "progress", "created_at", "reason"), with the paths that it may have."""

    @property
    def kinds(self) -> list[str]:
        """The kinds of submit."""
        named = (name.partition(" ") for name in self.operations.values())
        return list(dict.fromkeys(kind for name, _, kind in named if name == "submit"))


def guess(samples: Mapping[str, object]) -> Guess:
    """Guess the tables from the samples; `samples` maps file names to bodies."""
    objects = {file: body for file, body in samples.items() if isinstance(body, dict)}
    status = _status([body for file, body in objects.items() if not _refuses(file, body)])
    if status is None:
        submits = {file: f"submit {_kind(file)}" for file, body in objects.items() if _is_submit(file, body)}
        return Guess(operations={**dict.fromkeys(samples, "error"), **submits})
    home = status.rpartition(".")[0]
    answers = [body for file, body in objects.items() if _word(body, status) is not None and not _refuses(file, body)]
    found = _found(answers, [body for body in answers if _known(_word(body, status)) is State.COMPLETED], status)
    under = home if all(_below(home, path) for path in (found["id"], *found["video"])) else ""
    sorting = _Sorting(status, under, _reader(found, under))
    for file, body in objects.items():
        sorting.add(file, body)
    operations = {**dict.fromkeys(samples, "error"), **sorting.operations(objects)}
    known = {file: body for file, body in objects.items() if operations[file].partition(" ")[0] in _ABOUT_JOBS}
    lists = [body for file, body in known.items() if operations[file] == "list" and _rows(body, sorting.reader)]
    reader = {**sorting.reader, "id": _one(sorting.ids)}
    return Guess(
        {word: _known(word) or State.RUNNING for word in sorting.words},
        frozenset(word for word in sorting.words if _known(word) is not None),
        {name: value for name, value in reader.items() if value != _DEFAULTS.get(name)},
        _envelope(list(known.values()), _one(sorting.places)),
        _pages(lists[0], sorting.reader) if lists else {},
        next((path for file, body in objects.items() if operations[file] == "delete" for path in _flags(body)), None),
        operations,
        sorting.missing(found, answers),
    )


class _Sorting:
    """Sorts the samples by the request that they respond to, and collects their ids, words and data paths."""

    def __init__(self, status: str, under: str, reader: Mapping[str, Any]) -> None:
        self.status, self.under, self.reader = status, under, reader
        self.home = status.rpartition(".")[0]
        self.ids, self.places = [reader.get("id", "id")], [under]
        self.words: dict[str | int, None] = {}
        self._found: dict[str, str] = {}
        self._nameless: list[Mapping[str, Any]] = []  # responses to a submit, without an id of a known name

    def add(self, file: str, body: Mapping[str, Any]) -> None:
        """Sort one sample."""
        word = None if _refuses(file, body) else _word(body, self.status)
        if word is None and not _refuses(file, body) and parsing.text(parsing.at(body, self.ids[0])):
            word = _word(body, self.reader["status"])  # without an envelope, as in a webhook
            self.places += [] if word is None else [""]
        if word is not None:
            self.words.setdefault(word)
        self._found[file], own = _operation(file, body, word is not None, self.home, self.reader)
        if own is None and self._found[file].startswith("submit "):
            self._nameless.append(body)
        if own is not None:
            inside = _below(self.under, own)
            self.places += [] if inside else [""]
            self.ids.append(own.removeprefix(f"{self.under}.") if inside else own)

    def operations(self, objects: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
        """The request that each sample responds to; an empty page is recognised by comparison with a full one."""
        full = next((objects[file] for file, name in self._found.items() if name == "list"), {})
        rows = _rows(full, self.reader)
        empty = {
            file: "list"
            for file, name in self._found.items()
            if rows and name == "error" and isinstance(parsing.at(objects[file], rows), list)
        }
        return {**self._found, **empty}

    def missing(self, found: Mapping[str, Any], answers: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
        """What has no field of a known name, with the paths of the fields that have such values."""
        nameless = found["id"] is None and len(self.ids) == 1
        failed = [body for body in answers if _known(_word(body, self.status)) is State.FAILED]
        places = {
            "id": self._nameless or (answers if nameless else []),
            "progress": [] if found["progress"] else answers,
            "created_at": [] if found["created_at"] else answers,
            "reason": [] if found["reason"] else failed,
        }
        used = {each for path in found.values() for each in (path if isinstance(path, list) else [path])}
        paths = {name: _like(bodies, _LOOKS[name], used) for name, bodies in places.items()}
        return {name: [path.removeprefix(f"{self.under}.") for path in each] for name, each in paths.items() if each}


def _like(bodies: Sequence[Mapping[str, Any]], looks: re.Pattern[str], used: Collection[object]) -> list[str]:
    """The paths of values that look so, in the order of the bodies, without used ones and those of an envelope."""
    kept = (
        path
        for body in bodies
        for path, value in _keyed(body)
        if isinstance(value, (str, int, float)) and not isinstance(value, bool) and looks.fullmatch(str(value))
        if path not in used and path.rpartition(".")[2].lower() not in (*_CODES, *_MESSAGES)
    )
    return list(dict.fromkeys(kept))


_TIME = r"[1-4]\d{9}(?:\d{3})?(?:\.\d+)?|\d{4}-\d\d-\d\d.*"
_LOOKS = {
    "id": re.compile(rf"(?!(?:{_TIME})$)(?:\d{{4,}}|(?=.*[\d_-])[\w.:=+-]{{2,200}})"),
    "progress": re.compile(r"(?:\d|\d\d|100)(?:\.\d+)?\s*%?"),
    "created_at": re.compile(_TIME),
    "reason": re.compile(r"(?!https?://).*[^\W\d_]{2}.*\s.*", re.DOTALL),
}
"""What the value of a field looks like, by the name of the field in a Reader."""

_ABOUT_JOBS = ("status", "submit", "list")
_DEFAULTS = {
    "id": "id", "progress": "progress", "created_at": "created_at", "updated_at": "updated_at",
    "finished_at": "completed_at",
}  # fmt: skip
"""The paths that a Reader uses by default."""


def _found(answers: Sequence[Mapping[str, Any]], done: Sequence[Mapping[str, Any]], status: str) -> dict[str, Any]:
    """The full paths of all values in the responses about a job."""
    home = status.rpartition(".")[0]
    return {
        "status": status,
        "id": _named(answers, _ids(answers), home, (str, int)),
        **_progress(answers, home),
        **{name: _named(answers, keys, home, (str, int, float)) for name, keys in _TIMES.items()},
        "reason": _reasons(answers, home),
        "code": _named(answers, _FAILURES, home, (str, int)),
        "video": _file(done or answers, thumbnail=False),
        "thumbnail": _file(done or answers, thumbnail=True),
    }


def _ids(bodies: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The names of ids: in a body with a code or a message, a request id is not the id of a job."""
    return _OWN_IDS if any({"code", "message", "error"} & {*body} for body in bodies) else _IDS


def _one(values: Sequence[str]) -> str | tuple[str, ...]:
    """The values without duplicates; a single value itself."""
    found = tuple(dict.fromkeys(values))
    return found[0] if len(found) == 1 else found


def _below(under: str, path: str | None) -> bool:
    return not under or path is None or path.startswith(f"{under}.")


def _inside(paths: Sequence[str], under: str) -> list[str]:
    return [path.removeprefix(f"{under}.") for path in paths if _below(under, path)]


def _reader(found: Mapping[str, Any], under: str) -> dict[str, Any]:
    """The keywords of a Reader, with paths relative to `under`; paths outside of it are left out."""
    inside = {
        name: path.removeprefix(f"{under}.") if under else path
        for name, path in found.items()
        if isinstance(path, str) and _below(under, path)
    }
    places = {kind: _inside(found[kind], under) for kind in ("video", "thumbnail")}
    files = {kind: _one(paths) for kind, paths in places.items() if paths}
    reasons = _inside(found["reason"], under)
    usual = not reasons or set(reasons) <= {"error.message", "error"}
    made: dict[str, Any] = {"status": inside.pop("status"), **inside}
    made |= {"full": found["full"]} if "full" in found else {}
    made |= {"files": files} if files else {}
    return made if usual else {**made, "reason": _one(reasons)}


def _operation(
    file: str, body: Mapping[str, Any], told: bool, home: str, reader: Mapping[str, Any]
) -> tuple[str, str | None]:
    """The request that a sample responds to, and the path of the id if it is a submit and has one."""
    named = _SUBMIT.search(file) is not None and not file.startswith("status")
    names = _ids([body]) if named else _OWN_IDS
    own = None if _refuses(file, body) else _named([body], names, home, (str, int))
    if _is_submit(file, body):
        return f"submit {_kind(file)}", own
    if not told and (ended := "delete" if _flags(body) else _ENDED.search(file)):
        return (ended if isinstance(ended, str) else ended[0]), None
    if own and (named or not (told or body.get("error") or body.get("detail"))):
        return f"submit {_kind(file)}", own
    if told:
        return "status", None
    return ("list" if _rows(body, reader) is not None else "error"), None


def _is_submit(file: str, body: Mapping[str, Any]) -> bool:
    """Whether the file is named `submit-KIND.json`, and its body is not a refusal."""
    codes = [value for name, value in body.items() if name.lower() in _CODES]
    no = any(not any(code is ok or code == ok for ok in _GOOD) for code in codes)
    refused = no or body.get("error") or body.get("detail") or _refuses(file, body)
    return file.lower().startswith("submit") and not refused


def _flags(body: Mapping[str, Any]) -> list[str]:
    """The paths of flags that report a deletion."""
    return [path for path, value in _keyed(body) if value is True and path.rpartition(".")[2].lower() == "deleted"]


def _kind(file: str) -> str:
    """The kind in a file's name: `submit-text2video-202.json` is a response to text2video."""
    parts = re.split(r"[^a-z0-9]+", file.lower().removesuffix(".json"))
    kind = "-".join(part for part in parts if part and not _NO_KIND.fullmatch(part))
    return kind if _SUBMIT.search(file) and kind else "video"


def _refuses(file: str, body: Mapping[str, Any]) -> bool:
    """Whether the file is named like an error, and its body names no job."""
    ids = [path for path, value in _keyed(body) if path.rpartition(".")[2].lower() in _OWN_IDS and value]
    return _REFUSAL.search(file) is not None and not file.startswith("status") and not ids


def _rows(body: Mapping[str, Any], reader: Mapping[str, Any]) -> str | None:
    """The path of a list of jobs."""
    for path, value in _lists(body):
        row = next((item for item in value if isinstance(item, dict)), {})
        if parsing.at(row, reader["status"]) is not None and parsing.text(parsing.at(row, reader.get("id", "id"))):
            return path
    return None


def _lists(value: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, list[Any]]]:
    for key, inner in value.items():
        here = f"{path}.{key}" if path else key
        if not _KEY.fullmatch(key):
            continue
        if isinstance(inner, list):
            yield here, inner
        elif isinstance(inner, dict):
            yield from _lists(inner, here)


def _pages(body: Mapping[str, Any], reader: Mapping[str, Any]) -> dict[str, Any]:
    """The keywords of `declare.cursor_pages`, with "next", or of `numbered_pages`."""
    keyed = dict(_keyed(body))
    last = {path: path.rpartition(".")[2].lower() for path in keyed}

    def one(names: Sequence[str], *kinds: type) -> str | None:
        hits = (path for name in names for path, key in last.items() if key == name and type(keyed[path]) in kinds)
        return next(hits, None)

    found: dict[str, Any] = {"rows": _rows(body, reader)}
    token, more = one(_NEXT, str, type(None)), one(_MORE, bool)
    if token is not None:
        return {**found, "next": token, **({"more": more} if more else {})}
    numbers = {name: path for name, keys in _PAGES.items() if (path := one(keys, int))}
    return {**found, **({"more": more} if more else {}), **numbers}


def _envelope(good: Sequence[Mapping[str, Any]], under: str | tuple[str, ...]) -> dict[str, Any]:
    """The keywords of an Envelope: a code that is equal in all good responses that have it, and its message."""
    made: dict[str, Any] = {"under": under} if under else {}
    for path, value in _keyed(good[0] if good else {}):
        parent, _, key = path.rpartition(".")
        others = [other for body in good if (other := parsing.at(body, path)) is not None]
        same = all(type(other) is type(value) and other == value for other in others)
        if key.lower() in _CODES and same and path.count(".") < 2 and any(value is ok or value == ok for ok in _GOOD):
            beside = [name for name, _ in _keyed(good[0]) if name.rpartition(".")[0] == parent]
            told = next((name for name in beside if name.rpartition(".")[2].lower() in _MESSAGES), None)
            made |= {"code": path} | ({} if value == 0 and value is not False else {"ok": (value,)})
            return made | ({"message": told} if told else {})
    return made


def paths(value: object, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every scalar of a body with its path."""
    items: Iterable[tuple[str | int, Any]] = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, inner in items:
        if isinstance(inner, (dict, list)):
            yield from paths(inner, (*path, key))
        else:
            yield (*path, key), inner


def _keyed(body: object) -> Iterator[tuple[str, Any]]:
    """The scalars that lie only in objects, not in lists, by dotted path."""
    for path, value in paths(body):
        if all(isinstance(key, str) and _KEY.fullmatch(key) for key in path):
            yield ".".join(map(str, path)), value


def _status(bodies: Sequence[object]) -> str | None:
    """The path whose values look most like status words: many different values, in many responses, deeply nested."""
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


def _word(body: Mapping[str, Any], status: str) -> str | int | None:
    """The status word of a response; None if the value is not a status."""
    found = parsing.at(body, status)
    plain = isinstance(found, (str, int)) and not isinstance(found, bool) and str(found).strip()
    return found if plain else None


def _progress(bodies: Sequence[Mapping[str, Any]], home: str) -> dict[str, Any]:
    """The path of the progress, and `full` if it counts from 0 to 1."""
    path = _named(bodies, _PROGRESS, home, (int, float, str))
    values = [parsing.at(body, path) for body in bodies] if path else []
    numbers = [value for value in values if isinstance(value, (int, float)) and not isinstance(value, bool)]
    fraction = bool(numbers) and max(numbers) <= 1 and any(isinstance(value, float) for value in numbers)
    return {"progress": path, **({"full": 1.0} if fraction else {})}


def _named(bodies: Sequence[object], names: Sequence[str], home: str, kinds: tuple[type, ...]) -> str | None:
    """The path of a field with one of these names: first next to the status, then at the top level."""
    found = [path for body in bodies for path, value in _keyed(body) if isinstance(value, kinds) and value != ""]
    for place in dict.fromkeys([home, ""]):
        for name in names:
            for path in found:
                parent, _, key = path.rpartition(".")
                if parent == place and key.lower() == name:
                    return path
    return None


def _reasons(bodies: Sequence[object], home: str) -> list[str]:
    """The paths of error texts that occur in a response."""
    there = {path for body in bodies for path, value in _keyed(body) if isinstance(value, str) and value}
    wanted = [f"{home}.{name}" if home else name for name in _REASONS]
    return [path for path in wanted if path in there and path != "message"]


def _file(bodies: Sequence[Mapping[str, Any]], *, thumbnail: bool) -> list[str]:
    """The paths of the video, or of its thumbnail, in completed responses: the best of each response, best first."""
    best = []
    for body in bodies:
        ranked = [
            (_score((*path, *_types(path, body)), value, thumbnail), -number, path)
            for number, (path, value) in enumerate(paths(body))
            if all(isinstance(key, int) or _KEY.fullmatch(key) for key in path)
        ]
        score, _, path = max(ranked, key=lambda each: each[:2], default=(0, 0, ()))
        best += [(score, _written(path, body))] if score else []
    best.sort(key=lambda each: -each[0])
    return list(dict.fromkeys(path for score, path in best if score >= min(4, best[0][0])))


def _types(path: Path, body: Any) -> list[str]:
    """The `type` of the list items on a path: "video", "image"."""
    found = []
    for key in path:
        body = body[key]
        if isinstance(key, int) and isinstance(body, dict) and body.get("type") in _TYPES:
            found.append(str(body["type"]))
    return found


def _written(path: Path, body: Any) -> str:
    """A path as tables write it: all items of its first list, or those of the same type."""
    made, lists, types = "", 0, _types(path, body)
    for at, key in enumerate(path):
        if isinstance(key, str):
            made += f".{key}" if made else key
        else:
            whole = f"[type={types[0]}]" if types else "[]" if at + 1 < len(path) else ""
            made += f"[{key}]" if lists else whole
            lists += 1
    return made


def _score(path: Path, value: object, thumbnail: bool) -> int:
    if not isinstance(value, str) or not re.match(r"(?i)https?://|/", value) or not isinstance(path[0], str):
        return 0
    name = ".".join(map(str, path)).lower()
    picture = re.search(r"thumb|cover|poster|preview|\.image$", name) is not None
    if re.search("last_frame|webhook|callback|status_url|cancel|polling|response_url|watermark", name):
        return 0
    if thumbnail or picture:
        return int(thumbnail and picture)
    return 4 * bool(_FILE.search(value.partition("?")[0])) + 2 * ("video" in name) + ("url" in name or "output" in name)
