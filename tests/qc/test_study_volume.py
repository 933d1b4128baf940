from __future__ import annotations

import base64
import gzip
import itertools
import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, ornt_transform

from fvlm_data.qc import QcConfig
from fvlm_data.qc.heads import FACE_UNKNOWN, UNSEGMENTED, withheld, without_face
from fvlm_data.qc.scenes import LabelMap, Scene, scene_of
from fvlm_data.qc.study_volume import levels_hu, script, script_path, shown_volume
from fvlm_data.vocabulary import Vocabulary
from tests.qc.small_store import small_store

EN = Vocabulary.load()
ANATOMIES = EN.imaged
ORDERS = [
    codes
    for axes in itertools.permutations(("RL", "AP", "SI"))
    for codes in itertools.product(*axes)
]
"""All 48 orders and directions of a grid's axes."""


def reordered(
    image: np.ndarray[Any, Any], affine: np.ndarray[Any, Any], codes: tuple[str, ...]
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """An image on a grid along R, A, S, as it lies on one along `codes`."""
    change = ornt_transform(axcodes2ornt(("R", "A", "S")), axcodes2ornt(codes))
    turned = nib.orientations.apply_orientation(image, change)
    return turned, affine @ inv_ornt_aff(change, image.shape)


def shown(image: Any, affine: Any, voxels: int = 256, maps: Any = ()) -> Any:
    return shown_volume(image, affine, maps, ANATOMIES, EN, voxels)


@pytest.mark.parametrize("codes", ORDERS, ids="".join)
def test_planes_lie_as_radiologists_see_them_whatever_the_order_of_the_file(codes: tuple[str, ...]):
    """Images that hold a place in the patient: it falls from head, front and right."""
    affine = np.diag([3.0, 4.0, 5.0, 1.0])
    affine[:3, 3] = (-20.0, -30.0, -25.0)
    places = np.indices((12, 11, 9)).astype(float)
    for axis, along in ((0, "right"), (1, "front"), (2, "head")):
        mm = np.rint(places[axis] * affine[axis, axis] + affine[axis, 3]).astype(np.int16)
        made = shown(*reordered(mm, affine, codes))
        hu = levels_hu()[made.codes_zyx].astype(int)
        step = np.diff(hu, axis={"head": 0, "front": 1, "right": 2}[along])
        assert (step < 0).all(), f"{along} of {codes}"
        assert made.spacing_mm_zyx == (5.0, 4.0, 3.0)
        assert made.codes_zyx.shape == (9, 11, 12)


def test_labels_lie_on_their_anatomy_and_an_oblique_grid_is_told():
    image = np.full((10, 12, 14), -1000, np.int16)
    labels = np.zeros(image.shape, np.uint8)
    image[2:4, 5:8, 9:12], labels[2:4, 5:8, 9:12] = 400, 5
    turn = np.radians(10)
    affine = np.eye(4)
    affine[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    made = shown(image, affine, maps=[(labels, {5: "liver"}, "totalsegmentator_v2")])
    liver = 1 + ANATOMIES.index("liver")
    np.testing.assert_array_equal(made.labels_zyx == liver, levels_hu()[made.codes_zyx] > 0)
    assert made.oblique_degrees == pytest.approx(10.0)


def test_large_volumes_are_shrunk_by_means_of_blocks_and_keep_their_proportions():
    image = np.arange(7 * 4 * 5, dtype=np.int16).reshape(7, 4, 5)
    made = shown(image, np.diag([1.0, 2.0, 3.0, 1.0]), voxels=3)
    assert made.codes_zyx.shape == (3, 2, 3)
    assert made.spacing_mm_zyx == (6.0, 4.0, 3.0)
    first = image[::-1, ::-1, ::-1][:3, :2, :2].mean()
    assert abs(int(levels_hu()[made.codes_zyx[0, 0, 0]]) - first) <= 2


@given(hu=st.integers(-1024, 3071))
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)
def test_codes_keep_what_windows_show(hu: int):
    image = np.full((2, 2, 2), hu, np.int16)
    found = int(levels_hu()[shown(image, np.eye(4)).codes_zyx[0, 0, 0]])
    step = 13 if hu < -200 else 4 if hu < 300 else 112
    assert abs(found - hu) <= step


def test_a_script_holds_the_volume_and_its_anatomies(tmp_path: Path):
    store = small_store(tmp_path).store
    volume = store.read_items("volumes", "volume_id", ["v_0"])[0]
    scene = scene_of(volume, store.read_items("masks", "volume_id", ["v_0"]))
    config = QcConfig()
    text = script(store, scene, EN, config).decode()
    name, told = json.loads(f"[{text.removeprefix('fvlm.receive(').removesuffix(');' + chr(10))}]")
    assert script_path(scene, EN, config) == f"qc/volumes/{name}.js"
    labels = unpacked(told["labels"], told["shape"])
    image = unpacked(told["image"], told["shape"]).cumsum(axis=2, dtype=np.uint8)
    kidney, liver = (1 + told["anatomies"].index(one) for one in ("kidney", "liver"))
    # the liver on the left of the picture, towards the head; the kidney right, low, at the back
    z, y, x = (axis.mean() for axis in np.nonzero(labels == liver))
    kidney_z, kidney_y, kidney_x = (axis.mean() for axis in np.nonzero(labels == kidney))
    assert x < 12 < kidney_x
    assert z < 5 <= kidney_z
    assert y < kidney_y
    hu = np.array(told["hu"])[image]
    assert abs(hu[labels == liver] - 100).max() <= 2
    assert abs(hu[labels == kidney] - 200).max() <= 2
    assert script(store, scene, EN, config).decode() == text
    assert script_path(scene, EN, QcConfig(voxels=64)) != script_path(scene, EN, config)


def unpacked(text: str, shape: list[int]) -> np.ndarray[Any, Any]:
    return np.frombuffer(gzip.decompress(base64.b64decode(text)), np.uint8).reshape(shape)


def scene(*classes: str) -> Scene:
    maps = (LabelMap("m", "0", "totalsegmentator_v2", dict(enumerate(classes, 1))),)
    return Scene("v", "p", np.eye(4).ravel().tolist(), "0", maps if classes else ())


@pytest.mark.parametrize(
    ("classes", "header", "why"),
    [
        (("liver",), "ABDOMEN", ""),
        (("liver",), None, ""),
        (("brain", "liver"), None, FACE_UNKNOWN),
        (("skull",), None, FACE_UNKNOWN),
        (("liver",), "HEAD", FACE_UNKNOWN),
        (("brain", "face"), "HEAD", ""),
        ((), "ABDOMEN", UNSEGMENTED),
    ],
)
def test_a_head_is_shown_only_without_its_face(
    classes: tuple[str, ...], header: str | None, why: str
):
    assert withheld(scene(*classes), header, EN) == why


def test_a_face_and_its_rim_become_air():
    image = np.full((20, 20, 20), 50, np.int16)
    labels = np.zeros(image.shape, np.uint8)
    labels[8:12, 8:12, 8:12] = 2
    maps = [(labels, {1: "brain", 2: "face"}, "totalsegmentator_v2")]
    shown = without_face(image, maps, (1.0, 1.0, 3.0), EN)
    assert (shown[labels == 2] == -1024).all()
    # 3 mm around it: three voxels along i, one along k
    assert (shown[5:15, 10, 10] == -1024).all()
    assert (shown[10, 10, 7:13] == -1024).all()
    assert (shown[4, 10, 10], shown[10, 10, 6]) == (50, 50)
    assert (image == 50).all()


def test_a_page_has_no_outline_of_a_face(tmp_path: Path):
    """The label map of the small store, its kidney called a face."""
    store = small_store(tmp_path).store
    (volume,) = store.read_items("volumes", "volume_id", ["v_0"])
    masks = store.read_items("masks", "volume_id", ["v_0"])
    for row in masks:
        row["class_name"] = row["class_name"].replace("kidney_left", "face")
        row["class_system"] = "totalsegmentator_v1"
    text = script(store, scene_of(volume, masks), EN, QcConfig()).decode()
    _, told = json.loads(f"[{text.removeprefix('fvlm.receive(').removesuffix(');' + chr(10))}]")
    assert told["anatomies"] == ["liver"]
    image = unpacked(told["image"], told["shape"]).cumsum(axis=2, dtype=np.uint8)
    assert np.array(told["hu"])[image].max() < 150, "the kidney's 200 HU are gone"
    kept = script(store, scene_of(volume, masks), EN, QcConfig(faces="keep")).decode()
    assert '"anatomies":["liver","face"]' in kept
