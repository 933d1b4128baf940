"""The stage `ingest`: from the inputs of discovery to volumes, links and NIfTI files."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING

from fvlm_data.hashing import content_key
from fvlm_data.ingest.config import by_label
from fvlm_data.ingest.discovery.inputs import FILES, known_sources, series_files
from fvlm_data.ingest.sources import KINDS
from fvlm_data.ingest.volume.description import Description, described, load
from fvlm_data.ingest.volume.result import outcome
from fvlm_data.store.declared import Item, Outcome, Stage, guarded, reject

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from fvlm_data.ingest.config import IngestConfig, SourceConfig
    from fvlm_data.store.declared import Context

STAGE_VERSION = 1
NAME = "ingest"
BATCH_SERIES = 8


def ingest_stage(config: IngestConfig, sources: Sequence[SourceConfig], threads: int = 1) -> Stage:
    """The stage `ingest` over everything that `discover` found in this store so far.

    `sources` are those of the configuration; sources of earlier runs are found by the vault.
    `threads` are those that a worker may keep busy; nothing that is made hangs on them.

    Raises:
        ConfigError: two sources have one name.
    """
    named = by_label(tuple(sources))

    def plan(context: Context) -> list[Item]:
        return _plan(context, config, named)

    def run(context: Context, items: Sequence[Item]) -> Iterator[Outcome]:
        return _run(context, items, config, named, threads)

    return Stage(
        name=NAME,
        tables=("candidates", "links"),
        plan=plan,
        run=run,
        batch_size=BATCH_SERIES,
        derived=False,
    )


def _plan(
    context: Context, config: IngestConfig, configured: Mapping[str, SourceConfig]
) -> list[Item]:
    """One item a series; one more for each settled series whose files all changed their content.

    The latter has no input any more; settling it takes its rows out of the tables.
    """
    table = context.store.read(
        "inputs", ["item", "source", "fingerprint", "token"], [FILES, ("item", "!=", "")]
    )
    prints: dict[str, list[str]] = defaultdict(list)
    mapped_tokens: dict[str, tuple[str, str]] = {}
    mappings = _mappings(context, configured, set(table["source"].to_pylist()))
    for row in table.to_pylist():
        prints[row["item"]].append(row["fingerprint"])
        if row["source"] in mappings:
            mapped_tokens[row["item"]] = (row["token"], row["source"])
    identity = _mapping_keys(context, mapped_tokens, mappings)
    settings = config.model_dump(mode="json")
    items = [
        Item(series, content_key(STAGE_VERSION, settings, sorted(found), identity.get(series, [])))
        for series, found in prints.items()
    ]
    ledger = context.store.read("ledger", ["item"], [("stage", "=", NAME)])["item"].to_pylist()
    emptied = content_key(STAGE_VERSION, "emptied")
    return items + [Item(series, emptied) for series in sorted(set(ledger) - set(prints))]


def _run(
    context: Context,
    items: Sequence[Item],
    config: IngestConfig,
    configured: Mapping[str, SourceConfig],
    threads: int,
) -> Iterator[Outcome]:
    files = series_files(context, [item.id for item in items], configured)
    labels = {file.source for found in files.values() for file in found}
    sources = known_sources(context.vault, configured, labels)
    mappings = _mappings(context, configured, labels)

    def make(item: Item) -> Outcome:
        found = files[item.id]
        if not found:
            detail = "its files hold other images now; their new series took its place"
            return reject(item.id, "superseded", "source_files_replaced", detail)
        source = sources.get(found[0].source)
        tokens = [file.token for file in found]
        description = Description()
        if source is not None and source.label in mappings:
            row = described(mappings[source.label], found[0].relative)
            if row is None:
                detail = "the mapping CSV has no row of this volume; add one"
                return reject(item.id, "fault", "not_in_mapping", detail, tokens)
            description = row
        read = KINDS[source.kind if source else "dicom"].read
        result = read(found, item.id, context.vault.key, config, description, threads)
        return outcome(item.id, tokens, result, context.vault.key)

    for item in items:
        yield guarded(item, partial(make, item), (file.token for file in files[item.id]))


def _mappings(
    context: Context, configured: Mapping[str, SourceConfig], labels: set[str]
) -> dict[str, Mapping[str, Description]]:
    sources = known_sources(context.vault, configured, labels)
    found: dict[str, Mapping[str, Description]] = {}
    for label, source in sources.items():
        columns = KINDS[source.kind].mapping
        if label in labels and source.mapping is not None and columns is not None:
            found[label] = load(source.mapping, columns)
    return found


def _mapping_keys(
    context: Context,
    tokens: Mapping[str, tuple[str, str]],
    mappings: Mapping[str, Mapping[str, Description]],
) -> dict[str, list[str]]:
    """What the mapping adds to an item's key."""
    relative = context.vault.file_paths(token for token, _ in tokens.values())
    keys: dict[str, list[str]] = {}
    for series, (token, label) in tokens.items():
        row = described(mappings[label], relative.get(token, ""))
        keys[series] = [row.key(context.vault.key) if row else "not mapped"]
    return keys
