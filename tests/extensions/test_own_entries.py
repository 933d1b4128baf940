"""The checks that are shipped for packages of others hold of our own entries, and find faults."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

import fvlm_data.extensions
import fvlm_data.run.plugins
from fvlm_data.extensions import Offer
from fvlm_data.reports.sources.kind import REPORT_SOURCES, Kind
from fvlm_data.reports.sources.rows import RowDraft, faulty
from fvlm_data.run.plugins import plugins
from fvlm_data.run.registry import all_lists
from fvlm_data.segment.backend import BackendEntry, Segmentation, VolumeImage
from fvlm_data.segment.backends import BACKENDS
from fvlm_data.segment.threshold import Threshold
from fvlm_data.testing import check_backend, check_report_source, check_source
from tests.extensions.ward import AFFINE_RAS, chest

VOLUME = VolumeImage("v_1", chest(0), AFFINE_RAS)
REPORTS = {
    "csv": ("a.csv", "study_uid,report\n1.2.3,No nodule.\n"),
    "jsonl": ("a.jsonl", json.dumps({"study_uid": "1.2.3", "report": "No nodule."}) + "\n"),
    "text": ("1.2.3.4.txt", "No nodule."),
}


def bring(monkeypatch: pytest.MonkeyPatch, group: str, name: str, attribute: str) -> None:
    """Have a package bring what stands in this module."""
    offer = Offer(name, f"{__name__}:{attribute}", "others", "1.0")
    monkeypatch.setattr(
        fvlm_data.extensions, "foreign", lambda asked: (offer,) if asked == group else ()
    )


def test_every_entry_of_ours_loads():
    assert [one for one in plugins() if one.package == "fvlm" and one.fault] == []
    assert {one.list for one in plugins()} == set(all_lists())


def test_what_needs_an_extra_is_told_by_its_name(monkeypatch: pytest.MonkeyPatch):
    def lacking(offer: Offer, what: str) -> None:
        if "fvlm_train" in offer.place:
            raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(fvlm_data.run.plugins, "loaded", lacking)
    faults = {one.name: one.fault for one in plugins() if one.package == "fvlm" and one.fault}
    assert faults == dict.fromkeys(("vit", "mae", "swin", "i3d_resnet"), "needs the extra [train]")


def test_nifti_is_a_source(tmp_path: Path):
    nib.save(nib.Nifti1Image(chest(0), AFFINE_RAS), tmp_path / "one.nii.gz")
    (tmp_path / "readme.txt").write_text("no volume")
    check_source("nifti", tmp_path)


def test_a_source_without_a_volume_is_told(tmp_path: Path):
    (tmp_path / "readme.txt").write_text("no volume")
    with pytest.raises(AssertionError, match="nifti: no volume was taken in"):
        check_source("nifti", tmp_path)


@pytest.mark.parametrize("kind", REPORTS)
def test_ours_are_sources_of_reports(tmp_path: Path, kind: str):
    name, text = REPORTS[kind]
    (tmp_path / name).write_text(text)
    check_report_source(kind, tmp_path / name)


def test_threshold_is_a_backend():
    assert check_backend("threshold", VOLUME).class_system == "threshold"


def wrong_labels(**changed: Any) -> BackendEntry:
    def make(config: Any, options: Any) -> Any:
        class Wrong:
            name, version = "wrong", "1"

            def __call__(self, volume: VolumeImage) -> Segmentation:
                made = Threshold()(volume)
                made = Segmentation(made.labels, made.classes, made.class_system)
                return replace(made, **{k: v(made) for k, v in changed.items()})

        return Wrong()

    return BackendEntry(make=make)


UNNAMED = wrong_labels(classes=lambda made: {1: "body"})
OTHER_SHAPE = wrong_labels(labels=lambda made: made.labels[1:])
WIDE = wrong_labels(labels=lambda made: made.labels.astype(np.int64))
EMPTY = wrong_labels(labels=lambda made: np.zeros_like(made.labels))


@pytest.mark.parametrize(
    ("attribute", "told"),
    [
        ("UNNAMED", r"values \[2, 3\] have no name"),
        ("OTHER_SHAPE", r"labels of shape \(47, 48, 24\), expected \(48, 48, 24\)"),
        ("WIDE", "labels are int64"),
        ("EMPTY", "the label map is empty"),
    ],
)
def test_wrong_label_maps_are_told(monkeypatch: pytest.MonkeyPatch, attribute: str, told: str):
    name = f"wrong_{attribute.lower()}"
    bring(monkeypatch, BACKENDS.group, name, attribute)
    monkeypatch.setattr(
        "fvlm_data.testing.backends.made_backend",
        lambda config: _named(BACKENDS.load(name).make(config, None), name),
    )
    with pytest.raises(AssertionError, match=told):
        check_backend(name, VOLUME)


def _named(backend: Any, name: str) -> Any:
    backend.name = name
    return backend


def _telling(path: Path, options: Any) -> Any:
    draft = RowDraft(columns={"report": "a"})
    draft.link("study_uid", "1.2.3")
    yield draft.row(0)
    text = path.read_text()
    yield replace(faulty(1, "bad_row", f"cannot read {text}"), columns={"report": text})


def _numbered(path: Path, options: Any) -> Any:
    yield RowDraft(columns={"report": "a"}).row(7)


TELLING, NUMBERED = Kind((".x",), _telling), Kind((".x",), _numbered)


@pytest.mark.parametrize(
    ("attribute", "told"),
    [("TELLING", "its detail holds 1 identities"), ("NUMBERED", r"rows are numbered \[7\]")],
)
def test_wrong_report_rows_are_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, attribute: str, told: str
):
    bring(monkeypatch, REPORT_SOURCES.group, "wrong", attribute)
    (tmp_path / "a.x").write_text("Mrs Doe")
    with pytest.raises(AssertionError, match=told):
        check_report_source("wrong", tmp_path / "a.x")
