"""Studies chosen by reports and images, and what a study, a volume and a report give in Python."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fvlm_data
from fvlm_data.errors import InputError, StoreError
from fvlm_data.ingest.volume.nifti_write import nifti_bytes
from fvlm_data.opened.store import OpenedStore
from fvlm_data.reports.language.shown import Marked, as_html, pieces
from fvlm_data.segment.nifti import label_map_bytes
from fvlm_data.store.tables import Store
from schemas import AnatomyText, Finding, Mask, Report, Sentence, Split, StudyReport, Volume

TEXT = "HISTORY: Pneumothorax. FINDINGS: <b>Effusion</b> & cyst, nodule."

AFFINE_RAS = np.array([[-2.0, 0, 0, 50], [0, -1.0, 0, 30], [0, 0, 3.0, -10], [0, 0, 0, 1]])
"""Columns towards the patient's left, rows towards the back: as DICOM stores axial slices."""


def volume(study: str, number: int = 0, **changes: Any) -> Volume:
    told: dict[str, Any] = {
        "volume_id": f"v_{study}{number}",
        "patient_id": f"p_{study}",
        "study_id": study,
        "series_id": f"se_{study}{number}",
        "path": f"volumes/{study}{number}.nii.gz",
        "source_files": ("f",),
        "shape": (6, 5, 4),
        "spacing_mm": (2.0, 1.0, 3.0),
        "affine_ras": tuple(float(one) for one in AFFINE_RAS.ravel()),
        "orientation": "LPS",
        "content_sha256": "0" * 64,
        "hu_min": -1000,
        "hu_max": 1000,
        "rescale_decision": "per_slice",
        "body_region_header": None,
        "contrast_header": None,
        "kernel": None,
        "manufacturer": "O'Neill",
        "acquired_on": None,
        "age_years": 61.0,
        "sex": "F",
    }
    return Volume(**{**told, **changes})


def finding(
    study: str, name: str, status: str = "present", sentence: int = 1, **more: Any
) -> Finding:
    return Finding(
        report_id=f"r_{study}",
        sentence=sentence,
        start=36,
        end=44,
        finding=name,
        anatomy=more.pop("anatomy", "lung"),
        status=status,
        laterality=more.pop("laterality", None),
        severity=more.pop("severity", None),
        size_mm=more.pop("size_mm", None),
        **more,
    )


def said(study: str, number: int, section: str, start: int, end: int) -> Sentence:
    return Sentence(
        report_id=f"r_{study}",
        sentence=number,
        start=start,
        end=end,
        section=section,
        text=TEXT[start:end],
        anatomies=("lung",),
        assessments=("abnormal",),
    )


CLASSES = {"liver": 5, "lung_upper_lobe_left": 10, "lung_lower_lobe_left": 11}

