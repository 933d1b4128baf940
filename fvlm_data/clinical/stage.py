"""Stage `clinical`: from files of values to table `clinical`, patient by patient."""

from __future__ import annotations

from functools import partial
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from fvlm_data.clinical.offered import fingerprint, values_of
from fvlm_data.clinical.rows import patient_rows
from fvlm_data.hashing import content_key
from fvlm_data.store.declared import Outcome, Read, Reject, Stage, guarded, reject

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from fvlm_data.clinical.config import ClinicalConfig
    from fvlm_data.clinical.sources import Told
    from fvlm_data.store.declared import Batch, Inputs

STAGE_VERSION = 1
BATCH_SIZE = 5000
"""Patients of one commit: each batch reads the files once."""

OFFERS = """
WITH named AS (
    SELECT DISTINCT owner_id AS patient_id, value_hash FROM links
    WHERE owner_kind = 'patient' AND kind = 'patient_id'
), shared AS (
    SELECT value_hash, count(*) AS owners FROM named GROUP BY value_hash
)
SELECT n.patient_id, i.token, i.source, i.item AS name, i.fingerprint, s.owners > 1 AS ambiguous
FROM inputs i JOIN named n ON n.value_hash = i.item JOIN shared s ON s.value_hash = i.item
WHERE i.kind = 'clinical' AND n.patient_id IN (SELECT patient_id FROM volumes)
"""
"""What the files hold of patients with an accepted volume; ambiguous where several patients have
the number, each of another issuer. Of other patients nothing is kept: they wait for their images.
"""


def clinical_stage(config: ClinicalConfig, naming: Any) -> Stage:
    """The stage that takes in what the files hold of each patient with images.

    Run `discover_clinical` before it.
    """
    analytes = files("fvlm_data.clinical").joinpath("analytes.yaml").read_text(encoding="utf-8")
    return Stage(
        name="clinical",
        version=STAGE_VERSION,
        settings={"analytes": content_key(analytes)},
        tables=("clinical",),
        items="SELECT DISTINCT patient_id AS item FROM clinical_offers",
        views={"clinical_offers": OFFERS},
        reads=(
            Read(
                "offers",
                "clinical_offers",
                "patient_id",
                ("source", "fingerprint", "ambiguous"),
                carries=("name",),
            ),
        ),
        make=partial(_make, config, naming),
        batch_size=BATCH_SIZE,
    )


def _make(config: ClinicalConfig, naming: Any, batch: Batch) -> Iterator[Outcome]:
    wanted = {(row["source"], row["name"]) for one in batch.inputs for row in one.rows["offers"]}
    values = values_of(batch.secret, config, naming, wanted)
    for one in batch.inputs:
        yield guarded(one.item, partial(_patient, batch.secret, one, values))


def _patient(
    secret: bytes, one: Inputs, values: Mapping[tuple[str, str], Sequence[Told]]
) -> Outcome:
    offers = one.rows["offers"]
    taken = [row for row in offers if not row["ambiguous"]]
    told = {(row["source"], row["name"]): values.get((row["source"], row["name"]), ())
            for row in taken}  # fmt: skip
    if any(fingerprint(told[row["source"], row["name"]]) != row["fingerprint"] for row in taken):
        return _changed(one.item)
    pairs = [(file, value) for (file, _), several in told.items() for value in several]
    rows, rejects = patient_rows(secret, one.item, pairs)
    unclear = [row["source"] for row in offers if row["ambiguous"]]
    if unclear:
        rejects.append(_ambiguous(unclear))
    return Outcome(one.item, {"clinical": rows}, rejects=tuple(rejects))


def _ambiguous(sources: Sequence[str]) -> Reject:
    return Reject(
        "fault",
        "ambiguous_patient",
        f"its number in {len(sources)} files is that of several patients of different issuers, "
        "expected one; give the column of the number's issuer",
        tuple(sorted(sources)),
    )


def _changed(item: str) -> Outcome:
    detail = f"{item}: a clinical file changed while the run was under way; run again"
    made = reject(item, "fault", "inputs_gone", detail)
    return Outcome(item, rejects=made.rejects, retry=True)
