"""What the fields of a call must be: rules that carry their own words, and the check of a call against them."""

from __future__ import annotations

import builtins
import json
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import parsing
from ..errors import InvalidField, PluginError
from ..model import is_number

Needed = tuple[str | tuple[str, ...], ...]
"""Names of fields that must be given; a tuple of names inside means one of them."""


@dataclass(frozen=True)
class Rule:
    """What a field must be, in words that complete "it must be …", and the test for it.

    `sent(name, value)` returns what is sent instead of the value; it may raise InvalidField. `text` says that only text
    is accepted: on a command line, `true` is then the word, and `@name` is not a file. Raises PluginError for a rule
    without words or without a test.

    >>> Rule("a multiple of 8", lambda value: value % 8 == 0).holds(16)
    True
    """

    must: str
    holds: Callable[[Any], object]
    sent: Callable[[str, Any], Any] | None = None
    text: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.must, str) or not self.must.strip():
            raise PluginError(
                f"Rule must be words for what the field must be, like 'text, not empty', got {self.must!r}"
            )
        if not callable(self.holds) or not (self.sent is None or callable(self.sent)):
            raise PluginError(f"Rule {self.must!r}: its test must be a function, got {type(self.holds).__name__}")


def text(most: int | None = None, *, empty: bool = False) -> Rule:
    """Text of at most `most` characters; `empty` allows text that is empty or blank.

    >>> text(2000).must
    'text of at most 2000 characters, not empty'
    """
    bound = "" if most is None else f" of at most {most} characters"
    full = "" if empty else ", not empty"
    return Rule(
        f"text{bound}{full}",
        lambda v: isinstance(v, str) and (empty or v.strip() != "") and (most is None or len(v) <= most),
        text=True,
    )


def whole(low: int | None = None, high: int | None = None, *, step: int = 1, note: str = "") -> Rule:
    """A whole number from `low` to `high`, in steps from `low`. `note` is added to the words.

    >>> whole(17, 161, step=2, note="81 is five seconds").must
    'a whole number from 17 to 161 in steps of 2; 81 is five seconds'
    """
    _check_span("whole", low, high)

    def holds(value: Any) -> bool:
        if type(value) is not int or abs(value) >= 2**63:
            return False
        return _within(value, low, high) and (value - (low or 0)) % step == 0

    return Rule(f"a whole number{_span(low, high)}{f' in steps of {step}' if step > 1 else ''}{_noted(note)}", holds)


def number(low: float | None = None, high: float | None = None, *, note: str = "") -> Rule:
    """A finite number from `low` to `high`; a number as text is refused.

    >>> number(1.0, 10.0).must
    'a number from 1.0 to 10.0'
    """
    _check_span("number", low, high)
    return Rule(f"a number{_span(low, high)}{_noted(note)}", lambda v: is_number(v) and _within(v, low, high))


def _check_span(name: str, low: float | None, high: float | None) -> None:
    if low is not None and high is not None and low > high:
        raise PluginError(f"{name}({low!r}, {high!r}): low must not be above high")


def _span(low: float | None, high: float | None) -> str:
    return ("" if low is None else f" from {low}") + ("" if high is None else f" to {high}")


def _within(value: float, low: float | None, high: float | None) -> bool:
    return (low is None or value >= low) and (high is None or value <= high)


def _noted(note: str) -> str:
    return f"; {note}" if note else ""


def one_of(*values: Any) -> Rule:
    """One of these values, of the same type: `one_of(5, 10)` refuses "5".

    >>> one_of("std", "pro").must
    "'std' or 'pro'"
    """
    if not values:
        raise PluginError("one_of() needs at least one value")
    return Rule(" or ".join(map(repr, values)), lambda v: any(type(v) is type(one) and v == one for one in values))


