"""Masks as they come: a folder a case, other formats, other grids, values near whole numbers."""

from __future__ import annotations

import gzip
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from fvlm_data.segment.config import SegmentConfig
from fvlm_data.segment.library_classes import recorded_classes
from fvlm_data.segment.nifti import NiftiError, label_map_bytes, read_nifti
from fvlm_data.segment.resampling import resampled
from fvlm_data.segment.stage import mask_path

V2 = recorded_classes("totalsegmentator_v2")
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def organs() -> np.ndarray[Any, Any]:
    """Spleen 1, right kidney 2, liver 5, in one corner each."""
    labels = np.zeros((10, 12, 8), np.uint8)
    labels[1:3, 1:5, 2:4] = 1
    labels[4:6, 4:6, 4:6] = 2
    labels[6:10, 6:9, 1:7] = 5
    return labels


def image() -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).integers(-100, 100, (10, 12, 8)).astype(np.int16)


class Kinds:
    """A store with one volume, `case_7`, and an empty folder for masks."""

    @pytest.fixture(autouse=True)
    def _ready(self, bench: Any, kit: SimpleNamespace, tmp_path: Path) -> None:
        self.bench, self.kit = bench, kit
        self.masks = tmp_path / "masks"
        self.masks.mkdir()
        self.volume = bench.add_volume(
            image(), kit.ras, volume_name="case_7.nii.gz", series_uid="1.2.3"
        )

    def run(self, **settings: Any) -> None:
        values = {"classes": "totalsegmentator_v2", **settings}
        self.bench.segment(SegmentConfig(backend="precomputed", masks=self.masks, **values))

    def stored(self) -> np.ndarray[Any, Any]:
        assert self.bench.rows("quarantine") == []
        path = self.bench.context.store.location(mask_path(self.volume, "total"))
        return np.asarray(nib.load(path).dataobj)

    def reject(self) -> dict[str, Any]:
        (row,) = self.bench.rows("quarantine")
        return row


