"""A plain baseline beside a trained model, on the same patients and labels.

The baseline is a logistic regression for each finding on eleven plain numbers of its anatomy: mean,
deviation and skewness of the intensities within its mask, seven quantiles, logarithm of its
voxels. It is trained on the labels; the model is zero-shot, from reports alone. Both are scored by
the labels of the test split, over the same findings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq

from fvlm_data.errors import InputError
from fvlm_train.data.splits import open_split
from fvlm_train.evaluate import Score, score_findings
from fvlm_train.evaluate.compare import compare, read_scores
from fvlm_train.evaluate.findings import store_findings
from fvlm_train.evaluate.labels import LabelTable, read_labels
from fvlm_train.evaluate.names import FindingNames
from fvlm_train.evaluate.zero_shot import LabelsFile, scores_table, zero_shot
from fvlm_train.runs import load_run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa

    from fvlm_data.shards import Sample
    from fvlm_train.config import EvaluateConfig

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
SPLITS = ("train", "test")


class Scored(NamedTuple):
    """AUC of each finding with enough positive patients, and the scores it is of."""

    aucs: dict[str, float]
    table: pa.Table


def eleven(value_n: np.ndarray[Any, Any]) -> list[float]:
    """The features of an organ from its intensities (N,)."""
    mean, deviation = float(value_n.mean()), float(value_n.std())
    skewness = float(((value_n - mean) ** 3).mean()) / (deviation**3 + 1e-6)
    quantiles = np.quantile(value_n, QUANTILES).tolist()
    return [mean, deviation, skewness, *quantiles, float(np.log(value_n.size))]


def organs(sample: Sample, anatomies: tuple[str, ...]) -> dict[str, list[float]]:
    """The features of each anatomy that the sample shows."""
    found = {}
    for anatomy in anatomies:
        value = sample.label_values.get(anatomy)
        inside = sample.label_zyx == value if value is not None else np.zeros(0, bool)
        if inside.any():
            found[anatomy] = eleven(sample.image_zyx[inside].astype(np.float64))
    return found


def regression(
    store: str, labels: LabelTable, anatomies: tuple[str, ...], config: EvaluateConfig
) -> dict[str, Scored]:
    """AUCs and scores of each split; the training split's labels train."""
    sources = {split: open_split(store, split) for split in SPLITS}
    found = {
        split: [organs(source[number], anatomies) for number in range(len(source))]
        for split, source in sources.items()
    }
    rows = {split: source.rows.to_pylist() for split, source in sources.items()}
    scores: dict[str, list[tuple[Score, bool]]] = {split: [] for split in SPLITS}
    for finding in (f for f in store_findings(store) if f.anatomy in anatomies):
        parts = {
            split: [
                (row, features[finding.anatomy], labels.present[row["study_id"], finding.id])
                for row, features in zip(rows[split], found[split], strict=True)
                if finding.anatomy in features and (row["study_id"], finding.id) in labels.present
            ]
            for split in SPLITS
        }
        chances = fitted(parts)
        for split, chance_n in chances.items():
            for (row, _, label), chance in zip(parts[split], chance_n, strict=True):
                score = Score(row["sample_id"], row["patient_id"], row["study_id"], finding.id,
                              finding.anatomy, True, chance, None)  # fmt: skip
                scores[split].append((score, label))
    return {split: scored(scores[split], config) for split in SPLITS}


def fitted(parts: dict[str, list[Any]]) -> dict[str, list[float]]:
    """The chance of a finding in each sample (row, features, label) of each split.

    Nothing where training has labels of one kind alone.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    truth = [label for _, _, label in parts["train"]]
    if len(set(truth)) < 2:
        return {}
    model = make_pipeline(
        StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=2000)
    )
    model.fit(np.array([features for _, features, _ in parts["train"]]), truth)
    return {
        split: model.predict_proba(np.array([features for _, features, _ in part]))[:, 1].tolist()
        for split, part in parts.items()
        if part
    }


def scored(scores: list[tuple[Score, bool]], config: EvaluateConfig) -> Scored:
    """The AUC of each finding with enough positive patients, and the scores."""
    told, labels = [one for one, _ in scores], [label for _, label in scores]
    table, _ = score_findings(told, labels, config)
    return Scored({row.finding: row.auc for row in table if row.in_macro},
                  scores_table(told, labels))  # fmt: skip


def of_model(
    run: Path, store: str, labels: LabelsFile, config: EvaluateConfig
) -> dict[str, Scored]:
    """The model's AUCs by prompts, and scores, of each split."""
    found = {}
    for split in SPLITS:
        result, table = zero_shot(
            run, open_split(store, split), store_findings(store, config.language), config, labels
        )
        found[split] = Scored({row.finding: row.auc for row in result.table if row.in_macro}, table)
    return found


def table_lines(baseline: dict[str, Scored], model: dict[str, Scored]) -> Iterator[str]:
    """A line for each finding of the test split that both have, then the means.

    Raises:
        InputError: there is none.
    """
    common = sorted(baseline["test"].aucs.keys() & model["test"].aucs.keys())
    if not common:
        raise InputError(
            "no finding has enough positive patients in the test split for both, expected one or "
            "more; lower evaluate.min_positive_patients"
        )
    yield (f"{'':36} {'regression':>15} {'model':>15}")
    yield (f"{'finding':36} {'train':>7} {'test':>7} {'train':>7} {'test':>7}")
    columns = [of[split].aucs for of in (baseline, model) for split in SPLITS]
    for finding in common:
        told = (f"{aucs.get(finding, float('nan')):7.3f}" for aucs in columns)
        yield (f"{finding:36} {' '.join(told).replace('nan', '  -')}")
    means = []
    for aucs in columns:
        known = [aucs[finding] for finding in common if finding in aucs]
        means.append(f"{np.mean(known):7.3f}" if known else "      -")
    yield (f"{f'mean of {len(common)}':36} {' '.join(means)}")


def differences(
    baseline: dict[str, Scored], model: dict[str, Scored], config: EvaluateConfig, folder: Path
) -> Iterator[str]:
    """How much better the model's mean AUC is, split by split; scores are left in `folder`."""
    for split in SPLITS:
        one, other = (folder / f"{name}_{split}.parquet" for name in ("model", "regression"))
        pq.write_table(model[split].table, one)
        pq.write_table(baseline[split].table, other)
        macro = compare(read_scores(one, ""), read_scores(other, ""), config).macro
        if macro is not None:
            yield (
                f"{split}: model {macro.auc_a:.3f}, regression {macro.auc_b:.3f}, difference "
                f"{macro.difference:+.3f} ({config.confidence:.0%} interval by patients "
                f"{macro.low:+.3f} to {macro.high:+.3f})"
            )


class Beside(NamedTuple):
    """Baseline and model, by split."""

    baseline: dict[str, Scored]
    model: dict[str, Scored]


def beside(run: Path, file: LabelsFile, config: EvaluateConfig) -> Beside:
    """Fit the baseline on the training split, and score both on both splits.

    Raises:
        InputError: run, labels or samples cannot be read.
        StoreError: the store cannot be read.
    """
    names = FindingNames(store_findings(file.store))
    labels = read_labels(file.path, file.store, file.vault, names)
    anatomies = load_run(run)[0].anatomies
    baseline = regression(file.store, labels, anatomies, config)
    return Beside(baseline, of_model(run, file.store, file, config))
