"""Stage `versions`: which reports a later one takes the place of, or withdraws."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from fvlm_data.reports.versions.corrections import candidates, successor_of
from fvlm_data.reports.versions.original_reports import unpacked
from fvlm_data.store.declared import Outcome, Read, Stage, guarded
from schemas import ReportVersion

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fvlm_data.reports.versions.corrections import RelatedReport
    from fvlm_data.store.declared import Batch, Inputs
    from fvlm_data.vocabulary import Vocabulary

STAGE_VERSION = 2
BATCH_SIZE = 5000
OFFERED = "SELECT item FROM inputs WHERE kind = 'report' AND item IS NOT NULL"
MOST = 200
"""Reports that may share one name; more are no versions of anything ("unknown")."""

_NAMING = "t.owner_kind = 'report' AND t.kind IN ('accession', 'study_uid')"
_READS = (
    Read("names", "links", "owner_id", ("value_hash",), where=_NAMING),
    Read("sharing", "links", "value_hash", ("owner_id",), "names.value_hash", (), _NAMING, MOST),
    Read(
        "links",
        "links",
        "owner_id",
        ("owner_id", "kind", "value_hash"),
        "sharing.owner_id",
        where="t.owner_kind = 'report'",
    ),
    Read(
        "offered",
        "inputs",
        "item",
        ("fingerprint",),
        "sharing.owner_id",
        where="t.kind = 'report'",
    ),
)


def versions_stage(vocabulary: Vocabulary) -> Stage:
    """The stage that says of each report whether another one stands in its place."""
    return Stage(
        name="versions",
        version=STAGE_VERSION,
        settings={"vocabulary": vocabulary.sha256("versions")},
        tables=("report_versions",),
        items=OFFERED,
        reads=_READS,
        make=partial(_versions, vocabulary),
        batch_size=BATCH_SIZE,
    )


def _versions(vocabulary: Vocabulary, batch: Batch) -> Iterator[Outcome]:
    near = {one.item: _neighbours(one) for one in batch.inputs}
    known = _candidates(batch, near, vocabulary)
    for one in batch.inputs:
        work = partial(_version, one.item, near[one.item], known, vocabulary)
        yield guarded(one.item, work)


def _neighbours(one: Inputs) -> set[str]:
    """Reports of one name with this one; none where no other is."""
    return {row["owner_id"] for row in one.rows["sharing"]} - {one.item}


def _candidates(
    batch: Batch, near: Mapping[str, set[str]], vocabulary: Vocabulary
) -> dict[str, RelatedReport]:
    """All that is known of the reports that have neighbours, and of these."""
    asked = {report for item, others in near.items() if others for report in (item, *others)}
    originals = batch.originals(sorted(asked)) if asked else {}
    links = {
        (row["owner_id"], row["kind"], row["value_hash"]): row
        for one in batch.inputs
        if near[one.item]
        for row in one.rows["links"]
    }
    kept = {report: unpacked(columns) for report, columns in originals.items()}
    return candidates(links.values(), kept, vocabulary)


def _version(
    item: str, others: set[str], known: Mapping[str, RelatedReport], vocabulary: Vocabulary
) -> Outcome:
    successor = None
    if item in known:
        near = (known[one] for one in others if one in known)
        successor = successor_of(known[item], near, vocabulary)
    row = ReportVersion(
        report_id=item,
        successor=successor.report if successor else None,
        reason=successor.reason if successor else None,
    )
    return Outcome(item, {"report_versions": [row]})
