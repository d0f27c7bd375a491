"""The Python text of the tables that `new-plugin` guesses, formatted as ruff formats it. Pure functions on text."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from vidpoll import State

from .guessing import Guess

MARK = "DECIDE"
"""The mark before a question to the author."""

WIDTH = 120
"""Characters of a line, as the rendered project configures its formatter."""

_ASKS = {
    "status": "is this the job's status, and not the envelope's?",
    "full": "does the progress count from 0 to 1?",
    "files": "is this the finished file?",
    "envelope": 'does another code mean a refusal? Add those that the page lists: kinds={"1004": "auth"}',
}
_MISSED = {"id": "id", "progress": "progress", "created_at": "time of the start", "reason": "reason of a failure"}
_GOOD = {"prompt": "a lighthouse at dusk"}
_GOOD_IMAGE = {"image": "https://example.com/lighthouse.jpg"}


def tables(found: Guess) -> dict[str, str]:
    """The parts of the template that depend on the samples."""
    operations = [*_submits(found.kinds), *_list(found.pages), *_ends(found)]
    return {
        "words": "\n".join(_words(found)),
        "reader": "\n".join(_reader(found)),
        "fields": "\n".join(_fields(found.kinds)),
        "operations": "".join(f"{line}\n" for line in operations),
    }


def good_fields(kind: str) -> dict[str, object]:
    """Fields that the rendered submit of a kind takes."""
    return {**_GOOD, **_GOOD_IMAGE} if _takes_image(kind) else dict(_GOOD)


def _takes_image(kind: str) -> bool:
    return "i2v" in kind or "image" in kind or "img" in kind


def _words(found: Guess) -> list[str]:
    words = found.words or {"queued": State.QUEUED, "running": State.RUNNING}
    lines = []
    for word, state in words.items():
        lines += [] if word in found.sure else [f"    # {MARK}: what does this word mean?"]
        lines.append(f"    {code(word)}: State.{state.name},")
    return lines


def _reader(found: Guess) -> list[str]:
    lines = []
    for name, value in {"status": "status", **found.reader}.items():
        lines += [f"    # {MARK}: {_ASKS[name]}"] if name in _ASKS else []
        lines += _keyword(name, value)
    for name, paths in found.missing.items():
        ask = f"no {_MISSED[name]} was found: if it is one of these, write {name}=…"
        lines += _comment(f"{MARK}: {ask}: {', '.join(paths)}")
    if "files" not in found.reader:
        lines += [f"    # {MARK}: where is the video?", *_keyword("files", {"video": "url"})]
    if found.envelope:
        lines += [f"    # {MARK}: {_ASKS['envelope']}"] if "code" in found.envelope else []
        options = dict(found.envelope)
        under = [code(options.pop("under"))] if "under" in options else []
        lines += _call("    envelope=", "declare.Envelope", [*under, *_options(options)])
    return lines


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent="    # ", subsequent_indent="    # ", break_on_hyphens=False)


def _keyword(name: str, value: Any) -> list[str]:
    """A keyword with its value; several files get one line each."""
    if isinstance(value, Mapping) and len(value) > 1:
        return [f"    {name}={{", *(f"        {code(key)}: {code(each)}," for key, each in value.items()), "    },"]
    return [f"    {name}={code(value)},"]


def _fields(kinds: Sequence[str]) -> list[str]:
    if not kinds:
        return []
    lines = [
        f"# {MARK}: the fields of a submit, each with its rule: text, whole, number, one_of, flag, list, image …",
        "FIELDS = {",
        '    "prompt": declare.text(),',
        "}",
    ]
    return [*lines, *(['IMAGE = {"image": declare.image(), **FIELDS}'] if any(map(_takes_image, kinds)) else [])]


def _submits(kinds: Sequence[str]) -> list[str]:
    if not kinds:
        return []
    lines = ["        submit={", f"            # {MARK}: the path of a submit"]
    path = '"POST /videos"' if len(kinds) == 1 else '"POST /videos/{kind}"'
    for kind in kinds:
        table, needed = ("IMAGE", "image") if _takes_image(kind) else ("FIELDS", "prompt")
        given = [path, "JOB", table, f'("{needed}",)', f"kind={code(kind)}"]
        lines += _call(f"            {code(kind)}: ", "declare.submit", given)
    return [*lines, "        },"]


def _list(pages: Mapping[str, Any]) -> list[str]:
    if not pages:
        return []
    kind = "cursor_pages" if "next" in pages else "numbered_pages"
    ask = f"        # {MARK}: the path of the list, and the query's names for the page and its size"
    return [ask, *_call("        list=", f"declare.{kind}", ['"GET /videos"', "JOB", *_options(pages)])]


def _ends(found: Guess) -> list[str]:
    lines = []
    for name in sorted({"cancel", "delete"} & {*found.operations.values()}):
        line = "POST /videos/{id}/cancel" if name == "cancel" else "DELETE /videos/{id}"
        done = [f"done={code(found.done)}"] if found.done and name == "delete" else []
        lines += [f"        # {MARK}: the path of a {name}"]
        lines += _call(f"        {name}=", f"declare.{name}", [code(line), "JOB", *done])
    return lines


def _options(options: Mapping[str, Any]) -> list[str]:
    return [f"{name}={code(value)}" for name, value in options.items()]


def _call(before: str, function: str, given: Sequence[str]) -> list[str]:
    """A call with a trailing comma: on one line, on three, or with one line for each argument, whichever fits."""
    space = " " * (len(before) - len(before.lstrip()))
    whole, inner = f"{before}{function}({', '.join(given)}),", f"{space}    {', '.join(given)}"
    if len(whole) <= WIDTH:
        return [whole]
    inside = [inner] if len(inner) <= WIDTH else [f"{space}    {each}," for each in given]
    return [f"{before}{function}(", *inside, f"{space}),"]


def code(value: object) -> str:
    """A JSON value or a tuple as a formatter writes it: in double quotes unless that needs an escape."""
    if isinstance(value, tuple):
        return f"({', '.join(map(code, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{code(key)}: {code(each)}' for key, each in value.items())}}}"
    if not isinstance(value, str):
        return repr(value)
    shown = repr(value)  # escapes what is not printable
    return shown if '"' in value or shown.startswith('"') else f'"{shown[1:-1]}"'
