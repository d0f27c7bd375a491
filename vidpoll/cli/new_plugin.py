"""The command `new-plugin`: a distribution for a provider, out of a template and the guesses from sample answers.

What only the author can know is marked with DECIDE; the rendered tests fail on each mark and on nothing else.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

import vidpoll
from vidpoll import parsing, redact

from .context import Arguments, Command, Context
from .guessing import REASONS, Guess, guess
from .output import COMPLETED

MARK = "DECIDE"

_INVENTED: Mapping[str, Any] = {
    "status-queued.json": {"id": "job_7f3a", "status": "queued", "progress": 0},
    "status-running.json": {"id": "job_7f3a", "status": "running", "progress": 40},
    "status-completed.json": {
        "id": "job_7f3a",
        "status": "completed",
        "progress": 100,
        "video_url": "https://media.example.com/job_7f3a.mp4",
    },
    "status-failed.json": {"id": "job_7f3a", "status": "failed", "error": {"message": "The prompt was refused."}},
}


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the provider's name: what users will write before the colon")
    parser.add_argument(
        "--from-sample",
        nargs="+",
        action="extend",
        default=[],
        metavar="FILE.json",
        help="answers of the provider: the status field and its words are guessed from them",
    )
    parser.add_argument("--to", default=".", metavar="DIR", help="where to make the folder vidpoll-NAME (here)")


def _new_plugin(args: Arguments, context: Context) -> int:
    name = _name(args.name)
    samples = _samples(args.from_sample)
    folder = Path(args.to) / f"vidpoll-{name}"
    if folder.exists():
        raise vidpoll.UsageError(f"{folder} is there already: choose another name, or another --to")
    files = render(name, samples)
    try:
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise vidpoll.UsageError(f"cannot write to {folder}: {error.strerror or type(error).__name__}") from None
    left = sum(text.count(f"{MARK}:") for text in files.values())
    context.out.line(f"made {folder}: {len(files)} files, {left} places marked {MARK}")
    context.out.line(f'next: cd "{folder}" && pip install -e ".[test]" && pytest')
    context.out.line("the tests name each place that is left to you; the samples may hold keys or signed URLs: look")
    return COMPLETED


def _name(name: str) -> str:
    if name.startswith(("vidpoll-", "vidpoll_")):
        raise vidpoll.UsageError(f"NAME is the provider's: {name[8:]!r}, not {name!r}")
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,39}", name):
        raise vidpoll.UsageError(
            f"{redact.text(name, limit=60)!r} is no provider's name: lower-case letters, digits, '_', '-'"
        )
    return name


def _samples(files: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for file in map(Path, files):
        try:
            body = json.loads(file.read_text(encoding="utf-8-sig"))
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise vidpoll.UsageError(f"cannot read {str(file)!r}: {why}") from None
        except ValueError:
            raise vidpoll.UsageError(f"{str(file)!r} is no JSON: give the body of one answer") from None
        name = file.name if file.suffix == ".json" else f"{file.name}.json"
        if name in found or name == "index.json":
            raise vidpoll.UsageError(f"two samples are called {name}, or one is called like the index: rename it")
        found[name] = body
    return found


def render(name: str, samples: Mapping[str, Any] | None = None) -> dict[str, str]:
    """The files of a plugin for the provider `name`, by their paths; without samples they are invented."""
    bodies = dict(samples or _INVENTED)
    found = guess(list(bodies.values()))
    job_id = _id(bodies.values(), found)
    submit = next((body for file, body in bodies.items() if _is_submit(file, body, found)), None)
    values = {
        "name": name,
        "module": f"vidpoll_{name.replace('-', '_')}",
        "title": name.replace("-", " ").replace("_", " ").title(),
        "variable": f"{re.sub('[^A-Z0-9]', '_', name.upper())}_API_KEY",
        "id": job_id if re.fullmatch(r"[\w./:+=-]{1,80}", job_id) else "job_7f3a",
        **_parser(found),
        **_submit(submit is not None, found),
    }
    values["simulator"] = Template(_SIMULATOR if submit is not None else "").substitute(values)
    from importlib import resources  # the other commands do without

    files = {}
    for file in resources.files("vidpoll.cli").joinpath("template").iterdir():
        path = file.name.removesuffix(".in").replace("--", "/").replace("MODULE", values["module"])
        path = path.replace("NAME", name.replace("-", "_"))
        files[path] = Template(file.read_text(encoding="utf-8")).substitute(values)
    files[f"{values['module']}/py.typed"] = ""
    for file_name, body in bodies.items():
        files[f"{values['module']}/samples/{file_name}"] = _dump(body)
    head = {
        "base_url": f"https://api.{name}.example/v1",
        "auth": f"Authorization: Bearer {{{values['variable']}}}",
        "floor": 5,
    }
    index = _index(bodies, found, job_id, values["title"], invented=not samples)
    files[f"{values['module']}/samples/index.json"] = _dump({"about": index.pop("about"), **head, **index})
    return dict(sorted(files.items()))


def _dump(value: object) -> str:
    """JSON to read, and to write as UTF-8: half a character, which JSON may hold, stays an escape."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _is_submit(file: str, body: object, found: Guess) -> bool:
    named = re.search("submit|create", file) is not None
    return named and isinstance(body, dict) and bool(found.id) and parsing.first_of(body, str(found.id)) is not None


