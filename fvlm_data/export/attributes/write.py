"""attributes.parquet and counterfactual_pairs.parquet from the tables of a store."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from fvlm_data.export.attributes.counterfactual import counterfactual, normal_anatomies
from fvlm_data.export.attributes.read import (
    Patient,
    mentions,
    organs,
    reported_studies,
    samples_of,
    train_patients,
)
from fvlm_data.export.attributes.row import ATTRIBUTES, COUNTERFACTUALS, AttributeRow
from fvlm_data.export.change.rows import PATIENTS, part_of, rows_of
from fvlm_data.pairing.lobes import lobes_of
from fvlm_data.store.relations import Relations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from fvlm_data.export.target import Draft
    from fvlm_data.store.tables import Store
    from fvlm_data.vocabulary import Vocabulary

ROWS = "attributes.parquet"
PAIRS = "counterfactual_pairs.parquet"
SUMMARY = "summary.json"
AT_ONCE = 500


def write(
    store: Store,
    draft: Draft,
    progress: Callable[[int, int], None],
    *,
    vocabulary: Vocabulary,
    many: int,
    few: int,
) -> None:
    """Write `attributes.parquet`, `counterfactual_pairs.parquet` (columns: row.py) and a summary.

    The summary counts for each finding the patients of split train that have it, and its `shots`:
    many above `many` of them, few below `few`, else medium, as long-tailed recognition is judged
    (Liu et al., arXiv 1904.05160, section 5.1).

    Raises:
        StoreError: a table cannot be read.
    """
    tables = Relations(store)
    studies = reported_studies(tables)
    seen = train_patients(tables)
    shots = None if seen is None else {
        finding: _shots(number, many, few) for finding, number in seen.items()
    }  # fmt: skip
    ids = list(studies)
    counted: Counter[str] = Counter(studies=len(ids))
    with draft.open(ROWS) as handle, pq.ParquetWriter(handle, ATTRIBUTES.schema) as written:
        for start in range(0, len(ids), AT_ONCE):
            part = ids[start : start + AT_ONCE]
            rows = list(_rows(tables, part, studies, vocabulary, seen, many, few))
            counted["rows"] += len(rows)
            if rows:
                written.write_table(ATTRIBUTES.to_arrow(rows))
            progress(start + len(part), len(ids))
    counted.update(_write_pairs(tables, draft, vocabulary))
    told: dict[str, Any] = {"rows": dict(sorted(counted.items())), "findings": None}
    if seen is not None and shots is not None:
        told["findings"] = {
            finding: {"train_patients": seen[finding], "shots": shots[finding]}
            for finding in sorted(seen)
        }
    draft.write(SUMMARY, json.dumps(told, indent=1).encode())


def _rows(
    tables: Relations,
    ids: Sequence[str],
    studies: Mapping[str, Patient],
    vocabulary: Vocabulary,
    seen: Mapping[str, int] | None,
    many: int,
    few: int,
) -> Iterator[AttributeRow]:
    samples, shown = samples_of(tables, ids), organs(tables, ids, vocabulary)
    lobes = lobes_of(vocabulary)
    for study, anatomy, finding, *told in mentions(tables, ids):
        status, side, severity, size_mm, count, location, change, source, start = told
        organ = shown.get((study, anatomy))
        number = None if seen is None else seen.get(finding, 0)
        yield AttributeRow(
            **studies[study]._asdict(),
            study_id=study,
            sample_ids=tuple(samples.get(study, ())),
            anatomy=anatomy,
            finding=finding,
            status=status,
            laterality=side,
            severity=severity,
            size_mm=size_mm,
            count=count,
            location=location,
            lobes=tuple(dict.fromkeys(lobes.of(location or ""))),
            change=change,
            anatomy_ml=organ.ml if organ else None,
            anatomy_cut=organ.cut if organ else None,
            train_patients=number,
            shots=None if number is None else _shots(number, many, few),
            source=source,
            start=start,
        )


def _write_pairs(tables: Relations, draft: Draft, vocabulary: Vocabulary) -> Counter[str]:
    patients = [patient for (patient,) in tables.rows(PATIENTS)]
    counted: Counter[str] = Counter(pairs=0)
    with draft.open(PAIRS) as handle, pq.ParquetWriter(handle, COUNTERFACTUALS.schema) as written:
        for start in range(0, len(patients), AT_ONCE):
            part = part_of(tables, patients[start : start + AT_ONCE], vocabulary)
            of_part = [study for studies in part.studies.values() for study in studies]
            normal = normal_anatomies(tables, of_part)
            rows = (row for patient in part.studies for row in rows_of(part, patient, Counter()))
            pairs = [pair for row in rows if (pair := counterfactual(row, normal)) is not None]
            counted["pairs"] += len(pairs)
            counted.update(f"pairs by {pair.absence}" for pair in pairs)
            if pairs:
                written.write_table(COUNTERFACTUALS.to_arrow(pairs))
    return counted


def _shots(patients: int, many: int, few: int) -> str:
    if patients > many:
        return "many"
    return "few" if patients < few else "medium"
