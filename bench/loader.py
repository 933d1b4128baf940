"""Random crops of image and label from disk: our reader beside the public way and others.

The same volumes, made from one real series, are stored in every way; each round draws one crop
and every way reads it, in turning order. CPU time is that of the whole process with its threads.
A cold round drops the files' pages from the page cache beforehand. The public way loads whole
float32 .nii.gz files by MONAI and crops. Formats of others (bench/loader_peers.py) are measured
where their packages are installed.

    python bench/loader.py --series SERIES_FOLDER --mask MASK.nii.gz --classes totalsegmentator_v2
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import real_ct
import tensorstore
import torch
import zarr
from loader_peers import peers
from loader_rates import print_rates

import schemas
from fvlm_data.shards import ShardConfig, ShardDataset
from fvlm_data.shards.folder import group_path, index_bytes, index_path
from fvlm_data.shards.preprocess import PreparedSample, boxes_of, planes, quantised
from fvlm_data.shards.target_grid import locate
from fvlm_data.shards.writer import spool, write_shard

Array = np.ndarray[Any, Any]
Box = tuple[int, int, int, int, int, int]
Way = Callable[[int, Box], tuple[Array, Array]]

CROP = (112, 256, 352)
NAMES = ("image", "label")
CONFIGS = ShardConfig(dtype="int16"), ShardConfig(dtype="uint8")
SPLIT, SHARD = "train", "bench"


@dataclass(frozen=True, slots=True)
class Stored:
    """A way to keep the volumes: its reader and the files of each volume."""

    name: str
    read: Way
    files: tuple[Path, ...]
    bytes_a_study: float


def main() -> None:
    """Store the volumes in every way, then read crops and print the tables."""
    arguments = _arguments()
    torch.set_num_threads(1)
    # MONAI imports parts of numpy and nibabel that warn; no warning of ours is hidden
    warnings.filterwarnings("ignore", module=r"(monai|numpy|nibabel)\.")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as scratch:
        for name, margin_zyx in (("hardly larger than the crop", 8), ("larger", arguments.larger)):
            folder = Path(scratch) / name.split()[0]
            volumes = _volumes(arguments, margin_zyx)
            ways = _stored(folder, volumes)
            shapes = [volume.hu_zyx.shape for volume in volumes]
            print(f"\n{len(volumes)} volumes {name}: {' x '.join(map(str, shapes[0]))} (z, y, x)")
            _print_sizes(ways, _as_int16(folder, volumes))
            for cold in (False, True):
                _print_times(ways, shapes, arguments.rounds, cold)
            if margin_zyx == 8:
                print_rates(folder, SPLIT, CROP, arguments.rounds * 8)


def _arguments() -> argparse.Namespace:
    parser = real_ct.parser(__doc__)
    parser.add_argument("--volumes", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--larger", type=int, default=80, help="voxels beyond the crop, each axis")
    parser.add_argument("--folder", type=Path, default=None, help="where to work; default: temp")
    return parser.parse_args()


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume at 1 x 1 x 3 mm: HU as interpolated, not rounded, and label, both (z, y, x)."""

    hu_zyx: Array
    label_zyx: Array

    def stored(self, config: ShardConfig) -> PreparedSample:
        """The volume in the type of a shard."""
        image = quantised(self.hu_zyx, config)
        boxes = boxes_of(self.label_zyx, config)
        return PreparedSample(image, self.label_zyx, np.eye(4), (3.0, 1.0, 1.0), boxes)


