"""Windows of a sample: cropping, padding, mirroring, and anatomies on the token grid.

Sources: the geometry of the public fVLM code (padding symmetric with -1150 HU, border rule of
training, evaluation window centred on the anatomy).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Array = np.ndarray[Any, Any]
SizeZYX = tuple[int, int, int]
Box = tuple[int, int, int, int, int, int]


class Sample(Protocol):
    """What training reads of a `fvlm_data.shards.Sample`; tuples align with `anatomies`."""

    @property
    def sample_id(self) -> str: ...  # noqa: D102
    @property
    def patient_id(self) -> str: ...  # noqa: D102
    @property
    def study_id(self) -> str: ...  # noqa: D102
    @property
    def image_zyx(self) -> Array: ...  # noqa: D102
    @property
    def label_zyx(self) -> Array: ...  # noqa: D102
    @property
    def label_values(self) -> Mapping[str, int]: ...  # noqa: D102
    @property
    def hu_window(self) -> tuple[int, int] | None: ...  # noqa: D102
    @property
    def anatomies(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def states(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def signatures(self) -> Sequence[int]: ...  # noqa: D102
    @property
    def findings(self) -> Sequence[frozenset[str]]: ...  # noqa: D102
    @property
    def labels(self) -> Sequence[frozenset[str]]: ...  # noqa: D102
    @property
    def texts(self) -> Sequence[str]: ...  # noqa: D102


class SampleSource(Protocol):
    """A map-style dataset such as `fvlm_data.shards.ShardDataset`."""

    @property
    def rows(self) -> Any:
        """Index as a pyarrow table with the columns of the table `samples`."""

    def __len__(self) -> int:
        """Number of samples."""

    def read(self, index: int, box: Box | None = None) -> Sample:
        """A sample or its crop, box = (z0, y0, x0, z1, y1, x1), end exclusive."""


@dataclass(frozen=True, slots=True)
class Intensity:
    """How stored values become [0, 1]: clip(stored * scale + offset); `air` is the padding."""

    scale: float
    offset: float
    air: int


def intensity(hu_window: tuple[int, int] | None, window_hu: tuple[float, float]) -> Intensity:
    """Map of a stored image, int16 HU (`hu_window` None) or uint8 over `hu_window`."""
    low, high = window_hu
    if hu_window is None:
        return Intensity(1 / (high - low), -low / (high - low), round(low))
    step_hu = (hu_window[1] - hu_window[0]) / 255
    air = round((low - hu_window[0]) / step_hu)
    return Intensity(
        step_hu / (high - low), (hu_window[0] - low) / (high - low), min(max(air, 0), 255)
    )


def random_box(shape_zyx: SizeZYX, crop_zyx: SizeZYX, rng: np.random.Generator) -> Box:
    """A box of the crop's size at a random place; an axis that is shorter is taken whole."""
    starts = [
        int(rng.integers(0, max(size - crop, 0) + 1))
        for size, crop in zip(shape_zyx, crop_zyx, strict=True)
    ]
    ends = [
        start + min(size, crop)
        for start, size, crop in zip(starts, shape_zyx, crop_zyx, strict=True)
    ]
    return starts[0], starts[1], starts[2], ends[0], ends[1], ends[2]


def box_around(organ: Box, shape_zyx: SizeZYX, crop_zyx: SizeZYX) -> Box:
    """A box of the crop's size with `organ` in its middle, shifted inside the volume."""
    starts, ends = [], []
    for axis, (size, crop) in enumerate(zip(shape_zyx, crop_zyx, strict=True)):
        middle = (organ[axis] + organ[axis + 3] - 1) // 2
        start = min(max(middle - crop // 2, 0), max(size - crop, 0))
        starts.append(start)
        ends.append(min(start + crop, size))
    return starts[0], starts[1], starts[2], ends[0], ends[1], ends[2]


def padded(array_zyx: Array, size_zyx: SizeZYX, value: int) -> Array:
    """`array_zyx` padded symmetrically to at least `size_zyx`; an odd voxel goes to the end."""
    missing = [
        max(wanted - size, 0) for size, wanted in zip(array_zyx.shape, size_zyx, strict=True)
    ]
    if not any(missing):
        return array_zyx
    around = [(gap // 2, gap - gap // 2) for gap in missing]
    return np.pad(array_zyx, around, constant_values=value)


def end_padded(array_zyx: Array, multiple_zyx: SizeZYX, value: int) -> Array:
    """`array_zyx` padded at the ends to multiples of `multiple_zyx`."""
    gaps = [(0, -size % step) for size, step in zip(array_zyx.shape, multiple_zyx, strict=True)]
    return np.pad(array_zyx, gaps, constant_values=value) if any(g for _, g in gaps) else array_zyx


def centred_box(mask_zyx: Array, window_zyx: SizeZYX) -> Box:
    """Evaluation window around the true voxels of `mask_zyx`, shifted inside the volume.

    Per axis its size is max(window, extent) and its centre (first + last) // 2. The extent
    counts both ends (the public code misses one voxel of organs larger than the window).

    Raises:
        ValueError: the mask is empty.
    """
    starts, ends = [], []
    for axis, window in enumerate(window_zyx):
        others = tuple(other for other in range(3) if other != axis)
        touched = np.flatnonzero(mask_zyx.any(axis=others))
        if not touched.size:
            raise ValueError("The mask is empty: there is no anatomy to centre a window on.")
        first, last = int(touched[0]), int(touched[-1])
        size = max(window, last - first + 1)
        start = min(max((first + last) // 2 - size // 2, 0), max(mask_zyx.shape[axis] - size, 0))
        starts.append(start)
        ends.append(min(start + size, mask_zyx.shape[axis]))
    return starts[0], starts[1], starts[2], ends[0], ends[1], ends[2]


def anatomy_bits(label_zyx: Array, values: Sequence[int | None]) -> Array:
    """Labels as bit sets: bit a is set where the label is `values[a]` (None: nowhere)."""
    width = next(w for w in (8, 16, 32, 64) if len(values) <= w)
    table = np.zeros(256, dtype=f"u{width // 8}")
    for bit, value in enumerate(values):
        if value is not None:
            table[value] |= table.dtype.type(1 << bit)
    bits_zyx: Array = table[label_zyx]
    return bits_zyx


def token_bits(bits_zyx: Array, patch_zyx: SizeZYX) -> Array:
    """Bit sets of the patch grid, (N,), x fastest: one voxel of an anatomy suffices.

    Equal to max-pooling each anatomy's mask by the patch, all anatomies in one pass.
    """
    (z, y, x), (pz, py, px) = bits_zyx.shape, patch_zyx
    cells = bits_zyx.reshape(z // pz, pz, y // py, py, x // px, px)
    # z first: whole slices are combined at once
    cells = np.bitwise_or.reduce(cells, axis=1)
    cells = np.bitwise_or.reduce(cells, axis=2)
    bits_n: Array = np.bitwise_or.reduce(cells, axis=3).reshape(-1)
    return bits_n


def face_bits(bits_zyx: Array) -> int:
    """Bit set of the anatomies with a voxel on one of the six faces."""
    found = 0
    for axis in range(3):
        for end in (0, -1):
            found |= int(np.bitwise_or.reduce(bits_zyx.take(end, axis=axis), axis=None))
    return found


def unpacked(bits_n: Array, anatomies: int) -> Array:
    """Bit sets (N,) -> bool (A, N)."""
    shifts = np.arange(anatomies, dtype=bits_n.dtype)[:, None]
    tokens_an: Array = (bits_n[None, :] >> shifts & bits_n.dtype.type(1)).astype(bool)
    return tokens_an
