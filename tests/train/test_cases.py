"""Cases of several images: what one image alone shows is found by attending to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from typer.testing import CliRunner

from fvlm_data.errors import StoreError
from fvlm_data.segment.nifti import label_map_bytes
from fvlm_data.store.tables import Store
from fvlm_train.cases.dataset import ImagesOfCases, PatchesOfCases, joined, labels_of
from fvlm_train.cases.model import CaseModel
from fvlm_train.cli import eval_app

FEW = ("--set", "evaluate.bootstrap_samples=50", "--set", "evaluate.min_positive_patients=3")


def case(number: int, images: list[dict[str, Any]], **labels: int) -> dict[str, Any]:
    return {
        "case_id": f"c_{number}", "patient_id": f"p_{number}",
        "split": "train" if number % 3 else "test", "labels": labels,
        "studies": [{"study_id": f"st_{number}", "days": 0, "images": images}],
    }  # fmt: skip


def image(name: str, **more: Any) -> dict[str, Any]:
    return {"volume_id": name, "path": f"{name}.nii.gz", "patches": [], **more}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Six images a case; of a case with a nodule one of them, never the last, shows it strongly."""
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    cases, rows = [], []
    for number in range(150):
        nodule = int(rng.random() < 0.5)
        names = [f"v_{number}_{n}" for n in range(6)]
        shows = int(rng.integers(5))
        for n, name in enumerate(names):
            told = rng.normal(0, 1, 6)
            told[0] += 5.0 if nodule and n == shows else 0.0
            rows.append({"study_id": "s", "volume_id": name, "anatomy": "lung", "embedding": told})
        cases.append(case(number, [image(name) for name in names], Nodule=nodule, Rare=-1))
    (folder / "cases.jsonl").write_text("".join(json.dumps(one) + "\n" for one in cases))
    pq.write_table(pa.Table.from_pylist(rows), folder / "embeddings.parquet")
    return str(folder / "cases.jsonl"), str(folder / "embeddings.parquet")


def test_attention_finds_the_image_that_shows_it(corpus: tuple[str, str]):
    asked = ["cases", corpus[0], "--embeddings", corpus[1], *FEW]
    done = CliRunner().invoke(eval_app, [*asked, "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    auc = {one["way"]: one["auc"] for one in told["means"]}
    assert auc["attention"] > 0.9
    assert auc["attention"] > auc["mean"]
    assert abs(auc["last image"] - 0.5) < 0.25
    assert (told["labels"], told["not_judged"], told["judged"], told["several"]) == (1, 1, 50, 50)


def test_what_cannot_be_judged_is_told(corpus: tuple[str, str], tmp_path: Path):
    asked = ["cases", corpus[0], "--embeddings", corpus[1], "--epochs", "1"]
    same = CliRunner().invoke(eval_app, [*asked, "--split", "train"])
    assert "judged on another split" in same.stderr
    none = CliRunner().invoke(eval_app, [*asked, "--split", "validation"])
    assert "split validation: holds no case" in none.stderr
    many = ("--set", "evaluate.min_positive_patients=90", "--set", "evaluate.bootstrap_samples=10")
    assert "no label has" in CliRunner().invoke(eval_app, [*asked, *many]).stderr
    (tmp_path / "cases.jsonl").write_text('{"case_id": "c"}\n')
    other = ["cases", str(tmp_path / "cases.jsonl"), "--embeddings", corpus[1]]
    assert "fvlm-data export cases" in CliRunner().invoke(eval_app, other).stderr


def test_an_image_that_is_not_there_changes_nothing():
    embedded = {
        name: {"lung": np.full(2, value, np.float32)} for name, value in (("a", 1.0), ("b", 2.0))
    }
    cases = [case(0, [image("a")], X=1), case(1, [image("a"), image("b"), image("gone")], X=-1)]
    held = ImagesOfCases(cases, embedded, ["liver", "lung"])
    # liver, lung, and whether each is shown
    assert held[1].features_if.tolist() == [[0, 0, 1, 1, 0, 1], [0, 0, 2, 2, 0, 1]]
    assert labels_of(cases[1])[1].tolist() == [False]
    features, there, _, _ = joined([held[0], held[1]])
    assert there.tolist() == [[True, False], [True, True]]
    torch.manual_seed(0)
    model = CaseModel(features.shape[2], 1, "attention").eval()
    torch.nn.init.normal_(model.weight)
    alone = model(*joined([held[0]])[:2])
    torch.testing.assert_close(model(features, there)[0], alone[0])


def test_patches_are_the_voxels_of_their_boxes(tmp_path: Path):
    store = Store.create(tmp_path / "store")
    voxels = np.arange(4 * 4 * 2).reshape(4, 4, 2).astype(np.int16)
    store.write_bytes("a.nii.gz", label_map_bytes(voxels, np.eye(4)))
    boxes = [{"box": [0, 0, 0, 2, 4, 2]}, {"box": [2, 0, 0, 4, 4, 2]}]
    held = PatchesOfCases(store, [case(0, [image("a", patches=boxes)], X=1)], 2)
    found = held[0]
    assert found.image_p.tolist() == [0, 0]
    assert found.patches_psss[1].tolist() == voxels[2:4][:, [1, 3]].tolist()
    store.write_bytes("a.nii.gz", b"no image")
    with pytest.raises(StoreError, match=r"a\.nii\.gz: .*expected a volume"):
        held[0]
