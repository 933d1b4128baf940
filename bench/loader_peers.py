"""Other formats that training data is kept in, for bench/loader.py; those not installed are named.

Each keeps image and label in the stored type: MosaicML's MDS and WebDataset hold whole samples, so
that a crop reads all of one; nnU-Net's way is blosc2 with zstd, in blocks near its rule (a block
fits the first cache, a chunk the last).
"""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fvlm_data.shards.preprocess import PreparedSample

Array = np.ndarray[Any, Any]
Box = tuple[int, int, int, int, int, int]
Read = Callable[[int, Box], tuple[Array, Array]]

BLOCK_BYTES = 32 * 1024
CHUNK_BYTES = 1024 * 1024


def peers(folder: Path, samples: list[PreparedSample]) -> Iterator[tuple[str, Read]]:
    """Name and reader of each peer; each has written its files to a folder of its name."""
    ways = {
        "MosaicML MDS": ("streaming", _mds),
        "WebDataset": ("webdataset", _webdataset),
        "blosc2 (nnU-Net)": ("blosc2", _blosc2),
    }
    for name, (module, store) in ways.items():
        if importlib.util.find_spec(module) is None:
            print(f"{name} is left out: Python package {module} is not installed")
            continue
        (folder / name).mkdir(parents=True)
        yield name, store(folder / name, samples)


def _mds(folder: Path, samples: list[PreparedSample]) -> Read:
    from streaming import LocalDataset, MDSWriter

    columns = {
        name: f"ndarray:{array.dtype.name}:{','.join(map(str, array.shape))}"
        for name, array in (("image", samples[0].image_zyx), ("label", samples[0].label_zyx))
    }
    with MDSWriter(out=str(folder), columns=columns) as writer:
        for sample in samples:
            writer.write({"image": sample.image_zyx, "label": sample.label_zyx})
    dataset = LocalDataset(str(folder))

    def read(number: int, box: Box) -> tuple[Array, Array]:
        found = dataset[number]
        return _cut(found["image"], box), _cut(found["label"], box)

    return read


def _webdataset(folder: Path, samples: list[PreparedSample]) -> Read:
    import webdataset

    path = folder / "samples.tar"
    with webdataset.TarWriter(str(path)) as writer:
        for number, sample in enumerate(samples):
            arrays = {"image.npy": sample.image_zyx, "label.npy": sample.label_zyx}
            packed = {name: _npy(array) for name, array in arrays.items()}
            writer.write({"__key__": f"{number:04}", **packed})
    stream = iter(webdataset.WebDataset(str(path), shardshuffle=False).decode().repeat())

    def read(number: int, box: Box) -> tuple[Array, Array]:
        # a tar has no order but its own: the next sample comes, whichever is asked for
        found = next(stream)
        return _cut(found["image.npy"], box), _cut(found["label.npy"], box)

    return read


def _blosc2(folder: Path, samples: list[PreparedSample]) -> Read:
    import blosc2

    blosc2.set_nthreads(1)
    for number, sample in enumerate(samples):
        for name, array in (("image", sample.image_zyx), ("label", sample.label_zyx)):
            blosc2.asarray(
                np.ascontiguousarray(array),
                urlpath=str(folder / f"{number}.{name}.b2nd"),
                blocks=_cube(array, BLOCK_BYTES),
                chunks=_cube(array, CHUNK_BYTES),
                cparams={"codec": blosc2.Codec.ZSTD, "clevel": 8, "nthreads": 1},
                mmap_mode="w+",
            )

    def read(number: int, box: Box) -> tuple[Array, Array]:
        part = tuple(slice(box[axis], box[axis + 3]) for axis in range(3))
        image, label = (
            blosc2.open(
                urlpath=str(folder / f"{number}.{name}.b2nd"),
                mode="r",
                mmap_mode="r",
                dparams={"nthreads": 1},
            )[part]
            for name in ("image", "label")
        )
        return image, label

    return read


def _cube(array_zyx: Array, limit_bytes: int) -> tuple[int, ...]:
    """A block of powers of two, twice as long in y and x as in z, of at most `limit_bytes`."""
    edge = 1
    while (2 * edge) * (4 * edge) ** 2 * array_zyx.itemsize <= limit_bytes:
        edge *= 2
    wanted = (edge, 2 * edge, 2 * edge)
    return tuple(min(n, size) for n, size in zip(wanted, array_zyx.shape, strict=True))


def _cut(array_zyx: Array, box: Box) -> Array:
    return array_zyx[tuple(slice(box[axis], box[axis + 3]) for axis in range(3))].copy()


def _npy(array: Array) -> bytes:
    target = io.BytesIO()
    np.save(target, array, allow_pickle=False)
    return target.getvalue()
