"""Exports that the store has recorded and that hold a sample of what goes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from fvlm_data.errors import StoreError
from fvlm_data.export.recorded import ALL, read_exports, remove_export

if TYPE_CHECKING:
    from collections.abc import Collection

    from fvlm_data.store.declared import Context


def exports_with(context: Context, samples: Collection[str]) -> list[str]:
    """Ids of recorded exports that hold one of the samples, or copies of the tables."""
    wanted = set(samples)
    return sorted(
        one.id
        for one in read_exports(context.store)
        if one.samples == ALL or not wanted.isdisjoint(one.samples)
    )


def remove_exports(context: Context, ids: Collection[str]) -> list[str]:
    """Remove the folders of exports, as a whole, and their records; returns ids out of reach.

    Only a folder that the export left is removed; one that was moved or is on another machine is
    told, and its record stays.

    Raises:
        StoreError: a folder cannot be removed.
    """
    left = []
    for one in read_exports(context.store):
        if one.id not in ids:
            continue
        place = context.vault.file_paths([one.place]).get(one.place)
        folder = Path(place) if place else None
        if folder is None or not one.is_there(folder):
            left.append(one.id)
            continue
        try:
            shutil.rmtree(folder)
        except OSError as error:
            raise StoreError(
                f"export {one.id}: its folder cannot be removed ({error.strerror or error}); mend "
                "that and finish by `fvlm-data forget --resume`"
            ) from error
        remove_export(context.store, one.id)
    return left
