"""Stage `split`: every patient with a volume gets one."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from fvlm_data.errors import InputError
from fvlm_data.hashing import content_key
from fvlm_data.pairing.splits import assign_split, protector, read_split_file, twins
from fvlm_data.store.declared import Item, Outcome, Stage, reject
from schemas import Split

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from fvlm_data.pairing.config import PairConfig
    from fvlm_data.store.declared import Context
    from fvlm_data.store.tables import Store

STAGE_VERSION = 2
BATCH_SIZE = 500
HASHES = ("content_sha256", "pixels_sha256")
"""Columns that tell equal images; the second, which tells more, is missing in older rows."""

IMAGE_COLUMNS = ("patient_id", *HASHES)


def split_stage(config: PairConfig) -> Stage:
    """The stage that gives every patient with a volume a split."""
    settings = [config.split.model_dump(mode="json"), config.duplicates]

    def plan(context: Context) -> list[Item]:
        named = _named_splits(context, config)
        groups = twins(_images(context.store.read("candidates", IMAGE_COLUMNS).to_pylist()))
        patients = set(context.store.read("volumes", ["patient_id"])["patient_id"].to_pylist())
        return [
            Item(patient, content_key(STAGE_VERSION, settings, _key_part(patient, groups, named)))
            for patient in sorted(patients)
        ]

    def run(context: Context, items: Sequence[Item]) -> Iterator[Outcome]:
        groups = _read_twins(context.store, [item.id for item in items])
        everybody = {item.id for item in items}.union(*groups.values())
        named = _named_splits(context, config, everybody)
        rows = context.store.read_items("splits", "patient_id", everybody)
        known = {row["patient_id"]: Split(**row) for row in rows}
        splits = {
            patient: assign_split(
                context.vault.key, patient, config.split, named.get(patient), known.get(patient)
            )
            for patient in everybody
        }
        for item in items:
            group = [splits[patient] for patient in groups.get(item.id, ())]
            best = protector(splits[item.id], group) if group else None
            if best is not None and config.duplicates == "set_aside":
                yield _left_out(splits[item.id], best)
            else:
                yield Outcome(item.id, {"splits": [splits[item.id]]})

    return Stage("split", ("splits",), plan, run, BATCH_SIZE)


def _key_part(
    patient: str, groups: Mapping[str, frozenset[str]], named: Mapping[str, str]
) -> list[list[str | None]]:
    return [[one, named.get(one)] for one in sorted(groups.get(patient, {patient}))]


def _read_twins(store: Store, patients: Collection[str]) -> dict[str, frozenset[str]]:
    """Groups of the given patients, reading their images and those equal to them only."""
    by_image: dict[str, set[str]] = defaultdict(set)
    seen: set[str] = set()
    asked: set[str] = set()
    fresh = set(patients)
    while fresh:
        seen |= fresh
        own = store.read_items("candidates", "patient_id", fresh, IMAGE_COLUMNS)
        hashes = {image for _, image in _images(own)} - asked
        asked |= hashes
        for column in HASHES:
            for patient, image in _images(
                store.read_items("candidates", column, hashes, IMAGE_COLUMNS)
            ):
                by_image[image].add(patient)
        fresh = {patient for those in by_image.values() for patient in those} - seen
    return twins((patient, image) for image, those in by_image.items() for patient in those)


def _images(rows: Iterable[Mapping[str, str | None]]) -> Iterator[tuple[str, str]]:
    """Patient and hash, for each hash of each row of `candidates`."""
    for row in rows:
        for column in HASHES:
            if (image := row[column]) is not None:
                yield str(row["patient_id"]), image


def _left_out(own: Split, best: Split) -> Outcome:
    return reject(
        own.patient_id,
        "duplicate",
        "image_of_held_out_patient",
        f"patient {own.patient_id} (split {own.split}) has the same image as patient "
        f"{best.patient_id} (split {best.split}), probably one person under two ids; left out so "
        "that nothing leaks; join the ids, name both in pair.split_file with one split, or set "
        "pair.duplicates to keep",
    )


def _named_splits(
    context: Context, config: PairConfig, patients: Collection[str] | None = None
) -> dict[str, str]:
    """Split by patient id, for those of the patients (none given: of all) whom the file names.

    Raises:
        InputError: the file cannot be read, or it names nobody of the store.
    """
    if config.split_file is None:
        return {}
    named = read_split_file(config.split_file, context.vault.key)
    columns = ["owner_id", "kind", "value_hash"]
    links = (
        context.store.read("links", columns, [("kind", "=", "patient_id")]).to_pylist()
        if patients is None
        else context.store.read_items("links", "owner_id", patients, columns)
    )
    links = [link for link in links if link["kind"] == "patient_id"]
    found = {
        link["owner_id"]: named[link["value_hash"]] for link in links if link["value_hash"] in named
    }
    if patients is None and links and not found:
        raise InputError(
            f"split file {config.split_file}: names {len(named)} patients, none of the store's "
            f"{len({link['owner_id'] for link in links})}; expected ids as in the headers "
            "(PatientID, leading zeros kept); mend the file or leave pair.split_file out"
        )
    return found
