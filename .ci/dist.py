"""What is released, built and judged: the sdist and the wheel of the core and of every plugin.

    python .ci/dist.py FOLDER [--tag v0.1.0] [--url https://HOST/OWNER/vidpoll]

Each is built twice from the last commit, in two folders and at two times, and must come out equal byte for byte; then
it must be a pure wheel with its types and its licence, of one version for all, and pass twine and check-wheel-contents.
With `--tag` the version must be the tag's, each CHANGELOG must have it with a date, and no file may say that vidpoll is
not on an index. `--url` is this repository's address: a package index shows a README without the files beside it, so
their links lead there. Needs git and what .ci/requirements.txt pins; .ci/run and the release workflow call it. Exit
code 1 says what is wrong.
"""

from __future__ import annotations

import argparse
import email
import gzip
import hashlib
import io
import os
import posixpath
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email.message import Message
from pathlib import Path

ROOT = Path(__file__).parents[1]
MINORS = tuple(f"3.{minor}" for minor in range(10, 15))
ADDRESS = "https://HOST/OWNER/vidpoll"
"""What README.md has in place of this repository's address."""

TEMPLATE = ROOT / "vidpoll/cli/template/setup.cfg.in"
"""The metadata of a plugin that `vidpoll new-plugin` renders."""

DENIALS = re.compile(r"HOST/OWNER|not\s+on\s+(?:a\s+package|any)\s+index|in\s+a\s+clone\s+of\s+vidpoll", re.IGNORECASE)
"""What is true before the first release, and false in it."""

RELATIVE = re.compile(r"(!?)\[([^]]*)\]\((?!https?:|#)([^)\s]+)\)")


def git(*arguments: str) -> bytes:
    """What git says in this repository."""
    return subprocess.run(["git", "-C", str(ROOT), *arguments], check=True, stdout=subprocess.PIPE).stdout


def unpacked(commit: bytes, folder: Path) -> list[Path]:
    """The tree of a commit, with nothing that lies about here; the folders of its distributions."""
    with tarfile.open(fileobj=io.BytesIO(commit)) as archive:
        archive.extractall(folder, filter="data")
    return [folder, *sorted(folder.glob("plugins/vidpoll-*"))]


def address(distribution: Path, root: Path, url: str, ref: str) -> None:
    """Write the repository's address into a distribution: its links lead there, and so do the project's own."""

    def absolute(found: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(distribution.relative_to(root).as_posix(), found[3]))
        return f"{found[1]}[{found[2]}]({url}/{'raw' if found[1] else 'blob'}/{ref}/{path})"

    readme, config = distribution / "README.md", distribution / "setup.cfg"
    readme.write_text(RELATIVE.sub(absolute, readme.read_text(encoding="utf-8")).replace(ADDRESS, url), "utf-8")
    changes = (distribution / "CHANGELOG.md").relative_to(root).as_posix()
    urls = f"project_urls =\n    Source = {url}\n    Changelog = {url}/blob/{ref}/{changes}\n"
    config.write_text(config.read_text(encoding="utf-8").replace("[metadata]\n", f"[metadata]\n{urls}", 1), "utf-8")


def build(source: Path, out: Path, epoch: str) -> None:
    """Build the sdist, and the wheel from it."""
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(source)],
        env={**os.environ, "SOURCE_DATE_EPOCH": epoch}, check=False, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"{source.name} cannot be built:\n{done.stdout}{done.stderr}")


def settle(sdist: Path, epoch: int) -> None:
    """Write an sdist again, in order, and with one time and no user: setuptools takes those of the moment."""
    with tarfile.open(sdist) as old:
        files = [(member, found.read() if (found := old.extractfile(member)) else b"") for member in old]
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as new:
        for member, content in sorted(files, key=lambda each: each[0].name):
            member.mtime, member.uid, member.gid, member.uname, member.gname = epoch, 0, 0, "", ""
            member.pax_headers = {}
            new.addfile(member, io.BytesIO(content))
    with sdist.open("wb") as file, gzip.GzipFile("", "wb", fileobj=file, mtime=epoch) as zipped:
        zipped.write(packed.getvalue())


