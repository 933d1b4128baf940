"""Some samples of one source or of several, behind the interface of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from fvlm_data.errors import InputError
from fvlm_data.shards import ShardDataset
from schemas.splits import SPLITS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from fvlm_data.shards import Sample
    from fvlm_train.data.windows import Array, Box, SampleSource


class ChosenSamples:
    """Samples by their source and their number in it."""

    def __init__(self, chosen: Sequence[tuple[SampleSource, int]]) -> None:
        """`chosen` holds one sample at least."""
        self._chosen = tuple(chosen)
        rows = [source.rows.slice(number, 1) for source, number in chosen]
        common = [n for n in rows[0].column_names if all(n in one.column_names for one in rows)]
        self.rows = pa.concat_tables(
            [one.select(common) for one in rows], promote_options="permissive"
        )

    def __len__(self) -> int:
        """Number of samples."""
        return len(self._chosen)

    def image_dtype(self, index: int) -> np.dtype[Any]:
        """As the source's."""
        source, number = self._chosen[index]
        return source.image_dtype(number)

    def read(
        self, index: int, box: Box | None = None, out: tuple[Array, Array] | None = None
    ) -> Sample:
        """As the source's."""
        source, number = self._chosen[index]
        return source.read(number, box, out)


def stored_samples(store: str, ids: Sequence[str]) -> ChosenSamples:
    """Samples of a store by study id or sample id, in the order of the ids.

    Raises:
        InputError: an id is of no sample.
    """
    sources = [ShardDataset(store, split) for split in SPLITS]
    places: dict[str, list[tuple[SampleSource, int]]] = {}
    for source in sources:
        rows = source.rows.select(["sample_id", "study_id"]).to_pylist()
        for number, row in enumerate(rows):
            for name in (row["sample_id"], row["study_id"]):
                places.setdefault(name, []).append((source, number))
    unknown = [one for one in ids if one not in places]
    if unknown:
        raise InputError(
            f"{unknown[0]}: neither a file or folder nor a study or sample of store {store} that "
            "has shards; `fvlm-data explain` tells of a study what became of it"
        )
    wanted = dict.fromkeys((id(s), n) for one in ids for s, n in places[one])
    by_id = {id(source): source for source in sources}
    return ChosenSamples([(by_id[source], number) for source, number in wanted])
