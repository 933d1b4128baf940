"""A file that changed where its header and end show nothing is read again; a touched one is not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from series import Series, set_hu, write
from test_sources import chest, save

from fvlm_data.ingest.config import SourceConfig
from fvlm_data.ingest.discovery.discover import discover

if TYPE_CHECKING:
    from collections import Counter

    from conftest import Ingested

LARGE = Series(rows=96, columns=80)


def hospital(folder: Path) -> SourceConfig:
    return SourceConfig(kind="dicom", path=folder, name="hospital")


def corrected(folder: Path) -> Path:
    """The third slice with a block of other pixels: same size, header and last 4 KiB."""
    one = LARGE.datasets()[2]
    image = LARGE.image_hu()[2]
    image[8:12, 8:16] = 321
    set_hu(one, image)
    return write([one], folder, [f"{(2 * 7919) % 1009:04d}.dcm"])[0]


def settled(ingested: Ingested, source: SourceConfig, *, rehash: bool = False) -> Counter[str]:
    discover(ingested.context, [source], "plain", rehash=rehash)
    return ingested.settle(source)


def keep_time(path: Path, before: os.stat_result) -> None:
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_pixels_corrected_in_place_are_read_again(ingested: Ingested, tmp_path: Path):
    write(LARGE.datasets(), tmp_path / "in")
    source = hospital(tmp_path / "in")
    ingested.run(source)
    before = ingested.volume()
    corrected(tmp_path / "in")
    assert settled(ingested, source)["accepted"] == 1
    assert ingested.volume()["content_sha256"] != before["content_sha256"]
    assert (ingested.image(ingested.volume())[8:16, 8:12, 2] == 321).all()
    assert settled(ingested, source) == {}
    ingested.check_conserved()


def test_a_file_put_in_anothers_place_with_its_time_is_told_by_its_inode(
    ingested: Ingested, tmp_path: Path
):
    write(LARGE.datasets(), tmp_path / "in")
    source = hospital(tmp_path / "in")
    ingested.run(source)
    new = corrected(tmp_path / "elsewhere")
    old = tmp_path / "in" / new.name
    state = old.stat()
    keep_time(new, state)
    new.replace(old)
    assert settled(ingested, source)["accepted"] == 1
    assert (ingested.image(ingested.volume())[8:16, 8:12, 2] == 321).all()


def test_rehash_finds_what_no_time_or_size_tells(ingested: Ingested, tmp_path: Path):
    write(LARGE.datasets(), tmp_path / "in")
    source = hospital(tmp_path / "in")
    ingested.run(source)
    assert settled(ingested, source, rehash=True) == {}
    new = corrected(tmp_path / "elsewhere")
    old = tmp_path / "in" / new.name
    state = old.stat()
    old.write_bytes(new.read_bytes())
    keep_time(old, state)
    assert settled(ingested, source) == {}
    assert settled(ingested, source, rehash=True)["accepted"] == 1
    assert (ingested.image(ingested.volume())[8:16, 8:12, 2] == 321).all()
    assert settled(ingested, source, rehash=True) == {}


def test_corrected_and_put_back_both_count(ingested: Ingested, tmp_path: Path):
    write(LARGE.datasets(), tmp_path / "in")
    source = hospital(tmp_path / "in")
    ingested.run(source)
    first = ingested.volume()["content_sha256"]
    corrected(tmp_path / "in")
    settled(ingested, source)
    write(LARGE.datasets(), tmp_path / "in")
    assert settled(ingested, source)["accepted"] == 1
    assert ingested.volume()["content_sha256"] == first


def test_a_copy_of_everything_makes_nothing_anew(ingested: Ingested, tmp_path: Path):
    """As a move to another disk: times and inodes differ, contents do not."""
    write(LARGE.datasets(), tmp_path / "in")
    source = hospital(tmp_path / "in")
    ingested.run(source)
    corrected(tmp_path / "in")
    settled(ingested, source)
    for path in (tmp_path / "in").iterdir():
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content)
        os.utime(path, ns=(5, 5))
    assert settled(ingested, source) == {}


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nii"])
def test_a_repaired_volume_file_is_read_again_and_a_touched_one_is_not(
    ingested: Ingested, tmp_path: Path, name: str
):
    path = tmp_path / "in" / name
    save(path, chest(), np.diag([-0.75, -0.75, 1.5, 1.0]))
    whole = path.read_bytes()
    broken = bytearray(whole)
    middle = len(whole) // 2
    broken[middle : middle + 64] = bytes(64)
    path.write_bytes(broken)
    source = SourceConfig(kind="nifti", path=tmp_path / "in", name="tree")
    ingested.run(source)
    damaged = [row["content_sha256"] for row in ingested.volumes()]
    path.write_bytes(whole)
    os.utime(path, ns=(1, 1))
    assert settled(ingested, source)["accepted"] == 1
    assert [row["content_sha256"] for row in ingested.volumes()] != damaged
    os.utime(path, ns=(2, 2))
    assert settled(ingested, source) == {}
