"""Hugging Face `datasets`: the texts as Parquet, one row an anatomy of a sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fvlm_data.export.source import Source
    from fvlm_data.export.target import Draft

SAMPLES_AT_ONCE = 1024
ROW_GROUP = 10_000
IDS = ("sample_id", "patient_id", "study_id", "volume_id")
COLUMNS = {
    "anatomies": ("anatomy", "anatomy that the image shows"),
    "texts": ("text", "what the reports say of it, identities replaced"),
    "states": ("state", "abnormal, normal_stated or not_mentioned"),
    "signatures": ("signature", "hash of the set of (finding, status, laterality); 0: empty"),
    "findings": ("findings", "that set: finding|status|laterality"),
    "labels": ("labels", "ids of findings present or uncertain, with what they imply"),
}
"""Columns of table `samples` that hold a list over anatomies: name and meaning of each here."""

APART = ("apart", "ids of studies that review holds to differ there, whatever the signatures say")


def write(source: Source, draft: Draft, progress: Callable[[int, int], None]) -> None:
    """Files data/<split>-00000-of-00001.parquet, and README.md, the dataset card that names them.

    Raises:
        StoreError: an index cannot be read.
    """
    done = 0
    for split, dataset in source.splits.items():
        with draft.open(path_of(split)) as handle:
            # no rows, only for the schema that the writer needs first
            first = long_rows(dataset.rows.slice(0, 0), source.apart)
            with pq.ParquetWriter(handle, first.schema, compression="zstd") as writer:
                for start in range(0, len(dataset), SAMPLES_AT_ONCE):
                    rows = dataset.rows.slice(start, SAMPLES_AT_ONCE)
                    writer.write_table(long_rows(rows, source.apart), row_group_size=ROW_GROUP)
                    done += rows.num_rows
                    progress(done, source.samples)
    draft.write("README.md", card(source).encode())


def path_of(split: str) -> str:
    """Where the rows of a split lie, by the naming of the Hugging Face hub."""
    return f"data/{split}-00000-of-00001.parquet"


def long_rows(samples: pa.Table, apart: Mapping[tuple[str, str], Sequence[str]]) -> pa.Table:
    """One row an anatomy from rows of table `samples`; `apart` as of the source."""
    samples = samples.combine_chunks()
    owners = pc.list_parent_indices(samples["anatomies"])
    columns = {name: samples[name].take(owners) for name in IDS}
    for source_name, (name, _) in COLUMNS.items():
        columns[name] = pc.list_flatten(samples[source_name])
    of = zip(columns["study_id"].to_pylist(), columns["anatomy"].to_pylist(), strict=True)
    held = [list(apart.get(one, ())) for one in of]
    columns[APART[0]] = pa.array(held, pa.list_(pa.string()))
    return pa.table(columns)


def card(source: Source) -> str:
    """The dataset card: which file is which split, and what the columns mean."""
    files = "\n".join(f"  - split: {s}\n    path: {path_of(s)}" for s in source.splits)
    meanings = "\n".join(f"- `{name}`: {meaning}" for name, meaning in (*COLUMNS.values(), APART))
    return (
        f"---\nconfigs:\n- config_name: default\n  data_files:\n{files}\n---\n\n"
        "# Texts of anatomies\n\nWhat reports of CT scans say, one row an anatomy of a scan; "
        "splits are by patient.\n\n"
        "- `sample_id`, `patient_id`, `study_id`, `volume_id`: keyed hashes\n"
        f"{meanings}\n"
    )
