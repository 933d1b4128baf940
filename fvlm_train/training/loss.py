"""The contrastive loss: per anatomy, symmetric cross-entropy with soft targets.

Source: fVLM (arXiv 2501.14548), section 3, and its public code: targets over the whole batch of
all ranks, summed over the anatomies that contribute.

Shapes: B batch of all ranks, A anatomy, E features, M members of one anatomy.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the name that every reader of torch knows

from fvlm_data.pairing.targets import abnormal_pairs, targets, with_similarity
from fvlm_train.config.loss import LossConfig

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fvlm_data.pairing.targets import NotMentioned, Policy
    from fvlm_train.data.crops import Facts


PAPER = LossConfig()
"""The loss of the paper, without a further negative or term."""


@dataclass(frozen=True, slots=True)
class Term:
    """One anatomy's part: its number, the samples compared (M,), and their targets (M, M).

    `target_mm` has images as rows, `text_target_mm` texts: equal, unless a model that treats image
    and text differently has corrected them. `abnormal_mm` marks the pairs that a model may correct,
    `abnormal_m` the abnormal samples.
    """

    anatomy: int
    members_m: Tensor
    target_mm: Tensor
    text_target_mm: Tensor
    abnormal_mm: Tensor
    abnormal_m: Tensor


def loss_terms(
    facts: Sequence[Facts], anatomies: int, policy: Policy, silence: NotMentioned
) -> list[Term]:
    """What the loss compares in a batch; known before any feature is computed.

    A sample takes part in an anatomy where its window shows it whole and its report was read;
    with `silence="excluded"`, where the report does not pass over it. An anatomy contributes if
    a member is abnormal and its targets are not all equal.
    """
    terms = []
    for anatomy in range(anatomies):
        members = [
            number
            for number, sample in enumerate(facts)
            if sample.intact[anatomy] and speaks(sample.states[anatomy], silence)
        ]
        states = [str(facts[number].states[anatomy]) for number in members]
        if "abnormal" not in states:
            continue
        studies = [facts[number].study_id for number in members]
        target_mm = targets(
            studies,
            [facts[number].signatures[anatomy] for number in members],
            [facts[number].findings[anatomy] for number in members],
            [facts[number].texts[anatomy] for number in members],
            states,
            policy,
            not_mentioned=silence,
            apart=[facts[number].apart_in(anatomy) for number in members],
        )
        # equal targets everywhere have no negative: the loss would only push features together
        if target_mm.min() < target_mm.max():
            abnormal_mm = abnormal_pairs(studies, states)
            members_m = torch.tensor(members)
            abnormal_m = torch.tensor([state == "abnormal" for state in states])
            terms.append(Term(anatomy, members_m, target_mm, target_mm, abnormal_mm, abnormal_m))
    return terms


def judged(term: Term, logits_mm: Tensor, keep: float) -> Term:
    """The term whose abnormal pairs are judged by a peer's or a momentum model's logits (M, M).

    Logits are that model's similarities of the members, images as rows, divided by a temperature;
    `keep` is the policy's own share (paper: 0.5). No gradient flows into them.
    """
    logits_mm = logits_mm.detach()
    abnormal_mm = term.abnormal_mm.to(logits_mm.device)
    target_mm, text_target_mm = (
        with_similarity(of_mm.to(logits_mm.device), abnormal_mm, by_mm.softmax(dim=1), keep)
        # transposed before the softmax, which normalises rows
        for of_mm, by_mm in ((term.target_mm, logits_mm), (term.text_target_mm, logits_mm.T))
    )
    return replace(term, target_mm=target_mm, text_target_mm=text_target_mm)


def similarities(left_bae: Tensor, right_bae: Tensor, term: Term) -> Tensor:
    """Cosines (M, M) of a term's members, `left_bae` as rows; both are unit vectors."""
    members_m = term.members_m.to(left_bae.device)
    return left_bae[members_m, term.anatomy] @ right_bae[members_m, term.anatomy].T


