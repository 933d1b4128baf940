"""Reading a shard's arrays: zarr v3 sharding as the writer lays it out, decoded slab by slab.

Any zarr v3 library reads the same arrays. This one is several times faster on a crop, since it
knows that a chunk is a slab of whole planes: it reads and decodes the slabs of the crop into one
buffer that stays in the processor's cache, and copies out the crop.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import google_crc32c
import numpy as np
from numcodecs import blosc

from fvlm_data.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fvlm_data.shards.objects import Objects

Array = np.ndarray[Any, Any]
Part = tuple[slice, slice, slice]

CRC_BYTES = 4
ENTRY_BYTES = 16
ABSENT = 2**64 - 1
"""Offset of a chunk that was not written (zarr v3, codec sharding_indexed)."""

INDEX_CODECS = [
    {"name": "bytes", "configuration": {"endian": "little"}},
    {"name": "crc32c"},
]

# One thread a call: loaders have processes of their own. zarr sets the same.
blosc.use_threads = False


@dataclass(frozen=True, slots=True)
class SlabArray:
    """An array (z, y, x) of a shard; `path` is its folder.

    `slab_z` and `object_z` are slices of a chunk and of a data object; `packed` says whether
    chunks are blosc frames, else they are the voxels themselves.
    """

    objects: Objects
    path: str
    shape_zyx: tuple[int, int, int]
    dtype: np.dtype[Any]
    slab_z: int
    object_z: int
    packed: bool
    _indexes: dict[int, Array] = field(default_factory=dict, repr=False)

    def read(self, part: Part, out: Array) -> None:
        """Copy the part (z, y, x), of steps 1 and within the array, into `out` of its shape.

        `out` may have any strides, and any type that holds the array's values.

        Raises:
            StoreError: an object is missing, shorter than its index says or damaged.
        """
        z, y, x = part
        at_z = z.start
        for number in range(z.start // self.object_z, -(-z.stop // self.object_z)):
            base = number * self.object_z
            last = min(z.stop, base + self.object_z)
            slabs = range((at_z - base) // self.slab_z, -(-(last - base) // self.slab_z))
            for slab, planes in zip(slabs, self._slabs(number, slabs), strict=True):
                first = base + slab * self.slab_z
                stop = min(first + self.slab_z, last)
                out[at_z - z.start : stop - z.start] = planes[at_z - first : stop - first, y, x]
                at_z = stop

    def _slabs(self, number: int, slabs: range) -> Iterator[Array]:
        """Decoded slabs of one object, each valid until the next.

        At the array's end the last one holds fill values beyond it.
        """
        name = self._object(number)
        entries = self._index(number)[slabs.start : slabs.stop]
        buffer = np.empty((self.slab_z, *self.shape_zyx[1:]), self.dtype)
        unpacked = _unpacked if self.packed else _plain
        ranges = [(offset, offset + size) for offset, size in entries.tolist()]
        for slab, chunk in zip(slabs, self.objects.read(name, ranges), strict=True):
            what = f"slab {slab} of object {name}"
            yield unpacked(_checked(chunk, what), buffer, what)

    def _index(self, number: int) -> Array:
        """Offset and size of each chunk of an object, (chunks, 2)."""
        if number not in self._indexes:
            name = self._object(number)
            chunks = self.object_z // self.slab_z
            tail = self.objects.tail(name, chunks * ENTRY_BYTES + CRC_BYTES)
            index = _checked(tail, f"index of object {name}").view("<u8").reshape(chunks, 2)
            used = -(-min(self.shape_zyx[0] - number * self.object_z, self.object_z) // self.slab_z)
            # chunks past the array's end are absent in any shard; the writer writes all others,
            # even empty ones
            if (index[:used] == ABSENT).any():
                raise StoreError(f"object {name} lacks a slab")
            self._indexes[number] = index.copy()
        return self._indexes[number]

    def _object(self, number: int) -> str:
        return f"{self.path}/c/{number}/0/0"


def read_group(objects: Objects, path: str) -> tuple[dict[str, Any], dict[str, SlabArray]]:
    """Attributes of a shard's group, and its arrays `image` and `label`.

    Raises:
        StoreError: metadata is missing or is not laid out as the writer does it.
    """
    attributes: dict[str, Any] = _metadata(objects, path)["attributes"]
    return attributes, {name: _opened(objects, f"{path}/{name}") for name in ("image", "label")}


def _opened(objects: Objects, path: str) -> SlabArray:
    found = _metadata(objects, path)
    try:
        (sharding,) = found["codecs"]
        inner = sharding["configuration"]
        shape, slab = found["shape"], inner["chunk_shape"]
        grid = found["chunk_grid"]["configuration"]["chunk_shape"]
        named = [codec["name"] for codec in inner["codecs"]]
        dtype = np.dtype(found["data_type"]).newbyteorder("<")
        ours = (
            sharding["name"] == "sharding_indexed"
            and inner.get("index_location", "end") == "end"
            and [dict(c) for c in inner["index_codecs"]] == INDEX_CODECS
            and named in (["bytes", "blosc", "crc32c"], ["bytes", "crc32c"])
            and inner["codecs"][0].get("configuration", {}).get("endian", "little") == "little"
            and slab[1:] == shape[1:] == grid[1:]
            and grid[0] % slab[0] == 0
            and found["chunk_key_encoding"]["name"] == "default"
        )
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{path}/zarr.json is damaged") from error
    if not ours:
        raise StoreError(
            f"{path}: laid out otherwise than shards are (slabs of whole planes, blosc or nothing, "
            "CRC-32C, index at the end); read it with zarr"
        )
    return SlabArray(
        objects, path, (shape[0], shape[1], shape[2]), dtype, slab[0], grid[0], "blosc" in named
    )


def _metadata(objects: Objects, path: str) -> dict[str, Any]:
    try:
        found = json.loads(objects.whole(f"{path}/zarr.json"))
    except ValueError as error:
        raise StoreError(f"{path}/zarr.json is damaged") from error
    if not isinstance(found, dict):
        raise StoreError(f"{path}/zarr.json is damaged")
    return found


def _checked(content: Array, what: str) -> Array:
    """`content` (bytes as uint8) without its CRC-32C, which must hold."""
    body, stored = content[:-CRC_BYTES], content[-CRC_BYTES:].tobytes()
    if google_crc32c.value(body) != int.from_bytes(stored, "little"):
        raise StoreError(f"{what} is damaged (CRC-32C)")
    return body


def _unpacked(content: Array, buffer: Array, what: str) -> Array:
    """`buffer` filled from a blosc frame, whose header (bytes 4 to 8) says its size."""
    if int.from_bytes(content[4:8].tobytes(), "little") != buffer.nbytes:
        raise StoreError(f"{what} has another size than its array")
    try:
        blosc.decompress(content, buffer)
    except RuntimeError as error:
        raise StoreError(f"{what} cannot be decoded") from error
    return buffer


def _plain(content: Array, buffer: Array, what: str) -> Array:
    """The voxels of a chunk that is not compressed; `buffer` gives their type and shape."""
    if content.nbytes != buffer.nbytes:
        raise StoreError(f"{what} has another size than its array")
    voxels: Array = content.view(buffer.dtype).reshape(buffer.shape)
    return voxels
