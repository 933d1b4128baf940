"""Table `files`: every volume, mask and shard object that a stage wrote, as it must be found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from schemas.table import INT64, STRING, Column, table


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """One file of the store."""

    path: Annotated[str, Column(STRING, "place, relative to the store")]
    stage: Annotated[str, Column(STRING, "stage that wrote it")]
    item: Annotated[
        str, Column(STRING, "item that it belongs to; objects of a shard: the shard's folder")
    ]
    size_bytes: Annotated[int, Column(INT64, "size", "bytes")]
    sha256: Annotated[str, Column(STRING, "SHA-256 of its bytes")]


TABLE = table(
    "files", StoredFile, primary_key=("path",), replaced_by="item", partition_by=("stage",)
)
