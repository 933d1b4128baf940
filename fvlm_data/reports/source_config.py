"""One entry of the list `reports` in the configuration."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class ReportSourceConfig(BaseModel):
    """A file of reports."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str = Field(default="table", pattern="^table$", description="table: CSV, Parquet, JSONL")
    path: Path = Field(description="the file")
    name: str = Field(
        default="", description="name in tables and file tokens; default: the file's name"
    )
    columns: dict[str, str] = Field(
        default_factory=dict,
        description="our name -> column of the file, where the columns are not found by name: "
        "study_uid, accession, issuer, volume_name, report, findings, impression, technique, "
        "clinical_information, comparison",
    )

    @property
    def label(self) -> str:
        """The source's name in tables: `name`, else the file's name."""
        return self.name or self.path.name
