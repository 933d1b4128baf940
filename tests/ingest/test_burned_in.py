from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
import pytest
from series import Series, set_hu, write

from fvlm_data.ingest.dicom.burned_in import check_text

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Ingested
    from numpy.typing import NDArray

GLYPHS = {
    "E": "11111 10000 10000 11110 10000 10000 11111",
    "R": "11110 10001 10001 11110 10100 10010 10001",
    "I": "01110 00100 00100 00100 00100 00100 01110",
    "K": "10001 10010 10100 11000 10100 10010 10001",
    "A": "01110 10001 10001 11111 10001 10001 10001",
    "0": "01110 10001 10011 10101 11001 10001 01110",
    "4": "00010 00110 01010 10010 11111 00010 00010",
    "2": "01110 10001 00001 00110 01000 10000 11111",
}


def slice_hu(seed: int = 0, size: int = 160) -> NDArray[np.int16]:
    """A body with bone and noise in air."""
    rows, columns = np.mgrid[:size, :size]
    radius = np.hypot(rows - size / 2, (columns - size / 2) * 0.8)
    image = np.where(radius < size * 0.36, 40.0, -1000.0)
    image[np.hypot(rows - size * 0.7, columns - size / 2) < 9] = 700
    noise = np.random.default_rng(seed).normal(0, 15, image.shape)
    return np.asarray(np.rint(image + noise), np.int16)


def written(image: NDArray[Any], text: str, value: int, row: int, column: int, scale: int) -> None:
    for place, letter in enumerate(text):
        bits = np.array([[int(b) for b in line] for line in GLYPHS[letter].split()])
        glyph = np.kron(bits, np.ones((scale, scale))).astype(bool)
        left = column + place * 6 * scale
        part = image[row : row + glyph.shape[0], left : left + glyph.shape[1]]
        part[glyph] = value


@pytest.mark.parametrize("value", [3071, -1500])
@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize("row", [3, 70])
def test_a_line_of_writing_is_found(value: int, scale: int, row: int):
    image = slice_hu()
    assert check_text(image) is None
    written(image, "ERIKA0042", value, row, 8, scale)
    fault = check_text(image)
    assert fault is not None
    assert fault.reason == "text_in_pixels"


def test_metal_and_a_table_are_no_writing():
    image = slice_hu().astype(np.float64)
    for column in range(20, 140, 12):  # a row of screws, blurred as the scanner's optics blur them
        image[70:82, column : column + 4] += 6000
    from scipy import ndimage

    metal = np.clip(ndimage.gaussian_filter(image, 1.0), -1024, 3071)
    assert np.count_nonzero(metal == 3071) > 40
    assert check_text(np.rint(metal).astype(np.int16)) is None


def test_real_slices_hold_no_writing(real_data: Path):
    files = sorted(p for p in (real_data / "example_ct_dicom").rglob("*") if p.is_file())
    images = [pydicom.dcmread(path, force=True).pixel_array for path in files]
    assert len(images) == 20
    assert [check_text(image) for image in images] == [None] * 20
    for image in images:
        shown = image.copy()
        written(shown, "ERIKA0042", int(shown.max()) + 500, 20, 40, 2)
        assert check_text(shown) is not None


def test_a_capture_that_claims_to_be_slices_is_refused(ingested: Ingested, tmp_path: Path):
    series = Series(rows=160, columns=160)
    datasets = series.datasets()
    for number, one in enumerate(datasets):
        image = slice_hu(number)
        written(image, "ERIKA0042", 3071, 4, 10, 2)
        set_hu(one, image)
    write(datasets, tmp_path / "in")
    ingested.dicom(tmp_path / "in")
    assert ingested.reasons() == {"fault:text_in_pixels": 6}
    assert ingested.volumes() == []
