"""Coded concepts: of structures, findings, their states, sides and degrees."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, NamedTuple

import yaml

from fvlm_data.export.dicom.derived_ids import derived_uid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fvlm_data.vocabulary import Vocabulary

OWN = "99FVLM"
"""Designator of the program's own codes, which are its names; 99 marks private ones (PS3.16, 8)."""

SYSTEMS = {
    "SCT": "http://snomed.info/sct",
    "RADLEX": "http://www.radlex.org",
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    OWN: f"urn:oid:{derived_uid('codes')}",
}
"""Terminology of each designator, as FHIR names it."""

MEANING_CHARACTERS = 64
"""Most that a meaning may have, as any Long String (PS3.5, LO)."""


class Concept(NamedTuple):
    """A code, the designator of its scheme in DICOM, and what it means."""

    value: str
    scheme: str
    meaning: str


PRESENCE = Concept("121052", "DCM", "Presence of property")
SEVERITY = Concept("246112005", "SCT", "Severity")
LATERALITY = Concept("272741003", "SCT", "Laterality")
LONG_AXIS = Concept("103339001", "SCT", "Long axis")
CHANGE = Concept("change", OWN, "Change since an earlier examination")

STATES: Mapping[str, Concept] = {
    "present": Concept("121053", "DCM", "Present"),
    "absent": Concept("121054", "DCM", "Absent"),
    "uncertain": Concept("121059", "DCM", "Presence Undetermined"),
    "historical": Concept("historical", OWN, "In the patient's history"),
    "hypothetical": Concept("hypothetical", OWN, "Hypothetical"),
    "family": Concept("family", OWN, "In the family, not the patient"),
}
SIDES: Mapping[str, Concept] = {
    "left": Concept("7771000", "SCT", "Left"),
    "right": Concept("24028007", "SCT", "Right"),
    "bilateral": Concept("51440002", "SCT", "Bilateral"),
}
SEVERITIES: Mapping[str, Concept] = {
    "mild": Concept("255604002", "SCT", "Mild"),
    "moderate": Concept("6736007", "SCT", "Moderate"),
    "severe": Concept("24484000", "SCT", "Severe"),
}


def own(name: str, meaning: str = "") -> Concept:
    """The program's own code of a name."""
    return Concept(name, OWN, (meaning or name.replace("_", " "))[:MEANING_CHARACTERS])


def structure(name: str) -> tuple[Concept, Concept | None]:
    """What a segmentation class or an anatomy is, and its side where the name tells one.

    A structure that DICOM's tables do not hold has a code of the program's own, side included.
    """
    from pydicom.sr.codedict import codes

    listed = _structures()
    base, _, last = name.rpartition("_")
    side = SIDES[last] if name not in listed and last in ("left", "right") else None
    keyword = listed.get(base if side else name)
    if keyword is None:
        return own(name), None
    code = getattr(codes.SCT, keyword)
    return Concept(code.value, "SCT", code.meaning[:MEANING_CHARACTERS]), side


def finding_concepts(vocabulary: Vocabulary) -> dict[str, Concept]:
    """Of each finding of a vocabulary its code: SNOMED CT, else RadLex, else the program's own."""
    found = {}
    for finding in vocabulary.findings:
        coded = own(finding.id, finding.name)
        for system, scheme in (("radlex", "RADLEX"), ("snomed_ct", "SCT")):
            if system in finding.codes:
                coded = Concept(finding.codes[system], scheme, coded.meaning)
        found[finding.id] = coded
    return found


@cache
def _structures() -> dict[str, str]:
    """Keyword of SNOMED CT in DICOM's tables by name (file codes.yaml)."""
    table = resources.files("fvlm_data.export.dicom") / "codes.yaml"
    content = yaml.safe_load(table.read_text(encoding="utf-8"))
    return {str(name): str(keyword) for name, keyword in content.items()}
