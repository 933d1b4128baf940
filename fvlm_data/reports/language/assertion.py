"""What a sentence asserts of a finding: the rules of medspaCy's ConText, our cues and scopes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from fvlm_data.reports.language.clauses import insertions, parentheses
from fvlm_data.reports.language.function_words import OTHER
from fvlm_data.reports.language.overlaps import within_any, within_longer
from fvlm_data.reports.language.scopes import Layout, scope_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fvlm_data.reports.language.decisions import Doubt, Rule
    from fvlm_data.reports.language.function_words import FunctionWords
    from fvlm_data.reports.language.phrase_matching import CueMatch
    from fvlm_data.reports.language.records import Status

_PRIORITY: tuple[tuple[str, Status], ...] = (
    ("family", "family"), ("doubt", "uncertain"), ("hypothetical", "hypothetical"),
    ("absent", "absent"), ("historical", "historical"), ("uncertain", "uncertain"),
)  # fmt: skip
"""Of several categories of cues on one finding the first of these tells its status: "no history
of" is absent, "absence of it cannot be confirmed" uncertain."""


_STATUS = dict(_PRIORITY)
_RANK = {category: rank for rank, (category, _) in enumerate(_PRIORITY)}


@dataclass(slots=True)
class Target:
    """A span of tokens whose status is asked."""

    start: int
    end: int
    lasting: bool = False
    """Whether it is an implant or an operation."""


class Asserted(NamedTuple):
    """The status of a target, what told it, and why another one was close."""

    status: Status = "present"
    rule: Rule = "stated"
    cue: tuple[int, int] | None = None
    """Tokens of the cue that told it."""
    doubts: tuple[Doubt, ...] = ()


_NOTHING_SAID = Asserted()
_FAR = 6
"""Words between a cue and what it tells of, from which on it may tell of something else."""
_ATTRIBUTED = 7
"""Words between an attribute and what has it ("the cause of the small left effusion")."""
_ANSWERING = frozenset({":", "-", "=", "?"})
"""Marks before the answer of an item."""

_STATEMENT_ENDS = frozenset({",", ";", ":", "."})

_TURNING = frozenset({"absent", "uncertain", "doubt"})
"""Categories whose cues, where they reach nothing, may have been meant for what is there."""


def relevant_cues(
    cues: Sequence[CueMatch], words: Sequence[str], covered: Sequence[tuple[int, int]]
) -> list[CueMatch]:
    """Cues that count: not within a longer cue, not within a finding, at the end if they must.

    This is our rule for overlaps in place of medspaCy's `prune`, which hides every overlap:
    cues that only touch ("not" and "no longer seen") are both kept. `cues` and `covered` are in
    order of their start; work grows with their number, not its square.
    """
    if not cues:
        return []
    last = _last_word(words)
    standing = [
        cue
        for cue in cues
        if (not cue.cue.at_end or cue.end > last or _answers(cue, words))
        and (not cue.cue.at_start or cue.start == 0)
        and (not cue.cue.unless or _unanswered(cue, words))
        and (not cue.cue.unless_behind or not _taken_back(cue, words))
    ]
    if len(standing) == 1 and not covered:
        return standing
    hidden = within_longer([(cue.start, cue.end) for cue in standing])
    inside = within_any([(cue.start, cue.end) for cue in standing], covered)
    return _one_direction(
        [
            cue
            for cue, longer, named in zip(standing, hidden, inside, strict=True)
            if not longer and not named
        ]
    )


def _unanswered(cue: CueMatch, words: Sequence[str]) -> bool:
    """Whether nothing before a cue in its statement leaves it without effect."""
    start = max((i + 1 for i in range(cue.start) if words[i] == ";"), default=0)
    return set(cue.cue.unless).isdisjoint(words[start : cue.start])


def _taken_back(cue: CueMatch, words: Sequence[str]) -> bool:
    """Whether its statement leaves a cue without effect: "removal of the tube is recommended"."""
    stop = next((i for i in range(cue.end, len(words)) if words[i] in _STATEMENT_ENDS), len(words))
    return not set(cue.cue.unless_behind).isdisjoint(words[cue.end : stop])


