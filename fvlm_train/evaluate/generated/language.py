"""How alike two texts are word by word: BLEU, ROUGE-L, METEOR.

Sources: BLEU (Papineni et al., ACL 2002) over the whole set, one reference each, smoothed by
method 1 of Chen and Cherry (2014); ROUGE-L as the F measure of the longest common subsequence (Lin,
2004), mean over studies; METEOR (Banerjee and Lavie, 2005), mean over studies, by equal words and
equal stems alone: its synonyms need a list that would be fetched. BLEU and METEOR are NLTK's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fvlm_train.generation.words import words

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Likeness:
    """Means over studies, from 0 to 1; `bleu` by the longest sequence counted, 1 to 4 words."""

    bleu: tuple[float, float, float, float]
    rouge_l: float
    meteor: float


class _NoSynonyms:
    """In place of WordNet."""

    def synsets(self, _word: str) -> list[object]:
        return []


def likeness(written: Sequence[str], references: Sequence[str]) -> Likeness:
    """How alike texts are to their references, pair by pair; an empty text is like none."""
    from nltk.translate.bleu_score import SmoothingFunction, corpus_bleu
    from nltk.translate.meteor_score import single_meteor_score

    told, known = [words(one) for one in written], [words(one) for one in references]
    smoothing = SmoothingFunction().method1
    bleu = [
        float(
            corpus_bleu([[one] for one in known], told, (1 / n,) * n, smoothing_function=smoothing)
        )
        if any(told)
        else 0.0
        for n in range(1, 5)
    ]
    pairs = list(zip(told, known, strict=True))
    rouge = [rouge_l(one, other) for one, other in pairs]
    meteor = [
        float(single_meteor_score(other, one, wordnet=_NoSynonyms())) if one and other else 0.0
        for one, other in pairs
    ]
    return Likeness(
        (bleu[0], bleu[1], bleu[2], bleu[3]), float(np.mean(rouge)), float(np.mean(meteor))
    )


def rouge_l(told: Sequence[str], known: Sequence[str]) -> float:
    """F measure of the longest common subsequence of words; 0 where a text is empty."""
    longest = _common(told, known)
    return 2 * longest / (len(told) + len(known)) if longest else 0.0


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """Length of the longest common subsequence, row by row."""
    ids = {word: number for number, word in enumerate(dict.fromkeys([*one, *other]))}
    other_n = np.array([ids[word] for word in other], dtype=np.int64)
    row = np.zeros(len(other) + 1, dtype=np.int64)
    for word in one:
        # the best of: one word less of the other text, this word matched
        best = np.maximum(row[1:], row[:-1] + (other_n == ids[word]))
        row[1:] = np.maximum.accumulate(best)
    return int(row[-1])
