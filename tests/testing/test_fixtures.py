"""`simulate` and the fixture `vidpoll_simulator`, as tests of users have them."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

import pytest

import vidpoll
from vidpoll.testing import fixtures, simulate

SUBMITS = {
    "magicoal": ("t2v", {"prompt": "a sea"}),
    "token360": ("video", {"model": "seedance-2.0", "prompt": "a sea"}),
    "moneyprinterturbo": ("video", {"video_subject": "a sea"}),
}


@pytest.mark.slow
def test_the_example_of_the_fixture_runs_as_it_stands(tmp_path: Path) -> None:
    """In a project of its own, with nothing but vidpoll and pytest installed: no conftest, no import."""
    text = inspect.getdoc(fixtures.vidpoll_simulator) or ""  # 3.13 strips the indentation, older ones keep it
    example = dedent(text.split("Example::\n")[1].split("\n\nTo simulate")[0])
    (tmp_path / "test_example.py").write_text(example, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_the_fixture_serves_what_is_installed(vidpoll_simulator) -> None:
    """Every provider with a face, ready to use, each test with a life of its own."""
    client = vidpoll_simulator.client()
    assert set(vidpoll_simulator.base_urls) == set(vidpoll_simulator.accounts) >= {"magicoal", "token360"}
    vidpoll_simulator.fail_next("token360", message="no")
    jobs = [client.submit("token360", "video", model="seedance-2.0", prompt="a sea") for _ in range(2)]
    assert sorted(job.ok for job in client.as_completed(jobs)) == [False, True]


def test_the_fixture_imports_pytest_only() -> None:
    """pytest loads it in every run of every project: nothing heavy before a test asks."""
    lines = Path(fixtures.__file__).read_text(encoding="utf-8").splitlines()
    found = [line for line in lines if re.match(r"(import|from) ", line)]
    assert found == [
        "from __future__ import annotations",
        "from collections.abc import Iterator",
        "from typing import TYPE_CHECKING",
        "import pytest",
    ]


def test_code_under_test_needs_no_change(vidpoll_simulator) -> None:
    """`vidpoll.wait` and a `Client()` of one's own find the simulator, and an hour of waiting takes no time."""
    begun = time.monotonic()
    job_id = vidpoll_simulator.seed_job("magicoal", "t2v")
    assert vidpoll.wait(f"magicoal:{job_id}").ok
    vidpoll_simulator.hang_next("token360")
    with vidpoll.Client() as client, pytest.raises(vidpoll.WaitTimeout):
        client.wait(client.submit("token360", "video", model="seedance-2.0", prompt="a sea"), timeout=3600)
    assert time.monotonic() - begun < 30


@pytest.mark.parametrize("name", ["magicoal", "token360", "moneyprinterturbo"])
def test_a_job_that_never_ends(name, vidpoll_simulator) -> None:
    """It runs, stays halfway, and is called stalled; nobody calls it failed."""
    kind, fields = SUBMITS[name]
    seen = []
    vidpoll_simulator.hang_next(name)
    client = vidpoll_simulator.client()
    with pytest.raises(vidpoll.WaitTimeout) as caught:
        client.wait(client.submit(name, kind, **fields), timeout=1800, on_event=seen.append)
    assert caught.value.job.state is vidpoll.State.RUNNING
    assert caught.value.job.progress < 100
    if name == "magicoal":  # the others say anew when they were updated
        assert any(isinstance(event, vidpoll.Stalled) for event in seen)


@pytest.mark.parametrize("name", ["magicoal", "moneyprinterturbo"])
def test_a_job_that_fails_at_a_percentage(name, vidpoll_simulator) -> None:
    """With the message and the progress that the test asked for."""
    kind, fields = SUBMITS[name]
    vidpoll_simulator.fail_next(name, message="out of paint", at=60)
    client = vidpoll_simulator.client()
    job = client.wait(client.submit(name, kind, **fields), check=False)
    assert (job.state, job.problem.message) == (vidpoll.State.FAILED, "out of paint")
    assert job.progress == (60 if name == "magicoal" else 75)  # MoneyPrinterTurbo counts in steps


