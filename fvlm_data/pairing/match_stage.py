"""Stage `match`: which studies a report describes, and which patients it may be about."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from fvlm_data.pairing.linking import JOINING_KINDS, join_report
from fvlm_data.store.declared import Outcome, Read, Reject, Stage, guarded
from schemas import ReportMatch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fvlm_data.pairing.linking import Joined
    from fvlm_data.store.declared import Batch, Inputs

STAGE_VERSION = 1
BATCH_SIZE = 5000
OFFERED = "SELECT item FROM inputs WHERE kind = 'report' AND item IS NOT NULL"
MOST = 200
"""Studies, series and patients that one value may name; one that names more (an accession number
of "0", "unknown") identifies none of them."""

_VOLUME = ("study_id", "patient_id")
_OTHERS = "t.owner_kind <> 'report'"
_READS = (
    Read("own", "links", "owner_id", ("kind", "value_hash"), where="t.owner_kind = 'report'"),
    Read(
        "shared",
        "links",
        "value_hash",
        ("owner_kind", "owner_id", "kind", "value_hash"),
        "own.value_hash",
        where=_OTHERS,
        limit=MOST,
    ),
    # one row for each value that names anything at all, however much
    Read("named", "links", "value_hash", ("value_hash",), "own.value_hash", (), _OTHERS, 1),
    Read("series", "volumes", "series_id", ("series_id", *_VOLUME), "shared.owner_id", limit=MOST),
    Read("studies", "volumes", "study_id", _VOLUME, "shared.owner_id", limit=MOST),
)


def match_stage() -> Stage:
    """The stage that joins every offered report to its studies and patients."""
    return Stage(
        name="match",
        version=STAGE_VERSION,
        settings={},
        tables=("report_matches",),
        items=OFFERED,
        reads=_READS,
        make=_match,
        batch_size=BATCH_SIZE,
        needs_vault=False,
    )


def _match(batch: Batch) -> Iterator[Outcome]:
    for one in batch.inputs:
        yield guarded(one.item, partial(_matched, one))


def _matched(one: Inputs) -> Outcome:
    own, shared = one.rows["own"], one.rows["shared"]
    if not own:  # it had links when it was offered: they are lost, and discovery mends them
        return Outcome(one.item, held=True)
    volumes = [*one.rows["series"], *one.rows["studies"]]
    joined = join_report(own, shared, volumes)
    rejects = _conflict(one.item, joined) or (() if joined.studies else _crowded(one))
    matches = [
        *(_row(one.item, "study", study, kind) for study, kind in sorted(joined.studies.items())),
        *(_row(one.item, "patient", patient) for patient in sorted(joined.patients)),
    ]
    if not joined.patients:
        # the vault keeps names from the headers of refused images under the hashes of their links:
        # with these rows the report is scrubbed by them
        values = sorted({link["value_hash"] for link in own})
        matches += [_row(one.item, "link", value) for value in values]
    return Outcome(one.item, {"report_matches": matches}, rejects=rejects)


def _row(report: str, kind: str, owner: str, matched_by: str = "") -> ReportMatch:
    return ReportMatch(report_id=report, owner_kind=kind, owner_id=owner, matched_by=matched_by)


def _conflict(report: str, joined: Joined) -> tuple[Reject, ...]:
    if joined.ambiguous is not None:
        return _ambiguous(
            f"report {report}: its {joined.ambiguous} names studies of several patients, expected "
            "one; give the report's study_uid, patient_id or issuer, or a mapping"
        )
    if joined.conflict is None:
        return ()
    first, second = joined.conflict
    detail = (
        f"report {report}: its {first} and its {second} name different studies, expected one; "
        "correct the columns of the report file"
    )
    return (Reject("fault", "conflicting_links", detail),)


def _crowded(one: Inputs) -> tuple[Reject, ...]:
    """The reject of a report that is joined by nothing but what names too many."""
    told = {row["value_hash"] for row in one.rows["shared"]}
    crowded = {row["value_hash"] for row in one.rows["named"]} - told
    kinds = {link["kind"] for link in one.rows["own"] if link["value_hash"] in crowded}
    kind = next((kind for kind in JOINING_KINDS if kind in kinds), None)
    if kind is None:
        return ()
    return _ambiguous(
        f"report {one.item}: its {kind} names more than {MOST} studies or series, expected a "
        "few; give the report's study_uid, or a mapping"
    )


def _ambiguous(detail: str) -> tuple[Reject, ...]:
    return (Reject("fault", "ambiguous_links", detail),)
