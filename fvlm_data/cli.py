"""The command `fvlm-data`."""

from __future__ import annotations

import json
import sys
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core
import yaml

from fvlm_data.console import (
    err,
    one_sentence,
    out,
    print_checks,
    print_summary,
    progress_shown,
)
from fvlm_data.errors import InputError

app = typer.Typer(
    name="fvlm-data",
    help="From CT archives and reports to training data for vision-language models.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

TELLING_ENDINGS = (".dcm", ".nii", ".gz", ".npz", ".zip", ".tar", ".tgz")

StoreOption = Annotated[str, typer.Option("--store", help="folder or URL of the store")]
ConfigOption = Annotated[Path | None, typer.Option("--config", help="YAML configuration")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="section.key=value, over the configuration")
]
JsonOption = Annotated[bool, typer.Option("--json", help="the summary for machines")]


@app.command()
def phantom(
    out_folder: Annotated[Path, typer.Argument(metavar="OUT", help="new or empty folder")],
    patients: Annotated[int, typer.Option(min=1, help="number of synthetic patients")] = 12,
    seed: Annotated[int, typer.Option(help="the same seed gives the same patients")] = 7,
    workers: Annotated[int, typer.Option(min=1, help="processes")] = 1,
) -> None:
    """Make synthetic patients: DICOM series, masks, reports and the truth."""
    from fvlm_data.phantom import generate

    with one_sentence(), progress_shown() as show:
        generate(
            out_folder,
            patients=patients,
            seed=seed,
            workers=workers,
            progress=lambda done, total: show("phantom", done, total),
        )
    out.print(f"{patients} synthetic patients in {out_folder}", markup=False)


@app.command()
def ingest(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE", help="folder, archive, DICOMDIR, or URL of a DICOMweb server"
        ),
    ],
    store: StoreOption,
    kind: Annotated[
        str | None,
        typer.Option(help="dicom, dicomweb, nifti, ct_rate or rad_chestct; default: by look"),
    ] = None,
    mapping: Annotated[
        Path | None, typer.Option(help="CSV that describes volume files (studies, metadata)")
    ] = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take images into a store: geometry and HU proved or set aside with reason."""
    with one_sentence():
        entry = _source_entry(source, kind, mapping)
        _run(["ingest", "select"], store, config, overrides, {"sources": [entry]}, as_json=as_json)


@app.command()
def segment(
    store: StoreOption,
    backend: Annotated[
        str | None, typer.Option(help="precomputed, threshold or totalsegmentator")
    ] = None,
    masks: Annotated[Path | None, typer.Option(help="folder or manifest of label maps")] = None,
    classes: Annotated[
        str | None, typer.Option(help="totalsegmentator_v1, totalsegmentator_v2 or a YAML map")
    ] = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give every volume a label map of anatomical classes."""
    known = classes in ("totalsegmentator_v1", "totalsegmentator_v2")
    named = classes if known or classes is None else str(Path(classes).resolve())
    given = {"backend": backend, "masks": str(masks.resolve()) if masks else None, "classes": named}
    section = {name: value for name, value in given.items() if value is not None}
    with one_sentence():
        _run(["segment"], store, config, overrides, {"segment": section}, as_json=as_json)


class _ReadByDefault(typer.core.TyperGroup):
    """`reports FILE ...` reads a file: what is no command of the group goes to `read`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, "--help"):
            args = ["read", *args]
        return super().parse_args(ctx, args)


reports = typer.Typer(
    cls=_ReadByDefault,
    help="Read reports (reports FILE --store STORE), review them, score the parser.",
    no_args_is_help=True,
)
app.add_typer(reports, name="reports")


@reports.command("read")
def reports_read(
    store: StoreOption,
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            help="CSV, Parquet, JSONL, text, DICOM SR, FHIR JSON, HL7 v2, or a folder of them",
        ),
    ] = None,
    column: Annotated[
        list[str] | None, typer.Option(help="our name=column of the file, as study_uid=UID")
    ] = None,
    kind: Annotated[str, typer.Option(help="kind of the files; auto: by suffix")] = "auto",
    mapping: Annotated[
        Path | None, typer.Option(help="CSV that maps reports to study_uid, accession, ...")
    ] = None,
    review: Annotated[
        bool, typer.Option("--review", help="write an HTML page to look at and correct")
    ] = False,
    page: Annotated[Path, typer.Option(help="where --review writes")] = Path("review.html"),
    limit: Annotated[int, typer.Option(min=1, help="reports on the page")] = 50,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take reports into a store: scrubbed, split, tagged, with findings; or review them."""
    with one_sentence():
        if file is None and not review:
            raise InputError("reports: no file named; expected FILE, or --review")
        if file is not None:
            entry: dict[str, Any] = {"path": str(file.resolve()), "kind": kind}
            entry["columns"] = _columns(column or [])
            entry["mapping"] = str(mapping.resolve()) if mapping else None
            _run(["reports"], store, config, overrides, {"reports": [entry]}, as_json=as_json)
        if review:
            from fvlm_data.reports.commands import write_review

            resolved = _config(store, config, overrides, {})
            shown = write_review(_context(store), resolved.parse, page, limit)
            out.print(f"{shown} reports in {page}: text without known identities", markup=False)


