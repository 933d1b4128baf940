"""What a decision is about: its kind, and the ids and names that say which one it is."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fvlm_data.errors import InputError

FIELDS = {
    "study": ("study_id",),
    "mask": ("volume_id", "anatomy"),
    "sentence": ("report_id", "start", "end"),
    "finding": ("report_id", "start", "end", "finding", "anatomy", "status"),
    "pair": ("study_id", "other_study_id", "anatomy"),
}
"""By kind the parts of a subject, in order. Characters count in the scrubbed text of the report."""

NUMBERS = ("start", "end")
_PART = re.compile(r"[A-Za-z0-9_]+")
_NUMBER = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True, order=True)
class Subject:
    """One thing that can be judged; `parts` align with the fields of its kind."""

    kind: str
    parts: tuple[str, ...]

    @property
    def text(self) -> str:
        """The parts as one text, joined by colons."""
        return ":".join(self.parts)

    def part(self, name: str) -> str | None:
        """The part called `name`; None where this kind has none."""
        fields = FIELDS[self.kind]
        return self.parts[fields.index(name)] if name in fields else None

    @property
    def span(self) -> tuple[int, int]:
        """First character and one past the last, of a sentence or finding."""
        return int(self.parts[1]), int(self.parts[2])


def subject_of(kind: str, text: str) -> Subject:
    """A subject from its text; of a pair the studies may stand in either order.

    Raises:
        InputError: there is no such kind, or the text has other parts.
    """
    if kind not in FIELDS:
        raise InputError(f"kind {kind}: not known; expected one of {', '.join(FIELDS)}")
    fields = FIELDS[kind]
    parts = text.split(":")
    fit = len(parts) == len(fields) and all(
        (_NUMBER if name in NUMBERS else _PART).fullmatch(part)
        for name, part in zip(fields, parts, strict=True)
    )
    if not fit:
        raise InputError(f"subject {text} of a {kind}: expected {':'.join(fields).upper()}")
    if kind == "pair":
        if parts[0] == parts[1]:
            raise InputError(f"subject {text} of a pair: expected two studies")
        parts[:2] = sorted(parts[:2])
    made = Subject(kind, tuple(parts))
    if "start" in fields and made.span[0] >= made.span[1]:
        raise InputError(f"subject {text} of a {kind}: expected an end behind its start")
    return made
