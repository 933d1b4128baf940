"""Every cue: a sentence in which it holds, and one in which it does not reach the finding."""

from __future__ import annotations

import re

import pytest

from fvlm_data.reports import ReportParser
from fvlm_data.vocabulary import Vocabulary
from fvlm_data.vocabulary.phrases import expand

EN = Vocabulary.load()


def shortest(phrase: str) -> str:
    """The shortest of a pattern's phrases; the naught that stands for any number is a seven."""
    return re.sub(r"\b0\b", "7", min(expand(phrase, EN.cues.macros), key=len))


RULES = [
    pytest.param(rule, shortest(phrase), id=f"{i}-{phrase[:30]}")
    for i, rule in enumerate(EN.cues.rules)
    for phrase in rule.phrases
    if rule.category != "none"
]
PSEUDO = [
    shortest(phrase)
    for rule in EN.cues.rules
    for phrase in rule.phrases
    if rule.direction == "pseudo"
]


@pytest.mark.parametrize(("rule", "cue"), RULES)
def test_cue_holds(parser: ReportParser, rule: object, cue: str):
    forward = rule.direction in ("forward", "both")  # type: ignore[attr-defined]
    # a cue of implants and operations tells nothing of anything else
    target = "stent" if rule.of_lasting else "xyzoma"  # type: ignore[attr-defined]
    sentence = f"{cue} {target}." if forward else f"{target.title()} {cue}"
    assert parser.assertion(sentence, target) == rule.category  # type: ignore[attr-defined]


@pytest.mark.parametrize(("rule", "cue"), [one for one in RULES if one.values[0].of_lasting])  # type: ignore[attr-defined]
def test_cue_of_implants_tells_of_nothing_else(parser: ReportParser, rule: object, cue: str):
    forward = rule.direction == "forward"  # type: ignore[attr-defined]
    sentence = f"{cue} xyzoma." if forward else f"Xyzoma {cue}"
    assert parser.assertion(sentence, "xyzoma") not in ("absent", "hypothetical")


@pytest.mark.parametrize(("rule", "cue"), RULES)
def test_cue_does_not_reach_over_a_terminator(parser: ReportParser, rule: object, cue: str):
    if rule.across:  # type: ignore[attr-defined]
        return
    forward = rule.direction in ("forward", "both")  # type: ignore[attr-defined]
    sentence = f"{cue} foo, but there is xyzoma." if forward else f"There is xyzoma, but foo {cue}"
    assert parser.assertion(sentence, "xyzoma") == "present"


@pytest.mark.parametrize("cue", PSEUDO)
def test_pseudo_cue_denies_nothing(parser: ReportParser, cue: str):
    assert parser.assertion(f"There is {cue} xyzoma.", "xyzoma") != "absent"
