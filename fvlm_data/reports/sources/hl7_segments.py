"""HL7 v2 messages taken apart into segments and fields; no character of them is lost."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fvlm_data.reports.sources.hl7_escapes import Separators, unescaped
from fvlm_data.reports.sources.rows import decoded_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

_BEGINNING = re.compile(rb"(?:\A(?:\xef\xbb\xbf)?|(?<=[\r\n\x0b]))[ \t\x0b]*(?=MSH[^A-Za-z0-9\s])")
_LINE_ENDS = re.compile(rb"\r\n?|\n")
_CHARSETS = {
    "UNICODE UTF-8": "utf-8", "UNICODE": "utf-8", "8859/1": "iso-8859-1", "8859/2": "iso-8859-2",
    "8859/3": "iso-8859-3", "8859/4": "iso-8859-4", "8859/5": "iso-8859-5", "8859/7": "iso-8859-7",
    "8859/6": "iso-8859-6", "8859/8": "iso-8859-8", "8859/9": "iso-8859-9",
    "8859/15": "iso-8859-15", "ISO IR87": "iso2022_jp_ext", "GB 18030-2000": "gb18030",
    "KS X 1001": "euc_kr", "BIG-5": "big5",
}  # fmt: skip
"""HL7 table 0211 to Python's names; what is not here is read as UTF-8 or Windows-1252."""
_SEGMENTS = (
    "FHS FTS BHS BTS MSH MSA ERR EVN SFT UAC PID PD1 NK1 NTE PV1 PV2 ORC OBR OBX TQ1 TQ2 CTD FT1 "
    "CTI SPM SAC DSC ADD PRT ROL AL1 DG1 PR1 GT1 IN1 IN2 IN3 ACC MRG TXA IAM IPC DEV ARV DB1 DRG "
    "PDA UB1 UB2 RGS AIS AIG AIL AIP SCH BLG ZDS"
)
"""Segments by name: any other line (but Z-segments) is one that a raw line feed has broken off."""
_KNOWN = frozenset(_SEGMENTS.split())


@dataclass(slots=True)
class Segment:
    """One segment; `fields` begin with its name, so that a field has its HL7 number."""

    name: str
    fields: list[str]
    separators: Separators
    charset: str

    def field(self, at: int) -> str:
        """A field as it stands, blank where there is none."""
        return self.fields[at] if len(self.fields) > at else ""

    def code(self, at: int) -> str:
        """A field that holds a code, in capitals, without what a line feed has put behind it."""
        return self.field(at).partition("\n")[0].strip().upper()

    def repetitions(self, at: int) -> list[str]:
        """The repetitions of a field, as they stand."""
        return self.field(at).split(self.separators.repetition)

    def part(self, at: int, component: int = 0) -> str:
        """A component of a field's first repetition, its escapes undone."""
        parts = self.repetitions(at)[0].split(self.separators.component)
        return self.text(parts[component]).strip() if len(parts) > component else ""

    def text(self, raw: str) -> str:
        """What a piece of a field stands for; raises UnreadError."""
        return unescaped(raw, self.separators, self.charset)


@dataclass(slots=True)
class Message:
    """Segments of one message; `outside` says that text stands before its first segment.

    `line` is that of the file on which it begins, from 1.
    """

    segments: list[Segment] = field(default_factory=list)
    outside: bool = False
    line: int = 1


def messages(content: bytes, encoding: str | None) -> Iterator[Message]:
    """The messages of a file; what is none comes as a message without segments."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        content, encoding = content.decode("utf-16", "replace").encode(), "utf-8"
    line = 1
    for part in _BEGINNING.split(content):
        charset = encoding or _stated(part)
        text = decoded_bytes(part) if charset is None else part.decode(charset, "replace")
        text = re.sub(r"[\x0b\x1c\ufeff]", "", re.sub(r"\r\n?", "\n", text))
        yield _message(text, charset or "utf-8", line)
        line += len(_LINE_ENDS.findall(part))


def _stated(message: bytes) -> str | None:
    """The character set that MSH-18 names; UTF-8 is believed only as far as it is true."""
    header = re.split(r"[\r\n]", message[:4000].decode("ascii", "replace"), maxsplit=1)[0]
    fields = header.split(header[3]) if header.startswith("MSH") and len(header) > 3 else []
    stated = fields[17].upper().split("~") if len(fields) > 17 else []
    names = [_CHARSETS[one.strip()] for one in stated if one.strip() in _CHARSETS]
    return names[-1] if names and names[-1] != "utf-8" else None


def _message(text: str, charset: str, at_line: int) -> Message:
    made = Message(line=at_line)
    separators = _separators(text)
    lines: list[list[str]] = []
    for line in text.split("\n"):
        name = line.lstrip()[:3]
        known = name in _KNOWN or re.fullmatch(r"Z[A-Z0-9]{2}", name)
        if known and line.lstrip()[3:4] == separators.field:
            lines.append([line.lstrip()])
        elif lines:
            lines[-1].append(line)
        elif re.search(r"\w", line):
            made.outside = True
    for line in map("\n".join, lines):
        fields = line.split(separators.field)
        if fields[0] == "ADD" and made.segments:  # goes on where the segment before ended
            made.segments[-1].fields[-1] += fields[1]
            made.segments[-1].fields += fields[2:]
            continue
        if fields[0] in ("MSH", "FHS", "BHS"):
            fields.insert(1, separators.field)
        made.segments.append(Segment(fields[0], fields, separators, charset))
    return made


def _separators(text: str) -> Separators:
    found = re.match(r"\s*(?:MSH|FHS|BHS)([^A-Za-z0-9\s])([^A-Za-z0-9\s]{0,4})", text)
    if found is None:
        return Separators()
    named = found[2].split(found[1])[0]
    return Separators(found[1], *(named + "^~\\&"[len(named) :]))
