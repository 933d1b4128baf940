"""Runs of the whole chain on phantoms, and the comparison of what two runs left behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import schemas
from fvlm_data.run.config import Config, load_config
from fvlm_data.run.curate import curate
from fvlm_data.shards import ShardDataset
from fvlm_data.shards.sets import SETS, SampleSet
from fvlm_data.store.tables import Store

VOLATILE = {
    "ledger": ("run_id",),
    "waiting": ("since_run",),
    "inputs": ("modified_ns", "inode"),
    "reports": ("file_row",),
}
PLACEMENT = ("shard", "index", "offset_z")


def chain_config(store: Path, phantom: Path, **changes: Any) -> Config:
    """A configuration of the whole chain over a phantom folder."""
    values: dict[str, Any] = {
        "store": str(store),
        "sources": [{"kind": "dicom", "path": str(phantom / "dicom"), "name": "phantom"}],
        "reports": [
            {"path": str(phantom / "reports_chest.csv")},
            {"path": str(phantom / "reports_abdomen.csv")},
        ],
        "segment": {
            "backend": "precomputed",
            "masks": str(phantom / "masks" / "manifest.csv"),
            "classes": str(phantom / "masks" / "classes.yaml"),
        },
        "shard": {"spacing_mm": [6.0, 6.0, 6.0], "dtype": "uint8", "samples_per_shard": 3},
        "pair": {"split": {"train": 0.5, "validation": 0.0, "test": 0.5}},
    }
    overrides = [f"{place}={json.dumps(value)}" for place, value in changes.items()]
    return load_config(None, overrides, values)


def run_chain(config: Config, **options: Any) -> Any:
    """All stages in this process."""
    return curate(config, **options)


def snapshot(store: Path, *, placement: bool = True) -> dict[str, list[str]]:
    """All table rows without what may differ between runs, and the hash of every sample."""
    opened = Store.open(store)
    content: dict[str, list[str]] = {}
    for name in schemas.TABLES:
        dropped = set(VOLATILE.get(name, ()))
        if name in [one.table for one in SETS] and not placement:
            dropped |= set(PLACEMENT)
        content[name] = sorted(
            json.dumps({k: v for k, v in row.items() if k not in dropped}, sort_keys=True)
            for row in opened.read(name).to_pylist()
            if not _volatile(name, row, placement=placement)
        )
    for one in SETS:
        content["arrays" if one.stage == "shard" else one.stage] = sample_hashes(store, one)
    return content


def _volatile(table: str, row: dict[str, Any], *, placement: bool) -> bool:
    """Rows that equal runs do not share: stamps of indexes, objects of shards by their place."""
    stamp = table == "ledger" and row["stage"] in [one.agreed for one in SETS]
    writers = [one.stage for one in SETS]
    return stamp or (table == "files" and row["stage"] in writers and not placement)


def sample_hashes(store: Path, of: SampleSet = SETS[0]) -> list[str]:
    """Hash of image and label of every sample, as the trainer reads them."""
    from fvlm_data.hashing import array_sha256

    hashes = []
    for split in ("train", "validation", "test"):
        if not Store.open(store).files(f"{of.folder}/{split}"):
            continue
        dataset = ShardDataset(str(store), split, of=of)
        for number in range(len(dataset)):
            sample = dataset[number]
            digest = array_sha256(sample.image_zyx, sample.label_zyx)
            hashes.append(f"{sample.sample_id} {digest}")
    return sorted(hashes)
