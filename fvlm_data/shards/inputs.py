"""What a sample is made from: the shard stage's items and reads, and one item's inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fvlm_data.segment.merge import BETTER_MASKS, ranked_anatomies
from fvlm_data.store.declared import Read
from fvlm_data.store.sql import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fvlm_data.shards.config import ShardConfig
    from fvlm_data.store.declared import Inputs, Row
    from fvlm_data.vocabulary import Vocabulary

REFS = ("volume_id", "study_id", "patient_id", "split")

ITEMS = """
    SELECT keyed_id('sa', v.study_id, v.volume_id) AS item,
        v.volume_id, v.study_id, v.patient_id, s.split
    FROM volumes v JOIN splits s ON s.patient_id = v.patient_id
    WHERE v.volume_id IN (SELECT volume_id FROM masks)
    AND v.study_id IN (SELECT study_id FROM anatomy_texts)
"""
"""One sample of each volume that has masks, texts of its study and a split."""

DEMOGRAPHICS = ("age_years", "sex", "manufacturer", "kernel")
VOLUME_COLUMNS = (
    "patient_id",
    "content_sha256",
    "shape",
    "spacing_mm",
    "affine_ras",
    "body_region_header",
    *DEMOGRAPHICS,
)
MASK_COLUMNS = ("task", "class_system", "class_name", "class_value", "content_sha256")
TEXT_COLUMNS = ("anatomy", "text", "state", "signature", "findings", "labels")


@dataclass(frozen=True, slots=True)
class SampleInputs:
    """All that one sample is made from; rows are dictionaries of the tables' columns."""

    sample_id: str
    volume_id: str
    study_id: str
    patient_id: str
    split: str
    volume: Row
    masks: Sequence[Row]
    texts: Sequence[Row]
    distrusted: frozenset[str] = frozenset()
    """Anatomies whose mask is wrong, by review."""
    excluded: str | None = None
    """Why the study is to give no sample, by review."""


def reads(config: ShardConfig) -> tuple[Read, ...]:
    """A volume and its masks, what its study's reports say of the anatomies kept, split, review."""
    listed = ", ".join(map(quoted, config.anatomies))
    return (
        Read("volume", "volumes", "volume_id", VOLUME_COLUMNS, on="volume_id", carries=("path",)),
        Read(
            "masks",
            "masks",
            "volume_id",
            MASK_COLUMNS,
            on="volume_id",
            carries=("path",),
            rather=BETTER_MASKS,
        ),
        Read(
            "texts",
            "anatomy_texts",
            "study_id",
            TEXT_COLUMNS,
            on="study_id",
            # texts of other anatomies must not remake samples that do not hold them
            where=f"t.anatomy IN ({listed})",
        ),
        Read("split", "splits", "patient_id", ("split",), on="patient_id"),
        Read(
            "excluded",
            "review_effects",
            "study_id",
            ("reason",),
            on="study_id",
            where="t.kind = 'study'",
            rare=True,
        ),
        Read(
            "distrusted",
            "review_effects",
            "volume_id",
            ("anatomy",),
            on="volume_id",
            where=f"t.kind = 'mask' AND t.anatomy IN ({listed})",
            rare=True,
        ),
    )


def settings(config: ShardConfig, vocabulary: Vocabulary) -> dict[str, Any]:
    """The settings that decide samples, and how classes are merged to anatomies.

    A class system without any class of these anatomies counts as unknown.
    """
    tables = {system: _merge_table(system, config, vocabulary) for system in vocabulary.systems}
    merged = {system: table for system, table in tables.items() if any(one[1] for one in table)}
    return {**config.model_dump(mode="json"), "classes": merged}


def sample_inputs(one: Inputs) -> SampleInputs | None:
    """The inputs of one sample; None where they have left the tables."""
    if not one.rows["volume"] or not one.rows["masks"] or not one.rows["split"]:
        return None
    refs: Mapping[str, str] = one.refs
    return SampleInputs(
        sample_id=one.item,
        volume_id=refs["volume_id"],
        study_id=refs["study_id"],
        patient_id=refs["patient_id"],
        split=refs["split"],
        volume=one.rows["volume"][0],
        masks=one.rows["masks"],
        texts=one.rows["texts"],
        distrusted=frozenset(row["anatomy"] for row in one.rows["distrusted"]),
        excluded=next((row["reason"] for row in one.rows["excluded"]), None),
    )


def _merge_table(system: str, config: ShardConfig, vocabulary: Vocabulary) -> list[Any]:
    """Classes of each configured anatomy in order of precedence: how label maps are merged."""
    classes = vocabulary.classes_of(system)
    ranked = ranked_anatomies(config.anatomies, vocabulary)
    return [[anatomy, list(classes.get(anatomy, ()))] for anatomy in ranked]
