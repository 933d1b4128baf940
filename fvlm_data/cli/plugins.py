"""`fvlm-data plugins`: what can be named in a configuration, and which package brings it."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from fvlm_data.cli.console import one_sentence, out, print_json
from fvlm_data.cli.options import JsonOption


def plugins(
    verbose: Annotated[
        bool, typer.Option("--verbose", help="with the traceback of what cannot be loaded")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """List sources, backends, exports, stages, image encoders, and the package of each."""
    from fvlm_data.run.plugins import plugins as listed

    with one_sentence():
        found = listed()
    if as_json:
        print_json([dataclasses.asdict(one) for one in found])
        return
    for title in dict.fromkeys(one.list for one in found):
        out.print(f"{title}:", markup=False)
        for one in (one for one in found if one.list == title):
            package = f"{one.package} {one.version}".rstrip()
            told = f"cannot be used: {one.fault}" if one.fault else ""
            out.print(f"  {one.name:18} {package:24} {told}".rstrip(), markup=False)
            if verbose and one.trace:
                out.print(one.trace, markup=False)
