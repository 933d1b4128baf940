"""What a reader takes from a folder of shards before arrays: rows of an index, and restrictions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

import schemas
from fvlm_data.errors import StoreError
from fvlm_data.memory import lacks_memory
from fvlm_data.shards.restricted import PATH, read_restricted

if TYPE_CHECKING:
    from fvlm_data.shards.folder import Listing, ShardFolder
    from fvlm_data.shards.restricted import Refused


def index_rows(
    folder: ShardFolder, store: str, split: str, listing: Listing, shard: str
) -> tuple[pa.Table, frozenset[str]]:
    """The rows of a shard's index, and the ids of samples that notes take out of it.

    Raises:
        StoreError: the index cannot be read.
    """
    try:
        table = folder.read_index(split, shard).cast(schemas.TABLES[folder.of.table].schema)
        return table, folder.moved(split, listing, shard)
    except (OSError, ValueError, pa.ArrowException) as error:
        if lacks_memory(error):  # an ArrowException too
            raise MemoryError from error
        raise StoreError(
            f"store {store}: index of shard {split}/{shard} cannot be read "
            f"({type(error).__name__}); run `fvlm-data shard` to write it anew"
        ) from error


def restrictions(folder: ShardFolder, store: str) -> Refused:
    """Whom readers of shards leave out.

    Raises:
        StoreError: the file that says so cannot be read.
    """
    try:
        return read_restricted(folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"store {store}: {PATH} cannot be read ({type(error).__name__}); run `fvlm-data "
            "shard` to write it anew"
        ) from error
