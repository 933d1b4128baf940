"""Labels from a user's file: external study keys joined through the table `links`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from fvlm_data.errors import InputError
from fvlm_data.identity.ids import link_key
from fvlm_data.identity.vault import Vault, default_vault_folder
from fvlm_data.store.tables import Store
from fvlm_train.evaluate.cells import label_of, read_cells

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fvlm_train.evaluate.names import FindingNames
    from fvlm_train.evaluate.scoring import Score

OWN_KEYS = ("study_id", "sample_id")
"""Keys that need no vault: ids of the store itself."""

VALUE_COLUMNS = ("present", "label", "value")


@dataclass(frozen=True, slots=True)
class LabelTable:
    """Labels by (study_id, finding), and how the file's rows fared.

    `rows_unknown` counts labels that say nothing, of a wide file more than one a row; `ignored` are
    columns that were not read.
    """

    present: dict[tuple[str, str], bool]
    rows: int
    rows_without_study: int
    rows_unknown: int
    ignored: tuple[str, ...] = ()

    def of(self, scores: Sequence[Score]) -> list[bool | None]:
        """Label of each score; None if the file says nothing."""
        return [self.present.get((score.study_id, score.finding)) for score in scores]

    def counts(self) -> dict[str, int]:
        """The file's rows, and those of no study of the store and of no statement."""
        return {
            "rows": self.rows,
            "without_study": self.rows_without_study,
            "unknown": self.rows_unknown,
        }


def read_labels(
    path: Path,
    store_url: str,
    vault_folder: Path | None = None,
    names: FindingNames | None = None,
) -> LabelTable:
    """Labels of a Parquet or CSV file, long or wide (see `cells`).

    Its key is study_uid, accession (with issuer), volume_name, or our study_id or sample_id. A
    label is true/false or 1/0; empty or negative means not mentioned, and so does a column `imaged`
    that is false: the scan does not show the anatomy. Studies that the store does not hold are
    counted, not used. With `names`, the file may use any name of a finding.

    Raises:
        InputError: the file cannot be read, a column is missing, a finding is not known, a value is
            no label, two rows contradict each other, no row is of a study of the store, or the
            store's vault is not found.
    """
    table = read_cells(path, "labels", VALUE_COLUMNS, names)
    owners_of = _owners(Store.open(store_url), table.key_kind, vault_folder)
    present: dict[tuple[str, str], bool] = {}
    foreign: set[int] = set()
    unknown = 0
    for cell in table.cells:
        label = _label("present", cell.value, path, cell.line)
        if not _label("imaged", cell.imaged, path, cell.line):
            label = None
        if label is None or cell.key is None:
            unknown += 1
            continue
        owners = owners_of(cell.key, cell.issuer)
        if not owners:
            foreign.add(cell.line)
        for study_id in owners:
            if present.setdefault((study_id, cell.finding), label) != label:
                raise InputError(
                    f"labels {path.name}: row {cell.line} contradicts an earlier row on "
                    f"{cell.finding} of the same study; keep one"
                )
    if foreign and not present:
        raise InputError(
            f"labels {path.name}: none of its {table.rows} rows names a study of the store by its "
            f"{table.key_kind}; check that file and store are of the same studies"
        )
    return LabelTable(present, table.rows, len(foreign), unknown, table.ignored)


def _label(column: str, value: Any, path: Path, line: int) -> bool | None:
    try:
        return label_of(value)
    except ValueError as error:
        raise InputError(
            f"labels {path.name}: row {line}, column {column}: expected 1, 0, -1 or empty, "
            "found another"
        ) from error


def _owners(
    store: Store, kind: str, vault_folder: Path | None
) -> Callable[[str, str | None], tuple[str, ...]]:
    """From a key and its issuer to the studies of the store that it names."""
    if kind in OWN_KEYS:
        rows = store.read("samples", ["sample_id", "study_id"]).to_pylist()
        own = {row[kind]: (row["study_id"],) for row in rows}
        return lambda value, _: own.get(value, ())
    key = _vault_key(store, vault_folder)
    studies = _studies(store, kind)
    return lambda value, issuer: studies.get(link_key(kind, value, issuer, key=key), ())


def _studies(store: Store, kind: str) -> dict[str, tuple[str, ...]]:
    """Studies by the hash of a key; a name of a series is one of its study."""
    columns = ["owner_kind", "owner_id", "value_hash"]
    links = store.read("links", columns, [("kind", "=", kind)]).to_pylist()
    study_of: dict[str, str] = {}
    if any(link["owner_kind"] == "series" for link in links):
        volumes = store.read("volumes", ["series_id", "study_id"]).to_pylist()
        study_of = {row["series_id"]: row["study_id"] for row in volumes}
    owners: dict[str, set[str]] = {}
    for link in links:
        study = (
            link["owner_id"] if link["owner_kind"] == "study" else study_of.get(link["owner_id"])
        )
        if study is not None and link["owner_kind"] in ("study", "series"):
            owners.setdefault(link["value_hash"], set()).add(study)
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
