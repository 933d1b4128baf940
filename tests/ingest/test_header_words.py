from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.datadict import keyword_for_tag, tag_for_keyword
from pydicom.dataset import Dataset

import fvlm_data.ingest
from fvlm_data.ingest.dicom import header_profile as profile
from fvlm_data.ingest.dicom import header_words
from fvlm_data.ingest.dicom.header import facts, identities
from fvlm_data.ingest.dicom.header_words import allowed_words, contrast, kernel, kernel_kind

KEY = bytes(range(32))
DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("Thorax Mustermann 1.5 mm", "thorax 1.5mm"),
        ("ABD/PELVIS  W CONTRAST", "abd pelvis w contrast"),
        ("MUSTERMANN^ERIKA", None),
        ("Röntgen Schädel nativ", "nativ"),
        ("CHEST 0042 19300215 94", "chest"),
        ("thorax/Mustermann/axial", "thorax axial"),
        ("thoraxmustermann", None),
        ("5.0 x 2,5mm B30f", "2.5mm"),
        ("", None),
    ],
)
def test_only_listed_words_stay(told: str, kept: str | None):
    assert allowed_words([told]) == kept


@given(st.text(max_size=40))
def test_whatever_stays_is_listed_or_a_number_with_its_unit(told: str):
    known = header_words.header_words().words
    for word in (allowed_words([told]) or "").split():
        assert word in known or word.endswith(("mm", "kv", "kvp", "s", "%"))


def test_a_word_of_the_patients_own_name_goes_too():
    one = Dataset()
    one.PatientName, one.SeriesDescription = "Kopf^Anna", "Hals Kopf nativ"
    assert facts(one, "p_1", KEY).description == "hals nativ"
    assert {"Kopf", "Anna", "Kopf Anna"} <= identities(one)


@pytest.mark.parametrize(
    ("agent", "descriptions", "told"),
    [
        ("Ultravist 370", ["Abdomen portal venös"], "portal_venous"),
        ("Ultravist 370", ["Thorax"], "yes"),
        ("Ultravist 370", ["Thorax nativ"], "yes"),
        ("NONE", ["Abdomen arterial"], "no"),
        ("", ["Abdomen arteriell 1mm", "venös"], "arterial"),
        ("", ["ABDOMEN W/O CONTRAST"], "no"),
        ("", ["CHEST WITHOUT CONTRAST"], "no"),
        ("", ["CHEST WITH CONTRAST"], "yes"),
        ("", ["Nieren Spätphase"], "delayed"),
        ("", ["Partial scan", "Venus Clinic"], None),
        ("", [""], None),
    ],
)
def test_contrast_phase_of_a_header(agent: str, descriptions: list[str], told: str | None):
    assert contrast(agent, descriptions) == told


@pytest.mark.parametrize(
    ("token", "kind"),
    [
        ("B30f", "soft"), ("Br38f", "soft"), ("I31s", "soft"), ("FC08", "soft"),
        ("STANDARD", "soft"),
        ("B", "soft"), ("B70f", "sharp"), ("Br64d", "sharp"), ("FC51", "sharp"), ("LUNG", "sharp"),
        ("BONEPLUS", "sharp"), ("YC", "sharp"), ("MUSTERMANN", None), ("ERIKA", None), ("", None),
    ],
)  # fmt: skip
def test_kernels_are_soft_or_sharp_or_stay_behind(token: str, kind: str | None):
    assert kernel_kind(token) == kind
    assert kernel([token, "3"]) == (token if kind else None)


@pytest.mark.parametrize(
    ("age", "years"), [("089Y", 89), ("090Y", 90), ("104Y", 90), ("018M", 1.5)]
)
def test_ages_above_89_are_one(age: str, years: float):
    one = Dataset()
    one.PatientAge = age
    assert facts(one, "p_1", KEY).age_years == years


def test_every_attribute_of_the_profile_is_in_the_dictionary_once():
    keywords = profile.profile_keywords()
    tags = [tag_for_keyword(keyword) for keyword in keywords]
    assert None not in tags
    assert tags == sorted(set(tags))
    assert len(keywords) > 600
    assert [keyword_for_tag(tag) for tag in tags] == keywords


def test_the_page_holds_the_table():
    page = (DOCS / "identity.md").read_text(encoding="utf-8")
    assert page.partition(profile.MARK)[2].strip() == profile.table_markdown().strip(), (
        "run: python -m fvlm_data.ingest.dicom.header_profile docs/identity.md"
    )


def test_what_ingest_reads_of_the_profile_is_told_in_the_table():
    """Every keyword that stands in ingest's source and in the profile has a line of its own."""
    folder = Path(str(fvlm_data.ingest.__file__)).parent
    named = {
        node.value
        for path in folder.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    read = named & set(profile.profile_keywords())
    assert len(read) > 30
    assert [keyword for keyword in read if profile.treatment(keyword) == profile.NOT_READ] == []
