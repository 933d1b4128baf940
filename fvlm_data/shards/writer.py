"""Writing a shard: one zarr v3 group of two arrays, a bounded number of objects."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fvlm_data.shards.config import ShardConfig
    from fvlm_data.shards.preprocess import PreparedSample

FORMAT = "fvlm-shard"
FORMAT_VERSION = 1
METADATA_OBJECTS = 3
"""zarr.json of the group and of its two arrays."""


@dataclass(frozen=True, slots=True)
class Laid:
    """A prepared sample laid aside in the spool's folder as .npy files."""

    image_path: Path
    label_path: Path
    shape_zyx: tuple[int, int, int]


class Spool:
    """A temporary folder that holds the samples of a shard until its size is known.

    The arrays' size is that of the largest sample, known only at the end; so each sample waits
    on disk and only one is in memory.
    """

    def __init__(self, folder: Path) -> None:
        """Use `spool`."""
        self.folder = folder
        self._count = 0

    def lay(self, sample: PreparedSample) -> Laid:
        """Put a sample aside."""
        image_path = self.folder / f"{self._count}.image.npy"
        label_path = self.folder / f"{self._count}.label.npy"
        self._count += 1
        _save(image_path, sample.image_zyx)
        _save(label_path, sample.label_zyx)
        nz, ny, nx = sample.image_zyx.shape
        return Laid(image_path, label_path, (nz, ny, nx))


def _save(path: Path, array: np.ndarray[Any, Any]) -> None:
    """A .npy file; unlike np.save, a full disk raises OSError with its number."""
    content = np.ascontiguousarray(array)
    with path.open("wb") as target:
        header = np.lib.format.header_data_from_array_1_0(content)  # type: ignore[no-untyped-call]
        np.lib.format.write_array_header_1_0(target, header)  # type: ignore[no-untyped-call]
        target.write(content.data)


@contextmanager
def spool() -> Iterator[Spool]:
    """A spool whose folder is removed at the end, whatever happens."""
    with tempfile.TemporaryDirectory(prefix="fvlm-shard-") as folder:
        yield Spool(Path(folder))


def offsets_z(shapes_zyx: Sequence[tuple[int, int, int]], slab_z: int) -> list[int]:
    """First slice of each sample; every sample begins with a slab of its own."""
    offsets, at = [], 0
    for depth, _, _ in shapes_zyx:
        offsets.append(at)
        at += -(-depth // slab_z) * slab_z
    return offsets


def write_shard(folder: Path, samples: Sequence[Laid], config: ShardConfig) -> list[int]:
    """Write the group of `samples` (at least one) at `folder`; returns their first slices.

    Arrays `image` and `label` hold the samples one after the other along z, padded in y and x
    to the largest (image: the window's low end, label: 0), chunked in slabs of whole planes,
    and stored as at most `config.objects_per_array` objects each, one of which is in memory at
    a time. Every chunk carries a CRC-32C.
    """
    import zarr

    shapes = [sample.shape_zyx for sample in samples]
    offsets = offsets_z(shapes, config.slab_z)
    size_zyx = (
        offsets[-1] + shapes[-1][0],
        max(shape[1] for shape in shapes),
        max(shape[2] for shape in shapes),
    )
    group = zarr.open_group(str(folder), mode="w-", zarr_format=3, attributes=attributes(config))
    for name, dtype, fill in (
        ("image", config.dtype, config.hu_window[0] if config.dtype == "int16" else 0),
        ("label", "uint8", 0),
    ):
        array = _create(group, name, dtype, fill, size_zyx, config)
        depth = int(array.shards[0])
        # one data object at a time: zarr writes a shard with a single put only if it gets all of it
        for start in range(0, size_zyx[0], depth):
            stop = min(start + depth, size_zyx[0])
            block = np.full((stop - start, *size_zyx[1:]), fill, dtype)
            for sample, offset in zip(samples, offsets, strict=True):
                path = sample.image_path if name == "image" else sample.label_path
                _copy_part(block, start, path, offset, sample.shape_zyx)
            array[start:stop] = block
    return offsets


def attributes(config: ShardConfig) -> dict[str, Any]:
    """What a reader of a shard must know, as attributes of its group."""
    low, high = config.hu_window
    value = "HU" if config.dtype == "int16" else f"(HU - ({low})) * 255 / {high - low}, rounded"
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "axes": "z, y, x: +z superior, +y posterior, +x patient left",
        "anatomies": config.label_values,
        "image_dtype": config.dtype,
        "image_value": value,
        "hu_window": [low, high],
        "layout": "samples one behind the other along z; the index gives offset_z and shape_zyx",
    }


def object_depth(depth: int, config: ShardConfig) -> int:
    """Slices of one data object: a multiple of the slab, large enough for the bound on objects."""
    slabs = -(-depth // config.slab_z)
    return -(-slabs // config.objects_per_array) * config.slab_z


def _create(
    group: Any,
    name: str,
    dtype: str,
    fill: int,
    size_zyx: tuple[int, int, int],
    config: ShardConfig,
) -> Any:
    """An empty array of the group.

    Empty chunks are written too: then a missing object always means damage. Choice of codec on
    real CT (docs/shards.md): by lz4hc, bytes shuffled decode 1.6 times faster than bits shuffled
    and are about as small (of uint8, shuffling bytes changes nothing); by zstd, bits shuffled are
    smaller in int16. Labels decode 6 times faster by lz4hc than by zstd and are as small.
    """
    from zarr.codecs import Crc32cCodec

    return group.create_array(
        name,
        shape=size_zyx,
        dtype=dtype,
        chunks=(config.slab_z, *size_zyx[1:]),
        shards=(object_depth(size_zyx[0], config), *size_zyx[1:]),
        compressors=[*_compressors(name, config), Crc32cCodec()],
        fill_value=fill,
        dimension_names=("z", "y", "x"),
        config={"write_empty_chunks": True},
    )


def _compressors(name: str, config: ShardConfig) -> list[Any]:
    from zarr.codecs import BloscCodec

    if name == "label":
        return [BloscCodec(cname="lz4hc", clevel=5, shuffle="noshuffle")]
    if config.compressor == "none":
        return []
    bits = config.compressor == "zstd" and config.dtype == "int16"
    return [
        BloscCodec(
            cname=config.compressor,
            clevel=config.compression_level,
            shuffle="bitshuffle" if bits else "shuffle",
        )
    ]


def _copy_part(
    block: np.ndarray[Any, Any], start: int, path: Path, offset: int, shape: tuple[int, int, int]
) -> None:
    """Copy the part of a laid sample that falls into the block beginning at slice `start`."""
    low, high = max(offset, start), min(offset + shape[0], start + len(block))
    if low < high:
        # mapped: only the slices of this block are read
        laid = np.load(path, mmap_mode="r", allow_pickle=False)
        block[low - start : high - start, : shape[1], : shape[2]] = laid[
            low - offset : high - offset
        ]
