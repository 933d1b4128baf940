"""What the reports of a study say of one region, which may be a side or a part of an anatomy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

SIDES = ("left", "right")
LOBES = ("upper", "middle", "lower")
"""Words of class names, and ids of `fvlm_data.pairing.lobes`."""

THERE = ("present", "uncertain")
NOT_MENTIONED = "not_mentioned"


class Mention(NamedTuple):
    """A finding that a sentence tells of an anatomy, there or not, with its place."""

    finding: str
    status: str
    laterality: str | None = None
    lobes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence about an anatomy, what it asserts of it, its findings, the sides it names."""

    source: str
    text: str
    assessment: str
    mentions: tuple[Mention, ...] = ()
    sides: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Part:
    """Which part of an anatomy a region is: its side and lobe, where it has any."""

    side: str | None = None
    lobe: str | None = None

    @classmethod
    def of(cls, class_name: str) -> Part:
        """By the words of a class name (kidney_left, lung_upper_lobe_right, rib_left_7)."""
        words = class_name.split("_")
        side = next((one for one in SIDES if one in words), None)
        lobe = next((one for one in LOBES if one in words), None) if "lobe" in words else None
        return cls(side, lobe)

    def may_have(self, mention: Mention) -> bool:
        """Whether what is mentioned can lie in this part."""
        elsewhere = self.side and mention.laterality in SIDES and mention.laterality != self.side
        other_lobe = self.lobe and mention.lobes and self.lobe not in mention.lobes
        return not elsewhere and not other_lobe


@dataclass(frozen=True, slots=True)
class Told:
    """What is said of a region: a state of table anatomy_texts, and the sentences."""

    anatomy: str | None
    state: str
    said: tuple[Said, ...] = field(default=())

    @property
    def findings(self) -> tuple[str, ...]:
        """Findings present or uncertain, sorted."""
        return tuple(sorted({one.finding for said in self.said for one in _there(said)}))

    def may_be_of(self, part: Part) -> bool:
        """Whether each finding that is there can lie in a part: else the text is not about it."""
        return all(part.may_have(one) for said in self.said for one in _there(said))


def told_of(
    part: Part,
    anatomies: Sequence[str],
    states: Mapping[str, str],
    sentences: Mapping[str, Sequence[Said]],
) -> Told:
    """What is said of a region, by the first of its anatomies that the reports speak of.

    `anatomies` go from the narrowest to the widest (thoracic_vertebra, vertebra, bone); `states`
    and `sentences` are those of the study. What is said of another part alone is not of this one:
    where something was left out, the rest tells the state.
    """
    for anatomy in anatomies:
        state = states.get(anatomy, NOT_MENTIONED)
        if state == NOT_MENTIONED:
            continue
        about = sentences.get(anatomy, ())
        kept = tuple(_on(part, about))
        if kept != tuple(about):
            state = _state(kept)
        if state != NOT_MENTIONED:
            return Told(anatomy, state, kept)
        return Told(anatomy, state)
    return Told(anatomies[0] if anatomies else None, NOT_MENTIONED)


def _on(part: Part, about: Sequence[Said]) -> Iterator[Said]:
    """The sentences without findings of other parts; none of those that tell of others alone."""
    for one in about:
        kept = tuple(mention for mention in one.mentions if part.may_have(mention))
        if one.mentions and not kept:
            continue
        if not one.mentions and part.side and one.sides and part.side not in one.sides:
            continue
        yield (
            one
            if kept == one.mentions
            else Said(one.source, one.text, one.assessment, kept, one.sides)
        )


def _state(kept: Sequence[Said]) -> str:
    if any(one.assessment == "abnormal" and (_there(one) or not one.mentions) for one in kept):
        return "abnormal"
    return "normal_stated" if any(one.assessment == "normal" for one in kept) else NOT_MENTIONED


def _there(said: Said) -> list[Mention]:
    return [one for one in said.mentions if one.status in THERE]
