"""A file that holds a whole volume: the checks that all such sources share, and its result."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.ingest.dicom import header as header_facts
from fvlm_data.ingest.dicom.tags import quiet_pydicom
from fvlm_data.ingest.discovery.file_kind import Aside, Probed, probe
from fvlm_data.ingest.volume.bounds import check_bounds
from fvlm_data.ingest.volume.description import stem
from fvlm_data.ingest.volume.geometry import Fault, check_identity
from fvlm_data.ingest.volume.hounsfield import INT16, out_of_field_to_air
from fvlm_data.ingest.volume.names import Names, patient_id
from fvlm_data.ingest.volume.outlier_slices import check_neighbours
from fvlm_data.ingest.volume.result import Decoded, SeriesResult, known_by_name
from fvlm_data.ingest.volume.slice_order import may_show_steps
from fvlm_data.ingest.volume.voxels import check_voxels
from fvlm_data.store.declared import Reject

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fvlm_data.ingest.config import IngestConfig
    from fvlm_data.ingest.dicom.header import HeaderFacts
    from fvlm_data.ingest.discovery.found_file import FoundFile
    from fvlm_data.ingest.source_files import SourceFile
    from fvlm_data.ingest.volume.description import Description

DEFLATE_MOST = 1032
"""Deflate packs 258 bytes into 2 bits at best: no file unpacks to more times its size than that."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was read of a volume file, its geometry proved.

    `image_zyx` is int16 HU, axes (k, j, i); `affine_ras` 4 x 4, voxel (i, j, k, 1) to RAS+ mm;
    `checksum` is that of the file.
    """

    image_zyx: NDArray[np.int16]
    affine_ras: NDArray[np.float64]
    rescale_decision: str
    checksum: str = ""


def probe_file(found: FoundFile, endings: tuple[str, ...], reason: str) -> Probed:
    """The fingerprint of a volume file; a file of another ending is set aside for `reason`."""
    probed = probe(found, "nifti")
    if probed.aside is not None and probed.aside.reason != "not_nifti":
        return probed
    if found.relative.lower().endswith(endings):
        return Probed(probed.fingerprint, sampled=probed.sampled)
    detail = f"the file is no {' or '.join(endings)}, expected one in a source of this kind"
    return Probed(probed.fingerprint, Aside("out_of_scope", reason, detail))


def volume_name(file: SourceFile) -> str:
    """What a volume is called: its file name without ending and folder."""
    return PurePosixPath(stem(file.relative)).name


def gone(file: SourceFile) -> SeriesResult:
    """The result of a file that cannot be reached; the next run tries again."""
    detail = "the file is gone since discovery; bring it back and run again"
    return SeriesResult(
        (), (Reject("fault", "unreadable_file", detail, (file.token,)),), retry=True
    )


def refused(file: SourceFile, fault: Fault) -> SeriesResult:
    """The result of a file that is refused as a volume, and of which nobody knows whose it is."""
    return SeriesResult((), (Reject("fault", fault.reason, fault.detail, (file.token,)),))


def judged(
    file: SourceFile,
    loaded: Loaded | Fault,
    names: Names,
    description: Description,
    series_id: str,
    key: bytes,
    config: IngestConfig,
) -> SeriesResult:
    """The result of a file whose `names` are known: a volume, if its sizes and values pass.

    What is refused keeps its names and what the description tells of its patient: who was forgotten
    is recognised by them, and reports about it are scrubbed.
    """
    patient = patient_id(key, names, series_id)
    with quiet_pydicom():
        dataset = description.dataset()
        identities = header_facts.identities(dataset)
        facts = header_facts.facts(dataset, patient, key)
    known = {patient: tuple(sorted(identities))} if identities else {}
    made = loaded if isinstance(loaded, Fault) else _decoded(file, loaded, names, facts, config)
    if isinstance(made, Fault):
        by_name = known_by_name(known, [names], series_id, key)
        return replace(refused(file, made), identities=by_name, names=(names,))
    checksums = {file.token: loaded.checksum} if isinstance(loaded, Loaded) else {}
    return SeriesResult((made,), identities=known, checksums=checksums)


def _decoded(
    file: SourceFile, loaded: Loaded, names: Names, facts: HeaderFacts, config: IngestConfig
) -> Decoded | Fault:
    """The volume of a file, after the checks of its sizes and values."""
    lengths = np.linalg.norm(loaded.affine_ras[:3, :3], axis=0)
    fault = check_bounds(loaded.image_zyx.shape[::-1], lengths.tolist(), config) or check_identity(
        loaded.affine_ras, config
    )
    if fault:
        return fault
    off = check_voxels(loaded.image_zyx, config)
    if isinstance(off, Fault):
        return off
    image_zyx = np.require(loaded.image_zyx, requirements="W")  # else it may be a read-only map
    outside = out_of_field_to_air(image_zyx)
    if isinstance(outside, Fault):
        return outside
    unlike = check_neighbours(image_zyx, config, steps=may_show_steps(loaded.affine_ras))
    if isinstance(unlike, Fault):
        return unlike
    adjusted = {"out_of_field_to_air": outside, **off, **unlike}
    return Decoded(
        image_zyx=image_zyx,
        spacing_mm=(float(lengths[0]), float(lengths[1]), float(lengths[2])),
        affine_ras=loaded.affine_ras,
        source_files=(file.token,),
        rescale_decision=loaded.rescale_decision,
        names=(names,),
        facts=facts,
        adjustments=tuple(f"{code}={count}" for code, count in adjusted.items() if count),
    )


def check_claim(
    shape: Sequence[int], value_bytes: int, held_bytes: int, config: IngestConfig
) -> Fault | None:
    """Refuse a header that claims more voxels than the file holds, or than memory may take.

    `value_bytes` are those of a voxel in memory, `held_bytes` the most that the file can hold of
    voxels, unpacked. Reasons: `not_a_volume`, `volume_too_large`, `truncated_volume`.
    """
    if min(shape, default=0) < 1:
        return Fault("not_a_volume", "the header claims an axis without voxels, expected 3 axes")
    voxels = math.prod(int(length) for length in shape)
    claimed = f"the header claims {' x '.join(map(str, shape))} voxels of {value_bytes} bytes"
    if voxels * value_bytes > config.max_series_mb << 20:
        return Fault(
            "volume_too_large",
            f"{claimed}, expected at most {config.max_series_mb} MB (ingest.max_series_mb): "
            "damaged, or no CT; look at it, or raise the limit",
        )
    if voxels * value_bytes > held_bytes:
        return Fault(
            "truncated_volume",
            f"{claimed}, more than the file can hold: damaged or truncated; send it again",
        )
    return None


def more_than_claimed(size: int) -> Fault:
    """The fault of a file that holds `size` bytes, or more, behind the voxels that it claims."""
    return Fault(
        "wrong_image_size",
        f"{size} bytes or more follow the voxels that the header claims: it states too small a "
        "size, or the wrong place or type of the voxels; write the file anew",
    )


def three_axes(values: NDArray[Any], config: IngestConfig) -> NDArray[Any] | Fault:
    """The array less trailing axes of length 1, if it is a volume of numbers."""
    # some programs append axes of time or channels
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


def to_int16(values: NDArray[Any]) -> NDArray[np.int16] | Fault:
    """Values rounded to int16 HU, if all are finite and fit."""
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        return Fault("not_finite", "some voxels hold no finite number, expected HU in each")
    if values.dtype.itemsize == 1:
        return Fault(
            "values_not_hu",
            "values of 8 bits, expected at least 12: air and bone lie 2000 HU apart, so that they "
            "were cut off or went round the end; take the file from before that",
        )
    low, high = float(values.min()), float(values.max())
    if low < INT16.min or high > INT16.max:
        return Fault(
            "hu_out_of_range",
            f"values run from {low:g} to {high:g} HU, expected {INT16.min} to {INT16.max}",
        )
    # a cast alone would cut towards 0
    whole = np.rint(values) if values.dtype.kind == "f" else values
    return whole.astype(np.int16)
