"""Conservation and consistency of a store, proved by counting."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import schemas

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from fvlm_data.store import Store


@dataclass(frozen=True, slots=True)
class Check:
    """One proved or broken statement; `examples` are ids or tokens that break it."""

    name: str
    passed: bool
    counted: str
    examples: tuple[str, ...] = ()


def verify(store: Store) -> list[Check]:
    """Count every input file, series, study and report, and look for what contradicts itself."""
    tables = {name: store.read(name).to_pylist() for name in schemas.TABLES}
    return [
        _files(tables),
        _series(tables),
        _studies(tables),
        _reports(tables),
        *_unique(tables),
        _orphans("masks of volumes", tables["masks"], "volume_id", _ids(tables, "volumes")),
        _orphans("samples of volumes", tables["samples"], "volume_id", _ids(tables, "volumes")),
        _orphans("sentences of reports", tables["sentences"], "report_id", _ids(tables, "reports")),
        _leaks(tables),
        _present(store, tables),
    ]


def _files(tables: dict[str, list[dict[str, Any]]]) -> Check:
    """Every offered file is the source of one volume, or set aside, once."""
    offered = {row["token"] for row in tables["inputs"] if row["kind"] == "file"}
    accepted = [token for row in tables["volumes"] for token in row["source_files"]]
    aside = [
        token
        for row in tables["quarantine"]
        if row["stage"] in ("discover", "ingest")
        for token in row["source_files"]
    ]
    return _partition("files", offered, accepted, aside, [])


def _series(tables: dict[str, list[dict[str, Any]]]) -> Check:
    offered = {r["item"] for r in tables["inputs"] if r["kind"] == "file" and r["item"]}
    accepted = {row["series_id"] for row in tables["volumes"]}
    aside = {row["item"] for row in tables["quarantine"] if row["stage"] == "ingest"} - accepted
    return _partition("series", offered, accepted, aside, [])


def _studies(tables: dict[str, list[dict[str, Any]]]) -> Check:
    offered = {row["study_id"] for row in tables["volumes"]}
    waiting = {row["owner_id"] for row in tables["waiting"] if row["owner_kind"] == "study"}
    accepted = {row["study_id"] for row in tables["study_reports"]} - waiting
    aside = {row["item"] for row in tables["quarantine"] if row["stage"] == "pair"} & offered
    return _partition("studies", offered, accepted, aside, waiting)


def _reports(tables: dict[str, list[dict[str, Any]]]) -> Check:
    """Every offered report row is joined to a study, waits for one, or is set aside."""
    offered = {row["token"] for row in tables["inputs"] if row["kind"] == "report"}
    tokens = {
        r["item"]: r["token"] for r in tables["inputs"] if r["kind"] == "report" and r["item"]
    }
    aside_items = {
        row["item"]
        for row in tables["quarantine"]
        if row["stage"] in ("discover_reports", "reports")
        or (row["stage"] == "pair" and row["reason"] == "conflicting_links")
    }
    joined = {row["report_id"] for row in tables["study_reports"]}
    waiting = {row["owner_id"] for row in tables["waiting"] if row["owner_kind"] == "report"}
    return _partition(
        "reports",
        offered,
        [tokens.get(item, item) for item in joined],
        [tokens.get(item, item) for item in aside_items],
        [tokens.get(item, item) for item in waiting],
    )


def _partition(
    name: str,
    offered: Collection[str],
    accepted: Iterable[str],
    aside: Iterable[str],
    waiting: Iterable[str],
) -> Check:
    places = Counter((*accepted, *aside, *waiting))
    lost = sorted(set(offered) - places.keys())
    twice = sorted(item for item, number in places.items() if number > 1)
    unknown = sorted(places.keys() - set(offered))
    counted = (
        f"{len(offered)} offered, {len(lost)} unaccounted for, {len(twice)} in two places, "
        f"{len(unknown)} never offered"
    )
    wrong = (*lost, *twice, *unknown)
    return Check(f"every one of the {name} is in exactly one place", not wrong, counted, wrong[:5])


def _unique(tables: dict[str, list[dict[str, Any]]]) -> list[Check]:
    checks = []
    for name, table in schemas.TABLES.items():
        keys = Counter(tuple(row[column] for column in table.primary_key) for row in tables[name])
        twice = [" ".join(map(str, key)) for key, number in keys.items() if number > 1]
        checks.append(
            Check(
                f"table {name} has one row a primary key",
                not twice,
                f"{len(tables[name])} rows",
                tuple(twice[:5]),
            )
        )
    return checks


def _orphans(name: str, rows: list[dict[str, Any]], column: str, known: set[str]) -> Check:
    orphans = sorted({row[column] for row in rows} - known)
    return Check(f"{name} exist", not orphans, f"{len(rows)} rows", tuple(orphans[:5]))


def _leaks(tables: dict[str, list[dict[str, Any]]]) -> Check:
    """No patient is in two splits."""
    splits: dict[str, set[str]] = {}
    for row in tables["samples"]:
        splits.setdefault(row["patient_id"], set()).add(row["split"])
    torn = sorted(patient for patient, names in splits.items() if len(names) > 1)
    return Check(
        "each patient is in one split", not torn, f"{len(splits)} patients", tuple(torn[:5])
    )


def _present(store: Store, tables: dict[str, list[dict[str, Any]]]) -> Check:
    wanted = {row["path"] for row in (*tables["volumes"], *tables["masks"])}
    for row in tables["samples"]:
        wanted.add(f"shards/{row['split']}/{row['shard']}.parquet")
    there = {path for folder in ("volumes", "masks", "shards") for path in store.files(folder)}
    missing = sorted(wanted - there)
    return Check(
        "every named file is there", not missing, f"{len(wanted)} files", tuple(missing[:5])
    )


def _ids(tables: dict[str, list[dict[str, Any]]], name: str) -> set[str]:
    column = schemas.TABLES[name].primary_key[0]
    return {row[column] for row in tables[name]}
