"""What the commands share: options, the configuration that holds, the run of stages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from fvlm_data.cli.console import err, print_announced, print_summary, progress_shown
from fvlm_data.cli.dry import print_forecast

StoreOption = Annotated[str, typer.Option("--store", help="folder or URL of the store")]
ConfigOption = Annotated[Path | None, typer.Option("--config", help="YAML configuration")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="section.key=value, over the configuration")
]
NameOption = Annotated[
    str | None,
    typer.Option("--name", help="name of the source in tables; default: last part of its path"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="the summary for machines")]
RehashOption = Annotated[
    bool,
    typer.Option("--rehash", help="read all known image files whole, whatever time and size say"),
]
KeysOption = Annotated[
    str | None,
    typer.Option(
        "--keys",
        metavar="FILE",
        help="look only at the image files that FILE names: a line each, s3://bucket/key, a path, "
        "or the JSON of a bucket's event; - is standard input",
    ),
]
RetryOption = Annotated[
    bool,
    typer.Option(
        "--retry", help="try again what crashed, ran out of time or of memory, whatever has changed"
    ),
]


def run_command(
    command: str,
    store: str | None,
    config: Path | None,
    overrides: list[str] | None,
    values: dict[str, Any],
    *,
    as_json: bool,
    rehash: bool = False,
    retry: bool = False,
    dry_run: bool = False,
    keys: str | None = None,
) -> None:
    """Run a command's stages over the store and print the summary; raises what `curate` raises.

    The command `curate` runs all. With `dry_run` it is only said what the run would do. `keys` is a
    file that names the image files to look at.
    """
    from fvlm_data.errors import InputError
    from fvlm_data.ingest.discovery.named_files import read_addresses
    from fvlm_data.monitoring.logs import logged
    from fvlm_data.run.curate import curate
    from fvlm_data.run.stages import stages_of

    resolved = resolved_config(store, config, overrides, values)
    named = read_addresses(keys) if keys is not None else None
    if dry_run and keys is not None:
        raise InputError("--dry-run tells of all that the sources hold: leave --keys out")
    if dry_run:
        names = None if command == "curate" else stages_of(command, resolved)
        print_forecast(resolved, names, rehash=rehash, retry=retry, as_json=as_json)
        return
    log = resolved.monitoring.log
    with logged(log), progress_shown(log) as show:
        names = None if command == "curate" else stages_of(command, resolved)
        summary = curate(
            resolved,
            names,
            progress=show,
            # sentences of the inputs name files: no lines for a machine
            announce=print_announced if log == "text" else None,
            rehash=rehash,
            retry=retry,
            isolate=True,
            named=named,
        )
    print_summary(summary, as_json=as_json)
    if not as_json and any(counts.get("set_aside") for counts in summary.stages.values()):
        err.print("some items were set aside; the run itself completed", markup=False)


def resolved_config(
    store: str | None, path: Path | None, overrides: list[str] | None, values: dict[str, Any]
) -> Any:
    """The given configuration, else that of the store's last run, with the flags on top."""
    from fvlm_data.run.config import load_config

    base: dict[str, Any] = {}
    if store is not None:
        if path is None:
            # only without a file: a file is complete by itself and nothing of the last run may leak
            # in
            base = _last_configuration(store)
        values = {**_listed_values(base, values), "store": store}
    return load_config(path, overrides or (), values, base)


def _listed_values(base: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Flags, of which a new source joins those of the last configuration.

    A source that is named again keeps what no flag says: its name, above all, on which the ids of
    its files hang.
    """
    merged = dict(values)
    for name, value in values.items():
        if isinstance(value, list):
            entries = {_place_of(entry): entry for entry in base.get(name) or []}
            for entry in value:
                place = _place_of(entry)
                entries[place] = {**entries.pop(place, {}), **entry}
            merged[name] = list(entries.values())
    return merged


def _last_configuration(store: str) -> dict[str, Any]:
    from fvlm_data.run.records import last_configuration
    from fvlm_data.store.tables import MARK, Store

    if "://" not in store and not Path(store, MARK).exists():
        return {}
    return last_configuration(Store.open(store))


def opened_context(store: str) -> Any:
    """Store and vault as the store's last configuration names them; raises StoreError."""
    from fvlm_data.run.records import open_context

    return open_context(resolved_config(store, None, None, {}), create=False)


def _place_of(entry: dict[str, Any]) -> str:
    return str(entry.get("url") or entry.get("path"))
