"""Labels of public sets: what each is made of, and sentences on the border of its convention."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fvlm_data.errors import ConfigError
from fvlm_data.vocabulary import Vocabulary
from tests.reports.label_tables import PAGE, page

if TYPE_CHECKING:
    from fvlm_data.reports import ReportParser

EN = Vocabulary.load()
BORDERS = [
    tuple(part.strip() for part in line.split(" | "))
    for line in (Path(__file__).parent / "label_borders.tsv").read_text("utf-8").splitlines()
    if line.strip() and not line.startswith("#")
]


def test_sets_are_whole_and_name_known_findings():
    known = {term.id for term in EN.findings}
    sizes = {name: len(one.labels) + len(one.not_told) for name, one in EN.label_sets.items()}
    assert sizes == {"ct_rate": 18, "merlin": 30, "rad_chest_ct": 84}
    for one in EN.label_sets.values():
        assert not set(one.labels) & set(one.not_told)
        for label, rule in one.labels.items():
            assert set(rule.any) <= known, label


def test_ct_rate_is_the_same_as_in_the_findings():
    for label, rule in EN.label_set("ct_rate").labels.items():
        assert set(rule.any) == {t.id for t in EN.findings if label in (t.ct_rate, t.ct_rate_too)}


def test_the_page_shows_the_sets():
    text = PAGE.read_text(encoding="utf-8")
    assert page(text) == text, "run python -m tests.reports.label_tables"


@pytest.mark.parametrize(("name", "text", "expected"), BORDERS)
def test_border(parser: ReportParser, name: str, text: str, expected: str):
    told = parser.parse(f"FINDINGS: {text}").labels(name)
    wanted = {
        label.replace("_", " ") if name == "ct_rate" else label: int(value)
        for label, value in (item.rsplit(":", 1) for item in expected.split())
    }
    assert {label: told[label] for label in wanted} == wanted


def test_each_label_of_ct_rate_and_merlin_has_a_border_and_most_of_the_others():
    for name, share in (("ct_rate", 1.0), ("merlin", 1.0), ("rad_chest_ct", 0.6)):
        items = [item for one, _, expected in BORDERS if one == name for item in expected.split()]
        named = {item.rsplit(":", 1)[0] for item in items}
        labels = {label.replace(" ", "_") for label in EN.label_set(name).labels}
        assert named <= labels
        assert len(named) >= share * len(labels)


def test_ct_rate_labels_are_the_set(parser: ReportParser):
    parsed = parser.parse("Small lymph nodes. Left effusion, no consolidation.")
    assert parsed.labels("ct_rate") == parsed.ct_rate_labels()


def test_a_denied_kind_denies_not_the_whole(parser: ReportParser):
    parsed = parser.parse("No polycystic kidney disease.")
    assert parsed.labels("merlin")["renal_cyst"] == -1


def test_an_unknown_set_is_told():
    with pytest.raises(ConfigError, match=r"label set merlyn: not known.*did you mean merlin"):
        EN.label_set("merlyn")
