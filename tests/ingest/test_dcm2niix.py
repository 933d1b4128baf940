"""dcm2niix as an independent judge: the same voxels at the same place, where it is right."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray
from trap_series import TRAPS
from truth import RAS_TO_LPS, Truth, unmatched

from tests.lacking import peer_program

if TYPE_CHECKING:
    from conftest import Ingested

pytestmark = pytest.mark.network
AGREED = (
    "plain",
    "prone",
    "feet first",
    "decubitus",
    "oblique",
    "coronal",
    "double oblique",
    "non-square pixels",
    "implicit VR",
    "unsigned values",
)


def judged(folder: Path, work: Path) -> list[tuple[NDArray[Any], NDArray[np.float64]]]:
    program = shutil.which("dcm2niix") or peer_program("dcm2niix")
    work.mkdir()
    command = [program, "-z", "n", "-b", "n", "-d", "9", "-f", "%s", "-o", str(work), "."]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    images = [nib.load(path) for path in work.glob("*.nii")]
    return [(np.asarray(image.dataobj), image.affine) for image in images]


def as_truth(ingested: Ingested) -> tuple[Truth, ...]:
    return tuple(
        Truth(ingested.image(row).T, RAS_TO_LPS @ np.reshape(row["affine_ras"], (4, 4)))
        for row in ingested.volumes()
    )


@pytest.mark.parametrize("name", AGREED)
def test_dcm2niix_agrees(ingested: Ingested, tmp_path: Path, name: str):
    TRAPS[name].build(tmp_path / "in")
    ingested.dicom(tmp_path / "in")
    found = judged(tmp_path / "in", tmp_path / "judge")
    assert len(found) == 1
    assert unmatched(found, as_truth(ingested)) == ""


def test_dcm2niix_agrees_on_the_real_series(ingested: Ingested, tmp_path: Path, real_data: Path):
    ingested.dicom(real_data / "example_ct_dicom")
    found = judged(real_data / "example_ct_dicom", tmp_path / "judge")
    assert unmatched(found, as_truth(ingested)) == ""
