"""`fvlm-data init` and `fvlm-data schema`: what is seen in a folder, and what is written of it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from jsonschema import Draft202012Validator
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from typer.testing import CliRunner

from fvlm_data.cli.main import app
from fvlm_data.run.config import Config, load_config
from fvlm_data.run.config_schema import configuration_schema
from fvlm_data.run.survey import images, listing
from fvlm_data.run.survey.found import Survey
from fvlm_data.run.survey.look import survey
from fvlm_data.run.survey.written import configuration_text
from fvlm_train.config import parse_evaluate_config, parse_train_config

CT, BASIC_SR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.88.11"
SENTENCE = "The liver is normal in size, without focal lesion."


def dicom(path: Path, sop_class: str = CT, modality: str = "CT") -> None:
    """A DICOM file with what discovery looks at."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, f"1.2.3.{abs(hash(path.name)) % 999}"
    dataset.Modality, dataset.StudyInstanceUID, dataset.SeriesInstanceUID = modality, "1.2", "1.3"
    dataset.PatientID, dataset.Rows, dataset.Columns, dataset.BitsAllocated = "p", 2, 2, 16
    dataset.PixelData = bytes(8)
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)


def nifti(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.Nifti1Image(np.zeros((2, 2, 2), np.int16), np.eye(4)).to_filename(path)


def text(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


def reports_csv(path: Path, columns: str = "accession,report") -> Path:
    cells = ",".join("a" if name != "report" else f'"{SENTENCE}"' for name in columns.split(","))
    return text(path, f"{columns}\n{cells}\n")


def loaded(seen: Survey, file: Path) -> Config:
    return load_config(text(file, configuration_text(seen, file)))


def test_a_column_that_names_images_is_known_by_its_values(tmp_path: Path):
    dicom(tmp_path / "a" / "ct" / "scan_7" / "1")
    nifti(tmp_path / "a" / "nifti" / "torso.nii.gz")
    rows = [
        f'{name},{number},"{SENTENCE}"' for number, name in enumerate(("scan_7", "torso.nii.gz"))
    ]
    table = text(tmp_path / "a" / "reports.csv", "\n".join(["study,bed,report", *rows, ""]))
    (found,) = survey(tmp_path / "a").reports
    assert found.columns == {"volume_name": "study", "report": "report"}
    assert loaded(survey(tmp_path / "a"), tmp_path / "c.yaml").reports[0].columns == found.columns
    text(table, f'study,bed,report\n1.2.840.1.7,2,"{SENTENCE}"\n')
    (found,) = survey(tmp_path / "a").reports
    assert found.columns == {"study_uid": "study", "report": "report"}
    for cells in ("torso,torso", "elsewhere,2"):  # two columns would do, and none
        text(table, f'study,bed,report\n{cells},"{SENTENCE}"\n')
        seen = survey(tmp_path / "a")
        assert seen.reports == ()
        assert any("no column names a study" in note for note in seen.notes)


def test_what_it_writes_trains_without_weights(tmp_path: Path):
    nifti(tmp_path / "a" / "nifti" / "torso.nii.gz")
    config = loaded(survey(tmp_path / "a"), tmp_path / "c.yaml")
    assert parse_train_config(config.train).model.text.kind == "fresh"
    assert parse_evaluate_config(config.evaluate).negative == "normal"


def test_folders_of_dicom_masks_and_reports(tmp_path: Path):
    for patient in ("a", "b"):
        dicom(tmp_path / "ct" / patient / "s" / "1")
    nifti(tmp_path / "seg" / "1.2.3.4.5.nii.gz")
    reports_csv(tmp_path / "r" / "export.csv", "AccessionNumber,report")
    seen = survey(tmp_path)
    assert [(one.kind, one.path) for one in seen.sources] == [("dicom", tmp_path / "ct")]
    assert seen.masks is not None
    assert (seen.masks.path, seen.masks.classes) == (tmp_path / "seg", None)
    assert seen.complete
    config = loaded(seen, tmp_path / "config.yaml")
    assert config.sources[0].path == tmp_path / "ct"
    assert config.reports[0].path == tmp_path / "r" / "export.csv"
    assert config.reports[0].columns == {"accession": "AccessionNumber", "report": "report"}


def test_masks_of_unknown_classes_are_never_guessed(tmp_path: Path):
    """Two versions of TotalSegmentator give the same names to other values."""
    nifti(tmp_path / "scans" / "one.nii.gz")
    nifti(tmp_path / "masks" / "one.nii.gz")
    config = loaded(survey(tmp_path), tmp_path / "config.yaml")
    assert config.segment.backend == "threshold"
    written = (tmp_path / "config.yaml").read_text(encoding="utf-8")
    assert "#   masks: masks\n" in written
    assert [(one.kind, one.path) for one in config.sources] == [("nifti", tmp_path / "scans")]


def test_classes_come_from_the_file_beside_the_masks(tmp_path: Path):
    nifti(tmp_path / "scans" / "one.nii.gz")
    nifti(tmp_path / "labels" / "one.nii.gz")
    text(tmp_path / "labels" / "map.yaml", "class_system: anatomy\nclasses: {1: liver}\n")
    config = loaded(survey(tmp_path), tmp_path / "config.yaml")
    assert config.segment.backend == "precomputed"
    assert config.segment.classes == str(tmp_path / "labels" / "map.yaml")


def test_a_manifest_tells_masks_that_no_folder_name_tells(tmp_path: Path):
    nifti(tmp_path / "scans" / "one.nii.gz")
    nifti(tmp_path / "drawn" / "x.nii.gz")
    text(tmp_path / "drawn" / "list.csv", "volume,mask,classes\none,x.nii.gz,totalsegmentator_v1\n")
    seen = survey(tmp_path)
    assert [one.path for one in seen.sources] == [tmp_path / "scans"]
    config = loaded(seen, tmp_path / "config.yaml")
    assert config.segment.masks == tmp_path / "drawn" / "list.csv"
    assert config.segment.classes == "totalsegmentator_v1"


def test_masks_below_images_are_told_of(tmp_path: Path):
    nifti(tmp_path / "one.nii.gz")
    nifti(tmp_path / "masks" / "one.nii.gz")
    (note,) = survey(tmp_path).notes
    assert "would be taken for images" in note


def test_ct_rate_with_its_metadata_and_reports(tmp_path: Path):
    nifti(tmp_path / "valid" / "valid_1" / "valid_1_a" / "valid_1_a_1.nii.gz")
    columns = "VolumeName,RescaleSlope,RescaleIntercept,XYSpacing,ZSpacing"
    columns += ",ImagePositionPatient,ImageOrientationPatient"
    metadata = text(tmp_path / "metadata.csv", f"{columns}\n")
    head = "VolumeName,Findings_EN,Impressions_EN"
    reports = text(tmp_path / "reports.csv", f"{head}\nx,a,b\n")
    text(tmp_path / "labels.csv", "VolumeName,Lung nodule\nvalid_1_a_1.nii.gz,1\n")
    seen = survey(tmp_path)
    (source,) = seen.sources
    assert (source.kind, source.mapping, source.files) == ("ct_rate", metadata, 1)
    assert seen.reports == ()
    reports.write_text(f'{head}\nx,"{SENTENCE}",\n', encoding="utf-8")
    config = loaded(survey(tmp_path), tmp_path / "config.yaml")
    assert config.preset == "ct_rate"
    assert [one.path.name for one in config.reports] == ["reports.csv"]


def test_rad_chestct_needs_its_metadata(tmp_path: Path):
    np.savez(tmp_path / "trn00001.npz", ct=np.zeros((2, 2, 2), np.int16))
    seen = survey(tmp_path)
    assert seen.sources == ()
    assert "the source needs it as `mapping`" in seen.notes[0]
    columns = images.SOURCES.load("rad_chestct").mapping
    assert columns is not None
    names = ",".join((columns.volume, *columns.needed))
    text(tmp_path / "metadata.csv", f"{names}\n")
    config = loaded(survey(tmp_path), tmp_path / "config.yaml")
    assert config.sources[0].mapping == tmp_path / "metadata.csv"
    assert config.preset == "chest"


def test_reports_of_every_kind(tmp_path: Path):
    table = pa.table({"study_uid": ["1.2"], "text": [SENTENCE]})
    pq.write_table(table, tmp_path / "export.parquet")
    text(tmp_path / "l" / "a.jsonl", json.dumps({"accession": "1", "report": SENTENCE}) + "\n")
    report = {"resourceType": "DiagnosticReport", "status": "final", "id": "1"}
    text(tmp_path / "fhir" / "a.json", json.dumps(report))
    text(tmp_path / "other" / "b.json", json.dumps({"resourceType": "Patient"}))
    text(tmp_path / "hl7" / "a.hl7", "MSH|^~\\&|A\n")
    text(tmp_path / "texts" / "1.2.3.4.txt", SENTENCE)
    dicom(tmp_path / "sr" / "x.dcm", BASIC_SR, "SR")
    seen = survey(tmp_path)
    assert {(one.kind, one.path.relative_to(tmp_path).as_posix()) for one in seen.reports} == {
        ("parquet", "export.parquet"),
        ("jsonl", "l/a.jsonl"),
        ("fhir", "fhir"),
        ("hl7", "hl7"),
        ("text", "texts"),
        ("dicom_sr", "sr"),
    }
    assert len(loaded(seen, tmp_path / "config.yaml").reports) == 6


def test_reports_among_other_files_are_named_one_by_one(tmp_path: Path):
    """A folder of reports is read whole: slices among them would each be a fault."""
    dicom(tmp_path / "1.dcm")
    message = text(tmp_path / "a.hl7", "MSH|^~\\&|A\n")
    text(tmp_path / "README.txt", "Read me.")
    text(tmp_path / "about" / "README.txt", "Read me.")
    assert [(one.kind, one.path) for one in survey(tmp_path).reports] == [("hl7", message)]
    for number in range(30):
        text(tmp_path / f"{number}.hl7", "MSH|^~\\&|A\n")
    seen = survey(tmp_path)
    assert seen.reports == ()
    assert "hl7 reports among other files" in seen.notes[0]


def test_tables_that_are_no_reports_are_told_of(tmp_path: Path):
    text(tmp_path / "truth.csv", "study_uid,finding\n1.2,nodule\n")
    text(tmp_path / "nobody.csv", f'report,page\n"{SENTENCE}",1\n')
    text(tmp_path / "numbers.csv", "a,b\n1,2\n")
    seen = survey(tmp_path)
    assert seen.reports == ()
    told = " ".join(seen.notes)
    assert "truth.csv: its column finding holds no sentences" in told
    assert "nobody.csv: no column names a study" in told
    assert "numbers.csv" not in told


@pytest.mark.parametrize("ending", ["pdf", "xls", "docx"])
def test_files_that_may_hold_reports_and_are_not_read_are_told_of(tmp_path: Path, ending: str):
    (tmp_path / "notes").mkdir()
    for number in range(3):
        (tmp_path / "notes" / f"{number}.{ending.upper()}").write_bytes(b"report")
    (note,) = (one for one in survey(tmp_path).notes if f".{ending} is not read" in one)
    assert "0." in note
    assert "and 2 more" in note
    assert "save it as" in note


def test_a_mapping_names_the_studies_of_a_table(tmp_path: Path):
    text(tmp_path / "nobody.csv", f'report_id,report\n7,"{SENTENCE}"\n')
    mapping = text(tmp_path / "which.csv", "report,study_uid\n7,1.2.3\n")
    (found,) = survey(tmp_path).reports
    assert (found.path.name, found.mapping) == ("nobody.csv", mapping)


def test_many_tables_of_one_layout_are_one_source(tmp_path: Path):
    for number in range(6):
        reports_csv(tmp_path / "months" / f"{number}.csv")
    dicom(tmp_path / "ct" / "1")
    (found,) = survey(tmp_path).reports
    assert (found.path, found.files) == (tmp_path / "months", 6)


def test_equal_names_are_told_apart(tmp_path: Path):
    dicom(tmp_path / "a" / "ct" / "1")
    reports_csv(tmp_path / "x" / "reports.csv")
    reports_csv(tmp_path / "y" / "reports.csv")
    config = loaded(survey(tmp_path), tmp_path / "config.yaml")
    assert len({source.label for source in config.reports}) == 2


def test_the_store_never_lies_within_a_source(tmp_path: Path):
    dicom(tmp_path / "archive" / "1")
    config = loaded(survey(tmp_path / "archive"), tmp_path / "archive" / "config.yaml")
    assert config.sources[0].path == tmp_path / "archive"
    assert not Path(config.store).is_relative_to(tmp_path / "archive")


def test_paths_elsewhere_stay_absolute(tmp_path: Path):
    dicom(tmp_path / "data" / "1")
    config = loaded(survey(tmp_path / "data"), tmp_path / "conf" / "config.yaml")
    assert config.sources[0].path == tmp_path / "data"
    assert config.store == str(tmp_path / "conf" / "store")


def test_a_large_folder_is_looked_at_in_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(listing, "FOLDERS_OF_A_LEVEL", 3)
    monkeypatch.setattr(listing, "FILES_OF_A_FOLDER", 2)
    monkeypatch.setattr(images, "PROBED_AT_MOST", 4)
    for patient in range(9):
        for number in range(4):
            dicom(tmp_path / "ct" / str(patient) / "s" / str(number))
    reports_csv(tmp_path / "zz_reports.csv")
    seen = survey(tmp_path)
    assert not seen.complete
    assert seen.files == 1 + 3 * 2
    assert [one.path for one in seen.sources] == [tmp_path / "ct"]
    assert [one.path.name for one in seen.reports] == ["zz_reports.csv"]


def test_stores_and_hidden_files_are_passed_over(tmp_path: Path):
    nifti(tmp_path / "store" / "volumes" / "v.nii.gz")
    (tmp_path / "store" / listing.MARK).touch()
    reports_csv(tmp_path / ".trash" / "old.csv")
    assert survey(tmp_path).files == 0


def test_what_is_commented_is_valid_when_the_marks_are_taken_away(tmp_path: Path):
    dicom(tmp_path / "ct" / "1")
    file = tmp_path / "config.yaml"
    written = configuration_text(survey(tmp_path), file)
    assert all(len(line) <= 100 or str(tmp_path) in line for line in written.splitlines())
    head, _, sections = written.partition("# secrets and names\n")
    uncommented = re.sub(r"^# ?(?=\S+:|  )", "", sections, flags=re.MULTILINE)
    config = load_config(text(file, head + uncommented))
    assert config.identity.vault == tmp_path / "vault"
    assert config.train["preset"] == "small"
    assert config.shard.anatomies == Config.model_fields["shard"].default.anatomies
    assert config.execution.workers == 8


def run(*words: str) -> Any:
    return CliRunner().invoke(app, list(words))


def test_init_tells_what_it_saw_and_never_writes_over_a_file(tmp_path: Path):
    dicom(tmp_path / "ct" / "1")
    reports_csv(tmp_path / "reports.csv")
    file = text(tmp_path / "config.yaml", "store: mine\n")
    refused = run("init", str(tmp_path), "--out", str(file))
    assert refused.exit_code == 2
    assert "is there already; name another file by --out, or give --force" in refused.stderr
    assert file.read_text(encoding="utf-8") == "store: mine\n"
    done = run("init", str(tmp_path), "--out", str(file), "--force")
    assert done.exit_code == 0, done.output
    assert "Looked at 3 files in 2 folders" in done.stdout
    assert f"dicom: {tmp_path / 'ct'} (1 files seen)" in done.stdout
    assert "accession from accession, report from report" in done.stdout
    assert load_config(file).store == str(tmp_path / "store")
    as_json = run("init", str(tmp_path), "--out", str(tmp_path / "b.yaml"), "--json")
    assert json.loads(as_json.stdout)["sources"][0]["kind"] == "dicom"


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda folder: None, "no CT images and no reports were seen among 0 files"),
        (lambda folder: dicom(folder / "1", modality="MR"), "no CT slices: modality_not_ct 1"),
        (lambda folder: folder.rmdir(), "cannot be read (FileNotFoundError)"),
    ],
)
def test_init_without_anything_to_write(tmp_path: Path, make: Any, told: str):
    folder = tmp_path / "data"
    folder.mkdir()
    make(folder)
    result = run("init", str(folder), "--out", str(tmp_path / "config.yaml"))
    assert result.exit_code == 2
    assert told in " ".join(result.stderr.split())
    assert not (tmp_path / "config.yaml").exists()