def _volumes(arguments: argparse.Namespace, margin: int) -> list[Volume]:
    """Volumes of CROP plus `margin` voxels from the middle of the real series."""
    config = ShardConfig(margin_slices=999, margin_pixels=999)
    image, label, affine = real_ct.load(arguments, config.anatomies)
    size = tuple(crop + margin for crop in CROP)
    depth = round(size[0] * 3 / abs(affine[2, 2])) + 2
    rng = np.random.default_rng(0)
    made = []
    for _ in range(arguments.volumes):
        start = int(rng.integers(0, 2 * image.shape[2]))
        ct, organs = (real_ct.continued(one, start + depth)[:, :, start:] for one in (image, label))
        grid = locate(organs, affine, config)
        if grid is None or any(len(n) < s for n, s in zip(grid.positions, size, strict=True)):
            raise SystemExit("the series is too small for the crop at 1 x 1 x 3 mm")
        found = planes(iter([ct[grid.source_ijk]]), ct.shape, grid, antialias=False)
        hu = np.stack([plane for _, plane in sorted(found, key=lambda one: one[0])])
        shown = grid.turned.view(organs)[np.ix_(*grid.voxels)]
        low = [(have - want) // 2 for have, want in zip(hu.shape, size, strict=True)]
        cut = tuple(slice(s, s + n) for s, n in zip(low, size, strict=True))
        made.append(Volume(np.ascontiguousarray(hu[cut]), np.ascontiguousarray(shown[cut])))
    return made


def _stored(folder: Path, volumes: list[Volume]) -> list[Stored]:
    ways = [_public(folder / "public", volumes)]
    for config in CONFIGS:
        samples = [volume.stored(config) for volume in volumes]
        place = folder / config.dtype
        ways.append(_memory_map(folder / f"map_{config.dtype}", samples, config.dtype))
        ways += _shard(place, samples, config)
        for compressor in ("none", "zstd"):
            other = config.model_copy(update={"compressor": compressor, "compression_level": 3})
            ways += _shard(folder / f"{config.dtype}_{compressor}", samples, other)[:1]
        for name, read in peers(folder / f"peers_{config.dtype}", samples):
            files = [p for p in (folder / f"peers_{config.dtype}" / name).rglob("*") if p.is_file()]
            ways.append(
                Stored(f"{name}, {config.dtype}", read, tuple(files), _mean(files, samples))
            )
    os.sync()
    return ways


def _public(folder: Path, volumes: list[Volume]) -> Stored:
    """Float32 in [0, 1] as the public recipe saves it, arrays (z, y, x)."""
    from monai.transforms import Compose, LoadImaged, SpatialCropd

    folder.mkdir(parents=True)
    files = []
    for number, volume in enumerate(volumes):
        image = np.clip((volume.hu_zyx + 1150) / 1500, 0, 1)
        for name, array in (("image", image), ("label", volume.label_zyx)):
            files.append(folder / f"{number}.{name}.nii.gz")
            nib.save(nib.Nifti1Image(array.astype(np.float32), np.eye(4)), files[-1])
    load = LoadImaged(keys=["image", "label"], image_only=True, ensure_channel_first=True)

    def read(number: int, box: Box) -> tuple[Array, Array]:
        crop = SpatialCropd(keys=["image", "label"], roi_start=box[:3], roi_end=box[3:])
        paths = {name: str(folder / f"{number}.{name}.nii.gz") for name in ("image", "label")}
        found = Compose([load, crop])(paths)
        return np.asarray(found["image"])[0], np.asarray(found["label"])[0]

    return Stored("nii.gz, MONAI load and crop (public)", read, tuple(files), _mean(files, volumes))


def _memory_map(folder: Path, samples: list[PreparedSample], dtype: str) -> Stored:
    folder.mkdir(parents=True)
    files = []
    for number, sample in enumerate(samples):
        for name, array in (("image", sample.image_zyx), ("label", sample.label_zyx)):
            files.append(folder / f"{number}.{name}.npy")
            np.save(files[-1], array)

    def read(number: int, box: Box) -> tuple[Array, Array]:
        image, label = (
            np.load(folder / f"{number}.{name}.npy", mmap_mode="r")[_part(box)].copy()
            for name in ("image", "label")
        )
        return image, label

    return Stored(f"memory map, {dtype}", read, tuple(files), _mean(files, samples))


def _shard(folder: Path, samples: list[PreparedSample], config: ShardConfig) -> list[Stored]:
    """Our shard, read by our reader, by TensorStore and by zarr-python."""
    group = folder / group_path(SPLIT, SHARD)
    group.parent.mkdir(parents=True)
    with spool() as aside:
        offsets = write_shard(group, [aside.lay(sample) for sample in samples], config)
    rows = [
        _row(number, offset, sample)
        for number, (offset, sample) in enumerate(zip(offsets, samples, strict=True))
    ]
    table = schemas.TABLES["samples"].to_arrow(rows)
    (folder / index_path(SPLIT, SHARD)).write_bytes(index_bytes(table))
    files = tuple(path for path in group.rglob("*") if path.is_file())
    dataset = ShardDataset(folder, SPLIT)
    context = tensorstore.Context(
        {"cache_pool": {"total_bytes_limit": 0}, "data_copy_concurrency": {"limit": 1}}
    )
    stores = {}
    for name in NAMES:
        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{group}/{name}"}}
        stores[name] = tensorstore.open(spec, read=True, context=context).result()
    plain = zarr.open_group(str(group), mode="r")

    def ours(number: int, box: Box) -> tuple[Array, Array]:
        sample = dataset.read(number, box)
        return sample.image_zyx, sample.label_zyx

    def by_tensorstore(number: int, box: Box) -> tuple[Array, Array]:
        part = _part(box, offsets[number])
        image, label = (stores[name][part].read() for name in NAMES)
        return image.result(), label.result()

    def by_zarr(number: int, box: Box) -> tuple[Array, Array]:
        part = _part(box, offsets[number])
        return plain["image"][part], plain["label"][part]

    size = sum(path.stat().st_size for path in files) / len(samples)
    return [
        Stored(f"fvlm shard, {config.dtype}, {config.compressor}", ours, files, size),
        Stored(f"  the same by TensorStore, {config.dtype}", by_tensorstore, files, size),
        Stored(f"  the same by zarr-python, {config.dtype}", by_zarr, files, size),
    ]


def _row(number: int, offset: int, sample: PreparedSample) -> schemas.Sample:
    return schemas.Sample(
        sample_id=f"sa_{number:04}",
        patient_id=f"p_{number}",
        study_id=f"st_{number}",
        volume_id=f"v_{number}",
        split=SPLIT,
        shard=SHARD,
        index=number,
        offset_z=offset,
        shape_zyx=tuple(sample.image_zyx.shape),
        spacing_mm=sample.spacing_mm,
        affine_ras=tuple(sample.affine_ras.ravel().tolist()),
        content_sha256="",
        anatomies=tuple(sample.boxes),
        states=("normal_stated",) * len(sample.boxes),
        signatures=(0,) * len(sample.boxes),
        findings=((),) * len(sample.boxes),
        labels=((),) * len(sample.boxes),
        texts=("It is normal.",) * len(sample.boxes),
        boxes=tuple(sample.boxes.values()),
        age_years=None,
        sex=None,
        manufacturer=None,
        kernel=None,
    )


def _part(box: Box, offset: int = 0) -> tuple[slice, slice, slice]:
    z0, y0, x0, z1, y1, x1 = box
    return slice(offset + z0, offset + z1), slice(y0, y1), slice(x0, x1)


def _mean(files: list[Path], samples: list[Any]) -> float:
    return sum(path.stat().st_size for path in files) / len(samples)


def _as_int16(folder: Path, volumes: list[Volume]) -> float:
    """Bytes a study as nii.gz of whole HU and uint8 labels, which nobody's recipe writes."""
    target, total = folder / "int16.nii.gz", 0
    for volume in volumes:
        sample = volume.stored(ShardConfig())
        for array in (sample.image_zyx, sample.label_zyx):
            nib.save(nib.Nifti1Image(array, np.eye(4)), target)
            total += target.stat().st_size
    return total / len(volumes)


def _print_sizes(ways: list[Stored], int16_bytes: float) -> None:
    print(f"{'bytes a study, image and label':<44}{'MB':>8}{'of public':>11}{'of int16 gz':>13}")
    sizes = {way.name: way.bytes_a_study for way in ways if not way.name.startswith(" ")}
    for name, size in {**sizes, "nii.gz of int16 HU and uint8 label": int16_bytes}.items():
        share, of_int16 = size / ways[0].bytes_a_study, size / int16_bytes
        print(f"{name:<44}{size / 1e6:>8.1f}{share:>11.2f}{of_int16:>13.2f}")


def _print_times(ways: list[Stored], shapes: list[Any], rounds: int, cold: bool) -> None:
    rng = np.random.default_rng(1)
    cpu: dict[str, list[float]] = {way.name: [] for way in ways}
    wall: dict[str, list[float]] = {way.name: [] for way in ways}
    for number in range(rounds + 1):  # the first round warms up
        sample = int(rng.integers(len(shapes)))
        low = [int(rng.integers(n - c + 1)) for n, c in zip(shapes[sample], CROP, strict=True)]
        box = (*low, *(s + c for s, c in zip(low, CROP, strict=True)))
        for turn in range(len(ways)):
            way = ways[(turn + number) % len(ways)]
            if cold:
                _drop(way.files)
            started = time.perf_counter(), time.process_time()
            image, label = way.read(sample, box)  # type: ignore[arg-type]
            times = time.perf_counter() - started[0], time.process_time() - started[1]
            if image.shape != CROP or label.shape != CROP:
                raise SystemExit(f"{way.name} gave {image.shape}, expected {CROP}")
            if number:
                wall[way.name].append(times[0])
                cpu[way.name].append(times[1])
    state = "cold" if cold else "warm"
    print(
        f"{f'one crop, {state} page cache':<44}{'CPU ms':>8}{'wall ms':>9}{'CPU x':>7}{'wall x':>8}"
    )
    public = statistics.median(cpu[ways[0].name]), statistics.median(wall[ways[0].name])
    for way in ways:
        mine = statistics.median(cpu[way.name]), statistics.median(wall[way.name])
        print(
            f"{way.name:<44}{mine[0] * 1e3:>8.1f}{mine[1] * 1e3:>9.1f}"
            f"{public[0] / mine[0]:>7.1f}{public[1] / mine[1]:>8.1f}"
        )


def _drop(files: tuple[Path, ...]) -> None:
    """Drop the files' pages from the page cache (they are written out already)."""
    for path in files:
        descriptor = os.open(path, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


if __name__ == "__main__":
    main()
