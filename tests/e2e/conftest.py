from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.e2e.chain import chain_config, run_chain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five synthetic patients."""
    from fvlm_data.phantom import generate

    folder = tmp_path_factory.mktemp("phantom")
    generate(folder, patients=5, seed=11)
    return folder


@pytest.fixture(scope="session")
def shared_vault(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One key for all runs that are compared."""
    return tmp_path_factory.mktemp("vault")


@pytest.fixture(autouse=True)
def _one_key(shared_vault: Path, vault_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FVLM_VAULT", str(shared_vault))


@pytest.fixture(scope="session")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, phantom: Path, shared_vault: Path
) -> Iterator[Path]:
    """The store of one run from beginning to end."""
    store = tmp_path_factory.mktemp("undisturbed") / "store"
    before = os.environ.get("FVLM_VAULT")
    os.environ["FVLM_VAULT"] = str(shared_vault)
    run_chain(chain_config(store, phantom))
    yield store
    if before is None:
        del os.environ["FVLM_VAULT"]
    else:
        os.environ["FVLM_VAULT"] = before
