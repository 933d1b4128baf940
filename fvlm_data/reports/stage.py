"""The reports stage: from report files to scrubbed texts, sentences and findings."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from fvlm_data.hashing import content_key
from fvlm_data.identity import file_token, keyed_id, link_key
from fvlm_data.linking import read_joins
from fvlm_data.reports.reconcile import assessments
from fvlm_data.reports.scrub import scrub
from fvlm_data.reports.sources import read_reports
from fvlm_data.stage import Item, Outcome, Stage, guarded, reject
from fvlm_data.vocabulary import vocabulary_sha256
from schemas import Finding, Input, Link, Quarantined, Report, Sentence

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from fvlm_data.reports.config import ParseConfig
    from fvlm_data.reports.parsed import ParsedReport
    from fvlm_data.reports.parser import ReportParser
    from fvlm_data.reports.source_config import ReportSourceConfig
    from fvlm_data.reports.sources import ReportRow
    from fvlm_data.stage import Context

STAGE_VERSION = 1
BATCH_SIZE = 500
DISCOVERY = "discover_reports"


@dataclass(frozen=True, slots=True)
class _Offered:
    """One row of a report file under its ids; tokens of duplicates count on from `.1`."""

    report_id: str
    token: str
    fingerprint: str
    source: str
    file: str
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
        offered = [
            _offered(context, source, naming, row, occurrences)
            for row in read_reports(source.path, source.columns)
        ]
        _commit_discovery(context, offered)
        counts["rows"] += len(offered)
    return counts


def reports_stage(config: ParseConfig) -> Stage:
    """The stage that scrubs and parses every offered report."""
    settings = config.model_dump(mode="json")

    def plan(context: Context) -> list[Item]:
        rows = context.store.read(
            "inputs", ["item", "fingerprint"], [("kind", "=", "report")]
        ).to_pylist()
        known = _known_identities(context)
        return [
            Item(
                row["item"],
                content_key(
                    STAGE_VERSION,
                    settings,
                    vocabulary_sha256(),
                    row["fingerprint"],
                    _identities_key(context, known.get(row["item"], ())),
                ),
            )
            for row in rows
            if row["item"] is not None
        ]

    def run(context: Context, items: Sequence[Item]) -> Iterator[Outcome]:
        from fvlm_data.reports.parser import ReportParser

        parser = ReportParser(config)
        ids = [item.id for item in items]
        originals = context.vault.reports(ids)
        known = _known_identities(context)
        files = {
            row["item"]: row["source"]
            for row in context.store.read_items("inputs", "item", ids, ["item", "source"])
        }
        for item in items:
            source = files.get(item.id, "")
            identities = known.get(item.id, ())
            make = partial(_parse, parser, item.id, originals.get(item.id), identities, source)
            yield guarded(item, make)

    return Stage(
        "reports", ("reports", "sentences", "findings"), plan, run, BATCH_SIZE, derived=False
    )


def _parse(
    parser: ReportParser,
    report_id: str,
    original: Mapping[str, str] | None,
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
    names = sorted(identities)
    columns = {name: scrub(text, names) for name, text in original.items()}
    if set(columns) == {"report"}:
        text = columns["report"]
        parsed = next(iter(parser.parse_many([text])))
    else:
        text, parsed = parser.parse_columns(columns)
    return Outcome(report_id, _rows(report_id, text, parsed, source))


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
    links = sorted(
        f"{kind}:{link_key(kind, value, issuer, key=key)}" for kind, value, issuer in row.links
    )
    columns = [f"{name}={text}" for name, text in sorted(row.columns.items())]
    report_id = keyed_id(key, "r", *links, *columns)
    occurrences[report_id] += 1
    number = occurrences[report_id] - 1
    return _Offered(
        report_id=report_id,
        token=f"{report_id}.{number}",
        fingerprint=keyed_id(key, "r", "content", *columns),
        source=source.label,
        file=file_token(key, naming, source.label, source.path.name),
        row=row,
    )


def _commit_discovery(context: Context, offered: Sequence[_Offered]) -> None:
    """Originals to the vault first, then links and faults, the inputs rows last."""
    rejected = {one.token: fault for one in offered if (fault := _fault(one)) is not None}
    accepted = [one for one in offered if one.token not in rejected]
    context.vault.remember_reports({one.report_id: one.row.columns for one in accepted})
    context.vault.remember_files({one.file: one.source for one in offered})
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
    if not any(text.strip() for text in offered.row.columns.values()):
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
    hashes = {
        (kind, link_key(kind, value, issuer, key=context.vault.key))
        for kind, value, issuer in offered.row.links
    }
    return [
        Link(
            owner_kind="report",
            owner_id=offered.report_id,
            kind=kind,
            value_hash=value,
            stated_by=offered.report_id,
        )
        for kind, value in sorted(hashes)
    ]


def _known_identities(context: Context) -> dict[str, set[str]]:
    """What the vault knows of the patients whose studies each report is joined to."""
    rows = context.store.read("volumes", ["study_id", "patient_id"]).to_pylist()
    patient_of = {row["study_id"]: row["patient_id"] for row in rows}
    identities = context.vault.patient_identities(set(patient_of.values()))
    known: dict[str, set[str]] = defaultdict(set)
    for report, joined in read_joins(context.store).items():
        for study in joined.studies:
            known[report].update(identities.get(patient_of.get(study, ""), ()))
    return known


def _identities_key(context: Context, identities: Iterable[str]) -> str:
    return keyed_id(context.vault.key, "p", "identities", *sorted(identities))
