from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.stats import norm

from fvlm_data.errors import InputError
from fvlm_train.config import EvaluateConfig
from fvlm_train.evaluate.compare import compare, printed, read_scores
from fvlm_train.evaluate.delong import delong_p

CONFIG = EvaluateConfig(bootstrap_samples=300, min_positive_patients=5)


def written(path: Path, signal: float, *, seed: int = 0, samples: range = range(120)) -> Path:
    """Scores of two findings; labels are the same for every seed and signal."""
    rows = []
    for sample in samples:
        for place, finding in enumerate(("a", "b")):
            label = sample % (3 + place) == 0
            noise = np.random.default_rng([seed, sample, place]).normal()
            rows.append(
                {
                    "sample_id": f"sa{sample}", "patient_id": f"p{sample // 2}",
                    "study_id": f"st{sample}", "finding": finding, "anatomy": "liver",
                    "score": float(noise + signal * label), "label": label,
                }
            )  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def test_the_better_run_is_told(tmp_path: Path) -> None:
    a, b = written(tmp_path / "a.parquet", 2.0), written(tmp_path / "b.parquet", 0.2, seed=1)
    result = compare(read_scores(a, ""), read_scores(b, ""), CONFIG)
    assert result.macro is not None
    assert 0 < result.macro.low <= result.macro.difference <= result.macro.high
    for row in result.table:
        assert row.p < 0.05
        assert row.p_holm is not None
        assert row.p_holm >= row.p
        assert row.p_delong is not None
        assert row.p_delong < 0.05
    assert (result.samples, result.patients) == (120, 60)
    assert "nan" not in "\n".join(printed(result, CONFIG)).lower()


def test_a_run_is_not_better_than_itself(tmp_path: Path) -> None:
    scores = read_scores(written(tmp_path / "a.parquet", 1.0), "")
    result = compare(scores, scores, CONFIG)
    assert all((row.difference, row.p, row.p_delong) == (0, 1, 1) for row in result.table)


def test_only_what_both_have_counts_and_the_rest_is_told(tmp_path: Path) -> None:
    a = read_scores(written(tmp_path / "a.parquet", 1.0), "")
    b = read_scores(written(tmp_path / "b.parquet", 1.0, samples=range(20, 130)), "")
    key = ("sa30", "a")
    b[key] = replace(b[key], label=not b[key].label)
    result = compare(a, b, CONFIG)
    assert result.samples == 100
    told = result.unmatched
    assert (told["samples of A only"], told["samples of B only"]) == (20, 10)
    assert told["scores with another label"] == 1
    assert "not compared: 1 scores with another label" in printed(result, CONFIG)


def test_delong_agrees_with_resampling() -> None:
    """Worked out with the definition: structural components by comparing all pairs."""
    rng = np.random.default_rng(3)
    positive_n = np.arange(60) % 3 == 0
    one_n, other_n = rng.normal(size=60) + positive_n, rng.normal(size=60) + 0.4 * positive_n

    def components(score_n: Any) -> tuple[Any, Any, Any]:
        wins = (score_n[positive_n][:, None] > score_n[~positive_n][None]).astype(float)
        return wins.mean(), wins.mean(axis=1), wins.mean(axis=0)

    (auc_a, pos_a, neg_a), (auc_b, pos_b, neg_b) = components(one_n), components(other_n)
    variance = np.var(pos_a - pos_b, ddof=1) / 20 + np.var(neg_a - neg_b, ddof=1) / 40
    expected = 2 * norm.sf(abs(auc_a - auc_b) / np.sqrt(variance))
    assert delong_p(one_n, other_n, positive_n) == pytest.approx(expected, rel=1e-9)


def test_what_cannot_be_compared(tmp_path: Path) -> None:
    a = written(tmp_path / "a.parquet", 1.0)
    with pytest.raises(InputError, match="write them by `fvlm-eval zero-shot`"):
        read_scores(tmp_path, "zero_shot_test.parquet")
    far = written(tmp_path / "b.parquet", 1.0, samples=range(500, 520))
    with pytest.raises(InputError, match="nothing can be compared: 120 samples of A only"):
        compare(read_scores(a, ""), read_scores(far, ""), CONFIG)
    pq.write_table(pa.table({"x": [1]}), tmp_path / "c.parquet")
    with pytest.raises(InputError, match="expected Parquet with the columns sample_id"):
        read_scores(tmp_path / "c.parquet", "")
    twice = pa.concat_tables([pq.read_table(a), pq.read_table(a)])
    pq.write_table(twice, tmp_path / "d.parquet")
    with pytest.raises(InputError, match="stands twice"):
        read_scores(tmp_path / "d.parquet", "")
