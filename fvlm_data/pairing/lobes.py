"""Lobes that words of place name."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from fvlm_data.vocabulary.phrases import expand
from fvlm_data.vocabulary.wording import lowered, wording

if TYPE_CHECKING:
    from fvlm_data.vocabulary import Vocabulary
    from fvlm_data.vocabulary.text_entries import LobeWords


class Lobes:
    """Finds lobes in words of place, by the words of a vocabulary."""

    def __init__(self, words: LobeWords) -> None:
        """Take the words of pairing.yaml."""
        # (?!) matches nothing: an empty alternation would match everywhere
        listed = "|".join(map(re.escape, words.listed)) or r"(?!)"
        joints = "|".join(map(re.escape, words.joints)) or r"(?!)"
        phrases = [phrase for named in words.named.values() for phrase in named]
        self._listed = re.compile(listed, re.IGNORECASE)
        self._found = re.compile(
            rf"\b(?P<listed>(?:{listed})(?:(?:,? (?:{joints}) |, ?| ?/ ?)(?:{listed}))*)"
            rf" (?:{wording(words.nouns)})"
            rf"|\b(?P<named>{wording(phrases)})",
            re.IGNORECASE,
        )
        self._named = {
            lowered(one): lobe
            for lobe, named in words.named.items()
            for phrase in named
            for one in expand(phrase.removesuffix("*"))
        }

    def of(self, location: str) -> list[str]:
        """Lobes that are named, a lung's without its side, which the laterality holds."""
        made: list[str] = []
        for found in self._found.finditer(location):
            if found["listed"]:
                made += [lowered(one) for one in self._listed.findall(found["listed"])]
            else:
                made.append(self._named[lowered(found["named"])])
        return made


@lru_cache(maxsize=4)
def lobes_of(vocabulary: Vocabulary) -> Lobes:
    """The finder of a vocabulary, made once."""
    return Lobes(vocabulary.pairing.lobes)
