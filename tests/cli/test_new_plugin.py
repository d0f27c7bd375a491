"""`vidpoll new-plugin`: what it renders runs, fails only where the author must decide, and guesses what it can."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
from contract_cases import caught

from vidpoll import State
from vidpoll.cli import main
from vidpoll.cli.guessing import guess
from vidpoll.cli.new_plugin import render
from vidpoll.testing import ProviderContract, simulate

URL = "https://media.example/a.mp4"

KLING = [
    {"code": 0, "message": "ok", "data": {"task_id": "k1", "task_status": "submitted", "created_at": 1795001000123}},
    {"code": 0, "message": "ok", "data": {"task_id": "k1", "task_status": "processing", "created_at": 1795001000123}},
    {
        "code": 0,
        "message": "ok",
        "data": {"task_id": "k1", "task_status": "succeed", "task_result": {"videos": [{"id": "v", "url": URL}]}},
    },
    {"code": 0, "message": "ok", "data": {"task_id": "k1", "task_status": "failed", "task_status_msg": "no"}},
]
RUNWAY = [
    {"id": "r1", "status": "PENDING", "createdAt": "2026-11-02T09:14:07Z"},
    {"id": "r1", "status": "RUNNING", "progress": 0.5, "createdAt": "2026-11-02T09:14:07Z"},
    {"id": "r1", "status": "SUCCEEDED", "output": [URL + "?sig=1"], "createdAt": "2026-11-02T09:14:07Z"},
    {"id": "r1", "status": "FAILED", "failure": "An error occurred.", "failureCode": "INTERNAL"},
]
PIXVERSE = [
    {"ErrCode": 0, "Resp": {"id": 7, "status": 5}},
    {"ErrCode": 0, "Resp": {"id": 7, "status": 1, "url": URL}},
    {"ErrCode": 0, "Resp": {"id": 7, "status": 8, "error": "moderated"}},
]
WAVESPEED = [
    {"code": 200, "message": "success", "data": {"id": "w1", "status": "created", "outputs": []}},
    {"code": 200, "message": "success", "data": {"id": "w1", "status": "processing", "outputs": []}},
    {"code": 200, "message": "success", "data": {"id": "w1", "status": "completed", "outputs": [URL]}},
    {"code": 200, "message": "success", "data": {"id": "w1", "status": "failed", "error": "no"}},
]
DASHSCOPE = [
    {"request_id": "q", "output": {"task_id": "d1", "task_status": "RUNNING"}},
    {"request_id": "q", "output": {"task_id": "d1", "task_status": "SUCCEEDED", "video_url": URL}},
    {"request_id": "q", "output": {"task_id": "d1", "task_status": "FAILED", "code": "E", "message": "no"}},
]
SHAPES = {"kling": KLING, "runway": RUNWAY, "pixverse": PIXVERSE, "wavespeed": WAVESPEED, "dashscope": DASHSCOPE,
          "nothing": []}  # fmt: skip


def named(bodies: list[Any]) -> dict[str, Any]:
    return {f"answer-{number}.json": body for number, body in enumerate(bodies)}


def write(files: dict[str, str], folder: Path) -> Path:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    return folder


def failures(files: dict[str, str], name: str, folder: Path, **submits: Any) -> dict[str, str]:
    """What the contract says of a rendered plugin, without installing it."""
    write(files, folder)
    path = folder / f"vidpoll_{name}" / "__init__.py"
    spec = importlib.util.spec_from_file_location(f"vidpoll_{name}", path, submodule_search_locations=[])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
        fields = {"provider": name, "plugin": module, "samples": folder / f"vidpoll_{name}/samples", "submits": submits}
        return caught(type("TestContract", (ProviderContract,), fields))
    finally:
        del sys.modules[spec.name]


@pytest.mark.parametrize("name", SHAPES)
def test_only_the_decisions_fail(name: str, tmp_path: Path) -> None:
    """Whatever the samples look like, the rendered plugin keeps the contract but for what is marked DECIDE."""
    found = failures(render(name, named(SHAPES[name])), name, tmp_path)
    if name == "pixverse":  # numbers tell nothing: all are taken for running, until the author says what they mean
        assert found.pop("the_samples_show_every_end")
    assert list(found) == ["nothing_is_left_to_decide"]
    assert "the base URL of the vendor's page" in found["nothing_is_left_to_decide"]


def test_decided_is_decided(tmp_path: Path) -> None:
    """Without the marks all tests pass."""
    files = {path: text.replace("DECIDE: ", "") for path, text in render("kling", named(KLING)).items()}
    assert failures(files, "kling", tmp_path) == {}


def test_a_submit_is_rendered_where_there_is_a_sample_of_one(tmp_path: Path) -> None:
    """The id first; its fields are the author's."""
    files = render("kling", {**named(KLING), "submit.json": KLING[0]})
    found = failures(files, "kling", tmp_path, video={"prompt": "a lighthouse at dusk"})
    assert list(found) == ["nothing_is_left_to_decide"]
    assert "the fields of a submit" in found["nothing_is_left_to_decide"]
    assert 'submits = {"video": {"prompt"' in files["tests/test_kling.py"]


