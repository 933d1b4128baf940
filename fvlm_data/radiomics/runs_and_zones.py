"""Features of grey level run lengths (IBSI 3.7) and of size zones (IBSI 3.8).

Both count pieces of one level by their size: voxels in a row in one of 13 directions, or voxels
that touch each other (26 neighbours). The features are the same of both; names differ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.radiomics.neighbours import DIRECTIONS, offset, padded, pairs

if TYPE_CHECKING:
    from fvlm_data.radiomics.statistics import Features

Array = np.ndarray[Any, Any]

RUNS = ("short_runs", "long_runs", "run_length", "run")
ZONES = ("small_zones", "large_zones", "zone_size", "zone")
"""Words of the names: small pieces, large pieces, size, piece."""


def glrlm(levels: Array) -> Features:
    """Features of runs in all directions merged into one matrix (IBSI: 3D, merged)."""
    found = runs(levels)
    merged = tuple(np.concatenate([one[part] for one in found]) for part in (0, 1))
    voxels = int((levels > 0).sum()) * len(DIRECTIONS)
    return of_pieces(merged[0], merged[1], voxels, RUNS)


def glszm(levels: Array) -> Features:
    """Features of zones of one level in 3D."""
    level, size = zones(levels)
    return of_pieces(level, size, int((levels > 0).sum()), ZONES)


def runs(levels: Array) -> list[tuple[Array, Array]]:
    """Level and length of each run, by direction; `levels` (i, j, k) from 1, 0 outside."""
    bordered = padded(levels)
    flat = bordered.ravel()
    inside = np.flatnonzero(flat)
    made = []
    for step in DIRECTIONS:
        ahead = offset(step, bordered.shape)
        first = inside[flat[inside - ahead] != flat[inside]]
        length = np.ones(len(first), np.int64)
        going, at = np.arange(len(first)), first
        while len(going):
            more = flat[at + ahead] == flat[at]
            going, at = going[more], at[more] + ahead
            length[going] += 1
        made.append((flat[first].astype(np.int64), length))
    return made


def zones(levels: Array) -> tuple[Array, Array]:
    """Level and number of voxels of each zone; `levels` (i, j, k) from 1, 0 outside."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    bordered = padded(levels)
    flat = bordered.ravel()
    inside = np.flatnonzero(flat)
    number = np.zeros(len(flat), np.int32)
    number[inside] = np.arange(len(inside))
    joined = []
    for here, there in pairs(bordered):
        alike = flat[here] == flat[there]
        joined.append(np.stack([number[here[alike]], number[there[alike]]]))
    one, other = np.concatenate(joined, axis=1)
    graph = coo_array((np.ones(len(one), bool), (one, other)), shape=(len(inside),) * 2)
    count, label = connected_components(graph, directed=False)
    level = np.zeros(count, np.int64)
    level[label] = flat[inside]
    return level, np.bincount(label, minlength=count)


def of_pieces(level: Array, size: Array, voxels: int, words: tuple[str, str, str, str]) -> Features:
    """Features of pieces of `level` and `size` (n,) each, of a region of `voxels`."""
    small, large, measure, piece = words
    n = len(level)
    g, r = level.astype(np.float64), size.astype(np.float64)
    by_level, by_size = np.bincount(level), np.bincount(size)
    pairs_of = np.unique(level * (int(size.max()) + 1) + size, return_counts=True)[1] / n
    unevenness_g, unevenness_r = float((by_level**2).sum()), float((by_size**2).sum())
    return {
        f"{small}_emphasis": float((1 / r**2).mean()),
        f"{large}_emphasis": float((r**2).mean()),
        f"low_grey_level_{piece}_emphasis": float((1 / g**2).mean()),
        f"high_grey_level_{piece}_emphasis": float((g**2).mean()),
        f"{small}_low_grey_level_emphasis": float((1 / (g * r) ** 2).mean()),
        f"{small}_high_grey_level_emphasis": float((g**2 / r**2).mean()),
        f"{large}_low_grey_level_emphasis": float((r**2 / g**2).mean()),
        f"{large}_high_grey_level_emphasis": float((g**2 * r**2).mean()),
        "grey_level_non_uniformity": unevenness_g / n,
        "normalised_grey_level_non_uniformity": unevenness_g / n**2,
        f"{measure}_non_uniformity": unevenness_r / n,
        f"normalised_{measure}_non_uniformity": unevenness_r / n**2,
        f"{piece}_percentage": n / voxels,
        "grey_level_variance": float(g.var()),
        f"{measure}_variance": float(r.var()),
        f"{piece}_entropy": float(-(pairs_of * np.log2(pairs_of)).sum()),
    }
