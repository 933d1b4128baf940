"""Volumes whose slices, axes or values do not belong where the header puts them."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import pytest

from fvlm_data.ingest.config import IngestConfig, SourceConfig
from fvlm_data.ingest.volume.axes import check_axes
from fvlm_data.ingest.volume.geometry import Fault
from fvlm_data.ingest.volume.outlier_slices import check_neighbours
from fvlm_data.ingest.volume.plausibility import check_filled

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Ingested
    from numpy.typing import NDArray

ORDER = list(range(24))


def body(slices: int = 24, seed: int = 0) -> NDArray[np.int16]:
    """An ellipse of tissue with a lung and a bone that move from slice to slice, (k, j, i)."""
    k, j, i = np.meshgrid(np.arange(slices), np.arange(40), np.arange(56), indexing="ij")
    image = np.where(((j - 20) / 16) ** 2 + ((i - 28) / 24) ** 2 < 1, 40, -1000)
    image[((j - 18) / 9) ** 2 + ((i - 16 - k / 1.5) / 8) ** 2 < 1] = -850
    image[(np.abs(j - 28) < 3) & (np.abs(i - 18 - k) < 4)] = 1100
    return (image + np.random.default_rng(seed).normal(0, 12, image.shape)).astype(np.int16)


def told(image: NDArray[np.int16]) -> str:
    found = check_neighbours(image, IngestConfig())
    return found.reason if isinstance(found, Fault) else ""


@pytest.mark.parametrize(
    "order",
    [
        [*ORDER[:9], 10, 9, *ORDER[11:]],
        [*ORDER[:5], 14, *ORDER[6:14], 5, *ORDER[15:]],
        [number for pair in zip(ORDER[:12], ORDER[12:], strict=True) for number in pair],
        np.random.default_rng(1).permutation(24).tolist(),
    ],
    ids=["neighbours exchanged", "two exchanged", "halves interleaved", "shuffled"],
)
def test_slices_in_another_order_are_refused(order: list[int]):
    assert told(body()[order]) in ("slices_out_of_order", "slice_unlike_neighbours")
    assert "slices_out_of_order" in (
        told(body()[order]),
        *check_neighbours(body()[order], IngestConfig(unlike_slices="flag")),  # type: ignore[misc]
    )


def test_each_second_slice_mirrored_is_refused():
    image = body()
    image[::2] = image[::2, :, ::-1]
    assert told(image) == "slices_out_of_order"


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("every", [1, 2, 4])
def test_slices_in_order_pass_thin_and_thick(seed: int, every: int):
    assert told(body(seed=seed)[::every]) == ""


def test_noise_alone_has_no_order():
    noise = np.random.default_rng(0).normal(0, 60, (40, 64, 64)).astype(np.int16)
    assert told(noise) == ""


def test_a_phantom_of_one_shape_has_no_order():
    assert told(np.repeat(body()[:1], 24, axis=0) + body(seed=3) % 7) == ""


def test_padding_at_the_ends_is_no_lost_slice_and_between_slices_it_is():
    image = body()
    image[:2] = image[-3:] = -1024
    assert told(image) == ""
    image[10:12] = -1024
    assert told(image) == "slice_unlike_neighbours"


@pytest.mark.parametrize("shape", [(24, 56, 40), (56, 40, 24), (40, 24, 56), (56, 24, 40)])
def test_sizes_in_another_order_are_refused(shape: tuple[int, int, int]):
    found = check_axes(body().reshape(shape))
    assert (found.reason if found else "") == ("" if shape[2] == 56 else "axes_exchanged")


def test_sizes_in_their_order_pass():
    image = body()
    for turned in (image, image.transpose(1, 0, 2), image.transpose(2, 1, 0), image[:, :40, :40]):
        assert check_axes(np.ascontiguousarray(turned)) is None


@pytest.mark.parametrize(
    ("greatest", "reason"), [(60, "values_clipped"), (240, "values_clipped"), (400, ""), (3071, "")]
)
def test_a_window_that_cuts_off_bone_is_refused(greatest: int, reason: str):
    found = check_filled(np.minimum(body(), greatest))
    assert (found.reason if found else "") == reason


def test_lungs_alone_without_bone_are_not_clipped():
    assert check_filled(np.minimum(body(), 60 + body(seed=5) % 97)) is None


@pytest.mark.parametrize("ending", ["nii", "nii.gz", "mha", "nrrd"])
def test_a_file_that_goes_on_behind_its_voxels_is_refused(
    ingested: Ingested, tmp_path: Path, ending: str
):
    import SimpleITK as sitk  # noqa: N813

    path = tmp_path / "in" / f"volume.{ending}"
    path.parent.mkdir()
    if ending in ("mha", "nrrd"):
        image = sitk.GetImageFromArray(body())
        image.SetSpacing((0.9, 0.8, 2.5))
        sitk.WriteImage(image, path, useCompression=False)
        claim = (b"DimSize = 56 40 24", b"sizes: 56 40 24")
        held = path.read_bytes()
        for text in claim:
            held = held.replace(text, text[:-2] + b"18")
        path.write_bytes(held)
    else:
        whole = nib.Nifti1Image(body().transpose(2, 1, 0), np.diag([-0.9, -0.8, 2.5, 1.0]))
        sound = whole.to_bytes()
        held = sound[:46] + (18).to_bytes(2, "little") + sound[48:]
        path.write_bytes(gzip.compress(held) if ending == "nii.gz" else held)
    ingested.run(SourceConfig(kind="nifti", path=path.parent, name="files"))
    assert ingested.reasons() == {"fault:wrong_image_size": 1}
    assert not ingested.volumes()


def test_nrrd_in_centimetres_is_refused(ingested: Ingested, tmp_path: Path):
    import SimpleITK as sitk  # noqa: N813

    path = tmp_path / "in" / "volume.nrrd"
    path.parent.mkdir()
    image = sitk.GetImageFromArray(body())
    image.SetSpacing((0.9, 0.8, 2.5))
    sitk.WriteImage(image, path, useCompression=False)
    space = b"space: left-posterior-superior\n"
    units = b'space units: "cm" "cm" "cm"\n'
    path.write_bytes(path.read_bytes().replace(space, space + units))
    ingested.run(SourceConfig(kind="nifti", path=path.parent, name="files"))
    assert ingested.reasons() == {"fault:units_not_mm": 1}
