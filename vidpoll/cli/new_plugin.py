"""The command `new-plugin`: a distribution for a provider, from a template and guesses from sample responses.

DECIDE marks what only the author can know; the rendered tests fail on each mark, on an id that no sample shows, and on
nothing else.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import urlencode

import vidpoll
from vidpoll import (
    AnswerError,
    Operation,
    Page,
    Problem,
    Provider,
    Refused,
    Request,
    Response,
    Snapshot,
    State,
    Submitted,
    redact,
)

from ..errors import CATEGORIES
from ..faults import Fault
from ..installing import CORE_FIRST
from .context import Arguments, Command, Context
from .guessing import Guess, guess
from .output import COMPLETED, counted
from .plugin_tables import MARK, good_fields, tables

_INVENTED: Mapping[str, Any] = {
    "submit.json": {"id": "job_7f3a"},
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
    parser.add_argument("name", metavar="NAME", help="the provider's name, which users write before the colon")
    parser.add_argument(
        "--from-sample",
        nargs="+",
        action="extend",
        default=[],
        metavar="FILE.json",
        help="sample responses of the provider; the status field, its words and other paths are guessed from them",
    )
    parser.add_argument("--to", default=".", metavar="DIR", help="create the folder vidpoll-NAME in DIR (default: .)")


def _new_plugin(args: Arguments, context: Context) -> int:
    name = _name(args.name)
    samples = _samples(args.from_sample)
    folder = Path(args.to) / f"vidpoll-{name}"
    if folder.exists():
        raise vidpoll.UsageError(f"{folder} already exists: choose another name, or another --to")
    with context.client() as client:
        there = next((report for report in client.plugins if name in report.providers), None)
    if there is not None:
        context.out.error(
            f"warning: {there.distribution} already provides {name}, and two plugins with one provider are refused: "
            f"choose another NAME, or uninstall {there.distribution} before you install this one"
        )
    files = render(name, samples)
    try:
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise vidpoll.UsageError(f"cannot write to {folder}: {error.strerror or type(error).__name__}") from None
    left = sum(text.count(f"{MARK}:") for text in files.values())
    context.out.line(f"created {folder}: {len(files)} files, {counted(left, 'place')} marked {MARK}")
    context.out.line(f"in a new environment, {CORE_FIRST}")
    context.out.line(f'next: cd "{folder}" && pip install -e ".[test]" && pytest')
    context.out.line(
        "the tests list each place that you must decide; check that the samples hold no keys or signed URLs"
    )
    return COMPLETED


def _name(name: str) -> str:
    if name.startswith(("vidpoll-", "vidpoll_")):
        raise vidpoll.UsageError(f"NAME must be the provider's name: {name[8:]!r}, not {name!r}")
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,39}", name):
        raise vidpoll.UsageError(
            f"NAME must be lower-case letters, digits, '_' and '-', beginning with a letter (at most 40), got "
            f"{redact.quoted(name, 60)}"
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
            raise vidpoll.UsageError(f"{str(file)!r} is not JSON: give the body of one response") from None
        name = file.name if file.suffix == ".json" else f"{file.name}.json"
        if name in found or name == "index.json":
            raise vidpoll.UsageError(f"two samples are called {name}, or one is called like the index: rename one")
        found[name] = body
    return found


def render(name: str, samples: Mapping[str, Any] | None = None) -> dict[str, str]:
    """The files of a plugin for the provider `name`, by path; without samples, the template's own are used."""
    bodies = dict(samples or _INVENTED)
    found = guess(bodies)
    values = {
        "name": name,
        "module": f"vidpoll_{name.replace('-', '_')}",
        "title": name.replace("-", " ").replace("_", " ").title(),
        "core_first": CORE_FIRST,
        "variable": f"{re.sub('[^A-Z0-9]', '_', name.upper())}_API_KEY",
        **tables(found),
    }
    values["fields"] += "\n" if values["fields"] else ""
    plays = _plays(found)
    values["simulator"] = Template(_SIMULATOR if plays else "").substitute(values)
    values["iterator"] = "Iterator, Mapping" if plays else "Iterator"
    index = _Index(_provider(_template("MODULE--__init__.py.in", values)), found, bodies, invented=not samples)
    values["id"] = index.id if re.fullmatch(r"[\w./:+=-]{1,80}", index.id) else _ID
    from importlib import resources  # no other command needs it

    files = {}
    for file in resources.files("vidpoll.cli").joinpath("template").iterdir():
        path = file.name.removesuffix(".in").replace("--", "/").replace("MODULE", values["module"])
        files[path.replace("NAME", name.replace("-", "_"))] = _template(file.name, values)
    files[f"{values['module']}/py.typed"] = ""
    rows = index.rows()
    for file_name, body in index.bodies.items():
        files[f"{values['module']}/samples/{file_name}"] = _dump(body)
    head = {
        "about": f"{MARK}: are these all status words of the vendor's page, with those for cancelled and expired?",
        "base_url": index.provider.base_url,
        "auth": f"Authorization: Bearer {{{values['variable']}}}",
        "floor": 5,
        "id": index.id,
        "words": index.words(),
        "decides": [],
    }
    files[f"{values['module']}/samples/index.json"] = _dump({**head, "samples": rows})
    return dict(sorted(files.items()))


