"""The review page: reports with what the parser says of them, for a radiologist to correct."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any, get_args

from fvlm_data.reports.language.decisions import DOUBTS
from fvlm_data.reports.language.reconcile import assessments
from fvlm_data.reports.language.records import Status
from fvlm_data.reports.rows import document_sha256
from fvlm_data.vocabulary import OTHER_ABNORMALITY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fvlm_data.reports.language.parsed import ParsedReport
    from fvlm_data.vocabulary import Vocabulary


def review_page(
    reports: Iterable[tuple[str, str, ParsedReport]],
    vocabulary: Vocabulary,
    doubts: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """One HTML page of (report id, scrubbed text, parse); it loads nothing and sends nothing.

    `doubts` are sentences on what a model doubts of a report, by its id.
    What is corrected on it is saved as JSONL, which `score.read_gold` reads.
    """
    terms = {term.id: term.anatomy for term in vocabulary.findings}
    data = {
        "statuses": list(get_args(Status)),
        "findings": sorted({*terms, OTHER_ABNORMALITY}),
        "anatomies": sorted(anatomy.id for anatomy in vocabulary.anatomies),
        "anatomy_of": terms,
        "reports": [
            {**_shown(*report), "doubts": list((doubts or {}).get(report[0], ()))}
            for report in reports
        ],
    }
    page = files("fvlm_data.reports.review").joinpath("review.html").read_text(encoding="utf-8")
    # "</script>" or "<!--" in a text must not end the element that holds the data
    embedded = json.dumps(data).replace("<", "\\u003c")
    return page.replace("$data", embedded, 1)


def _shown(report_id: str, text: str, parsed: ParsedReport) -> dict[str, Any]:
    said = assessments(parsed)
    return {
        "report_id": report_id,
        "document_sha256": document_sha256(text),
        "text": text,
        "states": {
            anatomy: state.state
            for anatomy, state in sorted(parsed.anatomy_states().items())
            if state.state != "not_mentioned"
        },
        "contradictions": [
            {
                "anatomy": one.anatomy,
                "finding": one.finding,
                "denied_in": one.denied_in,
                "stated_in": one.stated_in,
            }
            for one in parsed.contradictions()
        ],
        "sentences": [
            {
                "start": sentence.start,
                "end": sentence.end,
                "section": sentence.section,
                "anatomies": list(sentence.anatomies),
                "assessments": said[number],
                "normal": sorted({v.anatomy for v in parsed.normal if v.sentence == number}),
                "findings": [
                    {
                        "finding": one.finding,
                        "anatomy": one.anatomy,
                        "status": one.status,
                        "laterality": one.laterality,
                        "severity": one.severity,
                        "size_mm": one.size_mm,
                        "count": one.count,
                        "location": one.location,
                        "change": one.change,
                        "prior_size_mm": one.prior_size_mm,
                        "decided_by": one.decided.rule,
                        "cue": one.decided.cue,
                        "doubts": [DOUBTS[doubt] for doubt in one.decided.doubts],
                        "confidence": one.decided.confidence,
                        "start": one.start,
                        "end": one.end,
                    }
                    for one in parsed.findings
                    if one.sentence == number
                ],
            }
            for number, sentence in enumerate(parsed.sentences)
        ],
    }
