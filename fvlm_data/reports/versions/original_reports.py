"""Reports as they came: what the vault keeps of each, and nothing else does."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fvlm_data.reports.sources.columns import joined_columns
from fvlm_data.reports.sources.rows import Version

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fvlm_data.identity.vault import Vault
    from fvlm_data.reports.sources import ReportRow

_ADDENDUM = re.compile(r"addend", re.IGNORECASE)
_CORRECTED = re.compile(r"(?:corrected|amended|revised)\s+(?:final\s+)?report\b", re.IGNORECASE)
_WITHDRAWN = re.compile(
    r"(?:(?:withdrawn|retracted|voided)\s+report"
    r"|(?:this\s+)?report\s+(?:(?:has\s+been|was|is)\s+)?"
    r"(?:withdrawn|retracted|voided|entered\s+in\s+error))\b",
    re.IGNORECASE,
)
_ABOUT = "about "
"""Before the names of what is no column of text; a section's name holds no blank."""


@dataclass(frozen=True, slots=True)
class Original:
    """A report before scrubbing, with what its file tells of patient, time and place.

    `issued` are digits from the year on, none where the time is unknown or has another form.
    """

    columns: Mapping[str, str]
    identities: tuple[str, ...] = ()
    issued: str = ""
    addendum: bool = False
    row: int = 0
    version: Version = field(default_factory=Version)

    @property
    def text(self) -> str:
        """One text, with a header before each section where it comes in columns."""
        if set(self.columns) == {"report"}:
            return self.columns["report"]
        return joined_columns(self.columns)


def begins_with(original: Original, words: re.Pattern[str]) -> bool:
    """Whether what was found opens with the given words, past any marks."""
    told = (original.columns.get(name, "") for name in ("report", "findings", "impression"))
    first = next(filter(None, (text.lstrip(" \t\r\n*#=-_[(") for text in told)), "")
    return words.match(first) is not None


def remember(vault: Vault, rows: Mapping[str, ReportRow]) -> None:
    """Keep reports in the vault, by report id."""
    vault.remember_reports({report: _packed(row) for report, row in rows.items()})


def remembered(vault: Vault, report_ids: Iterable[str]) -> dict[str, Original]:
    """Reports as they came; unknown ones are left out."""
    return {report: unpacked(kept) for report, kept in vault.reports(report_ids).items()}


def adds(original: Original) -> bool:
    """Whether a report only adds to another one."""
    return original.addendum or begins_with(original, _ADDENDUM)


def corrects(original: Original) -> bool:
    """Whether a report says that it takes the place of an earlier one."""
    says_so = original.version.corrected or begins_with(original, _CORRECTED)
    return says_so and not adds(original) and not withdraws(original)


def withdraws(original: Original) -> bool:
    """Whether it is no report, but says that an earlier one does not hold."""
    return original.version.withdrawn or begins_with(original, _WITHDRAWN)


def reading_order(
    originals: Mapping[str, Original],
) -> dict[str, tuple[bool, str, int, str]]:
    """Sort key of each report: addenda last, then by time, place in the file, id."""
    return {
        report: (
            adds(one),
            one.issued,
            one.row,
            report,
        )
        for report, one in originals.items()
    }


def _packed(row: ReportRow) -> dict[str, str]:
    about = {
        "identities": "\n".join(" ".join(value.split()) for value in row.identities),
        "issued": _sortable(row.issued),
        "addendum": "1" if row.addendum else "",
        "row": str(row.row),
        "document": row.version.document,
        "replaces": "\n".join(row.version.replaces),
        "procedure": row.version.procedure,
        "corrected": "1" if row.version.corrected else "",
        "withdrawn": "1" if row.version.withdrawn else "",
    }
    return {**row.columns, **{_ABOUT + name: value for name, value in about.items()}}


def unpacked(kept: Mapping[str, str]) -> Original:
    """A report from what the vault keeps of it."""
    about = {name.removeprefix(_ABOUT): kept[name] for name in kept if name.startswith(_ABOUT)}
    return Original(
        columns={name: text for name, text in kept.items() if not name.startswith(_ABOUT)},
        identities=tuple(filter(None, about.get("identities", "").split("\n"))),
        issued=about.get("issued", ""),
        addendum=bool(about.get("addendum")),
        row=int(about.get("row", "0")),
        version=Version(
            about.get("document", ""),
            tuple(filter(None, about.get("replaces", "").split("\n"))),
            about.get("procedure", ""),
            bool(about.get("corrected")),
            bool(about.get("withdrawn")),
        ),
    )


def _sortable(issued: str) -> str:
    """Digits of a time that begins with its year: YYYYMMDDhhmmss, what there is of it."""
    if not re.match(r"(?:19|20)\d{2}(?:[-./]?\d{2}){2}", issued.strip()):
        return ""
    return re.sub(r"\D", "", issued)[:14]
