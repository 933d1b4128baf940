"""The verbs of `fvlm-eval` from the command line, and INPUT of `embed`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import fvlm_data.shards
import fvlm_train.evaluate.findings
from fvlm_data.errors import ConfigError
from fvlm_data.store.tables import Store
from fvlm_train.cli import eval_app
from fvlm_train.evaluate.embed import check_spacing
from fvlm_train.runs import trained_run
from fvlm_train.testing import TOY_FINDINGS, toy_source
from fvlm_train.text_side import text_side

SEEDS = {"train": 0, "validation": 1, "test": 2}
QUICK = [
    *("--set", "evaluate.min_positive_patients=1", "--set", "evaluate.bootstrap_samples=20"),
    *("--set", "evaluate.draws=2", "--set", "evaluate.shots=[1]", "--set", "evaluate.folds=2"),
]


@pytest.fixture
def shards(monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(store: str, split: str, *_: Any) -> Any:
        return toy_source(24, SEEDS[split])

    monkeypatch.setattr(fvlm_data.shards, "ShardDataset", opened)
    monkeypatch.setattr("fvlm_train.data.chosen.ShardDataset", opened)
    monkeypatch.setattr(fvlm_train.evaluate.findings, "store_findings", lambda *_: TOY_FINDINGS)
    monkeypatch.setattr("fvlm_train.commands.prepared.store_findings", lambda *_: TOY_FINDINGS)


def told(*command: str) -> Any:
    result = CliRunner().invoke(eval_app, [*command])
    assert result.exit_code == 0, result.output
    assert "nan" not in result.stdout.lower()
    return result.stdout


@pytest.mark.usefixtures("shards")
def test_each_verb_of_a_store(toy_run: Path, tmp_path: Path) -> None:
    run, store = str(toy_run), ["--store", "s", *QUICK]
    out = str(tmp_path / "probe.parquet")
    probed = json.loads(told("probe", run, *store, "--out", out, "--json"))
    assert probed["table"]
    assert "mean few-shot AUC" in told("probe", run, *store, "--out", out)
    scores = str(tmp_path / "zero_shot.parquet")
    told("zero-shot", run, *store, "--out", scores)
    compared = json.loads(told("compare", out, scores, *QUICK, "--json"))
    assert compared["samples"] == 24
    assert "text to image" in told("retrieval", run, *store)
    organs = json.loads(told("organs", run, *store, "--json"))
    assert all(0 <= one["low"] <= one["high"] <= 1 for one in organs["recognised"])
    assert told("organs", run, *store).startswith("organ of a region")
    rows = tmp_path / "rows.jsonl"
    assert "labels doubted" in told("doubtful", run, *store, "--out", str(rows))
    assert json.loads(rows.read_text().splitlines()[0])["rank"] == 1


@pytest.mark.usefixtures("shards")
def test_nearest_to_a_text_are_those_of_the_greatest_cosine(toy_run: Path, tmp_path: Path) -> None:
    Store.create(tmp_path / "s")
    told("embed", str(toy_run), "--store", str(tmp_path / "s"), "--split", "test", "--out",
         str(tmp_path))  # fmt: skip
    file = tmp_path / "embeddings.parquet"
    asked = ["nearest", str(toy_run), "A cyst of the liver.", "--embeddings", str(file)]
    found = json.loads(told(*asked, "--anatomy", "liver", "--limit", "3", "--json"))
    rows = [row for row in pq.read_table(file).to_pylist() if row["anatomy"] == "liver"]
    text = np.array(text_side(toy_run).vector("A cyst of the liver."))
    cosines = sorted((float(text @ np.array(row["embedding"])) for row in rows), reverse=True)
    assert np.linalg.norm(text) == pytest.approx(1, abs=1e-5)
    assert [one["cosine"] for one in found] == pytest.approx(cosines[:3], abs=1e-5)
    assert len(told(*asked, "--limit", "5").splitlines()) == 5
    wrong = CliRunner().invoke(eval_app, [*asked, "--anatomy", "spleen"])
    assert "--anatomy spleen: not of this run; expected one of liver, kidney, lung" in wrong.stderr


@pytest.mark.usefixtures("shards")
@pytest.mark.parametrize("verb", ["zero-shot", "probe", "doubtful", "embed", "attend", "baseline"])
def test_a_dry_run_reads_and_leaves_nothing(toy_run: Path, tmp_path: Path, verb: str) -> None:
    Store.create(tmp_path / "s")
    before = sorted(toy_run.rglob("*"))
    more = {
        "embed": ["study_2_0003"],
        "attend": ["study_2_0003"],
        "baseline": ["--labels", str(tmp_path / "labels.csv")],
    }.get(verb, [])
    out = ["--out", str(tmp_path / "out"), "--dry-run", "--json"]
    seen = json.loads(told(verb, str(toy_run), *more, "--store", str(tmp_path / "s"), *out))
    assert seen["dry_run"] is True
    assert sum(seen["reads"].values()) in (1, 24, 48)
    assert sorted(toy_run.rglob("*")) == before
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("shards")
def test_embed_takes_stored_studies(toy_run: Path, tmp_path: Path) -> None:
    Store.create(tmp_path / "s")
    command = ["embed", str(toy_run), "study_2_0003", "--store", str(tmp_path / "s")]
    out = tmp_path / "out"
    assert "sample sample_0003 of study study_2_0003" in told(*command, "--out", str(out))
    embeddings = pq.read_table(out / "embeddings.parquet")
    assert embeddings["anatomy"].to_pylist() == ["liver", "kidney", "lung"]
    assert embeddings.schema.field("embedding").type.list_size == 16
    pictures = told("attend", *command[1:], "--out", str(tmp_path / "pictures"), "--json")
    assert all(Path(one).is_file() for one in json.loads(pictures)["pictures"])


@pytest.mark.usefixtures("shards")
@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["embed", "RUN", "nothing"], "give one of them"),
        (["embed", "RUN", "--store", "STORE"], "nothing is asked for"),
        (["embed", "RUN", "st_unknown", "--store", "STORE"], "st_unknown: neither a file"),
        (["embed", "RUN", ".", "st_1", "--store", "STORE"], "are asked for apart"),
        (["embed", "RUN", "st_1", "--store", "STORE", "--split", "test"], "not both"),
        (["embed", "RUN", ".", "--store", "STORE", "--masks", "."], "belong together"),
        (["probe", "RUN", "--store", "STORE", "--split", "train"], "judged on another split"),
        (["probe", "STORE", "--store", "STORE"], "no checkpoint.pt there"),
        (["compare", "STORE", "STORE"], "write them by `fvlm-eval zero-shot`"),
        (["doubtful", "RUN", "--store", "s", "--out", "x.csv"], "expected a name that ends in"),
        (["export", "RUN", "STORE"], "is there and not empty"),
    ],
)
def test_bad_input_is_one_sentence(
    toy_run: Path, tmp_path: Path, command: list[str], message: str
) -> None:
    Store.create(tmp_path / "store")
    places = {"RUN": str(toy_run), "STORE": str(tmp_path / "store")}
    result = CliRunner().invoke(eval_app, [places.get(part, part) for part in command])
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert "Traceback" not in result.output


def test_another_spacing_is_refused(toy_run: Path) -> None:
    import pyarrow as pa

    run = trained_run(toy_run)._replace(spacing_mm=(5.0, 4.0, 4.0))
    source = toy_source(2, 0)
    source.rows = source.rows.append_column("spacing_mm", pa.array([[5.0, 4.0, 4.1]] * 2))
    check_spacing(run, source)
    source.rows = source.rows.set_column(
        source.rows.num_columns - 1, "spacing_mm", pa.array([[3.0, 1.0, 1.0]] * 2)
    )
    with pytest.raises(ConfigError, match=r"1\.00 x 1\.00 x 3\.00 mm .* trained at 4\.00 x 4\.00"):
        check_spacing(run, source)


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from fvlm_data.phantom import generate

    folder = tmp_path_factory.mktemp("patient")
    generate(folder, patients=1, seed=11)
    return folder


def test_one_command_goes_from_dicom_to_scores(
    toy_run: Path, patient: Path, tmp_path: Path, vault_folder: Path
) -> None:
    config = tmp_path / "config.yaml"
    classes = patient / "masks" / "classes.yaml"
    config.write_text(
        f"store: {tmp_path / 'none'}\n"
        "shard: {spacing_mm: [6.0, 6.0, 6.0], dtype: uint8}\n"
        f"segment: {{backend: precomputed, masks: {patient / 'masks' / 'manifest.csv'}, "
        f"classes: {classes}}}\n"
    )
    out = tmp_path / "out"
    dicom = str(patient / "dicom")
    command = ["embed", str(toy_run), dicom, "--config", str(config), "--out", str(out)]
    summary = json.loads(told(*command, "--json"))
    assert summary["samples"] >= 1
    scores = pq.read_table(out / "scores.parquet").to_pylist()
    assert {row["anatomy"] for row in scores} <= {"liver", "kidney", "lung"}
    assert all((row["score"] is None) != row["anatomy_present"] for row in scores)
    assert any(row["anatomy_present"] for row in scores)
    assert all(row["source"].startswith("f_") for row in scores if row["source"])
    assert not (tmp_path / "none").exists()
    assert not vault_folder.exists(), "names of these patients stay in no vault"


def series_of(patient: Path, out: Path, *, uids: bool) -> Path:
    """One series of the patient in a folder of its own, without UIDs where asked; its mask."""
    import pydicom

    first = sorted((patient / "dicom").rglob("*.dcm"))[0]
    uid = pydicom.dcmread(first).SeriesInstanceUID
    out.mkdir(parents=True)
    for path in sorted(first.parent.iterdir()):
        dataset = pydicom.dcmread(path)
        if not uids:
            del dataset.SeriesInstanceUID, dataset.StudyInstanceUID
        dataset.save_as(out / path.name)
    return patient / "masks" / f"{uid}.nii.gz"


def embedded(toy_run: Path, patient: Path, tmp_path: Path, *told_: str | Path) -> Any:
    config = tmp_path / "config.yaml"
    config.write_text("shard: {spacing_mm: [6.0, 6.0, 6.0], dtype: uint8}\n")
    command = ["embed", str(toy_run), *map(str, told_), "--config", str(config)]
    command += ["--classes", str(patient / "masks" / "classes.yaml"), "--json"]
    return CliRunner().invoke(eval_app, [*command, "--out", str(tmp_path / "out")])


@pytest.mark.parametrize(
    ("uids", "alone"),
    [(False, "a file"), pytest.param(True, "a folder", marks=pytest.mark.full)],
)
def test_the_one_mask_of_one_series_needs_no_name(
    toy_run: Path, patient: Path, tmp_path: Path, uids: bool, alone: str
) -> None:
    scan, masks = tmp_path / "scan", tmp_path / "masks"
    masks.mkdir()
    mask = masks / "seen by nobody.nii.gz"
    shutil.copy(series_of(patient, scan, uids=uids), mask)
    given = mask if alone == "a file" else masks
    result = embedded(toy_run, patient, tmp_path, scan, "--masks", given)
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    assert (summary["samples"], summary["set_aside"]) == (1, {})
    assert summary["embeddings"] >= 1


@pytest.mark.full
def test_masks_called_as_the_folders_of_their_series_are_found(
    toy_run: Path, patient: Path, tmp_path: Path
) -> None:
    """Two scans without UIDs; the third mask is of neither, and one volume stays without."""
    mask = series_of(patient, tmp_path / "one", uids=False)
    series_of(patient, tmp_path / "two", uids=True)
    masks = tmp_path / "masks"
    masks.mkdir()
    for name in ("one", "other"):
        shutil.copy(mask, masks / f"{name}.nii.gz")
    inputs = (tmp_path / "one", tmp_path / "two")
    result = embedded(toy_run, patient, tmp_path, *inputs, "--masks", masks)
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    assert summary["samples"] == 1
    assert summary["set_aside"] == {"fault: no_label_map": 1}
    (masks / "one.nii.gz").rename(masks / "another.nii.gz")
    result = embedded(toy_run, patient, tmp_path, *inputs, "--masks", masks)
    assert result.exit_code == 2
    message = " ".join(result.stderr.split())
    assert "a mask is called as its image file, as the INPUT that it is of" in message
    assert "--masks FILE needs no name" in message


@pytest.mark.full
def test_a_mask_of_another_scan_is_refused_by_its_grid(
    toy_run: Path, patient: Path, tmp_path: Path
) -> None:
    import nibabel as nib
    import numpy as np

    own = series_of(patient, tmp_path / "scan", uids=True)
    image = nib.load(own)
    moved = np.array(image.affine)
    moved[:3, 3] += 400
    mask = tmp_path / "mask.nii.gz"
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), moved), mask)
    result = embedded(toy_run, patient, tmp_path, tmp_path / "scan", "--masks", mask)
    assert result.exit_code == 2
    assert "the mask's grid" in " ".join(result.stderr.split())


def test_images_that_give_nothing_are_told(toy_run: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("segment: {backend: threshold}\n")
    empty = tmp_path / "scans"
    empty.mkdir()
    (empty / "note.txt").write_text("no image")
    command = ["embed", str(toy_run), str(empty), "--config", str(config)]
    result = CliRunner().invoke(eval_app, command)
    assert result.exit_code == 2
    assert "no volume could be scored" in result.stderr
