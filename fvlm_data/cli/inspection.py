"""Commands that look at a store, tidy it, and tell where a sample comes from."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fvlm_data.cli.console import err, one_sentence, out, print_checks, print_json, progress_shown
from fvlm_data.cli.dry import DryRunOption, Intent, print_intent
from fvlm_data.cli.options import (
    JsonOption,
    SetOption,
    StoreOption,
    opened_context,
    resolved_config,
)
from fvlm_data.errors import InputError
from fvlm_data.extras import needs_extra

if TYPE_CHECKING:
    from fvlm_data.run.config import Config

MB = 1e6
RevealOption = Annotated[bool, typer.Option("--reveal", help="resolve file tokens with the vault")]


def qc(
    store: StoreOption,
    studies: Annotated[
        str | None,
        typer.Option(help="studies with a page of their own: a number, or all"),
    ] = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write the pages of the store: STORE/qc/index.html, and pages of studies."""
    from fvlm_data.qc import write_qc
    from fvlm_data.qc.writing import foresee_pages

    values = {} if studies is None else {"qc": {"studies": studies}}

    with one_sentence():
        context = opened_context(store)
        resolved = resolved_config(store, None, None, values)
        vocabulary = resolved.vocabulary.load()
        if dry_run:
            pages = foresee_pages(context, vocabulary, resolved.qc)
            notes = ["of these only those are written whose text differs"] if pages else []
            print_intent(Intent(makes={"pages": pages}, notes=notes), as_json=as_json)
            return
        with progress_shown() as show:
            page = write_qc(context, vocabulary, resolved.qc, show)
        if as_json:
            print_json({"page": context.store.location(page)})
            return
        out.print(context.store.location(page), markup=False)


def print_audit(resolved: Config, labels: Path | None, examples: int, *, as_json: bool) -> None:
    """What `pair --audit` prints; raises what the audit raises."""
    from fvlm_data.pairing.audit import audit
    from fvlm_data.pairing.audit.printed import audit_lines
    from fvlm_data.run.records import open_context

    with needs_extra("train", "fvlm-data pair --audit"):
        context = open_context(resolved, create=False)
        told = audit(context, resolved.pair, resolved.vocabulary.load(), labels)
    if as_json:
        print_json(told.as_dict())
        return
    for line in audit_lines(told, examples):
        out.print(line, markup=False)


