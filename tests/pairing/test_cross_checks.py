"""Text against image: hand-written reports beside masks made by hand, and beside real ones."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from fvlm_data.errors import StoreError
from fvlm_data.inspect.verify import verify
from fvlm_data.pairing.anatomy_text import StudyText
from fvlm_data.pairing.audit.funnel import funnel
from fvlm_data.pairing.config import PairConfig
from fvlm_data.pairing.cross_checks import cross_checks
from fvlm_data.pairing.images import Seen, StudyImages, cardiothoracic_ratio, study_images
from fvlm_data.pairing.stage import pair_stage
from fvlm_data.pairing.waiting import derive_waiting
from fvlm_data.reports import ReportParser
from fvlm_data.reports.language.reconcile import assessments
from fvlm_data.segment.backend import Segmentation, VolumeImage
from fvlm_data.segment.checks import mask_rows, volume_check
from fvlm_data.segment.library_classes import library_classes
from fvlm_data.segment.nifti import read_nifti
from fvlm_data.store.commits import retire, settle
from fvlm_data.store.declared import Context
from fvlm_data.store.planning import pending
from fvlm_data.store.tables import Store
from fvlm_data.vocabulary import Vocabulary
from schemas import CrossCheck, Mask, ReportMatch, VolumeCheck

EN = Vocabulary.load()

Reader = Callable[[str], StudyText]


@pytest.fixture(scope="session")
def read() -> Reader:
    """A report as the tables would hold it."""
    parser = ReportParser()

    def rows(text: str) -> StudyText:
        (parsed,) = parser.parse_many([text])
        sentences = [
            {
                "report_id": "r_1",
                "sentence": number,
                "anatomies": tuple(said),
                "assessments": tuple(said.values()),
                "text": sentence.text,
                "section": sentence.section,
                "start": sentence.start,
                "end": sentence.end,
            }
            for number, (sentence, said) in enumerate(
                zip(parsed.sentences, assessments(parsed), strict=True)
            )
        ]
        findings = [{"report_id": "r_1", **one._asdict()} for one in parsed.findings]
        return StudyText(sentences, findings)

    return rows


EVERYTHING = ",".join(EN.classes_of("totalsegmentator_v2"))


def images(
    regions: str = "chest+abdomen",
    ratio: float | None = None,
    searched: str = EVERYTHING,
    **ml: float,
) -> StudyImages:
    """Whole organs by name; kidney_right is the right side."""
    organs: dict[tuple[str, str], list[Seen]] = {}
    for name, volume in ml.items():
        organ, _, side = name.partition("_")
        organs[organ, side] = [Seen("v_1", volume, True)]
        organs.setdefault((organ, ""), [Seen("v_1", volume, True)])
    return StudyImages(
        organs,
        frozenset(regions.split("+")) if regions else frozenset(),
        frozenset(searched.split(",")),
        ("v_1", ratio) if ratio is not None else None,
    )


TORSO = {"liver": 1500.0, "spleen": 180.0, "kidney_left": 150.0, "kidney_right": 150.0}


@pytest.mark.parametrize(
    ("report", "shown", "expected"),
    [
        ("Status post splenectomy.", images(**TORSO), ["organ_removed_but_seen strong spleen"]),
        ("Status post splenectomy.", images(liver=1500), []),
        ("Status post splenectomy.", images(liver=1500, spleen=12), []),
        ("Status post right nephrectomy.", images(**TORSO),
         ["organ_removed_but_seen strong kidney"]),
        ("Status post right nephrectomy.", images(kidney_left=190), []),
        ("Status post right nephrectomy.", images(kidney_left=190, kidney_right=20), []),
        ("Status post right partial nephrectomy.", images(**TORSO), []),
        ("Status post nephrectomy.", images(kidney_left=190), []),
        ("Bilateral nephrectomy with a renal transplant in the right iliac fossa.",
         images(**TORSO), []),
        ("Right nephrectomy. The transplanted kidney is normal.", images(**TORSO), []),
        ("Splenectomy and splenosis.", images(**TORSO), []),
        ("Splenectomy is planned.", images(**TORSO), []),
        ("Candidate for cholecystectomy.", images(gallbladder=40), []),
        ("The right kidney is ectopic. The right renal fossa is empty.", images(**TORSO), []),
        ("Status post nephrectomy.", images(**TORSO), ["organ_removed_but_seen strong kidney"]),
        ("The gallbladder is surgically absent.", images(gallbladder=40),
         ["organ_removed_but_seen strong gallbladder"]),
        ("No evidence of splenectomy.", images(**TORSO), []),
        ("The spleen is normal.", images(liver=1500), ["organ_not_seen weak spleen"]),
        ("The spleen is normal.", images(), []),
        ("The spleen is normal.", images(liver=1500, searched="liver"), []),
        ("Splenomegaly.", images(spleen=120), ["enlargement_not_seen weak spleen"]),
        ("Splenomegaly.", images(spleen=400), []),
        ("The spleen is normal in size.", images(spleen=900), ["enlargement_denied weak spleen"]),
        ("Hepatomegaly.", images(liver=1000), ["enlargement_not_seen weak liver"]),
        ("No hepatomegaly.", images(liver=3500), ["enlargement_denied weak liver"]),
        ("Cardiomegaly.", images(ratio=0.38), ["enlargement_not_seen weak heart"]),
        ("Cardiomegaly.", images(ratio=0.55), []),
        ("Heart size is normal.", images(ratio=0.66), ["enlargement_denied weak heart"]),
        ("Possible cardiomegaly.", images(ratio=0.38), []),
        ("The lungs are clear. Heart size is normal. Esophagus is normal.",
         images("abdomen+pelvis", **TORSO), ["report_of_other_region strong None"]),
        ("The lungs are clear. Heart size is normal. Esophagus is normal.",
         images("chest", lung=4000), []),
        ("The lungs are clear. Heart size is normal. Esophagus is normal.",
         images("", **TORSO), []),
        ("The lungs are clear. Heart size is normal.", images("abdomen", **TORSO), []),
        ("The lungs are clear. Heart size is normal. Liver, pancreas and stomach are normal.",
         images("chest", lung=4000, heart=600), ["region_not_shown weak None"]),
        ("Liver, pancreas and stomach are normal.",
         images("chest", lung=4000, searched="lung,airway"), []),
        ("The lungs are clear. Heart size is normal. Liver, pancreas and stomach are normal.",
         images("chest", lung=4000, searched="lung,heart,aorta,esophagus"), []),
        ("The lungs are clear. Heart size is normal. Esophagus is normal. Bladder is normal.",
         images("abdomen", searched="lung,heart,esophagus,liver", liver=1500),
         ["report_of_other_region strong None"]),
    ],
)  # fmt: skip
def test_what_contradicts_what(
    read: Reader, report: str, shown: StudyImages, expected: list[str]
) -> None:
    found = cross_checks("st_1", read(f"FINDINGS: {report}"), shown, EN)
    assert [f"{one.check} {one.strength} {one.anatomy}" for one in found] == expected


def test_flag_holds_its_evidence(read: Reader) -> None:
    text = (
        "FINDINGS: Liver is normal. Right nephrectomy. IMPRESSION: Status post right nephrectomy."
    )
    (check,) = cross_checks("st_1", read(text), images(**TORSO), EN)
    assert (check.said, check.volume_id) == ("kidney_absent|present|right", "v_1")
    assert (check.quantity, check.measured, check.limit) == ("volume_ml", 150.0, 60.0)
    spans = [tuple(map(int, source.split(":")[1:])) for source in check.sources]
    assert sorted(text[start:end] for start, end in spans) == [
        "Right nephrectomy.",
        "Status post right nephrectomy.",
    ]
    assert check.detail == (
        "the report says kidney_absent (present, right), the mask shows a right kidney of 150 ml "
        "(removed: less than 60 ml)"
    )


def test_two_organs_that_are_called_normal_are_two_rows(read: Reader) -> None:
    text = read("FINDINGS: Liver, spleen and kidneys are normal.")
    missed = cross_checks("st_1", text, images(liver=1500), EN)
    assert [one.said for one in missed] == ["kidney normal", "spleen normal"]
    huge = cross_checks("st_1", text, images(**{**TORSO, "liver": 3500, "spleen": 900}), EN)
    assert [one.said for one in huge] == ["liver normal", "spleen normal"]


def test_sizes_of_children_are_not_judged(read: Reader) -> None:
    shown = dataclasses.replace(images(spleen=120, ratio=0.66), adult=False)
    assert (
        cross_checks("st_1", read("FINDINGS: Splenomegaly. Heart size is normal."), shown, EN) == []
    )
    removed = cross_checks("st_1", read("FINDINGS: Status post splenectomy."), shown, EN)
    assert [one.check for one in removed] == ["organ_removed_but_seen"]
    rows = {"v": [box("spleen", 0, 1)]}
    for age, adult in ((None, True), (16.0, True), (15.9, False), (0.5, False)):
        assert study_images(rows, {"v": {**GRID, "age_years": age}}, {}, EN).adult == adult


def test_what_is_asked_for_contradicts_nothing(read: Reader) -> None:
    text = "CLINICAL INFORMATION: Splenectomy. FINDINGS: Liver is normal."
    assert cross_checks("st_1", read(text), images(**TORSO), EN) == []


def box(name: str, low: int, high: int, **changes: Any) -> dict[str, Any]:
    return {
        "task": "total",
        "class_system": "totalsegmentator_v2",
        "class_name": name,
        "volume_ml": 500.0,
        "bbox": (low, 20, 10, high, 80, 90),
        "touches_border": False,
        **changes,
    }


LUNGS = [box("lung_upper_lobe_left", 55, 90), box("lung_lower_lobe_right", 10, 50)]
GRID = {"shape": (100, 100, 100), "orientation": "LPS", "age_years": None}


@pytest.mark.parametrize(
    ("rows", "grid", "ratio"),
    [
        ([*LUNGS, box("heart", 30, 70)], GRID, 0.5),
        ([*LUNGS, box("heart", 30, 70), box("atrial_appendage_left", 65, 78)], GRID, 0.6),
        ([*LUNGS, box("heart", 30, 70, touches_border=True)], GRID, None),
        ([*LUNGS[:1], box("heart", 30, 70)], GRID, None),
        (LUNGS, GRID, None),
        ([*LUNGS, box("heart", 30, 70)], {**GRID, "shape": (90, 100, 100)}, None),
        ([*LUNGS, box("heart", 30, 70)], {**GRID, "orientation": "PLS"}, 1.0),
    ],
)
def test_cardiothoracic_ratio(
    rows: list[dict[str, Any]], grid: dict[str, Any], ratio: float | None
) -> None:
    assert cardiothoracic_ratio(rows, grid, EN) == pytest.approx(ratio)


def test_classes_of_an_organ_add_up_and_tasks_do_not() -> None:
    masks = {
        "v_1": [
            box("kidney_left", 0, 1, volume_ml=100.0),
            box("kidney_cyst_left", 0, 1, volume_ml=30.0, touches_border=True),
            box("kidney_right", 0, 1, volume_ml=90.0),
            box("kidney_left", 0, 1, volume_ml=110.0, task="other"),
        ],
        "v_2": [box("kidney_left", 0, 1, volume_ml=50.0)],
    }
    grids = dict.fromkeys(masks, GRID)
    regions = {"v_1": {"body_region": "abdomen"}, "v_2": {"body_region": "chest"}}
    found = study_images(masks, grids, regions, EN)
    assert found.organs["kidney", "left"] == [Seen("v_1", 130.0, False), Seen("v_2", 50.0, True)]
    assert found.organs["kidney", ""][0].ml == 220
    assert found.largest("kidney", "left") == Seen("v_1", 130.0, False)
    assert found.whole("kidney") == Seen("v_2", 50.0, True)
    assert found.regions == {"abdomen", "chest"}
    assert not study_images(masks, grids, {"v_1": {"body_region": "unknown"}}, EN).regions
    unmasked = study_images({**masks, "v_3": []}, {**grids, "v_3": GRID}, regions, EN)
    assert not unmasked.regions  # the third may show anything


def test_only_what_every_mask_could_show_is_missed() -> None:
    rows = [box("liver", 0, 1)]
    whole = {"body_region": "abdomen", "searched": ["kidney", "liver", "spleen"]}
    part = {"body_region": "abdomen", "searched": ["kidney", "liver"]}
    before = {"body_region": "abdomen", "searched": None}  # a row of before the column came

    def lacking(*checks: dict[str, Any]) -> set[str]:
        told = {f"v_{number}": check for number, check in enumerate(checks)}
        found = study_images(dict.fromkeys(told, rows), dict.fromkeys(told, GRID), told, EN)
        return {
            name for name in ("liver", "kidney", "spleen", "colon", "face") if found.lacks(name)
        }

    assert lacking(whole) == {"kidney", "spleen"}
    assert lacking(whole, part) == {"kidney"}
    assert lacking({**whole, "searched": []}) == set()
    assert lacking(before) == {"kidney", "spleen", "colon"}
    threshold = [box("lung_left", 0, 1, class_system="threshold")]
    found = study_images({"v": threshold}, {"v": GRID}, {"v": before}, EN)
    assert not found.lacks("liver")
    unmasked = study_images({"v": rows, "w": []}, dict.fromkeys("vw", GRID), {"v": whole}, EN)
    assert not unmasked.lacks("spleen")


@pytest.mark.parametrize("name", ["example_seg.nii.gz", "example_seg_fast.nii.gz"])
def test_real_masks_contradict_wrong_reports_only(read: Reader, real_data: Path, name: str) -> None:
    image = read_nifti((real_data / name).read_bytes())
    labels = image.data.astype(np.uint8)
    system = "totalsegmentator_v2"
    made = Segmentation(labels, library_classes(system), system)
    volume = VolumeImage("v_1", np.zeros(labels.shape, np.int16), image.affine_ras)
    rows = mask_rows(volume, made, "total", "path", "precomputed", "1")
    shown = study_images(
        {"v_1": [dataclasses.asdict(row) for row in rows]},
        {"v_1": {"shape": labels.shape, "orientation": "LAS", "age_years": 60.0}},
        {"v_1": dataclasses.asdict(volume_check(volume, made, rows, EN))},
        EN,
    )
    right = "FINDINGS: Liver, spleen and kidneys are normal. Gallbladder is normal."
    assert cross_checks("st_1", read(right), shown, EN) == []
    wrong = "FINDINGS: Status post splenectomy. Left nephrectomy. Status post cholecystectomy."
    found = {one.anatomy: one for one in cross_checks("st_1", read(wrong), shown, EN)}
    assert {one.check for one in found.values()} == {"organ_removed_but_seen"}
    measured = {anatomy: one.measured for anatomy, one in found.items()}
    assert measured == {
        "spleen": pytest.approx(258, abs=4),
        "kidney": pytest.approx(99.3, abs=1),
        "gallbladder": pytest.approx(36, abs=1),
    }


def mask(hand: ModuleType, volume: str, name: str, ml: float) -> Any:
    row = hand.mask(volume, "masks/x")
    return dataclasses.replace(row, class_name=name, volume_ml=ml, bbox=(0, 0, 0, 1, 1, 1))


@pytest.fixture
def contradicted(hand: ModuleType, context: Context) -> Context:
    """A study whose report says that a spleen of 200 ml was removed, and that a cyst is there."""
    store = context.store
    store.replace_all("volumes", [hand.volume(1, "st_1"), hand.volume(2, "st_2", "p_2")])
    match = ReportMatch(
        report_id="r_1", owner_kind="study", owner_id="st_1", matched_by="study_uid"
    )
    store.replace_all("report_matches", [match])
    store.replace_all("reports", [hand.report(1)])
    store.replace_all("sentences", [
        hand.sentence(0, "findings", "Splenectomy.", spleen="abnormal"),
        hand.sentence(1, "findings", "Liver cyst.", 20, liver="abnormal"),
    ])  # fmt: skip
    store.replace_all("findings", [
        hand.finding(0, "spleen_absent", anatomy="spleen"), hand.finding(1, "liver_cyst"),
    ])  # fmt: skip
    store.replace_all("masks", [mask(hand, "v_1", "spleen", 200.0), mask(hand, "v_1", "liver", 9)])
    return context


def run(context: Context, config: PairConfig) -> int:
    stage = pair_stage(config, EN)
    work = pending(context, stage)
    retire(context, stage, work.obsolete)
    for batch in work.batches:
        settle(context, stage, batch)
    derive_waiting(context)
    return sum(map(len, work.batches))


def texted(context: Context) -> set[str]:
    return set(context.store.read("anatomy_texts", ["anatomy"])["anatomy"].to_pylist())


def checks(context: Context) -> list[CrossCheck]:
    rows = context.store.read("cross_checks").to_pylist()
    return [CrossCheck(**{**row, "sources": tuple(row["sources"])}) for row in rows]


def test_strong_contradiction_sets_aside_the_text_of_its_anatomy(contradicted: Context) -> None:
    run(contradicted, PairConfig())
    assert "spleen" not in texted(contradicted)
    assert "liver" in texted(contradicted)
    (aside,) = contradicted.store.read("quarantine").to_pylist()
    assert (aside["kind"], aside["reason"]) == ("fault", "organ_removed_but_seen")
    assert "a spleen of 200 ml" in aside["detail"]
    assert "the text of spleen is left out" in aside["detail"]
    assert [(one.check, one.measured) for one in checks(contradicted)] == [
        ("organ_removed_but_seen", 200.0)
    ]
    (studies,) = [one for one in verify(contradicted.store) if "studies" in one.name]
    assert studies.passed, studies
    steps = {step.name: step for step in funnel(contradicted)}
    assert steps["texts of anatomies"].excluded == {"fault: organ_removed_but_seen": 1}
    assert steps["studies with a report"].excluded == {"waits for a report": 1}


def test_strong_contradiction_is_kept_by_setting_and_still_flagged(contradicted: Context) -> None:
    run(contradicted, PairConfig(contradictions="keep"))
    assert "spleen" in texted(contradicted)
    assert contradicted.store.count("quarantine") == 0
    assert len(checks(contradicted)) == 1


def test_new_mask_checks_the_study_anew(hand: ModuleType, contradicted: Context) -> None:
    assert run(contradicted, PairConfig()) == 1
    assert run(contradicted, PairConfig()) == 0
    better = dataclasses.replace(mask(hand, "v_1", "spleen", 10.0), content_sha256="1" * 64)
    contradicted.store.replace_all("masks", [better])
    assert run(contradicted, PairConfig()) == 1
    assert "spleen" in texted(contradicted)
    assert checks(contradicted) == []
    assert contradicted.store.count("quarantine") == 0


def test_mask_that_is_made_anew_and_shows_the_same_remakes_no_text(
    contradicted: Context,
) -> None:
    run(contradicted, PairConfig())
    masks = [dict(row) for row in contradicted.store.read("masks").to_pylist()]
    anew = [
        Mask(
            **{
                **row,
                "bbox": tuple(row["bbox"]),
                "backend_version": "2",
                "content_sha256": "1" * 64,
            }
        )
        for row in masks
    ]
    contradicted.store.replace_all("masks", anew)
    assert run(contradicted, PairConfig()) == 0


def test_report_of_another_region_is_set_aside_whole(
    hand: ModuleType, contradicted: Context
) -> None:
    store = contradicted.store
    said = [("lung", "Lungs are clear."), ("heart", "Heart normal."), ("esophagus", "Normal.")]
    store.replace_all("findings", [])
    store.replace_all(
        "sentences",
        [hand.sentence(n, "findings", t, 30 * n, **{a: "normal"}) for n, (a, t) in enumerate(said)],
    )
    region = VolumeCheck(volume_id="v_1", body_region="abdomen", contrast="unknown", flags=())
    store.replace_all("volume_checks", [region])
    run(contradicted, PairConfig())
    assert texted(contradicted) == set()
    (aside,) = store.read("quarantine").to_pylist()
    assert (aside["item"], aside["reason"]) == ("st_1", "report_of_other_region")
    assert "esophagus, heart, lung (chest), of which the scan (abdomen) shows" in aside["detail"]
    waiting = {row["owner_id"] for row in store.read("waiting").to_pylist()}
    assert waiting == {"st_2"}
    steps = {step.name: step for step in funnel(contradicted)}
    excluded = {"fault: report_of_other_region": 1, "waits for a report": 1}
    assert steps["studies with a report"].excluded == excluded
    (studies,) = [one for one in verify(store) if "studies" in one.name]
    assert studies.passed, studies


def test_new_class_names_of_a_mask_check_the_study_anew(
    hand: ModuleType, contradicted: Context
) -> None:
    store = contradicted.store
    said = hand.sentence(0, "findings", "Kidneys are normal.", kidney="normal")
    store.replace_all("sentences", [said])
    store.replace_all("findings", [])

    def check(*searched: str) -> None:
        row = VolumeCheck(
            volume_id="v_1", body_region="abdomen", contrast="unknown", flags=(), searched=searched
        )
        store.replace_all("volume_checks", [row])

    check("liver", "spleen")
    assert run(contradicted, PairConfig()) == 1
    assert checks(contradicted) == []
    assert run(contradicted, PairConfig()) == 0
    check("liver", "spleen", "kidney")
    assert run(contradicted, PairConfig()) == 1
    assert [one.check for one in checks(contradicted)] == ["organ_not_seen"]


def test_a_volume_without_a_mask_may_show_what_the_others_do_not(
    hand: ModuleType, contradicted: Context
) -> None:
    store = contradicted.store
    said = hand.sentence(0, "findings", "Kidneys are normal.", kidney="normal")
    store.replace_all("sentences", [said])
    store.replace_all("findings", [])
    run(contradicted, PairConfig())
    assert [one.check for one in checks(contradicted)] == ["organ_not_seen"]
    store.replace_all("volumes", [hand.volume(1, "st_1"), hand.volume(2, "st_1")])
    assert run(contradicted, PairConfig()) == 1
    assert checks(contradicted) == []


@pytest.mark.parametrize("table", ["cross_checks", "findings"])
def test_a_table_that_is_missing_is_told(contradicted: Context, table: str) -> None:
    root = contradicted.store.local_root
    assert root is not None
    shutil.rmtree(root / "tables" / table)
    with pytest.raises(StoreError, match=f"table {table} is missing; the store is damaged"):
        run(Context(Store.open(root), contradicted.vault, "run"), PairConfig())
