"""Zero-shot scores: how much closer an anatomy lies to a finding's prompt than to its opposite.

Source: the evaluation of the public fVLM code: a window centred on each anatomy, two prompts,
softmax over the two similarities divided by the temperature, 0 for an absent anatomy.

Shapes: B samples, A anatomy, F findings, E features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fvlm_train.evaluate.embeddings import embed_samples
from fvlm_train.prompts import prompt_features, prompt_texts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fvlm_train.config import EvaluateConfig, TrainConfig
    from fvlm_train.data.windows import SampleSource
    from fvlm_train.evaluate.embeddings import Embeddings
    from fvlm_train.model import FVLM
    from fvlm_train.prompts import Finding


@dataclass(frozen=True, slots=True)
class Score:
    """One finding of one sample; `stated` is what its report says, None where it cannot.

    The report label is true where the report has the finding, false where it shows the anatomy
    without it (a report that passes over an anatomy counts as without).
    """

    sample_id: str
    patient_id: str
    study_id: str
    finding: str
    anatomy: str
    anatomy_present: bool
    score: float
    stated: bool | None


def score_samples(
    model: FVLM,
    source: SampleSource,
    findings: Sequence[Finding],
    train: TrainConfig,
    config: EvaluateConfig,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Score]:
    """Scores of every sample and every finding of a trained anatomy, in the order of both.

    `progress` gets the samples done and their total.
    """
    wanted = scored_findings(model, findings)
    anatomies = {finding.anatomy for finding in wanted}
    embeddings = embed_samples(model, source, train, config, sorted(anatomies), progress)
    scores_bf = probabilities(model, embeddings, wanted, train, config)
    return as_scores(source, embeddings, wanted, scores_bf)


def as_scores(
    source: SampleSource, embeddings: Embeddings, findings: Sequence[Finding], scores_bf: Tensor
) -> list[Score]:
    """Scores (B, F) of the samples of `source` as rows, with what their reports say."""
    present_ba = embeddings.present_ba.tolist()
    at = {finding.id: embeddings.anatomies.index(finding.anatomy) for finding in findings}
    stated = [_labels(row) for row in source.rows.select(["anatomies", "labels"]).to_pylist()]
    return [
        Score(
            sample_id=embeddings.sample_ids[sample],
            patient_id=embeddings.patient_ids[sample],
            study_id=embeddings.study_ids[sample],
            finding=finding.id,
            anatomy=finding.anatomy,
            anatomy_present=present_ba[sample][at[finding.id]],
            score=float(scores_bf[sample, number]),
            stated=_stated(said, finding),
        )
        for sample, said in enumerate(stated)
        for number, finding in enumerate(findings)
    ]


def scored_findings(model: FVLM, findings: Sequence[Finding]) -> list[Finding]:
    """The findings that lie in a trained anatomy, in their order."""
    return [finding for finding in findings if finding.anatomy in model.anatomies]


def probabilities(
    model: FVLM,
    embeddings: Embeddings,
    findings: Sequence[Finding],
    train: TrainConfig,
    config: EvaluateConfig,
) -> Tensor:
    """Scores (B, F) in [0, 1] of findings of trained anatomies; 0 for an absent anatomy."""
    with torch.inference_mode():
        positive_fe, negative_fe = prompt_features(
            lambda texts: model.encode_texts(texts).cpu(),
            prompt_texts(findings, train.template, config),
        )
        at_f = torch.tensor([model.anatomies.index(finding.anatomy) for finding in findings])
        image_bfe = embeddings.features_bae[:, at_f]
        return _probability(image_bfe, positive_fe, negative_fe, model.temperature.cpu())


def _probability(
    image_bfe: Tensor, positive_fe: Tensor, negative_fe: Tensor, temperature: Tensor
) -> Tensor:
    """(B, F): softmax over two similarities, its positive part; 0 for an absent anatomy."""
    difference_bf = (image_bfe * (positive_fe - negative_fe)).sum(-1) / temperature
    # the sigmoid of the difference is the softmax over two
    return torch.sigmoid(difference_bf) * image_bfe.any(dim=-1)


def _labels(row: dict[str, Sequence[object]]) -> dict[object, frozenset[object]]:
    pairs = zip(row["anatomies"], row["labels"], strict=True)
    return {anatomy: frozenset(labels) for anatomy, labels in pairs}  # type: ignore[call-overload]


def _stated(labels: dict[object, frozenset[object]], finding: Finding) -> bool | None:
    found = labels.get(finding.anatomy)
    return None if found is None else finding.id in found
