"""The three lines that each export prints open what it wrote, in the tool it was written for."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path

import pytest

from fvlm_data.export import EXPORTS
from fvlm_data.store.tables import Store
from tests.core import hand_store
from tests.export.exporting import export
from tests.shards.conftest import World

SHOWS = {
    "tables": "Series",
    "labels": "Medical material",
    "webdataset": "'image.npy'",
    "cases": "DataFrame",
    "change": "Series",
    "ct-rate": "split",
    "outcome": "count",
    "merlin": "Series",
    "questions": "DataFrame",
    "organ-pairs": "Series",
    "attributes": "Series",
    "region-texts": "Series",
    "report-generation": "DataFrame",
    "slice-references": "Series",
    "dicom": "['",
    "monai": "3 items, the first:",
    "huggingface": "num_rows",
}
"""What the last line prints, among other things; nnU-Net's lines are of a shell."""


@pytest.mark.parametrize("form", sorted(SHOWS))
def test_they_run(
    form: str,
    world: World,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("FVLM_VAULT", str(world.context.vault.folder))
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    # of its own: other tests export the session's store with other vaults
    copy = tmp_path / "store"
    shutil.copytree(world.store.url, copy, ignore=shutil.ignore_patterns("vault.mark"))
    if form == "outcome":
        died = hand_store.clinical("p_00", 0, "outcome", "death", 1.0, "2020-05-20")
        Store.open(copy).replace_all("clinical", [died])
    # a name that must be quoted
    result = export(form, tmp_path / "it's out", str(copy), "--json")
    assert result.exit_code == 0, result.stderr
    lines = json.loads(result.stdout)["open"]
    assert len(lines) == 3
    capsys.readouterr()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the other tools
        exec("\n".join(lines), {})
    assert SHOWS[form] in capsys.readouterr().out


def test_those_of_nnunet_name_its_number_and_folds(store: str, tmp_path: Path):
    folder = tmp_path / "raw data" / "Dataset501_Organs"
    lines = json.loads(export("nnunet", folder, store, "--json").stdout)["open"]
    assert len(lines) == 3
    assert lines[0].startswith(f"export nnUNet_raw='{folder.parent}'")
    assert " -d 501 " in lines[1]
    assert (folder / "splits_final.json").exists()
    assert lines[2].startswith(f"cp '{folder / 'splits_final.json'}' ")


def test_a_person_can_copy_them(store: str, tmp_path: Path):
    said = export("monai", tmp_path / "out", store).stdout.splitlines()
    assert said[-4] == "to open it:"
    assert all(line.startswith("    ") for line in said[-3:])


def test_every_export_of_ours_is_tried():
    assert {*SHOWS, "nnunet"} == set(EXPORTS.own)
