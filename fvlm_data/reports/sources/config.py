"""One entry of the list `reports` in the configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from fvlm_data.reports.sources.kind import AUTO, known_kind, listed
from fvlm_data.settings import PLACE


class ReportSourceConfig(BaseModel):
    """A file of reports, or a folder of such files."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Annotated[str, AfterValidator(known_kind)] = Field(
        default=AUTO,
        description="auto: by suffix (.csv .tsv .parquet .jsonl .txt .dcm .json .hl7); or csv, "
        "parquet, jsonl, text, dicom_sr, fhir, hl7, or what an installed package adds "
        "(`fvlm-data plugins`)",
        json_schema_extra=listed,
    )
    path: Path = Field(
        description="the file or folder",
        json_schema_extra=PLACE,
    )
    name: str = Field(
        default="", description="name in tables and file tokens; default: the file's name"
    )
    columns: dict[str, str] = Field(
        default_factory=dict,
        description="our name -> column of a table, where the columns are not found by name: "
        "study_uid, accession, issuer, volume_name, patient_id, report, findings, impression, "
        "technique, clinical_information, comparison, patient_name, birth_date, issued, addendum, "
        "document (id that all versions of a report share), status",
    )
    mapping: Path | None = Field(
        default=None,
        description="CSV that maps reports (column report: file name or id; or any link) to "
        "study_uid, accession or volume_name",
        json_schema_extra=PLACE,
    )
    encoding: str | None = Field(
        default=None,
        description="encoding of text files, as cp1254; default: UTF-8, what is none in it "
        "Windows-1252; UTF-16 by its mark; HL7 by MSH-18",
    )

    gone: Literal["auto", "retire", "keep"] = Field(
        default="auto",
        description="what becomes of a report that the source offers no longer: retire it (the "
        "source is complete), or keep it (a feed, whose files go when they are read); auto: keep "
        "those of HL7 and FHIR files, retire the others. A report that is changed in its file "
        "takes the place of what it was in either case",
    )

    @property
    def label(self) -> str:
        """The source's name in tables: `name`, else the file's name."""
        return self.name or self.path.name
