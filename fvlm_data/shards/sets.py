"""The sets of samples that a store holds in shards: with reports and masks, and without.

Each has a stage, a table, a folder, and a name under which the ledger keeps what table and folder
agreed on. Indexes, notes, tidying, joining and damage are the same for all.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SampleSet:
    """A set of samples: the stage that makes it, its table, its folder, its name in the ledger."""

    stage: str
    table: str
    folder: str
    agreed: str

    @property
    def tree_sql(self) -> str:
        """Path of the group that a row of the table lies in, in SQL."""
        return f"'{self.folder}/' || split || '/' || shard || '.zarr'"


LABELLED = SampleSet("shard", "samples", "shards", "tidy_shards")
UNLABELLED = SampleSet(
    "unlabelled", "unlabelled_samples", "shards/unlabelled", "tidy_unlabelled_shards"
)
SETS = (LABELLED, UNLABELLED)
