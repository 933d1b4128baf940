from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from fvlm_data.errors import ConfigError
from fvlm_data.reports import ReportParser
from fvlm_data.vocabulary import FindingTerm, Vocabulary
from fvlm_data.vocabulary.files import read_files
from fvlm_data.vocabulary.folders import CLASSES, NAMES, OPTIONAL, built_in_texts
from fvlm_data.vocabulary.hashes import part_hashes
from fvlm_data.vocabulary.phrases import expand

EN = Vocabulary.load()

TRAINED = [
    "adrenal_gland", "aorta", "bladder", "colon", "esophagus", "gallbladder", "heart", "kidney",
    "liver", "lung", "pancreas", "portal_vein", "sacrum", "small_intestine", "spleen", "stomach",
]  # fmt: skip


def test_sixteen_trained_anatomies():
    assert sorted(EN.trained) == TRAINED
    assert set(TRAINED) <= {anatomy.id for anatomy in EN.anatomies} & set(EN.imaged)


def test_eighteen_columns_of_ct_rate():
    assert len({term.ct_rate for term in EN.findings if term.ct_rate}) == 18


def test_prompts_are_pairs_of_sentences():
    for term in EN.findings:
        assert term.prompts.positive.endswith(".")
        assert term.prompts.negative.endswith(".")
        assert term.prompts.positive != term.prompts.negative
    assert {t.id: t for t in EN.findings}["splenomegaly"].prompts.negative == "Not splenomegaly."


@pytest.mark.parametrize("term", [t for t in EN.findings if t.synonyms], ids=lambda t: t.id)
def test_every_synonym_is_found_and_negated(parser: ReportParser, term: FindingTerm):
    macros = EN.macros
    phrase = min(expand(term.synonyms[0], macros), key=len)
    if phrase.startswith("no ") or term.lasting:
        return
    there = parser.parse(f"There is {phrase}.")
    gone = parser.parse(f"There is no {phrase}.")
    assert (term.id, "present") in {(m.finding, m.status) for m in there.findings}
    assert (term.id, "absent") in {(m.finding, m.status) for m in gone.findings}


@pytest.mark.parametrize("term", [t for t in EN.findings if t.observations], ids=lambda t: t.id)
def test_every_observation_is_found_at_its_site(parser: ReportParser, term: FindingTerm):
    site = (term.sites or (term.anatomy,))[0].split(".")
    anatomy = next(a for a in EN.anatomies if a.id == site[0])
    named = anatomy.parts[site[1]] if len(site) > 1 else anatomy.phrases
    words = min(expand(term.observations[0], EN.macros), key=len)
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


def reversed_yaml(value: Any) -> Any:
    """The content with all its mappings and lists the other way round."""
    if isinstance(value, dict):
        return {key: reversed_yaml(value[key]) for key in reversed(value)}
    return [reversed_yaml(item) for item in reversed(value)] if isinstance(value, list) else value


def test_hashes_do_not_depend_on_order():
    texts = built_in_texts("en")
    shuffled = {
        name: yaml.safe_dump(reversed_yaml(yaml.safe_load(texts[name])), sort_keys=False)
        for name in (*NAMES, *OPTIONAL)
    }
    assert part_hashes(read_files("xx", shuffled)) == part_hashes(read_files("en", {}))


def test_precedence_of_anatomies_is_part_of_the_hash(tmp_path: Path):
    (tmp_path / CLASSES).write_text("anatomies: {thymus: {anatomy: []}}\n")
    assert Vocabulary.load(overlay=tmp_path).sha256("segmentation") != EN.sha256("segmentation")


def test_the_same_content_is_read_once(tmp_path: Path):
    # not EN: a process keeps the last few, and other tests may have read many since
    assert Vocabulary.load() is Vocabulary.load()
    assert Vocabulary.load(overlay=tmp_path) == Vocabulary.load()


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
