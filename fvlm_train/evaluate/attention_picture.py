"""Attention over the CT as a picture: three planes, the organ's outline, a scale, words.

Arrays are (z, y, x), +z superior, +y posterior, +x patient left; pictures are (rows, columns, RGB).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from fvlm_train.evaluate.attend import Attention

Array = np.ndarray[Any, Any]

HEIGHT = 420
"""Pixels of the tallest plane."""
GAP = 12
HEAD = 58
FOOT = 62
FONT = 16
OUTLINE = (0, 229, 255)
BACKGROUND = (16, 16, 16)
INK = (235, 235, 235)
STRONGEST = 0.75
"""Opacity of the token with the largest share."""

PLANES = (("axial", 0, "R", "L"), ("coronal", 1, "R", "L"), ("sagittal", 2, "A", "P"))
"""Name, axis that it is a slice of, and what lies to the left and right of the picture."""


def write_picture(one: Attention, path: Path) -> None:
    """Write the PNG; planes go through the middle of the token with the largest share."""
    from PIL import Image, ImageDraw, ImageFont

    panels = [_panel(one, axis) for _, axis, _, _ in PLANES]
    sizes = [_size(one, axis) for _, axis, _, _ in PLANES]
    scale = HEIGHT / max(rows for rows, _ in sizes)
    pixels = [
        (max(1, round(columns * scale)), max(1, round(rows * scale))) for rows, columns in sizes
    ]
    width = max(sum(w for w, _ in pixels) + GAP * (len(pixels) + 1), 760)
    page = Image.new("RGB", (width, HEAD + HEIGHT + FOOT), BACKGROUND)
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(FONT)
    name = one.anatomy.replace("_", " ")
    draw.text((GAP, 8), f"{name}: attention of its embedding, {one.sample_id}", INK, font)
    left = GAP
    at = _middle(one)
    for (plane, axis, west, east), (image, outline), (w, h) in zip(
        PLANES, panels, pixels, strict=True
    ):
        draw.text((left, 32), f"{plane}, slice {at[axis]}", INK, font)
        shown = Image.fromarray(image).resize((w, h), Image.Resampling.BILINEAR)
        # the outline after scaling: one pixel wide, whatever the voxels
        edge = _edge(np.asarray(Image.fromarray(outline).resize((w, h), Image.Resampling.NEAREST)))
        drawn = np.asarray(shown).copy()
        drawn[edge] = OUTLINE
        page.paste(Image.fromarray(drawn), (left, HEAD))
        draw.text((left + 4, HEAD + h // 2 - FONT // 2), west, INK, font)
        draw.text((left + w - 14, HEAD + h // 2 - FONT // 2), east, INK, font)
        left += w + GAP
    _legend(page, draw, font, one)
    page.save(path, format="PNG")


def _legend(page: Any, draw: Any, font: Any, one: Attention) -> None:
    from PIL import Image

    top, length = HEAD + HEIGHT + 10, 160
    ramp = np.zeros((14, length, 3), np.uint8)
    ramp[:] = _heat(np.linspace(0, 1, length))[None]
    page.paste(Image.fromarray(ramp), (GAP, top + 2))
    draw.text(
        (GAP + length + 8, top),
        f"0 to {one.largest:.1%} of the attention in one token; outline: the mask",
        INK,
        font,
    )
    draw.text(
        (GAP, top + 24),
        f"{one.tokens} tokens touch the mask, as good as {one.effective_tokens:.1f} are used; "
        f"organ in what is looked at: {one.within:.0%} (all its tokens: {one.organ_share:.0%})",
        INK,
        font,
    )


def _middle(one: Attention) -> tuple[int, int, int]:
    """The voxel of the organ nearest to the middle of the token with the largest share."""
    first = np.unravel_index(int(one.share_zyx.argmax()), one.share_zyx.shape)
    middle = [int(n) + size // 2 for n, size in zip(first, one.patch_zyx, strict=True)]
    inside = np.argwhere(one.organ_zyx)
    nearest = inside[((inside - middle) ** 2).sum(axis=1).argmin()]
    return int(nearest[0]), int(nearest[1]), int(nearest[2])


def _panel(one: Attention, axis: int) -> tuple[Array, Array]:
    """The plane as picture (rows, columns, 3) and the mask (rows, columns) in it."""
    at = _middle(one)[axis]
    grey, share, organ = (
        _upright(np.take(array, at, axis=axis), axis)
        for array in (one.image_zyx, one.share_zyx, one.organ_zyx)
    )
    base = np.repeat((grey * 255)[..., None], 3, axis=2)
    part = share / one.largest if one.largest > 0 else share
    opacity = (part * STRONGEST)[..., None]
    picture = base * (1 - opacity) + _heat(part) * opacity
    return picture.astype(np.uint8), (organ * 255).astype(np.uint8)


def _upright(plane: Array, axis: int) -> Array:
    """Axial: front on top; coronal and sagittal: head on top."""
    return np.ascontiguousarray(plane if axis == 0 else plane[::-1])


def _size(one: Attention, axis: int) -> tuple[float, float]:
    """Rows and columns of a plane in mm."""
    extent = [n * s for n, s in zip(one.image_zyx.shape, one.spacing_mm, strict=True)]
    rows, columns = (extent[other] for other in range(3) if other != axis)
    return rows, columns


def _heat(part: Array) -> Array:
    """Dark red over orange to yellow (..., 3) of values in [0, 1]."""
    red = 120 + 135 * np.clip(part * 2, 0, 1)
    green = 225 * np.clip(part * 1.5 - 0.3, 0, 1)
    blue = 40 * np.clip(part * 4 - 3, 0, 1)
    colours: Array = np.stack([red, green, blue], axis=-1)
    return colours


def _edge(mask: Array) -> Array:
    inside = mask > 127
    edge = np.zeros(inside.shape, bool)
    edge[:-1] |= inside[:-1] != inside[1:]
    edge[:, :-1] |= inside[:, :-1] != inside[:, 1:]
    return edge
