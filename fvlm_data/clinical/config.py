"""Section `clinical` of the configuration: files of values about patients."""

from __future__ import annotations

import re
import zoneinfo
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from fvlm_data.clinical.analytes import analyte, analytes
from fvlm_data.settings import DECIDES_NOTHING, PLACE

COLUMNS = ("patient_id", "issuer", "time", "name", "value", "unit")


def known_name(name: str) -> str:
    """Refuse (ValueError) a name that rows cannot have."""
    if analyte(name) is None:
        raise ValueError(
            f"{name!r} is not known; expected an analyte ({', '.join(analytes())}), its LOINC "
            "code, or medication:NAME or outcome:NAME in small letters, digits and underscores"
        )
    return name


class ValueColumn(BaseModel):
    """A column of a table with a column for each name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="what it holds: an analyte, medication:NAME or outcome:NAME")
    unit: str = Field(default="", description="unit of its values by UCUM; default: none (1)")
    time: str = Field(
        default="", description="column with the time of its values; default: that of `columns`"
    )

    @field_validator("name")
    @classmethod
    def _known(cls, given: str) -> str:
        return known_name(given)


class ClinicalSourceConfig(BaseModel):
    """A file of values, or a folder of such files."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["auto", "csv", "fhir"] = Field(
        default="auto",
        description="auto: by suffix; csv (.csv .tsv): a row a value, or a column a name; fhir "
        "(.json .ndjson): Observations and Patients, as a Bundle or one a line",
    )
    path: Path = Field(description="the file or folder", json_schema_extra=PLACE)
    name: str = Field(
        default="", description="name in tables and file tokens; default: the file's name"
    )
    columns: dict[str, str] = Field(
        default_factory=dict,
        description="csv: our name -> column, where it is called otherwise: patient_id, issuer "
        "(of the number), time, and of a table with a row a value name, value, unit",
    )
    values: dict[str, ValueColumn] = Field(
        default_factory=dict,
        description="csv with a column a name: column -> {name, unit, time}",
    )
    names: dict[str, str] = Field(
        default_factory=dict,
        description="their name or code -> ours (an analyte, medication:NAME, outcome:NAME); "
        "LOINC codes of analytes are known",
    )
    time_format: str = Field(
        default="",
        description="csv: form of the times, as %d.%m.%Y %H:%M; default: ISO 8601 or YYYYMMDD",
    )
    decimal: Literal[".", ","] = Field(
        default=".", description="csv: what stands before the decimals of a value"
    )
    timezone: str = Field(
        default="",
        description="where the hospital is, as Europe/Berlin: times with an offset are told as "
        "local times there; default: an offset is believed to be the place's, UTC is refused",
    )
    encoding: str | None = Field(
        default=None, description="encoding of csv; default: UTF-8, else Windows-1252"
    )

    @field_validator("columns")
    @classmethod
    def _our_columns(cls, given: dict[str, str]) -> dict[str, str]:
        unknown = sorted(set(given) - set(COLUMNS))
        if unknown:
            raise ValueError(f"{unknown[0]!r} is none of ours; expected {', '.join(COLUMNS)}")
        return given

    @field_validator("names")
    @classmethod
    def _our_names(cls, given: dict[str, str]) -> dict[str, str]:
        for ours in given.values():
            known_name(ours)
        return given

    @field_validator("timezone")
    @classmethod
    def _known_place(cls, given: str) -> str:
        if given and not (
            re.fullmatch(r"[A-Za-z0-9_+/-]+", given) and given in zoneinfo.available_timezones()
        ):
            raise ValueError(f"{given!r} is not known; expected a name as Europe/Berlin")
        return given

    @property
    def label(self) -> str:
        """The source's name in tables: `name`, else the file's name."""
        return self.name or self.path.name


class ClinicalConfig(BaseModel):
    """Values about patients, by the numbers that their images have."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sources: tuple[ClinicalSourceConfig, ...] = Field(
        default=(), description="files of values", json_schema_extra=DECIDES_NOTHING
    )

    @field_validator("sources")
    @classmethod
    def _labels_differ(
        cls, given: tuple[ClinicalSourceConfig, ...]
    ) -> tuple[ClinicalSourceConfig, ...]:
        labels = [one.label for one in given]
        twice = sorted({one for one in labels if labels.count(one) > 1})
        if twice:
            raise ValueError(f"two sources are named {twice[0]}: give one of them another `name`")
        return given
