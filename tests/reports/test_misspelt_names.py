"""Names of the patient with a fault, initials, and dates in words: gone; medical words stay."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fvlm_data.reports.scrubbing.misspelt import one_letter_apart
from fvlm_data.reports.scrubbing.scrub import scrub
from fvlm_data.vocabulary import Vocabulary

EN, DE = Vocabulary.load("en"), Vocabulary.load("de")
PATIENT = ("Johnson Katherine", "1960-05-03")
TEXTS = Path(__file__).parent


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Mr. Jonhson has no nodule.", "Mr. [NAME] has no nodule."),  # two exchanged
        ("Compared with Jonson's last scan.", "Compared with [NAME]'s last scan."),  # one dropped
        ("The film of Johnsson is clear.", "The film of [NAME] is clear."),  # one doubled
        ("The film of Johnsen is clear.", "The film of [NAME] is clear."),  # one changed
        ("Patient JOHNSSON, no nodule.", "Patient [NAME], no nodule."),
        ("Katherina presented with cough.", "[NAME] presented with cough."),
    ],
)
def test_a_name_with_one_letter_wrong_is_gone(text: str, left: str):
    scrubbed = scrub(text, PATIENT, EN)
    assert (scrubbed.text, scrubbed.doubtful) == (left, ())


def test_where_nothing_tells_a_misspelt_name_it_is_doubtful():
    text = "no nodule, jonhson"
    scrubbed = scrub(text, PATIENT, EN)
    assert scrubbed.text == text
    assert [text[start:end] for start, end in scrubbed.doubtful] == ["jonhson"]
    assert scrub(text, PATIENT, EN, remove_doubtful=True).text == "no nodule, [NAME]"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Fleischer Anna", "By the criteria of Fleischner no follow-up."),
        ("Kelley Anna", "There are Kerley lines."),
        ("Morrison Anna", "Fluid in the pouch of Morison."),
        ("Stamford Anna", "A dissection of type Stanford A."),
        ("Marchi Anna", "Compared with 14 March."),
        ("Lungren Anna", "The lungs are clear."),
        ("Martin Anna", "The margin is smooth."),
        ("Braun Anna", "The brain is normal."),  # five letters: too short
    ],
)
def test_words_of_medicine_are_no_misspelt_names(name: str, text: str):
    scrubbed = scrub(text, [name], EN)
    assert (scrubbed.text, scrubbed.doubtful) == (text, ())


def test_no_report_of_our_sets_loses_a_word_to_names_that_are_almost_medical():
    """Surnames one letter from words of these texts, found by going through 88,799 of them."""
    names = [
        "Whitten", "Auguste", "Novembre", "Nessen", "Carrier", "Ladner", "Bender", "Borden",
        "Chiles", "Laster", "Joiner", "Strunk", "Breeden", "Barela", "Clausing", "Arispe", "Owings",
        "Sigman", "Bodine", "Rawles", "Esplain", "Dupler", "Fleischer", "Kelley", "Morrison",
        "Stamford", "Marchi", "Donner", "Radicel", "Raisin", "Kinkin",
    ]  # fmt: skip
    texts = []
    for path in sorted(TEXTS.glob("*_lot.json")):
        texts += [one["text"] for one in json.loads(path.read_text("utf-8")) if "text" in one]
    whole = "\n\n".join(texts)
    assert len(whole) > 20_000
    bare = scrub(whole, [], EN).text
    assert scrub(whole, names, EN).text == bare


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        ("johnson", "jonhson", True), ("johnson", "johnso", True), ("johnson", "xjohnson", True),
        ("johnson", "johnsen", True), ("johnson", "johnson", False), ("johnson", "jnohsno", False),
        ("johnson", "jonsen", False), ("abcdef", "abcdefgh", False),
    ],
)  # fmt: skip
def test_one_letter(one: str, other: str, apart: bool):
    assert one_letter_apart(one, other) is apart
    assert one_letter_apart(other, one) is apart


@pytest.mark.parametrize("text", ["Mr. J. K. Johnson", "Mr. J. S.", "Mr. J.S.", "Mrs A.B.C. Doe"])
def test_initials_behind_a_title_are_gone(text: str):
    left = scrub(f"{text} came for a scan.", [], EN).text
    assert left == "[NAME] came for a scan."


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("born on the third of May nineteen sixty", "born on the [DATE]"),
        ("Born May third, nineteen-sixty.", "Born [DATE]."),
        ("BORN ON THE THIRD OF MAY, 1960", "BORN ON THE [DATE]"),
        ("born the twenty-first of December two thousand and one", "born the [DATE]"),
        ("on the 3rd of May nineteen hundred and sixty", "on the [DATE]"),
        ("on the third of May", "on the [DATE]"),  # known of the patient
        (
            "the third may be a node, the second a cyst",
            "the third may be a node, the second a cyst",
        ),
        ("May twenty cysts be seen", "May twenty cysts be seen"),
        ("on the first of March it grew", "on the first of March it grew"),
    ],
)
def test_dates_in_words(text: str, left: str):
    assert scrub(text, PATIENT, EN).text == left


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("geboren am dritten Mai neunzehnhundertsechzig", "geboren am [DATE]"),
        ("geboren am einundzwanzigsten März 1960", "geboren am [DATE]"),
        ("am ersten Tag im Mai", "am ersten Tag im Mai"),
    ],
)
def test_german_dates_in_words(text: str, left: str):
    assert scrub(text, PATIENT, DE).text == left


def test_a_name_that_a_title_tells_is_gone_wherever_it_stands_again():
    text = "Mrs. Mustermann returned. Mustermann's liver is normal."
    assert scrub(text, [], EN).text == "[NAME] returned. [NAME]'s liver is normal."
