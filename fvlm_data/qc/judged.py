"""What of a study a reviewer can judge on its page: itself, its masks, texts, and pairs."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fvlm_data.qc.templating import words
from fvlm_data.review.by_flags import READ, homes
from fvlm_data.review.subjects import FIELDS
from fvlm_data.review.versions import makes, mask_version, study_version
from fvlm_data.vocabulary import OTHER_ABNORMALITY
from schemas.findings import LATERALITIES, STATUSES
from schemas.sentences import SECTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fvlm_data.qc.study_rows import Row, StudyRows
    from fvlm_data.vocabulary import Vocabulary

CORRECTED = ("anatomy", "status", "laterality")
"""What a correction of a finding may say of it beside its name."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One thing to judge: kind, subject and version as `fvlm-data review` knows them.

    `label` tells it apart from the others of the page, `anatomy` is what it is about. Of texts
    `sentence` is the subject of the sentence that it is or lies in, and `read` how it is read:
    what a correction starts from.
    """

    kind: str
    subject: str
    version: str
    label: str
    anatomy: str = ""
    sentence: str = ""
    read: Mapping[str, Any] = field(default_factory=dict)


def judged(study: StudyRows, vocabulary: Vocabulary) -> list[Judged]:
    """A study, its masks and its pairs, in the order of its page."""
    version = study_version(study.volumes, study.reports)
    return [
        Judged("study", study.study_id, version, "the whole study"),
        *_masks(study, vocabulary),
        *_pairs(study),
    ]


def judged_texts(study: StudyRows) -> list[Judged]:
    """The sentences of its reports in their order, each with its mentions behind it.

    Those of reports that an older program read, whose texts have no hash, are left out.
    """
    return [
        one
        for report in study.reports
        if report["document_sha256"]
        for one in _texts(study, report)
    ]


def names_data(vocabulary: Vocabulary) -> dict[str, Any]:
    """What a correction may name, the same on all pages.

    `findings` by the anatomy that each is of; those that lie anywhere under the empty name.
    """
    own = homes(vocabulary)
    findings: dict[str, list[str]] = defaultdict(list)
    for name in sorted({OTHER_ABNORMALITY, *(term.id for term in vocabulary.findings)}):
        findings[own.get(name, "")].append(name)
    return {
        "anatomies": sorted(one.id for one in vocabulary.anatomies),
        "findings": findings,
        "sections": SECTIONS,
        "statuses": STATUSES,
        "sides": LATERALITIES,
    }


def _masks(study: StudyRows, vocabulary: Vocabulary) -> Iterator[Judged]:
    for volume, rows in study.masks.items():
        for anatomy in vocabulary.imaged:
            mine = [row for row in rows if makes(row, anatomy, vocabulary)]
            if mine:
                label = f"mask of {words(anatomy)} in {volume}"
                subject = f"{volume}:{anatomy}"
                yield Judged("mask", subject, mask_version(mine), label, anatomy)


def _texts(study: StudyRows, report: Row) -> Iterator[Judged]:
    version, report_id = report["document_sha256"], report["report_id"]
    mentions: dict[int, list[Row]] = defaultdict(list)
    for row in study.findings[report_id]:
        mentions[row["sentence"]].append(row)
    for row in sorted(study.sentences[report_id], key=lambda row: (row["start"], row["end"])):
        subject = _subject("sentence", row)
        about = tuple(row["anatomies"])
        own = sorted(mentions[row["sentence"]], key=lambda m: (m["start"], m["end"], m["finding"]))
        read = {
            "section": row["section"],
            "anatomies": about,
            "findings": [{n: m[n] for n in READ} for m in own],
        }
        yield Judged("sentence", subject, version, row["text"], " ".join(about), subject, read)
        for mention in own:
            told = {name: mention[name] for name in ("finding", *CORRECTED)}
            yield Judged(
                "finding",
                _subject("finding", mention),
                version,
                _told(mention, report),
                mention["anatomy"],
                subject,
                told,
            )


def _subject(kind: str, row: Row) -> str:
    return ":".join(str(row[name]) for name in FIELDS[kind])


def _pairs(study: StudyRows) -> Iterator[Judged]:
    """The pairs that the page names; right means that both say the same of the anatomy."""
    for anatomy, partners in sorted(study.partners.items()):
        for other in (*partners.studies, *partners.apart):
            subject = ":".join((*sorted((study.study_id, other)), anatomy))
            label = f"says the same of {words(anatomy)} as {other}"
            yield Judged("pair", subject, partners.versions[other], label, anatomy)


def _told(row: Row, report: Row) -> str:
    said = report["text"][row["start"] : row["end"]]
    finding, anatomy = words(row["finding"]), words(row["anatomy"])
    side = f", {row['laterality']}" if row["laterality"] else ""
    return f"“{said}”: {finding} ({anatomy}), {row['status']}{side}"
