"""What the shard stage reads: which samples there are, their keys and their inputs."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fvlm_data.hashing import content_key
from fvlm_data.identity.ids import keyed_id
from fvlm_data.segment.merge import ranked_anatomies
from fvlm_data.store.stage import Item

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from fvlm_data.shards.config import ShardConfig
    from fvlm_data.store.stage import Context
    from fvlm_data.vocabulary import Vocabulary

STAGE_VERSION = 1

KEY_VOLUME_COLUMNS = ("content_sha256", "affine_ras", "body_region_header")
DEMOGRAPHICS = ("age_years", "sex", "manufacturer", "kernel")
TEXT_COLUMNS = ("study_id", "anatomy", "text", "state", "signature", "findings", "labels")
KEY_MASK_COLUMNS = ("task", "class_system", "class_name", "class_value", "content_sha256")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sample comes from and which split it belongs to."""

    sample_id: str
    volume_id: str
    study_id: str
    patient_id: str
    split: str


@dataclass(frozen=True, slots=True)
class SampleInputs:
    """All that one sample is made from; rows are dictionaries of the tables' columns."""

    place: Place
    volume: Mapping[str, Any]
    masks: tuple[Mapping[str, Any], ...]
    texts: tuple[Mapping[str, Any], ...]


def plan(config: ShardConfig, vocabulary: Vocabulary, context: Context) -> list[Item]:
    """One item for each volume that has masks, texts of its study and a split.

    The key hashes the settings, the volume's content, its masks with the meaning of their
    values, the study's texts, the split and the columns copied from the volume.
    """
    places = sample_places(context)
    volumes = {
        row["volume_id"]: row
        for row in context.store.read(
            "volumes", ["volume_id", *KEY_VOLUME_COLUMNS, *DEMOGRAPHICS]
        ).to_pylist()
    }
    masks: dict[str, list[list[Any]]] = defaultdict(list)
    for row in context.store.read("masks", ["volume_id", *KEY_MASK_COLUMNS]).to_pylist():
        masks[row["volume_id"]].append([row[name] for name in KEY_MASK_COLUMNS])
    texts: dict[str, list[list[Any]]] = defaultdict(list)
    for row in context.store.read("anatomy_texts", TEXT_COLUMNS).to_pylist():
        texts[row["study_id"]].append([row[name] for name in TEXT_COLUMNS[1:]])
    settings = content_key(STAGE_VERSION, config.model_dump(mode="json"))
    tables = {system: _merge_table(system, config, vocabulary) for system in _systems(masks)}
    text_keys = {study: content_key(sorted(rows, key=str)) for study, rows in texts.items()}
    return [
        Item(
            place.sample_id,
            content_key(
                settings,
                [volumes[place.volume_id][name] for name in KEY_VOLUME_COLUMNS],
                sorted(masks[place.volume_id]),
                [tables[system] for system in _systems({"": masks[place.volume_id]})],
                text_keys[place.study_id],
                place.split,
                place.patient_id,
                [volumes[place.volume_id][name] for name in DEMOGRAPHICS],
            ),
        )
        for place in places.values()
        if place.volume_id in masks and place.study_id in texts
    ]


def sample_places(context: Context) -> dict[str, Place]:
    """Every volume whose patient has a split, by the id of the sample that it makes."""
    splits = context.store.read("splits", ["patient_id", "split"])
    split_of = dict(zip(splits["patient_id"].to_pylist(), splits["split"].to_pylist(), strict=True))
    rows = context.store.read("volumes", ["volume_id", "study_id", "patient_id"]).to_pylist()
    places: dict[str, Place] = {}
    for row in rows:
        if row["patient_id"] in split_of:
            sample_id = keyed_id(context.vault.key, "sa", row["study_id"], row["volume_id"])
            places[sample_id] = Place(
                sample_id,
                row["volume_id"],
                row["study_id"],
                row["patient_id"],
                split_of[row["patient_id"]],
            )
    return places


def sample_inputs(context: Context, sample_ids: Collection[str]) -> dict[str, SampleInputs]:
    """Inputs of samples, by id; a sample whose volume has left the tables is left out."""
    places = sample_places(context)
    wanted = [places[sample_id] for sample_id in sample_ids if sample_id in places]
    volume_ids = {place.volume_id for place in wanted}
    store = context.store
    volumes = {
        row["volume_id"]: row for row in store.read_items("volumes", "volume_id", volume_ids)
    }
    masks = _grouped(store.read_items("masks", "volume_id", volume_ids), "volume_id")
    studies = {place.study_id for place in wanted}
    texts = _grouped(
        store.read_items("anatomy_texts", "study_id", studies, TEXT_COLUMNS), "study_id"
    )
    return {
        place.sample_id: SampleInputs(
            place,
            volumes[place.volume_id],
            tuple(sorted(masks[place.volume_id], key=lambda r: (r["task"], r["class_value"]))),
            tuple(sorted(texts[place.study_id], key=lambda r: str(r["anatomy"]))),
        )
        for place in wanted
        if place.volume_id in volumes
    }


def _grouped(rows: Iterable[dict[str, Any]], column: str) -> dict[str, list[dict[str, Any]]]:
    grouped: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        grouped[row[column]].append(row)
    return grouped


def _systems(masks: Mapping[str, list[list[Any]]]) -> list[str]:
    place = KEY_MASK_COLUMNS.index("class_system")
    return sorted({str(row[place]) for rows in masks.values() for row in rows})


def _merge_table(system: str, config: ShardConfig, vocabulary: Vocabulary) -> list[Any]:
    """Classes of each configured anatomy in order of precedence: how label maps are merged."""
    classes = vocabulary.classes_of(system)
    ranked = ranked_anatomies(config.anatomies, vocabulary)
    return [[anatomy, list(classes.get(anatomy, ()))] for anatomy in ranked]
