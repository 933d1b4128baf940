"""Invented people in what is no DICOM image: volume files, masks, HL7, FHIR, clinical tables."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

Gone = list[tuple[str, str]]
SHAPE, SPACING_MM = (16, 16, 6), (0.8, 0.8, 2.5)


def write_elsewhere(
    folder: Path, count: int, drawn: Random, name: Callable[[Random], str]
) -> tuple[dict[str, Any], Gone]:
    """Write `count` people of each kind; what the configuration needs of it, and what must go.

    `name` draws an invented name. What must go are class and value.
    """
    gone: Gone = []
    for part in ("volumes", "masks", "messages", "values"):
        (folder / part).mkdir()
    values = [("patient_id", "time", "name", "value", "unit", "ward")]
    for number in range(count):
        places = ("file", "header", "note", "sidecar", "segment", "ward")
        told = {one: name(drawn) for one in places}
        gone += [(f"volume {one}", value) for one, value in told.items() if one != "ward"]
        gone.append(("clinical value", told["ward"]))
        _write_volume(folder / "volumes", number, told)
        _write_mask(folder / "masks" / f"{told['file']}_{number}.seg.nrrd", told["segment"])
        gone += _write_hl7(folder / "messages" / f"{told['file']}.hl7", drawn, name)
        gone += _write_fhir(folder / "messages" / f"{told['file']}.json", drawn, name)
        values.append((f"7{number:05d}", "2020-01-01T10:00", told["ward"], "1", "1", told["ward"]))
    with (folder / "values" / "values.csv").open("w", encoding="utf-8", newline="") as handle:
        csv.writer(handle).writerows(values)
    config = {
        "sources": [{"kind": "nifti", "path": str(folder / "volumes")}],
        "reports": [{"path": str(folder / "messages")}],
        "segment": {
            "backend": "precomputed",
            "masks": str(folder / "masks"),
            "classes": "totalsegmentator_v2",
        },
        "clinical": {"sources": [{"path": str(folder / "values")}]},
    }
    return config, gone


def _affine() -> np.ndarray[Any, Any]:
    return np.diag([*SPACING_MM, 1.0])


def _write_volume(folder: Path, number: int, told: dict[str, str]) -> None:
    """A NIfTI file with names in its header and extensions, and a file of header values beside."""
    image = np.random.default_rng(number).integers(-100, 100, SHAPE).astype(np.int16)
    one = nib.Nifti1Image(image, _affine())
    one.header.set_sform(_affine(), 1)
    for field in ("descrip", "aux_file", "intent_name", "db_name"):
        one.header[field] = told["header"].encode()
    one.header.extensions.append(nib.nifti1.Nifti1Extension(6, told["note"].encode()))
    stem = folder / f"{told['file']}_{number}"
    nib.save(one, f"{stem}.nii.gz")
    facts = {
        "PatientName": told["sidecar"], "InstitutionName": told["sidecar"],
        "SeriesDescription": f"Thorax {told['sidecar']}", "Manufacturer": told["sidecar"],
        "PatientID": f"7{number:05d}", "ConvolutionKernel": told["sidecar"],
    }  # fmt: skip
    stem.with_suffix(".json").write_text(json.dumps(facts), encoding="utf-8")


def _write_mask(path: Path, segment: str) -> None:
    """A mask of Slicer with a segment that is called after a class and a person."""
    header = (
        "NRRD0004\ntype: unsigned char\ndimension: 3\nspace: right-anterior-superior\n"
        "sizes: 16 16 6\nspace directions: (0.8,0,0) (0,0.8,0) (0,0,2.5)\n"
        "kinds: domain domain domain\nendian: little\nencoding: gzip\nspace origin: (0,0,0)\n"
        f"Segment0_Name:=kidney_right_{segment}\nSegment0_LabelValue:=1\nSegment0_Layer:=0\n\n"
    )
    labels = np.zeros(SHAPE, np.uint8)
    labels[4:9, 4:9, 1:4] = 1
    path.write_bytes(header.encode() + gzip.compress(labels.tobytes(order="F")))


def _write_hl7(path: Path, drawn: Random, name: Callable[[Random], str]) -> Gone:
    patient, kin, doctor, observer = (name(drawn) for _ in range(4))
    text = f"No nodule. {kin} came along with {patient}. {doctor} asked, {observer} read it."
    path.write_text(
        f"MSH|^~\\&|R|H|F|H|2021||ORU^R01|1|P|2.5\rPID|1||{patient}1||{patient}^Jo\r"
        f"PD1||||7^{doctor}^Al\rNK1|1|{kin}^Li|SPO\rOBR|1|P|{patient}2|CT^CT|||2021{'|' * 18}F\r"
        f"OBX|1|TX|1^X||{text}||||||F|||||9^{observer}^Di\r",
        encoding="utf-8",
    )
    return [("hl7 people", one) for one in (patient, kin, doctor, observer)]


def _write_fhir(path: Path, drawn: Random, name: Callable[[Random], str]) -> Gone:
    patient, kin, doctor, observer = (name(drawn) for _ in range(4))
    text = f"No nodule. {kin} came along with {patient}. {doctor} asked, {observer} read it."
    resources = (
        {
            "resourceType": "Patient", "id": "p", "name": [{"family": patient}],
            "contact": [{"name": {"family": kin}}], "generalPractitioner": [{"display": doctor}],
        },
        {
            "resourceType": "DiagnosticReport", "id": "r", "status": "final", "conclusion": text,
            "subject": {"reference": "Patient/p"}, "resultsInterpreter": [{"display": observer}],
        },
    )  # fmt: skip
    entries = [{"resource": one} for one in resources]
    path.write_text(json.dumps({"resourceType": "Bundle", "entry": entries}), encoding="utf-8")
    return [("fhir people", one) for one in (patient, kin, doctor, observer)]
