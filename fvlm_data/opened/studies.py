"""Studies of a store, chosen by what their reports say and their images are; lazily read."""

from __future__ import annotations

import html
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fvlm_data.errors import InputError
from fvlm_data.opened.conditions import conditions, quoted
from fvlm_data.opened.search.parser import parse
from fvlm_data.opened.search.sql import study_conditions
from fvlm_data.opened.study import Study

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import duckdb
    import pandas as pd
    import pyarrow as pa

    from fvlm_data.opened.conditions import Value
    from fvlm_data.store.relations import Relations
    from fvlm_data.store.tables import Store
    from fvlm_data.vocabulary import Vocabulary

STUDIES = """
SELECT v.study_id, any_value(v.patient_id) AS patient_id, any_value(p.split) AS split,
    min(v.acquired_on) AS acquired_on, any_value(v.age_years) AS age_years,
    any_value(v.sex) AS sex, any_value(v.manufacturer) AS manufacturer,
    count(*) AS volumes, coalesce(any_value(r.reports), 0) AS reports
FROM volumes v
LEFT JOIN splits p ON p.patient_id = v.patient_id
LEFT JOIN (SELECT study_id, count(*) AS reports FROM study_reports GROUP BY study_id) r
    ON r.study_id = v.study_id
GROUP BY v.study_id
"""

SHOWN = 20
"""Rows of a notebook's table."""


@dataclass(frozen=True, slots=True, repr=False)
class Studies:
    """Studies that have a volume and fulfil all `held` (SQL), ordered by id.

    Nothing is read before it is asked for; each question reads the newest tables.
    """

    _store: Store
    _relations: Relations
    _vocabulary: Vocabulary
    held: tuple[str, ...] = ()

    def where(self, sql: str | None = None, **given: Value) -> Studies:
        """Studies of which all this holds, and what was asked before.

        Of one mention of a report's findings or impression: `finding`, `anatomy`, `status`
        (present if not given), `laterality` (what is bilateral is left and right too),
        `severity`, `change`, `min_size_mm`, `max_size_mm`. Of an anatomy: `state` (abnormal,
        normal_stated, not_mentioned) with `anatomy`. Of one volume: `split`, `sex`, `min_age`,
        `max_age` (years), `manufacturer`, `kernel`, `body_region`, `phase`. A value may be
        several, of which one must hold. `sql` is a condition on the columns of `to_pandas`.

            store.studies.where(finding="pleural_effusion", laterality="left", min_size_mm=20)

        Raises:
            InputError: a name or value is not known; the message names the nearest.
        """
        made = conditions(given, self._vocabulary)
        return replace(self, held=(*self.held, *([f"({sql})"] if sql else []), *made))

    def without(self, **given: Value) -> Studies:
        """Studies of which not all of this holds: `without(finding="pneumothorax")`.

        A study whose reports do not mention a finding is without it. Arguments as of `where`.

        Raises:
            InputError: nothing is given, or a name or value is not known.
        """
        made = conditions(given, self._vocabulary)
        if not made:
            raise InputError("without: expected a condition, as finding='pneumothorax'")
        return replace(self, held=(*self.held, f"NOT ({' AND '.join(made)})"))

    def search(self, query: str) -> Studies:
        """Studies of which a query holds, and what was asked before (docs/serve.md tells how).

            store.studies.search("left pleural effusion > 20 mm, no pneumothorax, age > 60")

        Raises:
            InputError: a word is not known; the message names the nearest.
        """
        made = study_conditions(parse(query, self._vocabulary), self._vocabulary)
        return replace(self, held=(*self.held, *made))

    def relation(self) -> duckdb.DuckDBPyRelation:
        """A row a study as a lazy DuckDB relation.

        Raises:
            StoreError: a table is missing or damaged.
            duckdb.Error: a condition in SQL is not right.
        """
        return self._relations.relation(self._query())

    def to_arrow(self) -> pa.Table:
        """A row a study: ids, split, date (shifted), age, sex, manufacturer, number of volumes.

        Raises as `relation`.
        """
        return self._relations.arrow(self._query())

    def to_pandas(self) -> pd.DataFrame:
        """The same as a data frame; raises as `relation`."""
        frame: pd.DataFrame = self.to_arrow().to_pandas()
        return frame

    def ids(self) -> tuple[str, ...]:
        """Their ids in order; raises as `relation`."""
        found = self._relations.arrow(f"SELECT study_id FROM ({self._query()}) ORDER BY study_id")
        return tuple(found["study_id"].to_pylist())

    def of_id(self, study_id: str) -> Study:
        """The study of this id.

        Raises:
            InputError: it is not among them.
            StoreError: a table is missing or damaged.
        """
        found = self.where(f"study_id = {quoted(study_id)}").to_arrow().to_pylist()
        if not found:
            raise InputError(f"study {study_id}: not among these studies; `ids()` lists them")
        return self._study(found[0])

    def __getitem__(self, number: int) -> Study:
        """The study of this place by id; negative numbers count from the end."""
        return self.of_id(self.ids()[number])

    def __iter__(self) -> Iterator[Study]:
        """Each study, by id."""
        for row in self.to_arrow().to_pylist():
            yield self._study(row)

    def __len__(self) -> int:
        """Number of studies; raises as `relation`."""
        counted = self._relations.arrow(f"SELECT count(*) AS n FROM ({self._query()})")
        return int(counted["n"][0].as_py())

    def __repr__(self) -> str:
        """How many there are."""
        return f"<{len(self)} studies>"

    def _repr_html_(self) -> str:
        """The first rows as a notebook shows them."""
        rows = self.to_arrow()
        told = rows.slice(0, SHOWN).to_pylist()
        head = "".join(f"<th>{html.escape(name)}</th>" for name in rows.column_names)
        body = "".join(
            "<tr>" + "".join(f"<td>{_cell(value)}</td>" for value in row.values()) + "</tr>"
            for row in told
        )
        more = f", the first {SHOWN} shown" if rows.num_rows > SHOWN else ""
        return f"<p>{rows.num_rows} studies{more}</p><table><tr>{head}</tr>{body}</table>"

    def _study(self, row: Mapping[str, Any]) -> Study:
        told = (row[name] for name in ("study_id", "patient_id", "split", "age_years", "sex"))
        return Study(self._store, self._relations, self._vocabulary, *told)

    def _query(self) -> str:
        held = " AND ".join(self.held)
        chosen = f"SELECT * FROM ({STUDIES})" + (f" WHERE {held}" if held else "")
        return f"{chosen} ORDER BY study_id"


def _cell(value: object) -> str:
    return "" if value is None else html.escape(str(value))
