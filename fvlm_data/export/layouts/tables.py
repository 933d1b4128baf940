"""CSV files of a layout."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fvlm_data.export.target import Draft


def write_csv(
    draft: Draft, path: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    """Write a CSV file in UTF-8 with a header; what is none is empty."""
    text = io.StringIO(newline="")
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(columns)
    lines.writerows(rows)
    draft.write(path, text.getvalue().encode("utf-8"))
