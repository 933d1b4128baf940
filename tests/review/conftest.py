from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

import pytest

from fvlm_data.run.config import Config
from fvlm_data.store.declared import Context
from tests.inspect import damage
from tests.qc.small_store import hashed_store

PACKED = Path(__file__).parents[1] / "upgrade" / "store_v1.tgz"


@pytest.fixture(scope="session")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sources: three cases with masks and reports."""
    folder = tmp_path_factory.mktemp("cases")
    with tarfile.open(PACKED) as archive:
        archive.extractall(folder, filter="data")
    shutil.rmtree(folder / "store")
    shutil.rmtree(folder / "vault")
    return folder


@pytest.fixture(scope="session")
def settled(cases: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store that all stages have settled, and its vault."""
    folder = tmp_path_factory.mktemp("settled")
    damage.run(damage.settings(cases, folder / "store", folder / "vault"))
    return folder


@pytest.fixture
def config(cases: Path, settled: Path, tmp_path: Path) -> Config:
    """A copy of the settled store, to be reviewed."""
    shutil.copytree(settled, tmp_path / "copy")
    return damage.settings(cases, tmp_path / "copy" / "store", tmp_path / "copy" / "vault")


@pytest.fixture
def small(tmp_path: Path) -> Context:
    """Three studies made by hand: two say the same of the liver."""
    return hashed_store(tmp_path)
