"""Which anatomy a sentence speaks of, and to which of them a word in it belongs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from fvlm_data.reports.language.overlaps import longest
from fvlm_data.reports.language.tokens import NUMBER

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from fvlm_data.reports.language.function_words import FunctionWords
    from fvlm_data.reports.language.phrase_matching import Match
    from fvlm_data.reports.language.phrasebook import Phrasebook
    from fvlm_data.reports.language.records import Side

VERB, PREPOSITION, JOINT, HEAD, ANATOMY, OF, OTHER = range(7)
"""Roles of tokens when words are attached to anatomies."""

_SEVERAL = 2
_REACHED = 6
"""Tokens between a word for an extension and what is reached."""
_LISTED = 8
"""Tokens that may stand between two anatomies of one list."""


@dataclass(slots=True)
class AnatomyMention:
    """Tokens [start, end) that name anatomies; `sites` are ids or parts (heart.coronary)."""

    start: int
    end: int
    sites: tuple[str, ...]
    side: Side | None
    anatomies: tuple[str, ...]
    """Anatomy ids of the sites."""


_STOPS = frozenset({".", ";", ")"})
_LINK = 2
"""Words between an anatomy and its side behind it ("on the")."""
_BETWEEN = 3
"""Light words between a side and its anatomy ("right third through fifth ribs")."""


def anatomy_mentions(
    matches: Sequence[Match],
    words: Sequence[str],
    sides: Sequence[tuple[int, int, Side]],
    grammar: FunctionWords,
) -> list[AnatomyMention]:
    """Mentions of anatomies in order, longest first where they overlap, with their side.

    `matches` are those of anatomies and of compounds, `sides` in order; light words may stand
    between a side and its anatomy, as may what a prefix denies.
    """
    made = []
    for match in longest(matches):
        named = match.phrase.named
        if named is None:  # a compound, which only hides what it holds
            continue
        sites, anatomies, told = named
        side = told
        if sides and not told:
            side = _side_before(match, words, sides, grammar)
            side = side or _side_behind(match, words, sides, grammar)
        made.append(AnatomyMention(match.start, match.end, sites, side, anatomies))
    return made


def _side_before(
    match: Match,
    words: Sequence[str],
    sides: Sequence[tuple[int, int, Side]],
    grammar: FunctionWords,
) -> Side | None:
    """Side stated within the mention or right before it ("left and right kidneys": both)."""
    light, prefixes = grammar.light, grammar.prefixes
    found: list[Side] = [
        side for start, end, side in sides if match.start <= start and end <= match.end
    ]
    place = match.start
    for start, end, side in reversed(sides):
        between = words[end:place]
        first = int(between[:1] == (",",))
        if first and between[1:2] and between[1] in grammar.articles:
            break  # "none on the right, the left kidney"
        if len(between) > first + 1 and between[first] in prefixes:
            between = between[first + 2 :]  # "bilateral, non-obstructing renal stones"
        if between[:1] and between[0] in grammar.joints and between[1:2]:
            # "the right and of the left femur"
            between = between[1 + (between[1] in grammar.of or between[1] in grammar.within) :]
        if end <= place and len(between) <= _BETWEEN and light.issuperset(between):
            found.append(side)
            place = start
    return joined(found)


def _side_behind(
    match: Match,
    words: Sequence[str],
    sides: Sequence[tuple[int, int, Side]],
    grammar: FunctionWords,
) -> Side | None:
    """Side stated right behind the mention and of nothing else: "the ribs on the right"."""
    for start, end, side in sides:
        if start == match.end and grammar.sides_behind:  # "Unterlappen links"
            return side
        link = words[match.end : start]
        # "ribs 2 to 6 bilaterally"
        if NUMBER in link and grammar.numbering.issuperset(link):
            following = words[end : end + 1]
            return side if not following or following[0] in grammar.breaks | _STOPS else None
        if (
            start > match.end
            and link[0] in grammar.beside
            and grammar.articles.issuperset(link[1:])
        ):
            following = words[end : end + 1]
            ends = not following or not following[0].isalnum() or following[0] in grammar.joints
            return side if ends and len(link) <= _LINK else None
    return None


def joined(sides: Sequence[Side | None]) -> Side | None:
    """One side for several: left and right make bilateral."""
    found = {side for side in sides if side is not None}
    if not found:
        return None
    return found.pop() if len(found) == 1 else "bilateral"


def roles(
    words: Sequence[str],
    book: Phrasebook,
    mentions: Sequence[AnatomyMention],
    heads: Sequence[tuple[int, int]],
) -> list[int]:
    """Role of each token; anatomies and heads (findings, verdicts) come before words."""
    of_word = _word_roles(book)
    made = [of_word.get(word, OTHER) for word in words]
    for mention in mentions:
        made[mention.start : mention.end] = [ANATOMY] * (mention.end - mention.start)
    for start, end in heads:
        for i in range(start, end):
            if made[i] != ANATOMY:
                made[i] = HEAD
    return made


@cache
def _word_roles(book: Phrasebook) -> dict[str, int]:
    """Roles of the words that have one of their own; verbs come before prepositions."""
    return {
        **dict.fromkeys(book.conjunctions, JOINT),
        **dict.fromkeys(book.prepositions, PREPOSITION),
        **dict.fromkeys(book.grammar.of, OF),
        **dict.fromkeys(book.predicates, VERB),
    }


class Attachment:
    """Finds the anatomies that a head (a finding or a verdict) of a sentence is about."""

    def __init__(
        self,
        words: Sequence[str],
        role: Sequence[int],
        clauses: Sequence[int],
        mentions: Sequence[AnatomyMention],
        grammar: FunctionWords,
        *,
        runs_on: bool = False,
        apart: Collection[int] = (),
    ) -> None:
        """Take words, roles and clause numbers of tokens, and the mentions in order.

        Where a sentence `runs_on` to
        other statements without any mark, its clauses share no anatomy. Clauses that begin at the
        tokens `apart` tell of their own.
        """
        self._apart = {clauses[i] for i in apart}
        self._runs_on = runs_on
        self._words = words
        self._role = role
        self._clauses = clauses
        self._mentions = mentions
        self._within_words = grammar.within
        self._company = grammar.company

    def of(self, start: int, end: int) -> Iterator[tuple[AnatomyMention, ...]]:
        """Candidate lists of anatomies for the head at tokens [start, end), best first."""
        mentions = self._mentions
        if len(mentions) < _SEVERAL:
            if mentions and self._is_candidate(start):
                yield (mentions[0],)
            return
        for step in self._steps(start, end):
            if step:
                yield tuple([mentions[i] for i in step])

    def _is_candidate(self, start: int) -> bool:
        """Whether the only mention is that of a head: in its clause or one that tells of it."""
        clause, own = self._clauses[start], self._clauses[self._mentions[0].start]
        return own == clause or (not self._runs_on and bool(self._other_clauses(start)))

    def _steps(self, start: int, end: int) -> Iterator[Sequence[int]]:
        clauses, clause = self._clauses, self._clauses[start]
        before: list[int] = []
        after: list[int] = []
        within: list[int] = []
        for i, mention in enumerate(self._mentions):
            if clauses[mention.start] != clause:
                continue
            if mention.end <= start:
                before.append(i)
            elif mention.start >= end:
                after.append(i)
            else:
                within.append(i)
        if within and self._mentions[within[0]].start < start:
            # "coronary and aortic wall calcifications": the head shares a word with its anatomy.
            within = sorted({*within, *self._adjectives(within[0])})
        yield within
        if before:
            yield self._right_before(before, start)
        if after:
            yield self._after_preposition(after, end)
            yield self._after_passive(after, end)
            yield self._right_after(after, end)
        if before:
            yield self._chain(before[-1])
        if after:
            yield self._chain(after[0])
        if not self._runs_on:
            yield from self._other_clauses(start)
        yield from ((i,) for i in reversed(before))

    def listed_before(self, mention: AnatomyMention) -> tuple[AnatomyMention, ...]:
        """The other mentions of the list that a mention ends."""
        if mention not in self._mentions:
            return ()
        i = self._mentions.index(mention)
        return tuple(self._mentions[j] for j in self._adjectives(i) if j != i)

    def reached(self, end: int) -> tuple[AnatomyMention, ...]:
        """The list of mentions right behind a token, past prepositions and light words."""
        i = next((i for i, mention in enumerate(self._mentions) if mention.start >= end), None)
        if i is None:
            return ()
        between = self._role[end : self._mentions[i].start]
        if len(between) > _REACHED or VERB in between or HEAD in between:
            return ()
        made = [self._mentions[j] for j in self._chain_right(i)]
        # "Into the caval vein, the iliac vein is patent": another statement's.
        said = next(
            (n for n, m in enumerate(made) if n and self._role[m.end : m.end + 1] == [VERB]), None
        )
        return tuple(made[:said])

    def stands_before(self, start: int, end: int) -> bool:
        """Whether a mention stands within a head, or nothing but adjectives between them."""
        return any(start <= mention.start < end for mention in self._mentions) or any(
            0 <= start - mention.end <= 1 for mention in self._mentions
        )

    def _right_before(self, before: Sequence[int], start: int) -> tuple[int, ...]:
        """Nothing but adjectives in between: "renal and hepatic cysts"."""
        between = self._role[self._mentions[before[-1]].end : start]
        if len(between) > 4 or any(role not in (OTHER, HEAD) for role in between):
            return ()
        if between and HEAD in between and OTHER in between:
            return ()
        return self._adjectives(before[-1])

    def _adjectives(self, i: int) -> tuple[int, ...]:
        """The list that ends at a mention, less what belongs to something before it."""
        chain = self._chain_left(i)
        governed = [place for place, j in enumerate(chain[:-1]) if self._is_governed(j)]
        return chain[governed[-1] + 1 :] if governed else chain

    def _is_governed(self, i: int) -> bool:
        """Whether a mention follows a preposition: it belongs to what stands before that."""
        place = self._mentions[i].start - 1
        while place >= 0 and self._role[place] == OTHER:
            place -= 1
        return place >= 0 and self._role[place] in (OF, PREPOSITION)

    def _after_preposition(self, after: Sequence[int], end: int) -> tuple[int, ...]:
        """As in "cysts and calcifications in the liver and the spleen"."""
        between = self._role[end : self._mentions[after[0]].start]
        if VERB in between or not (PREPOSITION in between or OF in between):
            return ()
        first = min(i for i, role in enumerate(between) if role in (PREPOSITION, OF))
        if HEAD in between[first:] or (HEAD in between[:first] and JOINT not in between[:first]):
            return ()
        return self._chain_right(after[0])

    def _after_passive(self, after: Sequence[int], end: int) -> tuple[int, ...]:
        """As in "in the organs shown, no mass was detected in the liver and spleen"."""
        first = self._mentions[after[0]].start
        verbs = [i for i in range(end, first) if self._role[i] == VERB]
        if not verbs or self._words[verbs[-1] + 1] not in self._within_words:
            return ()
        if HEAD in self._role[verbs[0] : first] or JOINT in self._role[verbs[0] : first]:
            return ()
        return self._chain_right(after[0])

    def _right_after(self, after: Sequence[int], end: int) -> tuple[int, ...]:
        """As in "enlarged liver and spleen"."""
        between = self._role[end : self._mentions[after[0]].start]
        if len(between) > 3 or any(role not in (OTHER, HEAD) for role in between):
            return ()
        return self._chain_right(after[0])

    def _other_clauses(self, start: int) -> list[tuple[int, ...]]:
        """The clause before ("the liver is enlarged and shows a cyst"), then the one after.

        One after that says something of its own anatomies tells nothing of this one ("effusions;
        no pericardial effusion").
        """
        clause = self._clauses[start]
        numbered = [(self._clauses[m.start], i) for i, m in enumerate(self._mentions)]
        stating = {self._clauses[i] for i, role in enumerate(self._role) if role == HEAD}
        earlier = [number for number, _ in numbered if number < clause]
        stating |= self._apart
        later = [number for number, _ in numbered if number > clause and number not in stating]
        made = []
        for number in [*([max(earlier)] if earlier else []), *([min(later)] if later else [])]:
            made.append(self._chain(next(i for n, i in numbered if n == number)))
        return made

    def _chain(self, i: int) -> tuple[int, ...]:
        return tuple(sorted({*self._chain_left(i), *self._chain_right(i)}))

    def _chain_left(self, i: int) -> tuple[int, ...]:
        chain = [i]
        while i > 0 and self._linked(i - 1, i) and not self._has_own_head(i - 1):
            i -= 1
            chain.append(i)
        return tuple(reversed(chain))

    def _chain_right(self, i: int) -> tuple[int, ...]:
        chain = [i]
        while (
            i + 1 < len(self._mentions) and self._linked(i, i + 1) and not self._is_adjective(i + 1)
        ):
            i += 1
            chain.append(i)
        return tuple(chain)

    def _linked(self, i: int, j: int) -> bool:
        """Whether two neighbouring mentions stand in one list."""
        left, right = self._mentions[i], self._mentions[j]
        if self._clauses[left.start] != self._clauses[right.start]:
            return False
        between = self._role[left.end : right.start]
        return (
            len(between) <= _LISTED
            and all(
                role in (JOINT, OF, OTHER)
                or (role == PREPOSITION and place > 0 and between[place - 1] == JOINT)
                for place, role in enumerate(between)
            )
            # "A stone in the right ureter, with the left one decompressed."
            and self._company.isdisjoint(self._words[left.end : right.start])
        )

    def _is_adjective(self, i: int) -> bool:
        """Whether a mention belongs to the head right behind it ("and splenic calcification")."""
        end = self._mentions[i].end
        return end < len(self._role) and self._role[end] == HEAD

    def _has_own_head(self, i: int) -> bool:
        start = self._mentions[i].start
        return start > 0 and self._role[start - 1] == HEAD
