"""One study of a store: its volumes, reports, what they say of each anatomy, its samples."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from fvlm_data.errors import InputError
from fvlm_data.opened.report import StoredReport
from fvlm_data.opened.volume import Volume
from fvlm_data.reports.language.notebook import shown_in_notebook
from fvlm_data.reports.language.shown import print_lines

if TYPE_CHECKING:
    import numpy as np

    from fvlm_data.store.relations import Relations
    from fvlm_data.store.tables import Store
    from fvlm_data.vocabulary import Vocabulary

One = TypeVar("One")

NO_REPORT = "No report is joined to it: see tables waiting and quarantine."

VOLUMES = "SELECT * FROM volumes WHERE study_id = $study ORDER BY volume_id"
REPORTS = """
SELECT j.report_id, r.text FROM study_reports j JOIN reports r ON r.report_id = j.report_id
WHERE j.study_id = $study ORDER BY j."order"
"""
STATES = """
SELECT anatomy, state, text FROM anatomy_texts WHERE study_id = $study ORDER BY anatomy
"""
SAMPLES = """
SELECT sample_id, volume_id, split, shard, "index" FROM samples WHERE study_id = $study
ORDER BY sample_id
"""


@dataclass(frozen=True, slots=True, eq=False)
class AnatomyStatement:
    """What the reports of a study say of an anatomy, and the text that it is trained on."""

    anatomy: str
    state: str
    text: str


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Study:
    """A study; what lies in its files and tables is read when it is asked for.

    Everything raises StoreError where a table or file is missing or damaged.
    """

    _store: Store
    _relations: Relations
    _vocabulary: Vocabulary
    study_id: str
    patient_id: str
    split: str | None
    age_years: float | None
    sex: str | None

    @property
    def volumes(self) -> tuple[Volume, ...]:
        """Its volumes, by id."""
        columns = ("volume_id", "path", "shape", "spacing_mm", "affine_ras", "series_description")
        query = VOLUMES.replace("*", ", ".join(columns))
        return tuple(
            Volume(self._store, self._relations, self._vocabulary, *row)
            for row in self._rows(query)
        )

    @property
    def volume(self) -> Volume:
        """Its only volume.

        Raises:
            InputError: it has several.
        """
        found = self.volumes
        return _only(found, f"study {self.study_id}", "volumes", [one.volume_id for one in found])

    @property
    def reports(self) -> tuple[StoredReport, ...]:
        """Its reports without identities, in the order in which they are joined."""
        return tuple(StoredReport(self._relations, *row) for row in self._rows(REPORTS))

    @property
    def report(self) -> StoredReport:
        """Its only report.

        Raises:
            InputError: it has none, or several.
        """
        found = self.reports
        return _only(found, f"study {self.study_id}", "reports", [one.report_id for one in found])

    @property
    def anatomies(self) -> dict[str, AnatomyStatement]:
        """What its reports say of each anatomy, by id."""
        return {row[0]: AnatomyStatement(*row) for row in self._rows(STATES)}

    @property
    def samples(self) -> list[dict[str, Any]]:
        """Its training samples: sample_id, volume_id, split, shard and place in the shard."""
        names = ("sample_id", "volume_id", "split", "shard", "index")
        return [dict(zip(names, row, strict=True)) for row in self._rows(SAMPLES)]

    def mask(self, name: str) -> np.ndarray[Any, Any]:
        """Voxels (i, j, k), bool, of an anatomy or class in its only volume; see `Volume.mask`."""
        return self.volume.mask(name)

    def show(self) -> None:
        """Show volumes and coloured reports: printed, or with planes in the cell of a notebook."""
        if shown_in_notebook(self._repr_html_):
            return
        reports = self.reports
        print_lines(repr(one) for one in (self, *self.volumes))
        for report in reports:
            report.show()
        if not reports:
            print_lines([NO_REPORT])

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        # `rows` would keep to the version that was read first
        return self._relations.newest_rows(query, {"study": self.study_id})

    def __repr__(self) -> str:
        """Id, split, age and sex."""
        told = [self.split, f"{self.age_years:g} years" if self.age_years is not None else None]
        return f"<study {self.study_id}: {', '.join(filter(None, [*told, self.sex]))}>"

    def _repr_html_(self) -> str:
        """Volumes with three planes, and the coloured reports, as a notebook shows them."""
        parts = [f"<p><b>{html.escape(repr(self)[1:-1])}</b></p>"]
        parts += [volume._repr_html_() for volume in self.volumes]
        parts += [report._repr_html_() for report in self.reports] or [f"<p>{NO_REPORT}</p>"]
        return "".join(parts)


def _only(found: tuple[One, ...], of: str, kind: str, names: list[str]) -> One:
    if len(found) == 1:
        return found[0]
    told = f"{len(found)} ({', '.join(names)}); choose from `.{kind}`" if found else "none"
    raise InputError(f"{of}: expected one of its {kind}, found {told}")
