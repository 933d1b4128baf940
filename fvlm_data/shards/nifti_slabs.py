"""NIfTI files of the store decoded a few slices at a time, so that no whole volume is held."""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.segment.nifti import NiftiError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

Array = np.ndarray[Any, Any]
Part = tuple[slice, slice, slice]

HEADER_BYTES = 348
SLAB_BYTES = 8_000_000


@dataclass(frozen=True, slots=True)
class NiftiSlabs:
    """A NIfTI-1 file, plain or gzip: `shape` (i, j, k) and stored type, read slab by slab."""

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    _content: bytes
    _data_at: int

    def slabs(self, slices: int) -> Iterator[tuple[slice, Array]]:
        """Slabs (i, j, up to `slices`) along k with their place, each valid until the next.

        The last one is yielded only after the file's checksum was found to be right.

        Raises:
            NiftiError: the file is damaged.
        """
        i, j, depth = self.shape
        buffer = np.empty(i * j * slices, self.dtype)
        with _readable(self._content) as file:
            _skip(file, self._data_at)
            for start in range(0, depth, slices):
                stop = min(depth, start + slices)
                flat = buffer[: i * j * (stop - start)]
                _fill(file, flat.data.cast("B"))
                # a consumer that has the last slab is done: damage must be known before it
                if stop == depth:
                    _finish(file)
                yield slice(start, stop), flat.reshape(i, j, stop - start, order="F")

    def slabs_of(self, part: Part) -> Iterator[Array]:
        """The part (i, j, k) in slabs along k, each valid until the next; raises as `slabs`."""
        first, last = part[2].start, part[2].stop
        waiting: Array | None = None
        for place, slab in self.slabs(self.slices_at_once()):
            if place.stop >= last and place.start < last and place.stop < self.shape[2]:
                # the part's last slab waits for the checksum at the file's end
                waiting = slab[part[0], part[1], : last - place.start].copy()
            elif max(first, place.start) < min(last, place.stop):
                yield slab[
                    part[0],
                    part[1],
                    max(first, place.start) - place.start : min(last, place.stop) - place.start,
                ]
        if waiting is not None:
            yield waiting[:, :, max(0, first - last + waiting.shape[2]) :]

    def slices_at_once(self) -> int:
        """Slices of a slab of about `SLAB_BYTES`."""
        return max(1, SLAB_BYTES // max(1, self.shape[0] * self.shape[1] * self.dtype.itemsize))


def open_nifti(content: bytes) -> NiftiSlabs:
    """Read the header of a file that `volumes/` or `masks/` of a store holds.

    Raises:
        NiftiError: the content is no NIfTI-1 file of three axes and unscaled voxels, as the
            earlier stages write it.
    """
    from nibabel.nifti1 import Nifti1Header
    from nibabel.spatialimages import HeaderDataError
    from nibabel.wrapstruct import WrapStructError

    block = bytearray(HEADER_BYTES)
    with _readable(content) as file:
        _fill(file, memoryview(block))
    try:
        header = Nifti1Header(bytes(block))
        dtype = header.get_data_dtype()
        slope, inter = header.get_slope_inter()
        data_at = int(header.get_data_offset())
    except (HeaderDataError, WrapStructError, ValueError, KeyError) as error:
        raise NiftiError(f"cannot be decoded as NIfTI ({type(error).__name__})") from error
    shape = tuple(int(size) for size in header.get_data_shape())
    if len(shape) != 3 or min(shape) < 1:
        raise NiftiError(f"has shape {shape}, expected 3 axes")
    # scaled voxels would be floats; the store's own files have none
    if slope not in (None, 1.0) or inter not in (None, 0.0) or dtype.kind not in "iuf":
        raise NiftiError(f"has voxels of type {dtype}, slope {slope}, intercept {inter}")
    return NiftiSlabs((shape[0], shape[1], shape[2]), dtype, content, data_at)


def _readable(content: bytes) -> IO[bytes]:
    from isal import igzip

    raw = io.BytesIO(content)
    return igzip.IGzipFile(fileobj=raw) if content[:2] == b"\x1f\x8b" else raw


def _fill(file: IO[bytes], view: memoryview) -> None:
    done = 0
    while done < len(view):
        count = _guarded_readinto(file, view[done:])
        if count == 0:
            raise NiftiError("cannot be decoded as NIfTI (it ends too early)")
        done += count


def _skip(file: IO[bytes], count: int) -> None:
    _fill(file, memoryview(bytearray(count)))


def _finish(file: IO[bytes]) -> None:
    """Read on to the end, where gzip's checksum of the whole content is compared."""
    rest = memoryview(bytearray(1 << 16))
    while _guarded_readinto(file, rest):
        pass


def _guarded_readinto(file: IO[bytes], view: memoryview) -> int:
    from isal.igzip_lib import IsalError  # no base of the others

    try:
        return int(file.readinto(view))  # type: ignore[attr-defined]
    except (OSError, EOFError, zlib.error, IsalError) as error:  # type: ignore[misc]
        raise NiftiError(f"cannot be decoded as NIfTI ({type(error).__name__})") from error