@pytest.mark.parametrize(("status", "retry_after"), [(503, None), (429, 10), (429, None), (502, None)])
def test_trouble_for_a_while(status, retry_after, vidpoll_simulator) -> None:
    """Every answer is that error until the time is over; the wait bears it, and a hint is kept to."""
    client = vidpoll_simulator.client()
    job = client.submit("magicoal", "t2v", prompt="a sea")
    vidpoll_simulator.trouble("magicoal", status=status, seconds=10, retry_after=retry_after)
    assert client.wait(job).ok
    statuses = [each.status for each in vidpoll_simulator.requests("magicoal")]
    assert status in statuses
    assert statuses[-1] == 200
    if retry_after:
        assert statuses.count(status) == 1


def test_scripts_that_make_no_sense() -> None:
    """They are refused when they are given."""
    with simulate("magicoal") as simulation:
        for wrong in (
            lambda: simulation.fail_next("magicoal", at=101),
            lambda: simulation.trouble("magicoal", status=200),
            lambda: simulation.trouble("nobody"),
            lambda: simulation.hang_next("nobody"),
        ):
            with pytest.raises(ValueError, match=r"101|200|nobody"):
                wrong()


def test_simulate_takes_the_options_of_a_face() -> None:
    """`simulate("magicoal", magicoal={"credits": 60})`: one job can be paid, the second cannot."""
    with simulate("magicoal", speed=200, magicoal={"credits": 60}) as simulation:
        client = simulation.client()
        client.submit("magicoal", "t2v", prompt="a sea")
        with pytest.raises(vidpoll.PaymentRequired):
            client.submit("magicoal", "t2v", prompt="a sea")
        assert client.quota("magicoal").balance == 8


def test_what_is_switched_off_is_not_played(monkeypatch: pytest.MonkeyPatch) -> None:
    """`VIDPOLL_DISABLE` holds as it does for a client: `vidpoll demo` would fail at a provider that is off."""
    monkeypatch.setenv("VIDPOLL_DISABLE", "token360, moneyprinterturbo")
    with simulate() as simulation:
        assert not {"token360", "moneyprinterturbo"} & set(simulation.faces)
        assert set(simulation.faces) <= set(simulation.client().providers)
        assert "TOKEN360_BASE_URL" not in simulation.environ


def test_clients_are_closed_with_the_simulation() -> None:
    """Nothing is left behind, also where nobody closes the client."""
    with simulate("token360") as simulation:
        client = simulation.client()
    with pytest.raises(vidpoll.UsageError, match="closed"):
        client.quota("token360")
    assert simulation.base_urls == {}


def test_a_proxy_is_not_asked_for_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulator is reached where the environment names a proxy and no exceptions."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with simulate("token360", speed=200) as simulation:
        assert list(simulation.client().jobs("token360")) == []


class Faces:
    """A plugin whose simulator is named by the test."""

    name = "faces"

    def __init__(self, **faces: str) -> None:
        self.faces = faces

    @vidpoll.hookimpl
    def vidpoll_simulators(self) -> Mapping[str, str]:
        return self.faces


@pytest.mark.parametrize(
    ("names", "options", "said"),
    [
        (
            ["magicaol"],
            {},
            r"no simulator of 'magicaol' is installed; did you mean 'magicoal'\? installed are: .*magicoal, .*token360",
        ),
        (["magicoal"], {"token360": {}}, "options has 'token360', which is not simulated"),
        (["magicoal"], {"magicoal": {"colour": 1}}, "the simulator of magicoal: .*colour"),
        (["magicoal"], {"speed": 0}, "the simulator: speed must be a positive number"),
        (["magicoal"], {"ports": {"token360": 1}}, "the simulator: ports has names that are not simulated: token360"),
    ],
)
def test_wrong_use(names, options, said) -> None:
    """UsageError with the way out, before any server is started."""
    with pytest.raises(vidpoll.UsageError, match=said):
        simulate(*names, **options)


def test_only_the_faces_that_are_asked_for_are_imported() -> None:
    """A face that does not import is a PluginError of its own, and nobody else's trouble."""
    plugin = Faces(acme="acme_that_is_not_there:Face")
    simulate("token360", plugins=[plugin])
    with pytest.raises(vidpoll.PluginError, match="acme_that_is_not_there"):
        simulate("acme", plugins=[plugin])
