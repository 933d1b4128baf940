from __future__ import annotations

from pathlib import Path

import pytest

from fvlm_data.phantom import generate


@pytest.fixture(scope="session")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five patients of seed 7."""
    out = tmp_path_factory.mktemp("phantom") / "five"
    generate(out, patients=5, seed=7)
    return out
