"""The part beside a target: what is kept, what is gone on with, who may write, and what a whole file is."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vidpoll.downloads import part_file
from vidpoll.downloads.part_file import PartFile
from vidpoll.downloads.ranges import Body, Validator
from vidpoll.errors import DownloadTooLarge

URL = "https://cdn.example/v.mp4"
ETAG = Validator('"a"', None, 10)


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def whole(size: int | None, validator: Validator = ETAG) -> Body:
    return Body(0, size, size, True, validator)


def half(target: Path, *, validator: Validator = ETAG, source: str = URL, data: bytes = b"01234") -> None:
    """A run that was interrupted after five of ten bytes."""
    with PartFile(target) as part:
        part.begin(whole(10, validator), source)
        part.write(data)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "v.mp4"


# -- from begin to commit ---------------------------------------------------------------------------------------------


def test_a_file_appears_when_it_is_committed(target: Path) -> None:
    """Until then there are the part and its note, and afterwards neither."""
    with PartFile(target) as part:
        part.begin(whole(10), URL)
        part.write(b"01234")
        part.write(b"56789")
        assert (part.offset, left(target.parent)) == (10, ["v.mp4.part", "v.mp4.part.json"])
        part.commit(part.target, overwrite=True)
        assert target.read_bytes() == b"0123456789"
    assert left(target.parent) == ["v.mp4"]


def test_the_folder_is_made(tmp_path: Path) -> None:
    """With its parents."""
    with PartFile(tmp_path / "a" / "b" / "v.mp4") as part:
        part.begin(whole(1), URL)
        part.write(b"x")
        part.commit(part.target, overwrite=True)
    assert left(tmp_path / "a" / "b") == ["v.mp4"]


def test_it_replaces_what_was_there(target: Path) -> None:
    """Only at the end."""
    target.write_bytes(b"old")
    with PartFile(target) as part:
        part.begin(whole(3), URL)
        part.write(b"new")
        assert target.read_bytes() == b"old"
        part.commit(part.target, overwrite=True)
    assert target.read_bytes() == b"new"


def test_bytes_are_on_disk_before_the_name_is(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut must not leave a whole name on an empty file: the file is synced, then renamed, then the folder."""
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(
        os, "fsync", lambda fd: (steps.append("folder" if Path(f"/dev/fd/{fd}").is_dir() else "file"), fsync(fd))[1]
    )
    monkeypatch.setattr(Path, "replace", lambda self, other: (steps.append("rename"), replace(self, other))[1])
    with PartFile(target) as part:
        part.begin(whole(3), URL)
        part.write(b"new")
        part.commit(part.target, overwrite=True)
    assert steps[:2] == ["file", "rename"]
    if sys.platform == "linux":
        assert steps[2:] == ["folder"]


# -- going on ---------------------------------------------------------------------------------------------------------


def test_an_interrupted_part_is_gone_on_with(target: Path) -> None:
    """Offset, validator and source come from the disk."""
    half(target)
    assert left(target.parent) == ["v.mp4.part", "v.mp4.part.json"]
    with PartFile(target) as part:
        assert (part.offset, part.known, part.source, part.at(URL)) == (5, ETAG, URL, 5)
        part.begin(Body(5, 10, 10, True, ETAG), URL)
        part.write(b"56789")
        part.commit(part.target, overwrite=True)
    assert (target.read_bytes(), left(target.parent)) == (b"0123456789", ["v.mp4"])


def test_a_date_is_as_good_as_an_etag(target: Path) -> None:
    """It is kept, and the part with it."""
    half(target, validator=Validator(None, "Sat, 21 Nov 2026 10:00:00 GMT", None))
    with PartFile(target) as part:
        assert part.known == Validator(None, "Sat, 21 Nov 2026 10:00:00 GMT", None)
        assert part.at(URL) == 5


@pytest.mark.parametrize(
    ("validator", "data"), [(Validator(None, None, 10), b"01234"), (ETAG, b"")], ids=["no validator", "no bytes"]
)
def test_what_cannot_be_gone_on_with_is_removed(target: Path, validator: Validator, data: bytes) -> None:
    """Without a validator nobody could tell whether the rest fits; nothing is left behind for nothing."""
    half(target, validator=validator, data=data)
    assert left(target.parent) == []


