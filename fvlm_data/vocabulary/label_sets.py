"""Label sets: which findings make each label of a data set 1, and why (label_sets.yaml)."""

from __future__ import annotations

from pydantic import Field, RootModel

from fvlm_data.vocabulary.entry import Entry


class MappedLabel(Entry):
    """One label of a set."""

    any: tuple[str, ...] = Field(min_length=1, description="finding ids, one of which makes it 1")
    over_mm: float | None = Field(
        default=None, gt=0, description="size that a mention must exceed, mm"
    )
    why: str = Field(description="the convention and its reason")


class LabelSet(Entry):
    """The labels of one data set."""

    source: str = Field(description="publication of its authors")
    unmentioned: int = Field(
        default=0, ge=-1, le=0, description="value of what the report does not mention"
    )
    labels: dict[str, MappedLabel]
    not_told: dict[str, str] = Field(
        default_factory=dict, description="labels that no finding answers, and why"
    )


class LabelSets(RootModel[dict[str, LabelSet]]):
    """label_sets.yaml, by id: ct_rate, merlin, rad_chest_ct, and a user's own."""
