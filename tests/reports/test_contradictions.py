"""Contradictions are told in linear numbers, and of every sentence that has one."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fvlm_data.reports import ParsedReport, ReportParser

SENTENCES = st.sampled_from(
    (
        "Pleural effusion on the left.", "No pleural effusion.", "No effusion on the right.",
        "Bilateral pleural effusions.", "The lungs are normal.", "The liver is normal.",
        "Cyst in the liver.", "No liver cyst.", "Nodule in the left lung.", "No nodule.",
    )
)  # fmt: skip
SECTIONS = st.lists(SENTENCES, max_size=8)


def contradicting(parsed: ParsedReport) -> set[tuple[str, str | None, int, str]]:
    """Anatomy, finding, sentence and role of all that contradict, by looking at every pair."""
    stated = [one for one in parsed.findings if one.status == "present"]
    denied = [
        one
        for one in parsed.findings
        if one.status == "absent" and one.change not in ("new", "resolved") and not one.location
    ]
    section = [one.section for one in parsed.sentences]
    found: set[tuple[str, str | None, int, str]] = set()
    for yes in stated:
        for no in denied:
            sides = {yes.laterality, no.laterality}
            overlap = len(sides) == 1 or None in sides or "bilateral" in sides
            same = (yes.finding, yes.anatomy) == (no.finding, no.anatomy)
            if same and overlap and yes.sentence != no.sentence:
                found.add((yes.anatomy, yes.finding, yes.sentence, "stated"))
                found.add((yes.anatomy, yes.finding, no.sentence, "denied"))
        for normal in parsed.normal:
            here, there = section[normal.sentence], section[yes.sentence]
            if normal.anatomy == yes.anatomy and here != there:
                found.add((yes.anatomy, None, yes.sentence, "stated"))
                found.add((yes.anatomy, None, normal.sentence, "denied"))
    return found


@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(findings=SECTIONS, impression=SECTIONS)
def test_every_sentence_that_contradicts_is_told(
    parser: ReportParser, findings: list[str], impression: list[str]
):
    text = f"FINDINGS: {' '.join(findings)}\nIMPRESSION: {' '.join(impression)}"
    parsed = parser.parse(text)
    told = parsed.contradictions()
    roles = {(one.anatomy, one.finding, one.stated_in, "stated") for one in told}
    roles |= {(one.anatomy, one.finding, one.denied_in, "denied") for one in told}
    assert roles == contradicting(parsed)
    assert len(told) <= len(roles)


def test_much_that_contradicts_is_told_once_each(parser: ReportParser):
    said = "Pleural effusion on the left. No pleural effusion. " * 30
    assert len(parser.parse(f"FINDINGS: {said}").contradictions()) == 59
