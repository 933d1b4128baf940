"""What pairing writes of an anatomy that nobody mentioned is read as what it means."""

from __future__ import annotations

import pytest

from fvlm_data.reports import ReportParser
from fvlm_data.vocabulary import Vocabulary


@pytest.mark.parametrize("language", ["en", "de"])
def test_the_sentence_of_a_normal_anatomy_is_read_as_normal(language: str):
    vocabulary = Vocabulary.load(language)
    parser = ReportParser(vocabulary=vocabulary)
    wrong = {}
    for anatomy in vocabulary.anatomies:
        if anatomy.id == "face":  # by itself the word may be the surface of an organ
            continue
        report = parser.parse(vocabulary.pairing.normal.format(anatomy=anatomy.name))
        states = {name: one.state for name, one in report.anatomy_states().items()}
        if states[anatomy.id] != "normal_stated" or "abnormal" in states.values():
            wrong[anatomy.id] = {name: one for name, one in states.items() if "not_" not in one}
    assert wrong == {}


@pytest.mark.parametrize("text", [
    "The liver shows no significant abnormality.", "Liver: shows no significant abnormality.",
    "The liver showed no significant abnormalities.", "The liver and spleen show no abnormality.",
])  # fmt: skip
def test_showing_no_abnormality_is_normal(text: str):
    report = ReportParser().parse(f"FINDINGS: {text}")
    assert not report.findings
    assert report.anatomy_states()["liver"].state == "normal_stated"
