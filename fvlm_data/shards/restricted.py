"""Who may not be used for which purpose: a file beside the shards, from table `restrictions`.

A trainer reads the folder `shards` and no table. The file is written with each restriction and
behind each run of the stage; it is there as soon as anything was ever restricted. It names
patients and studies, not samples, so that what is ingested later is left out as well.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from fvlm_data.errors import InputError
from fvlm_data.shards.folder import FOLDER, ShardFolder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fvlm_data.store.tables import Store

NAME = "restricted.json"
PATH = f"{FOLDER}/{NAME}"
TABLE = "restrictions"

Refused = dict[str, frozenset[str]]
"""By purpose the ids of patients and studies that refuse it; none where all took it back."""


class Left(NamedTuple):
    """What a purpose leaves of rows, and how many it left out."""

    rows: pa.Table
    restricted: int


def refused_in(store: Store) -> Refused:
    """What table `restrictions` says.

    Raises:
        StoreError: the table cannot be read.
    """
    told: dict[str, set[str]] = {}
    for row in store.read(TABLE, ["purpose", "owner_id", "state"]).to_pylist():
        owners = told.setdefault(row["purpose"], set())
        if row["state"] == "refused":
            owners.add(row["owner_id"])
    return {purpose: frozenset(owners) for purpose, owners in told.items()}


def write_restricted(store: Store) -> None:
    """Write the file anew where it does not say what the table says.

    Raises:
        StoreError: the store cannot be read or written.
    """
    version = -1
    # again while others change the table: the file must not end behind it
    while version != store.version(TABLE):
        version = store.version(TABLE)
        if not agrees(store):
            store.write_bytes(PATH, content_of(refused_in(store)))


def agrees(store: Store) -> bool:
    """Whether the file says what the table says; without a row there need be none.

    Raises:
        StoreError: the store cannot be read.
    """
    if not store.exists(PATH):
        return store.count(TABLE) == 0
    return store.read_bytes(PATH) == content_of(refused_in(store))


def content_of(refused: Mapping[str, frozenset[str]]) -> bytes:
    """What the file holds, the same bytes for the same restrictions."""
    purposes = {purpose: sorted(refused[purpose]) for purpose in sorted(refused)}
    return json.dumps({"purposes": purposes}).encode()


def read_restricted(folder: ShardFolder) -> Refused:
    """The restrictions of a store; none where there is no file.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is of another form.
    """
    content = folder.read_file(NAME)
    told = json.loads(content)["purposes"] if content is not None else {}
    return {purpose: frozenset(owners) for purpose, owners in told.items()}


def left_out(refused: Refused, purpose: str | None) -> frozenset[str]:
    """Ids of patients and studies that a use leaves out; one that names no purpose, all of them.

    Raises:
        InputError: others were restricted, but never for this purpose: it may be a wrong name.
    """
    if purpose is None:
        return frozenset().union(*refused.values())
    if refused and purpose not in refused:
        raise InputError(
            f"purpose {purpose}: no restriction of this store names it, expected one of "
            f"{', '.join(sorted(refused))}; name none to leave out whoever restricted anything"
        )
    return refused.get(purpose, frozenset())


def without(rows: pa.Table, owners: frozenset[str]) -> Left:
    """Rows of table `samples` without those of `owners`."""
    if not owners:
        return Left(rows, 0)
    ids = pa.array(sorted(owners), pa.string())
    theirs = pc.or_(pc.is_in(rows["patient_id"], ids), pc.is_in(rows["study_id"], ids))
    left = rows.filter(pc.invert(theirs))
    return Left(left.combine_chunks(), rows.num_rows - left.num_rows)
