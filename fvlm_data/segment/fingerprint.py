"""What identifies a precomputed mask: its bytes, its values' meaning, the volumes it names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fvlm_data.hashing import content_key

if TYPE_CHECKING:
    from fvlm_data.segment.class_map import ClassMap

CLASSES_DIGITS = 16
UNREADABLE = "unreadable"
"""In place of the SHA-256 of a file that cannot be opened."""


@dataclass(frozen=True, slots=True)
class MaskFingerprint:
    """All that decides what becomes of a mask, as table `inputs` holds it.

    `sha256` is that of the file's bytes (empty where they need not be read), `classes` the key of
    its class map, `fault` the code of why it must not be read, if it must not.
    """

    sha256: str
    classes: str
    fault: str
    volumes_named: int

    @classmethod
    def of(cls, text: str) -> MaskFingerprint:
        """The fingerprint that `text` gives."""
        sha256, classes, fault, volumes_named = text.split(":")
        return cls(sha256, classes, fault, int(volumes_named))

    def text(self) -> str:
        """The fingerprint as the table holds it."""
        return f"{self.sha256}:{self.classes}:{self.fault}:{self.volumes_named}"


def classes_key(class_map: ClassMap) -> str:
    """Key of a class map: its system and all its names."""
    named = sorted(class_map.classes.items())
    return content_key(class_map.class_system, named)[:CLASSES_DIGITS]
