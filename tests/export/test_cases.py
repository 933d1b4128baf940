"""Cases: every image in its study, patches that cover it, one label set for all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fvlm_data.export import EXPORTS
from fvlm_data.export.cases.patches import overlaps, patches
from fvlm_data.export.run import Form, run_tables_export
from fvlm_data.store.tables import Store
from tests.core import hand_store
from tests.export.exporting import refused
from tests.export.over_time import made_store, visit

NODULE, CLEAR = "8 mm lung nodule.", "No lung nodule. No pleural effusion."


def exported(store: Store, folder: Path, **options: Any) -> tuple[list[Any], dict[str, int]]:
    entry = EXPORTS.load("cases")
    form = Form("cases", entry, entry.options(**options))
    run_tables_export(store, form, folder, lambda _done, _total: None)
    lines = (folder / "cases.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines], json.loads((folder / "summary.json").read_text())


def store_of(folder: Path) -> Store:
    """A patient with two studies, of which the first has two images; one without a report."""
    store = made_store(
        folder,
        visit("st_1", "2020-01-01", CLEAR),
        visit("st_2", "2020-01-31", NODULE),
        visit("st_3", "2020-01-01", patient="p_2"),
        splits={"p_1": "train", "p_2": "test"},
    )
    volumes = [
        hand_store.volume(number, study, patient, acquired_on=day, shape=(40, 30, 20),
                          spacing_mm=(1.0, 1.0, 2.0))
        for number, study, patient, day in [
            (0, "st_1", "p_1", "2020-01-01"), (1, "st_2", "p_1", "2020-01-31"),
            (2, "st_3", "p_2", "2020-01-01"), (3, "st_1", "p_1", "2020-01-01"),
        ]
    ]  # fmt: skip
    store.replace_all("volumes", volumes)
    store.replace_all("masks", [hand_store.mask("v_0", "masks/00/v_0.total.nii.gz")])
    return store


def test_a_patients_case_holds_all_images_and_the_labels_of_all_studies(tmp_path: Path):
    (case,), summary = exported(store_of(tmp_path), tmp_path / "out", case="patient", patch_mm=20.0)
    assert (case["case_id"], case["split"]) == ("p_1", "train")
    held = [(one["study_id"], one["days"], [image["volume_id"] for image in one["images"]])
            for one in case["studies"]]  # fmt: skip
    assert held == [("st_1", 0, ["v_0", "v_3"]), ("st_2", 30, ["v_1"])]
    assert case["labels"]["Lung nodule"] == 1
    assert case["labels"]["Pleural effusion"] == 0
    first = case["studies"][0]["images"][0]
    assert (first["modality"], first["path"]) == ("CT", "volumes/00/v_0.nii.gz")
    # 40 x 30 x 40 mm in cubes of 20 mm
    assert len(first["patches"]) == 2 * 2 * 2
    assert [one["anatomies"] for one in first["patches"]] == [["liver"], *[[]] * 7]
    assert summary == {
        "cases": 1, "cases_of_several_images": 1, "images": 3, "patches": 24, "studies": 2,
        "without_report": 1,
    }  # fmt: skip


def test_a_study_is_a_case_of_its_own(tmp_path: Path):
    cases, _ = exported(store_of(tmp_path), tmp_path / "out")
    assert [(one["case_id"], one["labels"]["Lung nodule"]) for one in cases] == [
        ("st_1", 0), ("st_2", 1),
    ]  # fmt: skip


def test_an_unknown_label_set_is_told(tmp_path: Path):
    said = refused("cases", tmp_path / "out", store_of(tmp_path).url, "--label-set", "ours")
    assert "label set ours: not known" in said


@given(
    st.tuples(*[st.integers(1, 9)] * 3),
    st.tuples(*[st.floats(0.3, 5)] * 3),
    st.floats(1, 200),
)
def test_patches_cover_each_voxel_once(
    shape: tuple[int, ...], spacing: tuple[float, ...], patch_mm: float
):
    covered = np.zeros(shape, int)
    found = patches(shape, spacing, patch_mm)
    for i0, j0, k0, i1, j1, k1 in found:
        assert i0 < i1
        assert j0 < j1
        assert k0 < k1
        covered[i0:i1, j0:j1, k0:k1] += 1
        # of three half patches none is cut off to a sliver
        for size, one in zip((i1 - i0, j1 - j0, k1 - k0), spacing, strict=True):
            assert size * one < 1.5 * patch_mm + one + 1e-6 or size == 1
    assert (covered == 1).all()
    assert not any(overlaps(one, other) for one in found[:4] for other in found[:4] if one != other)