class TestAFolderOfOneFileAClass(Kinds):
    def fill(self, folder: str, *files: tuple[str, int], labels: Any = None) -> None:
        for name, value in files:
            mask = (organs() if labels is None else labels) == value
            self.kit.save(
                self.masks / folder / f"{name}.nii.gz", mask.astype(np.uint8), self.kit.ras
            )

    @pytest.mark.parametrize("folder", ["case_7", "deep/case_7", "case_7/segmentations"])
    def test_is_one_mask_of_the_folders_name(self, folder: str):
        self.fill(folder, ("spleen", 1), ("kidney_right", 2), ("liver", 5), ("aorta", 9))
        self.run()
        np.testing.assert_array_equal(self.stored(), organs())
        assert self.bench.rows("masks")[0]["class_system"] == "totalsegmentator_v2"
        assert len([one for one in self.bench.rows("inputs") if one["kind"] == "mask"]) == 1

    def test_may_be_the_folder_that_is_named(self):
        self.fill("case_7", ("spleen", 1), ("liver", 5))
        self.masks = self.masks / "case_7"
        self.run()
        np.testing.assert_array_equal(self.stored(), np.where(organs() == 2, 0, organs()))

    def test_of_a_manifest(self):
        self.fill("some", ("spleen", 1), ("liver", 5))
        table = self.masks / "m.csv"
        table.write_text("volume,mask\ncase_7,some\n")
        self.masks = table
        self.run()
        np.testing.assert_array_equal(self.stored(), np.where(organs() == 2, 0, organs()))

    def test_of_classes_of_ones_own(self):
        (self.masks / "own.yaml").write_text(
            "class_system: anatomy\nclasses: {3: liver, 4: spleen}"
        )
        self.fill("case_7", ("spleen", 1), ("liver", 5))
        self.run(classes="own.yaml")
        assert set(np.unique(self.stored())) == {0, 3, 4}

    def test_a_changed_file_is_read_again(self):
        self.fill("case_7", ("spleen", 1), ("liver", 5))
        self.run()
        labels = organs()
        labels[0, 0, 0] = 5
        self.fill("case_7", ("liver", 5), labels=labels)
        self.run()
        assert (self.stored() == 5).sum() == (labels == 5).sum()

    def test_of_an_unknown_name_the_nearest_class_is_told(self):
        self.fill("case_7", ("spleen", 1), ("liver", 5), ("kidney_rigth", 2))
        self.run()
        row = self.reject()
        assert row["reason"] == "mask_unknown_value"
        assert "1 like kidney_right" in row["detail"]

    def test_a_name_like_that_of_a_class_may_hold_a_persons(self):
        self.fill("case_7", ("spleen", 1), ("liver", 5), ("kidney_right_doe", 2))
        self.run()
        row = self.reject()
        assert "1 like kidney_right" in row["detail"]
        assert "doe" not in row["detail"]

    def test_a_stray_file_is_counted_and_its_name_not_told(self):
        self.fill("case_7", ("spleen", 1), ("liver", 5), ("DOE_JANE_1950", 2))
        self.run()
        row = self.reject()
        assert "1 like no class" in row["detail"]
        assert "doe" not in row["detail"].lower()

    def test_one_class_given_for_another(self):
        self.fill("case_7", ("spleen", 5), ("liver", 5))
        self.run()
        row = self.reject()
        assert row["reason"] == "classes_alike"
        assert "liver and spleen share 100 %" in row["detail"]

    def test_a_file_of_several_classes(self):
        self.fill("case_7", ("spleen", 1))
        self.kit.save(self.masks / "case_7" / "liver.nii.gz", organs(), self.kit.ras)
        self.run()
        row = self.reject()
        assert row["reason"] == "mask_not_labels"
        assert "liver: values from 1 to 5; expected one class a file" in row["detail"]

    def test_a_file_whose_class_has_its_own_value(self):
        self.fill("case_7", ("spleen", 1))
        labels = np.where(organs() == 5, 255, 0).astype(np.uint8)
        self.kit.save(self.masks / "case_7" / "liver.nii.gz", labels, self.kit.ras)
        self.run()
        assert set(np.unique(self.stored())) == {0, 1, 5}

    def test_suffixes_in_capitals(self):
        self.fill("case_7", ("spleen", 1), ("liver", 5))
        for path in (self.masks / "case_7").iterdir():
            path.rename(path.with_name(path.name.replace(".nii.gz", ".NII.GZ")))
        self.run()
        assert set(np.unique(self.stored())) == {0, 1, 5}

    def test_a_file_on_another_grid(self):
        self.fill("case_7", ("spleen", 1))
        liver = (organs() == 5).astype(np.uint8)
        self.kit.save(self.masks / "case_7" / "liver.nii.gz", liver, np.diag([1, 1, 1, 1.0]))
        self.run()
        assert "spleen lies on another grid" in self.reject()["detail"]


