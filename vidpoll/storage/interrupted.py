"""What a store undoes if Ctrl-C comes between a commit and the return of its result. For stores of plugins, too."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from ..errors import StoreError


@contextlib.contextmanager
def undone_if_interrupted(undo: Callable[[], object]) -> Iterator[None]:
    """Undo the begin of a submit if Ctrl-C follows its commit: its number is not returned, so it is not sent."""
    try:
        yield
    except Exception:
        raise
    except BaseException:
        with contextlib.suppress(StoreError):
            undo()
        raise
