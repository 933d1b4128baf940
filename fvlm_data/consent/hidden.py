"""A store as a use for one purpose may see it: without rows of whoever refuses that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import schemas
from fvlm_data.forget.extent import Extent, add_named
from fvlm_data.forget.rows import OWNED_BY
from fvlm_data.shards.restricted import left_out, refused_in
from fvlm_data.store.reading import show

if TYPE_CHECKING:
    from fvlm_data.store.tables import Store


def hide_restricted(store: Store, purpose: str | None) -> int:
    """Have an opened store show no row of restricted patients and studies; returns their studies.

    Those are told by the tables, the vault is not needed: rows of files that no series took in
    stay, as keyed tokens.

    Raises:
        InputError: the purpose is not known here.
        StoreError: the store cannot be read.
    """
    owners = left_out(refused_in(store), purpose)
    if not owners:
        return 0
    extent = Extent(
        patients={one for one in owners if one.startswith("p_")},
        studies={one for one in owners if not one.startswith("p_")},
    )
    connection = store.connect()
    try:
        for table in schemas.TABLES:
            show(connection, table, store.scan(table))
        add_named(connection, extent)
        known = connection.execute(
            "SELECT count(*) FROM (SELECT study_id FROM candidates UNION SELECT study_id FROM "
            "volumes) WHERE study_id IN (FROM _studies)"
        ).fetchall()
    finally:
        connection.close()
    # hashes are of original ids, which others may go by too
    store.hide(extent.ids - extent.hashes, OWNED_BY)
    return int(known[0][0])
