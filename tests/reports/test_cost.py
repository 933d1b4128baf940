"""Work of the parser grows with the length of a text, whatever stands in it: calls are counted."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fvlm_data.reports import ParseConfig, ReportParser

if TYPE_CHECKING:
    from collections.abc import Callable

CHARACTERS = 3000
CALLS_A_CHARACTER = 150
"""A page of findings needs about 30."""
HOSTILE = (
    "-", "- ", "(", "[ ] ", "? ", ". ", "\n", "\\n", "no ", "not seen ", "nodule ", "nodule, ",
    "and ", "no nodule, which is seen, is ", "liver ", "left ", "right and left ", "5 x ", "5 mm ",
    "1/2 cm ", "from 5 to ", "was 5 mm now ", "1. A ", "a) B ", "* A ", '" A ', '"A ', "\u2022 A ",
    "Findngs: ", "X: No ", "X: No\n", "Fondings:\n", "with small ", "lymph node 5 ", "previously ",
    "<br>", "<", "\t", "history of ", "possible ", "effusion liver shows ", "e\u0301", "\u4e2d",
    "kein ", "[x] a\n", "no nodule, which is seen, is no nodule, which is seen, is A",
)  # fmt: skip
PIECES = st.lists(
    st.sampled_from(HOSTILE) | st.text(min_size=1, max_size=6), min_size=1, max_size=6
)


@pytest.fixture(scope="module")
def forgetful() -> ReportParser:
    """One that remembers no sentence, so that each costs anew."""
    parser = ReportParser(ParseConfig(memo_sentences=0))
    parser.parse("FINDINGS: No nodule is seen. 5 mm cyst in the liver.")
    return parser


def calls(work: Callable[[], Any]) -> int:
    """Calls of functions, of Python and of C, that a piece of work makes."""
    made = 0

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal made
        made += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)
    return made


def check_work(parser: ReportParser, text: str) -> None:
    single = calls(lambda: parser.parse(text))
    double = calls(lambda: parser.parse(text * 2))
    assert single <= CALLS_A_CHARACTER * len(text) + 2000
    # A little more than double: sentences at the seam, lists that a few tokens make too long.
    assert double <= 2.5 * single + 2000


@pytest.mark.parametrize("piece", HOSTILE)
def test_one_thing_again_and_again(forgetful: ReportParser, piece: str):
    check_work(forgetful, (piece * CHARACTERS)[:CHARACTERS])


@settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))
@given(pieces=PIECES)
def test_hostile_texts(forgetful: ReportParser, pieces: list[str]):
    text = "".join(pieces)
    check_work(forgetful, (text * CHARACTERS)[:CHARACTERS])
