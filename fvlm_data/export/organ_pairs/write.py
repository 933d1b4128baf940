"""organ_pairs.parquet from the tables of a store."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, Literal

import pyarrow.parquet as pq

from fvlm_data.errors import ConfigError
from fvlm_data.export.organ_pairs.read import Spoken, regions, spoken
from fvlm_data.export.organ_pairs.row import TABLE, OrganPair
from fvlm_data.export.organ_pairs.told import Part, told_of
from fvlm_data.hashing import content_key
from fvlm_data.store.relations import Relations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fvlm_data.export.organ_pairs.read import Region
    from fvlm_data.export.organ_pairs.told import Told
    from fvlm_data.export.target import Draft
    from fvlm_data.store.tables import Store
    from fvlm_data.vocabulary import Vocabulary

    Normal = Literal["none", "stated", "silent"]

PAIRS = "organ_pairs.parquet"
SUMMARY = "summary.json"
STUDIES_AT_ONCE = 200

STUDIES = """
SELECT DISTINCT study_id, study_id IN (SELECT study_id FROM study_reports) FROM volumes
ORDER BY study_id
"""

TEMPLATED = {"none": (), "stated": ("normal_stated",), "silent": ("normal_stated", "not_mentioned")}
"""States whose regions get a normal sentence of the vocabulary, by the option `normal`."""


def write(
    store: Store,
    draft: Draft,
    progress: Callable[[int, int], None],
    *,
    vocabulary: Vocabulary,
    normal: Normal,
) -> None:
    """Write `organ_pairs.parquet` (columns: row.py) and `summary.json`.

    Each region of the label maps of a study with a report has a row for what the report says of it,
    if it does, and by `normal` one with a sentence of regions.yaml. CT-GLIP (arXiv 2404.15272)
    pairs organs with such texts. The summary counts rows by kind and state, and regions by class,
    those without a text among them.

    Raises:
        ConfigError: the language has no normal sentences, and `normal` asks for them.
        StoreError: a table cannot be read.
    """
    if normal != "none" and not vocabulary.regions.normal:
        raise ConfigError(
            f"vocabulary {vocabulary.language}: has no normal sentences of regions; put a "
            "regions.yaml into its overlay (docs/vocabulary.md), or export with --normal none"
        )
    tables = Relations(store)
    listed = tables.rows(STUDIES)
    ids = [study for study, reported in listed if reported]
    anatomies = _Anatomies(vocabulary)
    counted: Counter[str] = Counter(studies_without_report=len(listed) - len(ids))
    classes: dict[str, Counter[str]] = defaultdict(Counter)
    with draft.open(PAIRS) as handle, pq.ParquetWriter(handle, TABLE.schema) as written:
        for start in range(0, len(ids), STUDIES_AT_ONCE):
            part = ids[start : start + STUDIES_AT_ONCE]
            shown, said = regions(tables, part), spoken(tables, part, vocabulary)
            rows: list[OrganPair] = []
            for study in part:
                of_study = said.get(study, Spoken({}, {}))
                for region, pairs in _pairs(study, shown.get(study, ()), of_study, anatomies,
                                            vocabulary, TEMPLATED[normal]):  # fmt: skip
                    classes[region.class_name]["regions"] += 1
                    classes[region.class_name]["without_text"] += not pairs
                    counted.update(f"{one.text_kind}:{one.state}" for one in pairs)
                    rows += pairs
            if rows:
                written.write_table(TABLE.to_arrow(rows))
            progress(start + len(part), len(ids))
    counted["studies"] = len(ids)
    summary = {"rows": dict(sorted(counted.items())), "classes": dict(sorted(classes.items()))}
    draft.write(SUMMARY, json.dumps(summary, indent=1).encode())


class _Anatomies:
    """Anatomies of each class, the narrowest first: that of the fewest classes."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._known: dict[str, dict[str, list[str]]] = {}

    def of(self, region: Region) -> Sequence[str]:
        system = region.class_system
        if system not in self._known:
            found: dict[str, list[str]] = defaultdict(list)
            classes = self._vocabulary.classes_of(system)
            # a stable sort: of two alike the one of precedence stands first
            for anatomy in sorted(classes, key=lambda one: len(classes[one])):
                for one in classes[anatomy]:
                    found[one].append(anatomy)
            self._known[system] = found
        return self._known[system].get(region.class_name, ())


def _pairs(
    study: str,
    shown: Sequence[Region],
    said: Spoken,
    anatomies: _Anatomies,
    vocabulary: Vocabulary,
    templated: Sequence[str],
) -> Iterator[tuple[Region, list[OrganPair]]]:
    lesions = vocabulary.regions.lesions
    for region in shown:
        told = told_of(
            Part.of(region.class_name), anatomies.of(region), said.states, said.sentences
        )
        made = []
        if told.said:
            beside = [
                other
                for other in shown
                if (other.volume_id, other.task) == (region.volume_id, region.task)
                and told.anatomy in anatomies.of(other)
                and (other is region or other.class_name not in lesions)
                and told.may_be_of(Part.of(other.class_name))
            ]
            text = " ".join(dict.fromkeys(one.text for one in told.said))
            made.append(_pair(study, region, told, vocabulary, ("report", text), len(beside)))
        if told.state in templated and region.class_name not in lesions:
            text = _normal(region, vocabulary)
            made.append(_pair(study, region, told, vocabulary, ("template", text), 1))
        yield region, made


def _normal(region: Region, vocabulary: Vocabulary) -> str:
    """A normal sentence, drawn by the ids of volume and class: the same in every export."""
    sentences = vocabulary.regions.sentences(region.class_name, "normal")
    drawn = int(content_key(region.volume_id, region.class_name)[:8], 16)
    return sentences[drawn % len(sentences)]


def _pair(
    study: str,
    region: Region,
    told: Told,
    vocabulary: Vocabulary,
    text: tuple[str, str],
    regions_of_text: int,
) -> OrganPair:
    kind, words = text
    fields: dict[str, Any] = region._asdict()
    return OrganPair(
        **{**fields, "bbox": tuple(region.bbox)},
        study_id=study,
        region=vocabulary.regions.name(region.class_name),
        anatomy=told.anatomy,
        state=told.state,
        text=words,
        text_kind=kind,
        regions_of_text=regions_of_text,
        findings=told.findings if kind == "report" else (),
        sources=tuple(one.source for one in told.said),
    )
