from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from fvlm_data.errors import InputError
from fvlm_data.identity.ids import link_key
from fvlm_data.ingest.config import SourceConfig

if TYPE_CHECKING:
    from collections import Counter

    from conftest import Ingested

AFFINE = np.array(
    [[-0.7, 0, 0, 90], [0, -0.8, 0, 120], [0, 0, 2.5, -400], [0, 0, 0, 1]], dtype=float
)


def body(shape: tuple[int, ...] = (10, 12, 6)) -> NDArray[np.int16]:
    values = np.random.default_rng(3).integers(-20, 20, shape)
    values[2:, 3:] += 50
    values[:2] -= 1000
    return values.astype(np.int16)


def save(
    path: Path,
    values: NDArray[Any],
    affine: NDArray[Any] | None = None,
    *,
    sform: int = 1,
    qform: int = 0,
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(values, None if not sform else AFFINE if affine is None else affine)
    if sform:
        image.header.set_sform(image.affine, sform)
        image.header.set_qform(AFFINE, qform)
    nib.save(image, path)
    return path


def run(ingested: Ingested, folder: Path, mapping: Path | None = None) -> Counter[str]:
    return ingested.run(SourceConfig(kind="nifti", path=folder, name="tree", mapping=mapping))


@pytest.mark.parametrize(
    ("signs", "code"), [((-1, -1, 1), "LPS"), ((1, 1, 1), "RAS"), ((-1, 1, 1), "LAS")]
)
def test_stored_direction_is_kept(
    ingested: Ingested, tmp_path: Path, signs: tuple[int, int, int], code: str
):
    affine = np.diag([*(np.array(signs) * (0.7, 0.8, 2.5)), 1.0])
    save(tmp_path / "in" / "train_1_a_1.nii.gz", body(), affine)
    run(ingested, tmp_path / "in")
    row = ingested.volume()
    assert row["orientation"] == code
    assert row["shape"] == [10, 12, 6]
    assert row["rescale_decision"] == "already_hu"
    np.testing.assert_allclose(row["spacing_mm"], (0.7, 0.8, 2.5), atol=1e-6)
    np.testing.assert_array_equal(ingested.image(row), body())
    np.testing.assert_allclose(np.array(row["affine_ras"]).reshape(4, 4), affine, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.int32, np.float32, np.float64])
def test_other_types_are_rounded_to_int16(ingested: Ingested, tmp_path: Path, dtype: type):
    values = body().astype(dtype)
    shifted = values + dtype(0.4) if np.issubdtype(dtype, np.floating) else values
    save(tmp_path / "in" / "a.nii", shifted)
    run(ingested, tmp_path / "in")
    np.testing.assert_array_equal(ingested.image(ingested.volume()), body())


def test_a_scaled_file_is_read_with_its_scale(ingested: Ingested, tmp_path: Path):
    image = nib.Nifti1Image(body(), AFFINE)
    image.header.set_slope_inter(0.5, -100)
    (tmp_path / "in").mkdir()
    nib.save(image, tmp_path / "in" / "a.nii.gz")
    run(ingested, tmp_path / "in")
    expected = np.rint(body() * 0.5 - 100)
    np.testing.assert_array_equal(ingested.image(ingested.volume()), expected)


