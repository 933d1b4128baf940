from __future__ import annotations

from itertools import permutations, product
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from fvlm_data.errors import ConfigError
from fvlm_data.run.config import load_config
from fvlm_data.segment.merge import merge_labels
from fvlm_data.segment.nifti import read_nifti
from fvlm_data.shards.config import ShardConfig
from fvlm_data.shards.preprocess import PreparedSample, prepare
from fvlm_data.shards.target_grid import target_positions, turned
from fvlm_data.vocabulary import Vocabulary

if TYPE_CHECKING:
    from pathlib import Path

EN = Vocabulary.load()

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
ORDERS = [
    (order, signs) for order in permutations(range(3)) for signs in product((1, -1), repeat=3)
]


def config(**changes: Any) -> ShardConfig:
    values: dict[str, Any] = {
        "anatomies": ("liver", "spleen", "aorta"),
        "spacing_mm": (1.0, 1.0, 3.0),
        "margin_slices": 1,
        "margin_pixels": 2,
    }
    return ShardConfig(**(values | changes))


def grid(spacing_mm: tuple[float, float, float], angle: float = 0.0) -> np.ndarray[Any, Any]:
    """Affine of axes x right, y anterior, z superior, turned round z by `angle`."""
    cos, sin = np.cos(angle), np.sin(angle)
    affine = np.eye(4)
    affine[:3, :3] = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]) @ np.diag(spacing_mm)
    affine[:3, 3] = (-40.0, 25.0, -310.0)
    return affine


