"""Whose the slices of a series are: one patient and study, or a conflict."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from fvlm_data.ingest.volume.attributes import normal_text
from fvlm_data.ingest.volume.geometry import Fault
from fvlm_data.ingest.volume.names import patient_id
from fvlm_data.ingest.volume.result import known_by_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.ingest.dicom.slice_file import Slice
    from fvlm_data.ingest.volume.names import Names


def identities_of(
    slices: Sequence[Slice], series_id: str, key: bytes, *, linked: bool
) -> dict[str, tuple[str, ...]]:
    """What the headers say of each patient, for the vault.

    No table says whose a series without a volume is: with `linked` its identities are also kept
    under the hash of each name by which a report may refer to it, so that the report is scrubbed.
    """
    found: dict[str, set[str]] = defaultdict(set)
    for one in slices:
        found[patient_id(key, one.header.names, series_id)].update(one.identities)
    names = {one.header.names for one in slices} if linked else ()
    return known_by_name(found, names, series_id, key)


def named_alike(slices: Sequence[Slice]) -> list[Slice]:
    """Slices; where some leave study or issuer blank and the others state one, all have that one.

    Else one scan would be of two patients or studies, whose ids are made of these.
    """
    study = _only([one.header.names.study_uid for one in slices])
    issuer = _only([one.header.names.patient_issuer for one in slices])

    def alike(names: Names) -> Names:
        return replace(
            names,
            study_uid=study or names.study_uid,
            patient_issuer=issuer or names.patient_issuer,
        )

    return [
        replace(one, header=replace(one.header, names=alike(one.header.names))) for one in slices
    ]


def _only(values: Sequence[str]) -> str:
    """The one value that all state who state any, in its least spelling; empty if there are two."""
    alike = {normal_text(value) for value in values} - {""}
    return min(filter(None, values)) if len(alike) == 1 else ""


def conflict_of_people(slices: Sequence[Slice]) -> Fault | None:
    """Whether slices of one patient id, or without one, state different names or births."""
    people: dict[tuple[str, str], tuple[set[str], set[str]]] = {}
    for one in slices:
        names = one.header.names
        # in normal form, as in the patient's id: two spellings are one id
        person = (normal_text(names.patient), normal_text(names.patient_issuer))
        known = people.setdefault(person, (set(), set()))
        for values, value in zip(known, one.header.person, strict=True):
            values.update({value} - {""})
    counts = [max(len(values) for values in known) for known in people.values()]
    if max(counts, default=0) < 2:
        return None
    return Fault(
        "patient_conflict",
        f"the slices of one series and patient id state {max(counts)} different names or birth "
        "dates, expected one: they may be of several people; correct the headers in the archive",
    )
