"""The stage `select`: from the proved volumes of a study to those that are taken."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import schemas
from fvlm_data.ingest.selection import SelectConfig, candidate, choose
from fvlm_data.ingest.torn_series import TORN, torn
from fvlm_data.store.declared import Outcome, Read, Reject, Stage, guarded
from schemas import Volume

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from fvlm_data.store.declared import Batch

STAGE_VERSION = 2
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
    decides=("volume_id", "element", "other_id", "other_shape", "other_affine"),
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
    sound = [row for row in rows if row["volume_id"] not in parts]
    refused = choose(map(candidate, sound), config)
    rejects = tuple(
        Reject(kind, why[i].reason, why[i].detail, tuple(row["source_files"]))
        for row in rows
        for kind, why in (("fault", parts), ("not_selected", refused))
        if (i := row["volume_id"]) in why
    )
    taken = [_volume(row) for row in sound if row["volume_id"] not in refused]
    return Outcome(study, rows={"volumes": taken}, rejects=rejects)


def _volume(row: Mapping[str, Any]) -> Volume:
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in row.items()}
    return Volume(**values)
