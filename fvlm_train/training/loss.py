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

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.pairing.targets import NotMentioned, Policy
    from fvlm_train.data.crops import Facts


@dataclass(frozen=True, slots=True)
class Term:
    """One anatomy's part: its number, the samples compared (M,), and their targets (M, M).

    `target_mm` has images as rows, `text_target_mm` texts: equal, unless a model that treats image
    and text differently has corrected them. `abnormal_mm` marks the pairs that a model may correct.
    """

    anatomy: int
    members_m: Tensor
    target_mm: Tensor
    text_target_mm: Tensor
    abnormal_mm: Tensor


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
            terms.append(Term(anatomy, torch.tensor(members), target_mm, target_mm, abnormal_mm))
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
    image_bae: Tensor, text_bae: Tensor, temperature: Tensor, terms: Sequence[Term]
) -> dict[int, Tensor]:
    """Loss of each contributing anatomy; training adds them up.

    `image_bae` and `text_bae` are unit vectors of the batch of all ranks.
    """
    losses = {}
    for term in terms:
        logits_mm = similarities(image_bae, text_bae, term) / temperature
        losses[term.anatomy] = (
            _cross_entropy(logits_mm, term.target_mm.to(logits_mm.device))
            + _cross_entropy(logits_mm.T, term.text_target_mm.to(logits_mm.device))
        ) / 2
    return losses


def _cross_entropy(logits_mm: Tensor, target_mm: Tensor) -> Tensor:
    return -(target_mm * F.log_softmax(logits_mm, dim=1)).sum(dim=1).mean()


def speaks(state: str | None, silence: NotMentioned) -> bool:
    """Whether a report tells of an anatomy; `silence` says what passing over it means."""
    return state is not None and not (state == "not_mentioned" and silence == "excluded")
