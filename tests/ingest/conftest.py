from __future__ import annotations

import shutil
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent))  # test modules share series.py

from fvlm_data.identity.vault import Vault
from fvlm_data.ingest.config import IngestConfig, SourceConfig
from fvlm_data.ingest.discovery.discover import discover
from fvlm_data.ingest.select_stage import select_stage
from fvlm_data.ingest.selection import SelectConfig
from fvlm_data.ingest.stage import ingest_stage
from fvlm_data.store.commits import retire, settle
from fvlm_data.store.declared import Context, Stage
from fvlm_data.store.planning import pending
from fvlm_data.store.tables import Store


@dataclass
class Ingested:
    """A store into which test folders are ingested, and questions to it."""

    folder: Path
    context: Context
    config: IngestConfig = field(default_factory=IngestConfig)
    naming: Any = "plain"
    select: SelectConfig = field(default_factory=SelectConfig)

    def run(self, *sources: SourceConfig) -> Counter[str]:
        counts = discover(self.context, sources, self.naming)
        return counts + self.settle(*sources)

    def settle(self, *sources: SourceConfig) -> Counter[str]:
        counts = self._settle(ingest_stage(self.config, sources))
        self._settle(select_stage(self.select))
        return counts

    def _settle(self, stage: Stage) -> Counter[str]:
        work = pending(self.context, stage)
        retire(self.context, stage, work.obsolete)
        counts: Counter[str] = Counter()
        for batch in work.batches:
            counts += settle(self.context, stage, batch)
        return counts

    def dicom(self, folder: Path) -> Counter[str]:
        return self.run(SourceConfig(kind="dicom", path=folder, name="hospital"))

    def rows(self, table: str) -> list[dict[str, Any]]:
        rows = self.context.store.read(table).to_pylist()
        return sorted(rows, key=lambda row: [repr(value) for value in row.values()])

    def volumes(self) -> list[dict[str, Any]]:
        return self.rows("volumes")

    def volume(self) -> dict[str, Any]:
        (row,) = self.volumes()
        return row

    def image(self, row: dict[str, Any]) -> NDArray[Any]:
        """Voxels (i, j, k) of a volume's file."""
        path = Path(self.context.store.location(row["path"]))
        return np.asarray(nib.load(path).dataobj)

    def reasons(self) -> dict[str, int]:
        """Number of files set aside, by `kind:reason`."""
        counts: Counter[str] = Counter()
        for row in self.rows("quarantine"):
            counts[f"{row['kind']}:{row['reason']}"] += len(row["source_files"])
        return dict(counts)

    def check_conserved(self) -> None:
        """Every file that was ever offered stands in exactly one place."""
        # a multi-frame file may hold several volumes of its series: it counts once
        pairs = {
            (row["series_id"], token) for row in self.volumes() for token in row["source_files"]
        }
        ended = Counter(token for _, token in pairs)
        ended.update(token for row in self.rows("quarantine") for token in row["source_files"])
        files = (row["token"] for row in self.rows("inputs") if row["kind"] == "file")
        assert ended == Counter(files)


@pytest.fixture(scope="session")
def make_ingested(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Ingested]:
    empty = tmp_path_factory.mktemp("template") / "store"
    Store.create(empty)

    def make(folder: Path) -> Ingested:
        shutil.copytree(empty, folder / "store")  # faster than making all tables
        context = Context(Store.open(folder / "store"), Vault.open(folder / "secrets"), "run")
        return Ingested(folder, context)

    return make


@pytest.fixture
def ingested(make_ingested: Callable[[Path], Ingested], tmp_path: Path) -> Ingested:
    return make_ingested(tmp_path)
