"""Records of `fvlm-data export cases`, read from a file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fvlm_data.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

EXPECTED = "expected the cases.jsonl of `fvlm-data export cases`"


def read_cases(file: Path) -> list[dict[str, Any]]:
    """The records of an export.

    Raises:
        InputError: the file cannot be read, or holds something else.
    """
    try:
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        for row in rows:
            row["case_id"], row["patient_id"], row["split"], row["labels"].items()
            for image in images_of(row):
                image["volume_id"], image["path"], image["patches"]
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({type(error).__name__}); {EXPECTED}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{file}: {type(error).__name__} in a line; {EXPECTED}") from error
    if len({tuple(row["labels"]) for row in rows}) > 1:
        raise InputError(f"{file}: lines with different labels; {EXPECTED}")
    return rows


def images_of(case: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """All images of a case, study by study."""
    for study in case["studies"]:
        yield from study["images"]
