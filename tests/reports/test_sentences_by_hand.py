"""Sentences written by hand, with what a radiologist would read in them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from fvlm_data.reports import ReportParser

CASES = [
    tuple(cell.strip() for cell in line.split("|"))
    for line in (Path(__file__).parent / "sentences.tsv").read_text(encoding="utf-8").splitlines()
    if line.strip() and not line.startswith("#")
]


def test_there_are_enough_sentences():
    assert len(CASES) >= 150
    assert len({text for text, *_ in CASES}) == len(CASES)


@pytest.mark.parametrize(
    ("text", "anatomies", "findings"), CASES, ids=[case[0][:40] for case in CASES]
)
def test_sentence(parser: ReportParser, text: str, anatomies: str, findings: str):
    parsed = parser.parse(text)

    assert {a for s in parsed.sentences for a in s.anatomies} == set(
        filter(None, anatomies.split(","))
    )
    expected = {tuple(item.split(":")[:2]) for item in findings.split()}
    assert {(m.finding, m.status) for m in parsed.findings} == expected
    for item in findings.split():
        finding, _, *side = item.split(":")
        if side:
            assert {m.laterality for m in parsed.findings if m.finding == finding} == set(side)
