from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fvlm_data.errors import ConfigError
from fvlm_train.config import EvaluateConfig
from fvlm_train.evaluate.probe import patient_folds, printed, probe
from tests.train.toy_labels import separable

CONFIG = EvaluateConfig(shots=(1, 5, 50), draws=3, bootstrap_samples=50, min_positive_patients=2)


def test_a_linear_finding_is_read_and_more_shots_read_it_better() -> None:
    parts = {"train": {"f": separable(60, 0)}, "test": {"f": separable(60, 1)}}
    result, scores, known = probe({**parts, "validation": {"f": separable(40, 2)}}, CONFIG, "toy")
    (row,) = result.table
    assert row.auc > 0.95
    assert row.low is not None
    assert row.low <= row.auc
    assert row.by_validation is not None
    assert (result.fitted[0].chosen_on, len(scores)) == ("validation", len(known))
    one, five, fifty = result.shots
    assert one.auc is not None
    assert five.auc is not None
    assert one.auc < five.auc
    assert (fifty.auc, fifty.draws) == (None, 0), "18 patients have it, not 50"
    assert "nan" not in "\n".join(printed(result, CONFIG)).lower()


def test_without_validation_the_strength_is_chosen_within_train() -> None:
    parts = {"train": {"f": separable(40, 0)}, "test": {"f": separable(20, 1)}}
    result, _, _ = probe(parts, CONFIG, "toy")
    assert result.fitted[0].chosen_on == "train"
    assert result.table[0].by_validation is None


def test_findings_of_one_kind_are_told() -> None:
    flat = separable(20, 0)
    flat = replace(flat, positive_n=np.zeros(len(flat.positive_n), bool))
    parts = {
        "train": {"f": separable(40, 0), "g": flat},
        "test": {"f": separable(20, 1), "g": separable(20, 1, finding="g")},
    }
    result, _, _ = probe(parts, CONFIG, "toy")
    assert result.left_out == {"g": "0 positive of 40 samples in train"}
    with pytest.raises(ConfigError, match="0 positive of 40 samples in train"):
        probe({"train": {"g": flat}, "test": {"g": separable(20, 1)}}, CONFIG, "toy")


def test_no_patient_is_on_both_sides_of_a_fold() -> None:
    part = separable(30, 3)
    for inside, outside in patient_folds(part, 5, 0):
        assert not set(part.patient_n[inside]) & set(part.patient_n[outside])
