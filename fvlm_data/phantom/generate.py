"""Synthetic patients on disk: DICOM, masks, reports and the truth about them."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
from concurrent.futures import as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fvlm_data.errors import InputError
from fvlm_data.phantom.acquisition import draw_position, plan_series
from fvlm_data.phantom.body import build_body
from fvlm_data.phantom.catalogue import ANATOMIES, CLASSES, KINDS
from fvlm_data.phantom.draws import VERSION, stream
from fvlm_data.phantom.patient import draw_patient, ghost_study
from fvlm_data.phantom.prompted import in_language, prompted_text
from fvlm_data.phantom.reports import Report, abdomen_text, chest_row, compose
from fvlm_data.worker_process import worker_pool

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fvlm_data.phantom.patient import Patient, Study
    from fvlm_data.phantom.scene import Point
    from fvlm_data.vocabulary import Vocabulary

CHEST_COLUMNS = (
    "StudyInstanceUID",
    "AccessionNumber",
    "ClinicalInformation_EN",
    "Technique_EN",
    "Findings_EN",
    "Impressions_EN",
)
ABDOMEN_COLUMNS = ("study_uid", "accession", "report")
MANIFEST_COLUMNS = ("volume", "mask", "classes")


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomSummary:
    """What was generated.

    Attributes:
        out: the folder.
        version, seed, patients: what determines the content.
        studies, series, scouts: DICOM studies, axial series (each with a mask), localizers.
        reports_chest, reports_abdomen: rows of the two report files.
        studies_without_report, reports_without_study: study UIDs left without their other half.
        content_sha256: hash of decoded pixels, masks, report texts and truth; not of file bytes.
    """

    out: Path
    version: int
    seed: int
    patients: int
    studies: int
    series: int
    scouts: int
    reports_chest: int
    reports_abdomen: int
    studies_without_report: tuple[str, ...]
    reports_without_study: tuple[str, ...]
    content_sha256: str


@dataclass(slots=True)
class Made:
    """All rows of one patient, and the hashes of what was written."""

    truth: list[dict[str, Any]] = field(default_factory=list)
    chest: list[dict[str, str]] = field(default_factory=list)
    abdomen: list[dict[str, str]] = field(default_factory=list)
    masks: list[dict[str, str]] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)
    studies: int = 0
    scouts: int = 0
    silent: list[str] = field(default_factory=list)
    ghosts: list[str] = field(default_factory=list)

    def digest(self) -> str:
        """Return the hash of the patient's content."""
        parts = (self.truth, self.chest, self.abdomen, self.masks, self.hashes)
        text = json.dumps(parts, sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()


def generate(
    out: Path,
    *,
    patients: int,
    seed: int,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
    languages: tuple[str, ...] = (),
) -> PhantomSummary:
    """Write `patients` synthetic patients under a folder.

    The content depends on the generator's version and `seed` alone: patient 7 is the same in a
    run of 10 and of 1,000, with any number of workers.

    Args:
        out: is made; must be absent or empty.
        patients: how many, at least 1.
        seed: 0 or more.
        workers: processes (started by spawn); 1 works in this process.
        progress: is called with (patients done, all patients).
        languages: of reports, patient by patient in turn, of the vocabulary's prompts alone;
            empty: English reports in the styles of radiologists.

    Returns:
        Counts and the content hash, as in `phantom.json`.

    Raises:
        InputError: the folder is not empty or cannot be written, or a number is out of range.
        ConfigError: a language is not built in.
    """
    _vocabularies(languages)
    if patients < 1 or seed < 0 or workers < 1:
        raise InputError(
            f"phantom: expected patients >= 1, seed >= 0, workers >= 1; "
            f"found {patients}, {seed}, {workers}"
        )
    out = Path(out)
    try:
        check_new(out)
        out.mkdir(parents=True, exist_ok=True)
        made = _make_all(out, patients, seed, workers, progress, languages)
        return _write_tables(out, seed, made)
    except OSError as error:
        raise InputError(
            f"phantom: {out} cannot be written ({error.strerror or type(error).__name__}); name "
            "another folder, or free space and empty it"
        ) from error


def check_new(out: Path) -> None:
    """Refuse a folder that holds something (InputError)."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"phantom: {out} is not an empty folder; name a new one or empty it")


def studies_of(patients: int, seed: int) -> int:
    """How many studies so many patients of a seed have; nothing is rendered."""
    return sum(len(draw_patient(seed, index).studies) for index in range(patients))


def _make_all(
    out: Path,
    patients: int,
    seed: int,
    workers: int,
    progress: Callable[[int, int], None] | None,
    languages: tuple[str, ...],
) -> list[Made]:
    if workers == 1 or patients == 1:
        serial = []
        for index in range(patients):
            serial.append(make_patient(out, seed, index, languages))
            if progress is not None:
                progress(index + 1, patients)
        return serial
    made: dict[int, Made] = {}
    with worker_pool(min(workers, patients)) as pool:
        waiting = {
            pool.submit(make_patient, out, seed, index, languages): index
            for index in range(patients)
        }
        for done in as_completed(waiting):
            made[waiting[done]] = done.result()
            if progress is not None:
                progress(len(made), patients)
    # in the patients' order, whichever process ended first
    return [made[index] for index in range(patients)]


def make_patient(out: Path, seed: int, index: int, languages: tuple[str, ...] = ()) -> Made:
    """Write the images and masks of patient `index`; return its rows."""
    patient = draw_patient(seed, index)
    words = _vocabularies(languages)[index % len(languages)] if languages else None
    made = Made()
    for study in patient.studies:
        _make_images(out, patient, study, made)
        made.studies += 1
        _make_report(patient, study, made, words)
        if not study.has_report:
            made.silent.append(study.study_uid)
    ghost = ghost_study(seed, index)
    if ghost is not None:
        _make_report(patient, ghost, made, words)
        made.ghosts.append(ghost.study_uid)
    return made


def _make_images(out: Path, patient: Patient, study: Study, made: Made) -> None:
    from fvlm_data.phantom.dicom import write_mask, write_scout, write_series
    from fvlm_data.phantom.render import render

    gravity = -1 if draw_position(patient.seed, study).endswith("P") else 1
    # the position is drawn first: the body sags to the side that is down
    plans = plan_series(patient.seed, study, build_body(patient, study, gravity))
    folder = out / "dicom" / patient.patient_id / f"ST{study.order + 1}"
    # shared by all series of the scan, so that a lesion stays where the first series put it
    places: dict[str, list[Point]] = {}
    for plan in plans:
        rendered = render(patient, study, plan, places)
        series = folder / f"SE{plan.number:03d}"
        made.hashes.append(write_series(series, patient, study, plan, rendered))
        if plan.scout:
            made.hashes.append(write_scout(folder / "SE001", patient, study, plan, rendered))
            made.scouts += 1
        name = f"{plan.series_uid}.nii.gz"
        made.hashes.append(write_mask(out / "masks" / name, plan, rendered.label_zyx))
        made.masks.append({"volume": plan.series_uid, "mask": name, "classes": "classes.yaml"})


def _vocabularies(languages: tuple[str, ...]) -> list[Vocabulary]:
    from fvlm_data.vocabulary import Vocabulary

    return [Vocabulary.load(language) for language in languages]


def _make_report(patient: Patient, study: Study, made: Made, words: Vocabulary | None) -> None:
    report = compose(patient, study)
    ids = {"study_uid": study.study_uid, "accession": study.accession}
    if not study.has_report:
        report = Report()
    elif words is not None:
        report = in_language(report, words)
        made.abdomen.append({**ids, "report": prompted_text(report)})
    else:
        rng = stream(patient.seed, patient.index, 16, study.order)
        if study.protocol == "chest":
            named = {"StudyInstanceUID": study.study_uid, "AccessionNumber": study.accession}
            made.chest.append({**named, **chest_row(report, rng)})
        else:
            made.abdomen.append({**ids, "report": abdomen_text(report, rng)})
    made.truth.extend(_truth(patient, study, report))


def _truth(patient: Patient, study: Study, report: Report) -> list[dict[str, Any]]:
    rows = []
    states = {anatomy: report.state(anatomy) for anatomy in ANATOMIES}
    for kind in KINDS:
        present = study.findings.get(kind.finding) if study.has_images else None
        mention = report.mentions.get(kind.finding)
        rows.append(
            {
                "patient_id": patient.patient_id,
                "study_uid": study.study_uid,
                "accession": study.accession,
                "anatomy": kind.anatomy,
                "finding": kind.finding,
                "present": present is not None,
                "laterality": present.laterality if present else None,
                "size_mm": present.size_mm if present else None,
                "severity": present.grade if present else None,
                "imaged": kind.anatomy in study.imaged,
                "section": mention.section if mention else "none",
                "negated_in_report": mention.negated if mention else False,
                "hedged_in_report": mention.hedged if mention else False,
                "sentence": mention.sentence if mention else None,
                "state": states[kind.anatomy],
                "has_images": study.has_images,
                "has_report": study.has_report,
            }
        )
    return rows


def _write_tables(out: Path, seed: int, made: Sequence[Made]) -> PhantomSummary:
    import yaml

    _write_csv(out / "reports_chest.csv", CHEST_COLUMNS, [row for m in made for row in m.chest])
    _write_csv(
        out / "reports_abdomen.csv", ABDOMEN_COLUMNS, [row for m in made for row in m.abdomen]
    )
    masks = [row for one in made for row in one.masks]
    _write_csv(out / "masks" / "manifest.csv", MANIFEST_COLUMNS, masks)
    classes = {"class_system": "phantom", "classes": dict(CLASSES)}
    (out / "masks" / "classes.yaml").write_text(yaml.safe_dump(classes, sort_keys=False))
    _write_truth(out / "truth.parquet", [row for one in made for row in one.truth])
    total = hashlib.sha256("\n".join(one.digest() for one in made).encode())
    summary = PhantomSummary(
        out=out,
        version=VERSION,
        seed=seed,
        patients=len(made),
        studies=sum(one.studies for one in made),
        series=len(masks),
        scouts=sum(one.scouts for one in made),
        reports_chest=sum(len(one.chest) for one in made),
        reports_abdomen=sum(len(one.abdomen) for one in made),
        studies_without_report=tuple(uid for one in made for uid in one.silent),
        reports_without_study=tuple(uid for one in made for uid in one.ghosts),
        content_sha256=total.hexdigest(),
    )
    facts = dataclasses.asdict(summary)
    facts.pop("out")
    (out / "phantom.json").write_text(json.dumps(facts, indent=2) + "\n")
    return summary


def _write_csv(path: Path, columns: Sequence[str], rows: Sequence[dict[str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def _write_truth(path: Path, rows: list[dict[str, Any]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    flags = {"present", "imaged", "negated_in_report", "hedged_in_report", "has_images"}
    flags.add("has_report")
    fields = []
    for name in rows[0]:
        kind = pa.bool_() if name in flags else pa.float64() if name == "size_mm" else pa.string()
        fields.append(pa.field(name, kind))
    pq.write_table(pa.Table.from_pylist(rows, schema=pa.schema(fields)), path)
