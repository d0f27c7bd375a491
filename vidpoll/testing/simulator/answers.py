"""The responses of samples, rewritten for another job: with its id, its progress, its files and its failure.

This module knows no provider. To find an id, a percentage or a URL in a body, it compares the body with the result of
the provider's own parser. Pure functions: they turn a sample into a response.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from mimetypes import guess_type
from typing import Any
from urllib.parse import unquote, urlsplit

from ... import model
from ..contract import mutations
from ..contract.samples import Sample
from .assets import Asset, audio, image, subtitles, video

_PROBE = 37.0
_WRITERS: Mapping[type, tuple[Callable[[float], Any], ...]] = {
    int: (int, lambda percent: percent / 100),
    float: (float, lambda percent: percent / 100),
    str: (lambda percent: f"{percent:.0f}%", lambda percent: f"{percent:.0f}", lambda percent: f"{percent / 100:.2f}"),
}
_UNSENT = {"connection", "content-encoding", "content-length", "date", "transfer-encoding"}
_IMAGES = {"cover", "image", "last_frame", "thumbnail"}


def own_part(job_id: str, text: str) -> str:
    """The part of an id that a text contains: the last part, an earlier one, or the whole id; "" if none."""
    parts = [part for part in (*reversed(re.split("[/:]", job_id)), job_id) if part]
    return next((part for part in parts if re.search(_bounded(part), text)), "")


def renamed(job_id: str, own: str, new: str) -> str:
    """The id with `new` in place of its part `own`."""
    start, _, end = job_id.rpartition(own)
    return start + new + end


def text_of(sample: Sample) -> str:
    """The whole text of a response, including its header values."""
    body = (
        sample.body.decode("utf-8", "replace") if sample.data is None else json.dumps(sample.data, ensure_ascii=False)
    )
    return "\n".join([*sample.headers.values(), body])


def like(text: str, dice: random.Random) -> str:
    """Another id of the same form: digits for digits, letters for letters; a word without a digit is kept."""
    groups = re.split("([^A-Za-z0-9]+)", text)
    digits = any(char.isdigit() for char in text)
    changed = [group if digits and not re.search("[0-9]", group) else _like(group, dice) for group in groups]
    varied = sum(len(new) - 1 for old, new in zip(groups, changed, strict=True) if old != new)
    return "".join(changed) + ("" if varied >= 6 else f"{dice.randrange(10**6):06}")


def _like(group: str, dice: random.Random) -> str:
    letters = "abcdef" if re.fullmatch("[0-9a-fA-F]*", group) else "abcdefghijkmnpqrstuvwxyz"
    new = group[:1]  # kept: a number must not begin with 0, and a UUID keeps its version
    for char in group[1:]:
        other = dice.choice("0123456789" if char.isdigit() else letters) if char.isalnum() else char
        new += other.upper() if char.isupper() else other
    return new


@dataclass(frozen=True)
class Swaps:
    """Replacements: ``inside`` texts (ids, URLs), and of ``whole`` texts (a failure's reason)."""

    inside: Mapping[str, str]
    whole: Mapping[str, str]

    def text(self, text: str) -> str:
        if text in self.whole:
            return self.whole[text]
        olds = sorted(filter(None, self.inside), key=len, reverse=True)
        pattern = "|".join(map(_bounded, olds))
        return re.sub(pattern, lambda match: self.inside[match[0]], text) if olds else text

    def data(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self.data(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.data(inner) for inner in value]
        if isinstance(value, str):
            return self.text(value)
        if type(value) is int and self.inside.get(str(value), "").isdigit():
            return int(self.inside[str(value)])
        return value

    def response(self, sample: Sample, data: object = mutations.GONE) -> model.Response:
        """The sample, or the sample with another body, as the response about the other job."""
        plain = sample.response()
        headers = {name: self.text(value) for name, value in plain.headers.items() if name not in _UNSENT}
        said = sample.data if data is mutations.GONE else data
        if said is None:
            text = plain.body.decode("utf-8", "surrogateescape")
            return model.Response(plain.status, headers, self.text(text).encode("utf-8", "surrogateescape"))
        return model.Response(plain.status, headers, json.dumps(self.data(said)).encode())


def _bounded(text: str) -> str:
    return f"(?<![A-Za-z0-9]){re.escape(text)}(?![A-Za-z0-9])"


def progress_writer(data: Any, read: Callable[[Any], float | None]) -> Callable[[Any, float], Any]:
    """A function of a body and a percentage that writes the percentage where, and as, ``read`` finds it.

    It returns the body unchanged if the body has no progress.
    """
    for path, value in mutations.scalars(data) if read(data) is not None else ():
        for write in _WRITERS.get(type(value), ()):
            if str(value).endswith("%") != str(write(_PROBE)).endswith("%"):
                continue
            found = read(mutations.replaced(data, path, write(_PROBE)))
            if found is not None and abs(found - _PROBE) < 0.01:
                return lambda body, percent, path=path, write=write: mutations.replaced(body, path, write(percent))  # type: ignore[misc]
    return lambda body, percent: body


def handed_on(data: Any, request: model.Request) -> set[str]:
    """The values of a response that are also in the request that it leads to."""
    said = {unquote(part) for part in request.path.split("/")} | {value for _, value in request.query}
    said |= {str(value) for _, value in mutations.scalars(request.json)}
    named = {str(value) for _, value in mutations.scalars(data) if type(value) in (str, int)}
    return {value for value in named & said if re.search("[0-9]", value)}


def file_of(asset: model.Asset, mark: str, modified: float) -> Asset:
    """The file that is served as an asset of a job, by its kind and the end of its URL."""
    path = urlsplit(asset.url or "").path
    media = "image" if asset.kind in _IMAGES else (asset.media_type or guess_type(path)[0] or "video").partition("/")[0]
    if path.endswith((".srt", ".vtt")):
        return subtitles(modified)
    if asset.kind != "video" and media in ("audio", "image"):
        return audio(modified) if media == "audio" else image(mark, modified)
    return video(mark, modified)
