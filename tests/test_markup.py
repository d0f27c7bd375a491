"""Markup where JSON was due: two elements of an error document, the title of a page, and nothing of anything else."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidpoll.markup import Markup, read

few = settings(max_examples=50, deadline=None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<html><title>A &amp; B</title>", Markup(title="A & B")),
        ("<!doctype html><h1>Down</h1>", Markup(title="Down")),
        ("<?xml version='1.0'?><!DOCTYPE html><html><title/><h1> x\n y </h1>", Markup(title="x y")),
        ("\ufeff <!-- a --> <!-- b --><p>Sorry", Markup()),
        ("<Error><Code>A</Code><Message>b</Message></Error>", Markup(code="A", message="b")),
        ("<s:Fault xmlns:s='x'><Message><![CDATA[b & c]]></Message></s:Fault>", Markup(message="b & c")),
        ("<ErrorResponse><Error><Code>A", Markup(code="A")),
        ("<Error/>", None),
        ("<html", Markup()),
        ("<feed><Code>A</Code></feed>", None),
        ('{"a": "<html>"}', None),
        ("text <html>", None),
        ("", None),
    ],
)
def test_what_a_document_says(text: str, said: Markup | None) -> None:
    """Its first characters say what it is."""
    assert read(text) == said


@few
@given(st.text() | st.text(alphabet="<!->html errorCodMsagtil/[]&#;: \n", max_size=200))
def test_no_text_makes_it_raise(text: str) -> None:
    """It comes from strangers."""
    said = read(text)
    assert said is None or all(isinstance(each, str) for each in said)


@pytest.mark.parametrize(
    "piece", ["<!--", "<!-- -->", " ", "<title ", "<Error ", "<html><title>", "<x:", "&#", "<![CDATA["]
)
def test_no_text_makes_it_slow(piece: str) -> None:
    """Megabytes of what makes patterns slow are read in a moment."""
    begun = time.process_time()
    for start in ("", "<html>", "<Error>"):
        read(start + piece * (4_000_000 // len(piece)))
    assert time.process_time() - begun < 1
