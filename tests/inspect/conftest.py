from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from fvlm_data.run.config import Config
from tests.e2e.chain import snapshot
from tests.inspect import damage

PACKED = Path(__file__).parents[1] / "upgrade" / "store_v1.tgz"


@pytest.fixture(scope="session")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sources: three cases with masks and reports, one without either, a file that is no image."""
    folder = tmp_path_factory.mktemp("cases")
    with tarfile.open(PACKED) as archive:
        archive.extractall(folder, filter="data")
    shutil.rmtree(folder / "store")
    shutil.rmtree(folder / "vault")
    image = nib.load(folder / "nifti" / "case_1.nii.gz")
    voxels = np.asarray(image.dataobj).copy()
    voxels += 60  # less, and it would pass for a copy of case_1
    nib.save(nib.Nifti1Image(voxels, image.affine), folder / "nifti" / "case_4.nii.gz")
    (folder / "nifti" / "case_5.nii.gz").write_bytes(b"no image")
    with (folder / "reports.csv").open("a") as reports:
        reports.write("case_9.nii.gz,FINDINGS: The liver is normal.\n")
    return folder


@pytest.fixture(scope="session")
def settled(cases: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store that all stages have settled, and its vault."""
    folder = tmp_path_factory.mktemp("settled")
    damage.run(damage.settings(cases, folder / "store", folder / "vault"))
    return folder


@pytest.fixture(scope="session")
def before(settled: Path) -> dict[str, list[str]]:
    return snapshot(settled / "store", placement=False)


@pytest.fixture
def config(cases: Path, settled: Path, tmp_path: Path) -> Config:
    """A copy of the settled store, to be damaged."""
    shutil.copytree(settled, tmp_path / "copy")
    return damage.settings(cases, tmp_path / "copy" / "store", tmp_path / "copy" / "vault")