def turned(
    cues: Sequence[CueMatch],
    words: Sequence[str],
    stops: frozenset[str],
) -> list[CueMatch]:
    """Cues, of which those that may turn tell of what follows them.

    "The nodule is likely a cyst" doubts the cyst, as "a cyst is likely" does; "nodes are likely
    reactive" doubts no node. Nothing follows where one of `stops` does, or the sentence ends.
    """
    return [
        replace(cue, cue=replace(cue.cue, direction="forward"))
        if cue.cue.turns and words[cue.end : cue.end + 1] and words[cue.end] not in stops
        else cue
        for cue in cues
    ]


def _answers(cue: CueMatch, words: Sequence[str]) -> bool:
    """Whether a cue ends an item of a list ("stones - no; cyst - yes", "stone: no, cyst: yes")."""
    mark = words[cue.end]
    return mark == ";" or (mark == "," and words[cue.start] in _ANSWERING)


def _last_word(words: Sequence[str]) -> int:
    """Number of the last token that is no mark."""
    last = len(words) - 1
    while last >= 0 and not words[last][0].isalnum() and words[last] != "_":
        last -= 1
    return last


def _one_direction(cues: list[CueMatch]) -> list[CueMatch]:
    """Of cues on the same words, the one that must stand at the end and does wins."""
    ending = {(cue.start, cue.end) for cue in cues if cue.cue.at_end}
    return [cue for cue in cues if cue.cue.at_end or (cue.start, cue.end) not in ending]


def asserted(
    words: Sequence[str],
    clauses: Sequence[int],
    cues: Sequence[CueMatch],
    targets: Sequence[Target],
    grammar: FunctionWords,
) -> list[Asserted]:
    """What is asserted of each target, in order, by ConText's rules over clause scopes."""
    if not cues or not targets:
        return [_NOTHING_SAID] * len(targets)
    layout = Layout(words, clauses, parentheses(words), insertions(clauses))
    reaching = [cue for cue in cues if cue.cue.direction != "pseudo"]
    scopes = limited(reaching, [scope_of(cue, layout, grammar) for cue in reaching])
    scopes = _up_to_the_past(reaching, scopes, targets, words, grammar)
    reached = [_reaching(target, reaching, scopes, layout) for target in targets]
    if not grammar.attributes.isdisjoint(words):
        reached = [
            _of_itself(target, those, words, grammar)
            for target, those in zip(targets, reached, strict=True)
        ]
    if "," in words and any(_may_be_of_unknown(cue, words, grammar) for cue in reaching):
        reached = [
            [cue for cue in those if not _of_unknown(cue, target, targets, words, grammar)]
            for target, those in zip(targets, reached, strict=True)
        ]
    used: dict[int, int] = {}
    for those in reached:
        for cue in those:
            used[id(cue)] = used.get(id(cue), 0) + 1
    idle = [c for c in reaching if _category(c) in _TURNING and id(c) not in used]
    return [
        _asserted(target, those, idle, used) for target, those in zip(targets, reached, strict=True)
    ]


def _up_to_the_past(
    cues: Sequence[CueMatch],
    scopes: list[tuple[int, int]],
    targets: Sequence[Target],
    words: Sequence[str],
    grammar: FunctionWords,
) -> list[tuple[int, int]]:
    """Scopes, those of denials up to what is past: "no ascites in a man with a history of stones".

    But "no history of stones", and "no stones or history of stones", deny it.
    """
    past = [
        cue.start
        for cue in cues
        if cue.cue.category == "historical"
        and cue.cue.direction == "forward"
        and not cue.cue.reach
        and words[cue.start - 1] not in grammar.alternatives
    ]
    if not past:
        return scopes
    made = list(scopes)
    for i, (cue, (low, high)) in enumerate(zip(cues, scopes, strict=True)):
        if cue.cue.category == "absent" and cue.cue.direction == "forward":
            for end in past:
                if low < end < high and any(low <= one.start < end for one in targets):
                    made[i] = (low, end)
                    break
    return made


