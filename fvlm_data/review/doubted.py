"""Rows of `fvlm-eval doubtful`: reports of which a model says otherwise, to be looked at."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fvlm_data.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

COLUMNS = ("report_ids", "finding", "anatomy", "label", "probability", "doubted")


def read_doubted(path: Path) -> dict[str, list[str]]:
    """By report, in the order of the rows, what the model doubts of it, as sentences.

    Reports of which nothing is doubted are left out.

    Raises:
        InputError: the file cannot be read, is of another form, or doubts no report.
    """
    found: dict[str, list[str]] = {}
    for row in doubted_rows(path):
        for report in row["report_ids"]:
            found.setdefault(report, []).append(as_sentence(row))
    return found


def as_sentence(row: dict[str, Any]) -> str:
    """What the model doubts in a row."""
    said = "has it" if row["label"] else "does not have it"
    return (
        f"{row['finding']} ({row['anatomy']}): the report is read as one that {said}, the "
        f"model gives it {row['probability']:.2f}"
    )


def doubted_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of which a model doubts the label and a report is known, in their order.

    Raises:
        InputError: the file cannot be read, is of another form, or doubts no report.
    """
    rows = [row for row in _rows(path) if row["doubted"] and row["report_ids"]]
    if not rows:
        raise InputError(f"doubtful rows {path}: no label of a report is doubted there")
    return rows


def _rows(path: Path) -> Sequence[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if path.suffix == ".parquet":
            rows: list[dict[str, Any]] = pq.read_table(path, columns=list(COLUMNS)).to_pylist()
        else:
            lines = path.read_text(encoding="utf-8").splitlines()
            rows = [{name: json.loads(line)[name] for name in COLUMNS} for line in lines]
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise InputError(
            f"doubtful rows {path}: cannot be read ({type(error).__name__}); expected what "
            "`fvlm-eval doubtful` writes"
        ) from error
    return rows
