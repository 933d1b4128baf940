"""Identities: keyed ids and links, the vault, and what may leave a header."""

from __future__ import annotations

from fvlm_data.identity.ids import (
    IdentityConfig,
    file_token,
    fraction,
    keyed_id,
    link_key,
    shifted_date,
    source_token,
)
from fvlm_data.identity.vault import Vault

__all__ = [
    "IdentityConfig",
    "Vault",
    "file_token",
    "fraction",
    "keyed_id",
    "link_key",
    "shifted_date",
    "source_token",
]
