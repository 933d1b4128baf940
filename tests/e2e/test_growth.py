from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest

from fvlm_data.inspect.verify import verify
from fvlm_data.shards import ShardDataset
from fvlm_data.store.tables import Store
from tests.e2e.chain import chain_config, run_chain, sample_hashes, snapshot


def _worked(counts: dict[str, int]) -> int:
    return counts.get("accepted", 0) + counts.get("set_aside", 0)


@pytest.mark.full
def test_a_study_that_arrives_later_is_all_that_is_done(
    phantom: Path, undisturbed: Path, tmp_path: Path
) -> None:
    grown = tmp_path / "phantom"
    shutil.copytree(phantom, grown)
    patients = sorted((grown / "dicom").iterdir())
    aside = tmp_path / "aside"
    shutil.move(patients[-1], aside)
    store = tmp_path / "store"
    config = chain_config(store, grown)
    run_chain(config)
    shutil.move(aside, patients[-1])
    summary = run_chain(config)

    series = {path.parent for path in patients[-1].rglob("*") if path.is_file()}
    assert 0 < _worked(summary.stages["ingest"]) <= len(series)
    assert snapshot(store, placement=False) == snapshot(undisturbed, placement=False)
    assert all(check.passed for check in verify(Store.open(store)))


@pytest.mark.full
def test_a_late_report_redoes_its_study_only(
    phantom: Path, undisturbed: Path, tmp_path: Path
) -> None:
    late = tmp_path / "phantom"
    shutil.copytree(phantom, late)
    table = late / "reports_chest.csv"
    with table.open(encoding="utf-8", newline="") as handle:
        rows = list(csv.reader(handle))
    store = tmp_path / "store"
    _write(table, rows[:-1])
    run_chain(chain_config(store, late))
    _write(table, rows)
    summary = run_chain(chain_config(store, late))

    assert _worked(summary.stages["reports"]) == 1
    assert _worked(summary.stages["pair"]) <= 1
    assert _worked(summary.stages["ingest"]) == 0
    assert snapshot(store, placement=False) == snapshot(undisturbed, placement=False)


@pytest.mark.full
def test_late_slices_and_a_corrected_image_reach_the_shards_and_a_reader_keeps_what_it_opened(
    phantom: Path, undisturbed: Path, tmp_path: Path
) -> None:
    grown, aside = tmp_path / "phantom", tmp_path / "aside"
    shutil.copytree(phantom, grown)
    short, wrong = _series_of_volumes(undisturbed, grown)[:2]
    late = short[-2:]
    for path in late:
        shutil.copy2(path, aside.with_name(path.name))
        path.unlink()
    _brightened(wrong[len(wrong) // 2])
    store = tmp_path / "store"
    config = chain_config(store, grown)
    run_chain(config)
    before = sample_hashes(store)
    assert len(set(before) - set(sample_hashes(undisturbed))) >= 2
    datasets = [ShardDataset(str(store), split) for split in ("train", "test")]
    held = [dataset[number] for dataset in datasets for number in range(len(dataset))]

    for path in late:
        shutil.move(aside.with_name(path.name), path)
    for path in (phantom / "dicom").rglob("*"):
        if path.is_file() and path.name == wrong[len(wrong) // 2].name:
            shutil.copy(path, grown / path.relative_to(phantom))
    summary = run_chain(config)
    assert _worked(summary.stages["ingest"]) == 2
    assert snapshot(store, placement=False) == snapshot(undisturbed, placement=False)
    assert all(check.passed for check in verify(Store.open(store)))
    again = [dataset[number] for dataset in datasets for number in range(len(dataset))]
    for one, two in zip(held, again, strict=True):
        assert np.array_equal(one.image_zyx, two.image_zyx)


@pytest.mark.full
def test_what_waited_while_it_arrived_ends_as_if_it_had_not(
    phantom: Path, undisturbed: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    waiting = {"ingest.settle_minutes": 1e6, "ingest.full_listing_days": 30}
    summary = run_chain(chain_config(store, phantom, **waiting))
    series = summary.stages["ingest"]["waiting"]
    assert summary.waiting["series waits for still_arriving"] == series > 5
    assert summary.tables["volumes"] == summary.tables["samples"] == 0
    assert all(check.passed for check in verify(Store.open(store)))
    summary = run_chain(chain_config(store, phantom))
    assert _worked(summary.stages["ingest"]) == series
    assert snapshot(store, placement=False) == snapshot(undisturbed, placement=False)


def _series_of_volumes(store: Path, phantom: Path) -> list[list[Path]]:
    """Files of each series of CT slices that became a volume, along z, the longest series last."""
    by_uid: dict[str, list[tuple[float, Path]]] = {}
    for path in sorted((phantom / "dicom").rglob("*")):
        if path.is_file():
            head = pydicom.dcmread(path, stop_before_pixels=True, force=True)
            if "ImagePositionPatient" in head:
                place = (float(head.ImagePositionPatient[2]), path)
                by_uid.setdefault(head.SeriesInstanceUID, []).append(place)
    shown = {len(row) for row in Store.open(store).read("volumes")["source_files"].to_pylist()}
    found = [[path for _, path in sorted(files)] for files in by_uid.values()]
    return sorted((files for files in found if len(files) in shown), key=len)


def _brightened(path: Path) -> None:
    """Brighten a part of an image; a whole slice apart from its neighbours is refused.

    It lies within the last bytes, by which a file is known at first sight.
    """
    image = pydicom.dcmread(path)
    pixels = image.pixel_array.copy()
    column = pixels.shape[1] // 2
    pixels[-16:-4, column - 8 : column + 8] += 40
    image.PixelData = pixels.tobytes()
    image.save_as(path)


@pytest.mark.slow
@pytest.mark.full
def test_shuffled_inputs_give_the_same(phantom: Path, undisturbed: Path, tmp_path: Path) -> None:
    """Rows of report files in reverse order, files written anew in reverse order."""
    shuffled = tmp_path / "phantom"
    for path in sorted((p for p in phantom.rglob("*") if p.is_file()), reverse=True):
        target = shuffled / path.relative_to(phantom)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    for name in ("reports_chest.csv", "reports_abdomen.csv"):
        with (shuffled / name).open(encoding="utf-8", newline="") as handle:
            head, *rows = csv.reader(handle)
        _write(shuffled / name, [head, *reversed(rows)])
    store = tmp_path / "store"
    run_chain(chain_config(store, shuffled))
    assert snapshot(store) == snapshot(undisturbed)


def _write(path: Path, rows: list[list[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as handle:
        csv.writer(handle).writerows(rows)
