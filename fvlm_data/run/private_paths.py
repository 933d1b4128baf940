"""Names of places that hold patients' data, as tokens in what a run writes down of its settings.

A folder may be called after a patient or a ward. The vault alone turns the tokens back.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fvlm_data.identity.contents import has_contents
from fvlm_data.identity.ids import keyed_id
from fvlm_data.identity.vault import Vault, default_vault_folder
from fvlm_data.ingest.sources.objects import SCHEME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from fvlm_data.run.config import Config
    from fvlm_data.store.tables import Store

PRIVATE = {
    "sources": ("path", "name", "mapping", "url", "inventory"),
    "reports": ("path", "name", "mapping"),
    "segment": ("masks", "classes"),
    "clinical": ("path", "name"),
    "parse": ("corrections",),
    "pair": ("split_file",),
    "monitoring": ("webhook",),
}
"""Keys of sections, or of what their lists hold, whose values are names and places of patients'
data, or hold a secret."""
SECRET = ("monitoring",)
"""Sections whose values are hidden under `source_names: plain` too."""
_KNOWN_CLASSES = re.compile(r"\w*")
"""Class systems by name; what else `classes` holds is a path."""
_TOKEN = re.compile(r"^f_[0-9a-f]{20}$")


def hidden(vault: Vault, config: Config) -> dict[str, Any]:
    """The configuration as it may stand in the store; `source_names: plain` keeps its places."""
    plain = config.model_dump(mode="json")
    sections = SECRET if config.identity.source_names == "plain" else tuple(PRIVATE)
    told: dict[str, str] = {}

    def token(value: str) -> str:
        made = keyed_id(vault.key, "f", "place", value)
        told[made] = value
        return made

    kept = _replaced(plain, token, sections)
    known = vault.file_paths(told)
    vault.remember_files({made: value for made, value in told.items() if made not in known})
    return kept


def revealed(store: Store, written: dict[str, Any]) -> dict[str, Any]:
    """A written configuration with its places; tokens stay where the vault is not at hand."""
    named = (written.get("identity") or {}).get("vault")
    folder = Path(named) if named else default_vault_folder(store.store_id)
    tokens: list[str] = []

    def kept(value: str) -> str:
        tokens.extend(_TOKEN.findall(value))
        return value

    _replaced(written, kept)
    if not tokens or not (folder / "key").is_file() or not has_contents(folder):
        return written
    places = Vault.open(folder).file_paths(tokens)
    return _replaced(written, lambda value: places.get(value, value))


def unresolved(config: Config) -> bool:
    """Whether a place of it is still a token: the vault does not know it."""
    places = places_of(config.model_dump(mode="json"))
    return any(_TOKEN.match(value) for name, value in places if name not in SECRET)


def places_of(config: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Section and value of each private name or place of a configuration."""
    for name in PRIVATE:
        found: list[str] = []

        def kept(value: str, found: list[str] = found) -> str:
            found.append(value)
            return value

        _replaced({name: config.get(name)}, kept)
        yield from ((name, value) for value in found)


def _replaced(
    config: dict[str, Any], change: Callable[[str], str], sections: Iterable[str] = tuple(PRIVATE)
) -> dict[str, Any]:
    """The configuration with each private value of the sections changed."""
    made = dict(config)
    for name in sections:
        section, keys = config.get(name), PRIVATE[name]
        if isinstance(section, list):
            made[name] = [_changed(one, keys, change) for one in section]
        elif isinstance(section, dict):
            made[name] = _changed(section, keys, change)
    return made


def _changed(section: Any, keys: tuple[str, ...], change: Callable[[str], str]) -> Any:
    if isinstance(section, list):
        return [_changed(one, keys, change) for one in section]
    if not isinstance(section, dict):
        return section
    return {
        key: change(value)
        if key in keys and _is_private(key, value)
        else _changed(value, keys, change)
        if isinstance(value, list)
        else value
        for key, value in section.items()
    }


def _is_private(key: str, value: Any) -> bool:
    if not isinstance(value, str) or not value:
        return False
    if key == "url":  # a prefix of a bucket is called as a folder is; a server has an address
        return value.startswith(SCHEME) or bool(_TOKEN.fullmatch(value))
    return key != "classes" or not _KNOWN_CLASSES.fullmatch(value) or bool(_TOKEN.fullmatch(value))
