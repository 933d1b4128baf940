"""The encoder of SwinUNETR by MONAI: windows to the tokens of one of its stages.

Source: Swin UNETR (arXiv 2201.01266), SuPreM (arXiv 2310.16754).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from fvlm_data.extras import needs_extra
from fvlm_train.model.encoders.orientation import to_ras, tokens_from_ras
from fvlm_train.model.encoders.tokens import grid_of, with_centres

if TYPE_CHECKING:
    from fvlm_train.config.encoders import SwinOptions
    from fvlm_train.model.encoders.tokens import SizeZYX, Tokens

PATCH = 2
"""Voxels along each axis of the first patch embedding."""


class SwinEncoder(nn.Module):
    """Shifted windows over 3D patches; each stage halves the grid and doubles the features."""

    def __init__(self, options: SwinOptions) -> None:
        """Stages up to the one whose output is used.

        Raises:
            MissingExtraError: MONAI is not installed.
        """
        super().__init__()
        with needs_extra("swin", "train.model.image_encoder: swin"):
            import einops  # noqa: F401  # MONAI asks for it when it first runs
            from monai.networks.nets.swin_unetr import SwinTransformer
        stages = options.stage
        self.width = options.feature_size * 2**stages
        self.cell_zyx: SizeZYX = (options.stride,) * 3
        self.swin = SwinTransformer(
            in_chans=1,
            embed_dim=options.feature_size,
            window_size=(options.window,) * 3,
            patch_size=(PATCH,) * 3,
            depths=options.depths[:stages],
            num_heads=options.heads[:stages],
        )

    def forward(self, image_bzyx: Tensor, added_bnd: Tensor | None = None) -> Tensor:
        """(B, z, y, x) -> (B, 1, N, D), normed without weights, as SwinUNETR hands them on.

        Raises:
            ValueError: an axis is no multiple of the tokens' distance.
        """
        assert added_bnd is None  # `check_encoder` refuses what would add to it
        _, z, y, x = image_bzyx.shape
        grid_of((z, y, x), self.cell_zyx)
        seen = self.swin.pos_drop(self.swin.patch_embed(to_ras(image_bzyx)))
        for layers in (
            self.swin.layers1, self.swin.layers2, self.swin.layers3, self.swin.layers4,
        ):  # fmt: skip
            for layer in layers:
                seen = layer(seen.contiguous())
        tokens_bnd = tokens_from_ras(self.swin.proj_out(seen, normalize=True))
        return tokens_bnd[:, None]

    def features(self, image_bzyx: Tensor) -> Tokens:
        """Windows in [0, 1] -> tokens and their places."""
        return with_centres(self(image_bzyx), image_bzyx, self.cell_zyx)


def swin_names(name: str) -> str | None:
    """Our name of a published weight, None for one of the decoder and other parts.

    Known are SwinUNETR's (`swinViT.`, SuPreM's `module.backbone.swinViT.`) and those of its
    self-supervised encoder (`module.` alone; linear layers are called fc1 and fc2 there).
    """
    before, found, rest = name.rpartition("swinViT.")
    if not found:
        rest = before + rest
        if not rest.startswith(("patch_embed.", "layers1.", "layers2.", "layers3.", "layers4.")):
            return None
    return "swin." + rest.replace(".mlp.fc1.", ".mlp.linear1.").replace(
        ".mlp.fc2.", ".mlp.linear2."
    )


def swin_weights(state: dict[str, Tensor], encoder: SwinEncoder) -> dict[str, Tensor]:
    """Published weights under our names, without the stages that are not used."""
    stages = len([1 for layers in _layers(encoder) if len(layers)])
    unused = tuple(f"swin.layers{number}." for number in range(stages + 1, 5))
    named = {swin_names(name): value for name, value in state.items()}
    return {
        name: value for name, value in named.items() if name and not name.startswith(unused or "?")
    }


def _layers(encoder: SwinEncoder) -> list[torch.nn.ModuleList]:
    swin = encoder.swin
    return [swin.layers1, swin.layers2, swin.layers3, swin.layers4]
