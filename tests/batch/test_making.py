"""Rows of a batch: what columns mean, what cells say, and that all that is wrong is told at once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

import vidpoll
from vidpoll import declare
from vidpoll.batch import files
from vidpoll.batch.making import Builder, Defaults, make_rows
from vidpoll.batch.rows import Row, RowProblem
from vidpoll.batch.source import read

PNG = b"\x89PNG\r\n\x1a\n"
RULES: dict[str, dict[str, declare.Rule]] = {
    "t2v": {"prompt": declare.text(), "seed": declare.whole(), "count": declare.whole(), "loop": declare.flag()},
    "i2v": {"image": declare.image(), "tail": declare.image(), "prompt": declare.text()},
    "any": {
        "story": declare.anything(),
        "duration": declare.whole(1),
        "settings": declare.object(),
        "images": declare.list(),
    },
}
NEEDED: dict[str, declare.Needed] = {"t2v": ("prompt",), "i2v": ("image",), "any": ()}
OTHERS = {"any": declare.anything()}


def rules_of(account: str, kind: str) -> dict[str, declare.Rule]:
    if account != "acme":
        raise vidpoll.UnknownProvider(f"no provider {account!r}: did you mean 'acme'?")
    if kind not in RULES:
        raise vidpoll.Unsupported(f"acme: no submit operation {kind!r}; it has: {', '.join(RULES)}")
    return RULES[kind]


def operation(account: str, kind: str) -> vidpoll.Operation[Any]:
    rules = rules_of(account, kind)
    words = declare.described(rules, NEEDED[kind], OTHERS.get(kind))
    texts = frozenset({"story"} & {*rules})
    return vidpoll.Operation(MagicMock(), MagicMock(), fields=words, texts=texts)


def build(account: str, kind: str, fields: Mapping[str, Any]) -> object:
    return declare.take(f"submit {kind}", fields, rules_of(account, kind), NEEDED[kind], OTHERS.get(kind))


ACME = Builder(operation, build)


def rows(folder: Path, text: str, name: str = "shots.csv", **defaults: Any) -> list[Row]:
    (folder / name).write_text(text, encoding="utf-8", newline="")
    return make_rows(read(folder / name), ACME, Defaults(**{"account": "acme", "kind": "t2v", **defaults}))


def told(folder: Path, text: str, name: str = "shots.csv", **defaults: Any) -> list[tuple[str, str, str]]:
    with pytest.raises(vidpoll.BatchInvalid) as caught:
        rows(folder, text, name, **defaults)
    assert all(isinstance(each, RowProblem) for each in caught.value.problems)
    return [tuple(each) for each in caught.value.problems]


def fields(folder: Path, text: str, name: str = "shots.csv", **defaults: Any) -> list[Mapping[str, Any]]:
    return [row.fields for row in rows(folder, text, name, **defaults)]


# -- cells ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cell", ["2024", "1e5", "true", "TRUE", "null", "[1, 2]", '""quoted""', "@image1 walks", "@@", "NaN", "~/x", "{}"]
)
def test_a_prompt_is_text_whatever_it_looks_like(tmp_path: Path, cell: str) -> None:
    """Cells are literal: where the plugin takes text, text is what it gets, also one in quotation marks."""
    text = cell.replace('""', '"')
    assert fields(tmp_path, f'prompt,seed\n"{cell}",7\n') == [{"prompt": text, "seed": 7}]


def test_a_field_that_the_provider_calls_text(tmp_path: Path) -> None:
    """Its cell is never read as anything else, whatever the builder would take."""
    assert fields(tmp_path, "story,other\n7,7\n", kind="any") == [{"story": "7", "other": 7}]


def test_a_cell_is_what_the_plugin_takes(tmp_path: Path) -> None:
    """Numbers and truth values are these where the plugin takes them, as spreadsheets write them; empty is none."""
    text = "prompt,seed,loop\na, 7 ,TRUE\nb,,False\nc,-1,true\n"
    assert fields(tmp_path, text) == [
        {"prompt": "a", "seed": 7, "loop": True},
        {"prompt": "b", "loop": False},
        {"prompt": "c", "seed": -1, "loop": True},
    ]


def test_marks_of_columns(tmp_path: Path) -> None:
    """`:text` is not typed, `:json` is JSON and may be null or a text; other colons are part of the name."""
    text = 'a:text,b:json,c,d:e,duration\n7,"""7""",7,x,\n'
    assert fields(tmp_path, text, kind="any") == [{"a": "7", "b": "7", "c": 7, "d:e": "x"}]


def test_columns_inside_one_another(tmp_path: Path) -> None:
    """`a.b.0` is a field in an object and a list; it goes into what all rows share, and leaves that as it was."""
    given = {"settings": {"mode": "std", "audio": False}, "images": ["x"]}
    text = "settings.mode,settings.size.w,images.0,images.1,images.2\npro,7,a,b,\n,,,,\n,,c,,\n"
    made = fields(tmp_path, text, kind="any", fields=given)
    assert made == [
        {"settings": {"mode": "pro", "audio": False, "size": {"w": 7}}, "images": ["a", "b"]},
        {"settings": {"mode": "std", "audio": False}, "images": ["c"]},
    ]
    assert given == {"settings": {"mode": "std", "audio": False}, "images": ["x"]}


def test_a_name_with_dots_that_the_provider_has() -> None:
    """Where fields are called `6.text` (a workflow's), a column of that name is the field."""
    workflow = vidpoll.Operation(MagicMock(), MagicMock(), fields={"workflow": "a mapping", "NODE.INPUT": "a value"})
    builder = Builder(lambda *call: workflow, lambda *call: None)
    source = read([{"6.text": "a", "workflow.x": 1}])
    assert [row.fields for row in make_rows(source, builder, Defaults("comfy", "workflow"))] == [
        {"6.text": "a", "workflow": {"x": 1}}
    ]


def test_own_columns_and_the_providers(tmp_path: Path) -> None:
    """key, account, kind, count and file are the batch's; `fields.count` is the provider's; `#notes` is nobody's."""
    text = "key,account,kind,count,file,fields.count,prompt,#notes\nk,acme,t2v,1,{key},3,a,for me\n"
    (row,) = rows(tmp_path, text, account="other", kind="other")
    assert (row.key, row.account, row.kind, row.file, row.place) == ("k#1", "acme", "t2v", "{key}", "row 2")
    assert row.fields == {"prompt": "a", "count": 3}
    assert row.cells["#notes"] == "for me"


def test_json_values_are_what_they_are(tmp_path: Path) -> None:
    """No text becomes a number there; null is not given; an object `fields` is the fields."""
    text = '{"key": 7, "prompt": "2024", "seed": null}\n{"prompt": "a", "count": 2, "fields": {"count": 3, "seed": 1}}'
    first, *takes = rows(tmp_path, text, "a.jsonl")
    assert (first.key, first.fields, first.cells) == (
        "7",
        {"prompt": "2024"},
        {"key": "7", "prompt": "2024", "seed": ""},
    )
    assert [take.fields for take in takes] == [{"prompt": "a", "count": 3, "seed": 1}] * 2
    assert told(tmp_path, '{"prompt": "a", "seed": "7"}', "a.jsonl") == [
        ("line 1", "seed", "seed='7': it must be a whole number")
    ]


def test_a_row_comes_before_the_call(tmp_path: Path) -> None:
    """account, kind and fields of the call are for rows that say nothing themselves."""
    text = "kind,prompt,seed\n,a,\nt2v,,9\nany,,\n"
    made = rows(tmp_path, text, fields={"prompt": "all", "seed": 1})
    assert [(row.kind, row.fields) for row in made] == [
        ("t2v", {"prompt": "a", "seed": 1}),
        ("t2v", {"prompt": "all", "seed": 9}),
        ("any", {"prompt": "all", "seed": 1}),
    ]


# -- files ------------------------------------------------------------------------------------------------------------


def test_files_of_the_batchs_folder(tmp_path: Path) -> None:
    """A file is named relative to the batch's file, as Windows does, too; the row holds its whole path and its hash."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(PNG)
    made = rows(tmp_path, "image:file\nin/a.png\nin\\a.png\nin/../in/a.png\n", kind="i2v")
    path = (tmp_path / "in" / "a.png").resolve()
    assert [row.fields for row in made] == [{"image": path}] * 3
    assert [row.inputs for row in made] == [{"image": hashlib.sha256(PNG).hexdigest()}] * 3
    assert len({row.digest for row in made}) == 1


def test_no_file_of_anywhere_else(tmp_path: Path) -> None:
    """A sheet of a colleague's reads nothing outside its folder: not by its path, not through a link."""
    home, folder = tmp_path / "home", tmp_path / "home" / "shots"
    folder.mkdir(parents=True)
    (home / "id_rsa").write_bytes(PNG)
    (home / "shots2").mkdir()
    (home / "shots2" / "x").write_bytes(PNG)
    (folder / "link.png").symlink_to(home / "id_rsa")
    (folder / "up").symlink_to(home)
    (folder / "loop").symlink_to(folder / "loop")
    os.mkfifo(folder / "pipe")
    paths = [
        "../id_rsa", str(home / "id_rsa"), "~/id_rsa", "link.png", "up/id_rsa", "a/../../id_rsa", "../shots2/x",
        "..\\id_rsa", "C:\\id_rsa", "c:id_rsa", "\\\\host\\share", "loop", "pipe", ".", "no.png", "x" * 5000,
        "file:///etc/passwd",
    ]  # fmt: skip
    problems = told(folder, "\n".join(["image:file", *paths]), kind="i2v")
    assert [place for place, _, _ in problems] == [f"row {number}" for number in range(2, len(paths) + 2)]
    assert {column for _, column, _ in problems} == {"image:file"}


def test_a_hidden_file_is_read_for_nobody(tmp_path: Path) -> None:
    """A sheet that lies in somebody's home has the keys of that home below it."""
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "id.png").write_bytes(PNG)
    (tmp_path / ".env").write_bytes(PNG)
    (tmp_path / "link.png").symlink_to(tmp_path / ".ssh" / "id.png")
    problems = told(tmp_path, "image:file\n.ssh/id.png\n./.env\nlink.png\n", kind="i2v")
    assert [message.partition("; ")[0] for _, _, message in problems] == [
        "'.ssh/id.png' is hidden and may hold a key",
        "'./.env' is hidden and may hold a key",
        "'link.png' is hidden and may hold a key",
    ]


