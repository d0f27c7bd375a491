"""Inputs out of seeds: a number makes the same input on each machine. JSON is changed as JSON, all else as bytes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, NamedTuple


class Seed(NamedTuple):
    """An input that is well formed: the bytes that choose what is done with it, and what it is done with."""

    prefix: bytes
    body: bytes

    def __bytes__(self) -> bytes:
        return self.prefix + self.body


WORDS = (
    "", " ", "0", "1", "5", "-5", "+5", "1_0", "0x10", "1e5", "1e400", "nan", "inf", "\x1f5", "5\x1c", "5\x1f%",
    "54 %", "\x1f1700000000", "\u0663", "\xb2", "\x855", "5\xa0", "1m30s", "1\x1fm", "1700000000000.5", "20, 5",
    "Wed, ", "\x00", "\ud800", "\ufffd", "\u202e", "\x1b[2J", "\x1b]0;x\x07", "..", "/", "//", "://", "http://[",
    "https://a@b\\c/", "https://a.example/1.mp4?sig=abcdefgh12345678", "//b.example/1", "data:video/mp4;base64,AAAA",
    "2026-11-21T12:00:00Z", "0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59-23:59",
    "2026-11-21T12:00:00.1234567891+00:00", "completed", "failed", "true", "null", "None", "sk-abcdefgh12345678",
    "api_key=", '"', "\\", "%", "%2f", "{", "<html>", "a" * 5000, "bytes 0-4/5", "bytes */5", "chunked", "gzip",
    '"etag"', 'W/"etag"', "Sat, 01 Jan 2000 00:00:00 GMT",
)  # fmt: skip
"""What two readers may read differently, or not at all."""

VALUES: tuple[Any, ...] = (
    *WORDS, None, True, False, 0, 1, -1, 100, 101, 0.5, -0.0, 1e308, -1e308, 5e-324, 10**18, 2**63, 10**30, 10**400,
    float("nan"), float("inf"), [], {}, [None], [[]], {"": None}, [1, "1", True],
)  # fmt: skip

BYTES = (
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b"\x1f",
    b"\x1c",
    b"\xa0",
    b"\xff",
    b"\xef\xbb\xbf",
    b": ",
    b",",
    b"-",
    b"0\r\n\r\n",
)


def make(random: Random, seeds: Sequence[Seed]) -> bytes:
    """One input. Mostly a seed with a few things changed; now and then bytes that never were one."""
    prefix, body = random.choice(seeds)
    if random.random() < 0.2:
        prefix = random.randbytes(len(prefix))
    choice = random.random()
    if choice < 0.02:
        return prefix + random.randbytes(random.randrange(200))
    if choice < 0.7:
        body = _as_json(random, body)
    if choice > 0.4:
        body = _as_bytes(random, body)
    return prefix + body


def _as_json(random: Random, body: bytes) -> bytes:
    """A JSON body with some of its values replaced, renamed, taken out or put elsewhere; any other one as it is."""
    try:
        value = [json.loads(body)]
    except ValueError:
        return body
    for _ in range(random.randint(1, 4)):
        holder, key = random.choice(list(_places(value)))
        random.choice(_CHANGES)(random, holder, key, value[0])
    raw = json.dumps(value[0], ensure_ascii=random.random() < 0.5).encode("utf-8", "surrogatepass")
    return b"[" * 3000 + raw if random.random() < 0.002 else raw


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Each container in a value with each of its keys."""
    found = []
    for holder in (todo := [value]):
        keys = range(len(holder)) if isinstance(holder, list) else list(holder)
        found += [(holder, key) for key in keys]
        todo += [holder[key] for key in keys if isinstance(holder[key], (list, dict))]
    return found


def _replace(random: Random, holder: Any, key: Any, whole: Any) -> None:
    value = random.choice(VALUES)
    holder[key] = value.copy() if isinstance(value, (list, dict)) else value


def _move(random: Random, holder: Any, key: Any, whole: Any) -> None:
    other, name = random.choice(list(_places([whole])))
    holder[key] = json.loads(json.dumps(other[name]))


def _wrap(random: Random, holder: Any, key: Any, whole: Any) -> None:
    for _ in range(random.choice((1, 1, 2, 30))):
        holder[key] = [holder[key]] if random.random() < 0.5 else {"a": holder[key]}


def _pad(random: Random, holder: Any, key: Any, whole: Any) -> None:
    if isinstance(holder[key], (str, int, float)):
        holder[key] = random.choice((f"{holder[key]}", random.choice(WORDS) + f"{holder[key]}" + random.choice(WORDS)))


def _drop(random: Random, holder: Any, key: Any, whole: Any) -> None:
    if isinstance(holder, dict):
        del holder[key]


def _rename(random: Random, holder: Any, key: Any, whole: Any) -> None:
    if isinstance(holder, dict):
        holder[random.choice(WORDS)] = holder.pop(key)


def _repeat(random: Random, holder: Any, key: Any, whole: Any) -> None:
    holder[key] = json.loads(json.dumps([holder[key]] * random.choice((2, 3, 50))))


_CHANGES: tuple[Callable[[Random, Any, Any, Any], None], ...] = (
    _replace, _replace, _replace, _pad, _pad, _move, _wrap, _drop, _rename, _repeat,
)  # fmt: skip


def _as_bytes(random: Random, body: bytes) -> bytes:
    """Bytes put in, taken out, turned or doubled, at a few places."""
    raw = bytearray(body)
    for _ in range(random.choice((1, 1, 2, 4, 16))):
        at = random.randrange(len(raw) + 1)
        end = min(len(raw), at + random.choice((1, 1, 2, 8, 64)))
        raw[at : end if random.random() < 0.5 else at] = random.choice(
            (
                random.choice(BYTES),
                random.choice(WORDS).encode("utf-8", "surrogatepass"),
                random.randbytes(random.randint(0, 4)),
                bytes(raw[at:end]) * random.choice((0, 1, 2, 50)),
            )
        )
    return bytes(raw)
