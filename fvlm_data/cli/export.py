"""`fvlm-data export`: copies of a store in other forms; its commands come from the list EXPORTS."""

from __future__ import annotations

import dataclasses
import inspect
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.core
import typer.main
from pydantic import ValidationError

import schemas
from fvlm_data.cli.console import err, one_sentence, out, print_json, progress_shown
from fvlm_data.cli.dry import DryRunOption, Intent, print_intent
from fvlm_data.cli.grammar import shown, with_quiet
from fvlm_data.cli.options import JsonOption, StoreOption, opened_context, resolved_config
from fvlm_data.errors import FvlmError, InputError, StoreError
from fvlm_data.export import EXPORTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pydantic.fields import FieldInfo

    from fvlm_data.export.entry import Export
    from fvlm_data.export.run import Exported, Form

SplitOption = Annotated[
    list[str] | None, typer.Option("--split", help="train, validation or test; default: all")
]
PurposeOption = Annotated[
    str | None,
    typer.Option(
        "--purpose",
        help="what it is for: who refuses that is left out; default: who refuses anything",
    ),
]
OURS = frozenset({"folder", "store", "split", "purpose", "dry_run", "as_json", "quiet"})


class _Exports(typer.core.TyperGroup):
    """The commands of the list: one is loaded when it is called, or its help is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        return EXPORTS.names()

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """As typer does; of an unknown one the nearest is named."""
        if args and not args[0].startswith("-"):
            with one_sentence():
                EXPORTS.offer(args[0])
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in EXPORTS.names():
            return None
        with one_sentence():
            return _command(cmd_name)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """The list of exports; other packages are named in it without being loaded."""
        shown = [
            typer.core.TyperCommand(
                offer.name,
                help=f"(of package {offer.package} {offer.version})"
                if offer.foreign
                else EXPORTS.load(offer.name).help,
            )
            for offer in EXPORTS.offers()
        ]
        listed = typer.core.TyperGroup(name=self.name, help=self.help, commands=shown)
        listed.format_help(ctx, formatter)


export = typer.Typer(cls=_Exports, help="Copies in other forms.", no_args_is_help=True)


@export.callback()
def _export() -> None:
    """Copies in other forms."""


def _command(name: str) -> Any:
    """The command of one export: the folder, the store, and the fields of its options."""
    entry: Export = EXPORTS.load(name)

    def run(**given: Any) -> None:
        _run(name, entry, given)

    parameters = list(_parameters(name, entry))
    run.__doc__ = entry.help
    # typer reads the options of a command from the function's signature
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    app = typer.Typer(add_completion=False)
    example = shown(f"fvlm-data export {name} {entry.example} --store store")
    app.command(name, epilog=example)(with_quiet(run))
    return typer.main.get_command(app)


def _parameters(name: str, entry: Export) -> Iterator[inspect.Parameter]:
    # the name of the folder counts for those that check it: `.` is not one
    folder = typer.Argument(metavar="OUT", help=entry.folder, resolve_path=entry.check is not None)
    yield _parameter("folder", Annotated[Path, folder])
    yield _parameter("store", StoreOption)
    for field_name, field in entry.options.model_fields.items():
        if field_name in OURS:
            raise InputError(
                f"export {name}: its option {field_name} is one that every export has; expected "
                "another name; report it to the makers of its package"
            )
        default = inspect.Parameter.empty if field.is_required() else field.get_default()
        yield _parameter(field_name, Annotated[field.annotation, _option(field)], default)
    if entry.of == "samples":
        yield _parameter("split", SplitOption, None)
    yield _parameter("purpose", PurposeOption, None)
    yield _parameter("dry_run", DryRunOption, False)
    yield _parameter("as_json", JsonOption, False)


def _parameter(
    name: str, annotation: Any, default: Any = inspect.Parameter.empty
) -> inspect.Parameter:
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, annotation=annotation, default=default)


def _option(field: FieldInfo) -> Any:
    """An option of the command line for a field, with the field's bounds."""
    low = next((one.ge for one in field.metadata if hasattr(one, "ge")), None)
    high = next((one.le for one in field.metadata if hasattr(one, "le")), None)
    bounds: dict[str, Any] = {"min": low, "max": high} if field.annotation in (int, float) else {}
    return typer.Option(help=field.description, **bounds)


def _run(name: str, entry: Export, given: dict[str, Any]) -> None:
    from fvlm_data.export.run import Form

    folder = given["folder"]
    with one_sentence():
        if entry.check is not None:
            entry.check(folder)
        options = _checked(name, entry, {k: v for k, v in given.items() if k not in OURS})
        form = Form(name, entry, options, EXPORTS.made_by(name))
        if given["dry_run"]:
            intent = _intent(form, folder, given["store"], given.get("split"), given["purpose"])
            print_intent(intent, as_json=given["as_json"])
            return
        made = _exported(form, folder, given["store"], given.get("split"), given["purpose"])
        hint = entry.hint(folder)
    _print(made, hint, as_json=given["as_json"])


