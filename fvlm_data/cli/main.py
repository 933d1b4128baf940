"""The command `fvlm-data`: what takes data in and runs the stages; groups lie in `commands`."""

from __future__ import annotations

from dataclasses import asdict
from importlib.metadata import version as installed_version
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core

from fvlm_data.cli import inspection as looking
from fvlm_data.cli.audit import audit
from fvlm_data.cli.console import one_sentence, out, print_json, progress_shown
from fvlm_data.cli.demo import demo
from fvlm_data.cli.dry import DryRunOption, Intent, print_intent
from fvlm_data.cli.examples import COMMANDS
from fvlm_data.cli.export import export
from fvlm_data.cli.forget import forget
from fvlm_data.cli.grammar import finish
from fvlm_data.cli.init import init, schema
from fvlm_data.cli.options import (
    ConfigOption,
    JsonOption,
    KeysOption,
    NameOption,
    RehashOption,
    RetryOption,
    SetOption,
    StoreOption,
    resolved_config,
    run_command,
)
from fvlm_data.cli.pages import open_page
from fvlm_data.cli.plan import plan
from fvlm_data.cli.plugins import plugins
from fvlm_data.cli.problem import report_problem
from fvlm_data.cli.reports import reports
from fvlm_data.cli.restrict import restrict
from fvlm_data.cli.review import review
from fvlm_data.cli.search import search
from fvlm_data.cli.serve import serve
from fvlm_data.cli.status import status
from fvlm_data.cli.unforeseen import text_withheld
from fvlm_data.cli.vault import vault
from fvlm_data.errors import InputError

ORDER = (
    *("demo", "phantom", "init", "ingest", "segment", "reports", "pair", "shard", "curate"),
    *("status", "verify"),
)


class _InOrderOfUse(typer.core.TyperGroup):
    """Commands in the order in which they are used."""

    def list_commands(self, ctx: Any) -> list[str]:
        named = super().list_commands(ctx)
        return [*ORDER, *(name for name in named if name not in ORDER)]


app = typer.Typer(
    name="fvlm-data",
    cls=_InOrderOfUse,
    help="From CT archives and reports to training data for vision-language models.",
    epilog="Begin with ingest, segment, reports, pair, shard, in this order and with one --store; "
    "or put all into a CONFIG.yaml, which init writes, and run curate. phantom makes data to try "
    "it on. The README shows both ways.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(reports, name="reports")
app.add_typer(export, name="export")
app.add_typer(vault, name="vault")
app.add_typer(audit, name="audit")
app.add_typer(review, name="review")


def _print_version(wanted: bool) -> None:
    if wanted:
        out.print(f"fvlm {installed_version('fvlm')}", markup=False)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="print and end"),
    ] = False,
) -> None:
    """From CT archives and reports to training data for vision-language models."""


BESIDE_ENDINGS = (".csv", ".json", ".md", ".parquet", ".pdf", ".tsv", ".txt", ".xlsx", ".yaml")
"""Endings of files that lie beside a data set's images and do not make it another kind."""


