"""The reports stage: from report files to scrubbed texts, sentences and findings."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from fvlm_data.errors import StoreError
from fvlm_data.hashing import content_key
from fvlm_data.identity.ids import file_token, keyed_id, link_key
from fvlm_data.linking import read_joins
from fvlm_data.reports.language.reconcile import assessments
from fvlm_data.reports.llm.client import NoAnswerError
from fvlm_data.reports.llm.reading import Reading
from fvlm_data.reports.scrubbing.scrub import scrub
from fvlm_data.reports.sources import read_reports
from fvlm_data.reports.versions.corrections import replaced_reports, set_aside
from fvlm_data.reports.versions.original_reports import remember, remembered, withdraws
from fvlm_data.store.stage import Item, Outcome, Reject, Stage, guarded, reject
from schemas import Finding, Input, Link, Quarantined, Report, Sentence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from fvlm_data.reports.config import ParseConfig
    from fvlm_data.reports.language.parsed import ParsedReport
    from fvlm_data.reports.sources import ReportRow
    from fvlm_data.reports.sources.config import ReportSourceConfig
    from fvlm_data.reports.versions.original_reports import Original
    from fvlm_data.store.stage import Context
    from fvlm_data.vocabulary import Vocabulary

    Read = Callable[[str], Reading]

STAGE_VERSION = 4
BATCH_SIZE = 500
COMMIT_ROWS = 5000
"""Rows of a report file that are looked at and committed at once: the bound on memory."""
DISCOVERY = "discover_reports"


@dataclass(frozen=True, slots=True)
class _Offered:
    """One row of a report file under its ids; tokens of duplicates count on from `.1`.

    `file` is the token of its file, `path` the file's path relative to the source.
    """

    report_id: str
    token: str
    fingerprint: str
    file: str
    path: str
    row: ReportRow


def discover_reports(
    context: Context, sources: Sequence[ReportSourceConfig], naming: Any
) -> Counter[str]:
    """Look what the report files hold; keep originals in the vault, links and rows in tables.

    A report's id is a keyed hash of its links and text, so that it is the same wherever in
    whatever file it stands; a second identical row is set aside as a duplicate.

    Raises:
        InputError: a file cannot be read or has not the columns.
    """
    counts: Counter[str] = Counter()
    occurrences: Counter[str] = Counter()
    for source in sources:
        rows = read_reports(
            source.path,
            source.columns,
            kind=source.kind,
            mapping=source.mapping,
            encoding=source.encoding,
        )
        while chunk := list(islice(rows, COMMIT_ROWS)):
            offered = [_offered(context, source, naming, row, occurrences) for row in chunk]
            _commit_discovery(context, offered)
            counts["rows"] += len(offered)
    return counts


def reports_stage(config: ParseConfig, vocabulary: Vocabulary) -> Stage:
    """The stage that scrubs and parses every offered report."""
    settings = config.key_settings()

    def plan(context: Context) -> list[Item]:
        rows = context.store.read(
            "inputs", ["item", "fingerprint"], [("kind", "=", "report")]
        ).to_pylist()
        known = _known_identities(context)
        replaced = replaced_reports(context, vocabulary)
        return [
            Item(
                row["item"],
                content_key(
                    STAGE_VERSION,
                    settings,
                    vocabulary.sha256("reading"),
                    row["fingerprint"],
                    _identities_key(context, known.get(row["item"], ())),
                    list(replaced.get(row["item"], ())),
                ),
            )
            for row in rows
            if row["item"] is not None
        ]

    def run(context: Context, items: Sequence[Item]) -> Iterator[Outcome]:
        ids = [item.id for item in items]
        originals = remembered(context.vault, ids)
        known = _known_identities(context, ids)
        replaced = replaced_reports(context, vocabulary, ids)
        rows = context.store.read_items("inputs", "item", ids, ["item", "source"])
        files = {row["item"]: row["source"] for row in rows}

        def outcome(read: Read, item: Item) -> Outcome:
            original, source = originals.get(item.id), files.get(item.id, "")
            if item.id in replaced:
                return set_aside(item.id, replaced[item.id], source)
            if original is not None and withdraws(original, vocabulary):
                return _withdrawal(item.id, source)
            identities = known.get(item.id, set())
            return guarded(
                item, partial(_parse, read, vocabulary, item.id, original, identities, source)
            )

        yield from _outcomes(config, vocabulary, context, outcome, items)

    return Stage(
        "reports", ("reports", "sentences", "findings"), plan, run, BATCH_SIZE, derived=False
    )


def _outcomes(
    config: ParseConfig,
    vocabulary: Vocabulary,
    context: Context,
    outcome: Callable[[Read, Item], Outcome],
    items: Sequence[Item],
) -> Iterator[Outcome]:
    """Outcomes by the configured backend; requests to a language model overlap."""
    from fvlm_data.reports.language.parser import ReportParser

    parser = ReportParser(config, vocabulary)
    if config.backend == "rules" or config.llm is None:
        for item in items:
            yield outcome(lambda text: Reading(parser.parse(text)), item)
        return
    from fvlm_data.reports.llm.reader import LlmReader

    pool = ThreadPoolExecutor(config.llm.concurrency)
    with closing(LlmReader(config.llm, parser, context.store)) as reader:
        try:
            yield from pool.map(partial(outcome, reader.read), items)
        finally:
            pool.shutdown(cancel_futures=True)


def _parse(
    read: Read,
    vocabulary: Vocabulary,
    report_id: str,
    original: Original | None,
    identities: Iterable[str],
    source: str,
) -> Outcome:
    if original is None:
        return reject(
            report_id,
            "fault",
            "original_missing",
            f"report {report_id}: its text is not in the vault; expected the vault that was used "
            "when the file was read; name it by identity.vault or FVLM_VAULT and read it again",
        )
    text = scrub(original.text, {*identities, *original.identities}, vocabulary).text
    try:
        reading = read(text)
    except NoAnswerError as error:
        detail = f"report {report_id}: {error}; the next run asks again"
        missing = Reject("fault", "no_answer", detail, (source,))
        return Outcome(report_id, rejects=(missing,), retry=True)
    rows = _rows(report_id, text, reading.parsed, source)
    return Outcome(report_id, rows, files=reading.files)


def _withdrawal(report_id: str, source: str) -> Outcome:
    detail = (
        f"report {report_id}: it only withdraws earlier ones, which are set aside where "
        "they are known, with its id; nothing to do"
    )
    return reject(report_id, "out_of_scope", "withdrawal", detail, (source,))


def original_span(
    context: Context, vocabulary: Vocabulary, report_id: str, start: int, end: int
) -> str:
    """What stood in the original where [start, end) stands in the stored text.

    Made anew from what the vault keeps, which alone can tell it.

    Raises:
        StoreError: the vault does not hold the report.
    """
    original = remembered(context.vault, [report_id]).get(report_id)
    if original is None:
        raise StoreError(
            f"report {report_id}: not in the vault; expected the vault that was used when its "
            "file was read; name it by identity.vault or FVLM_VAULT"
        )
    identities = _known_identities(context, [report_id]).get(report_id, set())
    scrubbed = scrub(original.text, {*identities, *original.identities}, vocabulary)
    begin, stop = scrubbed.original_span(start, end)
    return original.text[begin:stop]


def _rows(report_id: str, text: str, parsed: ParsedReport, source: str) -> dict[str, list[Any]]:
    report = Report(
        report_id=report_id,
        text=text,
        sections=tuple(
            {"name": section.name, "start": section.start, "end": section.end}
            for section in parsed.sections
        ),
        source_files=(source,),
    )
    sentences = [
        Sentence(
            report_id=report_id,
            sentence=number,
            start=sentence.start,
            end=sentence.end,
            section=sentence.section,
            text=sentence.text,
            anatomies=tuple(said),
            assessments=tuple(said.values()),
        )
        for number, (sentence, said) in enumerate(
            zip(parsed.sentences, assessments(parsed), strict=True)
        )
    ]
    findings = {
        (m.sentence, m.start, m.end, m.finding, m.anatomy): Finding(
            report_id=report_id,
            sentence=m.sentence,
            start=m.start,
            end=m.end,
            finding=m.finding,
            anatomy=m.anatomy,
            status=m.status,
            laterality=m.laterality,
            severity=m.severity,
            size_mm=m.size_mm,
            count=m.count,
            location=m.location,
            change=m.change,
        )
        for m in parsed.findings
    }
    return {"reports": [report], "sentences": sentences, "findings": list(findings.values())}


def _offered(
    context: Context,
    source: ReportSourceConfig,
    naming: Any,
    row: ReportRow,
    occurrences: Counter[str],
) -> _Offered:
    key = context.vault.key
    file = file_token(key, naming, source.label, row.file)
    path = f"{source.label}/{row.file}" if source.path.is_dir() else source.label
    if row.fault is not None and not row.columns:
        token = keyed_id(key, "r", "row", source.label, row.file, str(row.row))
        return _Offered(token, token, token, file, path, row)
    links = sorted(f"{kind}:{value}" for kind, value in _hashed(context, row))
    columns = [f"{name}={text}" for name, text in sorted(row.columns.items())]
    if row.version.withdrawn:
        # It may hold the text of what it withdraws, or none.
        columns += ["withdrawn", row.version.document, row.issued]
    report_id = keyed_id(key, "r", *links, *columns)
    occurrences[report_id] += 1
    number = occurrences[report_id] - 1
    return _Offered(
        report_id=report_id,
        token=f"{report_id}.{number}",
        fingerprint=keyed_id(key, "r", "content", *columns, "identities", *row.identities),
        file=file,
        path=path,
        row=row,
    )


def _hashed(context: Context, row: ReportRow) -> set[tuple[str, str]]:
    """Kind and keyed hash of a row's links."""
    key = context.vault.key
    return {(kind, link_key(kind, value, issuer, key=key)) for kind, value, issuer in row.links}


