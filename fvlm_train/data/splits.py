"""A split of a store, or one sentence that says why there is nothing to read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import fvlm_data.shards
from fvlm_data.errors import InputError
from fvlm_data.shards.folder import ShardFolder
from schemas.splits import SPLITS

if TYPE_CHECKING:
    from fvlm_data.shards import ObjectCache, ShardDataset
    from fvlm_train.config.data import ReadingConfig


def cache_of(reading: ReadingConfig) -> ObjectCache | None:
    """The folder of remote objects that the settings name; None without one."""
    if not reading.disk_cache:
        return None
    return fvlm_data.shards.ObjectCache(reading.disk_cache, reading.disk_cache_bytes)


def open_split(
    store: str, split: str, cache: ObjectCache | None = None, purpose: str | None = None
) -> ShardDataset:
    """The samples of a split that may be used for a purpose, at least one.

    Raises:
        InputError: there is no store, its shards are not made yet, the split is empty or all of it
            is restricted, or the purpose is not known.
        StoreError: an index cannot be read.
    """
    source = fvlm_data.shards.ShardDataset(store, split, cache, purpose)
    if len(source):
        return source
    if source.restricted:
        raise InputError(
            f"store {store}: all {source.restricted} samples of split {split} are restricted; "
            "expected some that may be used for the purpose (docs/data-protection.md)"
        )
    folder = ShardFolder(store)
    others = [name for name in SPLITS if name != split and folder.listing(name).indexes]
    if others:
        raise InputError(
            f"store {store}: split {split} holds no samples; there are some in "
            f"{', '.join(others)} (a patient falls into a split by keyed hash, so that of few "
            "patients none may be in it; pair.split_file places them)"
        )
    raise InputError(
        f"store {store}: no samples found there; check the path, or make them with `fvlm-data "
        "curate` first"
    )


def other_split(store: str, split: str, other: str | None) -> ShardDataset | None:
    """The samples of `other`; None where there is no other, or it is empty."""
    if other is None or other == split:
        return None
    source = fvlm_data.shards.ShardDataset(store, other)
    return source if len(source) else None
