"""One unlabelled sample: from a volume to arrays and a row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.shards.making import (
    MadeSample,
    common_columns,
    excluded,
    face_left,
    label_file,
    naming,
    opened,
    without_face,
)
from fvlm_data.shards.preprocess import sampled
from fvlm_data.shards.source import read_heads
from fvlm_data.shards.target_grid import locate
from fvlm_data.shards.unlabelled.body import body_of
from fvlm_data.store.declared import Reject
from schemas import UnlabelledSample

if TYPE_CHECKING:
    from collections.abc import Callable

    from fvlm_data.shards.config import ShardConfig
    from fvlm_data.shards.inputs import SampleInputs
    from fvlm_data.shards.preprocess import PreparedSample
    from fvlm_data.shards.source import Heads
    from fvlm_data.shards.unlabelled.config import UnlabelledConfig

Array = np.ndarray[Any, Any]


def make_unlabelled(
    known: SampleInputs,
    file: Callable[[str], bytes],
    config: UnlabelledConfig,
    layout: ShardConfig,
) -> MadeSample | Reject:
    """Make one sample, or say why it is set aside; `file` gives the bytes of a stored file.

    `layout` is section `shard`.

    Raises:
        UnreadableError: a file cannot be decoded or is on another grid.
        DamagedError: a file is not what its stage wrote.
    """
    if known.excluded is not None:
        return excluded(known)
    affine = np.array(known.volume["affine_ras"], np.float64).reshape(4, 4)
    heads = _heads(known, file)
    prepared = _sampled(known, file, affine, heads, config, layout)
    if prepared is None:
        return Reject(
            "out_of_scope",
            "no_body",
            f"Sample {known.sample_id}: no voxel of its volume is above "
            f"{config.body_above_hu} HU (unlabelled.body_above_hu), so that nothing but air would "
            "be kept; lower it, or set it to null to keep whole volumes",
        )
    visible = face_left(known, heads, affine, prepared, config.faces)
    return MadeSample(prepared, _row(known, prepared)) if visible is None else visible


def _heads(known: SampleInputs, file: Callable[[str], bytes]) -> Heads:
    shape = tuple(known.volume["shape"])
    paths = sorted({row["path"] for row in known.masks})
    files = [label_file(file(path), path, shape, known) for path in paths]
    with naming("mask", ", ".join(paths)):
        return read_heads(files)


def _sampled(
    known: SampleInputs,
    file: Callable[[str], bytes],
    affine_ras: Array,
    heads: Heads,
    config: UnlabelledConfig,
    layout: ShardConfig,
) -> PreparedSample | None:
    """The sample; None: no voxel is of a body. The file is decoded twice, and never held whole."""
    path, spacing_mm = known.volume["path"], known.volume["spacing_mm"]
    voxels = opened(file(path), path, "volume", tuple(known.volume["shape"]))
    packed = config.packed(layout)
    with naming("volume", path):
        body_ijk = body_of(voxels, spacing_mm, config.body_above_hu)
        grid = locate(body_ijk, affine_ras, packed)
        if grid is None:
            return None
        slabs = voxels.slabs_of(grid.source_ijk)
        if config.faces == "remove":
            slabs = without_face(slabs, heads, spacing_mm, grid)
        return sampled(slabs, body_ijk, grid, packed)


def _row(known: SampleInputs, prepared: PreparedSample) -> UnlabelledSample:
    return UnlabelledSample(**common_columns(known, prepared), modality="CT")
