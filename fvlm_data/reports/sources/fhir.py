"""FHIR DiagnosticReport as JSON (R4 and R5): a resource, a Bundle, or one resource a line.

Plain JSON serves: a handful of elements is read, and a model library would refuse the many
reports that are not valid in all their other elements.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import TYPE_CHECKING, Any

from fvlm_data.reports.sources.attachments import UnreadError, content_text
from fvlm_data.reports.sources.columns import joined_columns
from fvlm_data.reports.sources.fhir_people import people
from fvlm_data.reports.sources.html_text import html_text
from fvlm_data.reports.sources.kind import Kind
from fvlm_data.reports.sources.markup import plain_text
from fvlm_data.reports.sources.rows import THE_FILE, RowDraft, decoded, faulty, mended

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from fvlm_data.reports.sources.options import ReadOptions
    from fvlm_data.reports.sources.rows import ReportRow

_DEEPEST = 10
"""Levels of observations within observations that are followed."""


def read_fhir(path: Path, options: ReadOptions) -> Iterator[ReportRow]:
    """Every DiagnosticReport of a file; other resources tell of studies and patients only.

    A form that cannot be read is a row of its own, set aside, where the report has text beside.
    """
    try:
        resources = _resources(decoded(path, options.encoding))
    except (json.JSONDecodeError, RecursionError):
        detail = "no valid JSON; expected a FHIR resource or Bundle"
        yield faulty(0, "broken_json", detail, place=THE_FILE)
        return
    known = {key: one for one in resources for key in _keys(one)}
    reports = [one for one in resources if one.get("resourceType") == "DiagnosticReport"]
    number = 0
    for count, report in enumerate(reports, start=1):
        place = f"report {count}"
        contained = [one for one in _list(report.get("contained")) if isinstance(one, dict)]
        inner = {f"#{one.get('id')}": one for one in contained}
        try:
            draft, unread = _report(report, {**known, **inner})
            yield draft.row(number, place)
            if unread is not None:
                number += 1
                kind, reason, detail = unread
                yield faulty(number, reason, detail, kind=kind, place=place)
        except UnreadError as error:
            yield faulty(number, error.reason, f"a text of it {error.detail}", place=place)
        except (AttributeError, TypeError, ValueError):
            detail = "an element has another type than in FHIR R4 or R5"
            yield faulty(number, "broken_resource", detail, place=place)
        number += 1
    if not reports:
        detail = "no DiagnosticReport found; nothing to do"
        yield faulty(0, "not_a_report", detail, kind="out_of_scope", place=THE_FILE)


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


def _report(
    report: Mapping[str, Any], known: Mapping[str, Any]
) -> tuple[RowDraft, tuple[str, str, str] | None]:
    """The report, and what is wrong with a form of it that its text does without."""
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
    for reference in filter(lambda one: _is_patient(one, known), _list(report.get("subject"))):
        for identifier in _identifiers(reference, known):
            draft.link("patient_id", str(identifier.get("value") or ""))
    draft.identities += people(report, known)
    draft.state(str(report.get("status") or ""))
    if draft.withdrawn:
        # A resource keeps its time of issue when it is marked as entered in error.
        changed = str((report.get("meta") or {}).get("lastUpdated") or "")
        draft.issued = max(draft.issued, changed)
    draft.document = draft.name
    draft.procedure = _code(report.get("code"))
    draft.columns, unread = _texts(report, known)
    if any(text.strip() for text in draft.columns.values()):
        return draft, None if draft.fault else unread
    draft.fault = draft.fault or unread
    return draft, None


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


def _is_patient(reference: Any, known: Mapping[str, Any]) -> bool:
    key = str(reference.get("reference") or "") if isinstance(reference, dict) else ""
    return bool(known.get(key, {}).get("resourceType") == "Patient")


def _texts(
    report: Mapping[str, Any], known: Mapping[str, Any]
) -> tuple[dict[str, str], tuple[str, str, str] | None]:
    """The presented form, with what it lacks of observations, conclusion and narrative.

    A narrative that says of itself that it was generated from the resource adds nothing to what
    else is there (R4, Narrative.status). Several forms are the same report (R4,
    DiagnosticReport.presentedForm): the first with text serves.
    """
    results = [_observed(reference, known) for reference in _list(report.get("result"))]
    findings = "\n".join(filter(None, results))
    conclusion = _plain(str(report.get("conclusion") or ""))
    fault = None
    for form in _list(report.get("presentedForm")):
        try:
            text = plain_text(_form_text(form, known))
        except UnreadError as error:
            fault = fault or ("fault", error.reason, f"its form {error.detail}")
            continue
        if text.strip():
            whole = mended(text)
            beside = {"findings": _lacking(whole, findings)}
            beside["impression"] = _lacking(whole, conclusion)
            said = "\n\n".join(filter(None, (whole, joined_columns(beside))))
            return {"report": _with_narrative(said, report)}, None
    if findings or conclusion:
        columns = {"findings": findings, "impression": conclusion}
        said = joined_columns(columns)
        whole = _with_narrative(said, report)
        return (columns if whole == said else {"report": whole}), fault
    return {"report": _with_narrative("", report)}, fault


def _with_narrative(said: str, report: Mapping[str, Any]) -> str:
    """A text with what it lacks of the narrative."""
    narrative = report.get("text") or {}
    if said and narrative.get("status") == "generated":
        return said
    told = mended(html_text(str(narrative.get("div") or "")))
    return "\n\n".join(filter(None, (said, _lacking(said, told) if said else told)))


def _lacking(whole: str, part: str) -> str:
    """The lines of a part whose words, whatever their case and breaks, the whole does not hold."""
    said = " ".join(whole.casefold().split())
    lines = (line.strip() for line in part.splitlines())
    return "\n".join(line for line in lines if " ".join(line.casefold().split()) not in said)


def _form_text(form: Mapping[str, Any], known: Mapping[str, Any]) -> str:
    """Text of an attachment, which holds its data or names a Binary of the same file."""
    url = str(form.get("url") or "")
    kind = str(form.get("contentType") or "")
    data = form.get("data")
    if not data and url:
        binary = known.get(url) or known.get("/".join(url.split("/_history")[0].split("/")[-2:]))
        if binary is None:
            raise UnreadError(
                "form_elsewhere", "is at a URL, expected a Binary of the same file; give it there"
            )
        if isinstance(binary.get("content"), list):  # a DocumentReference
            return _form_text((binary["content"][0] or {}).get("attachment") or {}, known)
        kind = kind or str(binary.get("contentType") or "")
        data = binary.get("data") or binary.get("content")
    try:
        content = base64.b64decode(re.sub(r"\s", "", str(data or "")), validate=True)
    except binascii.Error as error:
        raise UnreadError("broken_form", "is no valid base64; mend the file") from error
    charset = re.search(r"charset\s*=\s*\"?([\w.:-]+)", kind, re.IGNORECASE)
    return content_text(content, kind.split(";")[0], charset[1] if charset else "")


def _observed(reference: Any, known: Mapping[str, Any], depth: int = 0) -> str:
    """Text of an observation: its value, its components' and members', its notes."""
    if not isinstance(reference, dict) or depth > _DEEPEST:
        return ""
    observation = known.get(str(reference.get("reference") or ""), {})
    if observation.get("status") in ("entered-in-error", "cancelled"):
        return ""
    texts = [_value(one) for one in (observation, *_list(observation.get("component")))]
    texts += [_plain(str(note.get("text") or "")) for note in _list(observation.get("note"))]
    members = _list(observation.get("hasMember"))
    texts += [_observed(member, known, depth + 1) for member in members]
    return "\n".join(filter(None, texts))


def _value(observed: Mapping[str, Any]) -> str:
    coded = observed.get("valueCodeableConcept") or {}
    return _plain(str(observed.get("valueString") or coded.get("text") or ""))


def _plain(text: str) -> str:
    return mended(plain_text(text))


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


FHIR = Kind((".json",), read_fhir)
