"""What is exported: the samples of a store's shards, split by split."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from fvlm_data.errors import InputError, StoreError
from fvlm_data.hashing import content_key
from fvlm_data.shards import ShardDataset
from schemas.splits import SPLITS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from fvlm_data.shards import Sample

Settings = tuple[dict[str, int], str, tuple[int, int] | None]

ONE_VOXEL = (0, 0, 0, 1, 1, 1)
ROWS_AT_ONCE = 1024
PLACEMENT = ("shard", "index", "offset_z")


@dataclass(frozen=True, slots=True)
class Source:
    """The samples of a store: `splits` in the order train, validation, test, none of them empty.

    `label_values` gives the value of each anatomy in label maps, `dtype` the stored type of
    images: int16 HU, or uint8 over `hu_window`. `restricted` samples were left out, as they may not
    be used for the purpose. `content` is the hash of all samples and of these settings, whatever
    shards the samples lie in. `apart` names, by study and anatomy, the exported studies that
    review holds to differ there, whatever their signatures say.
    """

    store: str
    splits: Mapping[str, ShardDataset]
    label_values: Mapping[str, int]
    dtype: str
    hu_window: tuple[int, int] | None
    content: str
    restricted: int = 0
    apart: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)

    @property
    def samples(self) -> int:
        """Number of samples in all splits."""
        return sum(len(dataset) for dataset in self.splits.values())


def open_source(store: str, splits: Sequence[str] = (), purpose: str | None = None) -> Source:
    """The samples of `splits` (default: all) of the store at a folder or URL; needs no vault.

    Samples that may not be used for `purpose`, or without one for any, are left out.

    Raises:
        InputError: there is no store, a split's name or the purpose is not known, or no sample is
            there or left.
        StoreError: an index cannot be read, a patient is in two splits, or shards were written
            under different settings.
    """
    wanted = dict.fromkeys(splits or SPLITS)
    opened = {split: ShardDataset(store, split, purpose=purpose) for split in wanted}
    kept = {split: opened[split] for split in SPLITS if split in opened and len(opened[split])}
    restricted = sum(dataset.restricted for dataset in opened.values())
    if not kept and restricted:
        raise InputError(
            f"store {store}: all {restricted} samples in {', '.join(wanted)} are restricted; "
            "expected some that may be used for the purpose (docs/data-protection.md)"
        )
    if not kept:
        raise InputError(
            f"store {store}: no sample found in {', '.join(wanted)}; expected shards, which "
            "`fvlm-data shard` writes"
        )
    _check_patients(store, kept)
    values, dtype, window = _settings(store, kept)
    rows = chain.from_iterable(index_rows(dataset) for dataset in kept.values())
    # compaction moves samples between shards; the export does not change by that
    hashed = [content_key({k: v for k, v in r.items() if k not in PLACEMENT}) for r in rows]
    apart = _apart(kept)
    told = [values, dtype, window, hashed, *([sorted(apart.items())] if apart else [])]
    return Source(store, kept, values, dtype, window, content_key(*told), restricted, apart)


def index_rows(dataset: ShardDataset) -> Iterator[dict[str, Any]]:
    """Rows of table `samples` in the dataset's order, as dictionaries."""
    for batch in dataset.rows.to_batches(max_chunksize=ROWS_AT_ONCE):
        yield from batch.to_pylist()


def hounsfield_zyx(sample: Sample) -> np.ndarray[Any, np.dtype[np.int16]]:
    """The image in HU, int16 (z, y, x); uint8 over a window is mapped back, rounded to 1 HU."""
    if sample.hu_window is None:
        return np.asarray(sample.image_zyx, np.int16)
    low, high = sample.hu_window
    hu_of = np.rint(low + np.arange(256) * ((high - low) / 255)).astype(np.int16)
    return np.take(hu_of, sample.image_zyx)


def _apart(splits: Mapping[str, ShardDataset]) -> dict[tuple[str, str], tuple[str, ...]]:
    """Pairs of which both studies are exported: of others nothing need be known."""
    studies = {one for dataset in splits.values() for one in dataset.rows["study_id"].to_pylist()}
    known = next(iter(splits.values())).apart  # one file for all splits
    found = {
        of: tuple(sorted(others & studies)) for of, others in known.items() if of[0] in studies
    }
    return {of: others for of, others in found.items() if others}


def _check_patients(store: str, splits: Mapping[str, ShardDataset]) -> None:
    split_of: dict[str, str] = {}
    for split, dataset in splits.items():
        for patient in dataset.rows["patient_id"].unique().to_pylist():
            other = split_of.setdefault(patient, split)
            if other != split:
                raise StoreError(
                    f"store {store}: patient {patient} has samples in {other} and in {split}, "
                    "expected one split a patient; run `fvlm-data pair` and `fvlm-data shard`"
                )


def _settings(store: str, splits: Mapping[str, ShardDataset]) -> Settings:
    """Label values, image type and window, which all shards must share."""
    found: dict[str, Settings] = {}
    for split, dataset in splits.items():
        shards = dataset.rows["shard"].combine_chunks()
        for shard in shards.unique().to_pylist():
            sample = dataset.read(shards.index(pa.scalar(shard)).as_py(), ONE_VOXEL)
            found[f"{split}/{shard}"] = (
                sample.label_values,
                str(sample.image_zyx.dtype),
                sample.hu_window,
            )
    first, settings = next(iter(found.items()))
    other = next((shard for shard, theirs in found.items() if theirs != settings), None)
    if other is not None:
        raise StoreError(
            f"store {store}: shards {first} and {other} differ in anatomies, image type or HU "
            "window, expected one setting for all; run `fvlm-data shard` to write them anew"
        )
    return settings
