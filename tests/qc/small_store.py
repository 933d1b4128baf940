"""A small store for pages: three studies of lopsided images and hostile texts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from fvlm_data.hashing import array_sha256
from fvlm_data.identity.vault import Vault
from fvlm_data.reports.rows import document_sha256
from fvlm_data.segment.library_classes import recorded_classes
from fvlm_data.segment.nifti import label_map_bytes
from fvlm_data.store.declared import Context
from fvlm_data.store.tables import Store
from schemas import (
    AnatomyText,
    CrossCheck,
    Finding,
    Input,
    LedgerRow,
    Mask,
    Quarantined,
    Report,
    Sample,
    Sentence,
    Split,
    StudyReport,
    Volume,
    VolumeCheck,
    Waiting,
)

STUDIES = ("st_a", "st_b", "st_c")
HOSTILE = "</script><script>document.title='taken'</script><img src=x onerror=alert(1)>"
TEXTS = {
    "st_a": f"FINDINGS: There is a liver cyst of 12 mm. No stone in the left kidney. {HOSTILE}",
    "st_b": "FINDINGS: There is a liver cyst. The left kidney is normal.",
}
SHAPE = (24, 20, 10)
"""Voxels along x to the left, y to the back and z to the head: order LPS."""

AFFINE = np.array([[-3.0, 0, 0, 40], [0, -3.0, 0, 30], [0, 0, 5.0, -900], [0, 0, 0, 1]])
VALUES = {name: value for value, name in recorded_classes("totalsegmentator_v2").items()}
LIVER = (slice(2, 9), slice(4, 14), slice(4, 9))
"""On the patient's right, in the upper half."""

KIDNEY = (slice(16, 20), slice(13, 17), slice(1, 5))
"""On the patient's left, at the back, in the lower half."""


def image_of(number: int) -> np.ndarray[Any, Any]:
    """HU (i, j, k): a body with a bright liver on the right and a brighter kidney on the left."""
    image = np.full(SHAPE, -1000, np.int16)
    image[1:23, 1:19] = 10 + number
    image[LIVER] = 100
    image[KIDNEY] = 200
    return image


def volume(study: str, number: int, store: Store) -> Volume:
    """A volume with its file."""
    image, path = image_of(number), f"volumes/00/v_{number}.nii.gz"
    store.write_bytes(path, nib.Nifti1Image(image, AFFINE).to_bytes())
    return Volume(
        volume_id=f"v_{number}",
        patient_id=f"p_secret{number}",
        study_id=study,
        series_id=f"se_{number}",
        path=path,
        source_files=(f"secret/path{number}.dcm",),
        shape=SHAPE,
        spacing_mm=(3.0, 3.0, 5.0),
        affine_ras=tuple(float(x) for x in AFFINE.ravel()),
        orientation="LPS",
        content_sha256=array_sha256(image, AFFINE),
        hu_min=-1000,
        hu_max=200,
        rescale_decision="per_slice",
        body_region_header="ABDOMEN",
        contrast_header=None,
        kernel=("B30f", "B70f")[number % 2],
        series_description=None,
        manufacturer=("Siemens", "GE", "GE")[number],
        acquired_on=None,
        age_years=30.0 + 20 * number,
        sex=("F", "M", "F")[number],
    )


