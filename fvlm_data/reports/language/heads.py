"""Heads of a sentence: what each is, where it lies, how and of which side it is told."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fvlm_data.reports.language.analysed import Head
from fvlm_data.reports.language.anatomy import (
    ANATOMY,
    HEAD,
    JOINT,
    OF,
    OTHER,
    PREPOSITION,
    VERB,
    joined,
)
from fvlm_data.reports.language.assertion import Asserted
from fvlm_data.reports.language.finding_sites import kinds_named, meant, observed, side_at
from fvlm_data.reports.language.location import location_of
from fvlm_data.reports.language.measures import (
    FAR_BEFORE,
    NEAR_BEFORE,
    change_of,
    count_of,
    own_side,
    severity_of,
    side_before,
    side_of,
)
from fvlm_data.reports.language.opening_sides import (
    closing_side,
    inserted_side,
    opening_side,
    side_right_behind,
)
from fvlm_data.reports.language.tokens import NUMBER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.reports.language.anatomy import AnatomyMention, Attachment
    from fvlm_data.reports.language.decisions import Doubt
    from fvlm_data.reports.language.finding_sites import HeadSpan
    from fvlm_data.reports.language.found import Found
    from fvlm_data.reports.language.function_words import FunctionWords
    from fvlm_data.reports.language.phrasebook import Phrasebook
    from fvlm_data.reports.language.records import Change, Side

_TOLD = 3
"""Words from an organ on that may tell how it is."""
_LASTING = frozenset({"stable", "increased", "decreased"})


def head_of(
    span: HeadSpan,
    said_of: Asserted,
    sentence: Found,
    attachment: Attachment,
    book: Phrasebook,
) -> Head:
    """A head with all that its words tell of it, `said_of` being its status."""
    words = span.stands_for or " ".join(sentence.words[span.start : span.end])
    kind, about, terms = _meant(span, words, sentence, attachment, book)
    sentence = _without_answered(span, sentence, book.grammar)
    elsewhere = said_of.status == "absent" and _sides_come_after(span, sentence)
    apart = _side_of_company(span, about, sentence, book)
    if elsewhere or apart:
        about = tuple(replace(mention, side=None) for mention in about)
    if span.kind == "finding":
        terms += _shared(span, sentence, attachment, book)
    place = (span.start, span.end)
    roles, clauses = sentence.roles, sentence.clauses
    denied = said_of.status == "absent"
    told, said = _sides(span, about, sentence, book, denied=denied, elsewhere=elsewhere)
    change: Change | None = None
    if sentence.changes:
        change = change_of(place, sentence.changes, roles, clauses)  # type: ignore[assignment]
    if said_of.status == "historical" and _goes_on(span, said_of, change, sentence, book):
        said_of = Asserted("present", doubts=said_of.doubts)
    status = said_of.status
    of_organ = joined([mention.side for mention in about]) if about else None
    return Head(
        start=span.start,
        end=span.end,
        kind=kind,
        status=status,
        findings=tuple(
            [
                (
                    term,
                    anatomy,
                    (told or side_at(about, _sites_of(term, anatomy, book)) or said)
                    if told or of_organ
                    else said,
                )
                for term, anatomy in dict.fromkeys(terms)
            ]
        ),
        sites=tuple(dict.fromkeys([site for mention in about for site in mention.sites])),
        observation=words if span.observation or span.kind == "observation" else "",
        side=told or of_organ or said,
        severity=(
            severity_of(place, sentence.severities, roles, clauses) if sentence.severities else None
        ),
        count=count_of(place, sentence.counts, roles, clauses) if sentence.counts else None,
        # What is held possible ("lesion in the liver, likely a cyst") names the head before it.
        location=location_of(
            span,
            about if status == "uncertain" else _own(about, place, sentence),
            sentence,
            book.grammar,
        )
        if about
        else None,
        change=change,
        abnormal=span.abnormal,
        elsewhere=elsewhere or apart,
        rule=said_of.rule,
        cue=said_of.cue,
        kind_of=(
            kinds_named(span, sentence.words, book) if status == "absent" else frozenset[str]()
        ),
        doubts=said_of.doubts + _doubts(said_of, change, sentence)
        if sentence.changes or sentence.runs_on
        else said_of.doubts,
    )


def _side_of_company(
    span: HeadSpan, about: Sequence[AnatomyMention], sentence: Found, book: Phrasebook
) -> bool:
    """Whether the organ of a diffuse disease is named only with what it is said to go with.

    "Right lung nodule with emphysema": both lungs may have it.
    """
    grammar = book.grammar
    if not span.terms or not all(book.terms[term].diffuse for term in span.terms):
        return False
    clause = sentence.clauses[span.start]
    told = [sentence.clauses[mention.start] for mention in sentence.mentions if mention.side]
    if told and clause not in told:
        return True  # "known emphysema; the nodule in the right lower lobe"
    if any(mention.side and mention.end > span.start for mention in about):
        return False
    sided = [one for one in sentence.mentions if one.side and one.end <= span.start]
    return bool(sided) and any(
        one.end <= span.start
        and sided[-1].start < one.end
        and one.start <= sided[-1].end + 1
        and not grammar.company_links.isdisjoint(sentence.words[one.end : span.start])
        and grammar.alongside.isdisjoint(sentence.words[one.end : span.start])
        for one in sentence.spans
    )


def _meant(
    span: HeadSpan, words: str, sentence: Found, attachment: Attachment, book: Phrasebook
) -> tuple[str, tuple[AnatomyMention, ...], tuple[tuple[str, str], ...]]:
    """What kind of head it is, the organs that it is about, and the findings it names."""
    about, terms = meant(span, words, attachment, book)
    alone = (
        words in book.alone
        and not terms
        and (
            (sentence.mentions and book.anywhere(words))
            or _of_other_statements(span, about, sentence)
            or _commas_apart(span, about, sentence)
        )
    )
    if not alone:
        return span.kind, about, terms
    # The organs of other statements tell nothing of this one.
    return "finding", (), tuple((term, book.terms[term].anatomy) for term in book.alone[words])


def _sides(
    span: HeadSpan,
    about: Sequence[AnatomyMention],
    sentence: Found,
    book: Phrasebook,
    *,
    denied: bool,
    elsewhere: bool,
) -> tuple[Side | None, Side | None]:
    """The head's own side, which goes before that of its organ, and one told around it."""
    place = (span.start, span.end)
    roles, behind = sentence.roles, book.grammar.sides_behind
    own: Side | None = None
    around: Side | None = None
    if sentence.sides:
        far = FAR_BEFORE if book.grammar.attributes_before else NEAR_BEFORE
        around = side_of(place, sentence.sides, roles, sentence.clauses, behind=behind, reach=far)
        if not elsewhere:
            own = own_side(place, sentence.sides, roles, behind=behind)
            own = own or side_right_behind(span, about, sentence)
            own = own or _told_elsewhere(span, about, sentence)
            if not sentence.refers:
                own = own or side_before(span.start, sentence.sides, roles)
        if not around and not own:
            around = _of_part(span, sentence, book) or _of_field(span, sentence)
            around = around or opening_side(span, sentence, book.grammar)
            around = around or inserted_side(span, sentence)
    if denied and not own and about and joined([one.side for one in about]) == "bilateral":
        own = closing_side(span, sentence, book.grammar)
    # a denial takes no side from elsewhere
    if about and not (around or own or denied or joined([one.side for one in about])):
        around = _of_subject(span, about, sentence)
    return own, around