def _id(bodies: Any, found: Guess) -> str:
    ids = [parsing.text(parsing.first_of(body, found.id)) for body in bodies if isinstance(body, dict) and found.id]
    return next(filter(None, ids), "job_7f3a")


def _parser(found: Guess) -> dict[str, str]:
    """The lines of the template that depend on the samples."""
    words = {**found.words} or {"queued": vidpoll.State.QUEUED, "running": vidpoll.State.RUNNING}
    table = [
        f"    {json.dumps(word)}: vidpoll.State.{state.name},"
        + ("" if word in found.sure else f"  # {MARK}: what does this word mean?")
        for word, state in words.items()
    ]
    reads = []
    if found.progress:
        full, ask = (", full=1.0", f"  # {MARK}: does it count from 0 to 1?") if found.full == 1.0 else ("", "")
        reads.append(f"progress=parsing.progress({_get(found.progress)}{full}),{ask}")
    files = [_assets(found.video, "video")] if found.video else []
    files += [_assets(found.thumbnail, "thumbnail")] if found.thumbnail else []
    ask = f"  # {MARK}: is this the finished file?" if files else f"  # {MARK}: where is the video?"
    files = files or ['parsing.assets(body.get("video_url"))']
    reads.append("assets=files if state is vidpoll.State.COMPLETED else (),")
    reads.append("problem=vidpoll.Problem(reason) if state is vidpoll.State.FAILED else None,")
    if found.id:
        reads.append(f"job_id=parsing.text({_get(found.id)}),")
    reads += [f"{name}=parsing.timestamp({_get(path)})," for name, path in found.times.items()]
    reasons = found.reasons or REASONS
    return {
        "words": "\n".join(table),
        "status_path": json.dumps(found.status or "status"),
        "reasons": ", ".join(json.dumps(reason) for reason in reasons),
        "files": "\n".join(f"    files {'+=' if at else '='} {each}{ask}" for at, each in enumerate(files)),
        "reads": "\n".join(f"        {line}" for line in reads),
    }


def _get(path: str) -> str:
    return f"parsing.first_of(body, {json.dumps(path)})"


def _assets(where: tuple[str, str | None], kind: str) -> str:
    value = _get(where[0]) if where[1] is None else f"parsing.column({_get(where[0])}, {json.dumps(where[1])})"
    return f"parsing.assets({value})" if kind == "video" else f"parsing.assets({value}, {json.dumps(kind)})"


