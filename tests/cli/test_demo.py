"""`vidpoll demo` and `vidpoll simulate` as a user runs them: processes, real HTTP on loopback, installed plugins."""

from __future__ import annotations

import errno
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

import vidpoll
from vidpoll.cli import demo, main, simulating
from vidpoll.testing import simulate
from vidpoll.testing.simulator import Stage, Timeline

VIDPOLL = (sys.executable, "-m", "vidpoll")
PLAYED = {
    "magicoal": ["queued", "generating_image", "uploading_image", "generating_video", "saving"],
    "token360": ["queued", "in_progress"],
    "moneyprinterturbo": ["processing"],
}


def run(*argv: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*VIDPOLL, *argv],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.slow
def test_the_demo_shows_every_hook_and_leaves_the_files(tmp_path: Path) -> None:
    """One job at each provider, every stage told by its hook, files in the folder, code 0."""
    done = run("demo", "--speed", "16", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0].endswith("16 times real time; the times below are simulated seconds.")
    assert re.search(r"^\d+\.\d s of real time, \d+ requests: ", done.stdout, re.MULTILINE)
    for name, stages in PLAYED.items():
        told = re.findall(rf"vidpoll_stage_changed +{name}:\S+ (?:queued|running) ?(\S*)", done.stdout)
        assert [stage or "queued" for stage in told] == stages
        assert len(re.findall(rf"vidpoll_completed +{name}:\S+ completed: video", done.stdout)) == 1
    names = list(simulate().faces)
    completed = {ref.partition(":")[0] for ref in re.findall(r"vidpoll_completed +(\S+)", done.stdout)}
    assert completed == {*names} >= {*PLAYED}
    files = sorted((tmp_path / "vidpoll-demo").iterdir())
    assert [path.suffix for path in files].count(".mp4") >= len(names)
    assert ".jpg" in [path.suffix for path in files]
    assert len({path.read_bytes() for path in files}) == len(files)
    assert f"{len(names)} of {len(names)} jobs completed, {len(files)} files saved" in done.stdout
    assert done.stdout.endswith("Every job, stage, hook and file is as it should be.\n")


def test_the_demo_is_over_in_a_minute() -> None:
    """Without --speed time runs so fast that the longest job of all providers takes 40 s, and never slower."""
    simulation = simulate()
    lives = [life for face in simulation.faces.values() for life in face.timelines.values()]
    longest = max(life.queued[1] + sum(stage.seconds[1] for stage in life.stages) for life in lives)
    assert longest / demo._speed(simulation) <= 40.0
    assert longest <= demo.TIMEOUT
    assert demo._speed(simulate("magicoal")) == demo.SPEED
    floors = Timeline((100.0, 200.0), (Stage("drawing", (100.0, 200.0), (0, 100)),))
    assert demo._speed(simulate("magicoal", magicoal={"timelines": {"t2v": floors}})) == 10.0


def test_a_demo_that_is_not_right_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """A stage that passes unseen, a job that fails, a file that differs: a line each, and code 1."""
    hear, original = demo.Notifier.vidpoll_stage_changed, demo._Demo._original

    @vidpoll.hookimpl
    def deaf(self, event) -> None:
        if event.stage != "saving":
            hear(self, event)

    monkeypatch.setattr(demo.Notifier, "vidpoll_stage_changed", deaf)
    monkeypatch.setattr(demo._Demo, "_original", lambda self, job, asset: (original(self, job, asset) or b"")[:-1])

    def failing(*names: str, **options: object):
        simulation = simulate("magicoal", "token360", **options)
        start = simulation.start
        monkeypatch.setattr(simulation, "start", lambda: (start(), simulation.fail_next("token360", message="no")))
        return simulation

    monkeypatch.setattr("vidpoll.testing.simulate", failing)
    assert main(["demo", "--speed", "200", "--to", str(tmp_path)]) == 1
    err = capsys.readouterr().err.splitlines()
    assert all(line.startswith("vidpoll: demo: ") for line in err)
    assert any("token360" in line and "failed: no" in line for line in err)
    assert any("magicoal" in line and line.endswith("the stage saving was not seen") for line in err)
    assert any("is not the file that the simulator serves" in line for line in err)


def test_a_hook_that_does_not_fire_is_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """The demo does not take its own word for it: without the call there is no line, and code 1."""
    monkeypatch.setattr(demo.Notifier, "vidpoll_progress", None)
    monkeypatch.setattr("vidpoll.testing.simulate", partial(simulate, "token360"))
    assert main(["demo", "--speed", "200", "--to", str(tmp_path)]) == 1
    assert "the hook vidpoll_progress did not fire" in capsys.readouterr().err