def test_the_simulator_plays_the_rendered_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Out of the package, by the hook that is rendered with a submit."""
    write(render("kling", {**named(KLING), "submit.json": KLING[0]}), tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("vidpoll_kling")
    try:
        with simulate("kling", plugins=[module], instant=True) as simulation:
            client = simulation.client()
            job = client.wait(client.submit("kling", "video", prompt="a lighthouse at dusk"))
            assert (job.stage, len(client.download(job, tmp_path / "clips"))) == ("succeed", 1)
    finally:
        del sys.modules["vidpoll_kling"]


def test_what_is_guessed() -> None:
    """The job's word and not the envelope's, what known words mean, files in lists, fractions, times."""
    kling = guess(KLING)
    assert (kling.status, kling.id, kling.video) == (
        "data.task_status",
        "data.task_id",
        ("data.task_result.videos", "url"),
    )
    assert list(kling.words.values()) == [State.QUEUED, State.RUNNING, State.COMPLETED, State.FAILED]
    assert (kling.reasons, kling.times) == (("data.task_status_msg",), {"created_at": "data.created_at"})
    runway = guess(RUNWAY)
    assert (runway.progress, runway.full, runway.video) == ("progress", 1.0, ("output", None))
    assert guess(PIXVERSE).words == {5: State.RUNNING, 1: State.RUNNING, 8: State.RUNNING}
    assert guess(PIXVERSE).sure == frozenset()
    wavespeed = guess(WAVESPEED)
    assert (wavespeed.status, wavespeed.reasons) == ("data.status", ("data.error",))


def test_a_word_that_nobody_knows_is_marked() -> None:
    """A guess that a word means running is for its author to confirm."""
    files = render("acme", named([{"status": "frobbing"}]))
    line = next(line for line in files["vidpoll_acme/__init__.py"].splitlines() if "frobbing" in line)
    assert "RUNNING,  # DECIDE" in line


@pytest.mark.parametrize(
    "bodies",
    [
        [[]],
        ["text"],
        [None],
        [7],
        [{}],
        [{"status": None}],
        [{"a": {"b": [1]}}],
        [[{}]],
        [{'a"$b\n': {"status": 'd"one\\\n'}}],
        [{"status": "\ud800", "id": '"""'}],
        [{"status": 10**30, "id": 0}],
        [{"status": "done", "url": "$HOME/a.mp4"}],
    ],
)
def test_any_json_can_be_rendered(bodies: list[Any]) -> None:
    """Whatever the samples hold, the files are whole: valid Python, an index that lists each."""
    files = render("acme", named(bodies))
    assert all(text.encode("utf-8") or path.endswith("py.typed") for path, text in files.items())
    ast.parse(files["vidpoll_acme/__init__.py"])
    index = json.loads(files["vidpoll_acme/samples/index.json"])
    assert [row["file"] for row in index["samples"]] == ["answer-0.json"]


def test_the_distribution_is_whole() -> None:
    """The shape of the plugins of this repository, and the metadata of an entry point that bears the name."""
    files = render("acme-video")
    assert {"README.md", "CHANGELOG.md", "LICENSE", "setup.cfg", "pyproject.toml", ".gitignore",
            ".github/workflows/ci.yml", "vidpoll_acme_video/__init__.py", "vidpoll_acme_video/py.typed",
            "tests/test_acme_video.py", "vidpoll_acme_video/samples/index.json"} <= set(files)  # fmt: skip
    config = ConfigParser()
    config.read_string(files["setup.cfg"])
    assert config["metadata"]["name"] == "vidpoll-acme-video"
    assert config["options.entry_points"]["vidpoll"].strip() == "acme-video = vidpoll_acme_video:vidpoll_providers"
    assert "ACME_VIDEO_API_KEY" in files["README.md"]
    assert not any("$" in text.replace("${{", "") for text in files.values())


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    environ = {**os.environ, **environment}
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=120, check=False)


def test_its_own_tests_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As an author runs them: by the command, from files, with the plugin found by its entry point."""
    for name, body in named(RUNWAY).items():
        (tmp_path / name).write_text(json.dumps(body), encoding="utf-8")
    samples = [str(tmp_path / name) for name in named(RUNWAY)]
    assert main(["new-plugin", "runway", "--to", str(tmp_path), "--from-sample", *samples]) == 0
    said = capsys.readouterr().out
    folder = tmp_path / "vidpoll-runway"
    assert "places marked DECIDE" in said
    assert f'cd "{folder}"' in said
    site = write(
        {
            "vidpoll_runway-0.1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: vidpoll-runway\nVersion: 0.1.0\n",
            "vidpoll_runway-0.1.0.dist-info/entry_points.txt": "[vidpoll]\nrunway = vidpoll_runway:vidpoll_providers\n",
        },
        tmp_path / "site",
    )
    done = run(folder, PYTHONPATH=os.pathsep.join([str(site), str(folder)]))
    failed = [line.split(" - ")[0] for line in done.stdout.splitlines() if line.startswith("FAILED")]
    assert failed == ["FAILED tests/test_runway.py::TestContract::test_nothing_is_left_to_decide"], done.stdout
    for path in [path for path in folder.rglob("*") if path.suffix in (".py", ".json")]:
        path.write_text(path.read_text(encoding="utf-8").replace("DECIDE: ", ""), encoding="utf-8")
    done = run(folder, PYTHONPATH=os.pathsep.join([str(site), str(folder)]))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["Acme"], "'Acme' is no provider's name: lower-case letters"),
        (["vidpoll-acme"], "NAME is the provider's: 'acme'"),
        (["../acme"], "is no provider's name"),
        (["there"], "is there already"),
        (["acme", "--from-sample", "none.json"], "cannot read 'none.json'"),
        (["acme", "--from-sample", "html.json"], "'html.json' is no JSON"),
        (["acme", "--from-sample", "index.json"], "rename it"),
        (["acme", "--from-sample", "a.json", "a.json"], "rename it"),
        (["acme", "--to", "a.json"], "cannot write to"),
        ([], "see vidpoll new-plugin --help"),
    ],
)
def test_wrong_use(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, the way out, exit code 2, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vidpoll-there").mkdir()
    for name, text in {"html.json": "<html>", "index.json": "{}", "a.json": "{}"}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    before = sorted(tmp_path.rglob("*"))
    assert main(["new-plugin", *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before