def _checked(name: str, entry: Export, values: dict[str, Any]) -> Any:
    try:
        return entry.options.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        told = first["msg"].removeprefix("Value error, ")
        raise InputError(f"export {name}: {place}: {told}") from None


def _exported(
    form: Form, folder: Path, store: str, splits: list[str] | None, purpose: str | None
) -> Exported:
    from fvlm_data.consent.hidden import hide_restricted
    from fvlm_data.export.recorded import ALL
    from fvlm_data.export.run import run_export, run_tables_export

    # before: the working folder itself may be exchanged by the export
    record = _recorder(store, folder.resolve())
    if form.export.of == "tables":
        copied = opened_context(store).store
        hidden = hide_restricted(copied, purpose)
        with progress_shown() as show:
            made = run_tables_export(
                copied, form, folder, lambda done, total: show("export", done, total)
            )
        made = dataclasses.replace(made, purpose=purpose, restricted=hidden)
        record(made, ALL)
        return made
    from fvlm_data.export.source import index_rows, open_source

    with progress_shown() as show:
        source = open_source(store, splits or (), purpose)
        made = run_export(source, form, folder, lambda done, total: show("export", done, total))
    made = dataclasses.replace(made, purpose=purpose, restricted=source.restricted)
    rows = (row for dataset in source.splits.values() for row in index_rows(dataset))
    record(made, sorted(row["sample_id"] for row in rows))
    return made


def _intent(
    form: Form, folder: Path, store: str, splits: list[str] | None, purpose: str | None
) -> Intent:
    """What would be copied; how large the copy is shows only when it is written."""
    from fvlm_data.consent.hidden import hide_restricted
    from fvlm_data.export.source import open_source
    from fvlm_data.export.target import check_free
    from fvlm_data.store.tables import Store

    check_free(folder.resolve())
    opened = Store.open(store)
    if form.export.of == "tables":
        tables = {name: opened.count(name) for name in schemas.TABLES}
        size = sum(opened.sizes("tables").values())
        notes = [f"in {folder}", *_left_out(hide_restricted(opened, purpose), "studies", purpose)]
        return Intent(reads={"rows": sum(tables.values())}, read_bytes=size, notes=notes)
    source = open_source(store, splits or (), purpose)
    samples = {f"samples of {split}": len(data) for split, data in source.splits.items()}
    size = sum(sum(opened.sizes(f"shards/{split}").values()) for split in source.splits)
    notes = [f"in {folder}", *_left_out(source.restricted, "samples", purpose)]
    return Intent(reads=samples, read_bytes=size, notes=notes)


def _left_out(number: int, what: str, purpose: str | None) -> list[str]:
    """A line of what is left out, if anything is."""
    why = f"not for {purpose}" if purpose else "no purpose named"
    return [f"left out as restricted ({why}): {number} {what}"] if number else []


def _recorder(store: str, folder: Path) -> Callable[[Exported, Iterable[str]], None]:
    """What has the store know of the export, where it may be written; who only reads is told."""
    from fvlm_data.export.recorded import record_export
    from fvlm_data.run.records import open_vault, vault_folder
    from fvlm_data.store.tables import Store

    try:
        opened = Store.open(store)
        config = resolved_config(store, None, None, {})
        known = (vault_folder(opened, config) / "key").is_file()
        vault = open_vault(opened, config) if known else None
    except FvlmError as error:
        return partial(_unrecorded, str(error))

    def record(made: Exported, samples: Iterable[str]) -> None:
        try:
            placed = record_export(opened, vault, made, folder, samples).place
        except StoreError as error:
            _unrecorded(str(error))
        else:
            if not placed:
                _unrecorded("without the vault nothing keeps where it lies")

    return record


def _unrecorded(why: str, *_: object) -> None:
    err.print(
        f"the export is whole, but the store does not know of it or its place ({why}); when a "
        "patient withdraws, it has to be found by hand",
        markup=False,
    )


def _print(made: Exported, hint: str, *, as_json: bool) -> None:
    lines = hint.splitlines()
    if as_json:
        print_json({**dataclasses.asdict(made), "open": lines})
        return
    samples = ", ".join(f"{count} of {split}" for split, count in made.samples.items())
    files = f"{made.files} file{'' if made.files == 1 else 's'}"
    out.print(
        f"{samples or 'tables'} in {made.folder}: {files}, "
        f"{made.size_bytes / 1e6:.1f} MB, {made.seconds:.1f} s\nto open it:",
        markup=False,
    )
    for line in _left_out(made.restricted, "samples" if made.samples else "studies", made.purpose):
        err.print(line, markup=False)
    for line in lines:
        out.print(f"    {line}", markup=False)
