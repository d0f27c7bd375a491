"""Content codings of bodies that are read whole. vidpoll requests none, but some servers use them anyway. Pure."""

from __future__ import annotations

import zlib

from .explain import BodyCut, BodyTooLarge


def decoded(raw: bytes, coding: str, max_body: int) -> bytes:
    """A body with its coding undone. The bytes decide, because some servers label plain bodies utf-8 or aws-chunked."""
    if raw.startswith(b"\x1f\x8b"):
        return _inflated(raw, 31, max_body)
    if "deflate" not in coding or raw.lstrip()[:1] in (b"", b"{", b"[", b"<", b'"'):
        return raw
    try:
        return _inflated(raw, 15, max_body)
    except zlib.error:
        return _inflated(raw, -15, max_body)  # without the zlib header that RFC 9110 requires


def _inflated(raw: bytes, bits: int, max_body: int) -> bytes:
    inflater = zlib.decompressobj(bits)
    inflated = inflater.decompress(raw, max_body + 1)
    if len(inflated) > max_body:
        raise BodyTooLarge(f"a body of more than {max_body:,} bytes")
    if not inflater.eof:
        raise BodyCut("the compressed body was cut")
    return inflated
