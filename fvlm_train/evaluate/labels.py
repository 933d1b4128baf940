"""Labels from a user's file: external study keys joined through the table `links`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import yaml

from fvlm_data.errors import InputError
from fvlm_data.identity.ids import link_key
from fvlm_data.identity.vault import Vault, default_vault_folder
from fvlm_data.store.tables import Store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_train.evaluate.scoring import Score

KEY_COLUMNS = ("study_uid", "accession")


@dataclass(frozen=True, slots=True)
class LabelTable:
    """Labels by (study_id, finding), and how the file's rows fared."""

    present: dict[tuple[str, str], bool]
    rows: int
    rows_without_study: int
    rows_unknown: int

    def of(self, scores: Sequence[Score]) -> list[bool | None]:
        """Label of each score; None if the file says nothing."""
        return [self.present.get((score.study_id, score.finding)) for score in scores]


def read_labels(path: Path, store_url: str, vault_folder: Path | None = None) -> LabelTable:
    """Labels of a long Parquet or CSV file: study_uid or accession (with issuer), finding, present.

    `present` is true/false or 1/0; empty or negative means unknown, and so does a column `imaged`
    that is false: the scan does not show the anatomy. Studies that the store does not hold are
    counted, not used.

    Raises:
        InputError: the file cannot be read, a column is missing, a value is no label, two rows
            contradict each other, or the store's vault is not found.
    """
    rows = _read(path)
    kind = next((name for name in KEY_COLUMNS if name in rows.column_names), None)
    missing = [name for name in ("finding", "present") if name not in rows.column_names]
    if kind is None or missing:
        wanted = missing[0] if missing else " or ".join(KEY_COLUMNS)
        raise InputError(
            f"labels {path.name}: no column {wanted}; found {', '.join(rows.column_names)}"
        )
    store = Store.open(store_url)
    key = _vault_key(store, vault_folder)
    studies = _studies(store, kind)
    present: dict[tuple[str, str], bool] = {}
    without_study = unknown = 0
    for line, row in enumerate(rows.to_pylist(), start=1):
        label = _label("present", row["present"], path, line)
        if not _label("imaged", row.get("imaged", True), path, line):
            label = None
        value = row[kind]
        if label is None or value is None or not str(value).strip():
            unknown += 1
            continue
        issuer = row.get("issuer")
        hashed = link_key(kind, str(value), None if issuer is None else str(issuer), key=key)
        owners = studies.get(hashed, ())
        without_study += not owners
        for study_id in owners:
            if present.setdefault((study_id, row["finding"]), label) != label:
                raise InputError(
                    f"labels {path.name}: row {line} contradicts an earlier row on "
                    f"{row['finding']} of the same study; keep one"
                )
    return LabelTable(present, rows.num_rows, without_study, unknown)


def _read(path: Path) -> pa.Table:
    try:
        if path.suffix == ".parquet":
            return pyarrow.parquet.read_table(path)
        # keys stay text: 00123 is not 123
        text = {name: pa.string() for name in (*KEY_COLUMNS, "issuer", "finding")}
        options = pyarrow.csv.ConvertOptions(column_types=text)
        return pyarrow.csv.read_csv(path, convert_options=options)
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"labels {path.name}: cannot be read ({type(error).__name__}); expected Parquet or CSV"
        ) from error


def _label(column: str, value: Any, path: Path, line: int) -> bool | None:
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, str):
        value = {"true": 1, "false": 0, "1": 1, "0": 0, "-1": -1}.get(value.strip().lower(), value)
    if isinstance(value, bool | int | float) and value in (-1, 0, 1):
        return None if value < 0 else bool(value)
    raise InputError(
        f"labels {path.name}: row {line}, column {column}: expected 1, 0, -1 or empty, "
        "found another"
    )


def _studies(store: Store, kind: str) -> dict[str, tuple[str, ...]]:
    where = [("owner_kind", "=", "study"), ("kind", "=", kind)]
    links = store.read("links", ["owner_id", "value_hash"], where)
    owners: dict[str, set[str]] = {}
    for link in links.to_pylist():
        owners.setdefault(link["value_hash"], set()).add(link["owner_id"])
    return {value: tuple(sorted(ids)) for value, ids in owners.items()}


def _vault_key(store: Store, folder: Path | None) -> bytes:
    """Key of the vault given, else of the one the store's configuration names, else the default.

    A vault is not made here: a fresh key would match no study.
    """
    if folder is None and store.exists("config.yaml"):
        identity = (yaml.safe_load(store.read_bytes("config.yaml")) or {}).get("identity") or {}
        folder = Path(identity["vault"]) if identity.get("vault") else None
    folder = folder or default_vault_folder(store.store_id)
    if not (folder / "key").is_file():
        raise InputError(
            f"vault {folder}: not found, so external study keys cannot be matched; name it by "
            "--vault or FVLM_VAULT"
        )
    return Vault.open(folder).key
