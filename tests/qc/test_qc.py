from __future__ import annotations

import zlib
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from fvlm_data.hashing import array_sha256
from fvlm_data.identity.vault import Vault
from fvlm_data.qc import QcConfig, write_qc
from fvlm_data.qc.figures import read_figures
from fvlm_data.qc.png import PngError, description_of, png_bytes
from fvlm_data.qc.thumbnails import ANATOMIES, colour_of, kept_thumbnails, slice_picture
from fvlm_data.segment.library_classes import recorded_classes
from fvlm_data.segment.nifti import label_map_bytes
from fvlm_data.store.declared import Context
from fvlm_data.store.tables import Store
from fvlm_data.vocabulary import Vocabulary
from schemas import (
    AnatomyText,
    Input,
    Mask,
    Quarantined,
    Sample,
    StudyReport,
    Volume,
    VolumeCheck,
    Waiting,
)

EN = Vocabulary.load()

LIVER = 5
THUMBNAILS = "qc/thumbnails"


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(Store.create(tmp_path / "store"), Vault.open(tmp_path / "vault"), "run_7")


def volume(number: int, store: Store) -> Volume:
    name = f"v_{number:020x}"
    path = f"volumes/00/{name}.nii.gz"
    image = np.random.default_rng(number).integers(-100, 200, (16, 12, 5)).astype(np.int16)
    store.write_bytes(path, nib.Nifti1Image(image, np.eye(4)).to_bytes())
    return Volume(
        volume_id=name,
        patient_id=f"p_{number}",
        study_id=f"st_{number // 2}",
        series_id=f"se_{number}",
        path=path,
        source_files=(),
        shape=(16, 12, 5),
        spacing_mm=(1.0, 1.0, 1.0),
        affine_ras=tuple(float(x) for x in np.eye(4).ravel()),
        orientation="RAS",
        content_sha256=array_sha256(image, np.eye(4)),
        hu_min=0,
        hu_max=0,
        rescale_decision="already_hu",
        body_region_header=None,
        contrast_header=None,
        kernel=None,
        manufacturer=None,
        acquired_on=None,
        age_years=None,
        sex=None,
    )


def mask(of: Volume, store: Store, name: str = "liver", ml: float = 1500.0, last: int = 9) -> Mask:
    path = f"masks/00/{of.volume_id}.total.nii.gz"
    labels = np.zeros(of.shape, np.uint8)
    labels[3:last, 3:9, 1:4] = LIVER
    store.write_bytes(path, label_map_bytes(labels, np.eye(4)))
    values = {name: value for value, name in recorded_classes("totalsegmentator_v2").items()}
    return Mask(
        volume_id=of.volume_id,
        task="total",
        class_system="totalsegmentator_v2",
        class_name=name,
        class_value=values[name],
        voxels=1,
        volume_ml=ml,
        bbox=(0, 0, 0, 1, 1, 1),
        touches_border=False,
        path=path,
        content_sha256=array_sha256(labels),
        backend="precomputed",
        backend_version="1",
    )


