"""Stage `split`: every patient with a volume gets one."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from fvlm_data.pairing.near_copies import NEAR
from fvlm_data.pairing.splits import PROTECTED, assign_split, protector
from fvlm_data.store.declared import Outcome, Read, Stage, reject
from schemas import Split

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fvlm_data.pairing.config import PairConfig
    from fvlm_data.store.declared import Batch, Inputs, Row

STAGE_VERSION = 3
BATCH_SIZE = 10_000
"""Patients of one commit: each batch looks once through the hashes of all images."""

PATIENTS = "SELECT DISTINCT patient_id AS item FROM volumes"

TWINS = f"""
WITH RECURSIVE images AS (
    SELECT patient_id, content_sha256 AS image FROM candidates
    UNION ALL
    SELECT patient_id, pixels_sha256 FROM candidates WHERE pixels_sha256 IS NOT NULL
), shared AS (
    SELECT image, min(patient_id) AS first FROM images
    GROUP BY image HAVING min(patient_id) < max(patient_id)
), rays AS (
    SELECT DISTINCT first, patient_id AS other
    FROM images JOIN shared USING (image) WHERE patient_id <> first
    UNION SELECT first, other FROM ({NEAR})
), pairs AS (
    SELECT first AS one, other FROM rays UNION SELECT other, first FROM rays
), reached(patient_id, twin_id) AS (
    SELECT one, other FROM pairs
    UNION
    SELECT r.patient_id, p.other FROM reached r JOIN pairs p ON p.one = r.twin_id
)
SELECT patient_id, twin_id FROM reached WHERE patient_id <> twin_id
"""
"""Patients connected by equal or nearly equal images, each with every other of its group.

Only pairs with an image's first patient are taken, and the recursion connects the others: an image
that a thousand patients share would otherwise give a million pairs. The hash of the pixels, which
finds more twins, is missing in older rows.
"""

NAMED = """
WITH said AS (
    SELECT k.owner_kind, k.owner_id, i.fingerprint AS split
    FROM links k JOIN inputs i ON i.token = k.value_hash WHERE i.kind = 'split'
)
SELECT owner_id AS patient_id, split FROM said WHERE owner_kind = 'patient'
UNION
SELECT v.patient_id, split FROM said JOIN volumes v ON v.study_id = owner_id
WHERE owner_kind = 'study'
UNION
SELECT v.patient_id, split FROM said JOIN volumes v ON v.series_id = owner_id
WHERE owner_kind = 'series'
"""
"""What the split file says of each patient whom it names, or one of whose scans it names."""


def split_stage(config: PairConfig) -> Stage:
    """The stage that gives every patient with a volume a split.

    What decides are the patient's twins and what the split file says of them all. The split that
    a patient already has is carried along: it stays, and assigning it remakes nothing.
    """
    standing = ("patient_id", "split", "source")
    said = ("patient_id", "split")
    return Stage(
        name="split",
        version=STAGE_VERSION,
        settings={
            "split": config.split.model_dump(mode="json"),
            "duplicates": config.duplicates,
        },
        tables=("splits",),
        items=PATIENTS,
        views={"twins": TWINS, "named_splits": NAMED},
        reads=(
            Read("twins", "twins", "patient_id", ("twin_id",)),
            Read("named", "named_splits", "patient_id", said),
            Read("named_twins", "named_splits", "patient_id", said, on="twins.twin_id"),
            Read("known", "splits", "patient_id", (), carries=standing),
            Read("known_twins", "splits", "patient_id", (), on="twins.twin_id", carries=standing),
        ),
        make=partial(_make, config),
        batch_size=BATCH_SIZE,
        rests_on_own_rows=True,
    )


def _make(config: PairConfig, batch: Batch) -> Iterator[Outcome]:
    for one in batch.inputs:
        # twins' splits are worked out here, since they may be settled in a later batch
        own, *group = _splits(config, batch.secret, one)
        best = protector(own, group) if group else None
        if best is not None and config.duplicates == "set_aside":
            yield _left_out(own, best)
        elif best is not None and config.duplicates == "one_split":
            joined = replace(own, split=best.split, source=best.source)
            yield Outcome(one.item, {"splits": [joined]})
        else:
            yield Outcome(one.item, {"splits": [own]})


def _splits(config: PairConfig, secret: bytes, one: Inputs) -> list[Split]:
    """The split that the patient has by itself, then those of its twins."""
    named = _named((*one.rows["named"], *one.rows["named_twins"]))
    rows = (*one.rows["known"], *one.rows["known_twins"])
    known = {row["patient_id"]: Split(**row) for row in rows}
    patients = [one.item, *(row["twin_id"] for row in one.rows["twins"])]
    return [
        assign_split(secret, patient, config.split, named.get(patient), known.get(patient))
        for patient in patients
    ]


def _named(rows: Iterable[Row]) -> dict[str, str]:
    """Split by patient; of one who is named twice, by two ids, the most protected."""
    named: dict[str, str] = {}
    for row in rows:
        splits = (named.get(row["patient_id"], row["split"]), row["split"])
        named[row["patient_id"]] = min(splits, key=PROTECTED.index)
    return named


def _left_out(own: Split, best: Split) -> Outcome:
    return reject(
        own.patient_id,
        "duplicate",
        "image_of_held_out_patient",
        f"patient {own.patient_id} (split {own.split}) has the same image (or nearly) as patient "
        f"{best.patient_id} (split {best.split}), probably one person under two ids; left out so "
        "that nothing leaks; join the ids, name both in pair.split_file with one split, or set "
        "pair.duplicates to one_split or keep",
    )
