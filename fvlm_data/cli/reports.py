"""`fvlm-data reports`: read reports, review them, score the parser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core

from fvlm_data.cli.console import one_sentence, out, print_json
from fvlm_data.cli.dry import DryRunOption, print_file_intent
from fvlm_data.cli.examples import REPORTS
from fvlm_data.cli.grammar import finish
from fvlm_data.cli.options import (
    ConfigOption,
    JsonOption,
    NameOption,
    RetryOption,
    SetOption,
    StoreOption,
    opened_context,
    resolved_config,
    run_command,
)
from fvlm_data.errors import InputError


class _ReadByDefault(typer.core.TyperGroup):
    """`reports FILE ...` reads a file: a first argument that is no subcommand goes to `read`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, "--help"):
            args = ["read", *args]
        return super().parse_args(ctx, args)


reports = typer.Typer(
    cls=_ReadByDefault,
    help="Read reports (reports FILE --store STORE), review them, score the parser.",
    no_args_is_help=True,
)


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
    kind: Annotated[
        str | None, typer.Option(help="kind of the files; auto (the default): by suffix")
    ] = None,
    mapping: Annotated[
        Path | None, typer.Option(help="CSV that maps reports to study_uid, accession, ...")
    ] = None,
    name: NameOption = None,
    review: Annotated[
        bool, typer.Option("--review", help="write an HTML page to look at and correct")
    ] = False,
    page: Annotated[Path, typer.Option(help="where --review writes")] = Path("review.html"),
    limit: Annotated[int, typer.Option(min=1, help="reports on the page")] = 50,
    doubtful: Annotated[
        Path | None,
        typer.Option(help="with --review: rows of fvlm-eval doubtful, whose reports are shown"),
    ] = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    retry: RetryOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Take reports into a store: scrubbed, split, tagged, with findings; or review them."""
    with one_sentence():
        if file is None and not review:
            raise InputError("reports: no file named; expected FILE, or --review")
        if doubtful is not None and not review:
            raise InputError("--doubtful says what --review shows: give both")
        if file is not None:
            given = {
                "kind": kind,
                "columns": _columns(column) if column else None,
                "mapping": str(mapping.resolve()) if mapping else None,
                "name": name,
            }
            entry: dict[str, Any] = {k: v for k, v in given.items() if v is not None}
            entry["path"] = str(file.resolve())
            values = {"reports": [entry]}
            run_command(
                "reports",
                store,
                config,
                overrides,
                values,
                retry=retry,
                dry_run=dry_run,
                as_json=as_json,
            )
        if review and dry_run:
            print_file_intent(page, f"up to {limit} reports", as_json=as_json)
        elif review:
            from fvlm_data.reports.review.commands import write_review

            resolved = resolved_config(store, config, overrides, {})
            shown = write_review(
                opened_context(store),
                resolved.parse,
                resolved.vocabulary.load(),
                page,
                limit,
                doubtful,
            )
            out.print(f"{shown} reports in {page}: text without known identities", markup=False)


@reports.command("score")
def reports_score(
    gold: Annotated[Path, typer.Argument(metavar="GOLD.jsonl", help="saved by the review page")],
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure the parser against corrected reports."""
    from fvlm_data.reports.review.commands import score_gold, score_lines
    from fvlm_data.run.config import load_config

    with one_sentence():
        # the configuration requires a store, which scoring does not touch
        resolved = load_config(config, overrides or (), {"store": "none"})
        scored = score_gold(resolved.parse, resolved.vocabulary.load(), gold)
        if as_json:
            print_json(scored.as_dict())
            return
        for line in score_lines(scored):
            out.print(line, markup=False)


@reports.command("gold")
def reports_gold(
    store: StoreOption,
    gold: Annotated[Path, typer.Argument(metavar="GOLD.jsonl", help="where it is written")],
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write the corrections that hold in a store as gold, with their scrubbed texts."""
    from fvlm_data.reports.review.commands import gold_lines, write_gold

    with one_sentence():
        if dry_run:
            lines = gold_lines(opened_context(store))
            size = sum(len(line.encode()) + 1 for line in lines)
            print_file_intent(gold, f"{len(lines)} reports", as_json=as_json, size_bytes=size)
            return
        written = write_gold(opened_context(store), gold)
        if as_json:
            print_json({"reports": written, "gold": str(gold)})
            return
        out.print(f"{written} reports in {gold}: text without known identities", markup=False)


@reports.command("compare")
def reports_compare(
    store: StoreOption,
    limit: Annotated[int, typer.Option(min=1, help="reports to read both ways")] = 100,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """List where the rules and the language model of parse.llm read reports differently."""
    from fvlm_data.reports.review.commands import compare_backends, comparison_lines

    with one_sentence():
        resolved = resolved_config(store, config, overrides, {})
        compared = compare_backends(
            opened_context(store), resolved.parse, resolved.vocabulary.load(), limit
        )
        if as_json:
            print_json(compared.as_dict())
            return
        for line in comparison_lines(compared):
            out.print(line, markup=False)


def _columns(pairs: list[str]) -> dict[str, str]:
    columns = {}
    for pair_text in pairs:
        ours, separator, theirs = pair_text.partition("=")
        if not separator:
            raise InputError(f"--column {pair_text}: expected our_name=column of the file")
        columns[ours] = theirs
    return columns


finish(reports, REPORTS)
