"""The report and the sidecars: whole, safe to open, and without anything secret."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

import vidpoll
from vidpoll.batch import sidecar
from vidpoll.batch.progress import RowResult
from vidpoll.batch.report import EVERY, Report
from vidpoll.batch.rows import Row
from vidpoll.model import Snapshot, State

CELLS = {"key": "a", "prompt": 'said "no",\nand left', "file": "{key}", "note": "=HYPERLINK(1)"}
ROW = Row("a", "shop", "clip", {"prompt": "x"}, "d", "row 2", cells=CELLS)
FAILED = RowResult(
    "a", "failed", ROW, vidpoll.Job("shop:1"), vidpoll.Cost(1_234_567.75, 0.5, "USD"), problem="@boom", attempts=2
)


def test_a_sheet_has_the_inputs_columns_and_ours_and_no_formula(tmp_path: Path) -> None:
    """A cell that a spreadsheet would run begins with a quote; a column of ours that the input has keeps its own."""
    report = Report(tmp_path / "deep" / "out.csv")
    report.write([FAILED], 0.0)
    with report.path.open(newline="", encoding="utf-8-sig") as file:
        (row,) = csv.DictReader(file)
    assert row == {
        "prompt": 'said "no",\nand left',
        "input.file": "{key}",
        "note": "'=HYPERLINK(1)",
        "key": "a",
        "state": "failed",
        "why": "",
        "ref": "shop:1",
        "file": "",
        "cost": "1234567.25",
        "unit": "USD",
        "attempts": "2",
        "problem": "'@boom",
    }
    assert [path.name for path in report.path.parent.iterdir()] == ["out.csv"]


ADDED = ["state", "why", "ref", "file", "cost", "unit", "attempts", "problem"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize(
    ("cells", "names"),
    [
        ({"prompt": "x", "key": "a", "#notes": "y"}, ["prompt", "key", "#notes"]),
        ({"prompt": "x", "state": "y"}, ["key", "prompt", "input.state"]),
    ],
)
def test_it_has_the_sheets_delimiter_and_order(
    tmp_path: Path, delimiter: str, cells: dict[str, str], names: list[str]
) -> None:
    """The key stays where the sheet has it, or is first; the columns of the outcome are the last."""
    result = replace(FAILED, key="a#1", row=replace(ROW, cells=cells))
    report, lines = Report(tmp_path / "out.csv", None, delimiter), Report(tmp_path / "out.jsonl")
    report.write([result], 0.0)
    lines.write([result], 0.0)
    data = report.path.read_bytes()
    assert data.startswith(b"\xef\xbb\xbf" + delimiter.join(names).encode() + delimiter.encode())
    header, row = csv.reader(data.decode("utf-8-sig").splitlines(), delimiter=delimiter)
    assert (header, row[header.index("key")]) == (names + ADDED, "a#1")
    assert list(json.loads(lines.path.read_text("utf-8"))) == names + ADDED


@pytest.mark.parametrize("written", [",", ";", "\t"])
@pytest.mark.parametrize("read", [",", ";", "\t"])
def test_no_cell_is_a_formula_whatever_delimiter_is_expected(tmp_path: Path, written: str, read: str) -> None:
    """Also if a spreadsheet takes a part of a text for a cell of its own."""
    ends, signs = (",", ";", "\t", "\n", "\r\n"), ("=", "+", "-", "@", '"=', '""=')
    texts = [f"x{end}{sign}1+1{end}y" for end in ends for sign in signs]
    cells = {f"{n}": text for n, text in enumerate(["=1", "\t=1", "\r=1", *texts])}
    report = Report(tmp_path / "out.csv", None, written)
    report.write([replace(FAILED, row=replace(ROW, cells=cells))], 0.0)
    text = report.path.read_bytes().decode("utf-8-sig")
    found = [cell for line in re.split(r"[\r\n]+", text) for cell in line.split(read)]
    assert [cell for cell in found if cell.strip('"').startswith(("=", "+", "-", "@"))] == []


def test_lines_of_json(tmp_path: Path) -> None:
    report = Report(tmp_path / "out.jsonl")
    report.write([FAILED, RowResult("b", "waiting", ROW, why="budget")], 0.0)
    one, two = map(json.loads, report.path.read_text("utf-8").splitlines())
    assert (one["cost"], one["file"], one["problem"]) == (1_234_567.25, [], "@boom")
    assert (two["state"], two["why"], two["cost"], two["ref"]) == ("waiting", "budget", None, "")


def test_it_is_written_at_most_once_a_second(tmp_path: Path) -> None:
    report = Report(tmp_path / "out.csv")
    assert report.due(7.0)
    report.write([FAILED], 7.0)
    assert [report.due(7.0 + EVERY / 2), report.due(7.0 + EVERY)] == [False, True]


@pytest.mark.parametrize("name", ["out.txt", "out", "in.csv", "link.csv"])
def test_a_report_is_no_other_file_and_never_the_input(tmp_path: Path, name: str) -> None:
    (tmp_path / "in.csv").write_text("prompt\nx\n")
    (tmp_path / "link.csv").symlink_to(tmp_path / "in.csv")
    with pytest.raises(vidpoll.UsageError, match=r"must end in|must not be the input"):
        Report(tmp_path / name, str(tmp_path / "in.csv"))


def test_a_sidecar_holds_what_was_sent_and_no_secret(tmp_path: Path) -> None:
    """Files as hashes, URLs without what signs them, no key; what the provider says of seed and prompt is found."""
    path = tmp_path / "a.mp4"
    path.write_bytes(b"film")
    job = vidpoll.Job("shop:1", submitted_at=5.0)
    raw = {"data": {"task": [{"seed": 7, "revised_prompt": "a lighthouse, at dusk"}]}}
    job.receive(Snapshot(State.RUNNING, raw=raw), 6.0)
    url = "https://cdn.example/a.png?X-Amz-Signature=abcdef0123456789"
    fields = {"prompt": "p" * 900, "image": url, "note": "key-0123456789abcdef", "clip": b"bytes"}
    row = Row("a", "shop", "clip", fields, "d", "row 2", inputs={"image": "00ff"})
    told = sidecar.contents(row, job, attempt=2, path=path, cost={"charged": 1.0}, secrets=("key-0123456789abcdef",))
    place = sidecar.write(path, told)
    assert place == tmp_path / "a.mp4.json"
    text = place.read_text("utf-8")
    assert json.loads(text) == json.loads(json.dumps(told))
    assert (told["seed"], told["revised_prompt"], told["attempts"]) == (7, "a lighthouse, at dusk", 2)
    assert (told["fields"]["prompt"], told["inputs"], told["submitted_at"]) == ("p" * 900, {"image": "00ff"}, 5.0)
    assert told["sha256"] == sidecar.sha256(path)
    assert "abcdef0123456789" not in text.replace(told["sha256"], "")


def test_two_that_write_one_file_are_not_in_each_others_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two threads, or two hosts on one folder: each has a file of its own until it is whole."""
    place, others = tmp_path / "a.mp4.json", [b"two"]

    def meanwhile(number: int) -> None:
        while others:
            sidecar.replace_with(place, others.pop())

    monkeypatch.setattr("vidpoll.batch.sidecar.os.fsync", meanwhile)
    sidecar.replace_with(place, b"one")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a.mp4.json": b"one"}
