"""MetaImage, NRRD and pairs of files: the same volume as NIfTI, or why not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from test_sources import chest, save

from fvlm_data.ingest.config import IngestConfig, SourceConfig
from fvlm_data.ingest.discovery.discover import discover

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Ingested


def oblique() -> np.ndarray[Any, Any]:
    """Voxel to RAS+ mm: anisotropic, turned about two axes, off the origin."""
    a, b = np.radians(20), np.radians(-15)
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    affine = np.eye(4)
    affine[:3, :3] = about_z @ about_x @ np.diag([-0.75, -0.8, 1.5])
    affine[:3, 3] = (31.5, -12.25, 100.0)
    return affine


def as_other(folder: Path, name: str, **options: Any) -> Path:
    """The chest of test_sources, written by SimpleITK from its NIfTI file."""
    path = save(folder.parent / "nifti" / "x.nii.gz", chest(), oblique())
    image = sitk.ReadImage(str(path))
    folder.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(folder / name), **options)
    return folder / name


def tree(ingested: Ingested, folder: Path) -> dict[str, int]:
    ingested.run(SourceConfig(kind="nifti", path=folder, name="tree"))
    ingested.check_conserved()
    return ingested.reasons()


@pytest.mark.parametrize(
    ("name", "packed"),
    [
        *(("x.mha", False), ("x.mha", True), ("x.mhd", False), ("x.mhd", True)),
        *(("x.nrrd", False), ("x.nrrd", True), ("x.nhdr", False), ("x.nhdr", True)),
        ("x.hdr", False),
    ],
)
def test_a_volume_is_the_same_in_every_format(
    ingested: Ingested,
    make_ingested: Callable[[Path], Ingested],
    tmp_path: Path,
    name: str,
    packed: bool,
):
    path = as_other(tmp_path / "in", name, useCompression=packed)
    beside = len(list(path.parent.iterdir())) - 1
    assert tree(ingested, path.parent) == (
        {"out_of_scope:part_of_volume": beside} if beside else {}
    )
    other = make_ingested(tmp_path / "other")
    tree(other, tmp_path / "nifti")
    row, expected = ingested.volume(), other.volume()
    np.testing.assert_allclose(row["affine_ras"], expected["affine_ras"], atol=1e-4)
    np.testing.assert_array_equal(ingested.image(row), other.image(expected))
    assert row["orientation"] == expected["orientation"]


def test_a_long_of_metaimage_has_four_bytes(ingested: Ingested, tmp_path: Path):
    path = as_other(tmp_path / "in", "x.mha")
    image = sitk.Cast(sitk.ReadImage(str(path)), sitk.sitkInt32)
    sitk.WriteImage(image, str(path))
    header(path, lambda text: text.replace("MET_INT", "MET_LONG"))
    assert tree(ingested, path.parent) == {}
    np.testing.assert_array_equal(ingested.image(ingested.volume()), chest())


@pytest.mark.parametrize("name", ["x.mha", "x.nrrd"])
def test_a_volume_of_another_format_in_an_archive(ingested: Ingested, tmp_path: Path, name: str):
    from zipfile import ZipFile

    path = as_other(tmp_path / "plain", name)
    (tmp_path / "in").mkdir()
    with ZipFile(tmp_path / "in" / "a.zip", "w") as zipped:
        zipped.write(path, name)
    tree(ingested, tmp_path / "in")
    np.testing.assert_allclose(
        np.reshape(ingested.volume()["affine_ras"], (4, 4)), oblique(), atol=1e-4
    )


def test_changed_data_beside_a_header_is_read_again(ingested: Ingested, tmp_path: Path):
    path = as_other(tmp_path / "in", "x.mhd")
    tree(ingested, path.parent)
    before = ingested.volume()["content_sha256"]
    raw = path.with_suffix(".raw")
    values = np.fromfile(raw, np.int16)
    values[2000:2004] = 123
    values.tofile(raw)
    tree(ingested, path.parent)
    assert ingested.volume()["content_sha256"] != before


def test_an_analyze_pair_lies_as_the_format_says(ingested: Ingested, tmp_path: Path):
    """Transverse unflipped: i to the left, j to the front, k to the head."""
    (tmp_path / "in").mkdir()
    image = nib.AnalyzeImage(chest(), None)
    image.header.set_zooms((0.75, 0.8, 1.5))
    nib.save(image, tmp_path / "in" / "x.img")
    tree(ingested, tmp_path / "in")
    row = ingested.volume()
    assert row["orientation"] == "LAS"
    assert row["spacing_mm"] == pytest.approx([0.75, 0.8, 1.5])
    np.testing.assert_array_equal(ingested.image(row), chest())


def header(path: Path, change: Callable[[str], str]) -> None:
    text, mark, voxels = path.read_bytes().partition(b"ElementDataFile = LOCAL\n")
    path.write_bytes(change(text.decode()).encode() + mark + voxels)


@pytest.mark.parametrize(
    ("reason", "change"),
    [
        ("missing_orientation", lambda text: without(text, "TransformMatrix")),
        ("missing_orientation", lambda text: without(text, "ElementSpacing")),
        ("truncated_volume", lambda text: text.replace("DimSize = 24 22 12", "DimSize = 24 22 99")),
        (
            "volume_too_large",
            lambda text: text.replace("DimSize = 24 22 12", "DimSize = 8000 8000 8000"),
        ),
        ("not_a_volume", lambda text: text.replace("DimSize = 24 22 12", "DimSize = 24 -22 12")),
        ("unreadable_header", lambda text: without(text, "DimSize")),
        ("unreadable_header", lambda text: text.replace("MET_SHORT", "MET_FROG")),
    ],
)
def test_what_a_metaimage_header_cannot_prove_is_set_aside(
    ingested: Ingested, tmp_path: Path, reason: str, change: Callable[[str], str]
):
    path = as_other(tmp_path / "in", "x.mha")
    header(path, change)
    assert tree(ingested, path.parent) == {f"fault:{reason}": 1}


def without(text: str, key: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith(key))


@pytest.mark.parametrize("named", ["../secret.raw", "/etc/passwd", "y.raw", "x%03d.raw 0 9 1"])
def test_a_header_opens_no_file_but_that_of_its_own_name(
    ingested: Ingested, tmp_path: Path, named: str
):
    path = as_other(tmp_path / "in", "x.mhd")
    (tmp_path / "secret.raw").write_bytes(path.with_suffix(".raw").read_bytes())
    path.write_text(path.read_text().replace("x.raw", named))
    assert tree(ingested, path.parent)["fault:data_file_missing"] == 1
    assert ingested.volumes() == []


def test_an_nrrd_without_a_space_is_set_aside(ingested: Ingested, tmp_path: Path):
    (tmp_path / "in").mkdir()
    text = "NRRD0004\ntype: int16\ndimension: 3\nsizes: 24 22 12\nspacings: 1 1 2\n"
    content = text.encode() + b"endian: little\nencoding: raw\n\n" + chest().tobytes("F")
    (tmp_path / "in" / "x.nrrd").write_bytes(content)
    assert tree(ingested, tmp_path / "in") == {"fault:missing_orientation": 1}


def test_a_night_without_changes_opens_no_file_of_any_format(ingested: Ingested, tmp_path: Path):
    for name in ("x.mha", "y.mhd", "z.nhdr", "u.hdr"):
        as_other(tmp_path / "in", name)
    source = SourceConfig(kind="nifti", path=tmp_path / "in", name="tree")
    first = discover(ingested.context, [source], "plain")
    again = discover(ingested.context, [source], "plain")
    assert again == {"files": first["files"], "unchanged": first["files"]}


def test_a_volume_above_the_limit_is_set_aside_and_the_limit_is_a_setting(
    ingested: Ingested, tmp_path: Path
):
    ingested.config = IngestConfig(max_series_mb=1)
    save(tmp_path / "in" / "x.nii.gz", np.zeros((100, 100, 60), np.int16), np.eye(4))
    assert tree(ingested, tmp_path / "in") == {"fault:volume_too_large": 1}
