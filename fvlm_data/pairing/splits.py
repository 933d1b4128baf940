"""The split of a patient: by keyed hash, stable under growth; an external file wins.

Patients who share an image (a scan that was exported under two ids) are twins: they must not lie
in two splits. Each keeps the split that it has by itself, so that nothing depends on the order of
arrival and nobody moves; where twins differ, only those in the most protected split stay.
"""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from fvlm_data.errors import InputError
from fvlm_data.identity.ids import fraction, link_key
from schemas import Split
from schemas.splits import SPLITS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from fvlm_data.pairing.config import SplitFractions

NAMED_BY = ("patient_id", "study_uid", "accession", "volume_name")
"""What a line of the split file may name a patient by: his id in the headers, or a scan of his."""

PROTECTED = ("test", "validation", "train")
"""Splits, the one that must stay as it is first."""


def assign_split(
    key: bytes,
    patient_id: str,
    fractions: SplitFractions,
    named: str | None = None,
    known: Split | None = None,
) -> Split:
    """The split of one patient.

    `named` is what the external file says and wins; `known` is what an earlier run wrote (from
    a file that is gone, too) and stays; a new patient falls by keyed hash of the id, so that the
    others do not move.
    """
    if named is not None:
        return Split(patient_id=patient_id, split=named, source="file")
    if known is not None:
        return known
    # by hash, not by shuffling: patients who come later move nobody to another split
    drawn = fraction(key, "split", patient_id)
    if drawn < fractions.train:
        name = "train"
    elif drawn < fractions.train + fractions.validation:
        name = "validation"
    else:
        name = "test"
    return Split(patient_id=patient_id, split=name, source="hash")


def protector(own: Split, group: Iterable[Split]) -> Split | None:
    """The twin for whose sake a patient is left out; none where the patient may stay.

    Held-out data wins: test before validation before training.
    """
    best = min(group, key=lambda one: (PROTECTED.index(one.split), one.patient_id))
    return best if PROTECTED.index(best.split) < PROTECTED.index(own.split) else None


def read_split_file(path: Path, key: bytes) -> dict[str, str]:
    """Split by link key of what names the patient, from a CSV: columns of NAMED_BY, and split.

    Raises:
        InputError: the file cannot be read, a line names nobody or has no split, a split is
            unknown, or a name stands twice with different splits.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            rows = list(csv.DictReader(handle))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"split file {path}: cannot be read ({type(error).__name__}); expected a UTF-8 CSV"
        ) from error
    splits: dict[str, str] = {}
    for number, row in enumerate(rows, start=2):
        names = {kind: row.get(kind) for kind in NAMED_BY if (row.get(kind) or "").strip()}
        split = row.get("split")
        if not names or split is None:
            raise InputError(
                f"split file {path}, line {number}: expected columns patient_id and split; in "
                f"place of patient_id one of {', '.join(NAMED_BY[1:])}"
            )
        if split not in SPLITS:
            raise InputError(
                f"split file {path}, line {number}: expected in column split one of "
                f"{', '.join(SPLITS)}, found another value"
            )
        for kind, name in names.items():
            if name and splits.setdefault(link_key(kind, name, key=key), split) != split:
                raise InputError(
                    f"split file {path}, line {number}: the patient stands twice with two splits "
                    f"(column {kind})"
                )
    return splits