def _commit_discovery(context: Context, offered: Sequence[_Offered]) -> None:
    """Originals to the vault first, then links and faults, the inputs rows last."""
    rejected = {one.token: fault for one in offered if (fault := _fault(one)) is not None}
    accepted = [one for one in offered if one.token not in rejected]
    remember(context.vault, {one.report_id: one.row for one in accepted})
    context.vault.remember_files({one.file: one.path for one in offered})
    links = [link for one in accepted for link in _links(context, one)]
    context.store.replace("links", [one.report_id for one in accepted], links)
    context.store.replace(
        "quarantine",
        [one.token for one in offered],
        list(rejected.values()),
        {"stage": DISCOVERY},
    )
    context.store.replace(
        "inputs",
        [one.token for one in offered],
        [_input(one, accepted=one.token not in rejected) for one in offered],
        {"kind": "report"},
    )


def _fault(offered: _Offered) -> Quarantined | None:
    if offered.row.fault is not None:
        kind, reason, detail = offered.row.fault
    elif not offered.row.version.withdrawn and not any(
        text.strip() for text in offered.row.columns.values()
    ):
        kind, reason, detail = (
            "fault",
            "empty_report",
            (f"row {offered.row.row} holds no text; expected a report; mend the file"),
        )
    elif not offered.row.links:
        kind, reason, detail = (
            "fault",
            "no_link",
            (
                f"row {offered.row.row} names no study; expected a study UID, an accession "
                "number or a volume name; mend the file"
            ),
        )
    elif not offered.token.endswith(".0"):
        kind, reason, detail = (
            "duplicate",
            "same_report",
            (f"row {offered.row.row} repeats report {offered.report_id}; nothing to do"),
        )
    else:
        return None
    return Quarantined(
        kind=kind,
        stage=DISCOVERY,
        item=offered.token,
        reason=reason,
        detail=detail,
        source_files=(offered.file,),
    )


