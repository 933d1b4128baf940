"""Escape sequences of HL7 v2 (2.5.1, 2.7): what is none stays in the text as it stands.

No HL7 library serves here: those at hand drop text behind a stray escape character and print it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from fvlm_data.reports.sources.attachments import UnreadError

_LINES = frozenset({"br", "ce", "sp"})
_BLANKS = frozenset({"in", "ti", "sk"})


@dataclass(frozen=True, slots=True)
class Separators:
    """The characters that MSH-1 and MSH-2 name."""

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"

    @property
    def by_code(self) -> dict[str, str]:
        """What each escape code stands for; highlighting (H, N) stands for nothing."""
        return {
            "F": self.field,
            "S": self.component,
            "T": self.subcomponent,
            "R": self.repetition,
            "E": self.escape,
            "H": "",
            "N": "",
        }


def unescaped(text: str, separators: Separators, charset: str = "utf-8") -> str:
    """The characters that a field stands for; formatting commands become line ends and blanks.

    Sequences that were escaped twice are undone twice. Bytes in hexadecimal are of `charset`.

    Raises:
        UnreadError: it changes to another character set midway.
    """
    if separators.escape not in text:
        return text
    codes = separators.by_code

    def meant(found: re.Match[str]) -> str:
        if found["command"]:
            return _formatted(found["command"].lower(), found["number"])
        if found["bytes"]:
            raw = bytes.fromhex(found["bytes"]).decode(charset, "replace")
            return re.sub(r"\r\n?", "\n", raw)
        if found["switch"]:
            raise UnreadError(
                "other_character_set",
                "changes its character set midway, expected one throughout; send it as UTF-8",
            )
        return codes[found["code"] or "E"]

    return _sequences(separators.escape).sub(meant, text)


@lru_cache(maxsize=8)
def _sequences(escape: str) -> re.Pattern[str]:
    """Known sequences; they may be escaped twice, or stand between doubled escape characters."""
    one = re.escape(escape)
    return re.compile(
        rf"(?P<mark>{one}E{one}|{one}{{1,2}})"
        rf"(?:\.(?P<command>(?i:br|ce|sp|fi|nf|in|ti|sk))(?P<number>[+-]?\d{{0,3}})"
        rf"|X(?P<bytes>(?:[0-9A-Fa-f]{{2}})+)|(?P<switch>C[0-9A-F]{{4}}|M[0-9A-F]{{4,6}})"
        rf"|(?P<code>[FSTRHN]))(?P=mark)|{one}E{one}"
    )


def _formatted(command: str, number: str) -> str:
    repeated = max(1, min(int(number), 99)) if number.strip("+-") else 1
    if command in _LINES:
        return "\n" * (repeated if command == "sp" else 1)
    return " " * repeated if command in _BLANKS else ""
