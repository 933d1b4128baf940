"""Attributes of findings, how rare they are, and pairs of a patient's studies with and without."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from fvlm_data.export import EXPORTS
from fvlm_data.export.run import Form, run_tables_export
from fvlm_data.store.tables import Store
from schemas import AnatomyText, Mask
from tests.core import hand_store
from tests.export.exporting import refused
from tests.export.over_time import made_store, visit


def exported(store: Store, folder: Path, **options: Any) -> tuple[Any, Any, dict[str, Any]]:
    """Rows, pairs and summary."""
    entry = EXPORTS.load("attributes")
    form = Form("attributes", entry, entry.options(**options))
    run_tables_export(store, form, folder, lambda _done, _total: None)
    rows, pairs = (
        pq.read_table(folder / f"{name}.parquet").to_pylist()
        for name in ("attributes", "counterfactual_pairs")
    )
    return rows, pairs, json.loads((folder / "summary.json").read_text())


def mask(class_name: str, value: int, ml: float, *, cut: bool = False) -> Mask:
    one = hand_store.mask("v_0", "masks/00/v_0.total.nii.gz")
    fields = {name: getattr(one, name) for name in one.__slots__}
    told = {"class_name": class_name, "class_value": value, "volume_ml": ml, "touches_border": cut}
    return Mask(**{**fields, **told})


def test_pathology_stands_apart_from_structure(tmp_path: Path):
    text = "Severe emphysema in both upper lobes. New 8 mm nodule in the right lower lobe. No cyst."
    store = made_store(tmp_path, visit("st_1", "2020-01-01", text), splits={"p_1": "train"})
    lungs = [
        mask("lung_upper_lobe_left", 1, 900.0),
        mask("lung_lower_lobe_right", 2, 600.5, cut=True),
    ]
    store.replace_all("masks", lungs)
    rows, pairs, _ = exported(store, tmp_path / "out")
    emphysema, nodule = rows
    assert (emphysema["finding"], emphysema["severity"]) == ("emphysema", "severe")
    assert (emphysema["laterality"], emphysema["lobes"]) == ("bilateral", ["upper"])
    assert (nodule["laterality"], nodule["size_mm"], nodule["change"]) == ("right", 8.0, "new")
    assert nodule["lobes"] == ["lower"]
    # one organ and one patient, whatever they have
    for row in rows:
        assert (row["anatomy"], row["anatomy_ml"], row["anatomy_cut"]) == ("lung", 1500.5, True)
    volume = store.read("volumes").to_pylist()[0]
    assert {(row["age_years"], row["sex"]) for row in rows} == {
        (volume["age_years"], volume["sex"])
    }
    assert pairs == []


def test_an_organ_without_a_mask_has_no_volume(tmp_path: Path):
    store = made_store(tmp_path, visit("st_1", None, "Cyst in the liver."))
    (row,), _, summary = exported(store, tmp_path / "out")
    assert (row["anatomy_ml"], row["anatomy_cut"]) == (None, None)
    # nobody is in split train yet: how rare it is there is not known
    assert (row["split"], row["train_patients"], row["shots"]) == (None, None, None)
    assert summary == {"findings": None, "rows": {"pairs": 0, "rows": 1, "studies": 1}}


def test_rarity_is_counted_in_patients_of_the_training_split_alone(tmp_path: Path):
    nodule, cyst = "Nodule in the right lung.", "Possible cyst in the liver."
    visits = [
        visit("st_a1", "2020-01-01", nodule, patient="p_a"),
        visit("st_a2", "2020-02-01", nodule, patient="p_a"),  # one patient counts once
        visit("st_b", None, nodule, cyst, patient="p_b"),
        visit("st_c", None, nodule, patient="p_c"),
        visit("st_d", None, nodule, "Gallstone.", patient="p_d"),
    ]
    splits = {"p_a": "train", "p_b": "train", "p_c": "train", "p_d": "test"}
    store = made_store(tmp_path, *visits, splits=splits)
    rows, _, summary = exported(store, tmp_path / "out", many=2, few=2)
    told = {(row["finding"], row["train_patients"], row["shots"]) for row in rows}
    # what is only held possible, or only seen in test patients, is not learned from anybody
    assert told == {("lung_nodule", 3, "many"), ("liver_cyst", 0, "few"), ("gallstone", 0, "few")}
    assert summary["findings"] == {"lung_nodule": {"train_patients": 3, "shots": "many"}}


@pytest.mark.parametrize(
    ("first", "second", "absence"),
    [
        ("Nodule in the right lung.", "No pulmonary nodules.", "denied"),
        ("Nodule in the right lung.", "The lungs are normal.", "normal_stated"),
        ("Nodule in the right lung.", "The liver is normal.", None),
        ("Possible nodule in the right lung.", "No pulmonary nodules.", None),
        ("Nodule in the right lung.", "No pulmonary nodules in the right upper lobe.", None),
    ],
    ids=["denied", "normal", "silence", "held possible", "one lobe denied"],
)  # fmt: skip
@pytest.mark.parametrize("with_it_first", [True, False])
def test_pairs_with_and_without(
    tmp_path: Path, first: str, second: str, absence: str | None, with_it_first: bool
):
    texts = (first, second) if with_it_first else (second, first)
    dates = ("2020-01-01", "2020-03-01")
    store = made_store(
        tmp_path,
        *(
            visit(f"st_{n}", day, text)
            for n, (day, text) in enumerate(zip(dates, texts, strict=True))
        ),
    )
    without = f"st_{int(with_it_first)}"
    if "normal" in second:
        said = next(one for one in store.read("sentences").to_pylist() if one["text"] == second)
        (anatomy,) = said["anatomies"]
        source = f"{said['report_id']}:{said['start']}:{said['end']}"
        normal = AnatomyText(study_id=without, anatomy=anatomy, text=second, state="normal_stated",
                             signature=0, findings=(), labels=(), sources=(source,))  # fmt: skip
        store.replace_all("anatomy_texts", [normal])
    _, pairs, _ = exported(store, tmp_path / "out")
    if absence is None:
        assert pairs == []
        return
    pairs = [pair for pair in pairs if pair["laterality"] == "right"]
    (pair,) = pairs
    assert (pair["study_without"], pair["absence"]) == (without, absence)
    assert pair["days"] == (60 if with_it_first else -60)
    assert [one.split(":")[0] for one in pair["sources_without"]] == [f"r_{without}_0"]
    assert pair["sources_with"]


def test_bounds_of_rarity_that_cannot_be(tmp_path: Path):
    store = made_store(tmp_path, visit("st_1", None, "Cyst in the liver."))
    assert "few (30) is above many (20)" in refused(
        "attributes", tmp_path / "out", store, "--few", "30", "--many", "20"
    )
