from __future__ import annotations

from pathlib import Path

import pytest

from tests.lacking import lacking

REAL_DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "totalsegmentator_examples"


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
