"""Grids: bringing a label map onto a volume's grid by flips and permutations only."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

Array = np.ndarray[Any, Any]

NEAR_VOXELS = 0.05


def reoriented(
    labels: Array,
    affine_ras: Array,
    shape: Sequence[int],
    target_affine_ras: Array,
    tolerance: float,
) -> Array | str:
    """`labels` (a, b, c) on the grid (i, j, k) of `shape` and `target_affine_ras`, or why not.

    Axes are only exchanged and reversed; no voxel is interpolated. Every corner must then lie
    within `tolerance` voxels of the target's corner. Both affines map voxel to RAS mm. The result
    is a view. The sentence for a refusal describes both grids.
    """
    try:
        to_target = np.linalg.inv(target_affine_ras) @ affine_ras
    except np.linalg.LinAlgError:
        return "an affine cannot be inverted"
    # voxel to voxel: a matrix of 0 and +-1 if the grids differ by exchanged and reversed axes only
    axes = np.rint(to_target[:3, :3])
    found = f"found shape {tuple(labels.shape)} and {_described(affine_ras)}"
    expected = f"expected shape {tuple(shape)} and {_described(target_affine_ras)}"
    if not (np.abs(axes).sum(axis=0) == 1).all() or not (np.abs(axes).sum(axis=1) == 1).all():
        return f"{found}; {expected}; the axes or spacings differ"
    order = [int(np.flatnonzero(axes[row])[0]) for row in range(3)]
    turned = [bool(axes[row, order[row]] < 0) for row in range(3)]
    result = labels.transpose(order)[tuple(slice(None, None, -1 if t else 1) for t in turned)]
    if result.shape != tuple(shape):
        return f"{found}; {expected}; the sizes differ"
    error = _corner_error(to_target, order, turned, shape)
    if error > tolerance:
        return (
            f"{found}; {expected}; corners are up to {error:.3g} voxels apart, "
            f"allowed {tolerance:g}"
        )
    return result


def same_but_moved(
    shape: Sequence[int], affine_ras: Array, target_shape: Sequence[int], target_affine_ras: Array
) -> bool:
    """Whether two grids of one size and spacing differ by their place only.

    Such a label map was made on the volume's own grid, and its header says another place: which
    of the two is wrong cannot be told, so it is no case for resampling.
    """
    if sorted(shape) != sorted(target_shape):
        return False
    try:
        turn = np.linalg.inv(target_affine_ras[:3, :3]) @ affine_ras[:3, :3]
    except np.linalg.LinAlgError:
        return False
    return bool(np.allclose(np.sort(np.abs(turn), axis=1), [[0, 0, 1]] * 3, atol=1e-3))


def every_nth(affine_ras: Array, target_affine_ras: Array) -> int:
    """How many of the target's slices go to one of a grid with the same voxels; 0 if it is none.

    Both affines map voxel to RAS mm.
    """
    try:
        to_target = np.linalg.inv(target_affine_ras) @ affine_ras
    except np.linalg.LinAlgError:
        return 0
    steps = np.rint(np.abs(to_target[:3, :3]))
    n = int(steps.max())
    on_voxels = np.allclose(np.abs(to_target[:3]), np.rint(np.abs(to_target[:3])), atol=NEAR_VOXELS)
    one_axis = sorted(steps[steps > 0].tolist()) == [1, 1, n]
    return n if n > 1 and on_voxels and one_axis else 0


def to_canonical(array: Array, affine_ras: Array) -> tuple[Array, Array]:
    """View of `array` (i, j, k) with axes nearest to +x right, +y anterior, +z superior.

    Returns the view and the int (3, 2) orientation that `from_canonical` needs to go back.
    """
    from nibabel.orientations import apply_orientation, io_orientation

    orientation = io_orientation(affine_ras)
    return apply_orientation(array, orientation), orientation


def from_canonical(array: Array, orientation: Array) -> Array:
    """The inverse of `to_canonical`, contiguous."""
    from nibabel.orientations import apply_orientation, axcodes2ornt, ornt_transform

    back = ornt_transform(axcodes2ornt(("R", "A", "S")), orientation)
    return np.ascontiguousarray(apply_orientation(array, back))


def _corner_error(
    to_target: Array, order: Sequence[int], turned: Sequence[bool], shape: Sequence[int]
) -> float:
    """Greatest distance, in target voxels, of a corner from where it is put."""
    # corners suffice: the deviation of two affine maps is greatest at a corner
    worst = 0.0
    for corner in product(*((0, size - 1) for size in shape)):
        source = np.ones(4)
        for row in range(3):
            source[order[row]] = shape[row] - 1 - corner[row] if turned[row] else corner[row]
        worst = max(worst, float(np.abs((to_target @ source)[:3] - corner).max()))
    return worst


def _described(affine_ras: Array) -> str:
    from nibabel.affines import voxel_sizes
    from nibabel.orientations import aff2axcodes

    spacing = " x ".join(f"{size:.4g}" for size in voxel_sizes(affine_ras))
    origin = ", ".join(f"{value:.2f}" for value in affine_ras[:3, 3])
    codes = "".join(code or "?" for code in aff2axcodes(affine_ras))
    return f"spacing {spacing} mm, order {codes}, origin ({origin}) mm"
