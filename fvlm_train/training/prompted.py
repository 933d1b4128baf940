"""Labels of the reports as a term of the loss: each image beside the prompts of its findings.

The contrast knows a finding only as one of the many words of a text; this term asks for it by the
very sentences that evaluation asks with, as RadFinder (arXiv 2603.02026) does with its labels.

Shapes: B batch of all ranks, A anatomy, F finding, E features, N samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the name that every reader of torch knows

from fvlm_train.prompts import prompt_texts
from fvlm_train.training.loss import speaks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.pairing.targets import NotMentioned
    from fvlm_train.config import TrainConfig
    from fvlm_train.data.crops import Facts
    from fvlm_train.prompts import Finding, PromptTexts


@dataclass(frozen=True, slots=True)
class Prompted:
    """Findings whose labels are learned: ids, numbers of their anatomies, prompts.

    `share_f` of the samples that show the anatomy have the finding, in the training split.
    """

    ids: tuple[str, ...]
    anatomy_f: tuple[int, ...]
    share_f: tuple[float, ...]
    texts: PromptTexts

    @property
    def sentences(self) -> dict[str, list[str]]:
        """All prompts of each finding by its id."""
        pairs = zip(self.texts.positive_fk, self.texts.negative_fk, strict=True)
        return {one: [*said, *denied] for one, (said, denied) in zip(self.ids, pairs, strict=True)}


class Labels(NamedTuple):
    """What the reports of a batch say: finding present (B, F; 0 or 1), where `known_bf`.

    `share_f` of the training split's known labels are positive.
    """

    present_bf: Tensor
    known_bf: Tensor
    anatomy_f: tuple[int, ...]
    share_f: tuple[float, ...]


def prompted_findings(
    config: TrainConfig, rows: Any, findings: Sequence[Finding]
) -> Prompted | None:
    """The findings of the vocabulary that the training split `rows` has often enough.

    None where the configuration gives the term no weight, or none is frequent enough.
    """
    setting = config.loss.prompts
    if setting.weight == 0:
        return None
    chosen, shares = [], []
    told = rows.select(["anatomies", "states", "labels"]).to_pylist()
    for finding in (one for one in findings if one.anatomy in config.anatomies):
        known, positive = _counts(told, finding, config.silence)
        if min(positive, known - positive) >= setting.least_positives:
            chosen.append(finding)
            shares.append(positive / known)
    if not chosen:
        return None
    return Prompted(
        ids=tuple(finding.id for finding in chosen),
        anatomy_f=tuple(config.anatomies.index(finding.anatomy) for finding in chosen),
        share_f=tuple(shares),
        texts=prompt_texts(chosen, config.template, setting),
    )


def labels_of(facts: Sequence[Facts], prompted: Prompted, silence: NotMentioned) -> Labels:
    """Labels of a batch; known where the window shows the anatomy whole and its report was read."""
    present = [
        [
            finding in one.labels[anatomy]
            for finding, anatomy in zip(prompted.ids, prompted.anatomy_f, strict=True)
        ]
        for one in facts
    ]
    known = [
        [
            one.intact[anatomy] and speaks(one.states[anatomy], silence)
            for anatomy in prompted.anatomy_f
        ]
        for one in facts
    ]
    return Labels(
        torch.tensor(present, dtype=torch.float32),
        torch.tensor(known),
        prompted.anatomy_f,
        prompted.share_f,
    )


def prompt_loss(
    image_bae: Tensor,
    positive_fe: Tensor,
    negative_fe: Tensor,
    temperature: Tensor,
    present_bf: Tensor,
    known_bf: Tensor,
    anatomy_f: tuple[int, ...],
    share_f: tuple[float, ...],
) -> Tensor:
    """Cross-entropy of the known labels, their mean; 0 where none is known.

    The probability is that of evaluation: a softmax over the similarities to both prompts. Samples
    with a finding and those without weigh the same in total over the training split: else a rare
    finding is best never told.
    """
    device = image_bae.device
    known_bf, present_bf = known_bf.to(device), present_bf.to(device)
    image_bfe = image_bae[:, list(anatomy_f)]
    logit_bf = (image_bfe * (positive_fe - negative_fe)).sum(dim=-1) / temperature
    positive_f = torch.tensor(share_f, device=device)
    weight_bf = torch.where(present_bf > 0, 0.5 / positive_f, 0.5 / (1 - positive_f)) * known_bf
    loss_bf = F.binary_cross_entropy_with_logits(logit_bf, present_bf, reduction="none")
    return (loss_bf * weight_bf).sum() / known_bf.sum().clamp(min=1)


def _counts(
    told: Sequence[dict[str, Any]], finding: Finding, silence: NotMentioned
) -> tuple[int, int]:
    """Samples that are known to have the finding or not, and those that have it."""
    known = positive = 0
    for row in told:
        for anatomy, state, labels in zip(*row.values(), strict=True):
            if anatomy == finding.anatomy and speaks(state, silence):
                known += 1
                positive += finding.id in labels
    return known, positive
