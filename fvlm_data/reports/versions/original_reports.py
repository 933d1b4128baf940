"""Reports as they came: what the vault keeps of each, and nothing else does."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from fvlm_data.reports.sources.columns import joined_columns
from fvlm_data.reports.sources.rows import Version
from fvlm_data.vocabulary.wording import wording

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fvlm_data.identity.vault import Vault
    from fvlm_data.reports.sources import ReportRow
    from fvlm_data.vocabulary import Vocabulary

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


@dataclass(frozen=True, slots=True)
class _Openings:
    """First words of reports that add to, correct or withdraw another one."""

    addendum: re.Pattern[str]
    corrected: re.Pattern[str]
    withdrawn: re.Pattern[str]


@lru_cache(maxsize=4)
def _openings(vocabulary: Vocabulary) -> _Openings:
    words = vocabulary.versions
    return _Openings(
        *(
            re.compile(wording(phrases, r"\s+"), re.IGNORECASE)
            for phrases in (words.addendum, words.corrected, words.withdrawn)
        )
    )


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


def told_about(row: ReportRow) -> dict[str, str]:
    """What a file tells of a report beside text, names and place, blank where it does not."""
    return {
        "issued": _sortable(row.issued),
        "addendum": "1" if row.addendum else "",
        "document": row.version.document,
        "replaces": "\n".join(row.version.replaces),
        "procedure": row.version.procedure,
        "corrected": "1" if row.version.corrected else "",
        "withdrawn": "1" if row.version.withdrawn else "",
    }


def adds(original: Original, vocabulary: Vocabulary) -> bool:
    """Whether a report only adds to another one."""
    return original.addendum or begins_with(original, _openings(vocabulary).addendum)


def corrects(original: Original, vocabulary: Vocabulary) -> bool:
    """Whether a report says that it takes the place of an earlier one."""
    first = _openings(vocabulary).corrected
    says_so = original.version.corrected or begins_with(original, first)
    return says_so and not adds(original, vocabulary) and not withdraws(original, vocabulary)


def withdraws(original: Original, vocabulary: Vocabulary) -> bool:
    """Whether it is no report, but says that an earlier one does not hold."""
    first = _openings(vocabulary).withdrawn
    return original.version.withdrawn or begins_with(original, first)


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


def _packed(row: ReportRow) -> dict[str, str]:
    about = {
        "identities": "\n".join(" ".join(value.split()) for value in row.identities),
        "row": str(row.row),
        **told_about(row),
    }
    return {**row.columns, **{_ABOUT + name: value for name, value in about.items()}}


def _sortable(issued: str) -> str:
    """Digits of a time that begins with its year: YYYYMMDDhhmmss, what there is of it.

    It is read as 2021-03-04 or 4.3.2021; with slashes nobody knows which is the day.
    """
    german = re.match(
        r"(\d{1,2})\.(\d{1,2})\.((?:19|20)\d{2})(?!\d)(.*)", issued.strip(), re.DOTALL
    )
    if german:
        day, month, year, time = german.groups()
        issued = f"{year}{month:0>2}{day:0>2}{time}"
    if not re.match(r"(?:19|20)\d{2}(?:[-./]?\d{2}){2}", issued.strip()):
        return ""
    return re.sub(r"\D", "", issued)[:14]
