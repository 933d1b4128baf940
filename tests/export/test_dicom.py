"""DICOM SEG, DICOM SR and FHIR of a store, as readers that did not write them see them."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import jsonschema
import nibabel as nib
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pydicom
import pytest
import SimpleITK
from pydicom.sr.codedict import codes

from fvlm_data.errors import InputError, MissingExtraError, StoreError
from fvlm_data.export.dicom import concepts
from fvlm_data.export.dicom.concepts import finding_concepts, structure
from fvlm_data.segment.dicom_seg import read_dicom_seg, referenced_series
from fvlm_data.segment.library_classes import recorded_classes
from fvlm_data.store.tables import Store
from fvlm_data.vocabulary import Vocabulary
from schemas import Volume
from tests.export.conftest import files_of
from tests.export.curated import CLASSES, DATE, GRIDS, PLANTED, TEXTS, exported, hu_of, make_store

DIGITS = DATE.replace("-", "")
RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
STUDY_OF = {"v_1": "st_1", "v_2": "st_1", "v_3": "st_2"}


@pytest.fixture(scope="module")
def curated(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(tmp_path_factory.mktemp("curated"))


@pytest.fixture(scope="module")
def out(curated: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(curated, tmp_path_factory.mktemp("dicom") / "out")


@pytest.fixture(scope="module")
def with_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = make_store(tmp_path_factory.mktemp("imaged"))
    gone = [row for row in store.read("volumes").to_pylist() if row["study_id"] != "st_3"]
    store.replace_all("volumes", [Volume(**row) for row in gone])
    return exported(store, tmp_path_factory.mktemp("images") / "out", images=True)


def seg_file(out: Path, volume_id: str) -> Path:
    return out / STUDY_OF[volume_id] / f"{volume_id}.total.dcm"


def as_nibabel_reads(store: Store, volume_id: str, folder: Path) -> tuple[Any, Any]:
    """Label map (i, j, k) and affine to LPS mm."""
    file = folder / "mask.nii"
    file.write_bytes(store.read_bytes(f"masks/{volume_id}.total.nii.gz"))
    image = nib.load(file)
    return np.asarray(image.dataobj), RAS_TO_LPS @ image.affine


def points_of(mask: Any, affine: Any) -> Any:
    """Centres in mm of the voxels of a mask (i, j, k), sorted, to 0.001 mm."""
    centres = np.argwhere(mask) @ affine[:3, :3].T + affine[:3, 3]
    return np.array(sorted(map(tuple, np.round(centres, 3) + 0.0)))


@pytest.mark.parametrize("volume_id", GRIDS)
def test_each_frame_lies_where_the_mask_does(
    curated: Store, out: Path, tmp_path: Path, volume_id: str
):
    """Pixels as GDCM decodes them, places by the formula of PS3.3 C.7.6.2.1.1 from the elements."""
    labels, affine = as_nibabel_reads(curated, volume_id, tmp_path)
    file = seg_file(out, volume_id)
    dataset = pydicom.dcmread(file)
    frames = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(file))) > 0
    (shared,) = dataset.SharedFunctionalGroupsSequence
    found: dict[int, list[Any]] = {}
    for frame, group in zip(frames, dataset.PerFrameFunctionalGroupsSequence, strict=True):
        row_mm, column_mm = map(float, shared.PixelMeasuresSequence[0].PixelSpacing)
        cosines = shared.PlaneOrientationSequence[0].ImageOrientationPatient
        cosines = np.array(cosines, float).reshape(2, 3)
        start = np.array(group.PlanePositionSequence[0].ImagePositionPatient, float)
        rows, columns = np.nonzero(frame)
        centres = start + np.outer(columns * column_mm, cosines[0])
        centres += np.outer(rows * row_mm, cosines[1])
        number = int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        found.setdefault(number, []).append(centres)
    names = [segment.SegmentLabel for segment in dataset.SegmentSequence]
    assert names == list(CLASSES.values())
    for number, value in enumerate(CLASSES, 1):
        expected = points_of(labels == value, affine)
        ours = np.array(sorted(map(tuple, np.round(np.concatenate(found[number]), 3) + 0.0)))
        assert ours.shape == expected.shape
        assert np.abs(ours - expected).max() < 0.003


@pytest.mark.parametrize("volume_id", GRIDS)
def test_our_own_reader_finds_the_same_voxels(
    curated: Store, out: Path, tmp_path: Path, volume_id: str
):
    labels, affine = as_nibabel_reads(curated, volume_id, tmp_path)
    segments, read_affine = read_dicom_seg(seg_file(out, volume_id).read_bytes())
    read_affine = RAS_TO_LPS @ read_affine
    read = {segment.names[0]: segment.mask for segment in segments}
    for value, name in CLASSES.items():
        ours, expected = points_of(read[name], read_affine), points_of(labels == value, affine)
        assert ours.shape == expected.shape
        assert np.abs(ours - expected).max() < 0.003


def test_segments_have_terms_and_sides(out: Path):
    dataset = pydicom.dcmread(seg_file(out, "v_1"))
    kinds = [segment.SegmentedPropertyTypeCodeSequence[0] for segment in dataset.SegmentSequence]
    kidney, liver, rib, oddity = kinds
    assert (kidney.CodeValue, kidney.CodingSchemeDesignator) == ("64033007", "SCT")
    assert kidney.SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning == "Left"
    assert liver.CodeValue == codes.SCT.Liver.value
    assert "SegmentedPropertyTypeModifierCodeSequence" not in liver
    for kind, name in ((rib, "rib_left_7"), (oddity, "oddity")):  # none has a code in the tables
        assert (kind.CodeValue, kind.CodingSchemeDesignator) == (name, "99FVLM")
    for segment in dataset.SegmentSequence:
        assert segment.SegmentAlgorithmType == "SEMIAUTOMATIC"
        assert segment.SegmentAlgorithmName == "precomputed"


def test_codes_are_those_of_dicoms_tables():
    stated = {
        concepts.PRESENCE: codes.DCM.PresenceOfProperty,
        concepts.SEVERITY: codes.SCT.Severity,
        concepts.LATERALITY: codes.SCT.Laterality,
        concepts.LONG_AXIS: codes.SCT.LongAxis,
        concepts.STATES["present"]: codes.DCM.Present,
        concepts.STATES["absent"]: codes.DCM.Absent,
        concepts.STATES["uncertain"]: codes.DCM.PresenceUndetermined,
        concepts.SIDES["left"]: codes.SCT.Left,
        concepts.SIDES["right"]: codes.SCT.Right,
        concepts.SIDES["bilateral"]: codes.SCT.Bilateral,
        concepts.SEVERITIES["mild"]: codes.SCT.Mild,
        concepts.SEVERITIES["moderate"]: codes.SCT.Moderate,
        concepts.SEVERITIES["severe"]: codes.SCT.Severe,
    }
    for ours, theirs in stated.items():
        assert ours[:2] == (theirs.value, theirs.scheme_designator)
    for system in ("totalsegmentator_v1", "totalsegmentator_v2"):
        classes = recorded_classes(system).values()
        coded = {name: structure(name) for name in classes}
        assert len(set(coded.values())) == len(classes)  # no two segments are called alike
        assert coded["kidney_right"][1] == concepts.SIDES["right"]
        sides = {name.rpartition("_")[2] for name, (_, side) in coded.items() if side}
        assert sides == {"left", "right"}
    assert structure("heart_ventricle_left") == (("87878005", "SCT", "Left ventricle"), None)
    assert {told[0].scheme for told in coded.values()} == {"SCT", "99FVLM"}
    found = finding_concepts(Vocabulary.load())
    assert found["pneumonia"][:2] == ("233604007", "SCT")  # not RadLex, which is there too


def elements(dataset: Any) -> Any:
    """All elements, those of items included."""
    for element in dataset:
        yield element
        if element.VR == "SQ":
            for item in element.value:
                yield from elements(item)


def test_the_same_store_gives_the_same_bytes(curated: Store, out: Path, tmp_path: Path):
    assert files_of(exported(curated, tmp_path / "again")) == files_of(out)


def test_nothing_names_anybody_or_the_day_of_the_export(out: Path):
    files = files_of(out)
    assert len(files) == 3 + 1 + 2
    for name, content in files.items():
        assert PLANTED.encode() not in content, name
        assert b"1.2.840.777" not in content, name
    for file in out.rglob("*.dcm"):
        dataset = pydicom.dcmread(file)
        times = {str(e.value) for e in elements(dataset) if e.VR in ("DA", "TM", "DT") and e.value}
        dated = file.parent.name == "st_1"
        assert times == {"000000", DIGITS if dated else "19000101"}
        assert dataset.PatientID == "p_1"
        assert dataset.PatientIdentityRemoved == "YES"
        assert dataset.StudyDate == (DIGITS if dated else "")
        uids = {str(e.value) for e in elements(dataset) if e.VR == "UI"}
        assert all(uid.startswith(("2.25.", "1.2.840.10008.")) for uid in uids)


def test_nothing_refers_to_images(out: Path):
    for file in out.rglob("*.dcm"):
        keywords = {element.keyword for element in elements(pydicom.dcmread(file))}
        assert "ReferencedSOPInstanceUID" not in keywords
        assert "FrameOfReferenceUID" in keywords or file.name == "report.dcm"
    assert referenced_series(seg_file(out, "v_1")) == ""
    frames = {pydicom.dcmread(seg_file(out, v)).FrameOfReferenceUID for v in GRIDS}
    assert len(frames) == len(GRIDS)


@pytest.mark.parametrize("volume_id", GRIDS)
def test_segmentations_refer_to_the_images_of_the_volume(
    with_images: Path, out: Path, volume_id: str
):
    folder = with_images / STUDY_OF[volume_id]
    slices = {
        one.SOPInstanceUID: one
        for one in map(pydicom.dcmread, sorted(folder.glob(f"{volume_id}.images/*.dcm")))
    }
    series = SimpleITK.ImageSeriesReader()
    series.SetFileNames(sorted(map(str, folder.glob(f"{volume_id}.images/*.dcm"))))
    image = series.Execute()
    assert (SimpleITK.GetArrayFromImage(image) == hu_of(volume_id).transpose(2, 1, 0)).all()
    shape, affine = GRIDS[volume_id]
    for index in ((0, 0, 0), (shape[0] - 1, 2, 0)):
        expected = (RAS_TO_LPS @ affine @ (*index, 1))[:3]
        assert np.allclose(image.TransformIndexToPhysicalPoint(index), expected, atol=1e-4)
    dataset = pydicom.dcmread(seg_file(with_images, volume_id))
    (referred,) = dataset.ReferencedSeriesSequence
    (first, *_) = slices.values()
    assert referred.SeriesInstanceUID == first.SeriesInstanceUID
    assert first.SeriesInstanceUID == referenced_series(seg_file(with_images, volume_id))
    assert first.FrameOfReferenceUID == dataset.FrameOfReferenceUID
    for group in dataset.PerFrameFunctionalGroupsSequence:
        (source,) = group.DerivationImageSequence[0].SourceImageSequence
        named = slices[source.ReferencedSOPInstanceUID]
        position = group.PlanePositionSequence[0].ImagePositionPatient
        assert np.allclose(position, named.ImagePositionPatient, atol=1e-6)
    # another content is another object
    assert dataset.SOPInstanceUID != pydicom.dcmread(seg_file(out, volume_id)).SOPInstanceUID


def test_images_name_nobody_either(with_images: Path):
    files = files_of(with_images)
    assert len(files) == sum(shape[2] for shape, _ in GRIDS.values()) + 6
    assert all(PLANTED.encode() not in content for content in files.values())


def test_the_index_lists_what_is_there(out: Path):
    with (out / "index.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert [row["file"] for row in rows] == [
        "st_1/v_1.total.dcm",
        "st_1/v_2.total.dcm",
        "st_1/report.dcm",
        "st_2/v_3.total.dcm",
    ]
    assert not (out / "st_3").exists()  # a study without anything
    series = set()
    for row in rows:
        dataset = pydicom.dcmread(out / row["file"])
        told = (dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID)
        assert told == (row["study_uid"], row["series_uid"], row["instance_uid"])
        series.add((row["study_uid"], int(dataset.SeriesNumber)))
    assert len(series) == len(rows)


def walk(item: Any) -> dict[str, list[Any]]:
    """Children of a content item by the meaning of their names."""
    found: dict[str, list[Any]] = {}
    for child in item.get("ContentSequence", ()):
        found.setdefault(child.ConceptNameCodeSequence[0].CodeMeaning, []).append(child)
    return found


def test_the_report_tells_each_finding(out: Path):
    dataset = pydicom.dcmread(out / "st_1" / "report.dcm")
    assert dataset.SOPClassUID == pydicom.uid.ComprehensiveSRStorage
    assert dataset.ConceptNameCodeSequence[0].CodeValue == "126000"
    (template,) = dataset.ContentTemplateSequence
    assert template.TemplateIdentifier == "1500"
    (measured,) = walk(dataset)["Imaging Measurements"]
    groups = [walk(group) for group in walk(measured)["Measurement Group"]]
    # the question among the clinical information is no finding of this study
    assert [group["Comment"][0].TextValue for group in groups] == [TEXTS[0], TEXTS[1], TEXTS[2]]
    states = [group["Presence of property"][0].ConceptCodeSequence[0] for group in groups]
    assert [state.CodeValue for state in states] == ["121053", "121054", "family"]
    cyst = groups[0]
    (site,) = cyst["Finding Site"]
    assert site.ConceptCodeSequence[0].CodeValue == "64033007"
    assert walk(site)["Laterality"][0].ConceptCodeSequence[0].CodeMeaning == "Left"
    (number,) = cyst["Long axis"][0].MeasuredValueSequence
    assert float(number.NumericValue) == 14
    assert number.MeasurementUnitsCodeSequence[0].CodeValue == "mm"
    assert cyst["Severity"][0].ConceptCodeSequence[0].CodeMeaning == "Mild"
    unknown = groups[1]["Finding"][0].ConceptCodeSequence[0]
    assert unknown.LongCodeValue == "no_such_finding_any_vocabulary"
    assert "Long axis" not in groups[1]
    assert "Laterality" not in walk(groups[1]["Finding Site"][0])


CONCEPT: dict[str, Any] = {
    "type": "object",
    "required": ["coding"],
    "properties": {
        "coding": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["system", "code"],
                "properties": {
                    "system": {"pattern": r"^(https?://|urn:oid:[0-2](\.[1-9]\d*|\.0)+$)\S*"},
                    "code": {"pattern": r"^\S+( \S+)*$"},
                },
            },
        },
        "text": {"type": "string", "minLength": 1},
    },
}
QUANTITY = {
    "type": "object",
    "required": ["value", "system", "code"],
    "properties": {"value": {"type": "number"}, "system": {"const": "http://unitsofmeasure.org"}},
}
VALUES = {"valueCodeableConcept": CONCEPT, "valueQuantity": QUANTITY}
UUID = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
IDENTIFIER = {
    "type": "object",
    "required": ["system", "value"],
    "properties": {"system": {"pattern": "^(urn:|http)"}, "value": {"minLength": 1}},
}
OBSERVATION = {
    "type": "object",
    "required": ["resourceType", "id", "status", "code", "subject"],
    "additionalProperties": False,
    "properties": {
        "resourceType": {"const": "Observation"},
        "id": {"pattern": UUID},
        "status": {"enum": ["registered", "preliminary", "final", "amended"]},
        "category": {"type": "array", "minItems": 1, "items": CONCEPT},
        "code": CONCEPT,
        "subject": {"type": "object", "properties": {"identifier": IDENTIFIER}},
        "effectiveDateTime": {"pattern": r"^\d{4}-\d\d-\d\d$"},
        **VALUES,
        "bodySite": CONCEPT,
        "method": {"type": "object", "required": ["text"]},
        "note": {"type": "array", "minItems": 1, "items": {"required": ["text"]}},
        "derivedFrom": {"type": "array", "minItems": 1},
        "component": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["code"],
                "additionalProperties": False,
                "properties": {"code": CONCEPT, **VALUES},
                "minProperties": 2,
                "maxProperties": 2,
            },
        },
    },
    # value[x] is one of its kinds
    "oneOf": [{"required": [kind]} for kind in VALUES],
}
BUNDLE = {
    "type": "object",
    "required": ["resourceType", "type", "entry"],
    "properties": {
        "resourceType": {"const": "Bundle"},
        "type": {"const": "collection"},
        "entry": {
            "type": "array",
            "minItems": 1,
            "items": {
                "required": ["fullUrl", "resource"],
                "properties": {"resource": OBSERVATION},
            },
        },
    },
}
"""What R4 requires of the elements that are written (hl7.org/fhir/R4, Bundle and Observation)."""


def bundles(folder: Path) -> list[Any]:
    lines = (folder / "observations.ndjson").read_text(encoding="utf-8").splitlines()
    read = [json.loads(line) for line in lines]
    for bundle in read:
        jsonschema.validate(bundle, BUNDLE)
        ids = [entry["resource"]["id"] for entry in bundle["entry"]]
        assert len(set(ids)) == len(ids)
        assert [entry["fullUrl"] for entry in bundle["entry"]] == [f"urn:uuid:{one}" for one in ids]
    return read


def test_findings_are_observations(out: Path):
    (bundle,) = bundles(out)
    cyst, lesion, emphysema = (entry["resource"] for entry in bundle["entry"])
    assert cyst["effectiveDateTime"] == DATE
    assert cyst["subject"]["identifier"]["value"] == "p_1"
    assert cyst["note"] == [{"text": TEXTS[0]}]
    assert cyst["valueCodeableConcept"]["coding"][0]["code"] == "121053"
    components = {part["code"]["text"]: part for part in cyst["component"]}
    assert components["Long axis"]["valueQuantity"]["value"] == 14
    assert components["Laterality"]["valueCodeableConcept"]["text"] == "Left"
    study = pydicom.dcmread(out / "st_1" / "report.dcm").StudyInstanceUID
    assert cyst["derivedFrom"][0]["identifier"]["value"] == f"urn:oid:{study}"
    assert "component" not in lesion
    assert emphysema["valueCodeableConcept"]["coding"][0]["code"] == "family"


def scores_file(folder: Path, **changes: Any) -> Path:
    columns = {
        "sample_id": ["sa_2", "sa_1", "sa_1"],
        "study_id": ["st_2", "st_1", "st_1"],
        "finding": ["pneumonia", "pneumonia", "emphysema"],
        "anatomy": ["lung", "lung", "lung"],
        "score": [0.25, None, 0.75],
        **changes,
    }
    pq.write_table(pa.table(columns), folder / "scores.parquet")
    return folder / "scores.parquet"


def test_scores_are_observations_too(curated: Store, out: Path, tmp_path: Path):
    told = exported(curated, tmp_path / "out", scores=scores_file(tmp_path))
    first, second = bundles(told)
    assert first["entry"][:3] == bundles(out)[0]["entry"]
    (scored,) = (entry["resource"] for entry in first["entry"][3:])
    assert scored["valueQuantity"]["value"] == 0.75
    assert scored["effectiveDateTime"] == DATE
    (other,) = (entry["resource"] for entry in second["entry"])
    assert other["code"]["coding"][0]["code"] == "233604007"
    assert "effectiveDateTime" not in other  # the study has no date
    assert other["valueQuantity"]["value"] == 0.25


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"study_id": ["st_2", "st_1", "st_9"]}, "1 studies are not in the store"),
        ({"score": ["a", "b", "c"]}, "not a number"),
    ],
)
def test_scores_of_others_are_refused(
    curated: Store, tmp_path: Path, changes: dict[str, Any], told: str
):
    with pytest.raises(InputError, match=told):
        exported(curated, tmp_path / "out", scores=scores_file(tmp_path, **changes))
    assert not (tmp_path / "out").exists()


def test_a_file_that_holds_no_scores_is_refused(curated: Store, tmp_path: Path):
    pq.write_table(pa.table({"study_id": ["st_1"]}), tmp_path / "other.parquet")
    with pytest.raises(InputError, match="expected a Parquet file of fvlm-eval"):
        exported(curated, tmp_path / "out", scores=tmp_path / "other.parquet")


def test_a_label_map_of_another_size_is_named(tmp_path: Path):
    store = make_store(tmp_path)
    store.write_bytes("masks/v_1.total.nii.gz", store.read_bytes("masks/v_3.total.nii.gz"))
    with pytest.raises(StoreError, match=r"masks/v_1\.total\.nii\.gz has \(10, 8, 5\) voxels"):
        exported(store, tmp_path / "out")


def test_the_missing_extra_is_named(
    curated: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "highdicom", None)
    with pytest.raises(MissingExtraError, match=r"fvlm\[dicom-out\]"):
        exported(curated, tmp_path / "out")