def built(folder: Path) -> dict[str, str]:
    """The name of each file, and its SHA-256."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def wrong(wheel: Path) -> Iterator[str]:
    """What a wheel lacks, or has too much."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        info = next(name.partition("/")[0] for name in names if name.endswith(".dist-info/METADATA"))
        tags = email.message_from_bytes(archive.read(f"{info}/WHEEL"))
        said = email.message_from_bytes(archive.read(f"{info}/METADATA"))
    package = wheel.name.partition("-")[0]
    if (tags["Root-Is-Purelib"], tags.get_all("Tag")) != ("true", ["py3-none-any"]):
        yield f"no pure wheel: {tags.get_all('Tag')}"
    if f"{package}/py.typed" not in names:
        yield "no py.typed"
    if not any(name.startswith(f"{info}/licenses/") for name in names):
        yield "no licence"
    if strays := {name.partition("/")[0] for name in names} - {package, info}:
        yield f"beside its package: {', '.join(sorted(strays))}"
    if unwanted := [name for name in names if re.search(r"(^|/)tests/|\.pyc$|\.(so|pyd|dll)$", name)]:
        yield f"not for users: {', '.join(unwanted)}"
    if links := re.findall(r"\]\((?!https?:|#)[^)]*\)", str(said)):
        yield f"its README has links that lead nowhere on an index: {', '.join(links)}"
    yield from wrong_versions(said)


def half(sdist: Path) -> Iterator[str]:
    """What an sdist has only a part of: setuptools adds the test files, without what they import."""
    with tarfile.open(sdist) as archive:
        if found := [name for name in archive.getnames() if re.search(r"(^|/)tests(/|$)", name)]:
            yield f"tests without their support (its MANIFEST.in must have `prune tests`): {', '.join(found)}"


def wrong_versions(said: Message) -> Iterator[str]:
    """What is not as in the core: the version, the Pythons, and the versions it needs of this repository."""
    if said["Version"] != version():
        yield f"version {said['Version']}, the core has {version()}"
    pythons = tuple(re.findall(r"^Classifier: Programming Language :: Python :: (3\.\d+)$", str(said), re.MULTILINE))
    if pythons != MINORS or said["Requires-Python"] != f">={MINORS[0]}":
        yield f"Requires-Python {said['Requires-Python']}, classifiers {', '.join(pythons)}; not {', '.join(MINORS)}"
    least, below = bounds()
    bound = re.compile(rf"vidpoll[\w-]*<{re.escape(below)},>={re.escape(least)}(\.\d+)?(;.*)?")
    for needed in said.get_all("Requires-Dist", []):
        if needed.startswith("vidpoll") and not bound.fullmatch(needed):
            yield f"it needs {needed}, which must be >= {least}, < {below}: a minor version may break compatibility"


