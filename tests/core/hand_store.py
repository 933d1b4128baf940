"""Rows of a small store, made by hand: one patient, two studies, one report, one sample."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from fvlm_data.shards import ShardConfig
from fvlm_data.shards.preprocess import PreparedSample
from fvlm_data.shards.writer import spool, write_shard
from fvlm_data.store.declared import Context
from fvlm_data.store.discovered import DISCOVERIES, close_sources
from fvlm_data.store.tables import Store
from schemas import (
    TABLES,
    AnatomyText,
    ClinicalValue,
    Finding,
    Input,
    LedgerRow,
    Link,
    Mask,
    Report,
    Sample,
    Sentence,
    Split,
    StoredFile,
    StudyReport,
    Volume,
    Waiting,
)

EYE = (1.0, 0, 0, 0, 0, 1.0, 0, 0, 0, 0, 1.0, 0, 0, 0, 0, 1.0)
TEXT = "FINDINGS: There is a cyst in the liver. IMPRESSION: Liver cyst."


def volume(number: int, study: str, patient: str = "p_1", **changes: Any) -> Volume:
    fields: dict[str, Any] = {
        "volume_id": f"v_{number}",
        "patient_id": patient,
        "study_id": study,
        "series_id": f"se_{number}",
        "path": f"volumes/0{number}/v_{number}.nii.gz",
        "source_files": (f"f_{number}",),
        "shape": (2, 2, 2),
        "spacing_mm": (1.0, 1.0, 1.0),
        "affine_ras": tuple(float(value) for value in EYE),
        "orientation": "RAS",
        "content_sha256": f"{number:064d}",
        "hu_min": -1000,
        "hu_max": 1000,
        "rescale_decision": "per_slice",
        "body_region_header": None,
        "contrast_header": None,
        "kernel": None,
        "manufacturer": None,
        "acquired_on": None,
        "age_years": None,
        "sex": None,
    }
    return Volume(**{**fields, **changes})


def clinical(
    patient: str, number: int, kind: str, name: str, value: float, observed_on: str | None
) -> ClinicalValue:
    return ClinicalValue(
        patient_id=patient, number=number, kind=kind, name=name, value=value, bound="", unit="1",
        observed_on=observed_on, source="f_c",
    )  # fmt: skip


def mask(volume_id: str, path: str) -> Mask:
    return Mask(
        volume_id=volume_id,
        task="total",
        class_system="totalsegmentator_v2",
        class_name="liver",
        class_value=5,
        voxels=3,
        volume_ml=0.003,
        bbox=(0, 0, 0, 1, 1, 1),
        touches_border=False,
        path=path,
        content_sha256="0" * 64,
        backend="precomputed",
        backend_version="1",
    )


def report(number: int, text: str = TEXT) -> Report:
    return Report(
        report_id=f"r_{number}",
        text=text,
        sections=(),
        source_files=(f"reports/r_{number}",),
        document_sha256=hashlib.sha256(text.encode()).hexdigest(),
    )


def sentence(
    number: int, section: str, text: str, start: int = 0, report_id: str = "r_1", **said: str
) -> Sentence:
    """A sentence; `said` gives the assessment of each anatomy it speaks of."""
    return Sentence(
        report_id=report_id,
        sentence=number,
        start=start,
        end=start + len(text),
        section=section,
        text=text,
        anatomies=tuple(sorted(said)),
        assessments=tuple(said[name] for name in sorted(said)),
    )


def finding(
    number: int,
    name: str,
    status: str = "present",
    laterality: str | None = None,
    anatomy: str = "liver",
    report_id: str = "r_1",
) -> Finding:
    return Finding(
        report_id=report_id,
        sentence=number,
        start=0,
        end=4,
        finding=name,
        anatomy=anatomy,
        status=status,
        laterality=laterality,
        severity=None,
        size_mm=None,
    )


def link(owner_kind: str, owner: str, kind: str, value: str, stated_by: str | None = None) -> Link:
    return Link(
        owner_kind=owner_kind,
        owner_id=owner,
        kind=kind,
        value_hash=value,
        stated_by=stated_by or owner,
    )


def offered(kind: str, token: str, item: str | None) -> Input:
    return Input(
        kind=kind,
        token=token,
        source="s",
        item=item,
        fingerprint="f",
        size_bytes=1,
        modified_ns=1,
    )


def sample() -> Sample:
    return Sample(
        sample_id="sa_1",
        patient_id="p_1",
        study_id="st_1",
        volume_id="v_1",
        split="train",
        shard="sh_1",
        index=0,
        offset_z=0,
        shape_zyx=(2, 2, 2),
        spacing_mm=(1.0, 1.0, 1.0),
        affine_ras=tuple(float(value) for value in EYE),
        content_sha256="0" * 64,
        anatomies=("liver",),
        states=("abnormal",),
        signatures=(1,),
        findings=(("cyst|present|",),),
        labels=(("cyst",),),
        texts=("Liver cyst.",),
        boxes=((0, 0, 0, 1, 1, 1),),
        age_years=None,
        sex=None,
        manufacturer=None,
        kernel=None,
    )


SETTLED = (
    ("ingest", "se_1"),
    ("select", "st_1"),
    ("select", "st_2"),
    ("segment:total", "v_1"),
    ("reports", "r_1"),
    ("split", "p_1"),
    ("pair", "st_1"),
    ("shard", "sa_1"),
)


def settled(stage: str, item: str) -> LedgerRow:
    """A ledger row whose key no plan gives, and whose content is not known."""
    return LedgerRow(
        stage=stage,
        item=item,
        key="k",
        outcome="accepted",
        content="",
        parts="",
        run_id="run",
    )


def put_shard(store: Store, row: Sample) -> None:
    """The files of shard sh_1 of the row's split: its index, and arrays of the sample's shape."""
    index = io.BytesIO()
    pq.write_table(TABLES["samples"].to_arrow([row]), index)
    split, shape = row.split, row.shape_zyx
    affine = np.reshape(row.affine_ras, (4, 4))
    arrays = np.zeros(shape, np.int16), np.zeros(shape, np.uint8)
    with spool() as aside:
        laid = aside.lay(PreparedSample(*arrays, affine, row.spacing_mm, {}))
        write_shard(aside.folder / "sh_1.zarr", [laid], ShardConfig())
        store.put_tree(aside.folder / "sh_1.zarr", f"shards/{split}/sh_1.zarr")
    store.write_bytes(f"shards/{split}/sh_1.parquet", index.getvalue())


def fill(context: Context) -> None:
    """A store in which every statement of `verify` holds."""
    store = context.store
    first = TEXT.index("There")
    second = TEXT.index("Liver cyst.")
    text = AnatomyText(
        study_id="st_1",
        anatomy="liver",
        text="Liver cyst. There is a cyst in the liver.",
        state="abnormal",
        signature=1,
        findings=("cyst|present|",),
        labels=("cyst",),
        sources=(f"r_1:{second}:{second + 11}", f"r_1:{first}:{first + 29}"),
    )
    rows: dict[str, list[Any]] = {
        "inputs": [
            offered("file", "f_1", "se_1"),
            offered("file", "f_2", "se_2"),
            offered("report", "r_1", "r_1"),
        ],
        "volumes": [volume(1, "st_1"), volume(2, "st_2")],
        "masks": [mask("v_1", "masks/01/v_1.total.nii.gz")],
        "reports": [report(1)],
        "sentences": [
            sentence(0, "findings", "There is a cyst in the liver.", first, liver="abnormal"),
            sentence(1, "impression", "Liver cyst.", second, liver="abnormal"),
        ],
        "study_reports": [
            StudyReport(study_id="st_1", report_id="r_1", matched_by="study_uid", order=0)
        ],
        "anatomy_texts": [text],
        "splits": [Split(patient_id="p_1", split="train", source="hash")],
        "samples": [sample()],
        "waiting": [
            Waiting(owner_kind="study", owner_id="st_2", waits_for="report", since_run="run")
        ],
        "ledger": [settled(stage, item) for stage, item in SETTLED],
        "files": [
            StoredFile(
                path="masks/01/v_1.total.nii.gz",
                stage="segment:total",
                item="v_1",
                size_bytes=1,
                sha256=hashlib.sha256(b"x").hexdigest(),
            )
        ],
    }
    for table, made in rows.items():
        store.replace_all(table, made)
    for path in ("volumes/01/v_1.nii.gz", "volumes/02/v_2.nii.gz", "masks/01/v_1.total.nii.gz"):
        store.write_bytes(path, b"x")
    put_shard(store, sample())
    context.vault.remember_files({"f_1": "scans/Doe/1.dcm"})
    close(context)


def close(context: Context) -> None:
    """Have discovery agree with what stands in its tables."""
    for stage, kind in DISCOVERIES.items():
        close_sources(context, stage, kind, {"s"})
