"""One class a kind of source; all pass the same checks of geometry and HU."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fvlm_data.errors import InputError
from fvlm_data.identity.ids import link_key
from fvlm_data.ingest.config import SourceConfig
from fvlm_data.ingest.sources.ct_rate import decide

if TYPE_CHECKING:
    from conftest import Ingested

SPACING_MM = (0.75, 0.75, 1.5)


def chest(shape: tuple[int, int, int] = (24, 22, 12), seed: int = 3) -> NDArray[np.int16]:
    """A chest of HU (i, j, k) that looks different from every side: air, lung, tissue, bone."""
    values = np.full(shape, -1000)
    values[3:-3, 4:-3] = 40
    values[6:11, 7:-6] = -850
    values[13:18, 7:-6] = -840
    values[11:13, -6:-3] = 700
    values[4:6, 5, :4] = 300
    noise = np.random.default_rng(seed).integers(-15, 16, shape)
    return (values + noise).astype(np.int16)


def save(path: Path, values: NDArray[Any], affine: NDArray[np.float64]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(values, affine)
    image.header.set_xyzt_units("mm")
    nib.save(image, path)
    return path


def table(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


class TestNifti:
    def run(self, ingested: Ingested, folder: Path, mapping: Path | None = None) -> None:
        ingested.run(SourceConfig(kind="nifti", path=folder, name="tree", mapping=mapping))

    def volume(self, path: Path) -> Path:
        return save(path, chest(), np.diag([-0.75, -0.75, 1.5, 1.0]))

    def sidecar(self, path: Path, **values: Any) -> Path:
        path.write_text(json.dumps(values))
        return path

    def test_out_of_field_values_become_air(self, ingested: Ingested, tmp_path: Path):
        values = chest()
        values[:2] = -8192
        save(tmp_path / "in" / "a.nii.gz", values, np.diag([-0.75, -0.75, 1.5, 1.0]))
        self.run(ingested, tmp_path / "in")
        (volume,) = ingested.rows("volumes")
        assert volume["hu_min"] >= -1024
        assert volume["adjustments"] == [f"out_of_field_to_air={2 * 22 * 12}"]

    def test_a_sidecar_gives_study_patient_and_facts(self, ingested: Ingested, tmp_path: Path):
        for name in ("a", "b"):
            self.volume(tmp_path / "in" / f"{name}.nii.gz")
            self.sidecar(
                tmp_path / "in" / f"{name}.json",
                StudyInstanceUID="1.2.3",
                SeriesInstanceUID=f"1.2.3.{name}",
                PatientID="P1",
                PatientName="Mustermann^Erika",
                Modality="CT",
                ConvolutionKernel=["Br40d", "3"],
                BodyPartExamined="CHEST",
                Manufacturer="SIEMENS",
                AcquisitionDateTime="20240501101500",
                ImageComments="Erika",
            )
        self.run(ingested, tmp_path / "in")
        rows = ingested.volumes()
        assert len({row["study_id"] for row in rows}) == len({row["patient_id"] for row in rows})
        facts = ("kernel", "body_region_header", "manufacturer")
        assert [rows[0][name] for name in facts] == ["Br40d", "CHEST", "Siemens"]
        assert rows[0]["acquired_on"] < "2024-05-01"
        key = ingested.context.vault.key
        hashes = {link["value_hash"] for link in ingested.rows("links")}
        assert {
            link_key("study_uid", "1.2.3", key=key),
            link_key("series_uid", "1.2.3.a", key=key),
        } <= hashes
        known = ingested.context.vault.patient_identities([rows[0]["patient_id"]])
        assert "Erika" in known[rows[0]["patient_id"]]
        assert ingested.reasons() == {"out_of_scope:sidecar": 2}
        ingested.check_conserved()

    def test_a_changed_sidecar_redoes_its_volume(self, ingested: Ingested, tmp_path: Path):
        self.volume(tmp_path / "in" / "a.nii.gz")
        self.run(ingested, tmp_path / "in")
        first = ingested.volume()
        self.sidecar(tmp_path / "in" / "a.json", PatientID="P7")
        self.run(ingested, tmp_path / "in")
        second = ingested.volume()
        assert second["content_sha256"] == first["content_sha256"]
        assert second["patient_id"] != first["patient_id"]

    def test_the_csv_goes_before_the_sidecar(self, ingested: Ingested, tmp_path: Path):
        self.volume(tmp_path / "in" / "a.nii.gz")
        self.sidecar(tmp_path / "in" / "a.json", StudyInstanceUID="1.9", PatientID="P9")
        row = {"volume": "a", "study": "S1", "patient": "P1", "PatientSex": "F"}
        self.run(ingested, tmp_path / "in", table(tmp_path / "map.csv", [row]))
        key = ingested.context.vault.key
        hashes = {link["value_hash"] for link in ingested.rows("links")}
        assert link_key("study_uid", "S1", key=key) in hashes
        assert link_key("patient_id", "P9", key=key) not in hashes
        assert ingested.volume()["sex"] == "F"

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            ('{"Modality": "MR"}', "out_of_scope:modality_not_ct"),
            ("{no json", "fault:unreadable_sidecar"),
            ("[1]", "fault:unreadable_sidecar"),
        ],
    )
    def test_sidecars_that_speak_against_it(
        self, ingested: Ingested, tmp_path: Path, content: str, reason: str
    ):
        self.volume(tmp_path / "in" / "a.nii")
        (tmp_path / "in" / "a.json").write_text(content)
        (tmp_path / "in" / "other.json").write_text(content)
        self.run(ingested, tmp_path / "in")
        expected = {reason: 1, "out_of_scope:sidecar": 1, "out_of_scope:not_nifti": 1}
        assert ingested.reasons() == expected
        ingested.check_conserved()

    def test_volumes_in_an_archive(self, ingested: Ingested, tmp_path: Path):
        from test_archives import packed

        self.volume(tmp_path / "plain" / "deep" / "a.nii.gz")
        packed(tmp_path / "plain", tmp_path / "in" / "all.tar.gz")
        self.run(ingested, tmp_path / "in")
        np.testing.assert_array_equal(ingested.image(ingested.volume()), chest())


class TestCtRate:
    affine_lps = np.array(
        [[0.75, 0, 0, -150], [0, 0.75, 0, -140], [0, 0, 1.5, -300], [0, 0, 0, 1]], dtype=float
    )

    def row(self, name: str, **changed: Any) -> dict[str, Any]:
        return {
            "VolumeName": f"{name}.nii.gz",
            "Manufacturer": "SIEMENS",
            "SeriesDescription": "Thorax",
            "PatientSex": "M",
            "PatientAge": "071Y",
            "StudyDate": "20210304",
            "ImagePositionPatient": "[-150.0, -140.0, -300.0]",
            "ImageOrientationPatient": "[1.0, 0.0, 0.0, 0.0, 1.0, 0.0]",
            "XYSpacing": "[0.75, 0.75]",
            "ZSpacing": "1.5",
            "RescaleSlope": "1.0",
            "RescaleIntercept": "-1024.0",
            **changed,
        }

    def first(self, name: str = "train_123_a_1", intercept: int = -1024) -> NDArray[np.int16]:
        """Stored values of version 1."""
        return (chest() - intercept).astype(np.int16)

    def ras(self) -> NDArray[np.float64]:
        return np.diag([-1.0, -1.0, 1.0, 1.0]) @ self.affine_lps

    def run(
        self, ingested: Ingested, folder: Path, rows: list[dict[str, Any]] | None = None
    ) -> None:
        mapping = table(folder.parent / "metadata.csv", rows) if rows else None
        ingested.run(SourceConfig(kind="ct_rate", path=folder, name="rate", mapping=mapping))

    def place(self, folder: Path, name: str) -> Path:
        patient, scan, _ = name.rsplit("_", 2)
        return folder / patient / f"{patient}_{scan}" / f"{name}.nii.gz"

    @pytest.mark.parametrize("intercept", [-1024, -8192, -1000])
    def test_version_1_takes_values_and_geometry_from_the_csv(
        self, ingested: Ingested, tmp_path: Path, intercept: int
    ):
        name = "train_123_a_1"
        wrong = np.diag([1.0, 1.0, 1.0, 1.0])
        save(self.place(tmp_path / "in", name), self.first(intercept=intercept), wrong)
        rows = [self.row(name, RescaleIntercept=str(intercept))]
        self.run(ingested, tmp_path / "in", rows)
        row = ingested.volume()
        assert row["rescale_decision"] == "from_metadata"
        np.testing.assert_array_equal(ingested.image(row), chest())
        np.testing.assert_allclose(np.reshape(row["affine_ras"], (4, 4)), self.ras())
        assert row["spacing_mm"] == list(SPACING_MM)
        assert (row["sex"], row["age_years"], row["manufacturer"]) == ("M", 71.0, "Siemens")

    @pytest.mark.parametrize("intercept", [-1024, -8192, 0])
    def test_version_2_is_left_as_it_is(self, ingested: Ingested, tmp_path: Path, intercept: int):
        name = "valid_7_b_2"
        save(self.place(tmp_path / "in", name), chest(), self.ras())
        self.run(ingested, tmp_path / "in", [self.row(name, RescaleIntercept=str(intercept))])
        row = ingested.volume()
        assert row["rescale_decision"] == "already_hu"
        np.testing.assert_array_equal(ingested.image(row), chest())
        np.testing.assert_allclose(np.reshape(row["affine_ras"], (4, 4)), self.ras())

    def test_out_of_field_padding_of_either_version_changes_no_decision(self):
        padded = chest().astype(np.int64)
        padded[:2] = -8192
        assert decide(padded, (1.0, -8192.0)) == "already_hu"
        assert decide(padded + 8192, (1.0, -8192.0)) == "from_metadata"

    @settings(max_examples=40, deadline=None)
    @given(
        slope=st.sampled_from([0.5, 1.0, 2.0, -1.0]),
        intercept=st.integers(-9000, 9000),
        stored=st.booleans(),
    )
    def test_a_decision_is_right_or_not_made(self, slope: float, intercept: int, stored: bool):
        if (slope, intercept) == (1.0, 0):
            return
        values = (chest() - float(intercept)) / slope if stored else chest()
        decision = decide(values, (slope, float(intercept)))
        right = "from_metadata" if stored else "already_hu"
        assert decision == right or getattr(decision, "reason", "") == "ambiguous_rescale"
        if abs(intercept) > 1000 and slope == 1.0:
            assert decision == right

    def test_oblique_geometry_is_put_in_patient_coordinates(
        self, ingested: Ingested, tmp_path: Path
    ):
        name = "train_9_a_1"
        angle = np.radians(12)
        row_cosine = [np.cos(angle), np.sin(angle), 0.0]
        column_cosine = [-np.sin(angle), np.cos(angle), 0.0]
        save(self.place(tmp_path / "in", name), self.first(), np.eye(4))
        orientation = str([float(x) for x in (*row_cosine, *column_cosine)])
        self.run(ingested, tmp_path / "in", [self.row(name, ImageOrientationPatient=orientation)])
        affine = np.reshape(ingested.volume()["affine_ras"], (4, 4))
        expected = np.array([-150, -140, -300]) + 4 * 0.75 * np.array(row_cosine)
        np.testing.assert_allclose(affine @ [4, 0, 0, 1], [*(-expected[:2]), -300, 1], atol=1e-6)

    refused: ClassVar[dict[str, tuple[dict[str, Any], bool, str]]] = {
        "doubly rescaled": ({"RescaleIntercept": "-1024"}, True, "fault:values_not_hu"),
        "no rescale": ({"RescaleSlope": ""}, False, "fault:values_not_hu"),
        "slope 0": ({"RescaleSlope": "0"}, False, "fault:values_not_hu"),
        "no spacing": ({"ZSpacing": ""}, False, "fault:missing_geometry"),
        "no position": ({"ImagePositionPatient": "[1, 2]"}, False, "fault:missing_geometry"),
        "oblong pixels": ({"XYSpacing": "[0.7, 0.8]"}, False, "fault:pixels_not_square"),
        "spacing 0": ({"XYSpacing": "[0, 0]"}, False, "fault:zero_pixel_spacing"),
        "not orthonormal": (
            {"ImageOrientationPatient": "[1, 0, 0, 0.5, 1, 0]"},
            False,
            "fault:not_orthonormal",
        ),
    }

    @pytest.mark.parametrize("case", refused)
    def test_what_is_not_proved_is_refused(self, ingested: Ingested, tmp_path: Path, case: str):
        changed, twice, reason = self.refused[case]
        values = chest() - 1024 if twice else self.first()
        save(self.place(tmp_path / "in", "train_1_a_1"), values.astype(np.int16), np.eye(4))
        self.run(ingested, tmp_path / "in", [self.row("train_1_a_1", **changed)])
        assert ingested.reasons() == {reason: 1}
        ingested.check_conserved()

    def test_values_that_fit_both_versions_are_ambiguous(self, ingested: Ingested, tmp_path: Path):
        save(self.place(tmp_path / "in", "train_1_a_1"), chest(), self.ras())
        self.run(ingested, tmp_path / "in", [self.row("train_1_a_1", RescaleIntercept="-60")])
        assert ingested.reasons() == {"fault:ambiguous_rescale": 1}

    def test_hu_with_the_header_of_version_1_is_ambiguous(self, ingested: Ingested, tmp_path: Path):
        save(self.place(tmp_path / "in", "train_1_a_1"), chest(), np.eye(4))
        self.run(ingested, tmp_path / "in", [self.row("train_1_a_1", RescaleIntercept="0")])
        assert ingested.reasons() == {"fault:ambiguous_version": 1}

    def test_without_a_csv_only_hu_is_taken(self, ingested: Ingested, tmp_path: Path):
        save(self.place(tmp_path / "in", "train_1_a_1"), chest(), self.ras())
        save(self.place(tmp_path / "in", "train_2_a_1"), self.first(), self.ras())
        self.run(ingested, tmp_path / "in")
        assert len(ingested.volumes()) == 1
        assert ingested.reasons() == {"fault:values_not_hu": 1}

    def test_reconstructions_scans_and_patients_come_from_the_name(
        self, ingested: Ingested, tmp_path: Path
    ):
        names = ["train_1_a_1", "train_1_a_2", "train_1_b_1", "train_11_a_1"]
        for number, name in enumerate(names):
            values = chest(seed=number)
            save(self.place(tmp_path / "in", name), values, self.ras())
        save(self.place(tmp_path / "in", "train_1_a_x"), chest(), self.ras())
        self.run(ingested, tmp_path / "in", [self.row(n) for n in (*names, "train_1_a_x")])
        rows = ingested.volumes()
        assert len(rows) == 4
        assert len({row["study_id"] for row in rows}) == 3
        assert len({row["patient_id"] for row in rows}) == 2
        key = ingested.context.vault.key
        hashes = {link["value_hash"] for link in ingested.rows("links")}
        assert {link_key("volume_name", f"{name}.nii.gz", key=key) for name in names} <= hashes
        assert ingested.reasons() == {"fault:name_not_ct_rate": 1}

    def test_a_report_finds_a_scan_of_which_only_another_reconstruction_is_there(
        self, ingested: Ingested, tmp_path: Path
    ):
        save(self.place(tmp_path / "in", "train_1_a_2"), chest(), self.ras())
        self.run(ingested, tmp_path / "in", [self.row("train_1_a_2")])
        key = ingested.context.vault.key
        named = link_key("volume_name", "train_1_a_1.nii.gz", key=key)
        (link,) = [row for row in ingested.rows("links") if row["value_hash"] == named]
        assert (link["owner_kind"], link["owner_id"]) == ("study", ingested.volume()["study_id"])

    def test_a_changed_row_redoes_its_volume_only(self, ingested: Ingested, tmp_path: Path):
        names = ["train_1_a_1", "train_2_a_1"]
        for name in names:
            save(self.place(tmp_path / "in", name), self.first(), np.eye(4))
        self.run(ingested, tmp_path / "in", [self.row(name) for name in names])
        changed = [self.row(names[0]), self.row(names[1], ZSpacing="2.5")]
        mapping = table(tmp_path / "metadata.csv", changed)
        source = SourceConfig(kind="ct_rate", path=tmp_path / "in", name="rate", mapping=mapping)
        assert ingested.run(source)["accepted"] == 1
        assert sorted(row["spacing_mm"][2] for row in ingested.volumes()) == [1.5, 2.5]

    def test_a_csv_of_another_kind_is_refused_by_its_columns(
        self, ingested: Ingested, tmp_path: Path
    ):
        save(self.place(tmp_path / "in", "train_1_a_1"), chest(), self.ras())
        with pytest.raises(InputError, match="column RescaleSlope, RescaleIntercept"):
            self.run(ingested, tmp_path / "in", [{"VolumeName": "train_1_a_1"}])

    def test_real_ct_in_both_versions(self, ingested: Ingested, tmp_path: Path, real_data: Path):
        image = nib.load(real_data / "chest_1p5mm" / "ct.nii.gz")
        hu = np.asarray(image.dataobj).astype(np.int16)
        save(self.place(tmp_path / "in", "train_1_a_1"), hu, image.affine)
        stored = hu + np.int16(1024)
        save(self.place(tmp_path / "in", "train_2_a_1"), stored, np.eye(4))
        lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine
        steps = np.linalg.norm(lps[:3, :3], axis=0)
        geometry = {
            "ImagePositionPatient": str(lps[:3, 3].tolist()),
            "ImageOrientationPatient": str((lps[:3, :2] / steps[:2]).T.ravel().tolist()),
            "XYSpacing": str([float(steps[0]), float(steps[0])]),
            "ZSpacing": str(float(steps[2])),
        }
        rows = [self.row(name, **geometry) for name in ("train_1_a_1", "train_2_a_1")]
        self.run(ingested, tmp_path / "in", rows)
        decisions = {row["rescale_decision"]: row for row in ingested.volumes()}
        assert set(decisions) == {"already_hu", "from_metadata"}
        for row in decisions.values():
            np.testing.assert_array_equal(ingested.image(row), hu)


class TestRadChestCt:
    shape = (20, 24, 24)

    def row(self, name: str = "trn00001", **changed: Any) -> dict[str, Any]:
        return {
            "VolumeAcc_DEID": f"{name}.npz",
            "NoteAcc_DEID": name,
            "MRN_DEID": "mrn00007",
            "PatientAge": "064Y",
            "orig_square": "30",
            "orig_numslices": "16",
            "orig_yxspacing": "0.64",
            "orig_zdiff": "1.0",
            "orig_orientation": "1,0,0,0,1,0",
            "orig_gantry_tilt": "0.0",
            "zdiffs_all_equal": "True",
            "final_spacing": "0.8",
            "final_square": "24",
            "final_numslices": "20",
            **changed,
        }

    def array(self) -> NDArray[np.int16]:
        """HU, axes (slice from the head down, row to the back, column to the left)."""
        values = np.ascontiguousarray(chest((24, 24, 20)).T[::-1])
        return values.clip(-1000, 1000).astype(np.int16)

    def run(self, ingested: Ingested, folder: Path, *rows: dict[str, Any]) -> None:
        mapping = table(folder.parent / "meta.csv", list(rows))
        ingested.run(SourceConfig(kind="rad_chestct", path=folder, name="duke", mapping=mapping))

    def save(self, folder: Path, **arrays: Any) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(folder / "trn00001.npz", **arrays)

    def test_axes_spacing_and_names(self, ingested: Ingested, tmp_path: Path):
        self.save(tmp_path / "in", ct=self.array())
        self.run(ingested, tmp_path / "in", self.row())
        row = ingested.volume()
        assert row["orientation"] == "LPI"
        assert row["spacing_mm"] == [0.8, 0.8, 0.8]
        assert row["shape"] == [24, 24, 20]
        assert row["age_years"] == 64.0
        np.testing.assert_array_equal(ingested.image(row), self.array().T)
        head = np.reshape(row["affine_ras"], (4, 4)) @ [0, 0, 0, 1]
        feet = np.reshape(row["affine_ras"], (4, 4)) @ [0, 0, 19, 1]
        assert head[2] - feet[2] == pytest.approx(19 * 0.8)
        key = ingested.context.vault.key
        hashes = {link["value_hash"] for link in ingested.rows("links")}
        assert link_key("accession", "trn00001", key=key) in hashes

    refused: ClassVar[dict[str, tuple[dict[str, Any], str]]] = {
        "no spacing": ({"final_spacing": ""}, "missing_geometry"),
        "no sizes": ({"orig_zdiff": ""}, "missing_geometry"),
        "another size": ({"final_numslices": "21", "orig_numslices": "17"}, "wrong_image_size"),
        "a spacing that lies": ({"final_spacing": "1.0"}, "spacing_disagrees"),
        "another orientation": ({"orig_orientation": "0,1,0,1,0,0"}, "missing_orientation"),
        "uneven slices": ({"zdiffs_all_equal": "False"}, "uneven_spacing"),
        "tilted": ({"orig_gantry_tilt": "12.5"}, "gantry_tilt"),
    }

    @pytest.mark.parametrize("case", refused)
    def test_geometry_that_is_not_proved_is_refused(
        self, ingested: Ingested, tmp_path: Path, case: str
    ):
        changed, reason = self.refused[case]
        self.save(tmp_path / "in", ct=self.array())
        self.run(ingested, tmp_path / "in", self.row(**changed))
        assert ingested.reasons() == {f"fault:{reason}": 1}
        ingested.check_conserved()

    def test_files_of_another_form_are_refused(self, ingested: Ingested, tmp_path: Path):
        folder = tmp_path / "in"
        self.save(folder, ct=self.array())
        names = ("key", "float", "flat", "pickle", "cut", "none", "stored")
        np.savez(folder / "key.npz", image=self.array())
        np.savez(folder / "float.npz", ct=self.array().astype(np.float32))
        np.savez(folder / "flat.npz", ct=self.array()[0])
        np.savez(folder / "pickle.npz", ct=np.array([{"a": 1}], dtype=object))
        content = (folder / "trn00001.npz").read_bytes()
        (folder / "cut.npz").write_bytes(content[: len(content) // 2])
        np.savez(folder / "stored.npz", ct=self.array() + np.int16(1024))
        np.savez(folder / "none.npz", ct=self.array())
        (folder / "labels.csv").write_text("x")
        rows = [self.row(name) for name in ("trn00001", *names) if name != "none"]
        self.run(ingested, folder, *rows)
        reasons = {row["source_files"][0]: row["reason"] for row in ingested.rows("quarantine")}
        assert reasons.pop("duke/stored.npz") in ("values_not_hu", "rescaling_forgotten")
        assert reasons == {
            "duke/key.npz": "no_array_ct",
            "duke/float.npz": "not_int16",
            "duke/flat.npz": "not_a_volume",
            "duke/pickle.npz": "unreadable_npz",
            "duke/cut.npz": "unreadable_npz",
            "duke/none.npz": "not_in_mapping",
            "duke/labels.csv": "not_npz",
        }
        assert len(ingested.volumes()) == 1
        ingested.check_conserved()
