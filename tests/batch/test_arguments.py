"""Wrong arguments of `Client.batch`: each is refused by its name before anything is sent, and never by a TypeError."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from batch_runs import Night, night

import vidpoll


@pytest.fixture(scope="module")
def n(tmp_path_factory: pytest.TempPathFactory) -> Night:
    return night(tmp_path_factory.mktemp("night"))


WRONG: dict[str, list[Any]] = {
    "account": [["shop"], vidpoll.Account("shop", key="a-secret-0123456789"), 5],
    "kind": [["clip"], 5],
    "fields": [["seed"], "seed=7", {5: 1}],
    "name": [7, "q\nw", "q\u2028w", " ", "", b"q"],
    "into": [5, b"clips"],
    "file": [5, None],
    "budget": [5, ["5 USD"]],
    "limit": ["3", [3]],
    "price": [5, ["1 USD"]],
    "slots": [[5], {"shop": "5"}],
    "until": [5],
    "only": [5, [5], [["r1"]]],
    "retry_failed": ["no", None, 0],
    "changed": [["keep"], 5],
    "report": [5, b"done.csv"],
    "picture": [5, None],
    "stop": [True],
    "on_event": ["print"],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_a_wrong_argument_is_named(n: Night, name: str, value: Any) -> None:
    with pytest.raises(vidpoll.UsageError) as caught:
        n.batch(1, **{name: value})
    assert caught.value.message.startswith(name)
    assert "a-secret" not in caught.value.message
    assert n.server.urls == []


def test_each_default_is_valid(n: Night) -> None:
    defaults = {name: None for name in WRONG if name not in ("account", "kind", "file", "picture", "retry_failed")}
    assert n.batch(1, **{**defaults, "into": n.folder, "only": (key for key in ["r1"])}).plan.counts["new"] == 1


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({5: "a"}, "the name of a field must be text, got 5"),
        (["a"], "must be an object of fields, not an array"),
    ],
)
def test_a_row_of_a_program_that_is_none(n: Night, row: Any, said: str) -> None:
    with pytest.raises(vidpoll.BatchInvalid) as caught:
        n.batch([row])
    assert [each.message for each in caught.value.problems] == [said]


def test_another_call_with_a_wrong_account_or_kind(n: Night) -> None:
    with pytest.raises(vidpoll.UsageError, match="is not an account name"):
        n.client.submit(vidpoll.Account("shop", key="a-secret"), "clip", prompt="x")  # type: ignore[arg-type]
    with pytest.raises(vidpoll.Unsupported, match="no submit operation"):
        n.client.submit("shop", ["clip"], prompt="x")  # type: ignore[arg-type]
    with pytest.raises(vidpoll.UsageError, match=r"dump: job must be a vidpoll.Job, .* got 'shop:x'"):
        vidpoll.dump("shop:x")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"report": "plain/done.csv"}, "report: cannot save files in "),
        ({"report": "done.csv"}, "report '.*' is a folder"),
        ({"into": "plain"}, "into: cannot save files in "),
        ({"into": "plain/clips"}, "into: cannot save files in "),
        ({"name": "plain", "into": None}, "into: cannot save files in "),
    ],
)
def test_what_cannot_be_written_is_refused_before_anything_is_bought(
    n: Night, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: Any, said: str
) -> None:
    """The report, the folder, and the folder that is named after the batch."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plain").write_text("a file in the place of a folder")
    (tmp_path / "done.csv").mkdir()
    with pytest.raises(vidpoll.UsageError, match=said):
        n.batch(1, **options)
    assert n.server.urls == []
