from __future__ import annotations

import subprocess
import sys

import pytest

from fvlm_data import vocabulary
from fvlm_data.errors import ConfigError
from fvlm_data.reports import ReportParser
from fvlm_data.vocabulary import load_anatomies, load_findings
from fvlm_data.vocabulary.phrases import expand

TRAINED = [
    "adrenal_gland", "aorta", "bladder", "colon", "esophagus", "gallbladder", "heart", "kidney",
    "liver", "lung", "pancreas", "portal_vein", "sacrum", "small_intestine", "spleen", "stomach",
]  # fmt: skip


def test_sixteen_trained_anatomies():
    assert [anatomy.id for anatomy in load_anatomies() if anatomy.trained] == TRAINED


def test_eighteen_columns_of_ct_rate():
    assert len({term.ct_rate for term in load_findings() if term.ct_rate}) == 18


def test_prompts_are_pairs_of_sentences():
    for term in load_findings():
        assert term.prompts.positive.endswith(".")
        assert term.prompts.negative.endswith(".")
        assert term.prompts.positive != term.prompts.negative
    assert {t.id: t for t in load_findings()}[
        "splenomegaly"
    ].prompts.negative == "Not splenomegaly."


@pytest.mark.parametrize("term", [t for t in load_findings() if t.synonyms], ids=lambda t: t.id)
def test_every_synonym_is_found_and_negated(parser: ReportParser, term: vocabulary.FindingTerm):
    macros = vocabulary.finding_file().macros
    phrase = min(expand(term.synonyms[0], macros), key=len)
    if phrase.startswith("no ") or term.lasting:
        return
    there = parser.parse(f"There is {phrase}.")
    gone = parser.parse(f"There is no {phrase}.")
    assert (term.id, "present") in {(m.finding, m.status) for m in there.findings}
    assert (term.id, "absent") in {(m.finding, m.status) for m in gone.findings}


@pytest.mark.parametrize("term", [t for t in load_findings() if t.observations], ids=lambda t: t.id)
def test_every_observation_is_found_at_its_site(parser: ReportParser, term: vocabulary.FindingTerm):
    site = (term.sites or (term.anatomy,))[0].split(".")
    anatomy = next(a for a in load_anatomies() if a.id == site[0])
    named = anatomy.parts[site[1]] if len(site) > 1 else anatomy.phrases
    words = min(expand(term.observations[0], vocabulary.finding_file().macros), key=len)
    place = min(expand(named[0]), key=len)
    parsed = parser.parse(f"{words} is seen in the {place}.")
    assert term.id in {m.finding for m in parsed.findings}


def test_phrase_language():
    assert expand("(left|right)? upper lobe?") == (
        "left upper", "left upper lobe", "right upper", "right upper lobe", "upper", "upper lobe",
    )  # fmt: skip
    assert expand("not ({seen})", {"seen": ("found", "made out")}) == ("not found", "not made out")
    with pytest.raises(ConfigError, match="known are seen"):
        expand("{sene}", {"seen": ("found",)})


def test_hash_does_not_depend_on_order(monkeypatch: pytest.MonkeyPatch):
    before = vocabulary.vocabulary_sha256()
    read = vocabulary._read

    def shuffled(name: str) -> dict[str, object]:
        made = read(name)
        return {
            key: made[key][::-1] if isinstance(made[key], list) else made[key]
            for key in reversed(made)
        }

    monkeypatch.setattr(vocabulary, "_read", shuffled)
    vocabulary.vocabulary_sha256.cache_clear()
    try:
        assert vocabulary.vocabulary_sha256() == before
    finally:
        vocabulary.vocabulary_sha256.cache_clear()


def test_unknown_key_is_refused(monkeypatch: pytest.MonkeyPatch):
    read = vocabulary._read
    monkeypatch.setattr(vocabulary, "_read", lambda name: {**read(name), "colour": "red"})
    vocabulary.load_cues.cache_clear()
    try:
        with pytest.raises(ConfigError, match=r"cues\.yaml: colour"):
            vocabulary.load_cues()
    finally:
        vocabulary.load_cues.cache_clear()


def test_import_is_light():
    code = (
        "import sys, fvlm_data.reports, fvlm_data.vocabulary, fvlm_data.reports.language.parser, "
        "fvlm_data.reports.sources; print(sorted({'medspacy', 'spacy', 'torch', 'prefect', "
        "'loguru'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
