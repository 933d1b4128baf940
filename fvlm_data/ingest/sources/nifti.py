"""NIfTI files whose values are HU already: the same proof of geometry and HU, one series each."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from fvlm_data.ingest.discovery.archive import DAMAGE
from fvlm_data.ingest.discovery.file_kind import NIFTI_ENDINGS, Aside, Probed
from fvlm_data.ingest.discovery.opener import is_there, opened
from fvlm_data.ingest.discovery.walk import walk
from fvlm_data.ingest.sources.kind import Kind
from fvlm_data.ingest.volume.description import Columns, Description, from_json, stem
from fvlm_data.ingest.volume.geometry import Fault, prove_affine
from fvlm_data.ingest.volume.names import Names
from fvlm_data.ingest.volume.volume_file import (
    Loaded,
    accepted,
    gone,
    probe_file,
    refused,
    three_axes,
    to_int16,
    volume_name,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from fvlm_data.ingest.config import IngestConfig, SourceConfig
    from fvlm_data.ingest.discovery.opener import FileLocation
    from fvlm_data.ingest.discovery.walk import FoundFile
    from fvlm_data.ingest.source_files import SourceFile
    from fvlm_data.ingest.volume.result import SeriesResult

MILLIMETRE = ("mm", "unknown")
GZIP_MARK = b"\x1f\x8b"
NIFTI2_HEADER = 540
"""Size of a NIfTI-2 header, which its first four bytes state."""


def find(source: SourceConfig) -> Iterator[FoundFile]:
    """All files; a NIfTI file is as old as its sidecar if that is the younger of the two."""
    for found in walk(source):
        beside = _sidecar(found.place)
        if beside is None or found.problem:
            yield found
            continue
        yield replace(found, modified_ns=max(found.modified_ns, beside.stat().st_mtime_ns))


def probe(found: FoundFile) -> Probed:
    """A NIfTI file with its sidecar (`x.json` beside `x.nii.gz`, keys as DICOM keywords)."""
    if found.place.path.suffix.lower() == ".json" and _described_by(found.place):
        detail = "it describes the NIfTI file of its name and is read with it"
        return Probed(
            probe_file(found, (), "").fingerprint, Aside("out_of_scope", "sidecar", detail)
        )
    probed = probe_file(found, NIFTI_ENDINGS, "not_nifti")
    beside = _sidecar(found.place)
    if probed.aside or beside is None:
        return probed
    content = beside.read_bytes()
    fingerprint = hashlib.sha256(probed.fingerprint.encode() + content).hexdigest()
    description = from_json(content)
    if description is None:
        detail = "the JSON file beside it cannot be read; expected an object of DICOM keywords"
        return Probed(fingerprint, Aside("fault", "unreadable_sidecar", detail))
    if description.get("Modality") not in ("", "CT"):
        detail = "its sidecar names another modality than CT"
        return Probed(fingerprint, Aside("out_of_scope", "modality_not_ct", detail))
    return Probed(fingerprint)


def read(
    files: Sequence[SourceFile],
    series_id: str,
    key: bytes,
    config: IngestConfig,
    description: Description,
    threads: int,
) -> SeriesResult:
    """Read one NIfTI file; where CSV and sidecar differ, the CSV wins."""
    (file,) = files
    if file.place is None or not is_there(file.place):
        return gone(file)
    beside = _sidecar(file.place)
    if beside is not None:
        description = description.over(from_json(beside.read_bytes()) or Description())
    loaded = load(file.place, config)
    if isinstance(loaded, Fault):
        return refused(file, loaded)
    values, affine_ras = loaded
    if isinstance(affine_ras, Fault):
        return refused(file, affine_ras)
    volume_hu = to_int16(values)
    if isinstance(volume_hu, Fault):
        return refused(file, volume_hu)
    names = Names(
        series_uid=description.get("SeriesInstanceUID"),
        study_uid=description.get("study") or description.get("StudyInstanceUID"),
        patient=description.get("patient") or description.get("PatientID"),
        accession=description.get("AccessionNumber"),
        volume_name=volume_name(file),
    )
    made = Loaded(np.ascontiguousarray(volume_hu.T), affine_ras, "already_hu")
    return accepted(file, made, names, description, series_id, key)


def load(
    place: FileLocation, config: IngestConfig
) -> tuple[NDArray[Any], NDArray[np.float64] | Fault] | Fault:
    """Values (i, j, k) of a NIfTI file, and voxel to RAS+ mm or why the header does not say."""
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError
    from nibabel.wrapstruct import WrapStructError

    try:
        with opened(place) as handle:
            image = _image(handle)
            affine = _affine(image, config)
            values = np.asanyarray(image.dataobj)
    except (
        *(ImageFileError, HeaderDataError, WrapStructError, *DAMAGE),
        *(KeyError, OverflowError),  # units and sizes that a damaged header makes up
    ) as error:
        detail = f"the file cannot be read ({type(error).__name__}): damaged or truncated; resend"
        return Fault("unreadable_nifti", detail)
    shaped = three_axes(values, config)
    return shaped if isinstance(shaped, Fault) else (shaped, affine)


def _sidecar(place: FileLocation) -> Path | None:
    """The JSON file beside a NIfTI file in a folder."""
    if place.member or not place.path.name.lower().endswith(NIFTI_ENDINGS):
        return None
    beside = place.path.with_name(f"{stem(place.path.name)}.json")
    return beside if beside.is_file() else None


def _described_by(place: FileLocation) -> bool:
    """Whether a NIfTI file of the same name lies beside a JSON file."""
    names = (f"{place.path.stem}{ending}" for ending in NIFTI_ENDINGS)
    return not place.member and any(place.path.with_name(name).is_file() for name in names)


def _image(handle: BinaryIO) -> Any:
    """A NIfTI-1 or NIfTI-2 image of an open file, gzipped or not."""
    import nibabel as nib
    from isal import igzip

    start = handle.read(2)
    handle.seek(0)
    stream: Any = igzip.IGzipFile(fileobj=handle, mode="rb") if start == GZIP_MARK else handle
    size = stream.read(4)
    stream.seek(0)
    # the header's length tells the version: 348 bytes in NIfTI-1, 540 in NIfTI-2
    second = NIFTI2_HEADER in (int.from_bytes(size, order) for order in ("little", "big"))
    return (nib.Nifti2Image if second else nib.Nifti1Image).from_stream(stream)


def _affine(image: Any, config: IngestConfig) -> NDArray[np.float64] | Fault:
    """Voxel to RAS+ mm, from sform, else qform; both must agree where both are set."""
    header = image.header
    if header.get_xyzt_units()[0] not in MILLIMETRE:
        return Fault("units_not_mm", "the header's unit of length is not mm, expected mm")
    sform, qform = header.get_sform(coded=True)[0], header.get_qform(coded=True)[0]
    # the sform first, as most readers prefer it; `coded`: a form with code 0 is not set
    stated = [np.asarray(form, dtype=np.float64) for form in (sform, qform) if form is not None]
    if not stated:
        return Fault(
            "missing_orientation",
            "neither sform nor qform is set, expected one: where the voxels lie is not known",
        )
    fault = prove_affine(stated[0], config)
    if fault:
        return fault
    if len(stated) == 2:
        extent = np.array(header.get_data_shape()[:3])
        # forms that differ in rotation agree at the origin: the corners show it
        corners = np.array([(*(np.array(c) * extent), 1) for c in np.ndindex(2, 2, 2)])
        apart = float(np.abs(corners @ (stated[0] - stated[1]).T).max())
        allowed = max(0.5 * float(np.linalg.norm(stated[0][:3, :3], axis=0).min()), 0.1)
        if not apart <= allowed:
            return Fault(
                "qform_sform_disagree",
                f"sform and qform place a corner {apart:.2f} mm apart, expected at most "
                f"{allowed:.2f} mm; set both to the true one",
            )
    return stated[0]


NIFTI = Kind(
    find=find,
    probe=probe,
    read=read,
    mapping=Columns("volume", ("study", "patient"), filled=True),
)
