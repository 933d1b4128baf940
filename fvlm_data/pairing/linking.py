"""Which report belongs to which study: the join over the `links` table."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

JOINING_KINDS = ("study_uid", "volume_name", "accession")
"""Kinds of link that join a report to a study, the strongest first.

A patient's id alone does not say which of the patient's studies a report describes.
"""


@dataclass(frozen=True, slots=True)
class Joined:
    """Studies of a report, each with the strongest kind of link that joined them.

    `conflict` names two kinds of link of the report that point to different studies or
    patients; `ambiguous` a kind that points to studies of several patients. With either,
    `studies` is empty. `patients` are all that the report may be about, even in a conflict.
    """

    studies: Mapping[str, str]
    conflict: tuple[str, str] | None = None
    ambiguous: str | None = None
    patients: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Named:
    """Who goes by a link (kind, value_hash), and whose the studies are."""

    studies: Mapping[tuple[str, str], set[str]]
    patients: Mapping[tuple[str, str], set[str]]
    patient_of: Mapping[str, str]


def join_reports(
    links: Iterable[Mapping[str, Any]],
    series_study: Mapping[str, str],
    patient_of: Mapping[str, str] | None = None,
) -> dict[str, Joined]:
    """Join every report that has links to its studies, many to many.

    `links` are rows of the `links` table, `series_study` gives the study of each series,
    `patient_of` the patient of each study. Kinds of links of one report that all find studies
    must have one in common; else the report is in conflict with itself. A report describes one
    patient: where its links lead to several, its patient id decides, else it is ambiguous. The
    result does not depend on the order of `links`.
    """
    named = Named(defaultdict(set), defaultdict(set), patient_of or {})
    wanted: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for link in links:
        name = (link["kind"], link["value_hash"])
        if link["owner_kind"] == "report":
            wanted[link["owner_id"]].add(name)
        elif link["owner_kind"] == "study":
            named.studies[name].add(link["owner_id"])
        elif link["owner_kind"] == "series" and link["owner_id"] in series_study:
            named.studies[name].add(series_study[link["owner_id"]])
        elif link["owner_kind"] == "patient":
            named.patients[name].add(link["owner_id"])
    return {report: _joined(names, named) for report, names in wanted.items()}


def join_report(
    own: Iterable[Mapping[str, Any]],
    shared: Iterable[Mapping[str, Any]],
    volumes: Sequence[Mapping[str, Any]],
) -> Joined:
    """Join one report to its studies.

    `own` are its links (kind, value_hash), `shared` those of studies, series and patients of the
    same values (owner_kind and owner_id too), `volumes` the volumes of these (study_id,
    patient_id, series_id where they were found by it). Only what has a volume is joined.
    """
    patient_of = {row["study_id"]: row["patient_id"] for row in volumes}
    series_study = {row["series_id"]: row["study_id"] for row in volumes if "series_id" in row}
    links = [{**link, "owner_kind": "report", "owner_id": ""} for link in own]
    links += [
        dict(link)
        for link in shared
        if link["owner_kind"] != "study" or link["owner_id"] in patient_of
    ]
    return join_reports(links, series_study, patient_of)[""]


def _joined(names: Iterable[tuple[str, str]], named: Named) -> Joined:
    by_kind: dict[str, set[str]] = defaultdict(set)
    people: set[str] = set()
    for kind, value in names:
        by_kind[kind] |= named.studies.get((kind, value), set())
        people |= named.patients.get((kind, value), set())
    found = [(kind, by_kind[kind]) for kind in JOINING_KINDS if by_kind[kind]]
    all_studies = {study for _, those in found for study in those}
    patients = people | {named.patient_of[s] for s in all_studies if s in named.patient_of}
    if people and named.patient_of:
        kept = [(kind, {s for s in those if named.patient_of.get(s) in people})
                for kind, those in found]  # fmt: skip
        # a kind of link that finds only other patients' studies contradicts the patient id
        lost = next((kind for kind, those in kept if not those), None)
        if lost is not None:
            return Joined({}, (lost, "patient_id"), patients=frozenset(patients))
        found = kept
    return _checked(found, named, frozenset(patients))


def _checked(
    found: Sequence[tuple[str, set[str]]], named: Named, patients: frozenset[str]
) -> Joined:
    for position, (kind, those) in enumerate(found):
        for other, others in found[position + 1 :]:
            if not those & others:
                return Joined({}, (kind, other), patients=patients)
    for kind, those in found:
        if len({named.patient_of.get(study) for study in those}) > 1:
            return Joined({}, ambiguous=kind, patients=patients)
    studies: dict[str, str] = {}
    for kind, those in found:
        for study in sorted(those):
            studies.setdefault(study, kind)
    return Joined(studies, patients=patients)
