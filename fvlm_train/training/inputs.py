"""What a model reads of a batch: images, organs, and each text that is compared, once.

Shapes: B batch of this rank, A anatomy, N tokens, T texts, S text tokens, E features.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fvlm_train.data.texts import normal_sentence, permuted
from fvlm_train.prompts import prompt_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fvlm_train.config import TrainConfig
    from fvlm_train.data.batches import Batch
    from fvlm_train.data.crops import Facts
    from fvlm_train.model import WordPieces
    from fvlm_train.prompts import PromptTexts
    from fvlm_train.training.dictionary import Drawn
    from fvlm_train.training.loss import Term


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a model reads of a batch, on its device; `place_ba` is the text of each anatomy.

    `prompt_places` are those of the prompts among the texts, where the loss has such a term;
    `normal_places_a` those of the normal sentences, where they are negatives. `dictionary` has, by
    the number of an anatomy, places (K,) of further negatives and their members (M, K; bool).
    """

    image_bzyx: Tensor
    tokens_ban: Tensor
    ids_ts: Tensor
    mask_ts: Tensor
    place_ba: Tensor
    organs_bzyx: Tensor | None = None
    measured_baf: Tensor | None = None
    prompt_places: PromptPlaces | None = None
    normal_places_a: Tensor | None = None
    dictionary: Mapping[int, tuple[Tensor, Tensor]] | None = None


@dataclass(frozen=True, slots=True)
class PromptPlaces:
    """Numbers of the texts (F, K) that say that findings are there, and (F, K') that not."""

    positive_fk: Tensor
    negative_fk: Tensor

    def features(self, text_te: Tensor) -> tuple[Tensor, Tensor]:
        """Of each finding, both mean features (F, E), unit vectors."""
        return prompt_mean(text_te[self.positive_fk]), prompt_mean(text_te[self.negative_fk])


def inputs_of(
    batch: Batch,
    terms: Sequence[Term],
    tokenizer: WordPieces,
    device: torch.device,
    prompts: PromptTexts | None = None,
    config: TrainConfig | None = None,
    negatives: Mapping[int, Drawn] | None = None,
) -> Inputs:
    """This rank's batch, with those texts that the terms compare, and the prompts.

    `negatives` are further texts by the number of their anatomy. `config` may ask for normal
    sentences, too, and for an order of the batch's sentences, which is drawn from torch's
    generator.
    """
    texts, place_ba = distinct_texts(batch.facts, terms)
    of_batch = len(texts)
    normal_places_a = None
    if config is not None and config.loss.normal_negative:
        normal_places_a = _add_normals(texts, terms, config).to(device)
    prompt_places = _add_prompts(texts, prompts, device) if prompts else None
    dictionary = _add_negatives(texts, negatives, device) if negatives else None
    if config is not None:
        # last: two texts may become one, but keep their places
        share = config.model.text.sentence_permutation
        texts[:of_batch] = _with_permuted(texts[:of_batch], share)
    ids_ts, mask_ts = tokenizer.encode(texts)
    return Inputs(
        image_bzyx=batch.scaled(device),
        tokens_ban=batch.tokens_ban.to(device),
        ids_ts=ids_ts.to(device),
        mask_ts=mask_ts.to(device),
        place_ba=place_ba.to(device),
        organs_bzyx=None if batch.organs_bzyx is None else batch.organs_bzyx.to(device),
        measured_baf=None if batch.measured_baf is None else batch.measured_baf.to(device),
        prompt_places=prompt_places,
        normal_places_a=normal_places_a,
        dictionary=dictionary,
    )


def thinned(inputs: Inputs, share: float) -> Inputs:
    """A share of the texts' tokens hidden; the first token ([CLS]) always shows."""
    if share == 0:
        return inputs
    # drawn on the CPU: a GPU's generator gives other numbers for the same seed
    shown_ts = torch.rand(inputs.mask_ts.shape) >= share
    shown_ts[:, 0] = True
    return replace(inputs, mask_ts=inputs.mask_ts * shown_ts.to(inputs.mask_ts.device))


def distinct_texts(facts: Sequence[Facts], terms: Sequence[Term]) -> tuple[list[str], Tensor]:
    """Texts to encode, each once, and their places (B, A); what takes no part points at 0."""
    wanted = {term.anatomy for term in terms}
    place_ba = torch.zeros(len(facts), len(facts[0].texts), dtype=torch.int64)
    numbers: dict[str, int] = {}
    for row, sample in enumerate(facts):
        for anatomy in wanted:
            if sample.intact[anatomy] and sample.states[anatomy] is not None:
                text = sample.encoder_texts[anatomy]
                place_ba[row, anatomy] = numbers.setdefault(text, len(numbers))
    # a rank without a text encodes one all the same: DDP waits for the gradients of every rank
    return list(numbers) or [facts[0].encoder_texts[0]], place_ba


def _with_permuted(texts: list[str], share: float) -> list[str]:
    """A share of the texts with their sentences in a random order."""
    if share == 0:
        return texts
    # drawn for all: which are chosen moves no other draw
    orders = [torch.rand(1) < share for _ in texts]
    return [
        permuted(text, lambda count: torch.randperm(count).tolist()) if chosen else text
        for text, chosen in zip(texts, orders, strict=True)
    ]


def _add_normals(texts: list[str], terms: Sequence[Term], config: TrainConfig) -> Tensor:
    """Places (A,) of the terms' normal sentences, which are added where they are not there yet."""
    numbers = {text: number for number, text in enumerate(texts)}
    place_a = torch.zeros(len(config.anatomies), dtype=torch.int64)
    for term in terms:
        sentence = normal_sentence(config.anatomies[term.anatomy], config.template)
        place_a[term.anatomy] = numbers.setdefault(sentence, len(texts))
        if numbers[sentence] == len(texts):
            texts.append(sentence)
    return place_a


def _add_prompts(texts: list[str], prompts: PromptTexts, device: torch.device) -> PromptPlaces:
    """Places of the prompts among the texts, to which those are added that are not there yet."""

    def places(sentences_fk: Sequence[Sequence[str]]) -> Tensor:
        return torch.tensor([_add(texts, one) for one in sentences_fk], device=device)

    return PromptPlaces(places(prompts.positive_fk), places(prompts.negative_fk))


def _add_negatives(
    texts: list[str], negatives: Mapping[int, Drawn], device: torch.device
) -> dict[int, tuple[Tensor, Tensor]]:
    """Places of further negatives among the texts, added where needed, and whose they are."""
    return {
        anatomy: (torch.tensor(_add(texts, one.texts), device=device), one.lacks_mk.to(device))
        for anatomy, one in negatives.items()
    }


def _add(texts: list[str], more: Sequence[str]) -> list[int]:
    """Numbers of `more` among the texts, to which those are added that are not there yet."""
    numbers = {text: number for number, text in enumerate(texts)}
    found = [numbers.setdefault(text, len(numbers)) for text in more]
    texts.extend(list(numbers)[len(texts) :])
    return found
