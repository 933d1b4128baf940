"""CPU of the whole stage `reports`: originals from the vault, scrubbing, parsing, rows, commits.

The texts are those of reports.py, whose names the vault knows from the table itself. Everything
runs in this process; its CPU time counts all of its threads (DuckDB, Delta Lake).

    python bench/reports_stage.py --patients 1400 --reports 2000
"""

from __future__ import annotations

import argparse
import cProfile
import csv
import pstats
import random
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from reports import VARIED_SHARE, phantom_texts, varied

from fvlm_data.reports import ReportParser
from fvlm_data.run.config import load_config
from fvlm_data.run.curate import curate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.run.config import Config

FAMILY = ("Mustermann", "Yilmaz", "Novak", "Eriksson", "Moreau", "Rossi", "Weissenberger", "Tanaka")
WARMING = 50
"""Reports that are read before the clock starts: a process builds its parser once."""
GIVEN = ("Erika", "Ayse", "Jan", "Astrid", "Claire", "Marco", "Theodor", "Haruki")


def write_reports(path: Path, texts: Sequence[str], seed: int) -> None:
    """A table of reports, each of a patient of its own with name, number and date of birth."""
    rng = random.Random(seed)
    with path.open("w", newline="", encoding="utf-8") as handle:
        table = csv.writer(handle)
        table.writerow(("accession", "patient_id", "patient_name", "birth_date", "report"))
        for number, text in enumerate(texts):
            name = f"{rng.choice(FAMILY)}^{rng.choice(GIVEN)}"
            born = (
                f"{rng.randrange(1930, 2005)}{rng.randrange(1, 13):02d}{rng.randrange(1, 29):02d}"
            )
            table.writerow((f"ACC{number:07d}", f"PAT{number:07d}", name, born, text))


def _configured(folder: Path) -> Config:
    values = {
        "store": str(folder / "store"),
        "identity": {"vault": str(folder / "vault")},
        "reports": [{"path": str(folder / "reports.csv")}],
    }
    return load_config(None, (), values)


def _taken_in(folder: Path, texts: Sequence[str]) -> Config:
    write_reports(folder / "reports.csv", texts, seed=7)
    config = _configured(folder)
    curate(config, ["versions"])
    return config


def main() -> None:
    """Take reports in, then measure the stage that reads them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=1400)
    parser.add_argument("--reports", type=int, default=2000)
    parser.add_argument("--varied", type=float, default=VARIED_SHARE, help="share of sentences")
    parser.add_argument("--numbers", type=float, default=2 / 3, help="share varied by numbers")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    texts = phantom_texts(arguments.seed, arguments.patients)[: arguments.reports]
    if arguments.varied:
        texts = varied(texts, ReportParser(), 1, arguments.varied, arguments.numbers)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        _taken_in(folder, texts[:WARMING])
        curate(_configured(folder), ["reports"])  # builds the parser and loads libraries
        config = _taken_in(folder, texts)
        profile = cProfile.Profile(time.process_time)
        if arguments.profile:
            profile.enable()
        began = time.process_time()
        curate(config, ["reports"])
        seconds = time.process_time() - began
        profile.disable()
    read = len(texts) - WARMING
    print(f"{read} reports, {seconds:.2f} s of CPU, {read / seconds:.0f} reports/s")
    if arguments.profile:
        pstats.Stats(profile).sort_stats("cumtime").print_stats(60)


if __name__ == "__main__":
    main()
