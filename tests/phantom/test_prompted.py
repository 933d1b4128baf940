"""Reports of the vocabulary's prompts, in any of its languages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fvlm_data.errors import ConfigError
from fvlm_data.phantom import generate
from fvlm_data.phantom.patient import draw_patient
from fvlm_data.phantom.prompted import in_language, prompted_text
from fvlm_data.phantom.reports import compose
from fvlm_data.reports import ReportParser
from fvlm_data.vocabulary import Vocabulary

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("language", ["en", "de", "tr"])
def test_a_report_of_prompts_is_read_as_it_is_meant(language: str) -> None:
    vocabulary = Vocabulary.load(language)
    parser = ReportParser(vocabulary=vocabulary)
    told = 0
    for index in range(4):
        patient = draw_patient(7, index)
        for study in patient.studies:
            report = in_language(compose(patient, study), vocabulary)
            parsed = parser.parse(prompted_text(report))
            read = {(one.finding, one.status) for one in parsed.findings}
            for finding, mention in report.mentions.items():
                status = "absent" if mention.negated else "present"
                assert (finding, status) in read, mention.sentence
            states = parsed.anatomy_states()
            assert {states[name].state for name in report.stated_normal} <= {"normal_stated"}
            told += len(report.mentions)
    assert told > 5


def test_an_unknown_language_is_refused_before_anything_is_drawn(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'xx' is not built in"):
        generate(tmp_path / "out", patients=1, seed=7, languages=("xx",))
    assert not (tmp_path / "out").exists()