def _input(offered: _Offered, *, accepted: bool) -> Input:
    return Input(
        kind="report",
        token=offered.token,
        source=offered.file,
        item=offered.report_id if accepted else None,
        fingerprint=offered.fingerprint,
        size_bytes=sum(len(text.encode()) for text in offered.row.columns.values()),
        modified_ns=0,
    )


def _links(context: Context, offered: _Offered) -> list[Link]:
    return [
        Link(
            owner_kind="report",
            owner_id=offered.report_id,
            kind=kind,
            value_hash=value,
            stated_by=offered.report_id,
        )
        for kind, value in sorted(_hashed(context, offered.row))
    ]


def _known_identities(
    context: Context, reports: Iterable[str] | None = None
) -> dict[str, set[str]]:
    """What the vault knows of the patients whom each report may be about.

    Where the tables know no patient, the images may have been refused: then their headers'
    names stand under the hashes of the report's links.
    """
    joins = read_joins(context.store, reports)
    owners: dict[str, set[str]] = {r: set(joined.patients) for r, joined in joins.items()}
    unknown = [report for report, patients in owners.items() if not patients]
    for link in context.store.read_items("links", "owner_id", unknown, ["owner_id", "value_hash"]):
        owners[link["owner_id"]].add(link["value_hash"])
    identities = context.vault.patient_identities(set().union(*owners.values()))
    return {
        report: {name for owner in mine for name in identities.get(owner, ())}
        for report, mine in owners.items()
    }


def _identities_key(context: Context, identities: Iterable[str]) -> str:
    return keyed_id(context.vault.key, "p", "identities", *sorted(identities))
