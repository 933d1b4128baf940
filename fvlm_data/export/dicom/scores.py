"""Scores of `fvlm-eval` (zero-shot, probe, embed) by study, from their Parquet file."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from fvlm_data.errors import InputError
from fvlm_data.export.dicom.observations import Scored

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

COLUMNS = ("study_id", "sample_id", "finding", "anatomy", "score")


def read_scores(path: Path, studies: Collection[str]) -> dict[str, list[Scored]]:
    """Scores by study, sorted; rows without a score (the anatomy is not shown) are none.

    Raises:
        InputError: the file cannot be read, lacks a column, or names a study that is not of
            `studies`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path, columns=list(COLUMNS))
    except (OSError, pa.ArrowException) as error:
        raise _not_scores(path, f"cannot be read ({type(error).__name__})") from error
    missing = [name for name in COLUMNS if name not in table.column_names]
    if missing:
        raise _not_scores(path, f"no column {', '.join(missing)}")
    if not pa.types.is_floating(table["score"].type):
        raise _not_scores(path, "a score is not a number")
    rows = table.to_pylist()
    foreign = {row["study_id"] for row in rows} - set(studies)
    if foreign:
        raise InputError(
            f"scores {path}: {len(foreign)} studies are not in the store; expected scores of its "
            "own samples; name the store that was scored"
        )
    found: dict[str, list[Scored]] = defaultdict(list)
    for row in rows:
        if row["score"] is not None:
            scored = Scored(row["sample_id"], row["finding"], row["anatomy"], row["score"])
            found[row["study_id"]].append(scored)
    return {study: sorted(scored) for study, scored in found.items()}


def _not_scores(path: Path, found: str) -> InputError:
    return InputError(
        f"scores {path}: {found}; expected a Parquet file of fvlm-eval with the columns "
        f"{', '.join(COLUMNS)}"
    )
