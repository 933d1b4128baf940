"""Recording that data of a patient or study may not be used for a purpose, and taking it back."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fvlm_data.errors import InputError
from fvlm_data.forget.exports import exports_with
from fvlm_data.shards.restricted import TABLE, write_restricted
from fvlm_data.shards.sets import SETS
from schemas import Restriction

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from fvlm_data.forget.targets import Target
    from fvlm_data.store.declared import Context

PURPOSE = re.compile(r"[a-z][a-z0-9_]{0,39}")


@dataclass(frozen=True, slots=True)
class Restricted:
    """What a restriction changes: rows by what they are about, samples that it concerns now.

    `known` were said already. `exports` are ids of recorded exports that hold such samples: they
    were made before, and stay.
    """

    patients: int
    studies: int
    known: int
    samples: int
    exports: tuple[str, ...]


def restrict(
    context: Context,
    targets: Sequence[Target],
    purpose: str,
    *,
    lift: bool = False,
    dry_run: bool = False,
) -> Restricted:
    """Record that the targets refuse a purpose, or with `lift` that they allow it again.

    A patient need not be in the store: it holds for what comes. May be killed and repeated.

    Raises:
        InputError: the purpose is no plain word, a target is forgotten, or a study is not there;
            with `lift`, one has not refused the purpose.
        StoreError: the store or the vault cannot be read or written.
    """
    if not PURPOSE.fullmatch(purpose):
        raise InputError(
            f"--purpose {purpose}: expected a plain word in lower case such as research, letters, "
            "digits and underscores, up to 40"
        )
    owners = _owners(context, targets)
    rows = [
        Restriction(**row) for row in context.store.read_items(TABLE, "owner_id", sorted(owners))
    ]
    said = {row.owner_id: row.state for row in rows if row.purpose == purpose}
    if lift and any(said.get(owner) != "refused" for owner in owners):
        place = next(owners[owner] for owner in sorted(owners) if said.get(owner) != "refused")
        raise InputError(f"{place}: has not refused {purpose}; nothing to take back")
    state = "allowed" if lift else "refused"
    new = sorted(owner for owner in owners if said.get(owner) != state)
    if not dry_run:
        _write(context, rows, new, purpose, state)
    samples = _samples(context, owners)
    return Restricted(
        patients=sum(owner.startswith("p_") for owner in new),
        studies=sum(not owner.startswith("p_") for owner in new),
        known=len(owners) - len(new),
        samples=len(samples),
        exports=() if lift else tuple(exports_with(context, samples)),
    )


def _write(
    context: Context, rows: Sequence[Restriction], new: Collection[str], purpose: str, state: str
) -> None:
    today = dt.datetime.now(dt.UTC).date().isoformat()
    said = [
        Restriction(
            owner_kind="patient" if owner.startswith("p_") else "study",
            owner_id=owner,
            purpose=purpose,
            state=state,
            said_on=today,
        )
        for owner in new
    ]
    # a commit replaces all rows of an owner
    kept = [row for row in rows if row.owner_id in new and row.purpose != purpose]
    if said:
        context.store.replace(TABLE, new, [*kept, *said])
    write_restricted(context.store)


def _owners(context: Context, targets: Sequence[Target]) -> dict[str, str]:
    """Ids of patients and studies, each with the place at which it was named."""
    owners: dict[str, str] = {}
    for target in targets:
        # of a patient who is not there yet the id is known: it is made of the original one
        ids = target.ids or tuple(one for one in target.hashes if one.startswith("p_"))
        if context.vault.forgotten((*ids, *target.hashes)):
            raise InputError(
                f"{target.place}: is forgotten, which keeps it out for every purpose; nothing to do"
            )
        if not ids:
            raise InputError(
                f"{target.place}: a study that is not in the store; restrict its patient instead, "
                "which holds for what comes later too"
            )
        owners.update(dict.fromkeys(ids, target.place))
    return owners


def _samples(context: Context, owners: Collection[str]) -> set[str]:
    found = [
        row["sample_id"]
        for one in SETS
        for column in ("patient_id", "study_id")
        for row in context.store.read_items(one.table, column, owners, ["sample_id"])
    ]
    return set(found)