class TestOtherFormats(Kinds):
    @pytest.mark.parametrize("ending", [".nrrd", ".mha"])
    @pytest.mark.parametrize("packed", [True, False])
    def test_nrrd_and_metaimage(self, ending: str, packed: bool):
        sitk = pytest.importorskip("SimpleITK")
        sitk.WriteImage(self.itk(organs()), str(self.masks / f"case_7{ending}"), packed)
        self.run()
        np.testing.assert_array_equal(self.stored(), organs())

    def test_segments_of_slicer_go_by_their_names_and_terms(self):
        header = (
            "NRRD0004\ntype: unsigned char\ndimension: 3\nspace: left-posterior-superior\n"
            "sizes: 10 12 8\nspace directions: (-2,0,0) (0,-3,0) (0,0,4)\nkinds: domain domain "
            "domain\nendian: little\nencoding: gzip\nspace origin: (0,0,0)\n"
            "Segment0_Name:=Segment_1\nSegment0_LabelValue:=7\nSegment0_Layer:=0\n"
            "Segment0_Tags:=Segmentation.Status:done|TerminologyEntry:list~SCT^123037004^"
            "Anatomical Structure~SCT^64033007^Kidney~SCT^24028007^Right~x~^^~^^|\n"
            "Segment1_Name:=Spleen\nSegment1_LabelValue:=2\nSegment1_Layer:=0\n\n"
        )
        labels = np.where(organs() == 2, 7, np.where(organs() == 1, 2, 0)).astype(np.uint8)
        body = gzip.compress(labels.tobytes(order="F"))
        (self.masks / "case_7.seg.nrrd").write_bytes(header.encode() + body)
        self.run()
        np.testing.assert_array_equal(self.stored(), np.where(organs() == 5, 0, organs()))

    def test_values_that_no_segment_names_are_refused(self):
        header = (
            "NRRD0004\ntype: unsigned char\ndimension: 3\nspace: left-posterior-superior\n"
            "sizes: 10 12 8\nspace directions: (-2,0,0) (0,-3,0) (0,0,4)\nencoding: raw\n"
            "space origin: (0,0,0)\nSegment0_Name:=Spleen\nSegment0_LabelValue:=1\n\n"
        )
        body = organs().tobytes(order="F")
        (self.masks / "case_7.seg.nrrd").write_bytes(header.encode() + body)
        self.run()
        row = self.reject()
        assert row["reason"] == "mask_unknown_value"
        assert "2 values belong to no segment: 2, 5; name them" in row["detail"]

    def test_a_slicer_segment_whose_name_and_term_differ(self):
        header = (
            "NRRD0004\ntype: unsigned char\ndimension: 3\nspace: left-posterior-superior\n"
            "sizes: 10 12 8\nspace directions: (-2,0,0) (0,-3,0) (0,0,4)\nencoding: raw\n"
            "space origin: (0,0,0)\nSegment0_Name:=liver\nSegment0_LabelValue:=1\n"
            "Segment0_Tags:=TerminologyEntry:list~SCT^123037004^Anatomical Structure~"
            "SCT^78961009^Spleen~^^~x~^^~^^|\n\n"
        )
        body = (organs() == 1).astype(np.uint8).tobytes(order="F")
        (self.masks / "case_7.seg.nrrd").write_bytes(header.encode() + body)
        self.run()
        assert self.reject()["reason"] == "segment_names_disagree"

    def test_voxels_in_another_file_are_refused(self):
        text = "NDims = 3\nDimSize = 10 12 8\nElementType = MET_UCHAR\nElementDataFile = /etc/x\n"
        (self.masks / "case_7.mha").write_text(text)
        self.run()
        assert "keeps its voxels in another file" in self.reject()["detail"]

    @pytest.mark.parametrize("missing", ["TransformMatrix", "ElementSpacing", "Offset"])
    def test_a_metaimage_that_does_not_say_where_it_lies_is_refused(self, missing: str):
        """By the format's defaults it would lie in the volume, in the wrong place."""
        sitk = pytest.importorskip("SimpleITK")
        path = self.masks / "case_7.mha"
        sitk.WriteImage(self.itk(organs()), str(path), False)
        lines = path.read_bytes().split(b"\n")
        path.write_bytes(b"\n".join(one for one in lines if not one.startswith(missing.encode())))
        self.run()
        assert "states no spacing, origin and directions" in self.reject()["detail"]

    @pytest.mark.parametrize("label_map", [False, True])
    def test_a_dicom_segmentation_is_found_by_its_reference(self, label_map: bool):
        if label_map:
            frames, of = [organs()[:, :, k].T for k in range(8)], None
        else:
            pairs = [(v, k) for v in (1, 2, 5) for k in range(8) if (organs()[:, :, k] == v).any()]
            frames, of = [(organs()[:, :, k] == v).T for v, k in pairs], pairs
        write_seg(self.masks / "any.dcm", frames, of)
        self.run()
        np.testing.assert_array_equal(self.stored(), organs())

    def test_a_dicom_segmentation_on_every_second_slice_is_not_filled(self):
        frames = [organs()[:, :, k].T for k in range(0, 8, 2)]
        write_seg(self.masks / "any.dcm", frames, None, every=2)
        self.run()
        row = self.reject()
        assert row["reason"] == "slices_missing"
        assert "drawn on one slice in 2" in row["detail"]
        self.run(policy={"slices_missing": "flag"})
        (check,) = self.bench.rows("volume_checks")
        assert {"slices_missing", "mask_resampled"} <= set(check["flags"])

    @pytest.mark.parametrize(
        ("code", "other"),
        [
            (("78961009", "Spleen"), "spleen"),
            (("78961009", "Liver"), "spleen"),
            (("64033007", "Kidney", "Right"), "kidney_right"),
        ],
    )
    def test_a_label_that_its_code_contradicts(self, code: tuple[str, ...], other: str):
        pairs = [(5, k) for k in range(1, 7)]
        frames = [(organs()[:, :, k] == 5).T for _, k in pairs]
        write_seg(self.masks / "any.dcm", frames, pairs, codes={5: code})
        self.run()
        row = self.reject()
        assert row["reason"] == "segment_names_disagree"
        assert f"one segment is liver by its label and {other} by its code" in row["detail"]

    @pytest.mark.parametrize("code", [("10200004", "Liver"), ("91723000", "Anatomical structure")])
    def test_a_label_that_its_code_bears_out(self, code: tuple[str, ...]):
        pairs = [(5, k) for k in range(1, 7)]
        frames = [(organs()[:, :, k] == 5).T for _, k in pairs]
        write_seg(self.masks / "any.dcm", frames, pairs, codes={5: code})
        self.run()
        np.testing.assert_array_equal(self.stored(), np.where(organs() == 5, 5, 0))

    def test_frames_of_a_segment_that_is_not_listed(self):
        write_seg(self.masks / "any.dcm", [organs()[:, :, 4].T == 2], [(7, 4)])
        self.run()
        row = self.reject()
        assert row["reason"] == "mask_unknown_value"
        assert "1 numbers of segments stand in no entry of the list: 7" in row["detail"]

    def test_dicom_images_beside_masks_are_no_masks(self):
        import shutil

        import pydicom.data

        shutil.copy(pydicom.data.get_testdata_file("CT_small.dcm"), self.masks / "image.dcm")
        self.kit.save(self.masks / "case_7.nii.gz", organs(), self.kit.ras)
        self.run()
        np.testing.assert_array_equal(self.stored(), organs())

    def itk(self, labels: np.ndarray[Any, Any]) -> Any:
        import SimpleITK as sitk  # noqa: N813

        made = sitk.GetImageFromArray(np.ascontiguousarray(labels.T))
        affine = LPS @ self.kit.ras
        spacing = np.linalg.norm(affine[:3, :3], axis=0)
        made.SetSpacing(spacing.tolist())
        made.SetDirection((affine[:3, :3] / spacing).ravel().tolist())
        made.SetOrigin(affine[:3, 3].tolist())
        return made


