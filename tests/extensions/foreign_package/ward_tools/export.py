"""Export `listing`: one line a sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from fvlm_data.export.entry import Export
from fvlm_data.export.source import index_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from fvlm_data.export.source import Source
    from fvlm_data.export.target import Draft


class ListingOptions(BaseModel):
    """Options of the command line."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    separator: str = Field(default=" ", description="between the words of a line")
    least_anatomies: int = Field(default=1, ge=1, description="samples with fewer are left out")


def write(
    source: Source, draft: Draft, progress: Callable[[int, int], None], options: ListingOptions
) -> None:
    lines = []
    for split, dataset in source.splits.items():
        for row in index_rows(dataset):
            if len(row["anatomies"]) >= options.least_anatomies:
                lines.append(options.separator.join([split, row["sample_id"], *row["anatomies"]]))
    draft.write("samples.txt", "".join(f"{line}\n" for line in lines).encode())
    progress(source.samples, source.samples)


LISTING = Export(
    help="One line a sample: split, id, anatomies.",
    write=write,
    options=ListingOptions,
    hint=lambda folder: f"sort {folder / 'samples.txt'}",
)
