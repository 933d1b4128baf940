"""Names that the vault keeps of several people, or of a patient of whom only a study goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fvlm_data.identity.ids import link_key

if TYPE_CHECKING:
    from fvlm_data.forget.extent import Extent
    from fvlm_data.store.declared import Context

STUDY_KINDS = ("study_uid", "series_uid", "accession")


def narrowed(context: Context, extent: Extent) -> dict[str, list[str]]:
    """What entries of the vault that stay are to hold, where they tell something of what goes.

    An entry under an original id that others have too (an accession number of "0") loses the names
    that only those who go have. Of a patient who stays, the ids of a study that goes are taken
    out; dates stay, by which the patient's other reports are scrubbed.

    Raises:
        StoreError: the store or the vault cannot be read.
    """
    vault = context.vault
    gone = vault.patient_identities(extent.patients | extent.hashes)
    names = {name for told in gone.values() for name in told}
    made: dict[str, list[str]] = {}
    for entry, told in vault.patient_identities(extent.shared).items():
        others = vault.patient_identities(_others(context, entry, extent))
        only = names - {name for those in others.values() for name in those}
        if not only.isdisjoint(told):
            made[entry] = sorted(set(told) - only)
    for patient, told in vault.patient_identities(_who_stay(context, extent)).items():
        kept = [name for name in told if not _names(context, name, extent)]
        if len(kept) < len(told):
            made[patient] = kept
    return made


def _others(context: Context, value: str, extent: Extent) -> set[str]:
    """Patients who stay and one of whose series goes by an original id."""
    rows = context.store.read("links", ["stated_by"], [("value_hash", "=", value)])
    series = set(rows["stated_by"].to_pylist()) - extent.series
    found = context.store.read_items("candidates", "series_id", series, ["patient_id"])
    marked = context.store.read_items("identity_marks", "series_id", series, ["owner_id"])
    owners = {row["patient_id"] for row in found} | {row["owner_id"] for row in marked}
    return owners - extent.patients - extent.hashes - {value}


def _who_stay(context: Context, extent: Extent) -> set[str]:
    """Patients of whom a study goes, and others stay."""
    rows = context.store.read_items("candidates", "study_id", extent.studies, ["patient_id"])
    return {row["patient_id"] for row in rows} - extent.patients


def _names(context: Context, name: str, extent: Extent) -> bool:
    if not name.strip():
        return False
    key = context.vault.key
    return not extent.hashes.isdisjoint(link_key(kind, name, key=key) for kind in STUDY_KINDS)
