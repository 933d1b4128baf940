"""Mean AUC of a model while it trains, by the labels of reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fvlm_train.evaluate.metrics import score_findings
from fvlm_train.evaluate.scoring import score_samples

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fvlm_train.config import EvaluateConfig, TrainConfig
    from fvlm_train.data.windows import SampleSource
    from fvlm_train.model import FVLM
    from fvlm_train.prompts import Finding


def validator(
    source: SampleSource,
    findings: Sequence[Finding],
    train: TrainConfig,
    config: EvaluateConfig,
) -> Callable[[FVLM], float | None]:
    """What gives a model's mean AUC over the findings of `evaluate.min_positive_patients`.

    Where none has so many patients, the mean is over all findings with labels of both kinds; None
    if there is no such finding.
    """
    # intervals are not asked for
    quick = config.model_copy(update={"bootstrap_samples": 10})

    def mean_auc(model: FVLM) -> float | None:
        scores = score_samples(model, source, findings, train, quick)
        known = [one.stated if one.anatomy_present else None for one in scores]
        table, macro = score_findings(scores, known, quick, {})
        if macro.auc is not None:
            return macro.auc
        return sum(row.auc for row in table) / len(table) if table else None

    return mean_auc
