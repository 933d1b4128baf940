"""Section `train`: the recipe."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from fvlm_data.settings import DECIDES_NOTHING
from fvlm_train.config.compute import AverageConfig, ComputeConfig, ValidationConfig
from fvlm_train.config.data import FlipConfig, ReadingConfig, SamplingConfig
from fvlm_train.config.loss import LossConfig
from fvlm_train.config.model import ModelConfig
from fvlm_train.config.pretrain import PretrainConfig
from fvlm_train.config.section import Section, SizeZYX, check_multiple, with_preset
from fvlm_train.config.tracking import TrackingConfig

MAX_ANATOMIES = 64


class OptimiserConfig(Section):
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


class TrainConfig(Section):
    """Section `train`: everything that decides the weights."""

    preset: Literal["reference", "small"] | None = Field(
        default=None,
        description="Start from a named recipe; keys given beside it win.",
        json_schema_extra=DECIDES_NOTHING,
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
    reading: ReadingConfig = Field(
        default=ReadingConfig(),
        description="Reading of samples.",
        json_schema_extra=DECIDES_NOTHING,
    )
    template: str = Field(
        default="{anatomy} shows no significant abnormalities.",
        description="Sentence of a normal anatomy; {anatomy} is its name, blanks for underscores. "
        "A normal text that says more goes to BERT without it, as in the public code.",
    )
    split: str = Field(default="train", description="Split that is trained on.")
    purpose: str | None = Field(
        default=None,
        description="What the model is for: samples restricted for it are left out. Null leaves "
        "out those restricted for anything.",
    )
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
        json_schema_extra=DECIDES_NOTHING,
    )
    seed: int = Field(default=42, ge=0, description="Seed of weights, order, crops and dropout.")
    threads: int | None = Field(
        default=None, ge=1, description="CPU threads; runs repeat bit by bit at an equal number."
    )
    precision: Literal["float32", "bfloat16", "float16"] = Field(
        default="float32",
        description="Arithmetic of the forward pass; float16 scales the loss, and leaves out a "
        "step whose gradient overflows.",
    )
    compute: ComputeConfig = Field(
        default=ComputeConfig(), description="Memory and time of a step."
    )
    average: AverageConfig = Field(default=AverageConfig(), description="Average of the weights.")
    validation: ValidationConfig = Field(
        default=ValidationConfig(), description="AUC while training."
    )
    pretrain: PretrainConfig = Field(
        default=PretrainConfig(),
        description="Learning from unlabelled samples before it, by fvlm-pretrain.",
        json_schema_extra=DECIDES_NOTHING,
    )
    tracking: TrackingConfig = Field(
        default=TrackingConfig(),
        description="Other tools that follow the training.",
        json_schema_extra=DECIDES_NOTHING,
    )
    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="Where to train.")
    loader_workers: int = Field(
        default=0,
        ge=0,
        description="Reading threads a rank, for each model that learns.",
        json_schema_extra=DECIDES_NOTHING,
    )
    cache_bytes: int = Field(
        default=0,
        ge=0,
        description="Memory for decoded samples kept between epochs, bytes.",
        json_schema_extra=DECIDES_NOTHING,
    )
    checkpoint_every_steps: int = Field(
        default=500,
        ge=1,
        description="Steps between checkpoints.",
        json_schema_extra=DECIDES_NOTHING,
    )

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
        if isinstance(given, dict) and given.get("epochs") is not None and "steps" not in given:
            # the steps of a preset would silently take the place of these epochs
            given = {**given, "steps": None}
        return with_preset(given, "train")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        check_multiple("crop_zyx", self.crop, self.model.image.patch_zyx)
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
        if self.compute.micro_batch is not None and self.model.organ.features:
            raise ValueError(
                "compute.micro_batch splits a batch, of which model.organ.features take statistics "
                "as a whole: set one of them to null or false"
            )
        whole = {
            "precision: float16": self.precision == "float16",
            "loss.correction": self.loss.correction.kind != "none",
            "average.decay": self.average.decay is not None,
            "validation.every_steps": self.validation.every_steps is not None,
        }
        wanted = [name for name, on in whole.items() if on]
        if self.compute.parallel == "fsdp2" and wanted:
            raise ValueError(
                f"compute.parallel: fsdp2 goes without {wanted[0]}, which needs a rank to hold the "
                "whole model: leave it out, or set parallel to ddp"
            )
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError(
                f"loss.correction.peer_seed is seed, {self.seed}: two equal models teach each "
                "other nothing; set another, or null"
            )
        return self
