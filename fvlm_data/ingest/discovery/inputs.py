"""What discovery writes and what ingest reads of it: inputs, their places, known sources."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.ingest.config import SourceConfig
from fvlm_data.ingest.discovery.opener import Place, placed, reading_ranks
from fvlm_data.ingest.discovery.walk import base_folder

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from fvlm_data.identity.vault import Vault
    from fvlm_data.ingest.discovery.walk import FoundFile
    from fvlm_data.store.declared import Context
    from fvlm_data.store.tables import Store
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


class KnownFiles:
    """Size and modification time of files that were read before: 24 bytes a file."""

    def __init__(self, tokens: Iterable[str], sizes: Any, times: Any) -> None:
        """Files by token, with their sizes in bytes and modification times in ns."""
        numbers = np.fromiter((_number(token) for token in tokens), dtype=np.uint64)
        order = np.argsort(numbers)
        self._numbers = numbers[order]
        self._sizes = np.asarray(sizes, dtype=np.int64)[order]
        self._times = np.asarray(times, dtype=np.int64)[order]

    def changed(self, tokens: Sequence[str], files: Sequence[FoundFile]) -> list[bool]:
        """Whether each file is new, or differs in size or modification time."""
        if not len(self._numbers):
            return [True] * len(tokens)
        numbers = np.fromiter((_number(token) for token in tokens), dtype=np.uint64)
        at = np.searchsorted(self._numbers, numbers).clip(max=len(self._numbers) - 1)
        same = (
            (self._numbers[at] == numbers)
            & (self._sizes[at] == [file.size_bytes for file in files])
            & (self._times[at] == [file.modified_ns for file in files])
        )
        found: list[bool] = (~same).tolist()
        return found


def _number(token: str) -> int:
    """64 bits that stand for a token; two of ten million collide with a chance of 3e-6."""
    return int.from_bytes(hashlib.blake2b(token.encode(), digest_size=8).digest(), "little")


def known_files(store: Store, source: str) -> KnownFiles:
    """The files of a source that were read before.

    A file that could not be read has no fingerprint and is tried again.
    """
    rows = store.read(
        "inputs",
        ["token", "size_bytes", "modified_ns"],
        [FILES, ("source", "=", source), ("fingerprint", "!=", "")],
    )
    tokens = (token.as_py() for token in rows["token"])
    return KnownFiles(tokens, rows["size_bytes"].to_numpy(), rows["modified_ns"].to_numpy())


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
                place=_place(source, below) if source and below else None,
            )
        )
    return {item: _in_reading_order(files) for item, files in found.items()}


def _place(source: SourceConfig, relative: str) -> Place:
    if source.url:
        return Place(url=f"{source.url.rstrip('/')}/{relative}")
    return placed(base_folder(source), relative)


def _in_reading_order(files: list[SourceFile]) -> list[SourceFile]:
    """Sorted by token, but members of archives as they lie there."""
    rank = reading_ranks([file.place for file in files if file.place])
    return sorted(files, key=lambda file: rank.get(file.place, ("", 0)) if file.place else ("", 0))


def _settled(source: SourceConfig) -> SourceConfig:
    """The source with paths that do not hang on the working folder."""
    if source.url:
        return source
    mapping = source.mapping.expanduser().resolve() if source.mapping else None
    path = source.path.expanduser().resolve()
    return source.model_copy(update={"path": path, "mapping": mapping})


def _source_key(name: str) -> str:
    return f"source:{name}"
