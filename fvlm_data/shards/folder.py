"""The folder `shards` of a store: indexes, groups, and notes of samples that have moved.

A trainer reads this folder and no table, so the folder alone must never show a sample twice.
A remade sample goes to a new shard; before that shard's index is written, a note
`<old shard>.without.<batch>.json` next to the old index takes the sample out of it. A run
killed in between leaves the sample in no shard, never in two. `tidy_shards` rewrites the
indexes from the table `samples` and removes the notes.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

import schemas
from fvlm_data.shards.sets import LABELLED

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Mapping

    from fvlm_data.shards.objects import ObjectCache
    from fvlm_data.shards.sets import SampleSet
    from fvlm_data.shards.slabs import SlabArray

FOLDER = LABELLED.folder

GROUP, INDEX, NOTE = ".zarr", ".parquet", ".json"
WITHOUT = ".without."
REMEDY = "remove the shard's folder and run `fvlm-data shard`, which makes it anew"


def group_path(split: str, shard: str, of: SampleSet = LABELLED) -> str:
    """Path of a shard's zarr group, relative to the store."""
    return f"{of.folder}/{split}/{shard}{GROUP}"


def index_path(split: str, shard: str, of: SampleSet = LABELLED) -> str:
    """Path of a shard's Parquet index, relative to the store."""
    return f"{of.folder}/{split}/{shard}{INDEX}"


def note_path(split: str, shard: str, batch: str, of: SampleSet = LABELLED) -> str:
    """Path of the note of a batch that remakes samples of `shard`."""
    return f"{of.folder}/{split}/{shard}{WITHOUT}{batch}{NOTE}"


def note_bytes(sample_ids: Iterable[str]) -> bytes:
    """Content of a note."""
    return json.dumps({"sample_ids": sorted(sample_ids)}).encode()


def index_bytes(rows: pa.Table, of: SampleSet = LABELLED) -> bytes:
    """Rows of the set's table as a Parquet index, ordered by their place in the shard."""
    schema = schemas.TABLES[of.table].schema
    buffer = io.BytesIO()
    ordered = rows.select(schema.names).cast(schema).sort_by("index")
    pq.write_table(ordered, buffer, compression="zstd")
    return buffer.getvalue()


@dataclass(frozen=True, slots=True)
class Listing:
    """What lies in the folder of one split; `other` are names that belong to no shard.

    `indexes` gives the stamp of each shard's index: size and time, which change with its bytes.
    """

    groups: frozenset[str]
    indexes: Mapping[str, str]
    notes: tuple[tuple[str, str], ...]
    other: tuple[str, ...]


class ShardFolder:
    """Reading access to the shards of a store, by folder or URL."""

    def __init__(self, store_url: str, of: SampleSet = LABELLED) -> None:
        """`store_url` is the store's folder or URL."""
        self.of = of
        self._fs, root = fsspec.core.url_to_fs(store_url)
        self._store = str(root).rstrip("/")
        self._root = f"{self._store}/{of.folder}"

    def has_store(self) -> bool:
        """Whether there is anything at the store's place."""
        return bool(self._fs.exists(self._store))

    def samples_version(self) -> int | None:
        """Version of the set's table; None where shards came alone, or it may not be read.

        By the names in its log: the tables' library does not survive a fork, which readers do.
        """
        log = f"{self._store}/tables/{self.of.table}/_delta_log"
        self._fs.invalidate_cache(log)
        try:
            names = [str(path).rsplit("/", 1)[-1] for path in self._fs.ls(log, detail=False)]
        except OSError:
            return None
        numbers = (name.split(".", 1)[0] for name in names)
        return max((int(number) for number in numbers if number.isdigit()), default=None)

    def listing(self, split: str) -> Listing:
        """The shards of a split, by one listing."""
        place = f"{self._root}/{split}"
        # other processes write shards while this one has its listing cached
        self._fs.invalidate_cache(place)
        try:
            found = self._fs.ls(place, detail=True)
        except FileNotFoundError:
            found = []
        told = {str(one["name"]).rstrip("/").rsplit("/", 1)[1]: one for one in found}
        names = sorted(told)
        # names that begin with a dot are drafts of a writer
        seen = [name for name in names if not name.startswith(".")]
        return Listing(
            frozenset(n.removesuffix(GROUP) for n in seen if n.endswith(GROUP)),
            {n.removesuffix(INDEX): _stamp(told[n]) for n in seen if n.endswith(INDEX)},
            tuple((n, n.split(WITHOUT)[0]) for n in seen if WITHOUT in n and n.endswith(NOTE)),
            tuple(name for name in names if name.startswith(".")),
        )

    def read_index(self, split: str, shard: str, columns: list[str] | None = None) -> pa.Table:
        """The rows of a shard's index."""
        content = self._fs.cat_file(f"{self._store}/{index_path(split, shard, self.of)}")
        return pq.read_table(pa.BufferReader(content), columns=columns)

    def read_file(self, name: str) -> bytes | None:
        """The content of a file beside the splits of `FOLDER`, whichever the set; None: none."""
        try:
            return bytes(self._fs.cat_file(f"{self._store}/{FOLDER}/{name}"))
        except FileNotFoundError:
            return None

    def moved(self, split: str, listing: Listing, shard: str) -> frozenset[str]:
        """Samples that notes take out of a shard."""
        ids: set[str] = set()
        for name, owner in listing.notes:
            if owner == shard:
                ids.update(
                    json.loads(self._fs.cat_file(f"{self._root}/{split}/{name}"))["sample_ids"]
                )
        return frozenset(ids)

    def changed(self, split: str, name: str) -> dt.datetime | None:
        """When the youngest file at or below `name` was written; None: there is no file."""
        times = [self._fs.modified(path) for path in self._fs.find(f"{self._root}/{split}/{name}")]
        return max(times, default=None)

    def read_group(
        self, split: str, shard: str, cache: ObjectCache | None
    ) -> tuple[dict[str, Any], dict[str, SlabArray]]:
        """Attributes and arrays of a shard's group; reading lost data raises StoreError."""
        from fvlm_data.shards.objects import Objects
        from fvlm_data.shards.slabs import read_group

        return read_group(
            Objects(self._fs, cache), f"{self._store}/{group_path(split, shard, self.of)}"
        )


def _stamp(told: Mapping[str, Any]) -> str:
    """Size and time of a file, or its ETag where the place gives one."""
    changed = told.get("ETag") or told.get("mtime") or told.get("LastModified")
    return f"{told['size']} {changed}"
