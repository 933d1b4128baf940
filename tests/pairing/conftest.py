from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from types import ModuleType

import pytest

from fvlm_data.identity.vault import Vault
from fvlm_data.store.declared import Context
from fvlm_data.store.tables import Store


@pytest.fixture(scope="session")
def hand() -> ModuleType:
    """Row builders, kept with the tests of the core."""
    path = Path(__file__).parents[1] / "core" / "hand_store.py"
    spec = importlib.util.spec_from_file_location("hand_store", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store to copy: that takes a tenth of the time of making one."""
    folder = tmp_path_factory.mktemp("empty") / "store"
    Store.create(folder)
    return folder


@pytest.fixture
def context(tmp_path: Path, vault_folder: Path, empty_store: Path) -> Context:
    store = Store.open(shutil.copytree(empty_store, tmp_path / "store"))
    return Context(store, Vault.open(vault_folder), "run")
