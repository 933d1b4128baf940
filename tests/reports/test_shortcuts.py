"""What is passed over early is never what the slow way finds."""

from __future__ import annotations

import re
import string

from hypothesis import given, settings
from hypothesis import strategies as st

from fvlm_data.reports.language import sub_headers
from fvlm_data.reports.language.layout import _may_be_numbered, _numbered
from fvlm_data.reports.language.overlaps import within_longer
from fvlm_data.reports.language.phrasebook import phrasebook
from fvlm_data.reports.language.sections import section_headers
from fvlm_data.reports.scrubbing.name_forms import skeleton
from fvlm_data.vocabulary import Vocabulary

VOCABULARY = Vocabulary.load()
PIECES = (
    "Liver", "LIVER", "liver", "lungs ", "A) ", "IV) ", "1. ", "2. ", "(", ")", "(if seen)", ":",
    ".", " - ", " -\t", "-", " ", "\t", "\n", "\r\n", "*", "**", "[", "]", "<b>", "</b>", "<br>",
    "=", "|", "\u2013", "Findings", "IMPRESSION", "> FINDINGS", "technique", "ground-glass", "_",
    "non-dilated", "patient\u2019s", "5", "1.5 mm", "\u0661. ", "e\u0301", "\u00b2", "\u2011",
    "and ", "x" * 30,
)  # fmt: skip
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=12).map("".join)


@settings(deadline=None, max_examples=100)
@given(text=TEXTS)
def test_words_stand_where_the_pattern_finds_them(text: str):
    lexicon = phrasebook(VOCABULARY).lexicon
    assert lexicon.places(text, lexicon.split(text)) == lexicon.spans(text)


@settings(deadline=None, max_examples=100)
@given(text=TEXTS)
def test_a_title_ends_where_one_may_end(text: str):
    word = sub_headers._FIRST_WORD.match(text)
    if word and not sub_headers._may_end_title(text, word.start("word")):
        assert sub_headers._AT_LINE.match(text) is None


@settings(deadline=None, max_examples=100)
@given(text=TEXTS)
def test_every_capital_that_may_open_a_section_is_looked_at(text: str):
    headers = section_headers(VOCABULARY)
    capitals = re.finditer(r"[A-Z](?<=[.;:!?>)\]\[( \t\r\n].)", text)
    slow = [at.start() for at in capitals if headers._pattern_at(text[at.start() : at.start() + 4])]
    assert [at.start() for at in headers._sentence_start.finditer(text)] == slow


@settings(deadline=None, max_examples=100)
@given(text=TEXTS)
def test_lists_that_are_not_looked_at_have_no_items(text: str):
    if not _may_be_numbered(text):
        assert list(_numbered(text)) == []


@given(text=st.text(string.printable, max_size=40))
def test_skeleton_is_the_same_by_both_ways(text: str):
    assert skeleton(text) == skeleton(f"{text}\u00e4").removesuffix("\u00e4")


@given(
    places=st.lists(st.tuples(st.integers(0, 20), st.integers(1, 6)), max_size=16),
)
def test_spans_lie_within_longer_ones(places: list[tuple[int, int]]):
    spans = sorted((start, start + length) for start, length in places)
    assert within_longer(spans) == [
        any(a <= start and end <= b and b - a > end - start for a, b in spans)
        for start, end in spans
    ]
