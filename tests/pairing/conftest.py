from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from fvlm_data.stage import Context
from fvlm_data.store import Store
from fvlm_data.vault import Vault


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


@pytest.fixture
def context(tmp_path: Path, vault_folder: Path) -> Context:
    return Context(Store.create(tmp_path / "store"), Vault.open(vault_folder), "run")
