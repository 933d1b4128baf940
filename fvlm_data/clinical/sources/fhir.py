"""FHIR Observations and Patients (R4, R5) as JSON: a resource, a Bundle, or one resource a line.

Plain JSON serves, as for reports: a handful of elements is read.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fvlm_data.clinical.analytes import analyte
from fvlm_data.clinical.sources.times import local_time
from fvlm_data.clinical.sources.told import BROKEN, NOT_OURS, Aside, Told

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from fvlm_data.clinical.config import ClinicalSourceConfig

LOINC = "http://loinc.org"
LINES = (".ndjson", ".jsonl")
SEX_MALE = {"male": "1", "female": "0"}

_WITHDRAWN = Aside(
    "out_of_scope", "withdrawn_value", "values that their source has taken back; nothing to do"
)
_PRELIMINARY = Aside(
    "out_of_scope", "preliminary_value", "values that are not final; the next run takes final ones"
)
STATUSES = {
    "entered-in-error": _WITHDRAWN, "cancelled": _WITHDRAWN, "registered": _PRELIMINARY,
    "preliminary": _PRELIMINARY, "specimen-in-process": _PRELIMINARY,
}  # fmt: skip
"""Codes of observation-status of values that are not taken."""

Patients = dict[str, str]
"""Number of a patient by what references it: Patient/id, or a full URL."""


def patients_of(files: Iterable[Path]) -> Patients:
    """Numbers of all Patients in the files of a source: Observations lie in others, most often."""
    known: Patients = {}
    for file in files:
        for resource in _resources(file):
            if resource is not None and resource.get("resourceType") == "Patient":
                for key in (f"Patient/{resource.get('id')}", str(resource.get("fullUrl") or "")):
                    if key:
                        known[key] = _number(resource.get("identifier"))
    return known


def read_fhir(path: Path, source: ClinicalSourceConfig, patients: Patients) -> Iterator[Told]:
    """All values of a file; what cannot be read is set aside as a broken row."""
    for resource in _resources(path):
        if resource is None:
            yield Told("", fault=BROKEN)
            continue
        try:
            if resource.get("resourceType") == "Observation":
                yield from list(_observation(resource, source, patients))
            elif resource.get("resourceType") == "Patient":
                yield from list(_person(resource, source))
        except (AttributeError, TypeError, ValueError):
            yield Told("", fault=BROKEN)


def _resources(path: Path) -> Iterator[dict[str, Any] | None]:
    """Resources one by one; None for what is no JSON object."""
    with path.open("rb") as handle:
        parts: Iterable[bytes] = handle if path.suffix.lower() in LINES else [handle.read()]
        for part in parts:
            if not part.strip():
                continue
            try:
                told = json.loads(part)
            except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
                yield None
                continue
            if isinstance(told, dict) and told.get("resourceType") == "Bundle":
                for entry in _list(told.get("entry")):
                    resource = entry.get("resource") if isinstance(entry, dict) else None
                    if isinstance(resource, dict):
                        yield {**resource, "fullUrl": entry.get("fullUrl")}
            else:
                yield told if isinstance(told, dict) else None


def _number(identifiers: Any) -> str:
    """The medical record number (MR of HL7 table 0203) among identifiers, else the first."""
    told = [one for one in _list(identifiers) if isinstance(one, dict) and one.get("value")]
    records = [
        one
        for one in told
        if any(code.get("code") == "MR" for code in _list((one.get("type") or {}).get("coding")))
    ]
    return str((records or told or [{"value": ""}])[0]["value"])


def _whose(subject: Any, patients: Patients) -> str:
    if not isinstance(subject, dict):
        return ""
    own = _number(subject.get("identifier"))
    reference = str(subject.get("reference") or "").split("/_history")[0]
    short = "/".join(reference.split("/")[-2:])
    return own or patients.get(reference) or patients.get(short, "")


def _observation(
    resource: Mapping[str, Any], source: ClinicalSourceConfig, patients: Patients
) -> Iterator[Told]:
    patient = _whose(resource.get("subject"), patients)
    fault = STATUSES.get(str(resource.get("status") or ""))
    when = _time(resource, source)
    if isinstance(when, Aside):
        fault, when = fault or when, ""
    panel = [one for one in _list(resource.get("component")) if isinstance(one, dict)]
    parts = [resource] if not panel or any(key.startswith("value") for key in resource) else []
    for part in (*parts, *panel):
        name = _name(part.get("code"), source)
        value, unit = _value(part)
        why = fault or (None if name else NOT_OURS)
        yield Told(patient, name, value, unit, when, fault=why)


def _person(resource: Mapping[str, Any], source: ClinicalSourceConfig) -> Iterator[Told]:
    """Sex, and whether and when the patient died."""
    patient = _number(resource.get("identifier"))
    sex = SEX_MALE.get(str(resource.get("gender") or ""))
    if sex is not None:
        yield Told(patient, "sex_male", sex)
    died = resource.get("deceasedDateTime")
    if died or "deceasedBoolean" in resource:
        when = local_time(str(died or ""), place=source.timezone)
        fault = when if isinstance(when, Aside) else None
        value = "1" if died or resource["deceasedBoolean"] is True else "0"
        yield Told(patient, "outcome:death", value, "", "" if fault else str(when), fault=fault)


def _time(resource: Mapping[str, Any], source: ClinicalSourceConfig) -> str | Aside:
    """When it was so: of a period its end, since the value stands for all of it."""
    period = resource.get("effectivePeriod")
    told = resource.get("effectiveDateTime") or resource.get("effectiveInstant")
    told = told or (period or {}).get("end") or ""
    return local_time(str(told), place=source.timezone)


def _name(concept: Any, source: ClinicalSourceConfig) -> str:
    """Our name of a concept: by `names`, else by LOINC; empty where it is none of ours."""
    if not isinstance(concept, dict):
        return ""
    codings = [one for one in _list(concept.get("coding")) if isinstance(one, dict)]
    for told in (*(str(one.get("code") or "") for one in codings), str(concept.get("text") or "")):
        if told in source.names:
            return source.names[told]
    for one in codings:
        known = analyte(str(one.get("code") or "")) if one.get("system") == LOINC else None
        if known is not None:
            return known.name
    return ""


def _value(part: Mapping[str, Any]) -> tuple[str, str]:
    """Value, with its comparator, and unit."""
    quantity = part.get("valueQuantity")
    if isinstance(quantity, dict):
        comparator = str(quantity.get("comparator") or "")
        number = quantity.get("value")
        unit = str(quantity.get("code") or quantity.get("unit") or "")
        return ("" if number is None else f"{comparator}{number}"), unit
    for kind in ("valueInteger", "valueBoolean", "valueString"):
        if kind in part:
            return str(part[kind]), ""
    return "", ""


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