class TestOtherGrids(Kinds):
    def test_a_finer_and_longer_grid_is_taken_by_nearest_voxels(self):
        fine = organs().repeat(2, axis=0).repeat(3, axis=1).repeat(2, axis=2)
        fine = np.pad(fine, ((0, 0), (0, 0), (4, 6)))
        affine = self.kit.ras @ np.diag([1 / 2, 1 / 3, 1 / 2, 1])
        affine[:3, 3] = [-0.5, -1.0, -1.0 - 4 * 2.0]
        self.kit.save(self.masks / "case_7.nii.gz", fine, affine)
        self.run()
        np.testing.assert_array_equal(self.stored(), organs())
        assert "mask_resampled" in self.bench.rows("volume_checks")[0]["flags"]

    def test_a_grid_elsewhere_is_refused(self):
        affine = self.kit.ras @ np.diag([1.5, 1.5, 1.5, 1])
        affine[:3, 3] = [200.0, 0, 0]
        self.kit.save(self.masks / "case_7.nii.gz", organs(), affine)
        self.run()
        row = self.reject()
        assert row["reason"] == "mask_grid_mismatch"
        assert "0 % of its labelled voxels lie inside the volume" in row["detail"]


@pytest.mark.parametrize("turn_degrees", [0.0, 11.0])
def test_resampling_is_that_of_simpleitk(turn_degrees: float):
    sitk = pytest.importorskip("SimpleITK")
    rng = np.random.default_rng(4)
    labels = np.zeros((20, 18, 16), np.uint8)
    labels[4:15, 4:14, 3:12] = rng.integers(1, 5, (11, 10, 9))
    source = np.diag([2.03, 2.01, 3.07, 1.0])
    turn = np.deg2rad(turn_degrees)
    target = np.array([[0, 1.3, 0, 3], [-1.7, 0, 0, 34], [0, 0, 2.2, 1], [0, 0, 0, 1.0]])
    rotation = np.eye(4)
    rotation[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    target = rotation @ target
    shape = (20, 26, 19)

    def itk(data: np.ndarray[Any, Any], affine: np.ndarray[Any, Any]) -> Any:
        made, lps = sitk.GetImageFromArray(np.ascontiguousarray(data.T)), LPS @ affine
        spacing = np.linalg.norm(lps[:3, :3], axis=0)
        made.SetSpacing(spacing.tolist())
        made.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
        made.SetOrigin(lps[:3, 3].tolist())
        return made

    like = itk(np.zeros(shape, np.uint8), target)
    theirs = sitk.Resample(itk(labels, source), like, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
    ours = resampled(labels, source, shape, target)
    assert not isinstance(ours, str)
    assert np.count_nonzero(ours[0]) > 500
    # centres half-way between two voxels may go either way
    assert (ours[0] != sitk.GetArrayFromImage(theirs).T).mean() < 2e-3


class TestValues(Kinds):
    def test_scaled_integers_near_whole_numbers_are_taken(self):
        made = nib.Nifti1Image(organs().astype(np.int16) * 1000, self.kit.ras)
        content = bytearray(made.to_bytes())
        content[112:116] = np.float32(0.001).tobytes()  # scl_slope: 0.0010000000474974513
        (self.masks / "case_7.nii").write_bytes(content)
        self.run()
        np.testing.assert_array_equal(self.stored(), organs())

    def test_values_farther_away_are_told_with_how_far(self):
        labels = organs().astype(np.float32)
        labels[0, 0, 0] = 0.12
        self.kit.save(self.masks / "case_7.nii.gz", labels, self.kit.ras)
        self.run()
        row = self.reject()
        assert row["reason"] == "mask_not_labels"
        assert "up to 0.12 from whole numbers, allowed 0.001" in row["detail"]

    def test_a_header_that_claims_more_than_the_file_can_hold(self):
        made = bytearray(gzip.decompress(label_map_bytes(organs(), self.kit.ras)))
        made[42:48] = np.array([8000, 8000, 8000], "<i2").tobytes()
        (self.masks / "case_7.nii.gz").write_bytes(gzip.compress(bytes(made)))
        self.run()
        assert "claims 512,000,000,352 bytes of voxels" in self.reject()["detail"]


class TestForms(Kinds):
    """A NIfTI header may place its voxels twice, by sform and by qform."""

    def save(self, name: str, labels: Any, qform: Any) -> None:
        made = nib.Nifti1Image(labels, self.kit.ras)
        made.set_sform(self.kit.ras, 1)
        made.set_qform(qform, 1)
        path = self.masks / name
        path.parent.mkdir(exist_ok=True)
        nib.save(made, path)

    def mirrored(self) -> np.ndarray[Any, Any]:
        return self.kit.ras @ np.diag([-1.0, 1, 1, 1])

    def test_that_disagree_set_the_mask_aside(self):
        self.save("case_7.nii.gz", organs(), self.mirrored())
        self.run()
        row = self.reject()
        assert row["reason"] == "qform_sform_disagree"
        assert "place a corner 20.0 voxels apart, expected at most 0.5" in row["detail"]

    def test_in_one_file_of_a_folder(self):
        self.save("case_7/spleen.nii.gz", (organs() == 1).astype(np.uint8), self.kit.ras)
        self.save("case_7/liver.nii.gz", (organs() == 5).astype(np.uint8), self.mirrored())
        self.run()
        row = self.reject()
        assert row["reason"] == "qform_sform_disagree"
        assert "liver: sform and qform" in row["detail"]

    def test_that_policy_lets_pass_are_flagged_and_the_sform_holds(self):
        self.save("case_7.nii.gz", organs(), self.mirrored())
        self.run(policy={"qform_sform_disagree": "flag"})
        np.testing.assert_array_equal(self.stored(), organs())
        assert "qform_sform_disagree" in self.bench.rows("volume_checks")[0]["flags"]

    @pytest.mark.parametrize("folder", [False, True])
    def test_of_which_neither_is_set_place_a_mask_nowhere(self, folder: bool):
        """Readers make up a place of the file's size, which may even overlap the volume."""
        image = nib.Nifti1Image((organs() == 5).astype(np.uint8) * 5, self.kit.ras)
        image.set_sform(None, 0)
        image.set_qform(None, 0)
        path = self.masks / ("case_7/liver.nii.gz" if folder else "case_7.nii.gz")
        path.parent.mkdir(exist_ok=True)
        nib.save(image, path)
        self.run()
        row = self.reject()
        assert row["reason"] == "mask_grid_mismatch"
        assert "neither sform nor qform is set" in row["detail"]

    def test_that_differ_by_rounding_agree(self):
        near = self.kit.ras.copy()
        near[0, 3] += 0.4
        self.save("case_7.nii.gz", organs(), near)
        self.run()
        np.testing.assert_array_equal(self.stored(), organs())


class TestNames(Kinds):
    @pytest.mark.parametrize("name", ["case_7.NII.GZ", "Case_7.Nii.gz"])
    def test_suffixes_in_any_case(self, name: str):
        self.kit.save(self.masks / "case_7.nii.gz", organs(), self.kit.ras)
        (self.masks / "case_7.nii.gz").rename(self.masks / name)
        self.run()
        np.testing.assert_array_equal(self.stored(), organs())

    @pytest.mark.parametrize("suffix", [".mhd", ".nhdr", ".hdr", ".MHD"])
    def test_a_header_without_its_voxels_is_told(self, suffix: str):
        (self.masks / f"case_7{suffix}").write_text("ObjectType = Image\n")
        self.run()
        row = self.reject()
        assert row["reason"] == "mask_not_one_file"
        assert "write it as .nii.gz" in row["detail"]

    def test_what_macos_leaves_beside_a_mask_is_none(self):
        self.kit.save(self.masks / "case_7.nii.gz", organs(), self.kit.ras)
        (self.masks / "._case_7.nii.gz").write_bytes(b"\0\5\x16\7")
        self.run()
        np.testing.assert_array_equal(self.stored(), organs())

    def test_a_mask_without_volume_is_told_the_nearest(self, tmp_path: Path):
        token = "f_1"
        self.bench.context.vault.remember_files({token: "images/other_12_0000.nii.gz"})
        row = self.bench.context.store.read("volumes").to_pylist()[0]
        from schemas import Volume

        names = {name: tuple(v) if isinstance(v, list) else v for name, v in row.items()}
        near = Volume(**{**names, "source_files": (token,)})
        self.bench.context.store.replace("volumes", [near.study_id], [near])
        self.kit.save(self.masks / "other_12.nii.gz", organs(), self.kit.ras)
        self.run()
        detail = self.reject()["detail"]
        assert f"nearest: the name of {self.volume}" in detail
        assert "other_12" not in detail


@pytest.mark.parametrize("cut", [1, 40, 200])
def test_a_cut_gzip_file_is_never_read_in_part(cut: int):
    content = label_map_bytes(organs(), np.eye(4))
    with pytest.raises(NiftiError):
        read_nifti(content[:-cut])


def write_seg(
    path: Path,
    frames: list[Any],
    of: list[tuple[int, int]] | None,
    *,
    every: int = 1,
    codes: dict[int, tuple[str, ...]] | None = None,
) -> None:
    """A DICOM SEG of the bench's volume: binary frames of (value, slice), or a label map.

    `codes` gives segments their code's value and meaning, and a side.
    """
    import pydicom
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.sequence import Sequence
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    def item(**values: Any) -> Dataset:
        made = Dataset()
        for name, value in values.items():
            setattr(made, name, value)
        return made

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    uid = "1.2.840.10008.5.1.4.1.1.66." + ("7" if of is None else "4")
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = uid, generate_uid()
    made = Dataset()
    made.file_meta = meta
    made.SOPClassUID, made.SOPInstanceUID = uid, meta.MediaStorageSOPInstanceUID
    made.Modality = "SEG"
    made.SegmentationType = "LABELMAP" if of is None else "BINARY"
    made.Rows, made.Columns, made.NumberOfFrames = 12, 10, len(frames)
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.PixelRepresentation = 0
    made.ReferencedSeriesSequence = Sequence([item(SeriesInstanceUID="1.2.3")])
    names = {1: "Spleen", 2: "Right kidney", 5: "liver"}
    made.SegmentSequence = Sequence(
        [item(SegmentNumber=value, SegmentLabel=name) for value, name in names.items()]
    )
    for one in made.SegmentSequence:
        if codes and one.SegmentNumber in codes:
            value, meaning, *sides = codes[one.SegmentNumber]
            coded = item(CodeValue=value, CodingSchemeDesignator="SCT", CodeMeaning=meaning)
            coded.SegmentedPropertyTypeModifierCodeSequence = Sequence(
                [item(CodeMeaning=side) for side in sides]
            )
            one.SegmentedPropertyTypeCodeSequence = Sequence([coded])
    shared = item(
        PlaneOrientationSequence=Sequence([item(ImageOrientationPatient=[-1, 0, 0, 0, -1, 0])]),
        PixelMeasuresSequence=Sequence([item(PixelSpacing=[3, 2], SliceThickness=4)]),
    )
    made.SharedFunctionalGroupsSequence = Sequence([shared])
    places = of or [(0, k) for k in range(len(frames))]
    per_frame = []
    for value, k in places:
        one = item(
            PlanePositionSequence=Sequence([item(ImagePositionPatient=[0, 0, 4 * every * k])])
        )
        if of is not None:
            one.SegmentIdentificationSequence = Sequence([item(ReferencedSegmentNumber=value)])
        per_frame.append(one)
    made.PerFrameFunctionalGroupsSequence = Sequence(per_frame)
    pixels = np.stack(frames).astype(np.uint8)
    made.BitsAllocated = 8 if of is None else 1
    made.BitsStored, made.HighBit = made.BitsAllocated, made.BitsAllocated - 1
    made.PixelData = pixels.tobytes() if of is None else pydicom.pixels.pack_bits(pixels, pad=True)
    pydicom.dcmwrite(path, made, enforce_file_format=True)


class TestALaterBackend(Kinds):
    """Each adds its task; checks and samples stay those of the first in order."""

    def total(self) -> None:
        self.kit.save(self.masks / "case_7.nii.gz", organs(), self.kit.ras)
        self.run()

    def threshold(self) -> None:
        self.bench.segment(SegmentConfig(backend="threshold"))

    def tasks(self) -> set[str]:
        return {row["task"] for row in self.bench.rows("masks")}

    @pytest.mark.parametrize("first", ["total", "threshold"])
    def test_density_never_speaks_for_a_volume_with_other_masks(self, first: str):
        for name in (first, "threshold" if first == "total" else "total"):
            getattr(self, name)()
        self.threshold()  # takes up the other's row where it came first
        assert self.tasks() == {"total", "threshold"}
        (check,) = self.bench.rows("volume_checks")
        assert "liver" in check["searched"]

    def test_neither_is_made_again_for_the_others_sake(self):
        self.total()
        self.threshold()
        config = SegmentConfig(
            backend="precomputed", masks=self.masks, classes="totalsegmentator_v2"
        )
        assert self.bench.segment(config) == 0
        assert self.bench.segment(SegmentConfig(backend="threshold")) == 0

    def test_the_same_task_of_another_backend_fills_only_volumes_without_masks(self):
        self.total()
        other = self.bench.add_volume(image() // 2, self.kit.ras, volume_name="case_8")
        self.bench.segment(SegmentConfig(backend="threshold", task="total"))
        backends = {row["volume_id"]: row["backend"] for row in self.bench.rows("masks")}
        assert backends == {self.volume: "precomputed", other: "threshold"}
