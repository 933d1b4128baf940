from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pytest

from fvlm_data.hashing import array_sha256
from fvlm_data.identity.ids import keyed_id, link_key
from fvlm_data.identity.vault import Vault
from fvlm_data.segment.discovery import discover_masks
from fvlm_data.segment.stage import segment_stage
from fvlm_data.store.commits import retire, settle, unsettle
from fvlm_data.store.declared import Context, Stage
from fvlm_data.store.planning import pending
from fvlm_data.store.tables import Store
from fvlm_data.vocabulary import Vocabulary
from schemas import Link, StoredFile, Volume

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fvlm_data.segment.config import SegmentConfig

EN = Vocabulary.load()

RAS = np.diag([2.0, 3.0, 4.0, 1.0])


def save(
    path: Path, data: np.ndarray[Any, Any], affine: np.ndarray[Any, Any], table: str = ""
) -> None:
    """A NIfTI file, with an XML label table in its header extension where one is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(data, affine)
    if table:
        extension = nib.nifti1.Nifti1Extension(0, table.encode())
        image.header.extensions.append(extension)
    nib.save(image, path)


def label_table(names: Mapping[int, str]) -> str:
    labels = "".join(
        f'<Label Key="{value}" Red="1" Green="0" Blue="0" Alpha="1"><![CDATA[{name}]]></Label>\n'
        for value, name in names.items()
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?> <CaretExtension><VolumeInformation Index="0">'
        f"<LabelTable>{labels}</LabelTable></VolumeInformation></CaretExtension>"
    )


def turned(
    data: np.ndarray[Any, Any], affine: np.ndarray[Any, Any], codes: str
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The same image in another axis order and direction."""
    from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

    change = ornt_transform(io_orientation(affine), axcodes2ornt(tuple(codes)))
    image = nib.Nifti1Image(data, affine).as_reoriented(change)
    return np.asarray(image.dataobj), np.asarray(image.affine)


@pytest.fixture
def kit() -> SimpleNamespace:
    """What tests of this folder share."""
    return SimpleNamespace(save=save, label_table=label_table, turned=turned, ras=RAS)


@dataclass
class Bench:
    """A store with volumes, as ingest would leave it."""

    context: Context

    def add_volume(
        self,
        image_hu: np.ndarray[Any, Any],
        affine: np.ndarray[Any, Any],
        *,
        volume_name: str = "",
        series_uid: str = "",
    ) -> str:
        key = self.context.vault.key
        sha = array_sha256(image_hu, affine)
        series = keyed_id(key, "se", volume_name or series_uid or sha)
        volume_id = keyed_id(key, "v", series, sha)
        path = f"volumes/{volume_id[2:4]}/{volume_id}.nii.gz"
        place = self.context.store.local_root / path
        save(place, image_hu.astype(np.int16), affine)
        row = Volume(
            volume_id=volume_id,
            patient_id="p_1",
            study_id=series.replace("se_", "st_"),
            series_id=series,
            path=path,
            source_files=(),
            shape=tuple(image_hu.shape),
            spacing_mm=tuple(float(s) for s in nib.affines.voxel_sizes(affine)),
            affine_ras=tuple(float(v) for v in affine.ravel()),
            orientation="".join(nib.aff2axcodes(affine)),
            content_sha256=sha,
            hu_min=int(image_hu.min()),
            hu_max=int(image_hu.max()),
            rescale_decision="already_hu",
            body_region_header=None,
            contrast_header=None,
            kernel=None,
            manufacturer=None,
            acquired_on=None,
            age_years=None,
            sex=None,
        )
        self.context.store.replace("volumes", [row.study_id], [row])
        content = place.read_bytes()
        told = StoredFile(
            path=path,
            stage="ingest",
            item=series,
            size_bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
        )
        self.context.store.replace("files", [series], [told], {"stage": "ingest"})
        names = {"volume_name": volume_name, "series_uid": series_uid}
        links = [
            Link(
                owner_kind="series",
                owner_id=series,
                kind=kind,
                value_hash=link_key(kind, name, key=key),
                stated_by=series,
            )
            for kind, name in names.items()
            if name
        ]
        self.context.store.replace("links", [series], links)
        return volume_id

    def segment(self, config: SegmentConfig, *, checks: bool = True) -> int:
        """Discover masks, then settle all that is to do; returns how many volumes that were."""
        discover_masks(self.context, config, EN, "token")
        return self.run(segment_stage(config, EN, checks=checks))

    def run(self, stage: Stage) -> int:
        """Settle all that is to do; returns how many items that were."""
        work = pending(self.context, stage)
        unsettle(self.context, stage.name, work.mended)
        retire(self.context, stage, work.obsolete)
        for batch in work.batches:
            settle(self.context, stage, batch)
        return sum(len(batch) for batch in work.batches)

    def rows(self, table: str) -> list[dict[str, Any]]:
        return self.context.store.read(table).to_pylist()

    def reasons(self) -> dict[str, str]:
        return {row["item"]: row["reason"] for row in self.rows("quarantine")}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    store = Store.create(tmp_path / "store")
    return Bench(Context(store, Vault.open(tmp_path / "vault"), "run"))
