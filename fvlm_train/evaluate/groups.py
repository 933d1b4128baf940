"""The same scores by group of patients: sex, age band, manufacturer, kernel, contrast."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fvlm_data.store.tables import MARK, Store
from fvlm_train.evaluate.metrics import MacroScore, score_findings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fvlm_train.config import EvaluateConfig
    from fvlm_train.data.windows import SampleSource
    from fvlm_train.evaluate.scoring import Score

ATTRIBUTES = ("sex", "age", "manufacturer", "kernel", "contrast")
UNKNOWN = "unknown"

BAND_STARTS = (18, 40, 60, 80)
BANDS = ("below 18", "18 to 39", "40 to 59", "60 to 79", "80 and above")
"""Ages in years."""

Values = dict[str, dict[str, str]]
"""Attribute -> sample id -> value."""


@dataclass(frozen=True, slots=True)
class GroupScore:
    """One group: its samples and patients, and the mean AUC over findings that it has enough of."""

    attribute: str
    value: str
    samples: int
    patients: int
    macro: MacroScore


def sample_values(source: SampleSource, store: str, attributes: Sequence[str]) -> Values:
    """What each sample is of the attributes; contrast is known to a store, not to mere shards."""
    columns = [
        name
        for name in ("sample_id", "volume_id", "sex", "age_years", "manufacturer", "kernel")
        if name in source.rows.column_names
    ]
    contrast = _contrast(store) if "contrast" in attributes else {}
    rows = source.rows.select(columns).to_pylist()
    return {
        attribute: {row["sample_id"]: _value(row, attribute, contrast) for row in rows}
        for attribute in attributes
    }


def score_groups(
    scores: Sequence[Score], labels: Sequence[bool | None], values: Values, config: EvaluateConfig
) -> list[GroupScore]:
    """The groups of each attribute, in the order of their values; `labels` aligns with `scores`."""
    groups = []
    for attribute, value_of in values.items():
        for value in sorted({value_of[score.sample_id] for score in scores}, key=_place):
            inside = [value_of[score.sample_id] == value for score in scores]
            mine = [score for score, one in zip(scores, inside, strict=True) if one]
            theirs = [label for label, one in zip(labels, inside, strict=True) if one]
            groups.append(
                GroupScore(
                    attribute=attribute,
                    value=value,
                    samples=len({score.sample_id for score in mine}),
                    patients=len({score.patient_id for score in mine}),
                    macro=score_findings(mine, theirs, config)[1],
                )
            )
    return groups


def _contrast(store: str) -> dict[str, str]:
    if "://" not in store and not Path(store, MARK).exists():
        return {}
    rows = Store.open(store).read("volume_checks", ["volume_id", "contrast"]).to_pylist()
    return {row["volume_id"]: row["contrast"] for row in rows}


def _value(row: Mapping[str, Any], attribute: str, contrast: Mapping[str, str]) -> str:
    if attribute == "contrast":
        return contrast.get(row.get("volume_id", ""), UNKNOWN)
    if attribute == "age":
        age = row.get("age_years")
        return UNKNOWN if age is None else BANDS[bisect_right(BAND_STARTS, age)]
    return str(row.get(attribute) or UNKNOWN)


def _place(value: str) -> tuple[int, str]:
    """Bands by age, other values by name, what is not known last."""
    if value == UNKNOWN:
        return len(BANDS) + 1, value
    return (BANDS.index(value), value) if value in BANDS else (len(BANDS), value)