def _of_part(span: HeadSpan, sentence: Found, book: Phrasebook) -> Side | None:
    """Side of the part that a head lies in: "right lobe with a nodule", of what a title names."""
    words, clauses, grammar = sentence.words, sentence.clauses, book.grammar
    for first, past, side in sentence.sides:
        following = words[past : past + 2]
        if past + 1 >= span.start or clauses[first] != clauses[span.start]:
            continue
        ties = following[0] in grammar.places and (
            following[1] in grammar.company or following[1] in book.predicates
        )
        if ties and HEAD not in sentence.roles[past : span.start]:
            return side
    return None


def _of_subject(span: HeadSpan, about: Sequence[AnatomyMention], sentence: Found) -> Side | None:
    """Side of the organ whose part a head lies in: "RK shows a calculus in the lower calyx"."""
    clause = sentence.clauses[span.start]
    near = {anatomy for mention in about for anatomy in mention.anatomies}
    sides = {
        mention.side
        for mention in sentence.mentions
        if mention.side
        and mention.end <= span.start
        and HEAD not in sentence.roles[mention.end : span.start]
        and sentence.clauses[mention.start] == clause
        and not near.isdisjoint(mention.anatomies)
    }
    return sides.pop() if len(sides) == 1 else None


def _of_field(span: HeadSpan, sentence: Found) -> Side | None:
    """Side that opens a field: "R: two calculi, no hydronephrosis; L: normal"."""
    words, found = sentence.words, None
    for first, past, side in sentence.sides:
        if past < span.start and words[past] == ":" and (not first or words[first - 1] in ";."):
            found = None if ";" in words[past : span.start] else side
    return found


