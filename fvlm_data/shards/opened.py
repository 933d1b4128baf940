"""One shard opened: its arrays, parts of them, and samples of its index's rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.errors import StoreError
from fvlm_data.shards.sample import Sample
from fvlm_data.shards.writer import FORMAT, FORMAT_VERSION

if TYPE_CHECKING:
    from fvlm_data.shards.apart import Apart
    from fvlm_data.shards.folder import ShardFolder
    from fvlm_data.shards.objects import ObjectCache
    from fvlm_data.shards.slabs import SlabArray

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class OpenShard:
    """Arrays of a shard, value of each anatomy in its labels, window of uint8 images in HU."""

    image: SlabArray
    label: SlabArray
    label_values: dict[str, int]
    hu_window: tuple[int, int] | None


def open_shard(
    folder: ShardFolder, split: str, shard_id: str, cache: ObjectCache | None
) -> OpenShard:
    """Open a shard's arrays.

    Raises:
        StoreError: the shard is missing, damaged or has another format.
    """
    attributes, arrays = folder.read_group(split, shard_id, cache)
    found = (attributes.get("format"), attributes.get("format_version"))
    if found != (FORMAT, FORMAT_VERSION):
        raise StoreError(f"found format {found}, expected {(FORMAT, FORMAT_VERSION)}")
    low, high = attributes["hu_window"]
    window = None if attributes["image_dtype"] == "int16" else (int(low), int(high))
    values = {str(name): int(value) for name, value in attributes["anatomies"].items()}
    return OpenShard(arrays["image"], arrays["label"], values, window)


def read_part(array: SlabArray, part: tuple[slice, slice, slice], out: Array | None) -> Array:
    """A part (z, y, x) of an array, in `out` where it is given.

    Raises:
        StoreError: the array is smaller, or an object of it is lost or damaged.
        ValueError: `out` does not fit.
    """
    if any(axis.stop > size for axis, size in zip(part, array.shape_zyx, strict=True)):
        raise StoreError("it is smaller than its index says")
    shape = tuple(axis.stop - axis.start for axis in part)
    if out is None:
        out = np.empty(shape, array.dtype)
    elif out.shape != shape or not np.can_cast(array.dtype, out.dtype):
        raise ValueError(
            f"out of {out.dtype} {out.shape}: expected shape {shape} and a type that holds "
            f"{array.dtype}"
        )
    array.read(part, out)
    return out


def sample_of(
    row: dict[str, Any], shard: OpenShard, image_zyx: Array, label_zyx: Array, apart: Apart
) -> Sample:
    """A sample of a row of an index, with geometry of the whole and these arrays."""
    spacing_z, spacing_y, spacing_x = row["spacing_mm"]
    return Sample(
        sample_id=row["sample_id"],
        patient_id=row["patient_id"],
        study_id=row["study_id"],
        volume_id=row["volume_id"],
        split=row["split"],
        image_zyx=image_zyx,
        label_zyx=label_zyx,
        label_values=dict(shard.label_values),
        hu_window=shard.hu_window,
        spacing_mm=(spacing_z, spacing_y, spacing_x),
        affine_ras=np.array(row["affine_ras"], np.float64).reshape(4, 4),
        # rows of unlabelled samples have no such columns
        anatomies=tuple(row.get("anatomies", ())),
        states=tuple(row.get("states", ())),
        signatures=tuple(row.get("signatures", ())),
        findings=tuple(frozenset(names) for names in row.get("findings", ())),
        labels=tuple(frozenset(names) for names in row.get("labels", ())),
        texts=tuple(row.get("texts", ())),
        boxes=tuple(tuple(box) for box in row.get("boxes", ())),
        apart=tuple(
            apart.get((row["study_id"], one), frozenset()) for one in row.get("anatomies", ())
        ),
    )
