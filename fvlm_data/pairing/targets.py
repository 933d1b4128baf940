"""Soft contrastive targets: which samples of a batch say the same about one anatomy.

Source of the rules: fVLM (arXiv 2501.14548), section on false negatives, and the behaviour of its
public code for the policy ``reference``.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from fvlm_data.pairing.signature import comparable

if TYPE_CHECKING:
    from torch import Tensor

    IntCodes: TypeAlias = Tensor | Sequence[int]
    StudyCodes: TypeAlias = Tensor | Sequence[int] | Sequence[str]

Policy: TypeAlias = Literal["none", "reference", "signature", "graded"]
NotMentioned: TypeAlias = Literal["normal", "excluded"]

POLICIES: tuple[Policy, ...] = get_args(Policy)
STATES = ("abnormal", "normal_stated", "not_mentioned")
DEFAULT_NOT_MENTIONED: dict[Policy, NotMentioned] = {
    "none": "normal",
    "reference": "normal",
    "signature": "excluded",
    "graded": "excluded",
}


def targets(
    study_ids: StudyCodes,
    signatures: IntCodes,
    findings: Sequence[frozenset[str]],
    texts: Sequence[str],
    states: Sequence[str],
    policy: Policy,
    *,
    not_mentioned: NotMentioned | None = None,
    apart: Sequence[Collection[str]] | None = None,
) -> Tensor:
    """Soft target matrix of one anatomy for a batch of B samples.

    Entry (i, j) is 1, before each row is divided by its sum, when both samples belong to one
    study (under every policy), or under the policy

    - ``none``: never otherwise;
    - ``reference``: both are normal, or their texts are identical (a logical or, not a sum);
    - ``signature``: both are normal, or both are abnormal with equal signatures;
    - ``graded``: both are normal; two abnormal samples have the overlap of their finding sets,
      from 0 to 1 (`fvlm_data.pairing.overlap`): 1 exactly where the signatures agree.

    An abnormal sample whose findings have no name (``other_abnormality``, or none at all) equals
    no other study's under ``signature``, and shares with it under ``graded`` only what is named.

    Normal means state ``normal_stated``; with ``not_mentioned="normal"`` silence counts as normal
    too, with ``"excluded"`` a silent sample is paired with its own study only. The public
    reference cannot tell silence from health, hence ``normal`` is the default of ``reference``
    (and of ``none``, where it changes nothing); the others default to ``excluded``.

    Args:
        study_ids: (B,) study ids, as integers (int64 tensor) or as strings.
        signatures: (B,) int64 signatures; read for abnormal samples only.
        findings: (B,) finding sets behind the signatures, members ``finding|status|laterality``.
        texts: (B,) anatomy texts, compared as they are, without stripping.
        states: (B,) one of ``abnormal``, ``normal_stated``, ``not_mentioned``.
        policy: which pairs do not count as negatives.
        not_mentioned: how silence is treated; None takes the policy's default.
        apart: (B,) ids of studies that a sample is no partner of, whatever the policy says.

    Returns:
        float32 tensor (B, B); rows sum to 1; symmetric before that division.

    Raises:
        ValueError: an unknown policy, state or treatment of silence, or lengths that differ.
    """
    silence = _checked_treatment(policy, not_mentioned)
    _check_lengths(study_ids, signatures, findings, texts, states)
    _check_states(states)
    target_ij = _normal_pairs(states, silence if policy != "none" else None)
    if policy == "reference":
        target_ij[_equal_pairs(_codes(texts))] = 1
    elif policy == "signature":
        target_ij[_same_findings(signatures, findings, states)] = 1
    elif policy == "graded":
        from fvlm_data.pairing.overlap import overlaps

        # abnormal pairs only: elsewhere the findings are empty and would count as no overlap
        target_ij = target_ij.where(~_both_abnormal(states), overlaps(findings))
    if apart is not None and any(apart):
        target_ij[_apart_pairs(study_ids, apart)] = 0
    # last: two volumes of one study are positives whatever the policy has said of them
    target_ij[_equal_pairs(_codes(study_ids))] = 1
    return target_ij / target_ij.sum(dim=1, keepdim=True)


def abnormal_pairs(study_ids: StudyCodes, states: Sequence[str]) -> Tensor:
    """Pairs of abnormal samples of different studies: bool (B, B), symmetric.

    They are what a rule can judge least, and what training may judge by a model instead (see
    `with_similarity`).

    Raises:
        ValueError: an unknown state, or lengths that differ.
    """
    if len(study_ids) != len(states):
        raise ValueError(
            f"A batch needs one study id a state, found {len(study_ids)} and {len(states)}."
        )
    _check_states(states)
    return _both_abnormal(states) & ~_equal_pairs(_codes(study_ids))


def with_similarity(
    target_ij: Tensor, abnormal_ij: Tensor, similarity_ij: Tensor, keep: float = 0.0
) -> Tensor:
    """Targets whose abnormal pairs hold a model's similarity: the hook for co-teaching.

    Each entry of `abnormal_ij` becomes ``keep * entry + (1 - keep) * similarity``, on the scale
    on which the same study is 1; then rows are divided by their sums again. The peer's target of
    the paper is ``softmax(peer similarity)`` with ``keep=0.5``; that of a momentum text encoder is
    ``softmax(text similarity)`` with ``keep=0``, at pairs which the policy counts as negative.

    Args:
        target_ij: (B, B) from `targets`.
        abnormal_ij: bool (B, B) from `abnormal_pairs`.
        similarity_ij: (B, B), 0 to 1, read at the abnormal pairs only; no gradient flows into it.
        keep: share of the policy's own judgement, 0 to 1.

    Returns:
        (B, B) of the type of `target_ij`; rows sum to 1; other entries keep their proportions.

    Raises:
        ValueError: shapes that differ, `keep` or a similarity outside 0 to 1.
    """
    shapes = {tuple(t.shape) for t in (target_ij, abnormal_ij, similarity_ij)}
    if len(shapes) > 1:
        raise ValueError(f"Expected three matrices of one shape, found {sorted(shapes)}.")
    # a target: a gradient through it would teach the model to agree with itself
    similarity_ij = similarity_ij.detach().to(target_ij)
    judged = similarity_ij[abnormal_ij]
    if not 0 <= keep <= 1 or not bool(((judged >= 0) & (judged <= 1)).all()):
        raise ValueError("keep and the similarity of abnormal pairs must lie between 0 and 1.")
    entry_ij = target_ij / target_ij.diagonal()[:, None]  # a sample and itself: 1 before division
    mixed_ij = keep * entry_ij + (1 - keep) * similarity_ij
    entry_ij = mixed_ij.where(abnormal_ij, entry_ij)
    return entry_ij / entry_ij.sum(dim=1, keepdim=True)


def _normal_pairs(states: Sequence[str], silence: NotMentioned | None) -> Tensor:
    """1 where both are normal, else 0: float (B, B); all 0 where nothing counts as normal."""
    import torch

    normal = {"excluded": ("normal_stated",), "normal": ("normal_stated", "not_mentioned")}
    counted = normal[silence] if silence else ()
    normal_i = torch.tensor([state in counted for state in states], dtype=torch.float32)
    return normal_i[:, None] * normal_i[None, :]


def _same_findings(
    signatures: IntCodes, findings: Sequence[frozenset[str]], states: Sequence[str]
) -> Tensor:
    """Pairs of abnormal samples with equal signatures of findings that all have a name."""
    import torch

    named_i = torch.tensor([comparable(one) for one in findings], dtype=torch.bool)
    equal_ij = _equal_pairs(_codes(signatures)) & _both_abnormal(states)
    return equal_ij & named_i[:, None] & named_i[None, :]


def _apart_pairs(study_ids: StudyCodes, apart: Sequence[Collection[str]]) -> Tensor:
    """Pairs of which one is not to be the other's partner: bool (B, B), symmetric."""
    import torch

    if len(apart) != len(study_ids):
        raise ValueError(
            f"A batch needs one entry a sample in apart, found {len(apart)} of {len(study_ids)}."
        )
    apart_ij = torch.tensor([[other in studies for other in study_ids] for studies in apart])
    return apart_ij | apart_ij.T


