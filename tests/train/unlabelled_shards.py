"""A folder of shards without labels, written by the writer alone: no store, vault or stage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

import schemas
from fvlm_data.hashing import array_sha256
from fvlm_data.shards import ShardConfig, folder
from fvlm_data.shards.preprocess import PreparedSample
from fvlm_data.shards.sets import UNLABELLED
from fvlm_data.shards.unlabelled.config import UnlabelledConfig
from fvlm_data.shards.writer import spool, write_shard

PACKED = UnlabelledConfig(dtype="uint8").packed(ShardConfig(slab_z=2, objects_per_array=1))


def image(number: int) -> np.ndarray:
    """A volume of one of four kinds, by the number: a bright box in one of four places."""
    rng = np.random.default_rng(number)
    shape = (14 + number % 3, 30, 30)
    voxels = rng.integers(60, 90, shape)
    y, x = divmod(number % 4, 2)
    voxels[:, 15 * y + 3 : 15 * y + 12, 15 * x + 3 : 15 * x + 12] += 120
    return voxels.astype(np.uint8)


def write(store: Path, shards: Sequence[Sequence[int]], split: str = "train") -> None:
    """Write shards of the numbered samples, called sa_00 and so on, in the order given."""
    for number, members in enumerate(shards):
        name = f"sh_{number:02}"
        place = store / folder.group_path(split, name, UNLABELLED)
        place.parent.mkdir(parents=True, exist_ok=True)
        images = [image(one) for one in members]
        with spool() as aside:
            laid = [
                aside.lay(PreparedSample(one, np.ones_like(one), np.eye(4), (3.0, 1.0, 1.0), {}))
                for one in images
            ]
            offsets = write_shard(place, laid, PACKED)
        rows = [
            schemas.UnlabelledSample(
                sample_id=f"sa_{one:02}",
                patient_id=f"p_{one:02}",
                study_id=f"st_{one:02}",
                volume_id=f"v_{one:02}",
                split=split,
                shard=name,
                index=index,
                offset_z=offset,
                shape_zyx=voxels.shape,
                spacing_mm=(3.0, 1.0, 1.0),
                affine_ras=tuple(np.eye(4).ravel().tolist()),
                content_sha256=array_sha256(voxels, np.ones_like(voxels)),
                modality="CT",
                age_years=None,
                sex=None,
                manufacturer=None,
                kernel=None,
            )
            for index, (one, voxels, offset) in enumerate(
                zip(members, images, offsets, strict=True)
            )
        ]
        table = schemas.TABLES[UNLABELLED.table].to_arrow(rows)
        index = store / folder.index_path(split, name, UNLABELLED)
        index.write_bytes(folder.index_bytes(table, UNLABELLED))
