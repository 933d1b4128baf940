"""Labels of a public set from the reports of a store: a CSV as its authors give theirs."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from fvlm_data.reports.language.reconcile import label_values
from fvlm_data.reports.language.records import ASSERTING_SECTIONS
from fvlm_data.store.relations import Relations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from fvlm_data.export.target import Draft
    from fvlm_data.store.tables import Store
    from fvlm_data.vocabulary import Vocabulary
    from fvlm_data.vocabulary.label_sets import LabelSet

STUDIES_AT_ONCE = 2000

STUDIES = "SELECT DISTINCT study_id FROM study_reports ORDER BY study_id"
VOLUMES = "SELECT study_id, volume_id FROM volumes ORDER BY study_id, volume_id"

MENTIONS = """
SELECT j.study_id, f.finding, f.status, f.size_mm FROM study_reports j
JOIN findings f ON f.report_id = j.report_id
JOIN sentences s ON s.report_id = f.report_id AND s.sentence = f.sentence
WHERE j.study_id IN (SELECT unnest($studies)) AND s.section IN (SELECT unnest($sections))
ORDER BY ALL
"""

NORMAL = """
WITH said AS (
    SELECT j.study_id, s.report_id, s.sentence, unnest(s.anatomies) AS anatomy,
        unnest(s.assessments) AS assessment
    FROM study_reports j JOIN sentences s ON s.report_id = j.report_id
    WHERE j.study_id IN (SELECT unnest($studies)) AND s.section IN (SELECT unnest($sections))
)
SELECT study_id, anatomy FROM said
WHERE assessment = 'normal' AND NOT EXISTS (
    SELECT 1 FROM findings f WHERE f.report_id = said.report_id AND f.sentence = said.sentence
    AND f.anatomy = said.anatomy AND f.status = 'absent'
)
EXCEPT SELECT study_id, anatomy FROM said WHERE assessment = 'abnormal'
"""
"""Anatomies called normal, and abnormal nowhere. Denying one finding calls no anatomy normal."""


class Mention(NamedTuple):
    """What labels read of a mention."""

    finding: str
    status: str
    size_mm: float | None


def write(
    store: Store,
    draft: Draft,
    progress: Callable[[int, int], None],
    *,
    vocabulary: Vocabulary,
    label_set: str,
    by_volume: bool,
    uncertain_counts: bool,
) -> None:
    """Write `labels.csv`: a row a study that has a report (or a volume of one), a column a label.

    The first column is `study_id`, or `VolumeName` (the volume's id and .nii.gz, as CT-RATE names
    its volumes). A label is 1, 0, or what the set has for not mentioned (Merlin: -1).

    Raises:
        ConfigError: the vocabulary has no label set of that name.
        StoreError: a table cannot be read.
    """
    tables = Relations(store)
    studies = [study for (study,) in tables.rows(STUDIES)]
    names: Mapping[str, list[str]] = {study: [study] for study in studies}
    if by_volume:
        volumes = defaultdict(list)
        for study, volume in tables.rows(VOLUMES):
            volumes[study].append(f"{volume}.nii.gz")
        names = volumes
    wanted = vocabulary.label_set(label_set)
    text = io.StringIO(newline="")
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["VolumeName" if by_volume else "study_id", *wanted.labels])
    told = labels_of(tables, studies, wanted, vocabulary, uncertain_counts=uncertain_counts)
    for done, (study, values) in enumerate(told, 1):
        lines.writerows([name, *values.values()] for name in names.get(study, ()))
        progress(done, len(studies))
    draft.write("labels.csv", text.getvalue().encode("utf-8"))


def labels_of(
    tables: Relations,
    studies: Sequence[str],
    wanted: LabelSet,
    vocabulary: Vocabulary,
    *,
    uncertain_counts: bool = True,
) -> Iterator[tuple[str, dict[str, int]]]:
    """Each of the studies with its labels, in their order.

    Raises:
        StoreError: a table cannot be read.
    """
    for start in range(0, len(studies), STUDIES_AT_ONCE):
        for study, mentions, normal in _said(
            tables, list(studies[start : start + STUDIES_AT_ONCE])
        ):
            yield (
                study,
                label_values(
                    mentions, normal, wanted, vocabulary, uncertain_counts=uncertain_counts
                ),
            )


def _said(tables: Relations, studies: list[str]) -> Iterator[tuple[str, list[Mention], set[str]]]:
    """Of each study the mentions that tell what it shows, and the anatomies called normal."""
    chosen = {"studies": studies, "sections": sorted(ASSERTING_SECTIONS)}
    mentions: dict[str, list[Mention]] = defaultdict(list)
    for study, *told in tables.rows(MENTIONS, chosen):
        mentions[study].append(Mention(*told))
    normal: dict[str, set[str]] = defaultdict(set)
    for study, anatomy in tables.rows(NORMAL, chosen):
        normal[study].add(anatomy)
    for study in studies:
        yield study, mentions[study], normal[study]
