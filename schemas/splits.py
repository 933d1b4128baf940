"""Table `splits`: the split of each patient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from schemas.table import STRING, Column, table

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """The split of one patient; once given it never changes by itself."""

    patient_id: Annotated[str, Column(STRING, "keyed id of the patient")]
    split: Annotated[str, Column(STRING, "split", allowed=SPLITS)]
    source: Annotated[str, Column(STRING, "what decided it", allowed=("hash", "file"))]


TABLE = table("splits", Split, primary_key=("patient_id",), replaced_by="patient_id")