def test_another_source_begins_anew(target: Path) -> None:
    """Another path may be another file; the old part lies there until the new one begins."""
    half(target)
    with PartFile(target) as part:
        assert part.at("https://cdn.example/other.mp4") == 0
        part.begin(whole(4, Validator('"b"', None, 4)), "https://cdn.example/other.mp4")
        part.write(b"wxyz")
        part.commit(part.target, overwrite=True)
    assert target.read_bytes() == b"wxyz"


def test_a_part_longer_than_its_file_begins_anew(target: Path) -> None:
    """Somebody else wrote to it."""
    half(target, data=b"0123456789ab")
    with PartFile(target) as part:
        assert part.at(URL) == 0


def test_a_whole_part_is_at_its_end(target: Path) -> None:
    """Killed between the last byte and the rename: nothing is missing."""
    half(target, data=b"0123456789")
    with PartFile(target) as part:
        assert part.at(URL) == 10


def test_beginning_anew_forgets_the_old_bytes(target: Path) -> None:
    """A shorter new version does not end in the old one's bytes, and the note is the new one's."""
    half(target, data=b"0123456789")
    with PartFile(target) as part:
        part.begin(whole(3, Validator('"b"', None, 3)), URL)
        part.write(b"xy")
    assert target.with_name("v.mp4.part").read_bytes() == b"xy"
    note = json.loads(target.with_name("v.mp4.part.json").read_text())
    assert note == {"source": URL, "etag": '"b"', "modified": None, "length": 3}


def test_a_forgotten_part_is_removed(target: Path) -> None:
    """Bytes that were found to be wrong are never gone on with."""
    half(target)
    with PartFile(target) as part:
        part.forget()
        assert part.at(URL) == 0
    assert left(target.parent) == []


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"etag": null}',
        b'{"etag": 1, "modified": null, "length": 10, "source": "x"}',
        b'{"etag": "\\"a\\"", "modified": null, "length": "10", "source": "https://cdn.example/v.mp4"}',
        b'{"etag": "\\"a\\"", "modified": null, "length": 10, "source": null}',
        b'{"etag": "\\"a\\"\\r\\nX-Made-Up: 1", "modified": null, "length": 10, "source": "https://cdn.example/v.mp4"}',
        b'{"etag": null, "modified": "Sat\\r", "length": 10, "source": "https://cdn.example/v.mp4"}',
    ],
)
def test_a_note_that_cannot_be_read_is_none(target: Path, note: bytes) -> None:
    """Cut by a kill, or not ours: the file is begun anew."""
    target.with_name("v.mp4.part").write_bytes(b"01234")
    target.with_name("v.mp4.part.json").write_bytes(note)
    with PartFile(target) as part:
        assert (part.known, part.at(URL), part.offset) == (None, 0, 5)
    assert left(target.parent) == []


def test_the_note_is_rewritten_as_a_whole(target: Path) -> None:
    """A shorter note leaves nothing of a longer one behind."""
    half(target, source=URL + "x" * 500)
    half(target)
    with PartFile(target) as part:
        assert part.at(URL) == 5


def test_tidy_removes_what_a_kill_left_beside_a_whole_file(target: Path) -> None:
    """And nothing else, also where nothing was left."""
    target.write_bytes(b"whole")
    PartFile(target).tidy()
    assert left(target.parent) == ["v.mp4"]
    target.with_name("v.mp4.part.json").write_bytes(b"{}")
    target.with_name("v.mp4.part").write_bytes(b"01234")
    PartFile(target).tidy()
    assert (left(target.parent), target.read_bytes()) == (["v.mp4"], b"whole")


def test_tidy_leaves_alone_what_somebody_is_at(target: Path) -> None:
    """A file that is being fetched anew beside the old one."""
    target.write_bytes(b"whole")
    with PartFile(target) as part:
        part.begin(whole(10), URL)
        part.write(b"01234")
        PartFile(target).tidy()
        part.write(b"56789")
        part.commit(part.target, overwrite=True)
    assert target.read_bytes() == b"0123456789"


# -- the lock ---------------------------------------------------------------------------------------------------------

