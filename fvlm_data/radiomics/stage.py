"""Stage `radiomics`: from volumes and masks to features of regions."""

from __future__ import annotations

from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.radiomics.features import prepared, region_features
from fvlm_data.radiomics.regions import is_banded, regions_of
from fvlm_data.segment.merge import BETTER_MASKS
from fvlm_data.segment.nifti import NiftiError, read_nifti
from fvlm_data.settings import deciding
from fvlm_data.store.declared import Outcome, Read, Reject, Stage, guarded
from schemas import RadiomicsValue

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fvlm_data.radiomics.config import RadiomicsConfig
    from fvlm_data.radiomics.features import Feature
    from fvlm_data.radiomics.regions import Region
    from fvlm_data.store.declared import Batch, Inputs
    from fvlm_data.vocabulary import Vocabulary

STAGE_VERSION = 1
MASK_COLUMNS = (
    "task", "class_system", "class_name", "class_value", "volume_ml", "content_sha256",
)  # fmt: skip


def radiomics_stage(config: RadiomicsConfig, vocabulary: Vocabulary) -> Stage:
    """The stage that tells features of the regions of each volume that has masks."""
    return Stage(
        name="radiomics",
        version=STAGE_VERSION,
        settings={**deciding(config), "vocabulary": vocabulary.sha256("segmentation")},
        tables=("radiomics",),
        items="SELECT volume_id AS item FROM volumes WHERE volume_id IN "
        "(SELECT volume_id FROM masks)",
        reads=(
            Read(
                "volume", "volumes", "volume_id", ("content_sha256", "spacing_mm"),
                carries=("path",),
            ),
            Read(
                "masks", "masks", "volume_id", MASK_COLUMNS,
                carries=("path",), rather=BETTER_MASKS,
            ),
            Read(
                "distrusted", "review_effects", "volume_id", ("anatomy",),
                where="t.kind = 'mask'", rare=True,
            ),
        ),
        make=partial(_make, config, vocabulary),
        batch_size=config.batch_size,
        needs_vault=False,
    )  # fmt: skip


def _make(config: RadiomicsConfig, vocabulary: Vocabulary, batch: Batch) -> Iterator[Outcome]:
    for one in batch.inputs:
        yield guarded(one.item, partial(_volume, config, vocabulary, batch, one))


def _volume(config: RadiomicsConfig, vocabulary: Vocabulary, batch: Batch, one: Inputs) -> Outcome:
    rows = one.rows
    if not rows["volume"] or not rows["masks"]:
        detail = f"{one.item}: its volume or masks left the tables while work was under way"
        return _again(one.item, "inputs_gone", f"{detail}; run again")
    distrusted = {row["anatomy"] for row in rows["distrusted"]}
    regions = regions_of(rows["masks"], config, vocabulary, distrusted)
    if not regions:
        return Outcome(one.item)
    (volume,) = rows["volume"]
    try:
        image_hu = read_nifti(batch.file(volume["path"])).data
        ready = prepared(image_hu, volume["spacing_mm"], config)
        made, small = [], []
        for path, several in groupby(sorted(regions, key=lambda one: one.path), lambda r: r.path):
            labels = read_nifti(batch.file(path)).data
            for region in several:
                mask = _checked(region.mask(labels), image_hu)
                found = None
                if mask.any():
                    found = region_features(ready, mask, config, banded=is_banded(region, config))
                if found is None:
                    small.append(region)
                else:
                    made += [_row(one.item, region, feature) for feature in found]
    except NiftiError as error:
        detail = f"its file in the store {error}; make it anew"
        return _again(one.item, "region_unreadable", detail)
    return Outcome(one.item, {"radiomics": made}, rejects=_too_small(small, config))


def _checked(mask: Any, image_hu: Any) -> Any:
    """Refuse (NiftiError) a label map of another shape than the image."""
    if mask.shape != image_hu.shape:
        raise NiftiError(f"has shape {mask.shape}, the image {image_hu.shape}")
    return mask


def _too_small(regions: Sequence[Region], config: RadiomicsConfig) -> tuple[Reject, ...]:
    if not regions:
        return ()
    named = ", ".join(sorted(region.name for region in regions))
    detail = (
        f"fewer than {config.least_voxels} voxels within range_hu on the common grid: {named}; "
        "they have no features; nothing to do, or lower radiomics.least_voxels"
    )
    return (Reject("out_of_scope", "region_too_small", detail),)


def _again(item: str, reason: str, detail: str) -> Outcome:
    return Outcome(item, rejects=(Reject("fault", reason, detail),), retry=True)


def _row(volume: str, region: Region, feature: Feature) -> RadiomicsValue:
    value = feature.value
    return RadiomicsValue(
        volume_id=volume,
        region_kind=region.kind,
        region=region.name,
        family=feature.family,
        feature=feature.name,
        # what differs in the last digits between machines is no other value
        value=None if value is None or not np.isfinite(value) else float(f"{value:.9g}"),
        unit=feature.unit,
    )
