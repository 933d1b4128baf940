"""`fvlm-data forget`: a patient or study leaves store and vault."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fvlm_data.cli.console import err, one_sentence, out, print_checks, print_json, print_line
from fvlm_data.cli.dry import NOTHING_WRITTEN, DryRunOption
from fvlm_data.cli.options import (
    ConfigOption,
    JsonOption,
    SetOption,
    StoreOption,
    resolved_config,
)
from fvlm_data.errors import InputError

if TYPE_CHECKING:
    from fvlm_data.forget.journal import Journal
    from fvlm_data.forget.targets import Named


def forget(
    store: StoreOption,
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="PATIENT|STUDY|FILE.csv",
            help="id of the store (p_..., st_...), original id, or CSV with a column id, "
            "patient_id (and issuer), study_uid or accession",
        ),
    ] = None,
    kind: Annotated[
        str, typer.Option(help="of an original id: patient_id, study_uid or accession")
    ] = "",
    issuer: Annotated[str, typer.Option(help="issuer of an original id, where it has one")] = "",
    dry_run: DryRunOption = False,
    resume: Annotated[bool, typer.Option("--resume", help="finish what was interrupted")] = False,
    lift: Annotated[
        bool,
        typer.Option("--lift", help="let in again what forget.later: wait keeps out"),
    ] = False,
    check: Annotated[
        bool,
        typer.Option("--check", help="prove records and tables; exit status 1 where one is wrong"),
    ] = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove a patient or study from store and vault for good, and keep it out from now on."""
    with one_sentence():
        modes = [what is not None, resume, check]
        if sum(modes) != 1 or (what is None and (lift or dry_run)):
            raise InputError(
                "expected one of PATIENT|STUDY|FILE.csv (with --dry-run or --lift, if so wanted), "
                "--resume and --check"
            )
        resolved = resolved_config(store, config, overrides, {})
        failed = _done(resolved, entries_of(what, kind, issuer), dry_run, lift, check, as_json)
    if failed:
        sys.exit(1)


def _done(
    resolved: Any,
    entries: list[Named],
    dry_run: bool,
    lift: bool,
    check: bool,
    as_json: bool,
) -> bool:
    """Do what was asked for; whether something is left that a person has to do."""
    from fvlm_data.forget import forget as forgetting
    from fvlm_data.forget.record import checks
    from fvlm_data.forget.targets import resolved as resolved_targets
    from fvlm_data.run.records import open_context

    context = open_context(resolved, create=False)
    if check:
        found = checks(context)
        print_checks(found, as_json=as_json)
        return not all(one.passed for one in found)
    if not entries:
        finished = forgetting.resume(context, resolved, _step)
        if finished is None:
            out.print("nothing was interrupted", markup=False)
            return False
        return _told(finished, as_json=as_json)
    if lift:
        forgetting.lift(context, resolved_targets(context, entries, known=False))
        out.print("lifted: the next run takes in what its sources offer", markup=False)
        return False
    targets = resolved_targets(context, entries)
    absent = [target.place for target in targets if not target.ids]
    if absent:
        err.print(
            f"{len(absent)} not in the store, kept out from now on: {', '.join(absent[:5])}",
            markup=False,
        )
    if dry_run:
        _print(forgetting.plan(context, resolved, targets), "would go", as_json=as_json)
        if not as_json:
            print_line(NOTHING_WRITTEN)
        return False
    return _told(forgetting.forget(context, resolved, targets, _step), as_json=as_json)


def entries_of(what: str | None, kind: str, issuer: str) -> list[Named]:
    """What the command line names: one id, or the lines of a CSV; nothing where it names none.

    Raises:
        InputError: it is empty, its kind is not known, or the file is of another form.
    """
    from fvlm_data.forget.targets import KINDS, Named, read_csv

    if what is None:
        return []
    if kind and kind not in KINDS:
        raise InputError(f"--kind {kind}: expected one of {', '.join(KINDS)}")
    if what.lower().endswith(".csv"):
        return read_csv(Path(what))
    if not what.strip():
        raise InputError("PATIENT|STUDY|FILE.csv: an empty name given, expected an id or a file")
    return [Named(kind, what.strip(), issuer, "the id given")]


def _step(step: str) -> None:
    err.print(f"forget: {step}", markup=False)


def _told(done: Any, *, as_json: bool) -> bool:
    _print(done.journal, "gone", as_json=as_json, record=done.record, left=done.exports_left)
    if done.exports_left:
        err.print(
            f"{len(done.exports_left)} export(s) hold what went and are not where they were "
            f"written, or were changed: {', '.join(done.exports_left)}; find and remove them "
            "(exports/ in the store says of which form and size)",
            markup=False,
        )
    return bool(done.exports_left)


def _print(
    journal: Journal, what: str, *, as_json: bool, record: str = "", left: tuple[str, ...] = ()
) -> None:
    rows, made_anew = journal.rows.counts, journal.rows.affected
    told = {
        "asked": journal.targets,
        "rows": rows,
        "files": journal.files,
        "made_anew": {stage: len(items) for stage, items in made_anew.items()},
        "exports": len(journal.exports),
        "record": record,
        "exports_left": list(left),
    }
    if as_json:
        print_json({"dry_run": True, **told} if what == "would go" else told)
        return
    out.print(f"{what}: {_listed(journal.targets)}", markup=False)
    out.print(f"rows: {_listed(rows) or 'none'}", markup=False)
    out.print(f"files: {_listed(journal.files)} written anew or removed", markup=False)
    if made_anew:
        counts = {stage: len(items) for stage, items in made_anew.items()}
        out.print(f"of others, made anew by the next curate: {_listed(counts)}", markup=False)
    if journal.exports:
        out.print(f"recorded exports, removed as a whole: {len(journal.exports)}", markup=False)
    if record:
        out.print(f"record: {record}; prove it by `fvlm-data forget --check`", markup=False)


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in sorted(counts.items()) if number)
