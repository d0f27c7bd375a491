"""Work in a forked child of the test."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable

import pytest


def in_a_child(work: Callable[[], object], meanwhile: Callable[[], object] = lambda: None) -> bool:
    """Whether `work` gave neither False nor an exception in a child. It begins after the parent's `meanwhile`."""
    if not hasattr(os, "fork"):
        pytest.skip("no fork here")
    ready, go = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads of other tests
        child = os.fork()
    if child == 0:
        code = 1
        try:
            os.read(ready, 1)
            code = 1 if work() is False else 0
        finally:
            os._exit(code)
    meanwhile()
    os.write(go, b"x")
    os.close(ready)
    os.close(go)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
