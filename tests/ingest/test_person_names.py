"""Every person whom a header names, wherever it does, is known to the scrubbing of reports."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from fvlm_data.ingest.dicom.header import facts, identities
from fvlm_data.ingest.dicom.person_names import person_names
from fvlm_data.ingest.discovery.file_kind import probe
from fvlm_data.ingest.discovery.found_file import FoundFile
from fvlm_data.ingest.discovery.opener import FileLocation
from tests.ingest.series import Series, write

SEQUENCE = b"\x06\x30\x10\x00SQ\0\0"
"""How a sequence begins in a file; two bytes are too few for an item of it."""


def written(
    one: Dataset, syntax: str, change: Callable[[bytes], bytes] = lambda raw: raw
) -> Dataset:
    """The data set as a reader finds it in a file."""
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = syntax
    buffer = BytesIO()
    pydicom.dcmwrite(buffer, one, enforce_file_format=False)
    return pydicom.dcmread(BytesIO(change(buffer.getvalue())), force=True)


def header() -> Dataset:
    one = Dataset()
    one.SpecificCharacterSet = "ISO_IR 192"
    one.PatientName = "Mustermann^Erika"
    one.ContentCreatorName = "Wackelbart^Rumpold"  # in no list of ours
    inner, step = Dataset(), Dataset()
    inner.RequestingPhysician = "Zimtstern^Olaf"
    step.RequestAttributesSequence = [inner]
    step.ScheduledProcedureStepDescription = "CT"
    one.RequestAttributesSequence = [step]
    one.private_block(0x0029, "A SCANNER", create=True).add_new(1, "PN", "Federhut^Gundula")
    one.SeriesDescription = "Abdomen of Zimtstern"
    return one


@pytest.mark.parametrize("undefined", [False, True])
def test_names_in_any_attribute_sequence_and_private_block(undefined: bool):
    one = header()
    one["RequestAttributesSequence"].is_undefined_length = undefined
    found = identities(written(one, ExplicitVRLittleEndian))
    for name in ("Mustermann", "Wackelbart", "Zimtstern", "Olaf", "Federhut", "Gundula Federhut"):
        told = {name, " ".join(reversed(name.split()))}
        assert told & found, name


def test_names_of_a_file_that_tells_no_vr():
    """A private attribute has none there by which it could be known for a name."""
    found = person_names(written(header(), ImplicitVRLittleEndian))
    assert {"Mustermann^Erika", "Wackelbart^Rumpold", "Zimtstern^Olaf"} == found


def test_sequences_without_end_and_damaged_ones_name_nobody():
    one = inner = header()
    for _ in range(300):
        below = Dataset()
        below.PatientName = "Deepest^Person"
        inner.ReferencedStudySequence = [below]
        inner = below
    assert len(person_names(one)) == 5
    whole = written(header(), ExplicitVRLittleEndian, lambda raw: raw + SEQUENCE + b"\x02\0\0\0PN")
    assert {"Mustermann^Erika", "Zimtstern^Olaf"} <= person_names(whole)


def test_no_person_of_a_header_stays_in_its_description():
    one = header()
    one.ContentCreatorName = "Abdomen^Anna"
    one.SeriesDescription = "Abdomen Thorax"
    assert facts(one, "p", b"k" * 32).description == "thorax"


def test_a_file_that_is_set_aside_names_as_many(tmp_path: Path):
    """Nobody opens it again, and the report of its study may name any of them."""
    (one,) = Series(slices=1).datasets()
    one.BurnedInAnnotation = "YES"
    one.private_block(0x0029, "A SCANNER", create=True).add_new(1, "PN", "Federhut^Gundula")
    step = Dataset()
    step.RequestingPhysician = "Zimtstern^Olaf"
    one.RequestAttributesSequence = [step]
    (path,) = write([one], tmp_path)
    probed = probe(FoundFile(path.name, FileLocation(path), path.stat().st_size), "dicom")
    assert probed.aside is not None
    assert probed.aside.reason == "burned_in_annotation"
    assert {"Federhut", "Gundula", "Zimtstern", "Mustermann"} <= probed.identities