def matching(must: str, pattern: str) -> Rule:
    """Text that matches a regular expression from its first character to its last; `must` describes it in words.

    >>> matching("a ratio like 16:9", r"[1-9][0-9]?:[1-9][0-9]?").holds("16:9")
    True
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise PluginError(f"matching({must!r}): {pattern!r} is not a regular expression: {error}") from None
    return Rule(must, lambda v: isinstance(v, str) and compiled.fullmatch(v) is not None, text=True)


def flag() -> Rule:
    """True or False.

    >>> flag().holds(0)
    False
    """
    return Rule("True or False", lambda v: isinstance(v, bool))


def anything() -> Rule:
    """Any JSON value. `others=anything()` allows fields that the table does not name.

    >>> anything().holds({"seed": float("nan")})
    False
    """
    return Rule("text, a finite number, True or False, or a list or mapping of these", _is_json)


def _is_json(value: Any) -> bool:
    try:
        return isinstance(json.dumps(value, allow_nan=False), str)
    except (TypeError, ValueError, RecursionError):
        return False


_IMAGE = re.compile(rb"(?P<jpeg>\xff\xd8\xff)|(?P<png>\x89PNG\r\n\x1a\n)|(?P<webp>RIFF.{4}WEBP)", re.DOTALL)


def image() -> Rule:
    """A JPEG, PNG or WebP image: an https URL or base64 is sent as it is; bytes and a `pathlib.Path` as a data URI.

    >>> image().sent("image", b"\\xff\\xd8\\xff")
    'data:image/jpeg;base64,/9j/'
    """
    return Rule("an image: an https URL, base64, bytes, or a file as pathlib.Path", lambda v: True, _image)


def _image(name: str, value: Any) -> str:
    if isinstance(value, str) and "://" in value:
        if re.match(r"(?i)https://[^/\s]", value):
            return value
        raise _no_image(name, "a URL must be https")
    packed, data = "", b""
    try:
        if isinstance(value, str):
            packed = "".join(value.split())
            data = b64decode(re.sub(r"(?i)^data:image/[\w.+-]+;base64,", "", packed), validate=True)
        elif isinstance(value, Path):
            data = value.read_bytes()
        elif isinstance(value, bytes):
            data = value
    except OSError as error:
        raise _no_image(name, f"it cannot be read: {error}") from None
    except ValueError:  # not base64
        pass
    kind = _IMAGE.match(data)
    if kind is None:
        raise _no_image(name, "not a JPEG, PNG or WebP image")
    return packed or f"data:image/{kind.lastgroup};base64,{b64encode(data).decode('ascii')}"


def _no_image(name: str, why: str) -> InvalidField:
    ways = f"an https URL, base64, bytes, or a file: pathlib.Path('a.jpg'), on the command line {name}=@a.jpg"
    return InvalidField(f"{name}: {why}; give {ways}")


def file(*suffixes: str) -> Rule:
    """A file as pathlib.Path, for a submit that is a form. `suffixes` are the accepted endings, in lower case.

    >>> file(".png", ".jpg").holds(Path("a.PNG"))
    True
    """
    ends = f" that ends in {', '.join(suffixes)}" if suffixes else ""
    return Rule(
        f"a file as pathlib.Path{ends}",
        lambda v: isinstance(v, Path) and (not suffixes or v.suffix.lower() in suffixes),
    )


def list(of: Rule | None = None, *, most: int | None = None) -> Rule:
    """A non-empty list of at most `most` items, each as the rule `of` says.

    >>> list(whole(1), most=3).must
    'a list of 1 to 3 items, each a whole number from 1'
    """
    bound = "a list that is not empty" if most is None else f"a list of 1 to {most} items"

    def holds(value: Any) -> bool:
        good = isinstance(value, builtins.list) and 0 < len(value) <= (most or len(value))
        return good and (of is None or all(of.holds(item) for item in value))

    def sent(name: str, value: Any) -> Any:
        return value if of is None or of.sent is None else [of.sent(name, item) for item in value]

    return Rule(bound if of is None else f"{bound}, each {of.must}", holds, sent)


def object() -> Rule:
    """A mapping of names to values, a JSON object.

    >>> object().holds({"a": 1})
    True
    """
    return Rule("a mapping of names to values", lambda v: isinstance(v, dict))


def check_rules(place: str, rules: Any, needed: Any = (), others: Any = None) -> None:
    """Raise PluginError unless each field, including each needed one, has a rule."""
    if not isinstance(rules, Mapping):
        raise PluginError(f"{place}: fields must be a mapping of names to rules, got {type(rules).__name__}")
    for name, rule in [*rules.items(), ("others", others or flag())]:
        if not isinstance(rule, Rule):
            raise PluginError(
                f"{place}: the rule of {name!r} must be one like declare.text(), got {type(rule).__name__}"
            )
    if not isinstance(needed, tuple):
        raise PluginError(f"{place}: needed must be a tuple of names like ('prompt',), got {type(needed).__name__}")
    for name in (each for names in needed for each in (names if isinstance(names, tuple) else (names,))):
        if name not in rules:
            raise PluginError(f"{place}: the needed field {name!r} has no rule; rules: {', '.join(rules) or 'none'}")


def described(rules: Mapping[str, Rule], needed: Needed = (), others: Rule | None = None) -> dict[str, str]:
    """What each field must be, in words: `fields` of a `vidpoll.Operation` whose builder is a function.

    >>> described({"prompt": text(), "seed": whole()}, ("prompt",))
    {'prompt': 'text, not empty; required', 'seed': 'a whole number'}
    """
    told = {name: rule.must for name, rule in rules.items()}
    for names in needed:
        choice = names if isinstance(names, tuple) else (names,)
        for name in choice:
            instead = " or ".join(each for each in choice if each != name)
            told[name] += f"; required, or {instead}" if instead else "; required"
    return told if others is None else {**told, "...": f"any other field: {others.must}"}


def texts(rules: Mapping[str, Rule]) -> frozenset[str]:
    """The fields that are text: `texts` of a `vidpoll.Operation` whose builder is a function.

    >>> sorted(texts({"prompt": text(), "seed": whole()}))
    ['prompt']
    """
    return frozenset(name for name, rule in rules.items() if rule.text)


def take(
    what: str,
    fields: Mapping[str, Any],
    rules: Mapping[str, Rule],
    needed: Needed = (),
    others: Rule | None = None,
) -> dict[str, Any]:
    """The checked fields of a call as they are sent, for a builder that is a function; None means not given.

    Raises InvalidField, with the way out, for an unknown field, an invalid value, or a missing needed field.

    >>> take("the list", {"limit": 5, "after": None}, {"limit": whole(1, 100), "after": text()})
    {'limit': 5}
    """
    more = {} if others is None else {name: others for name in fields if name not in rules}
    table = {**rules, **more}
    given = parsing.checked(what, fields, {name: (rule.must, rule.holds) for name, rule in table.items()})
    for names in needed:
        choice = names if isinstance(names, tuple) else (names,)
        if not any(_is_there(given.get(name)) for name in choice):
            ways = ", or ".join(f"{name!r}: it must be {rules[name].must}" for name in choice)
            raise InvalidField(f"{what} needs {ways}")
    made = ((name, value, table[name].sent) for name, value in given.items())
    return {name: value if sent is None else sent(name, value) for name, value, sent in made}


def _is_there(value: Any) -> bool:
    return value is not None and not (isinstance(value, (str, bytes)) and not value.strip())


def as_query(given: Mapping[str, Any], leave: Collection[str] = ()) -> dict[str, str]:
    """Fields as the values of a query; True becomes "true", as in JSON."""
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in given.items()
        if name not in leave
    }
