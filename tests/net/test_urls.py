"""What a request line names: a URL as it was written, and a Location as its bytes."""

from __future__ import annotations

import pytest

from vidpoll.net.urls import Written, redirected, written


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://h", "/"),
        ("http://h?a=b", "/?a=b"),
        ("http://h/a?", "/a?"),
        ("https://H:1/a%2fb%7Ec.mp4?sig=x%2by%3d&n=%41#part", "/a%2fb%7Ec.mp4?sig=x%2by%3d&n=%41"),
        ("http://[::1]:1//a/;v=1/@b:c,d", "//a/;v=1/@b:c,d"),
        ("http://h/a?x=/../b/./c&y=[1]!$'()*", "/a?x=/../b/./c&y=[1]!$'()*"),
        ("http://h/.well-known/..a/b.", "/.well-known/..a/b."),
    ],
)
def test_what_is_valid_stays_byte_for_byte(url: str, target: str) -> None:
    """Signatures count lower-case escapes, and escapes that need not be."""
    parts = written(url)
    assert isinstance(parts, Written)
    assert parts.target == target
    assert url.startswith(parts.root)


@pytest.mark.parametrize(
    "url", ["http://h/a b", "http://h/ä", "http://h/%zz", "http://h/a|b", "http://h/a/../b", "http://ä/"]
)
def test_what_is_not_valid_is_left_to_the_libraries(url: str) -> None:
    """Spaces, non-ASCII characters, escapes that are none, dots that a client takes out, names to be looked up."""
    assert written(url) is None


def latin(location: str) -> str:
    """A header as http.client gives it."""
    return location.encode().decode("latin-1")


@pytest.mark.parametrize(
    ("location", "to"),
    [
        ("/out/视频.mp4", "http://h/out/%E8%A7%86%E9%A2%91.mp4"),
        ("//cdn/é?x=é", "http://cdn/%C3%A9?x=%C3%A9"),
        ("https://bücher.example/é", "https://bücher.example/%C3%A9"),
        ("b c|d{e}", "http://h/a/b%20c%7Cd%7Be%7D"),
        ("https://cdn/a%2fb%7E?sig=%41", "https://cdn/a%2fb%7E?sig=%41"),
        ("/100%", "http://h/100%25"),
        ("?x=1", "http://h/a/x?x=1"),
        ("ftp://cdn/x", "ftp://cdn/x"),
    ],
)
def test_a_location_is_its_bytes(location: str, to: str) -> None:
    """UTF-8 as browsers and curl follow it; what is valid stays."""
    assert redirected("http://h/a/x", latin(location)) == to


def test_a_location_in_latin_1_is_its_bytes_too() -> None:
    """The server that sent it knows them."""
    assert redirected("http://h/", "/\xe9") == "http://h/%E9"


@pytest.mark.parametrize("location", ["/a\x00b", "/a\x1bb", "http://h/\x7f", "//[::1/x"])
def test_a_location_that_is_none(location: str) -> None:
    """Control characters, and what cannot be taken apart."""
    with pytest.raises(ValueError, match=r"."):
        redirected("http://h/", location)
