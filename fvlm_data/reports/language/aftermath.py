"""What stands behind an operation that a report calls past: "s/p cholecystectomy, liver cyst"."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.reports.language.assertion import Asserted
    from fvlm_data.reports.language.finding_sites import HeadSpan
    from fvlm_data.reports.language.phrase_matching import CueMatch
    from fvlm_data.reports.language.phrasebook import Phrasebook


def up_to_the_operation(
    cues: Sequence[CueMatch], spans: Sequence[HeadSpan], words: Sequence[str], book: Phrasebook
) -> list[CueMatch]:
    """Cues, of which those of a state after something end at a comma where that is an operation.

    "Status post pneumonia, empyema" lists what is past; what is behind the comma of "status post
    mastectomy, new lesion of T8" or "s/p radiation for lung cancer, effusion" is there.
    """
    made = []
    for cue in cues:
        if cue.cue.category == "historical" and cue.cue.direction == "forward" and cue.cue.reach:
            # "prior cholecystectomy and ascites"
            told = next((span for span in spans if span.start >= cue.end), None)
            if told is not None and any(book.terms[term].lasting for term in told.terms):
                reach = max(1, min(cue.cue.reach, told.end - cue.end))
                cue = replace(cue, cue=replace(cue.cue, reach=reach))
        ends = cue.cue.without_company and cue.cue.category == "historical"
        if ends and _of_operation(cue.end, spans, words, book):
            made.append(replace(cue, cue=replace(cue.cue, local=True)))
        else:
            made.append(cue)
    return made


def devices_apart(
    said: Sequence[Asserted], spans: Sequence[HeadSpan], words: Sequence[str], book: Phrasebook
) -> list[Asserted]:
    """What is asserted, where no denial of findings runs on to a device or an operation.

    "No nodes, no lung nodules, port on the right": a list that denies devices names them first, or
    ends in "or". So do lists of what is seldom denied ("no effusion, osteopenia").
    """
    made = list(said[: len(spans)])
    for i, (one, span) in enumerate(zip(said, spans, strict=False)):
        own_word = _own_word(span, words, book)
        if one.status != "absent" or one.cue is None or not (own_word or _apart(span, book)):
            continue
        before = [
            other
            for other, told in zip(spans[:i], made, strict=False)
            if other.start >= one.cue[1] and told.status == "absent"
        ]
        listed = words[one.cue[1] : span.start]
        first = before[-1].end if before else one.cue[1]
        if (
            (before or own_word)
            and not any(_apart(other, book) for other in before)
            and "," in words[first : span.start]
            and book.grammar.alternatives.isdisjoint((*listed, *words[span.end :]))
        ):
            made[i] = one._replace(status="present", rule="stated", cue=None)
    return made


def _own_word(span: HeadSpan, words: Sequence[str], book: Phrasebook) -> bool:
    """Whether it is the bare name of an anatomy, with a word for it behind: "nodes reactive"."""
    behind = words[span.end : span.end + 1]
    return bool(behind) and any(
        term in span.terms and behind[0] in telling for term, telling in book.described.values()
    )


def _apart(span: HeadSpan, book: Phrasebook) -> bool:
    """Whether a head is of what lists of denials seldom go on to."""
    terms = [book.terms[term] for term in span.terms]
    return bool(terms) and all(term.lasting or term.seldom_denied for term in terms)


def _of_operation(
    start: int, spans: Sequence[HeadSpan], words: Sequence[str], book: Phrasebook
) -> bool:
    """Whether what follows names an operation or a device, or no finding before its comma."""
    comma = next((i for i in range(start, len(words)) if words[i] == ","), len(words))
    here = [span for span in spans if start <= span.start < comma]
    if not here:
        return True
    first = here[0]
    treated = not book.grammar.purpose.isdisjoint(words[start : first.start])
    return treated or any(book.terms[term].lasting for term in first.terms)
