"""Pages of docs whose blocks are run: what they show, and fakes of the packages that they import."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

DOCS = Path(__file__).parents[2] / "docs"


def page(name: str) -> str:
    """The text of a page."""
    return (DOCS / name).read_text(encoding="utf-8")


def blocks(text: str, language: str) -> dict[str, str]:
    """The blocks of a page by the heading that they stand below; Python's submit to a provider of the tests."""
    sections = [section.partition("\n") for section in re.split(r"^#+ (?=\S)", outside(text), flags=re.MULTILINE)]
    return {
        title: block.replace(MARK, "#").replace('"magicoal", "t2v"', '"acme", "clip"')
        for title, _, section in sections
        for block in re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)
    }


MARK = "\x00"


def outside(text: str) -> str:
    """A page in which a `#` within a block begins no heading."""
    return re.sub(r"```\w+\n.*?```", lambda found: found[0].replace("#", MARK), text, flags=re.DOTALL)


def anchors(text: str) -> set[str]:
    """The headings of a page, as links name them."""
    titles = re.findall(r"^#+ (.+)$", outside(text), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}


def fake(monkeypatch: pytest.MonkeyPatch, name: str, **names: Any) -> None:
    """A module of an engine, and the packages above it."""
    for above in [".".join(name.split(".")[: depth + 1]) for depth in range(name.count("."))]:
        if above not in sys.modules:
            monkeypatch.setitem(sys.modules, above, ModuleType(above))
    module = ModuleType(name)
    vars(module).update(names)
    monkeypatch.setitem(sys.modules, name, module)
