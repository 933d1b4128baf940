"""Windows of a sample: cropping, padding, mirroring, and anatomies on the token grid.

Sources: the geometry of the public fVLM code (padding symmetric with -1150 HU, border rule of
training, evaluation window centred on the anatomy).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from fvlm_data.shards import Sample

Array = np.ndarray[Any, Any]
SizeZYX = tuple[int, int, int]
Box = tuple[int, int, int, int, int, int]


class SampleSource(Protocol):
    """A map-style dataset such as `fvlm_data.shards.ShardDataset`."""

    @property
    def rows(self) -> Any:
        """Index as a pyarrow table with the columns of the table `samples`."""

    def __len__(self) -> int:
        """Number of samples."""

    def image_dtype(self, index: int) -> np.dtype[Any]:
        """Stored type of a sample's image."""

    def read(
        self, index: int, box: Box | None = None, out: tuple[Array, Array] | None = None
    ) -> Sample:
        """A sample or its crop, box = (z0, y0, x0, z1, y1, x1), end exclusive.

        `out` = (image, label) take the voxels, whatever their strides.
        """


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
    # padding looks like the low end of the training window, whatever the shard's window is
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
        # the box's end is exclusive
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


def pooled(mask_zyx: Array, patch_zyx: SizeZYX) -> Array:
    """Patches (z, y, x; bool) that hold a true voxel: one suffices, as in max-pooling."""
    (z, y, x), (pz, py, px) = mask_zyx.shape, patch_zyx
    cells = mask_zyx.reshape(z // pz, pz, y // py, py, x // px, px)
    # z first: whole slices are combined at once
    cells = np.bitwise_or.reduce(cells, axis=1)
    cells = np.bitwise_or.reduce(cells, axis=2)
    tokens_zyx: Array = np.bitwise_or.reduce(cells, axis=3)
    return tokens_zyx


def anatomy_tokens(label_zyx: Array, value: int, box: Box, patch_zyx: SizeZYX) -> Array:
    """Patches (z, y, x; bool) that hold a voxel of the label `value`, looked for in `box` only.

    The box bounds the anatomy in voxels of `label_zyx`, end exclusive, and may reach beyond it.
    """
    sizes = label_zyx.shape
    tokens_zyx = np.zeros([n // p for n, p in zip(sizes, patch_zyx, strict=True)], bool)
    low = [max(start, 0) // p for start, p in zip(box[:3], patch_zyx, strict=True)]
    high = [-(-min(e, n) // p) for e, n, p in zip(box[3:], sizes, patch_zyx, strict=True)]
    z, y, x = (slice(a * p, b * p) for a, b, p in zip(low, high, patch_zyx, strict=True))
    across = tuple(slice(a, b) for a, b in zip(low[1:], high[1:], strict=True))
    depth = patch_zyx[0]
    if y.start < y.stop and x.start < x.stop:
        for start in range(z.start, z.stop, depth):  # little enough for the processor's cache
            mask_zyx = label_zyx[start : start + depth, y, x] == value
            tokens_zyx[start // depth, *across] = pooled(mask_zyx, patch_zyx)[0]
    return tokens_zyx


def touches_face(label_zyx: Array, value: int, box: Box) -> bool:
    """Whether a voxel of the label `value`, bounded by `box`, lies on one of the six faces."""
    for axis, size in enumerate(label_zyx.shape):
        reached = {0: box[axis] <= 0, -1: box[axis + 3] >= size}
        for end in (end for end, touched in reached.items() if touched):
            if (np.moveaxis(label_zyx, axis, 0)[end] == value).any():
                return True
    return False
