"""What a field must be: the words and the test of each rule say the same."""

from __future__ import annotations

import math
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from vidpoll import InvalidField, PluginError, declare

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize(
    ("rule", "must", "good", "bad"),
    [
        (declare.text(), "text, not empty", ["a"], ["", " \n", 1, None, b"a"]),
        (declare.text(3), "text of at most 3 characters, not empty", ["abc"], ["abcd", ""]),
        (declare.text(3, empty=True), "text of at most 3 characters", ["", "abc"], ["abcd", 1]),
        (declare.whole(), "a whole number", [-1, 0, 2**63 - 1], [2**63, True, 1.0, "1"]),
        (declare.whole(1), "a whole number from 1", [1, 99], [0]),
        (declare.whole(1, 3), "a whole number from 1 to 3", [1, 3], [0, 4]),
        (declare.whole(1, 9, step=2, note="odd"), "a whole number from 1 to 9 in steps of 2; odd", [1, 9], [2, 11]),
        (declare.number(0.5, 2), "a number from 0.5 to 2", [0.5, 1, 2], [0.4, 2.1, math.nan, math.inf, True, "1"]),
        (declare.number(high=1, note="less is more"), "a number to 1; less is more", [-9.5], [1.5, 10**400]),
        (declare.one_of("5", 10), "'5' or 10", ["5", 10], [5, "10", 10.0]),
        (declare.one_of(1), "1", [1], [True]),
        (declare.matching("a size like 720p", r"\d+p"), "a size like 720p", ["720p"], ["720p\n", "p", 720]),
        (declare.flag(), "True or False", [True, False], [0, 1, "true", None]),
        (declare.list(), "a list that is not empty", [[0]], [[], (), "a", {}]),
        (declare.list(declare.flag(), most=2), "a list of 1 to 2 items, each True or False", [[True]], [[], [0]]),
        (declare.list(most=1), "a list of 1 to 1 items", [[None]], [[], [1, 2]]),
        (declare.object(), "a mapping of names to values", [{}, {"a": 1}], [[], "a", None]),
        (declare.anything(), declare.anything().must, ["a", [1, {}]], [math.nan, b"a", {1, 2}]),
        (declare.Rule("even", lambda v: v % 2 == 0), "even", [2], [1]),
    ],
    ids=lambda value: value.must if isinstance(value, declare.Rule) else "",
)  # fmt: skip
def test_a_rule(rule: declare.Rule, must: str, good: list[Any], bad: list[Any]) -> None:
    """The words name what the test holds."""
    assert rule.must == must
    assert [value for value in good if not rule.holds(value)] == []
    assert [value for value in bad if rule.holds(value)] == []


@pytest.mark.parametrize(
    "make",
    [
        lambda: declare.Rule("", lambda v: True),
        lambda: declare.Rule("  ", lambda v: True),
        lambda: declare.Rule("even", 2),  # type: ignore[arg-type]
        lambda: declare.Rule("even", lambda v: True, "sent"),  # type: ignore[arg-type]
        lambda: declare.matching("", "a"),
        lambda: declare.matching("a thing", "("),
        lambda: declare.whole(3, 1),
        lambda: declare.number(3.0, 1.0),
        declare.one_of,
    ],
)
def test_a_rule_that_cannot_be_right(make: Any) -> None:
    """No words, no test, no pattern, ends in the wrong order, nothing to choose from."""
    with pytest.raises(PluginError):
        make()


# -- images -----------------------------------------------------------------------------------------------------------


def sent(value: Any, name: str = "image") -> Any:
    rule = declare.image()
    assert rule.sent is not None
    return rule.sent(name, value)


def test_an_image_as_json_carries_it(tmp_path: Path) -> None:
    """A URL and base64 go as they are, without the line ends of base64; bytes and files as a data URI."""
    packed = b64encode(PNG).decode()
    (tmp_path / "a.png").write_bytes(PNG)
    uri = f"data:image/png;base64,{packed}"
    assert [sent(value) for value in ("https://a.example/b.png", packed, f"{packed[:4]}\n{packed[4:]}", uri)] == [
        "https://a.example/b.png", packed, packed, uri]  # fmt: skip
    assert [sent(PNG), sent(tmp_path / "a.png")] == [uri, uri]
    assert sent(b"RIFF\0\0\0\0WEBP").startswith("data:image/webp;base64,")


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("http://a.example/b.png", "a URL must be https"),
        ("https:///b.png", "a URL must be https"),
        ("a.png", "not a JPEG, PNG or WebP image"),
        (b"GIF89a", "not a JPEG, PNG or WebP image"),
        (b64encode(b"text").decode(), "not a JPEG, PNG or WebP image"),
        (7, "not a JPEG, PNG or WebP image"),
        (Path("no-such-file.png"), "it cannot be read: .*No such file.*"),
    ],
)
def test_what_is_no_image(value: Any, why: str) -> None:
    """The user reads what is wrong, and every way to give one."""
    ways = r"give an https URL, base64, bytes, or a file: pathlib.Path\('a.jpg'\), on the command line image=@a.jpg"
    with pytest.raises(InvalidField, match=f"^image: {why}; {ways}$"):
        sent(value)


def test_a_list_of_images() -> None:
    """The rule of the items makes what is sent for each."""
    rule = declare.list(declare.image(), most=2)
    assert declare.take("POST /x", {"images": [PNG, "https://a.example/b.png"]}, {"images": rule}) == {
        "images": [sent(PNG), "https://a.example/b.png"]
    }
    with pytest.raises(InvalidField, match=r"^images: .* images=@a\.jpg$"):
        declare.take("POST /x", {"images": [b"GIF89a"]}, {"images": rule})


# -- a call -----------------------------------------------------------------------------------------------------------

RULES = {"prompt": declare.text(), "image": declare.image(), "seed": declare.whole()}


def take(fields: dict[str, Any], **more: Any) -> dict[str, Any]:
    return declare.take("POST /videos", fields, RULES, **more)


def test_none_is_not_given() -> None:
    """So a caller can pass its own arguments on."""
    assert take({"prompt": "a", "seed": None}) == {"prompt": "a"}


@pytest.mark.parametrize(
    ("fields", "more", "said"),
    [
        ({"promt": "a"}, {}, "POST /videos takes no field 'promt'; it takes prompt, image, seed"),
        ({"seed": "1"}, {}, "seed='1': it must be a whole number"),
        ({}, {"needed": ("prompt",)}, "POST /videos needs 'prompt': it must be text, not empty"),
        ({"image": b""}, {"needed": ("image",)}, "POST /videos needs 'image': it must be an image"),
        ({"seed": 1}, {"needed": (("prompt", "image"),)}, "needs 'prompt': it must be text, not empty, or 'image': it"),
        ({"fps": math.nan}, {"others": declare.anything()}, "fps=nan: it must be text, a finite number"),
    ],
)
def test_a_call_that_is_refused(fields: dict[str, Any], more: dict[str, Any], said: str) -> None:
    """Before anything is sent, with the field and the way out."""
    with pytest.raises(InvalidField) as caught:
        take(fields, **more)
    assert said in caught.value.message


def test_one_of_several_suffices_and_others_pass() -> None:
    """`needed=(("prompt", "image"),)`: either; `others`: whatever the table does not name."""
    needed = (("prompt", "image"),)
    assert take({"image": "https://a.example/b.png"}, needed=needed) == {"image": "https://a.example/b.png"}
    assert take({"prompt": "a", "fps": 24}, needed=needed, others=declare.anything()) == {"prompt": "a", "fps": 24}
