"""docs/reliability.md names tests that exist, and every invariant has one."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
PAGE = (TESTS.parent / "docs" / "reliability.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE)))


@cache
def names_in(file: str) -> set[str]:
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize(("file", "name"), NAMED, ids=["::".join(pair) for pair in NAMED])
def test_a_test_that_the_page_names_exists(file: str, name: str) -> None:
    """A promise without its test is a wish."""
    assert name in names_in(file)


def test_every_invariant_and_every_fault_has_a_test() -> None:
    """Nine rules by number, and each row of the table."""
    rules = re.split(r"(?m)^\d\. ", PAGE.partition("## The invariants")[2].partition("\n## ")[0])[1:]
    rows = re.findall(r"(?m)^\| (?!fault|---).*$", PAGE)
    assert len(rules) == 9
    assert len(rows) > 20
    assert [part[:40] for part in (*rules, *rows) if ".py::test_" not in part] == []
