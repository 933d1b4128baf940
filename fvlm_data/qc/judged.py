"""What of a study a reviewer can judge on its page: itself, its masks, mentions, and pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fvlm_data.qc.templating import words
from fvlm_data.review.subjects import FIELDS
from fvlm_data.review.versions import makes, mask_version, study_version

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fvlm_data.qc.study_rows import Row, StudyRows
    from fvlm_data.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class Judged:
    """One thing to judge: kind, subject and version as `fvlm-data review` knows them.

    `label` tells it apart from the others of the page, `anatomy` is what it is about.
    """

    kind: str
    subject: str
    version: str
    label: str
    anatomy: str = ""


def judged(study: StudyRows, vocabulary: Vocabulary) -> list[Judged]:
    """All of a study that can be judged, in the order of its page.

    Mentions of reports that an older program read, whose texts have no hash, are left out.
    """
    version = study_version(study.volumes, study.reports)
    return [
        Judged("study", study.study_id, version, "the whole study"),
        *_masks(study, vocabulary),
        *_mentions(study),
        *_pairs(study),
    ]


def _masks(study: StudyRows, vocabulary: Vocabulary) -> Iterator[Judged]:
    for volume, rows in study.masks.items():
        for anatomy in vocabulary.imaged:
            mine = [row for row in rows if makes(row, anatomy, vocabulary)]
            if mine:
                label = f"mask of {words(anatomy)} in {volume}"
                subject = f"{volume}:{anatomy}"
                yield Judged("mask", subject, mask_version(mine), label, anatomy)


def _mentions(study: StudyRows) -> Iterator[Judged]:
    for report in study.reports:
        if not report["document_sha256"]:
            continue
        rows = study.findings[report["report_id"]]
        for row in sorted(rows, key=lambda row: (row["start"], row["end"], row["finding"])):
            subject = ":".join(str(row[name]) for name in FIELDS["finding"])
            yield Judged(
                "finding", subject, report["document_sha256"], _told(row, report), row["anatomy"]
            )


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
    return f"“{said}”: {finding} ({anatomy}), {row['status']}"
