"""Discovery `corrections`: the lines of `parse.corrections`, as rows of table `corrections`."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from fvlm_data.errors import InputError
from fvlm_data.reports.corrections.reviewed import beside, reviewed_sentences
from fvlm_data.reports.review.gold import GoldReport, GoldSentence, read_gold
from fvlm_data.store.upkeep import erase_superseded
from schemas import Correction

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from fvlm_data.store.declared import Context
    from fvlm_data.vocabulary import Vocabulary

TABLE = "corrections"
_SENTENCES = TypeAdapter(tuple[GoldSentence, ...])


def read_corrections(path: Path, vocabulary: Vocabulary) -> Iterator[GoldReport]:
    """Lines of a file of corrections; their texts may be left out.

    Raises:
        InputError: a line is of another form, or gives two mentions of one finding and anatomy
            in a sentence without saying where each stands.
    """
    for number, report in read_gold(path, vocabulary, texts=False):
        for place, sentence in enumerate(report.sentences):
            names = Counter(
                (one.finding, one.anatomy, one.start, one.end) for one in sentence.findings
            )
            if any(times > 1 for times in names.values()):
                raise InputError(
                    f"corrections {path}: line {number}, sentences.{place}.findings: two mentions "
                    "of one finding and anatomy at one place; expected their own start and end"
                )
        yield report


def discover_corrections(
    context: Context, path: Path | None, vocabulary: Vocabulary
) -> Counter[str]:
    """Make table `corrections` hold the lines of the file, what review corrects, and no others.

    A line is of the reports whose scrubbed text has its hash, and of the report of its id while
    that is not read yet; of several lines of one report the last holds. What is of no report, or of
    one whose text has become another, is counted and not taken. Without a file the table is
    emptied. Of a sentence that both correct the file's line holds. Nothing is written where nothing
    differs.

    Raises:
        InputError: the file cannot be read.
    """
    lines = list(read_corrections(path, vocabulary)) if path is not None else []
    counts: Counter[str] = Counter()
    wanted: dict[str, Correction] = {}
    hashes = _hashes(context, lines)
    for line in lines:
        reports = _reports(line, hashes)
        counts["corrections"] += bool(reports)
        if not reports:
            other = line.report_id in hashes
            counts["corrections_of_another_text" if other else "corrections_of_no_report"] += 1
        for report in reports:
            wanted[report] = Correction(
                report_id=report, document_sha256=line.document, sentences=packed(line.sentences)
            )
    for (report, document), sentences in reviewed_sentences(context).items():
        told = wanted.get(report)
        if told is not None and told.document_sha256 != document:
            continue  # the file knows a later text
        counts["corrections_by_review"] += 1
        both = beside(unpacked(told.sentences) if told else (), sentences)
        wanted[report] = Correction(
            report_id=report, document_sha256=document, sentences=packed(tuple(both))
        )
    _write(context, wanted)
    return +counts


def packed(sentences: tuple[GoldSentence, ...]) -> str:
    """Sentences as they stand in the table: what is not given stays not given."""
    plain = _SENTENCES.dump_python(sentences, mode="json", exclude_unset=True)
    return json.dumps(plain, sort_keys=True)


def unpacked(sentences: str) -> tuple[GoldSentence, ...]:
    """Sentences from the table."""
    return _SENTENCES.validate_json(sentences)


def _hashes(context: Context, lines: Iterable[GoldReport]) -> dict[str, str]:
    """Hash of the text, by report, of all reports that lines may be of; blank where not read."""
    documents = {line.document for line in lines}
    named = {line.report_id for line in lines if line.report_id is not None}
    columns = ["report_id", "document_sha256"]
    offered = context.store.read_items("inputs", "item", named, ["item", "kind"])
    made = {row["item"]: "" for row in offered if row["kind"] == "report"}
    for column, values in (("report_id", named), ("document_sha256", documents)):
        for row in context.store.read_items("reports", column, values, columns):
            made[row["report_id"]] = row["document_sha256"]
    return made


def _reports(line: GoldReport, hashes: Mapping[str, str]) -> list[str]:
    made = [report for report, document in hashes.items() if document == line.document]
    if line.report_id is not None and hashes.get(line.report_id) == "":
        made.append(line.report_id)
    return made


def _write(context: Context, wanted: Mapping[str, Correction]) -> None:
    rows = context.store.read(TABLE).to_pylist()
    before = {row["report_id"]: Correction(**row) for row in rows}
    changed = {report for report, row in wanted.items() if before.get(report) != row}
    gone = before.keys() - wanted.keys()
    # a row that stands twice is no longer what was written
    changed |= {report for report, times in Counter(r["report_id"] for r in rows).items()
                if times > 1 and report in wanted}  # fmt: skip
    if changed or gone:
        kept = [wanted[report] for report in sorted(changed)]
        context.store.replace(TABLE, [*changed, *gone], kept)
    if gone or changed & before.keys():
        erase_superseded(context.store, TABLE)  # words of reports stand in it
