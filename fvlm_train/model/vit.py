"""3D vision transformer: from CT windows to token features at several depths.

Shapes: B batch, L levels, N tokens, D width, H heads, E features of a head, P voxels of a patch.
"""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name that every reader of torch knows

if TYPE_CHECKING:
    from fvlm_train.config import ImageEncoderConfig

SizeZYX = tuple[int, int, int]


class PatchEmbedding(nn.Module):
    """One linear map of a patch; the weight is shaped as a convolution's, (D, 1, pz, py, px)."""

    def __init__(self, width: int, patch_zyx: SizeZYX) -> None:
        """Uniform start of a convolution (the public recipe leaves its patch layer at it)."""
        super().__init__()
        self.patch_zyx = patch_zyx
        self.weight = nn.Parameter(torch.empty(width, 1, *patch_zyx))
        self.bias = nn.Parameter(torch.empty(width))
        bound = 1 / math.sqrt(math.prod(patch_zyx))
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, image_bzyx: Tensor) -> Tensor:
        """(B, z, y, x) -> (B, N, D); a matrix product, several times faster on CPU than conv3d."""
        pz, py, px = self.patch_zyx
        batch, z, y, x = image_bzyx.shape
        cells = image_bzyx.reshape(batch, z // pz, pz, y // py, py, x // px, px)
        patches_bnp = cells.permute(0, 1, 3, 5, 2, 4, 6).reshape(batch, -1, pz * py * px)
        return F.linear(patches_bnp, self.weight.flatten(1), self.bias)


class ConvStem(nn.Module):
    """Intensity windows, then strided convolutions down to the patch grid.

    The image enters as `windows` channels, each a narrow intensity window of its own: a
    lesion's contrast is a few per cent of the whole range and would be found late. The first
    halving averages the windows, a soft histogram of each cell that needs no gradient.
    """

    def __init__(self, width: int, patch_zyx: SizeZYX, stem_width: int, windows: int) -> None:
        """Channels start at `stem_width` and double with every halving, `width` at most."""
        super().__init__()
        self.windows = windows
        self.cell_zyx = tuple(min(size, 2) for size in patch_zyx)
        halvings = [size.bit_length() - 2 for size in patch_zyx]
        steps = max(1, *halvings)
        layers: list[nn.Module] = []
        channels = windows
        for step in range(steps):
            # the axis with the fewest halvings starts last: voxels become even before they blur
            z, y, x = (2 if step >= steps - halving else 1 for halving in halvings)
            following = min(width, stem_width * 2**step)
            layers += [
                nn.Conv3d(channels, following, 3, (z, y, x), padding=1),
                nn.GroupNorm(1, following),
                nn.GELU(),
            ]
            channels = following
        layers.append(nn.Conv3d(channels, width, 1))
        self.layers = nn.Sequential(*layers)

    def forward(self, image_bzyx: Tensor) -> Tensor:
        """(B, z, y, x) -> (B, N, D)."""
        features: Tensor = self.layers(self.soft_histogram(image_bzyx))
        return features.flatten(2).transpose(1, 2)

    @torch.no_grad()
    def soft_histogram(self, image_bzyx: Tensor) -> Tensor:
        """Mean of each window over cells of 2 voxels an axis: (B, windows, z/2, y/2, x/2).

        Voxel by voxel of a cell and window by window, which stays in a CPU's cache: six times
        faster than windows of the whole image and a pooling.
        """
        cz, cy, cx = self.cell_zyx
        batch, z, y, x = image_bzyx.shape
        total = image_bzyx.new_zeros(batch, self.windows, z // cz, y // cy, x // cx)
        for dz, dy, dx in product(range(cz), range(cy), range(cx)):
            voxels = image_bzyx[:, dz::cz, dy::cy, dx::cx].contiguous()
            for number in range(self.windows):
                centre = (number + 0.5) / self.windows
                total[:, number] += ((voxels - centre) * self.windows).clamp_(-1, 1)
        return total / (cz * cy * cx)


class SelfAttention(nn.Module):
    """Multi-head self-attention; the fused projection is ordered query, key, value, then head."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        """`dropout` acts on the attention weights and on the output."""
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.qkv = nn.Linear(width, 3 * width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x_bnd: Tensor) -> Tensor:
        """(B, N, D) -> (B, N, D)."""
        batch, tokens, width = x_bnd.shape
        qkv: Tensor = self.qkv(x_bnd)
        q_bhne, k_bhne, v_bhne = qkv.reshape(
            batch, tokens, 3, self.heads, width // self.heads
        ).permute(2, 0, 3, 1, 4)
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(q_bhne, k_bhne, v_bhne, dropout_p=dropout)
        out: Tensor = self.out_proj(mixed.transpose(1, 2).reshape(batch, tokens, width))
        return F.dropout(out, self.dropout, self.training)


class Block(nn.Module):
    """Pre-norm transformer block with an erf GELU."""

    def __init__(self, width: int, heads: int, mlp_ratio: float, dropout: float) -> None:
        """`mlp_ratio` is the MLP's hidden width over `width`."""
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = SelfAttention(width, heads, dropout)
        self.norm2 = nn.LayerNorm(width)
        hidden = round(width * mlp_ratio)
        self.mlp = nn.Sequential(
            nn.Linear(width, hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, width),
            nn.Dropout(dropout),
        )

    def forward(self, x_bnd: Tensor) -> Tensor:
        """(B, N, D) -> (B, N, D)."""
        x_bnd = x_bnd + self.attn(self.norm1(x_bnd))
        out: Tensor = x_bnd + self.mlp(self.norm2(x_bnd))
        return out


class ImageEncoder(nn.Module):
    """ViT over 3D patches with learned positions, giving features of several levels."""

    def __init__(self, config: ImageEncoderConfig) -> None:
        """LayerNorm eps is torch's 1e-5, as in the public code (MAE's own is 1e-6)."""
        super().__init__()
        self.patch_zyx = config.patch_zyx
        self.grid_zyx = config.grid_zyx
        self.level_blocks = config.level_blocks
        self.embedding = (
            PatchEmbedding(config.width, config.patch_zyx)
            if config.stem == "patch"
            else ConvStem(config.width, config.patch_zyx, config.stem_width, config.stem_windows)
        )
        self.positions = nn.Parameter(torch.empty(1, math.prod(self.grid_zyx), config.width))
        nn.init.trunc_normal_(self.positions, std=0.02)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(
            Block(config.width, config.heads, config.mlp_ratio, config.dropout)
            for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(config.width)

    def forward(self, image_bzyx: Tensor) -> Tensor:
        """Windows (B, z, y, x) scaled to [0, 1] -> features (B, L, N, D).

        Levels are the raw outputs of `level_blocks`, then the final norm. Tokens run x fastest.

        Raises:
            ValueError: an axis is no multiple of the patch.
        """
        grid_zyx = self._grid_of(image_bzyx)
        x_bnd = self.dropout(self.embedding(image_bzyx) + self.positions_for(grid_zyx))
        levels = []
        for number, block in enumerate(self.blocks):
            x_bnd = block(x_bnd)
            if number in self.level_blocks:
                levels.append(x_bnd)
        return torch.stack([*levels, self.norm(x_bnd)], dim=1)

    def positions_for(self, grid_zyx: SizeZYX) -> Tensor:
        """Positions (1, N, D) of a token grid, trilinear where it differs from the trained one."""
        if grid_zyx == self.grid_zyx:
            return self.positions
        width = self.positions.shape[-1]
        field = self.positions.transpose(1, 2).reshape(1, width, *self.grid_zyx)
        resized = F.interpolate(field, size=grid_zyx, mode="trilinear", align_corners=False)
        return resized.flatten(2).transpose(1, 2)

    def _grid_of(self, image_bzyx: Tensor) -> SizeZYX:
        sizes = tuple(image_bzyx.shape[1:])
        if any(size % patch for size, patch in zip(sizes, self.patch_zyx, strict=True)):
            raise ValueError(
                f"Window of {sizes} voxels (z, y, x) is no multiple of the patch {self.patch_zyx}."
            )
        z, y, x = (size // patch for size, patch in zip(sizes, self.patch_zyx, strict=True))
        return z, y, x