def test_values_of_a_program_may_name_any_file(tmp_path: Path) -> None:
    """A Path in a value, or in the fields of the call, was written by whoever runs the program."""
    (tmp_path / "a.png").write_bytes(PNG)
    source = read([{"prompt": "a"}, {"image": PNG}])
    made = make_rows(source, ACME, Defaults("acme", "i2v", fields={"image": tmp_path / "a.png"}))
    assert [row.fields for row in made] == [{"image": tmp_path / "a.png", "prompt": "a"}, {"image": PNG}]
    assert made[0].inputs == made[1].inputs
    assert made[1].cells == {"image": "8 bytes"}


def test_a_file_is_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One picture of a thousand rows is read once for its hash, and anew where it has changed."""
    hashed: list[Path] = []
    real = files._hashed
    monkeypatch.setattr(files, "_hashed", lambda path: [hashed.append(path), real(path)][1])
    (tmp_path / "a.png").write_bytes(PNG)
    before = rows(tmp_path, "image:file,prompt\na.png,a\na.png,b\na.png,c\n", kind="i2v")
    assert len(hashed) == 1
    (tmp_path / "a.png").write_bytes(PNG + b"other")
    after = rows(tmp_path, "image:file,prompt\na.png,a\na.png,b\na.png,c\n", kind="i2v")
    assert {row.digest for row in before}.isdisjoint(row.digest for row in after)


def test_a_large_file_is_sent_to_the_plugin_once(tmp_path: Path) -> None:
    """Of one that passed its start is enough; where the plugin refuses that, it sees the whole. No copy is left."""
    (tmp_path / "a.png").write_bytes(PNG + bytes(100_000))
    shown: list[tuple[str, Path, int]] = []

    def picky(account: str, kind: str, fields: Mapping[str, Any]) -> None:
        path = fields["image"]
        shown.append((fields["prompt"], path, path.stat().st_size))
        if fields["prompt"] == "whole" and path.stat().st_size < 100_000:
            raise vidpoll.InvalidField("image: too small")

    source = read([{"image:file": "a.png", "prompt": prompt} for prompt in ("a", "b", "whole")])
    source = replace(source, folder=tmp_path)
    made = make_rows(source, Builder(operation, picky), Defaults("acme", "i2v"))
    assert [(prompt, path.name, size) for prompt, path, size in shown] == [
        ("a", "a.png", 100_008), ("b", "a.png", 65_536), ("whole", "a.png", 65_536), ("whole", "a.png", 100_008),
    ]  # fmt: skip
    assert {row.fields["image"] for row in made} == {(tmp_path / "a.png").resolve()}
    assert not shown[1][1].exists()


def test_pictures_of_a_folder(tmp_path: Path) -> None:
    """The field that takes them is the one that is needed, or the one that was said; else it is asked for."""
    (tmp_path / "a.png").write_bytes(PNG)
    (tmp_path / "a.txt").write_text("the sea", encoding="utf-8")
    path = (tmp_path / "a.png").resolve()
    (row,) = make_rows(read(tmp_path), ACME, Defaults("acme", "i2v"))
    assert (row.key, row.fields) == ("a", {"image": path, "prompt": "the sea"})
    (row,) = make_rows(read(tmp_path), ACME, Defaults("acme", "any", picture="images.0"))
    assert row.fields == {"images": [path], "prompt": "the sea"}
    with pytest.raises(vidpoll.BatchInvalid) as caught:
        make_rows(read(tmp_path), ACME, Defaults("acme", "any"))
    assert "which field of acme/any takes the picture? set picture='image'" in caught.value.message


# -- all that is wrong ------------------------------------------------------------------------------------------------


def test_all_is_told_at_once(tmp_path: Path) -> None:
    """Each wrong cell by row and column: two in one row, too; and of an unknown column its near name, once."""
    text = (
        "key,promt,seed,loop,account,kind,count\n"
        "a,x,q,perhaps,,,\n"
        ",x,1,,acne,,\n"
        "a,y,2,,,t2w,0\n"
        "a,z,3,,,,1001\n"
        ",,4,,,,\n"
        "b\u202e,z,3,,,,\n"
        "c,z,3,,,,two\n"
    )
    assert told(tmp_path, text) == [
        (
            "row 1",
            "promt",
            "acme/t2v lists no field 'promt'; did you mean 'prompt'? (#promt makes it a column for notes)",
        ),
        ("row 2", "seed", "seed='q': it must be a whole number"),
        ("row 2", "loop", "loop='perhaps': it must be True or False"),
        ("row 3", "account", "no provider 'acne': did you mean 'acme'?"),
        ("row 4", "count", "must be a whole number from 1 to 1000, got '0'"),
        ("row 4", "kind", "acme: no submit operation 't2w'; it has: t2v, i2v, any"),
        ("row 5", "count", "must be a whole number from 1 to 1000, got '1001'"),
        ("row 6", "", "submit t2v needs 'prompt': it must be text, not empty"),
        ("row 7", "key", "'b' is not a key: it must be 1 to 200 printable characters on one line"),
        ("row 8", "count", "must be a whole number from 1 to 1000, got 'two'"),
    ]


@pytest.mark.parametrize(
    ("text", "kind", "problem"),
    [
        ("key,prompt\na,x\na,y\n", "t2v", ("row 3", "key", "'a' is also the key of row 2; each row needs its own")),
        (
            "key,prompt\nA,x\na,y\n",
            "t2v",
            ("row 3", "key", ("'a' would also be the file name of row 2 (at least on macOS and Windows); "
              "rename one of the keys")),
        ),
        (
            "key,prompt\ne\u0301/,x\n\u00e9-,y\n",
            "t2v",
            ("row 3", "key", ("'é-' would also be the file name of row 2 (at least on macOS and Windows); "
              "rename one of the keys")),
        ),
        (
            "durration,seed\n5,1\n5,2\n",
            "any",
            (
                "row 1",
                "durration",
                ("acme/any lists no field 'durration'; did you mean 'duration'? "
                 "(fields.durration sends it anyway)"),
            ),
        ),
        ("settings.a.b,settings.a\n1,2\n", "any",
         ("row 2", "", ("settings.a.b cannot be set, because settings.a "
          "is not an object"))),
        ("images.0,images.2\na,b\n", "any",
         ("row 2", "", ("images: the items of a list must begin with images.0 "
          "and have no gap"))),
        ("settings:json\n{\n", "any",
         ("row 2", "settings:json", ("not JSON: Expecting property name enclosed in double quotes: "
          "line 1 column 2 (char 1)"))),
        (".a,b\n1,2\n", "any", ("row 1", ".a", "a part of the field's name is empty")),
        ("prompt,prompt:text\na,b\n", "t2v", ("row 2", "prompt:text", "another column already sets prompt")),
        ("prompt,zzz\na,red\n", "t2v",
         ("row 1", "zzz", ("acme/t2v lists no field 'zzz'; "
          "it takes prompt, seed, count, loop (#zzz makes it a column for notes)"))),
    ],
)  # fmt: skip
def test_one_thing_that_is_wrong(tmp_path: Path, text: str, kind: str, problem: tuple[str, str, str]) -> None:
    """What it is, and the way out; nothing beside it."""
    assert told(tmp_path, text, kind=kind) == [problem]


def test_a_column_that_is_near_and_meant(tmp_path: Path) -> None:
    """`fields.` in front says that a field is called just so."""
    assert fields(tmp_path, "fields.durration\n5\n", kind="any") == [{"durration": 5}]


def test_a_column_beside_the_one_that_it_is_like(tmp_path: Path) -> None:
    """Who has both did not misspell the one."""
    assert fields(tmp_path, "durations,duration\n7,5\n", kind="any") == [{"durations": 7, "duration": 5}]
    assert fields(tmp_path, "durations\n7\n", kind="any", fields={"duration": 5}) == [{"durations": 7, "duration": 5}]
    lines = '{"duration": 5}\n{"durations": 5}\n'
    assert [each[:2] for each in told(tmp_path, lines, "a.jsonl", kind="any")] == [("line 2", "durations")]


def test_a_file_without_its_mark(tmp_path: Path) -> None:
    """Who writes a file's name into a plain column is told how such a column is called."""
    ((place, column, message),) = told(tmp_path, "image\na.png\n", kind="i2v")
    assert (place, column) == ("row 2", "image")
    assert message.endswith("; to give a file, name the column image:file")


