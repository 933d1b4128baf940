"""A ResNet whose kernels were drawn out along z: windows to its last feature map as tokens.

Source: I3D (arXiv 1705.07750); Merlin (arXiv 2406.06512), whose image side is such a ResNet-152.
Names are those of its weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name that every reader of torch knows

from fvlm_train.model.encoders.orientation import to_ras, tokens_from_ras
from fvlm_train.model.encoders.tokens import grid_of, with_centres

if TYPE_CHECKING:
    from fvlm_train.config.encoders import ResNetOptions
    from fvlm_train.model.encoders.tokens import SizeZYX, Tokens

CELL_ZYX = (16, 32, 32)
"""The first convolution halves y and x alone, all others that halve do so along each axis."""

EXPANSION = 4
"""Channels that leave a bottleneck over those inside."""

PREFIX = "encode_image.i3_resnet."
"""Of the image side's names in Merlin's checkpoint."""


class Bottleneck(nn.Module):
    """1, 3 and 1 voxels along each axis; the middle one halves the grid where `stride` is 2."""

    def __init__(self, entering: int, inside: int, stride: int) -> None:
        """A projection stands beside it where size or channels change."""
        super().__init__()
        leaving = inside * EXPANSION
        self.conv1 = nn.Conv3d(entering, inside, 1, bias=False)
        self.bn1 = nn.BatchNorm3d(inside)
        self.conv2 = nn.Conv3d(inside, inside, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm3d(inside)
        self.conv3 = nn.Conv3d(inside, leaving, 1, bias=False)
        self.bn3 = nn.BatchNorm3d(leaving)
        self.downsample = None
        if stride != 1 or entering != leaving:
            self.downsample = nn.Sequential(
                nn.Conv3d(entering, leaving, 1, stride=stride, bias=False), nn.BatchNorm3d(leaving)
            )

    def forward(self, x_bczyx: Tensor) -> Tensor:
        """(B, C, z, y, x) -> (B, 4 C', z', y', x')."""
        out = torch.relu(self.bn1(self.conv1(x_bczyx)))
        out = torch.relu(self.bn2(self.conv2(out)))
        beside = x_bczyx if self.downsample is None else self.downsample(x_bczyx)
        return torch.relu(self.bn3(self.conv3(out)) + beside)


class I3dResNet(nn.Module):
    """Its fourth layer's map: a token for each 16 x 32 x 32 voxels (z, y, x)."""

    def __init__(self, options: ResNetOptions) -> None:
        """Sizes of `options`; three input channels, as an ImageNet ResNet has."""
        super().__init__()
        self.cell_zyx: SizeZYX = CELL_ZYX
        self.frozen_norm = options.frozen_norm
        width = options.width
        self.conv1 = nn.Conv3d(3, width, (3, 7, 7), stride=(1, 2, 2), padding=(1, 3, 3), bias=False)
        self.bn1 = nn.BatchNorm3d(width)
        self.maxpool = nn.MaxPool3d(3, stride=2, padding=1)
        entering, layers = width, []
        for number, count in enumerate(options.blocks):
            inside = width * 2**number
            strides = [2 if number else 1, *[1] * (count - 1)]
            blocks = []
            for stride in strides:
                blocks.append(Bottleneck(entering, inside, stride))
                entering = inside * EXPANSION
            layers.append(nn.Sequential(*blocks))
        self.layer1, self.layer2, self.layer3, self.layer4 = layers
        self.width = entering

    def train(self, mode: bool = True) -> Self:
        """Frozen norms stay as in evaluation."""
        super().train(mode)
        if self.frozen_norm:
            for module in self.modules():
                if isinstance(module, nn.BatchNorm3d):
                    module.eval()
        return self

    def forward(self, image_bzyx: Tensor, added_bnd: Tensor | None = None) -> Tensor:
        """(B, z, y, x) -> (B, 1, N, D).

        Raises:
            ValueError: an axis is no multiple of the tokens' distance.
        """
        assert added_bnd is None  # `check_encoder` refuses what would add to it
        _, z, y, x = image_bzyx.shape
        grid_of((z, y, x), self.cell_zyx)
        # Merlin's volumes are turned to RAS and stacked along z first, with x before y
        seen = to_ras(image_bzyx).permute(0, 1, 4, 2, 3)
        # Strided kernels look around the first voxel of a cell. With half a cell of air before the
        # window, and the first token of each axis left out, they look around its middle.
        z, y, x = (cell // 2 for cell in self.cell_zyx)
        seen = F.pad(seen, (y, y, x, x, z, z)).expand(-1, 3, -1, -1, -1)
        seen = self.maxpool(torch.relu(self.bn1(self.conv1(seen))))
        seen = self.layer4(self.layer3(self.layer2(self.layer1(seen))))[:, :, 1:, 1:, 1:]
        return tokens_from_ras(seen.permute(0, 1, 3, 4, 2))[:, None]

    def features(self, image_bzyx: Tensor) -> Tokens:
        """Windows in [0, 1] -> tokens and their places."""
        return with_centres(self(image_bzyx), image_bzyx, self.cell_zyx)


def resnet_weights(state: dict[str, Tensor], encoder: I3dResNet) -> dict[str, Tensor]:
    """Merlin's weights, or those of a 2-D ResNet of torchvision's layout, drawn out along z.

    A 2-D kernel becomes the middle slice of a 3-D one, as in Merlin; classifiers are left out.
    """
    own = encoder.state_dict()
    found = {}
    for name, weight in state.items():
        _, is_merlins, rest = name.partition(PREFIX)
        ours = rest if is_merlins else name.removeprefix("i3_resnet.")
        if not ours.startswith(("conv1.", "bn1.", "layer")):
            continue
        flat = weight.ndim == 4 and ours in own and own[ours].ndim == 5
        found[ours] = _drawn_out(weight, own[ours].shape[2]) if flat else weight
    return found


def _drawn_out(weight_oiyx: Tensor, depth: int) -> Tensor:
    """The kernel in the middle of `depth` slices, the others 0."""
    drawn = weight_oiyx.new_zeros(*weight_oiyx.shape[:2], depth, *weight_oiyx.shape[2:])
    drawn[:, :, depth // 2] = weight_oiyx
    return drawn
