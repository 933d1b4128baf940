"""Prompts of findings: the sentences, and one feature for all that say the same.

Shapes: F finding, T texts, K sentences of a finding, E features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the name that every reader of torch knows

from fvlm_train.data.texts import normal_sentence

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fvlm_train.config.prompts import PromptSection


class Prompts(Protocol):
    """The two sentences of a finding."""

    @property
    def positive(self) -> str:
        """Such as `Gallstone.`."""

    @property
    def negative(self) -> str:
        """Such as `Not gallstone.`."""


class Finding(Protocol):
    """What is read of a finding of the vocabulary."""

    @property
    def id(self) -> str:
        """Snake-case id."""

    @property
    def name(self) -> str:
        """Name for people."""

    @property
    def ct_rate(self) -> str | None:
        """Column of CT-RATE's labels."""

    @property
    def anatomy(self) -> str:
        """Anatomy whose region is scored."""

    @property
    def implies(self) -> Sequence[str]:
        """Ids of findings that whoever has this has too."""

    @property
    def prompts(self) -> Prompts:
        """Its prompts."""


@dataclass(frozen=True, slots=True)
class PromptTexts:
    """Sentences (F, K) that say that findings are there, and (F, K') that they are not."""

    positive_fk: tuple[tuple[str, ...], ...]
    negative_fk: tuple[tuple[str, ...], ...]


def prompt_texts(
    findings: Sequence[Finding], normal_template: str, config: PromptSection
) -> PromptTexts:
    """The vocabulary's prompts and those of the configuration's templates.

    `normal_template` is the sentence of a normal anatomy (train.template).
    """
    positive, negative = [], []
    for finding in findings:
        name = finding.name.lower()
        said = [template.positive.format(finding=name) for template in config.templates]
        denied = [template.negative.format(finding=name) for template in config.templates]
        positive.append((finding.prompts.positive, *said))
        # the normal sentence of an anatomy says that all is well: no template of a finding joins it
        negative.append(
            (finding.prompts.negative, *denied)
            if config.negative == "prompt"
            else (normal_sentence(finding.anatomy, normal_template),)
        )
    return PromptTexts(tuple(positive), tuple(negative))


def prompt_features(
    encode: Callable[[Sequence[str]], Tensor], texts: PromptTexts
) -> tuple[Tensor, Tensor]:
    """Positive and negative features (F, E), unit vectors; `encode` gives (T, E) of T texts."""

    def encoded(texts_fk: tuple[tuple[str, ...], ...]) -> Tensor:
        features_te = encode([text for one in texts_fk for text in one])
        return prompt_mean(features_te.reshape(len(texts_fk), -1, features_te.shape[-1]))

    return encoded(texts.positive_fk), encoded(texts.negative_fk)


def prompt_mean(features_fke: Tensor) -> Tensor:
    """The mean (F, E) of the features of sentences that say the same, as a unit vector."""
    return F.normalize(features_fke.sum(dim=1), dim=-1)
