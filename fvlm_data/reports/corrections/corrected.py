"""A parsed report with the sentences that a person has corrected."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from fvlm_data.reports.language.decisions import CORRECTED
from fvlm_data.reports.language.records import FindingMention, Sentence, Verdict
from fvlm_data.reports.review.gold import paired

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from fvlm_data.reports.language.parsed import ParsedReport
    from fvlm_data.reports.review.gold import GoldFinding, GoldSentence

_DETAILS = ("laterality", "severity", "size_mm", "prior_size_mm", "count", "location", "change")
"""What a corrected mention keeps of the parser's where it does not say it itself."""


class _Read(NamedTuple):
    """A sentence with its mentions, and the anatomies that it calls normal."""

    sentence: Sentence
    findings: Sequence[FindingMention]
    normal: Sequence[str]


def corrected(parsed: ParsedReport, text: str, sentences: Iterable[GoldSentence]) -> ParsedReport:
    """The report with corrected sentences in place of those that they overlap.

    A correction tells all findings of its sentence; section, anatomies and verdicts that it does
    not give, and details of a mention, stay as the parser has them. Of one that tells `wrong`
    mentions these alone leave their sentence, and its findings take their places.
    """
    told = list(sentences)
    for gold in told:
        parsed = _without_wrong(parsed, gold)
    ours = [_of_parser(parsed, number) for number in range(len(parsed.sentences))]
    made: list[_Read] = []
    replaced: set[int] = set()
    for gold in (one for one in told if not one.wrong):
        touched = [
            number
            for number, one in enumerate(ours)
            if one.sentence.start < gold.end and gold.start < one.sentence.end
        ]
        replaced.update(touched)
        made.append(_corrected(gold, [ours[number] for number in touched], text))
    made += [one for number, one in enumerate(ours) if number not in replaced]
    made.sort(key=lambda one: (one.sentence.start, one.sentence.end))
    return replace(
        parsed,
        sentences=tuple(one.sentence for one in made),
        findings=tuple(
            mention._replace(sentence=number)
            for number, one in enumerate(made)
            for mention in one.findings
        ),
        normal=tuple(
            Verdict(anatomy, number) for number, one in enumerate(made) for anatomy in one.normal
        ),
    )


def _without_wrong(parsed: ParsedReport, gold: GoldSentence) -> ParsedReport:
    """The report with the findings of `gold` where the parser has those that it calls wrong."""
    wrong = {(one.start, one.end, one.finding, one.anatomy, one.status) for one in gold.wrong}
    findings: list[FindingMention] = []
    for mention in parsed.findings:
        read = (mention.start, mention.end, mention.finding, mention.anatomy, mention.status)
        if read not in wrong:
            findings.append(mention)
            continue
        made = [_mention(right, mention, gold) for right in gold.findings]
        findings += [one._replace(sentence=mention.sentence) for one in made]
    return replace(parsed, findings=tuple(findings))


def _of_parser(parsed: ParsedReport, number: int) -> _Read:
    return _Read(
        parsed.sentences[number],
        [m for m in parsed.findings if m.sentence == number],
        [verdict.anatomy for verdict in parsed.normal if verdict.sentence == number],
    )


def _corrected(gold: GoldSentence, touched: Sequence[_Read], text: str) -> _Read:
    first = touched[0].sentence if touched else None
    findings = list(_mentions(gold, [m for one in touched for m in one.findings]))
    about = {anatomy for one in touched for anatomy in one.sentence.anatomies}
    if gold.anatomies is not None:
        about = set(gold.anatomies)
    normal = {anatomy for one in touched for anatomy in one.normal}
    if gold.anatomies is not None:
        normal &= about
    if gold.normal is not None:
        normal = set(gold.normal)
    sentence = Sentence(
        text=text[gold.start : gold.end],
        start=gold.start,
        end=gold.end,
        section=gold.section or (first.section if first else "findings"),
        anatomies=tuple(sorted(about | normal | {m.anatomy for m in findings})),
    )
    return _Read(sentence, findings, sorted(normal))


def _mentions(gold: GoldSentence, ours: Sequence[FindingMention]) -> Iterator[FindingMention]:
    """The corrected mentions; one that the parser has just so stays as decided by it."""
    for told, mine in paired(gold.findings, ours):
        if told is not None:
            yield _mention(told, mine, gold)


def _mention(told: GoldFinding, mine: FindingMention | None, gold: GoldSentence) -> FindingMention:
    start, end = told.start, told.end
    if start is None or end is None or not gold.start <= start < end <= gold.end:
        start, end = (mine.start, mine.end) if mine else (gold.start, gold.end)
    details = {
        name: getattr(told if name in told.model_fields_set or mine is None else mine, name)
        for name in _DETAILS
    }
    made = FindingMention(
        finding=told.finding,
        anatomy=told.anatomy,
        status=told.status,
        sentence=0,
        start=start,
        end=end,
        decided=CORRECTED,
        **details,
    )
    if mine is not None and made == mine._replace(sentence=0, decided=CORRECTED):
        return mine
    return made
