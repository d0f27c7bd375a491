"""What a file is by its first bytes, and which suffix its name gets."""

from __future__ import annotations

import pytest
from acme_provider import MP4

from vidpoll.downloads.kinds import of_disposition, of_type, of_url, suffix, unfit

PAGE = "is a page or an error message, not a file"
IMAGES = [
    b"GIF87a...",
    b"GIF89a...",
    b"\xff\xd8\xff\xe0...",
    b"\x89PNG\r\n\x1a\n...",
    b"RIFF\x00\x00\x00\x00WEBPVP8 ",
    b"\x1a\x45\xdf\xa3...",
    b"\x00\x00\x00\x1cftypavif",
    b"RIFF\x00\x00\x00\x00AVI LIST",
    b"G" + bytes(187) + b"G" + bytes(187),
    b"\x00\x00\x00\x00G" + bytes(191) + b"G",
    b"\x00\x00\x01\xba\x44",
    b"FLV\x01\x05",
    b"OggS\x00\x02",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",
    b"\x00\x00\x00\x1cftypheic",
    *(b"\x00\x00\x00\x18" + kind for kind in (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"styp")),
]


@pytest.mark.parametrize("start", IMAGES, ids=repr)
@pytest.mark.parametrize("kind", ["video", "combined", "thumbnail", "last_frame", "audio", "mesh"])
def test_what_a_video_or_an_image_begins_with(start: bytes, kind: str) -> None:
    """ISO-BMFF, Matroska, AVI, MPEG-TS and -PS, FLV, Ogg, WMV, GIF, JPEG, PNG, WebP: fit for every kind."""
    assert unfit(kind, start) is None


@pytest.mark.parametrize(
    "start", [b"RIFF\x00\x00\x00\x00WAVEfmt ", b"ID3\x04", b"MZ\x90", b"\x1f\x8b\x08", b"ftyp", b"x", b"G" + bytes(300)]
)
def test_other_bytes_are_no_video(start: bytes) -> None:
    """But may be of another kind: audio, subtitles, whatever a provider has."""
    for kind in ("video", "combined", "thumbnail", "last_frame"):
        assert unfit(kind, start) == "is not a video or image file"
    assert unfit("audio", start) is None


@pytest.mark.parametrize(
    "start",
    [
        b"<!doctype html>",
        b"\xef\xbb\xbf \r\n\t<html>",
        b"<?xml version='1.0'?><Error>",
        b'{"error": 1}',
        b"{}",
        b" [1]"[:2] + b'"a"]',
        b"[]",
        b"[[",
    ],
)
@pytest.mark.parametrize("kind", ["video", "audio", "subtitle", "mesh"])
def test_a_page_is_no_file_of_any_kind(start: bytes, kind: str) -> None:
    """HTML, XML or JSON."""
    assert unfit(kind, start) == PAGE


@pytest.mark.parametrize(
    "start", [b"1\n00:00:00,000 --> 00:00:02,000\nHi", b"WEBVTT\n", b"[Script Info]\n", b"{1}{20}Hi", b"[00:12.00]La"]
)
def test_subtitles_are_no_page(start: bytes) -> None:
    """SubRip, WebVTT, SubStation, MicroDVD, LRC."""
    assert unfit("subtitle", start) is None


@pytest.mark.parametrize("kind", ["video", "audio", "subtitle"])
def test_nothing_is_no_file(kind: str) -> None:
    """Of whatever kind."""
    assert unfit(kind, b"") == "is empty"


def test_the_tests_own_video_is_one() -> None:
    """What the other tests download."""
    assert unfit("video", MP4) is None


# -- suffixes ---------------------------------------------------------------------------------------------------------

WEBM = b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm"
EBML = b"\x1a\x45\xdf\xa3" + bytes(100)


@pytest.mark.parametrize(
    ("kind", "start", "told", "name"),
    [
        ("video", MP4, (), ".mp4"),
        ("video", MP4, (".webm", ".jpg"), ".mp4"),
        ("video", MP4, (None, ".MOV".lower()), ".mov"),
        ("video", b"\x00\x00\x00\x14ftypqt  ", (".mp4",), ".mov"),
        ("video", WEBM, (".mkv",), ".webm"),
        ("video", WEBM.replace(b"\x84webm", b"\x88matroska"), (".webm",), ".mkv"),
        ("video", EBML, (None, ".mkv"), ".mkv"),
        ("video", EBML, (".mp4",), ".webm"),
        ("video", b"RIFF\x00\x00\x00\x00AVI LIST", (".mp4",), ".avi"),
        ("video", b"G" + bytes(187) + b"G" + bytes(187), (), ".ts"),
        ("video", b"FLV\x01", (), ".flv"),
        ("video", b"OggS", (), ".ogv"),
        ("video", b"GIF89a", (".mp4",), ".gif"),
        ("audio", b"OggS", (".opus",), ".opus"),
        ("audio", b"OggS", (), ".ogg"),
        ("audio", b"RIFF\x00\x00\x00\x00WAVE", (".mp3",), ".wav"),
        ("audio", b"????", (".aac",), ".aac"),
        ("audio", b"????", (".exe", ".sh"), ".mp3"),
        ("thumbnail", b"\x89PNG\r\n\x1a\n", (".jpg",), ".png"),
        ("thumbnail", b"\xff\xd8\xff", (".jpeg",), ".jpeg"),
        ("subtitle", b"WEBVTT", (None, ".vtt"), ".vtt"),
        ("subtitle", b"1\n00:00:00,000", (), ".srt"),
        ("mesh", b"glTF", (".glb",), ".bin"),
    ],
)  # fmt: skip
def test_a_suffix_is_what_the_bytes_are(kind: str, start: bytes, told: tuple[str | None, ...], name: str) -> None:
    """Then the first of what is told that they allow, then the usual one of the kind; never a word of the server's."""
    assert suffix(kind, start, *told) == name


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ('attachment; filename="clip_00001.webm"', ".webm"),
        ("attachment; filename=clip.MKV", ".mkv"),
        ("attachment; filename*=UTF-8''%E8%A7%86.mov", ".mov"),
        ('inline; filename="no suffix"', None),
        ("attachment", None),
        (None, None),
    ],
)
def test_the_suffix_of_a_disposition(header: str | None, name: str | None) -> None:
    """Of the name that it gives."""
    assert of_disposition(header) == name


def test_the_suffix_of_a_type_and_of_a_url() -> None:
    """The type without its parameters; the URL's path without its query."""
    assert (of_type("Video/WebM; codecs=vp9"), of_type("text/plain"), of_type(None)) == (".webm", None, None)
    assert of_url("https://cdn.example/a/b.MP4?name=x.exe#y.z") == ".mp4"
    assert (of_url("/view?filename=x.webm"), of_url("http://[x"), of_url(None)) == (None, None, None)
