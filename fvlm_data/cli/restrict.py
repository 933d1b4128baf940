"""`fvlm-data restrict`: data of a patient or study may not be used for a purpose."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated

import typer

from fvlm_data.cli.console import err, one_sentence, out, print_json, print_line
from fvlm_data.cli.dry import NOTHING_WRITTEN, DryRunOption
from fvlm_data.cli.forget import entries_of
from fvlm_data.cli.options import (
    ConfigOption,
    JsonOption,
    SetOption,
    StoreOption,
    resolved_config,
)

if TYPE_CHECKING:
    from fvlm_data.consent.restrict import Restricted

EXAMPLES = 5


def restrict(
    store: StoreOption,
    what: Annotated[
        str,
        typer.Argument(
            metavar="PATIENT|STUDY|FILE.csv",
            help="id of the store (p_..., st_...), original id, or CSV with a column id, "
            "patient_id (and issuer), study_uid or accession",
        ),
    ],
    purpose: Annotated[
        str, typer.Option(help="what it may not be used for, a plain word such as research")
    ],
    kind: Annotated[
        str, typer.Option(help="of an original id: patient_id, study_uid or accession")
    ] = "",
    issuer: Annotated[str, typer.Option(help="issuer of an original id, where it has one")] = "",
    lift: Annotated[bool, typer.Option("--lift", help="it is allowed again")] = False,
    dry_run: DryRunOption = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Keep a patient or study out of exports and training for a purpose; nothing is deleted."""
    with one_sentence():
        from fvlm_data.consent.restrict import restrict as recorded
        from fvlm_data.forget.targets import resolved
        from fvlm_data.run.records import open_context

        entries = entries_of(what, kind, issuer)
        context = open_context(resolved_config(store, config, overrides, {}), create=False)
        targets = resolved(context, entries, known=not lift)
        done = recorded(context, targets, purpose, lift=lift, dry_run=dry_run)
    if as_json:
        told = {"purpose": purpose, **dataclasses.asdict(done)}
        print_json({"dry_run": True, **told} if dry_run else told)
        return
    _print(done, purpose, lift=lift)
    if dry_run:
        print_line(NOTHING_WRITTEN)


def _print(done: Restricted, purpose: str, *, lift: bool) -> None:
    what = "allowed again" if lift else "refused"
    out.print(
        f"{purpose} {what}: {done.patients} patients, {done.studies} studies"
        f"{f', {done.known} said so before' if done.known else ''}; {done.samples} samples now",
        markup=False,
    )
    if done.exports:
        more = "" if len(done.exports) <= EXAMPLES else f" and {len(done.exports) - EXAMPLES} more"
        err.print(
            f"{len(done.exports)} recorded exports made before hold their data: "
            f"{', '.join(done.exports[:EXAMPLES])}{more}; make those for {purpose} anew",
            markup=False,
        )
