"""Real CT whose voxels are wrong throughout or in part, and true ones that must pass."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pytest

from fvlm_data.ingest.config import IngestConfig
from fvlm_data.ingest.volume.geometry import Fault
from fvlm_data.ingest.volume.hounsfield import check_wrapped_up
from fvlm_data.ingest.volume.hu_offset import check_offset
from fvlm_data.ingest.volume.outlier_slices import check_neighbours
from fvlm_data.ingest.volume.voxels import check_voxels
from fvlm_data.ingest.volume.wrapped import check_wrapped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray


WITH_AIR = ("example_ct.nii.gz", "example_ct_sm.nii.gz")
WITHIN = ("chest_1p5mm/ct.nii.gz", "aorta_1p5mm/ct.nii.gz")
CONFIG = IngestConfig()


@pytest.fixture(scope="module")
def load(real_data: Path) -> Callable[[str], NDArray[np.int16]]:
    """Voxels (k, j, i) by name."""
    return lambda name: np.ascontiguousarray(
        np.asarray(nib.load(real_data / name).dataobj).astype(np.int16).T
    )


def moved(volume: NDArray[np.int16], hu: float, scale: float = 1.0) -> NDArray[np.int16]:
    values = (volume.astype(np.float64) + 1000) * scale - 1000 + hu
    return np.clip(np.rint(values), -1500, 32767).astype(np.int16)


def cuts(volume: NDArray[np.int16], count: int, seed: int = 0) -> Iterator[NDArray[np.int16]]:
    rng = np.random.default_rng(seed)
    for _ in range(count):
        size = [max(min(n, 24), int(n * rng.uniform(0.3, 1))) for n in volume.shape]
        first = [int(rng.integers(0, n - m + 1)) for n, m in zip(volume.shape, size, strict=True)]
        box = tuple(slice(a, a + m) for a, m in zip(first, size, strict=True))
        yield np.ascontiguousarray(volume[box])


def of(found: Fault | dict[str, int]) -> str:
    if isinstance(found, Fault):
        return found.reason
    return ",".join(code for code, count in found.items() if count)


class TestAllValuesAreOff:
    @pytest.mark.parametrize("name", WITH_AIR)
    @pytest.mark.parametrize("hu", [-300, -200, -100, 100, 200, 400])
    def test_by_a_number(self, load: Any, name: str, hu: int):
        found = check_offset(moved(load(name), hu), CONFIG)
        assert isinstance(found, Fault)
        assert found.reason == "hu_offset"
        told = int(found.detail.split(" HU")[0].split()[-1])
        assert abs(told - hu) <= 20
        flagged = check_offset(moved(load(name), hu), IngestConfig(hu_offset="flag"))
        assert flagged == {"hu_offset": told}
        assert check_offset(moved(load(name), hu), IngestConfig(hu_offset="ignore")) == {}

    @pytest.mark.parametrize("name", WITHIN)
    @pytest.mark.parametrize("hu", [-200, -150, 100, 200])
    def test_where_no_air_lies_outside_it_is_a_flag(self, load: Any, name: str, hu: int):
        assert of(check_offset(moved(load(name), hu), CONFIG)) in (
            "hu_offset_doubtful",
            "hu_offset",
        )

    def test_clipped_at_air_as_well(self, load: Any):
        for name in (*WITH_AIR, *WITHIN):
            assert of(check_offset(np.maximum(moved(load(name), -200), -1024), CONFIG))

    @pytest.mark.parametrize("scale", [0.8, 0.9, 1.1, 1.2])
    def test_by_a_scale(self, load: Any, scale: float):
        for name in WITHIN[:1]:
            assert of(check_offset(moved(load(name), 0, scale), CONFIG)).startswith("hu_")

    @pytest.mark.parametrize("name", [*WITH_AIR, *WITHIN])
    def test_no_true_volume_or_cut_is_refused(self, load: Any, name: str):
        volume = load(name)
        assert check_voxels(volume, CONFIG) == {}
        for fill in (-1024, -2000, -3024):
            padded = np.pad(volume, ((0, 0), (20, 20), (20, 20)), constant_values=fill)
            assert of(check_offset(padded, CONFIG)) == ""
        assert [of(check_voxels(cut, CONFIG)) for cut in cuts(volume, 6)] == [""] * 6


class TestSlices:
    TURNS: tuple[Callable[[Any], Any], ...] = (
        lambda image: image[:, ::-1],
        lambda image: image[:, :, ::-1],
        lambda image: image[:, ::-1, ::-1],
    )

    @pytest.mark.parametrize("part", [slice(0, 1), slice(-1, None), slice(-5, None), slice(9, 10)])
    @pytest.mark.parametrize("turn", TURNS)
    def test_mirrored(self, load: Any, part: slice, turn: Callable[[Any], Any]):
        for name in (WITH_AIR[1], WITHIN[0]):
            volume = load(name)
            volume[part] = turn(volume[part])
            found = check_neighbours(volume, CONFIG)
            assert of(found) == "mirrored_slices"
            assert isinstance(found, Fault)
            first = {0: 2, -1: len(volume), -5: len(volume) - 4, 9: 10}[part.start]
            assert f"slice {first} of {len(volume)}" in found.detail
            flagged = check_neighbours(volume, IngestConfig(unlike_slices="flag"))
            assert isinstance(flagged, dict)
            assert flagged["mirrored_slices"] in (1, 2)

    @pytest.mark.parametrize("name", [*WITH_AIR, *WITHIN])
    @pytest.mark.parametrize("place", [8, 15, 22])
    def test_two_breaths_that_touch_are_told(self, load: Any, name: str, place: int):
        """9 to 12 mm of the body are left out between them."""
        volume = load(name)
        lost = 4 if name in WITH_AIR else 6
        two = np.concatenate([volume[:place], volume[place + lost :]])
        told = of(check_neighbours(two, CONFIG))
        assert told in ("steps_between_slices", "jumps_between_slices")
        if told == "steps_between_slices":  # the table begins all at once in other directions
            assert of(check_neighbours(two, CONFIG, steps=False)) == ""

    @pytest.mark.parametrize("name", [*WITH_AIR, *WITHIN])
    @pytest.mark.parametrize("every", [1, 2, 3])
    def test_no_true_volume_has_a_step_or_a_mirror(self, load: Any, name: str, every: int):
        assert of(check_neighbours(load(name)[::every], CONFIG)) == ""


class TestWrapped:
    @pytest.mark.parametrize("name", [*WITH_AIR, *WITHIN])
    def test_half_a_row_too_late_and_half_an_image(self, load: Any, name: str):
        volume = load(name)
        slices, rows, columns = volume.shape
        late = np.roll(volume.reshape(slices, -1), columns // 2, axis=1).reshape(volume.shape)
        for wrong in (late, np.roll(volume, rows // 2, axis=1)):
            found = check_wrapped(wrong)
            assert found is not None
            assert found.reason == "image_wrapped"
        assert check_wrapped(volume) is None

    def test_some_slices_alone_follow_no_neighbour(self, load: Any):
        for part in (slice(-1, None), slice(0, None, 2), slice(4, 5)):
            volume = load(WITH_AIR[1])
            flat = volume[part].reshape(len(volume[part]), -1)
            volume[part] = np.roll(flat, 61, axis=1).reshape(volume[part].shape)
            assert isinstance(check_neighbours(volume, CONFIG), Fault)

    def test_air_as_metal(self, load: Any):
        volume = load(WITH_AIR[1])
        assert check_wrapped_up(volume) is None
        metal = volume.copy()
        metal[10:13, 50:53, 60:63] = 32767
        assert check_wrapped_up(metal) is None
        wrong = np.where(volume < -1030, 32767, volume).astype(np.int16)
        found = check_wrapped_up(wrong)
        assert found is not None
        assert found.reason == "values_wrapped"
