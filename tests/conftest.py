from __future__ import annotations

import gc
from pathlib import Path

import pytest

from fvlm_data.store import place
from tests.empty_tables import copied_table
from tests.lacking import lacking

LONGEST_FIRST = ("extensions", "pipelines", "e2e", "train", "inspect")
"""Folders whose files keep a process busy for a minute: begun last, they would be waited for."""

REAL_DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "totalsegmentator_examples"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests that take longest first; the others stay in their order."""

    def place(item: pytest.Item) -> int:
        folder = item.path.parent.name
        return LONGEST_FIRST.index(folder) if folder in LONGEST_FIRST else len(LONGEST_FIRST)

    items.sort(key=place)


def pytest_collection_finish() -> None:
    """Leave modules and collected tests, which live to the end, out of each collection of garbage.

    Ten thousand tests and all libraries in one process are far more than a command holds; to go
    through them again and again is a tenth of the time of the tests.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 20)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Real CT, kept beside the repository and not part of it."""
    if not REAL_DATA.is_dir():
        lacking("real CT data (../shared/data/totalsegmentator_examples) is not beside the project")
    return REAL_DATA


@pytest.fixture(autouse=True)
def vault_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test has a vault of its own."""
    folder = tmp_path / "vault"
    monkeypatch.setenv("FVLM_VAULT", str(folder))
    return folder


@pytest.fixture(autouse=True)
def quickly_made_stores(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """A store's empty tables are copies, but for tests marked `makes_tables`."""
    if request.node.get_closest_marker("makes_tables") is None:
        monkeypatch.setattr(place, "make_table", copied_table)
