from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from fvlm_data.ingest.volume.plausibility import check_filled, check_plausible

CT = (
    "example_ct.nii.gz",
    "example_ct_sm.nii.gz",
    "chest_1p5mm/ct.nii.gz",
    "aorta_1p5mm/ct.nii.gz",
)
LABELS = ("example_seg.nii.gz", "aorta_1p5mm/aorta.nii.gz", "example_seg_dicom.nii.gz")


def load(path: Path) -> NDArray[np.int32]:
    return np.asarray(nib.load(path).dataobj).astype(np.int32)


def reason(values: NDArray[Any]) -> str:
    fault = check_plausible(np.clip(values, -32768, 32767).astype(np.int16))
    return fault.reason if fault else ""


@pytest.mark.parametrize("name", CT)
def test_real_ct_passes_and_its_mishaps_do_not(real_data: Path, name: str):
    hu = load(real_data / name)
    padded = hu.copy()
    padded[:20], padded[-20:] = -2000, -3024
    assert [reason(hu), reason(padded), reason(np.clip(hu, -1024, 3071))] == ["", "", ""]
    assert reason(hu + 1024) == reason(np.clip(hu + 1024, 0, None)) == "rescaling_forgotten"
    painted = np.where(hu <= -1000, -1024, hu + 1024)  # forgotten, but for the padding
    assert reason(painted) == "rescaling_forgotten"
    assert reason(hu - 1024) == "rescaling_repeated"
    for wrong in (np.clip(hu - 1024, -1024, None), hu + 8192, -hu, hu * 2, np.abs(hu)):
        assert reason(wrong)


@pytest.mark.parametrize("name", LABELS)
def test_label_maps_are_no_ct(real_data: Path, name: str):
    assert reason(load(real_data / name)) == "values_not_hu"


def test_a_constant_or_empty_image_is_no_ct():
    for value in (0, -1024, -3024, 40):
        assert reason(np.full((8, 9, 10), value)) == "values_not_hu"


def test_the_sentence_gives_the_numbers():
    fault = check_plausible(np.full((6, 6, 6), 1100, np.int16))
    assert fault is not None
    assert "from 1100 to 1100" in fault.detail
    assert "expected at most 15%" in fault.detail


def filled(values: NDArray[Any]) -> str:
    fault = check_filled(values.astype(np.int16).transpose(2, 1, 0))
    return fault.reason if fault else ""


@pytest.mark.parametrize("name", CT)
def test_real_ct_that_was_clipped_or_filled_with_a_value_of_tissue_is_told(
    real_data: Path, name: str
):
    hu = load(real_data / name)
    assert filled(hu) == filled(np.clip(hu, -1000, 1000)) == filled(np.clip(hu, -900, 400)) == ""
    for low, high in ((-160, 240), (-500, 500), (0, 1500)):
        assert filled(np.clip(hu, low, high)) == "values_clipped"
    turned = {
        fill: ndimage.rotate(hu, 25, axes=(0, 1), reshape=True, order=1, cval=fill)
        for fill in (0, -1, -1024)
    }
    assert [filled(turned[fill]) for fill in (0, -1, -1024)] == ["padding_within_tissue"] * 2 + [""]
    masked = np.where(ndimage.binary_opening(hu > -300, iterations=3), hu, 0)
    assert filled(masked)
    padded = np.pad(hu, ((0, 0), (0, 0), (2, 0)))
    assert filled(padded) == "padding_within_tissue"
    assert filled(np.pad(hu, ((0, 0), (0, 0), (2, 0)), constant_values=-1024)) == ""
    # in a crop of the middle the corners are tissue
    assert filled(hu[40:80, 40:80]) == ""
