"""Section `radiomics` of the configuration: of which regions which features, and how."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from fvlm_data.settings import DECIDES_NOTHING

Family = Literal["bands", "shape", "statistics", "histogram", "glcm", "glrlm", "glszm"]

BANDS: dict[str, tuple[float, float]] = {
    "emphysema_like": (-1024.0, -950.0),
    "aerated": (-950.0, -750.0),
    "ground_glass": (-750.0, -300.0),
    "consolidation": (-300.0, 50.0),
}


class RadiomicsConfig(BaseModel):
    """Features of regions as the IBSI defines them, on one grid for all volumes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    anatomies: tuple[str, ...] = Field(
        default=("lung", "heart", "aorta", "liver", "spleen"),
        description="anatomies of the vocabulary whose masks are regions",
    )
    classes: tuple[str, ...] = Field(
        default=("*_lobe_*", "*lesion*", "*nodule*", "*tumor*", "*tumour*", "*opacit*"),
        description="classes of label maps that are regions of their own, * for any letters: lobes "
        "and lesions, as the maps name them",
    )
    families: tuple[Family, ...] = Field(
        default=("bands", "shape", "statistics", "histogram", "glcm", "glrlm", "glszm"),
        description="bands, shape, statistics, histogram, glcm, glrlm, glszm",
    )
    spacing_mm: float | None = Field(
        default=2.0,
        gt=0,
        description="size of the voxels that images (linear) and masks (linear, from 0.5 on) are "
        "resampled to, in all directions, mm; null: as they are",
    )
    range_hu: tuple[float, float] = Field(
        default=(-1000.0, 1000.0),
        description="voxels outside of it are left out of all but `bands` and `shape`, HU; bins "
        "begin at its lower end",
    )
    bin_width_hu: float = Field(
        default=25.0, gt=0, description="width of the bins of textures and histogram, HU"
    )
    bands: dict[str, tuple[float, float]] = Field(
        default=BANDS,
        description="share of a region's voxels, as they are stored, from the first to below the "
        "second HU, by name",
    )
    band_regions: tuple[str, ...] = Field(
        default=("lung", "*lung_*"),
        description="anatomies and classes that `bands` is told of, * for any letters",
    )
    least_voxels: int = Field(
        default=50, ge=2, description="a region with fewer resampled voxels has no features"
    )
    batch_size: int = Field(
        default=4,
        ge=1,
        description="volumes of one unit of work",
        json_schema_extra=DECIDES_NOTHING,
    )

    @field_validator("bands")
    @classmethod
    def _bands_have_a_width(
        cls, given: dict[str, tuple[float, float]]
    ) -> dict[str, tuple[float, float]]:
        for name, (low, high) in given.items():
            if low >= high:
                raise ValueError(f"band {name} ends at {high:g}, expected above {low:g}")
        return given

    @model_validator(mode="after")
    def _range_has_a_width(self) -> RadiomicsConfig:
        if self.range_hu[0] >= self.range_hu[1]:
            raise ValueError("range_hu: expected its lower end first")
        return self
