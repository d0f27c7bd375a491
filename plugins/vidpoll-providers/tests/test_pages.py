"""docs/providers.md matches the providers' tables, and each provider has a complete page.

`python plugins/vidpoll-providers/tests/test_pages.py` generates docs/providers.md from the providers, their samples
and `vidpoll_providers/pages/NAME.md`.
"""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlencode

import pytest
import vidpoll_providers

import vidpoll
from vidpoll.provider import key_names

FOLDER = Path(vidpoll_providers.__file__).parent
TESTS = Path(__file__).parent
PAGE = TESTS.parents[2] / "docs/providers.md"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")
WRITE = "run: python plugins/vidpoll-providers/tests/test_pages.py"

HEADINGS = ("Oddities", "Not supported", "Sources", "Proof", "Open questions")
PROOFS = {"Recorded": "recorded/{}/*.json", "SDK": "sdk/run_{}.py", "Server": "servers/run_{}.py"}
"""Each proof, and the files next to this module that back it; a provider without such files is "Documents"."""

INTRO = """\
# Providers

<!-- Written by `python plugins/vidpoll-providers/tests/test_pages.py`, from the plugins and their pages. -->

[vidpoll-providers](../plugins/vidpoll-providers/README.md) contains all of these providers. To replace the base URL
listed below, set `<PROVIDER>_BASE_URL`, pass `--base-url`, or give an account its own.

**Oddities** are the facts about a service that a user may not expect. **Open questions** are what its documents leave
open. **Proof** names what the plugin has passed in addition to the contract tests, which every plugin passes:

- **Recorded**: recorded traffic of a real server, replayed through whole waits and downloads.
- **SDK**: the vendor's own Python SDK runs against vidpoll's simulator of the service: both use one wire format.
- **Server**: vidpoll runs against a real server on loopback.
- **Documents**: the plugin was written from the vendor's pages and sources only.
- **Live**: the plugin was tried with a key at the vendor's own service. A provider without this word was not."""


def provider_of(name: str) -> vidpoll.Provider:
    (found,) = importlib.import_module(f"vidpoll_providers.{name}").vidpoll_providers()
    assert isinstance(found, vidpoll.Provider)
    return found


def index_of(name: str) -> dict[str, Any]:
    said: dict[str, Any] = json.loads((FOLDER / "samples" / name / "index.json").read_text(encoding="utf-8"))
    return said


def text_of(name: str) -> tuple[str, str, dict[str, str]]:
    """The title, the first paragraph and the sections of a provider's page."""
    said = (FOLDER / "pages" / f"{name}.md").read_text(encoding="utf-8")
    head, *parts = re.split(r"^## (.+)\n", said, flags=re.M)
    title, _, lead = head.partition("\n")
    found = zip(parts[::2], (each.strip() for each in parts[1::2]), strict=True)
    return title.removeprefix("# "), " ".join(lead.split()), dict(found)


def proofs(name: str) -> list[str]:
    """The first word of each entry of a page's Proof."""
    return re.findall(r"^- (\w+):", text_of(name)[2]["Proof"], re.M)


# -- what the tables say ----------------------------------------------------------------------------------------------


def keys(provider: vidpoll.Provider) -> str:
    shown = re.sub(r"\b[A-Z]\w+", r"`\g<0>`", key_names(provider.auth))
    return shown if provider.auth.required else f"none needed ({shown})" if shown else "none"


def base_url(provider: vidpoll.Provider) -> str:
    variable = f"{provider.name.upper().replace('-', '_')}_BASE_URL"
    hosts = ", ".join(f"`{host}`" for host in provider.media_hosts)
    also = f"; the key is also sent to {hosts}" if hosts else ""
    return f"`{provider.base_url}`; set `{variable}` to change it{also}"


def pace(provider: vidpoll.Provider) -> str:
    typical, rate = provider.pacing.typical, provider.pacing.rate
    said = f"a job is polled at most once every {provider.pacing.floor:g} s"
    said += f"; at most {rate[0]} requests in {rate[1]:g} s" if rate else ""
    return said + (f"; a job usually takes {typical[0]:g} to {typical[1]:g} s" if typical else "")


def states(provider: vidpoll.Provider) -> Iterator[str]:
    for state in vidpoll.State:
        words = [f"`{stage.word}`" for stage in provider.stages if stage.state is state]
        if words:
            yield f"{state}: {', '.join(words)}"