@reports.command("score")
def reports_score(
    gold: Annotated[Path, typer.Argument(metavar="GOLD.jsonl", help="saved by the review page")],
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure the parser against corrected reports."""
    from fvlm_data.config import load_config
    from fvlm_data.reports.commands import score_gold, score_lines

    with one_sentence():
        scored = score_gold(load_config(config, overrides or (), {"store": "none"}).parse, gold)
        if as_json:
            out.print_json(json.dumps(scored.as_dict()))
            return
        for line in score_lines(scored):
            out.print(line, markup=False)


@reports.command("compare")
def reports_compare(
    store: StoreOption,
    limit: Annotated[int, typer.Option(min=1, help="reports to read both ways")] = 100,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """List where the rules and the language model of parse.llm read reports differently."""
    from fvlm_data.reports.commands import compare_backends, comparison_lines

    with one_sentence():
        resolved = _config(store, config, overrides, {})
        compared = compare_backends(_context(store), resolved.parse, limit)
        if as_json:
            out.print_json(json.dumps(compared.as_dict()))
            return
        for line in comparison_lines(compared):
            out.print(line, markup=False)


@app.command()
def pair(
    store: StoreOption,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Join reports to studies; give anatomies texts, states and signatures; split patients."""
    with one_sentence():
        _run(["split", "pair"], store, config, overrides, {}, as_json=as_json)


@app.command()
def shard(
    store: StoreOption,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write training samples as zarr shards."""
    with one_sentence():
        _run(["shard"], store, config, overrides, {}, as_json=as_json)


@app.command()
def curate(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="YAML configuration")],
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run all stages in this process, without a server."""
    from fvlm_data.stages import STAGES

    with one_sentence():
        _run(list(STAGES), None, config, overrides, {}, as_json=as_json)


@app.command()
def qc(store: StoreOption) -> None:
    """Write the quality page STORE/qc/index.html."""
    from fvlm_data.qc import write_qc

    with one_sentence():
        out.print(write_qc(_context(store)), markup=False)


@app.command()
def verify(store: StoreOption, as_json: JsonOption = False) -> None:
    """Prove by counting that nothing is lost; exit status 1 where a statement is broken."""
    from fvlm_data.verify import verify as checked

    with one_sentence():
        checks = checked(_context(store).store)
        print_checks(checks, as_json=as_json)
    if not all(check.passed for check in checks):
        sys.exit(1)


@app.command()
def status(store: StoreOption, as_json: JsonOption = False) -> None:
    """What the store holds now, and what its last configuration still has to do."""
    from fvlm_data.runs import Summary, add_counts, tally
    from fvlm_data.stage import pending
    from fvlm_data.stages import STAGES, build_stage

    with one_sentence():
        context = _context(store)
        summary = Summary("status", context.store.url)
        resolved = _config(store, None, None, {})
        for name in STAGES:
            work = pending(context, build_stage(name, resolved))
            counts: Any = {
                "settled": work.settled,
                "to do": sum(len(batch) for batch in work.batches),
            }
            add_counts(summary, name, counts)
        tally(context, summary)
        print_summary(summary, as_json=as_json)


@app.command()
def compact(
    store: StoreOption,
    keep_hours: Annotated[int, typer.Option(min=0, help="history kept, in hours")] = 168,
) -> None:
    """Join small table files and drop history older than --keep-hours."""
    import schemas
    from fvlm_data.shards.tidy import tidy_shards

    with one_sentence():
        context = _context(store)
        tidied = tidy_shards(context, keep_hours)
        out.print(f"shards: {tidied.groups_removed} unused groups removed", markup=False)
        for table in schemas.TABLES:
            counts = context.store.compact(table, keep_hours)
            out.print(
                f"{table}: {counts['before']} files, now {counts['after']}; "
                f"{counts['removed']} old files removed",
                markup=False,
            )


@app.command()
def explain(
    sample_id: Annotated[str, typer.Argument(metavar="SAMPLE_ID")],
    store: StoreOption,
    reveal: Annotated[bool, typer.Option(help="resolve file tokens with the vault")] = False,
) -> None:
    """Walk from a training sample back to its files and sentences."""
    from fvlm_data.explain import explain as explained

    with one_sentence():
        told = explained(_context(store), sample_id, reveal=reveal)
        out.print_json(json.dumps(told))


export = typer.Typer(help="Copies in other forms.", no_args_is_help=True)
app.add_typer(export, name="export")


@export.callback()
def _export() -> None:
    """Copies in other forms."""


@export.command("tables")
def export_tables(
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="new or empty folder")],
    store: StoreOption,
) -> None:
    """Every table as one plain Parquet file."""
    import pyarrow.parquet as pq

    import schemas

    with one_sentence():
        opened = _context(store).store
        if folder.exists() and any(folder.iterdir()):
            raise InputError(f"folder {folder}: not empty; expected a new or empty folder")
        folder.mkdir(parents=True, exist_ok=True)
        for table in schemas.TABLES:
            pq.write_table(opened.read(table), folder / f"{table}.parquet")
    out.print(f"{len(schemas.TABLES)} tables in {folder}", markup=False)


