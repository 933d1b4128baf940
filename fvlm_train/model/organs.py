"""What a window shows of each organ, voxel by voxel: how much of each token, how bright, how even.

Tokens that an organ's mask touches mostly show something else: a patch of 8 voxels along each axis
is selected by one voxel of the organ. Here only the organ's own voxels count. Nothing of it needs a
gradient, and only voxels of organs are looked at, which keeps it cheap.

Shapes: B batch, A anatomy, N tokens, M voxels of organs, W intensity windows, F features of an
organ; images and organs are (B, z, y, x).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, distributed, nn

if TYPE_CHECKING:
    from fvlm_train.config import OrganConfig

SizeZYX = tuple[int, int, int]

VOXELS_AT_ONCE = 1 << 18

LARGEST = 5.0
"""Bound of a standardised feature: one odd organ must not drown the others."""


class OrganVoxels(NamedTuple):
    """Voxels of each anatomy in each token, and the sum of each intensity window over them."""

    count_ban: Tensor
    sum_banw: Tensor


def organ_voxels(
    image_bzyx: Tensor, organs_bzyx: Tensor, anatomies: int, patch_zyx: SizeZYX, windows: int
) -> OrganVoxels:
    """Count and measure; `organs_bzyx` (uint8) holds 1 + the anatomy's number, 0 elsewhere.

    A window is clamp((intensity - centre) x windows, -1, 1), as those of the histogram stem.
    """
    if torch.compiler.is_compiling():
        return _organ_voxels_static(image_bzyx, organs_bzyx, anatomies, patch_zyx, windows)
    grid = tuple(size // patch for size, patch in zip(image_bzyx.shape[1:], patch_zyx, strict=True))
    tokens = math.prod(grid)
    counts, sums = [], []
    # image by image: the voxels of one fit a CPU's cache
    for image_zyx, organs_zyx in zip(image_bzyx, organs_bzyx, strict=True):
        flat = organs_zyx.reshape(-1)
        at_m = flat.nonzero().squeeze(1)
        pair_m = (flat[at_m].long() - 1) * tokens + _token_of(
            at_m, tuple(image_zyx.shape), patch_zyx
        )
        counts.append(torch.bincount(pair_m, minlength=anatomies * tokens))
        value_m = image_zyx.reshape(-1)[at_m]
        sums.append(_window_sums(value_m, pair_m, anatomies * tokens, windows))
    batch = len(counts)
    return OrganVoxels(
        torch.stack(counts).reshape(batch, anatomies, tokens).to(image_bzyx.dtype),
        torch.stack(sums).reshape(batch, anatomies, tokens, windows),
    )


def _organ_voxels_static(
    image_bzyx: Tensor, organs_bzyx: Tensor, anatomies: int, patch_zyx: SizeZYX, windows: int
) -> OrganVoxels:
    """The same with sizes that do not hang on the data, which a compiler or an export needs.

    Every voxel is looked at, those of no organ as of one more anatomy: several times slower.
    """
    batch = image_bzyx.shape[0]
    shape_zyx = tuple(image_bzyx.shape[1:])
    tokens = math.prod(size // patch for size, patch in zip(shape_zyx, patch_zyx, strict=True))
    voxel_m = torch.arange(math.prod(shape_zyx), device=image_bzyx.device)
    token_m = _token_of(voxel_m, shape_zyx, patch_zyx)
    pair_bm = organs_bzyx.reshape(batch, -1).long() * tokens + token_m
    value_bm = image_bzyx.reshape(batch, -1)
    pairs = (anatomies + 1) * tokens
    zeros_bp = value_bm.new_zeros(batch, pairs)
    counts_bp = zeros_bp.scatter_add(1, pair_bm, torch.ones_like(value_bm))
    sums = []
    for number in range(windows):
        seen_bm = ((value_bm - (number + 0.5) / windows) * windows).clamp(-1, 1)
        sums.append(zeros_bp.scatter_add(1, pair_bm, seen_bm))
    sums_bpw = torch.stack(sums, dim=-1) if sums else value_bm.new_zeros(batch, pairs, 0)
    return OrganVoxels(
        counts_bp.reshape(batch, anatomies + 1, tokens)[:, 1:],
        sums_bpw.reshape(batch, anatomies + 1, tokens, windows)[:, 1:],
    )


def _token_of(at_m: Tensor, shape_zyx: tuple[int, ...], patch_zyx: SizeZYX) -> Tensor:
    """Number of the token, x fastest, that holds each voxel of a flattened window."""
    (_, y, x), (pz, py, px) = shape_zyx, patch_zyx
    z_m = at_m // (y * x)
    y_m = at_m // x % y
    x_m = at_m % x
    return (z_m // pz * (y // py) + y_m // py) * (x // px) + x_m // px


def _window_sums(value_m: Tensor, pair_m: Tensor, pairs: int, windows: int) -> Tensor:
    """(pairs, W)."""
    sums_pw = value_m.new_zeros(pairs, windows)
    # a part of the voxels at a time, since each becomes W numbers
    centre_w = (torch.arange(windows, device=value_m.device) + 0.5) / max(windows, 1)
    for start in range(0, len(value_m), VOXELS_AT_ONCE):
        part = slice(start, start + VOXELS_AT_ONCE)
        seen_pw = ((value_m[part, None] - centre_w) * windows).clamp_(-1, 1)
        sums_pw.index_add_(0, pair_m[part], seen_pw)
    return sums_pw


class OrganFeatures(nn.Module):
    """Size and brightness of each organ as features that join its pooled tokens.

    Logarithms of its voxels and tokens; with intensity windows, their mean over the organ, and
    deviation, least and largest of the means of its tokens. Each is standardised by what training
    has seen of the anatomy.
    """

    def __init__(self, anatomies: int, config: OrganConfig) -> None:
        """`joined` features come out, for an anatomy."""
        super().__init__()
        self.windows = config.histogram_windows
        self.measured = found = 2 + 4 * self.windows
        self.scale = RunningScale(anatomies, found)
        self.hidden = config.hidden
        if self.hidden:
            self.weight = nn.Parameter(torch.empty(anatomies, config.hidden, found))
            self.bias = nn.Parameter(torch.zeros(anatomies, config.hidden))
            nn.init.uniform_(self.weight, -(found**-0.5), found**-0.5)
        self.dropout = nn.Dropout(config.dropout)
        self.joined = found + config.hidden

    def forward(self, measured_baf: Tensor) -> Tensor:
        """(B, A, joined) of what `measures` gave; zeros where an anatomy has no voxel."""
        with torch.no_grad():
            present_ba = ~measured_baf[..., 0].isnan()
            plain_baf = self.scale(measured_baf.nan_to_num(0.0), present_ba)
        plain_baf = self.dropout(plain_baf)
        joined_baj: Tensor = plain_baf
        if self.hidden:
            hidden_bah = torch.einsum("baf,ahf->bah", plain_baf, self.weight) + self.bias
            joined_baj = torch.cat([plain_baf, nn.functional.gelu(hidden_bah)], dim=-1)
        shown_baj: Tensor = joined_baj * present_ba[..., None]
        return shown_baj


def measures(voxels: OrganVoxels) -> Tensor:
    """Features (B, A, 2 + 4 W) of each organ; NaN for one without a voxel."""
    count_ban1 = voxels.count_ban[..., None]
    absent_ba1 = ~count_ban1.any(dim=2)
    total_ba1 = count_ban1.sum(dim=2).clamp(min=1)
    tokens_ba1 = (count_ban1 > 0).sum(dim=2).clamp(min=1)
    sizes = [total_ba1.log(), tokens_ba1.to(total_ba1.dtype).log()]
    if voxels.sum_banw.shape[-1] == 0:
        return torch.cat(sizes, dim=-1).masked_fill(absent_ba1, torch.nan)
    mean_banw = voxels.sum_banw / count_ban1.clamp(min=1)
    mean_baw = voxels.sum_banw.sum(dim=2) / total_ba1
    spread_banw = count_ban1 * (mean_banw - mean_baw[:, :, None]) ** 2
    deviation_baw = (spread_banw.sum(dim=2) / total_ba1).sqrt()
    # windows lie in [-1, 1]: 2 is beyond every token of the organ
    elsewhere_ban1 = count_ban1 == 0
    least_baw = mean_banw.masked_fill(elsewhere_ban1, 2).amin(dim=2)
    largest_baw = mean_banw.masked_fill(elsewhere_ban1, -2).amax(dim=2)
    found = [*sizes, mean_baw, deviation_baw, least_baw, largest_baw]
    return torch.cat(found, dim=-1).masked_fill(absent_ba1, torch.nan)


class RunningScale(nn.Module):
    """Standardises features by mean and deviation of all that training has seen of an anatomy."""

    count: Tensor
    mean: Tensor
    squares: Tensor

    def __init__(self, anatomies: int, features: int) -> None:
        """Nothing seen: features pass as 0."""
        super().__init__()
        self.register_buffer("count", torch.zeros(anatomies, 1, dtype=torch.float64))
        self.register_buffer("mean", torch.zeros(anatomies, features, dtype=torch.float64))
        self.register_buffer("squares", torch.zeros(anatomies, features, dtype=torch.float64))

    @torch.no_grad()
    def forward(self, found_baf: Tensor, present_ba: Tensor) -> Tensor:
        """(B, A, F), bounded; in training the batch is added to what was seen first."""
        if self.training:
            self._add(found_baf.double(), present_ba.double()[..., None])
        deviation_af = (self.squares / self.count.clamp(min=1)).sqrt()
        # a feature that never varies says nothing
        known_af = deviation_af > 1e-6
        scaled_baf = (found_baf.double() - self.mean) / deviation_af.where(known_af, torch.inf)
        return scaled_baf.clamp(-LARGEST, LARGEST).to(found_baf.dtype)

    def _add(self, found_baf: Tensor, present_ba1: Tensor) -> None:
        """Join two samples of a distribution (Chan et al., 1979); over all ranks alike."""
        sums = torch.stack(
            [
                present_ba1.sum(0).expand_as(self.mean),
                (found_baf * present_ba1).sum(0),
                (found_baf**2 * present_ba1).sum(0),
            ]
        )
        if distributed.is_available() and distributed.is_initialized():
            distributed.all_reduce(sums)
        count_a1, total_af, square_af = sums[0, :, :1], sums[1], sums[2]
        mean_af = total_af / count_a1.clamp(min=1)
        within_af = (square_af - count_a1 * mean_af**2).clamp(min=0)
        both_a1 = self.count + count_a1
        share_a1 = count_a1 / both_a1.clamp(min=1)
        gap_af = mean_af - self.mean
        self.squares += within_af + gap_af**2 * self.count * share_a1
        self.mean += gap_af * share_a1
        self.count += count_a1
