"""The backend against the library itself, in the environment of segmentation workers."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tests.lacking import lacking

pytestmark = pytest.mark.segmentation

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
TASKS = ("total:split", "total:fast", "body", "lung_vessels")
"""Five models in three parts along z; one model; labels tidied up; cropped by another task."""

KEPT_OUT = ("argparse", "fury", "timm", "torchvision")


@pytest.fixture(scope="module")
def environment() -> Path:
    """The environment that `make install-segmentation` makes."""
    folder = os.environ.get("FVLM_TEST_SEGMENTATION")
    if not folder:
        lacking(
            "TotalSegmentator: FVLM_TEST_SEGMENTATION does not name the environment that has it"
        )
    return Path(folder)


def test_it_stands_beside_prefect_and_without_what_is_kept_out(environment: Path):
    names = [
        "prefect",
        "distributed",
        "totalsegmentator.python_api",
        "totalsegmentator.nnunet",
        "pipelines.curate",
        "fvlm_data.segment.totalsegmentator",
    ]
    program = (
        "import importlib, importlib.metadata as m, json\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
        "print(json.dumps([d.name.lower() for d in m.distributions()]))"
    )
    done = subprocess.run(
        [environment / "bin/python", "-c", program], check=True, capture_output=True, text=True
    )
    installed = set(json.loads(done.stdout.splitlines()[-1]))
    assert {"totalsegmentator", "nnunetv2", "prefect", "fvlm"} <= installed
    assert installed.isdisjoint(KEPT_OUT)


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_the_constraints_resolve(environment: Path, python: str):
    command = [
        *(environment / "bin/uv", "pip", "compile", "--quiet", "--no-header"),
        *("--python-version", python, "--constraint", "constraints.txt"),
        *("--constraint", "constraints-segmentation.txt"),
        *("--override", "overrides-segmentation.txt"),
        *("--extra", "flows", "--extra", "totalsegmentator", "pyproject.toml"),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = {line.partition("==")[0].lower() for line in done.stdout.splitlines() if "==" in line}
    assert {"totalsegmentator", "nnunetv2", "prefect"} <= found
    assert found.isdisjoint(KEPT_OUT)


def test_the_same_voxels_from_a_daemon_two_volumes_at_once(
    environment: Path, tmp_path: Path, real_data: Path
):
    image = nib.load(real_data / "chest_1p5mm" / "ct.nii.gz")
    image_hu = np.asarray(image.dataobj).astype(np.int16)[80:20:-1, 20:75, 30:80]
    # mirrored, tilted by 7 degrees, of three spacings: each step between the grids has work
    affine = np.array(image.affine)
    cosine, sine = np.cos(np.radians(7)), np.sin(np.radians(7))
    tilt = np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
    affine[:3, :3] = tilt @ affine[:3, :3] @ np.diag([-0.8, 0.8, 1.3])
    ct, home = tmp_path / "ct.nii.gz", tmp_path / "home"
    nib.save(nib.Nifti1Image(image_hu, affine), ct)
    home.mkdir()
    settings = {"send_usage_stats": False, "statistics_disclaimer_shown": True}
    licence = {"prediction_counter": 0, "license_number": "aca_" + "0" * 14}
    (home / "config.json").write_text(json.dumps(settings | licence), encoding="utf-8")
    variables = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "TOTALSEG_HOME_DIR": str(home),
        "TOTALSEG_WEIGHTS_PATH": str(tmp_path / "weights"),
    }
    for program in ("by_backend.py", "library_alone.py"):
        command = [environment / "bin/python", HERE / program, ct, tmp_path, *TASKS]
        done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
    for told in TASKS:
        name = told.replace(":", ".")
        theirs = np.asarray(nib.load(tmp_path / f"{name}.nii.gz").dataobj)
        assert len(np.unique(theirs)) > 1, f"{told}: the model finds nothing, so shows nothing"
        for number in range(2):
            ours = np.load(tmp_path / f"{name}.{number}.npy")
            np.testing.assert_array_equal(ours, theirs, err_msg=told)
