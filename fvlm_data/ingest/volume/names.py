"""Keyed ids of patients, studies and series, and the links by which reports find them."""

from __future__ import annotations

from dataclasses import dataclass

from fvlm_data.identity.ids import keyed_id, link_key
from schemas import Link


@dataclass(frozen=True, slots=True)
class Names:
    """What the source calls a series, its study and its patient; empty where it says nothing.

    None of it may appear in a table or message. `fallback` tells studies and patients without
    a name apart (the series' own id).
    """

    series_uid: str = ""
    study_uid: str = ""
    patient: str = ""
    patient_issuer: str = ""
    accession: str = ""
    accession_issuer: str = ""
    volume_name: str = ""
    study_named_by: tuple[str, ...] = ()
    """Names of volumes, there or not, by which a report may name the study."""


def patient_id(key: bytes, names: Names, fallback: str) -> str:
    """Keyed id of the patient: id and issuer; without an id, the study's, else the series' own.

    The id is normalised as link keys are, so that blanks and case do not make a second patient.
    """
    if names.patient:
        value = link_key("patient_id", names.patient, names.patient_issuer or None, key=key)
        return keyed_id(key, "p", value)
    if names.study_uid:
        return keyed_id(key, "p", "study", names.study_uid)
    return keyed_id(key, "p", "series", fallback)


def study_id(key: bytes, names: Names, fallback: str) -> str:
    """Keyed id of the study: its UID and patient; without a UID the series is a study."""
    patient = patient_id(key, names, fallback)
    if names.study_uid:
        return keyed_id(key, "st", names.study_uid, patient)
    return keyed_id(key, "st", "series", fallback)


def links(key: bytes, names: Names, series_id: str) -> list[Link]:
    """Links of one series, its study and its patient.

    An accession number or patient id with an issuer is linked with and without it: reports
    often come without.
    """
    study = study_id(key, names, series_id)
    patient = patient_id(key, names, series_id)
    stated = (
        ("study", study, "study_uid", names.study_uid, ""),
        ("study", study, "accession", names.accession, ""),
        ("study", study, "accession", names.accession, names.accession_issuer),
        ("series", series_id, "series_uid", names.series_uid, ""),
        ("series", series_id, "volume_name", names.volume_name, ""),
        *(("study", study, "volume_name", name, "") for name in names.study_named_by),
        ("patient", patient, "patient_id", names.patient, ""),
        ("patient", patient, "patient_id", names.patient, names.patient_issuer),
    )
    rows = {
        (owner, kind, value, issuer): Link(
            owner_kind=owner_kind,
            owner_id=owner,
            kind=kind,
            value_hash=link_key(kind, value, issuer or None, key=key),
            stated_by=series_id,
        )
        for owner_kind, owner, kind, value, issuer in stated
        if value
    }
    return list(rows.values())
