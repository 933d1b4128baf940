"""Section `train.model`: encoders, pooling, temperature and where weights come from."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from fvlm_train.config.encoders import IMAGE_ENCODERS
from fvlm_train.config.section import Probability, Section, SizeZYX, check_multiple


class ImageEncoderConfig(Section):
    """Size of the 3D vision transformer."""

    width: int = Field(default=768, ge=8, description="Features of a token.")
    depth: int = Field(default=12, ge=1, description="Transformer blocks.")
    heads: int = Field(default=12, ge=1, description="Attention heads of a block; divides width.")
    mlp_ratio: float = Field(default=4.0, gt=0, description="Hidden width of the MLP over width.")
    dropout: Probability = Field(
        default=0.1, description="Dropout in embedding, attention and MLP."
    )
    attention_dropout: Probability | None = Field(
        default=None,
        description="Dropout of the attention weights; null is `dropout`, as in the public recipe. "
        "With 0 torch's fused attention runs on a CPU, too.",
    )
    patch_zyx: SizeZYX = Field(default=(16, 16, 32), description="Patch size, voxels (z, y, x).")
    window_zyx: SizeZYX = Field(
        default=(112, 256, 352),
        description="Window that the learned positions cover, voxels (z, y, x); multiple of patch.",
    )
    stem: Literal["patch", "histogram", "convolution"] = Field(
        default="patch",
        description="Patch embedding: 'patch' one linear map of the voxels (public recipe); "
        "'histogram' one linear map of soft intensity histograms, which small data sets learn "
        "from much sooner; 'convolution' strided convolutions that overlap the patches' borders.",
    )
    stem_windows: int = Field(
        default=8, ge=1, description="Intensity windows of the histogram stem, evenly spread."
    )
    stem_cells: int = Field(
        default=2, ge=1, description="Cells of a patch along each axis, of the histogram stem."
    )
    levels: tuple[int, ...] | None = Field(
        default=None,
        description="Blocks (counted from 0) whose outputs join the final norm as keys of the "
        "anatomy attention; null spreads them as 3, 6, 9 of 12.",
    )

    @property
    def grid_zyx(self) -> SizeZYX:
        """Token grid of the window, tokens (z, y, x)."""
        z, y, x = (w // p for w, p in zip(self.window_zyx, self.patch_zyx, strict=True))
        return z, y, x

    @property
    def weight_dropout(self) -> float:
        """Dropout of the attention weights."""
        return self.dropout if self.attention_dropout is None else self.attention_dropout

    @property
    def level_blocks(self) -> tuple[int, ...]:
        """0-based blocks whose raw outputs are used: 3, 6, 9 for depth 12, else in proportion."""
        if self.levels is not None:
            return self.levels
        twelfths = (4, 7, 10)
        return tuple(sorted({math.ceil(self.depth * n / 12) - 1 for n in twelfths}))

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not divisible by heads {self.heads}")
        check_multiple("window_zyx", self.window_zyx, self.patch_zyx)
        if any(level < 0 or level >= self.depth for level in self.levels or ()):
            raise ValueError(
                f"levels {list(self.levels or ())} lie outside the {self.depth} blocks"
            )
        if self.stem == "histogram" and any(
            size % max(size // self.stem_cells, 1) for size in self.patch_zyx
        ):
            raise ValueError(
                f"patch_zyx {list(self.patch_zyx)} does not split into {self.stem_cells} even cells"
            )
        return self


class OrganConfig(Section):
    """What the image side learns of an organ's own voxels; all off in the public recipe.

    Tokens are selected by a single voxel of the organ, so most of them show something else.
    """

    cover_bias: bool = Field(
        default=False,
        description="The anatomy attention weighs tokens by the share of their voxels that are "
        "the organ's: its logarithm is added to the logits.",
    )
    mask_embedding: bool = Field(
        default=False,
        description="Tokens are told how much of them is of each anatomy, by a linear map added "
        "to their embedding.",
    )
    features: bool = Field(
        default=False,
        description="The organ's size (voxels, tokens) and, with histogram_windows, its brightness "
        "and how it varies over tokens join the pooled output.",
    )
    histogram_windows: int = Field(
        default=0,
        ge=0,
        description="Intensity windows over the organ's own voxels, evenly spread; 0 for size "
        "alone (features only).",
    )
    features_of: Literal["window", "sample"] = Field(
        default="window",
        description="Whose voxels of an organ are measured: 'window' those of the crop, 'sample' "
        "all that the sample has, which is read whole once for it. An organ that the crop cuts or "
        "misses then still takes part in the loss, by its features.",
    )
    hidden: int = Field(
        default=0,
        ge=0,
        description="Hidden features of an organ beside the plain ones; 0 for none, which small "
        "data sets generalise from better.",
    )
    dropout: Probability = Field(default=0.0, description="Dropout of these features.")
    features_only: bool = Field(
        default=False,
        description="No transformer: an organ is embedded by a linear map of its features, which "
        "small data sets generalise from better than from tokens.",
    )

    @property
    def seen(self) -> bool:
        """Whether the model reads the organs' voxels in a window beside its tokens."""
        return self.cover_bias or self.mask_embedding or (self.features and not self.whole)

    @property
    def whole(self) -> bool:
        """Whether features are those of whole samples, which the loader measures."""
        return self.features and self.features_of == "sample"

    @property
    def windowless(self) -> bool:
        """Whether no window is looked at, so that none need be read."""
        return self.whole and self.features_only

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.histogram_windows and not self.features:
            raise ValueError("histogram_windows join the pooled output: set features to true")
        if not self.features and (self.features_of == "sample" or self.features_only):
            raise ValueError("features_of and features_only need features: set it to true")
        if self.features_only and (self.cover_bias or self.mask_embedding):
            raise ValueError(
                "features_only leaves no tokens: set cover_bias and mask_embedding to false"
            )
        return self


