"""Reports that come in columns: the names that columns have, and one text made of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fvlm_data.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

_SECTION_COLUMNS = {
    "clinicalinformation": "clinical_information",
    "clinicalinfo": "clinical_information",
    "clinicalhistory": "clinical_information",
    "indication": "clinical_information",
    "history": "clinical_information",
    "technique": "technique",
    "techniques": "technique",
    "comparison": "comparison",
    "finding": "findings",
    "findings": "findings",
    "impression": "impression",
    "impressions": "impression",
    "conclusion": "impression",
}
_ORDER = ("clinical_information", "technique", "comparison", "findings", "impression")


def section_of_column(column: str) -> str | None:
    """Section that a column holds ("Findings_EN" -> findings), or none."""
    plain = re.sub(r"[^a-z]", "", re.sub(r"_en$", "", column.strip().lower()))
    return _SECTION_COLUMNS.get(plain)


def joined_columns(columns: Mapping[str, str]) -> str:
    """One text with a header line before each section that is not blank.

    Raises:
        InputError: a column names no section, or two columns name the same one.
    """
    by_section: dict[str, str] = {}
    for column, content in columns.items():
        section = section_of_column(column)
        if section is None or section in by_section:
            raise InputError(
                f"report column {column!r}: expected one column for each of "
                f"{', '.join(_ORDER)}; name the others by a column mapping"
            )
        by_section[section] = content
    return "\n\n".join(
        f"{section.replace('_', ' ').upper()}:\n{by_section[section].strip()}"
        for section in _ORDER
        if by_section.get(section, "").strip()
    )
