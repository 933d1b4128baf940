"""Stage `versions`: which reports a later one takes the place of, and their languages."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from fvlm_data.reports.language.choice import language_choice
from fvlm_data.reports.versions.corrections import candidates, successor_of
from fvlm_data.reports.versions.original_reports import unpacked
from fvlm_data.store.declared import Outcome, Read, Stage, guarded
from fvlm_data.vocabulary import Vocabularies
from schemas import ReportVersion

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fvlm_data.reports.versions.corrections import RelatedReport
    from fvlm_data.store.declared import Batch, Inputs
    from fvlm_data.vocabulary import Vocabulary

STAGE_VERSION = 3
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


def versions_stage(vocabulary: Vocabulary, further: tuple[Vocabulary, ...] = ()) -> Stage:
    """The stage that says of each report whether another one stands in its place.

    With `further` vocabularies it also tells the language of each.
    """
    vocabularies = Vocabularies(vocabulary, further)
    settings: dict[str, Any] = {"vocabulary": vocabulary.sha256("versions")}
    if further:
        settings["languages"] = language_choice(vocabularies).sha256
        settings["further"] = vocabularies.sha256s("versions")
    return Stage(
        name="versions",
        version=STAGE_VERSION,
        settings=settings,
        tables=("report_versions",),
        items=OFFERED,
        reads=_READS,
        make=partial(_versions, vocabularies),
        batch_size=BATCH_SIZE,
    )


def _versions(vocabularies: Vocabularies, batch: Batch) -> Iterator[Outcome]:
    near = {one.item: _neighbours(one) for one in batch.inputs}
    known, languages = _candidates(batch, near, vocabularies)
    for one in batch.inputs:
        work = partial(_version, one.item, near[one.item], known, languages.get(one.item))
        yield guarded(one.item, work)


def _neighbours(one: Inputs) -> set[str]:
    """Reports of one name with this one; none where no other is."""
    return {row["owner_id"] for row in one.rows["sharing"]} - {one.item}


def _candidates(
    batch: Batch, near: Mapping[str, set[str]], vocabularies: Vocabularies
) -> tuple[dict[str, RelatedReport], dict[str, str | None]]:
    """All that is known of the reports that have neighbours, and of these; languages of reports.

    With further vocabularies all reports are opened, for their language.
    """
    asked = {report for item, others in near.items() if others for report in (item, *others)}
    opened = asked | near.keys() if vocabularies.further else asked
    originals = batch.originals(sorted(opened)) if opened else {}
    links = {
        (row["owner_id"], row["kind"], row["value_hash"]): row
        for one in batch.inputs
        if near[one.item]
        for row in one.rows["links"]
    }
    kept = {report: unpacked(columns) for report, columns in originals.items()}
    choice = language_choice(vocabularies)
    languages = {report: choice.of(original.text) for report, original in kept.items()}
    related = {report: original for report, original in kept.items() if report in asked}
    words = {report: vocabularies.of(languages[report]) for report in related}
    return candidates(links.values(), related, words), languages


def _version(
    item: str, others: set[str], known: Mapping[str, RelatedReport], language: str | None
) -> Outcome:
    successor = None
    if item in known:
        near = (known[one] for one in others if one in known)
        successor = successor_of(known[item], near)
    row = ReportVersion(
        report_id=item,
        successor=successor.report if successor else None,
        reason=successor.reason if successor else None,
        language=language,
    )
    return Outcome(item, {"report_versions": [row]})