@pytest.fixture
def full(context: Context) -> Context:
    store = context.store
    volumes = [volume(n, store) for n in range(4)]
    store.replace_all("volumes", volumes)
    masks = [mask(v, store, ml=1000.0 + 100 * n) for n, v in enumerate(volumes[:3])]
    masks.append(mask(volumes[0], store, "kidney_left", 150.0))
    masks.append(mask(volumes[0], store, "kidney_right", 160.0))
    store.replace_all("masks", masks)
    store.replace_all(
        "inputs",
        [
            Input(
                kind="file",
                token=f"f_{n}",
                source="s",
                item=f"se_{n // 10}" if n < 40 else None,
                fingerprint="",
                size_bytes=1,
                modified_ns=0,
            )
            for n in range(45)
        ],
    )
    store.replace_all(
        "quarantine",
        [
            Quarantined(
                kind=kind,
                stage="ingest",
                item=f"{reason}{n}",
                reason=reason,
                detail=f"{reason} number {n} <b>bold</b>",
                source_files=("secret/path.dcm",),
            )
            for kind, reason, count in (
                ("out_of_scope", "scout", 5),
                ("fault", "gap", 2),
                ("fault", "decode", 3),
            )
            for n in range(count)
        ],
    )
    store.replace_all(
        "waiting",
        [Waiting(owner_kind="study", owner_id="st_9", waits_for="report", since_run="r")],
    )
    store.replace_all(
        "study_reports",
        [StudyReport(study_id="st_0", report_id="r_1", matched_by="study_uid", order=0)],
    )
    store.replace_all(
        "anatomy_texts",
        [
            AnatomyText(
                study_id=f"st_{n}",
                anatomy="liver",
                text="secret text",
                state=state,
                signature=0,
                findings=(),
                labels=(),
                sources=(),
            )
            for n, state in enumerate(("abnormal", "not_mentioned", "not_mentioned"))
        ],
    )
    store.replace_all(
        "volume_checks",
        [
            VolumeCheck(
                volume_id=v.volume_id,
                body_region="abdomen",
                contrast="enhanced",
                flags=("liver_cut",),
            )
            for v in volumes[:3]
        ],
    )
    return context


class Strict(HTMLParser):
    """Collects what a page would fetch, and whether all tags are closed."""

    VOID = ("meta", "link", "img", "line", "rect", "br")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.scripts: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        self.fetched += [v or "" for k, v in attrs if k in ("src", "href", "srcset", "data")]
        if tag == "script":
            self.scripts.append(dict(attrs).get("src"))

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


FIRST_PAGE_ALONE = QcConfig(studies=0)
"""Pages of studies have tests of their own."""


def page(context: Context) -> str:
    path = write_qc(context, EN, FIRST_PAGE_ALONE)
    assert path == "qc/index.html"
    return context.store.read_bytes(path).decode()


def test_an_empty_store_gives_a_page(context: Context):
    text = page(context)
    assert "Nothing was set aside" in text
    assert "No volume is segmented yet" in text


def test_the_page_is_whole_and_fetches_nothing(full: Context):
    parser = Strict()
    text = page(full)
    parser.feed(text)
    assert parser.open == []
    pictures = [url for url in parser.fetched if url.startswith("data:image/png;base64,")]
    own = [url for url in parser.fetched if url.startswith("assets/")]
    links = [url for url in parser.fetched if url.startswith("#")]
    assert len(pictures) == 3
    assert sorted(parser.fetched) == sorted(pictures + own + links)
    assert all(full.store.exists(f"qc/{url}") for url in own)
    assert "http" not in text.replace("http-equiv", "")
    assert parser.scripts == [None, *(url for url in own if url.endswith(".js"))]


def test_it_holds_no_text_of_reports_and_no_file_names(full: Context):
    text = page(full)
    assert "secret" not in text
    assert "p_1" not in text
    assert "<b>bold" not in text


def test_the_same_store_gives_the_same_page(full: Context):
    assert page(full) == page(full)


def test_the_funnel(full: Context):
    figures = read_figures(full.store, EN)
    assert dict(figures.images) == {
        "files": 45,
        "series": 4,
        "volumes": 4,
        "studies": 2,
        "studies with a report": 1,
        "samples": 0,
    }


def test_faults_come_first_then_the_most_frequent(full: Context):
    found = [(s.kind, s.reason, s.count) for s in read_figures(full.store, EN).set_aside]
    assert found == [("fault", "decode", 3), ("fault", "gap", 2), ("out_of_scope", "scout", 5)]
    text = page(full)
    assert text.index("decode number 0") < text.index("scout number 0")


def test_states_and_sizes(full: Context):
    figures = read_figures(full.store, EN)
    assert figures.states == {"liver": {"abnormal": 1, "not_mentioned": 2}}
    spreads = {s.anatomy: s for s in figures.spreads}
    assert set(spreads) == {"liver", "kidney"}
    assert spreads["liver"].percentiles_ml[2] == 1100.0
    assert spreads["kidney"].percentiles_ml[2] == pytest.approx(310.0)
    assert "2 (67 %)" in page(full)


