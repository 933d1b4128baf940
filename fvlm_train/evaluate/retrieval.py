"""The command `fvlm-eval retrieval`: does a text find its scan, a scan its text, a scan its like.

Right answers: between text and image those of the same study, and of every study whose text is word
for word the same (nothing could tell them apart); between images those of other patients whose
findings agree by half at least (Jaccard index of the reports' labels). Queries are what a report
calls abnormal: "no abnormality" would find every healthy organ. Of equal similarities a wrong one
ranks first, so that a model that says the same of everything gets 0, not chance.

Shapes: P studies of a pool, Q queries, A anatomy, E features, T texts.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from fvlm_data.errors import ConfigError
from fvlm_train.data.texts import encoder_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fvlm_train.config import EvaluateConfig, TrainConfig
    from fvlm_train.data.windows import SampleSource
    from fvlm_train.evaluate.embeddings import Embeddings
    from fvlm_train.model import FVLM

Array = np.ndarray[Any, Any]

AT = (1, 5, 10)
"""The k of R@k."""
SCAN = "scan"
ALIKE = 0.5
TEXTS_AT_ONCE = 64
DIGITS = 6
"""Similarities are compared to this many digits: rounding in a product must not part equals."""
NOTHING_SHARED = -2.0
"""Similarity of scans that share no anatomy: below any cosine."""
DIRECTIONS = ("text to image", "image to text", "image to image")


@dataclass(frozen=True, slots=True)
class Recall:
    """R@k of one direction over pools of `pool` studies; means over draws.

    `queries` is the mean number of queries of a pool, `chance` what a random order would reach
    with the same right answers.
    """

    direction: str
    of: str
    pool: int
    queries: float
    recall: dict[int, float]
    chance: dict[int, float]


@dataclass(frozen=True, slots=True)
class _Side:
    """Studies that have image and text of an anatomy (or of any, for scans), one row each.

    Similarities (P, P) run from row to column; `same_text` and `alike` say which columns answer a
    row; `abnormal` (P,) are the queries, `patient` (P,) whose they are.
    """

    of: str
    text_to_image_pp: Array
    image_to_image_pp: Array
    same_text_pp: Array
    alike_pp: Array
    abnormal_p: Array
    patient_p: Array


def retrieval(
    model: FVLM,
    source: SampleSource,
    embeddings: Embeddings,
    train: TrainConfig,
    config: EvaluateConfig,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Recall]:
    """R@k by anatomy and by scan, in each direction and for each size of pool that there is.

    Raises:
        ConfigError: fewer than two studies have both image and text of a trained anatomy.
    """
    sides = list(_sides(model, source, embeddings, train))
    if not sides:
        raise ConfigError(
            "retrieval needs two studies at least with image and text of a trained anatomy: "
            "choose another --split"
        )
    found = []
    for number, side in enumerate(sides, start=1):
        size = len(side.abnormal_p)
        for pool in sorted({*(p for p in config.pools if p < size), size}):
            found += _pooled(side, pool, config)
        progress(number, len(sides))
    if not found:
        raise ConfigError("retrieval: no report of the split calls a trained anatomy abnormal")
    return found


def _sides(
    model: FVLM, source: SampleSource, embeddings: Embeddings, train: TrainConfig
) -> list[_Side]:
    columns = ["anatomies", "states", "texts", "labels"]
    rows = source.rows.select(columns).to_pylist()
    # a study stands for itself once, whatever the number of its reconstructions
    firsts = list(
        {study: n for n, study in reversed(list(enumerate(embeddings.study_ids)))}.values()
    )
    firsts.sort()
    said = [
        {
            anatomy: (state, encoder_text(text, anatomy, train.template), frozenset(labels))
            for anatomy, state, text, labels in zip(*(rows[n][c] for c in columns), strict=True)
            if anatomy in model.anatomies
        }
        for n in firsts
    ]
    texts = sorted({text for one in said for _, text, _ in one.values()})
    feature_of = dict(zip(texts, _text_features(model, texts), strict=True))
    image_pae = embeddings.features_bae[firsts].numpy()
    text_pae = np.zeros_like(image_pae)
    for place, one in enumerate(said):
        for anatomy, (_, text, _) in one.items():
            text_pae[place, model.anatomies.index(anatomy)] = feature_of[text]
    # only where both are there
    both_pa = image_pae.any(axis=2) & text_pae.any(axis=2)
    patients = np.array([embeddings.patient_ids[n] for n in firsts], object)
    sides = []
    for number, anatomy in enumerate(model.anatomies):
        kept = np.flatnonzero(both_pa[:, number])
        part = slice(number, number + 1)
        if len(kept) > 1:
            facts = [{anatomy: said[place][anatomy]} for place in kept]
            at = (text_pae[kept, part], image_pae[kept, part], both_pa[kept, part])
            sides.append(_side(anatomy, facts, *at, patients[kept]))
    kept = np.flatnonzero(both_pa.any(axis=1))
    if len(kept) > 1:
        facts = [
            {a: v for a, v in said[place].items() if both_pa[place, model.anatomies.index(a)]}
            for place in kept
        ]
        at = (text_pae[kept], image_pae[kept], both_pa[kept])
        sides.append(_side(SCAN, facts, *at, patients[kept]))
    return sides


def _text_features(model: FVLM, texts: Sequence[str]) -> Array:
    parts = []
    with torch.inference_mode():
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            parts.append(model.encode_texts(texts[start : start + TEXTS_AT_ONCE]).cpu().numpy())
    return np.concatenate(parts) if parts else np.zeros((0, model.config.projection_dim))


def _side(
    of: str,
    facts: Sequence[dict[str, tuple[str, str, frozenset[str]]]],
    text_pae: Array,
    image_pae: Array,
    both_pa: Array,
    patient_p: Array,
) -> _Side:
    told = [tuple(sorted((a, text) for a, (_, text, _) in one.items())) for one in facts]
    number_of = {text: n for n, text in enumerate(dict.fromkeys(told))}
    text_p = np.array([number_of[text] for text in told])
    labels = [frozenset().union(*(found for _, _, found in one.values())) for one in facts]
    known = sorted(frozenset().union(*labels))
    held_pl = np.array([[name in one for name in known] for one in labels], float)
    held_pl = held_pl.reshape(len(labels), len(known))
    shared_pp = held_pl @ held_pl.T
    size_p = held_pl.sum(axis=1)
    either_pp = size_p[:, None] + size_p[None] - shared_pp
    return _Side(
        of=of,
        text_to_image_pp=_similarity(text_pae, image_pae, both_pa),
        image_to_image_pp=_similarity(image_pae, image_pae, both_pa),
        same_text_pp=text_p[:, None] == text_p[None],
        alike_pp=(shared_pp > 0) & (shared_pp >= ALIKE * either_pp),
        abnormal_p=np.array(
            [any(state == "abnormal" for state, _, _ in one.values()) for one in facts]
        ),
        patient_p=patient_p,
    )


def _similarity(one_pae: Array, other_pae: Array, both_pa: Array) -> Array:
    """Mean cosine (P, P) over the anatomies that row and column share."""
    shown_pa = both_pa.astype(np.float32)
    one, other = (x * shown_pa[..., None] for x in (one_pae, other_pae))
    total_pp = one.reshape(len(one), -1) @ other.reshape(len(other), -1).T
    shared_pp = shown_pa @ shown_pa.T
    mean_pp = np.divide(
        total_pp, shared_pp, out=np.full_like(total_pp, NOTHING_SHARED), where=shared_pp > 0
    )
    rounded: Array = np.round(mean_pp, DIGITS)
    return rounded


def _pooled(side: _Side, pool: int, config: EvaluateConfig) -> list[Recall]:
    """Each direction over pools of that size; one pool where it is all there is."""
    size = len(side.abnormal_p)
    found: dict[str, list[tuple[Array, Array, Array]]] = {name: [] for name in DIRECTIONS}
    for draw in range(1 if pool == size else config.draws):
        rng = np.random.default_rng([config.seed, pool, draw])
        at = np.sort(rng.permutation(size)[:pool])
        grid = np.ix_(at, at)
        query_p, patient_p = side.abnormal_p[at], side.patient_p[at]
        across_pp, same_pp = side.text_to_image_pp[grid], side.same_text_pp[grid]
        everyone_pp = np.ones((pool, pool), bool)
        # an image must not find its own patient's other scans: the body would be the match
        others_pp = patient_p[:, None] != patient_p[None]
        for name, near_pp, right_pp, candidate_pp in (
            (DIRECTIONS[0], across_pp, same_pp, everyone_pp),
            (DIRECTIONS[1], across_pp.T, same_pp, everyone_pp),
            (DIRECTIONS[2], side.image_to_image_pp[grid], side.alike_pp[grid], others_pp),
        ):
            ranked = ranks(near_pp[query_p], right_pp[query_p], candidate_pp[query_p])
            if len(ranked[0]):
                found[name].append(ranked)
    return [
        Recall(
            direction=name,
            of=side.of,
            pool=pool,
            queries=float(np.mean([len(rank_q) for rank_q, _, _ in draws])),
            recall={
                k: float(np.mean([(rank_q <= k).mean() for rank_q, _, _ in draws])) for k in AT
            },
            chance={k: float(np.mean([chance(n, r, k).mean() for _, n, r in draws])) for k in AT},
        )
        for name, draws in found.items()
        if draws
    ]


def ranks(near_qp: Array, right_qp: Array, candidate_qp: Array) -> tuple[Array, Array, Array]:
    """Rank of the best right answer, number of candidates and of right ones, of each query.

    Queries without a right answer are left out. Of equal similarities the wrong come first.
    """
    right_qp = right_qp & candidate_qp
    answered = right_qp.any(axis=1)
    near_qp, right_qp, candidate_qp = (one[answered] for one in (near_qp, right_qp, candidate_qp))
    best_q = np.where(right_qp, near_qp, -np.inf).max(axis=1, initial=-np.inf)
    wrong_qp = candidate_qp & ~right_qp & (near_qp >= best_q[:, None])
    return 1 + wrong_qp.sum(axis=1), candidate_qp.sum(axis=1), right_qp.sum(axis=1)


def chance(candidates_q: Array, right_q: Array, k: int) -> Array:
    """Probability (Q,) that `k` drawn at random hold a right one (hypergeometric)."""
    missed_q = np.ones(len(candidates_q))
    for drawn in range(k):
        left_q = np.maximum(candidates_q - right_q - drawn, 0)
        missed_q *= left_q / np.maximum(candidates_q - drawn, 1)
    return 1 - missed_q


def plain(found: Sequence[Recall]) -> list[dict[str, Any]]:
    """Plain values."""
    return [asdict(one) for one in found]


def printed(found: Sequence[Recall]) -> list[str]:
    """Lines of one table, chance in brackets."""
    width = max(len(one.of) for one in found)
    heads = "  ".join(f"{f'R@{k} (chance)':<14}" for k in AT)
    lines = [f"{'direction':<14}  {'of':<{width}}  pool  queries  {heads}"]
    for one in found:
        cells = "  ".join(f"{f'{one.recall[k]:.3f} ({one.chance[k]:.3f})':<14}" for k in AT)
        lines.append(
            f"{one.direction:<14}  {one.of:<{width}}  {one.pool:>4}  {one.queries:>7.1f}  {cells}"
        )
    return [line.rstrip() for line in lines]
