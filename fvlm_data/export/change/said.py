"""What the reports of one study say of a finding on one side, or on whatever side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from fvlm_data.reports.language.sizes import change_of_sizes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

POSITIVE = ("present", "uncertain")
WORDS = {
    "new": "new",
    "increased": "larger",
    "decreased": "smaller",
    "stable": "unchanged",
    "resolved": "resolved",
}
"""Labels of the values of `findings.change`."""


class Mention(NamedTuple):
    """A mention of a finding that is present, uncertain or absent, in an asserting section.

    `partial`: it speaks of a part of the anatomy only (a lobe). `source` is report_id:start:end of
    its sentence.
    """

    status: str
    laterality: str | None
    size_mm: float | None
    prior_size_mm: float | None
    change: str | None
    partial: bool
    source: str


@dataclass(frozen=True, slots=True)
class Said:
    """What a study says: its state, sizes and changes.

    `sizes_mm` are those of the side alone (not of both sides together); `words` and `sizes` are
    labels that words and pairs of sizes of one mention tell; `sources` the sentences.
    """

    state: str
    size_mm: float | None = None
    prior_size_mm: float | None = None
    sizes_mm: tuple[float, ...] = ()
    words: frozenset[str] = frozenset()
    sizes: frozenset[str] = frozenset()
    sources: tuple[str, ...] = ()


def said(mentions: Sequence[Mention], side: str | None) -> Said:
    """What `mentions` of one finding in one study say of a side (none: of whatever side)."""
    about = [one for one in mentions if _about(one, side)]
    told = [one for one in about if one.status == "present" or one.change == "resolved"]
    positive = [one for one in about if one.status in POSITIVE]
    own = [one for one in positive if one.size_mm is not None and one.laterality != "bilateral"]
    return Said(
        state=_state(mentions, side),
        size_mm=_largest(one.size_mm for one in positive),
        prior_size_mm=_largest(one.prior_size_mm for one in about),
        sizes_mm=tuple(one.size_mm for one in own if one.size_mm is not None),
        words=frozenset(WORDS[one.change] for one in told if one.change and not _by_sizes(one)),
        sizes=frozenset(
            WORDS[change] for one in told if one.change and (change := _of_sizes(one)) is not None
        ),
        sources=tuple(dict.fromkeys(one.source for one in about)),
    )


def _about(mention: Mention, side: str | None) -> bool:
    """Whether a mention speaks of the side: a denial without side denies both."""
    sides = (side, "bilateral", None) if mention.status == "absent" else (side, "bilateral")
    return side is None or mention.laterality in sides


def _state(mentions: Sequence[Mention], side: str | None) -> str:
    here = [one for one in mentions if side is None or one.laterality in (side, "bilateral")]
    # "no new nodule" denies what is new, "no nodule in the right upper lobe" one lobe
    denials = [
        one
        for one in mentions
        if one.status == "absent" and one.change != "new" and not one.partial
    ]
    unsided = any(one.laterality in (None, "bilateral") for one in denials)
    denied = unsided or (side is not None and any(one.laterality == side for one in denials))
    positive = {one.status for one in here if one.status in POSITIVE}
    if "present" in positive:
        return "contradicted" if denied else "present"
    if positive:
        return "uncertain"
    if side is not None and not any(one.laterality == side for one in denials):
        told = [one for one in mentions if one.status in POSITIVE]
        if told and all(one.laterality is None for one in told):
            return "side_not_told"
    return "absent" if denied else "not_mentioned"


def _of_sizes(mention: Mention) -> str | None:
    if mention.size_mm is None or mention.prior_size_mm is None:
        return None
    return change_of_sizes(mention.size_mm, mention.prior_size_mm)


def _by_sizes(mention: Mention) -> bool:
    """Whether the change is what the sizes say: the parser takes it from them without a word."""
    return mention.change is not None and mention.change == _of_sizes(mention)


def _largest(values: Iterable[float | None]) -> float | None:
    return max((one for one in values if one is not None), default=None)
