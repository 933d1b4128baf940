"""Every person whom a DICOM header names, wherever it does: each element of VR PN.

Doctors, technologists and relatives stand in attributes that no list is complete for, in nested
sequences (RequestAttributesSequence) and in private attributes; a report may name any of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fvlm_data.ingest.dicom.tags import element_readings
from fvlm_data.memory import lacks_memory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataset import Dataset

DEEPEST = 8
"""Sequences within sequences that are followed: PS3.3 has none of CT that nests so deep, and a
hostile file may nest without end."""
_FUNCTIONAL_GROUPS = frozenset({0x52009229, 0x52009230})
"""They hold no name of a person (PS3.3 C.7.6.16.2), and one item a frame."""


def person_names(dataset: Dataset, deepest: int = DEEPEST) -> frozenset[str]:
    """Names as they stand (`Family^Given`), in every character set that their bytes may be in.

    To be called before the values of the names are read; bytes of a sequence that cannot be read
    name nobody.
    """
    return frozenset(_named(dataset, deepest))


def _named(dataset: Dataset, deepest: int) -> Iterator[str]:
    for element in list(dataset.values()):
        vr = element.VR or _listed_vr(element.tag)
        if vr == "PN":
            yield from element_readings(dataset, element.tag)
        elif vr == "SQ" and deepest and element.tag not in _FUNCTIONAL_GROUPS:
            for item in _items(dataset, element):
                yield from _named(item, deepest - 1)


def _items(dataset: Dataset, element: Any) -> list[Dataset]:
    """The items of a sequence that may name somebody."""
    raw = element.value
    if isinstance(raw, bytes) and not element.is_implicit_VR and b"PN" not in raw:
        return []  # to parse a sequence takes longer than to parse the rest of a header
    try:
        return list(dataset[element.tag].value or ())
    except Exception as error:  # pydicom raises any type on damaged sequences
        if lacks_memory(error):
            raise
        return []


def _listed_vr(tag: int) -> str:
    """The VR by DICOM's dictionary of an element that does not tell its own (implicit VR)."""
    from pydicom.datadict import DicomDictionary

    listed = DicomDictionary.get(tag)
    return listed[0] if listed else ""