def _both_abnormal(states: Sequence[str]) -> Tensor:
    import torch

    abnormal_i = torch.tensor([state == "abnormal" for state in states], dtype=torch.bool)
    return abnormal_i[:, None] & abnormal_i[None, :]


def _checked_treatment(policy: Policy, not_mentioned: NotMentioned | None) -> NotMentioned:
    if policy not in POLICIES:
        raise ValueError(
            f"Unknown false-negative policy {policy!r}; choose one of {', '.join(POLICIES)}."
        )
    if not_mentioned is None:
        return DEFAULT_NOT_MENTIONED[policy]
    if not_mentioned not in get_args(NotMentioned):
        raise ValueError(f"not_mentioned is {not_mentioned!r}; choose 'normal' or 'excluded'.")
    return not_mentioned


def _check_lengths(
    study_ids: StudyCodes,
    signatures: IntCodes,
    findings: Sequence[frozenset[str]],
    texts: Sequence[str],
    states: Sequence[str],
) -> None:
    lengths = {
        "study_ids": len(study_ids),
        "signatures": len(signatures),
        "findings": len(findings),
        "texts": len(texts),
        "states": len(states),
    }
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise ValueError(
            f"A batch needs one entry a sample in every argument, found lengths: {found}."
        )


def _check_states(states: Sequence[str]) -> None:
    unknown = sorted(set(states) - set(STATES))
    if unknown:
        raise ValueError(f"Unknown state {unknown[0]!r}; expected one of {', '.join(STATES)}.")


def _codes(values: Tensor | Sequence[Hashable]) -> Tensor:
    """(B,) int64 codes, equal exactly where the values are equal."""
    import torch

    if isinstance(values, torch.Tensor):
        return values.detach().to(device="cpu", dtype=torch.int64)
    seen: dict[Hashable, int] = {}
    return torch.tensor([seen.setdefault(value, len(seen)) for value in values], dtype=torch.int64)


def _equal_pairs(codes_i: Tensor) -> Tensor:
    return codes_i[:, None] == codes_i[None, :]
