"""Where the files of a series lie: the sources of this run and of earlier ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError

from fvlm_data.errors import ConfigError
from fvlm_data.ingest.config import SourceConfig
from fvlm_data.ingest.discovery.opener import FileLocation, placed, reading_ranks
from fvlm_data.ingest.discovery.walk import base_folder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fvlm_data.identity.vault import Vault
    from fvlm_data.store.declared import Row

Paths = Callable[[Iterable[str]], dict[str, str]]
"""Relative paths by file token, as the vault gives them."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of a series: token, content fingerprint, source and, where known, its place."""

    token: str
    fingerprint: str
    source: str
    relative: str
    place: FileLocation | None


def remember_sources(vault: Vault, sources: Mapping[str, SourceConfig]) -> None:
    """Keep where each source lies, since a later run may name other sources only."""
    told = {_source_key(name): _settled(one).model_dump_json() for name, one in sources.items()}
    known = vault.file_paths(told)
    vault.remember_files({key: text for key, text in told.items() if known.get(key) != text})


def known_sources(
    paths: Paths, configured: Mapping[str, SourceConfig], names: Iterable[str]
) -> dict[str, SourceConfig]:
    """Sources by name: as configured, else as the vault remembers them; unknown ones left out.

    Raises:
        ConfigError: a remembered one is of a kind that no installed package brings.
    """
    remembered = paths(_source_key(name) for name in sorted(set(names) - set(configured)))
    found = {key.partition(":")[2]: text for key, text in remembered.items()}
    return {**{name: _remembered(name, text) for name, text in found.items()}, **configured}


def series_files(
    rows: Sequence[Row], relative: Mapping[str, str], sources: Mapping[str, SourceConfig]
) -> list[SourceFile]:
    """Files of one series with their places, by token; archive members in archive order.

    `rows` are those of `inputs` in the order of their tokens, `relative` the paths by token.
    """
    files = [_source_file(row, relative.get(row["token"], ""), sources) for row in rows]
    rank = reading_ranks([file.place for file in files if file.place])
    return sorted(files, key=lambda file: rank.get(file.place, ("", 0)) if file.place else ("", 0))


def _source_file(row: Row, below: str, sources: Mapping[str, SourceConfig]) -> SourceFile:
    source = sources.get(row["source"])
    return SourceFile(
        token=row["token"],
        fingerprint=row["fingerprint"],
        source=row["source"],
        relative=below,
        # `below` is empty where the vault does not have the file's path
        place=_place(source, below) if source and below else None,
    )


def _place(source: SourceConfig, relative: str) -> FileLocation:
    if source.url:
        return FileLocation(url=f"{source.base_url}{relative}", profile=source.profile)
    return placed(base_folder(source), relative)


def _settled(source: SourceConfig) -> SourceConfig:
    """The source with absolute paths."""
    mapping = source.mapping.expanduser().resolve() if source.mapping else None
    path = source.path if source.url else source.path.expanduser().resolve()
    return source.model_copy(update={"path": path, "mapping": mapping})


def _remembered(name: str, text: str) -> SourceConfig:
    told = json.loads(text)
    try:
        return SourceConfig.model_validate(told)
    except ValidationError:
        raise ConfigError(
            f"source {name} of an earlier run: kind {told.get('kind')!r} is not known here; "
            "install the package that brings it again"
        ) from None


def _source_key(name: str) -> str:
    return f"source:{name}"
