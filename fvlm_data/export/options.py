"""What the options of our exports are called, and what they may be."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class WordOptions(BaseModel):
    """Options of exports that read tables by the words of a vocabulary."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    overlay: Path | None = Field(
        default=None, description="folder of the vocabulary overlay that the store was made with"
    )
    language: str = Field(
        default="en", description="language of names, questions and sentences that it writes"
    )


class LabelOptions(WordOptions):
    """Options of the export `labels`."""

    label_set: str = Field(
        default="ct_rate", description="ct_rate, merlin, rad_chest_ct, or your own"
    )
    rows: Literal["study", "volume"] = Field(
        default="study", description="what a row is; volumes are called as CT-RATE's are"
    )
    uncertain_is_positive: bool = Field(
        default=True, description="whether what a report holds possible is 1"
    )


class LayoutOptions(WordOptions):
    """Options of the exports `ct-rate` and `merlin`."""

    volumes: Literal["copy", "link", "none"] = Field(
        default="copy",
        description="copy the volumes (they show faces), link to those of the store, or leave them",
    )


class RegionTextOptions(BaseModel):
    """Options of the export `region-texts`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: Literal["study", "volume"] = Field(
        default="volume", description="what a text is told of; RadGenome's are of volumes"
    )


class OrganPairOptions(WordOptions):
    """Options of the export `organ-pairs`."""

    normal: Literal["none", "stated", "silent"] = Field(
        default="stated",
        description="normal sentences of the vocabulary: none, for what a report calls normal, or "
        "for what it passes over too",
    )


class AttributeOptions(WordOptions):
    """Options of the export `attributes`."""

    many: int = Field(
        default=100, ge=1, description="a finding of more training patients is one of many"
    )
    few: int = Field(
        default=20, ge=1, description="a finding of less training patients is one of few"
    )

    @model_validator(mode="after")
    def _few_are_less_than_many(self) -> AttributeOptions:
        if self.few > self.many:
            raise ValueError(f"few ({self.few}) is above many ({self.many}); expected it below")
        return self


class CaseOptions(WordOptions):
    """Options of the export `cases`."""

    case: Literal["study", "patient"] = Field(default="study", description="what a case is")
    label_set: str = Field(
        default="ct_rate", description="ct_rate, merlin, rad_chest_ct, or your own"
    )
    patch_mm: float = Field(
        default=96.0, gt=0, description="edge of the cubes that an image is divided into, in mm"
    )


class OutcomeOptions(BaseModel):
    """Options of the export `outcome`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    outcome: str = Field(
        default="death", description="outcome, as table clinical has it (outcome:NAME of a source)"
    )
    window_days: int = Field(
        default=7, ge=1, description="days before the image whose clinical values count, days"
    )
    horizon_days: int = Field(
        default=0, ge=0, description="days after the image in which it counts, days; 0: no limit"
    )


class ReportGenerationOptions(BaseModel):
    """Options of the export `report-generation`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    window_days: int = Field(
        default=30, ge=1, description="how long before the image clinical values count"
    )


class SliceReferenceOptions(WordOptions):
    """Options of the export `slice-references`."""

    vault: Path | None = Field(default=None, description="folder of the store's vault")


class DicomOptions(WordOptions):
    """Options of the export `dicom`."""

    images: bool = Field(
        default=False,
        description="write the volumes as CT images too, to which masks refer; they show faces",
    )
    scores: Path | None = Field(
        default=None, description="Parquet file of scores by fvlm-eval, told as observations too"
    )


class WebDatasetOptions(BaseModel):
    """Options of the export `webdataset`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_mb: int = Field(default=512, ge=1, description="greatest size of a tar file, in MB")
