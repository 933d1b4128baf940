"""A small frozen corpus through all stages, and a digest of what each of them made."""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

from fvlm_data.run.config import Config, load_config
from fvlm_data.run.curate import curate
from fvlm_data.run.stages import build_stages
from fvlm_data.store.content import compared
from fvlm_data.store.declared import Stage
from fvlm_data.store.tables import Store
from tests.ingest.series import Series, write

HERE = Path(__file__).parent
PACKED = HERE.parent / "upgrade" / "store_v1.tgz"
STAGES = HERE / "stages.json"
KEY = f"{7:064d}"

REPORTS = """\
accession,report
ACC00017,"CLINICAL INFORMATION: Cough. FINDINGS: No pleural effusion. 12 mm nodule in the left \
upper lobe, unchanged. The liver is normal. IMPRESSION: Stable pulmonary nodule."
ACC00018,"FINDINGS: Cholecystectomy. Cyst of 2 cm in the right kidney. Spleen unremarkable."
"""

CLINICAL = """\
patient_id,time,name,value,unit
PAT-17,2024-04-30T07:30,creatinine,1.0,mg/dL
PAT-17,2024-04-30,crp,<5,mg/L
PAT-17,2024-05-20,outcome:death,1,
PAT-18,2024-04-30,temperature,98.6,[degF]
PAT-18,2024-04-30,temperature,98.6,Cel
,2024-04-30,crp,1,mg/L
"""


def settle(folder: Path) -> Config:
    """Three thinned phantoms as NIfTI with masks, two DICOM series without, reports of both."""
    with tarfile.open(PACKED) as archive:
        archive.extractall(folder, filter="data")
    for made in ("store", "vault"):
        shutil.rmtree(folder / made)
    vault = folder / "vault"
    vault.mkdir(mode=0o700)
    (vault / "key").write_text(KEY)
    (vault / "key").chmod(0o600)
    for number in (17, 18):
        series = Series(
            series_uid=f"1.2.3.{number}",
            study_uid=f"1.2.{number}",
            patient_id=f"PAT-{number}",
            seed=number,
            tags={"AccessionNumber": f"ACC000{number}"},
        )
        write(series.datasets(), folder / "dicom" / str(number))
    (folder / "dicom.csv").write_text(REPORTS)
    (folder / "clinical.csv").write_text(CLINICAL)
    values: dict[str, Any] = {
        "store": str(folder / "store"),
        "identity": {"vault": str(vault)},
        "sources": [
            {"kind": "nifti", "path": str(folder / "nifti"), "name": "cases"},
            {"kind": "dicom", "path": str(folder / "dicom"), "name": "series"},
        ],
        "reports": [{"path": str(folder / "reports.csv")}, {"path": str(folder / "dicom.csv")}],
        "segment": {
            "backend": "precomputed",
            "masks": str(folder / "masks"),
            "classes": str(folder / "classes.yaml"),
        },
        "radiomics": {"least_voxels": 10},
        "clinical": {"sources": [{"path": str(folder / "clinical.csv")}]},
        "unlabelled": {"volumes": "all", "spacing_mm": [12.0, 12.0, 12.0], "dtype": "uint8"},
        "shard": {"spacing_mm": [12.0, 12.0, 12.0], "dtype": "uint8"},
        "pair": {"split": {"train": 0.5, "validation": 0.0, "test": 0.5}},
        "qc": {"enabled": False},
    }
    config = load_config(None, (), values)
    curate(config)
    return config


def told(config: Config) -> dict[str, dict[str, Any]]:
    """Version and digest of each stage."""
    store = Store.open(config.store)
    return {
        stage.name: {"version": stage.version, "digest": _digest(store, stage)}
        for stage in build_stages(config)
    }


def _digest(store: Store, stage: Stage) -> str:
    """Hash of the stage's rows; arrays stand in them by their own hashes, files of no table do not.

    A compressed file's bytes are the compressor's, not the stage's.
    """
    digest = hashlib.sha256()
    for table in (*stage.tables, "quarantine"):
        also = stage.partition.get(table, {"stage": stage.name} if table == "quarantine" else {})
        rows = store.read(table, compared(table), [(name, "=", v) for name, v in also.items()])
        lines = sorted(json.dumps(row, sort_keys=True) for row in rows.to_pylist())
        digest.update(f"{table} {len(lines)}\n".encode())
        digest.update("\n".join(lines).encode())
    return digest.hexdigest()


def read_golden() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads(STAGES.read_text())
    return found
