"""A query as SQL over the tables of a store."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fvlm_data.opened.conditions import BOTH_SIDES, VOLUMES, among, quoted
from fvlm_data.opened.search.query import Age, Of, Said, Without, Words
from fvlm_data.reports.language.records import ASSERTING_SECTIONS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fvlm_data.opened.search.query import Query, Term
    from fvlm_data.vocabulary import Vocabulary

MENTIONS = """SELECT j.study_id, t.report_id, t.sentence FROM study_reports j
JOIN findings f ON f.report_id = j.report_id
JOIN sentences t ON t.report_id = f.report_id AND t.sentence = f.sentence
WHERE {held}"""

SENTENCES = """SELECT j.study_id, t.report_id, t.sentence FROM study_reports j
JOIN sentences t ON t.report_id = j.report_id
WHERE {held}"""

COLUMNS = {
    "sex": "lower(v.sex)",
    "phase": "c.phase",
    "split": "p.split",
}
BETWEEN_WORDS = r"[^\pL\pN]"
"""RE2's own border of words knows ASCII alone."""


def study_conditions(query: Query, vocabulary: Vocabulary) -> list[str]:
    """SQL conditions on a study's row, all of which must hold.

    What is said of a finding must hold of one mention, in a section that tells what this
    examination shows; a finding is there too where one is that implies it. What is denied
    (`no`) is stated to be absent, and nowhere that it is present. What is asked of images
    must hold of one volume.
    """
    of_volume = [_of_volume(one) for one in query.terms if isinstance(one, (Age, Of))]
    made = [VOLUMES.format(held=" AND ".join(of_volume))] if of_volume else []
    for term in query.terms:
        if isinstance(term, Without):
            made.append(f"NOT ({' AND '.join(_of_study(term.term, vocabulary))})")
        elif not isinstance(term, (Age, Of)):
            made += _of_study(term, vocabulary)
    return made


def sentences_said(query: Query, vocabulary: Vocabulary) -> str:
    """SQL of the sentences that fulfil a term: study_id, report_id, sentence, with repeats."""
    told = [part for term in query.terms for part in _sentences(term, vocabulary)]
    # a query may ask for nothing that is said
    return "\nUNION ALL\n".join(told) or SENTENCES.format(held="false")


def _of_study(term: Said | Words | Age | Of, vocabulary: Vocabulary) -> list[str]:
    if isinstance(term, (Age, Of)):
        return [VOLUMES.format(held=_of_volume(term))]
    made = [_studies_of(one) for one in _sentences(term, vocabulary)]
    if isinstance(term, Said) and term.status == "absent":
        there = Said(term.findings, side=term.side, severity=term.severity)
        made.append(f"NOT ({' AND '.join(_of_study(there, vocabulary))})")
    return made


def _studies_of(sentences: str) -> str:
    return f"study_id IN (SELECT study_id FROM ({sentences}))"


def _sentences(term: Term, vocabulary: Vocabulary) -> list[str]:
    """SQL of the sentences that each part of a term asks for; none of what is no text."""
    if isinstance(term, Words):
        return [SENTENCES.format(held=_stands(term.text))]
    if not isinstance(term, Said):
        return []
    # on both sides: one mention of both, or one of each
    sides = tuple(BOTH_SIDES) if term.side == "bilateral" else (term.side,)
    return [MENTIONS.format(held=_mentioned(term, side, vocabulary)) for side in sides]


def _mentioned(term: Said, side: str | None, vocabulary: Vocabulary) -> str:
    findings = term.findings if term.status == "absent" else _implying(term.findings, vocabulary)
    held = [among("f.finding", findings), f"f.status = {quoted(term.status)}"]
    if side is not None:
        held.append(_on(side, anywhere=term.status == "absent"))
    if term.severity is not None:
        held.append(f"f.severity = {quoted(term.severity)}")
    held += [f"f.size_mm {bound.sign} {bound.value!r}" for bound in term.sizes_mm]
    return " AND ".join([*held, among("t.section", sorted(ASSERTING_SECTIONS))])


def _on(side: str, *, anywhere: bool) -> str:
    sides = among("f.laterality", BOTH_SIDES[side])
    # what is denied without a side is denied on each
    return f"({sides} OR f.laterality IS NULL)" if anywhere else sides


def _implying(findings: Iterable[str], vocabulary: Vocabulary) -> list[str]:
    wanted = set(findings)
    return sorted(wanted | {one for one, more in vocabulary.implied.items() if more & wanted})


def _of_volume(term: Age | Of) -> str:
    if isinstance(term, Age):
        return " AND ".join(f"v.age_years {one.sign} {one.value!r}" for one in term.bounds)
    if term.name == "region":
        return _any(_shows(value.split("+")) for value in term.values)
    if term.name in COLUMNS:
        return among(COLUMNS[term.name], term.values)
    column = f"lower(v.{term.name})"
    return _any(f"contains({column}, {quoted(value)})" for value in term.values)


def _shows(regions: Iterable[str]) -> str:
    parts = "string_split(c.body_region, '+')"
    return " AND ".join(f"list_contains({parts}, {quoted(one)})" for one in regions)


def _any(conditions: Iterable[str]) -> str:
    return f"({' OR '.join(conditions)})"


def _stands(text: str) -> str:
    """The words stand in a sentence one after the other, whatever case and blanks."""
    words = r"\s+".join(re.sub(r"([^\w])", r"\\\1", word) for word in text.split())
    pattern = f"(^|{BETWEEN_WORDS}){words}($|{BETWEEN_WORDS})"
    return f"regexp_matches(t.text, {quoted(pattern)}, 'i')"
