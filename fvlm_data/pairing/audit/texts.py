"""Sentences and findings of many studies, and the two rules of the normal to read them by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fvlm_data.pairing.matching import read_texts

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from fvlm_data.pairing.anatomy_text import StudyText
    from fvlm_data.pairing.config import PairConfig
    from fvlm_data.store.tables import Store

STUDIES_AT_ONCE = 10_000
"""Studies in memory together: each part takes a pass over the tables of reports."""


def study_texts(
    store: Store, studies: Collection[str] | None = None
) -> Iterator[tuple[str, StudyText]]:
    """What the reports of the given studies say, or of all that have one, in order of ids."""
    rows = (
        store.read("study_reports").to_pylist()
        if studies is None
        else store.read_items("study_reports", "study_id", studies)
    )
    reports: dict[str, list[str]] = {}
    for row in sorted(rows, key=lambda row: (str(row["study_id"]), row["order"])):
        reports.setdefault(row["study_id"], []).append(row["report_id"])
    named = list(reports)
    for start in range(0, len(named), STUDIES_AT_ONCE):
        part = named[start : start + STUDIES_AT_ONCE]
        yield from read_texts(store, {study: reports[study] for study in part}).items()


def both_rules(config: PairConfig) -> tuple[PairConfig, PairConfig]:
    """The settings with our rule of the normal, and with the public code's."""
    stated, reference = (
        config.model_copy(update={"normal": rule}) for rule in ("stated", "reference")
    )
    return stated, reference