HOLDER = """
import sys
from pathlib import Path
from vidpoll.downloads.part_file import PartFile
from vidpoll.downloads.ranges import Body, Validator
with PartFile(Path(sys.argv[1])) as part:
    part.begin(Body(0, 10, 10, True, Validator('"a"', None, 10)), "https://cdn.example/v.mp4")
    part.write(b"01234")
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(target: Path) -> Any:
    """Another process that has the lock and half of the file."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(target)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_one_at_a_time(target: Path) -> None:
    """Also within one process; who comes second changes nothing and leaves nothing."""
    with PartFile(target) as part:
        part.begin(whole(10), URL)
        part.write(b"01234")
        with pytest.raises(BlockingIOError), PartFile(target):
            pass
        assert part.path.read_bytes() == b"01234"
        part.write(b"56789")
        part.commit(part.target, overwrite=True)
    assert left(target.parent) == ["v.mp4"]


def test_one_process_at_a_time(target: Path, holder: Any) -> None:
    """A second one is refused as long as the first one lives, and goes on where that was killed."""
    with pytest.raises(BlockingIOError), PartFile(target):
        pass
    holder.kill()
    holder.wait()
    with PartFile(target) as part:
        assert part.at(URL) == 5


def test_leaving_lets_the_next_one_in(target: Path) -> None:
    """With or without a part that is kept."""
    for _ in range(2):
        half(target)
        half(target, validator=Validator(None, None, 10))
    assert left(target.parent) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_does_not_hold_the_lock(target: Path) -> None:
    """It inherits the open file; its parent is done with it all the same."""
    with PartFile(target) as part:
        part.begin(whole(10), URL)
        part.write(b"01234")
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(writer)
            os.read(reader, 1)
            os._exit(0)
        os.close(reader)
    try:
        with PartFile(target) as part:
            assert part.at(URL) == 5
    finally:
        os.close(writer)
        os.waitpid(child, 0)


