"""Audit of a store's pairs: what was excluded, what is a false negative, whose labels differ."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from fvlm_data.pairing.audit.contradictions import Contradicted, audit_contradictions
from fvlm_data.pairing.audit.funnel import Step, funnel
from fvlm_data.pairing.audit.labels import LabelAudit, audit_labels
from fvlm_data.pairing.audit.negatives import NegativesAudit, audit_negatives
from fvlm_data.pairing.audit.normals import NormalsOfAnatomy, audit_normals
from fvlm_data.pairing.audit.split_sizes import SplitSize, split_sizes

if TYPE_CHECKING:
    from pathlib import Path

    from fvlm_data.pairing.config import PairConfig
    from fvlm_data.store.declared import Context
    from fvlm_data.vocabulary import Vocabulary

__all__ = ["Audit", "audit"]


@dataclass(frozen=True, slots=True)
class Audit:
    """What `fvlm-data pair --audit` reports; only `labels` holds sentences, which are scrubbed."""

    funnel: tuple[Step, ...]
    splits: tuple[SplitSize, ...]
    negatives: NegativesAudit
    normals: tuple[NormalsOfAnatomy, ...]
    contradictions: tuple[Contradicted, ...]
    labels: LabelAudit | None

    def as_dict(self) -> dict[str, Any]:
        """The audit as JSON takes it."""
        return asdict(self)


def audit(
    context: Context,
    config: PairConfig,
    vocabulary: Vocabulary,
    labels: Path | None = None,
    *,
    seed: int = 0,
) -> Audit:
    """Look at the tables of a store; nothing is written.

    `config` says what makes two findings the same; `labels` is a CSV of labels by study
    (columns of a label set, or finding ids). The batches that are looked at are drawn by `seed`.

    Raises:
        InputError: the label file cannot be read or holds nothing that can be compared.
    """
    return Audit(
        funnel(context),
        split_sizes(context.store),
        audit_negatives(context.store, config, vocabulary, seed),
        audit_normals(context.store, config, vocabulary),
        audit_contradictions(context.store),
        audit_labels(context, labels, vocabulary) if labels is not None else None,
    )
