"""The parser against the phantom's reports, whose truth is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fvlm_data.phantom.catalogue import ANATOMIES, KINDS
from fvlm_data.phantom.draws import stream
from fvlm_data.phantom.patient import draw_patient
from fvlm_data.phantom.reports import abdomen_text, chest_row, compose
from fvlm_data.vocabulary import Vocabulary

if TYPE_CHECKING:
    from fvlm_data.reports import ParsedReport, ReportParser

EN = Vocabulary.load()

SEED, PATIENTS = 20261, 40


def parsed_studies(parser: ReportParser) -> list[tuple[object, ParsedReport]]:
    made = []
    for index in range(PATIENTS):
        patient = draw_patient(SEED, index)
        for study in (s for s in patient.studies if s.has_report):
            report = compose(patient, study)
            rng = stream(patient.seed, patient.index, 16, study.order)
            if study.protocol == "chest":
                made.append((report, parser.parse_columns(chest_row(report, rng))[1]))
            else:
                made.append((report, parser.parse(abdomen_text(report, rng))))
    return made


def test_vocabulary_knows_all_that_the_phantom_shows():
    assert {kind.finding for kind in KINDS} <= {term.id for term in EN.findings}


def test_findings_and_states_of_phantom_reports(parser: ReportParser):
    known = {kind.finding for kind in KINDS}
    right = wrong = missed = states = agreed = 0
    for report, parsed in parsed_studies(parser):
        told = {name for name, mention in report.mentions.items() if not mention.negated}
        found_states = parsed.anatomy_states()
        found = {
            mention.finding
            for state in found_states.values()
            for mention in state.findings
            if mention.status in ("present", "uncertain")
        } & known
        right += len(found & told)
        wrong += len(found - told)
        missed += len(told - found)
        states += len(ANATOMIES)
        agreed += sum(report.state(name) == found_states[name].state for name in ANATOMIES)
    assert right / (right + wrong) > 0.97
    assert right / (right + missed) > 0.97
    assert agreed / states > 0.98
