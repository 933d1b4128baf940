"""What may be a finding, and is not where its sentence denies that by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.reports.language.analysed import Head
    from fvlm_data.reports.language.phrasebook import Phrasebook


def without_lesser(heads: list[Head], words: Sequence[str], book: Phrasebook) -> list[Head]:
    """Heads, less those of lesser words for what another one denies.

    "Pelvicalyceal fullness without hydronephrosis", "ectatic aorta, no aneurysm", but "left
    fullness, no hydronephrosis on the right".
    """
    denied = [
        (term, head)
        for head in heads
        if head.status == "absent"
        for term in {term for term, _, _ in head.findings} & book.lesser.keys()
        if _said(head, words) not in book.lesser[term]
    ]
    if not denied:
        return heads
    return [
        head
        for head in heads
        if head.status == "absent"
        or not any(_is_lesser(head, term, other, words, book) for term, other in denied)
    ]


def _is_lesser(head: Head, term: str, denied: Head, words: Sequence[str], book: Phrasebook) -> bool:
    if _said(head, words) not in book.lesser[term] or {head.side, denied.side} == {"left", "right"}:
        return False
    if head.findings:
        return term in {one for one, _, _ in head.findings}
    return not head.sites  # what the title names: "Kidneys: fullness, no hydronephrosis"


def _said(head: Head, words: Sequence[str]) -> str:
    return " ".join(words[head.start : head.end])