def verify(
    store: StoreOption,
    deep: Annotated[
        bool, typer.Option("--deep", help="read every volume, mask and shard object too")
    ] = False,
    give_up: Annotated[
        bool,
        typer.Option(
            "--give-up",
            help="let go of damaged items whose sources are gone, and what rests on them change",
        ),
    ] = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Prove that nothing is lost or changed; exit status 1 where a statement is broken."""
    from fvlm_data.inspect.damage import give_up_lost, lost_items
    from fvlm_data.inspect.vault import names_checks
    from fvlm_data.inspect.verify import verify as checked
    from fvlm_data.run.stages import build_stages

    with one_sentence():
        if dry_run and not give_up:
            raise InputError("--dry-run is for --give-up, without which nothing is written")
        context = opened_context(store)
        stages = build_stages(resolved_config(store, None, None, {}))
        if dry_run:
            lost = lost_items(context, stages)
            notes = [f"would be given up: {', '.join(lost)}"] if lost else []
            print_intent(Intent(makes={"items given up": len(lost)}, notes=notes), as_json=as_json)
            return
        if give_up:
            told = ", ".join(give_up_lost(context, stages)) or "nothing"
            err.print(f"given up: {told}", markup=False)
        checks = [*checked(context.store, stages, deep=deep), *names_checks(context)]
        print_checks(checks, as_json=as_json)
    if not all(check.passed for check in checks):
        # 1, not the 2 of a command that could not run
        sys.exit(1)


def doctor(
    config: Annotated[
        Path | None, typer.Argument(metavar="[CONFIG]", help="YAML configuration to be run here")
    ] = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Can this machine do it? Packages, decoders, devices, folders, servers; 1 where one cannot."""
    from fvlm_data.inspect.doctor import examine
    from fvlm_data.run.config import load_config

    with one_sentence():
        checks = examine(load_config(config, overrides or ()) if config else None)
        print_checks(checks, as_json=as_json)
    if not all(check.passed for check in checks):
        sys.exit(1)


def upgrade(store: StoreOption, dry_run: DryRunOption = False, as_json: JsonOption = False) -> None:
    """Bring a store that an older program made to this version; only reports are read anew."""
    from fvlm_data.run.upgrade import foresee_upgrade
    from fvlm_data.run.upgrade import upgrade as upgraded

    with one_sentence():
        if dry_run:
            seen = foresee_upgrade(store)
            names = ", ".join([*seen.added, *seen.rewritten])
            makes = {"tables added": len(seen.added), "tables rewritten": len(seen.rewritten)}
            notes = [f"tables of version {seen.found}, expected {seen.expected}: {names or 'none'}"]
            intent = Intent(makes=makes, read_bytes=seen.size_bytes, notes=notes)
            print_intent(intent, as_json=as_json)
            return
        adopted = upgraded(store)
    if as_json:
        print_json({"adopted": adopted})
        return
    told = ", ".join(f"{count} of {stage}" for stage, count in adopted.items())
    out.print(
        f"items taken over: {told or 'none; the next run compares all'}; reports are read anew by "
        "the next run",
        markup=False,
    )


def compact(
    store: StoreOption,
    keep_hours: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="hours that history and what is out of use are kept; default: execution.keep_days",
        ),
    ] = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Join small shards and table files; delete what is out of use and old history."""
    from fvlm_data.run.compaction import compact_store, foresee_compaction

    with one_sentence():
        config = resolved_config(store, None, None, {})
        if dry_run:
            told = foresee_compaction(opened_context(store), config, keep_hours)
            reads = {"files of tables": told.table_files, "sparse shards": told.shards_given_up}
            intent = Intent(
                reads=reads,
                makes={"shards": told.shards_written},
                deletes=told.deletes,
                deleted_bytes=told.deleted_bytes,
            )
            print_intent(intent, as_json=as_json)
            return
        done = compact_store(opened_context(store), config, keep_hours)
        if as_json:
            print_json(dataclasses.asdict(done))
            return
        left = f", {done.shards_left} left to the run that changes them" if done.shards_left else ""
        out.print(
            f"shards: {done.shards_given_up} sparse ones joined to {done.shards_written}{left}; "
            f"{done.groups_removed} removed that were out of use",
            markup=False,
        )
        out.print(
            f"files: {done.superseded_removed} superseded ones, {done.drafts_removed} drafts and "
            f"{done.records_removed} records of runs deleted, {done.deleted_bytes / MB:.1f} MB",
            markup=False,
        )
        files = {key: sum(c[key] for c in done.tables.values()) for key in ("before", "after")}
        removed = sum(counts["removed"] for counts in done.tables.values())
        out.print(
            f"tables: {files['before']} files joined to {files['after']}; {removed} old files "
            "removed",
            markup=False,
        )


def explain(
    item: Annotated[
        str,
        typer.Argument(metavar="ID", help="of a sample or report; with --why: of any item"),
    ],
    store: StoreOption,
    why: Annotated[
        bool, typer.Option("--why", help="what makes an item be made anew, by stage")
    ] = False,
    reveal: RevealOption = False,
    as_json: JsonOption = False,
) -> None:
    """Walk from a training sample back to its files and sentences; tell what a report was read as.

    Of a report: each mention with the rule and cue that told its status, doubts and confidence, or
    what it waits for and why it is set aside. Without --why it is JSON in any case.
    """
    from fvlm_data.inspect.explain import explain as explained
    from fvlm_data.inspect.explain import explain_report
    from fvlm_data.inspect.why import why as reasons
    from fvlm_data.run.stages import build_stages

    with one_sentence():
        context = opened_context(store)
        if not why:
            # ids begin with what they are of (fvlm_data.identity.ids.Prefix)
            walk = explain_report if item.startswith("r_") else explained
            walked = walk(context, item, reveal=reveal)
            # a tree, for a person as for a machine: only the former is silenced
            if as_json or not out.quiet:
                print_json(walked)
            return
        config = resolved_config(store, None, None, {})
        found = reasons(context, config, build_stages(config), item)
        if as_json:
            print_json([dataclasses.asdict(told) for told in found])
            return
        for told in found:
            because = f": {'; '.join(told.reasons)}" if told.reasons else ""
            out.print(f"{told.stage}: {told.state}{because}", markup=False)
