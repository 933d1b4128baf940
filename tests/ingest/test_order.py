"""The same answers whatever the order in which files come, and whoever reads them."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pydicom
import pytest
from encoded import COMPRESSED, compress
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from series import Series, write
from trap_series import TRAPS

from fvlm_data.ingest.config import IngestConfig
from fvlm_data.ingest.dicom.series import read_series
from fvlm_data.ingest.dicom.slice_header import SliceHeader, parse
from fvlm_data.ingest.discovery.opener import FileLocation
from fvlm_data.ingest.source_files import SourceFile
from fvlm_data.ingest.volume.geometry import Fault
from fvlm_data.ingest.volume.result import SeriesResult, content_sha256
from fvlm_data.ingest.volume.stacks.grouping import stacks

MIXED = (
    "every file twice",
    "two acquisitions, interleaved",
    "two kernels, interleaved",
    "two ranges along z",
    "two temporal positions",
    "a block of the middle lost",
    "two images at one place",
    "another orientation in one slice",
    "gantry tilt +20",
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    root = tmp_path_factory.mktemp("traps")
    for number, name in enumerate(MIXED):
        TRAPS[name].build(root / str(number))
    return {
        name: sorted(path for path in (root / str(n)).rglob("*") if path.is_file())
        for n, name in enumerate(MIXED)
    }


def outcome(headers: list[SliceHeader], order: list[int]) -> set[Any]:
    found = stacks([headers[number] for number in order], IngestConfig())
    return {
        (
            frozenset(order[number] for number in stack.members),
            stack.proof.detail
            if isinstance(stack.proof, Fault)
            else stack.proof.affine_ras.round(6).tobytes(),
        )
        for stack in found
    }


@pytest.mark.parametrize("name", MIXED)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(draw=st.randoms(use_true_random=False))
def test_stacks_and_proofs_do_not_hang_on_file_order(
    built: dict[str, list[Path]], name: str, draw: Any
):
    headers = [parse(pydicom.dcmread(path)) for path in built[name]]
    order = list(range(len(headers)))
    straight = outcome(headers, order)
    draw.shuffle(order)
    assert outcome(headers, order) == straight


def told(paths: list[Path], threads: int = 1) -> tuple[Any, ...]:
    files = [
        SourceFile(path.name + path.parent.name, "", "s", path.name, FileLocation(path))
        for path in paths
    ]
    result: SeriesResult = read_series(files, "se_1", b"key", IngestConfig(), threads)
    volumes = {
        (content_sha256(one.image_zyx, one.affine_ras), one.source_files) for one in result.volumes
    }
    rejects = {(one.kind, one.reason, one.detail, one.source_files) for one in result.rejects}
    return (sorted(volumes), sorted(rejects))


def test_whole_series_in_other_orders_and_other_processes(built: dict[str, list[Path]]):
    straight = [told(paths) for paths in built.values()]
    assert [told(paths[::-1]) for paths in built.values()] == straight
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        assert list(pool.map(told, [paths[::-1] for paths in built.values()])) == straight


@pytest.mark.parametrize("syntax", sorted(COMPRESSED))
def test_compressed_series_by_any_number_of_threads(tmp_path: Path, syntax: str):
    whole, broken = Series(slices=9).datasets(), Series(slices=9).datasets()
    for one in (*whole, *broken):
        compress(one, syntax)
    broken[4].PixelData = broken[4].PixelData[:60]
    sound = told(write([*whole, whole[3]], tmp_path / "sound"))
    assert [len(found) for found in sound] == [1, 1]  # a volume, and the slice that came twice
    refused = told(write(broken, tmp_path / "broken"))
    assert [reason for _, reason, *_ in refused[1]] == ["incomplete_series", "truncated_pixels"]
    for threads in (2, 3, 16):
        assert told(sorted((tmp_path / "sound").iterdir()), threads) == sound
        assert told(sorted((tmp_path / "broken").iterdir()), threads) == refused