def _without_answered(span: HeadSpan, sentence: Found, grammar: FunctionWords) -> Found:
    """What was found, less sides before a head that answer of another: "L none, R PTX"."""
    words, denying = sentence.words, grammar.denying_answers - grammar.noun_denials
    if not sentence.sides or denying.isdisjoint(words[: span.start]):
        return sentence
    sides = tuple(
        one
        for one in sentence.sides
        if one[1] + 1 >= span.start or words[one[1]] not in denying or words[one[1] + 1] != ","
    )
    return sentence if len(sides) == len(sentence.sides) else replace(sentence, sides=sides)


def _goes_on(
    span: HeadSpan, said: Asserted, change: Change | None, sentence: Found, book: Phrasebook
) -> bool:
    """Whether what was there before still is: "seen in the previous examination, regressed"."""
    if said.cue is None or said.cue[0] < span.end:
        return False
    behind = said.cue[1]
    if change in _LASTING and VERB in sentence.roles[behind : behind + 2]:
        return True
    # "measuring 9 mm in the previous examination is 6 mm in the current one"
    clause = sentence.clauses[span.start]
    told = zip(
        sentence.words[behind:], sentence.roles[behind:], sentence.clauses[behind:], strict=True
    )
    here = [(word, role) for word, role, one in told if one == clause]
    verb = next((word for word, role in here if role == VERB), None)
    if verb is not None and verb in book.grammar.now:
        return True
    # "was 5 mm in the previous examination and 8 mm in the current examination"
    shown = [(sentence.words[behind - 1], OTHER), *here]
    return any(_tells_today(i, shown, book) for i in range(1, len(shown)))


def _tells_today(i: int, told: Sequence[tuple[str, int]], book: Phrasebook) -> bool:
    """Whether a word says that what is told is of today: not "stones in 2019, now flank pain"."""
    if told[i][0] not in book.grammar.today:
        return False
    following = told[i + 1] if i + 1 < len(told) else None
    new = following is not None and following[1] in (OTHER, ANATOMY) and following[0] != NUMBER
    return not (new and told[i - 1][0] == ",")


def _of_other_statements(span: HeadSpan, about: Sequence[AnatomyMention], sentence: Found) -> bool:
    """Whether a sentence names anatomies, and none in the statement of a head."""
    clause = sentence.clauses[span.start]
    if not about:
        return bool(sentence.mentions)
    return all(sentence.clauses[mention.start] != clause for mention in about)


