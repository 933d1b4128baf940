"""The audit on a store made by hand, where every figure can be counted."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.testing import CliRunner

from fvlm_data.cli.main import app
from fvlm_data.errors import InputError
from fvlm_data.identity.ids import link_key
from fvlm_data.identity.vault import Vault
from fvlm_data.pairing.audit import Audit, audit
from fvlm_data.pairing.audit.contradictions import audit_contradictions
from fvlm_data.pairing.audit.funnel import funnel
from fvlm_data.pairing.audit.labels import audit_labels
from fvlm_data.pairing.audit.negatives import audit_negatives
from fvlm_data.pairing.audit.printed import audit_lines
from fvlm_data.pairing.audit.split_sizes import split_sizes
from fvlm_data.pairing.config import PairConfig
from fvlm_data.pairing.split_stage import split_stage
from fvlm_data.pairing.stage import pair_stage
from fvlm_data.pairing.waiting import derive_waiting
from fvlm_data.store.commits import settle
from fvlm_data.store.declared import Context
from fvlm_data.store.planning import pending
from fvlm_data.store.tables import Store
from fvlm_data.vocabulary import Vocabulary
from schemas import (
    AnatomyText,
    CrossCheck,
    Quarantined,
    ReportMatch,
    ReviewEffect,
    Sentence,
    Split,
)

EN = Vocabulary.load()

SAID: Mapping[str, tuple[tuple[str, str, str], ...]] = {
    # study: (section, sentence, what it says of the heart)
    "st_1": (("impression", "Cardiomegaly.", "abnormal"),),
    "st_2": (("findings", "The heart is enlarged.", "abnormal"),),
    "st_3": (("findings", "Heart is normal.", "normal"),),
    "st_4": (("findings", "Heart is of normal size.", "normal"),),
    "st_5": (("findings", "Liver is normal.", "unsaid"),),
    "st_6": (("findings", "Possible cardiomegaly.", "abnormal"),),
}
STATUS = {"st_1": "present", "st_2": "present", "st_6": "uncertain"}


def name_of(number: int) -> str:
    return f"train_{number}_a_1.nii.gz"


def sentences(hand: ModuleType, study: str, report: str) -> list[Sentence]:
    return [
        hand.sentence(
            number, section, text, report_id=report, **({"heart": said} if said != "unsaid" else {})
        )
        for number, (section, text, said) in enumerate(SAID[study])
    ]


@pytest.fixture(scope="module")
def audited(
    hand: ModuleType, empty_store: Path, tmp_path_factory: pytest.TempPathFactory
) -> Context:
    """Six studies with a report each, a seventh without, and a report of no study."""
    place = tmp_path_factory.mktemp("audited")
    opened = Store.open(shutil.copytree(empty_store, place / "store"))
    context = Context(opened, Vault.open(place / "vault"), "run")
    store, key = context.store, context.vault.key
    numbers = range(1, 8)
    volumes = [hand.volume(n, f"st_{n}", f"p_{n}") for n in numbers]
    store.replace_all("volumes", volumes)
    store.replace_all("candidates", volumes)
    links = [
        hand.link("series", f"se_{n}", "volume_name", link_key("volume_name", name_of(n), key=key))
        for n in numbers
    ]
    reports = [hand.report(n) for n in (*range(1, 7), 9)]
    matches = [
        ReportMatch(
            report_id=f"r_{n}", owner_kind="study", owner_id=f"st_{n}", matched_by="volume_name"
        )
        for n in range(1, 7)
    ]
    told, found = [], []
    for n in range(1, 7):
        study, report = f"st_{n}", f"r_{n}"
        name = link_key("volume_name", name_of(n), key=key)
        links.append(hand.link("report", report, "volume_name", name))
        told += sentences(hand, study, report)
        if study in STATUS:
            found.append(hand.finding(0, "cardiomegaly", STATUS[study], None, "heart", report))
    links.append(hand.link("report", "r_9", "volume_name", "elsewhere"))
    for table, rows in (
        ("links", links), ("report_matches", matches), ("reports", reports),
        ("sentences", told), ("findings", found),
        ("masks", [hand.mask(f"v_{n}", f"masks/{n}") for n in range(1, 7)]),
        ("inputs", [
            *(hand.offered("file", f"f_{n}", f"se_{n}") for n in numbers),
            hand.offered("file", "f_8", None),
            *(hand.offered("report", f"row_{n}", f"r_{n}") for n in (*range(1, 7), 9)),
        ]),
    ):  # fmt: skip
        store.replace_all(table, rows)
    lost = Quarantined(
        kind="fault", stage="discover", item="f_8", reason="not_dicom", detail="d",
        source_files=("f_8",),
    )  # fmt: skip
    store.replace("quarantine", ["f_8"], [lost], {"stage": "discover"})
    for stage in (split_stage(PairConfig()), pair_stage(PairConfig(), EN)):
        for batch in pending(context, stage).batches:
            settle(context, stage, batch)
    derive_waiting(context)
    return context


@pytest.fixture(scope="module")
def found(audited: Context) -> Audit:
    return audit(audited, PairConfig(), EN)


def of(rows: Any, name: str) -> Any:
    return next(row for row in rows if getattr(row, "anatomy", getattr(row, "name", "")) == name)


def test_funnel_counts_everything_once_and_says_why(found: Audit):
    steps = found.funnel
    texts = 6 * len(EN.anatomies)
    assert [(s.name, s.kept, s.offered, dict(s.excluded)) for s in steps] == [
        ("files in a proved volume", 7, 8, {"fault: not_dicom": 1}),
        ("series with a proved volume", 7, 7, {}),
        ("volumes chosen of their study", 7, 7, {}),
        ("volumes with a mask", 6, 7, {"waits for a mask": 1}),
        ("reports joined to a study", 6, 7, {"waits for a study": 1}),
        ("studies with a report", 6, 7, {"waits for a report": 1}),
        ("texts of anatomies", texts, texts, {}),
        (
            "volumes that became samples", 0, 7,
            {"not yet done: run the stages again": 6, "no mask": 1},
        ),
        (
            "patients with a sample", 0, 7,
            {"not yet done: run the stages again": 6, "none of their volumes became a sample": 1},
        ),
    ]  # fmt: skip
    assert all(s.offered == s.kept + sum(s.excluded.values()) for s in steps)
    assert of(steps, "studies with a report").paper == {"CT-RATE": 25692, "MedVL-CT69K": 272124}


def test_report_that_matching_set_aside_is_told_with_its_reason(audited: Context, tmp_path: Path):
    place = shutil.copytree(str(audited.store.local_root), tmp_path / "store")
    context = Context(Store.open(place), audited.vault, "run")
    fault = Quarantined(
        kind="fault", stage="match", item="r_9", reason="ambiguous_links", detail="d",
        source_files=(),
    )  # fmt: skip
    context.store.replace("quarantine", ["r_9"], [fault], {"stage": "match"})
    derive_waiting(context)
    step = of(funnel(context), "reports joined to a study")
    assert (step.kept, step.excluded) == (6, {"fault: ambiguous_links": 1})


def test_splits_are_counted_with_what_decided_them(audited: Context, tmp_path: Path):
    place = shutil.copytree(str(audited.store.local_root), tmp_path / "store")
    store = Store.open(place)
    splits = {1: ("train", "hash"), 2: ("train", "file"), 3: ("test", "file"), 7: ("test", "hash")}
    store.replace_all(
        "splits",
        [Split(patient_id=f"p_{n}", split=one, source=by) for n, (one, by) in splits.items()],
    )
    told = [dataclasses.astuple(one) for one in split_sizes(store)]
    assert told == [("train", 2, 1, 2, 0), ("validation", 0, 0, 0, 0), ("test", 2, 1, 2, 0)]


def test_false_negatives_of_a_batch_are_counted_by_policy(found: Audit):
    drawn = found.negatives
    assert (drawn.batch_size, drawn.batches) == (6, 1)
    assert drawn.drawn_from == "6 studies with texts (no samples of split train)"
    heart = of(drawn.anatomies, "heart")
    assert (heart.samples, heart.abnormal, heart.pairs) == (6, 3, 15)
    assert heart.both_normal == 1  # st_3, st_4
    assert heart.same_findings == 1  # st_1, st_2: both present
    assert heart.reference_misses == 1  # they use other words
    # by the impression alone all but st_1 are normal
    assert heart.reference_silent == 4  # st_5 with the other four
    assert heart.reference_wrong == 5  # of these four all pairs but st_3 with st_4
    assert heart.graded == 1 + 0.5 + 0.5  # the possible one with each of the two


def test_pairs_that_review_holds_apart_say_nothing_the_same(
    audited: Context, found: Audit, tmp_path: Path
):
    store = Store.open(shutil.copytree(str(audited.store.local_root), tmp_path / "store"))
    effects = [
        ReviewEffect(
            subject=f"{one}:{other}:heart", kind="pair", study_id=one, other_study_id=other,
            anatomy="heart", version="v", reason="seen", decisions=("d",),
        )
        for one, other in (("st_1", "st_2"), ("st_3", "st_4"), ("st_1", "st_3"))
    ]  # fmt: skip
    store.replace_all("review_effects", effects)
    drawn = audit_negatives(store, PairConfig(), EN, seed=0)
    before, heart = (of(one.anatomies, "heart") for one in (found.negatives, drawn))
    assert (before.held_apart, found.negatives.pairs_apart) == (0, 0)
    # of the three, two said the same
    assert (heart.held_apart, drawn.pairs_apart) == (2, 3)
    assert (heart.pairs, heart.both_normal, heart.same_findings) == (before.pairs, 0, 0)
    assert heart.reference_misses == 0
    assert heart.graded == before.graded - 1
    # the public code, which knows no review, spares both normal ones
    assert heart.reference_wrong == before.reference_wrong + 1
    told = list(audit_lines(dataclasses.replace(found, negatives=drawn)))
    assert (
        "  Review holds 3 pairs apart, which count as different; of those that say the same, a "
        "batch: heart 2.0." in told
    )
    assert not any("Review holds" in line for line in audit_lines(found))


def test_rule_that_the_texts_were_made_by_changes_no_figure(
    hand: ModuleType, audited: Context, found: Audit, tmp_path: Path
):
    place = shutil.copytree(str(audited.store.local_root), tmp_path / "store")
    context = Context(Store.open(place), audited.vault, "run")
    config = PairConfig(normal="reference")
    for batch in pending(context, pair_stage(config, EN)).batches:
        settle(context, pair_stage(config, EN), batch)
    states = context.store.read("anatomy_texts", ["state"])["state"].to_pylist()
    assert "not_mentioned" not in states  # by that rule
    again = audit(context, config, EN)
    assert again.negatives == found.negatives
    assert again.normals == found.normals


def test_drawn_samples_take_part_with_their_own_anatomies(
    hand: ModuleType, audited: Context, tmp_path: Path
):
    place = shutil.copytree(str(audited.store.local_root), tmp_path / "store")
    store = Store.open(place)
    anatomies = {1: ("heart", "liver"), 2: ("heart",), 3: ("liver",), 4: ("heart",)}
    samples = [
        dataclasses.replace(
            hand.sample(), sample_id=f"sa_{n}", study_id=f"st_{n}", volume_id=f"v_{n}",
            split="test" if n == 4 else "train", anatomies=these,
        )
        for n, these in anatomies.items()
    ]  # fmt: skip
    store.replace_all("samples", samples)
    drawn = audit_negatives(store, PairConfig(), EN, seed=0)
    assert drawn.drawn_from == "3 samples of split train"
    heart, liver = (of(drawn.anatomies, name) for name in ("heart", "liver"))
    assert (heart.samples, heart.pairs, heart.same_findings) == (2, 1, 1)  # st_1, st_2
    assert (liver.samples, liver.pairs, liver.both_normal) == (2, 1, 0)


def test_normals_of_the_impression_only_rule(found: Audit):
    heart = of(found.normals, "heart")
    assert (heart.normal, heart.abnormal, heart.normal_stated, heart.not_mentioned) == (5, 2, 2, 1)
    assert heart.ct_rate == (22, 91)


def test_contradictions_are_counted_strong_ones_first(audited: Context, found: Audit):
    assert found.contradictions == ()
    assert "Text against image: no contradiction" in everything(found)
    common = dict.fromkeys(("volume_id", "quantity", "measured", "limit"))
    rows = [
        CrossCheck(
            study_id=study, check=check, anatomy="heart", strength=strength, said=study,
            sources=(), detail=f"seen in {study}", **common,
        )
        for study, check, strength in [
            ("st_2", "enlargement_not_seen", "weak"),
            ("st_1", "enlargement_not_seen", "weak"),
            ("st_3", "organ_removed_but_seen", "strong"),
        ]
    ]  # fmt: skip
    audited.store.replace_all("cross_checks", rows)
    counted = audit_contradictions(audited.store)
    assert [(one.strength, one.studies) for one in counted] == [("strong", 1), ("weak", 2)]
    assert counted[1].examples == (("st_1", "seen in st_1"), ("st_2", "seen in st_2"))
    told = list(audit_lines(dataclasses.replace(found, contradictions=counted), examples=1))
    assert "    st_1: seen in st_1" in told
    assert "    st_2: seen in st_2" not in told
    audited.store.replace_all("cross_checks", [])


def label_file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "labels.csv"
    path.write_text(text)
    return path


def test_labels_are_compared_and_disagreements_told_with_their_sentence(
    audited: Context, tmp_path: Path
):
    lines = ["VolumeName,Cardiomegaly,Lymphadenopathy,Odd"]
    lines += [f"{name_of(n)},{value},0,1" for n, value in enumerate([1, 0, 1, 0, 1, 0], start=1)]
    lines += [f"{name_of(7)},0,0,1", "valid_1_a_1.nii.gz,1,1,1", ",1,1,1"]
    lines += ["train_6_a_1,1,0,1"]
    found = audit_labels(audited, label_file(tmp_path, "\n".join(lines)), EN)
    assert (found.rows, found.studies, found.unknown_columns) == (10, 5, ("Odd",))
    assert found.not_compared == {
        "names no study of the store": 2,
        "its study has no texts": 1,
        "studies with rows that contradict each other": 1,
    }
    score = found.scores[0]
    assert (score.finding, score.both, score.only_ours, score.only_label) == (
        "Cardiomegaly",
        1,
        1,
        2,
    )
    assert (score.precision, score.recall) == (0.5, 0.3333)
    assert (found.scores[1].precision, found.scores[1].recall) == (None, None)
    told = [(d.study_id, d.label, d.status, d.sentences) for d in found.disagreements]
    assert told == [
        ("st_2", 0, "present", ("The heart is enlarged.",)),
        ("st_3", 1, "not_mentioned", ("Heart is normal.",)),
        ("st_5", 1, "not_mentioned", ()),
    ]


def test_finding_that_only_the_clinician_tells_is_told_so(
    hand: ModuleType, audited: Context, tmp_path: Path
):
    place = shutil.copytree(str(audited.store.local_root), tmp_path / "store")
    context = Context(Store.open(place), audited.vault, "run")
    asked = hand.sentence(
        0, "clinical_information", "Cardiomegaly.", report_id="r_5", heart="abnormal"
    )
    context.store.replace("sentences", ["r_5"], [asked])
    row = hand.finding(0, "cardiomegaly", "present", None, "heart", "r_5")
    context.store.replace("findings", ["r_5"], [row])
    text = f"VolumeName,Cardiomegaly\n{name_of(5)},1\n"
    (told,) = audit_labels(context, label_file(tmp_path, text), EN).disagreements
    assert (told.ours, told.status) == (0, "only in clinical_information")
    assert told.sentences == ("Cardiomegaly.",)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Volume,Cardiomegaly\nx,1\n", "no column names the studies; expected VolumeName"),
        ("VolumeName,Age\nx,1\n", "no column is a label; expected those of a label set"),
        ("VolumeName,Cardiomegaly\nx,-1\n", "line 2, column Cardiomegaly: expected 0 or 1"),
        ("VolumeName,Cardiomegaly\nx\n", "line 2, column Cardiomegaly: expected 0 or 1"),
    ],
)
def test_label_file_that_cannot_be_compared(audited: Context, tmp_path: Path, text: str, told: str):
    with pytest.raises(InputError, match=told):
        audit_labels(audited, label_file(tmp_path, text), EN)


def test_labels_of_merlin_tell_what_is_not_mentioned(audited: Context, tmp_path: Path):
    lines = ["study id,cardiomegaly,pleural_effusion,ascites,prostatomegaly"]
    lines += [f"train_{n}_a_1,{value},-1,0,-1" for n, value in ((1, 1), (2, -1), (3, 0), (5, -1))]
    found = audit_labels(audited, label_file(tmp_path, "\n".join(lines)), EN)
    assert (found.label_set, found.studies, found.unknown_columns) == ("merlin", 4, ())
    score = next(one for one in found.scores if one.finding == "cardiomegaly")
    assert (score.both, score.only_ours, score.only_label, score.neither) == (1, 1, 0, 2)
    (odd,) = found.disagreements
    assert (odd.study_id, odd.label, odd.ours, odd.status) == ("st_2", -1, 1, "present")


def test_places_of_rad_chestct_are_one_label_each_and_sizes_count(
    hand: ModuleType, audited: Context, tmp_path: Path
):
    place = shutil.copytree(str(audited.store.local_root), tmp_path / "store")
    context = Context(Store.open(place), audited.vault, "run")
    for number, size in ((1, 12.0), (2, 6.0)):
        row = hand.finding(0, "lung_nodule", "present", None, "lung", f"r_{number}")
        context.store.replace("findings", [f"r_{number}"], [dataclasses.replace(row, size_mm=size)])
        texts = context.store.read("anatomy_texts", None, [("study_id", "=", f"st_{number}")])
        told = [AnatomyText(**{**one, **nodules(one)}) for one in texts.to_pylist()]
        context.store.replace("anatomy_texts", [f"st_{number}"], told)
    lines = ["VolumeName,nodulegr1cm*left_lung,nodulegr1cm*right_lung,nodule*left_lung,h_great"]
    lines += [f"{name_of(1)},0,1,1,0", f"{name_of(2)},0,1,1,0", f"{name_of(3)},0,0,0,0"]
    found = audit_labels(context, label_file(tmp_path, "\n".join(lines)), EN, "rad_chest_ct")
    assert found.unknown_columns == ("h_great",)
    large, any_size = found.scores
    assert (large.column, any_size.finding) == (
        "nodulegr1cm*left_lung, nodulegr1cm*right_lung",
        "nodule",
    )
    assert (large.both, large.only_label, large.neither) == (1, 1, 1)
    assert (any_size.both, any_size.only_label, any_size.neither) == (2, 0, 1)


def nodules(row: dict[str, Any]) -> dict[str, Any]:
    more = {"labels": ("lung_nodule",)} if row["anatomy"] == "lung" else {}
    return {name: tuple(v) if isinstance(v, list) else v for name, v in {**row, **more}.items()}


def test_the_command_reads_a_users_own_set(audited: Context, tmp_path: Path):
    words = tmp_path / "words"
    words.mkdir()
    (words / "label_sets.yaml").write_text(
        "ward:\n  source: our board\n  labels:\n    Big heart: {any: [cardiomegaly], why: ours}\n"
    )
    place = Path(shutil.copytree(str(audited.store.local_root), tmp_path / "store"))
    (place / "config.yaml").write_text(
        json.dumps({
            "vocabulary": {"overlay": str(words)},
            "identity": {"vault": str(audited.vault.folder)},
        })
    )  # fmt: skip
    labels = label_file(tmp_path, f"VolumeName,big heart\n{name_of(1)},1\n{name_of(3)},1\n")
    asked = ["audit", "labels", str(labels), "--store", str(place)]
    told = CliRunner().invoke(app, asked)
    assert told.exit_code == 0, told.output
    assert "read as ward: 2 studies from 2 rows" in told.output
    assert "st_3: label 1, report not_mentioned" in told.output
    wrong = CliRunner().invoke(app, [*asked, "--label-set", "warrd"])
    assert wrong.exit_code == 2
    assert "did you mean ward?" in wrong.output


def test_all_eighteen_columns_of_ct_rate_are_known(audited: Context, tmp_path: Path):
    columns = (
        "Medical material,Arterial wall calcification,Cardiomegaly,Pericardial effusion,"
        "Coronary artery wall calcification,Hiatal hernia,Lymphadenopathy,Emphysema,Atelectasis,"
        "Lung nodule,Lung opacity,Pulmonary fibrotic sequela,Pleural effusion,"
        "Mosaic attenuation pattern,Peribronchial thickening,Consolidation,Bronchiectasis,"
        "Interlobular septal thickening"
    )
    text = f"VolumeName,{columns}\n{name_of(1)}{',0' * 18}\n"
    found = audit_labels(audited, label_file(tmp_path, text), EN)
    assert found.unknown_columns == ()
    assert [score.column for score in found.scores] == columns.split(",")


def everything(found: Audit) -> str:
    return "\n".join(audit_lines(found)) + json.dumps(found.as_dict())


def test_without_labels_nothing_of_a_report_is_told(found: Audit):
    told = everything(found)
    for one in SAID.values():
        for _, sentence, _ in one:
            assert sentence not in told


def test_command_prints_for_people_and_for_machines(
    audited: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("FVLM_VAULT", str(audited.vault.folder))
    place = ["--store", str(audited.store.local_root)]
    labels = label_file(tmp_path, f"VolumeName,Cardiomegaly\n{name_of(2)},0\n")
    before = audited.store.files("")
    command = ["pair", "--audit", *place, "--labels", str(labels)]
    shown = CliRunner().invoke(app, command)
    assert shown.exit_code == 0, shown.output
    assert "Cardiomegaly: 1 disagreement\n" in shown.output
    assert '"The heart is enlarged."' in shown.output
    assert max(map(len, shown.output.splitlines())) < 120
    machine = CliRunner().invoke(app, [*command, "--json"])
    assert json.loads(machine.output)["labels"]["studies"] == 1
    assert [f for f in audited.store.files("") if f not in before] in ([], ["vault.mark"])
    graded = CliRunner().invoke(app, [*command, "--set", "pair.signature.severity=true"])
    assert graded.exit_code == 0
    unknown = CliRunner().invoke(app, [*command, "--set", "pair.signature.grade=true"])
    assert unknown.exit_code == 2
    refused = CliRunner().invoke(app, ["pair", *place, "--labels", str(labels)])
    assert refused.exit_code == 2


def test_empty_store_has_an_audit(context: Context):
    found = audit(context, PairConfig(), EN)
    assert found.negatives.anatomies == ()
    assert all(step.offered == 0 for step in found.funnel)
    assert everything(found)
