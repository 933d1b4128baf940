"""What the tables hold of some studies, gathered in one go."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from fvlm_data.qc.partners import Partners, read_partners

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fvlm_data.store.tables import Store

Row: TypeAlias = "dict[str, Any]"

VOLUME_COLUMNS = [
    "volume_id", "study_id", "series_id", "patient_id", "path", "shape", "spacing_mm",
    "affine_ras", "orientation", "content_sha256", "hu_min", "hu_max", "rescale_decision",
    "adjustments", "tilt_degrees", "body_region_header", "contrast_header", "kernel",
    "series_description", "manufacturer", "acquired_on", "age_years", "sex",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class StudyRows:
    """Rows of one study, by table; those of volumes and reports by their ids."""

    study_id: str
    volumes: Sequence[Row]
    checks: Mapping[str, Row]
    masks: Mapping[str, Sequence[Row]]
    candidates: Sequence[Row]
    reports: Sequence[Row]
    sentences: Mapping[str, Sequence[Row]]
    findings: Mapping[str, Sequence[Row]]
    texts: Sequence[Row]
    cross_checks: Sequence[Row]
    samples: Sequence[Row]
    split: Row | None
    settled: Sequence[Row]
    set_aside: Sequence[Row]
    partners: Mapping[str, Partners]


def read_studies(store: Store, study_ids: Sequence[str]) -> list[StudyRows]:
    """Rows of some studies, in the order given.

    Raises:
        StoreError: a table cannot be read.
    """
    found = _Found(store)
    of_studies = {
        table: found.by(table, "study_id", study_ids, columns)
        for table, columns in (
            ("volumes", VOLUME_COLUMNS),
            ("candidates", ["volume_id", "study_id", "series_id"]),
            ("study_reports", None),
            ("anatomy_texts", None),
            ("cross_checks", None),
            ("samples", None),
        )
    }
    volumes = [v["volume_id"] for rows in of_studies["volumes"].values() for v in rows]
    reports = [r["report_id"] for rows in of_studies["study_reports"].values() for r in rows]
    patients = [v["patient_id"] for rows in of_studies["volumes"].values() for v in rows]
    of_volumes = {t: found.by(t, "volume_id", volumes) for t in ("volume_checks", "masks")}
    of_reports = {
        t: found.by(t, "report_id", reports) for t in ("reports", "sentences", "findings")
    }
    splits = found.by("splits", "patient_id", patients)
    partners = read_partners(store, study_ids)
    items = {study: _items(study, of_studies) for study in study_ids}
    everything = [item for some in items.values() for item in some]
    settled = found.by("ledger", "item", everything, ["stage", "item", "outcome", "run_id"])
    set_aside = found.by("quarantine", "item", everything)

    def told(study: str) -> StudyRows:
        own = {table: rows.get(study, []) for table, rows in of_studies.items()}
        ids = [v["volume_id"] for v in own["volumes"]]
        joined = sorted(own["study_reports"], key=lambda row: (row["order"], row["report_id"]))
        read = [
            {**report, "matched_by": link["matched_by"]}
            for link in joined
            for report in of_reports["reports"].get(link["report_id"], [])
        ]
        patient = own["volumes"][0]["patient_id"] if own["volumes"] else ""
        return StudyRows(
            study_id=study,
            volumes=sorted(own["volumes"], key=lambda row: str(row["volume_id"])),
            checks={i: rows[0] for i in ids if (rows := of_volumes["volume_checks"].get(i))},
            masks={i: of_volumes["masks"].get(i, []) for i in ids},
            candidates=sorted(own["candidates"], key=lambda row: str(row["volume_id"])),
            reports=read,
            sentences={
                r["report_id"]: of_reports["sentences"].get(r["report_id"], []) for r in read
            },
            findings={r["report_id"]: of_reports["findings"].get(r["report_id"], []) for r in read},
            texts=sorted(own["anatomy_texts"], key=lambda row: str(row["anatomy"])),
            cross_checks=sorted(own["cross_checks"], key=lambda row: (row["check"], row["said"])),
            samples=sorted(own["samples"], key=lambda row: str(row["sample_id"])),
            split=next(iter(splits.get(patient, [])), None),
            settled=[row for item in items[study] for row in settled.get(item, [])],
            set_aside=[row for item in items[study] for row in set_aside.get(item, [])],
            partners=partners.get(study, {}),
        )

    return [told(study) for study in study_ids]


class _Found:
    """Rows of a store's tables by the value of a column."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def by(
        self, table: str, column: str, values: Iterable[str], columns: list[str] | None = None
    ) -> dict[str, list[Row]]:
        rows = defaultdict(list)
        for row in self._store.read_items(table, column, values, columns):
            rows[row[column]].append(row)
        return dict(rows)


def _items(study: str, of_studies: Mapping[str, Mapping[str, Sequence[Row]]]) -> list[str]:
    """Items of all stages that this study is made of, or that are made of it."""
    named = [study]
    for table, column in (
        ("candidates", "series_id"),
        ("candidates", "volume_id"),
        ("volumes", "series_id"),
        ("volumes", "volume_id"),
        ("volumes", "patient_id"),
        ("study_reports", "report_id"),
        ("samples", "sample_id"),
    ):
        named += sorted({row[column] for row in of_studies[table].get(study, [])})
    return list(dict.fromkeys(named))
