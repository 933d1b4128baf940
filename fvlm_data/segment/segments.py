"""Segments with names of their own (a folder's files, DICOM SEG, Slicer) as declared classes."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fvlm_data.segment.class_map import ClassMap

Array = np.ndarray[Any, Any]

LEAST_OVERLAP = 0.05
"""Share of the smaller of two segments from which on both claim the same body: a fault."""

SHOWN = 6


@dataclass(frozen=True, slots=True)
class Segment:
    """A binary mask (a, b, c) and the names that it may go by, the best first."""

    names: tuple[str, ...]
    mask: Array


class SegmentError(ValueError):
    """Segments that make no label map; `reason` is the code of why."""

    def __init__(self, reason: str, text: str) -> None:
        """An error with a sentence and its code."""
        super().__init__(text)
        self.reason = reason


def nearest_name(name: str, known: Iterable[str]) -> str:
    """The most similar of the known names; empty where none is similar."""
    found = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return found[0] if found else ""


def shown_name(name: str, declared: ClassMap) -> str:
    """A segment's name for a message: that of its class, since another may be a person's."""
    value = class_value([name], declared)
    return declared.classes[value] if value is not None else "one"


def class_value(names: Sequence[str], declared: ClassMap) -> int | None:
    """Value of the declared class that one of the names means, sides before or behind it."""
    by_name = {_normal(name): value for value, name in declared.classes.items()}
    for name in names:
        words = _normal(name).split("_")
        sides = [word for word in words if word in ("left", "right")]
        others = [word for word in words if word not in sides]
        for tried in (words, [*others, *sides]):
            if "_".join(tried) in by_name:
                return by_name["_".join(tried)]
    return None


def contradicting(names: Sequence[str], declared: ClassMap) -> list[str]:
    """The classes that a segment's names mean, if they mean several; empty where they agree.

    `kidney` does not contradict `kidney_right`: one says less.
    """
    values = {class_value([name], declared): None for name in names}
    classes = [declared.classes[value] for value in values if value is not None]
    words = [set(_normal(name).split("_")) for name in classes]
    agree = all(one <= words[0] or words[0] <= one for one in words)
    return [] if agree else classes


def label_map(segments: Iterable[Segment], declared: ClassMap) -> Array:
    """One label map of declared classes, uint8 or uint16 like the segments' masks.

    Of a few voxels that two segments claim, the one of the lower value has them.

    Raises:
        SegmentError: a segment has no class, two have the same or claim the same voxels, or its
            label and code mean different classes.
    """
    labels: Array | None = None
    sizes: dict[int, int] = {}
    shared: dict[tuple[int, int], int] = {}
    unknown = []
    for segment in segments:
        value = class_value(segment.names, declared)
        if value is None:
            unknown.append(segment.names[0])
            continue
        name = declared.classes[value]
        several = contradicting(segment.names, declared)
        if several:
            raise SegmentError(
                "segment_names_disagree",
                f"one segment is {several[0]} by its label and {several[1]} by its code; mend the "
                "one that is wrong",
            )
        if value in sizes:
            raise SegmentError("mask_ambiguous", f"two segments are {name}, expected one")
        if labels is None:
            dtype = np.uint8 if max(declared.classes) <= 255 else np.uint16
            labels = np.zeros(segment.mask.shape, dtype, order="F")
        if segment.mask.shape != labels.shape:
            raise SegmentError(
                "mask_grid_mismatch",
                f"{name} has {segment.mask.shape} voxels, the classes before it {labels.shape}",
            )
        # places instead of masks: a class is a small part of the voxels
        places = np.flatnonzero(segment.mask.reshape(-1, order="F"))
        flat = labels.reshape(-1, order="F")
        before = flat[places]
        sizes[value] = len(places)
        counts = np.bincount(before)
        shared |= {(int(b), value): int(counts[b]) for b in np.flatnonzero(counts) if b}
        flat[places[(before == 0) | (before > value)]] = value
    if unknown:
        raise SegmentError("mask_unknown_value", _unknown(unknown, declared))
    if labels is None:
        raise SegmentError("mask_not_labels", "holds no segment")
    _refuse_alike(shared, sizes, declared)
    return labels


def _refuse_alike(
    shared: dict[tuple[int, int], int], sizes: dict[int, int], declared: ClassMap
) -> None:
    for (one, other), voxels in sorted(shared.items()):
        share = voxels / max(1, min(sizes[one], sizes[other]))
        if share > LEAST_OVERLAP:
            raise SegmentError(
                "classes_alike",
                f"{declared.classes[one]} and {declared.classes[other]} share {100 * share:.0f} % "
                f"of the smaller one's voxels, allowed {100 * LEAST_OVERLAP:.0f} %: one was "
                "given for the other",
            )


def _unknown(names: Sequence[str], declared: ClassMap) -> str:
    # a name may be a person's, also one like that of a class ("kidney_right_miller"): not shown
    near = Counter(nearest_name(_normal(name), declared.classes.values()) for name in names)
    unlike = near.pop("", 0)
    shown = [f"{count} like {found}" for found, count in sorted(near.items())]
    more = [f"{len(shown) - SHOWN} more classes"] if len(shown) > SHOWN else []
    told = ", ".join([*shown[:SHOWN], *more, *([f"{unlike} like no class"] if unlike else [])])
    return (
        f"{len(names)} segments are no class of {declared.class_system}: {told}; "
        "declare the classes that the masks were made with, or take these out"
    )


def _normal(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.strip().lower()).strip("_")