def scene(shape: tuple[int, int, int], seed: int = 0) -> tuple[Any, Any]:
    """Noise as image; two blobs as label, clear of the border."""
    rng = np.random.default_rng(seed)
    image = rng.integers(-1100, 300, shape).astype(np.int16)
    label = np.zeros(shape, np.uint8)
    i, j, k = shape
    label[i // 4 : i // 2, j // 3 : j - 3, k // 4 : k // 2 + 1] = 1
    label[i // 2 + 1 : i - 4, j // 4 : j // 2, k // 3 : k - 2] = 2
    return image, label


def rearranged(array: Any, affine: Any, order: Any, signs: Any) -> tuple[Any, Any]:
    """The same scan with its axes exchanged and turned round."""
    moved = array.transpose(order)
    matrix = np.zeros((4, 4))
    matrix[3, 3] = 1
    for new, (old, sign) in enumerate(zip(order, signs, strict=True)):
        matrix[old, new] = sign
        matrix[old, 3] = 0 if sign == 1 else array.shape[old] - 1
    return moved[tuple(slice(None, None, s) for s in signs)], affine @ matrix


def world_of(sample: PreparedSample, z: int, y: int, x: int) -> Any:
    return (sample.affine_ras @ [x, y, z, 1.0])[:3]


@settings(max_examples=60, deadline=None)
@given(
    order=st.sampled_from(ORDERS),
    spacing=st.tuples(*[st.floats(0.5, 4.0)] * 3),
    angle=st.floats(-0.6, 0.6),
    shape=st.tuples(st.integers(14, 24), st.integers(14, 24), st.integers(9, 16)),
    target=st.tuples(*[st.floats(0.6, 3.0)] * 3),
)
def test_any_axis_order_gives_the_same_sample(
    order: Any, spacing: Any, angle: float, shape: Any, target: Any
):
    image, label = scene(shape)
    affine = grid(spacing, angle)
    wanted = prepare(image, label, affine, config(spacing_mm=target))
    moved_image, moved_affine = rearranged(image, affine, *order)
    moved_label, _ = rearranged(label, affine, *order)
    found = prepare(moved_image, moved_label, moved_affine, config(spacing_mm=target))
    assert (found is None) == (wanted is None)
    if found is None or wanted is None:
        return
    assert np.array_equal(found.image_zyx, wanted.image_zyx)
    assert np.array_equal(found.label_zyx, wanted.label_zyx)
    assert np.allclose(found.affine_ras, wanted.affine_ras, atol=1e-9)
    assert found.boxes == wanted.boxes
    lengths = np.linalg.norm(found.affine_ras[:3, :3], axis=0)
    assert np.allclose(lengths, target, atol=1e-12)
    assert found.spacing_mm == target[::-1]


@pytest.mark.parametrize(("order", "signs"), ORDERS)
def test_axes_point_left_back_and_up_in_all_48_orders(order: Any, signs: Any):
    image, label = scene((20, 22, 12))
    image[10, 11, 6] = 3000
    affine = grid((1.0, 1.0, 1.0), 0.2)
    where = affine @ [10, 11, 6, 1]
    moved_image, moved_affine = rearranged(image, affine, order, signs)
    moved_label, _ = rearranged(label, affine, order, signs)
    axes = turned(moved_image.shape, moved_affine)
    x, y, z = axes.affine_ras[:3, :3].T
    assert x[0] < 0
    assert y[1] < 0
    assert z[2] > 0
    options = config(spacing_mm=(1.0, 1.0, 1.0), hu_window=(-1150, 3000))
    sample = prepare(moved_image, moved_label, moved_affine, options)
    assert sample is not None
    (peak,) = np.argwhere(sample.image_zyx == 3000)
    assert np.allclose(world_of(sample, *peak), where[:3])


@settings(max_examples=25, deadline=None)
@given(
    spacing=st.tuples(*[st.floats(0.4, 5.0)] * 3),
    target=st.tuples(*[st.floats(0.7, 3.5)] * 3),
    angle=st.integers(-500, 500).map(lambda number: number / 1000),  # ITK fails on subnormals
)
def test_resampling_equals_simpleitk_and_a_plain_reference(spacing: Any, target: Any, angle: float):
    image, label = scene((21, 19, 13))
    affine = grid(spacing, angle)
    sample = prepare(image, label, affine, config(spacing_mm=target))
    if sample is None:
        return
    itk = itk_image(image, affine)
    found = resampled_by_itk(itk, sample, SimpleITK.sitkLinear)
    inside = (
        resampled_by_itk(itk_image(np.ones(image.shape, np.int16), affine), sample, None) > 0.99
    )
    assert inside.any()
    assert np.abs(sample.image_zyx.astype(float) - found)[inside].max() <= 0.51
    coordinates = np.linalg.inv(affine) @ sample.affine_ras @ voxels(sample)
    plain = ndimage.map_coordinates(
        image.astype(float), coordinates[:3], order=1, mode="nearest"
    ).reshape(sample.image_zyx.shape)
    assert np.abs(sample.image_zyx - np.clip(plain, -1150, 350)).max() <= 0.51
    nearest = np.floor(np.round(coordinates[:3], 6) + 0.5).astype(int)
    sure = np.abs(coordinates[:3] - np.floor(coordinates[:3]) - 0.5).min(axis=0) > 1e-5
    clipped = [np.clip(c, 0, s - 1) for c, s in zip(nearest, label.shape, strict=True)]
    assert np.array_equal(label[tuple(clipped)][sure], sample.label_zyx.ravel()[sure])


def voxels(sample: PreparedSample) -> Any:
    z, y, x = np.indices(sample.image_zyx.shape).reshape(3, -1)
    return np.stack([x, y, z, np.ones_like(x)])


def itk_image(array_ijk: Any, affine_ras: Any) -> SimpleITK.Image:
    image = SimpleITK.GetImageFromArray(array_ijk.T.astype(np.float64))
    return placed(image, affine_ras)


def placed(image: SimpleITK.Image, affine_ras: Any) -> SimpleITK.Image:
    affine = RAS_TO_LPS @ affine_ras
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((affine[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    return image


def resampled_by_itk(image: SimpleITK.Image, sample: PreparedSample, how: Any) -> Any:
    nz, ny, nx = sample.image_zyx.shape
    like = placed(SimpleITK.Image(nx, ny, nz, SimpleITK.sitkFloat64), sample.affine_ras)
    method = SimpleITK.sitkLinear if how is None else how
    found = SimpleITK.Resample(
        image, like, SimpleITK.Transform(), method, 0.0, SimpleITK.sitkFloat64
    )
    return np.clip(SimpleITK.GetArrayFromImage(found), -1150, 350)


def test_equal_spacing_copies_every_voxel():
    image, label = scene((20, 18, 12))
    sample = prepare(image, label, grid((1.0, 1.0, 3.0)), config())
    assert sample is not None
    z, y, x = np.nonzero(label[::-1, ::-1].transpose(2, 1, 0))
    part = np.s_[
        max(0, z.min() - 1) : z.max() + 2,
        max(0, y.min() - 2) : y.max() + 3,
        max(0, x.min() - 2) : x.max() + 3,
    ]
    assert np.array_equal(sample.image_zyx, image[::-1, ::-1].transpose(2, 1, 0)[part])
    assert np.array_equal(sample.label_zyx, label[::-1, ::-1].transpose(2, 1, 0)[part])


@pytest.mark.parametrize(
    ("size", "spacing", "target", "expected"),
    [
        (4, 1.0, 1.0, [0, 1, 2, 3]),
        (6, 1.0, 3.0, [1, 4]),
        (2, 3.0, 1.0, [-1 / 3, 0, 1 / 3, 2 / 3, 1, 4 / 3]),
        (4, 1.5, 3.0, [0.5, 2.5]),
        (7, 1.0, 2.0, [0.5, 2.5, 4.5, 6.5]),  # 3.5 voxels: the last centre is on the edge
        (20, 2.0, 3.0, [0.25 + 1.5 * n for n in range(13)]),
        (1, 1.0, 5.0, [2.0]),
        (3, 1.0000000001, 1.0, [0, 1, 2]),
    ],
)
def test_target_centres_by_hand(size: int, spacing: float, target: float, expected: list[float]):
    assert target_positions(size, spacing, target) == pytest.approx(expected, abs=1e-6)


@given(size=st.integers(1, 600), spacing=st.floats(0.3, 10), target=st.floats(0.3, 10))
def test_target_centres_cover_the_scan_and_never_leave_it(size: int, spacing: float, target: float):
    edges_mm = (target_positions(size, spacing, target) + 0.5) * spacing
    assert edges_mm[0] == pytest.approx(target / 2, abs=1e-4)
    if size * spacing >= target / 2:
        assert edges_mm[-1] <= size * spacing + 1e-4
        assert size * spacing - edges_mm[-1] <= target + 1e-4


@pytest.mark.parametrize("window", [(-1150, 350), (-300, 400), (-1000, 1000)])
def test_uint8_is_off_by_half_a_step_at_most(window: tuple[int, int]):
    image, label = scene((24, 20, 14))
    affine = grid((0.8, 0.8, 2.0))
    exact = prepare(image, label, affine, config(hu_window=window))
    small = prepare(image, label, affine, config(hu_window=window, dtype="uint8"))
    assert exact is not None
    assert small is not None
    low, high = window
    back = low + small.image_zyx.astype(float) * (high - low) / 255
    error = np.abs(back - exact.image_zyx)
    assert small.image_zyx.dtype == np.uint8
    assert exact.image_zyx.dtype == np.int16
    assert error.max() <= (high - low) / 255 / 2 + 0.5  # int16 itself is rounded by up to 0.5 HU
    assert exact.image_zyx.min() >= low
    assert exact.image_zyx.max() <= high


def test_margin_is_cut_at_the_edge_of_the_scan():
    image, label = scene((20, 18, 12))
    options = config(margin_slices=50, margin_pixels=500)
    sample = prepare(image, label, grid((1.0, 1.0, 3.0)), options)
    assert sample is not None
    assert sample.image_zyx.shape == (12, 18, 20)


def test_a_label_lost_between_target_voxels_is_not_shown():
    image = np.zeros((9, 9, 9), np.int16)
    label = np.zeros((9, 9, 9), np.uint8)
    label[4, 4, 3] = 1
    assert prepare(image, label, grid((1.0, 1.0, 1.0)), config()) is None
    label[2:5, 2:5, 2:7] = 2
    sample = prepare(image, label, grid((1.0, 1.0, 1.0)), config())
    assert sample is not None
    assert sample.boxes.keys() == {"spleen"}
    assert prepare(image, label * 0, grid((1.0, 1.0, 1.0)), config()) is None


def test_wrong_input_is_refused():
    image, label = scene((20, 18, 12))
    with pytest.raises(ValueError, match=r"\(20, 18, 12\) and label of shape \(19, 18, 12\)"):
        prepare(image, label[1:], grid((1.0, 1.0, 1.0)), config())
    with pytest.raises(ValueError, match="expected lengths above 0"):
        prepare(image, label, np.diag([0.0, 1.0, 1.0, 1.0]), config())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hu_window": (100, 100)}, "is empty"),
        ({"anatomies": ("liver", "liver")}, "twice"),
        ({"spacing_mm": (0, 1, 1)}, "greater than 0"),
        ({"spacing": (1, 1, 1)}, "Extra inputs"),
    ],
)
def test_impossible_settings(changes: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        config(**changes)


def test_anatomy_that_no_vocabulary_knows_is_refused_before_work_starts():
    with pytest.raises(ConfigError, match="gizzard, which is not known; known are"):
        load_config(None, (), {"store": "s", "shard": {"anatomies": ["liver", "gizzard"]}})


@pytest.fixture(scope="module")
def abdomen(real_data: Path) -> tuple[Any, Any, Any]:
    """Real CT (i, j, k) in LPS order, its merged label map and affine."""
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(real_data / "example_ct_dicom")))
    volume = reader.Execute()
    affine = np.eye(4)
    affine[:3, :3] = np.array(volume.GetDirection()).reshape(3, 3) * volume.GetSpacing()
    affine[:3, 3] = volume.GetOrigin()
    mask = read_nifti((real_data / "example_seg_dicom.nii.gz").read_bytes())
    labels = np.asarray(mask.data)[:, ::-1]  # LAS to LPS
    maps = [(labels, mask.embedded_classes, "totalsegmentator_v2")]
    image = SimpleITK.GetArrayFromImage(volume).T
    return image, merge_labels(maps, ShardConfig().anatomies, EN), RAS_TO_LPS @ affine


def test_real_organs_keep_their_volume_and_the_liver_is_on_the_right(abdomen: Any):
    image, label, affine = abdomen
    options = ShardConfig()
    orders = {
        "LPS": ((0, 1, 2), (1, 1, 1)),
        "RAS": ((0, 1, 2), (-1, -1, 1)),
        "LAS": ((0, 1, 2), (1, -1, 1)),
        "SPL": ((2, 1, 0), (1, 1, 1)),
    }
    hashes = set()
    for order in orders.values():
        moved, moved_affine = rearranged(image, affine, *order)
        sample = prepare(moved, rearranged(label, affine, *order)[0], moved_affine, options)
        assert sample is not None
        hashes.add(sample.image_zyx.tobytes())
        centres = {}
        for name in ("liver", "spleen"):
            value = options.label_values[name]
            before_ml = (label == value).sum() * abs(np.linalg.det(affine[:3, :3])) / 1000
            shown = np.argwhere(sample.label_zyx == value)
            assert len(shown) * 3 / 1000 == pytest.approx(before_ml, rel=0.03)
            centres[name] = shown.mean(axis=0)
            inside = sample.image_zyx[sample.label_zyx == value]
            assert 30 < np.median(inside) < 200
        assert centres["liver"][2] < centres["spleen"][2]  # +x is the patient's left
        assert centres["spleen"][1] > sample.image_zyx.shape[1] / 2  # +y is the back
    assert len(hashes) == 1


def test_real_aorta_keeps_its_volume(real_data: Path):
    folder = real_data / "aorta_1p5mm"
    volume, mask = nib.load(folder / "ct.nii.gz"), nib.load(folder / "aorta.nii.gz")
    label = (np.asarray(mask.dataobj) > 0).astype(np.uint8)
    sample = prepare(
        np.asarray(volume.dataobj), label, volume.affine, ShardConfig(anatomies=("aorta",))
    )
    assert sample is not None
    before_ml = label.sum() * abs(np.linalg.det(volume.affine[:3, :3])) / 1000
    assert (sample.label_zyx > 0).sum() * 3 / 1000 == pytest.approx(before_ml, rel=0.03)
    (box,) = sample.boxes.values()
    assert sample.label_zyx[box[0] : box[3]].any(axis=(1, 2)).all()