MENTIONS = {
    "left": [finding("left", "pleural_effusion", laterality="left", size_mm=12.0)],
    "both": [finding("both", "pleural_effusion", laterality="bilateral", size_mm=30.0)],
    "each": [
        finding("each", "pleural_effusion", laterality="left"),
        finding("each", "pleural_effusion", laterality="right", size_mm=25.0),
    ],
    "denied": [finding("denied", "pleural_effusion", "absent", laterality="left")],
    "history": [finding("history", "pneumothorax", sentence=0)],
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five studies with a report each, and one without; the first has an image and a mask."""
    store = Store.create(tmp_path_factory.mktemp("opened") / "store")
    volumes = [volume(study) for study in MENTIONS]
    volumes.append(volume("bare", patient_id="p_left", sex="M", age_years=None))
    volumes.append(volume("bare", 1, patient_id="p_left", sex="M", age_years=None))
    store.replace_all("volumes", volumes)
    store.replace_all("findings", [one for told in MENTIONS.values() for one in told])
    sentences = [
        one
        for study in MENTIONS
        for one in (
            said(study, 0, "clinical_information", 9, 22),
            said(study, 1, "findings", 33, len(TEXT)),
        )
    ]
    store.replace_all("sentences", sentences)
    store.replace_all(
        "study_reports",
        [StudyReport(study_id=s, report_id=f"r_{s}", matched_by="uid", order=0) for s in MENTIONS],
    )
    reports = [
        Report(
            report_id=f"r_{study}",
            text=TEXT,
            sections=(),
            source_files=(),
            document_sha256="0" * 64,
        )
        for study in MENTIONS
    ]
    store.replace_all("reports", reports)
    store.replace_all("splits", [Split(patient_id="p_left", split="test", source="hash")])
    text = AnatomyText(
        study_id="left", anatomy="liver", text="Cyst.", state="abnormal", signature=1,
        findings=(), labels=(), sources=(),
    )  # fmt: skip
    store.replace_all("anatomy_texts", [text])
    masks = [
        Mask(
            volume_id="v_left0", task="total", class_system="totalsegmentator_v2",
            class_name=name, class_value=value, voxels=1, volume_ml=float(value),
            bbox=(0, 0, 0, 1, 1, 1), touches_border=False, path="masks/left.nii.gz",
            content_sha256="0" * 64, backend="precomputed", backend_version="1",
        )
        for name, value in CLASSES.items()
    ]  # fmt: skip
    store.replace_all("masks", masks)
    store.write_bytes("volumes/left0.nii.gz", nifti_bytes(image_zyx(), AFFINE_RAS))
    store.write_bytes("masks/left.nii.gz", label_map_bytes(labels(), AFFINE_RAS))
    return Path(store.url)


def image_zyx() -> np.ndarray[Any, Any]:
    return np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)


def labels() -> np.ndarray[Any, Any]:
    made = np.zeros((6, 5, 4), np.uint8)
    made[0, 0, 0] = 5
    made[1, 0, 0] = 10
    made[2, 0, 3] = 11
    return made


@pytest.fixture
def opened(place: Path) -> OpenedStore:
    return fvlm_data.open_store(place)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"finding": "pleural_effusion"}, "both each left"),
        ({"finding": "pleural_effusion", "laterality": "left"}, "both each left"),
        ({"finding": "pleural_effusion", "laterality": "right"}, "both each"),
        ({"finding": "pleural_effusion", "laterality": "bilateral"}, "both each"),
        ({"finding": "pleural_effusion", "min_size_mm": 20}, "both each"),
        # one mention must be both: the left one of "each" has no size
        ({"finding": "pleural_effusion", "laterality": "left", "min_size_mm": 20}, "both"),
        ({"finding": "pleural_effusion", "max_size_mm": 12.0}, "left"),
        ({"finding": "pleural_effusion", "status": ["absent", "uncertain"]}, "denied"),
        ({"status": "absent"}, "denied"),
        # told in the clinical information only: nothing that this examination shows
        ({"finding": "pneumothorax"}, ""),
        ({"anatomy": "liver", "state": "abnormal"}, "left"),
        ({"split": "test"}, "bare left"),
        ({"sex": "M"}, "bare"),
        ({"min_age": 61}, "both denied each history left"),
        ({"max_age": 60}, ""),
        ({"manufacturer": "O'Neill", "sex": ("M", "O")}, "bare"),
    ],
)
def test_studies_are_chosen_by_what_reports_say_and_images_are(
    opened: OpenedStore, asked: dict[str, Any], found: str
):
    chosen = opened.studies.where(**asked)
    assert chosen.ids() == tuple(found.split())
    assert len(chosen) == len(found.split())
    assert [study.study_id for study in chosen] == found.split()
    # what is chosen and what is left are all
    rest = opened.studies.without(**asked).ids()
    assert sorted(chosen.ids() + rest) == sorted(opened.studies.ids())


def test_conditions_add_up_and_give_frames(opened: OpenedStore):
    chosen = opened.studies.where(finding="pleural_effusion").without(laterality="right")
    frame = chosen.where("reports = 1").to_pandas()
    assert list(frame["study_id"]) == ["left"]
    assert frame["split"][0] == "test"
    assert chosen.relation().fetchall()[0][0] == "left"
    assert opened.studies.where("volumes = 2").ids() == ("bare",)
    assert opened.studies[-1].study_id == "left"
    assert "left" in opened.studies._repr_html_()


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"finding": "plural_effusion"}, "did you mean pleural_effusion"),
        ({"findings": "cyst"}, "did you mean finding"),
        ({"status": "positive"}, "expected one of present, absent"),
        ({"anatomy": "liver"}, "what is asked of it"),
        ({"state": "abnormal"}, "an anatomy beside it"),
        ({"min_age": "60"}, "expected a number"),
        ({"finding": 3}, "expected a text"),
        ({"finding": []}, "no value"),
    ],
)
def test_a_condition_that_is_not_known_is_refused(
    opened: OpenedStore, asked: dict[str, Any], told: str
):
    with pytest.raises(InputError, match=told):
        opened.studies.where(**asked)
    with pytest.raises(InputError, match=told):
        opened.studies.without(**asked)


def test_a_study_without_conditions_is_not_left_out(opened: OpenedStore):
    with pytest.raises(InputError, match="expected a condition"):
        opened.studies.without()


def test_a_volume_gives_hu_and_masks_on_one_grid(opened: OpenedStore):
    study = opened.study("left")
    volume = study.volume
    np.testing.assert_array_equal(volume.hu, image_zyx().T)
    np.testing.assert_array_equal(volume.affine_ras, AFFINE_RAS)
    np.testing.assert_array_equal(study.mask("liver"), labels() == 5)
    # an anatomy is all its classes, a class itself alone
    np.testing.assert_array_equal(study.mask("lung"), labels() >= 10)
    np.testing.assert_array_equal(study.mask("lung_upper_lobe_left"), labels() == 10)
    assert volume.classes_ml["lung_upper_lobe_left"] == 10.0
    with pytest.raises(InputError, match="no mask of spleen; it shows"):
        study.mask("spleen")
    with pytest.raises(InputError, match="it has no label map"):
        opened.study("both").mask("liver")


def test_a_picture_shows_the_right_of_the_patient_on_the_left(opened: OpenedStore):
    from PIL import Image

    low, high = int(image_zyx().min()), int(image_zyx().max())
    content = opened.study("left").volume.picture((low, high))
    axial = np.asarray(Image.open(io.BytesIO(content)).convert("L")).astype(float)
    # i grows towards the patient's left, j towards the back, so HU grow to the right and down
    rows, columns = round(5 * 1 / 1.5), round(6 * 2 / 1.5)
    plain = axial[1:rows, 4:columns]
    assert plain[0, 0] < plain[0, -1] < plain[-1, -1]


def test_a_report_and_what_is_said_of_anatomies(
    opened: OpenedStore, capsys: pytest.CaptureFixture[str]
):
    study = opened.study("left")
    assert study.report.text == TEXT
    assert study.report.findings[0]["finding"] == "pleural_effusion"
    assert study.report.sentences[1]["section"] == "findings"
    assert study.anatomies["liver"].state == "abnormal"
    assert study.samples == []
    study.report.show()
    printed = capsys.readouterr().out
    assert TEXT in printed
    assert "pleural effusion, lung, left, present, 12 mm" in printed
    assert "\x1b" not in printed  # no terminal, no colours
    shown = study._repr_html_()
    assert "<b>Effusion" not in shown
    assert "&lt;b&gt;" in shown
    assert "data:image/png;base64," in shown


def test_what_is_not_there_is_told(opened: OpenedStore, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(InputError, match=r"2 \(v_bare0, v_bare1\); choose from `.volumes`"):
        _ = opened.study("bare").volume
    with pytest.raises(InputError, match="reports, found none"):
        _ = opened.study("bare").report
    opened.study("bare").show()
    assert "No report is joined to it" in capsys.readouterr().out
    opened.study("left").show()
    assert "No report" not in capsys.readouterr().out
    with pytest.raises(InputError, match="study none'such"):
        opened.study("none'such")
    with pytest.raises(StoreError):
        _ = opened.study("both").volume.hu


MARKS = st.builds(
    lambda start, length: Marked(start, start + length, "cyst", "liver", "present"),
    st.integers(0, 30),
    st.integers(1, 12),
)


@given(st.text("ab <&\n", min_size=45, max_size=60), st.lists(MARKS, max_size=6))
def test_no_character_of_a_marked_text_is_lost(text: str, marks: list[Marked]):
    cut = list(pieces(text, marks))
    assert "".join(piece for piece, _ in cut) == text
    place = 0
    for piece, over in cut:
        middle = [m for m in marks if m.start <= place and place + len(piece) <= m.end]
        assert list(over) == middle
        place += len(piece)
    assert as_html(text, marks).count("<span") == sum(1 for piece, over in cut if over and piece)


def test_a_parsed_report_shows_itself(capsys: pytest.CaptureFixture[str]):
    parsed = fvlm_data.ReportParser().parse("Small left pleural effusion.\nNo pneumothorax.")
    parsed.show()
    printed = capsys.readouterr().out
    assert "pleural effusion: pleural effusion, lung, left, present" in printed
    assert "pneumothorax: pneumothorax, lung, absent" in printed
    assert 'title="pneumothorax, lung, absent"' in parsed._repr_html_()
