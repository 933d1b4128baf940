"""A dictionary of abnormalities: prompts of findings that an image does not have, as negatives.

A batch holds few abnormal texts of an organ; the vocabulary has one for each of its findings.
Source: CT-GLIP (arXiv 2404.15272), which adds an abnormality dictionary to its negatives.

Shapes: M members of one anatomy, K findings drawn for it, E features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from fvlm_data.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fvlm_train.config import TrainConfig
    from fvlm_train.data.crops import Facts
    from fvlm_train.prompts import Finding
    from fvlm_train.training.loss import Term


class Entry(NamedTuple):
    """A finding: its prompt, and the labels with which an image may have it: itself and its kinds.

    Who has a kidney cyst may have a complex one: that prompt is no negative of his.
    """

    finding: str
    text: str
    with_labels: frozenset[str]


@dataclass(frozen=True, slots=True)
class Dictionary:
    """Findings by the number of their anatomy; `count` are drawn of each at a step."""

    entries: Mapping[int, tuple[Entry, ...]]
    count: int

    @property
    def sentences(self) -> dict[str, list[str]]:
        """The prompt of each finding by its id."""
        return {one.finding: [one.text] for some in self.entries.values() for one in some}


class Drawn(NamedTuple):
    """Prompts of an anatomy (K,), and of which members (M, K; bool) they are negatives."""

    texts: tuple[str, ...]
    lacks_mk: Tensor


def dictionary_of(config: TrainConfig, findings: Sequence[Finding]) -> Dictionary | None:
    """The findings of the trained anatomies; None where the configuration asks for none.

    Raises:
        ConfigError: no finding lies in a trained anatomy.
    """
    if config.loss.dictionary_negatives == 0:
        return None
    implied = {one.id: set(one.implies) for one in findings}
    entries = {
        number: tuple(
            Entry(one.id, one.prompts.positive, _reached(one.id, implied))
            for one in sorted(findings, key=lambda one: one.id)
            if one.anatomy == anatomy
        )
        for number, anatomy in enumerate(config.anatomies)
    }
    if not any(entries.values()):
        raise ConfigError(
            "train.loss.dictionary_negatives: no finding of the vocabulary lies in the trained "
            f"anatomies, {', '.join(config.anatomies)}; set it to 0"
        )
    return Dictionary(entries, config.loss.dictionary_negatives)


def drawn(
    dictionary: Dictionary, facts: Sequence[Facts], terms: Sequence[Term], seed: int
) -> dict[int, Drawn]:
    """What a step draws for the anatomy of each term; the same on all ranks, which share `seed`."""
    generator = torch.Generator().manual_seed(seed)
    made = {}
    for term in terms:
        entries = dictionary.entries[term.anatomy]
        order = torch.randperm(len(entries), generator=generator).tolist()
        chosen = [entries[n] for n in sorted(order[: dictionary.count])]
        if chosen:
            labels = [facts[n].labels[term.anatomy] for n in term.members_m.tolist()]
            lacks = [[not one.with_labels & said for one in chosen] for said in labels]
            made[term.anatomy] = Drawn(tuple(one.text for one in chosen), torch.tensor(lacks))
    return made


def _reached(finding: str, implied: Mapping[str, set[str]]) -> frozenset[str]:
    """A finding and all that it implies, directly or through others."""
    reached: set[str] = set()
    fresh = {finding}
    while fresh:
        reached |= fresh
        fresh = {more for one in fresh for more in implied.get(one, ())} - reached
    return frozenset(reached)
