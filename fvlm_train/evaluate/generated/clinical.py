"""Whether a written report says what the radiologist's says: findings, labels, CRG.

Shapes: N studies, F findings (or labels).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_train.evaluate.decisions import crg

if TYPE_CHECKING:
    from collections.abc import Sequence

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Rates:
    """Precision, recall and F1 of one finding or of all; None where nothing is counted."""

    precision: float | None
    recall: float | None
    f1: float | None
    true_positive: int
    false_positive: int
    false_negative: int


def rates(told_n: Array, known_n: Array) -> Rates:
    """Rates of what is told (bool) against what is known, over all values."""
    true_positive = int((told_n & known_n).sum())
    false_positive = int((told_n & ~known_n).sum())
    false_negative = int((~told_n & known_n).sum())
    told, known = true_positive + false_positive, true_positive + false_negative
    return Rates(
        precision=true_positive / told if told else None,
        recall=true_positive / known if known else None,
        f1=2 * true_positive / (told + known) if told + known else None,
        true_positive=true_positive,
        false_positive=false_positive,
        false_negative=false_negative,
    )


def macro_f1(told_nf: Array, known_nf: Array) -> float | None:
    """Mean F1 of the columns that are known or told of any study; None: of none."""
    found = [rates(told_nf[:, f], known_nf[:, f]).f1 for f in range(told_nf.shape[1])]
    counted = [one for one in found if one is not None]
    return float(np.mean(counted)) if counted else None


def crg_of(told_nf: Array, known_nf: Array) -> float | None:
    """The CRG score of all labels told against those known (`decisions.crg`)."""
    found, invented = (told_nf & known_nf).sum(), (told_nf & ~known_nf).sum()
    return crg(int(found), int(invented), int(known_nf.sum()), known_nf.size)


def as_table(rows: Sequence[set[str]], columns: Sequence[str]) -> Array:
    """Sets of names as a table (N, F) of bool."""
    table_nf = np.zeros((len(rows), len(columns)), bool)
    place = {name: number for number, name in enumerate(columns)}
    for number, row in enumerate(rows):
        for name in row:
            table_nf[number, place[name]] = True
    return table_nf
