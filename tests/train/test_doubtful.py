from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

from fvlm_data.errors import ConfigError, InputError
from fvlm_data.review.doubted import read_doubted
from fvlm_train.config import EvaluateConfig
from fvlm_train.evaluate.doubtful import Facts, cross_fitted, doubtful, precision_at, printed
from fvlm_train.evaluate.doubtful_rows import write_rows
from fvlm_train.evaluate.labelled import Labelled
from fvlm_train.evaluate.probe import patient_folds
from tests.train.toy_labels import separable

CONFIG = EvaluateConfig()
FACTS = Facts({"pst3": ("r_1", "r_2")}, {}, seen_in_training=True)


def planted(seed: int, share: float = 0.03) -> tuple[Labelled, set[tuple[str, str]]]:
    """Labels of 400 patients of which a share are turned round; the wrong ones by study."""
    part = separable(400, seed)
    rng = np.random.default_rng([seed, 1])
    chosen = rng.permutation(400)[: round(400 * share)]
    wrong_n = np.isin(np.arange(800) // 2, chosen)
    wrong = {(part.rows[n].study_id, "f") for n in np.flatnonzero(wrong_n)}
    return replace(part, positive_n=part.positive_n ^ wrong_n), wrong


def test_planted_wrong_labels_come_first() -> None:
    part, wrong = planted(5)
    result = doubtful({"f": part}, CONFIG, FACTS)
    chance = len(wrong) / len(result.rows)
    assert precision_at(result.rows, wrong, 50) >= 5 * chance
    assert [row.rank for row in result.rows] == list(range(1, len(result.rows) + 1))
    assert "has read these reports" in "\n".join(printed(result, 5))


def test_no_label_of_a_patient_reaches_its_own_probability() -> None:
    part = separable(40, 7)
    before = cross_fitted(part, 5, 0)
    folds_kept = np.flatnonzero(part.patient_n == "p3")
    turned = part.positive_n.copy()
    turned[folds_kept] ^= True
    # the same folds: only labels change, so strata are held by hand
    folds = patient_folds(part, 5, 0)
    with patch("fvlm_train.evaluate.doubtful.patient_folds", lambda *_: folds):
        after = cross_fitted(replace(part, positive_n=turned), 5, 0)
    assert after[folds_kept].tolist() == before[folds_kept].tolist()
    assert after.tolist() != before.tolist()


def test_two_volumes_of_a_study_are_one_row() -> None:
    part = separable(40, 7)
    rows = tuple(replace(row, study_id=row.patient_id) for row in part.rows)
    result = doubtful({"f": replace(part, rows=rows)}, CONFIG, FACTS)
    assert len(result.rows) == 40


def test_rare_findings_are_told_and_not_judged() -> None:
    rare = separable(40, 7, finding="g")
    rare = replace(rare, positive_n=np.arange(80) < 6)
    result = doubtful({"f": separable(40, 7), "g": rare}, CONFIG, FACTS)
    told = result.left_out["g"]
    assert told.startswith("3 positive and 37 negative patients, fewer than the 5 folds")
    with pytest.raises(ConfigError, match="no finding has 5 positive and 5 negative patients"):
        doubtful({"g": rare}, CONFIG, FACTS)


@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
def test_the_review_page_opens_the_rows(tmp_path: Path, suffix: str) -> None:
    part, wrong = planted(5)
    reports = {study: (f"r_{study}",) for study, _ in wrong}
    result = doubtful({"f": part}, CONFIG, replace(FACTS, reports=reports))
    path = tmp_path / f"rows.{suffix}"
    write_rows(result, path)
    found = read_doubted(path)
    assert len(found) >= len(wrong) / 2
    assert set(found) <= {f"r_{study}" for study, _ in wrong}
    first = next(row for row in result.rows if row.report_id)
    assert next(iter(found)) == first.report_id
    assert f"the model gives it {first.probability:.2f}" in found[first.report_id][0]


def test_rows_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected a name that ends in \.parquet or \.jsonl"):
        write_rows(doubtful({"f": separable(40, 7)}, CONFIG, FACTS), tmp_path / "rows.csv")
    (tmp_path / "rows.jsonl").write_text("{}\n")
    with pytest.raises(InputError, match="expected what `fvlm-eval doubtful` writes"):
        read_doubted(tmp_path / "rows.jsonl")
