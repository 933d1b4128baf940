"""Text in pixels: what scouts, captures and dose pages show, and slices must not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.ingest.geometry import Fault

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

LEAST_PIXELS, GREATEST_SHARE = 40, 0.08
"""Pixels of the brightest value: fewer are no line of text, more no writing."""

LEAST_GLYPHS = 6
GLYPH_HEIGHT = (5, 48)
GLYPH_PIXELS = 5
LINE_SLACK_PX = 2
FLAT_SHARE = 0.9
"""At most the rest of a glyph's size lies in pixels near its value: metal and bone shade off."""


def check_text(image: NDArray[Any]) -> Fault | None:
    """Refuse a slice (rows, columns) with a line of burned-in writing, light or dark.

    Writing has one extreme value, hard edges, and glyphs of like height beside each other. It
    is found by its form, not read.
    """
    for extreme in (image.max(initial=0), image.min(initial=0)):
        mask = image == extreme
        few = LEAST_PIXELS <= np.count_nonzero(mask) <= GREATEST_SHARE * mask.size
        if few and _shows_line(mask, image, int(extreme)):
            return Fault(
                "text_in_pixels",
                "the pixels hold what looks like a line of writing, expected none: a name may be "
                "burned in; look at it, and leave scouts, captures and annotated copies out",
            )
    return None


def _shows_line(mask: NDArray[np.bool_], image: NDArray[Any], extreme: int) -> bool:
    from scipy import ndimage

    labels, number = ndimage.label(mask, structure=np.ones((3, 3)))
    if number < LEAST_GLYPHS:
        return False
    sizes = np.bincount(labels.ravel())
    boxes = [
        (box, int(sizes[place]))
        for place, box in enumerate(ndimage.find_objects(labels), start=1)
        if sizes[place] >= GLYPH_PIXELS
    ]
    if len(boxes) < LEAST_GLYPHS:
        return False
    reach = 0.25 * abs(extreme - float(np.median(image)))
    near = np.abs(image.astype(np.int32) - extreme) <= reach
    return _has_line([box for box, size in boxes if _is_glyph(box, size, near)])


def _is_glyph(box: tuple[slice, ...], size: int, near: NDArray[np.bool_]) -> bool:
    rows, columns = box
    height, width = rows.stop - rows.start, columns.stop - columns.start
    if not (GLYPH_HEIGHT[0] <= height <= GLYPH_HEIGHT[1] and width <= 1.5 * height):
        return False
    around = near[
        max(0, rows.start - 1) : rows.stop + 1, max(0, columns.start - 1) : columns.stop + 1
    ]
    open_within = 1 - size / (height * width)
    others = np.count_nonzero(around) - size
    return others <= (1 - FLAT_SHARE) * size + 1 and (open_within > 0.15 or width <= height / 2)


def _has_line(glyphs: Iterable[tuple[slice, ...]]) -> bool:
    """Whether at least `LEAST_GLYPHS` stand on one line, of like height, near each other."""
    ordered = sorted(glyphs, key=lambda box: (box[1].start, box[0].start))
    for first in ordered:
        height = first[0].stop - first[0].start
        end, count = first[1].stop, 1
        for other in ordered:
            same_height = abs(other[0].stop - other[0].start - height) <= LINE_SLACK_PX
            same_line = abs(other[0].stop - first[0].stop) <= LINE_SLACK_PX
            if same_height and same_line and 0 <= other[1].start - end <= 2 * height:
                end, count = other[1].stop, count + 1
        if count >= LEAST_GLYPHS:
            return True
    return False
