"""`fvlm-data serve`: the pages of a store as it is now, with searches and slices."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fvlm_data.cli.console import err, one_sentence, print_json_line, print_line
from fvlm_data.cli.options import JsonOption, StoreOption, opened_context, resolved_config
from fvlm_data.errors import InputError
from fvlm_data.extras import needs_extra


def serve(
    store: StoreOption,
    host: Annotated[str, typer.Option(help="address to listen at")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one")] = 8050,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="a further name by which browsers reach it; may be repeated"),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(help="file of the token; else FVLM_SERVE_TOKEN, else a random one"),
    ] = None,
    review: Annotated[
        bool, typer.Option("--review", help="take decisions of reviewers into the store")
    ] = False,
    embeddings: Annotated[
        Path | None,
        typer.Option(help="embeddings.parquet of fvlm-eval embed: shows what looks alike"),
    ] = None,
    trained: Annotated[
        Path | None,
        typer.Option(
            "--run",
            help="run of fvlm-train: shows what is nearest to a text; embeddings are by default "
            "those of RUN/embed",
        ),
    ] = None,
    doubtful: Annotated[
        Path | None,
        typer.Option(help="rows of fvlm-eval doubtful: what a model doubts is to be reviewed too"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show the store as it is now in a browser: pages, slices, search; read-only by default."""
    with one_sentence():
        with needs_extra("serve", "fvlm-data serve"):
            from fvlm_data.serve.access import Access, chosen_token, is_loopback, served_hosts
            from fvlm_data.serve.app import application
            from fvlm_data.serve.live import Live
            from fvlm_data.serve.server import address, listening, run
        from fvlm_data.opened.embeddings import Embeddings, text_side
        from fvlm_data.review.doubted import doubted_rows
        from fvlm_data.store.tables import Store

        if doubtful is not None:
            if not review:
                raise InputError("--doubtful is of the queue of --review: give both")
            doubted_rows(doubtful)  # a file of no use ends the start, not the first page
        token, random = chosen_token(token_file)
        config = resolved_config(store, None, None, {})
        # reading needs neither the vault nor the permission to write
        context = opened_context(store) if review else None
        opened = context.store if context else Store.open(store)
        opened.memory_mb, opened.spill = config.execution.memory_mb, config.execution.spill
        if trained and embeddings is None:
            embeddings = trained / "embed" / "embeddings.parquet"
        known = Embeddings(embeddings, opened.connect()) if embeddings else None
        texts = text_side(trained, "fvlm-data serve --run") if trained else None
        if known and texts and trained:
            known.check_of(texts, trained)
        live = Live(opened, config.vocabulary.load(), config.qc)
        with listening(host, port) as at:
            chosen = at.getsockname()[1]
            access = Access(token, served_hosts(host, allow_host or ()), chosen)
            app = application(live, access, context, known, texts, doubtful)
            if not is_loopback(host):
                err.print(
                    "others can reach this address, and http hides nothing on its way: put it "
                    "behind a proxy with https, or use ssh -L",
                    markup=False,
                )
            place = address(host, chosen, token if random else "TOKEN")
            if as_json:
                print_json_line({"address": place})
            else:
                print_line(place)
            run(app, at)
