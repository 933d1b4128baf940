"""How often the impression-only rule of the public code calls an abnormal anatomy normal."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fvlm_data.pairing.anatomy_text import anatomy_text
from fvlm_data.pairing.audit.texts import both_rules, study_texts
from schemas.anatomy_texts import STATES

if TYPE_CHECKING:
    from fvlm_data.pairing.config import PairConfig
    from fvlm_data.store.tables import Store
    from fvlm_data.vocabulary import Vocabulary

MEASURED = {"lung": (9, 22), "heart": (22, 91), "esophagus": (14, 99), "aorta": (17, 82)}
"""Of 100 CT-RATE training patients: normal by the rule, and of those positive by its labels."""


@dataclass(frozen=True, slots=True)
class NormalsOfAnatomy:
    """Studies whose anatomy the impression-only rule calls `normal`; what the whole report says.

    `ct_rate` is what the rule got wrong of CT-RATE: (wrong, normal by the rule).
    """

    anatomy: str
    normal: int
    abnormal: int
    normal_stated: int
    not_mentioned: int
    ct_rate: tuple[int, int] | None


def audit_normals(
    store: Store, config: PairConfig, vocabulary: Vocabulary
) -> tuple[NormalsOfAnatomy, ...]:
    """Read every study's sentences by both rules, whichever `config` has."""
    counts: Counter[tuple[str, str]] = Counter()
    trained = sorted(vocabulary.trained)
    stated, reference = both_rules(config)
    for study, text in study_texts(store):
        for anatomy in trained:
            by_rule, by_all = (
                anatomy_text(study, anatomy, text, rule, vocabulary).state
                for rule in (reference, stated)
            )
            if by_rule == "normal_stated":
                counts[anatomy, by_all] += 1
    return tuple(_normals(anatomy, counts) for anatomy in trained)


def _normals(anatomy: str, counts: Counter[tuple[str, str]]) -> NormalsOfAnatomy:
    by_state = {state: counts[anatomy, state] for state in STATES}
    return NormalsOfAnatomy(
        anatomy=anatomy,
        normal=sum(by_state.values()),
        ct_rate=MEASURED.get(anatomy),
        **by_state,
    )
