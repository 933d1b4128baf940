"""Samples of volumes that no report speaks of: what a trained model is asked about.

Made by the very function that makes training samples, from the tables of a store whose volumes are
segmented; kept as plain arrays in a folder, since they are read once.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from fvlm_data.identity.ids import keyed_id
from fvlm_data.shards.inputs import SampleInputs
from fvlm_data.shards.making import UnreadableError, make_arrays
from fvlm_data.shards.sample import Sample, cropped
from fvlm_data.store.declared import Reject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from fvlm_data.shards.config import ShardConfig
    from fvlm_data.shards.preprocess import PreparedSample
    from fvlm_data.shards.sample import Array, Box
    from fvlm_data.store.declared import Context, Row
    from fvlm_data.vocabulary import Vocabulary

NO_SPLIT = "none"
FIRST_LOOK = "threshold"
"""Class system of masks found by density."""

COLUMNS = pa.schema(
    [
        *((name, pa.string()) for name in ("sample_id", "patient_id", "study_id", "volume_id")),
        ("shape_zyx", pa.list_(pa.int32())),
        ("spacing_mm", pa.list_(pa.float64())),
        *((name, pa.list_(pa.string())) for name in ("anatomies", "states", "texts")),
        ("labels", pa.list_(pa.list_(pa.string()))),
        ("source_files", pa.list_(pa.string())),
    ]
)
"""Columns of table `samples` that evaluation reads; texts and labels are empty."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A volume of which no sample was made, and why."""

    volume_id: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class _Kept:
    """A sample without its arrays, and the files that hold these."""

    sample: Sample
    image: Path
    label: Path


class UnreportedSamples:
    """Samples behind the interface of `ShardDataset`; their arrays lie in files."""

    def __init__(self) -> None:
        """None yet: `add` them."""
        self._kept: list[_Kept] = []
        self._rows: list[dict[str, Any]] = []

    def add(self, sample: Sample, source_files: Iterable[str], folder: Path) -> None:
        """Keep a sample, its arrays in `folder`."""
        kept = _Kept(
            replace(sample, image_zyx=np.empty(0), label_zyx=np.empty(0)),
            folder / f"{sample.sample_id}.image.npy",
            folder / f"{sample.sample_id}.label.npy",
        )
        np.save(kept.image, sample.image_zyx)
        np.save(kept.label, sample.label_zyx)
        self._kept.append(kept)
        self._rows.append(
            {
                "sample_id": sample.sample_id,
                "patient_id": sample.patient_id,
                "study_id": sample.study_id,
                "volume_id": sample.volume_id,
                "shape_zyx": list(sample.image_zyx.shape),
                "spacing_mm": list(sample.spacing_mm),
                **{name: [] for name in ("anatomies", "states", "texts", "labels")},
                "source_files": list(source_files),
            }
        )

    @property
    def rows(self) -> pa.Table:
        """Index, one row a sample."""
        return pa.Table.from_pylist(self._rows, schema=COLUMNS)

    def __len__(self) -> int:
        """Number of samples."""
        return len(self._kept)

    def image_dtype(self, index: int) -> np.dtype[Any]:
        """Stored type of a sample's image."""
        return np.dtype(np.load(self._kept[index].image, mmap_mode="r").dtype)

    def read(
        self, index: int, box: Box | None = None, out: tuple[Array, Array] | None = None
    ) -> Sample:
        """A sample or its crop; `out` = (image, label) take its voxels."""
        kept = self._kept[index]
        arrays = {"image_zyx": np.load(kept.image), "label_zyx": np.load(kept.label)}
        sample = replace(kept.sample, **arrays)
        if box is not None:
            sample = cropped(sample, box)
        if out is not None:
            out[0][:], out[1][:] = sample.image_zyx, sample.label_zyx
            sample = replace(sample, image_zyx=out[0], label_zyx=out[1])
        return sample


def unreported(
    context: Context,
    config: ShardConfig,
    vocabulary: Vocabulary,
    folder: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[UnreportedSamples, list[LeftOut]]:
    """A sample of each volume of the store that has masks, by id, and what was left out.

    Raises:
        StoreError: a table or a file cannot be read.
    """
    store = context.store
    masks: dict[str, list[Row]] = defaultdict(list)
    for row in store.read("masks").to_pylist():
        masks[row["volume_id"]].append(row)
    volumes = sorted(store.read("volumes").to_pylist(), key=lambda row: row["volume_id"])
    made, left_out = UnreportedSamples(), []
    segmented = [row for row in volumes if row["volume_id"] in masks]
    for number, row in enumerate(segmented, start=1):
        known = _inputs(context, row, masks[row["volume_id"]])
        try:
            arrays = make_arrays(known, store.read_bytes, config, vocabulary)
        except UnreadableError as error:
            arrays = Reject("fault", error.reason, str(error))
        if isinstance(arrays, Reject):
            left_out.append(LeftOut(known.volume_id, arrays.reason, arrays.detail))
        elif arrays is None:
            detail = (
                f"Volume {known.volume_id}: its masks show none of the {len(config.anatomies)} "
                "anatomies of shard.anatomies"
            )
            left_out.append(LeftOut(known.volume_id, "no_anatomy", detail))
        else:
            made.add(_sample(known, arrays, config), row["source_files"], folder)
        progress(number, len(segmented))
    return made, left_out


def _inputs(context: Context, volume: Row, masks: list[Row]) -> SampleInputs:
    better = [row for row in masks if row["class_system"] != FIRST_LOOK]
    return SampleInputs(
        sample_id=keyed_id(context.vault.key, "sa", volume["study_id"], volume["volume_id"]),
        volume_id=volume["volume_id"],
        study_id=volume["study_id"],
        patient_id=volume["patient_id"],
        split=NO_SPLIT,
        volume=volume,
        # masks found by density add nothing to a sample that has others
        masks=better or masks,
        texts=(),
    )


def _sample(known: SampleInputs, arrays: PreparedSample, config: ShardConfig) -> Sample:
    return Sample(
        sample_id=known.sample_id,
        patient_id=known.patient_id,
        study_id=known.study_id,
        volume_id=known.volume_id,
        split=known.split,
        image_zyx=arrays.image_zyx,
        label_zyx=arrays.label_zyx,
        label_values=config.label_values,
        hu_window=config.hu_window if config.dtype == "uint8" else None,
        spacing_mm=arrays.spacing_mm,
        affine_ras=arrays.affine_ras,
        anatomies=(),
        states=(),
        signatures=(),
        findings=(),
        labels=(),
        texts=(),
        boxes=(),
    )