def test_what_is_wrong_with_the_call_is_told_once(tmp_path: Path) -> None:
    """A field for all rows is wrong in all rows."""
    assert told(tmp_path, "prompt\na\nb\n", fields={"seed": "q"}) == [
        ("", "seed", "seed='q': it must be a whole number")
    ]
    assert told(tmp_path, "prompt\na\nb\n", account="") == [
        (
            "row 2",
            "",
            ("no account; add a column 'account', or set it for all rows: account=… (vidpoll batch FILE ACCOUNT KIND)"),
        )
    ]


def test_the_message_shows_fifty(tmp_path: Path) -> None:
    """One line each; the error itself has all."""
    with pytest.raises(vidpoll.BatchInvalid) as caught:
        rows(tmp_path, "prompt,seed\n" + "a,q\n" * 60)
    lines = caught.value.message.splitlines()
    assert len(caught.value.problems) == 60
    assert (lines[0], lines[-1], len(lines)) == ("shots: 60 problems, nothing was sent", "  and 10 more", 52)
    assert lines[1] == "  row 2, column seed: seed='q': it must be a whole number"


def test_problems_of_the_file_and_of_its_rows(tmp_path: Path) -> None:
    """Lines that are no rows and rows that are wrong are told together, in their order."""
    text = '{"prompt": "a", "seed": "q"}\nnonsense\n{"prompt": ""}'
    assert [place for place, _, _ in told(tmp_path, text, "a.jsonl")] == ["line 1", "line 2", "line 3"]


