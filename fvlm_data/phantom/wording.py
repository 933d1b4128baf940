"""From a finding to words: noun phrases, sentences, hedges and negations."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING

from fvlm_data.phantom.catalogue import KIND
from fvlm_data.phantom.draws import chance, pick
from fvlm_data.phantom.phrases_abdomen import ABDOMEN
from fvlm_data.phantom.phrases_chest import CHEST, Wording
from fvlm_data.phantom.phrases_normal import NORMAL_ABDOMEN, NORMAL_CHEST

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from fvlm_data.phantom.patient import Present

WORDINGS: Mapping[str, Wording] = MappingProxyType({**CHEST, **ABDOMEN})
NORMALS: Mapping[str, tuple[str, ...]] = MappingProxyType({**NORMAL_CHEST, **NORMAL_ABDOMEN})

_PAIRED = {
    "kidney": ("the {side} kidney", "both kidneys", "either kidney"),
    "lung": ("the {side} lung", "both lungs", "the lungs"),
    "adrenal_gland": ("the {side} adrenal gland", "both adrenal glands", "the adrenal glands"),
}

_HEDGES = (
    "Possible {noun}.",
    "{Noun} cannot be excluded.",
    "Findings are suspicious for {noun}.",
    "Appearance may represent {noun}.",
    "Questionable {noun}; clinical correlation is recommended.",
    "Findings are suggestive of {noun}, although not definite.",
)

_DENIALS = (
    "No evidence of {noun}.",
    "{Noun} was not detected.",
    "{Noun} is not observed.",
    "There is no {noun}.",
    "No {noun}.",
    "{Noun} was not observed.",
)

_NOTES = ("{Noun} noted.", "{Noun}.", "Note is made of {noun}.", "Also noted: {noun}.")

_PAIRS = (
    "{First} and {second} are observed.",
    "There is {first} as well as {second}.",
    "{First}, with {second}.",
    "{First} and {second} are noted.",
)


_GRADED = frozenset(
    [
        "arterial_wall_calcification",
        "cardiomegaly",
        "pericardial_effusion",
        "emphysema",
        "pleural_effusion",
        "coronary_artery_wall_calcification",
        "pneumothorax",
        "hepatic_steatosis",
        "hepatomegaly",
        "splenomegaly",
        "hydronephrosis",
        "pancreatic_atrophy",
        "gastric_distention",
        "atelectasis",
        "esophageal_wall_thickening",
        "hiatal_hernia",
    ]
)
"""Findings whose headline may carry a grade."""


def sentence(rng: np.random.Generator, present: Present) -> str:
    """Return a sentence that describes a present finding."""
    if not is_history(present.kind.finding) and chance(rng, 0.15):
        return _slotted(pick(rng, _NOTES), noun(rng, present))
    return _fill(rng, pick(rng, _sayable(WORDINGS[present.kind.finding].told, present)), present)


def noun(rng: np.random.Generator, present: Present) -> str:
    """Return a noun phrase for a present finding."""
    return _fill(rng, pick(rng, _sayable(WORDINGS[present.kind.finding].nouns, present)), present)


def headline(rng: np.random.Generator, present: Present) -> str:
    """Return a line for the impression."""
    text = noun(rng, present)
    if not is_history(present.kind.finding):
        if chance(rng, 0.25) and present.kind.finding in _GRADED:
            text = f"{present.grade} {text}"
        elif present.size_mm is not None and chance(rng, 0.25):
            text = f"{text}, {_size(rng, present.size_mm)}"
    return _capital(text) + "."


def hedge(rng: np.random.Generator, present: Present) -> str:
    """Return a sentence that only suspects a finding."""
    return _slotted(pick(rng, _HEDGES), noun(rng, present))


def denial(rng: np.random.Generator, finding: str) -> str:
    """Return a sentence that denies a finding, on any side."""
    nouns = [text for text in WORDINGS[finding].nouns if "the {side}" not in text]
    anatomy = KIND[finding].anatomy
    either = _PAIRED.get(anatomy, ("", "", ""))[2]
    text = pick(rng, nouns).replace("{side} ", "").replace("{organ}", either)
    return _slotted(pick(rng, _DENIALS), text)


def joined(rng: np.random.Generator, first: Present, second: Present) -> str:
    """Return one sentence about two findings."""
    one, two = noun(rng, first), noun(rng, second)
    text = pick(rng, _PAIRS)
    return text.format(First=_capital(one), first=one, second=two)


def is_history(finding: str) -> bool:
    """Return whether a finding is a removed organ, which is stated as history, never hedged."""
    return finding.endswith("_absent")


def deniable(finding: str) -> bool:
    """Return whether reports deny a finding explicitly."""
    return not is_history(finding)


def normal(rng: np.random.Generator, anatomy: str) -> tuple[str, tuple[str, ...]]:
    """Return a sentence that calls an anatomy normal, and the findings that it denies by name."""
    text, _, denied = pick(rng, NORMALS[anatomy]).partition("|")
    return text, tuple(denied.split(",")) if denied else ()


def _sayable(texts: tuple[str, ...], present: Present) -> list[str]:
    return [text for text in texts if present.size_mm is not None or "{size}" not in text]


def _slotted(frame: str, text: str) -> str:
    return frame.format(noun=text, Noun=_capital(text))


def _size(rng: np.random.Generator, size_mm: float) -> str:
    if size_mm >= 10.0 and chance(rng, 0.45):
        return f"{size_mm / 10.0:.1f} cm"
    return f"{size_mm:.0f} mm"


def _fill(rng: np.random.Generator, text: str, present: Present) -> str:
    side = present.laterality or ""
    one, both, _ = _PAIRED.get(present.kind.anatomy, ("", "", ""))
    organ = both if side == "bilateral" else one.format(side=side)
    hemithorax = "both hemithoraces" if side == "bilateral" else f"the {side} hemithorax"
    size = "" if present.size_mm is None else _size(rng, present.size_mm)
    filled = text.format(
        side=side,
        Side=_capital(side),
        organ=organ,
        Organ=_capital(organ),
        Bare=_capital(organ.removeprefix("the ")),
        hemithorax=hemithorax,
        size=size,
        grade=present.grade,
        Grade=_capital(present.grade),
    )
    if side == "bilateral":
        filled = re.sub(r"the bilateral pleural space", "both pleural spaces", filled)
        filled = re.sub(r"on the bilateral( side)?", "on both sides", filled)
    # an 8 mm, an 11 mm, an 18 mm
    return re.sub(r"\b([Aa]) (?=(?:8\d?|11|18)\b)", r"\1n ", filled)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
