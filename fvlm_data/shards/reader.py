"""Reading samples back from shards: a map-style dataset for any trainer."""

from __future__ import annotations

import operator
import os
import threading
from collections import OrderedDict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

import schemas
from fvlm_data.errors import InputError, StoreError
from fvlm_data.shards.apart import PATH, read_apart
from fvlm_data.shards.folder import REMEDY, ShardFolder
from fvlm_data.shards.index_rows import index_rows, restrictions
from fvlm_data.shards.opened import open_shard, read_part, sample_of
from fvlm_data.shards.restricted import left_out, without
from fvlm_data.shards.sample import moved
from fvlm_data.shards.sets import LABELLED
from schemas.splits import SPLITS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fvlm_data.shards.apart import Apart
    from fvlm_data.shards.objects import ObjectCache
    from fvlm_data.shards.opened import OpenShard
    from fvlm_data.shards.sample import Box, Sample
    from fvlm_data.shards.sets import SampleSet

Array = np.ndarray[Any, Any]

LOOKS = 5
"""Times that indexes are read before a table that a run keeps changing counts as of no version."""

OPEN_SHARDS = 64
"""Shards whose metadata a reader keeps in memory."""


class ShardDataset:
    """The samples of one split, ordered by sample id: `len(dataset)`, `dataset[i] -> Sample`.

    It reads the shards' indexes once, here, and the arrays lazily; it needs neither the tables
    nor the vault. It may be pickled and used in threads and in workers, spawned or forked. Each
    sample appears once, even if a curation was killed halfway. `samples_version` is the version of
    the set's table while the indexes were read: None where there is no such table, or a run
    changed it at each of several looks. `restricted` counts the samples that were left out, since
    their patient or study may not be used for `purpose` (`fvlm-data restrict`).
    """

    def __init__(
        self,
        store: str | Path,
        split: str,
        cache: ObjectCache | None = None,
        purpose: str | None = None,
        of: SampleSet = LABELLED,
    ) -> None:
        """Read the indexes of `split` (train, validation or test) in the store at `store`.

        `cache` keeps the objects of a remote store on this machine's disk; a local store needs
        none and uses none. A split without shards gives an empty dataset. `purpose` says what the
        samples are for; without it those are left out that are restricted for any purpose.
        `of` UNLABELLED reads the samples of stage `unlabelled`, which have no texts.

        Raises:
            InputError: there is no store, the split's name is not known, or restrictions know no
                such purpose.
            StoreError: an index cannot be read.
        """
        if split not in SPLITS:
            raise InputError(f"split {split}: not known; expected one of {', '.join(SPLITS)}")
        self.store = str(store)
        self.split = split
        self.cache = cache
        self.of = of
        folder = ShardFolder(self.store, of)
        if not folder.has_store():
            raise InputError(f"store {self.store}: nothing found there; check the path")
        rows, self.samples_version = _read_at_one_version(folder, self.store, split)
        self.purpose = purpose
        # after the indexes: who is restricted meanwhile is left out
        owners = left_out(restrictions(folder, self.store), purpose)
        self.rows, self.restricted = without(rows, owners)
        self.apart = _read_apart(folder, self.store)
        self._folder: ShardFolder | None = None
        self._open: OrderedDict[str, OpenShard] = OrderedDict()
        self._process = os.getpid()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Number of samples."""
        return int(self.rows.num_rows)

    def __getitem__(self, index: int) -> Sample:
        """The whole sample; raises as `read`."""
        return self.read(index)

    def image_dtype(self, index: int) -> np.dtype[Any]:
        """Type of the sample's image as stored: int16 or uint8.

        Raises:
            IndexError: there is no such sample.
            StoreError: the shard is missing or damaged; the message names the sample.
        """
        row = self._row(index)
        with self._named(row):
            return self._opened(row["shard"]).image.dtype

    def read(
        self, index: int, box: Box | None = None, out: tuple[Array, Array] | None = None
    ) -> Sample:
        """The sample, or its crop `box` = (z0, y0, x0, z1, y1, x1), end exclusive, in voxels.

        A crop reads only the slabs of its slices. Its affine and boxes are those of the crop.
        `out` = (image, label) are arrays of the crop's shape that take the voxels, such as parts
        of a batch; they may have any strides, and any type that holds the stored values. An
        error leaves them half filled.

        Raises:
            IndexError: there is no such sample.
            ValueError: the box is empty or leaves the sample, or `out` does not fit.
            StoreError: the shard is missing or damaged; the message names the sample.
        """
        row = self._row(index)
        whole = (0, 0, 0, *row["shape_zyx"])
        z0, y0, x0, z1, y1, x1 = wanted = whole if box is None else tuple(map(operator.index, box))
        if not all(0 <= wanted[a] < wanted[a + 3] <= whole[a + 3] for a in range(3)):
            raise ValueError(
                f"box {wanted} of sample {row['sample_id']}: expected a part, not empty, of {whole}"
            )
        part = (
            slice(row["offset_z"] + z0, row["offset_z"] + z1),
            slice(y0, y1),
            slice(x0, x1),
        )
        with self._named(row):
            shard = self._opened(row["shard"])
            image, label = (
                read_part(array, part, None if out is None else out[place])
                for place, array in enumerate((shard.image, shard.label))
            )
        return moved(sample_of(row, shard, image, label, self.apart), (z0, y0, x0))

    def _row(self, index: int) -> dict[str, Any]:
        number = operator.index(index)
        if not -len(self) <= number < len(self):
            raise IndexError(f"sample {number}: the split {self.split} has {len(self)} samples")
        row: dict[str, Any] = self.rows.slice(number % len(self), 1).to_pylist()[0]
        return row

    def __getstate__(self) -> dict[str, Any]:
        """Without the open shards, which are opened again where the dataset is used."""
        open_here = ("_folder", "_open", "_process", "_lock")
        return {name: value for name, value in vars(self).items() if name not in open_here}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """The dataset as it was, with nothing open."""
        self.__dict__.update(state)
        self._folder = None
        self._open = OrderedDict()
        self._process = os.getpid()
        self._lock = threading.Lock()

    @contextmanager
    def _named(self, row: dict[str, Any]) -> Iterator[None]:
        """Errors of reading name the sample."""
        try:
            yield
        except (OSError, StoreError) as error:
            why = str(error) if isinstance(error, StoreError) else type(error).__name__
            raise StoreError(
                f"sample {row['sample_id']}: shard {self.split}/{row['shard']} of store "
                f"{self.store} cannot be read ({why}); {REMEDY}"
            ) from error

    def _opened(self, shard_id: str) -> OpenShard:
        if self._process != os.getpid():  # forked, perhaps while a thread held the lock
            self._lock = threading.Lock()
            # fsspec's event loop does not survive a fork either
            self._folder, self._open, self._process = None, OrderedDict(), os.getpid()
        with self._lock:
            if shard_id in self._open:
                self._open.move_to_end(shard_id)
                return self._open[shard_id]
            if self._folder is None:
                self._folder = ShardFolder(self.store, self.of)
            opened = open_shard(self._folder, self.split, shard_id, self.cache)
            self._open[shard_id] = opened
            if len(self._open) > OPEN_SHARDS:
                self._open.popitem(last=False)
            return opened


def _read_at_one_version(
    folder: ShardFolder, store: str, split: str
) -> tuple[pa.Table, int | None]:
    """Rows of a split's indexes, and the table's version if it was one while they were read."""
    for _ in range(LOOKS):
        before = folder.samples_version()
        rows = _read_rows(folder, store, split)
        if before is None or folder.samples_version() == before:
            return rows, before
    return rows, None


def _read_rows(folder: ShardFolder, store: str, split: str) -> pa.Table:
    """Index rows of all shards, each sample once, by sample id.

    Arrays are written before the index that names them, and removed after it: an index whose
    arrays are missing has lost samples, unless they have been remade in another shard.
    """
    listing = folder.listing(split)
    tables = [schemas.TABLES[folder.of.table].schema.empty_table()]
    lost: dict[str, set[str]] = {}
    for shard in sorted(listing.indexes):
        table, moved = index_rows(folder, store, split, listing, shard)
        ids = table["sample_id"].to_pylist()
        if shard not in listing.groups:
            lost[shard] = set(ids) - moved
            continue
        tables.append(table.filter(pa.array([i not in moved for i in ids], pa.bool_())))
    rows = pa.concat_tables(tables).sort_by([("sample_id", "ascending"), ("shard", "ascending")])
    ids = rows["sample_id"].to_pylist()
    for shard, gone in lost.items():
        if gone - set(ids):
            raise StoreError(
                f"store {store}: arrays of shard {split}/{shard} are missing, {len(gone)} samples "
                "with them; run `fvlm-data shard`, which makes them anew"
            )
    # a sample in two indexes counts once; sorted by shard, so that the choice does not vary
    first = [number for number, i in enumerate(ids) if number == 0 or ids[number - 1] != i]
    return rows.take(pa.array(first, pa.int64())).combine_chunks()


def _read_apart(folder: ShardFolder, store: str) -> Apart:
    try:
        return read_apart(folder)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"store {store}: {PATH} cannot be read ({type(error).__name__}); run `fvlm-data shard` "
            "to write it anew"
        ) from error
