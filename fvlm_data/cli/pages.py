"""`fvlm-data open`: the page of a study, or the first page, in the browser."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fvlm_data.cli.console import err, one_sentence, print_json, print_line
from fvlm_data.cli.options import JsonOption, StoreOption
from fvlm_data.errors import InputError

if TYPE_CHECKING:
    from fvlm_data.store.tables import Store

OF = {
    "study": "SELECT DISTINCT study_id FROM volumes WHERE study_id = $id",
    "volume": "SELECT study_id FROM volumes WHERE volume_id = $id",
    "sample": "SELECT study_id FROM samples WHERE sample_id = $id",
}


def open_page(
    store: StoreOption,
    study: Annotated[
        str | None,
        typer.Argument(metavar="[STUDY]", help="id of a study, volume or sample; none: first page"),
    ] = None,
    only_print: Annotated[
        bool, typer.Option("--print", help="say where the page is, and open nothing")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Open the page of a study in the browser, or the first page of the store."""
    from fvlm_data.store.place import QC_PAGE
    from fvlm_data.store.tables import Store

    with one_sentence():
        opened = Store.open(store)
        path = QC_PAGE if study is None else _page_of(opened, study)
        if not opened.exists(path):
            raise InputError(
                f"store {store}: {path} is not made; write it by `fvlm-data qc --store {store}"
                f"{' --studies all' if study else ''}`"
            )
        place = opened.location(path)
        there = opened.local_root is not None
        if there and not only_print and not as_json and not webbrowser.open(Path(place).as_uri()):
            err.print("no browser was found: open the file yourself", markup=False)
    if as_json:
        print_json({"page": place})
        return
    print_line(place)


def _page_of(store: Store, named: str) -> str:
    """Where the page of a study lies that is named by itself, a volume or a sample.

    Raises:
        InputError: nothing of that name is in the store.
    """
    from fvlm_data.qc.studies import page_path
    from fvlm_data.store.relations import Relations

    relations = Relations(store)
    for query in OF.values():
        for (study,) in relations.rows(query, {"id": named}):
            return page_path(study)
    raise InputError(
        f"{named}: no study, volume or sample of store {store.url}; the first page lists studies, "
        "`fvlm-data open --store STORE` opens it"
    )