def requests(provider: vidpoll.Provider, index: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Each operation and the request that it sends; `{id}` stands for the id of a job."""
    given = {row["operation"]: row["fields"] for row in reversed(index["samples"]) if row.get("fields")}
    ids = {row["operation"]: row.get("id", index["id"]) for row in reversed(index["samples"])}  # for some alone
    for name, operation in provider.operations().items():
        role = name.partition(" ")[0]
        if role == "upload":
            yield name, f"`vidpoll upload {provider.name} FILE`"
            continue
        job_id = ids.get(name, index["id"])
        own = (given.get(name, {}),)
        arguments = {"list": ({}, None), "quota": (), "submit": own, "estimate": own}.get(role, (job_id,))
        sent = operation.request(*arguments)
        query = f"?{urlencode(sent.query)}" if sent.query else ""
        line = f"{sent.method} {sent.path}{query}"
        for form in (quote(job_id, safe=""), quote(job_id, safe="/:"), job_id, job_id.rpartition("/")[2]):
            line = line.replace(form, "{id}")
        more = any(row["operation"] == name and row.get("then") for row in index["samples"])
        yield name, f"`{unquote(line)}`{', and further requests that depend on the response' if more else ''}"


def prices(provider: vidpoll.Provider) -> str:
    """The source and the date of the prices of submits."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for kind, operation in provider.submit.items():
        if operation.price is not None:
            listed = operation.price
            found.setdefault((listed.source, listed.dated, listed.unit), []).append(f"`{kind}`")
    return "; ".join(
        f"{', '.join(kinds)} in {unit}, from {source}, read on {dated}"
        for (source, dated, unit), kinds in found.items()
    )


def fields(provider: vidpoll.Provider, role: str) -> Iterator[str]:
    """Rows of a table: the field, the kinds that take it, and what it must be."""
    found: dict[tuple[str, str], list[str]] = {}
    kinds = {name.partition(" ")[2]: each for name, each in provider.operations().items() if name.startswith(role)}
    for kind, operation in kinds.items():
        for name, must in operation.fields.items():
            found.setdefault((name, must), []).append(kind)
    for (name, must), of in found.items():
        shown = "all" if of == list(kinds) else ", ".join(of)
        told = must.replace("|", "\\|").removeprefix("any other field: ")
        yield f"| {'any other' if name == '...' else f'`{name}`'} | {shown} | {told} |"


def reference(name: str, job_id: str) -> str:
    return f"`{name}:{job_id if len(job_id) < 60 else job_id[:24] + '…'}`"


def section(name: str) -> Iterator[str]:
    provider, index = provider_of(name), index_of(name)
    title, lead, parts = text_of(name)
    yield f"## {title}"
    yield lead
    rows = [
        ("reference", reference(name, index["id"])),
        ("key", keys(provider)),
        ("base URL", base_url(provider)),
        ("pace", pace(provider)),
        ("states", "; ".join(states(provider))),
        *requests(provider, index),
        *([("prices", prices(provider))] if prices(provider) else []),
    ]
    yield "\n".join(["| | |", "| --- | --- |", *(f"| {what} | {value} |" for what, value in rows)])
    for role in ("submit", "list"):
        table = list(fields(provider, role))
        if table and role == "submit":
            yield "\n".join(["| submit field | kinds | must be |", "| --- | --- | --- |", *table])
        elif table:
            shown = "; ".join(f"{cells[0]}: {cells[-1]}" for cells in (row.strip("| ").split(" | ") for row in table))
            yield f"Fields of `list`: {shown}."
    for heading, text in parts.items():
        yield f"**{heading}**\n\n{text}"


def row(name: str) -> str:
    provider, title = provider_of(name), text_of(name)[0]
    kinds = ", ".join(f"`{kind}`" for kind in provider.submit) or "-"
    plain = [each for each in provider.operations() if " " not in each and each != "status"]
    more = [name for name in ("estimate", "upload") if getattr(provider, name)]
    others = ", ".join([*plain, *more])
    anchor = re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
    others = others or "-"
    return f"| [{title}](#{anchor}) | `{name}` | {keys(provider)} | {kinds} | {others} | {', '.join(proofs(name))} |"


def whole_page() -> str:
    head = [
        "| provider | name | key | kinds of submit | other operations | proof |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    table = "\n".join([*head, *map(row, NAMES)])
    return "\n\n".join([INTRO, table, *(part for name in NAMES for part in section(name))]) + "\n"


# -- the tests --------------------------------------------------------------------------------------------------------


def test_the_page_is_what_the_tables_say() -> None:
    """docs/providers.md is up to date."""
    assert PAGE.read_text(encoding="utf-8") == whole_page(), WRITE


@pytest.mark.parametrize("name", NAMES)
def test_a_provider_has_its_page(name: str) -> None:
    """It has a first paragraph, every heading in order with a text below it, and at least one URL in its sources."""
    _, lead, parts = text_of(name)
    assert tuple(parts) == HEADINGS
    assert all([lead, *parts.values()])
    assert re.search(r"https?://", parts["Sources"])


@pytest.mark.parametrize("name", NAMES)
def test_the_proof_is_there(name: str) -> None:
    """A page claims exactly the proofs that have files next to this module."""
    there = [word for word, files in PROOFS.items() if list(TESTS.glob(files.format(name)))]
    assert [word for word in proofs(name) if word != "Live"] == (there or ["Documents"])


def test_the_readme_names_every_provider() -> None:
    """A user finds every provider in the README, under the title of its page."""
    told = " ".join((PAGE.parents[1] / "README.md").read_text(encoding="utf-8").split())
    listed = told.partition("## Providers ")[2].partition(":")[0].split(", ")
    assert listed == sorted((text_of(name)[0].partition(" (")[0] for name in NAMES), key=str.lower)


def test_every_provider_is_the_model_of_something() -> None:
    """docs/writing-a-provider.md names every module as an example, and the text to look for in it exists."""
    told = (PAGE.parent / "writing-a-provider.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| .+ \| \[(\w+)\]\(\S+/(\w+)\.py\) \| `(.+)` \|$", told, re.M)
    assert sorted({name for name, _, _ in rows}) == NAMES
    sources = {name: (FOLDER / f"{name}.py").read_text(encoding="utf-8") for name in NAMES}
    assert [row for row in rows if row[0] != row[1] or row[2] not in sources[row[0]]] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_submit_tells_its_fields(name: str) -> None:
    """`--help` and the docs need to show what each field must be."""
    assert [kind for kind, each in provider_of(name).submit.items() if not each.fields] == []


if __name__ == "__main__":
    PAGE.write_text(whole_page(), encoding="utf-8", newline="\n")
    sys.stdout.write(f"written: {PAGE}\n")
