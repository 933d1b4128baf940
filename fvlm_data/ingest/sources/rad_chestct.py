"""RAD-ChestCT (Zenodo 6406114): `trn00001.npz` with the metadata CSV that comes with it.

An array `ct` of int16 HU, clipped to [-1000, 1000], axes (slices from head to feet, rows to the
back, columns to the left), resampled to cubes of 0.8 mm (github.com/rachellea/
ct-volume-preprocessing). The file says nothing of its geometry: the CSV does, and must agree.
"""

from __future__ import annotations

import math
import zipfile
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from fvlm_data.ingest.checksum import file_checksum
from fvlm_data.ingest.discovery.archive import DAMAGE
from fvlm_data.ingest.discovery.opener import is_there, opened
from fvlm_data.ingest.discovery.walk import named, walk
from fvlm_data.ingest.sources.kind import Kind
from fvlm_data.ingest.volume.description import Columns, Description
from fvlm_data.ingest.volume.geometry import Fault
from fvlm_data.ingest.volume.names import Names
from fvlm_data.ingest.volume.volume_file import (
    DEFLATE_MOST,
    Loaded,
    check_claim,
    gone,
    judged,
    probe_file,
    three_axes,
    volume_name,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fvlm_data.ingest.config import IngestConfig
    from fvlm_data.ingest.discovery.opener import FileLocation
    from fvlm_data.ingest.source_files import SourceFile
    from fvlm_data.ingest.volume.result import SeriesResult

ARRAY = "ct"
SIZES = (
    *("orig_numslices", "orig_zdiff", "final_numslices"),
    *("orig_square", "orig_yxspacing", "final_square"),
)
COLUMNS = Columns(
    "VolumeAcc_DEID",
    ("NoteAcc_DEID", "MRN_DEID", "final_spacing", "orig_orientation", *SIZES),
    also=("zdiffs_all_equal", "orig_gantry_tilt"),
)

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def read(
    files: Sequence[SourceFile],
    series_id: str,
    key: bytes,
    config: IngestConfig,
    description: Description,
    threads: int,
) -> SeriesResult:
    """Read one volume; its place in the scanner is not published, the origin is set to 0."""
    (file,) = files
    if file.place is None or not is_there(file.place):
        return gone(file)
    names = Names(
        study_uid=description.get("NoteAcc_DEID"),
        patient=description.get("MRN_DEID"),
        accession=description.get("NoteAcc_DEID"),
        volume_name=volume_name(file),
    )
    made = _made(file.place, description, config)
    return judged(file, made, names, description, series_id, key, config)


def _made(place: FileLocation, description: Description, config: IngestConfig) -> Loaded | Fault:
    loaded = _load(place, config)
    if isinstance(loaded, Fault):
        return loaded
    values, checksum = loaded
    spacing_mm = prove_spacing(values.shape, description)
    if isinstance(spacing_mm, Fault):
        return spacing_mm
    # left, back and down are the negative directions of RAS+
    affine_ras = np.diag([-spacing_mm, -spacing_mm, -spacing_mm, 1.0])
    return Loaded(values, affine_ras, "already_hu", checksum)


def prove_spacing(shape: tuple[int, ...], description: Description) -> float | Fault:
    """Spacing in mm of all axes of an array (slices, rows, columns), if the CSV proves it.

    The size before and after resampling must fit the spacings that the CSV states for both.
    """
    spacing = _number(description.get("final_spacing"))
    sizes = [_number(description.get(name)) for name in SIZES]
    known = [size for size in sizes if size is not None]
    if spacing is None or spacing <= 0 or len(known) < len(SIZES):
        return Fault(
            "missing_geometry",
            f"the metadata CSV lacks final_spacing, {', '.join(SIZES)} of this volume, and "
            "the file itself does not say how large its voxels are",
        )
    if _numbers(description.get("orig_orientation")) != AXIAL:
        return Fault(
            "missing_orientation",
            "orig_orientation is another than 1,0,0,0,1,0, for which alone the axes are known",
        )
    if description.get("zdiffs_all_equal").lower() in ("false", "0"):
        return Fault("uneven_spacing", "the metadata CSV says that slices were unevenly spaced")
    if _number(description.get("orig_gantry_tilt") or "0"):
        return Fault("gantry_tilt", "the metadata CSV states a tilted gantry, expected 0 degrees")
    slices, between, final_slices, square, pixel, final_square = known
    if shape != (final_slices, final_square, final_square):
        return Fault(
            "wrong_image_size",
            f"the array is {shape[0]} x {shape[1]} x {shape[2]}, the metadata CSV states "
            f"{final_slices:g} x {final_square:g} x {final_square:g}",
        )
    off = max(
        abs(slices * between / spacing - final_slices), abs(square * pixel / spacing - final_square)
    )
    if off > 1:
        return Fault(
            "spacing_disagrees",
            f"sizes and spacings of the metadata CSV differ by {off:.1f} voxels of "
            f"{spacing:g} mm before and after resampling, expected at most 1",
        )
    return spacing


def _load(place: FileLocation, config: IngestConfig) -> tuple[NDArray[np.int16], str] | Fault:
    """The array `ct`, axes (slices, rows, columns), int16 HU, and the checksum of the file."""
    try:
        with opened(place) as handle:
            checksum = file_checksum(handle)
            # before numpy allocates what the array's header claims
            fault = _check_size(handle, config)
            if fault:
                return fault
            handle.seek(0)
            # a pickle in a downloaded file could run code
            with np.load(handle, allow_pickle=False) as arrays:
                values: NDArray[Any] = arrays[ARRAY]
    except DAMAGE as error:
        detail = f"the file cannot be read ({type(error).__name__}): damaged or truncated; resend"
        return Fault("unreadable_npz", detail)
    if values.dtype != np.int16:
        return Fault("not_int16", f"the array holds {values.dtype}, expected int16 HU")
    shaped = three_axes(values, config)
    if isinstance(shaped, Fault):
        return shaped
    return np.ascontiguousarray(shaped), checksum


def _check_size(handle: BinaryIO, config: IngestConfig) -> Fault | None:
    with zipfile.ZipFile(handle) as zipped:
        try:
            member = zipped.getinfo(f"{ARRAY}.npy")
        except KeyError:
            return Fault("no_array_ct", "the file holds no array `ct`, expected one")
        with zipped.open(member) as stream:
            npy: Any = np.lib.format
            first = npy.read_magic(stream) == (1, 0)
            read_header = npy.read_array_header_1_0 if first else npy.read_array_header_2_0
            shape, _, dtype = read_header(stream)
    held = min(member.file_size, member.compress_size * DEFLATE_MOST)
    return check_claim(shape, dtype.itemsize or 1, held, config)


def _number(text: str) -> float | None:
    found = _numbers(text)
    return found[0] if len(found) == 1 else None


def _numbers(text: str) -> tuple[float, ...]:
    try:
        found = tuple(float(part) for part in text.strip("[]()'\" ").split(","))
    except ValueError:
        return ()
    return found if all(math.isfinite(value) for value in found) else ()


RAD_CHESTCT = Kind(
    find=walk,
    changed=walk,
    named=named,
    probe=partial(probe_file, endings=(".npz",), reason="not_npz"),
    read=read,
    mapping=COLUMNS,
    needs_mapping=True,
)
