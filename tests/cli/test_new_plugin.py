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

import vidpoll
from vidpoll import JobFailed, State
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
# Shapes of answers that vendors give, under names that no provider has.
SHAPES = {"klong": KLING, "runaway": RUNWAY, "pixverge": PIXVERSE, "wavespell": WAVESPEED, "dashslope": DASHSCOPE,
          "nothing": []}  # fmt: skip


CODE = "vidpoll_klong/__init__.py"


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
    if name == "pixverge":  # numbers tell nothing: all are taken for running, until the author says what they mean
        assert found.pop("the_samples_show_every_end")
    assert list(found) == ["nothing_is_left_to_decide"]
    assert "the base URL of the vendor's page" in found["nothing_is_left_to_decide"]


def test_decided_is_decided(tmp_path: Path) -> None:
    """Without the marks all tests pass."""
    files = {path: text.replace("DECIDE: ", "") for path, text in render("klong", named(KLING)).items()}
    assert failures(files, "klong", tmp_path) == {}


TICKETS = {
    "submit-clip.json": {"ticket": "T-1"},
    "working.json": {"ticket": "T-1", "state": "working", "pct": 40, "began": "2026-11-20T10:00:00Z"},
    "done.json": {"ticket": "T-1", "state": "done", "pct": 100, "began": "2026-11-20T10:00:00Z", "clip": {"url": URL}},
    "failed.json": {"ticket": "T-1", "state": "failed", "why": {"text": "the prompt was refused", "nr": "E1"}},
}


def test_what_has_no_known_name_is_asked_for(tmp_path: Path) -> None:
    """A submit by its file's name, whatever it holds; the marks list the fields; an invented id is not the samples'."""
    files = render("klong", TICKETS)
    assert guess(TICKETS).operations == {"submit-clip.json": "submit clip"} | dict.fromkeys([*TICKETS][1:], "status")
    asked = [line.partition("# DECIDE: no ")[2] for line in files[CODE].splitlines() if "# DECIDE: no " in line]
    assert asked == [
        "id was found: if it is one of these, write id=…: ticket",
        "progress was found: if it is one of these, write progress=…: pct",
        "time of the start was found: if it is one of these, write created_at=…: began",
        "reason of a failure was found: if it is one of these, write reason=…: why.text",
    ]
    wrong = failures(files, "klong", tmp_path)["the_samples_are_described"]
    assert '"id" is \'job_7f3a\', which no sample and no "request" shows' in wrong


def test_a_provider_that_is_installed_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two plugins with one provider would stop everything."""
    assert main(["new-plugin", "magicoal", "--to", str(tmp_path)]) == 0
    assert "warning: vidpoll-providers already provides magicoal" in capsys.readouterr().err


SUBMITS = {
    "one": {"submit.json": KLING[0]},
    "an id": {"submit.json": {"code": 0, "message": "ok", "data": {"task_id": "k1"}}},
    "an id elsewhere": {"submit.json": {"id": "k1"}},
    "kinds": {"submit-text2video.json": KLING[0], "submit-image2video.json": {"code": 0, "data": {"task_id": "k1"}}},
}


@pytest.mark.parametrize("name", SUBMITS)
def test_a_submit_is_rendered_where_there_is_a_sample_of_one(name: str, tmp_path: Path) -> None:
    """The id first, of each kind; its fields are the author's, and good ones stand beside the sample."""
    files = render("klong", {**named(KLING), **SUBMITS[name]})
    found = failures(files, "klong", tmp_path)
    assert list(found) == ["nothing_is_left_to_decide"]
    assert "the fields of a submit" in found["nothing_is_left_to_decide"]
    kinds = [kind for kind in ("video", "text2video", "image2video") if f'kind="{kind}"' in files[CODE]]
    assert kinds == (["text2video", "image2video"] if name == "kinds" else ["video"])


