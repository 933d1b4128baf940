"""Stage `reports`: from reports as they came to scrubbed texts, sentences and findings."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from fvlm_data.errors import StoreError
from fvlm_data.reports.corrections.corrected import corrected
from fvlm_data.reports.corrections.overlay import unpacked as unpacked_sentences
from fvlm_data.reports.language.blanks import blanks, unfilled
from fvlm_data.reports.language.readable import Unread, too_long, unread
from fvlm_data.reports.llm.client import NoAnswerError
from fvlm_data.reports.llm.reading import ReportReading
from fvlm_data.reports.no_longer_offered import GONE
from fvlm_data.reports.rows import document_sha256, report_rows, told_of_report
from fvlm_data.reports.scrubbing.scrubber import Scrubber
from fvlm_data.reports.versions.corrections import Successor, set_aside
from fvlm_data.reports.versions.original_reports import unpacked, withdraws
from fvlm_data.store.declared import Outcome, Read, Reject, Stage, guarded, reject
from schemas import Measure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from fvlm_data.reports.config import ParseConfig
    from fvlm_data.reports.language.parser import ReportParser
    from fvlm_data.reports.versions.original_reports import Original
    from fvlm_data.store.declared import Batch, Inputs
    from fvlm_data.vocabulary import Vocabulary

    Reader = Callable[[str], ReportReading]

NAME = "reports"
STAGE_VERSION = 14
BATCH_SIZE = 2000
OTHER_TEXT = "correction_of_another_text"
OFFERED = "SELECT item FROM inputs WHERE kind = 'report' AND item IS NOT NULL"
OWNER_MARKS = (
    "SELECT owner_id, md5(string_agg(DISTINCT mark, ',' ORDER BY mark)) AS mark "
    "FROM identity_marks GROUP BY owner_id"
)
"""What all series together tell of each owner's names: one more series that tells the same ones
changes nothing, and a patient of ten thousand series is one row."""

_READS = (
    Read("offered", "inputs", "item", ("fingerprint",), "item", ("source",), "t.kind = 'report'"),
    Read("versions", "report_versions", "report_id", ("successor", "reason")),
    Read(
        "about",
        "report_matches",
        "report_id",
        ("owner_id",),
        carries=("owner_kind",),
        where="t.owner_kind IN ('patient', 'link')",
    ),
    Read("corrections", "corrections", "report_id", ("document_sha256", "sentences")),
    Read("marks", "owner_marks", "owner_id", ("mark",), "about.owner_id", ("owner_id",)),
)


def reports_stage(config: ParseConfig, vocabulary: Vocabulary) -> Stage:
    """The stage that scrubs and parses every offered report."""
    return Stage(
        name=NAME,
        version=STAGE_VERSION,
        settings={"parse": config.key_settings(), "vocabulary": vocabulary.sha256("reading")},
        tables=("reports", "sentences", "findings", "measures"),
        partition={"measures": {"stage": NAME}},
        items=OFFERED,
        views={"owner_marks": OWNER_MARKS},
        reads=_READS,
        make=partial(_outcomes, config, vocabulary),
        batch_size=BATCH_SIZE,
        derived=False,
        gone=GONE,
    )


@lru_cache(maxsize=2)
def _parser(config: ParseConfig, vocabulary: Vocabulary) -> ReportParser:
    """One parser a process: to build it takes as long as to read several hundred reports."""
    from fvlm_data.reports.language.parser import ReportParser

    parser = ReportParser(config, vocabulary)
    # its hundred thousand tuples live as long as the process: to have the collector look through
    # them again and again cost a quarter of the stage's time
    gc.freeze()
    return parser


def _outcomes(config: ParseConfig, vocabulary: Vocabulary, batch: Batch) -> Iterator[Outcome]:
    """Outcomes by the configured backend; requests to a language model overlap."""
    parser = _parser(config, vocabulary)
    originals = batch.originals(one.item for one in batch.inputs)
    names = batch.identities({row["owner_id"] for one in batch.inputs for row in one.rows["about"]})
    _check_names(batch.inputs, names)
    scrubber = Scrubber(vocabulary, config.doubtful_names)

    def outcome(read: Reader, one: Inputs) -> Outcome:
        kept = originals.get(one.item)
        original = unpacked(kept) if kept is not None else None
        known = {name for row in one.rows["about"] for name in names.get(row["owner_id"], ())}
        desk = _Desk(read, scrubber, batch.secret)
        return guarded(one.item, partial(_outcome, desk, one, original, known))

    if config.backend == "rules" or config.llm is None:
        for one in batch.inputs:
            yield outcome(lambda text: ReportReading(parser.parse(text)), one)
        return
    from fvlm_data.reports.llm.reader import LlmReader

    pool = ThreadPoolExecutor(config.llm.concurrency)
    with closing(LlmReader(config.llm, parser, batch.stored)) as reader:
        try:
            yield from pool.map(partial(outcome, reader.read), batch.inputs)
        finally:
            pool.shutdown(cancel_futures=True)


def _check_names(inputs: Iterable[Inputs], names: Mapping[str, Sequence[str]]) -> None:
    """Refuse a vault that lacks the names of a patient whose headers told them."""
    marked = {row["owner_id"] for one in inputs for row in one.rows["marks"]}
    unknown = sorted(marked - names.keys())
    if unknown:
        raise StoreError(
            f"vault: the names of {len(unknown)} patients are not in it that headers told "
            f"({unknown[0]}), expected those of all: reports would keep them; bring vault.sqlite "
            "back with `fvlm-data vault restore`, name the whole vault by identity.vault or "
            "FVLM_VAULT, or have it read the sources again with `fvlm-data vault relearn`"
        )


@dataclass(frozen=True, slots=True)
class _Desk:
    """What reports of a batch are read with; `secret` is the key of all ids."""

    read: Reader
    scrubber: Scrubber
    secret: bytes


def _outcome(
    desk: _Desk, one: Inputs, original: Original | None, identities: Iterable[str]
) -> Outcome:
    source = next((row["source"] for row in one.rows["offered"]), "")
    for row in one.rows["versions"]:
        if row["successor"] is not None:
            return set_aside(one.item, Successor(row["successor"], row["reason"]), source)
    if original is not None and withdraws(original, desk.scrubber.vocabulary):
        return _withdrawal(one.item, source)
    return _parse(desk, one, original, identities, source)


def _parse(
    desk: _Desk,
    one: Inputs,
    original: Original | None,
    identities: Iterable[str],
    source: str,
) -> Outcome:
    report_id = one.item
    if original is None:
        detail = (
            f"report {report_id}: its text is not in the vault; expected the vault that was used "
            "when the file was read; name it by identity.vault or FVLM_VAULT and read it again"
        )
        missing = Reject("fault", "original_missing", detail)
        return Outcome(report_id, rejects=(missing,), retry=True)
    long = too_long(original.text)
    if long is not None:
        return _unread(report_id, long, source, "fault")
    cleaned = desk.scrubber.cleaned(original, identities)
    measures = [
        Measure(stage=NAME, item=report_id, name=name, value=float(value))
        for name, value in cleaned.counts.items()
    ]
    if cleaned.held:
        return Outcome(report_id, {"measures": measures})
    try:
        reading = desk.read(cleaned.text)
    except NoAnswerError as error:
        detail = f"report {report_id}: {error}; the next run asks again"
        missing = Reject("fault", "no_answer", detail, (source,))
        return Outcome(report_id, rejects=(missing,), retry=True)
    not_ours = unread(cleaned.text, reading.parsed)
    if not_ours is not None:
        return _unread(report_id, not_ours, source, "out_of_scope")
    left = sum(1 for _ in unfilled(cleaned.text, blanks(desk.scrubber.vocabulary)))
    if left:
        measures.append(Measure(stage=NAME, item=report_id, name="unfilled_blanks", value=left))
    patients = {row["owner_id"] for row in one.rows["about"] if row["owner_kind"] == "patient"}
    parsed = reading.parsed
    for row in one.rows["corrections"]:
        # by its hash: what is said of one text is never said of another
        if row["document_sha256"] == document_sha256(cleaned.text):
            parsed = corrected(parsed, cleaned.text, unpacked_sentences(row["sentences"]))
        else:
            measures.append(Measure(stage=NAME, item=report_id, name=OTHER_TEXT, value=1.0))
    told = told_of_report(original, patients, desk.secret, desk.scrubber.vocabulary)
    rows = report_rows(report_id, cleaned.text, parsed, source, told)
    return Outcome(report_id, {**rows, "measures": measures}, files=reading.files)


def _unread(report_id: str, why: Unread, source: str, kind: str) -> Outcome:
    return reject(report_id, kind, why.reason, f"report {report_id}: {why.detail}", (source,))


def _withdrawal(report_id: str, source: str) -> Outcome:
    detail = (
        f"report {report_id}: it only withdraws earlier ones, which are set aside where "
        "they are known, with its id; nothing to do"
    )
    return reject(report_id, "out_of_scope", "withdrawal", detail, (source,))
