"""Lineage: from a training sample back to its files and the sentences of its reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fvlm_data.errors import InputError, StoreError

if TYPE_CHECKING:
    from fvlm_data.store.declared import Context


def explain(context: Context, sample_id: str, *, reveal: bool = False) -> dict[str, Any]:
    """Where a sample comes from, as nested plain data.

    With `reveal` the tokens of source files are turned back into relative paths by the vault.

    Raises:
        InputError: there is no sample of that id.
        StoreError: its volume is gone from the tables.
    """
    store = context.store
    found = store.read_items("samples", "sample_id", [sample_id])
    if not found:
        raise InputError(
            f"sample {sample_id}: not in the store; the ids stand in table samples "
            f"({store.count('samples')} rows)"
        )
    sample = found[0]
    volumes = store.read_items("volumes", "volume_id", [sample["volume_id"]])
    if not volumes:
        raise StoreError(
            f"sample {sample_id}: its volume {sample['volume_id']} is not in the store; "
            "run `fvlm-data verify`, then `fvlm-data curate` again"
        )
    volume = volumes[0]
    masks = store.read_items("masks", "volume_id", [sample["volume_id"]])
    texts = store.read_items("anatomy_texts", "study_id", [sample["study_id"]])
    shown = [row for row in texts if row["anatomy"] in sample["anatomies"]]
    reports = {s.split(":")[0] for row in shown for s in row["sources"]}
    sentences = {
        f"{row['report_id']}:{row['start']}:{row['end']}": row["text"]
        for row in store.read_items("sentences", "report_id", reports)
    }
    return {
        "sample_id": sample_id,
        "split": sample["split"],
        "shard": f"shards/{sample['split']}/{sample['shard']}.zarr",
        "index": sample["index"],
        "study_id": sample["study_id"],
        "volume": {
            "volume_id": volume["volume_id"],
            "path": volume["path"],
            "spacing_mm": volume["spacing_mm"],
            "rescale_decision": volume["rescale_decision"],
            "source_files": _named(context, volume["source_files"], reveal=reveal),
        },
        "masks": sorted({row["path"] for row in masks}),
        "reports": [
            {
                "report_id": row["report_id"],
                "source_files": _named(context, row["source_files"], reveal=reveal),
            }
            for row in store.read_items("reports", "report_id", reports)
        ],
        "anatomies": {
            row["anatomy"]: {
                "state": row["state"],
                "findings": row["findings"],
                "sentences": {source: sentences.get(source) for source in row["sources"]},
            }
            for row in sorted(shown, key=lambda row: str(row["anatomy"]))
        },
    }


def set_aside(context: Context, *, reveal: bool = False) -> list[dict[str, Any]]:
    """Rows of table quarantine in the order of kind, reason and item; `reveal` as in `explain`."""
    rows: list[dict[str, Any]] = context.store.read("quarantine").to_pylist()
    paths: dict[str, str] = {}
    if reveal:
        paths = context.vault.file_paths(t for row in rows for t in row["source_files"])
    for row in rows:
        row["item"] = paths.get(row["item"], row["item"])
        row["source_files"] = [paths.get(token, token) for token in row["source_files"]]
    return sorted(rows, key=lambda row: (row["kind"], row["reason"], row["item"], row["detail"]))


def _named(context: Context, tokens: list[str], *, reveal: bool) -> list[str]:
    if not reveal:
        return tokens
    paths = context.vault.file_paths(tokens)
    return [paths.get(token, token) for token in tokens]
