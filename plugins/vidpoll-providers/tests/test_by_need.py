"""One provider of the pack costs one module: the others are known by name, and imported at their first use."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import vidpoll_providers

HEAD = "import sys, vidpoll; from vidpoll.cli import main\n"
TAIL = "\nprint([name for name in sys.modules if name.startswith('vidpoll_providers.')])"
WAIT = """
from vidpoll.testing import FakeTransport
import vidpoll.net.transport
done = b'{"success": true, "data": {"uuid": "j1", "status": "completed", "video_url": "https://coals.ai/a.mp4"}}'
vidpoll.net.transport.RequestsTransport = lambda: FakeTransport([vidpoll.Response(200, {}, done)])
assert vidpoll.wait("magicoal:j1").ok
"""


def imported(code: str) -> str:
    """The modules of the pack that a fresh process has imported after this code; its own output is not looked at."""
    command = [sys.executable, "-c", HEAD + code + TAIL]
    done = subprocess.run(
        command, env={"MAGICOAL_API_KEY": "k"}, capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("code", "modules"),
    [
        ("vidpoll.Client().close()", "[]"),
        (WAIT, "['vidpoll_providers.magicoal']"),
        ("main(['plugins']); main(['providers']); main(['--help'])", "[]"),
        ("main(['status', 'magicaol:j1'])", "[]"),
        ("main(['providers', 'token360'])", "['vidpoll_providers.token360']"),
    ],
)
def test_only_what_is_asked_for_is_imported(code: str, modules: str) -> None:
    """A wait imports its provider; lists, help and an unknown name import none."""
    assert imported(code) == modules


def test_every_module_has_its_entry_point() -> None:
    """Named for the provider, and naming the function, so that it is loaded by need; samples are in the package."""
    folder = Path(vidpoll_providers.__file__).parent
    names = sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__")
    (found,) = [each for each in metadata.distributions() if each.name == "vidpoll-providers"]
    entries = sorted((each.name, each.value) for each in found.entry_points)
    assert entries == [(name, f"vidpoll_providers.{name}:vidpoll_providers") for name in names]
    assert all((folder / "samples" / name / "index.json").exists() for name in names)
