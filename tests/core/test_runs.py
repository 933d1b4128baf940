from __future__ import annotations

from pathlib import Path

import pytest

from fvlm_data.errors import StoreError
from fvlm_data.identity.vault import Vault
from fvlm_data.run.config import load_config
from fvlm_data.run.records import open_context


def test_another_vault_is_refused_and_the_right_one_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load_config(None, (), {"store": str(tmp_path / "store")})
    open_context(config)
    right = tmp_path / "vault"
    monkeypatch.setenv("FVLM_VAULT", str(tmp_path / "another"))
    with pytest.raises(StoreError, match="no key found there"):
        open_context(config)
    assert not (tmp_path / "another").exists()
    Vault.open(tmp_path / "another")
    with pytest.raises(StoreError, match="its key is not the one"):
        open_context(config)
    monkeypatch.setenv("FVLM_VAULT", str(right))
    open_context(config, create=False)
