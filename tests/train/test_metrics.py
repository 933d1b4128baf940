from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from fvlm_train.config import EvaluateConfig
from fvlm_train.evaluate.metrics import score_findings, weighted_auc
from fvlm_train.evaluate.scoring import Score


def scores(values: list[float], patients: list[str], finding: str = "cyst") -> list[Score]:
    return [
        Score(f"s{n}", patient, f"st{n}", finding, "liver", True, value, None)
        for n, (value, patient) in enumerate(zip(values, patients, strict=True))
    ]


def test_auc_equals_scikit_learn_with_ties_and_weights() -> None:
    rng = np.random.default_rng(0)
    score = rng.integers(0, 6, 80) / 6
    positive = rng.random(80) < 0.4
    weights = np.stack([np.ones(80), rng.integers(0, 4, 80), rng.integers(0, 4, 80)])
    expected = [roc_auc_score(positive, score, sample_weight=w) for w in weights]
    np.testing.assert_allclose(weighted_auc(score, positive, weights), expected)


def test_a_resample_without_positives_is_unknown() -> None:
    auc = weighted_auc(np.array([0.1, 0.9]), np.array([False, True]), np.array([[1, 0], [1, 1]]))
    assert np.isnan(auc[0])
    assert auc[1] == 1


def test_scans_of_one_patient_do_not_narrow_the_interval() -> None:
    rng = np.random.default_rng(1)
    values = rng.random(30)
    labels = [bool(v) for v in rng.random(30) < 0.5]
    once = score_findings(
        scores(values.tolist(), [f"p{n}" for n in range(30)]), labels, EvaluateConfig()
    )[0][0]
    repeated = score_findings(
        scores(np.repeat(values, 8).tolist(), [f"p{n}" for n in range(30) for _ in range(8)]),
        [label for label in labels for _ in range(8)],
        EvaluateConfig(),
    )[0][0]
    assert repeated.auc == pytest.approx(once.auc)
    assert (repeated.low, repeated.high) == pytest.approx((once.low, once.high))
    assert repeated.positive_patients == once.positive_patients


def test_macro_counts_findings_with_enough_patients_and_skips_unknown_labels() -> None:
    patients = [f"p{n}" for n in range(12)]
    ranked = [n / 12 for n in range(12)]
    many = scores(ranked, patients, "cyst")
    few = scores(ranked, patients, "stone")
    none = scores(ranked, patients, "mass")
    labels: list[bool | None] = [n >= 6 for n in range(12)]
    labels += [n == 0 for n in range(12)]
    labels += [None] * 12
    config = EvaluateConfig(min_positive_patients=5)
    table, macro = score_findings([*many, *few, *none], labels, config)
    assert [(row.finding, row.auc, row.in_macro) for row in table] == [
        ("cyst", 1.0, True),
        ("stone", 0.0, False),
    ]
    assert (macro.auc, macro.findings, macro.patients) == (1.0, 1, 12)
    assert score_findings(few, labels[12:24], config)[1].auc is None


def test_interval_holds_chance_about_as_often_as_it_says() -> None:
    held = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        labels: list[bool | None] = [bool(v) for v in rng.random(100) < 0.3]
        noise = scores(rng.random(100).tolist(), [f"p{n}" for n in range(100)])
        macro = score_findings(noise, labels, EvaluateConfig(bootstrap_samples=200))[1]
        assert macro.low is not None
        assert macro.high is not None
        held += macro.low < 0.5 < macro.high
    assert 87 <= held <= 99
