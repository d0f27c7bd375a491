"""A part file by the rules of Windows, played here: a byte is locked, and nothing open is removed or replaced."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from vidpoll.downloads import part_file
from vidpoll.downloads.part_file import PartFile
from vidpoll.downloads.ranges import Body, Validator

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc tells what is open")

URL = "https://cdn.example/clip.mp4"
DATA = bytes(range(256)) * 4


class Windows:
    """`os` as it is, under another name."""

    name = "nt"

    def __getattr__(self, name: str) -> Any:
        if name in ("geteuid", "getuid", "kill", "O_NOFOLLOW"):
            raise AttributeError(name)
        return getattr(os, name)


class Msvcrt:
    """The one call of it: a lock of a byte, in this process."""

    LK_NBLCK, LK_UNLCK = 2, 0

    def __init__(self) -> None:
        self.held: dict[tuple[int, int], int] = {}
        self.places: set[int] = set()

    def locking(self, descriptor: int, mode: int, count: int) -> None:
        assert count == 1
        at = os.lseek(descriptor, 0, os.SEEK_CUR)
        self.places.add(at)
        key = (os.fstat(descriptor).st_ino, at)
        if mode == self.LK_UNLCK:
            del self.held[key]
        elif self.held.setdefault(key, descriptor) != descriptor:
            raise OSError(errno.EACCES, "Permission denied")


def is_open(path: Path) -> bool:
    """Whether this process has a file open."""
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            if os.path.samestat(descriptor.stat(), path.stat()) and stat.S_ISREG(path.stat().st_mode):
                return True
        except OSError:
            continue
    return False


@pytest.fixture
def msvcrt(monkeypatch: pytest.MonkeyPatch) -> Iterator[Msvcrt]:
    """The rules; the locks that are held by then."""
    played = Msvcrt()
    monkeypatch.setattr(part_file, "os", Windows())
    monkeypatch.setattr(part_file, "sys", SimpleNamespace(platform="win32"))
    monkeypatch.setattr(part_file, "msvcrt", played, raising=False)
    for name in ("unlink", "replace"):
        monkeypatch.setattr(Path, name, refused(getattr(Path, name)))
    yield played
    assert played.held == {}


def refused(call: Any) -> Any:
    def checked(self: Path, *args: Any, **options: Any) -> Any:
        if any(is_open(path) for path in (self, *args)):
            raise PermissionError(errno.EACCES, "it is used by another process", str(self))
        return call(self, *args, **options)

    return checked


BODY = Body(0, len(DATA), len(DATA), framed=True, validator=Validator('"1"', None, len(DATA)))


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_comes_to_its_name_and_nothing_is_left(msvcrt: Msvcrt, tmp_path: Path, overwrite: bool) -> None:
    """What is renamed and removed was closed before."""
    target = tmp_path / "clip.mp4"
    if overwrite:
        target.write_bytes(b"old")
    with PartFile(target) as part:
        part.begin(BODY, URL)
        part.write(DATA)
        part.commit(target, overwrite=overwrite)
    assert (target.read_bytes(), [path.name for path in tmp_path.iterdir()]) == (DATA, ["clip.mp4"])
    assert msvcrt.places == {1 << 30}


def test_two_at_once(msvcrt: Msvcrt, tmp_path: Path) -> None:
    """The second one is told; the note can be read while it is locked; then it is free."""
    target = tmp_path / "clip.mp4"
    with PartFile(target) as part:
        part.begin(BODY, URL)
        part.write(DATA[:100])
        assert URL.encode() in part.note.read_bytes()
        with pytest.raises(BlockingIOError), PartFile(target):
            pass
    with PartFile(target) as part:
        assert part.at(URL) == 100


def test_what_cannot_be_gone_on_with_goes(msvcrt: Msvcrt, tmp_path: Path) -> None:
    """An empty part, and its note, once it is closed."""
    with PartFile(tmp_path / "clip.mp4"):
        pass
    assert list(tmp_path.iterdir()) == []
