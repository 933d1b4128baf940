"""What the reading of a sentence says in its context: findings at anatomies, and what is normal."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from fvlm_data.reports.language.anatomy import joined
from fvlm_data.reports.language.finding_sites import observed
from fvlm_data.reports.language.references import referred
from fvlm_data.vocabulary import OTHER_ABNORMALITY

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fvlm_data.reports.language.analysed import Head, SentenceAnalysis
    from fvlm_data.reports.language.decisions import Rule
    from fvlm_data.reports.language.phrasebook import Phrasebook
    from fvlm_data.reports.language.records import Laterality, Side, Status


class Context(NamedTuple):
    """What a sentence is about: its own anatomies, or those that it inherits.

    A tuple, since what is said is looked up by it.
    """

    sites: tuple[str, ...]
    anatomies: tuple[str, ...]
    side: Side | None
    title_side: Side | None = None
    """Side that the sub-header tells, the only one that a denial takes from elsewhere."""
    inherited: bool = False
    """Whether it is that of the sentence before."""
    title_sites: tuple[str, ...] = ()
    """What the sub-header names, where the sentence names others."""
    named: bool = False
    """Whether its sites are those of its findings, of which no other head need tell."""
    titles: tuple[str, ...] = ()
    """What the sub-header names."""


class _Told(NamedTuple):
    """What a head is about in its context, and the findings (id, anatomy, side) that it is."""

    head: Head
    sites: tuple[str, ...]
    findings: tuple[tuple[str, str, Side | None], ...]
    inherited: bool = False

    @property
    def anatomies(self) -> tuple[str, ...]:
        """Anatomies of the sites, sorted."""
        return ids_of(self.sites)


@dataclass(slots=True)
class Mention:
    """A finding that the head of this number in its sentence tells."""

    head: int
    finding: str
    anatomy: str
    status: Status
    laterality: Laterality | None
    located: bool
    """Whether the place that the head names is the finding's."""
    from_mm: float | None = None
    """Size from which on it counts, of the head's."""
    rule: Rule | None = None
    """What told it where it is not the head's rule."""
    inherited: bool = False
    """Whether its anatomy is that of the sentence before."""
    sized_by: tuple[int, float] | None = None
    """Head whose size is its own where it has none, and from which size on."""


@dataclass(slots=True)
class Said:
    """What a sentence says in its context: `normal` anatomies, and all that it speaks of."""

    mentions: tuple[Mention, ...]
    normal: tuple[str, ...]
    anatomies: tuple[str, ...]
    side: Side | None = None
    """Side of what it tells, to which later sentences may refer ("ipsilateral")."""


@lru_cache(maxsize=10_000)
def ids_of(sites: tuple[str, ...]) -> tuple[str, ...]:
    """Anatomies of sites, sorted."""
    return tuple(sorted({site.split(".")[0] for site in sites}))


def said_in(reading: SentenceAnalysis, context: Context, book: Phrasebook) -> Said:
    """What a reading says in a context."""
    heads = reading.heads
    if not heads:
        return Said((), (), context.anatomies, context.side)
    told = [_in_context(head, context, book) for head in heads]
    mentions = [
        _mention(number, one, finding, anatomy, side, book)
        for number, one in enumerate(told)
        for finding, anatomy, side in _told_of(one)
    ]
    if mentions and not book.within.keys().isdisjoint([one.anatomy for one in mentions]):
        mentions += _in_wholes(mentions, book)
    if mentions and not book.measured.keys().isdisjoint([one.finding for one in mentions]):
        mentions += _by_size(mentions, reading.clauses, heads, book)
    mentions += _others(told, mentions, book)
    if len(mentions) > 1:
        mentions.sort(key=lambda m: (heads[m.head].start, heads[m.head].end, m.finding, m.anatomy))
    normal: set[str] = set()
    for one in told:
        head = one.head
        if (head.kind == "normal" and head.status == "present") or (
            head.abnormal and not one.findings and head.status == "absent"
        ):
            normal.update(one.anatomies)
    about = context.anatomies
    if mentions:
        about = tuple(sorted({*about, *[mention.anatomy for mention in mentions]}))
    sides = [one.laterality for one in mentions if one.status != "absent"]
    side = joined(sides) or context.side
    return Said(tuple(mentions), tuple(sorted(normal)), about, side)


def _told_of(one: _Told) -> Iterable[tuple[str, str, Side | None]]:
    """Findings of a head; who denies one kind of a finding says nothing of the others."""
    kind_of = one.head.kind_of
    return [item for item in one.findings if item[0] not in kind_of] if kind_of else one.findings


