"""Markup in reports: what it shows stays, whatever it looks like."""

from __future__ import annotations

import html
import re
import time
from collections import Counter
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fvlm_data.reports.sources.attachments import UnreadError
from fvlm_data.reports.sources.markup import plain_text

PAGE = """<!DOCTYPE html>
<html><head><title>CT</title><style>p { color: red }</style><script>let x</script></head>
<body><!-- hidden <b>note</b> --><h1>Findings</h1><p>The liver
is normal.</p><table><tr><td>Cyst</td><td>4&nbsp;mm</td></tr></table><pre>a
 b</pre><ul><li>One</li><li>Two &lt; 5</li></ul></body></html>"""


def test_a_page():
    assert plain_text(PAGE).replace("\xa0", " ").split("\n") == [
        "CT", "", "Findings", "", "The liver is normal.", "", "Cyst 4 mm", "", "a", "b", "",
        "One", "", "Two < 5",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("No mass <5 mm, <10 HU", "No mass <5 mm, <10 HU"),
        ("Liver<br/>Spleen\nKidney", "Liver\nSpleen\nKidney"),
        ("a <b>bold</b> word", "a bold word"),
        ("x <y and z> w<br>", "x <y and z> w"),
        ("<p>open <!-- never closed", "open <!-- never closed"),
        ("<p>a<style>b", "ab"),
        ("<p>a <? 5 mm> b", "a <? 5 mm> b"),
        ("5 &lt; 6 &amp; 7", "5 < 6 & 7"),
        ("R&D; A&B", "R&D; A&B"),
        ("{\\rtf1\\ansi\\ansicpg1254 akci\\'f0er\\par\\u8805? 5}", "akci\u011fer\n\u2265 5"),
        ("{\\rtf1 one\\par {\\b two", "one\ntwo"),
    ],
)
def test_text_with_some_of_it(text: str, read: str):
    assert plain_text(text) == read


WORDS = st.text("abcxyz\u00d6\u0131<>&;5 ", min_size=1, max_size=12)
TAGS = st.sampled_from(["p", "b", "div", "br", "td", "span class='x'", "o:p", "PRE", "li"])


@settings(deadline=None)
@given(st.lists(st.tuples(TAGS, WORDS), min_size=1, max_size=10))
def test_html_loses_no_word(parts: list[tuple[str, str]]):
    text = "<p>" + "".join(f"<{tag}>{html.escape(word)}</{tag.split()[0]}>" for tag, word in parts)
    written = "".join(word for _, word in parts)
    assert Counter(re.findall(r"\w", plain_text(text))) == Counter(re.findall(r"\w", written))


@settings(deadline=None)
@given(st.lists(st.text("abcxyz\u00d6\u0131\u80ba5 ", max_size=12), min_size=1, max_size=8))
def test_rtf_loses_no_word(words: list[str]):
    escaped = [
        "".join(sign if sign.isascii() else f"\\u{ord(sign)}?" for sign in word) for word in words
    ]
    text = "{\\rtf1\\ansi " + "\\par ".join(escaped) + "}"
    shown = Counter(re.findall(r"\w", plain_text(text)))
    assert shown == Counter(re.findall(r"\w", "".join(words)))


@pytest.mark.parametrize(
    "piece",
    ["<", "<!--", "<p ", "<a b='", "</", "<?", "&lt;", "<script>", "{\\rtf1 a}", "{\\rtf1 {",
     "{\\rtf1{\\fonttbl{\\f0 ", "{\\rtf1{\\pict "],
)  # fmt: skip
def test_cost_is_linear(piece: str):
    started = time.process_time()
    with suppress(UnreadError):
        plain_text("<p>" + piece * (100_000 // len(piece)))
    assert time.process_time() - started < 2
