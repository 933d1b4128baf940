"""Each recipe from its layout to a zero-shot table, on phantoms and with a small model."""

from __future__ import annotations

import csv
import re
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import pydicom
import pytest
import yaml
from typer.testing import CliRunner

from fvlm_data.cli.main import app
from fvlm_data.phantom import generate
from fvlm_data.run.config import load_config
from fvlm_data.store.tables import Store
from fvlm_train.cli import eval_app, train_app
from fvlm_train.config import parse_evaluate_config, parse_train_config

if TYPE_CHECKING:
    from collections.abc import Callable

REPOSITORY = Path(__file__).parents[2]
RECIPES = sorted((REPOSITORY / "recipes").glob("*.yaml"))
PAGE = (REPOSITORY / "docs" / "recipes.md").read_text(encoding="utf-8")

SMALL = {
    "preset": "small",
    "model": {"image": {"window_zyx": [24, 24, 24], "width": 16, "heads": 2}},
    "batch_size": 2,
    "steps": 2,
    "threads": 1,
    "cache_bytes": 0,
}


def test_every_recipe_is_listed() -> None:
    assert [path.stem for path in RECIPES] == ["ct_rate", "merlin", "own_abdomen"]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_states_the_papers_numbers(recipe: Path) -> None:
    config = load_config(recipe, (), {})
    train, evaluate = parse_train_config(config.train), parse_evaluate_config(config.evaluate)
    spacing, window = {
        "ct_rate": ((1, 1, 3), (-1150, 350)),
        "merlin": ((1, 1, 5), (-1000, 1000)),
        "own_abdomen": ((1, 1, 5), (-300, 400)),
    }[recipe.stem]
    assert config.shard.spacing_mm == spacing
    assert config.shard.hu_window == train.window_hu == window
    assert set(train.anatomies) <= set(config.shard.anatomies)
    image, optimiser = train.model.image, train.optimiser
    assert (image.width, image.depth, image.patch_zyx) == (768, 12, (16, 16, 32))
    assert (optimiser.learning_rate, optimiser.warmup_steps) == (1e-4, 377)
    assert (train.batch_size, train.epochs) == (56, 20)
    assert train.flips.x == 0
    assert evaluate.window_zyx is not None
    assert all(mine >= its for mine, its in zip(evaluate.window_zyx, train.crop, strict=True))


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight synthetic patients, of whom several have a chest CT and several one of the abdomen."""
    folder = tmp_path_factory.mktemp("archive")
    generate(folder, patients=8, seed=7)
    return folder


@pytest.mark.full
@pytest.mark.parametrize("layout", ["ct_rate", "merlin", "own_abdomen"])
def test_from_download_to_table(
    layout: str, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    scans = LAYOUTS[layout](archive, tmp_path)
    for block in _python_blocks(layout):
        exec(block, {})
    recipe, store = _small(REPOSITORY / "recipes" / f"{layout}.yaml", tmp_path, archive)
    _run(app, "curate", str(recipe))
    opened = Store.open(Path(store))
    # of a hospital's own scans the recipe takes no sharp kernels
    passed_over = {row["reason"] for row in opened.read("quarantine").to_pylist()}
    own = {"kernel_not_soft_tissue", "localizer", "mask_without_volume"}
    assert passed_over <= (own if layout == "own_abdomen" else set())
    samples = opened.read("samples").to_pylist()
    assert len(samples) == opened.read("volumes").num_rows
    # a study of which there is a sharp kernel only gives none
    assert len({row["study_id"] for row in samples}) >= scans - (layout == "own_abdomen")
    assert {row["split"] for row in samples} == {"train", "test"}
    _run(train_app, str(recipe), "--store", store, "--out", "run")
    shown = _run(
        eval_app, "zero-shot", "run", "--config", str(recipe), "--store", store,
        "--set", "evaluate.min_positive_patients=1",
    )  # fmt: skip
    assert "score: " in shown
    assert "scores: run/zero_shot_test.parquet" in shown


@dataclass(frozen=True, slots=True)
class Scan:
    """A CT of a phantom, and what its report says by the columns of its table."""

    folder: Path
    patient: str
    report: dict[str, str]


def _scans(phantom: Path, table: str) -> list[Scan]:
    """The longest series of each study that the table has a report of."""
    with (phantom / table).open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    longest: dict[str, tuple[int, Path, str]] = {}
    for folder in sorted(path for path in phantom.glob("dicom/*/*/*") if path.is_dir()):
        files = sorted(folder.iterdir())
        header = pydicom.dcmread(files[0], stop_before_pixels=True)
        found = (len(files), folder, str(header.PatientID))
        study = str(header.StudyInstanceUID)
        longest[study] = max(longest.get(study, (0, folder, "")), found)
    uid = "StudyInstanceUID" if "StudyInstanceUID" in rows[0] else "study_uid"
    return [Scan(*longest[row[uid]][1:], row) for row in rows if row[uid] in longest]


def _save(scan: Scan, path: Path, phantom: Path) -> None:
    """The scan as NIfTI, and its label map under the same name in `masks`."""
    import SimpleITK

    names = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(scan.folder))
    image = SimpleITK.Cast(SimpleITK.ReadImage(names), SimpleITK.sitkInt16)
    path.parent.mkdir(parents=True, exist_ok=True)
    SimpleITK.WriteImage(image, str(path))
    series = pydicom.dcmread(names[0], stop_before_pixels=True).SeriesInstanceUID
    masks = Path("masks")
    masks.mkdir(exist_ok=True)
    shutil.copy(phantom / "masks" / f"{series}.nii.gz", masks / path.name)


def _table(path: Path, rows: list[dict[str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _ct_rate(phantom: Path, folder: Path) -> int:
    """Version 2: HU in the files, geometry in their headers and in the metadata."""
    dataset = folder / "CT-RATE" / "dataset"
    scans = _scans(phantom, "reports_chest.csv")
    patients = sorted({scan.patient for scan in scans})
    for part, metadata in (("train", "train"), ("valid", "validation")):
        reports, facts, studies = [], [], Counter[str]()
        for scan in scans:
            number = patients.index(scan.patient)
            if (number % 2 == 1) != (part == "valid"):
                continue
            patient = f"{part}_{number + 1}"
            study = f"{patient}_{'abcdefgh'[studies[patient]]}"
            studies[patient] += 1
            name = f"{study}_1.nii.gz"
            path = dataset / f"{part}_fixed" / patient / study / name
            _save(scan, path, phantom)
            columns = ("ClinicalInformation_EN", "Technique_EN", "Findings_EN", "Impressions_EN")
            reports.append({"VolumeName": name} | {one: scan.report[one] for one in columns})
            facts.append({"VolumeName": name, **_metadata(path)})
        _table(dataset / "radiology_text_reports" / f"{metadata}_reports.csv", reports)
        _table(dataset / "metadata" / f"{metadata}_metadata.csv", facts)
    return len(scans)


def _metadata(path: Path) -> dict[str, str]:
    x, y, z = (float(size) for size in nib.load(path).header.get_zooms())
    return {
        "RescaleSlope": "1", "RescaleIntercept": "0", "XYSpacing": f"[{x}, {y}]",
        "ZSpacing": f"{z}", "ImagePositionPatient": "[0, 0, 0]",
        "ImageOrientationPatient": "[1, 0, 0, 0, 1, 0]",
    }  # fmt: skip


def _merlin(phantom: Path, folder: Path) -> int:
    """Flat NIfTI files and one sheet of reports with the split."""
    import pandas as pd

    place = folder / "merlinabdominalctdataset"
    rows = []
    for number, scan in enumerate(_scans(phantom, "reports_abdomen.csv")):
        name = f"AC{number:05d}"
        _save(scan, place / "merlin_data" / f"{name}.nii.gz", phantom)
        findings = re.split(r"IMPRESSION|FINDINGS", scan.report["report"])[1].lstrip(": \n")
        split = ("train", "test")[number % 2]
        rows.append({"study id": name, "Findings": findings, "Split": split})
    pd.DataFrame(rows).to_excel(place / "reports_final.xlsx", index=False)
    return len(rows)


def _own(phantom: Path, folder: Path) -> int:
    """A PACS export: all series of the studies as DICOM, and a table with accession numbers."""
    scans = _scans(phantom, "reports_abdomen.csv")
    for number, scan in enumerate(scans):
        shutil.copytree(scan.folder.parent, folder / "export" / "dicom" / str(number))
    _table(folder / "export" / "reports.csv", [scan.report for scan in scans])
    held_out = sorted({scan.patient for scan in scans})[::3]
    splits = [
        {
            "study_uid": scan.report["study_uid"],
            "split": "test" if scan.patient in held_out else "train",
        }
        for scan in scans
    ]
    _table(folder / "split.csv", splits)
    return len(scans)


LAYOUTS: dict[str, Callable[[Path, Path], int]] = {
    "ct_rate": _ct_rate,
    "merlin": _merlin,
    "own_abdomen": _own,
}


def _python_blocks(layout: str) -> list[str]:
    """The page's code for a layout, which writes the data set's split."""
    title = {"ct_rate": "CT-RATE", "merlin": "Merlin", "own_abdomen": "Your own abdomen"}[layout]
    (section,) = re.findall(rf"^## {title}$(.*?)^## ", PAGE, flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL)


def _small(recipe: Path, folder: Path, phantom: Path) -> tuple[Path, str]:
    """The recipe with the phantom's masks and a small model; its file, and its store."""
    settings = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    classes = str(phantom / "masks" / "classes.yaml")
    settings["segment"] = {"backend": "precomputed", "masks": "masks", "classes": classes}
    if recipe.stem == "own_abdomen":
        settings["segment"]["masks"] = str(phantom / "masks" / "manifest.csv")
    settings["execution"] = {"workers": 1}
    settings.setdefault("shard", {})["spacing_mm"] = [6.0, 6.0, 6.0]
    if "split" in settings["pair"]:
        # so few patients would fall into splits by chance
        settings["pair"] = {"split_file": "split.csv"}
    window = settings["train"].get("window_hu", [-1150, 350])
    chest = ["lung", "heart", "esophagus", "aorta"]
    anatomies = chest if recipe.stem == "ct_rate" else ["aorta", "liver", "stomach"]
    settings["train"] = {**SMALL, "anatomies": anatomies, "window_hu": window}
    settings["evaluate"] = {"preset": "small"}
    path = folder / recipe.name
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return path, settings["store"]


def _run(command: Any, *arguments: str) -> str:
    ended = CliRunner().invoke(command, list(arguments))
    assert ended.exit_code == 0, ended.output
    return str(ended.output)
