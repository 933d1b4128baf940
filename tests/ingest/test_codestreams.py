"""Compressed frames: whole ones pass in every form, damaged ones are refused or told."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np
import pytest
from encoded import COMPRESSED, compress
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, get_frame
from series import Series, set_hu, write

from fvlm_data.ingest.config import IngestConfig
from fvlm_data.ingest.dicom.codestream import check_codestream
from fvlm_data.ingest.dicom.entropy import ends_with_image
from fvlm_data.ingest.dicom.pixels import decode
from fvlm_data.ingest.volume.geometry import Fault
from fvlm_data.ingest.volume.outlier_slices import slices_unlike_neighbours

if TYPE_CHECKING:
    from conftest import Ingested

RLE = "1.2.840.10008.1.2.5"


def image(rows: int = 96, columns: int = 88, seed: int = 3) -> NDArray[np.uint16]:
    """A smooth body with noise, of 12 bits."""
    y, x = np.mgrid[:rows, :columns]
    body = 1000 + 400 * np.sin(x / 9) + 300 * np.cos(y / 7)
    noise = np.random.default_rng(seed).normal(0, 9, (rows, columns))
    return np.rint(body + noise).clip(0, 4095).astype(np.uint16)


def slice_of(stream: bytes, syntax: str, shape: tuple[int, int] = (96, 88)) -> Dataset:
    (one,) = Series(slices=1).datasets()
    one.PixelRepresentation = 0
    one.Rows, one.Columns = shape
    one.PixelData = encapsulate([stream + b"\x00" * (len(stream) % 2)])
    one.file_meta.TransferSyntaxUID = syntax
    return one


def run_length(values: NDArray[np.uint16]) -> bytes:
    (one,) = Series(slices=1).datasets()
    one.PixelRepresentation = 0
    one.Rows, one.Columns = values.shape
    one.PixelData = values.tobytes()
    one.compress(RLE, generate_instance_uid=False)
    return bytes(get_frame(one.PixelData, 0, number_of_frames=1))


def lossy(values: NDArray[np.uint16], level: int) -> bytes:
    return bytes(imagecodecs.jpeg8_encode(values, level=level, bitspersample=12))


@pytest.mark.parametrize("name", COMPRESSED)
@pytest.mark.parametrize("shape", [(96, 88), (12, 10), (5, 300)])
def test_a_whole_codestream_passes_and_is_exact(name: str, shape: tuple[int, int]):
    values = image(*shape)
    syntax, encode = COMPRESSED[name]
    stream = bytes(encode(values))
    assert check_codestream(stream, *shape) is None
    np.testing.assert_array_equal(decode(slice_of(stream, syntax, shape)), values)


@pytest.mark.parametrize("padding", [0, 1, 63, 300, 5000])
@pytest.mark.parametrize("name", ["JPEG 2000 lossless", "JPEG lossless", "JPEG-LS lossless"])
def test_zeros_behind_the_end_mark_are_padding(name: str, padding: int):
    values = image()
    syntax, encode = COMPRESSED[name]
    one = slice_of(bytes(encode(values)) + bytes(padding), syntax)
    np.testing.assert_array_equal(decode(one), values)


def test_fragments_offset_table_and_a_missing_delimiter_change_nothing(
    ingested: Ingested, tmp_path: Path
):
    datasets = Series().datasets()
    for one in datasets:
        compress(one, "JPEG 2000 lossless")
        stream = bytes(get_frame(one.PixelData, 0, number_of_frames=1)).rstrip(b"\x00")
        stream += bytes(300 + len(stream) % 2)
        half = len(stream) // 4 * 2
        items = (
            b"\xfe\xff\x00\xe0" + len(part).to_bytes(4, "little") + part
            for part in (bytes(4), stream[:half], stream[half:])
        )
        one.PixelData = b"".join(items)
        one["PixelData"].is_undefined_length = True
    paths = write(datasets, tmp_path / "in")
    delimiter = b"\xfe\xff\xdd\xe0\x00\x00\x00\x00"
    for path in paths[::2]:
        content = path.read_bytes()
        assert content.count(delimiter) == 1
        path.write_bytes(content.removesuffix(delimiter))
    ingested.dicom(tmp_path / "in")
    assert ingested.volume()["shape"] == [10, 12, 6]


@pytest.mark.parametrize("name", COMPRESSED)
def test_a_codestream_that_breaks_off_is_truncated(name: str):
    stream = bytes(COMPRESSED[name][1](image()))
    fault = check_codestream(stream[: len(stream) // 2], 96, 88)
    assert fault is not None
    assert fault.reason == "truncated_pixels"


@pytest.mark.parametrize("name", COMPRESSED)
def test_the_end_mark_put_behind_half_of_it_is_damage(name: str):
    syntax, encode = COMPRESSED[name]
    stream = bytes(encode(image()))
    found = decode(slice_of(stream[: len(stream) // 2] + b"\xff\xd9", syntax))
    assert isinstance(found, Fault)
    assert found.reason in ("damaged_codestream", "undecodable_pixels")


@pytest.mark.parametrize("name", COMPRESSED)
def test_another_size_than_the_header_states(name: str):
    fault = check_codestream(bytes(COMPRESSED[name][1](image())), 88, 96)
    assert fault is not None
    assert fault.reason == "wrong_image_size"


@pytest.mark.parametrize(
    "stream",
    [
        *(bytes(imagecodecs.ljpeg_encode(image(*s), bitspersample=16)) for s in ((96, 88), (5, 7))),
        *(lossy(image(*s), level) for s in ((96, 88), (13, 21)) for level in (50, 95)),
        lossy(np.full((96, 88), 1000, np.uint16), 95),
        bytes(imagecodecs.ljpeg_encode(np.full((96, 88), 1000, np.uint16), bitspersample=16)),
    ],
)
def test_the_coded_data_of_sound_jpeg_end_with_the_image(stream: bytes):
    assert ends_with_image(stream)


@pytest.mark.parametrize(
    ("stream", "lost"),
    [
        (bytes(imagecodecs.ljpeg_encode(image(), bitspersample=16)), 9),
        (bytes(imagecodecs.ljpeg_encode(image(), bitspersample=16)), 32),
        (lossy(image(), 95), 200),
    ],
)
def test_lost_bytes_show_at_the_end_of_jpeg(stream: bytes, lost: int):
    at = len(stream) // 2
    assert not ends_with_image(stream[:at] + stream[at + lost :])


def test_damaged_run_lengths_are_refused():
    stream = bytearray(run_length(image()))
    assert not isinstance(decode(slice_of(bytes(stream), RLE)), Fault)
    for at in range(200, len(stream) - 40, 997):
        damaged = bytearray(stream)
        del damaged[at : at + 7]
        found = decode(slice_of(bytes(damaged), RLE))
        assert isinstance(found, Fault), at


def with_a_strange_slice(number: int, slices: int = 9) -> Series:
    return Series(slices=slices, rows=64, columns=64, seed=number)


@pytest.mark.parametrize("number", [0, 1, 4, 8])
def test_a_slice_that_fits_neither_neighbour_is_refused_by_default_and_named(
    ingested: Ingested, tmp_path: Path, number: int
):
    made = with_a_strange_slice(number)
    datasets = made.datasets()
    strange = made.image_hu()[number].copy()
    strange[30:] = np.roll(strange[30:], 20, axis=1) + 150
    set_hu(datasets[number], strange)
    write(datasets, tmp_path / "in")
    ingested.dicom(tmp_path / "in")
    assert ingested.reasons() == {"fault:slice_unlike_neighbours": 9}
    (row,) = ingested.rows("quarantine")
    assert f"slice {number + 1} of 9" in row["detail"]
    ingested.check_conserved()


def test_by_policy_it_is_counted_and_taken(ingested: Ingested, tmp_path: Path):
    made = with_a_strange_slice(4)
    datasets = made.datasets()
    set_hu(datasets[4], made.image_hu()[4] + np.int16(150))
    write(datasets, tmp_path / "in")
    ingested.config = IngestConfig(unlike_slices="flag")
    ingested.dicom(tmp_path / "in")
    # so few slices with one of other values may also look scaled
    assert "slices_unlike_neighbours=1" in ingested.volume()["adjustments"]


def test_what_every_slice_shows_is_no_outlier():
    """Noise, structures within one slice, and a step between two positions of the table."""
    draw = np.random.default_rng(5)
    noisy = draw.normal(0, 80, (12, 64, 64)).astype(np.int16)
    assert slices_unlike_neighbours(noisy) == []
    ribs = np.full((12, 64, 64), 40, np.int16)
    for number in range(12):
        ribs[number, 4 * number : 4 * number + 4] = 700
    assert slices_unlike_neighbours(ribs) == []
    step = np.full((12, 64, 64), 40, np.int16)
    step[6:] = np.roll(noisy[6:] // 8, 9, axis=2) - 300
    assert slices_unlike_neighbours(step) == []


def overlaid(one: Dataset, **more: Any) -> None:
    """12 bits of values, an overlay in bit 15 as old files hold it."""
    values = np.frombuffer(one.PixelData, "<i2").astype(np.int32) + 24  # HU + 1024 + 24
    overlay = np.zeros(values.size, np.int32).reshape(one.Rows, one.Columns)
    overlay[2:5, 2:8] = 1 << 15
    one.PixelData = (values + overlay.ravel()).astype("<u2").tobytes()
    one.PixelRepresentation, one.BitsStored, one.HighBit = 0, 12, 11
    one.RescaleIntercept = -1048
    for keyword, value in more.items():
        setattr(one, keyword, value)


def test_overlays_in_the_high_bits_are_taken_out_where_the_header_says_so(
    ingested: Ingested, tmp_path: Path
):
    made = Series()
    datasets = made.datasets()
    for one in datasets:
        overlaid(one)
        one.add_new(0x60000100, "US", 16)
        one.add_new(0x60000102, "US", 15)
    write(datasets, tmp_path / "in")
    ingested.dicom(tmp_path / "in")
    expected = np.moveaxis(made.image_hu(), (0, 1, 2), (2, 1, 0))
    np.testing.assert_array_equal(ingested.image(ingested.volume()), expected)


def test_high_bits_that_no_overlay_claims_are_told(ingested: Ingested, tmp_path: Path):
    datasets = Series().datasets()
    for number, one in enumerate(datasets):
        overlaid(one)
        one.add_new(0x60000100, "US", 16)
        # its data lie elsewhere, or in another bit
        one.add_new(0x60000102, "US", 0 if number % 2 else 14)
    write(datasets, tmp_path / "in")
    ingested.dicom(tmp_path / "in")
    assert ingested.volumes() == []
    assert set(ingested.reasons()) <= {
        *("fault:values_beyond_bits_stored", "fault:text_in_pixels", "fault:incomplete_series")
    }
