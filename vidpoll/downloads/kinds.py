"""What a file is by its first bytes: whether it can be of a kind, and which suffix its name gets. Pure functions.

The bytes decide. What the server says (type, disposition, URL) only chooses among the suffixes that they allow.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

START = 512
"""The number of bytes that show what a file is."""

# HTML, XML or JSON; but subtitles may begin with [Script Info] or {1}{20}.
_PAGE = re.compile(rb"(\xef\xbb\xbf)?\s*(<|\{\s*[\"}]|\[\s*[\"{\[\]])")
_SHOWN = ("video", "combined", "thumbnail", "last_frame")
_FIRST_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"styp", b"pnot", b"uuid")
_BRANDS = {
    b"qt  ": (".mov", ".qt"),
    b"M4A ": (".m4a", ".mp4"),
    b"avif": (".avif",),
    b"avis": (".avif",),
    b"heic": (".heic",),
    b"mif1": (".heic", ".avif"),
}
_MAGIC: tuple[tuple[re.Pattern[bytes], tuple[str, ...]], ...] = (
    (re.compile(rb"\x1a\x45\xdf\xa3.{0,60}webm", re.DOTALL), (".webm",)),
    (re.compile(rb"\x1a\x45\xdf\xa3.{0,60}matroska", re.DOTALL), (".mkv",)),
    (re.compile(rb"\x1a\x45\xdf\xa3"), (".webm", ".mkv")),
    (re.compile(rb"RIFF....AVI ", re.DOTALL), (".avi",)),
    (re.compile(rb"G.{187}G|.{4}G.{191}G", re.DOTALL), (".ts", ".m2ts", ".mts")),
    (re.compile(rb"\x00\x00\x01\xba"), (".mpg", ".mpeg")),
    (re.compile(rb"FLV\x01"), (".flv",)),
    (re.compile(rb"OggS"), (".ogv", ".ogg", ".oga", ".opus")),
    (re.compile(rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11"), (".wmv", ".wma")),
    (re.compile(rb"GIF8[79]a"), (".gif",)),
    (re.compile(rb"\xff\xd8\xff"), (".jpg", ".jpeg")),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), (".png",)),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), (".webp",)),
)
_SOUNDS: tuple[tuple[re.Pattern[bytes], tuple[str, ...]], ...] = (
    (re.compile(rb"OggS"), (".ogg", ".oga", ".opus")),
    (re.compile(rb"RIFF....WAVE", re.DOTALL), (".wav",)),
    (re.compile(rb"fLaC"), (".flac",)),
    (re.compile(rb"ID3|\xff[\xe2-\xfb]"), (".mp3",)),
)
_USUAL = {
    "video": ".mp4",
    "combined": ".mp4",
    "thumbnail": ".jpg",
    "last_frame": ".png",
    "audio": ".mp3",
    "subtitle": ".srt",
}
_TYPES = {
    "video/mp4": ".mp4",
    "video/quicktime": ".mov",
    "video/webm": ".webm",
    "video/x-matroska": ".mkv",
    "video/x-msvideo": ".avi",
    "video/mp2t": ".ts",
    "video/ogg": ".ogv",
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/webp": ".webp",
    "audio/mpeg": ".mp3",
    "audio/wav": ".wav",
    "audio/x-wav": ".wav",
    "audio/mp4": ".m4a",
    "audio/aac": ".aac",
    "audio/ogg": ".ogg",
    "audio/flac": ".flac",
    "application/x-subrip": ".srt",
    "text/vtt": ".vtt",
}
_ISO = (".mp4", ".mov", ".m4v", ".3gp")
SUFFIXES = tuple(
    dict.fromkeys(
        (
            *_ISO,
            *(each for _, family in (*_MAGIC, *_SOUNDS) for each in family),
            *(each for family in _BRANDS.values() for each in family),
            *_TYPES.values(),
            *(".ass", ".bin"),
        )
    )
)
"""The suffixes that a name may get."""


def unfit(kind: str, start: bytes) -> str | None:
    """Why a file with these first bytes is not of this kind, as the end of a sentence; None if it may be.

    Videos and images are known by their first bytes: MP4, MOV, AVIF, HEIC, Matroska, WebM, AVI, MPEG-TS and -PS, FLV,
    Ogg, WMV, GIF, JPEG, PNG, WebP. Files of other kinds must only not be a page or an error message.
    """
    if not start:
        return "is empty"
    if is_page(start):
        return "is a page or an error message, not a file"
    if kind in _SHOWN and not is_media(start):
        return "is not a video or image file"
    return None


def is_page(start: bytes) -> bool:
    """Whether these are the first bytes of HTML, XML or JSON."""
    return _PAGE.match(start) is not None


def is_media(start: bytes) -> bool:
    """Whether these are the first bytes of a video or an image."""
    return bool(_family("video", start))


def is_known(start: bytes) -> bool:
    """Whether these are the first bytes of a video, an image or a sound."""
    return bool(_family("audio", start))


def suffix(kind: str, start: bytes, *told: str | None) -> str:
    """The suffix of a file's name, with its dot: the first one in `told` that the bytes allow, else their usual one.

    `told` are suffixes or None; `of_type`, `of_disposition` and `of_url` make them.
    """
    family = _family(kind, start)
    for each in told:
        if each is not None and each in (family or SUFFIXES):
            return each
    return family[0] if family else _USUAL.get(kind, ".bin")


def of_type(media_type: str | None) -> str | None:
    """The suffix for a Content-Type."""
    return _TYPES.get((media_type or "").partition(";")[0].strip().lower())


def of_disposition(disposition: str | None) -> str | None:
    """The suffix of the name in a Content-Disposition."""
    name = re.search(r"""(?i)filename\*?\s*=\s*(?:"([^"]*)"|([^;]+))""", disposition or "")
    return name and _ending(name[1] or name[2])


def of_url(url: str | None) -> str | None:
    """The suffix of a URL's path."""
    try:
        return _ending(urlsplit(url or "").path)
    except ValueError:
        return None


def _ending(name: str) -> str | None:
    found = re.search(r"\.[A-Za-z0-9]{1,5}$", name.strip())
    return found and found[0].lower()


def _family(kind: str, start: bytes) -> tuple[str, ...]:
    """The suffixes that a file with these first bytes may have, the usual one first; none if the bytes are unknown."""
    if start[4:8] in _FIRST_BOXES:
        return _BRANDS.get(start[8:12], _ISO) if start[4:8] == b"ftyp" else _ISO
    for pattern, family in (*(_SOUNDS if kind == "audio" else ()), *_MAGIC):
        if pattern.match(start):
            return family
    return ()
