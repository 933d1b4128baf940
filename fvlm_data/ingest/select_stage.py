"""The stage `select`: from the proved volumes of a study to those that are taken."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import schemas
from fvlm_data.ingest.selection import NotSelected, SelectConfig, candidate, choose
from fvlm_data.ingest.torn_series import TORN, parts_of_scans, torn
from fvlm_data.store.declared import Outcome, Read, Reject, Stage, guarded
from schemas import Volume

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from fvlm_data.store.declared import Batch

STAGE_VERSION = 3
NAME = "select"
BATCH_STUDIES = 200

CANDIDATES = Read(
    "candidates",
    "candidates",
    by="study_id",
    # every column is copied to table `volumes`: no row may lag behind its candidate
    decides=tuple(schemas.TABLES["candidates"].columns),
)

OTHERS = Read(
    "others",
    "torn_series",
    by="study_id",
    decides=("volume_id", "element", "other_id", "other_shape", "other_affine", "other_means"),
)


def select_stage(config: SelectConfig) -> Stage:
    """The stage that picks among the candidates of each study.

    It looks at a study as a whole and chooses again whenever a series comes or goes, so that the
    order of arrival does not matter.
    """
    return Stage(
        name=NAME,
        version=STAGE_VERSION,
        settings=config.model_dump(mode="json"),
        tables=("volumes",),
        items="SELECT DISTINCT study_id AS item FROM candidates",
        reads=(CANDIDATES, OTHERS),
        views={"torn_series": TORN},
        make=partial(_make, config),
        batch_size=BATCH_STUDIES,
        needs_vault=False,
    )


def _make(config: SelectConfig, batch: Batch) -> Iterator[Outcome]:
    for one in batch.inputs:
        found = one.rows["candidates"]
        files = (token for row in found for token in row["source_files"])
        others = one.rows["others"]
        yield guarded(one.item, partial(_selected, config, one.item, found, others), files)


def _selected(
    config: SelectConfig,
    study: str,
    rows: Sequence[Mapping[str, Any]],
    others: Sequence[Mapping[str, Any]],
) -> Outcome:
    if not rows:
        detail = "its volumes have left the tables since the work was planned; run again"
        gone = Reject("superseded", "candidates_gone", detail)
        return Outcome(study, rejects=(gone,), retry=True)
    parts = torn(rows, others)
    halves = parts_of_scans(rows, others) if config.parted_scans != "accept" else {}
    if config.parted_scans == "refuse":
        parts = {volume: _half(volume, other) for volume, other in halves.items()} | parts
    sound = [row for row in rows if row["volume_id"] not in parts]
    refused = choose(map(candidate, sound), config)
    rejects = tuple(
        Reject(kind, why[i].reason, why[i].detail, tuple(row["source_files"]))
        for row in rows
        for kind, why in (("fault", parts), ("not_selected", refused))
        if (i := row["volume_id"]) in why
    )
    taken = [
        _volume(row, half=row["volume_id"] in halves)
        for row in sound
        if row["volume_id"] not in refused
    ]
    return Outcome(study, rows={"volumes": taken}, rejects=rejects)


def _half(volume: str, other: str) -> NotSelected:
    detail = (
        f"Volume {volume}: it and volume {other} of another SeriesInstanceUID are one even grid of "
        "one size, kernel and day: parts of one scan; expected one series a scan: send it as one, "
        "or set select.parted_scans to flag"
    )
    return NotSelected("parted_scan", detail)


def _volume(row: Mapping[str, Any], *, half: bool) -> Volume:
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in row.items()}
    if half:
        values["adjustments"] = (*values["adjustments"], "parted_scan=1")
    return Volume(**values)
