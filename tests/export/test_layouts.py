"""Layouts of public sets: what reads their download reads what was exported, voxel by voxel."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from fvlm_data.errors import InputError
from fvlm_data.export import EXPORTS
from fvlm_data.export.layouts.ct_rate import letters
from fvlm_data.export.layouts.volumes import check_placing
from fvlm_data.export.run import Form, run_tables_export
from fvlm_data.identity.vault import Vault
from fvlm_data.ingest.config import IngestConfig, SourceConfig
from fvlm_data.ingest.discovery.discover import discover
from fvlm_data.ingest.select_stage import select_stage
from fvlm_data.ingest.selection import SelectConfig
from fvlm_data.ingest.stage import ingest_stage
from fvlm_data.reports import ReportParser
from fvlm_data.reports.language.reconcile import assessments
from fvlm_data.reports.sources import read_reports
from fvlm_data.store.commits import settle
from fvlm_data.store.declared import Context
from fvlm_data.store.planning import pending
from fvlm_data.store.tables import Store
from schemas import Finding, Report, Sentence, Split, StudyReport
from tests.core.hand_store import volume

REPORT = """CLINICAL INFORMATION: Cough.
TECHNIQUE: Plain CT.
COMPARISON: None available.
FINDINGS: Small pleural effusion on the left. The liver is normal.
IMPRESSION: Pleural effusion, "small"; =1+1
"""
NO_HEADERS = "Emphysema in both lungs.\nNo nodule."

STUDIES = {
    # study: patient, date, slices of its volumes, report
    "st_late": ("p_b", "2020-03-02", (7,), REPORT),
    "st_early": ("p_b", "2019-12-31", (6, 9), NO_HEADERS),
    "st_undated": ("p_b", None, (6,), None),
    "st_other": ("p_a", "2021-01-01", (8,), None),
    "st_test": ("p_t", "2021-01-01", (8,), REPORT),
    "st_tuned": ("p_v", "2021-01-01", (8,), REPORT),
    "st_without_split": ("p_n", "2021-01-01", (6,), REPORT),
}
SPLITS = {"p_a": "train", "p_b": "train", "p_t": "test", "p_v": "validation"}

NAMES = {
    "st_other": "train_1_a",
    "st_early": "train_2_a",
    "st_late": "train_2_b",
    "st_undated": "train_2_c",
    "st_tuned": "dev_1_a",
    "st_test": "valid_1_a",
}


def chest(slices: int, seed: int) -> Any:
    """Air, lung and soft tissue, int16 HU (i, j, k)."""
    rng = np.random.default_rng(seed)
    image = np.full((14, 12, slices), -1000)
    image[2:-2, 2:-2] = 40
    image[4:7, 4:8] = -850
    return (image + rng.integers(-20, 20, image.shape)).astype(np.int16)


def affine(number: int) -> Any:
    """LPS order in RAS mm; odd ones are tilted about x by 10 degrees."""
    made = np.diag([-0.75, -0.75, 2.5, 1.0])
    if number % 2:
        c, s = np.cos(np.radians(10)), np.sin(np.radians(10))
        made[:3, :3] = [[-0.75, 0, 0], [0, -0.75 * c, -2.5 * s], [0, -0.75 * s, 2.5 * c]]
    made[:3, 3] = (100.25, 88.5 + number, -412.75)
    return made


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    made = Store.create(tmp_path_factory.mktemp("layouts") / "store")
    volumes, reports, joined, sentences, findings = [], [], [], [], []
    parser = ReportParser()
    for study, (patient, date, slices, text) in STUDIES.items():
        for count in slices:
            number = len(volumes) + 1
            image, place = chest(count, number), affine(number)
            one = volume(
                number, study, patient, shape=image.shape, spacing_mm=(0.75, 0.75, 2.5),
                affine_ras=tuple(place.ravel().tolist()), acquired_on=date, sex="F",
                age_years=61.5, manufacturer="Maker", kernel="B30f",
            )  # fmt: skip
            buffer = io.BytesIO()
            nib.Nifti1Image(image, place).to_file_map({"image": nib.FileHolder(fileobj=buffer)})
            made.write_bytes(one.path, gzip.compress(buffer.getvalue(), mtime=0))
            volumes.append(one)
        if text is None:
            continue
        parsed = parser.parse(text)
        sections = tuple(
            {"name": one.name, "start": one.start, "end": one.end} for one in parsed.sections
        )
        reports.append(Report(report_id=study, text=text, sections=sections, source_files=()))
        joined.append(StudyReport(study_id=study, report_id=study, matched_by="accession", order=0))
        for number, (one, said) in enumerate(
            zip(parsed.sentences, assessments(parsed), strict=True)
        ):
            sentences.append(
                Sentence(
                    report_id=study, sentence=number, start=one.start, end=one.end,
                    section=one.section, text=one.text, anatomies=tuple(said),
                    assessments=tuple(said.values()),
                )
            )  # fmt: skip
        findings += [
            Finding(
                report_id=study, sentence=one.sentence, start=one.start, end=one.end,
                finding=one.finding, anatomy=one.anatomy, status=one.status,
                laterality=one.laterality, severity=one.severity, size_mm=one.size_mm,
            )
            for one in parsed.findings
        ]  # fmt: skip
    for table, rows in (
        ("volumes", volumes), ("reports", reports), ("study_reports", joined),
        ("sentences", sentences), ("findings", findings),
        ("splits", [Split(patient_id=p, split=s, source="hash") for p, s in SPLITS.items()]),
    ):  # fmt: skip
        made.replace_all(table, rows)
    return made


def exported(store: Store, form: str, folder: Path, **options: Any) -> Path:
    entry = EXPORTS.load(form)
    run_tables_export(
        store, Form(form, entry, entry.options(**options)), folder, lambda _done, _total: None
    )
    return folder


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


@pytest.fixture(scope="module")
def ct_rate(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(store, "ct-rate", tmp_path_factory.mktemp("out") / "ct-rate")


def test_scans_are_lettered_by_date_and_volumes_numbered(ct_rate: Path):
    index = table(ct_rate / "index.csv")
    found = {row["study_id"]: row["VolumeName"].rsplit("_", 1)[0] for row in index}
    assert found == {**NAMES, "st_without_split": ""}
    assert [row["VolumeName"] for row in index if row["study_id"] == "st_early"] == [
        "train_2_a_1.nii.gz", "train_2_a_2.nii.gz",
    ]  # fmt: skip


def test_a_patient_without_split_is_told(ct_rate: Path):
    (row,) = [row for row in table(ct_rate / "index.csv") if row["why_not"]]
    assert (row["patient_id"], row["study_id"]) == ("p_n", "st_without_split")
    assert "split" in row["why_not"]
    assert len(list(ct_rate.rglob("*.nii.gz"))) == 7


def test_volumes_are_those_of_the_store_byte_by_byte(store: Store, ct_rate: Path):
    paths = dict(
        zip(
            *(store.read("volumes")[name].to_pylist() for name in ("volume_id", "path")),
            strict=True,
        )
    )
    for row in table(ct_rate / "index.csv"):
        if row["VolumeName"]:
            (file,) = ct_rate.rglob(row["VolumeName"])
            assert file.read_bytes() == store.read_bytes(paths[row["volume_id"]])


def test_a_report_stands_once_a_scan_and_whole(ct_rate: Path):
    folder = ct_rate / "dataset" / "radiology_text_reports"
    rows = {row["VolumeName"]: row for row in table(folder / "train_reports.csv")}
    assert sorted(rows) == ["train_2_a_1.nii.gz", "train_2_b_1.nii.gz"]
    plain, whole = rows["train_2_a_1.nii.gz"], rows["train_2_b_1.nii.gz"]
    assert plain["Findings_EN"] == NO_HEADERS
    assert (plain["Impressions_EN"], plain["Technique_EN"]) == ("", "")
    assert whole["ClinicalInformation_EN"] == "Cough."
    assert whole["Technique_EN"] == "Plain CT.\nNone available."
    assert whole["Impressions_EN"] == 'Pleural effusion, "small"; =1+1'
    assert [path.name for path in sorted(folder.iterdir())] == [
        "dev_reports.csv", "train_reports.csv", "validation_reports.csv",
    ]  # fmt: skip


def test_labels_are_of_every_volume_of_a_study_with_a_report(ct_rate: Path):
    rows = table(ct_rate / "dataset" / "multi_abnormality_labels" / "train_predicted_labels.csv")
    found = {row.pop("VolumeName"): row for row in rows}
    assert sorted(found) == ["train_2_a_1.nii.gz", "train_2_a_2.nii.gz", "train_2_b_1.nii.gz"]
    assert found["train_2_b_1.nii.gz"]["Pleural effusion"] == "1"
    assert found["train_2_a_2.nii.gz"]["Pleural effusion"] == "0"
    assert found["train_2_a_2.nii.gz"]["Emphysema"] == "1"


@pytest.mark.parametrize(("split", "prefix", "name"), [
    ("train", "train", "train"), ("test", "valid", "validation"),
])  # fmt: skip
def test_our_reader_of_ct_rate_reads_it(
    store: Store, ct_rate: Path, tmp_path: Path, split: str, prefix: str, name: str
):
    dataset = ct_rate / "dataset"
    source = SourceConfig(
        kind="ct_rate", path=dataset / f"{prefix}_fixed", name="again",
        mapping=dataset / "metadata" / f"{name}_metadata.csv",
    )  # fmt: skip
    again = Context(Store.create(tmp_path / "store"), Vault.open(tmp_path / "vault"), "run")
    discover(again, [source], "plain")
    for stage in (ingest_stage(IngestConfig(), [source]), select_stage(SelectConfig(policy="all"))):
        for batch in pending(again, stage).batches:
            settle(again, stage, batch)
    assert again.store.read("quarantine").num_rows == 0

    def read(one: Store, wanted: set[str] | None) -> list[Any]:
        made = []
        for row in one.read("volumes").to_pylist():
            if wanted is None or row["study_id"] in wanted:
                image = nib.load(Path(one.location(row["path"])))
                place = np.reshape(row["affine_ras"], (4, 4)).round(4).tolist()
                made.append((place, np.asarray(image.dataobj).tobytes(), row["sex"]))
        return sorted(made, key=repr)

    studies = {study for study, row in STUDIES.items() if SPLITS.get(row[0]) == split}
    assert read(again.store, None) == read(store, studies)
    reports = dataset / "radiology_text_reports" / f"{name}_reports.csv"
    texts = [row.columns for row in read_reports(reports)]
    assert len(texts) == sum(STUDIES[study][3] is not None for study in studies)
    assert all(
        any("ffusion" in text or "mphysema" in text for text in one.values()) for one in texts
    )


def test_volumes_can_be_links_or_left(store: Store, tmp_path: Path):
    linked = exported(store, "ct-rate", tmp_path / "linked", volumes="link")
    files = list(linked.rglob("*.nii.gz"))
    assert len(files) == 7
    assert all(file.is_symlink() and file.read_bytes()[:2] == b"\x1f\x8b" for file in files)
    left = exported(store, "ct-rate", tmp_path / "left", volumes="none")
    assert not list(left.rglob("*.nii.gz"))
    assert (left / "index.csv").read_bytes() == (linked / "index.csv").read_bytes()


def test_links_to_object_storage_are_refused():
    with pytest.raises(InputError, match="--volumes copy or none"):
        check_placing(SimpleNamespace(local_root=None, url="s3://bucket/store"), "link")


@pytest.mark.parametrize("form", ["ct-rate", "merlin", "region-texts"])
def test_the_same_store_gives_the_same_bytes(store: Store, tmp_path: Path, form: str):
    one, two = (exported(store, form, tmp_path / name) for name in ("one", "two"))
    files = [path.relative_to(one) for path in sorted(one.rglob("*")) if path.is_file()]
    assert files
    assert all((one / file).read_bytes() == (two / file).read_bytes() for file in files)


def test_merlin_has_one_volume_a_study_and_tells_of_the_others(store: Store, tmp_path: Path):
    folder = exported(store, "merlin", tmp_path / "out")
    files = {path.name.removesuffix(".nii.gz") for path in (folder / "merlin_data").iterdir()}
    assert files == set(NAMES)
    slices = nib.load(folder / "merlin_data" / "st_early.nii.gz").shape[2]
    assert slices == 9
    index = table(folder / "index.csv")
    told = {(row["study id"], bool(row["why_not"])) for row in index}
    assert told >= {("st_early", True), ("st_early", False), ("st_without_split", True)}
    assert len(index) == 8
    rows = {row["study id"]: row for row in table(folder / "reports_final.csv")}
    assert {study: row["Split"] for study, row in rows.items()} == {
        "st_early": "train", "st_late": "train", "st_test": "test", "st_tuned": "val",
    }  # fmt: skip
    assert rows["st_late"]["Findings"].startswith("Small pleural effusion")
    labels = {row["study id"]: row for row in table(folder / "zero_shot_findings_disease_cls.csv")}
    assert labels["st_late"]["pleural_effusion"] == "1"
    assert labels["st_late"]["renal_cyst"] == "-1"


def test_region_texts_are_sentences_by_anatomy(store: Store, tmp_path: Path):
    rows = table(exported(store, "region-texts", tmp_path / "out") / "region_report.csv")
    volumes = store.read("volumes").to_pylist()
    late = next(row["volume_id"] for row in volumes if row["study_id"] == "st_late")
    said = [
        (row["Anatomy"], row["Sentence"], row["assessment"])
        for row in rows
        if row["Volumename"] == f"{late}.nii.gz"
    ]
    assert ("liver", "The liver is normal.", "normal") in said
    assert any(anatomy == "lung" and "effusion" in text for anatomy, text, _ in said)
    assert not any("Cough" in text or "Plain CT" in text for _, text, _ in said)
    reports = {row["report_id"]: row["text"] for row in store.read("reports").to_pylist()}
    for row in rows:
        whole = reports[row["report_id"]]
        assert whole[int(row["start"]) : int(row["end"])] == row["Sentence"]
    both = [row["volume_id"] for row in volumes if row["study_id"] == "st_early"]
    of_each = [
        [row["Sentence"] for row in rows if row["Volumename"] == f"{one}.nii.gz"] for one in both
    ]
    assert of_each[0] == of_each[1] != []


def test_letters_go_on_after_z():
    assert [letters(n) for n in (0, 25, 26, 51, 52, 701, 702)] == [
        "a", "z", "aa", "az", "ba", "zz", "aaa",
    ]  # fmt: skip