def test_schema_knows_every_key_and_refuses_others(tmp_path: Path):
    file = tmp_path / "fvlm.schema.json"
    done = run("schema", "--out", str(file))
    assert done.exit_code == 0, done.output
    assert "yaml-language-server: $schema=fvlm.schema.json" in done.stdout
    schema = json.loads(file.read_text(encoding="utf-8"))
    assert schema == configuration_schema() == json.loads(run("schema").stdout)
    validator = Draft202012Validator(schema)
    Draft202012Validator.check_schema(schema)
    root = Path(__file__).resolve().parents[2]
    demo = yaml.safe_load((root / "fvlm_data" / "cli" / "demo.yaml").read_text(encoding="utf-8"))
    resolved = load_config(root / "fvlm_data" / "cli" / "demo.yaml").model_dump(mode="json")
    assert list(validator.iter_errors(demo)) == list(validator.iter_errors(resolved)) == []
    for wrong in (
        {"train": {"batchsize": 3}},
        {"evaluate": {"window": 3}},
        {"train": {"model": {"image": {"width": "wide"}}}},
        {"sources": [{"kind": "dicom", "pth": "x"}]},
        {"shrad": {}},
    ):
        assert len(list(validator.iter_errors(wrong))) == 1, wrong


GERMAN = "Leber unauffällig. Zyste der linken Niere. Kein Aszites, kein Pleuraerguss."


