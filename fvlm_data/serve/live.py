"""The store that is served: its tables one question at a time, and what was made of it, kept."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from fvlm_data.qc.made_of import inputs_key
from fvlm_data.qc.scenes import scene_of
from fvlm_data.qc.study_rows import read_studies
from fvlm_data.store.relations import Relations

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from fvlm_data.qc.config import QcConfig
    from fvlm_data.qc.scenes import Scene
    from fvlm_data.store.tables import Store
    from fvlm_data.vocabulary import Vocabulary

Made = TypeVar("Made")


class Kept(Generic[Made]):
    """The last few things that were made, by key; one is made at a time.

    So memory is bounded by `most` of them and the making of one.
    """

    def __init__(self, most: int) -> None:
        """Nothing is kept yet."""
        self._most = most
        self._made: OrderedDict[Hashable, Made] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """What was made for the key, making it where it is not kept; raises what `make` raises."""
        with self._lock:
            if key not in self._made:
                self._made[key] = make()
                if len(self._made) > self._most:
                    self._made.popitem(last=False)
            self._made.move_to_end(key)
            return self._made[key]

    def values(self) -> list[Made]:
        """What is kept now."""
        with self._lock:
            return list(self._made.values())


@dataclass(frozen=True, slots=True)
class Live:
    """A store with its vocabulary and the settings of its pages.

    Tables are read under `lock`: neither a store's list of versions nor a connection may be
    used by two threads at once.
    """

    store: Store
    vocabulary: Vocabulary
    config: QcConfig
    lock: threading.RLock = field(default_factory=threading.RLock)

    def version(self) -> str:
        """Hash of all that pages are made of, as the tables are now.

        Raises:
            StoreError: a table is missing or damaged.
        """
        with self.lock:
            return inputs_key(self.store, self.vocabulary, self.config)

    def rows(self, query: str, parameters: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Rows of a query over the newest tables; raises as `Relations.rows`."""
        with self.lock:
            return Relations(self.store).newest_rows(query, parameters)

    def ask(self, question: Callable[[Relations], Made]) -> Made:
        """The answer of a function to the newest tables; raises what it raises."""
        with self.lock:
            return question(Relations(self.store))

    def scene(self, volume_id: str) -> tuple[Scene, str | None] | None:
        """A volume with its label maps, and the region its header names; None: no such volume."""
        with self.lock:
            rows = self.store.read_items("volumes", "volume_id", [volume_id])
            if not rows:
                return None
            masks = self.store.read_items("masks", "volume_id", [volume_id])
        return scene_of(rows[0], masks), rows[0]["body_region_header"]

    def study(self, study_id: str) -> Any:
        """All rows of a study; None where no volume is of it."""
        with self.lock:
            (rows,) = read_studies(self.store, [study_id])
        return rows if rows.volumes else None
