"""`fvlm-data audit`: what may be left in a store that should not be there."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from fvlm_data.cli.console import one_sentence, out, print_json
from fvlm_data.cli.examples import AUDIT
from fvlm_data.cli.grammar import finish
from fvlm_data.cli.options import JsonOption, StoreOption, opened_context, resolved_config

audit = typer.Typer(help="Measure what is left in a store.", no_args_is_help=True)


@audit.callback()
def _group() -> None:
    """Measure what is left in a store."""


@audit.command("labels")
def labels(
    file: Annotated[Path, typer.Argument(metavar="LABELS.csv", help="a row a study or volume")],
    store: StoreOption,
    label_set: Annotated[
        str | None,
        typer.Option(help="ct_rate, merlin, rad_chest_ct or your own; default: by its columns"),
    ] = None,
    examples: Annotated[int, typer.Option(min=0, help="disagreements shown a label")] = 3,
    as_json: JsonOption = False,
) -> None:
    """Compare labels of a file with what reports say; shows scrubbed sentences."""
    from fvlm_data.pairing.audit.labels import audit_labels
    from fvlm_data.pairing.audit.printed import label_lines

    with one_sentence():
        vocabulary = resolved_config(store, None, None, {}).vocabulary.load()
        told = audit_labels(opened_context(store), file, vocabulary, label_set)
    if as_json:
        print_json(asdict(told))
        return
    for line in label_lines(told, examples):
        out.print(line, markup=False, soft_wrap=True)


@audit.command("identities")
def identities(
    store: StoreOption,
    sample: Annotated[int, typer.Option(min=1, help="reports looked at, drawn at random")] = 1000,
    seed: Annotated[int, typer.Option(help="the same seed draws the same reports")] = 0,
    ner: Annotated[
        str | None, typer.Option(help="installed spaCy model that finds people too")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Share of reports that may still name someone, by rules that know no header; never a text."""
    from fvlm_data.inspect.identity_audit import audit_identities
    from fvlm_data.inspect.identity_detector import detector
    from fvlm_data.store.tables import Store

    with one_sentence():
        vocabulary = resolved_config(store, None, None, {}).vocabulary.load()
        told = audit_identities(Store.open(store), detector(vocabulary, ner), sample, seed)
    rates = {
        kind: told.interval(number)
        for kind, number in (("any", told.suspicious), *sorted(told.reports.items()))
    }
    if as_json:
        print_json({
            "sampled": told.sampled, "stored": told.stored, "rates": rates,
            "examples": told.examples,
        })  # fmt: skip
        return
    out.print(f"{told.sampled} of {told.stored} reports looked at", markup=False)
    for kind, (share, low, high) in rates.items():
        examples = ", ".join(told.examples.get(kind, ()))
        line = f"{kind}: {share:.2%} of reports (95 %: {low:.2%} to {high:.2%})"
        out.print(f"{line} {examples}".rstrip(), markup=False)


finish(audit, AUDIT)