def test_too_many_rows() -> None:
    """A count too much in each row is noticed before a hundred thousand videos are."""
    source = read({"prompt": "a", "key": str(number), "count": 1000} for number in range(101))
    with pytest.raises(vidpoll.BatchInvalid) as caught:
        make_rows(source, ACME, Defaults("acme", "t2v"))
    assert "more than 100,000 videos; split them into several batches" in caught.value.message


def test_a_plugin_that_breaks(tmp_path: Path) -> None:
    """An error of vidpoll's is a problem of the row."""

    def broken(*call: object) -> object:
        raise vidpoll.PluginError("acme: the plugin cannot build the request (KeyError: 'x')")

    with pytest.raises(vidpoll.BatchInvalid) as caught:
        make_rows(read([{"prompt": "a"}]), Builder(operation, broken), Defaults("acme", "t2v"))
    assert [each.place for each in caught.value.problems] == ["item 1"]


# -- keys -------------------------------------------------------------------------------------------------------------


def test_keys_by_what_is_sent(tmp_path: Path) -> None:
    """A sorted file, columns in another order and another spelling of one value are the same batch."""
    first = rows(tmp_path, "prompt,seed\na,1\nb,2\na,1\nc,\n")
    again = rows(tmp_path, "seed,prompt\n,c\n2.0e0,b\n1,a\n1,a\n".replace("2.0e0", "2"))
    assert {row.key: row.fields for row in first} == {row.key: row.fields for row in again}
    assert len({row.key for row in first}) == 4
    assert all(len(row.key) == 12 and int(row.key, 16) >= 0 for row in first)


def test_takes(tmp_path: Path) -> None:
    """`count` makes `key#1` …; a larger count later keeps those that there are."""
    four = rows(tmp_path, "key,prompt,count\na,x,4\n")
    assert [row.key for row in four] == ["a#1", "a#2", "a#3", "a#4"]
    less, more = (rows(tmp_path, f"prompt,count\nx,{count}\n") for count in (1, 3))
    assert [row.key for row in more][:1] == [row.key for row in less]


def test_equal_rows_with_names_of_their_own(tmp_path: Path) -> None:
    """Which of two equal takes is which follows from their file names, wherever they stand."""
    text = ["a,second", "a,first"]
    one, other = (rows(tmp_path, "\n".join(["prompt,file", *lines])) for lines in (text, text[::-1]))
    assert {row.file: row.key for row in one} == {row.file: row.key for row in other}
