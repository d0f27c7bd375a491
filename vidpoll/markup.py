"""Reads markup that came instead of JSON: the error document of a file store, or the title of a page. Pure.

It uses no XML parser: the text is untrusted and often cut, and only two elements matter.
"""

from __future__ import annotations

import re
from html import unescape
from typing import NamedTuple

_READ = 16 * 1024  # characters that are searched
_BEGIN = r"(?is)[\s\ufeff]*(?:<\?xml[^>]{0,200}>\s*)?(?:<!--(?:(?!-->).){0,2000}-->\s*){0,5}"
_PAGE = re.compile(_BEGIN + r"<(?:!doctype\s+html|html|head|body|title|meta|script|style|center|div|p|h[1-6])\b")
_ERROR = re.compile(_BEGIN + r"<(?:\w{1,20}:)?\w{0,20}(?:error|fault|response)\w{0,20}[\s>]")


class Markup(NamedTuple):
    """What a document says: the title of a page, or the code and message of an error."""

    title: str = ""
    code: str = ""
    message: str = ""


def read(text: str) -> Markup | None:
    """What a page or an error document says; None for any other text.

    The first characters decide, not the Content-Type of the response.

    >>> read("<Error><Code>NoSuchKey</Code><Message>There is no such key.</Message></Error>")
    Markup(title='', code='NoSuchKey', message='There is no such key.')
    """
    start = text[:_READ]
    if _PAGE.match(start):
        return Markup(title=_element("title", start) or _element("h1", start))
    if _ERROR.match(start):
        return Markup(code=_element("Code", start), message=_element("Message", start))
    return None


def _element(name: str, text: str) -> str:
    """The text of the first element of a name, on one line; "" if there is none."""
    opened = rf"(?i)<(?:\w{{1,20}}:)?{name}(?:\s[^<>]{{0,200}})?>\s*(?:<!\[CDATA\[)?"
    found = re.search(rf"{opened}([^<]{{1,2000}})", text)
    return " ".join(unescape(found[1]).replace("]]>", " ").split()) if found else ""
