"""The language of queries: what its words mean, and that the printed form means the same."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fvlm_data.errors import InputError
from fvlm_data.opened.search.parser import ALLOWED, parse
from fvlm_data.opened.search.query import PREFIXES, Age, Bound, Of, Query, Said, Without, Words
from fvlm_data.reports.language.records import Severity
from fvlm_data.vocabulary import Vocabulary
from schemas.findings import LATERALITIES

EN = Vocabulary.load()
EFFUSION = ("pleural_effusion",)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("pleural effusion", Said(EFFUSION)),
        (
            "Left  pleural effusions > 2 cm",
            Said(EFFUSION, side="left", sizes_mm=(Bound(">", 20.0),)),
        ),
        (
            "pleural effusion 20-30 mm",
            Said(EFFUSION, sizes_mm=(Bound(">=", 20.0), Bound("<=", 30.0))),
        ),
        (
            "pleural effusion at least 5mm and under 1.5 cm",
            Said(EFFUSION, sizes_mm=(Bound(">=", 5.0), Bound("<", 15.0))),
        ),
        ("no pneumothorax", Said(("pneumothorax",), "absent")),
        ("possible mild right pneumothorax", Said(("pneumothorax",), "uncertain", "right", "mild")),
        # by the vocabulary's words: a synonym, British spelling, an observation at an organ
        ("renal calculi", Said(("kidney_stone",))),
        ("oesophageal dilatation", Said(("esophageal_dilatation",))),
        ("cyst of 3", None),
        ("hepatic cyst", Said(("liver_cyst",))),
        # ids, as tables and pages show them
        ("kidney_stone", Said(("kidney_stone",))),
        ("effusion", Said(("pericardial_effusion", "pleural_effusion"))),
        ("pneumothorax or effusion", Said(("pneumothorax", "pericardial_effusion", *EFFUSION))),
        # names of findings that begin with a word that else stands before one
        ("no gallbladder", Said(("gallbladder_absent",))),
        ("age > 60", Age((Bound(">", 60.0),))),
        ("age 40 to 60 years", Age((Bound(">=", 40.0), Bound("<=", 60.0)))),
        ("female", Of("sex", ("f",))),
        ("sex F or O", Of("sex", ("f", "o"))),
        ("phase portal venous", Of("phase", ("portal_venous",))),
        ("region chest+abdomen", Of("region", ("chest+abdomen",))),
        ('manufacturer "GE, Medical" or Siemens', Of("manufacturer", ("ge, medical", "siemens"))),
        ('"Ground  glass, left"', Words("ground glass, left")),
        ("not no pneumothorax", Without(Said(("pneumothorax",), "absent"))),
    ],
)  # fmt: skip
def test_words_mean(text: str, meant: object):
    if meant is None:
        with pytest.raises(InputError):
            parse(text, EN)
    else:
        assert parse(text, EN).terms == (meant,)


def test_terms_are_joined_by_commas():
    text = "left pleural effusion > 20 mm, no pneumothorax, age > 60"
    assert str(parse(text, EN)) == text
    assert len(parse(text, EN).terms) == 3


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "plural effusion",
            "plural effusion is no finding .* did you mean pleural effusion",
        ),
        ("left pnuemothorax", "pnuemothorax is no .*did you mean pneumothorax"),
        ("zzzz", "within quotes"),
        ("manufactuer siemens", "did you mean manufacturer"),
        ("sex x", "sex x is not known; expected one of f, m, o"),
        ("phase portl venous", "did you mean portal_venous"),
        ("region chest+abdomin", "abdomin is not known; did you mean abdomen"),
        ("split", "split: expected one of train"),
        ("kernel", "kernel: expected a value"),
        ("age 60", "as age > 60"),
        ("age > 60 mm", "unit mm found"),
        ("pleural effusion > 20", "unit none found, expected mm or cm"),
        ("pleural effusion >", "expected a size behind the sign"),
        ("pleural effusion > 9999999 cm", "numbers up to 1000000"),
        ("no pleural effusion > 3 mm", "a size is of what is present"),
        ("pleural effusion > 3 mm pneumothorax", "add a comma"),
        ('"left', "not closed"),
        ('""', "expected words within"),
        ("age > 60,", "found an empty one"),
        ("", "found an empty one"),
        (",,", "found an empty one"),
        ("not not pneumothorax", "found two"),
        ("no", "no finding that is known"),
        ("x" * 2001, "at most 2000"),
    ],
)
def test_what_is_amiss_is_named(text: str, told: str):
    with pytest.raises(InputError, match=told):
        parse(text, EN)


NUMBERS = st.integers(0, 1_000_000_000).map(lambda n: n / 1000)
BOUNDS = st.builds(Bound, st.sampled_from([">", ">=", "<", "<="]), NUMBERS)
FINDINGS = st.lists(
    st.sampled_from([one.id for one in EN.findings]), min_size=1, max_size=3, unique=True
).map(tuple)
SIDES = st.none() | st.sampled_from(LATERALITIES)
SEVERITIES = st.none() | st.sampled_from(get_args(Severity))
SAID = st.builds(
    Said, FINDINGS, st.just("present"), SIDES, SEVERITIES, st.lists(BOUNDS, max_size=2).map(tuple)
) | st.builds(Said, FINDINGS, st.sampled_from(sorted(PREFIXES)), SIDES, SEVERITIES)
TEXTS = st.text("ab1 or,.<-é", min_size=1, max_size=12).map(lambda one: " ".join(one.split()))
PLAIN_WORDS = TEXTS.filter(lambda one: any(letter.isalnum() for letter in one))
WORDS = st.builds(Words, PLAIN_WORDS)
AGES = st.builds(Age, st.lists(BOUNDS, min_size=1, max_size=2).map(tuple))


def properties() -> st.SearchStrategy[Of]:
    def of(name: str) -> st.SearchStrategy[Of]:
        values = st.sampled_from(ALLOWED[name]) if ALLOWED[name] else PLAIN_WORDS
        return st.builds(Of, st.just(name), st.lists(values, min_size=1, max_size=2).map(tuple))

    return st.sampled_from(sorted(ALLOWED)).flatmap(of)


POSITIVE = SAID | WORDS | AGES | properties()
QUERIES = st.lists(POSITIVE | st.builds(Without, POSITIVE), min_size=1, max_size=4).map(
    lambda terms: Query(tuple(terms))
)


@settings(max_examples=60)
@given(QUERIES)
def test_a_printed_query_parses_to_itself(query: Query):
    assert parse(str(query), EN) == query


@settings(max_examples=60)
@given(st.text(' ",<>=abno0-9mletf', max_size=30))
def test_any_text_is_a_query_or_refused(text: str):
    try:
        query = parse(text, EN)
    except InputError:
        return
    assert parse(str(query), EN) == query