_SUBMIT = '''

def submit_request(fields: Mapping[str, object]) -> vidpoll.Request:
    given = parsing.checked("submit video", fields, FIELDS)
    if "prompt" not in given:
        raise vidpoll.InvalidField("prompt is missing: give some text")
    return vidpoll.Request("POST", "/videos", json=given)  # DECIDE: the path of a submit


def parse_submit(response: vidpoll.Response, job_id: str) -> vidpoll.Submitted:
    """The id is taken first: whatever else is strange in this answer, the job is paid for."""
    body = parsing.json_object(response)
    return parsing.submitted(%s, lambda: parse_status(response, job_id))
'''
_SIMULATOR = '''

@vidpoll.hookimpl
def vidpoll_simulators() -> Mapping[str, str]:
    """The simulator plays the samples."""
    return {"$name": "$module:samples/index.json"}
'''
_FIELDS = """
# DECIDE: the fields of a submit, what each must be (the words stand in the error), and the test for it
FIELDS: parsing.Rules = {
    "prompt": ("text, not empty", lambda value: isinstance(value, str) and value.strip()),
}
"""


def _submit(there: bool, found: Guess) -> dict[str, str]:
    return {
        "fields": _FIELDS if there else "",
        "submit": _SUBMIT % _get(found.id or "id") if there else "",
        "submit_operation": '\n        submit={"video": vidpoll.Operation(submit_request, parse_submit)},'
        if there
        else "",
        "iterator": "Iterator, Mapping" if there else "Iterator",
        "submits": '\n    submits = {"video": {"prompt": "a lighthouse at dusk"}}' if there else "",
    }


_GOOD = {"prompt": "a lighthouse at dusk"}


def _index(bodies: Mapping[str, Any], found: Guess, job_id: str, title: str, *, invented: bool) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    silent = f"failed, and {title} gave no reason"
    for file, body in bodies.items():
        row: dict[str, Any] = {"file": file, "operation": "status", "origin": "inferred" if invented else "documented"}
        ask = "invented by the template: put the vendor's own example here" if invented else (
            "documented or recorded? And is this what the page says it means?"
        )  # fmt: skip
        if _is_submit(file, body, found):
            named = {"job_id": parsing.text(parsing.first_of(body, str(found.id)))}
            told = found.expect(body, silent) if found.word(body) is not None else {}
            row |= {"operation": "submit video", "request": "POST /v1/videos", "fields": _GOOD, "sends": _GOOD}
            row["expect"] = {**named, **told}
        elif found.word(body) is not None:
            own = parsing.text(parsing.first_of(body, found.id)) if found.id else None
            row |= {"id": own} if own not in (None, job_id) else {}
            row["request"] = "GET /v1/videos/{id}"
            row["expect"] = found.expect(body, silent)
        else:
            problem = parsing.problem(vidpoll.Response(400, {}, json.dumps(body).encode()))
            row |= {"operation": "error", "status": 400}
            row["expect"] = {"message": problem.message, "code": problem.code}
            ask = (
                "no status word was found in it: an error (with which HTTP status?), a list, a second answer (follow)?"
            )
        rows.append({**row, "note": f"{MARK}: {ask}"})
    pairs = [(word, str(state)) for word, state in found.words.items()]
    plain = all(isinstance(word, str) for word, _ in pairs)
    return {
        "about": f"{MARK}: are these all status words of the vendor's page, cancelled and expired ones too?",
        "id": job_id,
        "words": dict(pairs) if plain else pairs,
        "decides": [],
        "samples": rows,
    }


COMMAND = Command(
    "new-plugin",
    "make a plugin for a provider that has none",
    _arguments,
    _new_plugin,
    "vidpoll new-plugin acme --from-sample queued.json done.json failed.json",
    f"A whole distribution, tests included. What only you can know is marked {MARK}; see docs/writing-a-provider.md.",
)
