"""How many pairs of a batch are false negatives, an anatomy, by policy."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from fvlm_data.pairing.anatomy_text import anatomy_text
from fvlm_data.pairing.audit.texts import both_rules, study_texts
from fvlm_data.pairing.signature import comparable
from fvlm_data.pairing.targets import targets
from fvlm_data.review.pairs import pairs_apart

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from torch import Tensor

    from fvlm_data.pairing.config import PairConfig
    from fvlm_data.pairing.targets import NotMentioned, Policy
    from fvlm_data.store.tables import Store
    from fvlm_data.vocabulary import Vocabulary
    from schemas import AnatomyText

BATCH_SIZE = 64
BATCHES = 100


_Sample: TypeAlias = tuple[str, frozenset[str]]
"""A sample's study and its anatomies."""


@dataclass(frozen=True, slots=True)
class _Facts:
    """What a study says of an anatomy by our rule of the normal, and by the public code's.

    `apart` are the studies that review holds to differ from it there.
    """

    stated: AnatomyText
    reference: AnatomyText
    apart: frozenset[str]


@dataclass(frozen=True, slots=True)
class NegativesOfAnatomy:
    """Means over the batches, in pairs of different studies.

    `pairs` is all of them. `both_normal` and `same_findings` say the same by the whole report:
    policy `none` trains them as negatives, `signature` none of them. `reference_misses` of them
    are negatives under `reference`, read by the public code's own rule of the normal. It spares
    `reference_silent` pairs of which a report is silent about the anatomy, and `reference_wrong`
    pairs whose reports say different things (pairs of abnormalities of which one has no name are
    not counted). `graded` is the sum of the soft weights of abnormal pairs. `held_apart` pairs say
    the same, but review holds them to differ: they count in none of these but as `reference_wrong`
    where the public code, which knows no review, spares them.
    """

    anatomy: str
    samples: float
    abnormal: float
    pairs: float
    both_normal: float
    same_findings: float
    reference_misses: float
    reference_silent: float
    reference_wrong: float
    graded: float
    held_apart: float


@dataclass(frozen=True, slots=True)
class NegativesAudit:
    """False negatives of drawn batches; `drawn_from` says of what.

    `pairs_apart` is how many pairs of studies, an anatomy, review holds to differ in the store.
    """

    drawn_from: str
    batch_size: int
    batches: int
    anatomies: tuple[NegativesOfAnatomy, ...]
    pairs_apart: int = 0


def audit_negatives(
    store: Store,
    config: PairConfig,
    vocabulary: Vocabulary,
    seed: int,
    batch_size: int = BATCH_SIZE,
    batches: int = BATCHES,
) -> NegativesAudit:
    """Draw batches as training does, and judge their pairs by every policy.

    Batches are drawn from the samples of the training split, before sharding from all studies
    with texts; an anatomy takes part where the sample has it. What a report says is read by our
    rule of the normal, what policy `reference` takes it for by the public code's, whichever
    `config` has.
    """
    drawn_from, samples = _samples(store)
    size = min(batch_size, len(samples))
    apart = pairs_apart(store)
    # each stands under both of its studies
    held = sum(len(others) for others in apart.values()) // 2
    if size < 2:
        return NegativesAudit(drawn_from, size, 0, (), held)
    if size == len(samples):
        batches = 1  # all of them: every batch is the same
    rng = random.Random(seed)
    drawn = [rng.sample(samples, size) for _ in range(batches)]
    studies = {study for batch in drawn for study, _ in batch}
    facts = _facts(store, config, vocabulary, studies, apart)
    trained = sorted(vocabulary.trained)
    told = (_of_anatomy(anatomy, drawn, facts) for anatomy in trained)
    anatomies = tuple(one for one in told if one.samples)
    return NegativesAudit(drawn_from, size, batches, anatomies, held)


