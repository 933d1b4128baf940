"""Slices that do not follow each other: what damage and mixed data leave that no header tells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fvlm_data.ingest.volume.geometry import Fault
from fvlm_data.ingest.volume.mirrored import mirrored as mirrored_fault
from fvlm_data.ingest.volume.mirrored import mirrored_slices
from fvlm_data.ingest.volume.slice_order import (
    changes,
    exchanged_slices,
    out_of_order,
    steps_between,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fvlm_data.ingest.config import IngestConfig

LATTICE, FINEST = 4, 64
"""Every fourth pixel along rows and columns is looked at, of small images more."""

FEWEST = 5
"""Of fewer slices none can be said to be unlike the others."""

LEAST_PIXELS = 64
"""Fewer pixels of the lattice are no evidence, whatever their share."""

BEYOND_HU = 60
"""A pixel fits where it lies between those of the neighbours, give or take this much."""

LEAST_SHARE = 0.01
TIMES_THE_SERIES = 2.0
"""A slice is unlike its neighbours if 1 % of its pixels do not fit, and twice the share of the
other slices of the volume beside that."""

FEW = 50
"""Of so many slices, one more may be damaged without passing for what the volume shows."""

MOST_NAMED = 10

JUMP_HU = 150
JUMP_SHARE = 0.05
"""Between two slices lies a jump if 5 % of the pixels change by more than 150 HU, and twice the
share that do so elsewhere beside that: breath between two positions of a table stays below it."""

USUAL_JUMPS = 2
"""A part that does not belong has two ends; a third jump of the kind is what the volume shows."""


def slices_unlike_neighbours(image_zyx: NDArray[np.int16]) -> list[int]:
    """Numbers of slices (k) of a volume (k, j, i) in HU that fit neither neighbour, in order.

    Anatomy that comes and goes within one slice, noise and metal are in the other slices too, and
    a jump between two positions of the table fits one of its sides.
    """
    return _unlike_neighbours(lattice(image_zyx))


def _unlike_neighbours(seen: NDArray[np.int32]) -> list[int]:
    if len(seen) < FEWEST:
        return []
    within = misfits(seen[1:-1], seen[:-2], seen[2:])
    # an end has one side: it is compared with how the others fit what follows them
    first = misfits(seen[:-2], seen[1:-1], seen[2:])
    last = misfits(seen[2:], seen[:-2], seen[1:-1])
    least = max(LEAST_SHARE, LEAST_PIXELS / seen[0].size)
    found = [place + 1 for place in _standing_out(within, least)]
    if 0 in _standing_out(first, least):
        found.insert(0, 0)
    if len(last) - 1 in _standing_out(last, least):
        found.append(len(seen) - 1)
    return found


def misfits(
    slices: NDArray[np.int32], one: NDArray[np.int32], other: NDArray[np.int32]
) -> NDArray[np.float64]:
    """Share of each slice's pixels that lie outside those of two others by more than 60 HU."""
    low, high = np.minimum(one, other) - BEYOND_HU, np.maximum(one, other) + BEYOND_HU
    share: NDArray[np.float64] = ((slices < low) | (slices > high)).mean(axis=(1, 2))
    return share


