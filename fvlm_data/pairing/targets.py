"""Soft contrastive targets: which samples of a batch say the same about one anatomy.

Source of the rules: fVLM (arXiv 2501.14548), section on false negatives, and the behaviour of its
public code for the policy ``reference``.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

if TYPE_CHECKING:
    from torch import Tensor

    IntCodes: TypeAlias = Tensor | Sequence[int]
    StudyCodes: TypeAlias = Tensor | Sequence[int] | Sequence[str]

Policy: TypeAlias = Literal["none", "reference", "signature"]
NotMentioned: TypeAlias = Literal["normal", "excluded"]

POLICIES: tuple[Policy, ...] = get_args(Policy)
STATES = ("abnormal", "normal_stated", "not_mentioned")
DEFAULT_NOT_MENTIONED: dict[Policy, NotMentioned] = {
    "none": "normal",
    "reference": "normal",
    "signature": "excluded",
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
) -> Tensor:
    """Soft target matrix of one anatomy for a batch of B samples.

    Entry (i, j) is positive, before each row is divided by its sum, when both samples belong to
    one study (under every policy), or under the policy

    - ``none``: never otherwise;
    - ``reference``: both are normal, or their texts are identical (a logical or, not a sum);
    - ``signature``: both are normal, or both are abnormal with equal signatures.

    Normal means state ``normal_stated``; with ``not_mentioned="normal"`` silence counts as normal
    too, with ``"excluded"`` a silent sample is paired with its own study only. The public
    reference cannot tell silence from health, hence ``normal`` is the default of ``reference``
    (and of ``none``, where it changes nothing); ``signature`` defaults to ``excluded``.

    Args:
        study_ids: (B,) study ids, as integers (int64 tensor) or as strings.
        signatures: (B,) int64 signatures; read for abnormal samples only.
        findings: (B,) finding sets behind the signatures; no policy listed here reads them.
        texts: (B,) anatomy texts, compared as they are, without stripping.
        states: (B,) one of ``abnormal``, ``normal_stated``, ``not_mentioned``.
        policy: which pairs are no negatives.
        not_mentioned: how silence is treated; None takes the policy's default.

    Returns:
        float32 tensor (B, B); rows sum to 1; symmetric before that division.

    Raises:
        ValueError: an unknown policy, state or treatment of silence, or lengths that differ.
    """
    import torch

    silence = _checked_treatment(policy, not_mentioned)
    _check_lengths(study_ids, signatures, findings, texts, states)
    _check_states(states)
    positive_ij = _equal_pairs(_codes(study_ids))
    if policy != "none":
        normal_states = {"normal_stated"} | ({"not_mentioned"} if silence == "normal" else set())
        normal_i = torch.tensor([state in normal_states for state in states], dtype=torch.bool)
        positive_ij |= normal_i[:, None] & normal_i[None, :]
    if policy == "reference":
        positive_ij |= _equal_pairs(_codes(texts))
    elif policy == "signature":
        abnormal_i = torch.tensor([state == "abnormal" for state in states], dtype=torch.bool)
        both_ij = abnormal_i[:, None] & abnormal_i[None, :]
        positive_ij |= both_ij & _equal_pairs(_codes(signatures))
    target_ij = positive_ij.to(torch.float32)
    return target_ij / target_ij.sum(dim=1, keepdim=True)


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
