"""Size and speed of codecs on slabs of real CT at 1 x 1 x 3 mm, and of its label map.

Beside the codecs that every zarr library knows stand two for images, which predict a voxel from
its neighbours: how small lossless can be, and what it costs to read. "gz" is the .nii.gz of the
same voxels in whole HU, as nibabel writes it.

python bench/packing.py --series SERIES_FOLDER --mask MASK.nii.gz
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import nibabel as nib
import numpy as np
import real_ct
from numcodecs import Blosc, blosc

from fvlm_data.shards import ShardConfig
from fvlm_data.shards.preprocess import prepare

Array = np.ndarray[Any, Any]
CODECS = (
    ("lz4hc", 5, Blosc.SHUFFLE),
    ("lz4hc", 5, Blosc.BITSHUFFLE),
    ("lz4hc", 3, Blosc.SHUFFLE),
    ("lz4", 1, Blosc.SHUFFLE),
    ("zstd", 3, Blosc.SHUFFLE),
    ("zstd", 3, Blosc.BITSHUFFLE),
    ("zstd", 9, Blosc.SHUFFLE),
    ("zstd", 9, Blosc.BITSHUFFLE),
)
LABEL_CODECS = (("lz4hc", 5, Blosc.NOSHUFFLE), ("zstd", 3, Blosc.NOSHUFFLE))
SHUFFLES = {Blosc.NOSHUFFLE: "none", Blosc.SHUFFLE: "bytes", Blosc.BITSHUFFLE: "bits"}
ROUNDS = 9


def main() -> None:
    """Print a line for each stored array, slab and codec."""
    parser = real_ct.parser(__doc__)
    parser.add_argument("--slices", type=int, help="only as many of the series; default: all")
    arguments = parser.parse_args()
    blosc.use_threads = False
    configs = ShardConfig(dtype="int16"), ShardConfig(dtype="uint8")
    image, label, affine = real_ct.load(arguments, configs[0].anatomies)
    image, label = image[:, :, : arguments.slices], label[:, :, : arguments.slices]
    print(
        f"{'array':<8}{'slab':>5}  {'codec':<10}{'shuffle':<8}{'size':>7}{'of gz':>7}{'GB/s in':>9}"
        f"{'out':>7}"
    )
    voxel_bytes = 0.0
    for config in configs:
        sample = prepare(image, label, affine, config)
        if sample is None:
            raise SystemExit("no anatomy found")
        voxel_bytes = voxel_bytes or _gz_bytes(sample.image_zyx) / sample.image_zyx.size
        share = voxel_bytes / sample.image_zyx.itemsize
        for slab in (2, 4, 8):
            slabs = _slabs(sample.image_zyx, slab)
            for codec in CODECS if slab == config.slab_z else CODECS[:1]:
                _print(config.dtype, slabs, _blosc(*codec), share)
        for codec_of_planes in (_jpeg_ls(), _jpeg_xl()):
            _print(config.dtype, _slabs(_unsigned(sample.image_zyx), 1), codec_of_planes, share)
        if config.dtype == "uint8":
            for codec in LABEL_CODECS:
                slabs = _slabs(sample.label_zyx, config.slab_z)
                share = _gz_bytes(sample.label_zyx) / sample.label_zyx.size
                _print("label", slabs, _blosc(*codec), share)


@dataclass(frozen=True, slots=True)
class Codec:
    """A codec of one slab."""

    name: str
    shuffle: str
    pack: Callable[[Array], bytes | bytearray]
    unpack: Callable[[bytes | bytearray, Array], object]


def _blosc(library: str, level: int, shuffle: int) -> Codec:
    encoder = Blosc(cname=library, clevel=level, shuffle=shuffle)
    return Codec(f"{library} {level}", SHUFFLES[shuffle], encoder.encode, blosc.decompress)


def _jpeg_ls() -> Codec:
    return Codec(
        "JPEG-LS",
        "",
        lambda slab: imagecodecs.jpegls_encode(slab[0]),
        lambda packed, out: imagecodecs.jpegls_decode(packed, out=out[0]),
    )


def _jpeg_xl() -> Codec:
    return Codec(
        "JPEG XL 3",
        "",
        lambda slab: imagecodecs.jpegxl_encode(slab[0], lossless=True, effort=3, numthreads=1),
        lambda packed, out: imagecodecs.jpegxl_decode(packed, numthreads=1, out=out[0]),
    )


def _unsigned(image_zyx: Array) -> Array:
    """The image from 0 on, as these codecs want it."""
    if image_zyx.dtype == np.uint8:
        return image_zyx
    shifted: Array = image_zyx.astype(np.int32) - image_zyx.min()
    return shifted.astype(np.uint16)


def _slabs(array_zyx: Array, depth: int) -> list[Array]:
    return [array_zyx[z : z + depth] for z in range(0, len(array_zyx) - depth + 1, depth)]


def _gz_bytes(array_zyx: Array) -> int:
    with tempfile.NamedTemporaryFile(suffix=".nii.gz") as target:
        nib.save(nib.Nifti1Image(array_zyx, np.eye(4)), target.name)
        return Path(target.name).stat().st_size


def _print(name: str, slabs: list[Array], codec: Codec, gz_share: float) -> None:
    """`gz_share` is the size of .nii.gz over that of the stored voxels."""
    total = sum(one.nbytes for one in slabs)
    started = time.process_time()
    packed = [codec.pack(one) for one in slabs]
    packing_s = time.process_time() - started
    out = np.empty_like(slabs[0])
    times = []
    for _ in range(ROUNDS):
        started = time.process_time()
        for one in packed:
            codec.unpack(one, out)
        times.append(time.process_time() - started)
    size = sum(map(len, packed))
    print(
        f"{name:<8}{len(slabs[0]):>5}  {codec.name:<10}{codec.shuffle:<8}{size / total:>7.3f}"
        f"{size / total / gz_share:>7.2f}{total / packing_s / 1e9:>9.3f}"
        f"{total / statistics.median(times) / 1e9:>7.2f}"
    )


if __name__ == "__main__":
    main()
