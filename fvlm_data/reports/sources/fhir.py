"""FHIR DiagnosticReport as JSON (R4 and R5): a resource, a Bundle, or one resource a line.

Plain JSON serves: a handful of elements is read, and a model library would refuse the many
reports that are not valid in all their other elements.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

from fvlm_data.reports.sources.kind import Kind
from fvlm_data.reports.sources.rows import RowDraft, decoded, decoded_bytes, faulty, mended

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from fvlm_data.reports.sources.options import ReadOptions
    from fvlm_data.reports.sources.rows import ReportRow

_BLOCKS = frozenset({"br", "p", "div", "li", "tr", "h1", "h2", "h3", "h4", "h5", "h6", "pre"})


def read_fhir(path: Path, options: ReadOptions) -> Iterator[ReportRow]:
    """Every DiagnosticReport of a file; other resources tell of studies and patients only."""
    try:
        resources = _resources(decoded(path, options.encoding))
    except (json.JSONDecodeError, RecursionError):
        yield faulty(0, "broken_json", "no valid JSON; expected a FHIR resource or Bundle")
        return
    known = {key: one for one in resources for key in _keys(one)}
    reports = [one for one in resources if one.get("resourceType") == "DiagnosticReport"]
    for number, report in enumerate(reports):
        contained = [one for one in _list(report.get("contained")) if isinstance(one, dict)]
        inner = {f"#{one.get('id')}": one for one in contained}
        try:
            yield _report(report, {**known, **inner}).row(number)
        except (AttributeError, TypeError, ValueError):
            detail = f"report {number}: an element has another type than in FHIR R4 or R5"
            yield faulty(number, "broken_resource", detail)
    if not reports:
        detail = "no DiagnosticReport found; nothing to do"
        yield faulty(0, "not_a_report", detail, kind="out_of_scope")


def _resources(text: str) -> list[dict[str, Any]]:
    try:
        parts = [json.loads(text)]
    except json.JSONDecodeError:
        parts = [json.loads(line) for line in text.split("\n") if line.strip()]
    made: list[dict[str, Any]] = []
    for part in parts:
        if isinstance(part, dict) and part.get("resourceType") == "Bundle":
            for entry in _list(part.get("entry")):
                resource = entry.get("resource") if isinstance(entry, dict) else None
                if isinstance(resource, dict):
                    made.append({**resource, "fullUrl": entry.get("fullUrl")})
        elif isinstance(part, dict):
            made.append(part)
    return made


def _keys(resource: Mapping[str, Any]) -> list[str]:
    keys = [f"{resource.get('resourceType')}/{resource.get('id')}"] if resource.get("id") else []
    return keys + ([str(resource["fullUrl"])] if resource.get("fullUrl") else [])


def _report(report: Mapping[str, Any], known: Mapping[str, Any]) -> RowDraft:
    draft = RowDraft(name=str(report.get("id") or ""), issued=str(report.get("issued") or ""))
    for identifier in _list(report.get("identifier")):
        _link(draft, identifier, accession=_is_accession(identifier))
        draft.identities.append(str(identifier.get("value") or ""))
    for kind in ("imagingStudy", "study"):
        for reference in _list(report.get(kind)):
            for identifier in _identifiers(reference, known):
                _link(draft, identifier, accession=_is_accession(identifier))
    for reference in _list(report.get("basedOn")):
        for identifier in _identifiers(reference, known):
            _link(draft, identifier, accession=_is_accession(identifier))
    people = [report.get("subject"), *_list(report.get("performer"))]
    for reference in (*people, *_list(report.get("resultsInterpreter"))):
        _tell(draft, reference, known)
    draft.state(str(report.get("status") or ""))
    if draft.withdrawn:
        # A resource keeps its time of issue when it is marked as entered in error.
        changed = str((report.get("meta") or {}).get("lastUpdated") or "")
        draft.issued = max(draft.issued, changed)
    draft.document = draft.name
    draft.procedure = _code(report.get("code"))
    draft.columns, fault = _texts(report, known)
    draft.fault = draft.fault or fault
    return draft


def _code(concept: Any) -> str:
    """The first code of a concept, else its text."""
    if not isinstance(concept, dict):
        return ""
    codings = [one for one in _list(concept.get("coding")) if isinstance(one, dict)]
    codes = [str(coding.get("code") or "") for coding in codings]
    return next(filter(None, codes), str(concept.get("text") or ""))


def _identifiers(reference: Any, known: Mapping[str, Any]) -> list[Any]:
    """Identifiers in a reference and in the resource that it points to."""
    if not isinstance(reference, dict):
        return []
    resource = known.get(str(reference.get("reference") or ""), {})
    found = [*_list(reference.get("identifier")), *_list(resource.get("identifier"))]
    uid = resource.get("uid")
    return [*found, {"system": "urn:dicom:uid", "value": uid}] if uid else found


def _link(draft: RowDraft, identifier: Mapping[str, Any], *, accession: bool) -> None:
    value, system = str(identifier.get("value") or ""), str(identifier.get("system") or "")
    if system == "urn:dicom:uid" or value.startswith("urn:oid:"):
        draft.link("study_uid", value.removeprefix("urn:oid:"))
    elif accession:
        draft.link("accession", value)


def _is_accession(identifier: Mapping[str, Any]) -> bool:
    """ACSN of HL7 table 0203, or a system or text that says so."""
    kind = identifier.get("type") or {}
    codes = {str(coding.get("code")) for coding in _list(kind.get("coding"))}
    words = f"{kind.get('text', '')} {identifier.get('system', '')}".lower()
    return "ACSN" in codes or "accession" in words


def _tell(draft: RowDraft, reference: Any, known: Mapping[str, Any]) -> None:
    """Names, ids, dates and places of a person or an organisation, for scrubbing."""
    if not isinstance(reference, dict):
        return
    draft.identities.append(str(reference.get("display") or ""))
    person = known.get(str(reference.get("reference") or ""), {})
    for identifier in _identifiers(reference, known):
        draft.identities.append(str(identifier.get("value") or ""))
        if person.get("resourceType") == "Patient":
            draft.link("patient_id", str(identifier.get("value") or ""))
    for name in _list(person.get("name")):
        if isinstance(name, str):
            draft.identities.append(name)
            continue
        given = " ".join(map(str, _list(name.get("given"))))
        draft.identities += [str(name.get("text") or ""), f"{given} {name.get('family') or ''}"]
    draft.identities.append(str(person.get("birthDate") or ""))
    draft.identities += [str(way.get("value") or "") for way in _list(person.get("telecom"))]
    for address in _list(person.get("address")):
        parts = [*_list(address.get("line")), address.get("city"), address.get("postalCode")]
        draft.identities += [str(part) for part in parts if part]


def _texts(
    report: Mapping[str, Any], known: Mapping[str, Any]
) -> tuple[dict[str, str], tuple[str, str, str] | None]:
    """The presented form; else observations and conclusion; else the narrative."""
    fault = None
    for form in _list(report.get("presentedForm")):
        kind = str(form.get("contentType") or "").split(";")[0].strip().lower()
        if kind not in ("text/plain", "text/html", "application/xhtml+xml", "text/markdown", ""):
            fault = ("fault", "not_text", f"its form is {kind}, expected text; give it as text")
            continue
        try:
            content = base64.b64decode(str(form.get("data") or ""), validate=True)
        except binascii.Error:
            fault = ("fault", "broken_form", "its form is no valid base64; mend the file")
            continue
        if content:
            text = decoded_bytes(content)
            return {"report": _plain(text) if "html" in kind else mended(text)}, None
    results = [_observed(reference, known) for reference in _list(report.get("result"))]
    findings = "\n".join(filter(None, results))
    conclusion = mended(str(report.get("conclusion") or ""))
    if findings or conclusion:
        return {"findings": findings, "impression": conclusion}, None
    narrative = report.get("text") or {}
    return {"report": _plain(str(narrative.get("div") or ""))}, fault


def _observed(reference: Any, known: Mapping[str, Any]) -> str:
    if not isinstance(reference, dict):
        return ""
    observation = known.get(str(reference.get("reference") or ""), {})
    if observation.get("status") in ("entered-in-error", "cancelled"):
        return ""
    coded = observation.get("valueCodeableConcept") or {}
    return mended(str(observation.get("valueString") or coded.get("text") or ""))


class _Words(HTMLParser):
    """Text of HTML; blocks begin and end lines."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag in _BLOCKS:
            self.pieces.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in _BLOCKS:
            self.pieces.append("\n")

    def handle_data(self, data: str) -> None:
        self.pieces.append(data)


def _plain(html: str) -> str:
    words = _Words()
    words.feed(html)
    words.close()
    lines = (line.strip() for line in "".join(words.pieces).split("\n"))
    return mended(re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip())


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


FHIR = Kind((".json",), read_fhir)
