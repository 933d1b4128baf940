"""3D vision transformer: from CT windows to token features at several depths.

Shapes: B batch, L levels, N tokens, D width, H heads, E features of a head, P voxels of a patch.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name that every reader of torch knows
from torch.utils.checkpoint import checkpoint

from fvlm_train.model.attention import attention
from fvlm_train.model.encoders.tokens import grid_of, with_centres

if TYPE_CHECKING:
    from fvlm_train.config import ImageEncoderConfig
    from fvlm_train.model.encoders.tokens import Tokens

SizeZYX = tuple[int, int, int]


class PatchEmbedding(nn.Module):
    """One linear map of a patch; the weight is shaped as a convolution's, (D, 1, pz, py, px)."""

    def __init__(self, width: int, patch_zyx: SizeZYX) -> None:
        """Uniform start of a convolution (the public recipe leaves its patch layer at it)."""
        super().__init__()
        self.patch_zyx = patch_zyx
        self.weight = nn.Parameter(torch.empty(width, 1, *patch_zyx))
        self.bias = nn.Parameter(torch.empty(width))
        # torch's default for Conv3d with one input channel
        bound = 1 / math.sqrt(math.prod(patch_zyx))
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, image_bzyx: Tensor) -> Tensor:
        """(B, z, y, x) -> (B, N, D); a matrix product, several times faster on CPU than conv3d."""
        pz, py, px = self.patch_zyx
        batch, z, y, x = image_bzyx.shape
        cells = image_bzyx.reshape(batch, z // pz, pz, y // py, py, x // px, px)
        # grid axes together, then the axes within a patch: tokens run x fastest, as masks are
        # flattened
        patches_bnp = cells.permute(0, 1, 3, 5, 2, 4, 6).reshape(batch, -1, pz * py * px)
        return F.linear(patches_bnp, self.weight.flatten(1), self.bias)


class HistogramStem(nn.Module):
    """Soft histograms of a patch's cells, then one linear map.

    Each voxel is seen through `windows` narrow intensity windows, averaged over the cells of a
    patch: a lesion's contrast is a few per cent of the whole range, which a linear map of raw
    voxels finds late. Nothing of this needs a gradient, which keeps it cheap on CPU.
    """

    def __init__(self, width: int, patch_zyx: SizeZYX, windows: int, cells: int) -> None:
        """A patch has `cells` cells along each axis, fewer where it has fewer voxels."""
        super().__init__()
        self.windows = windows
        z, y, x = (max(size // cells, 1) for size in patch_zyx)
        self.cell_zyx = (z, y, x)
        self.cells_zyx = (patch_zyx[0] // z, patch_zyx[1] // y, patch_zyx[2] // x)
        self.linear = nn.Linear(windows * math.prod(self.cells_zyx), width)

    def forward(self, image_bzyx: Tensor) -> Tensor:
        """(B, z, y, x) -> (B, N, D)."""
        means = self.soft_histogram(image_bzyx)
        (batch, windows, z, y, x), (cz, cy, cx) = means.shape, self.cells_zyx
        cells = means.reshape(batch, windows, z // cz, cz, y // cy, cy, x // cx, cx)
        patches = cells.permute(0, 2, 4, 6, 1, 3, 5, 7).flatten(4).flatten(1, 3)
        out: Tensor = self.linear(patches)
        return out

    @torch.no_grad()
    def soft_histogram(self, image_bzyx: Tensor) -> Tensor:
        """Mean of each window, in [-1, 1], over each cell: (B, windows, z, y, x) in cells.

        Image by image and window by window in one buffer, which stays in a CPU's cache.
        """
        if torch.compiler.is_compiling():  # a loop over images would fix their number
            centre_w = (torch.arange(self.windows, device=image_bzyx.device) + 0.5) / self.windows
            seen_bwzyx = (image_bzyx[:, None] - centre_w[:, None, None, None]) * self.windows
            return F.avg_pool3d(seen_bwzyx.clamp(-1, 1), self.cell_zyx)
        means = []
        seen_zyx = torch.empty_like(image_bzyx[0])
        for image_zyx in image_bzyx:
            for number in range(self.windows):
                centre = (number + 0.5) / self.windows
                torch.sub(image_zyx, centre, out=seen_zyx).mul_(self.windows).clamp_(-1, 1)
                means.append(F.avg_pool3d(seen_zyx[None], self.cell_zyx)[0])
        stacked = torch.stack(means)
        return stacked.reshape(len(image_bzyx), self.windows, *stacked.shape[1:])


class ChannelNorm(nn.Module):
    """LayerNorm over the channels of each voxel: a token depends on its surroundings only."""

    def __init__(self, channels: int) -> None:
        """Weights of a LayerNorm."""
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, image_bczyx: Tensor) -> Tensor:
        """(B, C, z, y, x) -> the same."""
        normed: Tensor = self.norm(image_bczyx.movedim(1, -1))
        return normed.movedim(-1, 1)


class ConvolutionStem(nn.Module):
    """Convolutions of 3 voxels along each axis, each halving the axes that a patch still spans.

    Their fields overlap, so that a lesion on the border of two patches is seen whole. The last one
    takes what does not halve.
    """

    def __init__(self, width: int, patch_zyx: SizeZYX) -> None:
        """Channels double from an eighth of `width` on, at least 8."""
        super().__init__()
        left, channels, layers = list(patch_zyx), 1, list[nn.Module]()
        strides = []
        while any(size > 1 and size % 2 == 0 for size in left):
            step = [2 if size > 1 and size % 2 == 0 else 1 for size in left]
            strides.append(step)
            left = [size // by for size, by in zip(left, step, strict=True)]
        for number, (z, y, x) in enumerate(strides):
            out = min(width, max(8, width >> (len(strides) - number)))
            layers += [
                nn.Conv3d(channels, out, 3, stride=(z, y, x), padding=1, bias=False),
                ChannelNorm(out),
                nn.GELU(),
            ]
            channels = out
        z, y, x = left
        layers.append(nn.Conv3d(channels, width, (z, y, x), stride=(z, y, x)))
        self.layers = nn.Sequential(*layers)

    def forward(self, image_bzyx: Tensor) -> Tensor:
        """(B, z, y, x) -> (B, N, D)."""
        out: Tensor = self.layers(image_bzyx[:, None])
        return out.flatten(2).transpose(1, 2)


def _stem(config: ImageEncoderConfig) -> nn.Module:
    if config.stem == "patch":
        return PatchEmbedding(config.width, config.patch_zyx)
    if config.stem == "convolution":
        return ConvolutionStem(config.width, config.patch_zyx)
    return HistogramStem(config.width, config.patch_zyx, config.stem_windows, config.stem_cells)


class SelfAttention(nn.Module):
    """Multi-head self-attention; the fused projection is ordered query, key, value, then head."""

    def __init__(self, width: int, heads: int, dropout: float, weight_dropout: float) -> None:
        """`dropout` acts on the output, `weight_dropout` on the attention weights."""
        super().__init__()
        self.heads = heads
        self.dropout, self.weight_dropout = dropout, weight_dropout
        self.qkv = nn.Linear(width, 3 * width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x_bnd: Tensor) -> Tensor:
        """(B, N, D) -> (B, N, D)."""
        batch, tokens, width = x_bnd.shape
        qkv: Tensor = self.qkv(x_bnd)
        q_bhne, k_bhne, v_bhne = qkv.reshape(
            batch, tokens, 3, self.heads, width // self.heads
        ).permute(2, 0, 3, 1, 4)
        dropout = self.weight_dropout if self.training else 0.0
        mixed = attention(q_bhne, k_bhne, v_bhne, dropout)
        out: Tensor = self.out_proj(mixed.transpose(1, 2).reshape(batch, tokens, width))
        return F.dropout(out, self.dropout, self.training)


class Block(nn.Module):
    """Pre-norm transformer block with an erf GELU."""

    def __init__(self, config: ImageEncoderConfig) -> None:
        """Sizes and dropout of `config`."""
        super().__init__()
        width, dropout = config.width, config.dropout
        self.norm1 = nn.LayerNorm(width)
        self.attn = SelfAttention(width, config.heads, dropout, config.weight_dropout)
        self.norm2 = nn.LayerNorm(width)
        hidden = round(width * config.mlp_ratio)
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
        self.patch_zyx = self.cell_zyx = config.patch_zyx
        self.width = config.width
        self.grid_zyx = config.grid_zyx
        self.level_blocks = config.level_blocks
        self.embedding = _stem(config)
        self.positions = nn.Parameter(torch.empty(1, math.prod(self.grid_zyx), config.width))
        nn.init.trunc_normal_(self.positions, std=0.02)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width)
        self.checkpointing = False

    def forward(self, image_bzyx: Tensor, added_bnd: Tensor | None = None) -> Tensor:
        """Windows (B, z, y, x) scaled to [0, 1] -> features (B, L, N, D).

        Levels are the raw outputs of `level_blocks`, then the final norm. Tokens run x fastest.
        `added_bnd` joins the embedding of each token.

        Raises:
            ValueError: an axis is not a multiple of the patch.
        """
        _, z, y, x = image_bzyx.shape
        grid_zyx = grid_of((z, y, x), self.patch_zyx)
        x_bnd = self.embedding(image_bzyx) + self.positions_for(grid_zyx)
        x_bnd = self.dropout(x_bnd if added_bnd is None else x_bnd + added_bnd)
        levels = []
        for number, block in enumerate(self.blocks):
            if self.checkpointing and self.training:
                x_bnd = checkpoint(block, x_bnd, use_reentrant=False)
            else:
                x_bnd = block(x_bnd)
            if number in self.level_blocks:
                levels.append(x_bnd)
        return torch.stack([*levels, self.norm(x_bnd)], dim=1)

    def features(self, image_bzyx: Tensor) -> Tokens:
        """Windows in [0, 1] -> tokens and their places."""
        return with_centres(self(image_bzyx), image_bzyx, self.cell_zyx)

    def positions_for(self, grid_zyx: SizeZYX) -> Tensor:
        """Positions (1, N, D) of a token grid, trilinear where it differs from the trained one."""
        if grid_zyx == self.grid_zyx:
            return self.positions
        width = self.positions.shape[-1]
        field = self.positions.transpose(1, 2).reshape(1, width, *self.grid_zyx)
        resized = F.interpolate(field, size=grid_zyx, mode="trilinear", align_corners=False)
        return resized.flatten(2).transpose(1, 2)