@app.command()
def phantom(
    out_folder: Annotated[Path, typer.Argument(metavar="OUT", help="new or empty folder")],
    patients: Annotated[int, typer.Option(min=1, help="number of synthetic patients")] = 12,
    seed: Annotated[int, typer.Option(help="the same seed gives the same patients")] = 7,
    workers: Annotated[int, typer.Option(min=1, help="processes")] = 1,
    clinical: Annotated[
        bool, typer.Option("--clinical", help="also write clinical.csv: values, times, outcome")
    ] = False,
    languages: Annotated[
        list[str] | None,
        typer.Option(
            "--language",
            help="reports of the vocabulary's prompts in this language; several: patients in turn, "
            "all in reports_abdomen.csv",
        ),
    ] = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make synthetic patients: DICOM series, masks, reports and the truth."""
    from fvlm_data.phantom import check_new, generate, studies_of
    from fvlm_data.phantom.clinical import write_clinical

    if dry_run:
        with one_sentence():
            check_new(out_folder)
            makes = {"patients": patients, "studies": studies_of(patients, seed)}
        print_intent(Intent(makes=makes, notes=[f"in {out_folder}"]), as_json=as_json)
        return
    with one_sentence(), progress_shown() as show:
        made = generate(
            out_folder,
            patients=patients,
            seed=seed,
            workers=workers,
            progress=lambda done, total: show("phantom", done, total),
            languages=tuple(languages or ()),
        )
        if clinical:
            write_clinical(out_folder, patients, seed)
    if as_json:
        print_json({**asdict(made), "out": str(made.out)})
        return
    out.print(f"{patients} synthetic patients in {out_folder}", markup=False)


@app.command()
def ingest(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="folder, archive, DICOMDIR, URL of a DICOMweb server, or s3://bucket/prefix",
        ),
    ],
    store: StoreOption,
    kind: Annotated[
        str | None,
        typer.Option(
            help="images, dicom, dicomweb, bucket, nifti, ct_rate, rad_chestct, or of `plugins`; "
            "default: by look"
        ),
    ] = None,
    mapping: Annotated[
        Path | None, typer.Option(help="CSV that describes volume files (studies, metadata)")
    ] = None,
    name: NameOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    rehash: RehashOption = False,
    retry: RetryOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Take images into a store: geometry and HU proved or set aside with reason."""
    with one_sentence():
        entry = _source_entry(source, kind, mapping, name)
        values = {"sources": [entry]}
        run_command(
            "ingest",
            store,
            config,
            overrides,
            values,
            retry=retry,
            dry_run=dry_run,
            as_json=as_json,
            rehash=rehash,
        )


@app.command()
def segment(
    store: StoreOption,
    backend: Annotated[
        str | None,
        typer.Option(help="precomputed, threshold, totalsegmentator, or one of `plugins`"),
    ] = None,
    masks: Annotated[Path | None, typer.Option(help="folder or manifest of label maps")] = None,
    classes: Annotated[
        str | None, typer.Option(help="totalsegmentator_v1, totalsegmentator_v2 or a YAML map")
    ] = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    retry: RetryOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Give every volume a label map of anatomical classes."""
    known = classes in ("totalsegmentator_v1", "totalsegmentator_v2")
    named = classes if known or classes is None else str(Path(classes).resolve())
    given = {"backend": backend, "masks": str(masks.resolve()) if masks else None, "classes": named}
    section = {name: value for name, value in given.items() if value is not None}
    with one_sentence():
        run_command(
            "segment",
            store,
            config,
            overrides,
            {"segment": section},
            retry=retry,
            dry_run=dry_run,
            as_json=as_json,
        )


@app.command()
def pair(
    store: StoreOption,
    audit: Annotated[
        bool, typer.Option("--audit", help="look at the pairs as they are; nothing is written")
    ] = False,
    labels: Annotated[
        Path | None, typer.Option(help="for --audit: CSV of labels, CT-RATE's columns")
    ] = None,
    examples: Annotated[
        int, typer.Option(min=0, help="for --audit: disagreements shown of each kind")
    ] = 3,
    config: ConfigOption = None,
    overrides: SetOption = None,
    retry: RetryOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Join reports to studies; give anatomies texts, states and signatures; split patients."""
    with one_sentence():
        if audit:
            resolved = resolved_config(store, config, overrides, {})
            if dry_run:
                raise InputError("--audit writes nothing: leave --dry-run out")
            looking.print_audit(resolved, labels, examples, as_json=as_json)
            return
        if labels is not None:
            raise InputError("--labels is for --audit: give both")
        run_command(
            "pair",
            store,
            config,
            overrides,
            {},
            retry=retry,
            dry_run=dry_run,
            as_json=as_json,
        )


@app.command()
def shard(
    store: StoreOption,
    unlabelled: Annotated[
        bool,
        typer.Option(
            "--unlabelled",
            help="also of volumes without reports or masks, for learning without labels, as "
            "section `unlabelled` says; kept by later runs",
        ),
    ] = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
    retry: RetryOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write training samples as zarr shards."""
    with one_sentence():
        run_command(
            "shard",
            store,
            config,
            overrides,
            {"unlabelled": {}} if unlabelled else {},
            retry=retry,
            dry_run=dry_run,
            as_json=as_json,
        )


@app.command()
def curate(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="YAML configuration")],
    overrides: SetOption = None,
    rehash: RehashOption = False,
    retry: RetryOption = False,
    keys: KeysOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Run all stages in this process, without a server."""
    with one_sentence():
        run_command(
            "curate",
            None,
            config,
            overrides,
            {},
            retry=retry,
            dry_run=dry_run,
            as_json=as_json,
            rehash=rehash,
            keys=keys,
        )


app.command()(init)
app.command()(demo)
app.command("open")(open_page)
app.command()(schema)
app.command()(plugins)
for _command in (
    looking.qc,
    serve,
    search,
    looking.verify,
    looking.doctor,
    report_problem,
    looking.upgrade,
    status,
    plan,
    looking.compact,
    forget,
    restrict,
    looking.explain,
):
    app.command()(_command)
finish(app, COMMANDS)


def main() -> None:
    """Entry point of the command."""
    with text_withheld():
        app()


def _source_entry(
    source: str, kind: str | None, mapping: Path | None, name: str | None
) -> dict[str, str]:
    if "://" in source:
        in_bucket = source.startswith("s3://")
        entry = {"kind": kind or ("bucket" if in_bucket else "dicomweb"), "url": source}
    else:
        path = Path(source)
        if not source.strip() or not path.exists():
            raise InputError(f"source {source}: not found; name the folder that holds the images")
        entry = {"kind": kind or _kind_of(path), "path": str(path.resolve())}
    if mapping is not None:
        entry["mapping"] = str(mapping.resolve())
    return {**entry, "name": name} if name is not None else entry


def _kind_of(source: Path) -> str:
    """What the names of the first few thousand files say; data sets of their own form first."""
    from fvlm_data.ingest.sources.ct_rate import NAME

    # bounded: an archive may hold millions of files
    looked_at = [source] if source.is_file() else islice(source.rglob("*"), 5000)
    names = [file.name for file in looked_at if file.is_file()]
    images = [name for name in names if not name.lower().endswith(BESIDE_ENDINGS)]
    if images and all(name.lower().endswith(".npz") for name in images):
        return "rad_chestct"
    if images and all(NAME.fullmatch(name.partition(".nii")[0]) for name in images):
        return "ct_rate"
    return "images"