def test_the_lock_of_a_removed_note_is_none(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waited for a lock whose file was removed in between tries again with the new one."""
    lock, tries = part_file._lock, []

    def late(file: Any, path: Path) -> None:
        tries.append(path)
        if len(tries) == 1:
            path.unlink()
        lock(file, path)

    monkeypatch.setattr(part_file, "_lock", late)
    with PartFile(target) as part:
        assert len(tries) == 2
        with pytest.raises(BlockingIOError), PartFile(target):
            pass
        part.forget()
    assert left(target.parent) == []


def test_a_file_system_without_locks_is_warned_of(
    target: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Some network file systems have none: better without than not at all."""
    fcntl = pytest.importorskip("fcntl")

    def flock(file: Any, how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    half(target)
    assert "v.mp4.part.json cannot be locked here: No locks available" in caplog.text
    assert left(target.parent) == ["v.mp4.part", "v.mp4.part.json"]


# -- disk and bounds --------------------------------------------------------------------------------------------------


def test_a_disk_without_room_is_told_before_the_first_byte(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is due is what is still missing."""

    asked = []
    monkeypatch.setattr(
        part_file.shutil, "disk_usage", lambda path: asked.append(path) or type("Usage", (), {"free": 5, "total": 9})
    )
    with PartFile(target) as part:
        with pytest.raises(OSError, match="10 bytes are needed, and the disk has room for 5") as caught:
            part.begin(whole(10), URL)
        assert (caught.value.errno, asked) == (errno.ENOSPC, [target.parent])
    assert left(target.parent) == []


def test_the_rest_of_a_file_needs_room_for_the_rest(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for the whole again."""
    half(target)
    monkeypatch.setattr(part_file.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 5, "total": 9}))
    with PartFile(target) as part:
        part.begin(Body(5, 10, 10, True, ETAG), URL)
        part.write(b"56789")
        part.commit(part.target, overwrite=True)
    assert target.read_bytes() == b"0123456789"


FULL = """
import resource, signal, sys
from pathlib import Path
from vidpoll.downloads.part_file import PartFile
from vidpoll.downloads.ranges import Body, Validator
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    with PartFile(Path(sys.argv[1])) as part:
        part.begin(Body(0, 3000, 3000, True, Validator('"a"', None, 3000)), "https://cdn.example/v.mp4")
        part.write(bytes(900))
        part.write(bytes(900))
except OSError as error:
    print(type(error).__name__, part.offset)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there are no limits here")
def test_a_disk_that_fills_up_keeps_what_is_there(target: Path) -> None:
    """The offset is what the disk took, so that another run goes on right there."""
    out = subprocess.run([sys.executable, "-c", FULL, str(target)], capture_output=True, text=True, check=True)
    assert out.stdout == "OSError 1000\n"
    assert target.with_name("v.mp4.part").stat().st_size == 1000
    with PartFile(target) as part:
        assert part.at(URL) == 1000


@pytest.mark.parametrize(("bound", "fits"), [(10, True), (9, False)])
@pytest.mark.parametrize("size", [10, None], ids=["announced", "not announced"])
def test_max_bytes(target: Path, bound: int, fits: bool, size: int | None) -> None:
    """Bounds the file, by what is announced and by what comes."""

    def fill(part: PartFile) -> None:
        part.begin(whole(size), URL)
        part.write(b"01234")
        part.write(b"56789")

    with PartFile(target, max_bytes=bound) as part:
        if fits:
            fill(part)
        else:
            with pytest.raises(DownloadTooLarge, match="more than 9 bytes"):
                fill(part)
            assert part.offset == (0 if size else 5)


def test_max_bytes_counts_what_was_there(target: Path) -> None:
    """Bytes of an earlier run are bytes of the file."""
    half(target)
    with PartFile(target, max_bytes=9) as part, pytest.raises(DownloadTooLarge):
        part.begin(Body(5, 10, 10, True, ETAG), URL)


@pytest.mark.parametrize("bound", [None, 100])
def test_a_body_without_a_length_does_not_fill_the_disk(
    target: Path, monkeypatch: pytest.MonkeyPatch, bound: int | None
) -> None:
    """It may take nine tenths of the room, or what `max_bytes` says."""
    monkeypatch.setattr(part_file.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 10, "total": 99}))
    with PartFile(target, max_bytes=bound) as part:
        part.begin(whole(None), URL)
        part.write(b"012345678")
        if bound is None:
            said = r"^more than 9 bytes, its length is unknown, and it would fill the disk$"
            with pytest.raises(DownloadTooLarge, match=said):
                part.write(b"9")
        else:
            part.write(b"9")
    with PartFile(target, max_bytes=bound) as part:
        part.begin(whole(10), URL)
        part.write(b"0123456789")


def test_nothing_is_written_after_it_was_left(target: Path) -> None:
    """A worker that is still at it, as its download was given up, cannot touch what the next one writes."""
    with PartFile(target) as part:
        part.begin(whole(10), URL)
        part.write(b"01234")
    for late in (lambda: part.write(b"late"), lambda: part.begin(whole(10), URL)):
        with pytest.raises(OSError, match="closed in the meantime"):
            late()
    assert part.path.read_bytes() == b"01234"


def test_pieces_from_another_thread(target: Path) -> None:
    """`begin` and `write` are called by a worker."""
    with PartFile(target) as part:

        def fill() -> None:
            part.begin(whole(1000), URL)
            for number in range(1000):
                part.write(bytes([number % 256]))

        worker = threading.Thread(target=fill)
        worker.start()
        worker.join()
        part.commit(part.target, overwrite=True)
    assert target.read_bytes() == bytes(number % 256 for number in range(1000))


@pytest.mark.parametrize("name", ["v.mp4.part", "v.mp4.part.json"])
def test_what_cannot_be_opened_leaves_nothing(target: Path, name: str) -> None:
    """A folder where the part or its note should lie: an OSError, no lock, and no further file."""
    (target.parent / name).mkdir()
    for _ in range(2):
        with pytest.raises(OSError, match=name), PartFile(target):
            pass
    assert left(target.parent) == [name]


# -- what the disk does not have, and what others put there ------------------------------------------------------------


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_mount_without_fsync_saves_files_all_the_same(
    target: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """A bucket or a drive (FUSE) that knows no such call: all bytes are there."""

    def no(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(part_file.os, "fsync", no)
    with PartFile(target) as part:
        part.begin(whole(3), URL)
        part.write(b"abc")
        part.commit(target, overwrite=False)
    assert target.read_bytes() == b"abc"


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_fails_at_fsync_is_told(target: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Nothing lies under the final name."""

    def no(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    with PartFile(target) as part:
        part.begin(whole(3), URL)
        part.write(b"abc")
        monkeypatch.setattr(part_file.os, "fsync", no)
        with pytest.raises(OSError, match=re.escape(os.strerror(number))):
            part.commit(target, overwrite=False)
    assert not target.exists()


@pytest.mark.parametrize("told", [OSError(errno.ENOSYS, "no statvfs"), type("Usage", (), {"free": 0, "total": 0})])
def test_a_disk_that_does_not_tell_its_room_is_tried(
    target: Path, monkeypatch: pytest.MonkeyPatch, told: object
) -> None:
    """Some mounts know no such call, some say 0 of 0."""

    def usage(path: Path) -> Any:
        if isinstance(told, OSError):
            raise told
        return told

    monkeypatch.setattr(part_file.shutil, "disk_usage", usage)
    with PartFile(target) as part:
        part.begin(whole(3), URL)
        part.write(b"abc")
        part.commit(target, overwrite=False)
    assert target.read_bytes() == b"abc"


@pytest.mark.parametrize("links", [True, False])
def test_what_appeared_meanwhile_is_not_written_over(
    target: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    """Neither by a file system with hard links nor by one without; an empty file is a name that somebody reserved."""

    def no(*names: Path) -> None:
        raise OSError(errno.EPERM, "no links here")

    if not links:
        monkeypatch.setattr(part_file.os, "link", no)
    for there, reserved, kept in (
        (None, [], b"abc"),
        (b"mine", [], b"mine"),
        (b"mine", [target], b"mine"),
        (b"", [], b""),
        (b"", [target], b"abc"),
    ):
        target.unlink(missing_ok=True)
        with PartFile(target) as part:
            part.begin(whole(3), URL)
            part.write(b"abc")
            if there is not None:
                target.write_bytes(there)
            with contextlib.nullcontext() if kept == b"abc" else pytest.raises(FileExistsError):
                part.commit(target, overwrite=False, reserved=reserved)
            assert part.whole == (kept != b"abc")
            part.forget()
        assert (target.read_bytes(), left(target.parent)) == (kept, ["v.mp4"])


@pytest.mark.parametrize("links", [True, False])
def test_a_link_at_the_target_is_not_followed(
    target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    """Not even one that leads nowhere yet; `overwrite` replaces the link itself."""

    def no(*names: Path) -> None:
        raise OSError(errno.EPERM, "no links here")

    if not links:
        monkeypatch.setattr(part_file.os, "link", no)
    victim = tmp_path / "victim"
    try:
        target.symlink_to(victim)
    except OSError:
        pytest.skip("to make a link is a right of its own on Windows")
    with PartFile(target) as part:
        part.begin(whole(3, Validator()), URL)
        part.write(b"abc")
        with pytest.raises(FileExistsError):
            part.commit(target, overwrite=False, reserved=[target])
    assert (left(tmp_path), part.path.read_bytes()) == (["v.mp4", "v.mp4.part", "v.mp4.part.json"], b"abc")
    with PartFile(target) as part:
        part.begin(whole(3), URL)
        part.write(b"abc")
        part.commit(target, overwrite=True)
    assert (left(tmp_path), target.is_symlink(), target.read_bytes()) == (["v.mp4"], False, b"abc")


@pytest.mark.skipif(os.name != "posix", reason="Windows lets nobody remove what is open")
@pytest.mark.parametrize("name", ["v.mp4.part", "v.mp4.part.json"])
def test_a_part_that_was_replaced_meanwhile_is_not_saved(target: Path, name: str) -> None:
    """What lies under its name then is somebody's, and is neither saved nor removed."""
    with PartFile(target) as part:
        part.begin(whole(3), URL)
        part.write(b"abc")
        (target.parent / name).unlink()
        (target.parent / name).write_bytes(b"theirs")
        with pytest.raises(OSError, match=r"v\.mp4\.part was moved or replaced meanwhile"):
            part.commit(target, overwrite=False)
    assert not target.exists()
    assert (target.parent / name).read_bytes() == b"theirs"


def test_a_part_that_was_cut_meanwhile_is_not_saved(target: Path) -> None:
    """By another program; the next call goes on from what is there."""
    with PartFile(target) as part:
        part.begin(whole(3), URL)
        part.write(b"abc")
        os.truncate(part.path, 1)
        with pytest.raises(OSError, match=r"another program has changed v\.mp4\.part"):
            part.commit(target, overwrite=False)
    assert not target.exists()


@pytest.mark.skipif(os.name != "posix", reason="there are no such owners")
@pytest.mark.parametrize("theirs", ["v.mp4.part", "v.mp4.part.json"])
def test_what_another_user_left_is_not_gone_on_with(target: Path, monkeypatch: pytest.MonkeyPatch, theirs: str) -> None:
    """In a shared folder anybody may put bytes, and a note that says that they are the job's, where a part will be."""
    half(target)
    inode = (target.parent / theirs).stat().st_ino
    monkeypatch.setattr(part_file, "is_ours", lambda found: found.st_ino != inode)
    part = PartFile(target)
    with part:
        assert part.at(URL) == 0
        assert (theirs == "v.mp4.part") == (part.path.stat().st_size == 0)


def test_a_file_is_ours_where_we_or_root_made_it(target: Path) -> None:
    """As ssh has it for its keys."""
    target.touch()
    found = target.stat()
    assert part_file.is_ours(found)
    if os.name == "posix":
        owners = {
            uid: part_file.is_ours(os.stat_result([*found[:4], uid, *found[5:]])) for uid in (0, os.geteuid(), 99_999)
        }
        assert owners == {0: True, os.geteuid(): True, 99_999: False}


@pytest.mark.skipif(os.name != "posix", reason="to make a link is a right of its own on Windows")
@pytest.mark.parametrize("suffix", [".part", ".part.json"])
@pytest.mark.parametrize("link", [os.symlink, os.link, lambda victim, name: os.mkfifo(name)])
def test_no_link_is_followed(target: Path, tmp_path: Path, suffix: str, link: Callable[..., None]) -> None:
    """Whoever may write to the folder could have any file of ours written over: the link goes, the file stays."""
    victim = tmp_path / "precious"
    victim.write_bytes(b"precious" * 99)
    link(victim, f"{target}{suffix}")
    with PartFile(target) as part:
        part.begin(whole(3), URL)
        part.write(b"abc")
        part.commit(target, overwrite=False)
    assert (victim.read_bytes(), target.read_bytes()) == (b"precious" * 99, b"abc")
    assert not target.is_symlink()


# -- whole ------------------------------------------------------------------------------------------------------------


def holding(target: Path, data: bytes, check: Callable[[PartFile], Any]) -> Any:
    """What `check` says about a part that holds `data`."""
    with PartFile(target) as part:
        part.begin(whole(len(data)), URL)
        part.write(data)
        said = check(part)
        part.forget()
    return said


@pytest.mark.parametrize("name", ["sha256", "md5"])
def test_a_checksum(target: Path, name: str) -> None:
    """Of all bytes; its letters may be capitals."""
    data = os.urandom(3_000_000)
    right = hashlib.new(name, data).hexdigest()
    assert holding(target, data, lambda part: part.has(f"{name}:{right}"))
    assert holding(target, data, lambda part: part.has(f"{name}:{right.upper()}"))
    assert not holding(target, data + b"x", lambda part: part.has(f"{name}:{right}"))


def test_the_start_is_short(target: Path) -> None:
    """A large file is not read for its first bytes."""
    assert holding(target, bytes(range(256)) * 10, lambda part: part.start()) == bytes(range(256)) * 2
    assert holding(target, b"ab", lambda part: part.start()) == b"ab"


def box(kind: bytes, size: int = 0, *, long: bool = False) -> bytes:
    if long:
        return struct.pack(">I4sQ", 1, kind, 16 + size) + bytes(size)
    return struct.pack(">I4s", 8 + size, kind) + bytes(size)


FTYP, MOOV, MDAT = box(b"ftyp", 8), box(b"moov", 40), box(b"mdat", 100)


@pytest.mark.parametrize(
    ("data", "ends"),
    [
        (FTYP + MOOV + MDAT, True),
        (FTYP + box(b"mdat", 100, long=True) + MOOV, True),
        (FTYP + MOOV + MDAT + box(b"free"), True),
        (FTYP + MOOV + MDAT[:-1], False),
        (FTYP + MOOV + MDAT + b"\x00", False),
        (FTYP + MOOV + MDAT + box(b"free", 8)[:-1], False),
        (FTYP + MDAT, False),
        (FTYP + MOOV, False),
        (FTYP + MOOV + struct.pack(">I4s", 0, b"mdat") + bytes(9), False),
        (FTYP + MOOV + struct.pack(">I4s", 7, b"mdat"), False),
        (FTYP + MOOV + box(b"mdat", 100, long=True)[:12], False),
        (FTYP + MOOV + box(b"moof", 9) + MDAT, False),
        (b"\x1a\x45\xdf\xa3" + bytes(100), False),
        (b"", False),
    ],
)
def test_an_mp4_tells_its_end(target: Path, data: bytes, ends: bool) -> None:
    """By its boxes: one with its index and its data, no longer and no shorter than its boxes, and not in fragments."""
    assert holding(target, data, lambda part: part.boxed()) is ends
