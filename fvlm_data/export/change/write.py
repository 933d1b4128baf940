"""pairs_over_time.parquet from the tables of a store."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from fvlm_data.export.change.row import TABLE
from fvlm_data.export.change.rows import PATIENTS, part_of, rows_of
from fvlm_data.store.relations import Relations

if TYPE_CHECKING:
    from collections.abc import Callable

    from fvlm_data.export.target import Draft
    from fvlm_data.store.tables import Store
    from fvlm_data.vocabulary import Vocabulary

PAIRS = "pairs_over_time.parquet"
SUMMARY = "summary.json"
PATIENTS_AT_ONCE = 500


def write(
    store: Store, draft: Draft, progress: Callable[[int, int], None], *, vocabulary: Vocabulary
) -> None:
    """Write `pairs_over_time.parquet` (columns: row.py) and `summary.json`, which counts its rows.

    Raises:
        StoreError: a table cannot be read.
    """
    tables = Relations(store)
    patients = [patient for (patient,) in tables.rows(PATIENTS)]
    counted: Counter[str] = Counter(patients=len(patients))
    with draft.open(PAIRS) as handle, pq.ParquetWriter(handle, TABLE.schema) as written:
        for start in range(0, len(patients), PATIENTS_AT_ONCE):
            part = part_of(tables, patients[start : start + PATIENTS_AT_ONCE], vocabulary)
            rows = [row for patient in part.studies for row in rows_of(part, patient, counted)]
            if rows:
                written.write_table(TABLE.to_arrow(rows))
            progress(min(start + PATIENTS_AT_ONCE, len(patients)), len(patients))
    draft.write(SUMMARY, json.dumps(dict(sorted(counted.items())), indent=1).encode())
