"""Where rows come from: files of all sorts, standard input, folders, and values of a program."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import vidpoll
from vidpoll.batch.rows import RowProblem
from vidpoll.batch.source import PICTURE, Record, Source, read


def written(folder: Path, name: str, text: str, encoding: str = "utf-8") -> Path:
    (folder / name).write_text(text, encoding=encoding, newline="")
    return folder / name


@pytest.mark.parametrize(
    ("name", "text", "encoding", "delimiter"),
    [
        ("shots.csv", "prompt,seed\na,7\n", "utf-8", ","),
        ("shots.csv", "prompt;seed\r\na;7\r\n", "utf-8-sig", ";"),
        ("shots.tsv", "prompt\tseed\na\t7\n", "utf-8", "\t"),
        ("shots.txt", "prompt\tseed\r\na\t7\r\n", "utf-16", "\t"),
        ("shots.dat", "prompt,seed\na,7\n", "utf-8", ","),
        ("shots.csv", "sep==\nprompt=seed\na=7\n", "utf-8", ","),
    ],
)
def test_tables(tmp_path: Path, name: str, text: str, encoding: str, delimiter: str) -> None:
    """Cells are text as it was typed; the batch is called like the file, and paths begin where it lies."""
    record = Record("row 2", {"prompt": "a", "seed": "7"})
    found = read(written(tmp_path, name, text, encoding))
    assert found == Source("shots", tmp_path, (record,), header="row 1", delimiter=delimiter)


def test_json(tmp_path: Path) -> None:
    """An array of objects, or one object a line: values are what they are."""
    array = written(tmp_path, "a.json", '[{"prompt": "a", "seed": 7}, {"prompt": "b"}]')
    lines = written(tmp_path, "b.jsonl", '{"prompt": "a", "seed": 7}\r\n\r\n{"prompt": "b"}\n')
    values = ({"prompt": "a", "seed": 7}, {"prompt": "b"})
    assert read(array) == Source("a", tmp_path, tuple(map(Record, ("item 1", "item 2"), values)), typed=True)
    assert read(lines) == Source("b", tmp_path, tuple(map(Record, ("line 1", "line 3"), values)), typed=True)
    assert read(str(lines)) == read(lines)


def test_json_that_is_wrong_in_places(tmp_path: Path) -> None:
    """All lines are told, and the good ones are read."""
    text = '{"a": 1, "a": 2}\n{"a": NaN}\n3\n{"a": 1}\n{"a": \n' + "[" * 100_000
    source = read(written(tmp_path, "a.jsonl", text))
    assert source.records == (Record("line 4", {"a": 1}),)
    assert source.problems == (
        RowProblem("line 1", "", "not JSON: 'a' occurs twice in one object"),
        RowProblem("line 2", "", "not JSON: NaN is not JSON"),
        RowProblem("line 3", "", "must be an object of fields, not 3"),
        RowProblem("line 5", "", "not JSON: Expecting value: line 1 column 7 (char 6)"),
        RowProblem("line 6", "", "nested too deeply"),
    )


def test_a_text_of_prompts(tmp_path: Path) -> None:
    """In a plain text each line is a prompt; with the names of columns in its first line it is a table."""
    source = read(written(tmp_path, "a.txt", "a cat, running\r\n\r\n  true \n"))
    assert source.records == (
        Record("line 1", {"prompt:text": "a cat, running"}),
        Record("line 3", {"prompt:text": "true"}),
    )
    assert read(written(tmp_path, "b.txt", "key,prompt\n1,a\n")).records == (
        Record("row 2", {"key": "1", "prompt": "a"}),
    )


def test_standard_input() -> None:
    """Its first character tells what it is; paths in it begin in the working directory."""
    assert read("-", "key,prompt\n1,a\n").records == (Record("row 2", {"key": "1", "prompt": "a"}),)
    assert read("-", b'\xef\xbb\xbf{"prompt": "a"}\n').records == (Record("line 1", {"prompt": "a"}),)
    source = read("-", '[{"prompt": "a"}]')
    assert (source.records, source.name) == ((Record("item 1", {"prompt": "a"}),), "stdin")
    assert source.folder.resolve() == Path.cwd()


def test_values_of_a_program() -> None:
    """Any mappings, of a generator too; what is none is told with its number."""
    source = read(each for each in [{"prompt": "a", "image": Path("b.png")}, 7, {1: "a"}])
    assert source.records == (Record("item 1", {"prompt": "a", "image": Path("b.png")}),)
    assert [each.place for each in source.problems] == ["item 2", "item 3"]


def test_a_folder(tmp_path: Path) -> None:
    """A .txt is a prompt, a picture a picture; those of one name are one row; anything else is left alone."""
    folder = tmp_path / "shots"
    folder.mkdir()
    for name in ("b.txt", "a.JPG", "c.png", ".d.txt", "notes.md"):
        written(folder, name, " the sea begins to move\n")
    written(folder, "c.txt", "@a")
    assert read(folder) == Source(
        "shots",
        folder,
        (
            Record("a", {"key": "a", PICTURE: "a.JPG"}),
            Record("b", {"key": "b", "prompt:text": "the sea begins to move"}),
            Record("c", {"key": "c", PICTURE: "c.png", "prompt:text": "@a"}),
        ),
    )


def test_what_is_wrong_in_a_folder(tmp_path: Path) -> None:
    """Two pictures of one name, an empty prompt, bytes that are no text, and a link that leads out."""
    folder = tmp_path / "shots"
    folder.mkdir()
    for name, data in (("a.jpg", b""), ("a.png", b""), ("b.txt", b" \n"), ("c.txt", b"caf\xe9")):
        (folder / name).write_bytes(data)
    (tmp_path / "secret").write_text("the key", encoding="utf-8")
    (folder / "d.txt").symlink_to(tmp_path / "secret")
    source = read(folder)
    assert [(each.place, each.message.partition(";")[0]) for each in source.problems] == [
        ("a.png", "there is another picture 'a'"),
        ("b.txt", "it holds no prompt"),
        ("c.txt", "c.txt: row 1, the byte 0xE9 is not valid UTF-8 (in Windows-1252 it is 'é')"),
        ("d.txt", "it leads out of the folder"),
    ]
    assert "the key" not in str(source.records)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "key,prompt\r\n", "holds no rows"),
        ("a.csv", "", "holds no rows"),
        ("a.csv", "\n\n", "holds no rows"),
        ("a.jsonl", "\n", "holds no rows"),
        ("a.json", "[]", "holds no rows"),
        ("a.json", '{"a": 1}', "a.json: a JSON batch must be an array of objects, [{…}, {…}], not an object"),
        ("a.json", '{"a": 1}\n{"a": 2}', "if it holds one object a line, name it a.jsonl"),
        ("a.json", "[", "a.json: not JSON: Expecting value"),
    ],
)
def test_a_file_without_rows(tmp_path: Path, name: str, text: str, said: str) -> None:
    """Nothing to do is an error, as somebody expects videos in the morning."""
    with pytest.raises(vidpoll.UsageError) as caught:
        read(written(tmp_path, name, text))
    assert said in caught.value.message


def test_what_cannot_be_read(tmp_path: Path) -> None:
    """A file that is not there, a folder without prompts, a pipe, and values that are no rows."""
    os.mkfifo(tmp_path / "pipe")
    cases: list[tuple[object, str]] = [
        (tmp_path / "no.csv", "No such file or directory"),
        ("a\0b", "no such name"),
        (tmp_path, " holds no file ending in .txt, .jpg, .jpeg, .png, .webp"),
        (tmp_path / "pipe", "to read another program's output, pass '-'"),
        ({"prompt": "a"}, "the source of a batch must be a file, a folder, '-' or a list of dicts, got dict"),
        (7, "the source of a batch must be a file, a folder, '-' or a list of dicts, got int"),
        ([], "the batch holds no rows"),
    ]
    for source, said in cases:
        with pytest.raises(vidpoll.UsageError) as caught:
            read(source)
        assert said in caught.value.message