def test_the_demo_without_plugins_says_what_to_install(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """One line, code 2."""
    monkeypatch.setattr(vidpoll.plugins.metadata, "entry_points", lambda group: ())
    assert main(["demo"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("vidpoll: no simulator is installed")
    assert err.count("\n") == 1


def test_a_port_that_is_taken_is_named(capsys) -> None:
    """With the option that chooses others."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["simulate", "token360", "--port-base", str(port)]) == 1
    err = capsys.readouterr().err
    assert err.startswith(
        f"vidpoll: the simulator cannot listen on 127.0.0.1:{port}: {os.strerror(errno.EADDRINUSE)}; "
    )
    assert err.endswith("name other ports with --port-base PORT, or leave it out for free ports\n")


def test_the_help_of_simulate_leads_to_a_failing_job(capsys) -> None:
    """The command line has no option for it, and the cookbook has the recipe."""
    assert main(["simulate", "--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert 'vidpoll.testing.simulate has fail_next, see "Test your own code" in docs/cookbook.md.' in said
    assert "## Test your own code" in (Path(__file__).parents[2] / "docs/cookbook.md").read_text(encoding="utf-8")


def test_the_demo_in_a_place_where_it_may_not_write(tmp_path: Path, capsys) -> None:
    """Told before anything is started."""
    (tmp_path / "file").touch()
    assert main(["demo", "--to", str(tmp_path / "file" / "below")]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("vidpoll: demo: cannot make the folder")


@contextmanager
def simulated(*argv: str, cwd: Path) -> Iterator[dict[str, str]]:
    """`vidpoll simulate` in the foreground of another process; gives what its export lines set."""
    command = [*VIDPOLL, "simulate", *argv]
    environment, pipe = {**os.environ, "TMPDIR": str(cwd)}, subprocess.PIPE
    with subprocess.Popen(command, cwd=cwd, env=environment, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in [*simulate().faces, "store"]]  # one for each
        try:
            yield dict(re.findall(r"([A-Z]\w+)=(\S+)", "".join(lines)))
        finally:
            process.send_signal(signal.SIGINT)
            try:
                out, err = process.communicate(timeout=20)
            finally:
                process.kill()  # where SIGINT is ignored, as under nohup, this is an error and not a wait for ever
        assert (process.returncode, out, err.count("\n")) == (0, "", 1)


def test_each_simulation_has_a_store_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulated jobs must not lie among real ones; a store that was used stays."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with simulating._own_store() as unused, simulating._own_store() as used:
        assert unused != used
        Path(used).touch()
    assert [path.parent for path in tmp_path.glob("*/*")] == [Path(used).parent]
    assert list(tmp_path.iterdir()) == [Path(used).parent]


@pytest.mark.slow
def test_each_simulation_has_ids_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fresh seed each time, so that a store never meets the ids of yesterday; `--seed` plays the same again."""
    seeds: list[int] = []
    monkeypatch.setattr(simulating, "_serve", lambda simulation, providers, out, seed: seeds.append(seed))
    for words in ([], [], ["--seed", "7"]):
        assert main(["simulate", *words]) == 0
    assert (len(set(seeds)), seeds[2]) == (3, 7)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent to a process as a POSIX signal")
def test_wait_against_simulate(tmp_path: Path) -> None:
    """In another shell, with the lines that `simulate` prints: submit, wait and download, and a key that is wrong."""
    with simulated("--speed", "400", cwd=tmp_path) as settings:
        with simulate() as simulation:
            assert sorted(settings) == sorted([*simulation.environ, "VIDPOLL_STORE"])
        store = Path(settings["VIDPOLL_STORE"])
        assert list(store.parent.iterdir()) == []  # it is this simulation's own
        assert {*settings} >= {
            "MAGICOAL_API_KEY", "MAGICOAL_BASE_URL", "MONEYPRINTERTURBO_BASE_URL", "TOKEN360_API_KEY",
            "TOKEN360_BASE_URL",
        }  # fmt: skip
        shell = partial(run, cwd=tmp_path, **settings)
        ref = shell("submit", "magicoal", "t2v", "prompt=a lighthouse at dusk", "seed=7").stdout.strip()
        assert re.fullmatch(r"magicoal:[0-9a-f-]{36}", ref)
        waiting = shell("wait", ref, "--download", "clips")
        assert (waiting.returncode, waiting.stderr) == (0, "")
        assert waiting.stdout.count("completed: video, thumbnail (52 credits charged)") == 1
        assert len(list((tmp_path / "clips").glob("*.mp4"))) == 1
        assert ref in shell("jobs", "--local").stdout
        assert store.exists()
        wrong = run("quota", "magicoal", cwd=tmp_path, **{**settings, "MAGICOAL_API_KEY": "wrong-key-012345"})
        assert (wrong.returncode, wrong.stdout, wrong.stderr.count("\n")) == (1, "", 1)


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent to a process as a POSIX signal")
def test_ctrl_c_in_a_wait(tmp_path: Path) -> None:
    """It ends at once, with the line that resumes, and code 130."""
    with simulate("token360") as simulation:
        ref = f"token360:{simulation.seed_job('token360', 'video')}"
        environment = {
            **os.environ,
            "TOKEN360_BASE_URL": simulation.base_urls["token360"],
            "TOKEN360_API_KEY": str(simulation.keys["token360"]),
        }
        command = [*VIDPOLL, "wait", ref]
        with subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert ref in process.stdout.readline()
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert err.splitlines()[-1] == f"vidpoll: resume: vidpoll wait {ref}"
    assert len(err.splitlines()) == 2


def test_the_demo_of_named_providers(tmp_path: Path) -> None:
    """Those alone; a name that is none says which there are, before anything runs."""
    done = run("demo", "token360", "--speed", "16", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("A job at each of token360, simulated")
    assert "1 of 1 job completed" in done.stdout
    wrong = run("demo", "token36", cwd=tmp_path)
    assert wrong.returncode == 2
    assert "token36" in wrong.stderr
    assert "token360" in wrong.stderr
    assert "Traceback" not in wrong.stderr
