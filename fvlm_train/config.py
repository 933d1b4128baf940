"""The sections ``train`` and ``evaluate`` of the project's configuration file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fvlm_data.errors import ConfigError
from fvlm_train.loading_config import ReadingConfig, SamplingConfig
from fvlm_train.loss_config import LossConfig
from fvlm_train.presets import EVALUATE_PRESETS, TRAIN_PRESETS, merged

Voxels = Annotated[int, Field(ge=1)]
SizeZYX = tuple[Voxels, Voxels, Voxels]
Probability = Annotated[float, Field(ge=0.0, le=1.0)]

MAX_ANATOMIES = 64


def _check_multiple(name: str, size_zyx: SizeZYX, patch_zyx: SizeZYX) -> None:
    if any(size % patch for size, patch in zip(size_zyx, patch_zyx, strict=True)):
        raise ValueError(f"{name} {list(size_zyx)} is no multiple of patch_zyx {list(patch_zyx)}")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ImageEncoderConfig(_Section):
    """Size of the 3D vision transformer."""

    width: int = Field(default=768, ge=8, description="Features of a token.")
    depth: int = Field(default=12, ge=1, description="Transformer blocks.")
    heads: int = Field(default=12, ge=1, description="Attention heads of a block; divides width.")
    mlp_ratio: float = Field(default=4.0, gt=0, description="Hidden width of the MLP over width.")
    dropout: Probability = Field(
        default=0.1, description="Dropout in embedding, attention and MLP."
    )
    patch_zyx: SizeZYX = Field(default=(16, 16, 32), description="Patch size, voxels (z, y, x).")
    window_zyx: SizeZYX = Field(
        default=(112, 256, 352),
        description="Window that the learned positions cover, voxels (z, y, x); multiple of patch.",
    )
    stem: Literal["patch", "histogram"] = Field(
        default="patch",
        description="Patch embedding: 'patch' one linear map of the voxels (public recipe); "
        "'histogram' one linear map of soft intensity histograms, which small data sets learn "
        "from much sooner.",
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
        _check_multiple("window_zyx", self.window_zyx, self.patch_zyx)
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


class TextEncoderConfig(_Section):
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
    pooling: Literal["cls", "mean"] = Field(
        default="cls", description="Text feature: the first token, or the mean over the tokens."
    )

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.kind == "fresh" and self.width % self.heads:
            raise ValueError(f"width {self.width} is not divisible by heads {self.heads}")
        return self


class ModelConfig(_Section):
    """The fVLM model."""

    image: ImageEncoderConfig = Field(default=ImageEncoderConfig(), description="Image side.")
    text: TextEncoderConfig = Field(default=TextEncoderConfig(), description="Text side.")
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
        if not self.temperature_min <= self.temperature_init <= self.temperature_max:
            raise ValueError(
                f"temperature_init {self.temperature_init} lies outside "
                f"[{self.temperature_min}, {self.temperature_max}]"
            )
        return self


class OptimiserConfig(_Section):
    """AdamW and its schedule.

    The weight decay is handed to AdamW and spares biases, norms, queries, positions and the
    temperature. The public code's setting never reaches its optimiser, which decays every
    parameter by AdamW's default 0.01: `decay: everything` with `weight_decay: 0.01` does that.
    """

    learning_rate: float = Field(default=1e-4, gt=0, description="Peak learning rate.")
    min_learning_rate: float = Field(
        default=1e-6, ge=0, description="First and last learning rate."
    )
    warmup_steps: int = Field(default=377, ge=0, description="Steps of linear warm-up.")
    weight_decay: float = Field(default=0.05, ge=0, description="Decoupled weight decay of AdamW.")
    decay: Literal["matrices", "everything"] = Field(
        default="matrices", description="Which parameters decay."
    )
    betas: tuple[float, float] = Field(
        default=(0.9, 0.999), description="Moment decay rates of AdamW."
    )
    clip_norm: float | None = Field(
        default=None, gt=0, description="Gradient norm limit; null for none."
    )


class FlipConfig(_Section):
    """Probability of mirroring a crop along each axis."""

    z: Probability = Field(default=0.0, description="Up-down.")
    y: Probability = Field(default=0.0, description="Front-back.")
    x: Probability = Field(
        default=0.0, description="Left-right; sides named in the texts are exchanged with it."
    )


class TrainConfig(_Section):
    """Section `train`: everything that decides the weights."""

    presets: ClassVar[dict[str, dict[str, Any]]] = TRAIN_PRESETS

    preset: Literal["reference", "small"] | None = Field(
        default=None, description="Start from a named recipe; keys given beside it win."
    )
    anatomies: tuple[str, ...] = Field(
        default=("lung", "heart", "esophagus", "aorta"),
        min_length=1,
        max_length=MAX_ANATOMIES,
        description="Anatomies trained, in the order of queries and projections.",
    )
    model: ModelConfig = Field(default=ModelConfig(), description="The model.")
    loss: LossConfig = Field(default=LossConfig(), description="The loss.")
    optimiser: OptimiserConfig = Field(default=OptimiserConfig(), description="AdamW.")
    flips: FlipConfig = Field(default=FlipConfig(), description="Mirroring.")
    sampling: SamplingConfig = Field(default=SamplingConfig(), description="Samples and crops.")
    reading: ReadingConfig = Field(default=ReadingConfig(), description="Reading of samples.")
    template: str = Field(
        default="{anatomy} shows no significant abnormalities.",
        description="Sentence of a normal anatomy; {anatomy} is its name, blanks for underscores. "
        "A normal text that says more goes to BERT without it, as in the public code.",
    )
    split: str = Field(default="train", description="Split that is trained on.")
    window_hu: tuple[float, float] = Field(
        default=(-1150.0, 350.0), description="Intensities [low, high] in HU that become [0, 1]."
    )
    crop_zyx: SizeZYX | None = Field(
        default=None, description="Random crop, voxels (z, y, x); null is the model's window."
    )
    batch_size: int = Field(
        default=56, ge=2, description="Samples of a step, over all ranks together."
    )
    epochs: int | None = Field(default=20, ge=1, description="Passes over the split.")
    steps: int | None = Field(default=None, ge=1, description="Steps; takes the place of epochs.")
    time_limit_s: float | None = Field(
        default=None,
        gt=0,
        description="Stop after this many seconds of training and save; the schedule is not "
        "shortened, and the result then depends on the machine. Null for none.",
    )
    seed: int = Field(default=42, ge=0, description="Seed of weights, order, crops and dropout.")
    threads: int | None = Field(
        default=None, ge=1, description="CPU threads; runs repeat bit by bit at an equal number."
    )
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32", description="Arithmetic of the forward pass."
    )
    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="Where to train.")
    loader_workers: int = Field(default=0, ge=0, description="Reading threads a rank.")
    cache_bytes: int = Field(
        default=0, ge=0, description="Memory for decoded samples kept between epochs, bytes."
    )
    checkpoint_every_steps: int = Field(default=500, ge=1, description="Steps between checkpoints.")

    @property
    def crop(self) -> SizeZYX:
        """Random crop, voxels (z, y, x)."""
        return self.crop_zyx or self.model.image.window_zyx

    @property
    def silence(self) -> Literal["normal", "excluded"]:
        """How not_mentioned anatomies are treated, the policy's default filled in."""
        from fvlm_data.pairing.targets import DEFAULT_NOT_MENTIONED

        return self.loss.not_mentioned or DEFAULT_NOT_MENTIONED[self.loss.policy]

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seed of each model that learns: one, or two that teach each other."""
        correction = self.loss.correction
        if correction.kind != "co_teaching":
            return (self.seed,)
        return self.seed, self.seed + 1 if correction.peer_seed is None else correction.peer_seed

    @model_validator(mode="before")
    @classmethod
    def _start_from_preset(cls, given: Any) -> Any:
        return _with_preset(given, TRAIN_PRESETS)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        _check_multiple("crop_zyx", self.crop, self.model.image.patch_zyx)
        if self.window_hu[0] >= self.window_hu[1]:
            raise ValueError(f"window_hu {list(self.window_hu)} is empty: give [low, high]")
        if len(set(self.anatomies)) != len(self.anatomies):
            raise ValueError("anatomies holds a name twice")
        if self.steps is None and self.epochs is None:
            raise ValueError("steps and epochs are both null: set one")
        if self.flips.x > 0 and self.loss.policy in ("signature", "graded"):
            raise ValueError(
                "flips.x mirrors left and right but signatures name sides: set flips.x to 0 or "
                "loss.policy to reference or none"
            )
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError(
                f"loss.correction.peer_seed is seed, {self.seed}: two equal models teach each "
                "other nothing; set another, or null"
            )
        if self.model.text.kind == "folder" and self.model.text.folder is None:
            raise ValueError("model.text.kind is folder: set model.text.folder, or kind to fresh")
        return self


class EvaluateConfig(_Section):
    """Section `evaluate`: how a trained model is scored."""

    preset: Literal["reference", "small"] | None = Field(
        default=None, description="Start from a named recipe; keys given beside it win."
    )
    window_zyx: SizeZYX | None = Field(
        default=None,
        description="Window centred on the anatomy, voxels (z, y, x); null is the training crop.",
    )
    negative: Literal["prompt", "normal"] = Field(
        default="prompt",
        description="What a finding is compared with: its negative prompt ('Not X.'), or the "
        "normal sentence of its anatomy.",
    )
    absent_anatomy: Literal["excluded", "zero"] = Field(
        default="excluded",
        description="Samples whose mask does not show a finding's anatomy: 'excluded' leaves them "
        "out of its AUC, 'zero' counts them with score 0 as the public code does, which "
        "flatters findings of anatomies that many scans do not reach.",
    )
    min_positive_patients: int = Field(
        default=10,
        ge=1,
        description="Patients with a finding below which it stays out of the macro AUC.",
    )
    bootstrap_samples: int = Field(
        default=1000, ge=10, description="Patient resamples of the intervals."
    )
    confidence: float = Field(default=0.95, gt=0, lt=1, description="Coverage of the intervals.")
    batch_size: int = Field(default=8, ge=1, description="Windows of one forward pass.")
    seed: int = Field(default=0, ge=0, description="Seed of the bootstrap.")

    @model_validator(mode="before")
    @classmethod
    def _start_from_preset(cls, given: Any) -> Any:
        return _with_preset(given, EVALUATE_PRESETS)


def parse_train_config(section: Any) -> TrainConfig:
    """The `train` section, checked.

    Raises:
        ConfigError: an unknown key, an impossible value or combination; names its place.
    """
    try:
        return TrainConfig.model_validate(section or {})
    except ValidationError as error:
        raise ConfigError(_sentence("train", error)) from error


def parse_evaluate_config(section: Any) -> EvaluateConfig:
    """The `evaluate` section, checked; raises ConfigError as `parse_train_config`."""
    try:
        return EvaluateConfig.model_validate(section or {})
    except ValidationError as error:
        raise ConfigError(_sentence("evaluate", error)) from error


def _with_preset(given: Any, presets: dict[str, dict[str, Any]]) -> Any:
    if not isinstance(given, dict) or given.get("preset") not in presets:
        return given
    return merged(presets[given["preset"]], given)


def _sentence(section: str, error: ValidationError) -> str:
    first = error.errors()[0]
    place = ".".join([section, *(str(part) for part in first["loc"])])
    reason = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        reason = "no such key"
    more = f" ({error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"Configuration {place}: {reason}.{more}"
