"""What `fvlm-data reports` does beside reading: the review page, the score, the comparison."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, Any

from fvlm_data.errors import ConfigError, InputError
from fvlm_data.reports.corrections.corrected import corrected
from fvlm_data.reports.corrections.overlay import unpacked
from fvlm_data.reports.review.gold import GoldReport, GoldSentence, read_gold
from fvlm_data.reports.review.page import review_page
from fvlm_data.reports.review.score import KINDS, score
from fvlm_data.reports.rows import document_sha256
from fvlm_data.review.doubted import read_doubted
from schemas.findings import CONFIDENCES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from fvlm_data.reports.config import ParseConfig
    from fvlm_data.reports.language.parsed import ParsedReport
    from fvlm_data.reports.llm.compare import Comparison
    from fvlm_data.reports.review.score import Score
    from fvlm_data.store.declared import Context
    from fvlm_data.vocabulary import Vocabulary

_SHOWN = 200


def write_review(
    context: Context,
    config: ParseConfig,
    vocabulary: Vocabulary,
    page: Path,
    limit: int,
    doubtful: Path | None = None,
) -> int:
    """Write the review page of the `limit` reports that are read least surely.

    Those with the most doubtful mentions come first, by the table of findings; reports of equal
    doubt by id (a random draw: ids are hashes). With `doubtful`, rows of `fvlm-eval doubtful`,
    those of which a model says otherwise, in its order. Returns the number of reports on it.

    Raises:
        InputError: the store holds no report, none that is doubted, or the page cannot be written.
    """
    from fvlm_data.reports.language.parser import ReportParser

    doubts = read_doubted(doubtful) if doubtful is not None else {}
    order = list(doubts) if doubts else doubtful_first(context)
    chosen = _texts(context, order[:limit])
    if not chosen:
        raise InputError(
            f"doubtful rows {doubtful}: none of the reports that they name is in the store"
        )
    parser = ReportParser(config, vocabulary)
    rows = context.store.read_items("corrections", "report_id", [report for report, _ in chosen])
    known = {(row["report_id"], row["document_sha256"]): row["sentences"] for row in rows}

    def read(report: str, text: str) -> ParsedReport:
        told = known.get((report, document_sha256(text)))
        parsed = parser.parse(text)
        return corrected(parsed, text, unpacked(told)) if told is not None else parsed

    shown = ((report, text, read(report, text)) for report, text in chosen)
    html = review_page(shown, vocabulary, doubts)
    try:
        page.write_text(html, encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"review page {page}: cannot be written ({type(error).__name__}); name another --page"
        ) from error
    return len(chosen)


def score_gold(config: ParseConfig, vocabulary: Vocabulary, gold: Path) -> Score:
    """Score the parser against the corrected reports of a file.

    Raises:
        InputError: the file is missing, of another form, or names what the vocabulary has not.
    """
    from fvlm_data.reports.language.parser import ReportParser

    reports = list(read_gold(gold, vocabulary))
    return score(reports, ReportParser(config, vocabulary).parse)


def write_gold(context: Context, path: Path) -> int:
    """Write the corrections that hold as gold, with their texts; returns their number.

    Raises:
        InputError: there is none, or the file cannot be written.
    """
    lines = gold_lines(context)
    try:
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"gold file {path}: cannot be written ({type(error).__name__}); name another"
        ) from error
    return len(lines)


def gold_lines(context: Context) -> list[str]:
    """The corrections that hold, with their texts, a line of JSON each.

    Raises:
        InputError: there is none.
    """
    rows = {row["report_id"]: row for row in context.store.read("corrections").to_pylist()}
    lines = [
        GoldReport(
            report_id=report,
            document_sha256=rows[report]["document_sha256"],
            text=text,
            sentences=sentences,
        ).model_dump_json(exclude_unset=True)
        for report, text in _texts(context, sorted(rows))
        if rows[report]["document_sha256"] == document_sha256(text)
        if (sentences := _whole(unpacked(rows[report]["sentences"]))) is not None
    ]
    if not lines:
        raise InputError(
            "the store holds no corrected report; name corrections by parse.corrections"
        )
    return lines


def _whole(sentences: tuple[GoldSentence, ...]) -> tuple[GoldSentence, ...] | None:
    """Sentences that are told as a whole; None where only mentions are said to be wrong.

    Nobody has said what else the sentence of such a mention tells.
    """
    whole = tuple(one for one in sentences if not one.wrong)
    return None if sentences and not whole else whole


def score_lines(scored: Score) -> Iterator[str]:
    """The figures, then what differs."""
    yield f"{scored.reports} reports, {scored.sentences} sentences"
    for name, value in (
        ("findings, macro F1", scored.finding_f1_macro),
        ("findings, worst F1", scored.finding_f1_worst),
        ("absent, F1", scored.absent_f1),
        ("status of found findings", scored.status_right),
        ("laterality", scored.laterality_right),
        ("anatomies, macro F1", scored.anatomy_f1_macro),
        ("anatomies exact", scored.anatomies_exact),
        ("anatomies exact where several", scored.several_anatomies_exact),
        ("sections", scored.sections_right),
        ("sentence spans", scored.spans_exact),
    ):
        yield f"  {name:32} {value:.3f}"
    yield f"  {'':32} {'right':>6} {'wrong':>6} {'missed':>6}  precision      recall         F1"
    for kind in KINDS:
        yield _counted(f"  {kind}s, all", scored.overall[kind])
        for one, told in scored.by[kind].items():
            yield _counted(f"    {one}", told)
    yield from scored.disagreements[:_SHOWN]
    if len(scored.disagreements) > _SHOWN:
        yield f"... and {len(scored.disagreements) - _SHOWN} more; --json lists all"


def _counted(name: str, told: Mapping[str, Any]) -> str:
    """Counts and shares of a class, with intervals of 95 %."""
    shares = "  ".join(
        f"{_share(told[one])} {_interval(told.get(f'{one}_95'))}"
        for one in ("precision", "recall", "f1")
    )
    counts = " ".join(f"{told[one]:6d}" for one in ("both", "parse_only", "gold_only"))
    return f"{name:34} {counts}  {shares}".rstrip()


def _share(value: float | None) -> str:
    return "   -" if value is None else f"{value:.2f}"


def _interval(bounds: Sequence[float] | None) -> str:
    return "         " if bounds is None else f"{bounds[0]:.2f}-{bounds[1]:.2f}"


def compare_backends(
    context: Context, config: ParseConfig, vocabulary: Vocabulary, limit: int
) -> Comparison:
    """Read the first `limit` reports by id with the rules and with the model.

    Answers of the model are kept in the store, so that none is asked for twice.

    Raises:
        ConfigError: no endpoint is configured.
        InputError: the store holds no report.
    """
    from fvlm_data.reports.language.parser import ReportParser
    from fvlm_data.reports.llm.compare import compare
    from fvlm_data.reports.llm.reader import LlmReader

    if config.llm is None:
        raise ConfigError("reports compare needs parse.llm.endpoint and parse.llm.model")
    parser = ReportParser(config, vocabulary)
    store = context.store

    def stored(path: str) -> bytes | None:
        return store.read_bytes(path) if store.exists(path) else None

    with closing(LlmReader(config.llm, parser, stored)) as reader:
        compared = compare(_texts(context, _ids(context)[:limit]), parser, reader)
    for path, content in compared.files.items():
        store.write_bytes(path, content)
    return compared


def comparison_lines(compared: Comparison) -> Iterator[str]:
    """Counts, then every difference: report, sentence, what, as the rules and as the model say."""
    yield (
        f"{compared.reports} reports: {compared.equal} read alike, {compared.unanswered} without "
        f"an answer, {len(compared.differences)} differences"
    )
    for reason, number in sorted(compared.refused.items()):
        yield f"  refused of the model's answers: {number} ({reason})"
    kinds = Counter(one.what for one in compared.differences)
    for what, number in kinds.most_common(20):
        yield f"  {number:5d} {what}"
    for one in compared.differences[:_SHOWN]:
        place = "report" if one.sentence is None else f"sentence {one.sentence}"
        yield f"{one.report_id} {place}: {one.what}: rules {one.rules}, model {one.llm}"


def doubtful_first(context: Context) -> list[str]:
    """Ids of all reports, by their numbers of mentions of low, then of medium confidence."""
    columns = ["report_id", "confidence"]
    unsure = [("confidence", "in", [level for level in CONFIDENCES if level != "high"])]
    found = context.store.read("findings", columns, unsure).to_pylist()
    counts = Counter((row["report_id"], row["confidence"]) for row in found)
    return sorted(
        _ids(context), key=lambda report: (-counts[report, "low"], -counts[report, "medium"])
    )


def _ids(context: Context) -> list[str]:
    ids = sorted(context.store.read("reports", ["report_id"])["report_id"].to_pylist())
    if not ids:
        raise InputError("the store holds no report; read some by fvlm-data reports FILE")
    return ids


def _texts(context: Context, ids: Sequence[str]) -> list[tuple[str, str]]:
    """(report id, scrubbed text) of reports, in the order of the ids."""
    rows = context.store.read_items("reports", "report_id", ids, ["report_id", "text"])
    texts = {row["report_id"]: row["text"] for row in rows}
    return [(report, texts[report]) for report in ids if report in texts]
