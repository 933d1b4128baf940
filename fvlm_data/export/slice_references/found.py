"""References to images in the sentences of reports, by the words of a vocabulary."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fvlm_data.vocabulary.text_entries import ReferenceWords

Form = Literal["series_and_image", "bracketed_pair", "image"]


class Reference(NamedTuple):
    """A reference at characters [start, end) of a text; `series` is none where none is named."""

    start: int
    end: int
    form: Form
    series: int | None
    first: int
    last: int


class References:
    """Finds references by the words of a language; without words it finds none."""

    def __init__(self, words: ReferenceWords) -> None:
        """Take the words of references.yaml."""
        sign = rf"(?:[\s.:]*(?:{_any(words.number)}))?[\s.:]*"
        series = rf"(?<![^\W\d_])(?:{_any(words.series)}){sign}(?P<{{0}}>\d{{{{1,5}}}})"
        to = rf"\s*(?:[-\u2013\u2014]|(?:{_any(words.to)})\b)\s*"
        image = (
            rf"(?<![^\W\d_])(?:{_any(words.image)}){sign}"
            rf"(?P<{{0}}>\d{{{{1,5}}}})(?:{to}(?P<{{0}}_last>\d{{{{1,5}}}}))?"
        )
        joint = rf"(?:[\s,;:/-]|(?:{_any(words.joints)})\b)*"
        forms = [
            series.format("s1") + joint + image.format("i1"),
            image.format("i2") + joint + series.format("s2"),
            image.format("i3"),
        ]
        if words.bracketed_pairs:
            forms.append(r"\(\s*(?P<s4>\d{1,4})\s*/\s*(?P<i4>\d{1,5})\s*\)")
        # nothing makes it another number: "image 4.5", "slices 5 mm"
        units = rf"[\s-]*(?:{_any(words.units)})(?![^\W\d_])"
        self._pattern = re.compile(rf"(?:{'|'.join(forms)})(?!\d|[.,]\d|{units})", re.IGNORECASE)

    def of(self, text: str) -> Iterator[Reference]:
        """References of a text, in order."""
        for found in self._pattern.finditer(text):
            told = {name: int(value) for name, value in found.groupdict().items() if value}
            place = next(name[1] for name in told if name.startswith("i"))
            first = told[f"i{place}"]
            last = told.get(f"i{place}_last", first)
            form: Form = {"3": "image", "4": "bracketed_pair"}.get(place, "series_and_image")  # type: ignore[assignment]
            if first <= last:
                yield Reference(
                    found.start(), found.end(), form, told.get(f"s{place}"), first, last
                )


def _any(words: Iterable[str]) -> str:
    """One of the words, the longest first; of none nothing is found."""
    ordered = sorted(words, key=lambda word: (-len(word), word))
    return "|".join(r"\s+".join(map(re.escape, word.split())) for word in ordered) or r"(?!)"
