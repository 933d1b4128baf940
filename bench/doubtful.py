"""Wrong labels planted in a split: how many are among those that `fvlm-eval doubtful` doubts most.

A share of the reports' labels is turned round after training, equal parts of present and of absent
ones, in a split that the run was not trained on; precision at 50 is printed beside chance, for each
seed and by kind of error. Labels that were wrong before count as right here.

    python bench/doubtful.py --config demo/demo.yaml --store demo/store --run demo/run
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from methods import made

from fvlm_train.commands.prepared import prepared
from fvlm_train.data.splits import open_split
from fvlm_train.evaluate.doubtful import doubtful, precision_at
from fvlm_train.evaluate.doubtful_rows import facts_of

if TYPE_CHECKING:
    from fvlm_train.evaluate.labelled import Labelled

AT = 50

Wrong = set[tuple[str, str]]


def planted(
    parts: dict[str, Labelled], share: float, seed: int
) -> tuple[dict[str, Labelled], dict[bool, Wrong]]:
    """Return labels of which `share` of the studies' are turned round, and the wrong ones by label.

    Half of them are present ones made absent, as far as there are as many.
    """
    rng = np.random.default_rng(seed)
    cells: dict[bool, list[tuple[str, str]]] = {True: [], False: []}
    for finding, part in parts.items():
        told = {row.study_id: bool(p) for row, p in zip(part.rows, part.positive_n, strict=True)}
        for study, positive in sorted(told.items()):
            cells[positive].append((study, finding))
    number = round(share * sum(len(one) for one in cells.values()))
    kinds = {True: min(number // 2, len(cells[True]) // 4)}
    kinds[False] = number - kinds[True]
    # by the label that stands there afterwards: a present one made absent is False
    wrong: dict[bool, Wrong] = {}
    for kind, count in kinds.items():
        chosen = rng.permutation(len(cells[kind]))[:count]
        wrong[not kind] = {cells[kind][n] for n in chosen}
    every = wrong[True] | wrong[False]
    turned = {
        finding: replace(
            part,
            positive_n=part.positive_n
            ^ np.array([(row.study_id, finding) in every for row in part.rows], bool),
        )
        for finding, part in parts.items()
    }
    return turned, wrong


def measured(arguments: argparse.Namespace) -> None:
    """Print a line for each seed, then the mean."""
    overrides = [f"evaluate.folds={arguments.folds}"] if arguments.folds else []
    ready = prepared(arguments.run, arguments.store, arguments.config, overrides)
    source = open_split(arguments.store, arguments.split)
    parts = ready.labelled(source, None, lambda stage, done, total: None)
    seen = arguments.split == ready.run.config.split
    facts = facts_of(source, arguments.store, seen_in_training=seen)
    lines: list[Any] = []
    print("seed  labels  wrong  chance  precision at 50  times chance  said falsely  left out")
    for seed in range(arguments.seeds):
        turned, wrong = planted(parts, arguments.share, seed)
        result = doubtful(turned, ready.config, facts)
        judged = {(row.study_id, row.finding) for row in result.rows}
        both = (wrong[True] | wrong[False]) & judged
        chance = len(both) / len(result.rows)
        found = [precision_at(result.rows, one, AT) for one in (both, wrong[True], wrong[False])]
        lines.append((chance, found[0]))
        print(
            f"{seed:>4}  {len(result.rows):>6}  {len(both):>5}  {chance:>6.3f}  {found[0]:>15.2f}  "
            f"{found[0] / chance:>12.1f}  {found[1]:>12.2f}  {found[2]:>8.2f}"
        )
    chance, precision = (float(np.mean(column)) for column in zip(*lines, strict=True))
    print(f"mean  precision at 50 {precision:.2f}, {precision / chance:.1f} times chance")


def main() -> None:
    """Measure on a run that stands, or on one that is made for it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, help="YAML configuration, for its evaluate section")
    parser.add_argument("--store", help="store; without it one is made, and a model trained on it")
    parser.add_argument("--run", type=Path, help="folder of the trained run")
    parser.add_argument("--split", default="test", help="split whose labels are turned round")
    parser.add_argument("--share", type=float, default=0.03, help="of its labels")
    parser.add_argument("--seeds", type=int, default=5, help="times that labels are drawn")
    parser.add_argument("--patients", type=int, default=300, help="of a store that is made")
    parser.add_argument("--steps", type=int, default=550, help="of a model that is trained")
    parser.add_argument("--folds", type=int, help="of cross-fitting; default: evaluate.folds")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        if arguments.store is None:
            here = made(Path(scratch), arguments.patients, arguments.steps)
            arguments = argparse.Namespace(**{**vars(arguments), **vars(here)})
        elif arguments.run is None:
            parser.error("--store needs --run")
        measured(arguments)


if __name__ == "__main__":
    main()