@pytest.mark.parametrize(
    ("texts", "language", "languages", "note"),
    [
        ([SENTENCE, SENTENCE], "en", (), None),
        ([GERMAN, GERMAN], "de", (), None),
        ([GERMAN, GERMAN, SENTENCE], "de", ("de", "en"), None),
        ([GERMAN, SENTENCE], "en", ("en", "de"), None),
        (["Pas de pneumothorax. Le foie est normal."], "en", (), "1 in language fr: set aside"),
    ],
)
def test_the_languages_of_reports_are_written(
    tmp_path: Path, texts: list[str], language: str, languages: tuple[str, ...], note: str | None
):
    nifti(tmp_path / "a" / "torso.nii.gz")
    rows = [f'{number},"{told}"' for number, told in enumerate(texts)]
    text(tmp_path / "a" / "reports.csv", "\n".join(["accession,report", *rows, ""]))
    seen = survey(tmp_path / "a")
    vocabulary = loaded(seen, tmp_path / "c.yaml").vocabulary
    assert (vocabulary.language, vocabulary.languages) == (language, languages)
    told = [one for one in seen.notes if "language" in one]
    assert bool(told) is (note is not None)
    assert note is None or note in told[0]
    # the note holds no word of a report
    assert "Leber" not in (tmp_path / "c.yaml").read_text(encoding="utf-8")
