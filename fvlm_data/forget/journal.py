"""What is to be done, written down before the first change: a killed run is finished by the next.

The journal lies in the vault, encrypted, since it names whom it is about; it goes at the end.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from fvlm_data.forget.extent import PARTS, Extent
from fvlm_data.forget.rows import Rows

if TYPE_CHECKING:
    from fvlm_data.identity.vault import Vault

NOTE = "forgetting"


@dataclass(slots=True)
class Journal:
    """One forgetting: what goes, and what is done with what comes again.

    `groups` are the ids that are let in again together, if they ever are; `shards` are split and id
    of those that are written anew, `unlabelled_shards` of those of unlabelled samples;
    `damaged` sources, by discovery, whose rows were damaged before; `narrowed` names that entries
    of the vault keep, where they are of others too; `exports` ids of recorded exports; `files`
    numbers of files by kind.
    """

    record: str
    later: str
    targets: dict[str, int]
    extent: Extent
    rows: Rows
    shards: list[tuple[str, str]]
    groups: list[list[str]] = field(default_factory=list)
    damaged: dict[str, list[str]] = field(default_factory=dict)
    narrowed: dict[str, list[str]] = field(default_factory=dict)
    unlabelled_shards: list[tuple[str, str]] = field(default_factory=list)
    exports: list[str] = field(default_factory=list)
    files: dict[str, int] = field(default_factory=dict)


def unfinished(vault: Vault) -> bool:
    """Whether a forgetting has begun and not ended."""
    return vault.note(NOTE) is not None


def write(vault: Vault, journal: Journal) -> None:
    """Keep the journal until `drop`."""
    plain = asdict(journal)
    plain["extent"] = {name: sorted(ids) for name, ids in plain["extent"].items()}
    vault.keep_note(NOTE, json.dumps(plain))


def read(vault: Vault) -> Journal | None:
    """The journal of a forgetting that was interrupted; None if there is none."""
    kept = vault.note(NOTE)
    if kept is None:
        return None
    plain = json.loads(kept)
    extent = Extent(**{name: set(plain["extent"][name]) for name in (*PARTS, "erased", "shared")})
    # an older program's journal knows of no unlabelled ones
    held = {
        name: [(split, shard) for split, shard in plain.get(name, ())]
        for name in ("shards", "unlabelled_shards")
    }
    return Journal(**{**plain, "extent": extent, "rows": Rows(**plain["rows"]), **held})


def drop(vault: Vault) -> None:
    """Remove the journal: all is done."""
    vault.drop_note(NOTE)
