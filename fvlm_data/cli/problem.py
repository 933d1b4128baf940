"""`fvlm-data report-problem`: what a developer needs to see, without who the patients are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fvlm_data.cli.console import one_sentence, out, print_json
from fvlm_data.cli.dry import DryRunOption, print_file_intent
from fvlm_data.cli.options import ConfigOption, JsonOption, SetOption, resolved_config
from fvlm_data.errors import FvlmError, InputError

if TYPE_CHECKING:
    from fvlm_data.run.config import Config
    from fvlm_data.store.declared import Context


def report_problem(
    bundle: Annotated[
        Path, typer.Argument(metavar="OUT.zip", help="the bundle, a file that is not there yet")
    ] = Path("problem.zip"),
    store: Annotated[
        str | None, typer.Option("--store", help="folder or URL of the store it is about")
    ] = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write versions, what doctor says, settings, counts, runs and errors; no name, path or item.

    Nothing is sent: look at the bundle, then attach it to the report of a problem.
    """
    from fvlm_data.inspect.doctor import examine
    from fvlm_data.inspect.problem.bundle import bundle as made_bundle
    from fvlm_data.inspect.problem.bundle import write_bundle

    with one_sentence():
        if bundle.exists():
            raise InputError(f"{bundle}: is there already; name a file that is not there yet")
        resolved = resolved_config(store, config, overrides, {}) if store or config else None
        context = _context(resolved) if resolved is not None else None
        files = made_bundle(resolved, context, examine(resolved))
        sizes = {name: len(content) for name, content in files.items()}
        if dry_run:
            what = f"would hold {', '.join(files)}"
            size = sum(sizes.values())
            print_file_intent(bundle, what, as_json=as_json, size_bytes=size)
            return
        write_bundle(bundle, files)
        if as_json:
            print_json({"bundle": str(bundle), "files": sizes})
            return
        out.print(f"{bundle}: {', '.join(files)}; nothing was sent", markup=False)


def _context(config: Config) -> Context | None:
    """Store and vault; None where there are none or they do not open, which `doctor` tells."""
    from fvlm_data.run.records import open_context

    try:
        return open_context(config, create=False)
    except FvlmError:
        return None