def main() -> None:
    """Entry point of the command."""
    app()


def _run(
    stages: list[str],
    store: str | None,
    config: Path | None,
    overrides: list[str] | None,
    values: dict[str, Any],
    *,
    as_json: bool,
) -> None:
    from fvlm_data.curate import curate as run_stages

    resolved = _config(store, config, overrides, values)
    with progress_shown() as show:
        summary = run_stages(resolved, stages, progress=show)
    print_summary(summary, as_json=as_json)
    if not as_json and summary.set_aside:
        err.print("some items were set aside; the run itself completed", markup=False)


def _config(
    store: str | None, path: Path | None, overrides: list[str] | None, values: dict[str, Any]
) -> Any:
    """The given configuration, else that of the store's last run, with the flags on top."""
    from fvlm_data.config import load_config

    base: dict[str, Any] = {}
    if store is not None:
        if path is None:
            base = _last_configuration(store)
        values = {**_listed_values(base, values), "store": store}
    return load_config(path, overrides or (), values, base)


def _listed_values(base: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Flags over the last configuration: sections are merged, a new source joins the others."""
    merged: dict[str, Any] = {}
    for name, value in values.items():
        before = base.get(name)
        if isinstance(value, list):
            places = {_place_of(entry) for entry in value}
            merged[name] = [e for e in before or [] if _place_of(e) not in places] + value
        else:
            merged[name] = {**(before or {}), **value}
    return merged


def _last_configuration(store: str) -> dict[str, Any]:
    from fvlm_data.store import MARK, Store

    if "://" not in store and not Path(store, MARK).exists():
        return {}
    opened = Store.open(store)
    if not opened.exists("config.yaml"):
        return {}
    loaded: dict[str, Any] = yaml.safe_load(opened.read_bytes("config.yaml"))
    return loaded


def _context(store: str) -> Any:
    from fvlm_data.runs import open_context

    return open_context(_config(store, None, None, {}), create=False)


def _source_entry(source: str, kind: str | None, mapping: Path | None) -> dict[str, str]:
    if "://" in source:
        return {"kind": kind or "dicomweb", "url": source}
    path = Path(source)
    if not path.exists():
        raise InputError(f"source {source}: not found; name the folder that holds the images")
    entry = {"kind": kind or _kind_of(path), "path": str(path.resolve())}
    return {**entry, "mapping": str(mapping.resolve())} if mapping else entry


def _place_of(entry: dict[str, Any]) -> str:
    return str(entry.get("url") or entry.get("path"))


def _kind_of(source: Path) -> str:
    """What the first file with a telling name says, among the first few thousand."""
    from fvlm_data.ingest.sources.ct_rate import NAME

    looked_at = islice(source.rglob("*"), 5000)
    files = (file for file in looked_at if file.suffix.lower() in TELLING_ENDINGS)
    first = source if source.is_file() else next(files, None)
    name = first.name.lower() if first else ""
    if name.endswith(".npz"):
        return "rad_chestct"
    if not name.endswith((".nii", ".nii.gz")):
        return "dicom"
    return "ct_rate" if NAME.fullmatch(name.partition(".nii")[0]) else "nifti"


def _columns(pairs: list[str]) -> dict[str, str]:
    columns = {}
    for pair_text in pairs:
        ours, separator, theirs = pair_text.partition("=")
        if not separator:
            raise InputError(f"--column {pair_text}: expected our_name=column of the file")
        columns[ours] = theirs
    return columns