def test_samples_are_counted_by_split_and_patient(full: Context):
    def sample(number: int) -> Sample:
        return Sample(
            sample_id=f"sa_{number}",
            patient_id=f"p_{number // 2}",
            study_id="st_0",
            volume_id="v_0",
            split="train",
            shard="sh",
            index=number,
            offset_z=0,
            shape_zyx=(1, 1, 1),
            spacing_mm=(1.0, 1.0, 1.0),
            affine_ras=(),
            content_sha256="",
            anatomies=(),
            states=(),
            signatures=(),
            findings=(),
            labels=(),
            texts=(),
            boxes=(),
            age_years=None,
            sex=None,
            manufacturer=None,
            kernel=None,
        )

    full.store.replace_all("samples", [sample(n) for n in range(3)])
    assert read_figures(full.store, EN).splits == (("train", 3, 2),)


def test_a_damaged_file_costs_its_picture_only_and_is_told(full: Context):
    store = full.store
    first = store.read("volumes").to_pylist()[0]
    store.write_bytes(first["path"], b"junk")
    pictures = {one.volume_id: one.png for one in kept_thumbnails(store, 8, EN)}
    assert len(pictures) == 3
    assert [one for one in pictures if pictures[one] is None] == [first["volume_id"]]
    assert page(full).count("cannot be read; restore the file") == 1
    assert len(store.files(THUMBNAILS)) == 2
    volume(0, store)
    assert "cannot be read" not in page(full)
    assert len(store.files(THUMBNAILS)) == 3


def test_a_picture_shows_the_right_side_on_the_left_and_the_front_on_top():
    labels = np.zeros((60, 40), np.uint8)
    liver = ANATOMIES.index("liver") + 1
    labels[45:55, 30:36] = liver
    picture = slice_picture(np.full((60, 40), -1000, np.int16), labels, aspect=1.0)
    assert picture.shape == (160, 240, 3)
    rows, columns = np.nonzero((picture == colour_of("liver")).all(axis=2))
    assert columns.max() < 120
    assert rows.max() < 80


def test_anatomies_of_pictures_are_known_and_differ_in_colour():
    assert set(ANATOMIES) <= set(EN.imaged)
    assert len({colour_of(anatomy) for anatomy in ANATOMIES}) == len(ANATOMIES)


class Watch:
    """Paths that were read, written and removed."""

    def __init__(self, store: Store, patch: pytest.MonkeyPatch) -> None:
        self.read: list[str] = []
        self.changed: list[str] = []
        for name, told in (
            ("read_bytes", self.read),
            ("write_bytes", self.changed),
            ("remove", self.changed),
        ):
            patch.setattr(store, name, self.watched(getattr(store, name), told))

    @staticmethod
    def watched(method: Callable[..., Any], told: list[str]) -> Callable[..., Any]:
        def called(path: str, *others: Any) -> Any:
            told.append(path)
            return method(path, *others)

        return called

    def images(self) -> list[str]:
        """Volumes and masks that were read, in order."""
        return sorted(path for path in self.read if path.startswith(("volumes/", "masks/")))


@pytest.fixture
def watch(full: Context, monkeypatch: pytest.MonkeyPatch) -> Watch:
    """The full store, its page written, watched from then on."""
    page(full)
    return Watch(full.store, monkeypatch)


def states(store: Store) -> dict[str, tuple[int, int]]:
    """Each file's number and time of change."""
    found = {path: (Path(store.url) / path).stat() for path in store.files("")}
    return {path: (state.st_ino, state.st_mtime_ns) for path, state in found.items()}


def later(context: Context) -> Context:
    return Context(context.store, context.vault, "run_8")


