"""Names of a table's columns for a message: a file without a header has patients in that place."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LONGEST = 40
"""Characters of a name that is shown; a longer one is most often a cell of text."""
_SEPARATORS = re.compile(r"[,;|\t]")
_DATA = re.compile(r"\d{3}|\d[./-]\d|\w\.\w|[\^@/\\]|^\w$|(?:\S+\s+){5}\S")
"""What cells have and names of columns do not: numbers, dates, names of persons and of files,
addresses, a sex, sentences."""


def shown_columns(names: Sequence[str], known: Iterable[str]) -> str:
    """The names, with commas; their number where the first line may be no header.

    It is one if one of the `known` names stands there, or if no cell of it looks like data; else
    it may be a patient's row, which no message may quote.
    """
    wanted = {_plain(name) for name in known}
    # with another separator than was expected the whole header is one name
    pieces = {_plain(piece) for name in names for piece in _SEPARATORS.split(name)}
    if not wanted & pieces and any(len(one) > LONGEST or _DATA.search(one) for one in names):
        return f"{len(names)}, not shown: the first line seems to be data and no header"
    return listed(names)


def listed(names: Iterable[str]) -> str:
    """The names of a header's columns, with commas; of a long one its length."""
    shown = (one if len(one) <= LONGEST else f"one of {len(one)} characters" for one in names)
    return ", ".join(shown) or "none"


def _plain(name: str) -> str:
    return re.sub(r"[\s_.-]", "", name.lower())
