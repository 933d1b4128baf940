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
from fvlm_data.reports.versions.corrections import unclear_versions
from fvlm_data.reports.versions.original_reports import reading_order, unpacked
from fvlm_data.store.declared import Outcome, Read, Reject, Stage, guarded
from schemas import StudyReport

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from fvlm_data.pairing.config import PairConfig
    from fvlm_data.store.declared import Batch, Inputs, Row
    from fvlm_data.vocabulary import Vocabulary
    from schemas import CrossCheck

STAGE_VERSION = 3
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


def pair_stage(config: PairConfig, vocabulary: Vocabulary) -> Stage:
    """The stage that gives each anatomy of a study with reports its text, state and signature."""
    # those belong to the stage `split` and must not remake texts
    settings = config.model_dump(mode="json", exclude={"split", "duplicates", "split_file"})
    words = [vocabulary.sha256("pairing"), vocabulary.sha256("segmentation")]
    return Stage(
        name="pair",
        version=STAGE_VERSION,
        settings={**settings, "vocabulary": words},
        tables=("study_reports", "anatomy_texts", "cross_checks"),
        items=STUDIES,
        reads=(*_report_reads(config), *IMAGE_READS),
        make=partial(_make, config, vocabulary),
        batch_size=BATCH_SIZE,
    )


def _report_reads(config: PairConfig) -> tuple[Read, ...]:
    """What is read of the study's reports, of those that are there.

    Their order and versions rest on what the vault keeps of them, for which the fingerprint of
    the report's row stands, and on their links.
    """
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
        Read("reports", "reports", "report_id", ("report_id",), on="matches.report_id"),
        Read("sentences", "sentences", "report_id", SENTENCE_COLUMNS, on="reports.report_id"),
        Read("findings", "findings", "report_id", findings, on="reports.report_id"),
        Read(
            "originals",
            "inputs",
            "item",
            ("token", "fingerprint"),
            on="reports.report_id",
            where="t.kind = 'report'",
        ),
        Read(
            "links",
            "links",
            "owner_id",
            links,
            on="reports.report_id",
            where="t.owner_kind = 'report' AND t.kind IN ('accession', 'patient_id')",
        ),
    )


IMAGE_READS = (
    Read("volumes", "volumes", "study_id", VOLUME_COLUMNS),
    Read("masks", "masks", "volume_id", MASK_COLUMNS, on="volumes.volume_id"),
    Read("checks", "volume_checks", "volume_id", CHECK_COLUMNS, on="volumes.volume_id"),
)


def _make(config: PairConfig, vocabulary: Vocabulary, batch: Batch) -> Iterator[Outcome]:
    matched = {one.item: _matched(one) for one in batch.inputs}
    # a single report needs no order: its original stays in the vault undecrypted
    several = [r for reports in matched.values() if len(reports) > 1 for r, _ in reports]
    originals = {r: unpacked(kept) for r, kept in batch.originals(several).items()}
    order = reading_order(originals, vocabulary)
    for reports in matched.values():
        reports.sort(key=lambda match: order.get(match[0], (False, "", 0, match[0])))
    links = [row for one in batch.inputs for row in one.rows["links"]]
    reports_of = {study: [report for report, _ in one] for study, one in matched.items()}
    unclear = unclear_versions(reports_of, links, originals, vocabulary)
    for one in batch.inputs:
        if not matched[one.item]:
            yield _unmatched(one.item)
        else:
            pairs = unclear.get(one.item, ())
            work = partial(_pair, config, vocabulary, one, matched[one.item], pairs)
            yield guarded(one.item, work)


def _matched(one: Inputs) -> list[tuple[str, str]]:
    """Reports of the study that are there (not set aside), with the kind of link."""
    there = {row["report_id"] for row in one.rows["reports"]}
    return [
        (row["report_id"], row["matched_by"])
        for row in one.rows["matches"]
        if row["report_id"] in there
    ]


def _pair(
    config: PairConfig,
    vocabulary: Vocabulary,
    one: Inputs,
    matched: Sequence[tuple[str, str]],
    unclear: Sequence[tuple[str, str]],
) -> Outcome:
    shown = one.rows
    images = images_of_rows(shown["volumes"], shown["masks"], shown["checks"], vocabulary)
    text = _study_text(one.rows, [report for report, _ in matched])
    return _paired(_Study(one.item, matched, text, images, unclear), config, vocabulary)


def _study_text(rows: Mapping[str, Sequence[Row]], reports: Sequence[str]) -> StudyText:
    """Sentences and findings of a study, reports in the order given."""
    sentences, findings = _by_report(rows["sentences"]), _by_report(rows["findings"])
    return StudyText(
        [row for report in reports for row in sentences[report]],
        [row for report in reports for row in findings[report]],
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
