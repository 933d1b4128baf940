"""NIfTI files as a source: the same proof of geometry and HU, one series a file."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from fvlm_data.errors import InputError
from fvlm_data.ingest.archive import DAMAGE
from fvlm_data.ingest.geometry import Fault, prove_affine
from fvlm_data.ingest.hounsfield import INT16, check_plausible
from fvlm_data.ingest.names import Names
from fvlm_data.ingest.opener import is_there, opened
from fvlm_data.ingest.probe import NIFTI_ENDINGS
from fvlm_data.ingest.volume import Decoded, SeriesResult
from fvlm_data.stage import Reject

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from fvlm_data.ingest.commit import SourceFile
    from fvlm_data.ingest.config import IngestConfig
    from fvlm_data.ingest.opener import Place

MAPPING_COLUMNS = ("volume", "study", "patient")
MILLIMETRE = ("mm", "unknown")
GZIP_MARK = b"\x1f\x8b"
NIFTI2_HEADER = 540
"""Bytes of a NIfTI-2 header, which stand at its start."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """Study and patient of one volume, as the mapping CSV names them."""

    study: str
    patient: str


def stem(name: str) -> str:
    """A file name or relative path without .nii.gz or .nii."""
    for ending in NIFTI_ENDINGS:
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return name


def load_mapping(path: Path) -> dict[str, Mapped]:
    """Study and patient by volume (file name or relative path, without ending).

    Raises:
        InputError: the file cannot be read, lacks a column, has a blank value, or names a
            volume twice with different values.
    """
    try:
        with path.expanduser().open(encoding="utf-8-sig", newline="") as handle:
            reader = csv.DictReader(handle)
            found = tuple(reader.fieldnames or ())
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"mapping {path}: cannot be read ({type(error).__name__}); expected a CSV file in UTF-8"
        ) from error
    missing = [name for name in MAPPING_COLUMNS if name not in found]
    if missing:
        raise InputError(
            f"mapping {path}: column {', '.join(missing)} is missing, expected "
            f"{', '.join(MAPPING_COLUMNS)}; found {', '.join(found) or 'none'}"
        )
    mapping: dict[str, Mapped] = {}
    for number, row in enumerate(rows, start=2):
        volume, study, patient = ((row[name] or "").strip() for name in MAPPING_COLUMNS)
        mapped = Mapped(study, patient)
        if not (volume and study and patient):
            raise InputError(f"mapping {path}: line {number} has a blank value, expected none")
        if mapping.setdefault(stem(volume), mapped) != mapped:
            raise InputError(
                f"mapping {path}: line {number} names a volume again with another study or patient"
            )
    return mapping


def mapped(mapping: Mapping[str, Mapped], relative: str) -> Mapped | None:
    """The mapping's row of a file, by its relative path, else by its name."""
    path = stem(relative)
    return mapping.get(path) or mapping.get(PurePosixPath(path).name)


def read_nifti(
    file: SourceFile, mapping: Mapping[str, Mapped] | None, config: IngestConfig
) -> SeriesResult:
    """Read one NIfTI file, whose values must be HU already, to a volume or a reject."""
    row = None
    if mapping is not None:
        row = mapped(mapping, file.relative)
        if row is None:
            detail = "the mapping CSV has no row of this volume; add one with study and patient"
            return SeriesResult((), (Reject("fault", "not_in_mapping", detail, (file.token,)),))
    if file.place is None or not is_there(file.place):
        detail = "the file is gone since discovery; bring it back and run again"
        gone = Reject("fault", "unreadable_file", detail, (file.token,))
        return SeriesResult((), (gone,), retry=True)
    loaded = _load(file.place, config)
    if isinstance(loaded, Fault):
        return SeriesResult((), (Reject("fault", loaded.reason, loaded.detail, (file.token,)),))
    image_zyx, affine_ras = loaded
    lengths = np.linalg.norm(affine_ras[:3, :3], axis=0)
    names = Names(
        study_uid=row.study if row else "",
        patient=row.patient if row else "",
        volume_name=PurePosixPath(stem(file.relative)).name,
    )
    decoded = Decoded(
        image_zyx=image_zyx,
        spacing_mm=(float(lengths[0]), float(lengths[1]), float(lengths[2])),
        affine_ras=affine_ras,
        source_files=(file.token,),
        rescale_decision="already_hu",
        names=(names,),
    )
    return SeriesResult((decoded,))


def _load(
    place: Place, config: IngestConfig
) -> tuple[NDArray[np.int16], NDArray[np.float64]] | Fault:
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError

    try:
        with opened(place) as handle:
            image = _image(handle)
            affine = _affine(image, config)
            if isinstance(affine, Fault):
                return affine
            values = np.asanyarray(image.dataobj)
    except (ImageFileError, HeaderDataError, *DAMAGE) as error:
        detail = f"the file cannot be read ({type(error).__name__}): damaged or truncated; resend"
        return Fault("unreadable_nifti", detail)
    shaped = _three_axes(values, config)
    if isinstance(shaped, Fault):
        return shaped
    volume_hu = _to_int16(shaped)
    if isinstance(volume_hu, Fault):
        return volume_hu
    image_zyx = np.ascontiguousarray(volume_hu.T)
    return check_plausible(image_zyx) or (image_zyx, affine)


def _image(handle: BinaryIO) -> Any:
    """A NIfTI-1 or NIfTI-2 image of an open file, gzipped or not."""
    import nibabel as nib
    from isal import igzip

    start = handle.read(2)
    handle.seek(0)
    stream: Any = igzip.IGzipFile(fileobj=handle) if start == GZIP_MARK else handle
    size = stream.read(4)
    stream.seek(0)
    second = NIFTI2_HEADER in (int.from_bytes(size, order) for order in ("little", "big"))
    return (nib.Nifti2Image if second else nib.Nifti1Image).from_stream(stream)


def _affine(image: Any, config: IngestConfig) -> NDArray[np.float64] | Fault:
    """Voxel to RAS+ mm, from sform, else qform; both must agree where both are set."""
    header = image.header
    if header.get_xyzt_units()[0] not in MILLIMETRE:
        return Fault("units_not_mm", "the header's unit of length is not mm, expected mm")
    sform, qform = header.get_sform(coded=True)[0], header.get_qform(coded=True)[0]
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


def _three_axes(values: NDArray[Any], config: IngestConfig) -> NDArray[Any] | Fault:
    while values.ndim > 3 and values.shape[-1] == 1:
        values = values[..., 0]
    if values.ndim != 3 or values.dtype.fields is not None or values.dtype.kind not in "iuf":
        return Fault(
            "not_a_volume",
            f"{values.ndim} axes of {values.dtype.kind!r} values, expected 3 axes of numbers",
        )
    if min(values.shape) < config.min_slices:
        return Fault(
            "too_few_slices",
            f"the shortest axis has {min(values.shape)} voxels, expected at least "
            f"{config.min_slices}",
        )
    return values


def _to_int16(values: NDArray[Any]) -> NDArray[np.int16] | Fault:
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        return Fault("not_finite", "some voxels hold no finite number, expected HU in each")
    low, high = float(values.min()), float(values.max())
    if low < INT16.min or high > INT16.max:
        return Fault(
            "hu_out_of_range",
            f"values run from {low:g} to {high:g} HU, expected {INT16.min} to {INT16.max}",
        )
    whole = np.rint(values) if values.dtype.kind == "f" else values
    return whole.astype(np.int16)
