"""Samples shard by shard, for splits whose index is too long to be held: rows of one at a time.

What `ShardDataset` reads at once is read here when a shard's turn comes. What is held is the names
of the shards, and the open arrays of a few.
"""

from __future__ import annotations

import operator
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from fvlm_data.errors import InputError, StoreError
from fvlm_data.shards.folder import REMEDY, ShardFolder
from fvlm_data.shards.index_rows import index_rows, restrictions
from fvlm_data.shards.opened import OpenShard, open_shard, read_part, sample_of
from fvlm_data.shards.restricted import left_out, without
from fvlm_data.shards.sample import moved
from fvlm_data.shards.sets import UNLABELLED
from schemas.splits import SPLITS

if TYPE_CHECKING:
    from pathlib import Path

    from fvlm_data.shards.objects import ObjectCache
    from fvlm_data.shards.sample import Box, Sample
    from fvlm_data.shards.sets import SampleSet

Row = dict[str, Any]

OPEN_SHARDS = 16


class ShardStream:
    """The shards of a split by name, and their samples when asked for.

    It may be pickled. Samples that notes of a killed run take out of a shard, and those restricted
    for `purpose`, are left out as `ShardDataset` leaves them out.
    """

    def __init__(
        self,
        store: str | Path,
        split: str,
        of: SampleSet = UNLABELLED,
        cache: ObjectCache | None = None,
        purpose: str | None = None,
    ) -> None:
        """List the shards of `split` in the store at `store`; no index is read yet.

        Raises:
            InputError: there is no store, or the split's or purpose's name is not known.
            StoreError: restrictions cannot be read, or a shard has lost its arrays.
        """
        if split not in SPLITS:
            raise InputError(f"split {split}: not known; expected one of {', '.join(SPLITS)}")
        self.store, self.split, self.of = str(store), split, of
        self._cache = cache
        folder = ShardFolder(self.store, of)
        if not folder.has_store():
            raise InputError(f"store {self.store}: nothing found there; check the path")
        self._listing = folder.listing(split)
        lost = sorted(self._listing.indexes.keys() - self._listing.groups)
        if lost:
            raise StoreError(
                f"store {self.store}: arrays of shard {split}/{lost[0]} are missing; run "
                "`fvlm-data shard`, which makes them anew"
            )
        self.shards = tuple(sorted(self._listing.indexes))
        self._refused = left_out(restrictions(folder, self.store), purpose)
        self._folder: ShardFolder | None = None
        self._open: OrderedDict[str, OpenShard] = OrderedDict()

    def rows(self, shard: str) -> list[Row]:
        """The rows of a shard's index, by sample id.

        Raises:
            StoreError: the index cannot be read.
        """
        folder = self._opened_folder()
        table, gone = index_rows(folder, self.store, self.split, self._listing, shard)
        kept, _ = without(table, self._refused)
        found = [row for row in kept.to_pylist() if row["sample_id"] not in gone]
        return sorted(found, key=lambda row: str(row["sample_id"]))

    def read(self, row: Row, box: Box | None = None) -> Sample:
        """The sample of a row of `rows`, or its crop (z0, y0, x0, z1, y1, x1), end exclusive.

        Raises:
            ValueError: the box is empty or leaves the sample.
            StoreError: the shard is missing or damaged; the message names the sample.
        """
        whole = (0, 0, 0, *row["shape_zyx"])
        z0, y0, x0, z1, y1, x1 = wanted = whole if box is None else tuple(map(operator.index, box))
        if not all(0 <= wanted[a] < wanted[a + 3] <= whole[a + 3] for a in range(3)):
            raise ValueError(
                f"box {wanted} of sample {row['sample_id']}: expected a part, not empty, of {whole}"
            )
        at = row["offset_z"]
        part = (slice(at + z0, at + z1), slice(y0, y1), slice(x0, x1))
        try:
            shard = self._opened(row["shard"])
            image, label = (read_part(array, part, None) for array in (shard.image, shard.label))
        except (OSError, StoreError) as error:
            why = str(error) if isinstance(error, StoreError) else type(error).__name__
            raise StoreError(
                f"sample {row['sample_id']}: shard {self.split}/{row['shard']} of store "
                f"{self.store} cannot be read ({why}); {REMEDY}"
            ) from error
        return moved(sample_of(row, shard, image, label, {}), (z0, y0, x0))

    def __getstate__(self) -> dict[str, Any]:
        """Without what is open, which is opened again where the stream is used."""
        return {**vars(self), "_folder": None, "_open": OrderedDict()}

    def _opened_folder(self) -> ShardFolder:
        if self._folder is None:
            self._folder = ShardFolder(self.store, self.of)
        return self._folder

    def _opened(self, shard: str) -> OpenShard:
        if shard not in self._open:
            self._open[shard] = open_shard(self._opened_folder(), self.split, shard, self._cache)
            if len(self._open) > OPEN_SHARDS:
                self._open.popitem(last=False)
        self._open.move_to_end(shard)
        return self._open[shard]
