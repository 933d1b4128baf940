"""Runs: what was requested, with which versions, and the result; one JSON file per run."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import yaml

from fvlm_data.errors import StoreError
from fvlm_data.hashing import content_key
from fvlm_data.identity.ids import keyed_id
from fvlm_data.identity.vault import Vault, default_vault_folder
from fvlm_data.run.config import written_config
from fvlm_data.run.private_paths import hidden, revealed
from fvlm_data.store.declared import Context
from fvlm_data.store.place import QC_PAGE
from fvlm_data.store.relations import Relations
from fvlm_data.store.tables import Store

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from fvlm_data.run.config import Config

VAULT_MARK = "vault.mark"
RECORDED = (
    "fvlm", "deltalake", "duckdb", "imagecodecs", "medspacy", "nibabel", "numcodecs", "numpy",
    "openpyxl", "pydicom", "pylibjpeg", "pylibjpeg-libjpeg", "pypdf", "scipy", "SimpleITK", "spacy",
    "striprtf", "TotalSegmentator", "zarr",
)  # fmt: skip
"""Packages whose version may affect results: decoders, language, resampling, arrays."""


REVIEWED = """
SELECT told, count(*) FROM (
    SELECT kind || ' held to be wrong' AS told FROM review_effects
    UNION ALL
    SELECT 'decision not applied' FROM decisions WHERE NOT applied
    UNION ALL
    SELECT 'decision applied without effect' FROM decisions WHERE applied AND verdict = 'wrong'
        AND decision_id NOT IN (SELECT unnest(decisions) FROM review_effects)
)
"""
"""What review changes, and decisions that change nothing: those not applied, and those that are
stale, disputed or replaced, which `review apply` names."""


@dataclass(slots=True)
class Summary:
    """What a command did, for people and as JSON.

    `record` and `qc_page` are places in the store, empty where there is none; `next_step` says
    what a store without samples lacks; `failed` is the class of the error that ended the run, and
    `failed_at` names file, line and function of the calls that led to it.
    """

    run_id: str
    store: str
    seconds: float = 0.0
    stages: dict[str, dict[str, int]] = field(default_factory=dict)
    stage_seconds: dict[str, float] = field(default_factory=dict)
    tables: dict[str, int] = field(default_factory=dict)
    waiting: dict[str, int] = field(default_factory=dict)
    set_aside: dict[str, int] = field(default_factory=dict)
    cross_checks: dict[str, int] = field(default_factory=dict)
    review: dict[str, int] = field(default_factory=dict)
    announced: list[str] = field(default_factory=list)
    changed_settings: list[str] = field(default_factory=list)
    changed_versions: list[str] = field(default_factory=list)
    record: str = ""
    qc_page: str = ""
    next_step: str = ""
    failed: str = ""
    failed_at: list[str] = field(default_factory=list)


def open_context(
    config: Config, run_id: str | None = None, *, create: bool = True, vault: bool = True
) -> Context:
    """Open (or make) the store and vault of a configuration under a run id.

    Without `vault` none is opened, and the context's refuses to be asked.

    Raises:
        StoreError: either cannot be opened, or the vault is not that of the store.
    """
    store = Store.create(config.store) if create else Store.open(config.store)
    store.memory_mb, store.spill = config.execution.memory_mb, config.execution.spill
    opened = open_vault(store, config) if vault else Vault.withheld()
    keep_hours = config.execution.keep_hours
    return Context(store, opened, run_id or new_run_id(), keep_hours=keep_hours)


def open_vault(store: Store, config: Config) -> Vault:
    """The vault of a store, as the configuration names it.

    Raises:
        StoreError: it cannot be opened, has no key, or is not that of the store.
    """
    folder = vault_folder(store, config)
    check_outside(store, folder, "vault")
    # checked first: `Vault.open` would make a fresh key, under which every id is another
    if store.exists(VAULT_MARK) and not (folder / "key").is_file():
        raise StoreError(
            f"vault {folder}: no key found there, expected the one that made the ids of store "
            f"{store.url}; name its folder by identity.vault or FVLM_VAULT, or restore it from a "
            "backup"
        )
    return check_vault(store, folder)


def vault_folder(store: Store, config: Config) -> Path:
    """Where the vault of a store lies."""
    return config.identity.vault or default_vault_folder(store.store_id)


def check_outside(store: Store, folder: Path, what: str) -> None:
    """Refuse a place for keys and names within the store, which is given to others.

    Raises:
        StoreError: `folder` lies in the store's folder.
    """
    root = store.local_root
    if root is not None and folder.resolve().is_relative_to(root.resolve()):
        raise StoreError(
            f"{what} {folder}: lies within store {store.url}, whose readers would have its key and "
            "names; name a folder outside of it"
        )


def check_vault(store: Store, folder: Path) -> Vault:
    """The vault in a folder; one with another key would give everything a second, unrelated id.

    Raises:
        StoreError: it cannot be opened, or its key is not that of the store.
    """
    vault = Vault.open(folder)
    mark = keyed_id(vault.key, "sh", "mark of the vault", store.store_id)
    if not store.exists(VAULT_MARK):
        store.write_bytes(VAULT_MARK, mark.encode())
    elif store.read_bytes(VAULT_MARK).decode() != mark:
        raise StoreError(
            f"vault {vault.folder}: its key is not the one that made the ids of store "
            f"{store.url}; name the right vault by identity.vault or FVLM_VAULT, or restore it "
            "from a backup"
        )
    return vault


def new_run_id() -> str:
    """A fresh id: UTC time and a random part, so that two runs at once differ."""
    return f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(3)}"


def begin(context: Context, config: Config, announced: Sequence[str] = ()) -> list[str]:
    """Record configuration and versions; return the settings that differ from the last run.

    `announced` are the sentences that tell how the inputs are understood.
    """
    changed = differences(last_configuration(context.store), config.model_dump(mode="json"))
    # the record first: workers read the configuration from it
    _record(context, config, Summary(context.run_id, context.store.url), announced)
    text = yaml.safe_dump(hidden(context.vault, config), sort_keys=False)
    context.store.write_bytes("config.yaml", text.encode())
    return changed


def changed_versions(store: Store) -> list[str]:
    """Packages that the last run of the store had in another version, as `name 1 -> 2`."""
    before = last_record(store).get("versions", {})
    return [
        f"{name} {before[name]} -> {_version(name)}"
        for name in RECORDED
        if name in before and before[name] != _version(name)
    ]


def versions_mark() -> str:
    """One hash of the versions of all packages that may affect results."""
    return content_key({name: _version(name) for name in RECORDED})


def finish(context: Context, config: Config, summary: Summary) -> None:
    """Write the counts of a run beside its configuration."""
    _record(context, config, summary, summary.announced, finished=True)
    summary.record = record_path(context.run_id)


def keep_progress(
    context: Context,
    config: Config,
    summary: Summary,
    progress: Mapping[str, tuple[int, int, float]],
) -> None:
    """Write how far a run has come, by stage items done, in all and seconds, into its record."""
    _record(context, config, summary, summary.announced, progress=progress)


def read_run_config(store_url: str, run_id: str) -> Config:
    """The configuration of a run, as workers read it."""
    store = Store.open(store_url)
    record = json.loads(store.read_bytes(record_path(run_id)))
    return written_config(revealed(store, record["configuration"]))


def add_counts(summary: Summary, stage: str, counts: Counter[str]) -> None:
    """Add the counts of a batch to those of its stage."""
    stage_counts = summary.stages.setdefault(stage, {})
    for name, number in counts.items():
        stage_counts[name] = stage_counts.get(name, 0) + number


def tally(context: Context, summary: Summary) -> None:
    """Fill in what the tables hold now: rows, what waits, is set aside, or is cross-checked."""
    store = context.store
    for table in ("volumes", "reports", "anatomy_texts", "samples"):
        summary.tables[table] = store.count(table)
    relations = Relations(store)
    for told, query in (
        (summary.waiting, "SELECT owner_kind || ' waits for ' || waits_for, count(*) FROM waiting"),
        (summary.set_aside, "SELECT kind || ':' || reason, count(*) FROM quarantine"),
        (summary.cross_checks, "SELECT strength || ':' || \"check\", count(*) FROM cross_checks"),
        (summary.review, REVIEWED),
    ):
        told.update(relations.rows(f"{query} GROUP BY 1 ORDER BY 1"))
    summary.qc_page = QC_PAGE if store.exists(QC_PAGE) else ""
    summary.next_step = _next_step(context)


def _next_step(context: Context) -> str:
    """The first thing that a store without samples lacks."""
    steps = (
        ("samples", ""),
        ("anatomy_texts", "fvlm-data shard: texts of anatomies are there, and no sample yet"),
        ("volumes", "fvlm-data ingest SOURCE: there is no volume yet"),
        ("masks", "fvlm-data segment: no volume has a mask yet"),
        ("reports", "fvlm-data reports FILE: there is no report yet"),
    )
    counts = {table: context.store.count(table) for table, _ in steps}
    if counts["samples"]:
        return ""
    lacking = [table for table, _ in steps[2:] if not counts[table]]
    if lacking == ["reports"] and _reports_set_aside(context):
        return (
            "fvlm-data status --set-aside: all reports that were read were set aside, and it says "
            "why"
        )
    if lacking:
        return dict(steps)[lacking[0]]
    return steps[1][1] if counts["anatomy_texts"] else "fvlm-data pair: nothing is paired yet"


def _reports_set_aside(context: Context) -> bool:
    """Whether reports came and none was kept: another file of them would not help."""
    told = "SELECT count(*) FROM quarantine WHERE stage IN ('discover_reports', 'reports')"
    ((number,),) = Relations(context.store).rows(told)
    return bool(number)


def _record(
    context: Context,
    config: Config,
    summary: Summary,
    announced: Sequence[str],
    progress: Mapping[str, tuple[int, int, float]] | None = None,
    *,
    finished: bool = False,
) -> None:
    record = {
        "run_id": context.run_id,
        "configuration": hidden(context.vault, config),
        "versions": {name: _version(name) for name in RECORDED},
        "finished": finished,
        "failed": summary.failed,
        "failed_at": summary.failed_at,
        "seconds": summary.seconds if finished else None,
        "stages": summary.stages,
        "stage_seconds": summary.stage_seconds,
        "progress": {stage: list(counts) for stage, counts in (progress or {}).items()},
        "announced": list(announced),
    }
    content = json.dumps(record, indent=2).encode()
    context.store.write_bytes(record_path(context.run_id), content)


def record_path(run_id: str) -> str:
    """Where the record of a run lies in the store."""
    return f"runs/{run_id}.json"


def last_record(store: Store) -> dict[str, Any]:
    """The record of the store's last run; empty if there was none."""
    # ids begin with the UTC time, so the last name is the last run
    runs = [path for path in store.files("runs") if path.endswith(".json")]
    return dict(json.loads(store.read_bytes(runs[-1]))) if runs else {}


@cache
def _version(package: str) -> str | None:
    # a record is written after each batch, and to read a package's metadata takes milliseconds
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def last_configuration(store: Store) -> dict[str, Any]:
    """The configuration that the store's last run resolved; empty if there was none.

    Raises:
        StoreError: config.yaml is no mapping in YAML.
    """
    if not store.exists("config.yaml"):
        return {}
    try:
        loaded = yaml.safe_load(store.read_bytes("config.yaml"))
    except (yaml.YAMLError, ValueError):
        loaded = None
    if not isinstance(loaded, dict):
        raise StoreError(
            f"store {store.url}: config.yaml is damaged, expected the configuration of the last "
            "run; mend it, or remove it and give the next command --config"
        )
    return revealed(store, loaded)


def differences(before: Any, now: Any, place: str = "") -> list[str]:
    """Places of the leaves in which two nested configurations differ; none if one is empty."""
    if not before and not place:
        return []
    if isinstance(before, dict) and isinstance(now, dict):
        return [
            difference
            for name in sorted(before.keys() | now.keys())
            for difference in differences(
                before.get(name), now.get(name), f"{place}.{name}" if place else name
            )
        ]
    return [] if before == now else [place]
