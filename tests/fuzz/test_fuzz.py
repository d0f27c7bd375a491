"""A few dozen inputs for each target of the fuzzer, always the same; `.ci/run` looks for a minute."""

from __future__ import annotations

from itertools import islice

import pytest
from fuzz import Finding, examine, generated, run
from fuzz_inputs import Seed
from fuzz_targets import TARGETS

DOZENS = {"parsers": 60, "waits": 12}


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_raises_nothing(name: str) -> None:
    """Typed errors alone come out of what reads foreign bytes."""
    inputs = list(islice(generated(name, 1), len(TARGETS[name].seeds), len(TARGETS[name].seeds) + DOZENS.get(name, 40)))
    assert run(name, iter(inputs), lambda: False, limit=5.0).findings == []


def test_an_exception_is_a_finding() -> None:
    """And so is what takes too long; the same input brings it back."""

    def breaks(data: bytes) -> None:
        raise KeyError("x")

    spent, wrong = examine(breaks, b"abc")
    assert wrong.startswith("KeyError: \"'x'\" at test_fuzz.py:")
    assert examine(lambda data: sum(range(1000)) and None, b"abc", limit=0.0)[1].endswith("s of processor time")
    assert Finding(b"abc", wrong).data == b"abc"
    assert spent < 1.0


def test_a_seed_makes_the_same_inputs_everywhere() -> None:
    """What CI found is found again."""
    some = [list(islice(generated("hints", 7), 20)) for _ in range(2)]
    assert some[0] == some[1]
    assert some[0] != list(islice(generated("hints", 8), 20))
    assert bytes(Seed(b"a", b"{}")) == b"a{}"
