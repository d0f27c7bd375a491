"""Elements of HTML and SVG. Everything is escaped as text unless it is marked as markup. Jobs are unknown here."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

_VOID = {"meta", "img", "br", "hr"}
_KEPT = "\n\u200d"  # the line feed, and the joiner of emoji

Child = Any
"""Markup, text (or what becomes text), None, or an iterable of these."""


class Markup(str):
    """Text that is already HTML. Only `tag` and `raw` make it."""

    __slots__ = ()


def raw(text: str) -> Markup:
    """vidpoll's own text as markup; it must contain no other text."""
    return Markup(text)


def text(value: object) -> str:
    """Any text, made harmless between tags and within double quotes; control characters become spaces."""
    shown = "".join(char if char.isprintable() or char in _KEPT else " " for char in str(value))
    return html.escape(shown, quote=True)


def tag(name: str, /, *children: Child, **attributes: object) -> Markup:
    """An element. `class_` is `class`, `stroke_width` is `stroke-width`; None is left out, True is without a value."""
    words = [name]
    for key, value in attributes.items():
        if value is not None and value is not False:
            shown = key.rstrip("_").replace("_", "-")
            words.append(shown if value is True else f'{shown}="{text(value)}"')
    if name in _VOID:
        return Markup(f"<{' '.join(words)}>")
    return Markup(f"<{' '.join(words)}>{_inner(children)}</{name}>")


def _inner(children: Iterable[Child]) -> str:
    return "".join(
        child
        if isinstance(child, Markup)
        else ""
        if child is None
        else _inner(child)
        if not isinstance(child, str) and isinstance(child, Iterable)
        else text(child)
        for child in children
    )


def web(url: str) -> str | None:
    """A URL that may be linked: http or https, without a query or credentials; None for any other."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or "@" in parts.netloc:
        return None
    return url if url.isprintable() and "\\" not in url and " " not in url else None
