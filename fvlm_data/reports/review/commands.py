"""What `fvlm-data reports` does beside reading: the review page, the score, the comparison."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING

from fvlm_data.errors import ConfigError, InputError
from fvlm_data.reports.review.page import review_page
from fvlm_data.reports.review.score import read_gold, score

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fvlm_data.reports.config import ParseConfig
    from fvlm_data.reports.llm.compare import Comparison
    from fvlm_data.reports.review.score import Score
    from fvlm_data.store.declared import Context
    from fvlm_data.vocabulary import Vocabulary

_SHOWN = 200


def write_review(
    context: Context, config: ParseConfig, vocabulary: Vocabulary, page: Path, limit: int
) -> int:
    """Write the review page of the first `limit` reports by id (a random draw: ids are hashes).

    Returns the number of reports on it.

    Raises:
        InputError: the store holds no report, or the page cannot be written.
    """
    from fvlm_data.reports.language.parser import ReportParser

    chosen = _texts(context, limit)
    parser = ReportParser(config, vocabulary)
    shown = ((report, text, parser.parse(text)) for report, text in chosen)
    html = review_page(shown, vocabulary)
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
        InputError: the file is missing or of another form.
    """
    from fvlm_data.reports.language.parser import ReportParser

    return score(list(read_gold(gold)), ReportParser(config, vocabulary).parse)


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
    yield from scored.disagreements[:_SHOWN]
    if len(scored.disagreements) > _SHOWN:
        yield f"... and {len(scored.disagreements) - _SHOWN} more; --json lists all"


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
        compared = compare(_texts(context, limit), parser, reader)
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


def _texts(context: Context, limit: int) -> list[tuple[str, str]]:
    """(report id, scrubbed text) of the first reports by id."""
    ids = sorted(context.store.read("reports", ["report_id"])["report_id"].to_pylist())[:limit]
    if not ids:
        raise InputError("the store holds no report; read some by fvlm-data reports FILE")
    rows = context.store.read_items("reports", "report_id", ids, ["report_id", "text"])
    return sorted((row["report_id"], row["text"]) for row in rows)
