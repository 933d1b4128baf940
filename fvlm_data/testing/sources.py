"""The check of a kind of source."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fvlm_data.ingest.config import IngestConfig, SourceConfig
from fvlm_data.ingest.discovery.discover import discover
from fvlm_data.ingest.sources import SOURCES
from fvlm_data.ingest.stage import ingest_stage
from fvlm_data.testing.statements import require
from fvlm_data.testing.worlds import check_rejects, contents, settle_all, world

if TYPE_CHECKING:
    from pathlib import Path

    from fvlm_data.ingest.sources.kind import Kind

TABLES = ("inputs", "candidates", "links", "quarantine")


def check_source(kind: str, folder: Path, mapping: Path | None = None) -> None:
    """Take a folder that holds volumes of a kind into two stores, and look at what came of it.

    Files are found in one order with the same facts; a second look opens none; each series ends
    in a volume or set aside; two stores with one key hold the same rows; at least one volume is
    taken in; no detail holds an identity.

    Raises:
        AssertionError: one of these does not hold.
    """
    source = SourceConfig(kind=kind, path=folder, name="checked", mapping=mapping)
    loaded: Kind = SOURCES.load(kind)
    found = list(loaded.find(source))
    require(found == list(loaded.find(source)), f"{kind}: find gives other files the second time")
    names = [one.relative for one in found]
    require(len(set(names)) == len(names), f"{kind}: find gives a file twice")
    for one in found:
        require(loaded.probe(one) == loaded.probe(one), f"{kind}: probe is not repeatable")
    first, second = _taken_in(source), _taken_in(source)
    for table in TABLES:
        require(first[table] == second[table], f"{kind}: table {table} differs from run to run")
    require(bool(first["candidates"]), f"{kind}: no volume was taken in, expected one at least")


def _taken_in(source: SourceConfig) -> dict[str, list[str]]:
    with world() as context:
        files = discover(context, [source], "token")["files"]
        again = discover(context, [source], "token")
        # a file that could not be read has no fingerprint and is tried again
        failed = sum(not text for text in context.store.read("inputs")["fingerprint"].to_pylist())
        require(
            again["unchanged"] >= files - failed,
            f"{source.kind}: {files - again['unchanged']} unchanged files were opened again; find "
            "must give size and modification time, and probe a fingerprint",
        )
        settle_all(context, ingest_stage(IngestConfig(), [source]))
        check_rejects(context)
        return contents(context, TABLES)
