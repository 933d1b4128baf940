"""What a page lets a reviewer judge is what `fvlm-data review` knows, in the same version."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

from fvlm_data.qc.judged import judged, judged_texts, names_data
from fvlm_data.qc.study_rows import read_studies
from fvlm_data.reports.language.records import SectionName
from fvlm_data.reports.rows import document_sha256
from fvlm_data.review.subjects import subject_of
from fvlm_data.review.versions import versions_of
from fvlm_data.vocabulary import Vocabulary
from schemas import Report
from tests.qc.small_store import small_store

EN = Vocabulary.load()


def test_subjects_and_versions_are_those_of_the_store(tmp_path: Path):
    context = small_store(tmp_path)
    (study,) = read_studies(context.store, ["st_a"])
    # texts have no hash
    assert {one.kind for one in judged(study, EN)} == {"study", "mask", "pair"}
    assert judged_texts(study) == []
    rows = [Report(**row) for row in context.store.read("reports").to_pylist()]
    hashed = [replace(row, document_sha256=document_sha256(row.text)) for row in rows]
    context.store.replace_all("reports", hashed)
    (study,) = read_studies(context.store, ["st_a"])
    listed, texts = judged(study, EN), judged_texts(study)
    shown = {subject_of(one.kind, one.subject): one for one in (*listed, *texts)}
    assert sorted(one.subject for one in listed) == [
        "st_a",
        "st_a:st_b:liver",
        "v_0:kidney",
        "v_0:liver",
    ]
    assert [one.label for one in listed if one.anatomy == "liver"] == [
        "mask of liver in v_0",
        "says the same of liver as st_b",
    ]
    first, cyst, second, stone, *others = texts
    assert (first.subject, first.label) == ("r_st_a:10:40", "There is a liver cyst of 12 mm")
    assert (cyst.label, cyst.sentence) == ("“cyst”: liver cyst (liver), present", first.subject)
    read = {"finding": "liver_cyst", "anatomy": "liver", "status": "present"}
    assert first.read == {
        "section": "findings",
        "anatomies": ("liver",),
        "findings": [{**read, "start": 27, "end": 31}],
    }
    assert (stone.sentence, stone.anatomy) == (second.subject, "kidney")
    assert stone.read == {
        "finding": "kidney_stone", "anatomy": "kidney", "status": "absent", "laterality": None,
    }  # fmt: skip
    assert {one.kind for one in others} == {"sentence"}
    (other,) = read_studies(context.store, ["st_b"])
    pairs = [[one for one in judged(told, EN) if one.kind == "pair"] for told in (study, other)]
    assert [(one.subject, one.version) for one in pairs[0]] == [
        (one.subject, one.version) for one in pairs[1]
    ], "from either side the same"
    versions = versions_of(context, set(shown), EN)
    assert {one: told.version for one, told in shown.items()} == versions


def test_what_a_correction_may_name_is_what_is_taken():
    names = names_data(EN)
    assert names["sections"] == get_args(SectionName)
    told = sorted(one for some in names["findings"].values() for one in some)
    assert told == sorted(["other_abnormality", *(term.id for term in EN.findings)])
    assert set(names["findings"]) - {""} <= set(names["anatomies"])
    assert "ascites" in names["findings"][""]
