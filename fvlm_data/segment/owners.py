"""Which volumes a mask names: by volume id, SeriesInstanceUID or source file name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from fvlm_data.identity.ids import link_key
from fvlm_data.store.queries import open_tables, with_readable_tables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.segment.mask_files import MaskFile
    from fvlm_data.store.declared import Context

NAMING_KINDS = ("series_uid", "volume_name")
TABLES = ("links", "volumes")
OWNERS = """
    SELECT DISTINCT mask, volume_id FROM (
        SELECT n.mask, v.volume_id FROM _names n JOIN volumes v ON v.volume_id = n.name
        UNION ALL
        SELECT n.mask, v.volume_id FROM _names n
        JOIN links l ON l.value_hash = n.name AND l.owner_kind = 'series'
        AND l.kind IN ('series_uid', 'volume_name')
        JOIN volumes v ON v.series_id = l.owner_id
    ) ORDER BY mask, volume_id
"""


def volumes_named(context: Context, masks: Sequence[MaskFile]) -> list[tuple[str, ...]]:
    """Ids of the volumes that each mask names, sorted; none for a mask without a volume.

    Raises:
        StoreError: a table is missing or damaged beyond taking out files.
    """
    names = _names(masks, context.vault.key)

    def work() -> list[tuple[int, str]]:
        connection = context.store.connect()
        try:
            open_tables(context, connection, TABLES)
            connection.register("_names", names)
            found: list[tuple[int, str]] = connection.execute(OWNERS).fetchall()
        finally:
            connection.close()
        return found

    named: list[list[str]] = [[] for _ in masks]
    for mask, volume in with_readable_tables(context, TABLES, work, mend=True):
        named[mask].append(volume)
    return [tuple(volumes) for volumes in named]


def _names(masks: Sequence[MaskFile], key: bytes) -> pa.Table:
    """Each mask's name as a volume id and as link hashes, by the mask's place."""
    places: list[int] = []
    names: list[str] = []
    for place, mask in enumerate(masks):
        if mask.name.strip():
            mine = [mask.name, *(link_key(kind, mask.name, key=key) for kind in NAMING_KINDS)]
            names += mine
            places += [place] * len(mine)
    columns = {"mask": pa.array(places, pa.int64()), "name": pa.array(names, pa.string())}
    return pa.table(columns)
