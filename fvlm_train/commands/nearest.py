"""`fvlm-eval nearest`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from fvlm_data.cli.console import one_sentence, print_json_line, print_line
from fvlm_data.errors import InputError
from fvlm_data.extras import needs_extra
from fvlm_train.commands.options import JsonOption, RunArgument


def nearest_command(
    run: RunArgument,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="what a report might say")],
    embeddings: Annotated[
        Path | None,
        typer.Option("--embeddings", help="embeddings.parquet of the run; default in RUN/embed"),
    ] = None,
    anatomy: Annotated[
        str | None, typer.Option("--anatomy", help="only of this one; else of all")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="how many")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Studies and anatomies whose embeddings are nearest to a text, by cosine."""
    from fvlm_data.opened.embeddings import Embeddings

    with one_sentence():
        with needs_extra("train", "fvlm-eval"):
            import duckdb

            from fvlm_train.text_side import text_side
        side = text_side(run)
        known = Embeddings(embeddings or run / "embed" / "embeddings.parquet", duckdb.connect())
        known.check_of(side, run)
        if anatomy is not None and anatomy not in side.anatomies:
            raise InputError(
                f"--anatomy {anatomy}: not of this run; expected one of {', '.join(side.anatomies)}"
            )
        found = known.nearest_to(side.vector(text), anatomy, limit)
    if as_json:
        print_json_line([asdict(one) for one in found])
        return
    width = max((len(one.anatomy) for one in found), default=0)
    for one in found:
        print_line(f"{one.cosine:6.3f}  {one.anatomy:<{width}}  {one.study_id}")
