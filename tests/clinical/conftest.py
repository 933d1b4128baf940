"""A store of patients whose numbers are known, and clinical files beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fvlm_data.clinical.config import ClinicalConfig
from fvlm_data.clinical.discovery import discover_clinical
from fvlm_data.clinical.stage import clinical_stage
from fvlm_data.identity.ids import keyed_id, link_key
from fvlm_data.identity.vault import Vault
from fvlm_data.store.commits import retire, settle
from fvlm_data.store.declared import Context
from fvlm_data.store.planning import pending
from fvlm_data.store.tables import Store
from tests.core import hand_store


def patient_of(context: Context, number: str) -> str:
    """Id of the patient whom the hospital knows by a number."""
    return keyed_id(context.vault.key, "p", link_key("patient_id", number, key=context.vault.key))


def put_patients(context: Context, *numbers: str, on: str = "2020-05-10") -> None:
    """Patients with a volume each, taken on a day that is shifted already."""
    patients = [patient_of(context, number) for number in numbers]
    volumes = [
        hand_store.volume(place, f"st_{place}", patient, acquired_on=on)
        for place, patient in enumerate(patients)
    ]
    links = [
        hand_store.link(
            "patient", patient, "patient_id",
            link_key("patient_id", number, key=context.vault.key), f"se_{place}",
        )
        for place, (patient, number) in enumerate(zip(patients, numbers, strict=True))
    ]  # fmt: skip
    context.store.replace_all("volumes", volumes)
    context.store.replace_all("links", links)


def run(context: Context, *sources: dict[str, Any]) -> int:
    """Discover and settle; returns how many patients were due."""
    config = ClinicalConfig.model_validate({"sources": list(sources)})
    discover_clinical(context, config, "token")
    stage = clinical_stage(config, "token")
    work = pending(context, stage)
    retire(context, stage, [*work.obsolete, *work.mended])
    for batch in work.batches:
        settle(context, stage, batch)
    return sum(len(batch) for batch in work.batches)


@pytest.fixture
def context(tmp_path: Path, vault_folder: Path) -> Context:
    return Context(Store.create(tmp_path / "store"), Vault.open(vault_folder), "run")
