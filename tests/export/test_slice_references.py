"""Images that reports name: found in text, in the numbers of headers, and in the mask."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from fvlm_data.export.slice_references.found import References
from fvlm_data.export.slice_references.resolved import Numbered, Place, plausible, resolved
from fvlm_data.export.slice_references.row import TABLE
from fvlm_data.identity.vault import Vault
from fvlm_data.ingest.config import SourceConfig
from fvlm_data.ingest.source_files import remember_sources
from fvlm_data.store.tables import Store
from fvlm_data.vocabulary import Vocabulary
from fvlm_data.vocabulary.text_entries import ReferenceWords
from schemas import Input, Mask
from tests.core.hand_store import mask, volume
from tests.export.exporting import exported
from tests.export.over_time import made_store, visit

FINDER = References(Vocabulary.load().references)
DOCS = Path(__file__).resolve().parents[2] / "docs" / "export.md"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Nodule, series 4, image 87.", [("series_and_image", 4, 87, 87)]),
        ("Nodule (4/87).", [("bracketed_pair", 4, 87, 87)]),
        ("Cyst on se 3 im 112.", [("series_and_image", 3, 112, 112)]),
        ("Seen on images 45-47 of series 2.", [("series_and_image", 2, 45, 47)]),
        ("Cyst (series 5 image 33) is stable.", [("series_and_image", 5, 33, 33)]),
        ("IMA 12 SE 4", [("series_and_image", 4, 12, 12)]),
        ("Se: 3, Im: 45", [("series_and_image", 3, 45, 45)]),
        ("Series number 2, slices 10 to 14", [("series_and_image", 2, 10, 14)]),
        ("see image no. 9", [("image", None, 9, 9)]),
        ("se3/im112 and se4/im7", [("series_and_image", 3, 112, 112),
                                   ("series_and_image", 4, 7, 7)]),
        ("Nodules (4/87) and (4/91).", [("bracketed_pair", 4, 87, 87),
                                        ("bracketed_pair", 4, 91, 91)]),
        # what names no image
        ("Slices 5 mm thick.", []),
        ("Grade 3/4 lesion, 12 images.", []),
        ("A series of 4 cysts; close 3.", []),
        ("image 4.5", []),
        ("images 47-45 of series 2", []),
        ("Series 4 was repeated.", []),
    ],
)  # fmt: skip
def test_references_in_text(text: str, found: list[tuple[Any, ...]]):
    told = list(FINDER.of(text))
    assert [(one.form, one.series, one.first, one.last) for one in told] == found
    for one in told:
        assert str(one.last) in text[one.start : one.end]


def test_words_are_those_of_the_vocabulary():
    german = References(ReferenceWords(series=("Serie",), image=("Bild",), to=("bis",)))
    (one,) = german.of("Rundherd (Serie 4, Bild 87 bis 90), series 2 image 3, (4/87)")
    assert (one.series, one.first, one.last) == (4, 87, 90)
    assert list(References(ReferenceWords()).of("series 4, image 87 (4/87)")) == []


@given(
    st.integers(0, 9999), st.integers(0, 99999), st.sampled_from(["", "7 ", "(4/", "image ", "se"])
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_numbers_come_back_as_they_were_written(series: int, image: int, around: str):
    text = f"{around} (series {series}, image {image}) {around}"
    assert (series, image) in [(one.series, one.first) for one in FINDER.of(text)]


TWO = [Numbered("v_a", 2, [3, 2, 1]), Numbered("v_b", 4, [1, 2, 2, None])]
UNREAD = Numbered("v_c", None, None)


@pytest.mark.parametrize(
    ("text", "volumes", "place"),
    [
        ("series 2 image 3", TWO, Place("resolved", "v_a", 0, 0)),
        ("series 2 images 1-3", TWO, Place("resolved", "v_a", 2, 0)),
        ("series 4 image 1", TWO, Place("resolved", "v_b", 0, 0)),
        ("series 4 image 2", TWO, Place("ambiguous")),
        ("series 4 image 3", TWO, Place("no_such_image")),
        ("series 3 image 1", TWO, Place("no_such_series")),
        ("series 2 images 3-4", TWO, Place("no_such_image")),
        # without series: only where one volume has the number
        ("image 3", TWO, Place("resolved", "v_a", 0, 0)),
        ("image 1", TWO, Place("ambiguous")),
        ("series 2 image 3", [*TWO, UNREAD], Place("ambiguous")),
        ("series 9 image 3", [TWO[0], UNREAD], Place("headers_not_read")),
        ("series 2 image 3", [UNREAD], Place("headers_not_read")),
    ],
)
def test_numbers_lead_to_slices_and_never_by_a_guess(
    text: str, volumes: list[Numbered], place: Place
):
    (reference,) = FINDER.of(text)
    assert resolved(reference, volumes) == place


@pytest.mark.parametrize(
    ("place", "anatomies", "told"),
    [
        (Place("resolved", "v", 5, 5), ["liver"], True),
        (Place("resolved", "v", 9, 9), ["liver"], True),
        (Place("resolved", "v", 10, 10), ["liver"], False),
        (Place("resolved", "v", 12, 8), ["liver"], True),
        (Place("resolved", "v", 4, 2), ["liver"], False),
        (Place("resolved", "v", 2, 2), ["liver", "lung"], True),
        (Place("resolved", "v", 5, 5), ["spleen"], None),
        (Place("ambiguous"), ["liver"], None),
    ],
)
def test_a_slice_is_plausible_within_its_anatomy(place: Place, anatomies: list[str], told: Any):
    assert plausible(place, anatomies, {"liver": (5, 10), "lung": (0, 5)}) is told


def dicom(file: Path, series: int, instance: int) -> None:
    """A file of which only the numbers count here."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, "1.2.3"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made = pydicom.Dataset()
    made.file_meta = meta
    made.SOPClassUID, made.SOPInstanceUID, made.Modality = CTImageStorage, "1.2.3", "CT"
    made.SeriesNumber, made.InstanceNumber = series, instance
    file.parent.mkdir(parents=True, exist_ok=True)
    made.save_as(file, enforce_file_format=True)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A study of one volume of series 4: four slices of 2.5 mm whose numbers count down."""
    text = (
        "Liver cyst (series 4, image 3). Pleural effusion, se 4 im 3. Liver cyst (4/9). "
        "TECHNIQUE: series 4, image 2."
    )
    made = made_store(tmp_path, visit("st_a", "2020-06-01", text))
    tokens = [f"f_{k}" for k in range(4)]
    affine = (-1.0, 0, 0, 10.0, 0, -1.0, 0, 20.0, 0, 0, 2.5, -100.0, 0, 0, 0, 1.0)
    shown = volume(0, "st_a", source_files=tuple(tokens), shape=(3, 5, 4), affine_ras=affine)
    made.replace_all("volumes", [shown])
    box = (0, 0, 1, 3, 5, 4)
    liver = mask("v_0", "masks/v_0.nii.gz")
    made.replace_all(
        "masks", [Mask(**{name: getattr(liver, name) for name in liver.__slots__} | {"bbox": box})]
    )
    made.replace_all(
        "inputs",
        [
            Input(kind="file", token=token, source="s", item="se_0", fingerprint="f",
                  size_bytes=1, modified_ns=1)
            for token in tokens
        ],
    )  # fmt: skip
    vault = Vault.open(tmp_path / "vault")
    for k, token in enumerate(tokens):
        dicom(tmp_path / "scans" / f"{k}.dcm", 4, 4 - k)
        vault.remember_files({token: f"{k}.dcm"})
    remember_sources(vault, {"s": SourceConfig(kind="dicom", path=tmp_path / "scans")})
    return made


def rows_of(store: Store, folder: Path, vault: Path) -> list[dict[str, Any]]:
    out = exported("slice-references", folder, store.url, "--vault", str(vault))
    rows: list[dict[str, Any]] = pq.read_table(out / "slice_references.parquet").to_pylist()
    return rows


def test_references_lead_to_slices_of_the_volume(store: Store, tmp_path: Path):
    rows = rows_of(store, tmp_path / "out", tmp_path / "vault")
    # image 3 of 4 that count down is the second slice
    told = [(r["outcome"], r["volume_id"], r["slice"], r["plausible"]) for r in rows]
    assert told == [
        ("resolved", "v_0", 1, True),
        ("resolved", "v_0", 1, None),
        ("no_such_image", None, None, None),
    ]
    assert rows[0]["position_mm"] == rows[0]["last_position_mm"] == [9.0, 18.0, -97.5]
    assert rows[0]["text"][rows[0]["start"] - 10 : rows[0]["end"] - 10] == "series 4, image 3"
    assert (rows[0]["anatomies"], rows[0]["findings"]) == (["liver"], ["liver_cyst"])
    counted = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert counted == {"no_such_image": 1, "resolved": 2}
    assert list(rows[0]) == list(TABLE.columns)
    page = DOCS.read_text(encoding="utf-8")
    assert [name for name in TABLE.columns if f"`{name}`" not in page] == []


def test_without_vault_or_files_nothing_is_guessed(store: Store, tmp_path: Path):
    rows = rows_of(store, tmp_path / "without", tmp_path / "nowhere")
    assert {row["outcome"] for row in rows} == {"headers_not_read"}
    assert not (tmp_path / "nowhere").exists()
    (tmp_path / "scans" / "2.dcm").unlink()
    rows = rows_of(store, tmp_path / "gone", tmp_path / "vault")
    assert {row["outcome"] for row in rows} == {"headers_not_read"}
