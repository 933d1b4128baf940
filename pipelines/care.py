"""The flows `verify`, `compact` and `forget`: what a store needs beside its runs.

They work in the flow's own process; the functions are those of the commands of these names.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

from prefect import get_run_logger
from pydantic import Field

from fvlm_data.errors import ConfigError, FvlmError
from fvlm_data.forget import forget as forgetting
from fvlm_data.forget.journal import Journal
from fvlm_data.forget.targets import STORE_ID, Named, read_csv, resolved
from fvlm_data.inspect.vault import names_checks
from fvlm_data.inspect.verify import Check
from fvlm_data.inspect.verify import verify as checked
from fvlm_data.run.compaction import Compacted, compact_store
from fvlm_data.run.config import Config
from fvlm_data.run.records import open_context
from fvlm_data.run.stages import build_stages
from pipelines import artifacts
from pipelines.flows import curation_flow
from pipelines.form import configured
from pipelines.withheld import failed, texts_withheld

Done = TypeVar("Done")

OfTheStore = Annotated[str, Field(pattern=f"^{STORE_ID.pattern}$")]
"""Id of a patient or study as the store gives it: Prefect keeps parameters, so no other may be."""


class BrokenError(FvlmError):
    """A store is not as it was left; or a person has to do what is left."""


@curation_flow
def verify(config: str, deep: bool = False) -> list[Check]:
    """Prove that nothing is lost or changed; the run fails where a statement is broken.

    Args:
        config: path of the YAML, as the flow's process sees it.
        deep: read every volume, mask and shard object too.

    Raises:
        FvlmError: the store cannot be read, or a statement is broken.
    """

    def work(resolved_config: Config) -> list[Check]:
        context = open_context(resolved_config, create=False)
        stages = build_stages(resolved_config)
        checks = [*checked(context.store, stages, deep=deep), *names_checks(context)]
        artifacts.of_checks("verify", context.store.url, checks)
        broken = [check for check in checks if not check.passed]
        if broken:
            told = "; ".join(f"{check.name} ({check.counted})" for check in broken)
            raise BrokenError(
                f"{len(broken)} of {len(checks)} statements are broken: {told}; `fvlm-data verify` "
                "names items and what to do"
            )
        return checks

    return _sentenced(config, work)


@curation_flow
def compact(config: str, keep_hours: Annotated[int, Field(ge=0)] | None = None) -> Compacted:
    """Join small shards and table files; delete what is out of use and history.

    Args:
        config: path of the YAML, as the flow's process sees it.
        keep_hours: hours that it is kept; none given: execution.keep_days.

    Raises:
        FvlmError: a shard is damaged, or the store cannot be read or written.
    """

    def work(resolved_config: Config) -> Compacted:
        context = open_context(resolved_config, create=False)
        done = compact_store(context, resolved_config, keep_hours)
        tables = done.tables.values()
        counts = {
            "sparse shards given up": done.shards_given_up,
            "shards written": done.shards_written,
            "shards left to the run that changes them": done.shards_left,
            "groups of arrays removed": done.groups_removed,
            "superseded files deleted": done.superseded_removed,
            "drafts deleted": done.drafts_removed,
            "records of runs deleted": done.records_removed,
            "bytes of these": done.deleted_bytes,
            "table files before": sum(one["before"] for one in tables),
            "table files after": sum(one["after"] for one in tables),
            "old table files removed": sum(one["removed"] for one in tables),
        }
        artifacts.of_counts("compact", context.store.url, counts)
        return done

    return _sentenced(config, work)


@curation_flow
def forget(
    config: str,
    ids: list[OfTheStore] | None = None,
    listed: str | None = None,
    dry_run: bool = False,
    resume: bool = False,
) -> dict[str, int]:
    """Remove patients or studies from store and vault for good, and keep them out.

    Args:
        config: path of the YAML, as the flow's process sees it.
        ids: ids that the store gave (p_..., st_...); others would stay with Prefect.
        listed: CSV with a column id, patient_id (and issuer), study_uid or accession, as the
            flow's process sees it.
        dry_run: tell what would go; nothing is changed.
        resume: finish what was interrupted.

    Raises:
        FvlmError: nobody or too much is named, a run is at work, or an export is out of reach.
    """

    def work(resolved_config: Config) -> dict[str, int]:
        if sum((bool(ids), listed is not None, resume)) != 1 or (resume and dry_run):
            raise ConfigError("expected one of ids, listed (with dry_run, if so wanted) and resume")
        return _forgotten(resolved_config, _named(ids, listed), dry_run=dry_run)

    return _sentenced(config, work)


def _named(ids: list[str] | None, listed: str | None) -> list[Named]:
    if listed is not None:
        return read_csv(Path(listed))
    return [Named("id", one, "", f"id {number}") for number, one in enumerate(ids or (), start=1)]


def _forgotten(config: Config, entries: list[Named], *, dry_run: bool) -> dict[str, int]:
    logger = get_run_logger()
    context = open_context(config, create=False)

    def told(step: str) -> None:
        logger.info("forget: %s", step)

    left: tuple[str, ...] = ()
    if not entries:
        finished = forgetting.resume(context, config, told)
        if finished is None:
            logger.info("nothing was interrupted")
            return {}
        journal, left = finished.journal, finished.exports_left
    elif dry_run:
        journal = forgetting.plan(context, config, resolved(context, entries))
    else:
        done = forgetting.forget(context, config, resolved(context, entries), told)
        journal, left = done.journal, done.exports_left
    counts = _counts(journal, "would go" if dry_run else "gone")
    logger.info("\n".join(f"{what}: {number}" for what, number in counts.items()))
    artifacts.of_counts("forget", context.store.url, counts)
    if left:
        raise BrokenError(
            f"all is gone from store and vault; {len(left)} export(s) hold it and are not where "
            f"they were written, or were changed: {', '.join(left)}; find and remove them"
        )
    return counts


def _counts(journal: Journal, what: str) -> dict[str, int]:
    """Numbers only: who it was is nobody's business who reads Prefect's page."""
    return {
        **{f"{what}: {name}": number for name, number in journal.targets.items()},
        **{f"{what}: rows of {name}": number for name, number in journal.rows.counts.items()},
        **{f"{what}: files, {name}": number for name, number in journal.files.items()},
        f"{what}: recorded exports": len(journal.exports),
    }


def _sentenced(config: str, work: Callable[[Config], Done]) -> Done:
    """What `work` gives; of an error, a failed run with one sentence."""
    try:
        with texts_withheld():
            return work(configured(config, None))
    except FvlmError as error:
        return failed(error)  # type: ignore[no-any-return]
