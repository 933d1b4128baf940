from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fvlm_data.hashing import array_sha256
from fvlm_data.identity.vault import Vault
from fvlm_data.segment.nifti import label_map_bytes
from fvlm_data.store.tables import Store
from schemas import Volume
from tests.shards.conftest import SMALL, World

PATIENTS = {0: "train", 1: "train", 2: "validation", 3: "test", 4: "train", 5: "test"}
OBLIQUE = (1, 3)
SECOND_OF_PATIENT_0 = 4
CENTRE_RAS = np.array([-15.0, 10.0, -285.0])


def field_hu(positions_ras: Any) -> Any:
    """HU at positions (..., 3) in mm: linear, so that trilinear interpolation is exact."""
    return (positions_ras - CENTRE_RAS) @ np.array([9.0, -7.0, 4.0]) - 200


def affine_of(number: int) -> Any:
    """Axis-aligned in LPS order, or turned by 25 degrees about two axes and stored otherwise."""
    affine = np.diag([-1.0, -1.0, 2.0, 1.0])
    if number in OBLIQUE:
        c, s = math.cos(math.radians(25)), math.sin(math.radians(25))
        about_x = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
        about_z = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
        affine[:3, :3] = about_z @ about_x @ np.diag([1.0, -1.0, -2.0])
    middle = np.array([11.5 + number % 3 / 2, 10.5, 4.5 + number % 4 / 2])
    affine[:3, 3] = CENTRE_RAS - affine[:3, :3] @ middle
    return affine


def positions_ras(shape: tuple[int, ...], affine: Any) -> Any:
    """Position in mm of every voxel (i, j, k)."""
    indices = np.moveaxis(np.indices(shape), 0, -1)
    return indices @ affine[:3, :3].T + affine[:3, 3]


def make_store(folder: Path, **settings: Any) -> World:
    """Six volumes of five patients whose HU are `field_hu`, cut into shards."""
    made = World(Store.create(folder / "store"), Vault.open(folder / "vault"))
    for number, split in PATIENTS.items():
        made.add(number, split)
        (row,) = made.store.read(
            "volumes", None, [("volume_id", "=", f"v_{number:02}")]
        ).to_pylist()
        affine = affine_of(number)
        image = np.rint(field_hu(positions_ras(row["shape"], affine))).astype(np.int16)
        made.images[row["volume_id"]] = image
        made.put(row["path"], "ingest", row["series_id"], label_map_bytes(image, affine))
        row.update(affine_ras=affine.ravel().tolist(), content_sha256=array_sha256(image))
        if number == SECOND_OF_PATIENT_0:
            row["patient_id"] = "p_00"
        made.store.replace("volumes", [row["study_id"]], [Volume(**row)])
    made.run(SMALL.model_copy(update=settings))
    return made


@pytest.fixture(scope="session", params=["int16", "uint8"])
def any_world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A store of each image type."""
    return make_store(tmp_path_factory.mktemp(request.param), dtype=request.param)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_store(tmp_path_factory.mktemp("world"))


@pytest.fixture
def store(world: World) -> str:
    return world.store.url


@pytest.fixture(scope="session")
def by_volume(world: World) -> dict[str, str]:
    """Sample ids by volume id."""
    return {row["volume_id"]: sample for sample, row in world.samples().items()}


def files_of(folder: Path) -> dict[str, bytes]:
    """Content of every file below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
