"""Text in pixels: what scouts, captures and dose pages show, and slices must not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.ingest.volume.geometry import Fault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

LEAST_PIXELS, GREATEST_SHARE = 40, 0.08
"""Pixels of the extreme value: fewer make no line of text, a larger share is no writing."""

LEAST_GLYPHS = 6
GLYPH_HEIGHT = (5, 48)
GLYPH_PIXELS = 5
LINE_SLACK_PX = 2
FLAT_SHARE = 0.9
"""Pixels near a glyph's value are at most the rest of its size: metal and bone shade off."""

OPEN_SHARE = 0.3
"""Share of its box that a letter leaves open; a blob fills more (a disc 0.79)."""


class Glyph:
    """A connected piece of the extreme value, as big as a letter may be; sizes in pixels."""

    def __init__(self, box: tuple[slice, ...], size: int) -> None:
        """`box` holds its rows and columns, `size` its pixels."""
        self.top, self.bottom = box[0].start, box[0].stop
        self.left, self.right = box[1].start, box[1].stop
        self.height = self.bottom - self.top
        self.is_open = size < (1 - OPEN_SHARE) * self.height * (self.right - self.left)


def check_text(image: NDArray[Any]) -> Fault | None:
    """Refuse a slice (rows, columns) with a line of burned-in writing, light or dark.

    Writing has one extreme value, hard edges, and a row of glyphs of similar height. It is
    recognised by its shape, not read.
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

    # neighbours over corners count: strokes of letters run diagonally
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
    glyphs = [Glyph(box, size) for box, size in boxes if _is_glyph(box, size, near)]
    return _has_line(sorted(glyphs, key=lambda glyph: (glyph.left, glyph.top)))


def _is_glyph(box: tuple[slice, ...], size: int, near: NDArray[np.bool_]) -> bool:
    rows, columns = box
    height, width = rows.stop - rows.start, columns.stop - columns.start
    if not (GLYPH_HEIGHT[0] <= height <= GLYPH_HEIGHT[1] and width <= 1.5 * height):
        return False
    around = near[
        max(0, rows.start - 1) : rows.stop + 1, max(0, columns.start - 1) : columns.stop + 1
    ]
    # one pixel around the box shows whether the value ends sharply there
    others = np.count_nonzero(around) - size
    return bool(others <= (1 - FLAT_SHARE) * size + 1)


def _has_line(glyphs: Sequence[Glyph]) -> bool:
    """Whether enough glyphs of similar height stand close together on one line.

    At least half of them must leave part of their box open: a row of screws or clips does not.
    """
    for first in glyphs:
        line = [first]
        for other in glyphs:
            like = abs(other.height - first.height) <= LINE_SLACK_PX
            level = abs(other.bottom - first.bottom) <= LINE_SLACK_PX
            if like and level and 0 <= other.left - line[-1].right <= 2 * first.height:
                line.append(other)
        if len(line) >= LEAST_GLYPHS and 2 * sum(one.is_open for one in line) >= len(line):
            return True
    return False
