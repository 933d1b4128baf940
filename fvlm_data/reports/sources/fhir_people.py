"""Everybody whom a FHIR report leads to: patient, relatives, doctors, and whom these refer to."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PERSONS = frozenset(
    {"Patient", "Practitioner", "PractitionerRole", "RelatedPerson", "Person", "Organization"}
)
_ROLES = frozenset(
    {
        "actor", "asserter", "author", "collector", "enterer", "generalPractitioner", "individual",
        "informationSource", "managingOrganization", "operator", "organization", "participant",
        "patient", "performer", "practitioner", "receiver", "recorder", "reporter", "requester",
        "responsible", "resultsInterpreter", "serviceProvider", "subject", "verifier",
    }
)  # fmt: skip
"""Elements of R4 and R5 whose references are to persons or organisations."""
MOST = 200
"""Resources that are followed from one report: what leads further is another report's."""


def people(report: Mapping[str, Any], known: Mapping[str, Any]) -> list[str]:
    """Names, ids, dates and places of all persons and organisations, for scrubbing.

    `known` are the resources of the file by their keys. References are followed wherever they
    stand: a general practitioner, the requester of the order, who observed a result.
    """
    found: list[str] = []
    seen: set[str] = set()
    waiting: deque[Any] = deque([report])
    while waiting and len(seen) < MOST:
        resource = waiting.popleft()
        person = resource.get("resourceType") in PERSONS
        for name, value in _elements(resource):
            found += _told(name, value, person=person)
            key = str(value.get("reference") or "")
            if key in known and key not in seen:
                seen.add(key)
                waiting.append(known[key])
        if person:
            found += [str(resource.get("birthDate") or ""), *_texts(resource.get("name"))]
    return list(dict.fromkeys(filter(str.strip, found)))


def _elements(resource: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each object within a resource, at any depth, with the name of the element it stands in."""
    waiting = deque([("", resource)])
    while waiting:
        name, value = waiting.popleft()
        yield name, dict(value)
        for inner, one in value.items():
            parts = one if isinstance(one, list) else [one]
            waiting += [(inner, part) for part in parts if isinstance(part, dict)]


def _told(name: str, value: Mapping[str, Any], *, person: bool) -> Iterator[str]:
    """What an element tells of a person or organisation."""
    kind = str(value.get("reference") or "").rpartition("/")[0].rpartition("/")[2]
    if name in _ROLES or kind in PERSONS or str(value.get("type")) in PERSONS:
        yield str(value.get("display") or "")
        numbers = value.get("identifier")
        for one in numbers if isinstance(numbers, list) else [numbers]:
            yield from _texts(one.get("value")) if isinstance(one, dict) else ()
    if name == "name" or "family" in value or "given" in value:
        given = " ".join(_texts(value.get("given")))
        yield from (str(value.get("text") or ""), f"{given} {value.get('family') or ''}")
    if name == "telecom" or (person and name == "identifier"):
        yield str(value.get("value") or "")
    if name == "address":
        for part in ("line", "city", "postalCode"):
            yield from _texts(value.get(part))


def _texts(value: Any) -> list[str]:
    """Texts and numbers, one or several; nothing of another form."""
    parts = value if isinstance(value, list) else [value]
    return [str(part) for part in parts if isinstance(part, (str, int))]
