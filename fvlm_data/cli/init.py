"""Commands that make a configuration, and its schema for editors."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fvlm_data.cli.console import one_sentence, out, print_json, print_line
from fvlm_data.cli.dry import DryRunOption, print_file_intent
from fvlm_data.cli.options import JsonOption
from fvlm_data.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fvlm_data.run.survey.found import Survey

ForceOption = Annotated[bool, typer.Option("--force", help="write over a file that is there")]


def init(
    folder: Annotated[
        str,
        typer.Argument(
            metavar="FOLDER", help="images, masks and reports; or s3://bucket/prefix with images"
        ),
    ],
    out_file: Annotated[
        Path, typer.Option("--out", metavar="CONFIG.yaml", help="file that is written")
    ] = Path("config.yaml"),
    force: ForceOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write a commented configuration from what lies in a folder: images, masks, reports."""
    from fvlm_data.ingest.sources.objects import SCHEME
    from fvlm_data.run.survey.bucket import survey_bucket
    from fvlm_data.run.survey.look import survey
    from fvlm_data.run.survey.written import configuration_text

    with one_sentence():
        _check_free(out_file, force=force)
        seen = survey_bucket(folder) if folder.startswith(SCHEME) else survey(Path(folder))
        if not seen.sources and not seen.reports:
            raise InputError(_nothing(seen))
        text = configuration_text(seen, out_file)
        if dry_run and not as_json:
            print_line(text)
        if dry_run:
            reads = {"files looked at": seen.files}
            size = len(text.encode())
            print_file_intent(
                out_file, "configuration", as_json=as_json, size_bytes=size, reads=reads
            )
            return
        _write(out_file, text, force=force)
    if as_json:
        print_json({**_plain(seen), "written": str(out_file)})
        return
    for line in _told(seen):
        out.print(line, markup=False)
    out.print(f"Written: {out_file}", markup=False)
    out.print(f"Next: read it, then fvlm-data curate {out_file}", markup=False)


def schema(
    out_file: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="file; default: it is printed")
    ] = None,
    force: ForceOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """The JSON Schema of the configuration, by which editors complete and check its keys."""
    from fvlm_data.run.config_schema import configuration_schema

    with one_sentence():
        text = json.dumps(configuration_schema(), indent=2) + "\n"
        if out_file is None:
            # JSON for a person as for a machine: only the former is silenced
            if as_json or not out.quiet:
                typer.echo(text, nl=False)
            return
        _check_free(out_file, force=force)
        if dry_run:
            size = len(text.encode())
            print_file_intent(out_file, "schema", as_json=as_json, size_bytes=size)
            return
        _write(out_file, text, force=force)
    if as_json:
        print_json({"written": str(out_file)})
        return
    out.print(f"Written: {out_file}", markup=False)
    out.print(
        f"First line of a configuration beside it: # yaml-language-server: $schema={out_file.name}",
        markup=False,
    )


def _plain(seen: Survey) -> dict[str, Any]:
    """What was seen, places as texts."""
    told: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(seen), default=str))
    return told


def _check_free(path: Path, *, force: bool) -> None:
    if path.exists() and not force:
        raise InputError(f"{path}: is there already; name another file by --out, or give --force")


def _write(path: Path, text: str, *, force: bool) -> None:
    try:
        content = text.encode()
        path.parent.mkdir(parents=True, exist_ok=True)
        # x: another process may have written the file since the check
        with path.open("wb" if force else "xb") as handle:
            handle.write(content)
    except (OSError, UnicodeEncodeError) as error:
        raise InputError(
            f"{path}: cannot be written ({type(error).__name__}); name another file by --out"
        ) from None


def _nothing(seen: Survey) -> str:
    told = f"; {'; '.join(seen.notes)}" if seen.notes else ""
    return (
        f"folder {seen.folder}: no CT images and no reports were seen among {seen.files} files, "
        f"expected DICOM, NIfTI or npz files, or tables of reports{told}"
    )


def _told(seen: Survey) -> Iterator[str]:
    part = "all there is" if seen.complete else "a sample: more lies there"
    yield f"Looked at {seen.files} files in {seen.folders} folders of {seen.folder} ({part})"
    for source in seen.sources:
        by = f", described by {source.mapping}" if source.mapping else ""
        place = source.url or source.path
        yield f"  images    {source.kind}: {place} ({source.files} files seen{by})"
    if seen.masks is not None:
        classes = f"classes by {seen.masks.told_by}: {seen.masks.classes}"
        told = classes if seen.masks.classes else "classes are not told: set segment.classes"
        yield f"  masks     {seen.masks.path} ({seen.masks.files} files seen; {told})"
    for one in seen.reports:
        columns = ", ".join(f"{ours} from {column}" for ours, column in one.columns.items())
        yield f"  reports   {one.kind}: {one.path}{f' ({columns})' if columns else ''}"
    for note in seen.notes:
        yield f"  look at   {note}"