def _asserted(
    target: Target, cues: Sequence[CueMatch], idle: Sequence[CueMatch], used: Mapping[int, int]
) -> Asserted:
    """What cues tell of the target that they reach; `used` counts the targets of each cue."""
    doubts: tuple[Doubt, ...] = ("idle_cue",) if idle else ()
    if not cues:
        return Asserted(doubts=doubts) if doubts else _NOTHING_SAID
    nearest = cues[0]
    status = _STATUS[_category(nearest)]
    if len(cues) > 1:
        categories = [_category(cue) for cue in cues]
        category = min(categories, key=_RANK.__getitem__)
        status = _STATUS[category]
        if any(_STATUS[one] != status for one in categories):
            doubts += ("several_cues",)
        telling = [cue for cue, one in zip(cues, categories, strict=True) if one == category]
        nearest = min(telling, key=lambda cue: (_distance(cue, target), cue.start, cue.end))
    if _distance(nearest, target) >= _FAR:
        doubts += ("far_cue",)
    if status != "absent" and used[id(nearest)] > 1:
        doubts += ("shared_cue",)
    return Asserted(status, "cue", (nearest.start, nearest.end), doubts)


def _distance(cue: CueMatch, target: Target) -> int:
    return max(cue.start - target.end, target.start - cue.end, 0)


def limited(cues: Sequence[CueMatch], scopes: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Scopes of which none reaches past another cue of its category.

    As medspaCy's ConTextGraph.update_scopes has it, pair by pair in order, against which it is
    tested; that took a third of all time of a sentence.
    """
    made = list(scopes)
    categories = [_category(cue) for cue in cues]
    for i, cue in enumerate(cues):
        for j in range(i + 1, len(cues)):
            if categories[i] == categories[j]:
                made[i] = _limit(cue, made[i], cues[j], made[j])
                made[j] = _limit(cues[j], made[j], cue, made[i])
    return made


def _limit(
    cue: CueMatch, scope: tuple[int, int], other: CueMatch, others: tuple[int, int]
) -> tuple[int, int]:
    if not _overlap(scope, others):
        return scope
    start, end = scope
    if cue.cue.direction != "backward" and other.start > cue.start:
        end = min(end, other.start)
    if cue.cue.direction != "forward" and other.end < cue.end:
        start = max(start, other.end)
    return start, end


def _overlap(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether the second begins or ends within the first."""
    return one[0] <= other[0] < one[1] or one[0] < other[1] <= one[1]


def _reaching(
    target: Target, cues: Sequence[CueMatch], scopes: Sequence[tuple[int, int]], layout: Layout
) -> list[CueMatch]:
    """The cues that reach a target and do not overlap it."""
    start, end = target.start, target.end
    return [
        cue
        for cue, (low, high) in zip(cues, scopes, strict=True)
        if (low <= start < high or low < end <= high)
        and not (cue.start <= start < cue.end or cue.start < end <= cue.end)
        and (target.lasting or not cue.cue.of_lasting)
        and (not layout.insertions or layout.same_side(start, cue.start))
    ]


def _of_itself(
    target: Target, cues: list[CueMatch], words: Sequence[str], grammar: FunctionWords
) -> list[CueMatch]:
    """Of the cues that reach a target those that tell of it, and not of its cause or growth."""
    for i in range(target.start - 1, max(0, target.start - 1 - _ATTRIBUTED), -1):
        if words[i] in (",", ";", ":", "."):
            break
        if words[i] in grammar.of_or_for and words[i - 1] in grammar.attributes:
            return [cue for cue in cues if i < cue.start < target.start]
    return cues


def _may_be_of_unknown(cue: CueMatch, words: Sequence[str], grammar: FunctionWords) -> bool:
    """Whether a doubt has a verb, and one word between a comma and that."""
    return (
        cue.start > 1
        and words[cue.start - 2] == ","
        and cue.cue.direction == "backward"
        and cue.cue.category == "uncertain"
        and words[cue.start] in grammar.elisions
    )


def _of_unknown(
    cue: CueMatch,
    target: Target,
    targets: Sequence[Target],
    words: Sequence[str],
    grammar: FunctionWords,
) -> bool:
    """Whether a doubt is of a word that no finding has: "consolidation, aspiration is suspected".

    It stands alone between a comma and the verb.
    """
    subject = cue.start - 1
    return (
        _may_be_of_unknown(cue, words, grammar)
        and target.end < subject
        and (words[subject].isalpha() or words[subject] == OTHER)
        and words[subject] not in grammar.elisions | grammar.places | grammar.relatives
        and words[subject] not in grammar.pronouns | grammar.stand_ins | grammar.complements
        and not any(one.start <= subject < one.end for one in targets)
    )


def _category(cue: CueMatch) -> str:
    return "doubt" if cue.cue.overrules else cue.cue.category
