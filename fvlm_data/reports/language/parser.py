"""The report parser: sections, sentences, findings, with context applied per report."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from fvlm_data.reports.config import ParseConfig
from fvlm_data.reports.language.analysed import Analysis, Head, SentenceAnalysis
from fvlm_data.reports.language.analysis import analyse, assert_target, read_words
from fvlm_data.reports.language.anatomy import joined
from fvlm_data.reports.language.decisions import STATED, Decision
from fvlm_data.reports.language.finding_sites import observed
from fvlm_data.reports.language.foreign import languages
from fvlm_data.reports.language.layout import laid_out, layout
from fvlm_data.reports.language.medspacy_matching import MedspacyEngine
from fvlm_data.reports.language.parsed import ParsedReport
from fvlm_data.reports.language.phrase_matching import Engine
from fvlm_data.reports.language.phrasebook import phrasebook
from fvlm_data.reports.language.records import (
    FindingMention,
    Header,
    Sentence,
    Verdict,
)
from fvlm_data.reports.language.references import by_context, referred
from fvlm_data.reports.language.sections import opening_section, section_headers, sections_of
from fvlm_data.reports.language.sentences import sentence_ends, sentence_spans
from fvlm_data.reports.language.sizes import change_of_sizes
from fvlm_data.reports.language.sub_headers import sub_headers
from fvlm_data.reports.language.unheaded import Telling, body_starts, telling
from fvlm_data.reports.sources.columns import joined_columns
from fvlm_data.vocabulary import OTHER_ABNORMALITY, Vocabulary

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from fvlm_data.reports.language.analysed import PhrasePlace
    from fvlm_data.reports.language.decisions import Rule
    from fvlm_data.reports.language.medspacy_matching import AnyEngine
    from fvlm_data.reports.language.phrasebook import Phrasebook
    from fvlm_data.reports.language.records import (
        Change,
        Laterality,
        Section,
        SectionName,
        Side,
        Status,
    )
    from fvlm_data.reports.language.sizes import Measured


@dataclass(frozen=True, slots=True)
class _Block:
    """Text between two headers, with what the headers say about it."""

    start: int
    end: int
    section: SectionName
    sites: tuple[str, ...]
    side: Side | None


class _Context(NamedTuple):
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


_TITLES = 10_000
"""Titles whose sides are remembered: they are few, whatever the sentences below them."""

_NOTHING = _Context((), (), None)


class _Told(NamedTuple):
    """What a head is about in its context, and the findings (id, anatomy, side) that it is."""

    head: Head
    sites: tuple[str, ...]
    findings: tuple[tuple[str, str, Side | None], ...]
    inherited: bool = False

    @property
    def anatomies(self) -> tuple[str, ...]:
        """Anatomies of the sites, sorted."""
        return _ids(self.sites)


@dataclass(slots=True)
class _Mention:
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
class _Said:
    """What a sentence says in its context: `normal` anatomies, and all that it speaks of."""

    mentions: tuple[_Mention, ...]
    normal: tuple[str, ...]
    anatomies: tuple[str, ...]
    side: Side | None = None
    """Side of what it tells, to which later sentences may refer ("ipsilateral")."""


class ReportParser:
    """Takes report texts apart. Build one in each process that parses; it is not pickled.

    The context-free analysis of a sentence is kept for the next report that holds the same
    sentence, its reading for the next sentence of the same canonical words, what that says for
    the next one in the same context (at most `config.memo_sentences` of each); results do not
    depend on it.
    """

    def __init__(
        self, config: ParseConfig | None = None, vocabulary: Vocabulary | None = None
    ) -> None:
        """Build the engine for a vocabulary, the built-in English one where none is given.

        Raises:
            ConfigError: the vocabulary is at fault.
        """
        self._config = config or ParseConfig()
        self.vocabulary = vocabulary or Vocabulary.load()
        self._book: Phrasebook = phrasebook(self.vocabulary)
        self._headers = section_headers(self.vocabulary)
        self._ends = sentence_ends(self.vocabulary)
        self._layout = layout(self.vocabulary)
        made = MedspacyEngine if self._config.engine == "medspacy" else Engine
        self._engine: AnyEngine = made(self._book)
        kept = lru_cache(maxsize=self._config.memo_sentences)
        reading_of = kept(lambda words: read_words(words, self._book, self._engine))
        known = languages(self.vocabulary)
        self._analyse = kept(lambda text: analyse(text, self._book, known, reading_of))
        self._title_side = lru_cache(maxsize=_TITLES)(
            lambda title: analyse(title, self._book, known, reading_of).reading.side
        )
        self._referred = kept(by_context)
        self._said = kept(lambda reading, context: _said(reading, context, self._book))

    def parse(self, text: str) -> ParsedReport:
        """Take one report apart; offsets are characters of `text`."""
        plain = laid_out(text, self._layout)
        openers = self._headers.find(plain)
        subs = sub_headers(plain, self._book, openers)
        body = body_starts(plain, openers, subs, lambda a, b: self._tellings(plain, a, b))
        opening = opening_section(openers)
        if body:
            openers = sorted((*openers, *body), key=lambda header: header.start)
            subs = sub_headers(plain, self._book, openers)
        headers = sorted((*openers, *subs), key=lambda header: header.start)
        sections = sections_of(plain, openers, opening)
        sentences: list[Sentence] = []
        findings: list[FindingMention] = []
        normal: list[Verdict] = []
        side: Side | None = None
        section: SectionName | None = None
        for block in self._blocks(plain, headers, sections):
            before: _Context | None = None
            if block.section != section:
                side, section = None, block.section
            for start, end in self._sentence_spans(plain, block.start, block.end):
                words = text[start:end]
                analysis = self._analyse(plain[start:end])
                reading = analysis.reading
                if reading.refers:
                    reading = self._referred(reading, side)
                context = _NOTHING if analysis.language else self._context(reading, block, before)
                index = len(sentences)
                said = self._said(reading, context)
                if said.side is not None and not analysis.reading.refers:
                    side = said.side
                sentences.append(
                    Sentence(words, start, end, block.section, said.anatomies, analysis.language)
                )
                findings += _placed(words, analysis, said, index, start)
                normal += [Verdict(anatomy, index) for anatomy in said.normal]
                before = context
        parsed = ParsedReport(
            headers=tuple(_plain(header) for header in headers if header.end > header.start),
            sections=tuple(sections),
            sentences=tuple(sentences),
            findings=tuple(findings),
            normal=tuple(normal),
            vocabulary=self.vocabulary,
            uncertain_counts=self._config.uncertain_is_abnormal,
        )
        return _with_contradictions(parsed)

    def parse_many(self, texts: Iterable[str]) -> Iterator[ParsedReport]:
        """Take many reports apart, in their order, one at a time."""
        for text in texts:
            yield self.parse(text)

    def parse_columns(self, columns: Mapping[str, str]) -> tuple[str, ParsedReport]:
        """Join a report that comes in columns (section name -> text), then take it apart.

        Returns the text, with a header line before each section, and its parse. The order of
        the columns does not matter.
        """
        text = joined_columns(columns)
        return text, self.parse(text)

    def assertion(self, sentence: str, target: str) -> Status:
        """What a sentence asserts of the first occurrence of `target` in it.

        Raises:
            ValueError: the target does not stand in the sentence.
        """
        place = sentence.lower().find(target.lower())
        if place < 0 or not target.strip():
            raise ValueError("the target does not stand in the sentence; give words of it")
        stop = place + len(target)
        for start, end in self._sentence_spans(sentence, 0, len(sentence)):
            if start <= place < end:
                return assert_target(
                    sentence[start : max(end, stop)],
                    place - start,
                    stop - start,
                    self._book,
                    self._engine,
                )
        return "present"

    def _tellings(self, text: str, start: int, end: int) -> list[Telling]:
        """What the sentences of a stretch of text tell, without their context."""
        return [
            telling(low, high, self._analyse(text[low:high]).reading.heads, text[low:high])
            for low, high in self._sentence_spans(text, start, end)
        ]

    def _sentence_spans(self, text: str, start: int, end: int) -> list[tuple[int, int]]:
        return sentence_spans(text, start, end, self._config.max_sentence_chars, self._ends)

    def _blocks(
        self, text: str, headers: list[Header], sections: list[Section]
    ) -> Iterator[_Block]:
        """Stretches of text between headers, in order."""
        section: SectionName = sections[0].name if sections else "findings"
        if headers and headers[0].section is not None and not text[: headers[0].start].strip():
            section = headers[0].section
        sites: tuple[str, ...] = ()
        side: Side | None = None
        start = 0
        for header in (*headers, None):
            end = header.start if header else len(text)
            if text[start:end].strip():
                yield _Block(start, end, section, sites, side)
            if header is None:
                return
            if header.section is not None:
                section, sites, side = header.section, (), None
            else:
                sites = header.anatomies
                side = self._title_side(text[header.start : header.end])
            start = header.end

    def _context(
        self, reading: SentenceAnalysis, block: _Block, before: _Context | None
    ) -> _Context:
        if reading.anatomies:
            side = reading.side or block.side
            return _Context(
                reading.sites,
                reading.anatomies,
                side,
                block.side,
                title_sites=block.sites,
                named=reading.named,
                titles=block.sites,
            )
        if block.sites:
            side = reading.side or block.side
            return _Context(
                block.sites, _ids(block.sites), side, block.side, titles=block.sites
            )
        if before is not None and self._config.carry_over and self._carries(reading, before):
            side = reading.side or (before.side if reading.carries else None)
            return _Context(before.sites, _ids(before.sites), side, inherited=True)
        return _Context((), (), reading.side)

    def _carries(self, reading: SentenceAnalysis, before: _Context) -> bool:
        """Whether a sentence goes on about what the one before was about."""
        return reading.carries or any(
            observed(head.observation, before.sites, self._book)
            for head in reading.heads
            if head.kind == "observation" and head.observation not in self._book.removals
        )


@lru_cache(maxsize=10_000)
def _ids(sites: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted({site.split(".")[0] for site in sites}))


def _with_contradictions(parsed: ParsedReport) -> ParsedReport:
    """Doubt the mentions of a finding that the report states and denies."""
    pairs = {
        status: {(m.finding, m.anatomy) for m in parsed.findings if m.status == status}
        for status in ("present", "absent")
    }
    if pairs["present"].isdisjoint(pairs["absent"]):
        return parsed
    opposed = {
        (one.finding, one.anatomy, sentence)
        for one in parsed.contradictions()
        for sentence in (one.denied_in, one.stated_in)
    }
    return replace(
        parsed,
        findings=tuple(
            _doubted(m) if (m.finding, m.anatomy, m.sentence) in opposed else m
            for m in parsed.findings
        ),
    )


def _doubted(mention: FindingMention) -> FindingMention:
    doubts = tuple(sorted({*mention.decided.doubts, "contradicted"}))
    return mention._replace(decided=mention.decided._replace(doubts=doubts))


def _plain(header: Header) -> Header:
    return Header(header.start, header.end, header.section, _ids(header.anatomies))


def _placed(
    text: str, analysis: Analysis, said: _Said, index: int, offset: int
) -> list[FindingMention]:
    """Mentions of a sentence at their place in its report."""
    made = []
    for one in said.mentions:
        if one.from_mm is not None and not _reaches(one, analysis.places[one.head].size):
            continue
        head, place = analysis.reading.heads[one.head], analysis.places[one.head]
        size = place.size
        if size.mm is None and one.sized_by is not None:
            other = analysis.places[one.sized_by[0]].size
            size = other if (other.mm or 0.0) >= one.sized_by[1] and not other.below else size
        told = place.location if one.located else None
        change = head.change
        if change is None and size.prior_mm is not None:
            change = _change_of_size(size)
        made.append(
            FindingMention(
                one.finding,
                one.anatomy,
                one.status,
                one.laterality,
                index,
                offset + place.start,
                offset + place.end,
                head.severity,
                size.mm,
                head.count,
                text[told[0] : told[1]] if told else None,
                change,
                size.prior_mm,
                _decision(one, head, place, text, offset),
            )
        )
    return made


def _change_of_size(size: Measured) -> Change | None:
    """What two sizes tell where no word does."""
    if size.mm is None or size.prior_mm is None or size.below:
        return None
    return change_of_sizes(size.mm, size.prior_mm)


def _decision(one: _Mention, head: Head, place: PhrasePlace, text: str, offset: int) -> Decision:
    """What a mention rests on; `text` is its sentence, which begins at `offset`."""
    doubts = head.doubts
    if one.inherited:
        doubts += ("inherited_anatomy",)
    cue = place.cue
    if cue is None:
        rule = one.rule or head.rule
        plain = rule == "stated" and not doubts
        return STATED if plain else Decision(rule, None, tuple(sorted({*doubts})))
    if "\n" in text[min(cue[0], place.start) : max(cue[1], place.end)]:
        doubts += ("two_lines",)
    at = (offset + cue[0], offset + cue[1])
    return Decision(one.rule or head.rule, at, tuple(sorted({*doubts})) if doubts else doubts)


def _reaches(one: _Mention, size: Measured) -> bool:
    """Whether a finding is of the size from which on it counts; what is denied has none."""
    large = size.mm is not None and size.mm >= (one.from_mm or 0.0) and not size.below
    return large or one.status == "absent"


def _said(reading: SentenceAnalysis, context: _Context, book: Phrasebook) -> _Said:
    """What a reading says in a context."""
    heads = reading.heads
    if not heads:
        return _Said((), (), context.anatomies, context.side)
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
    return _Said(tuple(mentions), tuple(sorted(normal)), about, side)


def _told_of(one: _Told) -> Iterable[tuple[str, str, Side | None]]:
    """Findings of a head; who denies one kind of a finding says nothing of the others."""
    kind_of = one.head.kind_of
    return [item for item in one.findings if item[0] not in kind_of] if kind_of else one.findings


def _in_context(head: Head, context: _Context, book: Phrasebook) -> _Told:
    """A head that names no site itself is about what its sentence is about."""
    if head.sites and head.kind != "finding":
        side = None if head.side or head.elsewhere else context.title_side
        if side and set(_ids(head.sites)) <= set(_ids(context.title_sites)):
            # "RIGHT KIDNEY: Normal. A stone in the lower calyx."
            sided = tuple((f, a, s or side) for f, a, s in head.findings)
            return _Told(head, head.sites, sided)
        return _Told(head, head.sites, head.findings)
    if head.kind == "finding" and head.observation and not head.sites and context.titles:
        # "ADRENALS: left nodule, kidneys normal"
        found = observed(head.observation, context.titles, book)
        if found:
            named = tuple([(term, anatomy, head.side) for term, anatomy in found])
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
) -> _Mention:
    """A finding of a head; a removed organ stays removed: "status post splenectomy" is present."""
    status = one.head.status
    rule: Rule | None = None
    if status == "historical" and book.terms[finding].lasting:
        status, rule = "present", "lasting"
    told = side and (anatomy in book.paired or finding in book.sided)
    laterality = referred(side, None) if told else None
    return _Mention(number, finding, anatomy, status, laterality, True, None, rule, one.inherited)


def _in_wholes(mentions: Sequence[_Mention], book: Phrasebook) -> list[_Mention]:
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
    mentions: list[_Mention], clauses: Sequence[int], heads: Sequence[Head], book: Phrasebook
) -> list[_Mention]:
    """What mentions are too where they are large: a lymph node of 10 mm is an enlarged one.

    Where the sentence says so itself ("enlarged node of 12 mm") the size is that one's; "no new
    adenopathy" beside it denies others.
    """
    made: list[_Mention] = []
    for one in mentions:
        rule = book.measured.get(one.finding)
        if rule is None:
            continue
        same = [other for other in mentions if other.finding == rule.finding]
        clause = clauses[heads[one.head].start]
        said = [m for m in same if m.status != "absent"]
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


def _others(told: list[_Told], mentions: list[_Mention], book: Phrasebook) -> list[_Mention]:
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
    made: dict[str, _Mention] = {}
    for number, one, status in uncovered:
        head = one.head
        for anatomy in one.anatomies:
            if anatomy not in covered and anatomy not in made:
                side = referred(head.side, None) if anatomy in book.paired else None
                made[anatomy] = _Mention(
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