@pytest.mark.parametrize(("name", "kind"), [("an id", "video"), ("kinds", "text2video"), ("kinds", "image2video")])
def test_the_simulator_plays_the_rendered_samples(
    name: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out of the package, by the hook that is rendered with a submit; each kind, to its file and to its failure."""
    write(render("klong", {**named(KLING), **SUBMITS[name]}), tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("vidpoll_klong")
    fields = {"image": "https://a.example/a.png"} if "image" in kind else {"prompt": "a lighthouse at dusk"}
    try:
        with simulate("klong", plugins=[module], instant=True) as simulation:
            client = simulation.client()
            job = client.wait(client.submit("klong", kind, **fields))
            assert (job.stage, len(client.download(job, tmp_path / "clips"))) == ("succeed", 1)
            simulation.fail_next("klong", message="no paint")
            with pytest.raises(JobFailed, match="no paint"):
                client.wait(client.submit("klong", kind, **fields))
    finally:
        del sys.modules["vidpoll_klong"]


def test_what_ends_a_job_is_rendered_where_there_is_a_sample_of_it(tmp_path: Path) -> None:
    """A delete with its flag, and a cancel."""
    files = render("klong", RENDERED["ends"])
    assert 'declare.delete("DELETE /videos/{id}", JOB, done="data.deleted")' in files[CODE]
    assert 'declare.cancel("POST /videos/{id}/cancel", JOB)' in files[CODE]
    assert list(failures(files, "klong", tmp_path)) == ["nothing_is_left_to_decide"]


def test_an_id_of_another_name_stands_in_lists_too(tmp_path: Path) -> None:
    """Where a submit names the job otherwise than its status does."""
    rows = {"data": [{"id": "w1", "status": "processing"}], "next_token": None}
    files = render("wavespell", {**named(WAVESPEED), "submit.json": {"data": {"video_id": "w1"}}, "list.json": rows})
    assert 'id=("id", "video_id")' in files["vidpoll_wavespell/__init__.py"]
    assert list(failures(files, "wavespell", tmp_path)) == ["nothing_is_left_to_decide"]


def test_a_sample_that_the_tables_refuse_says_so(tmp_path: Path) -> None:
    """An empty page is a page; an answer that says nothing, or that is a refusal, is expected to raise."""
    more = {
        "empty.json": {"code": 0, "data": []},
        "list.json": {"code": 0, "data": [KLING[0]["data"]]},
        "cancel-late.json": {"code": 7, "message": "It is over."},
        "delete.json": {"code": 0, "deleted": True},
        "delete-late.json": {"code": 0},
        "error-504.json": {"code": 9},
    }
    files = render("klong", {**named(KLING), **more})
    rows = {row["file"]: row for row in json.loads(files["vidpoll_klong/samples/index.json"])["samples"]}
    assert [(rows[file]["operation"], rows[file]["expect"]) for file in more if file != "list.json"] == [
        ("list", {"rows": [], "next": None}),
        ("cancel", {"raises": "Refused", "kind": "unknown", "category": None}),
        ("delete", {}),
        ("delete", {"raises": "Malformed"}),
        ("error", {"message": "HTTP 504", "code": "9", "category": "internal"}),
    ]
    assert list(failures(files, "klong", tmp_path)) == ["nothing_is_left_to_decide"]


@pytest.mark.parametrize(
    ("file", "body", "said"),
    [
        (
            "failed.json",
            {"code": 0, "data": {"task_id": "k1", "task_status": "failed", "error": {"code": "E7", "message": "No."}}},
            'category of failure is its code? Set problem=declare.problems({"E7": "CATEGORY"}) of the Reader.',
        ),
        ("cancel-late.json", {"code": 7}, 'its code? Set kinds={"CODE": "CATEGORY"} of the Envelope.'),
        ("error-504.json", {"code": 9}, 'its code? Set error=declare.refusals({"9": "CATEGORY"}) of the Provider.'),
    ],
)
def test_a_code_is_a_question_that_names_its_table(file: str, body: Any, said: str) -> None:
    """The author reads where the category of a code is written, and not only that one is missing."""
    files = render("klong", {**named(KLING), file: body})
    rows = {row["file"]: row for row in json.loads(files["vidpoll_klong/samples/index.json"])["samples"]}
    assert said in rows[file]["note"]


def test_a_new_environment_is_thought_of() -> None:
    """README and CI install vidpoll first; no index is asked for what is on none yet."""
    files = render("acme")
    first = "first install vidpoll, which is not on a package index yet (in a clone of vidpoll: pip install .)"
    steps = files[".github/workflows/ci.yml"]
    assert first in files["README.md"]
    assert "vidpoll is not on a package index yet" in steps
    assert steps.index("pip install 'vidpoll @ git+") < steps.index("pip install '.[test]'")
    assert not any("pip install vidpoll-" in text for text in files.values())


def test_what_cannot_be_played_is_not_named() -> None:
    """The hook of the simulator is there where a submit, a completed and a failed job are."""
    assert "vidpoll_simulators" in render("acme")["vidpoll_acme/__init__.py"]
    for samples in (KLING, [*KLING[:3], {"data": {"task_id": "k1"}}]):
        assert "vidpoll_simulators" not in render("klong", named(samples))[CODE]


RENDERED = {
    **{name: named(bodies) for name, bodies in SHAPES.items()},
    **{name: {**named(KLING), **more} for name, more in SUBMITS.items()},
    "long": {**named(KLING), f"submit-{'very-' * 8}long-image.json": KLING[0],
             "list.json": {"code": 0, "result_of_the_query": {"all_of_the_jobs": [KLING[0]["data"]], "page": 1,
                           "total_pages": 1, "page_size": 1}}},
    "ends": {**named(KLING), "delete.json": {"code": 0, "data": {"deleted": True}}, "cancel.json": {"code": 0}},
    "quotes": named([{"status": word, "id": "7"} for word in ("it's", 'a"b', "a\\b", "é", "\ud800", "\U0001f600")]),
}  # fmt: skip


@pytest.mark.parametrize("name", RENDERED)
def test_the_code_is_formatted_and_typed(name: str, tmp_path: Path) -> None:
    """As ruff formats and checks it, and as mypy --strict checks it, where they are installed."""
    pytest.importorskip("ruff")
    pytest.importorskip("mypy")
    folder = write(render("klong", RENDERED[name]), tmp_path)
    assert tool(folder, "ruff", "format", "--check", "--no-cache", ".") == ""
    assert tool(folder, "ruff", "check", "--no-cache", ".") == ""
    if name in ("kinds", "long"):
        assert tool(folder, "mypy", "--strict", "--cache-dir", os.devnull, "vidpoll_klong") == ""


def tool(folder: Path, *command: str) -> str:
    """What a tool has to say against a folder."""
    command = (sys.executable, "-m", *command)
    home = Path(vidpoll.__file__).parents[1]  # mypy does not see what is installed as editable
    environ = os.environ if home.name == "site-packages" else {**os.environ, "MYPYPATH": str(home)}
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=240, check=False)
    return "" if done.returncode == 0 else done.stdout


def test_what_is_guessed() -> None:
    """The job's word and not the envelope's, what known words mean, files in lists, fractions, times, codes."""
    klong = guess(named(KLING))
    assert klong.reader == {
        "status": "task_status",
        "id": "task_id",
        "files": {"video": "task_result.videos[].url"},
        "reason": "task_status_msg",
    }
    assert klong.envelope == {"under": "data", "code": "code", "message": "message"}
    assert list(klong.words.values()) == [State.QUEUED, State.RUNNING, State.COMPLETED, State.FAILED]
    runway = guess(named(RUNWAY))
    assert runway.reader == {
        "status": "status",
        "full": 1.0,
        "files": {"video": "output"},
        "created_at": "createdAt",
        "reason": "failure",
        "code": "failureCode",
    }
    assert guess(named(PIXVERSE)).words == {5: State.RUNNING, 1: State.RUNNING, 8: State.RUNNING}
    assert guess(named(PIXVERSE)).sure == frozenset()
    assert guess(named(PIXVERSE)).envelope == {"under": "Resp", "code": "ErrCode"}
    wavespeed = guess(named(WAVESPEED))
    assert (wavespeed.reader, wavespeed.envelope["ok"]) == ({"status": "status", "files": {"video": "outputs"}}, (200,))
    assert guess({**named(KLING), "webhook.json": KLING[0]["data"]}).envelope == {
        **klong.envelope,
        "under": ("data", ""),
    }
    assert guess(named(DASHSCOPE)).envelope == {"under": "output"}
    mixed = guess({"a.json": {"status": "done", "out": [{"url": URL}]}, "b.json": {"status": "done", "out": [URL]}})
    assert mixed.reader["files"] == {"video": ("out[].url", "out")}
    files = [{"type": "image", "url": "https://a.example/a.jpg"}, {"type": "video", "url": URL}]
    typed = guess({"done.json": {"status": "done", "out": {"files": files}}})
    assert typed.reader["files"] == {"video": "out.files[type=video].url", "thumbnail": "out.files[type=image].url"}


JOB = {"data": {"id": "7", "state": "ok"}}


@pytest.mark.parametrize(
    ("file", "body", "operation", "reader", "envelope"),
    [
        ("submit.json", {"data": {"id": "7"}}, "submit video", {}, {"under": "data"}),
        ("a.json", {"data": {"id": "7"}}, "submit video", {}, {"under": "data"}),
        ("submit-text2video-202.json", {"id": "7"}, "submit text2video", {}, {"under": ("data", "")}),
        ("i2v-created.json", {"data": {"task_id": "7"}}, "submit i2v", {"id": ("id", "task_id")}, {"under": "data"}),
        ("a.json", {"request_id": "7", "message": "no"}, "error", {}, {"under": "data"}),
        ("submit.json", {"request_id": "7"}, "submit video", {"id": ("id", "request_id")}, {"under": ("data", "")}),
        ("a.json", {"id": "7", "error": "no"}, "error", {}, {"under": "data"}),
        ("a.json", {"data": {"id": "7", "deleted": True}}, "delete", {}, {"under": "data"}),
        ("delete.json", {"message": "ok"}, "delete", {}, {"under": "data"}),
        ("cancel-1.json", {}, "cancel", {}, {"under": "data"}),
        ("error-402.json", {"data": {"state": "no credits"}}, "error", {}, {"under": "data"}),
        ("a.json", {"jobs": [JOB["data"]]}, "list", {}, {"under": "data"}),
        ("a.json", {"jobs": [{"id": 7}]}, "error", {}, {"under": "data"}),
        ("status-failed-with-error.json", {"data": {"state": "ok"}}, "status", {}, {"under": "data"}),
        ("an-error.json", {"data": {"id": "7", "state": "ok"}}, "status", {}, {"under": "data"}),
        ("status-created.json", {"data": {"id": "7", "state": "ok"}}, "status", {}, {"under": "data"}),
        ("webhook.json", {"id": "7", "state": "ok"}, "status", {}, {"under": ("data", "")}),
        ("submit-clip.json", {"code": 0, "data": {"ticket": "T-1"}}, "submit clip", {}, {"under": "data"}),
        ("submit-402.json", {"ticket": "T-1"}, "error", {}, {"under": "data"}),
        ("submit-busy.json", {"request_id": "7", "code": 5, "message": "no"}, "error", {}, {"under": "data"}),
    ],
)
def test_what_a_sample_answers(file: str, body: Any, operation: str, reader: Any, envelope: Any) -> None:
    """An id alone is a submit, a list of jobs a list, what names no job an error; the file tells the kind."""
    found = guess({"done.json": JOB, file: body})
    assert (found.operations[file], found.envelope) == (operation, envelope)
    assert found.reader == {"status": "state", **reader}
    assert found.words == {"ok": State.COMPLETED}


@pytest.mark.parametrize(
    ("rest", "pages"),
    [
        ({}, {}),
        ({"next": None}, {"next": "next"}),
        ({"meta": {"next_cursor": "c2", "has_more": True}}, {"next": "meta.next_cursor", "more": "meta.has_more"}),
        ({"page": 1, "page_size": 1, "total": 2}, {"current": "page", "total": "total", "per_page": "page_size"}),
        ({"page": 1, "total_pages": 2}, {"current": "page", "last": "total_pages"}),
    ],
)
def test_a_list_is_rendered_where_there_is_a_sample_of_one(rest: Any, pages: Any, tmp_path: Path) -> None:
    """By token or by number; the last page is invented where no sample shows it, and the contract walks to it."""
    samples = {**named(WAVESPEED), "jobs.json": {"code": 200, "items": [WAVESPEED[1]["data"], {"id": "w2"}], **rest}}
    assert guess(samples).pages == {"rows": "items", **pages}
    files = render("wavespell", samples)
    assert list(failures(files, "wavespell", tmp_path)) == ["nothing_is_left_to_decide"]
    rows = json.loads(files["vidpoll_wavespell/samples/index.json"])["samples"]
    lists = [(row["file"], row.get("token")) for row in rows if row["operation"] == "list"]
    assert (
        lists
        == [("jobs.json", None), ("jobs-last.json", rows[4]["expect"]["next"])][: 1 if rest == {"next": None} else 2]
    )


def test_a_word_that_nobody_knows_is_marked() -> None:
    """A guess that a word means running is for its author to confirm."""
    lines = render("acme", named([{"status": "frobbing"}]))["vidpoll_acme/__init__.py"].splitlines()
    at = lines.index('    "frobbing": State.RUNNING,')
    assert lines[at - 1] == "    # DECIDE: what does this word mean?"


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
        [{"status": 0}],
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


@pytest.mark.slow
def test_its_own_tests_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As an author runs them: by the command, from files, with the plugin found by its entry point."""
    for name, body in named(RUNWAY).items():
        (tmp_path / name).write_text(json.dumps(body), encoding="utf-8")
    samples = [str(tmp_path / name) for name in named(RUNWAY)]
    assert main(["new-plugin", "reelgo", "--to", str(tmp_path), "--from-sample", *samples]) == 0
    said = capsys.readouterr().out
    folder = tmp_path / "vidpoll-reelgo"
    assert "places marked DECIDE" in said
    assert "in a new environment, first install vidpoll" in said
    assert f'cd "{folder}"' in said
    site = write(
        {
            "vidpoll_reelgo-0.1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: vidpoll-reelgo\nVersion: 0.1.0\n",
            "vidpoll_reelgo-0.1.0.dist-info/entry_points.txt": "[vidpoll]\nreelgo = vidpoll_reelgo:vidpoll_providers\n",
        },
        tmp_path / "site",
    )
    done = run(folder, PYTHONPATH=os.pathsep.join([str(site), str(folder)]))
    failed = [line.split(" - ")[0] for line in done.stdout.splitlines() if line.startswith("FAILED")]
    assert failed == ["FAILED tests/test_reelgo.py::TestContract::test_nothing_is_left_to_decide"], done.stdout
    for path in [path for path in folder.rglob("*") if path.suffix in (".py", ".json")]:
        path.write_text(path.read_text(encoding="utf-8").replace("DECIDE: ", ""), encoding="utf-8")
    done = run(folder, PYTHONPATH=os.pathsep.join([str(site), str(folder)]))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["Acme"],
            "NAME must be lower-case letters, digits, '_' and '-', beginning with a letter (at most 40), got 'Acme'",
        ),
        (["vidpoll-acme"], "NAME must be the provider's name: 'acme'"),
        (["../acme"], "got '../acme'"),
        (["there"], "already exists"),
        (["acme", "--from-sample", "none.json"], "cannot read 'none.json'"),
        (["acme", "--from-sample", "html.json"], "'html.json' is not JSON"),
        (["acme", "--from-sample", "index.json"], "rename one"),
        (["acme", "--from-sample", "a.json", "a.json"], "rename one"),
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
