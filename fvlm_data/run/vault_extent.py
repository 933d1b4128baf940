"""How much the vault knew when the store was last written: one that knows less runs no stage.

A report scrubbed by fewer names than before comes out with the others in it, and nothing would
tell. So the store keeps the numbers, which name nobody.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from fvlm_data.errors import StoreError

if TYPE_CHECKING:
    from fvlm_data.store.declared import Context

EXTENT = "vault.known"


def lost_by_vault(context: Context) -> dict[str, tuple[int, int]]:
    """What the vault knows less of than the store has seen in it: found and expected numbers.

    Raises:
        StoreError: the store or the vault cannot be read.
    """
    if not context.store.exists(EXTENT):
        return {}
    expected = json.loads(context.store.read_bytes(EXTENT))
    found = context.vault.extent()
    return {
        name: (found[name], number) for name, number in expected.items() if found[name] < number
    }


def check_vault_extent(context: Context) -> None:
    """Refuse a vault that has lost names, paths or reports since the store last saw it.

    Raises:
        StoreError: it has; or the store or the vault cannot be read.
    """
    lost = lost_by_vault(context)
    if lost:
        told = ", ".join(
            f"{found} {name.replace('_', ' ')}, expected at least {expected}"
            for name, (found, expected) in lost.items()
        )
        raise StoreError(
            f"vault {context.vault.folder}: {told}; reports would be scrubbed by fewer names than "
            "before; name the whole vault by identity.vault or FVLM_VAULT, bring vault.sqlite back "
            "with `fvlm-data vault restore`, or have it read the sources again with `fvlm-data "
            "vault relearn`"
        )


def record_vault_extent(context: Context) -> None:
    """Write down how much the vault knows now.

    Raises:
        StoreError: the store cannot be written or the vault not read.
    """
    content = json.dumps(context.vault.extent()).encode()
    if not context.store.exists(EXTENT) or context.store.read_bytes(EXTENT) != content:
        context.store.write_bytes(EXTENT, content)