def _standing_out(shares: NDArray[np.float64], least: float) -> list[int]:
    usual = np.sort(shares)[-2 - len(shares) // FEW]
    above: list[int] = np.flatnonzero(shares > least + TIMES_THE_SERIES * usual).tolist()
    return above


def jumps_between_slices(image_zyx: NDArray[np.int16]) -> list[int]:
    """Numbers (k) of the slices of a volume (k, j, i) in HU before which the image jumps, in order.

    From there on the slices show something else: another scan, pixels mirrored, other units.
    """
    return _jumps(lattice(image_zyx))


def _jumps(seen: NDArray[np.int32]) -> list[int]:
    if len(seen) < FEWEST:
        return []
    share = (np.abs(np.diff(seen, axis=0)) > JUMP_HU).mean(axis=(1, 2))
    usual = np.sort(share)[-1 - USUAL_JUMPS]
    jumps: list[int] = (np.flatnonzero(share > JUMP_SHARE + TIMES_THE_SERIES * usual) + 1).tolist()
    return jumps


def repeated_slices(image_zyx: NDArray[np.int16]) -> list[int]:
    """Numbers (k) of the slices whose pixels are all those of an earlier slice, in order.

    A scanner's noise never repeats. Slices of one value throughout, padding, are no repetition.
    """
    middle = image_zyx.shape[1] // 2
    alike: dict[bytes, list[int]] = {}
    found = []
    for number, image in enumerate(image_zyx):
        earlier = alike.setdefault(image[middle].tobytes(), [])
        if any(np.array_equal(image, image_zyx[one]) for one in earlier):
            if image.min() != image.max():
                found.append(number)
        else:
            earlier.append(number)
    return found


def lost_slices(image_zyx: NDArray[np.int16]) -> list[int]:
    """Numbers (k) of the slices of one value throughout that lie between others, in order.

    At the ends such slices are the padding of a turned grid.
    """
    constant = np.array([image.min() == image.max() for image in image_zyx])
    shown = np.flatnonzero(~constant)
    if not len(shown):
        return []
    within = np.flatnonzero(constant[shown[0] : shown[-1]]) + shown[0]
    return [int(number) for number in within]


def check_neighbours(
    image_zyx: NDArray[np.int16], config: IngestConfig, *, steps: bool = True
) -> Fault | dict[str, int]:
    """Counts by kind of what in a volume (k, j, i) in HU does not follow, or why it is refused.

    Jumps and steps are counted only: two positions of a table, scanned in two breaths, may show
    one. `steps` are looked for only where a volume can show them (`slice_order.may_show_steps`).
    """
    if config.unlike_slices == "ignore":
        return {}
    seen = lattice(image_zyx)
    near = changes(seen[1:], seen[:-1])
    unlike, repeated = _unlike_neighbours(seen), repeated_slices(image_zyx)
    lost, exchanged = lost_slices(image_zyx), exchanged_slices(seen, near)
    mirrored = mirrored_slices(seen, near)
    if config.unlike_slices == "refuse":
        # a slice that is mirrored fits neither neighbour: it is told as what it is
        if mirrored:
            return mirrored_fault(mirrored, len(image_zyx))
        if unlike or lost:
            return _unlike(unlike or lost, image_zyx)
        if repeated:
            return _repeated(repeated, image_zyx)
        if exchanged:
            return out_of_order(exchanged, len(image_zyx))
    jumps = set(_jumps(seen)) - _around(unlike)
    stepped = set(steps_between(near)) if steps else set()
    return {
        "slices_out_of_order": len(set(exchanged) - _beside([*unlike, *lost])),
        "slices_lost": len(lost),
        "slices_unlike_neighbours": len(unlike),
        "repeated_slices": len(repeated),
        "mirrored_slices": len(mirrored),
        "jumps_between_slices": len(jumps),
        "steps_between_slices": len(stepped - jumps - _around([*unlike, *lost, *mirrored])),
    }


def _unlike(found: Sequence[int], image_zyx: NDArray[np.int16]) -> Fault:
    return Fault(
        "slice_unlike_neighbours",
        f"slice {_named(found)} of {len(image_zyx)} along the normal fits neither neighbour, as no "
        "other slice of the volume does: damaged in storage or transfer; look at it and send the "
        "series again, or set ingest.unlike_slices to flag",
    )


def _repeated(found: Sequence[int], image_zyx: NDArray[np.int16]) -> Fault:
    return Fault(
        "repeated_slices",
        f"slice {_named(found)} of {len(image_zyx)} along the normal shows the very pixels of "
        "another slice, as no scan does: its own are lost; send the series again, or set "
        "ingest.unlike_slices to flag",
    )


def _around(unlike: Sequence[int]) -> set[int]:
    """Jumps that a slice of its own makes: to it and from it."""
    return {number + side for number in unlike for side in (0, 1)}


def _beside(unlike: Sequence[int]) -> set[int]:
    """Slices that may seem exchanged for that of another kind, and that one."""
    return {number + side for number in unlike for side in (-1, 0, 1)}


def _named(found: Sequence[int]) -> str:
    shown = ", ".join(str(number + 1) for number in found[:MOST_NAMED])
    return shown if len(found) <= MOST_NAMED else f"{shown} and {len(found) - MOST_NAMED} more"


def lattice(image_zyx: NDArray[np.int16]) -> NDArray[np.int32]:
    """Every fourth pixel along rows and columns, of small images more; all slices."""
    step = min(LATTICE, max(1, min(image_zyx.shape[1:]) // FINEST))
    return image_zyx[:, ::step, ::step].astype(np.int32)
