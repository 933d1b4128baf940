"""What discovery writes and what ingest reads of it: inputs, their places, known sources."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fvlm_data.ingest.config import SourceConfig
from fvlm_data.ingest.opener import placed, reading_ranks
from fvlm_data.ingest.walk import base_folder

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from fvlm_data.ingest.opener import Place
    from fvlm_data.stage import Context
    from fvlm_data.store import Store
    from fvlm_data.vault import Vault
    from schemas import Input, Quarantined

DISCOVER = {"stage": "discover"}
FILES = ("kind", "=", "file")


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of a series: token, content fingerprint, source and, where known, its place."""

    token: str
    fingerprint: str
    source: str
    relative: str
    place: Place | None


def commit_discovered(
    context: Context,
    inputs: Sequence[Input],
    asides: Sequence[Quarantined],
    paths: Mapping[str, str],
) -> None:
    """Commit a chunk of discovery: vault, then quarantine, then inputs.

    The rows of `inputs` come last: a file counts as known only when the rest stands.
    """
    if not inputs:
        return
    tokens = [row.token for row in inputs]
    context.vault.remember_files(paths)
    context.store.replace("quarantine", tokens, asides, DISCOVER)
    context.store.replace("inputs", tokens, inputs, {"kind": "file"})


def known_files(store: Store, source: str) -> dict[str, tuple[int, int]]:
    """Size and modification time by token, of the files of a source that were read before.

    A file that could not be read has no fingerprint and is tried again.
    """
    rows = store.read(
        "inputs",
        ["token", "size_bytes", "modified_ns"],
        [FILES, ("source", "=", source), ("fingerprint", "!=", "")],
    )
    columns = (rows[name].to_pylist() for name in ("token", "size_bytes", "modified_ns"))
    return {token: (size, when) for token, size, when in zip(*columns, strict=True)}


def remember_sources(vault: Vault, sources: Mapping[str, SourceConfig]) -> None:
    """Keep where each source lies: a later run may name other sources only."""
    vault.remember_files(
        {_source_key(name): _settled(source).model_dump_json() for name, source in sources.items()}
    )


def known_sources(
    vault: Vault, configured: Mapping[str, SourceConfig], names: Iterable[str]
) -> dict[str, SourceConfig]:
    """Sources by name: as configured, else as the vault remembers them; unknown ones left out."""
    remembered = vault.file_paths(_source_key(name) for name in set(names) - set(configured))
    found = {
        key.partition(":")[2]: SourceConfig.model_validate(json.loads(text))
        for key, text in remembered.items()
    }
    return {**found, **configured}


def series_files(
    context: Context, items: Collection[str], configured: Mapping[str, SourceConfig]
) -> dict[str, list[SourceFile]]:
    """Files of each series, sorted by token, with their places."""
    columns = ["kind", "item", "token", "source", "fingerprint"]
    rows = context.store.read_items("inputs", "item", items, columns)
    rows = [row for row in rows if row["kind"] == "file"]
    sources = known_sources(context.vault, configured, {row["source"] for row in rows})
    relative = context.vault.file_paths(row["token"] for row in rows)
    found: dict[str, list[SourceFile]] = {item: [] for item in items}
    for row in sorted(rows, key=lambda row: str(row["token"])):
        source = sources.get(row["source"])
        below = relative.get(row["token"], "")
        found[row["item"]].append(
            SourceFile(
                token=row["token"],
                fingerprint=row["fingerprint"],
                source=row["source"],
                relative=below,
                place=placed(base_folder(source), below) if source and below else None,
            )
        )
    return {item: _in_reading_order(files) for item, files in found.items()}


def _in_reading_order(files: list[SourceFile]) -> list[SourceFile]:
    """Sorted by token, but members of archives as they lie there."""
    rank = reading_ranks([file.place for file in files if file.place])
    return sorted(files, key=lambda file: rank.get(file.place, ("", 0)) if file.place else ("", 0))


def _settled(source: SourceConfig) -> SourceConfig:
    """The source with paths that do not hang on the working folder."""
    mapping = source.mapping.expanduser().resolve() if source.mapping else None
    path = source.path.expanduser().resolve()
    return source.model_copy(update={"path": path, "mapping": mapping})


def _source_key(name: str) -> str:
    return f"source:{name}"