class TextEncoderConfig(Section):
    """The BERT that reads an anatomy's text."""

    kind: Literal["folder", "fresh"] = Field(
        default="folder",
        description="'folder' starts from a BERT saved on this machine; 'fresh' starts a small "
        "BERT at random with a WordPiece tokenizer trained on the training texts.",
    )
    folder: Path | None = Field(
        default=None, description="Local folder of config, vocabulary, weights."
    )
    width: int = Field(default=768, ge=8, description="Features of a token (fresh only).")
    depth: int = Field(default=12, ge=1, description="Layers (fresh only).")
    heads: int = Field(default=12, ge=1, description="Attention heads (fresh only); divides width.")
    vocabulary_size: int = Field(
        default=4000, ge=100, description="Word pieces at most (fresh only)."
    )
    dropout: Probability = Field(default=0.1, description="Dropout (fresh only).")
    max_tokens: int = Field(default=384, ge=8, description="Tokens of a text; longer ones are cut.")
    add_token_type_embeddings: bool = Field(
        default=True,
        description="Add BERT's token-type embeddings, as a stock BERT does; weights trained by "
        "the public code need false.",
    )
    token_dropout: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Share of a training text's word pieces hidden at random in each step: a "
        "small BERT then learns words, not whole sentences, and understands short prompts.",
    )
    sentence_permutation: Probability = Field(
        default=0.0,
        description="Share of the texts whose sentences come in a random order in a training step "
        "(CA-GCL): what a report says first is no sign of what it says.",
    )
    pooling: Literal["cls", "mean"] = Field(
        default="cls", description="Text feature: the first token, or the mean over the tokens."
    )

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.kind == "fresh" and self.width % self.heads:
            raise ValueError(f"width {self.width} is not divisible by heads {self.heads}")
        return self


class ModelConfig(Section):
    """The fVLM model."""

    image: ImageEncoderConfig = Field(default=ImageEncoderConfig(), description="Image side.")
    image_encoder: Annotated[str, AfterValidator(IMAGE_ENCODERS.known)] = Field(
        default="vit",
        description="What turns windows into tokens: vit (sizes of `image`), mae (the same, begun "
        "from a 2-D ViT's weights), swin (SwinUNETR's; extra [swin]), i3d_resnet (Merlin's), or "
        "what an installed package adds. Of `image` the two last read patch_zyx, the voxels from "
        "one token to the next, and window_zyx.",
        json_schema_extra=IMAGE_ENCODERS.listed,
    )
    image_encoder_options: dict[str, Any] = Field(
        default={},
        description="What that encoder alone has; docs/encoders.md has the table.",
    )
    text: TextEncoderConfig = Field(default=TextEncoderConfig(), description="Text side.")
    organ: OrganConfig = Field(default=OrganConfig(), description="Voxels of the organ itself.")
    projection_dim: int = Field(
        default=256, ge=2, description="Features compared between image and text."
    )
    pooling_heads: int = Field(default=4, ge=1, description="Heads of the anatomy attention.")
    pooling_dropout: Probability = Field(
        default=0.1, description="Dropout of the anatomy attention."
    )
    temperature_init: float = Field(default=0.07, gt=0, description="Initial temperature.")
    temperature_min: float = Field(
        default=0.001, gt=0, description="Lower clamp of the temperature."
    )
    temperature_max: float = Field(default=0.5, gt=0, description="Upper clamp of the temperature.")
    init_image: Path | None = Field(
        default=None,
        description="Local file of weights for the image encoder, in the layout of those who "
        "published them (.safetensors, or what torch.save writes).",
    )
    init_mae: Path | None = Field(
        default=None, description="Local MAE ViT-B checkpoint to start from."
    )
    init_reference: Path | None = Field(
        default=None, description="Local checkpoint of the public reference code to start from."
    )

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.image.width % self.pooling_heads:
            raise ValueError(
                f"image.width {self.image.width} is not divisible by pooling_heads "
                f"{self.pooling_heads}"
            )
        begun_from = [
            name for name in ("init_image", "init_mae", "init_reference") if getattr(self, name)
        ]
        if len(begun_from) > 1 and "init_image" in begun_from:
            raise ValueError(f"{' and '.join(begun_from)} both begin the image side: leave one")
        if self.image_encoder != "vit" and begun_from not in ([], ["init_image"]):
            raise ValueError(f"{begun_from[0]} is for image_encoder vit: for others set init_image")
        if self.init_image is not None and self.organ.features_only:
            raise ValueError("init_image begins an image encoder: set organ.features_only to false")
        if not self.temperature_min <= self.temperature_init <= self.temperature_max:
            raise ValueError(
                f"temperature_init {self.temperature_init} lies outside "
                f"[{self.temperature_min}, {self.temperature_max}]"
            )
        return self
