"""How many pairs of a batch are false negatives, an anatomy, by policy."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fvlm_data.pairing.targets import targets
from fvlm_data.vocabulary import load_anatomies

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from fvlm_data.pairing.targets import NotMentioned, Policy
    from fvlm_data.store import Store

BATCH_SIZE = 64
BATCHES = 100


@dataclass(frozen=True, slots=True)
class Fact:
    """What one sample says of one anatomy."""

    study_id: str
    state: str
    signature: int
    findings: frozenset[str]
    text: str


@dataclass(frozen=True, slots=True)
class NegativesOfAnatomy:
    """Means over the batches, in pairs of different studies.

    `pairs` is all of them. `both_normal` and `same_findings` say the same by typed facts: policy
    `none` trains them as negatives. `reference_misses` of them are negatives under `reference`
    still. It spares `reference_silent` pairs of which a report is silent about the anatomy, and
    `reference_wrong` pairs whose reports say different things. `graded` is the sum of the soft
    weights of abnormal pairs.
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


@dataclass(frozen=True, slots=True)
class NegativesAudit:
    """False negatives of drawn batches; `drawn_from` says of what."""

    drawn_from: str
    batch_size: int
    batches: int
    anatomies: tuple[NegativesOfAnatomy, ...]


def audit_negatives(
    store: Store, seed: int, batch_size: int = BATCH_SIZE, batches: int = BATCHES
) -> NegativesAudit:
    """Draw batches as training does, and judge their pairs by every policy.

    Batches are drawn from the samples of the training split, before sharding from all studies
    with texts; an anatomy takes part where the sample has it.
    """
    drawn_from, samples = _samples(store)
    size = min(batch_size, len(samples))
    if size < 2:
        return NegativesAudit(drawn_from, size, 0, ())
    if size == len(samples):
        batches = 1  # all of them: every batch is the same
    rng = random.Random(seed)
    drawn = [rng.sample(samples, size) for _ in range(batches)]
    trained = [anatomy.id for anatomy in load_anatomies() if anatomy.trained]
    told = (_of_anatomy(anatomy, drawn) for anatomy in trained)
    return NegativesAudit(drawn_from, size, batches, tuple(one for one in told if one.samples))


def _samples(store: Store) -> tuple[str, list[dict[str, Fact]]]:
    """Facts of each sample by anatomy, in the order of ids."""
    columns = ["sample_id", "study_id", "anatomies", "states", "signatures", "findings", "texts"]
    rows = store.read("samples", columns, [("split", "=", "train")]).to_pylist()
    if rows:
        rows.sort(key=lambda row: str(row["sample_id"]))
        return f"{len(rows)} samples of split train", [_sample_facts(row) for row in rows]
    by_study: dict[str, dict[str, Fact]] = {}
    for row in store.read("anatomy_texts").to_pylist():
        by_study.setdefault(row["study_id"], {})[row["anatomy"]] = _fact(row["study_id"], row)
    told = f"{len(by_study)} studies with texts (no samples of split train)"
    return told, [by_study[study] for study in sorted(by_study)]


def _sample_facts(row: dict[str, Any]) -> dict[str, Fact]:
    aligned = zip(
        row["anatomies"],
        row["states"],
        row["signatures"],
        row["findings"],
        row["texts"],
        strict=True,
    )
    return {
        anatomy: Fact(row["study_id"], state, signature, frozenset(found), text)
        for anatomy, state, signature, found, text in aligned
    }


def _fact(study: str, row: dict[str, Any]) -> Fact:
    return Fact(study, row["state"], row["signature"], frozenset(row["findings"]), row["text"])


def _of_anatomy(anatomy: str, drawn: Sequence[Sequence[dict[str, Fact]]]) -> NegativesOfAnatomy:
    sums = [0.0] * 9
    for batch in drawn:
        facts = [sample[anatomy] for sample in batch if anatomy in sample]
        if facts:
            sums = [total + value for total, value in zip(sums, _pairs(facts), strict=True)]
    return NegativesOfAnatomy(anatomy, *(round(total / len(drawn), 2) for total in sums))


def _pairs(facts: Sequence[Fact]) -> tuple[float, ...]:
    """The numbers of one batch, in the order of `NegativesOfAnatomy`."""
    import torch

    silent_i = torch.tensor([fact.state == "not_mentioned" for fact in facts])
    normal_i = torch.tensor([fact.state == "normal_stated" for fact in facts])
    apart_ij = (_entries(facts, "none", "normal") == 0).triu(1)
    same_ij = (_entries(facts, "signature", "excluded") > 0) & apart_ij
    reference_ij = (_entries(facts, "reference", "normal") > 0) & apart_ij
    both_normal_ij = same_ij & normal_i[:, None] & normal_i[None, :]
    silent_ij = silent_i[:, None] | silent_i[None, :]
    abnormal_ij = apart_ij & ~(silent_ij | normal_i[:, None] | normal_i[None, :])
    graded = float(_entries(facts, "graded", "excluded")[abnormal_ij].sum())
    abnormal = sum(fact.state == "abnormal" for fact in facts)
    counted = (
        apart_ij,
        both_normal_ij,
        same_ij & ~both_normal_ij,
        same_ij & ~reference_ij,
        reference_ij & silent_ij,
        reference_ij & ~silent_ij & ~same_ij,
    )
    return (len(facts), abnormal, *(float(pairs_ij.sum()) for pairs_ij in counted), graded)


def _entries(facts: Sequence[Fact], policy: Policy, silence: NotMentioned) -> Tensor:
    """The training's own targets, before each row is divided by its sum."""
    target_ij = targets(
        [fact.study_id for fact in facts],
        [fact.signature for fact in facts],
        [fact.findings for fact in facts],
        [fact.text for fact in facts],
        [fact.state for fact in facts],
        policy,
        not_mentioned=silence,
    )
    return target_ij / target_ij.diagonal()[:, None]
