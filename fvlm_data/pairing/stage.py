"""Stage `pair`: what the reports of a study say of each of its anatomies."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from fvlm_data.pairing.anatomy_text import StudyText, anatomy_text
from fvlm_data.pairing.cross_checks import cross_checks, unclear_versions_check
from fvlm_data.pairing.images import (
    CHECK_COLUMNS,
    MASK_COLUMNS,
    VOLUME_COLUMNS,
    StudyImages,
    images_of_rows,
)
from fvlm_data.pairing.report_order import ORDER_COLUMNS, reading_order, unclear_versions
from fvlm_data.store.declared import Outcome, Read, Reject, Stage, guarded
from fvlm_data.store.sql import constants
from fvlm_data.vocabulary import Vocabularies
from schemas import StudyReport

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from fvlm_data.pairing.config import PairConfig
    from fvlm_data.store.declared import Batch, Inputs, Row
    from fvlm_data.vocabulary import Vocabulary
    from schemas import CrossCheck

STAGE_VERSION = 4
BATCH_SIZE = 500

STUDIES = """
SELECT DISTINCT m.owner_id AS item
FROM report_matches m JOIN reports r ON r.report_id = m.report_id
WHERE m.owner_kind = 'study'
"""

SENTENCE_COLUMNS = (
    "report_id", "sentence", "start", "end", "section", "text", "anatomies", "assessments",
)  # fmt: skip
FINDING_COLUMNS = ("report_id", "sentence", "finding", "anatomy", "status", "laterality")


@dataclass(frozen=True, slots=True)
class _Study:
    """All that the texts of a study are made from; `matched` are (report id, kind of link)."""

    id: str
    matched: Sequence[tuple[str, str]]
    text: StudyText
    images: StudyImages
    unclear: Sequence[tuple[str, str]]
    """Pairs of reports that may be versions of one another."""


def pair_stage(
    config: PairConfig, vocabulary: Vocabulary, further: tuple[Vocabulary, ...] = ()
) -> Stage:
    """The stage that gives each anatomy of a study with reports its text, state and signature.

    Findings are compared by id, whatever language they were told in; `further` are the
    vocabularies of reports in another language than the store's own.
    """
    vocabularies = Vocabularies(vocabulary, further)
    views, reads = {}, _report_reads(config)
    if further:
        views["words"] = constants(("language", "sha256"), vocabularies.sha256s("pairing"))
        reads += (_WORDS,)
    # those belong to the stage `split` and must not remake texts
    settings = config.model_dump(mode="json", exclude={"split", "duplicates", "split_file"})
    words = [vocabulary.sha256("pairing"), vocabulary.sha256("segmentation")]
    return Stage(
        name="pair",
        version=STAGE_VERSION,
        settings={**settings, "vocabulary": words},
        tables=("study_reports", "anatomy_texts", "cross_checks"),
        items=STUDIES,
        views=views,
        reads=(*reads, *IMAGE_READS),
        make=partial(_make, config, vocabularies),
        batch_size=BATCH_SIZE,
        needs_vault=False,
    )


def _report_reads(config: PairConfig) -> tuple[Read, ...]:
    """What is read of the study's reports, of those that are there."""
    fields = {"severity": config.signature.severity, "location": config.signature.lobe}
    findings = (*FINDING_COLUMNS, *(name for name, read in fields.items() if read))
    links = ("owner_id", "kind", "value_hash")
    return (
        Read(
            "matches",
            "report_matches",
            "owner_id",
            ("report_id", "matched_by"),
            where="t.owner_kind = 'study'",
        ),
        Read(
            "reports",
            "reports",
            "report_id",
            ORDER_COLUMNS,
            on="matches.report_id",
            carries=("file_row", "document_sha256", "language"),
        ),
        Read("sentences", "sentences", "report_id", SENTENCE_COLUMNS, on="reports.report_id"),
        Read("findings", "findings", "report_id", findings, on="reports.report_id"),
        Read(
            "links",
            "links",
            "owner_id",
            links,
            on="reports.report_id",
            where="t.owner_kind = 'report' AND t.kind IN ('accession', 'patient_id')",
        ),
    )


_WORDS = Read("words", "words", "language", ("sha256",), "reports.language", rare=True)
"""Words of further languages that the study's reports are in."""

