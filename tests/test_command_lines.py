"""Every command line of the docs, the READMEs and the help can be run: it parses, and names what its provider has."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

import vidpoll
from vidpoll.batch.cells import Kind
from vidpoll.cli import COMMANDS
from vidpoll.cli.context import Parser
from vidpoll.plugins import Plugins

ROOT = Path(__file__).parents[1]
PATTERNS = ("README.md", "CONTRIBUTING.md", "docs/**/*.md", "plugins/*/README.md")
PAGES = [path for pattern in PATTERNS for path in ROOT.glob(pattern)]
TEXTS = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in PAGES}
HELPS = {name: f"{command.example}\n{command.more}" for name, command in COMMANDS.items()}
SOURCES = [path.read_text(encoding="utf-8") for path in Path(vidpoll.__file__).parent.rglob("*.py")]
INVENTED = {"acme", "framewright", "gpu", "…"}
"""Accounts of examples for a provider of your own."""

ROLES = {"jobs": "list", **{name: name for name in ("quota", "cancel", "delete", "upload")}}
"""Commands that not every provider has, and the field of the provider."""

LINE = re.compile(rf"(?<![\w./=-])vidpoll ((?:{'|'.join(COMMANDS)}) [^`\n|]+)")
CODE = re.compile(r"(?<!`)`[^`\n]*\n[^`\n]*`(?!`)")
CALL = re.compile(r'\b(?:submit|submit_once|submit\.delay|price)\(\s*"(\w+)",\s*"([\w-]+)"')
PRICED = re.compile(r"\b([a-z]\w+)/([\w-]+)(?:=|[\"']: [\"'])[0-9.]+ ?(?:USD|credits)")


@pytest.fixture(scope="module")
def providers() -> Plugins:
    return Plugins()


def lines(text: str) -> Iterator[list[str]]:
    """The command lines of a page, without what a shell does with them."""
    for found in LINE.findall(CODE.sub(lambda code: " ".join(code[0].split()), text)):
        line = re.split(r"\) | && | *>>", found)[0]
        words = [word for word in shlex.split(line, comments=True) if word != "--help"]
        if len(words) > 1:
            yield words


def wrong(words: list[str], providers: Plugins) -> Iterator[str]:
    """What is wrong with a command line."""
    command = COMMANDS[words[0]]
    parser = Parser(prog=f"vidpoll {command.name}", allow_abbrev=False)
    command.arguments(parser)
    try:
        given = vars(parser.parse(words[1:]))
    except vidpoll.UsageError as error:
        yield error.message
        return
    yield from _wrong(command.name, given, providers)


def _wrong(name: str, given: dict[str, Any], providers: Plugins) -> Iterator[str]:
    own = {account: made.provider for account, made in given.get("account") or ()}
    for account in _accounts(name, given):
        if account.isupper() or account in INVENTED - {*own}:
            continue
        try:
            provider = providers.provider(own.get(account, account))
        except vidpoll.UnknownProvider as error:
            yield error.message
            continue
        if name in ROLES and not given.get("local") and not getattr(provider, ROLES[name]):
            yield f"{account} has no {ROLES[name]}"
        kind, fields = _kind(given)
        if name in ("submit", "price", "batch") and kind and not kind.isupper():
            yield from _wrong_fields(provider, kind, fields, whole=name != "batch")


def _accounts(name: str, given: dict[str, Any]) -> list[str]:
    """The accounts and providers of a command line."""
    named = [given["name"]] if given.get("name") and name not in ("new-plugin", "batch") else []
    named += [*(given.get("accounts") or ()), *(given.get("providers") or ())]
    named += given["names"] if name in ("providers", "simulate") else []
    named += [ref.partition(":")[0] for ref in given.get("refs") or () if ":" in ref]
    return named + [word for word in given.get("words") or () if "=" not in word][:1]


def _kind(given: dict[str, Any]) -> tuple[str | None, list[str]]:
    """The kind and the fields of a submit, or those of a batch."""
    words = given.get("words") or ()
    kind = next(iter([word for word in words if "=" not in word][1:]), None)
    return given.get("kind") or kind, [*(given.get("fields") or ()), *(word for word in words if "=" in word)]


def _wrong_fields(provider: vidpoll.Provider, kind: str, given: Iterable[str], *, whole: bool) -> Iterator[str]:
    if kind not in provider.submit:
        yield f"{provider.name} has no kind {kind}: {', '.join(provider.submit)}"
        return
    operation, names = provider.submit[kind], [each.partition("=")[0] for each in given]
    columns = [Kind(provider.name, kind, operation).column(name) for name in names]
    yield from (column.wrong for column in columns if column.wrong)
    needed = {name for name, words in operation.fields.items() if words.endswith("required")}
    if whole and given and (missing := needed - {column.path[0] for column in columns}):
        yield f"{provider.name} {kind} needs {missing}"


@pytest.mark.parametrize("text", [*TEXTS.items(), *HELPS.items()], ids=lambda text: text[0])
def test_a_command_line_can_be_run(text: tuple[str, str], providers: Plugins) -> None:
    """Its account is a provider, and that has the kind and its fields."""
    assert {shlex.join(words): told for words in lines(text[1]) if (told := [*wrong(words, providers)])} == {}


@pytest.mark.parametrize("pattern", [CALL, PRICED])
def test_what_is_submitted_is_a_kind_of_its_provider(pattern: re.Pattern[str], providers: Plugins) -> None:
    """Also in Python, and in what is shown as a price."""
    named = {found for text in [*TEXTS.values(), *SOURCES] for found in pattern.findall(text)}
    assert named
    real = [(account, kind) for account, kind in named if account not in INVENTED]
    assert [(account, kind) for account, kind in real if kind not in providers.provider(account).submit] == []


def test_there_are_command_lines_to_check() -> None:
    """And what is wrong with one is found."""
    assert sum(1 for text in [*TEXTS.values(), *HELPS.values()] for _ in lines(text)) > 100


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("batch shots.csv kling t2v", "kling has no kind t2v"),
        ("upload heygen asset FILE", "unrecognized arguments"),
        ("submit magicoal t2v promt=x", "did you mean 'prompt'?"),
        ("submit magicoal t2v seed=7", "needs {'prompt'}"),
        ("submit magical t2v prompt=x", "no provider 'magical'"),
        ("cancel magicoal:1", "magicoal has no cancel"),
    ],
)
def test_a_wrong_command_line_is_found(line: str, said: str, providers: Plugins) -> None:
    assert said in " ".join(wrong(line.split(), providers))
