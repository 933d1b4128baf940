"""`fvlm-data search`: studies by what their reports say and their images are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fvlm_data.cli.console import one_sentence, print_json, print_line
from fvlm_data.cli.dry import DryRunOption, Intent, print_file_intent, print_intent
from fvlm_data.cli.options import JsonOption, StoreOption, resolved_config
from fvlm_data.errors import InputError

if TYPE_CHECKING:
    from fvlm_data.opened.search.results import Found, Hit


def search(
    query: Annotated[
        str, typer.Argument(metavar="QUERY", help="as 'left pleural effusion > 20 mm, age > 60'")
    ],
    store: StoreOption,
    limit: Annotated[int, typer.Option(min=0, help="studies listed")] = 20,
    out_file: Annotated[
        Path | None,
        typer.Option("--out", help="file of the ids of all studies: .csv, .json or .parquet"),
    ] = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Find studies by findings, words, age and images; counts, a list, or a file of ids."""
    from fvlm_data.opened.search.results import exported
    from fvlm_data.opened.search.results import search as searched
    from fvlm_data.store.relations import Relations
    from fvlm_data.store.tables import Store

    with one_sentence():
        vocabulary = resolved_config(store, None, None, {}).vocabulary.load()
        relations = Relations(Store.open(store))
        found = searched(relations, vocabulary, query, limit=limit)
        if dry_run:
            reads = {"studies": found.studies}
            if out_file is None:
                print_intent(Intent(reads=reads), as_json=as_json)
            else:
                print_file_intent(out_file, "ids of studies", as_json=as_json, reads=reads)
            return
        if out_file is not None:
            content = exported(relations, vocabulary, query, out_file.suffix.removeprefix("."))
            _write(out_file, content)
        if as_json:
            print_json(found.as_dict())
            return
        _print(found, listed=out_file is None)
        if out_file is not None:
            print_line(f"ids of the studies: {out_file}")


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise InputError(
            f"search --out {path}: cannot be written ({type(error).__name__}); name another file"
        ) from error


def _print(found: Found, *, listed: bool) -> None:
    counts = (
        f"{found.studies} {'study' if found.studies == 1 else 'studies'} of {found.patients} "
        f"{'patient' if found.patients == 1 else 'patients'}, {found.sentences} "
        f"{'sentence' if found.sentences == 1 else 'sentences'}"
    )
    print_line(f"{counts}: {found.query}")
    for hit in found.hits if listed else ():
        print_line(_line(hit))
        for section, text in hit.said:
            print_line(f"    {section}: {text}")
    left = found.studies - len(found.hits)
    if listed and left:
        print_line(f"and {left} more: --limit lists more, --out FILE writes all ids")


def _line(hit: Hit) -> str:
    age = None if hit.age_years is None else f"{hit.age_years:g} years"
    told = (hit.split, age, hit.sex, hit.manufacturer)
    return ", ".join([hit.study_id, *(one for one in told if one)])