def _commas_apart(span: HeadSpan, about: Sequence[AnatomyMention], sentence: Found) -> bool:
    """Whether other statements between commas name its anatomies: "R eff, heart enlarged"."""
    words, roles = sentence.words, sentence.roles
    for mention in about:
        low, high = sorted(((mention.start, mention.end), (span.start, span.end)))
        between = words[low[1] : high[0]]
        told = HEAD in roles[low[1] : high[0]] or (
            mention.start > span.start and HEAD in roles[mention.end : mention.end + _TOLD]
        )
        # a verb or preposition may tie them: "effusion, which lies in the joint"
        tied = {VERB, PREPOSITION, OF} & {*roles[low[1] : high[0]]}
        if "," not in between or ":" in between or not told or tied:
            return False
    return bool(about)


def _sites_of(term: str, anatomy: str, book: Phrasebook) -> tuple[str, ...]:
    """Where a finding lies whose side is asked."""
    entry = book.terms[term]
    return (anatomy,) if entry.at_site else (anatomy, *entry.sites)


def _doubts(said: Asserted, change: Change | None, sentence: Found) -> tuple[Doubt, ...]:
    """What of its sentence makes the status of a head doubtful, beside the cues."""
    made: tuple[Doubt, ...] = ("no_full_stop",) if sentence.runs_on else ()
    if change == "resolved" and said.status == "present":
        return (*made, "said_resolved")
    return (*made, "about_change") if sentence.changes and said.status != "present" else made


def _sides_come_after(span: HeadSpan, sentence: Found) -> bool:
    """Whether only later clauses tell a side: "no nodule except one in the left upper lobe"."""
    clause = sentence.clauses[span.start]
    if clause == sentence.clauses[-1] == 0:
        return False
    sided = [sentence.clauses[m.start] for m in sentence.mentions if m.side]
    return bool(sided) and min(sided) > clause


def _told_elsewhere(
    span: HeadSpan, about: Sequence[AnatomyMention], sentence: Found
) -> Side | None:
    """Side in a clause that leaves its organ out ("the right kidney is normal, the left has")."""
    clause = sentence.clauses[span.start]
    if not about or not sentence.sides or any(sentence.clauses[m.start] == clause for m in about):
        return None
    return joined([side for start, _, side in sentence.sides if sentence.clauses[start] == clause])


def _own(
    about: Sequence[AnatomyMention], place: tuple[int, int], sentence: Found
) -> tuple[AnatomyMention, ...]:
    """Mentions that are no neighbour's place: "atelectasis in the lingula, effusion"."""
    return tuple(
        [
            mention
            for mention in about
            if mention.end > place[0] or not _of_another_head(mention, place[0], sentence)
        ]
    )


def _of_another_head(mention: AnatomyMention, start: int, sentence: Found) -> bool:
    """Whether a mention before a head is where another head lies, behind which it stands."""
    clause = sentence.clauses[mention.start]
    before = [
        one
        for one in sentence.spans
        if one.end <= mention.start and sentence.clauses[one.start] == clause
    ]
    if not before or before[-1].kind == "normal":
        return False
    between = sentence.roles[before[-1].end : mention.start]
    return (
        (PREPOSITION in between or OF in between)
        and VERB not in between
        and JOINT in sentence.roles[mention.end : start]
    )


def _shared(
    span: HeadSpan, sentence: Found, attachment: Attachment, book: Phrasebook
) -> tuple[tuple[str, str], ...]:
    """What anatomies listed before a finding share with it ("pericardial, pleural effusion")."""
    starting = [m for m in sentence.mentions if m.start == span.start and m.end < span.end]
    if not starting:
        return ()
    first = starting[0]
    tail = " ".join(sentence.words[first.end : span.end])
    listed = attachment.listed_before(first)
    return observed(tail, [site for mention in listed for site in mention.sites], book)
