from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fvlm_data.phantom.draws import stream
from fvlm_data.phantom.patient import draw_patient
from fvlm_data.phantom.reports import abdomen_text, compose
from fvlm_data.reports import ReportParser
from fvlm_data.reports.config import ParseConfig
from fvlm_data.reports.language.assertion import limited
from fvlm_data.reports.language.medspacy_matching import MedspacyEngine, context_rule
from fvlm_data.reports.language.phrase_matching import Engine
from fvlm_data.reports.language.phrasebook import phrasebook
from fvlm_data.vocabulary import Vocabulary

if TYPE_CHECKING:
    from fvlm_data.reports.language.phrase_matching import CueMatch, Match

BOOK = phrasebook(Vocabulary.load())
CUE_WORDS = sorted({word for phrase in BOOK.cues for word in phrase})
WORDS = sorted({word for phrase in (*BOOK.targets, *BOOK.cues) for word in phrase} | {"_", "0"})


@pytest.fixture(scope="module")
def fast() -> Engine:
    return Engine(BOOK)


@pytest.fixture(scope="module")
def slow() -> MedspacyEngine:
    return MedspacyEngine(BOOK)


def matched(engine: Any, text: str) -> tuple[list[Any], list[Any]]:
    doc = engine.doc(BOOK.lexicon.words(text))
    targets: list[Match] = engine.targets(doc)
    cues: list[CueMatch] = engine.cues(doc)
    return (
        sorted((one.start, one.end, one.meanings, sorted(one.kinds)) for one in targets),
        sorted((one.start, one.end, one.cue) for one in cues),
    )


@pytest.mark.full
def test_tree_finds_what_medspacy_finds_in_reports(fast: Engine, slow: MedspacyEngine):
    found = 0
    for index in range(12):
        patient = draw_patient(20262, index)
        for study in (study for study in patient.studies if study.has_report):
            rng = stream(patient.seed, patient.index, 16, study.order)
            text = abdomen_text(compose(patient, study), rng)
            assert matched(fast, text) == matched(slow, text)
            found += len(matched(fast, text)[0])
    assert found > 300


def test_tree_finds_every_phrase(fast: Engine):
    asked = 0
    for words, meanings in BOOK.targets.items():
        tokens = BOOK.lexicon.words(" ".join(words))
        if tokens == words:
            asked += 1
            whole = [
                m for m in fast.targets(fast.doc(words)) if (m.start, m.end) == (0, len(words))
            ]
            assert [m.meanings for m in whole] == [meanings]
    assert asked > 0.95 * len(BOOK.targets)


@settings(max_examples=150, deadline=None)
@given(words=st.lists(st.sampled_from(WORDS), max_size=14))
def test_tree_finds_what_medspacy_finds_in_any_words(
    fast: Engine, slow: MedspacyEngine, words: list[str]
):
    text = " ".join(words)
    assert matched(fast, text) == matched(slow, text)


def test_reports_read_by_medspacys_matchers_are_read_alike(parser: ReportParser):
    by_medspacy = ReportParser(ParseConfig(engine="medspacy"))
    text = "FINDINGS: Small right pleural effusion. No nodule, possible hepatic cyst (12 mm)."
    assert parser.parse(text).findings
    assert by_medspacy.parse(text) == parser.parse(text)


def test_spacy_keeps_no_word_of_a_report(slow: MedspacyEngine):
    before = len(slow._strings)
    text = "Zyxomatous quizzical flumbergasted 4711 nodule in the lung of Erika Mustermann."
    assert matched(slow, text)[0]
    assert "mustermann" not in slow._strings
    assert len(slow._strings) == before


def by_context_graph(
    words: list[str], cues: list[CueMatch], scopes: list[tuple[int, int]]
) -> list[tuple[int, int]]:
    """Scopes as medspaCy's ConTextGraph limits them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from medspacy.context.context_graph import ConTextGraph
        from medspacy.context.context_modifier import ConTextModifier
    made = [
        ConTextModifier(
            context_rule(words[one.start : one.end], one.cue), one.start, one.end, None, *scope
        )
        for one, scope in zip(cues, scopes, strict=True)
    ]
    graph = ConTextGraph(modifiers=made)
    graph.update_scopes()
    return [modifier.scope_span for modifier in made]


@settings(deadline=None, max_examples=200)
@given(
    words=st.lists(st.sampled_from(["_", "0", *CUE_WORDS]), min_size=1, max_size=25),
    ends=st.lists(st.tuples(st.integers(0, 25), st.integers(0, 25)), min_size=80, max_size=80),
)
def test_scopes_are_limited_as_by_medspacy(
    fast: Engine, words: list[str], ends: list[tuple[int, int]]
):
    cues = [cue for cue in fast.cues(fast.doc(words)) if cue.cue.direction != "pseudo"][:80]
    scopes = [(min(a, b), max(a, b)) for (a, b), _ in zip(ends, cues, strict=False)]
    assert limited(cues, scopes) == by_context_graph(words, cues, scopes)