def _samples(store: Store) -> tuple[str, list[_Sample]]:
    """Study and anatomies of each sample, in the order of ids."""
    columns = ["sample_id", "study_id", "anatomies"]
    rows = store.read("samples", columns, [("split", "=", "train")]).to_pylist()
    if rows:
        rows.sort(key=lambda row: str(row["sample_id"]))
        told = f"{len(rows)} samples of split train"
        return told, [(row["study_id"], frozenset(row["anatomies"])) for row in rows]
    by_study: dict[str, set[str]] = {}
    for row in store.read("anatomy_texts", ["study_id", "anatomy"]).to_pylist():
        by_study.setdefault(row["study_id"], set()).add(row["anatomy"])
    told = f"{len(by_study)} studies with texts (no samples of split train)"
    return told, [(study, frozenset(by_study[study])) for study in sorted(by_study)]


def _facts(
    store: Store,
    config: PairConfig,
    vocabulary: Vocabulary,
    studies: Collection[str],
    apart: Mapping[tuple[str, str], frozenset[str]],
) -> dict[tuple[str, str], _Facts]:
    """What each study says of each anatomy, by study and anatomy."""
    rules = both_rules(config)
    facts = {}
    for study, text in study_texts(store, studies):
        for anatomy in vocabulary.trained:
            stated, reference = (
                anatomy_text(study, anatomy, text, rule, vocabulary) for rule in rules
            )
            others = apart.get((study, anatomy), frozenset())
            facts[study, anatomy] = _Facts(stated, reference, others)
    return facts


def _of_anatomy(
    anatomy: str,
    drawn: Sequence[Sequence[_Sample]],
    facts_of: Mapping[tuple[str, str], _Facts],
) -> NegativesOfAnatomy:
    sums = [0.0] * 10
    for batch in drawn:
        facts = [
            facts_of[study, anatomy]
            for study, anatomies in batch
            if anatomy in anatomies and (study, anatomy) in facts_of
        ]
        if facts:
            sums = [total + value for total, value in zip(sums, _pairs(facts), strict=True)]
    return NegativesOfAnatomy(anatomy, *(round(total / len(drawn), 2) for total in sums))


def _pairs(facts: Sequence[_Facts]) -> tuple[float, ...]:
    """The numbers of one batch, in the order of `NegativesOfAnatomy`."""
    import torch

    stated = [one.stated for one in facts]
    silent_i = torch.tensor([one.state == "not_mentioned" for one in stated])
    normal_i = torch.tensor([one.state == "normal_stated" for one in stated])
    apart = [one.apart for one in facts]
    # of two studies, each once
    two_ij = (_entries(stated, "none", "normal") == 0).triu(1)
    by_text_ij = (_entries(stated, "signature", "excluded") > 0) & two_ij
    same_ij = (_entries(stated, "signature", "excluded", apart) > 0) & two_ij
    reference_ij = (_entries([one.reference for one in facts], "reference", "normal") > 0) & two_ij
    both_normal_ij = same_ij & normal_i[:, None] & normal_i[None, :]
    silent_ij = silent_i[:, None] | silent_i[None, :]
    abnormal_ij = two_ij & ~(silent_ij | normal_i[:, None] | normal_i[None, :])
    graded = float(_entries(stated, "graded", "excluded", apart)[abnormal_ij].sum())
    unnamed_i = torch.tensor([not comparable(one.findings) for one in stated])
    unnamed_ij = abnormal_ij & (unnamed_i[:, None] | unnamed_i[None, :])
    counted = (
        two_ij,
        both_normal_ij,
        same_ij & ~both_normal_ij,
        same_ij & ~reference_ij,
        reference_ij & silent_ij,
        reference_ij & ~silent_ij & ~same_ij & ~unnamed_ij,
    )
    abnormal = sum(one.state == "abnormal" for one in stated)
    held_apart = float((by_text_ij & ~same_ij).sum())
    told = (float(pairs_ij.sum()) for pairs_ij in counted)
    return (len(facts), abnormal, *told, graded, held_apart)


def _entries(
    texts: Sequence[AnatomyText],
    policy: Policy,
    silence: NotMentioned,
    apart: Sequence[Collection[str]] | None = None,
) -> Tensor:
    """The training's own targets, before each row is divided by its sum."""
    target_ij = targets(
        [one.study_id for one in texts],
        [one.signature for one in texts],
        [frozenset(one.findings) for one in texts],
        [one.text for one in texts],
        [one.state for one in texts],
        policy,
        not_mentioned=silence,
        apart=apart,
    )
    # a sample and itself have entry 1 before the division by the row's sum
    return target_ij / target_ij.diagonal()[:, None]