def contrastive_losses(
    image_bae: Tensor,
    text_bae: Tensor,
    temperature: Tensor,
    terms: Sequence[Term],
    setting: LossConfig = PAPER,
    normal_ae: Tensor | None = None,
    dictionary: Mapping[int, tuple[Tensor, Tensor]] | None = None,
) -> dict[int, Tensor]:
    """Loss of each contributing anatomy; training adds them up.

    `image_bae` and `text_bae` are unit vectors of the batch of all ranks; `normal_ae` those of the
    normal sentences, where they are one more negative of abnormal images. `dictionary` has, by the
    number of an anatomy, unit vectors (K, E) of further texts and the members (M, K; bool) whose
    negatives they are.
    """
    of_pairs = _sigmoid if setting.kind == "sigmoid" else _softmax
    losses = {}
    for term in terms:
        logits_mm = similarities(image_bae, text_bae, term) / temperature
        image_me = image_bae[term.members_m.to(image_bae.device), term.anatomy]
        further = []
        if normal_ae is not None:
            further.append((normal_ae[term.anatomy][None], term.abnormal_m[:, None]))
        if dictionary and term.anatomy in dictionary:
            further.append(dictionary[term.anatomy])
        more_mk = None
        if further:
            parts = [
                (image_me @ of_ke.T / temperature).masked_fill(
                    ~counts_mk.to(of_ke.device), -torch.inf
                )
                for of_ke, counts_mk in further
            ]
            more_mk = torch.cat(parts, dim=1)
        losses[term.anatomy] = of_pairs(logits_mm, more_mk, term, setting)
    return losses


def separation_loss(text_bae: Tensor, terms: Sequence[Term]) -> Tensor:
    """Mean square of the cosines above 0 between texts of different anatomies; 0 for one anatomy.

    Source: the cross-anatomy term of CA-GCL (arXiv 2605.13544), in its plainest form. Cosines of 0
    and below cost nothing: texts need not be opposites.
    """
    text_ne = torch.cat([text_bae[one.members_m.to(text_bae.device), one.anatomy] for one in terms])
    anatomy_n = torch.cat([torch.full_like(one.members_m, one.anatomy) for one in terms])
    apart_nn = (anatomy_n[:, None] != anatomy_n).to(text_ne.device)
    cost_nn = (text_ne @ text_ne.T).clamp(min=0).square() * apart_nn
    return cost_nn.sum() / apart_nn.sum().clamp(min=1)


def _softmax(logits_mm: Tensor, more_mk: Tensor | None, term: Term, setting: LossConfig) -> Tensor:
    """Symmetric cross-entropy; `more_mk` are texts for images beside the batch's, or -inf."""
    to_text_mm = F.log_softmax(logits_mm, dim=1)
    if more_mk is not None:
        joined = F.log_softmax(torch.cat([logits_mm, more_mk], dim=1), dim=1)
        to_text_mm = joined[:, : logits_mm.shape[1]]
    return (
        _cross_entropy(to_text_mm, term.target_mm.to(logits_mm.device))
        + _cross_entropy(
            F.log_softmax(logits_mm.T, dim=1), term.text_target_mm.to(logits_mm.device)
        )
    ) / 2


def _cross_entropy(log_mm: Tensor, target_mm: Tensor) -> Tensor:
    return -(target_mm * log_mm).sum(dim=1).mean()


def _sigmoid(logits_mm: Tensor, more_mk: Tensor | None, term: Term, setting: LossConfig) -> Tensor:
    """Of each pair whether it belongs together, summed and divided by the samples.

    Source: SigLIP (arXiv 2303.15343). The label of a pair is the policy's judgement on the scale on
    which a sample and its own text have 1: between 0 and 1 with `graded` and corrected targets.
    """
    biased_mm = logits_mm + setting.sigmoid_bias
    total = biased_mm.new_zeros(())
    for found_mm, target_mm in ((biased_mm, term.target_mm), (biased_mm.T, term.text_target_mm)):
        label_mm = (target_mm / target_mm.diagonal()[:, None]).to(found_mm.device)
        total = total + F.binary_cross_entropy_with_logits(found_mm, label_mm, reduction="sum") / 2
    if more_mk is not None:
        # of a text that is no negative the logit is -inf, and the cost 0
        total = total + F.softplus(more_mk + setting.sigmoid_bias).sum()
    return total / len(logits_mm)


def speaks(state: str | None, silence: NotMentioned) -> bool:
    """Whether a report tells of an anatomy; `silence` says what passing over it means."""
    return state is not None and not (state == "not_mentioned" and silence == "excluded")