def _in_context(head: Head, context: Context, book: Phrasebook) -> _Told:
    """A head that names no site itself is about what its sentence is about."""
    if head.sites and head.kind != "finding":
        titled = None if head.side or head.elsewhere else context.title_side
        if titled and set(ids_of(head.sites)) <= set(ids_of(context.title_sites)):
            # "RIGHT KIDNEY: Normal. A stone in the lower calyx."
            own = tuple([(finding, anatomy, s or titled) for finding, anatomy, s in head.findings])
            return _Told(head, head.sites, own)
        return _Told(head, head.sites, head.findings)
    if head.kind == "finding" and head.observation and not head.sites and context.titles:
        # "ADRENALS: left nodule, kidneys normal"
        found = observed(head.observation, context.titles, book)
        if found:
            # "Left kidney: angiomyolipoma"
            side = head.side or (None if head.elsewhere else context.title_side)
            named = tuple([(term, anatomy, side) for term, anatomy in found])
            return _Told(head, context.titles, named)
    told = context.title_side if head.status == "absent" else context.side
    if head.kind == "finding" and told and not head.elsewhere:
        wholes = {book.within.get(a) for a in context.anatomies}
        alone = len([a for a in context.anatomies if a not in wholes]) == 1
        sided = tuple(
            (f, a, s or (told if alone and a in context.anatomies else None))
            for f, a, s in head.findings
        )
        return _Told(head, head.sites, sided)
    if head.kind == "finding":
        return _Told(head, head.sites, head.findings)
    sites = context.sites
    # "SPLEEN: Enlarged, ascites."
    if context.title_sites and (
        not head.observation or observed(head.observation, context.title_sites, book)
    ):
        sites = context.title_sites
    findings = observed(head.observation, sites, book) if head.observation else ()
    elsewhere = context.named or (bool(head.observation) and book.anywhere(head.observation))
    if head.observation and (not sites or (not findings and elsewhere)):
        findings = tuple(
            (term, book.terms[term].anatomy) for term in book.alone.get(head.observation, ())
        )
    side = head.side or told
    named = tuple([(term, anatomy, side) for term, anatomy in findings])
    return _Told(head, sites, named, context.inherited)


def _mention(
    number: int,
    one: _Told,
    finding: str,
    anatomy: str,
    side: Side | None,
    book: Phrasebook,
) -> Mention:
    """A finding of a head; a removed organ stays removed: "status post splenectomy" is present."""
    status = one.head.status
    rule: Rule | None = None
    if status == "historical" and book.terms[finding].lasting:
        status, rule = "present", "lasting"
    told = side and (anatomy in book.paired or finding in book.sided)
    laterality = referred(side, None) if told else None
    return Mention(number, finding, anatomy, status, laterality, True, None, rule, one.inherited)


def _in_wholes(mentions: Sequence[Mention], book: Phrasebook) -> list[Mention]:
    """What lies in a part of an anatomy lies in that: a fracture of the femur is one of a bone."""
    told = {(one.head, one.finding, one.anatomy) for one in mentions}
    made = []
    for one in mentions:
        whole = book.within.get(one.anatomy)
        if whole is not None and (one.head, one.finding, whole) not in told:
            told.add((one.head, one.finding, whole))
            made.append(replace(one, anatomy=whole))
    return made


def _by_size(
    mentions: list[Mention], clauses: Sequence[int], heads: Sequence[Head], book: Phrasebook
) -> list[Mention]:
    """What mentions are too where they are large: a lymph node of 10 mm is an enlarged one.

    Where the sentence says so itself ("enlarged node of 12 mm") the size is that one's; "no new
    adenopathy" beside it denies others.
    """
    made: list[Mention] = []
    for one in mentions:
        rule = book.measured.get(one.finding)
        if rule is None:
            continue
        same = [other for other in mentions if other.finding == rule.finding]
        clause = clauses[heads[one.head].start]
        said = [
            m
            for m in same
            if m.status != "absent"
            # "nodes of 15 mm; correlation with lymphoma is recommended"
            and (m.status != "uncertain" or clauses[heads[m.head].start] == clause)
        ]
        if not said and all(clauses[heads[m.head].start] != clause for m in same):
            anatomy = book.terms[rule.finding].anatomy
            too = replace(
                one, finding=rule.finding, anatomy=anatomy, from_mm=rule.from_mm, rule="size"
            )
            made.append(too)
        elif one.status == "present" and len(said) == 1:
            said[0].sized_by = (one.head, rule.from_mm)
    return made


def _abnormal_status(head: Head) -> Status | None:
    """How a head tells that something is abnormal: itself, or by a verdict that is denied."""
    if head.kind == "normal":
        return "present" if head.status == "absent" else None
    return head.status if head.abnormal and head.status in ("present", "uncertain") else None


def _others(told: list[_Told], mentions: list[Mention], book: Phrasebook) -> list[Mention]:
    """What is abnormal and covered by no finding: one mention an anatomy.

    Not where the sentence says of the anatomy that it is normal, or names a finding there.
    """
    uncovered = [
        (number, one, status)
        for number, one in enumerate(told)
        if not one.findings and (status := _abnormal_status(one.head)) is not None
    ]
    if not uncovered:
        return []
    covered = {m.anatomy for m in mentions if m.status in ("present", "uncertain")}
    covered |= {
        anatomy
        for one in told
        if (one.head.kind == "normal" and one.head.status == "present")
        or (one.findings and one.head.status in ("present", "uncertain"))
        for anatomy in one.anatomies
    }
    made: dict[str, Mention] = {}
    for number, one, status in uncovered:
        head = one.head
        for anatomy in one.anatomies:
            if anatomy not in covered and anatomy not in made:
                side = referred(head.side, None) if anatomy in book.paired else None
                made[anatomy] = Mention(
                    number,
                    OTHER_ABNORMALITY,
                    anatomy,
                    status,
                    side,
                    located=False,
                    rule="verdict",
                    inherited=one.inherited,
                )
    return list(made.values())
