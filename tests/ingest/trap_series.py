"""Trap series: how archives go wrong, each with the outcome that is right."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from encoded import COMPRESSED, compress, unsigned
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)
from series import Series, fresh_uid, move, set_hu, write
from truth import Expected, Truth, truth

SLICES = 12
PLAIN = Series(slices=SLICES, rows=32, columns=24)
WHOLE = truth(PLAIN)
Build = Callable[[Path], Expected]


@dataclass(frozen=True)
class Trap:
    """A series, or what looks like one: `build` writes it to a folder."""

    name: str
    build: Build


TRAPS: dict[str, Trap] = {}


def trap(name: str) -> Callable[[Build], Build]:
    def keep(build: Build) -> Build:
        assert name not in TRAPS, name
        TRAPS[name] = Trap(name, build)
        return build

    return keep


def changed(
    name: str,
    change: Callable[[list[Dataset]], Any],
    aside: dict[str, int] | None = None,
    *,
    series: Series = PLAIN,
    volumes: tuple[Truth, ...] | None = None,
) -> None:
    """A trap that changes the data sets of a plain series; it is right unless `aside` is given."""

    def build(folder: Path) -> Expected:
        datasets = series.datasets()
        change(datasets)
        write(datasets, folder)
        right = volumes if volumes is not None else (() if aside else (truth(series),))
        return Expected(right, aside or {})

    trap(name)(build)


def each(change: Callable[[Dataset], Any]) -> Callable[[list[Dataset]], Any]:
    return lambda datasets: [change(one) for one in datasets]


def setting(**tags: Any) -> Callable[[list[Dataset]], Any]:
    def change(datasets: list[Dataset]) -> None:
        for one in datasets:
            for keyword, value in tags.items():
                if value is None:
                    delattr(one, keyword)
                else:
                    setattr(one, keyword, value)

    return change


def fault(reason: str, files: int = SLICES) -> dict[str, int]:
    return {f"fault:{reason}": files}


def out(reason: str, files: int = SLICES) -> dict[str, int]:
    return {f"out_of_scope:{reason}": files}


def numbered(datasets: list[Dataset], numbers: list[int]) -> None:
    for one, number in zip(datasets, numbers, strict=True):
        one.InstanceNumber = number


# order and names
changed("plain", lambda d: None)
changed("files in reverse", lambda d: d.reverse())
changed("InstanceNumber counts down", lambda d: numbered(d, list(range(SLICES, 0, -1))))
changed("InstanceNumber is random", lambda d: numbered(d, random.Random(3).sample(range(99), 12)))
changed("InstanceNumber is always 1", setting(InstanceNumber=1))
changed("no InstanceNumber", setting(InstanceNumber=None))
changed("SliceThickness lies", setting(SliceThickness=0.1))
changed(
    "SliceLocation and SpacingBetweenSlices lie", setting(SpacingBetweenSlices=9, SliceLocation=5)
)
changed("one SOPInstanceUID for all", setting(SOPInstanceUID="1.2.3.4.5.6"))
changed("acquisition number counts with every slice", lambda d: [
    setattr(one, "AcquisitionNumber", number) for number, one in enumerate(d)
])  # fmt: skip
changed("one series in two halves by acquisition", lambda d: [
    setattr(one, "AcquisitionNumber", number // 6) for number, one in enumerate(d)
])  # fmt: skip


@trap("unicode and blanks in paths")
def _unicode(folder: Path) -> Expected:
    names = [f"Schnitt {n} äöü 患者.dcm" for n in random.Random(1).sample(range(SLICES), SLICES)]
    write(PLAIN.datasets(), folder / "Ordner mit Leerzeichen" / "ä 患", names)
    return Expected((WHOLE,))


@trap("one volume in two folders")
def _two_folders(folder: Path) -> Expected:
    datasets = PLAIN.datasets()
    write(datasets[::2], folder / "a")
    write(datasets[1::2], folder / "b")
    return Expected((WHOLE,))


@trap("every file twice")
def _twice(folder: Path) -> Expected:
    write(PLAIN.datasets(), folder / "a")
    write(PLAIN.datasets(), folder / "b")
    return Expected((WHOLE,), {"duplicate:same_slice": SLICES})


@trap("sent again under new SOP instance UIDs")
def _sent_again(folder: Path) -> Expected:
    again = PLAIN.datasets()
    for one in again:
        fresh_uid(one)
    write(PLAIN.datasets(), folder / "a")
    write(again, folder / "b")
    return Expected((WHOLE,), {"duplicate:same_slice": SLICES})


# geometry
def oriented(name: str, *orientation: float) -> None:
    changed(name, lambda d: None, series=replace(PLAIN, orientation=orientation))


oriented("prone", -1, 0, 0, 0, -1, 0)
oriented("feet first", -1, 0, 0, 0, 1, 0)
oriented("decubitus", 0, 1, 0, -1, 0, 0)
oriented("oblique", 0.8, 0.6, 0, -0.6, 0.8, 0)
oriented("sagittal", 0, 1, 0, 0, 0, -1)
oriented("coronal", 1, 0, 0, 0, 0, -1)
oriented("double oblique", 0.8, 0.6, 0.0, -0.36, 0.48, 0.8)
changed("non-square pixels", lambda d: None, series=replace(PLAIN, pixel_spacing_mm=(1.5, 0.5)))
changed("positions jitter by rounding", lambda d: [
    move(one, by_mm=(0.004, -0.004, (-1) ** n * 0.01)) for n, one in enumerate(d)
])  # fmt: skip


def tilted(name: str, degrees: float, *, by_orientation: bool) -> None:
    """Slices whose table moves along z: their normal leans, or their origins shift."""
    angle = math.radians(degrees)

    def build(folder: Path) -> Expected:
        series, step = PLAIN, np.array([0.0, 2.5 * math.tan(angle), 2.5])
        if by_orientation:
            lean = (1.0, 0.0, 0.0, 0.0, math.cos(angle), math.sin(angle))
            series, step = replace(PLAIN, orientation=lean), np.array([0.0, 0.0, 2.5])
        datasets = series.datasets()
        for number, one in enumerate(datasets):
            place = np.array(series.origin_mm) + number * step
            one.ImagePositionPatient = [round(float(value), 6) for value in place]
            one.GantryDetectorTilt = degrees
        write(datasets, folder)
        return Expected((truth(series, step),))

    trap(name)(build)


tilted("gantry tilt +20", 20, by_orientation=True)
tilted("gantry tilt -20", -20, by_orientation=True)
tilted("gantry tilt +15 by positions", 15, by_orientation=False)
tilted("gantry tilt -15 by positions", -15, by_orientation=False)

changed("a slice is missing", lambda d: d.pop(5), fault("missing_slices", 11))
changed(
    "three slices are missing", lambda d: d.__delitem__(slice(4, 7)), fault("missing_slices", 9)
)
changed("uneven spacing", lambda d: move(d[4], by_mm=(0, 0, 0.6)), fault("uneven_spacing"))
changed("thick and thin slices", lambda d: [
    move(one, by_mm=(0, 0, 2.5 * (n - 5))) for n, one in enumerate(d) if n > 5
], fault("uneven_spacing"))  # fmt: skip
changed("one slice moved sideways", lambda d: move(d[4], by_mm=(7, 0, 0)), fault("lateral_shift"))
changed("a single slice", lambda d: d.__delitem__(slice(1, None)), fault("too_few_slices", 1))
changed("three slices", lambda d: d.__delitem__(slice(3, None)), fault("too_few_slices", 3))
changed("no position", setting(ImagePositionPatient=None), fault("missing_position"))
changed("one position for all", setting(ImagePositionPatient=[0, 0, 5]), fault("constant_position"))
changed("no orientation", setting(ImageOrientationPatient=None), fault("missing_orientation"))
changed("orientation not at right angles", setting(ImageOrientationPatient=[1, 0, 0, 0.5, 0.8, 0]),
        fault("not_orthonormal"))  # fmt: skip
changed("orientation of zeros", setting(ImageOrientationPatient=[0] * 6), fault("not_orthonormal"))
changed("pixel spacing zero", setting(PixelSpacing=[0, 0]), fault("zero_pixel_spacing"))
changed("no pixel spacing", setting(PixelSpacing=None), fault("missing_pixel_spacing"))
changed("pixel spacing in micrometres", setting(PixelSpacing=[800, 700]),
        fault("implausible_pixel_spacing"))  # fmt: skip
changed("another orientation in one slice",
        lambda d: setattr(d[4], "ImageOrientationPatient", [0, 1, 0, 0, 0, -1]),
        {"fault:missing_slices": 11, "fault:too_few_slices": 1})  # fmt: skip


# two volumes under one series UID
def together(
    name: str, tags: dict[str, Any], other: dict[str, Any], second: Series = PLAIN
) -> None:
    """Two volumes under one UID that differ in `tags` and `other`."""

    def build(folder: Path) -> Expected:
        one, two = replace(PLAIN, tags=tags), replace(second, seed=2, tags=other)
        later = two.datasets()
        for number, dataset in enumerate(later):
            fresh_uid(dataset)
            dataset.InstanceNumber = SLICES + number + 1
        names = random.Random(2).sample(range(999), 2 * SLICES)
        write(one.datasets() + later, folder, [f"{number}.dcm" for number in names])
        return Expected((truth(one), truth(two)))

    trap(name)(build)


SHIFTED = replace(PLAIN, origin_mm=(-50.0, -60.0, 101.25))
FAR = replace(PLAIN, origin_mm=(-50.0, -60.0, 400.0))
together("two patients", {"PatientID": "A"}, {"PatientID": "B"})
together(
    "two frames of reference", {"FrameOfReferenceUID": "1.2.1"}, {"FrameOfReferenceUID": "1.2.2"}
)
together("two kernels", {"ConvolutionKernel": "B30f"}, {"ConvolutionKernel": "B70f"})
together(
    "two kernels, interleaved",
    {"ConvolutionKernel": "B30f"},
    {"ConvolutionKernel": "B70f"},
    SHIFTED,
)
together("two energies", {"KVP": 80}, {"KVP": 140})
together(
    "two temporal positions", {"TemporalPositionIdentifier": 1}, {"TemporalPositionIdentifier": 2}
)
together("two acquisitions", {"AcquisitionNumber": 1}, {"AcquisitionNumber": 2})
together(
    "two acquisitions, interleaved", {"AcquisitionNumber": 1}, {"AcquisitionNumber": 2}, SHIFTED
)
together("two acquisition times", {"AcquisitionTime": "101010"}, {"AcquisitionTime": "101510"})
together("two cardiac phases", {"TriggerTime": 100}, {"TriggerTime": 500})
together("two ranges along z", {}, {}, FAR)
together(
    "two ranges along z by acquisition", {"AcquisitionNumber": 1}, {"AcquisitionNumber": 2}, FAR
)
together("two image types", {}, {"ImageType": ["DERIVED", "SECONDARY", "AXIAL"]})
together("two sizes", {}, {}, replace(PLAIN, rows=40))
together("two pixel spacings", {}, {}, replace(PLAIN, pixel_spacing_mm=(0.5, 0.5)))
together("axial and coronal", {}, {}, replace(PLAIN, orientation=(1, 0, 0, 0, 0, -1)))


@trap("two images at one place")
def _one_place(folder: Path) -> Expected:
    other = replace(PLAIN, seed=2).datasets()
    for one in other:
        fresh_uid(one)
    write(PLAIN.datasets(), folder / "a")
    write(other, folder / "b")
    return Expected((), fault("duplicate_position", 24))


@trap("a block of the middle lost")
def _lost(folder: Path) -> Expected:
    whole = replace(PLAIN, slices=36).datasets()
    write(whole[:12] + whole[24:], folder)
    return Expected((), fault("missing_slices", 24))


@trap("two names under one patient id")
def _two_names(folder: Path) -> Expected:
    other = replace(PLAIN, seed=2, tags={"PatientName": "Jemand^Anders"}).datasets()
    for one in other:
        fresh_uid(one)
    write(PLAIN.datasets(), folder / "a")
    write(other, folder / "b")
    return Expected((), fault("patient_conflict", 24))


# HU
def varying(datasets: list[Dataset]) -> None:
    for number, (one, image) in enumerate(zip(datasets, PLAIN.image_hu(), strict=True)):
        one.RescaleSlope, one.RescaleIntercept = 1, -1000 - number
        set_hu(one, image)


def intercept_8192(one: Dataset) -> None:
    image = np.frombuffer(one.PixelData, "<i2").reshape(one.Rows, one.Columns).astype(int) - 1024
    one.PixelRepresentation, one.RescaleIntercept = 0, -8192
    set_hu(one, image)


def corners(one: Dataset, stored: int, **tags: Any) -> None:
    """Paint the corners as scanners do outside the field of view."""
    image = np.frombuffer(one.PixelData, "<i2").reshape(one.Rows, one.Columns).copy()
    image[:4, :4] = image[-4:, -4:] = stored
    one.PixelData = image.tobytes()
    for keyword, value in tags.items():
        setattr(one, keyword, value)


def painted(hu: int) -> Truth:
    image = PLAIN.image_hu()
    image[:, :4, :4] = image[:, -4:, -4:] = hu
    return replace(WHOLE, image_zyx=image)


changed("slope and intercept vary by slice", varying)
changed("intercept -8192", each(intercept_8192))
changed("unsigned values", each(unsigned))
changed("MONOCHROME1", setting(PhotometricInterpretation="MONOCHROME1"))
changed("no RescaleSlope", setting(RescaleSlope=None), fault("missing_rescale"))
changed("no RescaleIntercept", setting(RescaleIntercept=None), fault("missing_rescale"))
changed("slope 0", setting(RescaleSlope=0), fault("bad_rescale"))
changed("rescaling forgotten", setting(RescaleIntercept=0), fault("rescaling_forgotten"))
changed("rescaling applied twice", setting(RescaleIntercept=-2048), fault("rescaling_repeated"))
changed("rescale type of an iodine map", setting(RescaleType="MGML"), fault("rescale_not_hu"))
changed("PixelPaddingValue -2000", each(lambda one: corners(one, -2000, PixelPaddingValue=-2000)),
        volumes=(painted(-1024),))  # fmt: skip
changed("-3024 outside the field, not stated", each(lambda one: corners(one, -2000)),
        volumes=(painted(-1024),))  # fmt: skip
changed("padding within tissue", setting(PixelPaddingValue=1064), fault("padding_within_tissue"))
changed("values beyond int16", setting(RescaleSlope=40), fault("hu_out_of_range"))
changed("values beyond the bits stored", setting(BitsStored=8, HighBit=7),
        fault("values_beyond_bits_stored"))  # fmt: skip


# what is no CT volume
changed("a scout", setting(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]), out("localizer"))
changed("a projection", setting(ImageType=["DERIVED", "SECONDARY", "MIP"]), out("projection"))
changed(
    "an MPR", setting(ImageType=["DERIVED", "SECONDARY", "MPR"]), {"not_selected:reformatted": 12}
)
changed("a perfusion map", setting(ImageType=["DERIVED", "SECONDARY", "AXIAL", "CBF"]),
        out("derived_map"))  # fmt: skip
changed("an MR", setting(Modality="MR", SOPClassUID="1.2.840.10008.5.1.4.1.1.4"),
        out("modality_not_ct"))  # fmt: skip
changed("a secondary capture", setting(SOPClassUID="1.2.840.10008.5.1.4.1.1.7"),
        out("secondary_capture"))  # fmt: skip
changed("burned-in text", setting(BurnedInAnnotation="YES"), fault("burned_in_annotation"))
changed("no pixels", setting(PixelData=None), fault("no_pixel_data"))


def beside(name: str, extra: Callable[[Path], None], aside: dict[str, int]) -> None:
    """A sound series with one file of another kind in its folder."""

    def build(folder: Path) -> Expected:
        write(PLAIN.datasets(), folder)
        extra(folder)
        return Expected((WHOLE,), aside)

    trap(name)(build)


def object_file(modality: str, sop_class: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        one = PLAIN.datasets()[0]
        del one.PixelData
        one.Modality, one.SOPClassUID = modality, sop_class
        one.file_meta.MediaStorageSOPClassUID = sop_class
        one.SeriesInstanceUID = "1.2.3.99"
        fresh_uid(one)
        one.save_as(folder / "object", enforce_file_format=True)

    return make


beside("a structured report beside", object_file("SR", "1.2.840.10008.5.1.4.1.1.88.11"),
       out("modality_not_ct", 1))  # fmt: skip
beside("an RTSTRUCT beside", object_file("RTSTRUCT", "1.2.840.10008.5.1.4.1.1.481.3"),
       out("modality_not_ct", 1))  # fmt: skip
beside(
    "an empty file beside",
    lambda f: (f / "empty.dcm").write_bytes(b"") and None,
    fault("empty_file", 1),
)
beside(
    "a text file beside",
    lambda f: (f / "notes.txt").write_text("hello") and None,
    out("not_dicom", 1),
)


@trap("one file cut off")
def _cut(folder: Path) -> Expected:
    paths = write(PLAIN.datasets(), folder)
    paths[3].write_bytes(paths[3].read_bytes()[:-200])
    return Expected((), {"fault:truncated_pixels": 1, "fault:incomplete_series": 11})


# encodings
def encoded(name: str, change: Callable[[Dataset], Any]) -> None:
    changed(name, each(change))


def native(syntax: str) -> Callable[[Dataset], None]:
    def change(one: Dataset) -> None:
        if syntax == ExplicitVRBigEndian:
            one.PixelData = np.frombuffer(one.PixelData, "<i2").astype(">i2").tobytes()
            one["PixelData"].VR = "OW"
        one.file_meta.TransferSyntaxUID = syntax

    return change


encoded("implicit VR", native(ImplicitVRLittleEndian))
encoded("big endian", native(ExplicitVRBigEndian))
encoded("deflated", native(DeflatedExplicitVRLittleEndian))
encoded("RLE", lambda one: one.compress(RLELossless, generate_instance_uid=False))
for _name in COMPRESSED:
    encoded(_name, lambda one, name=_name: compress(one, name))


@trap("no preamble and no file meta")
def _bare(folder: Path) -> Expected:
    folder.mkdir()
    for number, one in enumerate(PLAIN.datasets()):
        del one.file_meta
        one.save_as(folder / str(number), implicit_vr=True, little_endian=True)
    return Expected((WHOLE,))


@trap("Enhanced CT, frames out of order")
def _enhanced(folder: Path) -> Expected:
    from enhanced import enhanced

    order = random.Random(5).sample(range(SLICES), SLICES)
    write([enhanced([PLAIN.datasets()[n] for n in order])], folder)
    return Expected((WHOLE,))


@trap("Enhanced CT with two time points")
def _enhanced_times(folder: Path) -> Expected:
    from enhanced import enhanced

    one, two = (
        replace(PLAIN, seed=seed, tags={"TemporalPositionIdentifier": seed}) for seed in (1, 2)
    )
    write([enhanced(one.datasets() + two.datasets())], folder)
    return Expected((truth(one), truth(two)))


@trap("Enhanced CT with a frame missing")
def _enhanced_gap(folder: Path) -> Expected:
    from enhanced import enhanced

    datasets = PLAIN.datasets()
    write([enhanced(datasets[:4] + datasets[5:])], folder)
    return Expected((), fault("missing_slices", 1))
