"""Decisions: taken in, written out, sorted by what becomes of them, and what the queue leaves."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fvlm_data.errors import InputError
from fvlm_data.forget.extent import Extent
from fvlm_data.forget.rows import find_rows
from fvlm_data.qc.partners import Partners, read_partners
from fvlm_data.reports.corrections.overlay import discover_corrections, unpacked
from fvlm_data.reports.corrections.reviewed import beside
from fvlm_data.review.decisions import (
    Entry,
    file_text,
    plain_reason,
    read_decisions,
    read_file,
    write_file,
)
from fvlm_data.review.pairs import pairs_apart
from fvlm_data.review.queue import doubts
from fvlm_data.review.standing import Chosen, derive_effects, set_applied, standing
from fvlm_data.review.subjects import subject_of
from fvlm_data.shards.apart import PATH, write_apart
from fvlm_data.store.declared import Context
from fvlm_data.vocabulary import Vocabulary
from schemas import AnatomyText, Finding, Mask
from tests.review.made import ONE, decision, entry, taken

EN = Vocabulary.load()
CYST = "r_st_a:21:25:liver_cyst:liver:present"
"""The mention of the first report of the small store."""


def effects(context: Context) -> dict[str, dict[str, Any]]:
    return {row["subject"]: row for row in context.store.read("review_effects").to_pylist()}


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("scan", "st_1"),
        ("study", "st_1:liver"),
        ("study", ""),
        ("mask", "v_1"),
        ("sentence", "r_1:9:9"),
        ("sentence", "r_1:a:9"),
        ("finding", "r_1:0:4:cyst:liver:present:left"),
        ("pair", "st_1:st_1:liver"),
        ("mask", "v_1:'; DROP"),
    ],
)
def test_a_subject_of_another_form_is_refused(kind: str, text: str):
    with pytest.raises(InputError, match="expected"):
        subject_of(kind, text)


def test_a_pair_is_one_in_either_order():
    assert subject_of("pair", "st_b:st_a:liver") == subject_of("pair", "st_a:st_b:liver")


def test_what_is_written_out_is_taken_in_as_it_was(small: Context, tmp_path: Path):
    correction = {"status": "absent"}
    told = (
        entry("study", "st_a", reason="Motion, blurred!"),
        entry("mask", "v_0:liver", "right"),
        entry("sentence", "r_st_b:10:31", reason="cut"),
        entry("finding", CYST, correction=correction),
        entry("pair", "st_b:st_a:liver", reason="other lesion"),
    )
    assert taken(small, *told) == {"taken": 5}
    before = read_decisions(small)
    by_kind = {one.kind: one for one in before}
    assert by_kind["study"].reason == "motion_blurred"
    assert by_kind["mask"].study_id == "st_a"
    assert (by_kind["pair"].study_id, by_kind["pair"].other_study_id) == ("st_a", "st_b")
    assert by_kind["finding"].report_id == "r_st_a"
    assert not any(one.applied for one in before)
    path = tmp_path / "out.json"
    assert write_file(path, before) == 5
    first = path.read_bytes()
    entries = read_file(path)
    assert taken(small, *entries, reviewer=None) == {"known": 5}
    small.store.replace_all("decisions", [])
    assert taken(small, *entries, reviewer=None) == {"taken": 5}
    assert read_decisions(small) == before
    write_file(path, read_decisions(small))
    assert path.read_bytes() == first


def test_what_cannot_be_taken_in_is_told(small: Context, tmp_path: Path):
    small.vault.remember_forgotten(["st_c"], "refuse", "1")
    told = (
        entry("study", "st_zz"),
        entry("mask", "v_0:spleen"),
        entry("pair", "st_a:st_c:liver"),
        entry("study", "st_a", version="0" * 64),
        Entry(kind="study", subject="st_b"),
    )
    assert taken(small, *told) == {
        "not_here": 2, "forgotten": 1, "taken": 1, "stale": 1, "open": 1,
    }  # fmt: skip
    with pytest.raises(InputError, match="reviewer or decided_at is missing"):
        taken(small, entry("study", "st_a"), reviewer=None)
    with pytest.raises(InputError, match="a correction found; expected none"):
        taken(small, entry("study", "st_a", correction={"status": "absent"}))
    with pytest.raises(InputError, match=r"finding.*not in the vocabulary"):
        taken(small, entry("finding", CYST, correction={"finding": "liver_cist"}))
    with pytest.raises(InputError, match="of another form"):
        taken(small, entry("sentence", "r_st_a:10:31", correction={"mood": "sad"}))
    assert len(read_decisions(small)) == 1
    path = tmp_path / "in.json"
    for text, place in (
        ("no json", "its beginning"),
        ('{"form": "fvlm-review 1", "decisions": [{"kind": "study"}]}', "decisions.0.subject"),
        (
            '{"form": "fvlm-review 1", "decisions": [{"kind": "study", "subject": "st_a", '
            '"reviewer": "Dr. Mustermann"}]}',
            "decisions.0.reviewer",
        ),
    ):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=f"of another form at {place}") as refused:
            read_file(path)
        assert "Mustermann" not in str(refused.value)
    with pytest.raises(InputError, match="expected a few words"):
        plain_reason("a" * 61)


def test_what_becomes_of_applied_decisions():
    study, mask = subject_of("study", "st_1"), subject_of("mask", "v_1:liver")
    text = subject_of("sentence", "r_1:0:9")
    made = [
        decision("study", "st_1", "wrong", "a"),
        decision("study", "st_1", "right", "b"),
        decision("mask", "v_1:liver", "right", "a"),
        decision("mask", "v_1:liver", "wrong", "a", time=1),
        decision("study", "st_2", "wrong", "a"),  # no longer there
        decision("sentence", "r_1:0:9", "wrong", "a"),
        decision("pair", "st_1:st_2:liver", "wrong", "a", version="2" * 64),
    ]
    applied = [replace(one, applied=True) for one in made]
    pair = subject_of("pair", "st_1:st_2:liver")
    versions: dict[Any, str | None] = {study: ONE, mask: ONE, text: None, pair: ONE}
    told = standing(applied, versions)
    assert told.counts() == {"holds": 2, "stale": 2, "disputed": 2, "replaced": 1}
    assert {one.subject for one in told.holds} == {"v_1:liver", "r_1:0:9"}
    assert {one.subject for one in told.stale} == {"st_2", "st_1:st_2:liver"}
    assert standing(made, versions).counts() == {}
    assert standing(applied[:1], versions).holds == applied[:1]
    assert standing(applied[1:2], versions).right == applied[1:2]


def test_a_decision_on_what_has_changed_is_stale_and_changes_nothing(small: Context):
    taken(small, entry("mask", "v_0:liver"), entry("finding", CYST), entry("study", "st_c"))
    changed, told = set_applied(small, EN, Chosen(), applied=True)
    assert (changed, told.counts()) == (3, {"holds": 3})
    assert set(effects(small)) == {"v_0:liver", CYST, "st_c"}
    version = small.store.version("review_effects")
    assert derive_effects(small, EN) == {"holds": 3}
    assert small.store.version("review_effects") == version  # nothing differed, nothing written
    rows = [Mask(**row) for row in small.store.read("masks").to_pylist()]
    small.store.replace_all("masks", [replace(row, content_sha256="new") for row in rows])
    assert derive_effects(small, EN) == {"holds": 2, "stale": 1}
    assert set(effects(small)) == {CYST, "st_c"}
    small.store.replace_all("masks", rows)
    assert derive_effects(small, EN) == {"holds": 3}
    _, told = set_applied(small, EN, Chosen(kind="study"), applied=False)
    assert {one.subject for one in told.holds} == {"v_0:liver", CYST}
    set_applied(small, EN, Chosen(), applied=False)
    assert effects(small) == {}
    assert len(read_decisions(small)) == 3


def test_who_is_chosen_settles_a_dispute(small: Context):
    taken(small, entry("study", "st_a"), reviewer="one")
    taken(small, entry("study", "st_a", "right"), reviewer="two")
    assert set_applied(small, EN, Chosen(), applied=True)[1].counts() == {"disputed": 2}
    assert effects(small) == {}
    set_applied(small, EN, Chosen(), applied=False)
    assert set_applied(small, EN, Chosen(reviewer="one"), applied=True)[1].counts() == {"holds": 1}
    assert set(effects(small)) == {"st_a"}


def test_the_queue_is_ordered_by_doubt_and_loses_what_is_judged(small: Context, tmp_path: Path):
    rows = small.store.read("findings").to_pylist()
    unsure = [
        Finding(**{**row, "confidence": "low", "doubts": ["far_cue"]})
        if row["finding"] == "liver_cyst" and row["report_id"] == "r_st_b"
        else Finding(**row)
        for row in rows
    ]
    small.store.replace_all("findings", unsure)
    model = {"report_ids": ["r_st_b"], "finding": "liver_cyst", "anatomy": "liver"}
    other = {"report_ids": ["r_st_b"], "finding": "splenomegaly", "anatomy": "spleen"}
    path = tmp_path / "rows.jsonl"
    lines = [
        {**model, "label": True, "probability": 0.1, "doubted": True},
        {**other, "label": False, "probability": 0.9, "doubted": True},
        {**model, "label": True, "probability": 0.8, "doubted": False},
    ]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    found = doubts(small, EN, 10, path)
    (first, *rest) = found
    assert (first.subject.kind, first.subject.parts[0]) == ("finding", "r_st_b")
    assert [why.split(":")[0] for why in first.why] == ["model", "read with low confidence"]
    assert {(one.subject.kind, one.subject.text) for one in rest} == {
        ("mask", "v_0:liver"),
        ("study", "st_b"),
    }
    assert doubts(small, EN, 1, path) == found[:1]
    assert [one.subject.kind for one in doubts(small, EN, 9, kind="mask")] == ["mask"]
    # the file that the queue prints is taken in once it is filled in
    text = file_text([one.entry for one in found])
    path.write_text(text.replace('"why"', '"verdict": "right", "why"', 1), encoding="utf-8")
    assert taken(small, *read_file(path)) == {"taken": 1, "open": 2}
    assert first.subject not in {one.subject for one in doubts(small, EN, 10)}
    assert first.subject in {one.subject for one in doubts(small, EN, 10, reviewer="another")}


def test_partners_that_differ_most_or_rest_on_doubtful_mentions_are_queued(
    small: Context, tmp_path: Path
):
    """Eight studies say the same of the liver; a ninth is alone, two more have no name for it."""
    sizes = {"a": 4.0, "b": 5.0, "c": 6.0, "d": 7.0, "e": 40.0, "f": None, "g": 90.0, "h": 8.0}
    told = {"c": "mild", "h": "severe"}
    sure = {"d": "medium", "f": "low"}
    (text, *_) = (r for r in small.store.read("anatomy_texts").to_pylist() if r["signature"] == 7)
    found = small.store.read("findings").to_pylist()
    (mention, *_) = (row for row in found if row["finding"] == "liver_cyst")
    text["findings"] = ["hepatomegaly|present|", "liver_cyst|present|"]
    texts = [
        AnatomyText(**{**text, "study_id": f"s_{n}", "sources": [f"r_{n}:0:40"]}) for n in sizes
    ]
    alone = {**text, "study_id": "s_i", "sources": ["r_i:0:40"], "signature": 8}
    unnamed = {**alone, "signature": 9, "findings": ["other_abnormality|present|"]}
    texts += [AnatomyText(**alone)]
    texts += [AnatomyText(**{**unnamed, "study_id": f"s_{n}"}) for n in "jk"]
    mentions = [
        Finding(**{
            **mention, "report_id": f"r_{n}", "size_mm": size, "severity": told.get(n),
            "confidence": sure.get(n, "high"),
        })
        for n, size in {**sizes, "i": 200.0}.items()
    ]  # fmt: skip
    # sizes of another finding, of another sentence and of what is denied are not compared
    mentions += [
        replace(mentions[6], start=5, end=6, finding="hepatomegaly", size_mm=190.0),
        replace(mentions[0], sentence=1, start=50, end=60, size_mm=900.0),
        replace(mentions[0], sentence=0, start=1, end=2, status="absent", size_mm=800.0),
    ]
    small.store.replace_all("anatomy_texts", texts)
    small.store.replace_all("findings", mentions)

    def queued(**asked: Any) -> dict[str, tuple[int, tuple[str, ...]]]:
        found = doubts(small, EN, 50, kind="pair", **asked)
        return {one.subject.text: (one.weight, one.why) for one in found}

    unlike, doubtful = (
        "partners differ in size: liver_cyst, {} mm",
        "partners by a doubtful mention",
    )
    expected = {
        "s_a:s_g:liver": (2, (unlike.format("4 and 90"),)),
        "s_b:s_e:liver": (2, (unlike.format("5 and 40"),)),
        "s_a:s_f:liver": (2, (doubtful,)),
        "s_a:s_d:liver": (1, (doubtful,)),
        "s_c:s_h:liver": (1, ("partners differ in severity: liver_cyst, mild and severe",)),
    }
    assert queued() == expected
    assert list(queued())[:3] == sorted(list(expected)[:3])
    path = tmp_path / "rows.jsonl"
    row = {"report_ids": ["r_e"], "finding": "liver_cyst", "anatomy": "liver"}
    path.write_text(json.dumps({**row, "label": True, "probability": 0.1, "doubted": True}))
    assert queued(doubtful=path) == {**expected, "s_a:s_e:liver": (2, (doubtful,))}
    taken(small, entry("pair", "s_a:s_g:liver"))
    del expected["s_a:s_g:liver"]
    assert queued() == expected


def test_a_files_correction_holds_before_that_of_review(small: Context):
    told = [entry("sentence", "r_st_b:10:31", correction={"anatomies": ["lung"]})]
    taken(small, *told, entry("finding", "r_st_b:21:25:liver_cyst:liver:present"))
    set_applied(small, EN, Chosen(), applied=True)
    assert discover_corrections(small, None, EN) == {"corrections_by_review": 1}
    (row,) = small.store.read("corrections").to_pylist()
    whole, edit = unpacked(row["sentences"])
    assert (whole.anatomies, whole.wrong) == (("lung",), ())
    assert [one.finding for one in edit.wrong] == ["liver_cyst"]
    assert beside([whole], [whole, edit]) == [whole, edit]
    set_applied(small, EN, Chosen(), applied=False)
    assert discover_corrections(small, None, EN) == {}
    assert small.store.count("corrections") == 0


def test_pairs_lie_beside_the_shards_while_there_are_any(small: Context):
    assert write_apart(small) == 0
    assert not small.store.exists(PATH)
    taken(small, entry("pair", "st_b:st_a:liver"))
    set_applied(small, EN, Chosen(), applied=True)
    assert write_apart(small) == 1
    assert json.loads(small.store.read_bytes(PATH)) == {"pairs": [["st_a", "st_b", "liver"]]}
    set_applied(small, EN, Chosen(), applied=False)
    assert write_apart(small) == 0
    assert not small.store.exists(PATH)


def test_a_pair_that_is_held_apart_stays_on_the_page_and_is_no_partner(small: Context):
    def partners(study: str) -> Partners:
        return read_partners(small.store, [study])[study]["liver"]

    before = partners("st_a")
    assert (before.count, before.studies, before.apart) == (1, ("st_b",), ())
    taken(small, entry("pair", "st_b:st_a:liver"))
    assert partners("st_a") == before, "it is not applied"
    set_applied(small, EN, Chosen(), applied=True)
    for study, other in (("st_a", "st_b"), ("st_b", "st_a")):
        held = partners(study)
        assert (held.count, held.studies, held.apart) == (0, (), (other,))
        # so that it can be judged again
        assert held.versions == {other: before.versions["st_b"]}
    assert pairs_apart(small.store) == {
        ("st_a", "liver"): frozenset({"st_b"}),
        ("st_b", "liver"): frozenset({"st_a"}),
    }
    set_applied(small, EN, Chosen(), applied=False)
    assert partners("st_a") == before
    assert pairs_apart(small.store) == {}


def test_decisions_go_with_who_is_forgotten(small: Context):
    taken(
        small,
        entry("study", "st_a"),
        entry("mask", "v_0:liver"),
        entry("finding", CYST),
        entry("pair", "st_a:st_b:liver"),
        entry("study", "st_b"),
    )
    set_applied(small, EN, Chosen(), applied=True)
    gone = Extent(studies={"st_a"}, volumes={"v_0"}, reports={"r_st_a"})
    rows = find_rows(small, gone, [])
    assert (rows.counts["decisions"], rows.counts["review_effects"]) == (4, 4)
    for table in ("decisions", "review_effects"):
        small.store.replace(table, rows.replaced[table], [])
    assert [one.subject for one in read_decisions(small)] == ["st_b"]
    assert set(effects(small)) == {"st_b"}
