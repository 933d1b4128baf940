"""`fvlm-data vault`: whether it knows all that the store needs, copies of it, and the way back."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Annotated

import typer

from fvlm_data.cli.console import one_sentence, out, print_checks, print_json, progress_shown
from fvlm_data.cli.dry import DryRunOption, Intent, print_intent
from fvlm_data.cli.examples import VAULT
from fvlm_data.cli.grammar import finish
from fvlm_data.cli.options import (
    ConfigOption,
    JsonOption,
    StoreOption,
    opened_context,
    resolved_config,
)
from fvlm_data.errors import ConfigError

vault = typer.Typer(
    help="Look after the vault: key, names, paths and original reports of a store.",
    no_args_is_help=True,
)


@vault.command("check")
def check(store: StoreOption, as_json: JsonOption = False) -> None:
    """Prove that the vault knows all that the store was made from; exit status 1 where not."""
    from fvlm_data.inspect.vault import vault_checks

    with one_sentence():
        checks = vault_checks(opened_context(store))
        print_checks(checks, as_json=as_json)
    if not all(one.passed for one in checks):
        sys.exit(1)


@vault.command("backup")
def backup(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="new or empty folder")],
    store: StoreOption,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Copy the vault to a folder away from the store; whoever has it can turn ids back."""
    from fvlm_data.identity.backup import back_up, check_empty
    from fvlm_data.run.records import check_outside

    with one_sentence():
        context = opened_context(store)
        check_outside(context.store, folder, "backup")
        if dry_run:
            check_empty(folder)
            size = sum(one.stat().st_size for one in context.vault.folder.iterdir())
            reads = context.vault.extent()
            intent = Intent(reads=reads, makes={"files": 2}, made_bytes=size)
            print_intent(intent, as_json=as_json)
            return
        _print_extent(back_up(context.vault, folder), folder, as_json=as_json)


@vault.command("restore")
def restore(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="what `backup` wrote")],
    store: StoreOption,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Bring back what the vault lacks of a backup; what it has stays."""
    from fvlm_data.identity.backup import foresee_restore
    from fvlm_data.identity.backup import restore as restored
    from fvlm_data.run.records import check_vault, vault_folder
    from fvlm_data.store.tables import Store

    with one_sentence():
        opened = Store.open(store)
        place = vault_folder(opened, resolved_config(store, None, None, {}))
        if dry_run:
            kept, there = foresee_restore(folder, place)
            told = ", ".join(f"{there.get(name, 0)} {name}" for name in kept)
            notes = [f"the vault holds {told.replace('_', ' ')}; what it has stays"]
            print_intent(Intent(reads=kept, notes=notes), as_json=as_json)
            return
        check_vault(opened, folder)
        _print_extent(restored(folder, place), place, as_json=as_json)


@vault.command("rotate")
def rotate(store: StoreOption, dry_run: DryRunOption = False, as_json: JsonOption = False) -> None:
    """Encrypt what the vault keeps under a fresh key; the key of ids stays, and so do all ids."""
    from fvlm_data.forget.journal import unfinished
    from fvlm_data.identity.rotation import rotate as rotated
    from fvlm_data.store.leases import alone

    with one_sentence():
        context = opened_context(store)
        if dry_run:
            print_intent(Intent(reads=context.vault.extent()), as_json=as_json)
            return
        with alone(context.store, lambda: unfinished(context.vault)):
            entries = rotated(context.vault)
    if as_json:
        print_json({"entries": entries, "folder": str(context.vault.folder)})
        return
    out.print(f"{entries} entries encrypted anew in {context.vault.folder}", markup=False)


@vault.command("relearn")
def relearn(store: StoreOption, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Read the sources again for names, paths and reports that the vault has lost.

    No table changes. Names are proved by what the store keeps of them; exit status 1 where those of
    a series are told by no source any more.
    """
    from fvlm_data.run.private_paths import unresolved
    from fvlm_data.run.records import open_context
    from fvlm_data.run.relearn import relearn as relearnt

    with one_sentence():
        resolved = resolved_config(store, config, None, {})
        if unresolved(resolved):
            raise ConfigError(
                f"store {store}: the vault has lost where the sources of its last run lie; name "
                "their configuration by --config"
            )
        with progress_shown() as show:
            found = relearnt(open_context(resolved, create=False), resolved, show)
        if as_json:
            print_json(dataclasses.asdict(found))
        else:
            for line in found.sentences():
                out.print(line, markup=False)
    if not found.names_are_whole:
        sys.exit(1)


@vault.command("places")
def places(store: StoreOption, as_json: JsonOption = False) -> None:
    """Turn the tokens of config.yaml back: where sources, reports and masks of the last run lie."""
    from fvlm_data.run.private_paths import places_of
    from fvlm_data.run.records import last_configuration
    from fvlm_data.store.tables import Store

    with one_sentence():
        found = places_of(last_configuration(Store.open(store)))
        if as_json:
            print_json([{"key": key, "place": str(value)} for key, value in found])
            return
        for key, value in found:
            out.print(f"{key}: {value}", markup=False, soft_wrap=True)


def _print_extent(extent: dict[str, int], folder: Path, *, as_json: bool) -> None:
    if as_json:
        print_json({**extent, "folder": str(folder)})
        return
    told = ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in extent.items())
    out.print(f"{told} in {folder}", markup=False)


finish(vault, VAULT)
