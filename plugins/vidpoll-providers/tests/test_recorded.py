"""Recorded traffic of real servers, played over loopback through whole waits and downloads, with exact results.

A folder of recordings has an `expected.json`: for each play the file, what is submitted (or the id that is waited for),
and what must come of it. `python plugins/vidpoll-providers/tests/test_recorded.py` prints what comes of those whose
"expect" is empty; compare it with the recording before you paste it.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from email.message import Message
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import pytest

import vidpoll
from vidpoll.testing import replay
from vidpoll.testing.simulator import Exchange

RECORDED = Path(__file__).parent / "recorded"


def plays() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted(RECORDED.glob("*/expected.json")):
        yield from ((path.parent.name, play) for play in json.loads(path.read_text(encoding="utf-8"))["plays"])


PLAYS = list(plays())


def brief(event: vidpoll.Event) -> str:
    """An event in a few words."""
    if isinstance(event, vidpoll.StageChanged):
        return f"{event.state} {event.stage or ''}".strip()
    if isinstance(event, vidpoll.ProgressChanged):
        return f"{event.progress:g} %"
    if isinstance(event, vidpoll.PollFailed):
        return f"fault {event.status or event.reason}"
    return type(event).__name__.lower()


def sent(exchange: Exchange) -> object:
    """The body of a submit: its JSON, or the fields of a form with the names of files."""
    kind = exchange.headers.get("content-type", "")
    if not kind.startswith("multipart/"):
        return json.loads(exchange.body)
    whole = BytesParser().parsebytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + exchange.body)
    parts = [part for part in whole.get_payload() if isinstance(part, Message)]
    found = {str(part.get_param("name", header="content-disposition")): part for part in parts}
    return {name: part.get_filename() or str(part.get_payload()) for name, part in found.items()}


def told_error(error: Exception) -> str:
    """Its type, with the status and code of a refusal: its message names the port of the replay."""
    refusal = isinstance(error, vidpoll.ProviderError)
    return " ".join(map(str, filter(None, (type(error).__name__, *((error.status, error.code) if refusal else ())))))


def played(name: str, play: dict[str, Any], folder: Path) -> dict[str, Any]:
    """What comes of a play: what was sent and heard, the verdict, files with their sizes, lists and the rest."""
    said: dict[str, Any] = {}
    told: list[str] = []
    with replay(name, RECORDED / name / play["file"], origin=play.get("origin", "")) as simulation:
        client = simulation.client()
        try:
            if "submit" in play:
                job = client.submit(name, play["submit"], **play["fields"])
                body = sent(simulation.requests(name)[0])
                said["sent"] = "the fields" if body == play["fields"] else body
            else:
                job = vidpoll.Job(f"{name}:{play['id']}")
            if "cancel" in play.get("first", ()):
                client.cancel(job)
            job = client.wait(job, timeout=600.0, on_event=lambda event: told.append(brief(event)), check=False)
            said |= {"id": job.id, "told": told, "ends": str(job.state)}
            said |= {"problem": str(job.problem)} if job.problem else {}
            said |= {"error": told_error(job.error)} if job.error and not job.final else {}
            if job.ok:
                kinds = tuple(dict.fromkeys(asset.kind for asset in job.assets)) or None
                saved = client.download(job, folder / "clips", kinds=kinds) if play.get("files", True) else []
                said["files"] = [f"{path.suffix} {path.stat().st_size}" for path in saved]
            if "list" in play.get("then", ()):
                said["list"] = [f"{row.id} {row.state}" for row in client.jobs(name)]
            if "delete" in play.get("then", ()):
                said["deleted"] = client.delete(job)
        except vidpoll.VidpollError as error:
            said["raises"] = told_error(error)
        said["asked"] = [f"{each.method} {each.path} {each.status}" for each in simulation.requests(name)]
    return {**said, "asked": list(dict.fromkeys(said["asked"]))}


@pytest.mark.parametrize(("name", "play"), PLAYS, ids=[f"{name}-{play['title']}" for name, play in PLAYS])
def test_a_recording_is_played(name: str, play: dict[str, Any], tmp_path: Path) -> None:
    """Submit, wait, download: exactly what the recorded server's answers mean."""
    assert played(name, play, tmp_path) == play["expect"]


def test_every_recording_is_played() -> None:
    """No recorded exchange lies about that nothing reads; an `expected.json` names those that another test reads."""
    for folder in (each for each in RECORDED.iterdir() if each.is_dir()):
        expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
        read = {play["file"] for play in expected["plays"]} | set(expected.get("elsewhere", ()))
        assert read == {path.name for path in folder.glob("*.json")} - {"expected.json"}


if __name__ == "__main__":
    for name, play in PLAYS:
        if not play["expect"]:
            with tempfile.TemporaryDirectory() as folder:
                came = played(name, play, Path(folder))
            sys.stdout.write(f"{name} {play['title']}\n{json.dumps(came, indent=1, ensure_ascii=False)}\n")