def version() -> str:
    """Of the core."""
    found = re.search(
        r'^__version__ = "(.+)"$', (ROOT / "vidpoll/__version__.py").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert found is not None
    return found[1]


def bounds() -> tuple[str, str]:
    """This minor version and the next: between them are the versions that work together."""
    major, minor = version().split(".")[:2]
    return f"{major}.{minor}", f"{major}.{int(minor) + 1}"


def untold(tag: str, out: Path) -> Iterator[str]:
    """What stands against a release of this tag."""
    if tag != f"v{version()}":
        yield f"the tag is {tag}, and the version {version()}"
    for file in [ROOT / "CHANGELOG.md", *sorted(ROOT.glob("plugins/vidpoll-*/CHANGELOG.md"))]:
        heading = re.search(r"^## (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
        if heading is None or not re.fullmatch(rf"{re.escape(version())} - \d{{4}}-\d\d-\d\d", heading[1]):
            yield f"{file.relative_to(ROOT)}: its first heading is no `## {version()} - YYYY-MM-DD`"
    for name, text in texts(out):
        if found := DENIALS.search(text):
            yield f"{name}: it says {found[0]!r}: RELEASING.md, step 4 before the first release, corrects it"


def texts(out: Path) -> Iterator[tuple[str, str]]:
    """Names and texts of what users read: the files of the sdists, from which the wheels are made, and the pages."""
    for sdist in sorted(out.glob("*.tar.gz")):
        with tarfile.open(sdist) as archive:
            for member in archive:
                file = archive.extractfile(member)
                if file is not None and not member.name.endswith("/PKG-INFO"):  # it repeats README.md
                    yield member.name, file.read().decode("utf-8", "replace")
    for page in sorted(ROOT.glob("docs/**/*.md")):
        yield page.relative_to(ROOT).as_posix(), page.read_text(encoding="utf-8")


def build_all(commit: bytes, folder: Path, out: Path, epoch: str, at: tuple[str, str]) -> dict[str, str]:
    """Build every distribution of a commit below `folder`; return the files in `out`, each with its SHA-256."""
    sources = unpacked(commit, folder)
    for source in sources:
        address(source, folder, *at)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda source: build(source, out, epoch), sources))
    for sdist in out.glob("*.tar.gz"):
        settle(sdist, int(epoch))
    return built(out)


def build_twice(out: Path, at: tuple[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Build the last commit into `out`, and once more somewhere else; `at` is the repository's address and the tag."""
    os.umask(0o022)  # the modes of files are a part of a wheel
    epoch, commit = git("log", "-1", "--format=%ct").decode().strip(), git("archive", "--format=tar", "HEAD")
    with tempfile.TemporaryDirectory() as there, tempfile.TemporaryDirectory() as again:
        first = build_all(commit, Path(there), out, epoch, at)
        return first, build_all(commit, Path(again), Path(again) / "dist", epoch, at)


def judged(first: dict[str, str], second: dict[str, str], out: Path) -> Iterator[str]:
    """What is wrong with the files."""
    yield from (f"{name}: built twice, not equal" for name in first if first[name] != second.get(name))
    due = 1 + len(list(ROOT.glob("plugins/vidpoll-*")))
    wheels = sorted(out.glob("*.whl"))
    if (len(wheels), len(first)) != (due, 2 * due):
        yield f"{len(wheels)} wheels in {len(first)} files, of {due} distributions"
    yield from (f"{wheel.name}: {each}" for wheel in wheels for each in wrong(wheel))
    yield from (f"{sdist.name}: {each}" for sdist in sorted(out.glob("*.tar.gz")) for each in half(sdist))
    least, below = bounds()
    if f"    vidpoll >= {least}, < {below}\n" not in TEMPLATE.read_text(encoding="utf-8"):
        yield f"{TEMPLATE.relative_to(ROOT)}: it must need vidpoll >= {least}, < {below}"
    for tool, files in (
        (["twine", "check", "--strict"], map(str, out.iterdir())),
        (["check_wheel_contents", "--ignore", "W002"], map(str, wheels)),  # two samples may be the same bytes
    ):
        done = subprocess.run([sys.executable, "-m", *tool, *files], check=False, capture_output=True, text=True)
        if done.returncode:
            yield f"{tool[0]}: {done.stdout}{done.stderr}"


def main() -> int:
    """Build, compare, judge; one line a file."""
    parser = argparse.ArgumentParser(description="Build what is released twice, compare and check it.")
    parser.add_argument("out", type=Path, help="an empty folder, for the files")
    parser.add_argument("--tag", help="the tag of a release, like v0.1.0")
    parser.add_argument("--url", default=ADDRESS, help="this repository's address")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    if any(args.out.iterdir()):
        parser.error(f"{args.out} is not empty")
    first, second = build_twice(args.out, (args.url, args.tag or "HEAD"))
    for name, said in first.items():
        print(f"{said}  {name}")
    found = [*judged(first, second, args.out), *(untold(args.tag, args.out) if args.tag else ())]
    for each in found:
        print(each, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