def _template(file: str, values: Mapping[str, str]) -> str:
    from importlib import resources

    text = resources.files("vidpoll.cli").joinpath("template").joinpath(file).read_text(encoding="utf-8")
    return Template(text).substitute(values)


def _provider(source: str) -> Provider:
    """The provider that the rendered module declares; running it gives the results that the index must expect."""
    space: dict[str, Any] = {"__name__": "rendered"}
    exec(compile(source, "the rendered plugin", "exec"), space)
    provider: Provider = next(iter(space["vidpoll_providers"]()))
    return provider


def _dump(value: object) -> str:
    """Readable JSON for a UTF-8 file; a lone surrogate, which JSON may hold, stays an escape."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _plays(found: Guess) -> bool:
    """Whether the samples are enough for the simulator: a submit, and a running, a completed and a failed job."""
    states = {*found.words.values()}
    return bool(found.kinds) and {State.COMPLETED, State.FAILED} < states


_ID = "job_7f3a"
_SIMULATOR = '''

@vidpoll.hookimpl
def vidpoll_simulators() -> Mapping[str, str]:
    """Let the simulator play the samples."""
    return {"$name": "$module:samples/index.json"}
'''


class _Index:
    """The rows of an index: each sample's request, and what the rendered tables parse from it."""

    def __init__(self, provider: Provider, found: Guess, bodies: Mapping[str, Any], *, invented: bool) -> None:
        self.provider, self.found, self.invented = provider, found, invented
        self.bodies = dict(bodies)
        self.operations = dict(found.operations)
        self._known = provider.operations()
        named = [self._job_id(file) for file, name in self.operations.items() if name.partition(" ")[0] != "error"]
        self.id = next(filter(None, named), _ID)

    def words(self) -> object:
        pairs = [(word, str(state)) for word, state in self.found.words.items()]
        return dict(pairs) if all(isinstance(word, str) for word, _ in pairs) else pairs

    def rows(self) -> list[dict[str, Any]]:
        """A row for each sample, and for the last page of a list if no sample shows it."""
        tokens = self._tokens()
        return [self._row(file, name, tokens.get(file)) for file, name in self.operations.items()]

    def _tokens(self) -> dict[str, str]:
        """The last page of the list with its token; if no sample is one, it is made from the first page."""
        pages = {file: self._page(file) for file, name in self.operations.items() if name == "list"}
        first = next((file for file, page in pages.items() if page.next is not None), None)
        if first is None:
            return {}
        last = next((file for file, page in pages.items() if page.next is None), None)
        if last is None:
            last = f"{Path(first).stem}-last.json"
            self.bodies[last] = self._emptied(self.bodies[first])
            self.operations[last] = "list"
        return {last: str(pages[first].next)}

    def _page(self, file: str) -> Page:
        page = self._value(file)
        return page if isinstance(page, Page) else Page(())

    def _emptied(self, body: Any) -> Any:
        from vidpoll.testing.contract import mutations

        pages = self.found.pages
        for name, empty in (("rows", []), ("next", None), ("more", False)):
            if name in pages:
                body = mutations.replaced(body, tuple(pages[name].split(".")), empty)
        return body

    def _row(self, file: str, name: str, token: str | None) -> dict[str, Any]:
        given = file in self.found.operations
        row: dict[str, Any] = {"file": file, "operation": name}
        row["origin"] = "inferred" if self.invented or not given else "documented"
        note = "documented or recorded? And does it mean what the vendor's page says?"
        if self.invented or not given:
            note = "the template invented this sample: replace it with the vendor's own example"
        if name == "error":
            row["status"] = _status(file)
            note = "it holds no status word: is it an error (which HTTP status?), a quota, a second response (follow)?"
        else:
            own = self._job_id(file)
            row |= {"id": own} if own not in (None, self.id) and name == "status" else {}
            row |= self._asked(name, token)
        expect = self._expected(file, name, token)
        if name.startswith("submit ") and "raises" in expect:
            note += ' And no id was found in it: set id=… of the Reader, and write {"job_id": …} as its "expect"'
        if '"category"' in json.dumps(expect):
            note += f" And which category of failure is its code? {_category_of(expect)}"
        return {**row, "expect": expect, "note": f"{MARK}: {note}"}

    def _asked(self, name: str, token: str | None) -> dict[str, Any]:
        if name in ("status", "cancel", "delete"):
            made: Request = self._known[name].request("ID")
            return {"request": f"{made.method} /v1{made.path}".replace("ID", "{id}")}
        build = self._known[name].request
        fields = good_fields(name.partition(" ")[2])
        request: Request = build({}, token) if name == "list" else build(fields)
        query = f"?{urlencode(request.query)}" if request.query else ""
        asked: dict[str, Any] = {"token": token} if token else {}
        asked |= {"request": f"{request.method} /v1{request.path}{query}"}
        return asked if name == "list" else {**asked, "fields": fields, "sends": request.json}

    def _expected(self, file: str, name: str, token: str | None) -> dict[str, Any]:
        from vidpoll.testing.contract import meaning
        from vidpoll.testing.contract.samples import Sample

        value = self._value(file, token)
        if isinstance(value, Refused):
            unknown = value.code and value.kind not in CATEGORIES
            return {"raises": "Refused", "kind": value.kind, **({"category": None} if unknown else {})}
        if isinstance(value, AnswerError):
            return {"raises": type(value).__name__}
        least: dict[str, Any] = {}  # for a cancel or a delete
        if isinstance(value, Page):
            least = {"rows": [], "next": value.next}
        if isinstance(value, Submitted):
            least = {"job_id": value.job_id}
        if isinstance(value, Snapshot):
            least = {"state": str(value.state), "stage": value.stage, "progress": None, "assets": []}
        if isinstance(value, Problem):
            least = {"message": value.message, "code": value.code}
            least |= {"category": Fault("", _status(file)).category} if value.code else {}
        told = meaning.left_out(Sample(file, name, self.id, expect=least if name == "error" else {}), value)
        if isinstance(told.get("problem"), dict):  # only the author knows the category of its code
            told["problem"] = {**told["problem"], "category": None}
        return {**least, **told}

    def _value(self, file: str, token: str | None = None) -> Any:
        """What the tables parse from a sample, or the error that they raise."""
        body, name = json.dumps(self.bodies[file]).encode(), self.operations[file]
        if name == "error":
            return self.provider.error(Response(_status(file), {}, body))
        known: Operation[Any] = self._known[name]
        try:
            return known.parse(Response(200, {}, body), token or "")
        except (AnswerError, Refused) as error:
            return error

    def _job_id(self, file: str) -> str | None:
        """The job that a sample is about."""
        value = self._value(file)
        return value.job_id if isinstance(value, (Snapshot, Submitted)) else None


def _category_of(expect: Mapping[str, Any]) -> str:
    """Where the author writes the category of the code in an expected failure."""
    table = json.dumps({str((expect.get("problem") or expect).get("code", "CODE")): "CATEGORY"})
    if "raises" in expect:
        return f"Set kinds={table} of the Envelope."
    if "problem" in expect:
        return f"Set problem=declare.problems({table}) of the Reader."
    return f"Set error=declare.refusals({table}) of the Provider."


def _status(file: str) -> int:
    """The HTTP status of a refusal, from the name of its file; 400 if the name has none."""
    told = re.search(r"(?<!\d)[45]\d\d(?!\d)", file)
    return int(told[0]) if told else 400


COMMAND = Command(
    "new-plugin",
    "create a plugin for a provider that vidpoll does not know",
    _arguments,
    _new_plugin,
    "vidpoll new-plugin acme --from-sample queued.json done.json failed.json",
    f"Creates a whole package, tests included. {MARK} marks what only you can know; see docs/writing-a-provider.md.",
)
