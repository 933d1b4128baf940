"""Rows of `fvlm-eval doubtful`: what is known of the samples beside scores, and the file."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from fvlm_data.errors import InputError
from fvlm_data.store.tables import MARK, Store
from fvlm_train.evaluate.doubtful import Facts, as_rows

if TYPE_CHECKING:
    from fvlm_train.data.windows import SampleSource
    from fvlm_train.evaluate.doubtful import DoubtResult

SUFFIXES = (".parquet", ".jsonl")


def facts_of(source: SampleSource, store: str, *, seen_in_training: bool) -> Facts:
    """What reports say of the anatomies, and which they are; mere shards know no reports."""
    rows = source.rows.select(["sample_id", "anatomies", "states"]).to_pylist()
    states = {
        (row["sample_id"], anatomy): state
        for row in rows
        for anatomy, state in zip(row["anatomies"], row["states"], strict=True)
    }
    reports: dict[str, list[tuple[int, str]]] = defaultdict(list)
    if "://" in store or Path(store, MARK).exists():
        studies = sorted(set(source.rows["study_id"].to_pylist()))
        columns = ["study_id", "report_id", "order"]
        opened = Store.open(store)
        for row in opened.read_items("study_reports", "study_id", studies, columns):
            reports[row["study_id"]].append((row["order"], row["report_id"]))
    ordered = {study: tuple(one for _, one in sorted(found)) for study, found in reports.items()}
    return Facts(ordered, states, seen_in_training)


def write_rows(result: DoubtResult, path: Path) -> None:
    """Write all rows, most doubtful first.

    Raises:
        InputError: the suffix is not known, or the file cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.suffix not in SUFFIXES:
        raise InputError(f"--out {path}: expected a name that ends in {' or '.join(SUFFIXES)}")
    rows = as_rows(result)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".parquet":
            pq.write_table(pa.Table.from_pylist(rows), path)
        else:
            lines = (json.dumps(row, allow_nan=False) for row in rows)
            path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"rows {path}: cannot be written ({type(error).__name__}); name another place by --out"
        ) from error