def masks(of: Volume, store: Store) -> list[Mask]:
    """Its label map with a liver and a left kidney."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[LIVER], labels[KIDNEY] = VALUES["liver"], VALUES["kidney_left"]
    path = f"masks/00/{of.volume_id}.total.nii.gz"
    store.write_bytes(path, label_map_bytes(labels, AFFINE))
    return [
        Mask(
            volume_id=of.volume_id,
            task="total",
            class_system="totalsegmentator_v2",
            class_name=name,
            class_value=VALUES[name],
            voxels=1,
            volume_ml=ml,
            bbox=(0, 0, 0, 1, 1, 1),
            touches_border=False,
            path=path,
            content_sha256=array_sha256(labels),
            backend="precomputed",
            backend_version="1",
        )
        for name, ml in (("liver", 1500.0), ("kidney_left", 150.0))
    ]


def report(study: str) -> tuple[Report, list[Sentence], list[Finding]]:
    """The report of a study, read."""
    text, report_id = TEXTS[study], f"r_{study}"
    sentences = []
    start = text.index("There")
    for number, sentence in enumerate(text[start:].split(". ")):
        anatomies = tuple(a for a in ("kidney", "liver") if a in sentence)
        end = start + len(sentence)
        sentences.append(
            Sentence(
                report_id=report_id,
                sentence=number,
                start=start,
                end=end,
                section="findings",
                text=text[start:end],
                anatomies=anatomies,
                assessments=("abnormal",) * len(anatomies),
            )
        )
        start = end + 2
    found = [
        ("cyst", "liver_cyst", "liver", "present"),
        ("stone", "kidney_stone", "kidney", "absent"),
    ]
    findings = [
        Finding(
            report_id=report_id,
            sentence=next(one.sentence for one in sentences if text.index(word) < one.end),
            start=text.index(word),
            end=text.index(word) + len(word),
            finding=finding,
            anatomy=anatomy,
            status=status,
            laterality=None,
            severity=None,
            size_mm=12.0 if anatomy == "liver" else None,
        )
        for word, finding, anatomy, status in found
        if word in text
    ]
    sections = ({"name": "findings", "start": text.index("There"), "end": len(text)},)
    whole = Report(
        report_id=report_id, text=text, sections=sections, source_files=("secret/reports.csv",)
    )
    return whole, sentences, findings


def anatomy_texts(study: str) -> list[AnatomyText]:
    """What is said in a study of the liver (a cyst) and of the kidney (normal)."""
    return [
        AnatomyText(
            study_id=study,
            anatomy=anatomy,
            text=f"text of {anatomy} {HOSTILE}",
            state=state,
            signature=signature,
            findings=findings,
            labels=labels,
            sources=(),
        )
        for anatomy, state, signature, findings, labels in (
            ("kidney", "normal_stated", 0, (), ()),
            ("liver", "abnormal", 7, ("liver_cyst|present|",), ("liver_cyst",)),
        )
    ]


def sample(of: Volume) -> Sample:
    """A sample of a volume."""
    return Sample(
        sample_id=f"sa_{of.volume_id}",
        patient_id=of.patient_id,
        study_id=of.study_id,
        volume_id=of.volume_id,
        split="train",
        shard="sh_1",
        index=0,
        offset_z=0,
        shape_zyx=(10, 20, 24),
        spacing_mm=(5.0, 3.0, 3.0),
        affine_ras=(),
        content_sha256="",
        anatomies=("liver",),
        states=("abnormal",),
        signatures=(7,),
        findings=(("liver_cyst|present|",),),
        labels=(("liver_cyst",),),
        texts=("",),
        boxes=((0, 0, 0, 1, 1, 1),),
        age_years=None,
        sex=None,
        manufacturer=None,
        kernel=None,
    )


def small_store(folder: Path) -> Context:
    """The store: two studies with reports that say the same of the liver, one that waits."""
    store = Store.create(folder / "store")
    volumes = [volume(study, number, store) for number, study in enumerate(STUDIES)]
    read = [report(study) for study in TEXTS]
    rows: dict[str, list[Any]] = {
        "volumes": volumes,
        "candidates": volumes,
        "masks": [row for one in volumes for row in masks(one, store)],
        "volume_checks": [
            VolumeCheck(
                volume_id=one.volume_id,
                body_region="abdomen",
                contrast="enhanced",
                flags=("liver_cut", "phase_portal_venous"),
                phase="portal_venous",
                phase_confidence=0.9,
            )
            for one in volumes
        ],
        "reports": [one for one, _, _ in read],
        "sentences": [row for _, some, _ in read for row in some],
        "findings": [row for _, _, some in read for row in some],
        "study_reports": [
            StudyReport(study_id=study, report_id=f"r_{study}", matched_by="accession", order=0)
            for study in TEXTS
        ],
        "anatomy_texts": [row for study in TEXTS for row in anatomy_texts(study)],
        "samples": [sample(volumes[0])],
        "splits": [
            Split(patient_id=one.patient_id, split="train", source="hash") for one in volumes
        ],
        "inputs": [
            Input(
                kind="file",
                token=f"f_{number}",
                source="s",
                item=f"se_{number}",
                fingerprint="",
                size_bytes=1,
                modified_ns=0,
            )
            for number in range(3)
        ],
        "cross_checks": [
            CrossCheck(
                study_id="st_a",
                check="absent_organ_is_shown",
                anatomy="liver",
                strength="strong",
                said="liver_cyst|present|",
                sources=(),
                volume_id="v_0",
                quantity=None,
                measured=None,
                limit=None,
                detail=f"look at the liver {HOSTILE}",
            )
        ],
        "quarantine": [
            Quarantined(
                kind=kind,
                stage="ingest",
                item=f"se_9{number}",
                reason=reason,
                detail=f"{reason} number {number} {HOSTILE}",
                source_files=("secret/path.dcm",),
            )
            for kind, reason, count in (("fault", "gap", 2), ("out_of_scope", "scout", 200))
            for number in range(count)
        ],
        "waiting": [
            Waiting(owner_kind="study", owner_id="st_c", waits_for="report", since_run="r")
        ],
        "ledger": [
            LedgerRow(
                stage=stage,
                item=item,
                key="k",
                outcome="accepted",
                content="c",
                parts="",
                run_id=run,
            )
            for stage, item, run in (
                ("ingest", "se_0", "20260301T230000Z-aa"),
                ("ingest", "se_1", "20260302T230000Z-bb"),
                ("segment:total", "v_0", "run_1"),
                ("reports", "r_st_a", "run_1"),
                ("split", "p_secret0", "run_1"),
                ("pair", "st_a", "run_1"),
                ("shard", "sa_v_0", "run_1"),
            )
        ],
    }
    for table, some in rows.items():
        store.replace_all(table, some)
    return Context(store, Vault.open(folder / "vault"), "run_7")


def hashed_store(folder: Path) -> Context:
    """The same, with the hashes of its reports' texts: so that these can be judged."""
    context = small_store(folder)
    rows = [Report(**row) for row in context.store.read("reports").to_pylist()]
    hashed = [replace(row, document_sha256=document_sha256(row.text)) for row in rows]
    context.store.replace_all("reports", hashed)
    return context
