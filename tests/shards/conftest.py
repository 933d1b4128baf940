from __future__ import annotations

import hashlib
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fvlm_data.hashing import array_sha256
from fvlm_data.identity.ids import keyed_id
from fvlm_data.identity.vault import Vault
from fvlm_data.segment.nifti import label_map_bytes
from fvlm_data.shards import ShardDataset
from fvlm_data.shards.check import unsettle_misplaced
from fvlm_data.shards.config import ShardConfig
from fvlm_data.shards.stage import shard_stage
from fvlm_data.shards.tidy import tidy_shards
from fvlm_data.store.commits import retire, settle, unsettle
from fvlm_data.store.declared import Context
from fvlm_data.store.planning import pending
from fvlm_data.store.tables import Store
from fvlm_data.vocabulary import Vocabulary
from schemas import AnatomyText, Mask, Split, StoredFile, Volume

if TYPE_CHECKING:
    from pathlib import Path

EN = Vocabulary.load()

CLASSES = {1: "liver", 2: "spleen", 3: "aorta"}
SMALL = ShardConfig(
    anatomies=("liver", "spleen", "kidney"),
    spacing_mm=(1.5, 1.5, 3.0),
    margin_slices=1,
    margin_pixels=2,
    samples_per_shard=3,
    slab_z=2,
    objects_per_array=2,
)


