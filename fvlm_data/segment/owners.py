"""Which volumes a mask names: by volume id, SeriesInstanceUID or source file name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fvlm_data.identity.ids import link_key
from fvlm_data.segment.mask_content import stem
from fvlm_data.segment.segments import nearest_name
from fvlm_data.store.queries import open_tables, with_readable_tables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.identity.vault import Vault
    from fvlm_data.segment.mask_files import MaskFile
    from fvlm_data.store.declared import Context

NAMING_KINDS = ("series_uid", "volume_name")
TABLES = ("links", "volumes")

MOST_COMPARED = 2000
MOST_TOLD = 100
"""Names are compared one by one: of not more volumes and masks than this."""
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
            connection.execute(
                "CREATE TEMP TABLE _names AS SELECT unnest($1::BIGINT[]) AS mask, "
                "unnest($2::VARCHAR[]) AS name",
                names,
            )
            found: list[tuple[int, str]] = connection.execute(OWNERS).fetchall()
        finally:
            connection.close()
        return found

    named: list[list[str]] = [[] for _ in masks]
    for mask, volume in with_readable_tables(context, TABLES, work, mend=True):
        named[mask].append(volume)
    return [tuple(volumes) for volumes in named]


def forgotten_masks(vault: Vault, task: str, masks: Sequence[MaskFile]) -> set[str]:
    """Tokens of the masks that were forgotten, or whose volume or series was."""
    names = {
        mask.token: {
            mask.token,
            f"{mask.token}.{task}",
            mask.name,
            *(
                link_key(kind, mask.name, key=vault.key)
                for kind in NAMING_KINDS
                if mask.name.strip()
            ),
        }
        for mask in masks
    }
    gone = vault.forgotten({name for mine in names.values() for name in mine})
    return {token for token, mine in names.items() if not mine.isdisjoint(gone)}


def nearest_volumes(context: Context, masks: Sequence[MaskFile]) -> dict[str, str]:
    """Volume whose source file is called most like a mask, by the mask's token, where one is alike.

    Names are compared in this process only; what is told is the volume's id.
    """
    if not masks:
        return {}
    rows = context.store.read("volumes", ["volume_id", "source_files"]).to_pylist()
    # a volume of many files is named by none of them
    files = {
        row["source_files"][0]: row["volume_id"] for row in rows if len(row["source_files"]) == 1
    }
    if not files or len(files) > MOST_COMPARED:
        return {}
    paths = context.vault.file_paths(sorted(files))
    volumes = {stem(path): files[token] for token, path in sorted(paths.items())}
    found = {}
    for mask in masks[:MOST_TOLD]:
        name = nearest_name(mask.name, volumes)
        if name:
            found[mask.token] = volumes[name]
    return found


def _names(masks: Sequence[MaskFile], key: bytes) -> tuple[list[int], list[str]]:
    """Each mask's name as a volume id and as link hashes, behind the mask's place."""
    places: list[int] = []
    names: list[str] = []
    for place, mask in enumerate(masks):
        if mask.name.strip():
            mine = [mask.name, *(link_key(kind, mask.name, key=key) for kind in NAMING_KINDS)]
            names += mine
            places += [place] * len(mine)
    return places, names
