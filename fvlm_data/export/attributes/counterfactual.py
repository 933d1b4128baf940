"""Pairs of a patient's studies that differ in a finding, out of what became of each finding."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fvlm_data.export.attributes.row import CounterfactualPair

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fvlm_data.export.change.row import ChangeRow
    from fvlm_data.store.relations import Relations

NORMAL = """
SELECT study_id, anatomy, sources FROM anatomy_texts WHERE state = 'normal_stated'
    AND study_id IN (SELECT unnest($studies))
"""

Normal = dict[tuple[str, str], tuple[str, ...]]
"""By study and anatomy that its reports call normal, the sentences that do."""


def normal_anatomies(tables: Relations, studies: list[str]) -> Normal:
    """Which anatomies the reports of studies call normal."""
    rows = tables.rows(NORMAL, {"studies": studies})
    return {(study, anatomy): tuple(sources) for study, anatomy, sources in rows}


def counterfactual(
    row: ChangeRow, normal: Mapping[tuple[str, str], tuple[str, ...]]
) -> CounterfactualPair | None:
    """The pair that a row of `export change` makes; none: not present in one and absent in one.

    A finding that a study does not mention is absent where its reports call the anatomy normal;
    silence alone says nothing.
    """
    before, now = (
        _absence(row, row.prior_study_id, row.prior_state, normal),
        _absence(row, row.study_id, row.state, normal),
    )
    if row.state == "present" and before:
        came_later, absence = True, before
    elif row.prior_state == "present" and now:
        came_later, absence = False, now
    else:
        return None
    without = row.prior_study_id if came_later else row.study_id
    denying = row.prior_sources if came_later else row.sources
    return CounterfactualPair(
        patient_id=row.patient_id,
        split=row.split,
        anatomy=row.anatomy,
        finding=row.finding,
        laterality=row.laterality,
        study_with=row.study_id if came_later else row.prior_study_id,
        study_without=without,
        days=-row.days if came_later else row.days,
        absence=absence,
        size_mm=row.size_mm if came_later else row.prior_report_size_mm,
        samples_with=row.sample_ids if came_later else row.prior_sample_ids,
        samples_without=row.prior_sample_ids if came_later else row.sample_ids,
        sources_with=row.sources if came_later else row.prior_sources,
        sources_without=denying if absence == "denied" else normal[without, row.anatomy],
        remarks=row.remarks,
    )


def _absence(
    row: ChangeRow, study: str, state: str, normal: Mapping[tuple[str, str], tuple[str, ...]]
) -> str:
    """How a study says that the finding is not there; empty: it does not."""
    if state == "absent":
        return "denied"
    stated = state == "not_mentioned" and (study, row.anatomy) in normal
    return "normal_stated" if stated else ""