SHEARED = AFFINE + np.array([[0, 0, 0.5, 0]] + [[0] * 4] * 3)
MOVED = AFFINE + np.array([[0, 0, 0, 30]] + [[0] * 4] * 3)
TOO_WIDE = body().astype(np.int32)
TOO_WIDE[0, 0, 0] = 70000
NOT_FINITE = body().astype(np.float32)
NOT_FINITE[0, 0, 0] = np.nan
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "sheared": ({"values": body(), "affine": SHEARED}, "sheared_affine"),
    "no orientation": ({"values": body(), "sform": 0}, "missing_orientation"),
    "numpy's identity": ({"values": body(), "affine": np.eye(4)}, "identity_affine"),
    "SimpleITK's identity": (
        {"values": body(), "affine": np.diag([-1.0, -1.0, 1.0, 1.0])},
        "identity_affine",
    ),
    "two places": ({"values": body(), "affine": MOVED, "qform": 1}, "qform_sform_disagree"),
    "four axes": ({"values": body((10, 12, 6, 2))}, "not_a_volume"),
    "two slices": ({"values": body((10, 12, 2))}, "too_few_slices"),
    "stored values": ({"values": body() + np.int16(1024)}, "rescaling_forgotten"),
    "a label map": ({"values": (body() > 0).astype(np.uint8)}, "values_not_hu"),
    "beyond int16": ({"values": TOO_WIDE}, "hu_out_of_range"),
    "not a number": ({"values": NOT_FINITE}, "not_finite"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_ct_volume_is_set_aside(ingested: Ingested, tmp_path: Path, name: str):
    arguments, reason = REFUSED[name]
    save(tmp_path / "in" / "a.nii.gz", **arguments)
    run(ingested, tmp_path / "in")
    assert ingested.reasons() == {f"fault:{reason}": 1}
    ingested.check_conserved()


def test_truncated_damaged_and_foreign_files(ingested: Ingested, tmp_path: Path):
    folder = tmp_path / "in"
    path = save(folder / "cut.nii.gz", body((40, 40, 40)))
    path.write_bytes(path.read_bytes()[:-5000])
    (folder / "noise.nii.gz").write_bytes(bytes(range(256)) * 9)
    (folder / "noise.nii").write_bytes(bytes(range(256)) * 9)
    (folder / "empty.nii.gz").write_bytes(b"")
    whole = save(tmp_path / "whole.nii", body()).read_bytes()
    (folder / "half_header.nii").write_bytes(whole[:200])
    (folder / "no_size.nii").write_bytes(whole[:40] + b"\x03\0\xf6\xff" + whole[44:])
    (folder / "units.nii").write_bytes(whole[:123] + b"\x05" + whole[124:])
    (folder / "list.csv").write_text("volume\n")
    run(ingested, folder)
    reasons = {row["source_files"][0]: row["reason"] for row in ingested.rows("quarantine")}
    assert reasons == {
        "tree/cut.nii.gz": "unreadable_nifti",
        "tree/noise.nii.gz": "unreadable_nifti",
        "tree/noise.nii": "unreadable_nifti",
        "tree/half_header.nii": "unreadable_nifti",
        "tree/no_size.nii": "unreadable_nifti",
        "tree/units.nii": "unreadable_nifti",
        "tree/empty.nii.gz": "empty_file",
        "tree/list.csv": "not_nifti",
    }
    ingested.check_conserved()


def test_without_mapping_each_file_is_a_study(ingested: Ingested, tmp_path: Path):
    for name in ("a", "b"):
        save(tmp_path / "in" / f"{name}.nii.gz", body())
    run(ingested, tmp_path / "in")
    rows = ingested.volumes()
    assert len({row["study_id"] for row in rows}) == len({row["patient_id"] for row in rows}) == 2
    key = ingested.context.vault.key
    assert {(link["kind"], link["value_hash"]) for link in ingested.rows("links")} == {
        ("volume_name", link_key("volume_name", name, key=key)) for name in ("a", "b")
    }


def mapping(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(("volume,study,patient", *lines)))
    return path


def test_mapping_gives_study_and_patient(ingested: Ingested, tmp_path: Path):
    for name in ("t_1_a_1", "t_1_a_2", "t_1_b_1"):
        save(tmp_path / "in" / f"{name}.nii.gz", body())
    table = mapping(
        tmp_path / "map.csv", "t_1_a_1.nii.gz,t_1_a,P1", "t_1_a_2,t_1_a,P1", "t_1_b_1,t_1_b,P1"
    )
    run(ingested, tmp_path / "in", table)
    rows = ingested.volumes()
    assert len(rows) == 3
    assert len({row["study_id"] for row in rows}) == 2
    assert len({row["patient_id"] for row in rows}) == 1
    key = ingested.context.vault.key
    hashes = {link["value_hash"] for link in ingested.rows("links")}
    assert {
        link_key("study_uid", "t_1_b", key=key),
        link_key("patient_id", "P1", key=key),
    } <= hashes
    assert ingested.rows("quarantine") == []


def test_a_changed_mapping_redoes_its_volumes_only(ingested: Ingested, tmp_path: Path):
    for name in ("a", "b"):
        save(tmp_path / "in" / f"{name}.nii.gz", body())
    table = mapping(tmp_path / "map.csv", "a,S1,P1")
    run(ingested, tmp_path / "in", table)
    assert ingested.reasons() == {"fault:not_in_mapping": 1}
    mapping(table, "a,S1,P1", "b,S2,P2")
    counts = run(ingested, tmp_path / "in", table)
    assert counts == {"files": 2, "unchanged": 2, "accepted": 1}
    assert len(ingested.volumes()) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("volume,study\na,b", "column patient is missing"),
        ("", "found none"),
        ("volume,study,patient\na,,P", "line 2 has a blank value"),
        ("volume,study,patient\na,S,P\na.nii,T,P", "line 3 names a volume again"),
    ],
)
def test_a_faulty_mapping_stops_the_run(
    ingested: Ingested, tmp_path: Path, text: str, message: str
):
    save(tmp_path / "in" / "a.nii.gz", body())
    (tmp_path / "map.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        run(ingested, tmp_path / "in", tmp_path / "map.csv")
    with pytest.raises(InputError, match="cannot be read"):
        run(ingested, tmp_path / "in", tmp_path / "none.csv")


def test_changed_voxels_deep_in_a_plain_nifti_are_seen(ingested: Ingested, tmp_path: Path):
    values = body((40, 40, 40))
    save(tmp_path / "in" / "a.nii", values)
    run(ingested, tmp_path / "in")
    before = ingested.volume()
    values[20, 20, 20] += 7
    save(tmp_path / "in" / "a.nii", values)
    run(ingested, tmp_path / "in")
    assert ingested.volume()["content_sha256"] != before["content_sha256"]
    assert ingested.volume()["series_id"] == before["series_id"]
