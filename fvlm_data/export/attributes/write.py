"""attributes.parquet and counterfactual_pairs.parquet from the tables of a store."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

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
    rarity = _Rarity(train_patients(tables), many, few)
    ids = list(studies)
    counted: Counter[str] = Counter(studies=len(ids))
    with draft.open(ROWS) as handle, pq.ParquetWriter(handle, ATTRIBUTES.schema) as written:
        for start in range(0, len(ids), AT_ONCE):
            part = ids[start : start + AT_ONCE]
            rows = list(_rows(tables, part, studies, vocabulary, rarity))
            counted["rows"] += len(rows)
            if rows:
                written.write_table(ATTRIBUTES.to_arrow(rows))
            progress(start + len(part), len(ids))
    counted.update(_write_pairs(tables, draft, vocabulary))
    told = {"rows": dict(sorted(counted.items())), "findings": rarity.told()}
    draft.write(SUMMARY, json.dumps(told, indent=1).encode())


class _Rarity(NamedTuple):
    """Training patients by finding (none: nobody is in split train), and what is many and few."""

    patients: Mapping[str, int] | None
    many: int
    few: int

    def of(self, finding: str) -> tuple[int | None, str | None]:
        """Patients who have a finding, and whether they are many, medium or few."""
        if self.patients is None:
            return None, None
        number = self.patients.get(finding, 0)
        if number > self.many:
            return number, "many"
        return number, "few" if number < self.few else "medium"

    def told(self) -> dict[str, dict[str, Any]] | None:
        """Both by finding, as the summary has it."""
        if self.patients is None:
            return None
        columns = ("train_patients", "shots")
        found = sorted(self.patients)
        return {one: dict(zip(columns, self.of(one), strict=True)) for one in found}


def _rows(
    tables: Relations,
    ids: Sequence[str],
    studies: Mapping[str, Patient],
    vocabulary: Vocabulary,
    rarity: _Rarity,
) -> Iterator[AttributeRow]:
    samples, shown = samples_of(tables, ids), organs(tables, ids, vocabulary)
    lobes = lobes_of(vocabulary)
    for study, anatomy, finding, *told in mentions(tables, ids):
        status, side, severity, size_mm, count, location, change, source, start = told
        organ = shown.get((study, anatomy))
        patients, shots = rarity.of(finding)
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
            train_patients=patients,
            shots=shots,
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
