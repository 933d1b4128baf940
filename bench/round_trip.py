"""Real CT through a shard and back: error in HU, and volumes of organs before and after.

The shard is read by zarr-python. Error is against trilinear interpolation in double precision.

    python bench/round_trip.py --series SERIES_FOLDER --mask MASK.nii.gz
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import real_ct
import zarr
from scipy import ndimage

from fvlm_data.shards import ShardConfig
from fvlm_data.shards.preprocess import prepare
from fvlm_data.shards.writer import spool, write_shard

Array = np.ndarray[Any, Any]
LEAST_ML = 1.0


def main() -> None:
    """Print a table for each stored type."""
    arguments = real_ct.parser(__doc__).parse_args()
    anatomies = ShardConfig().anatomies
    image, label, affine = real_ct.load(arguments, anatomies)
    for config in (ShardConfig(dtype="int16"), ShardConfig(dtype="uint8")):
        _print(image, label, affine, config)


def _print(image: Array, label: Array, affine: Array, config: ShardConfig) -> None:
    sample = prepare(image, label, affine, config)
    if sample is None:
        raise SystemExit("no anatomy found")
    shape = sample.image_zyx.shape
    with tempfile.TemporaryDirectory() as folder, spool() as aside:
        write_shard(Path(folder) / "one.zarr", [aside.lay(sample)], config)
        group = zarr.open_group(f"{folder}/one.zarr", mode="r")
        part = tuple(slice(0, size) for size in shape)
        stored, organs = group["image"][part].astype(np.float64), group["label"][part]
    low, high = config.hu_window
    hu = low + stored * ((high - low) / 255) if config.dtype == "uint8" else stored
    z, y, x = np.indices(shape).reshape(3, -1)
    ijk = np.linalg.inv(affine) @ sample.affine_ras @ np.stack([x, y, z, np.ones_like(x)])
    ideal = ndimage.map_coordinates(image.astype(float), ijk[:3], order=1, mode="nearest")
    error = np.abs(hu.ravel() - np.clip(ideal, low, high))
    print(f"{config.dtype}: largest error {error.max():.2f} HU, mean {error.mean():.2f} HU")
    before_ml = abs(np.linalg.det(affine[:3, :3])) / 1000
    after_ml = float(np.prod(config.spacing_mm)) / 1000
    for anatomy, value in config.label_values.items():
        before, after = (label == value).sum() * before_ml, (organs == value).sum() * after_ml
        if before > LEAST_ML:
            change = 100 * (after / before - 1)
            print(f"  {anatomy:<16}{before:>9.1f} ml{after:>9.1f} ml{change:>+7.1f} %")


if __name__ == "__main__":
    main()
