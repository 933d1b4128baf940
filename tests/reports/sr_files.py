"""DICOM SR files made for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

if TYPE_CHECKING:
    from pathlib import Path


def coded(meaning: str) -> Any:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "1", "DCM", meaning
    return pydicom.Sequence([code])


def text_item(title: str, text: str) -> Dataset:
    item = Dataset()
    item.RelationshipType, item.ValueType = "CONTAINS", "TEXT"
    item.ConceptNameCodeSequence, item.TextValue = coded(title), text
    return item


def container(title: str, *children: Dataset) -> Dataset:
    item = Dataset()
    item.RelationshipType, item.ValueType = "CONTAINS", "CONTAINER"
    item.ConceptNameCodeSequence = coded(title)
    item.ContentSequence = pydicom.Sequence(list(children))
    return item


def write_sr(path: Path, *children: Dataset, study: str = "1.2.3.4", **tags: Any) -> Path:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = tags.pop("sop_class", "1.2.840.10008.5.1.4.1.1.88.22")
    meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.StudyInstanceUID = study
    dataset.PatientName, dataset.PatientID = "Mustermann^Erika", "PAT-77001"
    dataset.ContentDate, dataset.ContentTime = "20210304", "101500"
    dataset.ValueType = "CONTAINER"
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    dataset.ContentSequence = pydicom.Sequence(list(children))
    dataset.save_as(path, enforce_file_format=True)
    return path
