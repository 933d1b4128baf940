"""One entry of the list `reports` in the configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator


class ReportSourceConfig(BaseModel):
    """A file of reports."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str = Field(default="table", pattern="^table$", description="table: CSV, Parquet, JSONL")
    path: Path = Field(description="the file")
    name: str = Field(default="", description="name in tables; default: the file's name")
    columns: dict[str, str] = Field(
        default_factory=dict,
        description="our name -> column of the file, where the columns are not found by name: "
        "study_uid, accession, issuer, volume_name, report, findings, impression, technique, "
        "clinical_information, comparison",
    )

    @model_validator(mode="before")
    @classmethod
    def _named(cls, values: Any) -> Any:
        if isinstance(values, dict) and not values.get("name") and values.get("path"):
            return {**values, "name": Path(values["path"]).name}
        return values
