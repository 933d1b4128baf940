"""The stages of this folder, as the registry lists them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fvlm_data.errors import missing_input
from fvlm_data.store.declared import StageEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fvlm_data.store.declared import Context, Foreseen, Stage


def _versions(config: Any) -> Stage:
    from fvlm_data.reports.versions.stage import versions_stage

    vocabularies = config.vocabulary.load_all()
    return versions_stage(vocabularies.own, vocabularies.further)


def _reports(config: Any) -> Stage:
    from fvlm_data.reports.stage import reports_stage

    vocabularies = config.vocabulary.load_all()
    return reports_stage(config.parse, vocabularies.own, vocabularies.further)


def _check(config: Any) -> None:
    from fvlm_data.reports.sources import read_source

    config.vocabulary.load_all()

    for number, report in enumerate(config.reports):
        if not report.path.exists():
            raise missing_input(f"reports[{number}].path", report.path)
        if report.mapping is not None and not report.mapping.exists():
            raise missing_input(f"reports[{number}].mapping", report.mapping)
    for report in config.reports:
        next(read_source(report), None)


def _announce(config: Any) -> list[str]:
    """What the columns of the tables are used for, source by source."""
    from fvlm_data.reports.sources import told_columns

    lines = []
    for number, report in enumerate(config.reports):
        told = told_columns(
            report.path,
            report.columns,
            kind=report.kind,
            mapping=report.mapping,
            encoding=report.encoding,
        )
        for sentence, files in told.items():
            counted = f" ({files} files)" if files > 1 else ""
            lines.append(f"reports[{number}]{counted}, {sentence}")
    return lines


def _discover(context: Context, config: Any, progress: Callable[[int], None]) -> Mapping[str, int]:
    from fvlm_data.reports.discovery import discover_reports

    return discover_reports(context, config.reports, config.identity.source_names)


def _foresee(context: Context | None, config: Any) -> list[Foreseen]:
    from fvlm_data.reports.discovery import foresee_reports

    return foresee_reports(context, config.reports, config.identity.source_names)


def _check_corrections(config: Any) -> None:
    path = config.parse.corrections
    if path is None:
        return
    if not path.exists():
        raise missing_input("parse.corrections", path)
    from fvlm_data.reports.corrections.overlay import read_corrections

    for _ in read_corrections(path, config.vocabulary.load()):
        pass


def _discover_corrections(
    context: Context, config: Any, progress: Callable[[int], None]
) -> Mapping[str, int]:
    from fvlm_data.reports.corrections.overlay import discover_corrections
    from fvlm_data.review.standing import derive_effects

    vocabulary = config.vocabulary.load()
    derive_effects(context, vocabulary)
    return discover_corrections(context, config.parse.corrections, vocabulary)


VERSIONS = StageEntry(
    name="versions",
    build=_versions,
    commands=("reports",),
    check=_check,
    announce=_announce,
    discover=_discover,
    foresee=_foresee,
)
REPORTS = StageEntry(
    name="reports",
    build=_reports,
    commands=("reports",),
    check=_check_corrections,
    discover=_discover_corrections,
)