def test_a_run_that_changed_nothing_reads_no_image_and_writes_nothing(full: Context, watch: Watch):
    before = states(full.store)
    text = page(later(full))
    assert watch.images() == []
    assert watch.changed == []
    assert states(full.store) == before
    assert "run_7" in text
    assert "run_8" not in text


def test_a_changed_mask_remakes_its_picture_only(full: Context, watch: Watch):
    store = full.store
    kept = set(store.files(THUMBNAILS))
    assert len(kept) == 3
    (one,) = store.read_items("volumes", "volume_id", [f"v_{1:020x}"])
    changed = mask(Volume(**one), store, last=12)
    store.replace("masks", [one["volume_id"]], [changed])
    watch.changed.clear()
    text = page(later(full))
    assert watch.images() == [changed.path, one["path"]]
    now = set(store.files(THUMBNAILS))
    assert sorted(watch.changed) == sorted([*(now ^ kept), "qc/index.html"])
    assert len(now - kept) == len(kept - now) == 1
    assert "last changed by run <span>run_8</span>" in text


def test_the_page_from_kept_pictures_is_that_from_new_ones(full: Context, watch: Watch):
    text = page(full)
    full.store.remove("qc")
    assert page(full) == text
    assert len(watch.images()) == 6


def test_counts_change_the_page_and_no_picture(full: Context, watch: Watch):
    full.store.replace_all("waiting", [])
    text = page(later(full))
    assert "Nothing waits" in text
    assert watch.images() == []
    assert watch.changed == ["qc/index.html"]


def test_a_volume_that_leaves_takes_its_picture_along(full: Context, watch: Watch):
    full.store.replace("masks", [f"v_{2:020x}"], [])
    assert f"v_{2:020x}" not in page(full)
    assert len(full.store.files(THUMBNAILS)) == 2
    assert watch.images() == []


@pytest.mark.parametrize("damage", [lambda content: content[:-20], lambda content: b"junk"])
def test_a_damaged_picture_is_made_anew(
    full: Context, watch: Watch, damage: Callable[[bytes], bytes]
):
    whole = page(full)
    path = full.store.files(THUMBNAILS)[0]
    content = full.store.read_bytes(path)
    full.store.write_bytes(path, damage(content))
    assert page(full) == whole
    assert full.store.read_bytes(path) == content


def test_a_damaged_page_is_written_anew(full: Context, watch: Watch):
    whole = page(full)
    full.store.write_bytes("qc/index.html", whole[:-30].encode())
    assert page(full) == whole
    assert watch.images() == []


def test_a_file_that_another_run_is_writing_stays(full: Context, watch: Watch):
    draft = f"{THUMBNAILS}/.{'a' * 64}.png.12345678.tmp"
    full.store.write_bytes(draft, b"half")
    page(full)
    assert full.store.exists(draft)


def test_png_holds_the_pixels_in_order():
    image = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    encoded = png_bytes(image, "")
    assert encoded.startswith(b"\x89PNG\r\n\x1a\n")
    start = encoded.index(b"IDAT") + 4
    length = int.from_bytes(encoded[start - 8 : start - 4], "big")
    lines = np.frombuffer(zlib.decompress(encoded[start : start + length]), np.uint8)
    assert (lines.reshape(2, 10)[:, 0] == 0).all()
    np.testing.assert_array_equal(lines.reshape(2, 10)[:, 1:].reshape(2, 3, 3), image)


def test_png_keeps_its_description_and_tells_damage():
    content = png_bytes(np.zeros((4, 5, 3), np.uint8), "lung heart")
    assert description_of(content) == "lung heart"
    for damaged in (content[:-1], content[:60], content.replace(b"heart", b"heard"), b""):
        with pytest.raises(PngError):
            description_of(damaged)


def test_figures_of_many_volumes_use_a_sample(full: Context, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("fvlm_data.qc.figures.VOLUMES_MEASURED", 1)
    spreads: dict[str, Any] = {s.anatomy: s for s in read_figures(full.store, EN).spreads}
    assert spreads["liver"].volumes == 1
