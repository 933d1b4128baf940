"""What a damaged source needs beyond being read again in full."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from fvlm_data.errors import ConfigError, InputError, MachineError
from fvlm_data.ingest.discovery.forgotten import pathless
from fvlm_data.ingest.source_files import known_sources
from fvlm_data.ingest.sources import SOURCES
from fvlm_data.ingest.volume.description import load

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from fvlm_data.ingest.config import SourceConfig
    from fvlm_data.ingest.discovery.commit import SourceWriter
    from fvlm_data.ingest.sources.kind import Kind
    from fvlm_data.store.declared import Context

log = logging.getLogger(__name__)

TOKENS_AT_ONCE = 10_000


def to_mend(
    context: Context, configured: Mapping[str, SourceConfig], damaged: Collection[str]
) -> dict[str, SourceConfig]:
    """Damaged sources of earlier runs that this run does not name, and that can be reached.

    Sources are listed under the tokens of their rows. The damage of one that is out of reach stays
    recorded, and a later run looks again.
    """
    reached: dict[str, SourceConfig] = {}
    for label in sorted(damaged):
        log.warning("source %s: its rows in table inputs were damaged", label)
    for label in sorted(set(damaged) - configured.keys()):
        try:
            found = known_sources(context.vault.file_paths, {}, [label])
            for source in found.values():
                _reach(source)
        except (ConfigError, InputError, MachineError) as error:
            log.warning("source %s: cannot be read again to mend its rows: %s", label, error)
        else:
            reached |= found
    return reached


def _reach(source: SourceConfig) -> None:
    kind: Kind = SOURCES.load(source.kind)
    next(kind.find(source))
    if source.mapping is not None and kind.mapping is not None:
        load(source.mapping, kind.mapping)


def remove_strangers(writer: SourceWriter) -> None:
    """Remove rows of a damaged source whose tokens no file ever had.

    The vault keeps the path of every file before its rows are written, but of those that were
    forgotten.
    """
    context, stage = writer.context, writer.stage
    mine = [("kind", "=", writer.kind), ("source", "=", writer.source)]
    tokens = set(context.store.read("inputs", ["token"], mine)["token"].to_pylist())
    forgotten = pathless(context.store)
    writer.write([], _unknown(context, tokens - forgotten))
    asides = context.store.read("quarantine", ["item"], [("stage", "=", stage)])
    unknown = _unknown(context, set(asides["item"].to_pylist()) - forgotten)
    if unknown:
        context.store.replace("quarantine", unknown, [], {"stage": stage})


def _unknown(context: Context, tokens: Collection[str]) -> list[str]:
    ordered = sorted(tokens)
    found: list[str] = []
    for start in range(0, len(ordered), TOKENS_AT_ONCE):
        part = ordered[start : start + TOKENS_AT_ONCE]
        known = context.vault.file_paths(part)
        found.extend(token for token in part if token not in known)
    return found
