"""Tokens with their coordinates: all that pooling by anatomy asks of an image encoder.

Shapes: B batch, L levels, N tokens, D width; windows are (B, z, y, x).
"""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

SizeZYX = tuple[int, int, int]


class Tokens(NamedTuple):
    """What an encoder sees in windows, and where.

    `tokens_bnd` are its last features; `centres_n3` the middle of each token's cell in voxels of
    the window along z, y, x, where voxel 0 has its middle at 0.
    """

    tokens_bnd: Tensor
    centres_n3: Tensor


class TokenEncoder(Protocol):
    """An image encoder, a torch module.

    Its tokens tile the window by cells of one size, x fastest: so an anatomy's mask selects them.
    """

    width: int
    """Features of a token."""

    cell_zyx: SizeZYX
    """Voxels from one token to the next."""

    def __call__(self, image_bzyx: Tensor, added_bnd: Tensor | None = None, /) -> Tensor:
        """Windows in [0, 1] -> features (B, L, N, D), those of the last level at the end.

        `added_bnd` joins the embedding of each token, in an encoder that has one.
        """

    def features(self, image_bzyx: Tensor, /) -> Tokens:
        """Windows in [0, 1] -> tokens and their places."""


def grid_of(shape_zyx: SizeZYX, cell_zyx: SizeZYX) -> SizeZYX:
    """Tokens along z, y, x of a window.

    Raises:
        ValueError: an axis is no multiple of the cell.
    """
    if any(size % cell for size, cell in zip(shape_zyx, cell_zyx, strict=True)):
        raise ValueError(
            f"Window of {shape_zyx} voxels (z, y, x) is no multiple of the patch {cell_zyx}."
        )
    z, y, x = (size // cell for size, cell in zip(shape_zyx, cell_zyx, strict=True))
    return z, y, x


def centres(shape_zyx: SizeZYX, cell_zyx: SizeZYX) -> Tensor:
    """Middles (N, 3) of the cells that tile a window, x fastest, in its voxels."""
    grid = grid_of(shape_zyx, cell_zyx)
    axes = [
        torch.arange(count) * cell + (cell - 1) / 2
        for count, cell in zip(grid, cell_zyx, strict=True)
    ]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, 3)


def with_centres(levels_blnd: Tensor, image_bzyx: Tensor, cell_zyx: SizeZYX) -> Tokens:
    """The last level of features with its places.

    Raises:
        ValueError: there are more or fewer tokens than cells.
    """
    _, z, y, x = image_bzyx.shape
    middle_n3 = centres((z, y, x), cell_zyx)
    check_count(levels_blnd, (z, y, x), cell_zyx)
    return Tokens(levels_blnd[:, -1], middle_n3.to(levels_blnd.device))


def check_count(levels_blnd: Tensor, shape_zyx: SizeZYX, cell_zyx: SizeZYX) -> None:
    """Refuse (ValueError) features that are not one a cell."""
    wanted = math.prod(grid_of(shape_zyx, cell_zyx))
    if levels_blnd.shape[2] != wanted:
        raise ValueError(
            f"The image encoder gives {levels_blnd.shape[2]} tokens for a window of {shape_zyx} "
            f"voxels, expected {wanted}, one for each {cell_zyx} voxels (z, y, x)."
        )
