"""Table `candidates`: every volume that ingest has proved, before the choice among them."""

from __future__ import annotations

from schemas.table import table
from schemas.volumes import Volume

TABLE = table("candidates", Volume, primary_key=("volume_id",), replaced_by="series_id")
