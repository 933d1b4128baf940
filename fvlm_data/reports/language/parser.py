"""The report parser: sections, sentences, findings, with context applied per report."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from fvlm_data.reports.config import ParseConfig
from fvlm_data.reports.language.analysed import Analysis, Head, SentenceAnalysis
from fvlm_data.reports.language.analysis import analyse, assert_target, read_words
from fvlm_data.reports.language.decisions import STATED, Decision
from fvlm_data.reports.language.finding_sites import observed
from fvlm_data.reports.language.foreign import languages
from fvlm_data.reports.language.in_context import Context, Mention, Said, ids_of, said_in
from fvlm_data.reports.language.layout import laid_out, layout
from fvlm_data.reports.language.medspacy_matching import MedspacyEngine
from fvlm_data.reports.language.parsed import ParsedReport
from fvlm_data.reports.language.phrase_matching import phrase_engine
from fvlm_data.reports.language.phrasebook import phrasebook
from fvlm_data.reports.language.records import (
    FindingMention,
    Header,
    Sentence,
    Verdict,
)
from fvlm_data.reports.language.references import by_context
from fvlm_data.reports.language.sections import opening_section, section_headers, sections_of
from fvlm_data.reports.language.sentences import sentence_ends, sentence_spans
from fvlm_data.reports.language.sizes import change_of_sizes
from fvlm_data.reports.language.sub_headers import sub_headers
from fvlm_data.reports.language.unheaded import Telling, body_starts, telling
from fvlm_data.reports.sources.columns import joined_columns
from fvlm_data.vocabulary import Vocabulary
from fvlm_data.vocabulary.wording import lowered

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from fvlm_data.reports.language.analysed import PhrasePlace
    from fvlm_data.reports.language.measured_heads import Measured
    from fvlm_data.reports.language.medspacy_matching import AnyEngine
    from fvlm_data.reports.language.phrasebook import Phrasebook
    from fvlm_data.reports.language.records import (
        Change,
        Section,
        SectionName,
        Side,
        Status,
    )


@dataclass(frozen=True, slots=True)
class _Block:
    """Text between two headers, with what the headers say about it."""

    start: int
    end: int
    section: SectionName
    sites: tuple[str, ...]
    side: Side | None


_TITLES = 10_000
"""Titles whose sides are remembered: they are few, whatever the sentences below them."""

_NOTHING = Context((), (), None)


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
        self._engine: AnyEngine = (
            MedspacyEngine(self._book)
            if self._config.engine == "medspacy"
            else phrase_engine(self.vocabulary)
        )
        kept = lru_cache(maxsize=self._config.memo_sentences)
        reading_of = kept(lambda words: read_words(words, self._book, self._engine))
        known = languages(self.vocabulary)
        self._analyse = kept(lambda text: analyse(text, self._book, known, reading_of))
        self._title_side = lru_cache(maxsize=_TITLES)(
            # "Rt. kidney:" has a dot between the side and its organ
            lambda title: (
                analyse(title.replace(".", " "), self._book, known, reading_of).reading.side
            )
        )
        self._referred = kept(by_context)
        self._said = kept(lambda reading, context: said_in(reading, context, self._book))

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
            before: Context | None = None
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
        place = lowered(sentence).find(lowered(target))
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

    def _context(self, reading: SentenceAnalysis, block: _Block, before: Context | None) -> Context:
        if reading.anatomies:
            side = reading.side or block.side
            return Context(
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
            return Context(block.sites, ids_of(block.sites), side, block.side, titles=block.sites)
        if before is not None and self._config.carry_over and self._carries(reading, before):
            side = reading.side or (before.side if reading.carries else None)
            return Context(before.sites, ids_of(before.sites), side, inherited=True)
        return Context((), (), reading.side)

    def _carries(self, reading: SentenceAnalysis, before: Context) -> bool:
        """Whether a sentence goes on about what the one before was about."""
        return reading.carries or any(
            observed(head.observation, before.sites, self._book)
            for head in reading.heads
            if head.kind == "observation" and head.observation not in self._book.removals
        )


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
    return Header(header.start, header.end, header.section, ids_of(header.anatomies))


def _placed(
    text: str, analysis: Analysis, said: Said, index: int, offset: int
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
        if size.mm is None and head.change == "stable" and one.status == "present":
            size = size._replace(mm=size.prior_mm)  # "the 5 mm nodule noted before is unchanged"
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


def _decision(one: Mention, head: Head, place: PhrasePlace, text: str, offset: int) -> Decision:
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


def _reaches(one: Mention, size: Measured) -> bool:
    """Whether a finding is of the size from which on it counts; what is denied has none."""
    large = size.mm is not None and size.mm >= (one.from_mm or 0.0) and not size.below
    return large or one.status == "absent"
