"""Embeddings beside labels: what probes are fitted and judged on, finding by finding.

Shapes: N samples that show the anatomy and have a label, E features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from fvlm_train.evaluate.scoring import as_scores

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_train.data.windows import SampleSource
    from fvlm_train.evaluate.embeddings import Embeddings
    from fvlm_train.evaluate.labels import LabelTable
    from fvlm_train.evaluate.scoring import Score
    from fvlm_train.prompts import Finding

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Labelled:
    """The samples of one finding: features (N, E), labels (N,; bool), patients (N,).

    `rows` names each sample; its score is 0 and means nothing.
    """

    features_ne: Array
    positive_n: Array
    patient_n: Array
    rows: tuple[Score, ...]

    @property
    def kinds(self) -> int:
        """How many of positive and negative there are: 0, 1 or 2."""
        return len(np.unique(self.positive_n))

    def patients(self, *, positive: bool) -> int:
        """Patients with a sample of that label."""
        return len(np.unique(self.patient_n[self.positive_n == positive]))


def labelled(
    source: SampleSource,
    embeddings: Embeddings,
    findings: Sequence[Finding],
    labels: LabelTable | None = None,
) -> dict[str, Labelled]:
    """By finding, the samples with a label; labels are the reports' unless others are given.

    Samples that do not show a finding's anatomy have no embedding and are left out.
    """
    nothing_bf = torch.zeros(len(embeddings.sample_ids), len(findings))
    rows = as_scores(source, embeddings, findings, nothing_bf)
    known = labels.of(rows) if labels else [row.stated for row in rows]
    chosen: dict[str, list[int]] = {finding.id: [] for finding in findings}
    for place, (row, label) in enumerate(zip(rows, known, strict=True)):
        if label is not None and row.anatomy_present:
            chosen[row.finding].append(place)
    found = {}
    for number, finding in enumerate(findings):
        places = chosen[finding.id]
        # rows run sample by sample, within a sample finding by finding
        samples = [(place - number) // len(findings) for place in places]
        features_be, _ = embeddings.of(finding.anatomy)
        found[finding.id] = Labelled(
            features_ne=features_be[samples],
            positive_n=np.array([known[place] for place in places], bool),
            patient_n=np.array([rows[place].patient_id for place in places], object),
            rows=tuple(rows[place] for place in places),
        )
    return found
