from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fvlm_data.qc.report_html import report_html
from schemas.findings import STATUSES


class Spans(HTMLParser):
    """Text of the HTML, and text and attributes of each span in it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text = ""
        self.spans: list[tuple[str, dict[str, Any], str]] = []
        self._open: list[tuple[str, dict[str, Any], int]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open.append((tag, dict(attrs), len(self.text)))

    def handle_endtag(self, tag: str) -> None:
        opened, attributes, start = self._open.pop()
        assert opened == tag
        self.spans.append((tag, attributes, self.text[start:]))

    def handle_data(self, data: str) -> None:
        self.text += data


def finding(start: int, end: int, name: str = "cyst", **told: Any) -> dict[str, Any]:
    return {
        "start": start, "end": end, "finding": name, "anatomy": "liver", "status": "present",
        "laterality": None, "severity": None, "size_mm": None, "change": None, "confidence": None,
        **told,
    }  # fmt: skip


def sentence(start: int, end: int, *anatomies: str) -> dict[str, Any]:
    return {"start": start, "end": end, "anatomies": anatomies}


def spans(text: str, sentences: Any, findings: Any, sections: Any = ()) -> Spans:
    return Spans(str(report_html(text, sections, sentences, findings, {"liver": 3, "spleen": 5})))


def test_a_sentence_names_its_anatomies_and_its_mentions_their_finding_and_status():
    text = "FINDINGS: A cyst in the liver. No nodule."
    made = spans(
        text,
        [sentence(10, 30, "liver", "spleen"), sentence(31, 41)],
        [finding(12, 16, size_mm=7.5), finding(34, 40, "nodule", status="absent")],
        [{"name": "findings", "start": 10, "end": 41}],
    )
    assert made.text == text
    by_text = {text: (tag, attributes) for tag, attributes, text in made.spans}
    assert by_text["FINDINGS:"][1]["class"] == "header"
    assert by_text["A cyst in the liver."][1] == {
        "class": "sentence tinted c3",
        "data-anatomies": "liver spleen",
        "data-span": "10:30",
    }
    tag, told = by_text["cyst"]
    assert tag == "mark"
    assert (told["class"], told["data-findings"], told["data-anatomies"]) == (
        "mention present",
        "cyst",
        "liver",
    )
    assert told["data-at"] == "12"
    assert told["title"] == "cyst (liver): present, 7.5 mm"
    assert by_text["nodule"][1]["class"] == "mention absent"


def test_mentions_that_overlap_are_all_named():
    text = "calcified granuloma of the liver"
    made = spans(
        text,
        [sentence(0, 32, "liver")],
        [finding(0, 19, "granuloma"), finding(0, 9, "calcification")],
    )
    marks = {text: told["data-findings"] for tag, told, text in made.spans if tag == "mark"}
    assert marks == {"calcified": "granuloma calcification", " granuloma": "granuloma"}


@st.composite
def read_reports(draw: st.DrawFn) -> tuple[str, list[Any], list[Any], list[Any]]:
    """Any text, with any offsets, even those that overlap or lie across each other."""
    text = draw(st.text(st.sampled_from("ab<>&\"'\n /=;{}%"), max_size=40))
    places = st.tuples(st.integers(0, len(text)), st.integers(0, len(text))).map(sorted)
    sentences = [sentence(a, b, "liver") for a, b in draw(st.lists(places, max_size=4))]
    findings = [
        finding(a, b, status=draw(st.sampled_from(STATUSES)))
        for a, b in draw(st.lists(places, max_size=5))
    ]
    sections = [
        {"name": "findings", "start": a, "end": b} for a, b in draw(st.lists(places, max_size=3))
    ]
    return text, sentences, findings, sections


@given(read_reports())
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)
def test_the_html_shows_the_text_character_for_character(report: Any):
    made = spans(*report)
    assert made.text == report[0]
    assert {tag for tag, _, _ in made.spans} <= {"span", "mark"}
    assert {name for _, told, _ in made.spans for name in told} <= {
        "class", "data-anatomies", "data-at", "data-findings", "data-span", "tabindex", "title",
    }  # fmt: skip
