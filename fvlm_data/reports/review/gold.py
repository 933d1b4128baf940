"""Reports as a person says they are to be read: gold to score by, and corrections to apply."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fvlm_data.errors import InputError
from fvlm_data.reports.language.records import (
    Change,
    Laterality,
    SectionName,
    Severity,
    Status,
)
from fvlm_data.reports.rows import document_sha256
from fvlm_data.vocabulary import OTHER_ABNORMALITY
from fvlm_data.vocabulary.overlay import meant

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from fvlm_data.reports.language.records import FindingMention
    from fvlm_data.vocabulary import Vocabulary

FORM = "expected an object with text and sentences (start, end, section, anatomies, findings)"


SIZE_TOLERANCE = 0.02
"""Share by which two sizes of one lesion may differ: that of rounding."""


class _Told(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    start: int | None = Field(default=None, ge=0)
    end: int | None = Field(default=None, ge=0)


class GoldFinding(_Told):
    """One mention; a side or size that is not given is not judged, one given as null is none.

    `start` and `end` are characters of the text, where it is told which words are meant.
    """

    finding: str
    anatomy: str
    status: Status
    laterality: Laterality | None = None
    severity: Severity | None = None
    size_mm: float | None = Field(default=None, gt=0)
    prior_size_mm: float | None = Field(default=None, gt=0)
    count: str | None = None
    location: str | None = None
    change: Change | None = None


class GoldSentence(_Told):
    """One sentence; section and anatomies that are not given are not judged."""

    start: int = Field(ge=0)
    end: int = Field(gt=0)
    section: SectionName | None = None
    anatomies: tuple[str, ...] | None = None
    normal: tuple[str, ...] | None = None
    """Anatomies that it calls normal; only corrections apply it."""
    findings: tuple[GoldFinding, ...] = ()
    wrong: tuple[GoldFinding, ...] = ()
    """Mentions that are not to be told; `findings` then come in their place, and all else stays as
    it is read. Only corrections take it."""

    @model_validator(mode="after")
    def _lies_in_order(self) -> GoldSentence:
        if self.start >= self.end:
            raise ValueError("end must be greater than start")
        return self


class GoldReport(BaseModel):
    """One report: its text or the SHA-256 of its text, or both, and its sentences."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    report_id: str | None = None
    document_sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    text: str | None = None
    sentences: tuple[GoldSentence, ...]

    @model_validator(mode="after")
    def _names_one_text(self) -> GoldReport:
        if self.text is None:
            if self.document_sha256 is None:
                raise ValueError("text or document_sha256 must be given")
            return self
        if self.document_sha256 not in (None, document_sha256(self.text)):
            raise ValueError("document_sha256 is that of another text")
        if any(sentence.end > len(self.text) for sentence in self.sentences):
            raise ValueError("a sentence ends behind the end of the text")
        return self

    @property
    def document(self) -> str:
        """SHA-256 of the text."""
        return self.document_sha256 or document_sha256(self.text or "")


def read_gold(
    path: Path, vocabulary: Vocabulary | None = None, *, texts: bool = True
) -> Iterator[tuple[int, GoldReport]]:
    """Read reports as a person corrected them: JSON objects, one a line (docs/reports.md).

    Yields line numbers, from 1, with their reports. With a vocabulary, findings and anatomies that
    it does not know are refused; with `texts` a line without its text is refused as well.

    Raises:
        InputError: the file is missing, or a line is of another form; the message names the line
            and the field.
    """
    if not path.is_file():
        raise InputError(f"gold file {path}: no such file; expected JSONL of the review page")
    with path.open(encoding="utf-8") as handle:
        for number, line in enumerate(handle, start=1):
            if not line.strip():
                continue
            try:
                report = GoldReport.model_validate_json(line)
            except ValidationError as error:
                raise _of_another_form(path, number, _first_fault(error)) from None
            if texts and report.text is None:
                raise _of_another_form(path, number, "text: not given")
            if texts and any(sentence.wrong for sentence in report.sentences):
                raise _of_another_form(path, number, "wrong: only corrections take it")
            if vocabulary is not None and (unknown := unknown_name(report.sentences, vocabulary)):
                raise _of_another_form(path, number, unknown)
            yield number, report


def _of_another_form(path: Path, number: int, what: str) -> InputError:
    return InputError(f"gold file {path}: line {number} is of another form; {FORM}; {what}")


def _first_fault(error: ValidationError) -> str:
    """Field and fault, without the value: it may be words of a report."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(map(str, first["loc"]))
    return f"{place}: {first['msg']}" if place else str(first["msg"])


def unknown_name(sentences: Sequence[GoldSentence], vocabulary: Vocabulary) -> str | None:
    """The first finding or anatomy that the vocabulary has not: where, and what may be meant."""
    anatomies = {anatomy.id for anatomy in vocabulary.anatomies}
    findings = {term.id for term in vocabulary.findings} | {OTHER_ABNORMALITY}
    for place, sentence in enumerate(sentences):
        named = [
            (f"{which}.{number}.{field}", name, known)
            for which, some in (("findings", sentence.findings), ("wrong", sentence.wrong))
            for number, one in enumerate(some)
            for field, name, known in (
                ("finding", one.finding, findings),
                ("anatomy", one.anatomy, anatomies),
            )
        ]
        listed = ((sentence.anatomies or ()), (sentence.normal or ()))
        named += [
            (f"{field}.{number}", name, anatomies)
            for field, names in zip(("anatomies", "normal"), listed, strict=True)
            for number, name in enumerate(names)
        ]
        for field, name, known in named:
            if name not in known:
                nearest = meant(name, sorted(known))
                return f"sentences.{place}.{field}: not in the vocabulary{nearest}"
    return None


class Paired(NamedTuple):
    """A mention of the gold beside that of the parse which it is; one of them may be none."""

    gold: GoldFinding | None
    found: FindingMention | None


def paired(gold: Iterable[GoldFinding], found: Iterable[FindingMention]) -> list[Paired]:
    """Mentions of one finding and anatomy beside each other, those most alike first."""
    left: dict[tuple[str, str], list[FindingMention]] = defaultdict(list)
    for mention in found:
        left[mention.finding, mention.anatomy].append(mention)
    asked: dict[tuple[str, str], list[GoldFinding]] = defaultdict(list)
    for one in gold:
        asked[one.finding, one.anatomy].append(one)
    made = []
    for name in sorted({*left, *asked}):
        made += _paired_alike(asked[name], left[name])
    return made


def _paired_alike(gold: list[GoldFinding], found: list[FindingMention]) -> list[Paired]:
    alike = sorted(
        ((-_likeness(g, f), i, j) for i, g in enumerate(gold) for j, f in enumerate(found))
    )
    taken: dict[int, int] = {}
    for _, i, j in alike:
        if i not in taken and j not in taken.values():
            taken[i] = j
    made = [Paired(g, found[taken[i]] if i in taken else None) for i, g in enumerate(gold)]
    return made + [Paired(None, f) for j, f in enumerate(found) if j not in taken.values()]


def _likeness(gold: GoldFinding, found: FindingMention) -> int:
    return (
        4 * (gold.status == found.status)
        + 2 * (gold.laterality == found.laterality)
        + same_size(gold.size_mm, found.size_mm)
    )


def same_size(one: float | None, other: float | None) -> bool:
    """Whether two sizes in mm are one, none equal to none."""
    if one is None or other is None:
        return one is other
    return abs(one - other) <= SIZE_TOLERANCE * max(one, other)
