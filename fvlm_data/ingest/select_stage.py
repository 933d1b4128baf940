"""The stage `select`: from the proved volumes of a study to those that are taken."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING, Any

from fvlm_data.hashing import content_key
from fvlm_data.ingest.selection import SelectConfig, candidate, choose
from fvlm_data.store.declared import Context, Item, Outcome, Reject, Stage, guarded
from schemas import Volume

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

STAGE_VERSION = 1
NAME = "select"
INGEST = "ingest"
BATCH_STUDIES = 200
KEY_COLUMNS = ("volume_id", "study_id", "series_id", "content_sha256")


def select_stage(config: SelectConfig) -> Stage:
    """The stage that picks among the candidates of each study.

    It looks at a study as a whole and makes the choice anew whenever a series comes or goes, so
    that the order of arrival plays no part.
    """
    return Stage(
        name=NAME,
        tables=("volumes",),
        plan=partial(_plan, config),
        run=partial(_run, config),
        batch_size=BATCH_STUDIES,
    )


def _plan(config: SelectConfig, context: Context) -> list[Item]:
    """One item a study; its key holds what its rows were made from (the keys of its series)."""
    ledger = context.store.read("ledger", ["item", "key"], [("stage", "=", INGEST)])
    keys = dict(zip(ledger["item"].to_pylist(), ledger["key"].to_pylist(), strict=True))
    made: dict[str, list[list[str]]] = defaultdict(list)
    for row in context.store.read("candidates", KEY_COLUMNS).to_pylist():
        origin = keys.get(row["series_id"], "")
        made[row["study_id"]].append([row["volume_id"], origin, row["content_sha256"]])
    settings = config.model_dump(mode="json")
    return [
        Item(study, content_key(STAGE_VERSION, settings, sorted(found)))
        for study, found in made.items()
    ]


def _run(config: SelectConfig, context: Context, items: Sequence[Item]) -> Iterator[Outcome]:
    studies: dict[str, list[dict[str, Any]]] = {item.id: [] for item in items}
    for row in context.store.read_items("candidates", "study_id", studies):
        studies[row["study_id"]].append(row)
    for item in items:
        found = studies[item.id]
        files = (token for row in found for token in row["source_files"])
        yield guarded(item, partial(_selected, config, item.id, found), files)


def _selected(config: SelectConfig, study: str, rows: Sequence[Mapping[str, Any]]) -> Outcome:
    if not rows:
        detail = "its volumes have left the tables since the work was planned; run again"
        gone = Reject("superseded", "candidates_gone", detail)
        return Outcome(study, rejects=(gone,), retry=True)
    ordered = sorted(rows, key=lambda row: str(row["volume_id"]))
    refused = choose(map(candidate, ordered), config)
    rejects = tuple(
        Reject("not_selected", refused[i].reason, refused[i].detail, tuple(row["source_files"]))
        for row in ordered
        if (i := row["volume_id"]) in refused
    )
    taken = [_volume(row) for row in ordered if row["volume_id"] not in refused]
    return Outcome(study, rows={"volumes": taken}, rejects=rejects)


def _volume(row: Mapping[str, Any]) -> Volume:
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in row.items()}
    return Volume(**values)
