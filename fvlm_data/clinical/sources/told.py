"""One value as a file tells it, before unit, patient and time are those of the store."""

from __future__ import annotations

from dataclasses import dataclass

from fvlm_data.errors import InputError


class ClinicalSourceError(InputError):
    """A file cannot be read, or has not the columns that it should have."""


@dataclass(frozen=True, slots=True)
class Aside:
    """Why a value is set aside: kind and reason as in quarantine, and a sentence."""

    kind: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Told:
    """A value of a file.

    `patient` is the number as the hospital knows it; `name` is ours, empty where it is none.
    `value` and `unit` are as written; `time` is local, as YYYYMMDD, then hh, mm and ss as far as
    told, empty where not. With a `fault` the value is set aside.
    """

    patient: str
    name: str = ""
    value: str = ""
    unit: str = ""
    time: str = ""
    issuer: str = ""
    fault: Aside | None = None

    @property
    def content(self) -> tuple[str, ...]:
        """All that decides what becomes of it, the patient's number left out."""
        reason = self.fault.reason if self.fault else ""
        return (self.name, self.time, self.value, self.unit, reason)


NOT_OURS = Aside(
    "out_of_scope",
    "not_an_analyte",
    "names or codes that are none of ours; nothing to do, or give them in `names`",
)
BROKEN = Aside("fault", "broken_row", "rows cannot be read as their file's others; mend the file")
NO_PATIENT = Aside("fault", "no_patient", "values name no patient; give the patient's number")
