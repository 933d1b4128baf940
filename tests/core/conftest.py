from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

from fvlm_data.identity.vault import Vault
from fvlm_data.store.declared import Context
from fvlm_data.store.tables import Store

HERE = Path(__file__).parent


def _loaded(name: str) -> ModuleType:
    """A module beside this file, which tests also start as a process of its own."""
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def toy() -> ModuleType:
    return _loaded("toy_stage")


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store to copy: that takes a tenth of the time of making one."""
    folder = tmp_path_factory.mktemp("empty") / "store"
    Store.create(folder)
    return folder


@pytest.fixture
def store(tmp_path: Path, empty_store: Path) -> Store:
    return Store.open(shutil.copytree(empty_store, tmp_path / "store"))


@pytest.fixture
def context(store: Store, vault_folder: Path) -> Context:
    return Context(store, Vault.open(vault_folder), "run")


@pytest.fixture(scope="session")
def hand() -> ModuleType:
    return _loaded("hand_store")


@pytest.fixture(scope="session")
def filled_once(
    hand: ModuleType, empty_store: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Store and vault of `filled`, to copy."""
    folder = tmp_path_factory.mktemp("filled")
    shutil.copytree(empty_store, folder / "store")
    hand.fill(Context(Store.open(folder / "store"), Vault.open(folder / "vault"), "run"))
    return folder


@pytest.fixture
def filled(filled_once: Path, tmp_path: Path, vault_folder: Path) -> Context:
    shutil.copytree(filled_once / "vault", vault_folder)
    store = Store.open(shutil.copytree(filled_once / "store", tmp_path / "store"))
    return Context(store, Vault.open(vault_folder), "run")
