"""Recognition of organs and of abnormal organs by texts, with intervals over patients.

CT-GLIP (arXiv 2404.15272) asks both of its regions: which of the organs it is, by a text of each,
and whether it is abnormal, by texts of abnormalities and of the normal organ.

Shapes: A anatomy, B samples, E features, K texts, P patients, R resamples.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from fvlm_data.errors import ConfigError
from fvlm_train.data.texts import normal_sentence
from fvlm_train.evaluate.metrics import score_findings
from fvlm_train.evaluate.scoring import Score
from fvlm_train.evaluate.tables import auc_lines, macro_line
from fvlm_train.prompts import prompt_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from fvlm_data.vocabulary.text_entries import RegionWords
    from fvlm_train.config import EvaluateConfig, TrainConfig
    from fvlm_train.data.windows import SampleSource
    from fvlm_train.evaluate.embeddings import Embeddings
    from fvlm_train.evaluate.metrics import FindingScore, MacroScore
    from fvlm_train.evaluate.organs.asked import Region
    from fvlm_train.model import FVLM
    from fvlm_train.prompts import Finding

Array = np.ndarray[Any, Any]

AT = (1, 5)
"""The k of top-k."""


@dataclass(frozen=True, slots=True)
class Recognised:
    """Share of regions whose organ is among the first `k`; `chance` is that of a random order.

    `anatomy` is none for all of them together.
    """

    anatomy: str | None
    k: int
    share: float
    low: float
    high: float
    regions: int
    chance: float


@dataclass(frozen=True, slots=True)
class OrgansResult:
    """What the command prints."""

    recognised: list[Recognised]
    abnormal: list[FindingScore]
    macro: MacroScore

    def as_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def recognition(
    model: FVLM, regions: Sequence[Region], words: RegionWords, config: EvaluateConfig
) -> list[Recognised]:
    """Top-1 and top-5 of all regions, then top-1 of each anatomy, by the sentences `named`.

    Raises:
        ConfigError: the vocabulary has no such sentences, or no region is shown.
    """
    if not words.named:
        raise ConfigError(
            "the vocabulary has no sentences that name a region: put a regions.yaml with `named` "
            "into its overlay (docs/vocabulary.md)"
        )
    if not regions:
        raise ConfigError("no sample of the split shows a trained anatomy: choose another --split")
    text_ae = texts_mean(model, [words.sentences(one, "named") for one in model.anatomies])
    rank_n = np.array([_rank((one.features_ae * text_ae).sum(-1), one.anatomy) for one in regions])
    anatomy_n = np.array([one.anatomy for one in regions])
    weights_rn = _weights([one.patient_id for one in regions], config)
    count = len(model.anatomies)
    found = [
        _share(None, k, rank_n < k, weights_rn, min(k / count, 1), config) for k in AT if k < count
    ]
    for number, anatomy in enumerate(model.anatomies):
        of_it = anatomy_n == number
        if of_it.any():
            hit_n = rank_n[of_it] < 1
            found.append(_share(anatomy, 1, hit_n, weights_rn[:, of_it], 1 / count, config))
    return found


def abnormality(
    model: FVLM,
    source: SampleSource,
    embeddings: Embeddings,
    findings: Sequence[Finding],
    words: RegionWords,
    train: TrainConfig,
    config: EvaluateConfig,
) -> tuple[list[FindingScore], MacroScore]:
    """AUC by organ of how much nearer a finding's prompt lies than the normal sentences.

    The nearest of all findings of the organ counts. Abnormal is what a report calls so; an organ
    that it calls normal or passes over is not, as in `zero-shot`.
    """
    scores: list[Score] = []
    states = _states(source)
    for number, anatomy in enumerate(model.anatomies):
        said = [one.prompts.positive for one in findings if one.anatomy == anatomy]
        if not said:
            continue
        normal = [normal_sentence(anatomy, train.template), *words.sentences(anatomy, "normal")]
        with torch.inference_mode():
            ill_ke = model.encode_texts(said).cpu()
            well_e = texts_mean(model, [normal])[0]
            image_be = embeddings.features_bae[:, number]
            nearest_b = (image_be @ ill_ke.T).amax(dim=1) - image_be @ well_e
            score_b = torch.sigmoid(nearest_b / model.temperature.cpu()).tolist()
        present_b = image_be.any(dim=1).tolist()
        for sample, score in enumerate(score_b):
            state = states[sample].get(anatomy)
            scores.append(
                Score(
                    sample_id=embeddings.sample_ids[sample],
                    patient_id=embeddings.patient_ids[sample],
                    study_id=embeddings.study_ids[sample],
                    finding="abnormal",
                    anatomy=anatomy,
                    anatomy_present=present_b[sample],
                    score=score,
                    stated=None if state is None else state == "abnormal",
                )
            )
    known = [one.stated if one.anatomy_present else None for one in scores]
    return score_findings(scores, known, config)


def texts_mean(model: FVLM, sentences: Sequence[Sequence[str]]) -> Tensor:
    """Of each organ the mean (A, E) of its sentences' features, unit vectors."""
    with torch.inference_mode():
        return torch.cat([prompt_mean(model.encode_texts(one).cpu()[None]) for one in sentences])


def printed(result: OrgansResult, confidence: float) -> list[str]:
    """Lines of both tables."""
    lines = [f"{'organ of a region':<18} top  share  {confidence:.0%} interval  chance  regions"]
    lines += [
        f"{one.anatomy or 'all':<18} {one.k:>3}  {one.share:.3f}  {one.low:.3f}-{one.high:.3f}   "
        f"{one.chance:.3f}  {one.regions:>7}"
        for one in result.recognised
    ]
    of = f"{result.macro.patients} patients, labels: reports"
    return [
        *lines,
        "",
        *auc_lines(result.abnormal, confidence),
        macro_line(result.macro, confidence, of),
    ]


def _rank(similarity_a: Tensor, right: int) -> int:
    """How many organs fit better; equal ones count as better, so that no order is favoured."""
    return int((similarity_a >= similarity_a[right]).sum()) - 1


def _weights(patients: Sequence[str], config: EvaluateConfig) -> Array:
    """How often each region counts (R, N) in resamples of patients."""
    known = sorted(set(patients))
    place = {patient: number for number, patient in enumerate(known)}
    rng = np.random.default_rng(config.seed)
    share = np.full(len(known), 1 / len(known))
    weights_rp = rng.multinomial(len(known), share, size=config.bootstrap_samples)
    weights_rn: Array = weights_rp[:, [place[patient] for patient in patients]]
    return weights_rn


def _share(
    anatomy: str | None,
    k: int,
    hit_n: Array,
    weights_rn: Array,
    chance: float,
    config: EvaluateConfig,
) -> Recognised:
    total_r = weights_rn.sum(axis=1)
    # a resample without any of these regions says nothing of them
    share_r = (weights_rn @ hit_n)[total_r > 0] / total_r[total_r > 0]
    ends = (1 - config.confidence) / 2, (1 + config.confidence) / 2
    low, high = (float(np.quantile(share_r, end)) for end in ends)
    return Recognised(anatomy, k, float(hit_n.mean()), low, high, len(hit_n), chance)


def _states(source: SampleSource) -> list[Mapping[str, str | None]]:
    rows = source.rows.select(["anatomies", "states"]).to_pylist()
    return [dict(zip(row["anatomies"], row["states"], strict=True)) for row in rows]