class World:
    """A store with volumes, masks, texts and splits, as the stages before shard leave it.

    Rows are gathered and written when the store is asked for: one commit a table, not a patient.
    """

    def __init__(self, store: Store, vault: Vault) -> None:
        self._context = Context(store, vault, "run")
        self._gathered: dict[tuple[str, str], dict[str, list[Any]]] = {}
        self.images: dict[str, np.ndarray[Any, Any]] = {}

    @property
    def store(self) -> Store:
        return self.context.store

    @property
    def context(self) -> Context:
        """With all that was added so far."""
        store = self._context.store
        for (table, stage), rows in self._gathered.items():
            also = {"stage": stage} if stage else None
            store.replace(table, rows, list(chain.from_iterable(rows.values())), also)
        self._gathered = {}
        return self._context

    def _add(self, table: str, item: str, rows: list[Any], stage: str = "") -> None:
        """Replace an item's rows, as `Store.replace` does."""
        self._gathered.setdefault((table, stage), {})[item] = rows

    def add(self, number: int, split: str = "train", classes: dict[int, str] = CLASSES) -> str:
        """Add one patient with one volume; returns the sample's id."""
        rng = np.random.default_rng(number)
        shape = (24 + number % 3, 22, 10 + number % 4)
        image = rng.integers(-1400, 600, shape).astype(np.int16)
        label = np.zeros(shape, np.uint8)
        label[3 : 9 - number % 3, 4:12, 2 : 7 + number % 2] = 1
        label[12:18, 6 : 14 + number % 5, 4:8] = 2
        label[20:22, 9:12, 1:9] = 3
        affine = np.diag([-1.0, -1.0, 2.0, 1.0])
        affine[:3, 3] = (10.0 + number, 20.0, -300.0)
        volume_id, study_id, patient_id = f"v_{number:02}", f"st_{number:02}", f"p_{number:02}"
        volume = self._volume(volume_id, study_id, patient_id, image, affine)
        self.images[volume_id] = image
        self.put(volume.path, "ingest", volume.series_id, label_map_bytes(image, affine))
        self._add("volumes", volume.study_id, [volume])
        self._masks(volume_id, label, affine, classes)
        self.texts(number, "normal")
        self._add("splits", patient_id, [Split(patient_id=patient_id, split=split, source="hash")])
        return keyed_id(self._context.vault.key, "sa", study_id, volume_id)

    def texts(self, number: int, word: str, **others: str) -> None:
        """Give a study its texts; `others` are texts of anatomies that are not sharded."""
        study_id = f"st_{number:02}"
        states = {"liver": "abnormal", "spleen": "normal_stated", "kidney": "not_mentioned"}
        states.update(dict.fromkeys(others, "abnormal"))
        self._add(
            "anatomy_texts",
            study_id,
            [
                AnatomyText(
                    study_id=study_id,
                    anatomy=anatomy,
                    text=f"{anatomy}: {others.get(anatomy, word)}.",
                    state=state,
                    signature=-7 if state == "abnormal" else 0,
                    findings=("cyst|present|left",) if state == "abnormal" else (),
                    labels=("cyst", "lesion") if state == "abnormal" else (),
                    sources=(),
                )
                for anatomy, state in states.items()
            ],
        )

    def run(self, config: ShardConfig = SMALL, tidy: bool = True) -> int:
        """Run the stage to its end; returns the number of samples that were to do."""
        stage = shard_stage(config, EN)
        unsettle_misplaced(self.context)
        work = pending(self.context, stage)
        unsettle(self.context, stage.name, work.mended)
        for batch in work.batches:
            settle(self.context, stage, batch)
        retire(self.context, stage, work.obsolete)
        if tidy:
            tidy_shards(self.context, keep_hours=0)
        return sum(len(batch) for batch in work.batches)

    def samples(self) -> dict[str, dict[str, Any]]:
        """Rows of table samples by id, less where they are placed."""
        rows = self.store.read("samples").to_pylist()
        placement = {"shard", "index", "offset_z"}
        return {
            row["sample_id"]: {k: v for k, v in row.items() if k not in placement} for row in rows
        }

    def _volume(
        self, volume_id: str, study_id: str, patient_id: str, image: Any, affine: Any
    ) -> Volume:
        return Volume(
            volume_id=volume_id,
            patient_id=patient_id,
            study_id=study_id,
            series_id=f"se_{volume_id}",
            path=f"volumes/{volume_id[-2:]}/{volume_id}.nii.gz",
            source_files=(),
            shape=image.shape,
            spacing_mm=(1.0, 1.0, 2.0),
            affine_ras=tuple(affine.ravel().tolist()),
            orientation="LPS",
            content_sha256=array_sha256(image),
            hu_min=int(image.min()),
            hu_max=int(image.max()),
            rescale_decision="per_slice",
            body_region_header=None,
            contrast_header=None,
            kernel="B30f",
            manufacturer=None,
            acquired_on=None,
            age_years=61.0,
            sex="F",
        )

    def put(self, path: str, stage: str, item: str, content: bytes) -> None:
        """Write a file as a stage does, with its row."""
        self._context.store.write_bytes(path, content)
        told = StoredFile(
            path=path,
            stage=stage,
            item=item,
            size_bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
        )
        self._add("files", item, [told], stage)

    def _masks(self, volume_id: str, label: Any, affine: Any, classes: dict[int, str]) -> None:
        path = f"masks/{volume_id[-2:]}/{volume_id}.total.nii.gz"
        self.put(path, "segment:total", volume_id, label_map_bytes(label, affine))
        first = Mask(
            volume_id=volume_id,
            task="total",
            class_system="totalsegmentator_v2",
            class_name="",
            class_value=0,
            voxels=1,
            volume_ml=1.0,
            bbox=(0, 0, 0, 1, 1, 1),
            touches_border=False,
            path=path,
            content_sha256=array_sha256(label),
            backend="precomputed",
            backend_version="1",
        )
        rows = [replace(first, class_name=name, class_value=v) for v, name in classes.items()]
        self._add("masks", volume_id, rows)


@pytest.fixture
def small() -> ShardConfig:
    return SMALL


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(Store.create(tmp_path / "store"), Vault.open(tmp_path / "vault"))


@pytest.fixture(scope="session")
def world_at() -> type[World]:
    """The class itself: `world_at(store, vault)`."""
    return World


@pytest.fixture
def mine(world: Any) -> ShardDataset:
    for number in range(3):
        world.add(number)
    world.run()
    return ShardDataset(world.store.url, "train")
