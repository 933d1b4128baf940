"""The rows of a parsed report: tables `reports`, `sentences` and `findings`."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from fvlm_data.identity.ids import link_key, shifted_time
from fvlm_data.reports.language.reconcile import assessments
from fvlm_data.reports.versions.original_reports import adds
from schemas import Finding, Report, Sentence

if TYPE_CHECKING:
    from collections.abc import Collection

    from fvlm_data.reports.language.parsed import ParsedReport
    from fvlm_data.reports.versions.original_reports import Original
    from fvlm_data.vocabulary import Vocabulary


def document_sha256(text: str) -> str:
    """SHA-256 of a scrubbed text, by which corrections name it."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def told_of_report(
    original: Original, patients: Collection[str], key: bytes, vocabulary: Vocabulary
) -> dict[str, Any]:
    """Columns of `reports` that its file tells beside the text, so that nobody need decrypt it.

    `patients` are those whom it may be about: only of a single one the shift of dates is known.
    """
    one = next(iter(patients)) if len(patients) == 1 else None
    procedure = original.version.procedure.strip()
    return {
        "issued": shifted_time(key, one, original.issued) if one and original.issued else None,
        "addendum": adds(original, vocabulary),
        "language": vocabulary.language,
        "procedure_hash": link_key("procedure", procedure, key=key) if procedure else None,
        "file_row": original.row,
    }


def report_rows(
    report_id: str, text: str, parsed: ParsedReport, source: str, told: dict[str, Any]
) -> dict[str, list[Any]]:
    """Rows by table; `told` are columns of `reports` (`told_of_report`)."""
    report = Report(
        report_id=report_id,
        text=text,
        sections=tuple(
            {"name": section.name, "start": section.start, "end": section.end}
            for section in parsed.sections
        ),
        source_files=(source,),
        document_sha256=document_sha256(text),
        **told,
    )
    sentences = [
        Sentence(
            report_id=report_id,
            sentence=number,
            start=sentence.start,
            end=sentence.end,
            section=sentence.section,
            text=sentence.text,
            anatomies=tuple(said),
            assessments=tuple(said.values()),
            language=sentence.language,
        )
        for number, (sentence, said) in enumerate(
            zip(parsed.sentences, assessments(parsed), strict=True)
        )
    ]
    findings = {
        (m.sentence, m.start, m.end, m.finding, m.anatomy): Finding(
            report_id=report_id,
            sentence=m.sentence,
            start=m.start,
            end=m.end,
            finding=m.finding,
            anatomy=m.anatomy,
            status=m.status,
            laterality=m.laterality,
            severity=m.severity,
            size_mm=m.size_mm,
            count=m.count,
            location=m.location,
            change=m.change,
            prior_size_mm=m.prior_size_mm,
            decided_by=m.decided.rule,
            cue_start=m.decided.cue[0] if m.decided.cue else None,
            cue_end=m.decided.cue[1] if m.decided.cue else None,
            doubts=m.decided.doubts,
            confidence=m.decided.confidence,
        )
        for m in parsed.findings
    }
    return {"reports": [report], "sentences": sentences, "findings": list(findings.values())}
