"""Runs the contract of a plugin without pytest around it, and tells which checks fail."""

from __future__ import annotations

import pytest

from vidpoll.testing import ProviderContract


def caught(cls: type[ProviderContract], only: str = "") -> dict[str, str]:
    """The checks that fail, without `test_`, with their message. A skipped check is none."""
    found: dict[str, str] = {}
    for name in [name for name in dir(cls) if name.startswith(f"test_{only}")]:
        takes_sample = "sample" in getattr(cls, name).__code__.co_varnames
        for sample in cls.subject().index.samples if takes_sample else (None,):
            try:
                getattr(cls(), name)(*([sample] if takes_sample else []))
            except pytest.fail.Exception as failure:
                found.setdefault(name.removeprefix("test_"), str(failure))
            except pytest.skip.Exception:
                pass
    return found