IMAGE_READS = (
    Read("volumes", "volumes", "study_id", VOLUME_COLUMNS),
    Read("masks", "masks", "volume_id", MASK_COLUMNS, on="volumes.volume_id"),
    Read("checks", "volume_checks", "volume_id", CHECK_COLUMNS, on="volumes.volume_id"),
    Read(
        "distrusted",
        "review_effects",
        "volume_id",
        ("volume_id", "anatomy"),
        on="volumes.volume_id",
        where="t.kind = 'mask'",
        rare=True,
    ),
)


def _make(config: PairConfig, vocabularies: Vocabularies, batch: Batch) -> Iterator[Outcome]:
    for one in batch.inputs:
        reports = sorted(one.rows["reports"], key=reading_order)
        if not reports:
            yield _unmatched(one.item)
        elif not all(row["document_sha256"] for row in reports):
            # rows of an older program lack times and addenda: the next run of stage reports
            # makes them anew, until then the study's texts stay as they are
            yield Outcome(one.item, held=True)
        else:
            yield guarded(one.item, partial(_pair, config, vocabularies, one, reports))


def _pair(
    config: PairConfig, vocabularies: Vocabularies, one: Inputs, reports: Sequence[Row]
) -> Outcome:
    shown, vocabulary = one.rows, vocabularies.own
    distrusted = {(row["volume_id"], row["anatomy"]) for row in shown["distrusted"]}
    images = images_of_rows(
        shown["volumes"], shown["masks"], shown["checks"], vocabulary, distrusted
    )
    kinds = {row["report_id"]: row["matched_by"] for row in shown["matches"]}
    matched = [(row["report_id"], kinds[row["report_id"]]) for row in reports]
    further = {
        row["report_id"]: words
        for row in reports
        if (words := vocabularies.of(row["language"])) != vocabulary
    }
    text = _study_text(shown, [report for report, _ in matched], further)
    unclear = unclear_versions(reports, shown["links"])
    return _paired(_Study(one.item, matched, text, images, unclear), config, vocabulary)


def _study_text(
    rows: Mapping[str, Sequence[Row]],
    reports: Sequence[str],
    vocabularies: Mapping[str, Vocabulary],
) -> StudyText:
    """Sentences and findings of a study, reports in the order given."""
    sentences, findings = _by_report(rows["sentences"]), _by_report(rows["findings"])
    return StudyText(
        [row for report in reports for row in sentences[report]],
        [row for report in reports for row in findings[report]],
        vocabularies,
    )


def _by_report(rows: Iterable[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[row["report_id"]].append(row)
    return found


def _paired(study: _Study, config: PairConfig, vocabulary: Vocabulary) -> Outcome:
    """Texts of all anatomies, less those that the masks strongly contradict."""
    checks = cross_checks(study.id, study.text, study.images, vocabulary)
    checks += unclear_versions_check(study.id, study.unclear, study.text)
    strong = [one for one in checks if one.strength == "strong"]
    refused = strong if config.contradictions == "set_aside" else []
    silenced = {one.anatomy for one in refused}
    texts = [
        anatomy_text(study.id, anatomy.id, study.text, config, vocabulary)
        for anatomy in vocabulary.anatomies
        # None: a check that condemns the report as a whole
        if not silenced.intersection((anatomy.id, None))
    ]
    joins = [
        StudyReport(study_id=study.id, report_id=report, matched_by=kind, order=order)
        for order, (report, kind) in enumerate(study.matched)
    ]
    return Outcome(
        study.id,
        {"study_reports": joins, "anatomy_texts": texts, "cross_checks": checks},
        rejects=tuple(Reject("fault", one.check, _advice(one)) for one in refused),
    )


def _advice(check: CrossCheck) -> str:
    what = f"the text of {check.anatomy} is" if check.anatomy else "all texts of the study are"
    return (
        f"{check.detail}; {what} left out; mend report or mask, or set pair.contradictions to keep"
    )


def _unmatched(item: str) -> Outcome:
    detail = f"{item}: its report or study left the tables while the run was under way; run again"
    return Outcome(item, rejects=(Reject("fault", "inputs_gone", detail),), retry=True)
