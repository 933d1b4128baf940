from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
import pytest

from fvlm_data.identity.vault import Vault
from fvlm_data.run.records import open_context
from fvlm_data.store.declared import Context
from fvlm_data.store.tables import Store
from tests.e2e.chain import chain_config, run_chain

UNLABELLED = {"volumes": "all", "spacing_mm": [9, 9, 9], "dtype": "uint8"}
"""Samples without labels go and stay as those with labels do."""

SPLIT = {"train": 1.0, "validation": 0.0, "test": 0.0}


@dataclass(frozen=True)
class World:
    """A store with its vault and sources, which a test may change."""

    folder: Path
    phantom: Path

    @property
    def store(self) -> Path:
        return self.folder / "store"

    @property
    def places(self) -> tuple[Path, Path]:
        return self.store, self.folder / "vault"

    def config(self, **changes: Any) -> Any:
        return chain_config(
            self.store, self.phantom, **{"pair.split": SPLIT, "unlabelled": UNLABELLED, **changes}
        )

    def context(self) -> Context:
        return open_context(self.config(), create=False)

    def opened(self) -> Store:
        return Store.open(self.store)


def patients(phantom: Path) -> dict[int, str]:
    """PatientID by number of studies: one has one study, the other two."""
    return {len(list(one.iterdir())): one.name for one in (phantom / "dicom").iterdir()}


@pytest.fixture(scope="session")
def forget_phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two patients with three studies, all reported; one has files that are set aside."""
    from fvlm_data.phantom import generate

    folder = tmp_path_factory.mktemp("forget") / "phantom"
    generate(folder, patients=2, seed=11)
    place = folder / "dicom" / patients(folder)[2] / "ST1"
    first = next(path for path in sorted(place.rglob("*")) if path.is_file())
    other = pydicom.dcmread(first)
    other.Modality = "MR"
    other.save_as(first.parent / "other.dcm")
    (first.parent / "letter.txt").write_text("not an image")
    return folder


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, forget_phantom: Path) -> World:
    """The store of one run; tests copy it."""
    world = World(tmp_path_factory.mktemp("made"), forget_phantom)
    before = os.environ.get("FVLM_VAULT")
    os.environ["FVLM_VAULT"] = str(world.folder / "vault")
    run_chain(world.config())
    if before is None:
        del os.environ["FVLM_VAULT"]
    else:
        os.environ["FVLM_VAULT"] = before
    return world


@pytest.fixture
def world(
    made: World, tmp_path: Path, vault_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> World:
    """A copy of the store and its vault."""
    copied = World(tmp_path / "world", made.phantom)
    shutil.copytree(made.folder, copied.folder)
    monkeypatch.setenv("FVLM_VAULT", str(copied.folder / "vault"))
    Vault.open(copied.folder / "vault")
    return copied
