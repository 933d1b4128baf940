"""The stages of reports, driven without the ones around them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fvlm_data.pairing.match_stage import match_stage
from fvlm_data.reports.discovery import discover_reports
from fvlm_data.reports.stage import reports_stage
from fvlm_data.reports.versions.stage import versions_stage
from fvlm_data.run.config import load_config
from fvlm_data.run.records import open_context
from fvlm_data.store.commits import retire, settle
from fvlm_data.store.planning import pending

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fvlm_data.run.config import Config
    from fvlm_data.store.declared import Context, Stage


def made(
    tmp_path: Path, *sources: dict[str, Any], languages: Sequence[str] = (), **parse: Any
) -> Config:
    words = {"language": languages[0], "languages": [*languages]} if languages else {}
    return load_config(
        values={
            "vocabulary": words,
            "store": str(tmp_path / "store"),
            "identity": {"vault": str(tmp_path / "vault")},
            "reports": [{**one, "path": str(one["path"])} for one in sources],
            "parse": parse,
        }
    )


def stages(config: Config) -> list[Stage]:
    words = config.vocabulary.load_all()
    return [
        match_stage(),
        versions_stage(words.own, words.further),
        reports_stage(config.parse, words.own, words.further),
    ]


def remade(context: Context, stage: Stage, upstream: Sequence[Stage] = ()) -> list[str]:
    """Settle all that a stage has to do; returns the items."""
    work = pending(context, stage, upstream)
    retire(context, stage, work.obsolete)
    for batch in work.batches:
        settle(context, stage, batch)
    return [item.id for batch in work.batches for item in batch]


def discover(config: Config) -> Context:
    context = open_context(config, create=True)
    discover_reports(context, config.reports, config.identity.source_names)
    return context


def ran(config: Config, batch_size: int | None = None) -> Context:
    """Discovery, then all stages, in batches of the given size."""
    context = discover(config)
    for stage in stages(config):
        remade(context, replace(stage, batch_size=batch_size or stage.batch_size))
    return context


def unplaced(context: Context) -> list[str]:
    """Rows of report files that are neither read nor set aside."""
    rows = context.store.read("inputs", ["token", "item"]).to_pylist()
    placed = set(context.store.read("quarantine")["item"].to_pylist())
    placed |= set(context.store.read("reports")["report_id"].to_pylist())
    return [row["token"] for row in rows if placed.isdisjoint((row["token"], row["item"]))]


def studies_of(context: Context, report: str) -> list[str]:
    wanted = [("report_id", "=", report), ("owner_kind", "=", "study")]
    return sorted(
        context.store.read("report_matches", ["owner_id"], wanted)["owner_id"].to_pylist()
    )
