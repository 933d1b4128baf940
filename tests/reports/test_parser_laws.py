"""What holds for every text: offsets, coverage, independence of order, survival."""

from __future__ import annotations

import logging
import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fvlm_data.reports import ParseConfig, ReportParser
from fvlm_data.reports.language.layout import laid_out, layout

if TYPE_CHECKING:
    from fvlm_data.reports import ParsedReport

PIECES = [
    "No pleural effusion.", "The liver is normal.", "FINDINGS:", "IMPRESSION:\n", "LUNGS: ", "\n\n",
    "It measures 1.5 x 2 cm.", "Cyst in the left kidney", " and ", ", ", "not seen", "?", "(", ")",
    "1. ", "- ", "<br>", "\u00e9\u00df\u4e2d", "\x00", "\u200b", "no", "Dr. ", "but", ";", ":",
    "5 mm", "Status post ", "spleen", "\t", "\r\n", "nodule", "\u2019", "cannot be excluded",
    "heart", "a" * 60,
]  # fmt: skip
REPORTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=12), max_size=25).map("".join)
GENTLE = settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def check(text: str, parsed: ParsedReport) -> None:
    covered = [False] * len(text)
    for sentence in parsed.sentences:
        assert text[sentence.start : sentence.end] == sentence.text
        assert sentence.text == sentence.text.strip()
        assert sentence.text
        assert list(sentence.anatomies) == sorted(set(sentence.anatomies))
        covered[sentence.start : sentence.end] = [True] * len(sentence.text)
    for header in parsed.headers:
        assert not any(covered[header.start : header.end])
        covered[header.start : header.end] = [True] * (header.end - header.start)
    plain = laid_out(text, layout(parsed.vocabulary))  # Line breaks written as two letters.
    assert len(plain) == len(text)
    assert all(done or letter.isspace() for done, letter in zip(covered, plain, strict=True))
    starts = [sentence.start for sentence in parsed.sentences]
    assert starts == sorted(starts)
    for mention in parsed.findings:
        home = parsed.sentences[mention.sentence]
        assert home.start <= mention.start < mention.end <= home.end
        assert mention.anatomy in home.anatomies


@GENTLE
@given(text=REPORTS)
def test_offsets_and_coverage(parser: ReportParser, text: str):
    check(text, parser.parse(text))


@GENTLE
@given(texts=st.lists(REPORTS, max_size=5))
def test_order_of_the_batch_does_not_matter(parser: ReportParser, texts: list[str]):
    forward = list(parser.parse_many(texts))
    backward = list(parser.parse_many(reversed(texts)))
    assert forward == backward[::-1]


@GENTLE
@given(text=REPORTS)
def test_memo_does_not_change_the_result(parser: ReportParser, fresh: ReportParser, text: str):
    assert parser.parse(text) == fresh.parse(text)


@GENTLE
@given(
    before=st.lists(
        st.sampled_from(["No effusion.", "Cyst in the liver.", "It is 4 mm."]), max_size=4
    ),
    last=st.sampled_from(["The spleen is normal.", "No nodule.", "It is stable."]),
)
def test_a_new_sentence_changes_no_earlier_one(parser: ReportParser, before: list[str], last: str):
    short = parser.parse(" ".join(before))
    longer = parser.parse(" ".join([*before, last]))
    count = len(short.sentences)
    assert longer.sentences[:count] == short.sentences
    assert tuple(m for m in longer.findings if m.sentence < count) == short.findings


def test_sentences_that_differ_in_numbers_keep_their_own_sizes_and_places(parser: ReportParser):
    for size in ("4", "12", "1.25", "123.5"):
        text = f"A {size} mm cyst in the left kidney."
        (cyst,) = parser.parse(text).findings
        assert cyst.size_mm == float(size)
        assert text[cyst.start : cyst.end] == "cyst"
        assert cyst.location is not None
        assert cyst.location in text


@pytest.fixture(scope="module")
def fresh() -> ReportParser:
    return ReportParser(ParseConfig(memo_sentences=0))


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n\t ",
        "\x00" * 50,
        "." * 3000,
        "No " * 2000,
        "Liver: " * 2000,
        "(" * 2000,
        "FINDINGS: " * 500,
        "x" * 50_000,
        "5 x " * 3000,
        "<" * 5000,
        "\ud800 unpaired surrogate in the liver",
        "\u202eright to left\u202c liver",
    ],
    ids=range(13),
)
def test_damaged_text_is_survived(parser: ReportParser, text: str):
    check(text, parser.parse(text))


def damaged(number: int) -> list[str]:
    """Texts that are cut, mixed up, doubled, mis-decoded, full of control characters or markup."""
    rng = random.Random(20261124)
    made = []
    for i in range(number):
        text = " ".join(rng.choice(PIECES) for _ in range(rng.randrange(0, 60)))
        match i % 8:
            case 0:
                text = text[rng.randrange(0, len(text) + 1) :]
            case 1:
                text = "".join(rng.sample(text, len(text)))
            case 2:
                text = text.encode("utf-8", "replace").decode("latin-1")
            case 3:
                text = "".join(c + chr(rng.randrange(0, 32)) for c in text)
            case 4:
                text = f"<html><p>{text.replace(' ', '<br/>')}</p" * rng.randrange(1, 4)
            case 5:
                text = text.upper() * rng.randrange(1, 20)
            case 6:
                text = "".join(chr(rng.randrange(0x20, 0x3000)) for _ in range(200)) + text
            case _:
                text = text.replace(
                    " ", rng.choice(["", "  ", "\n", "\t", "\u00a0", "\u200b", ","])
                )
        made.append(text)
    return made


def test_two_hundred_damaged_texts(parser: ReportParser):
    for text in damaged(200):
        check(text, parser.parse(text))


@pytest.mark.full
@pytest.mark.timeout(600)
def test_five_thousand_damaged_texts(parser: ReportParser):
    for text in damaged(5000):
        check(text, parser.parse(text))


def test_a_long_sentence_is_cut_at_blanks(parser: ReportParser):
    parsed = parser.parse("liver cyst " * 1000)
    assert len(parsed.sentences) > 5
    assert all(len(sentence.text) <= 1000 for sentence in parsed.sentences)
    assert all(
        sentence.text.endswith("t") or sentence.text.endswith("r") for sentence in parsed.sentences
    )


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_megabyte_of_garbage_does_not_stall(parser: ReportParser):
    text = "".join(chr(33 + (i * 7919) % 90) for i in range(1_000_000))
    check(text, parser.parse(text))


def test_no_log_line_holds_report_text(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
):
    from loguru import logger

    lines: list[str] = []
    sink = logger.add(lines.append, level=0, format="{message}")
    try:
        with caplog.at_level(logging.DEBUG):
            noisy = ReportParser()
            noisy.parse("FINDINGS: Zyxomatous nodule in the quizzical lung. Pneumonia?")
    finally:
        logger.remove(sink)
    out, err = capfd.readouterr()
    written = " ".join([*lines, caplog.text, out, err]).lower()
    assert "zyxomatous" not in written
    assert "quizzical" not in written


def test_the_splitter_of_medspacy_is_silenced():
    from loguru import logger

    parser = ReportParser(ParseConfig(engine="medspacy"))
    lines: list[str] = []
    sink = logger.add(lines.append, level=0, format="{message}")
    try:
        logger.patch(lambda record: record.update(name="PyRuSH.RuSH")).debug("token")
        from PyRuSH import RuSH  # noqa: F401 - its import is what would bring the logger back
    finally:
        logger.remove(sink)
    assert parser.parse("Nodule.").sentences
    assert not any("nodule" in line.lower() for line in lines)
