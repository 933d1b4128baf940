"""Lineage: from a training sample back to its files and the sentences of its reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fvlm_data.errors import InputError, StoreError
from fvlm_data.shards.restricted import refused_in
from schemas.findings import CONFIDENCES

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import pyarrow as pa

    from fvlm_data.store.declared import Context, Row
    from fvlm_data.store.tables import Store


def explain(context: Context, sample_id: str, *, reveal: bool = False) -> dict[str, Any]:
    """Where a sample comes from, as nested plain data.

    With `reveal` the vault turns the tokens of source files back into relative paths.

    Raises:
        InputError: there is no sample of that id.
        StoreError: its volume is gone from the tables.
    """
    store = context.store
    sample = _sample(store, sample_id)
    texts = store.read_items("anatomy_texts", "study_id", [sample["study_id"]])
    # a study has texts of anatomies that its masks do not show, which are in no sample
    shown = [row for row in texts if row["anatomy"] in sample["anatomies"]]
    reports = {s.split(":")[0] for row in shown for s in row["sources"]}
    masks = store.read_items("masks", "volume_id", [sample["volume_id"]])
    return {
        "sample_id": sample_id,
        "split": sample["split"],
        "shard": f"shards/{sample['split']}/{sample['shard']}.zarr",
        "index": sample["index"],
        "study_id": sample["study_id"],
        "restricted_for": _restricted_for(store, sample),
        "volume": _volume(context, sample, reveal=reveal),
        "masks": sorted({row["path"] for row in masks}),
        "reports": _reports(context, reports, reveal=reveal),
        "anatomies": _anatomies(store, shown, reports),
    }


def _restricted_for(store: Store, sample: Row) -> list[str]:
    """Purposes for which exports and training leave the sample out."""
    owners = {sample["patient_id"], sample["study_id"]}
    refused = refused_in(store)
    return sorted(purpose for purpose in refused if not owners.isdisjoint(refused[purpose]))


def explain_report(context: Context, report_id: str, *, reveal: bool = False) -> dict[str, Any]:
    """What became of a report, as nested plain data: its mentions and what each rests on.

    A report that waits or is set aside is told with the reason and what to do.

    Raises:
        InputError: there is no report of that id.
    """
    store = context.store
    offered = [("kind", "=", "report"), ("item", "=", report_id)]
    rows = store.read_items("reports", "report_id", [report_id])
    aside = [
        row
        for row in set_aside(context, reveal=reveal)
        if row["item"] == report_id or row["item"].rpartition(".")[0] == report_id
    ]
    if not (rows or aside or store.read("inputs", ["token"], offered).num_rows):
        raise InputError(
            f"report {report_id}: not in the store; the ids stand in table reports "
            f"({store.count('reports')} rows) and quarantine"
        )
    waits = [row for row in waiting_reports(context) if row["item"] == report_id]
    joined = store.read("study_reports", ["study_id"], [("report_id", "=", report_id)])
    return {
        "report_id": report_id,
        "read": bool(rows),
        "studies": sorted(joined["study_id"].to_pylist()),
        "waits_for": [{name: row[name] for name in ("reason", "detail")} for row in waits],
        "set_aside": [
            {name: row[name] for name in ("stage", "kind", "reason", "detail")} for row in aside
        ],
        "source_files": [
            name for row in rows for name in _named(context, row["source_files"], reveal=reveal)
        ],
        "mentions": _mentions(store, rows[0]) if rows else [],
    }


def _mentions(store: Store, report: Row) -> list[Row]:
    """Mentions of a report, the least sure first, with the words of their cues."""
    found = store.read_items("findings", "report_id", [report["report_id"]])
    order = {level: place for place, level in enumerate(reversed(CONFIDENCES))}
    found.sort(key=lambda row: (order.get(row["confidence"], 0), row["start"], row["finding"]))
    return [
        {
            "finding": row["finding"],
            "anatomy": row["anatomy"],
            "status": row["status"],
            "laterality": row["laterality"],
            "at": [row["start"], row["end"]],
            "words": report["text"][row["start"] : row["end"]],
            "decided_by": row["decided_by"],
            "cue_at": None if row["cue_start"] is None else [row["cue_start"], row["cue_end"]],
            "cue": None
            if row["cue_start"] is None
            else report["text"][row["cue_start"] : row["cue_end"]],
            "doubts": row["doubts"],
            "confidence": row["confidence"],
        }
        for row in found
    ]


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


_WAITS_FOR = {
    "report": "no report is known that is about it; bring the report, or have it name the study's "
    "study_uid, accession or volume_name (that of its file or folder), or give a mapping",
    "mask": "none of its volumes has a mask; run segment, or bring masks",
    "study": "no image is known that it is about; bring the images, or give its study_uid, "
    "accession or a mapping",
    "still_arriving": "a file of it, or of its study that lacks instances, came within "
    "ingest.settle_minutes; a later run takes it",
    "needs_review_of_names": "a word of it may be the patient's name; look at it, then set "
    "parse.doubtful_names to keep or remove",
}
"""What to do about a study or report, by what it waits for."""


def waiting_reports(context: Context, *, reveal: bool = False) -> list[dict[str, Any]]:
    """Reports that wait, as rows like those of `set_aside`, their kind `waiting`."""
    wanted = [("owner_kind", "=", "report")]
    return _waiting_rows(context, context.store.read("waiting", None, wanted), reveal=reveal)


def waiting_items(context: Context, *, reveal: bool = False) -> list[dict[str, Any]]:
    """Studies, reports and series that wait, as `waiting_reports`."""
    return _waiting_rows(context, context.store.read("waiting"), reveal=reveal)


def _waiting_rows(context: Context, table: pa.Table, *, reveal: bool) -> list[dict[str, Any]]:
    waits = table.to_pylist()
    reports = {row["owner_id"] for row in waits if row["owner_kind"] == "report"}
    offered = context.store.read_items("inputs", "item", reports, ["item", "source", "kind"])
    files = {row["item"]: [row["source"]] for row in offered if row["kind"] == "report"}
    studies = {row["owner_id"] for row in waits if row["owner_kind"] == "study"}
    for row in context.store.read_items(
        "volumes", "study_id", studies, ["study_id", "source_files"]
    ):
        files.setdefault(row["study_id"], []).extend(row["source_files"])
    made = [
        {
            "kind": "waiting",
            "stage": "",
            "item": row["owner_id"],
            "reason": row["waits_for"],
            "detail": f"{row['owner_kind']} {row['owner_id']}: {_WAITS_FOR[row['waits_for']]}",
            "source_files": _named(context, files.get(row["owner_id"], []), reveal=reveal),
        }
        for row in waits
    ]
    return sorted(made, key=lambda row: (row["reason"], row["item"]))


def _sample(store: Store, sample_id: str) -> Row:
    found = store.read_items("samples", "sample_id", [sample_id])
    if not found:
        raise InputError(
            f"sample {sample_id}: not in the store; the ids stand in table samples "
            f"({store.count('samples')} rows)"
        )
    return found[0]


def _volume(context: Context, sample: Row, *, reveal: bool) -> Row:
    volumes = context.store.read_items("volumes", "volume_id", [sample["volume_id"]])
    if not volumes:
        raise StoreError(
            f"sample {sample['sample_id']}: its volume {sample['volume_id']} is not in the store; "
            "run `fvlm-data verify`, then `fvlm-data curate` again"
        )
    volume = volumes[0]
    return {
        "volume_id": volume["volume_id"],
        "path": volume["path"],
        "spacing_mm": volume["spacing_mm"],
        "rescale_decision": volume["rescale_decision"],
        "source_files": _named(context, volume["source_files"], reveal=reveal),
    }


def _reports(context: Context, report_ids: Collection[str], *, reveal: bool) -> list[Row]:
    return [
        {
            "report_id": row["report_id"],
            "source_files": _named(context, row["source_files"], reveal=reveal),
        }
        for row in context.store.read_items("reports", "report_id", report_ids)
    ]


def _anatomies(store: Store, texts: Sequence[Row], report_ids: Collection[str]) -> dict[str, Row]:
    """State, findings and sentences by anatomy; a source is `report_id:start:end`."""
    sentences = {
        f"{row['report_id']}:{row['start']}:{row['end']}": row["text"]
        for row in store.read_items("sentences", "report_id", report_ids)
    }
    return {
        row["anatomy"]: {
            "state": row["state"],
            "findings": row["findings"],
            # None where the sentence has gone from its table: the source itself is still worth
            # showing
            "sentences": {source: sentences.get(source) for source in row["sources"]},
        }
        for row in sorted(texts, key=lambda row: str(row["anatomy"]))
    }


def _named(context: Context, tokens: list[str], *, reveal: bool) -> list[str]:
    if not reveal:
        return tokens
    paths = context.vault.file_paths(tokens)
    return [paths.get(token, token) for token in tokens]
