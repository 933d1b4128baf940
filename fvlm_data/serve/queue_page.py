"""The page of what is doubted most: each thing with what is said of it, to be judged in one go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fvlm_data.errors import InputError
from fvlm_data.qc.assets import SHARED
from fvlm_data.qc.templating import filled, words
from fvlm_data.review.queue import doubts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from fvlm_data.qc.templating import Served
    from fvlm_data.review.queue import Doubt
    from fvlm_data.review.subjects import Subject
    from fvlm_data.serve.live import Live
    from fvlm_data.store.declared import Context

PACKAGE = "fvlm_data.serve"
LISTED = 50
KINDS = (
    ("", "all"), ("study", "studies"), ("mask", "masks"), ("sentence", "sentences"),
    ("finding", "findings"), ("pair", "pairs"),
)  # fmt: skip
"""What the page can be narrowed to, as its links are called."""

STYLES = (*SHARED, "review.css", "search.css", "queue.css")
SCRIPTS = ("dom.js", "decisions.js", "review.js", "send.js", "queue.js")

REPORTS = """
SELECT r.report_id, r.text, (SELECT min(s.study_id) FROM study_reports s
    WHERE s.report_id = r.report_id AND s.study_id IN (SELECT study_id FROM volumes))
FROM reports r WHERE r.report_id IN (SELECT unnest($reports))
"""
"""Text of a report, and the first of its studies that has a page."""

SENTENCES = """
SELECT report_id, start, "end" FROM sentences WHERE report_id IN (SELECT unnest($reports))
"""
VOLUMES = "SELECT volume_id, study_id FROM volumes WHERE volume_id IN (SELECT unnest($volumes))"
SAID = """
SELECT study_id, anatomy, text FROM anatomy_texts
WHERE study_id IN (SELECT unnest($studies)) AND anatomy IN (SELECT unnest($anatomies))
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """One thing of the queue: what it is, the study that shows it, and what is said.

    `said` are texts, each with the study that it is of (empty: that of the thing), in three parts:
    the middle one is what is judged.
    """

    doubt: Doubt
    label: str
    study: str | None
    said: tuple[tuple[str, tuple[str, str, str]], ...] = ()


def queue_page(
    live: Live, context: Context, served: Served, kind: str, doubtful: Path | None
) -> str:
    """The LISTED things that are doubted most; `kind` is one of them or empty.

    Raises:
        InputError: there is no such kind, or the rows of a model's doubts cannot be read.
        StoreError: a table cannot be read.
    """
    if kind not in dict(KINDS):
        known = ", ".join(name for name, _ in KINDS if name)
        raise InputError(f"kind {kind}: not known; expected one of {known}")
    with live.lock:
        found = doubts(context, live.vocabulary, LISTED, doubtful, kind or None)
    return filled(
        "queue.html",
        PACKAGE,
        served=served,
        styles=STYLES,
        scripts=SCRIPTS,
        kind=kind,
        kinds=KINDS,
        asked=_asked(live, found),
        listed=LISTED,
    )


def _asked(live: Live, found: Sequence[Doubt]) -> list[Asked]:
    def parts(name: str) -> list[str]:
        return sorted({told for one in found if (told := one.subject.part(name))})

    reports = {"reports": parts("report_id")}
    texts = {report: (text, study) for report, text, study in live.rows(REPORTS, reports)}
    spans: dict[str, list[tuple[int, int]]] = {}
    for report, start, end in live.rows(SENTENCES, reports):
        spans.setdefault(report, []).append((start, end))
    studies = dict(live.rows(VOLUMES, {"volumes": parts("volume_id")}))
    pairs = {
        "studies": sorted({*parts("study_id"), *parts("other_study_id")}),
        "anatomies": parts("anatomy"),
    }
    said = {(study, anatomy): text for study, anatomy, text in live.rows(SAID, pairs)}
    made = []
    for one in found:
        subject = one.subject
        report = subject.part("report_id")
        if report is not None:
            text, study = texts[report]
            quote = _quoted(text, subject, spans.get(report, []))
            made.append(Asked(one, _label(subject), study, (("", quote),)))
        elif subject.kind == "pair":
            made.append(Asked(one, _label(subject), subject.parts[0], _both(subject, said)))
        else:
            study = subject.part("study_id") or studies[subject.parts[0]]
            made.append(Asked(one, _label(subject), study))
    return made


def _label(subject: Subject) -> str:
    """What is judged, in words."""
    if subject.kind == "study":
        return "the whole study"
    if subject.kind == "mask":
        return f"mask of {words(subject.parts[1])} in {subject.parts[0]}"
    if subject.kind == "sentence":
        return "the sentence, as it is read"
    if subject.kind == "pair":
        return f"both say the same of {words(subject.parts[2])}"
    finding, anatomy, status = subject.parts[3:]
    return f"{words(finding)} ({words(anatomy)}), {status}"


def _quoted(
    text: str, subject: Subject, sentences: Sequence[tuple[int, int]]
) -> tuple[str, str, str]:
    """The sentence that holds the subject: before it, itself, and behind it."""
    start, end = subject.span
    low, high = next(((a, b) for a, b in sentences if a <= start and end <= b), (start, end))
    return text[low:start], text[start:end], text[end:high]


def _both(
    subject: Subject, said: Mapping[tuple[str, str], str]
) -> tuple[tuple[str, tuple[str, str, str]], ...]:
    one, other, anatomy = subject.parts
    return tuple((study, (said.get((study, anatomy), ""), "", "")) for study in (one, other))
