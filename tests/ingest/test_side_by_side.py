"""What is in a folder is read, all of it: DICOM and volume files, packed and not."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from series import Series, write
from test_sources import chest, save, table

from fvlm_data.cli.main import _kind_of
from fvlm_data.ingest.config import SourceConfig

if TYPE_CHECKING:
    from conftest import Ingested

AFFINE = np.diag([-0.75, -0.75, 1.5, 1.0])


def mixed(folder: Path) -> Path:
    """A series without endings beside a volume, a label map and a note."""
    write(Series().datasets(), folder, [f"IM{number:04d}" for number in range(6)])
    save(folder / "chest.nii.gz", chest(), AFFINE)
    save(folder / "seg.nii.gz", np.zeros((24, 22, 12), np.uint8), AFFINE)
    (folder / "notes.txt").write_text("nothing")
    return folder


def test_dicom_and_nifti_are_read_from_one_folder(ingested: Ingested, tmp_path: Path):
    folder = mixed(tmp_path / "in")
    assert _kind_of(folder) == "images"
    ingested.run(SourceConfig(kind="images", path=folder, name="mixed"))
    assert sorted(len(row["source_files"]) for row in ingested.volumes()) == [1, 6]
    assert ingested.reasons() == {"fault:values_not_hu": 1, "out_of_scope:not_dicom": 1}
    ingested.check_conserved()


def test_a_mapping_describes_the_volume_files_alone(ingested: Ingested, tmp_path: Path):
    folder = mixed(tmp_path / "in")
    (folder / "seg.nii.gz").unlink()
    mapping = table(tmp_path / "map.csv", [{"volume": "chest", "study": "S1", "patient": "P1"}])
    ingested.run(SourceConfig(kind="images", path=folder, name="mixed", mapping=mapping))
    assert len(ingested.volumes()) == 2
    ingested.check_conserved()


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (["IM1", "IM2", "seg.nii.gz"], "images"),
        (["a.nii.gz", "b.nii.gz"], "images"),
        (["1.dcm"], "images"),
        (["train_1_a_1.nii.gz", "train_2_a_1.nii.gz", "meta.csv"], "ct_rate"),
        (["train_1_a_1.nii.gz", "IM1"], "images"),
        (["trn1.npz", "list.csv"], "rad_chestct"),
        (["trn1.npz", "IM1"], "images"),
    ],
)
def test_one_stray_file_does_not_make_a_folder_another_kind(
    tmp_path: Path, names: list[str], kind: str
):
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    assert _kind_of(tmp_path) == kind


def test_packed_slices_are_the_same_series(ingested: Ingested, tmp_path: Path):
    paths = write(Series().datasets(), tmp_path / "in")
    for path in paths[::2]:
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    ingested.dicom(tmp_path / "in")
    assert ingested.volume()["shape"] == [10, 12, 6]
    assert ingested.reasons() == {}
    ingested.check_conserved()


def test_a_damaged_packed_slice_is_told_and_tried_again(ingested: Ingested, tmp_path: Path):
    path = write(Series().datasets(), tmp_path / "in")[0]
    packed = gzip.compress(path.read_bytes())
    path.unlink()
    path.with_name("a.dcm.gz").write_bytes(packed[: len(packed) // 2])
    ingested.dicom(tmp_path / "in")
    assert ingested.reasons()["fault:unreadable_file"] == 1
    ingested.check_conserved()
