"""Findings and scores of a study as FHIR R4 Observation resources."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from fvlm_data.export.dicom.concepts import (
    CHANGE,
    LATERALITY,
    LONG_AXIS,
    SEVERITIES,
    SEVERITY,
    SIDES,
    STATES,
    SYSTEMS,
    Concept,
    own,
    structure,
)
from fvlm_data.export.dicom.derived_ids import derived_uid, derived_uuid

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from fvlm_data.export.dicom.curated import Said, Study

PATIENTS = f"urn:oid:{derived_uid('patients')}"
"""System of the store's patient ids."""

CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
UCUM = "http://unitsofmeasure.org"


class Scored(NamedTuple):
    """A score of `fvlm-eval` in [0, 1]: how far a finding of an anatomy shows in a sample."""

    sample_id: str
    finding: str
    anatomy: str
    score: float


def bundle_line(
    study: Study, scores: Sequence[Scored], codes: Mapping[str, Concept]
) -> bytes | None:
    """A line of JSON: the Bundle (type collection) of a study; None where nothing is to be told."""
    resources = [
        *(_mention(study, said, codes) for said in study.findings),
        *(_scored(study, score, codes) for score in scores),
    ]
    if not resources:
        return None
    bundle = {
        "resourceType": "Bundle",
        "id": derived_uuid("bundle", study.study_id),
        "type": "collection",
        "entry": [{"fullUrl": f"urn:uuid:{one['id']}", "resource": one} for one in resources],
    }
    return json.dumps(bundle, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def _mention(study: Study, said: Said, codes: Mapping[str, Concept]) -> dict[str, Any]:
    mention = (said.report_id, str(said.sentence), str(said.start), said.finding, said.anatomy)
    return {
        **_observation(study, derived_uuid("mention", *mention), said.finding, said.anatomy, codes),
        "valueCodeableConcept": _coded(STATES[said.status]),
        # an empty list is no JSON of FHIR's
        **({"component": components} if (components := list(_components(said))) else {}),
        "note": [{"text": said.text}],
    }


def _components(said: Said) -> Iterator[dict[str, Any]]:
    if said.laterality is not None:
        side = SIDES[said.laterality]
        yield {"code": _coded(LATERALITY), "valueCodeableConcept": _coded(side)}
    if said.severity is not None:
        degree = SEVERITIES.get(said.severity) or own(said.severity)
        yield {"code": _coded(SEVERITY), "valueCodeableConcept": _coded(degree)}
    if said.change is not None:
        yield {"code": _coded(CHANGE), "valueCodeableConcept": _coded(own(said.change))}
    if said.size_mm is not None:
        yield {"code": _coded(LONG_AXIS), "valueQuantity": _quantity(said.size_mm, "mm", "mm")}


def _scored(study: Study, scored: Scored, codes: Mapping[str, Concept]) -> dict[str, Any]:
    name = derived_uuid("score", study.study_id, scored.sample_id, scored.finding, scored.anatomy)
    return {
        **_observation(study, name, scored.finding, scored.anatomy, codes),
        "method": {"text": "score of a model by fvlm-eval, 0 to 1, not a reading of a physician"},
        "valueQuantity": _quantity(scored.score, "score", "1"),
    }


def _observation(
    study: Study, name: str, finding: str, anatomy: str, codes: Mapping[str, Concept]
) -> dict[str, Any]:
    site, _ = structure(anatomy)
    image = {"system": "urn:dicom:uid", "value": f"urn:oid:{derived_uid('study', study.study_id)}"}
    told: dict[str, Any] = {
        "resourceType": "Observation",
        "id": name,
        "status": "preliminary",  # nobody has signed what a program read
        "category": [{"coding": [{"system": CATEGORY, "code": "imaging"}]}],
        "code": _coded(codes.get(finding) or own(finding)),
        "subject": {"identifier": {"system": PATIENTS, "value": study.patient_id}},
        "bodySite": _coded(site),
        "derivedFrom": [{"type": "ImagingStudy", "identifier": image}],
    }
    if study.date is not None:
        told["effectiveDateTime"] = study.date
    return told


def _coded(concept: Concept) -> dict[str, Any]:
    coding = {
        "system": SYSTEMS[concept.scheme],
        "code": concept.value,
        "display": concept.meaning,
    }
    return {"coding": [coding], "text": concept.meaning}


def _quantity(value: float, unit: str, code: str) -> dict[str, Any]:
    return {"value": value, "unit": unit, "system": UCUM, "code": code}
